"""The order flow of the simulated exchange: acceptance, election of stops, fills, cancels, and what each means for other orders.

Every step returns its events in the order a gateway sends them. A fill never has a price worse than the order's limit and never a
quantity beyond what was displayed or what remained; orders meet the market, not each other. The methods without a leading rule of their
own are small on purpose: a deliberately broken exchange, for testing a test suite, overrides one of them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from broker.simulator.admission import Admission
from broker.simulator.attributes import ignored_attribute
from broker.simulator.contingency import Consequence, Group, group_of
from broker.simulator.fees import order_commission
from broker.simulator.hours import CLOSE, OPEN, next_auction
from broker.simulator.market import Line, Market
from broker.simulator.model import (
    CommissionCharged,
    Event,
    Executed,
    Fill,
    Instrument,
    OrderChanged,
    PositionChanged,
    Refused,
    Warned,
)
from broker.simulator.order_types import IMMEDIATE, fills_whole_or_not, kind_of, trades_at_auction
from broker.simulator.orderbook import BookedOrder
from broker.simulator.trailing import limit_for, moved_stop
from broker.simulator.triggers import followed_price, is_reached
from broker.simulator.universe import increment_at

ADDED, REMOVED = 1, 2  # Execution.lastLiquidity
TRADER, SYSTEM = "Cancelled by Trader", "Cancelled by System:"


def available_fill(order: BookedOrder, line: Line) -> tuple[Decimal, Decimal, int] | None:
    """(quantity, price, liquidity) this order gets from the displayed line right now, or None.

    A market order pays the touch, and one increment more each time the displayed size did not suffice. A limit order that arrives in the
    market takes the touch; one that rested gets its own limit when the market comes to it.
    """
    request = order.request
    price, size = line.touch(request.action)
    towards_worse = 1 if request.action == "BUY" else -1
    liquidity = REMOVED
    limit = order.limit
    if limit is not None:
        if (price - limit) * towards_worse > 0:
            return None
        if order.rested:
            price, liquidity = limit, ADDED
    else:
        increment = increment_at(line.instrument, price)
        price = max(price + order.depth * increment * towards_worse, increment)
    quantity = min(order.remaining, size)
    return (quantity, price, liquidity) if quantity > 0 else None


class OrderFlow(Admission):
    """The moving part of the exchange. `Exchange` builds it and adds the doors, the queries and the memory."""

    market: Market
    executions: list[tuple[Fill, CommissionCharged]]
    exec_prefix: str
    exec_count: int
    kills_as_inactive = False  # a FOK that cannot be filled ends as Inactive instead of Cancelled
    cancel_delay_steps = 0  # steps between a cancel and its confirmation; the order is PendingCancel meanwhile

    # --- into the market ------------------------------------------------------------------------------------------------------------

    def _transmit(self, order: BookedOrder, now: datetime) -> list[Event]:
        """Send out an order with its untransmitted family, parent first; then let the market have them."""
        events: list[Event] = []
        for one in self.book.family_of(order):
            if not one.is_open:  # its parent was refused a moment ago and took it along
                continue
            reason = self._rejection(one)
            events += self._reject(one, *reason, now) if reason else self._accept(one, now)
        return events + self._match(now)

    def _accept(self, order: BookedOrder, now: datetime) -> list[Event]:
        order.transmitted = True
        order.held_for_parent = self._is_held_by_parent(order)
        if order.live_from is not None and order.live_from <= now:  # it came while the order was not transmitted yet
            order.live_from = None
        if not order.held_for_parent and order.live_from is None:
            self._go_live(order, now)
        warning = ignored_attribute(order.request, self.instruments[order.request.con_id])
        warned: list[Event] = [Warned(*order.ids, *warning)] if warning else []
        return [*warned, OrderChanged(order.state())]

    def _go_live(self, order: BookedOrder, now: datetime) -> None:
        """Nothing holds the order any more: it waits for its auction, or its stop takes its place behind the market."""
        line = self.market.lines[order.request.con_id]
        if trades_at_auction(order.request):
            which = CLOSE if kind_of(order.request).at_close else OPEN
            order.auction_at = next_auction(which, line.instrument.time_zone, now)
        elif order.trails and order.awaits_trigger:
            self._trail(order, line)

    def _reject(self, order: BookedOrder, code: int, text: str, now: datetime) -> list[Event]:
        """Error, then Inactive, as a gateway answers a rejected order; its children are cancelled."""
        order.transmitted = True
        self.book.close(order, "Inactive", f"Rejected: {text}", now)
        events: list[Event] = [Refused(*order.ids, code, text), OrderChanged(order.state())]
        for child in self.book.children_of(order):
            child.transmitted = True
            events += self._end_by_cancel(child, SYSTEM, "The parent order was rejected.", now)
        return events

    # --- matching -------------------------------------------------------------------------------------------------------------------

    def _match(self, now: datetime) -> list[Event]:
        """One round: each live order, oldest first, is elected if its trigger was reached and gets what the line displays. What is left
        of an immediate order at the end of the round is cancelled.

        Of a group with block only one member trades in a round, and the others hear of it at once. Members of a type 3 group hear of each
        other after the round, which is how such a group can be overfilled.
        """
        events: list[Event] = []
        routed: dict[Group, BookedOrder] = {}
        late: list[Consequence] = []
        for order in list(self.book.open.values()):
            group = group_of(order)
            if not order.is_live or (group is not None and group.type.blocks and group in routed):
                continue
            line = self.market.lines[order.request.con_id]
            if order.awaits_trigger:
                events += [OrderChanged(order.state())] if order.trails and self._trail(order, line) else []
                if order.trigger is None or not is_reached(order.request, order.trigger, line):
                    continue
                events += self._elect(order)
            offer = available_fill(order, line)
            if offer is None or not self._fits(order, offer[0]):
                events += self._rest(order, line)
                continue
            filled_events, consequences = self._fill(order, line, *offer, now)
            events += filled_events
            if group is not None and not group.type.blocks:
                late += consequences
                continue
            if group is not None:
                routed[group] = order
            events += self._apply_consequences(consequences, now)
        events += self._apply_consequences(late, now)
        return events + self._end_immediate(now)

    def _fits(self, order: BookedOrder, offered: Decimal) -> bool:
        """Whether the order takes what it is offered: an all-or-none order takes all that remains of it, or nothing."""
        return offered >= order.remaining or not fills_whole_or_not(order.request)

    def _trail(self, order: BookedOrder, line: Line) -> bool:
        """Let a trailing stop follow the market; True if it moved, which it does once for a price of the market and never back."""
        stop = moved_stop(order.request, line.instrument, followed_price(order.request, line), order.trail_stop)
        if stop == order.trail_stop:
            return False
        order.trail_stop = stop
        self._follow_with_limit(order)
        return True

    def _follow_with_limit(self, order: BookedOrder) -> None:
        if order.trail_stop is not None and order.limit_offset is not None and kind_of(order.request).limited:
            instrument = self.instruments[order.request.con_id]
            order.trail_limit = limit_for(order.request, instrument, order.trail_stop, order.limit_offset)

    def _end_immediate(self, now: datetime) -> list[Event]:
        """Cancel what is left of live IOC and FOK orders: PendingCancel, then Cancelled, without a code, as a gateway was seen to tell it.

        Where `kills_as_inactive` is set, a FOK that found nothing ends as Inactive, which was also seen. Children go with their parent;
        the rest of a group stays.
        """
        events: list[Event] = []
        for order in [one for one in self.book.open.values() if one.request.tif in IMMEDIATE and one.is_live]:
            killed = order.request.tif == "FOK" and self.kills_as_inactive
            if not killed:
                order.status = "PendingCancel"
                events.append(OrderChanged(order.state(), echo=False))
            self.book.close(order, "Inactive" if killed else "Cancelled", SYSTEM, now)
            events.append(OrderChanged(order.state(), echo=False))
            for child in self.book.children_of(order):
                events += self._end_by_cancel(child, SYSTEM, "", now)
            self.contingencies.close_if_empty(order)
        return events

    def _elect(self, order: BookedOrder) -> list[Event]:
        order.elected = True
        if order.status == "PreSubmitted":
            order.status = "Submitted"
        return [OrderChanged(order.state())]

    def _rest(self, order: BookedOrder, line: Line) -> list[Event]:
        """The market has nothing for this order now. A limit away from the touch rests; an order's first rest is told as Submitted."""
        price, _ = line.touch(order.request.action)
        limit = order.limit
        if limit is not None:
            order.rested = order.rested or (price > limit if order.request.action == "BUY" else price < limit)
        if order.status != "PreSubmitted":
            return []
        order.status = "Submitted"
        return [OrderChanged(order.state())]

    def _fill(
        self, order: BookedOrder, line: Line, quantity: Decimal, price: Decimal, liquidity: int, now: datetime
    ) -> tuple[list[Event], list[Consequence]]:
        """Execute `quantity` at `price`: the events of the fill itself, and what it means for the order's group."""
        instrument, request = line.instrument, order.request
        line.use(request.action, quantity)
        order.filled += quantity
        order.notional += quantity * price
        order.last_price = price
        order.depth += 1
        charge = order_commission(instrument, order.filled, order.notional) - order.commission
        order.commission += charge
        if order.remaining <= 0:
            self.book.close(order, "Filled", f"Filled Size: {order.filled}", now)
        elif order.status == "PreSubmitted":
            order.status = "Submitted"
        fill = self._execution(order, instrument, quantity, price, liquidity, now)
        position, realized = self.ledger.book(fill, instrument, charge)
        commission = CommissionCharged(fill.exec_id, request.client_id, request.account, charge, instrument.currency, realized)
        events = self._report_fill(fill, order, commission, position)
        consequences = self.contingencies.after_fill(order, quantity)
        if order.status == "Filled":
            events += self._release_children(order, now)
        return events, consequences

    def _execution(
        self, order: BookedOrder, instrument: Instrument, quantity: Decimal, price: Decimal, liquidity: int, now: datetime
    ) -> Fill:
        self.exec_count += 1
        request = order.request
        return Fill(
            exec_id=f"{self.exec_prefix}.{self.exec_count:08x}.01",
            time=now,
            client_id=request.client_id,
            order_id=request.order_id,
            perm_id=order.perm_id,
            con_id=request.con_id,
            account=request.account,
            exchange=instrument.primary_exchange,
            side="BOT" if request.action == "BUY" else "SLD",
            shares=quantity,
            price=price,
            cum_quantity=order.filled,
            average_price=order.average_price,
            order_ref=request.order_ref,
            liquidity=liquidity,
        )

    def _report_fill(self, fill: Fill, order: BookedOrder, commission: CommissionCharged, position: PositionChanged) -> list[Event]:
        """Remember and tell an execution: execution, order, commission, position."""
        self.executions.append((fill, commission))
        return [Executed(fill), OrderChanged(order.state()), commission, position]

    def _release_children(self, parent: BookedOrder, now: datetime) -> list[Event]:
        """The parent is filled: its children go live. One that goes on waiting, for a trigger, a moment or an auction, is told of at once,
        a limit once it is matched."""
        events: list[Event] = []
        for child in self.book.children_of(parent):
            if child.held_for_parent:
                child.held_for_parent = False
                if child.live_from is None:
                    self._go_live(child, now)
                events += [OrderChanged(child.state())] if child.awaits_trigger or not child.is_live else []
        return events

    # --- cancels and reductions -----------------------------------------------------------------------------------------------------

    def _apply_consequences(self, consequences: list[Consequence], now: datetime) -> list[Event]:
        events: list[Event] = []
        for consequence in consequences:
            order = consequence.order
            if not order.is_open:
                continue
            if consequence.reduce_by is not None and order.remaining > consequence.reduce_by:
                order.request = replace(order.request, quantity=order.request.quantity - consequence.reduce_by)
                events.append(OrderChanged(order.state()))
            else:
                events += self._end_by_cancel(order, SYSTEM, "", now, with_group=False)
        return events

    def _ask_cancel(self, order: BookedOrder, now: datetime) -> list[Event]:
        """A trader's cancel: at once, or after `cancel_delay_steps` steps as PendingCancel, in which the order can still fill."""
        if not self.cancel_delay_steps or not order.transmitted:
            return self._end_by_cancel(order, TRADER, "", now)
        order.status = "PendingCancel"
        order.cancel_at_step = self.market.steps + self.cancel_delay_steps
        return [OrderChanged(order.state(), echo=False)]

    def _end_by_cancel(
        self, order: BookedOrder, completed_status: str, reason: str, now: datetime, *, with_group: bool = True
    ) -> list[Event]:
        """End an order as Cancelled, then whatever goes with it: its children, and the rest of its group unless a fill there is why."""
        self.book.close(order, "Cancelled", completed_status, now)
        events = self._confirm_cancel(order, reason)
        for other in self.contingencies.after_cancel(order) if with_group else self.book.children_of(order):
            if other.is_open:
                events += self._end_by_cancel(other, SYSTEM, "", now)
        return events

    def _confirm_cancel(self, order: BookedOrder, reason: str) -> list[Event]:
        """Status Cancelled, then error 202, as a gateway confirms every cancel."""
        return [OrderChanged(order.state(), echo=False), Refused(*order.ids, 202, f"Order Canceled - reason:{reason}")]

    def _expire(self, order: BookedOrder, now: datetime) -> list[Event]:
        """End an order whose time is up. Its children go with it; the rest of a group stays, each to its own time (modelling choice)."""
        self.book.close(order, "Cancelled", SYSTEM, now)
        events = self._confirm_cancel(order, "")
        for child in self.book.children_of(order):
            events += self._end_by_cancel(child, SYSTEM, "", now)
        self.contingencies.close_if_empty(order)
        return events
