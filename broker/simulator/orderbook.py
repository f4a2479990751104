"""The orders the simulated exchange holds: every open one, and those that ended today.

An order is known by its client and the client's order id, as at a gateway; the permanent id is the exchange's own. Ids that a client has
used stay used after the order itself is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from broker.simulator.model import OrderRequest, OrderState
from broker.simulator.order_types import Wait, kind_of

ZERO = Decimal(0)
AVERAGE_DIGITS = 8
OPEN_STATUSES = frozenset({"PreSubmitted", "Submitted", "PendingCancel"})
OrderKey = tuple[int, int]  # client id, order id


@dataclass(slots=True)
class BookedOrder:
    """One order and how far it has come. `status` is the gateway's word; before transmission it is PreSubmitted and nobody is told."""

    request: OrderRequest
    perm_id: int
    placed_at: datetime
    good_until: datetime | None
    parent_perm_id: int = 0
    status: str = "PreSubmitted"
    transmitted: bool = False
    held_for_parent: bool = False
    elected: bool = False  # a stop whose trigger was reached
    rested: bool = False  # its limit was away from the market at least once: it fills at its limit, not at the touch
    depth: int = 0  # increments a market order has walked beyond the touch
    filled: Decimal = ZERO
    notional: Decimal = ZERO
    last_price: Decimal = ZERO
    commission: Decimal = ZERO
    completed_at: datetime | None = None
    completed_status: str = ""
    cancel_at_step: int | None = None
    live_from: datetime | None = None  # not before this moment (goodAfterTime); None once it has come
    auction_at: datetime | None = None  # waits for the auction of this moment
    trail_stop: Decimal | None = None  # where a trailing stop stands now
    trail_limit: Decimal | None = None  # the limit that follows it
    limit_offset: Decimal | None = None  # how far that limit is from the stop
    second_life: bool = False  # works beside another order under the same ids, with a permanent id of its own

    @property
    def key(self) -> OrderKey:
        """Where the book keeps it: under its ids, which find the first life alone."""
        return (self.request.client_id, -self.perm_id) if self.second_life else self.ids

    @property
    def ids(self) -> OrderKey:
        """Client id and order id, as clients are told them."""
        return self.request.client_id, self.request.order_id

    @property
    def remaining(self) -> Decimal:
        return self.request.quantity - self.filled

    @property
    def average_price(self) -> Decimal:
        average = self.notional / self.filled if self.filled else ZERO
        return round(average, AVERAGE_DIGITS) if average.as_tuple().exponent < -AVERAGE_DIGITS else average

    @property
    def is_open(self) -> bool:
        return self.status in OPEN_STATUSES

    @property
    def in_market(self) -> bool:
        """Open, told to the exchange and not waiting for a parent: it may be elected and filled."""
        return self.is_open and self.transmitted and not self.held_for_parent

    @property
    def is_live(self) -> bool:
        """In the market, and waiting neither for a moment nor for an auction."""
        return self.in_market and self.live_from is None and self.auction_at is None

    @property
    def trails(self) -> bool:
        return kind_of(self.request).waits_for is Wait.TRAIL

    @property
    def awaits_trigger(self) -> bool:
        return kind_of(self.request).waits_for is not None and not self.elected

    @property
    def trigger(self) -> Decimal | None:
        """The price it waits for, or has waited for."""
        if self.trails:
            return self.trail_stop
        return self.request.aux_price if kind_of(self.request).waits_for is not None else None

    @property
    def limit(self) -> Decimal | None:
        """The worst price it may trade at now; None where it takes any."""
        if not kind_of(self.request).limited:
            return None
        return self.trail_limit if self.trails else self.request.limit_price

    @property
    def why_held(self) -> str:
        if not self.is_open:
            return ""
        return "child" if self.held_for_parent else "trigger" if self.awaits_trigger and self.live_from is None else ""

    def state(self) -> OrderState:
        """The order at this moment, frozen."""
        return OrderState(
            request=self._told_terms(),
            perm_id=self.perm_id,
            status=self.status,
            filled=self.filled,
            remaining=max(self.remaining, ZERO),  # overfilled
            average_price=self.average_price,
            last_price=self.last_price,
            why_held=self.why_held,
            placed_at=self.placed_at,
            commission=self.commission if self.filled else None,
            completed_at=self.completed_at,
            completed_status=self.completed_status,
            parent_perm_id=self.parent_perm_id,
        )

    def _told_terms(self) -> OrderRequest:
        """The terms as openOrder tells them: those of a trailing stop with where the stop stands now, and its limit with it."""
        if not self.trails or self.trail_stop is None:
            return self.request
        wire = {**self.request.wire, "trailStopPrice": format(self.trail_stop, "f")}
        return replace(self.request, wire=wire, limit_price=self.limit or self.request.limit_price)


@dataclass
class OrderBook:
    """Orders by (client, order id) in the order of their placing, and the marks of used and seen ids."""

    orders: dict[OrderKey, BookedOrder] = field(default_factory=dict)
    open: dict[OrderKey, BookedOrder] = field(default_factory=dict)
    used_ids: dict[int, int] = field(default_factory=dict)  # by client: the highest id of an order that was taken
    seen_ids: dict[int, int] = field(default_factory=dict)  # by client: the highest id ever sent

    def add(self, order: BookedOrder) -> None:
        self.orders[order.key] = self.open[order.key] = order
        client_id, order_id = order.ids
        self.used_ids[client_id] = max(self.used_ids.get(client_id, 0), order_id)

    def see(self, client_id: int, order_id: int) -> None:
        self.seen_ids[client_id] = max(self.seen_ids.get(client_id, 0), order_id)

    def close(self, order: BookedOrder, status: str, completed_status: str, now: datetime) -> None:
        """End an order: `status` is Filled, Cancelled or Inactive."""
        order.status, order.completed_status, order.completed_at = status, completed_status, now
        order.cancel_at_step = None
        self.open.pop(order.key, None)

    def parent_of(self, request: OrderRequest) -> BookedOrder | None:
        return self.orders.get((request.client_id, request.parent_id)) if request.parent_id else None

    def by_perm_id(self, perm_id: int) -> BookedOrder:
        """Raises KeyError where the book has no such order today."""
        found = next((one for one in self.orders.values() if one.perm_id == perm_id), None)
        if found is None:
            raise KeyError(f"no order with permanent id {perm_id}")
        return found

    def children_of(self, parent: BookedOrder) -> list[BookedOrder]:
        return [one for one in self.open.values() if one.parent_perm_id == parent.perm_id]

    def family_of(self, order: BookedOrder) -> list[BookedOrder]:
        """The untransmitted orders that go out together with this one: up to its topmost untransmitted parent, then all below."""
        top = order
        while (parent := self.parent_of(top.request)) is not None and parent.is_open and not parent.transmitted:
            top = parent
        return [one for one in self._descent(top) if not one.transmitted]

    def forget_ended_before(self, moment: datetime) -> None:
        self.orders = {key: one for key, one in self.orders.items() if one.completed_at is None or one.completed_at >= moment}

    def _descent(self, top: BookedOrder) -> Iterator[BookedOrder]:
        yield top
        for child in self.children_of(top):
            yield from self._descent(child)
