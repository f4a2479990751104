"""Scenarios in which a gateway's words are wrong though nothing happened: its clock, its accounts, its quotes, its texts; and read-only."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from broker.simulator.filters import refusal_of
from broker.simulator.messages import answers as say
from broker.simulator.messages import market_answers as quotes
from broker.simulator.messages import requests as ask
from broker.simulator.messages.answers import Answer
from broker.simulator.messages.order_frames import CompletedOrder, OpenOrder
from broker.simulator.messages.raw import BrokenOff
from broker.simulator.messages.values import UNSET_DOUBLE
from broker.simulator.model import Instrument
from broker.simulator.scenario import ORDER_REQUESTS, CloseConnection, Scenario, Verdict
from broker.simulator.selection import Selection
from broker.simulator.session import Session

READ_ONLY = (321, "Error validating request.-'bW' : cause - The API interface is currently in Read-Only mode.")
BINDING = (ask.RequestOpenOrders, ask.RequestAutoOpenOrders)
# What a page, a file, a log or a terminal could take for its own: markup, a formula, a template, a line of a log, control characters.
HOSTILE = "=cmd|'/c calc'!A1 <script>alert(1)</script> \u202eevil\u202c \x1b[31mred\x07 \r\n2026-01-01 ERROR forged {{ 7|add:7 }} %s %(x)s"
PLACES = ("errors", "symbols", "exchanges")


@dataclass
class ClockSkew(Scenario):
    """The gateway's clock is told so many seconds ahead of what it is."""

    name = "clock-skew"
    seconds: int

    def outgoing(self, session: Session, answers: list[Answer], now: datetime) -> list[Answer]:
        return [self._skewed(answer) for answer in answers]

    def _skewed(self, answer: Answer) -> Answer:
        if isinstance(answer, say.CurrentTime):
            return say.CurrentTime(answer.seconds + self.seconds)
        return say.CurrentTimeMillis(answer.milliseconds + self.seconds * 1000) if isinstance(answer, say.CurrentTimeMillis) else answer


@dataclass
class ManagedAccounts(Scenario):
    """The login's accounts are told otherwise: others, some of them, none."""

    name = "managed-accounts"
    accounts: str

    def outgoing(self, session: Session, answers: list[Answer], now: datetime) -> list[Answer]:
        return [say.ManagedAccounts(self.accounts) if isinstance(answer, say.ManagedAccounts) else answer for answer in answers]


class ReadOnly(Scenario):
    """The API is set to read-only: order requests are refused with 321, and so is the list that would bind orders to client 0."""

    name = "read-only"

    def incoming(self, session: Session, request: ask.Request, now: datetime) -> Verdict:
        if isinstance(request, ORDER_REQUESTS) or (session.client_id == 0 and isinstance(request, BINDING)):
            return Verdict(None, (refusal_of(request, *READ_ONLY, now),))
        return Verdict(request)


@dataclass
class CutFrame(Scenario):
    """A message of one kind is broken off in its middle, and the connection with it."""

    name = "cut"
    wanted: Selection

    def outgoing(self, session: Session, answers: list[Answer], now: datetime) -> list[Answer]:
        for place, answer in enumerate(answers):
            if self.wanted.takes(session, answer):
                self.spent = True
                return [*answers[:place], BrokenOff(answer), CloseConnection()]
        return answers


# --- texts ------------------------------------------------------------------------------------------------------------------------


@dataclass
class Hostile(Scenario):
    """Errors, symbols and names of exchanges have a text in them that is meant to do harm where it is shown."""

    name = "hostile"
    places: tuple[str, ...]
    text: str

    def outgoing(self, session: Session, answers: list[Answer], now: datetime) -> list[Answer]:
        return [self._spoilt(answer) for answer in answers]

    def _spoilt(self, answer: Any) -> Answer:
        changes: dict[str, Any] = {}
        if isinstance(answer, say.ErrorMessage) and "errors" in self.places:
            changes["text"] = f"{answer.text} {self.text}"
        if isinstance(getattr(answer, "instrument", None), Instrument):
            changes["instrument"] = self._instrument(answer.instrument)
        if isinstance(answer, quotes.SymbolSamples):
            changes["samples"] = tuple((self._instrument(one), kinds) for one, kinds in answer.samples)
        if isinstance(answer, say.ExecutionDetails) and "exchanges" in self.places:
            changes["fill"] = dataclasses.replace(answer.fill, exchange=self.text)
        if isinstance(answer, OpenOrder | CompletedOrder) and "exchanges" in self.places:
            request = answer.order.request
            request = dataclasses.replace(request, wire={**request.wire, "exchange": self.text})
            changes["order"] = dataclasses.replace(answer.order, request=request)
        return dataclasses.replace(answer, **changes) if any(getattr(answer, name) != one for name, one in changes.items()) else answer

    def _instrument(self, one: Instrument) -> Instrument:
        names = ("symbol", "local_symbol", "long_name", "market_name", "trading_class", "industry") if "symbols" in self.places else ()
        names += ("exchange", "primary_exchange") if "exchanges" in self.places else ()
        return dataclasses.replace(one, **dict.fromkeys(names, self.text))


# --- quotes -----------------------------------------------------------------------------------------------------------------------

TOUCH = (quotes.BID, quotes.ASK)
ZERO = Decimal(0)
# What is told in the place of a bid, an ask and a size.
QUOTES: dict[str, tuple[Decimal, Decimal, Decimal]] = {
    "zero": (ZERO, ZERO, ZERO),
    "-1": (Decimal(-1), Decimal(-1), ZERO),
    "nan": (Decimal("NaN"), Decimal("NaN"), Decimal(5)),
    "infinite": (Decimal("Infinity"), Decimal("Infinity"), Decimal(5)),
    "unset": (Decimal(UNSET_DOUBLE), Decimal(UNSET_DOUBLE), Decimal(5)),
}
QUOTE_KINDS = ("none", "stale", "crossed", *QUOTES)
CROSSING = Decimal("1.01")
CENT = Decimal("0.01")


@dataclass
class BadQuotes(Scenario):
    """Quotes of one contract, or of all, cannot be relied on: none at all, none any more (stale), crossed, or no numbers."""

    name = "quotes"
    kind: str
    con_id: int | None = None

    def outgoing(self, session: Session, answers: list[Answer], now: datetime) -> list[Answer]:
        fresh = {answer.req_id for answer in answers if isinstance(answer, quotes.TickRequestParameters)}
        told = [self._told(answer, fresh) if self._concerns(session, answer) else answer for answer in answers]
        return [answer for answer in told if answer is not None]

    def _concerns(self, session: Session, answer: Answer) -> bool:
        if not isinstance(answer, quotes.TickPrice | quotes.TickSize):
            return False
        line = session.subscriptions.market.get(answer.req_id)
        return self.con_id is None or (line is not None and line.con_id == self.con_id)

    def _told(self, answer: Any, fresh: set[int]) -> Answer | None:
        if self.kind == "none" or (self.kind == "stale" and answer.req_id not in fresh):
            return None
        if self.kind == "stale" or not isinstance(answer, quotes.TickPrice) or answer.tick_type not in TOUCH:
            return answer
        if self.kind == "crossed":
            price = answer.price * CROSSING if answer.tick_type == quotes.BID else answer.price / CROSSING
            return dataclasses.replace(answer, price=price.quantize(CENT))
        bid, ask_price, size = QUOTES[self.kind]
        return dataclasses.replace(answer, price=bid if answer.tick_type == quotes.BID else ask_price, size=size)
