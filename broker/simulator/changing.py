"""Changes of open orders on the simulated exchange: what of an order stays, what is put in force, and where a trailing stop is then.

A refused change leaves the order as it was. Group, parent and reference stay where a change leaves them out, as a gateway wants them left
out. A trailing stop stays where it is unless the change names another start than the one before: no change of its distance moves it away
from the market.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from broker.simulator.model import Event, OrderChanged, OrderRequest
from broker.simulator.moments import end_of_order, start_of_order
from broker.simulator.orderbook import BookedOrder
from broker.simulator.timetable import Timetable
from broker.simulator.trailing import number_in, offset_of


class Changing(Timetable):
    """The part of the exchange that books orders and changes them."""

    next_perm_id: int

    def _booked(self, request: OrderRequest, now: datetime) -> BookedOrder:
        parent = self.book.parent_of(request)
        order = BookedOrder(request, self.next_perm_id, now, None, parent.perm_id if parent else 0)
        self._time(order, now)
        if order.trails:
            order.trail_stop = number_in(request, "trailStopPrice") or None
            order.limit_offset = offset_of(request, order.trail_stop)
            self._follow_with_limit(order)
        self.next_perm_id += 1
        self.book.add(order)
        return order

    def _modify(self, order: BookedOrder, request: OrderRequest, now: datetime) -> list[Event]:
        """Change an open order; a refused change leaves it as it was. One not transmitted yet is replaced, and goes out if asked to."""
        refused = self._modify_refusal(order, request, now)
        if refused:
            return [refused]
        events = self._apply_modify(order, request, now)
        if not order.transmitted:
            return self._transmit(order, now) if request.transmit else []
        return events + self._match(now)

    def _apply_modify(self, order: BookedOrder, request: OrderRequest, now: datetime) -> list[Event]:
        """Put the new terms in force."""
        held = order.request
        order.request = replace(
            request,
            oca_group=held.oca_group,
            oca_type=held.oca_type,
            parent_id=held.parent_id,
            order_ref=request.order_ref or held.order_ref,
        )
        order.rested = False
        self._time(order, now)
        order.auction_at = None
        if order.trails and not order.elected:
            self._move_trail(order, held)
        if order.in_market and order.live_from is None:
            self._go_live(order, now)
        return [OrderChanged(order.state())]

    def _time(self, order: BookedOrder, now: datetime) -> None:
        """When it goes live and when it ends, by its terms."""
        order.live_from = start_of_order(order.request, now)
        order.good_until = end_of_order(order.request, order.live_from or now)

    def _move_trail(self, order: BookedOrder, held: OrderRequest) -> None:
        """The stop where a change names another start, and the offset of its limit where it names another one. A limit that is the one
        openOrder told of is no other."""
        start = number_in(order.request, "trailStopPrice") or None
        if start is not None and start != number_in(held, "trailStopPrice"):
            order.trail_stop = start
        told = (None, order.trail_limit, held.limit_price)
        if number_in(order.request, "lmtPriceOffset") is not None or order.request.limit_price not in told:
            order.limit_offset = offset_of(order.request, order.trail_stop)
        self._follow_with_limit(order)
