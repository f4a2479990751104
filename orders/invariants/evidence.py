"""All that the checks look at, read once: the events, the tables they add up to, and the gateway's ledger where there is one.

The rule it keeps: it only reads, each table one time, and gives the checks plain lookups, so that a check is a loop and no query.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache, cached_property
from typing import Any

from django.db.models import Model

from orders import contracts, replay
from orders.invariants.ledger import BrokerOrder, Ledger
from orders.invariants.past import Past
from orders.invariants.wire import OrderFrame
from orders.models import (
    Account,
    Book,
    BrokerCommand,
    BrokerId,
    Contract,
    Event,
    Execution,
    Gateway,
    Incident,
    Lease,
    OcaGroup,
    OrderRecord,
    Position,
    Submission,
)
from orders.rules.lifecycle import OrderStatus
from orders.rules.pricing import PriceRule

Row = Any
_TABLES: tuple[type[Model], ...] = (*replay.AUDITED, Contract, Submission, Lease)


@dataclass
class Evidence:
    """The record, its tables by primary key, and the ledger; `now` is the moment at which ages are told."""

    now: datetime
    past: Past
    tables: dict[type[Model], dict[Any, Row]]
    ledger: Ledger | None = None

    @classmethod
    def read(cls, ledger: Iterable[dict[str, Any]] | None, now: datetime, each: Callable[[Event], None] = lambda event: None) -> Evidence:
        """Reads everything. `each` sees every event on the way."""
        with replay.one_moment():
            past = Past.walk(replay.all_events(), each)
            tables = {model: {row.pk: row for row in model._default_manager.order_by("pk").iterator()} for model in _TABLES}
        gateway = tables[Gateway].get(1)
        return cls(now, past, tables, None if ledger is None else Ledger.read(ledger, gateway.server_version if gateway else None))

    # --- tables -----------------------------------------------------------------------------------------------------------------------

    def audited(self) -> Iterator[tuple[type[Model], Iterable[Row]]]:
        """The tables that the events must give."""
        return ((model, self.tables[model].values()) for model in replay.AUDITED)

    @property
    def orders(self) -> dict[int, Row]:
        return self.tables[OrderRecord]

    @cached_property
    def ours(self) -> list[Row]:
        """Orders that were placed through the book."""
        return [order for order in self.orders.values() if not order.is_external]

    @cached_property
    def by_reference(self) -> dict[str, Row]:
        return {order.client_order_id: order for order in self.ours}

    @property
    def accounts(self) -> dict[int, Row]:
        return self.tables[Account]

    @property
    def contracts(self) -> dict[int, Row]:
        return self.tables[Contract]

    @property
    def commands(self) -> dict[int, Row]:
        return self.tables[BrokerCommand]

    @property
    def executions(self) -> dict[int, Row]:
        return self.tables[Execution]

    @property
    def names(self) -> dict[int, Row]:
        return self.tables[BrokerId]

    @property
    def positions(self) -> dict[int, Row]:
        return self.tables[Position]

    @property
    def submissions(self) -> dict[int, Row]:
        return self.tables[Submission]

    @property
    def incidents(self) -> dict[int, Row]:
        return self.tables[Incident]

    @property
    def groups(self) -> dict[int, Row]:
        return self.tables[OcaGroup]

    @property
    def book(self) -> Row | None:
        return self.tables[Book].get(1)

    @property
    def gateway(self) -> Row | None:
        return self.tables[Gateway].get(1)

    @property
    def fence(self) -> int:
        return max((lease.fence for lease in self.tables[Lease].values()), default=0)

    @property
    def prefix(self) -> str:
        """How the names of this book's orders begin."""
        return f"DB{self.book.install}-" if self.book else "DB"

    def broken_chain(self) -> list[str]:
        """The first event that does not follow from the one before; empty where the chain is whole to the end that the book remembers."""
        chain, book = self.past.chain, self.book
        bad = chain.bad(book.seq, book.head_hash) if book is not None else chain.first_bad
        if bad is None:
            return []
        if bad > chain.last:
            return [f"the first bad event is seq {bad}: the events from there on were cut off"]
        return [f"the first bad event is seq {bad}: changed, deleted, inserted or moved"]

    # --- lookups ----------------------------------------------------------------------------------------------------------------------

    @cached_property
    def codes(self) -> dict[str, int]:
        """Account code -> primary key."""
        return {account.code: pk for pk, account in self.accounts.items()}

    @cached_property
    def by_perm_id(self) -> dict[int, Row]:
        """perm_id -> the order that it names."""
        return {name.perm_id: self.orders[name.order_id] for name in self.names.values() if name.perm_id and name.order_id in self.orders}

    @cached_property
    def by_order_id(self) -> dict[tuple[int, int], Row]:
        """(client id, order id) -> the order that it names."""
        rows = (name for name in self.names.values() if name.client_id is not None and name.ib_order_id and name.order_id in self.orders)
        return {(name.client_id, name.ib_order_id): self.orders[name.order_id] for name in rows}

    @cached_property
    def executions_of(self) -> dict[int | None, list[Row]]:
        return _grouped(self.executions.values(), lambda row: row.order_id)

    @cached_property
    def commands_of(self) -> dict[int, list[Row]]:
        return _grouped(self.commands.values(), lambda row: row.order_id)

    @cached_property
    def incidents_of(self) -> dict[int | None, list[Row]]:
        return _grouped(self.incidents.values(), lambda row: row.order_id)

    @cached_property
    def clients(self) -> set[int]:
        """The client ids under which the desk has connected or numbered orders."""
        return self.past.clients | {
            name.client_id
            for name in self.names.values()
            if name.client_id is not None and name.order_id in self.orders and not self.orders[name.order_id].is_external
        }

    @cached_property
    def counting(self) -> dict[str, Row]:
        """Root -> the execution that counts for it, which is that of the highest revision."""
        best: dict[str, Row] = {}
        for row in self.executions.values():
            if row.root not in best or row.revision > best[row.root].revision:
                best[row.root] = row
        return best

    def filled(self, order: Row) -> Decimal:
        """What the executions add up to; the fills of a combination's legs are under other contracts and do not count."""
        rows = (row for row in self.executions_of.get(order.pk, ()) if self.counting[row.root] is row)
        return sum((row.quantity for row in rows if row.contract_id == order.contract_id), Decimal(0))

    def at_the_broker(self, order: Row) -> list[BrokerOrder]:
        """The orders at the exchange that the desk placed under this order's name."""
        return self._broker_orders.get(order.client_order_id, [])

    @cached_property
    def _broker_orders(self) -> dict[str, list[BrokerOrder]]:
        if self.ledger is None:
            return {}
        return _grouped((one for one in self.ledger.orders.values() if one.client in self.clients), lambda one: one.reference)

    @cached_property
    def frames_of(self) -> dict[str, list[OrderFrame]]:
        """Reference -> the placeOrder frames that the desk wrote under it, in order."""
        if self.ledger is None:
            return {}
        return _grouped((frame for frame in self.ledger.frames if frame.client in self.clients), lambda frame: frame.reference)

    @cached_property
    def ticks(self) -> Callable[[int], PriceRule | None]:
        """The price ticks of a contract, by its primary key."""
        return cache(lambda pk: contracts.ticks(self.contracts[pk]))

    def is_shown(self, order: Row) -> bool:
        """Whether a person sees that something is wrong with the order: unknown, flagged, or with an incident that nobody has closed."""
        open_incident = any(incident.closed_at is None for incident in self.incidents_of.get(order.pk, ()))
        return order.status == OrderStatus.UNKNOWN or order.needs_attention or open_incident

    def has_incident(self, order: Row, *kinds: str) -> bool:
        """Whether an incident of one of these kinds was ever opened about the order."""
        return any(incident.kind in kinds for incident in self.incidents_of.get(order.pk, ()))


def _grouped(rows: Iterable[Any], key: Callable[[Any], Any]) -> dict[Any, list[Any]]:
    groups: dict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def name(order: Row) -> str:
    """An order in a sentence."""
    return f"order {order.client_order_id}"
