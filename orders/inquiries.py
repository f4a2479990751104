"""Questions to the broker, and what the screens want quotes of. Asked by pages and commands, answered by the engine.

The rule it keeps: a question may be lost, and expires; nothing of record depends on one. Rows are written under the book's lock for its
fairness only: no event and no feed row is made.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from orders.book import OpenBook, book
from orders.contracts import spec
from orders.exposure import OPEN_STATUSES
from orders.models import Contract, Inquiry, OrderRecord, Position, Watch
from orders.rules.commands import ContractSpec

TICKET_WATCH = timedelta(seconds=60)
"""How long quotes keep coming for a ticket that nobody has touched since."""

KEPT = timedelta(hours=1)
"""Questions are only worth keeping while somebody may still wonder about them."""

POLL_SECONDS = 0.05

_NEVER = threading.Event()  # waiting for it is the pause between two looks

_WAITING = (Inquiry.State.ASKED, Inquiry.State.ASKING)


@dataclass(frozen=True)
class Asked:
    """A question on its way to the broker."""

    id: int
    kind: str
    arguments: dict[str, Any]


def ask(kind: str, arguments: dict[str, Any], user: Any, now: datetime, ttl: timedelta = timedelta(seconds=10)) -> Inquiry:
    """Puts a question and rings the worker. Its answer comes into the same row, or does not: it is worth nothing after `ttl`."""
    with book(at=now) as b:
        return put(b, kind, arguments, user, ttl)


def put(b: OpenBook, kind: str, arguments: dict[str, Any], user: Any, ttl: timedelta) -> Inquiry:
    """`ask` for who has the book open."""
    Inquiry.objects.filter(expires_at__lt=b.now - KEPT).delete()
    row = Inquiry.objects.create(kind=str(kind), arguments=arguments, asked_by=user, asked_at=b.now, expires_at=b.now + ttl)
    b.wake_worker()
    return row


def take(now: datetime, limit: int = 8) -> list[Asked]:
    """The oldest questions that nobody has taken, at most `limit`; those that have expired are failed instead."""
    if not Inquiry.objects.filter(state=Inquiry.State.ASKED).exists():
        return []
    with book(at=now):
        waiting = Inquiry.objects.filter(state=Inquiry.State.ASKED)
        waiting.filter(expires_at__lte=now).update(state=Inquiry.State.FAILED, error="Nobody answered in time.", answered_at=now)
        rows = list(waiting.order_by("asked_at", "pk")[:limit])
        Inquiry.objects.filter(pk__in=[row.pk for row in rows]).update(state=Inquiry.State.ASKING)
    return [Asked(row.pk, row.kind, row.arguments) for row in rows]


def answer(inquiry_id: int, found: Any, now: datetime) -> None:
    """Stores the broker's answer, unless the question was ended before."""
    with book(at=now):
        open_row = Inquiry.objects.filter(pk=inquiry_id, state__in=_WAITING)
        open_row.update(state=Inquiry.State.ANSWERED, answer=found, answered_at=now)


def fail(inquiry_id: int, error: str, now: datetime) -> None:
    """Ends a question that could not be answered, saying why."""
    with book(at=now):
        open_row = Inquiry.objects.filter(pk=inquiry_id, state__in=_WAITING)
        open_row.update(state=Inquiry.State.FAILED, error=error[:300], answered_at=now)


def wait_for(
    inquiry_id: int,
    seconds: float,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    pause: Callable[[float], Any] = _NEVER.wait,
) -> Inquiry:
    """The question as it is once it is answered or failed, or when the time is over. For callers that are not in an event loop."""
    end = monotonic() + seconds
    while True:
        row = Inquiry.objects.get(pk=inquiry_id)
        if row.state not in _WAITING or monotonic() >= end:
            return row
        pause(POLL_SECONDS)


# --- what quotes are wanted of --------------------------------------------------------------------------------------------------------


def watch_ticket(user: Any, contract: Contract, now: datetime) -> None:
    """Quotes of the contract for a minute from now: a ticket is open."""
    with book(at=now) as b:
        Watch.objects.filter(user=user, until__lt=now).delete()
        values = {"until": now + TICKET_WATCH}
        if not Watch.objects.filter(user=user, contract=contract, until__isnull=False).update(**values):
            Watch.objects.create(user=user, contract=contract, created_at=now, **values)
            b.wake_worker()


def add_to_watchlist(user: Any, contract: Contract, now: datetime) -> None:
    """Quotes of the contract for good; once is enough."""
    with book(at=now) as b:
        if not Watch.objects.filter(user=user, contract=contract, until=None).exists():
            Watch.objects.create(user=user, contract=contract, until=None, created_at=now)
            b.wake_worker()


def remove_from_watchlist(user: Any, contract: Contract) -> None:
    Watch.objects.filter(user=user, contract=contract, until=None).delete()


def wanted(now: datetime) -> dict[int, ContractSpec]:
    """Contracts that quotes are wanted of, by con_id: held, ordered, on a watchlist, or on an open ticket of an active user."""
    watched = Watch.objects.filter(user__is_active=True).filter(Q(until=None) | Q(until__gt=now))
    rows = Contract.objects.filter(
        Q(pk__in=Position.objects.exclude(quantity=0).values("contract"))
        | Q(pk__in=OrderRecord.objects.filter(status__in=OPEN_STATUSES).values("contract"))
        | Q(pk__in=watched.values("contract")),
        con_id__gt=0,
    )
    return {row.con_id: spec(row) for row in rows}
