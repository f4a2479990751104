"""The named misbehaviours of a gateway, to rehearse what real ones do, and the set of those that are switched on.

Each is switched on by name and composes with the others in the order of switching on.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from broker.simulator.messages import answers as say
from broker.simulator.messages import requests as ask
from broker.simulator.messages.answers import Answer
from broker.simulator.messages.order_frames import CompletedOrder, OpenOrder
from broker.simulator.messages.place_order import PlaceOrder
from broker.simulator.scenario import Scenario, ScenarioProblem, Verdict
from broker.simulator.scenarios_in import ClientIdTaken, DelayedData, DropAfterOrder, DropBeforeOrder, Pacing, RejectNext, Silence
from broker.simulator.scenarios_out import (
    CommissionFirst,
    CorrectExecution,
    DuplicateExecutions,
    DuplicateStatuses,
    ForgetFills,
    HoldAcknowledgements,
    Mute,
    SkipPreSubmitted,
    StatusBeforeExecution,
)
from broker.simulator.session import Session

REQUEST_KINDS: dict[str, type] = {name: ask.LAYOUTS[number].kind for number, name in ask.NAMES.items() if number in ask.LAYOUTS}
REQUEST_KINDS["placeOrder"] = PlaceOrder
ANSWER_KINDS: dict[str, type] = {
    "openOrder": OpenOrder, "orderStatus": say.OrderStatus, "openOrderEnd": say.OpenOrderEnd, "execDetails": say.ExecutionDetails,
    "execDetailsEnd": say.ExecutionDetailsEnd, "commissionReport": say.CommissionReport, "completedOrder": CompletedOrder,
    "completedOrdersEnd": say.CompletedOrdersEnd, "position": say.Position, "positionEnd": say.PositionEnd, "error": say.ErrorMessage,
    "updateAccountValue": say.AccountValue, "updatePortfolio": say.Portfolio, "accountDownloadEnd": say.AccountDownloadEnd,
    "accountUpdateMultiEnd": say.AccountUpdateMultiEnd, "nextValidId": say.NextValidId, "currentTime": say.CurrentTime, "pnl": say.PnL,
}  # fmt: skip


def _kind(kinds: dict[str, type], word: str) -> type:
    """The message kind a person means: IB's name, with or without a leading `req`, in any case."""
    for name, kind in kinds.items():
        if word.lower() in (name.lower(), name.lower().removeprefix("req")):
            return kind
    raise ScenarioProblem(f"unknown message {word}; known: {' '.join(sorted(kinds))}")


def _without_arguments(kind: Callable[[], Scenario]) -> Callable[[list[str]], Scenario]:
    def build(words: list[str]) -> Scenario:
        if words:
            raise ScenarioProblem(f"takes no arguments, got: {' '.join(words)}")
        return kind()

    return build


BUILDERS: dict[str, tuple[str, Callable[[list[str]], Scenario]]] = {
    RejectNext.name: ("CODE TEXT", lambda words: RejectNext(int(words[0]), " ".join(words[1:]) or "Order rejected - reason:rehearsed")),
    Silence.name: ("REQUEST", lambda words: Silence(_kind(REQUEST_KINDS, words[0]))),
    Mute.name: ("ANSWER", lambda words: Mute(_kind(ANSWER_KINDS, words[0]))),
    ClientIdTaken.name: ("CLIENT", lambda words: ClientIdTaken(int(words[0]))),
    Pacing.name: ("[MOST]", lambda words: Pacing(int(words[0]) if words else Pacing.most)),
    CorrectExecution.name: ("EXECID SHARES PRICE", lambda words: CorrectExecution(words[0], Decimal(words[1]), Decimal(words[2]))),
    **{
        kind.name: ("", _without_arguments(kind))
        for kind in (
            DropBeforeOrder, DropAfterOrder, DelayedData, DuplicateStatuses, DuplicateExecutions, StatusBeforeExecution, CommissionFirst,
            SkipPreSubmitted, ForgetFills, HoldAcknowledgements,
        )
    },
}  # fmt: skip


class Scenarios:
    """The scenarios that are switched on, in order."""

    def __init__(self) -> None:
        self.active: list[Scenario] = []

    def add(self, name: str, words: list[str]) -> Scenario:
        """Switches a scenario on by name. Raises ScenarioProblem for an unknown name or arguments that do not fit."""
        if name not in BUILDERS:
            raise ScenarioProblem(f"unknown scenario {name}; known: {' '.join(BUILDERS)}")
        usage, build = BUILDERS[name]
        try:
            scenario = build(words)
        except (IndexError, ValueError, ArithmeticError) as error:
            raise ScenarioProblem(f"usage: {name} {usage}") from error
        self.active.append(scenario)
        return scenario

    def remove(self, name: str | None = None) -> list[Scenario]:
        """Switches off every scenario of that name, or all; returns them, with what they still hold."""
        removed = [one for one in self.active if name in (None, one.name)]
        self.active = [one for one in self.active if one not in removed]
        return removed

    def incoming(self, session: Session, request: ask.Request, now: datetime) -> Verdict:
        """What all scenarios together make of a request."""
        answers: tuple[Answer, ...] = ()
        for scenario in list(self.active):
            verdict = scenario.incoming(session, request, now)
            answers += verdict.answers
            if verdict.request is None:
                self._sweep()
                return Verdict(None, answers)
            request = verdict.request
        return Verdict(request, answers)

    def outgoing(self, session: Session, answers: list[Answer]) -> list[Answer]:
        """What all scenarios together leave of a batch of answers to one client."""
        for scenario in list(self.active):
            answers = scenario.outgoing(session, answers)
        self._sweep()
        return answers

    def first(self, kind: type[Any]) -> Any | None:
        """The first active scenario of a kind, or None."""
        return next((one for one in self.active if isinstance(one, kind)), None)

    def _sweep(self) -> None:
        self.active = [one for one in self.active if not one.spent]
