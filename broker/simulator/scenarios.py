"""The named misbehaviours of a gateway, to rehearse what real ones do, and the set of those that are switched on.

Each is switched on by name and composes with the others in the order of switching on. Most are a filter (see `filters`) on a selection of
messages (see `selection`); the names without arguments are the ones that real gateways show every day. What really happened is noted, one
line each time, so that faults can be counted.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from broker.simulator.filters import ConnectionLost, Delay, Duplicate, Hold, Mute, Refuse, Reorder, Silence, Swap
from broker.simulator.messages import requests as ask
from broker.simulator.messages.answers import Answer
from broker.simulator.scenario import Scenario, ScenarioProblem, Verdict
from broker.simulator.scenarios_in import ClientIdTaken, DelayedData, DropAfterOrder, DropBeforeOrder, Pacing
from broker.simulator.scenarios_out import CommissionFirst, SkipPreSubmitted, StatusBeforeExecution
from broker.simulator.scenarios_words import HOSTILE, PLACES, ClockSkew, CutFrame, Hostile, ManagedAccounts, ReadOnly
from broker.simulator.selection import WHERE, Selection, message_name, select
from broker.simulator.session import Session

Builder = Callable[[list[str]], Scenario]
REJECTED = "Order rejected - reason:rehearsed"


def _without_arguments(build: Callable[[], Scenario]) -> Builder:
    def checked(words: list[str]) -> Scenario:
        if words:
            raise ScenarioProblem(f"takes no arguments, got: {' '.join(words)}")
        return build()

    return checked


def _whole(words: list[str], **options: Any) -> Selection:
    """A selection that takes up every word."""
    selection, others = select(words, **options)
    if others:
        raise ScenarioProblem(f"not understood: {' '.join(others)}; conditions are {WHERE}")
    return selection


def _hold(words: list[str]) -> Scenario:
    return Hold(_whole(words, default="news"))


def _duplicate(words: list[str]) -> Scenario:
    wanted, others = select(words, requests=False)
    times = int(others.pop(0)) if others else 2
    if others or times < 2:
        raise ValueError("TIMES is how often it comes in all, 2 or more")
    return Duplicate(wanted, times)


def _delay(words: list[str]) -> Scenario:
    wanted, (seconds,) = select(words)
    if not 0 < float(seconds) < float("inf"):
        raise ValueError("SECONDS is more than 0")
    return Delay(wanted, float(seconds))


def _swap(words: list[str]) -> Scenario:
    late, (early,) = select(words, requests=False)
    return Swap(late, _whole([early], requests=False))


def _reorder(words: list[str]) -> Scenario:
    wanted, others = select(["news" if word.isdecimal() else word for word in words[:1]] + words[1:], requests=False)
    if words and words[0].isdecimal():
        others = [words[0], *others]
    (seed,) = others
    return Reorder(wanted, int(seed))


def _refuse(words: list[str]) -> Scenario:
    wanted, others = select(words, answers=False)
    return Refuse(wanted, int(others[0]), " ".join(others[1:]) or REJECTED)


def _reject_next(words: list[str]) -> Scenario:
    return Refuse(_whole(["placeOrder", "count=1"]), int(words[0]), " ".join(words[1:]) or REJECTED, "reject-next")


def _client_id_taken(words: list[str]) -> Scenario:
    return ClientIdTaken(int(words[0]), float(words[1]) if words[1:] else None)


def _clock_skew(words: list[str]) -> Scenario:
    (seconds,) = words
    return ClockSkew(int(seconds))


def _managed_accounts(words: list[str]) -> Scenario:
    (accounts,) = words
    return ManagedAccounts("" if accounts == "none" else accounts)


def _hostile(words: list[str]) -> Scenario:
    places = PLACES if words[0] == "all" else (words[0],)
    if not set(places) <= set(PLACES):
        raise ValueError("no such place")
    return Hostile(places, " ".join(words[1:]) or HOSTILE)


BUILDERS: dict[str, tuple[str, Builder]] = {
    "hold": (f"[KIND] {WHERE}", _hold),
    "mute": (f"ANSWER {WHERE}", lambda words: Mute(_whole(words, requests=False))),
    "duplicate": (f"ANSWER [TIMES] {WHERE}", _duplicate),
    "delay": (f"KIND SECONDS {WHERE}", _delay),
    "swap": (f"LATE-ANSWER EARLY-ANSWER {WHERE}", _swap),
    "reorder": (f"[ANSWER] SEED {WHERE}", _reorder),
    "silence": (f"REQUEST {WHERE}", lambda words: Silence(_whole(words, answers=False))),
    "refuse": (f"REQUEST CODE [TEXT] {WHERE}", _refuse),
    "reject-next": ("CODE TEXT", _reject_next),
    "client-id-taken": ("CLIENT [SECONDS]", _client_id_taken),
    "cut": (f"ANSWER {WHERE}", lambda words: CutFrame(_whole(words, requests=False))),
    "clock-skew": ("SECONDS", _clock_skew),
    "managed-accounts": ("ACCOUNT,ACCOUNT|none", _managed_accounts),
    "hostile": (f"{'|'.join(PLACES)}|all [TEXT]", _hostile),
    "pacing": ("[MOST]", lambda words: Pacing(int(words[0]) if words else Pacing.most)),
    "duplicate-statuses": ("", _without_arguments(lambda: Duplicate(_whole(["orderStatus"]), name="duplicate-statuses"))),
    "duplicate-executions": ("", _without_arguments(lambda: Duplicate(_whole(["executions-told"]), name="duplicate-executions"))),
    "forget-fills": ("", _without_arguments(lambda: Mute(_whole(["filled"]), "forget-fills"))),
    **{
        kind.name: ("", _without_arguments(kind))
        for kind in (DropBeforeOrder, DropAfterOrder, DelayedData, StatusBeforeExecution, CommissionFirst, SkipPreSubmitted, ReadOnly)
    },
}


class Scenarios:
    """The scenarios that are switched on, in order. `note` hears (what, details) of each time that one of them really did something."""

    def __init__(self, note: Callable[[str, dict[str, Any]], None]) -> None:
        self.active: list[Scenario] = []
        self._note = note

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

    def lose_connection(self) -> None:
        """Order requests and order news wait from here on, as while a gateway has lost IB."""
        if not self.of(ConnectionLost):
            self.active.append(ConnectionLost(_whole(["news"]), _whole(["orders"])))

    def remove(self, name: str | None = None) -> list[Scenario]:
        """Switches off every scenario of that name, or all; returns them, with what they still hold."""
        removed = [one for one in self.active if name in (None, one.name)]
        self.active = [one for one in self.active if one not in removed]
        return removed

    def incoming(self, session: Session, request: ask.Request, now: datetime) -> Verdict:
        """What all scenarios together make of a request."""
        answers: tuple[Answer, ...] = ()
        name = message_name(request)
        for scenario in list(self.active):
            verdict = scenario.incoming(session, request, now)
            answers += verdict.answers
            if verdict.request is not request or verdict.answers:
                self._note(scenario.name, {"client": session.client_id, "messages": [name]})
            if verdict.request is None:
                break
            request = verdict.request
        else:
            self._sweep()
            return Verdict(request, answers)
        self._sweep()
        return Verdict(None, answers)

    def outgoing(self, session: Session, answers: list[Answer], now: datetime) -> list[Answer]:
        """What all scenarios together leave of a batch of answers to one client."""
        for scenario in list(self.active):
            before, answers = answers, scenario.outgoing(session, answers, now)
            bitten = scenario.bitten(before, answers)
            if bitten:
                names = sorted({message_name(one) for one in bitten})
                self._note(scenario.name, {"client": session.client_id, "messages": names})
        self._sweep()
        return answers

    def passed_time(self, now: datetime) -> None:
        for scenario in self.active:
            scenario.passed_time(now)

    def is_due(self, client_id: int) -> bool:
        """Whether a client is to be sent something that was kept back."""
        return any(scenario.is_due(client_id) for scenario in self.active)

    def take_requests(self) -> list[tuple[Session, ask.Request]]:
        """Requests that were kept back and are to be answered now."""
        return [one for scenario in self.active for one in scenario.take_requests()]

    def of(self, kind: type[Any]) -> list[Any]:
        """The active scenarios of a kind."""
        return [one for one in self.active if type(one) is kind]

    def _sweep(self) -> None:
        self.active = [one for one in self.active if not one.spent]
