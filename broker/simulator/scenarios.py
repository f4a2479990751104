"""Named misbehaviours of a gateway, to rehearse what real ones do: small filters over the requests that come in and the answers that go
out.

Each is switched on by name and composes with the others in the order of switching on. The rule kept: a scenario sees messages and
passes, changes, holds or drops them; it never touches the exchange, so what is on record stays true whatever a client was told.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from broker.simulator.messages import answers as say
from broker.simulator.messages import market_answers as quotes
from broker.simulator.messages import requests as ask
from broker.simulator.messages.answers import Answer
from broker.simulator.messages.order_frames import CompletedOrder, OpenOrder
from broker.simulator.messages.place_order import PlaceOrder
from broker.simulator.session import Session

ORDER_REQUESTS = (PlaceOrder, ask.CancelOrder, ask.GlobalCancel)
CLIENT_ID_IN_USE = (326, "Unable to connect as the client id is already in use. Retry with a unique client id.")
REQUEST_KINDS: dict[str, type] = {name: ask.LAYOUTS[number].kind for number, name in ask.NAMES.items() if number in ask.LAYOUTS}
REQUEST_KINDS["placeOrder"] = PlaceOrder
ANSWER_KINDS: dict[str, type] = {
    "openOrder": OpenOrder, "orderStatus": say.OrderStatus, "openOrderEnd": say.OpenOrderEnd, "execDetails": say.ExecutionDetails,
    "execDetailsEnd": say.ExecutionDetailsEnd, "commissionReport": say.CommissionReport, "completedOrder": CompletedOrder,
    "completedOrdersEnd": say.CompletedOrdersEnd, "position": say.Position, "positionEnd": say.PositionEnd, "error": say.ErrorMessage,
    "updateAccountValue": say.AccountValue, "updatePortfolio": say.Portfolio, "accountDownloadEnd": say.AccountDownloadEnd,
    "accountUpdateMultiEnd": say.AccountUpdateMultiEnd, "nextValidId": say.NextValidId, "currentTime": say.CurrentTime, "pnl": say.PnL,
}  # fmt: skip


class ScenarioProblem(Exception):
    """A scenario was asked for in words that mean none; the text says which are known."""


@dataclass(frozen=True)
class CloseConnection(Answer):
    """Not a message: the connection is to be closed here, without what follows."""


@dataclass(frozen=True)
class Verdict:
    """What becomes of a request: passed on (None: not), after these answers."""

    request: ask.Request | None
    answers: tuple[Answer, ...] = ()


class Scenario:
    """Passes everything. `spent` ends a scenario that was meant to happen once."""

    name: ClassVar[str] = ""
    spent = False

    def incoming(self, session: Session, request: ask.Request, now: datetime) -> Verdict:
        return Verdict(request)

    def outgoing(self, session: Session, answers: list[Answer]) -> list[Answer]:
        return answers


# --- what comes in ----------------------------------------------------------------------------------------------------------------


@dataclass
class RejectNext(Scenario):
    """The next orders are refused with this error and never reach the exchange."""

    name = "reject-next"
    code: int
    text: str
    remaining: int = 1

    def incoming(self, session: Session, request: ask.Request, now: datetime) -> Verdict:
        if not isinstance(request, PlaceOrder) or request.what_if:
            return Verdict(request)
        self.remaining -= 1
        self.spent = self.remaining == 0
        return Verdict(None, (say.OrderError(request.order_id, self.code, self.text, now),))


@dataclass
class Silence(Scenario):
    """Requests of one kind are never answered and do nothing."""

    name = "silence"
    kind: type

    def incoming(self, session: Session, request: ask.Request, now: datetime) -> Verdict:
        return Verdict(None if isinstance(request, self.kind) else request)


@dataclass
class ClientIdTaken(Scenario):
    """The gateway still holds an old connection of this client id, as it does for seconds after a lost one: 326, then closed."""

    name = "client-id-taken"
    client_id: int

    def incoming(self, session: Session, request: ask.Request, now: datetime) -> Verdict:
        if isinstance(request, ask.StartApi) and request.client_id == self.client_id:
            return Verdict(None, (say.ErrorMessage(-1, *CLIENT_ID_IN_USE, now), CloseConnection()))
        return Verdict(request)


@dataclass
class DropBeforeOrder(Scenario):
    """The connection breaks as the next order arrives: the order never reaches the exchange."""

    name = "drop-before-order"

    def incoming(self, session: Session, request: ask.Request, now: datetime) -> Verdict:
        if not isinstance(request, PlaceOrder):
            return Verdict(request)
        self.spent = True
        return Verdict(None, (CloseConnection(),))


@dataclass
class DropAfterOrder(Scenario):
    """The connection breaks after the next order was taken and before anything about it was said."""

    name = "drop-after-order"
    client_id: int | None = None

    def incoming(self, session: Session, request: ask.Request, now: datetime) -> Verdict:
        if isinstance(request, PlaceOrder) and self.client_id is None:
            self.client_id = session.client_id
        return Verdict(request)

    def outgoing(self, session: Session, answers: list[Answer]) -> list[Answer]:
        if session.client_id != self.client_id:
            return answers
        self.spent = True
        return [CloseConnection()]


@dataclass
class Pacing(Scenario):
    """More requests in a second than allowed are refused with error 100 (IB: 50 a second, all messages together)."""

    name = "pacing"
    most: int = 50
    seen: dict[int, deque[datetime]] = field(default_factory=dict)

    def incoming(self, session: Session, request: ask.Request, now: datetime) -> Verdict:
        times = self.seen.setdefault(session.client_id, deque())
        while times and now - times[0] >= timedelta(seconds=1):
            times.popleft()
        times.append(now)
        if len(times) <= self.most:
            return Verdict(request)
        text = f"Max rate of messages per second has been exceeded:max={self.most} rec={len(times)}"
        return Verdict(None, (say.ErrorMessage(-1, 100, text, now),))


@dataclass
class DelayedData(Scenario):
    """No one is entitled to live quotes: refused with 354, or delayed for those who asked for type 3 or 4 (10167)."""

    name = "delayed-data"

    def incoming(self, session: Session, request: ask.Request, now: datetime) -> Verdict:
        if not isinstance(request, ask.RequestMarketData):
            return Verdict(request)
        if session.subscriptions.market_data_type < 3:
            text = "Requested market data is not subscribed. Delayed market data is available."
            return Verdict(None, (say.ErrorMessage(request.req_id, 354, text, now),))
        warning = "Requested market data is not subscribed. Displaying delayed market data."
        return Verdict(request, (say.ErrorMessage(request.req_id, 10167, warning, now),))

    def outgoing(self, session: Session, answers: list[Answer]) -> list[Answer]:
        return [_delayed(answer) for answer in answers]


def _delayed(answer: Answer) -> Answer:
    if isinstance(answer, quotes.MarketDataType):
        return dataclasses.replace(answer, market_data_type=3)
    if isinstance(answer, quotes.TickPrice | quotes.TickSize | quotes.TickString):
        return dataclasses.replace(answer, tick_type=quotes.DELAYED_TYPES.get(answer.tick_type, answer.tick_type))
    return answer


# --- what goes out ----------------------------------------------------------------------------------------------------------------


def is_order_news(answer: Answer) -> bool:
    """True for what tells about an order unasked; an answer to a request for open orders or executions is not news."""
    if isinstance(answer, OpenOrder | say.OrderStatus):
        return answer.live
    if isinstance(answer, say.ExecutionDetails):
        return answer.req_id < 0
    return isinstance(answer, say.OrderError | say.CommissionReport)


@dataclass
class HoldAcknowledgements(Scenario):
    """News of orders is held back until released, while everything else is answered."""

    name = "hold"
    held: dict[int, list[Answer]] = field(default_factory=dict)

    def outgoing(self, session: Session, answers: list[Answer]) -> list[Answer]:
        news = [answer for answer in answers if is_order_news(answer)]
        if news:
            self.held.setdefault(session.client_id, []).extend(news)
        return [answer for answer in answers if not is_order_news(answer)]


@dataclass
class ConnectionLost(HoldAcknowledgements):
    """The gateway has lost IB (1100): the socket stays up, order requests wait, news of orders waits."""

    name = "connectivity"
    requests: list[tuple[Session, ask.Request]] = field(default_factory=list)

    def incoming(self, session: Session, request: ask.Request, now: datetime) -> Verdict:
        if not isinstance(request, ORDER_REQUESTS):
            return Verdict(request)
        self.requests.append((session, request))
        return Verdict(None)


@dataclass
class Mute(Scenario):
    """Answers of one kind are left out (real gateways leave out execDetailsEnd when there are no executions)."""

    name = "mute"
    kind: type

    def outgoing(self, session: Session, answers: list[Answer]) -> list[Answer]:
        return [answer for answer in answers if not isinstance(answer, self.kind)]


@dataclass
class DuplicateStatuses(Scenario):
    """Every orderStatus comes twice, as it often does."""

    name = "duplicate-statuses"

    def outgoing(self, session: Session, answers: list[Answer]) -> list[Answer]:
        return [copy for answer in answers for copy in ((answer, answer) if isinstance(answer, say.OrderStatus) else (answer,))]


@dataclass
class DuplicateExecutions(Scenario):
    """Every live execution and commission report comes twice."""

    name = "duplicate-executions"

    def outgoing(self, session: Session, answers: list[Answer]) -> list[Answer]:
        twice = (say.ExecutionDetails, say.CommissionReport)
        return [copy for answer in answers for copy in ((answer, answer) if isinstance(answer, twice) else (answer,))]


@dataclass
class StatusBeforeExecution(Scenario):
    """The order's state after a fill comes before the execution that made it so."""

    name = "status-before-execution"

    def outgoing(self, session: Session, answers: list[Answer]) -> list[Answer]:
        late = [answer for answer in answers if isinstance(answer, say.ExecutionDetails) and answer.req_id < 0]
        others = [answer for answer in answers if answer not in late]
        last_state = max((i for i, answer in enumerate(others) if isinstance(answer, OpenOrder | say.OrderStatus)), default=-1)
        return [*others[: last_state + 1], *late, *others[last_state + 1 :]]


@dataclass
class CommissionFirst(Scenario):
    """The commission report comes before its execution."""

    name = "commission-first"

    def outgoing(self, session: Session, answers: list[Answer]) -> list[Answer]:
        first = [answer for answer in answers if isinstance(answer, say.CommissionReport)]
        return [*first, *(answer for answer in answers if not isinstance(answer, say.CommissionReport))]


@dataclass
class SkipPreSubmitted(Scenario):
    """Orders start at Submitted: the PreSubmitted of an order that is not held is left out."""

    name = "skip-presubmitted"

    def outgoing(self, session: Session, answers: list[Answer]) -> list[Answer]:
        return [answer for answer in answers if not _is_passing_presubmitted(answer)]


def _is_passing_presubmitted(answer: Answer) -> bool:
    if isinstance(answer, OpenOrder) and answer.live:
        return answer.order.status == "PreSubmitted" and not answer.order.why_held
    return isinstance(answer, say.OrderStatus) and answer.live and answer.status == "PreSubmitted" and not answer.why_held


@dataclass
class ForgetFills(Scenario):
    """The word Filled and every execution are lost on the way, as around a lost connection; the exchange has them on record."""

    name = "forget-fills"

    def outgoing(self, session: Session, answers: list[Answer]) -> list[Answer]:
        return [answer for answer in answers if not _tells_of_a_fill(answer)]


def _tells_of_a_fill(answer: Answer) -> bool:
    if not is_order_news(answer):
        return False
    if isinstance(answer, OpenOrder):
        return answer.order.status == "Filled"
    return answer.status == "Filled" if isinstance(answer, say.OrderStatus) else not isinstance(answer, say.OrderError)


@dataclass
class CorrectExecution(Scenario):
    """An execution is followed, wherever it is reported, by a correction: the same but for the last digits of its id, shares and price."""

    name = "correct-execution"
    exec_id: str
    shares: Decimal
    price: Decimal

    def outgoing(self, session: Session, answers: list[Answer]) -> list[Answer]:
        out: list[Answer] = []
        for answer in answers:
            out.append(answer)
            if isinstance(answer, say.ExecutionDetails) and answer.fill.exec_id == self.exec_id:
                out.append(self.correction(answer))
        return out

    def correction(self, original: say.ExecutionDetails) -> say.ExecutionDetails:
        """The corrected execution; its id has the next revision after the last dot."""
        root, _, revision = original.fill.exec_id.rpartition(".")
        fill = dataclasses.replace(original.fill, exec_id=f"{root}.{int(revision) + 1:02d}", shares=self.shares, price=self.price)
        return dataclasses.replace(original, fill=fill)


# --- the set ----------------------------------------------------------------------------------------------------------------------


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
