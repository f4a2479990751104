"""The proof of the record: folding the events gives the rows, and the chain of hashes says whether an event was touched.

The rule it keeps: a row of an audited table is what its events say, field by field; what differs was written past the book.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Model

from orders.book import event_hash, row_values
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
    Gateway,
    Incident,
    Limit,
    OcaGroup,
    OrderRecord,
    Position,
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
    Gateway,
    Incident,
    Limit,
    OcaGroup,
    OrderRecord,
    Position,
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
        for label, pk, values in event.data.get("rows", ()):
            if values is None:
                rows.pop((label, pk), None)
            else:
                rows.setdefault((label, pk), {}).update(values)
    return rows


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
        if name not in plain and said.get(name) != value
    ]


def verify_chain() -> int | None:
    """The seq of the first event that was changed, taken away, put in or moved; None where the chain is whole.

    A tail that was cut off is found too: the book remembers the last seq and hash it gave out.
    """
    last, head = 0, ""
    for event in all_events():
        if event.seq != last + 1:
            return last + 1
        if event.prev_hash != head or event.hash != event_hash(event):
            return event.seq
        last, head = event.seq, event.hash
    end = Book.objects.filter(pk=1).values_list("seq", "head_hash").first()
    if end is None or end == (last, head):
        return None
    return min(last, end[0]) + 1 if last != end[0] else last
