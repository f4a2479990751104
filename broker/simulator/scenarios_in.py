"""Scenarios that begin with a request: lost with its connection, too many, not entitled, a client id still held."""

from __future__ import annotations

import dataclasses
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from broker.simulator.messages import answers as say
from broker.simulator.messages import market_answers as quotes
from broker.simulator.messages import requests as ask
from broker.simulator.messages.answers import Answer
from broker.simulator.messages.place_order import PlaceOrder
from broker.simulator.scenario import CLIENT_ID_IN_USE, CloseConnection, Scenario, Verdict
from broker.simulator.session import Session


@dataclass
class ClientIdTaken(Scenario):
    """The gateway still holds an old connection of this client id, as it does for seconds after a lost one: 326, then closed.

    With `seconds` it lets go of it so long after the first refusal.
    """

    name = "client-id-taken"
    client_id: int
    seconds: float | None = None
    since: datetime | None = None

    def incoming(self, session: Session, request: ask.Request, now: datetime) -> Verdict:
        if isinstance(request, ask.StartApi) and request.client_id == self.client_id:
            self.since = self.since or now
            if self.seconds is not None and now - self.since >= timedelta(seconds=self.seconds):
                self.spent = True
                return Verdict(request)
            return Verdict(None, (say.ErrorMessage(-1, *CLIENT_ID_IN_USE, now), CloseConnection()))
        return Verdict(request)


@dataclass
class DropBeforeOrder(Scenario):
    """The connection breaks as the next order arrives: the order never reaches the exchange. A what-if is none."""

    name = "drop-before-order"

    def incoming(self, session: Session, request: ask.Request, now: datetime) -> Verdict:
        if not isinstance(request, PlaceOrder) or request.what_if:
            return Verdict(request)
        self.spent = True
        return Verdict(None, (CloseConnection(),))


@dataclass
class DropAfterOrder(Scenario):
    """The connection breaks after the next order was taken and before anything about it was said."""

    name = "drop-after-order"
    client_id: int | None = None

    def incoming(self, session: Session, request: ask.Request, now: datetime) -> Verdict:
        if isinstance(request, PlaceOrder) and not request.what_if and self.client_id is None:
            self.client_id = session.client_id
        return Verdict(request)

    def outgoing(self, session: Session, answers: list[Answer], now: datetime) -> list[Answer]:
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

    def outgoing(self, session: Session, answers: list[Answer], now: datetime) -> list[Answer]:
        return [_delayed(answer) for answer in answers]


def _delayed(answer: Answer) -> Answer:
    if isinstance(answer, quotes.MarketDataType):
        return dataclasses.replace(answer, market_data_type=3)
    if isinstance(answer, quotes.TickPrice | quotes.TickSize | quotes.TickString):
        return dataclasses.replace(answer, tick_type=quotes.DELAYED_TYPES.get(answer.tick_type, answer.tick_type))
    return answer
