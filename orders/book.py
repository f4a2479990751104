"""`with book(at=now) as b:` is the one way to write the book.

It takes the one lock before anything is read, hands out `seq` without gaps in commit order, and writes each change together with its
`Event` and its `Feed` rows. Nothing slow and no network happens inside. What must wait for the commit (bells, signals) runs after the
lock is released, and cannot undo it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time as clocks
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

from django.db import OperationalError, connection, models, transaction
from django.db.models import Model

from orders import bell, heads
from orders.crashpoints import reach
from orders.models import (
    Account,
    AccountAccess,
    Book,
    BrokerCommand,
    Certificate,
    Event,
    Execution,
    Feed,
    Gateway,
    Incident,
    InstrumentRule,
    Limit,
    OrderRecord,
    Position,
    Sweep,
)
from orders.models.book import Source
from orders.rules.terms import plain

log = logging.getLogger(__name__)

M = TypeVar("M", bound=Model)

PATIENCE = 5.0
"""Seconds that a writer waits for the lock. PostgreSQL has the same limit for each statement (settings.py)."""


class _Fifo:
    """A lock that is granted in the order of asking. SQLite's own busy wait is not fair: with many writers it starves one for seconds."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._held_by: int | None = None

    def acquire(self, seconds: float) -> bool:
        """Waits for its turn; False where it did not come in time."""
        me = threading.get_ident()
        with self._guard:
            if self._held_by == me:
                raise RuntimeError("book() is not re-entrant: pass the open book on")
            if self._held_by is None and not self._waiting:
                self._held_by = me
                return True
            turn = threading.Event()
            self._waiting.append(turn)
        in_time = turn.wait(seconds)
        with self._guard:
            if not in_time and not turn.is_set():
                self._waiting.remove(turn)
                return False
            self._held_by = me
            return True

    def release(self) -> None:
        with self._guard:
            if self._waiting:
                self._held_by = -1  # handed over: nobody may overtake the one just woken
                self._waiting.popleft().set()
            else:
                self._held_by = None


_fifo = _Fifo()


@contextmanager
def book(at: datetime) -> Iterator[OpenBook]:
    """Opens the book for writing at the moment `at`. Everything inside is one transaction; an exception undoes all of it.

    Raises `Book.DoesNotExist` where the database was never migrated, and Django's `OperationalError` where the lock cannot be had within
    `PATIENCE` seconds.
    """
    ends = clocks.monotonic() + PATIENCE
    embedded = connection.vendor == "sqlite"
    if embedded and not _fifo.acquire(PATIENCE):
        raise OperationalError(f"the book is busy: it was not to be had within {PATIENCE:g} s")
    try:
        if embedded:
            _wait_at_most(ends - clocks.monotonic())
        with transaction.atomic(durable=True):
            b = OpenBook(row=Book.objects.select_for_update().get(pk=1), now=at)
            before = (b.row.seq, b.row.head_hash)
            yield b
            if (b.row.seq, b.row.head_hash) != before:
                b.row.save(update_fields=["seq", "head_hash"])
    finally:
        if embedded:
            _fifo.release()
    b.run_after_commit(before[0])


def _wait_at_most(seconds: float) -> None:
    """What is left of the patience for another process's lock, where waiting for our own threads has cost some of it.

    Said each time: the connection would keep what a long wait has left for the next one.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA busy_timeout = {max(round(seconds * 1000), 100)}")


@dataclass
class OpenBook:
    """The book while its lock is held."""

    row: Book
    now: datetime
    _after: list[Callable[[], None]] = field(default_factory=list)
    _work: bool = False

    @contextmanager
    def event(
        self,
        kind: str,
        *,
        source: Source,
        actor: Any = None,
        account: Account | None = None,
        order: OrderRecord | None = None,
        broker_time: datetime | None = None,
        text: str = "",
        **data: Any,
    ) -> Iterator[Fact]:
        """One fact: rows added, set or removed inside are saved at once and carried, field by field, by one Event.

        `data` is evidence worth keeping beside the rows (IB's code and text, a refusal's numbers); decimals and times are encoded.
        """
        self.row.seq += 1
        status_before = order.status if order is not None and order.pk else ""
        fact = Fact(book=self, seq=self.row.seq)
        yield fact
        if order is None and account is None:
            account = fact.account
        rows = [[label, pk, values] for (label, pk), values in fact.rows.items()]
        event = Event(
            seq=self.row.seq,
            prev_hash=self.row.head_hash,
            kind=kind,
            source=source,
            actor=actor,
            account=account or (order.account if order is not None else None),
            order=order,
            status_before=status_before,
            status_after=order.status if order is not None else "",
            text=text,
            data={**{name: encode(value) for name, value in data.items()}, "rows": rows},
            broker_time=broker_time,
            at=self.now,
        )
        event.hash = event_hash(event)
        event.save(force_insert=True)
        self.row.head_hash = event.hash
        Feed.objects.bulk_create(
            Feed(seq=fact.seq, topic=topic, row_id=row_id, account_id=account_id, user_id=user_id)
            for (topic, row_id), (account_id, user_id) in fact.shown.items()
        )

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undoes what is written inside, sequence numbers included, when an exception leaves it (and lets the exception through)."""
        kept = (self.row.seq, self.row.head_hash, len(self._after), self._work)
        marks = {name: getattr(self.row, name) for name in ("kind", "bound_accounts", "order_id_mark")}
        try:
            with transaction.atomic():
                yield
        except BaseException:
            self.row.seq, self.row.head_hash, length, self._work = kept
            del self._after[length:]
            for name, value in marks.items():
                setattr(self.row, name, value)
            raise

    def after_commit(self, hook: Callable[[], None]) -> None:
        """Runs `hook` once the transaction stands and the lock is free. Its failure is logged and changes nothing."""
        self._after.append(hook)

    def wake_worker(self) -> None:
        """The outbox has work: ring the worker after the commit (it also polls)."""
        self._work = True

    def run_after_commit(self, seq_before: int) -> None:
        if self.row.seq != seq_before:
            reach("after_commit_before_publish")
            self._after += [bell.ring_feed, lambda: heads.note(self.row.install, self.row.seq, self.row.head_hash, self.now)]
        if self._work:
            self._after.append(bell.ring_worker)
        for hook in self._after:
            try:
                hook()
            except Exception:
                log.exception("after the commit of seq %s", self.row.seq)


# The topic under which a row of a model shows on the screens, and the fields that say to whom.
_TOPICS: dict[type[Model], Callable[[Any], tuple[str, int, int | None, int | None]]] = {
    OrderRecord: lambda row: ("order", row.pk, row.account_id, None),
    BrokerCommand: lambda row: ("order", row.order_id, row.order.account_id, None),
    Execution: lambda row: ("execution", row.pk, row.account_id, None),
    Position: lambda row: ("position", row.pk, row.account_id, None),
    Account: lambda row: ("account", row.pk, row.pk, None),
    AccountAccess: lambda row: ("access", row.pk, None, row.user_id),
    Limit: lambda row: ("limit", row.pk, row.account_id, row.user_id),
    InstrumentRule: lambda row: ("limit", row.pk, row.account_id, row.user_id),
    Sweep: lambda row: ("sweep", row.pk, row.account_id, None),
    Incident: lambda row: ("incident", row.pk, row.account_id, None),
    Gateway: lambda row: ("gateway", row.pk, None, None),
    Certificate: lambda row: ("certificate", row.pk, None, None),
}


@dataclass
class Fact:
    """The open end of an event: collects what it does to rows."""

    book: OpenBook
    seq: int
    rows: dict[tuple[str, int | str], dict[str, Any] | None] = field(default_factory=dict)
    shown: dict[tuple[str, int], tuple[int | None, int | None]] = field(default_factory=dict)
    account: Account | None = None

    def add(self, row: M) -> M:
        """Inserts a new row."""
        self._version(row)
        row.save(force_insert=True)
        self._carry(row, [f.attname for f in row._meta.concrete_fields])
        return row

    def set(self, row: Model, **fields: Any) -> bool:
        """Sets fields of a row and saves them; fields that already have the value are left out. True where anything changed."""
        return self._set(row, fields, new_version=True)

    def note(self, row: Model, **fields: Any) -> bool:
        """The same, for what stands beside the facts of a row: its `seq` stays that of the facts."""
        return self._set(row, fields, new_version=False)

    def _set(self, row: Model, fields: dict[str, Any], *, new_version: bool) -> bool:
        changed = [name for name, value in fields.items() if getattr(row, name) != value]
        if not changed:
            return False
        for name in changed:
            setattr(row, name, fields[name])
        if new_version and self._version(row):
            changed.append("seq")
        row.save(update_fields=changed)
        self._carry(row, [row._meta.get_field(name).attname for name in changed])
        return True

    def carry(self, row: Model) -> None:
        """Carries every field of a row that is there already: the book's own first row, which no event could have added."""
        self._carry(row, [f.attname for f in row._meta.concrete_fields])

    def remove(self, row: Model) -> None:
        self._carry(row, [])
        self.rows[(row._meta.label, row.pk)] = None
        row.delete()

    def show(self, topic: str, row_id: int, *, account_id: int | None = None, user_id: int | None = None) -> None:
        """Says that a row on the screens looks different, beyond those that `add` and `set` know of."""
        self.shown[(topic, row_id)] = (account_id, user_id)

    def _version(self, row: Model) -> bool:
        if isinstance(row, Book) or not _has_field(type(row), "seq"):
            return False
        row.seq = self.seq  # type: ignore[attr-defined]
        return True

    def _carry(self, row: Model, attnames: list[str]) -> None:
        values = self.rows.setdefault((row._meta.label, row.pk), {})
        assert values is not None, "a removed row is not written again"
        values.update({name: _column_value(row, name) for name in attnames})
        for model, describe in _TOPICS.items():
            if isinstance(row, model):
                topic, row_id, account_id, user_id = describe(row)
                self.show(topic, row_id, account_id=account_id, user_id=user_id)
        if self.account is None and _has_field(type(row), "account"):
            self.account = getattr(row, "account", None)


@cache
def _has_field(model: type[Model], name: str) -> bool:
    return any(f.name == name for f in model._meta.concrete_fields)


def encode(value: Any) -> Any:
    """A value as JSON keeps it: decimals in their one spelling, times in ISO 8601."""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).isoformat()  # as the database gives it back, whatever zone it came in
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [encode(item) for item in value]
    if isinstance(value, Model):
        return value.pk
    return value


def row_values(row: models.Model) -> dict[str, Any]:
    """A row as events carry it: what folding the events must arrive at."""
    return {field.attname: field_value(field, getattr(row, field.attname)) for field in row._meta.concrete_fields}


@cache
def _column(model: type[Model], attname: str) -> Any:
    return next(f for f in model._meta.concrete_fields if f.attname == attname)


def _column_value(row: models.Model, attname: str) -> Any:
    return field_value(_column(type(row), attname), getattr(row, attname))


def field_value(field: Any, value: Any) -> Any:
    """A field's value as the database will give it back: of its own type, decimals at the column's precision."""
    value = field.to_python(value)
    if isinstance(field, models.DecimalField) and value is not None:
        value = value.quantize(Decimal(1).scaleb(-field.decimal_places))
    return encode(value)


def event_hash(event: Event) -> str:
    """SHA-256 over the hash before and every field of the event, in one canonical spelling."""
    fields = {f.attname: encode(getattr(event, f.attname)) for f in event._meta.concrete_fields if f.attname != "hash"}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
