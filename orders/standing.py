"""The book as it stood at a moment, in words, from the events alone: what a person asks for who looks back.

The rule it keeps: rows of the record come from the events up to that moment and from nowhere else. Only names that no event carries, those
of contracts and users, are looked up as they are today.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Max

from orders import replay
from orders.models import (
    Account,
    AccountAccess,
    BrokerCommand,
    Contract,
    Event,
    Gateway,
    Incident,
    Limit,
    OrderRecord,
    Position,
)
from orders.rules.terms import OPEN_COMMANDS

Row = dict[str, Any]
_OPEN = frozenset(state.value for state in OPEN_COMMANDS)


class NothingStood(Exception):
    """There was no book at that moment, or no such event; the text says what there is."""


@dataclass(frozen=True)
class Standing:
    """The book after event `seq`, which was written at `at`. Rows are plain: words, decimals and times as text.

    `first_bad`: the first event on the way that does not follow from the one before, if there is one.
    """

    seq: int
    at: datetime
    first_bad: int | None
    gateway: Row
    orders: list[Row]
    positions: list[Row]
    commands: list[Row]
    limits: list[Row]
    access: list[Row]
    incidents: list[Row]


def seq_at(moment: datetime) -> int:
    """The last event that was written by then. Raises `NothingStood` where the book was opened later."""
    seq: int | None = Event.objects.filter(at__lte=moment).aggregate(last=Max("seq"))["last"]
    if seq is None:
        first = Event.objects.order_by("seq").first()
        raise NothingStood(f"the book was opened at {first.at.isoformat()}" if first else "the book has no events")
    return seq


def stood(seq: int) -> Standing:
    """The book after this event. Raises `NothingStood` where there is none of that number."""
    chain, last = replay.Chain(), None
    rows: dict[replay.Key, Row] = {}
    with replay.one_moment():
        for event in Event.objects.filter(seq__lte=seq).order_by("seq").iterator(chunk_size=2000):
            chain.take(event)
            replay.fold_in(rows, event)
            last = event
        if last is None or last.seq != seq:
            end = Event.objects.aggregate(last=Max("seq"))["last"] or 0
            raise NothingStood(f"the record has no event {seq}; it goes from 1 to {end}")
        return _Telling(rows).standing(seq, last.at, chain.first_bad)


class _Telling:
    """Folded rows, told with names instead of keys."""

    def __init__(self, rows: dict[replay.Key, Row]) -> None:
        self._rows = rows
        self._accounts = {pk: row["code"] for pk, row in self._of(Account)}
        self._orders = {pk: row["client_order_id"] for pk, row in self._of(OrderRecord)}
        contracts = {row["contract_id"] for model in (OrderRecord, Position, Incident) for _, row in self._of(model)}
        self._contracts = {row.pk: row.label for row in Contract.objects.filter(pk__in=contracts - {None})}
        self._users = {user.pk: user.get_username() for user in get_user_model().objects.all()}

    def _of(self, model: Any) -> Iterator[tuple[Any, Row]]:
        label = model._meta.label
        return ((pk, row) for (its, pk), row in self._rows.items() if its == label)

    def _rows_of(self, model: Any) -> list[Row]:
        """The rows by primary key, their references as names."""
        return [self._named(row) for _, row in sorted(self._of(model), key=lambda item: item[0])]

    def _named(self, row: Row) -> Row:
        names = {"account_id": self._accounts, "order_id": self._orders, "parent_id": self._orders, "contract_id": self._contracts}
        users = dict.fromkeys(("user_id", "actor_id", "created_by_id", "owner_id", "closed_by_id"), self._users)
        told = {}
        for field, value in row.items():
            lookup = {**names, **users}.get(field)
            if lookup is None:
                told[field] = value
            else:
                told[field.removesuffix("_id")] = None if value is None else lookup.get(value, f"#{value}")
        return told

    def standing(self, seq: int, at: datetime, first_bad: int | None) -> Standing:
        gateway = self._rows_of(Gateway)
        return Standing(
            seq=seq,
            at=at,
            first_bad=first_bad,
            gateway=gateway[0] if gateway else {},
            orders=self._rows_of(OrderRecord),
            positions=[row for row in self._rows_of(Position) if row["quantity"] != "0"],
            commands=[row for row in self._rows_of(BrokerCommand) if row["state"] in _OPEN],
            limits=self._rows_of(Limit),
            access=self._rows_of(AccountAccess),
            incidents=[row for row in self._rows_of(Incident) if row["closed_at"] is None],
        )
