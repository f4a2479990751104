"""The proof of the record: folding the events gives the rows, and the chain of hashes says whether an event was touched.

The rule it keeps: a row of an audited table is what its events say, field by field; what differs was written past the book.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import Model

from orders.book import event_hash, field_value, row_values
from orders.models import (
    Account,
    AccountAccess,
    Book,
    BrokerCommand,
    BrokerId,
    Certificate,
    CommissionReport,
    Event,
    Execution,
    ExitTemplate,
    Gateway,
    Incident,
    InstrumentRule,
    Limit,
    OcaGroup,
    OrderRecord,
    Position,
    Sweep,
)

AUDITED: tuple[type[Model], ...] = (
    Account,
    AccountAccess,
    Book,
    BrokerCommand,
    BrokerId,
    Certificate,
    CommissionReport,
    Execution,
    ExitTemplate,
    Gateway,
    Incident,
    InstrumentRule,
    Limit,
    OcaGroup,
    OrderRecord,
    Position,
    Sweep,
)
PLAIN_FIGURES: dict[type[Model], frozenset[str]] = {
    # fields of audited rows that no event carries
    Book: frozenset({"seq", "head_hash"}),  # the lock's own counter and the end of the chain
    Gateway: frozenset({"heard_at", "latency_ms"}),  # they move with every probe
}

Key = tuple[str, int | str]
_CHUNK = 2000


@dataclass(frozen=True)
class Difference:
    """A field that is not what the events say. `field` "" : the row itself is there, or is not, against the events."""

    table: str
    pk: int | str
    field: str
    in_events: Any
    in_row: Any

    def __str__(self) -> str:
        if not self.field:
            return f"{self.table} {self.pk}: {'in the events only' if self.in_events else 'in no event'}"
        return f"{self.table} {self.pk}, {self.field}: {self.in_events!r} by the events, {self.in_row!r} in the row"


def fold(events: Iterable[Event]) -> dict[Key, dict[str, Any]]:
    """The rows that the events, in order of seq, arrive at: (table, primary key) -> field -> value as events spell it."""
    rows: dict[Key, dict[str, Any]] = {}
    for event in events:
        fold_in(rows, event)
    return rows


def fold_in(rows: dict[Key, dict[str, Any]], event: Event) -> None:
    """Takes one more event in."""
    for label, pk, values in event.data.get("rows", ()):
        if values is None:
            rows.pop((label, pk), None)
        else:
            rows.setdefault((label, pk), {}).update(values)


@contextmanager
def one_moment() -> Iterator[None]:
    """Everything read inside is of one moment, while others go on writing; nothing is locked."""
    if connection.in_atomic_block:  # whoever opened it reads at a moment of his own
        yield
    elif connection.vendor == "postgresql":
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
    else:
        with connection.cursor() as cursor:  # by hand: Django's transactions take the lock of the writers (IMMEDIATE)
            cursor.execute("BEGIN DEFERRED")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")


def all_events() -> Iterator[Event]:
    """Every event in order, without holding them all."""
    return Event.objects.order_by("seq").iterator(chunk_size=_CHUNK)


def differences() -> list[Difference]:
    """Where the rows are not what the events say; empty for a book that only its writers wrote."""
    rows = ((model, model._default_manager.order_by("pk").iterator(chunk_size=_CHUNK)) for model in AUDITED)
    return compare(fold(all_events()), rows)


def compare(folded: Mapping[Key, dict[str, Any]], tables: Iterable[tuple[type[Model], Iterable[Model]]]) -> list[Difference]:
    """Where the rows of audited tables are not what the events fold to."""
    found: list[Difference] = []
    seen: set[Key] = set()
    labels: set[str] = set()
    for model, rows in tables:
        label, plain = model._meta.label, PLAIN_FIGURES.get(model, frozenset())
        labels.add(label)
        for row in rows:
            seen.add((label, row.pk))
            found += _compare(row, folded.get((label, row.pk)), plain)
    found += [Difference(label, pk, "", True, None) for label, pk in folded if label in labels and (label, pk) not in seen]
    return found


def _compare(row: Model, said: dict[str, Any] | None, plain: frozenset[str]) -> list[Difference]:
    label = row._meta.label
    if said is None:
        return [Difference(label, row.pk, "", None, True)]
    return [
        Difference(label, row.pk, name, said.get(name), value)
        for name, value in row_values(row).items()
        if name not in plain and (said[name] if name in said else _default(row, name)) != value
    ]


def _default(row: Model, name: str) -> Any:
    """What a field has that is younger than the row's last event that carried it whole: an upgrade gave it its default."""
    field = next(field for field in row._meta.concrete_fields if field.attname == name)
    return None if field.primary_key else field_value(field, field.get_default())


@dataclass
class Chain:
    """The chain of hashes as its events pass by, in order of seq."""

    last: int = 0
    head: str = ""
    events: int = 0
    first_bad: int | None = None

    def take(self, event: Event) -> None:
        if self.first_bad is None:
            if event.seq != self.last + 1:
                self.first_bad = self.last + 1
            elif event.prev_hash != self.head or event.hash != event_hash(event):
                self.first_bad = event.seq
        self.last, self.head = event.seq, event.hash
        self.events += 1

    def bad(self, seq: int, head_hash: str) -> int | None:
        """The seq of the first bad event, given the last seq and hash that the book gave out: a tail that was cut off counts."""
        if self.first_bad is not None or (self.last, self.head) == (seq, head_hash):
            return self.first_bad
        return min(self.last, seq) + 1 if self.last != seq else self.last


def verify_chain() -> int | None:
    """The seq of the first event that was changed, taken away, put in or moved; None where the chain is whole to its end."""
    chain = Chain()
    for event in all_events():
        chain.take(event)
    end = Book.objects.filter(pk=1).values_list("seq", "head_hash").first()
    return chain.first_bad if end is None else chain.bad(*end)
