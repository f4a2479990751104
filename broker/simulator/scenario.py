"""What a scenario is: a small filter over the requests that come in and the answers that go out.

The rule kept: a scenario sees messages and passes, changes, holds or drops them; it never touches the exchange, so what is on record
stays true whatever a client was told.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from broker.simulator.messages import answers as say
from broker.simulator.messages import requests as ask
from broker.simulator.messages.answers import Answer
from broker.simulator.messages.order_frames import OpenOrder
from broker.simulator.messages.place_order import PlaceOrder
from broker.simulator.session import Session

ORDER_REQUESTS = (PlaceOrder, ask.CancelOrder, ask.GlobalCancel)
CLIENT_ID_IN_USE = (326, "Unable to connect as the client id is already in use. Retry with a unique client id.")


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

    name: str = ""
    spent = False

    def incoming(self, session: Session, request: ask.Request, now: datetime) -> Verdict:
        return Verdict(request)

    def outgoing(self, session: Session, answers: list[Answer], now: datetime) -> list[Answer]:
        return answers

    def passed_time(self, now: datetime) -> None:
        """The gateway's clock has moved; what has waited long enough is due from here on."""

    def is_due(self, client_id: int) -> bool:
        """Whether this client is to be sent something that was kept back, though nothing new happened."""
        return False

    def take_requests(self) -> list[tuple[Session, ask.Request]]:
        """Requests that were kept back and are to be answered now."""
        return []

    def bitten(self, before: list[Answer], after: list[Answer]) -> list[Answer]:
        """The messages that this scenario changed, dropped, added or moved: none means that it did nothing."""
        return changed(before, after)


def changed(before: list[Answer], after: list[Answer]) -> list[Answer]:
    """What differs between two batches, told by the messages themselves and not by their words."""
    came, went = Counter(map(id, before)), Counter(map(id, after))
    differing = [one for one in [*before, *after] if came[id(one)] != went[id(one)]]
    return differing or [one for one, other in zip(before, after, strict=True) if one is not other]


def missing(before: list[Answer], after: list[Answer]) -> list[Answer]:
    """What was taken out of a batch."""
    kept = set(map(id, after))
    return [one for one in before if id(one) not in kept]


def is_order_news(answer: Answer) -> bool:
    """True for what tells about an order unasked; an answer to a request for open orders or executions is not news."""
    if isinstance(answer, OpenOrder | say.OrderStatus):
        return answer.live
    if isinstance(answer, say.ExecutionDetails):
        return answer.req_id < 0
    return isinstance(answer, say.OrderError | say.CommissionReport)
