"""The general misbehaviours: messages held back, left out, doubled, late, swapped, shuffled; requests unanswered or refused.

Each works on a selection of messages (see `selection`) and composes with the others in the order of switching on. What is held or late
comes out of the same place in that order at which it went in. Nothing here has a clock: lateness is counted on the gateway's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from broker.simulator.messages import answers as say
from broker.simulator.messages import requests as ask
from broker.simulator.messages.answers import Answer
from broker.simulator.messages.place_order import PlaceOrder
from broker.simulator.scenario import Scenario, Verdict, missing
from broker.simulator.selection import Selection
from broker.simulator.session import Session


@dataclass
class KeepingBack(Scenario):
    """What keeps messages for later; it bites where it takes them, not where it gives them back."""

    held: dict[int, list[Answer]] = field(default_factory=dict, kw_only=True)
    requests: list[tuple[Session, ask.Request]] = field(default_factory=list, kw_only=True)

    def bitten(self, before: list[Answer], after: list[Answer]) -> list[Answer]:
        return missing(before, after)


@dataclass
class Hold(KeepingBack):
    """Messages of one kind wait until released, while everything else goes its way."""

    wanted: Selection
    name: str = "hold"
    released: bool = False

    def incoming(self, session: Session, request: ask.Request, now: datetime) -> Verdict:
        if self.released or not self.wanted.of_requests or not self.wanted.takes(session, request):
            return Verdict(request)
        self.requests.append((session, request))
        return Verdict(None)

    def outgoing(self, session: Session, answers: list[Answer], now: datetime) -> list[Answer]:
        if self.released:
            return [*self.held.pop(session.client_id, []), *answers]
        if self.wanted.of_requests:
            return answers
        passing: list[Answer] = []
        for answer in answers:
            held = self.wanted.takes(session, answer)
            (self.held.setdefault(session.client_id, []) if held else passing).append(answer)
        return passing

    def is_due(self, client_id: int) -> bool:
        return self.released and bool(self.held.get(client_id))

    def take_requests(self) -> list[tuple[Session, ask.Request]]:
        """From clients gone meanwhile too: a gateway sends what it kept."""
        if not self.released:
            return []
        taken, self.requests = self.requests, []
        return taken

    def release(self) -> None:
        """Lets go of what is held; what comes from now on is passed."""
        self.released = True


class ConnectionLost(Hold):
    """The gateway has lost IB (1100): the socket stays up, order requests wait, news of orders waits."""

    def __init__(self, news: Selection, orders: Selection) -> None:
        super().__init__(news, "connectivity")
        self.orders = orders

    def incoming(self, session: Session, request: ask.Request, now: datetime) -> Verdict:
        if self.released or not self.orders.takes(session, request):
            return Verdict(request)
        self.requests.append((session, request))
        return Verdict(None)

    def forget_news(self) -> None:
        self.held.clear()


@dataclass
class Delay(KeepingBack):
    """Messages of one kind come so many seconds of the gateway's clock late; what is not delayed overtakes them."""

    wanted: Selection
    seconds: float
    name: str = "delay"
    waiting: list[tuple[datetime, int, Answer]] = field(default_factory=list)
    asked: list[tuple[datetime, Session, ask.Request]] = field(default_factory=list)
    now: datetime | None = None

    def incoming(self, session: Session, request: ask.Request, now: datetime) -> Verdict:
        if not self.wanted.of_requests or not self.wanted.takes(session, request):
            return Verdict(request)
        self.asked.append((now + timedelta(seconds=self.seconds), session, request))
        return Verdict(None)

    def outgoing(self, session: Session, answers: list[Answer], now: datetime) -> list[Answer]:
        due = [answer for at, client_id, answer in self.waiting if client_id == session.client_id and self._has_come(at)]
        self.waiting = [one for one in self.waiting if one[1] != session.client_id or not self._has_come(one[0])]
        passing: list[Answer] = []
        for answer in answers:
            if not self.wanted.of_requests and self.wanted.takes(session, answer):
                self.waiting.append((now + timedelta(seconds=self.seconds), session.client_id, answer))
            else:
                passing.append(answer)
        return [*due, *passing]

    def passed_time(self, now: datetime) -> None:
        self.now = now

    def is_due(self, client_id: int) -> bool:
        return any(client_id == owner and self._has_come(at) for at, owner, _ in self.waiting)

    def take_requests(self) -> list[tuple[Session, ask.Request]]:
        due = [(session, request) for at, session, request in self.asked if self._has_come(at)]
        self.asked = [one for one in self.asked if not self._has_come(one[0])]
        return due

    def _has_come(self, at: datetime) -> bool:
        return self.now is not None and at <= self.now


@dataclass
class Mute(Scenario):
    """Answers of one kind are left out (real gateways leave out execDetailsEnd when there are no executions)."""

    wanted: Selection
    name: str = "mute"

    def outgoing(self, session: Session, answers: list[Answer], now: datetime) -> list[Answer]:
        passing = [answer for answer in answers if not self.wanted.takes(session, answer)]
        self.spent = self.wanted.used_up
        return passing


@dataclass
class Duplicate(Scenario):
    """Answers of one kind come several times, one right behind the other."""

    wanted: Selection
    times: int = 2
    name: str = "duplicate"

    def outgoing(self, session: Session, answers: list[Answer], now: datetime) -> list[Answer]:
        copies = [copy for answer in answers for copy in [answer] * (self.times if self.wanted.takes(session, answer) else 1)]
        self.spent = self.wanted.used_up
        return copies


@dataclass
class Swap(Scenario):
    """Of what is sent together, answers of the first kind come behind the last of the second kind instead of before it."""

    late: Selection
    early: Selection
    name: str = "swap"

    def outgoing(self, session: Session, answers: list[Answer], now: datetime) -> list[Answer]:
        last = max((place for place, answer in enumerate(answers) if self.early.fits(answer)), default=-1)
        moved = [answer for answer in answers[:last] if self.late.takes(session, answer)]
        if not moved:
            return answers
        gone = set(map(id, moved))
        self.spent = self.late.used_up
        return [*(answer for answer in answers[: last + 1] if id(answer) not in gone), *moved, *answers[last + 1 :]]


@dataclass
class Reorder(KeepingBack):
    """Answers of one kind come in random order, by a seed: mixed within what is sent together, and some with the next batch or tick."""

    wanted: Selection
    seed: int
    name: str = "reorder"

    def __post_init__(self) -> None:
        self._overdue: set[int] = set()
        self._random = Random(self.seed)  # noqa: S311 - repeatable on purpose

    def outgoing(self, session: Session, answers: list[Answer], now: datetime) -> list[Answer]:
        self._overdue.discard(session.client_id)
        pool = self.held.pop(session.client_id, [])
        places = [place for place, answer in enumerate(answers) if self.wanted.takes(session, answer)]
        new = [answers[place] for place in places]
        self._random.shuffle(new)
        staying = [one for one in new if self._random.random() < 0.5]
        if staying:
            self.held[session.client_id] = staying
        stays = set(map(id, staying))
        mixed = [*pool, *(one for one in new if id(one) not in stays)]
        self._random.shuffle(mixed)
        selected = set(places)
        return [*mixed, *(answer for place, answer in enumerate(answers) if place not in selected)]

    def passed_time(self, now: datetime) -> None:
        self._overdue = {client_id for client_id, held in self.held.items() if held}

    def is_due(self, client_id: int) -> bool:
        return client_id in self._overdue

    def bitten(self, before: list[Answer], after: list[Answer]) -> list[Answer]:
        return [answer for answer in before if self.wanted.fits(answer)]


@dataclass
class Silence(Scenario):
    """Requests of one kind are never answered and do nothing."""

    wanted: Selection
    name: str = "silence"

    def incoming(self, session: Session, request: ask.Request, now: datetime) -> Verdict:
        taken = self.wanted.takes(session, request)
        self.spent = self.wanted.used_up
        return Verdict(None if taken else request)


@dataclass
class Refuse(Scenario):
    """Requests of one kind are refused with an error of this code and do nothing."""

    wanted: Selection
    code: int
    text: str
    name: str = "refuse"

    def incoming(self, session: Session, request: ask.Request, now: datetime) -> Verdict:
        if (isinstance(request, PlaceOrder) and request.what_if) or not self.wanted.takes(session, request):
            return Verdict(request)
        self.spent = self.wanted.used_up
        return Verdict(None, (refusal_of(request, self.code, self.text, now),))


def refusal_of(request: ask.Request, code: int, text: str, now: datetime) -> Answer:
    """The error that answers a request: under its order or request id where it has one."""
    if isinstance(request, PlaceOrder | ask.CancelOrder):
        return say.OrderError(request.order_id, code, text, now, order_ref=getattr(request, "order_ref", ""))
    return say.ErrorMessage(getattr(request, "req_id", -1), code, text, now)
