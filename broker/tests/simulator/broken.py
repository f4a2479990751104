"""Deliberately broken exchanges: what a test suite must notice. Each overrides one small step of the order flow and nothing else.

A suite that passes on one of these does not test what it says; `behaviours.py` names the check that catches each.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from broker.simulator.contingency import Consequence
from broker.simulator.exchange import Exchange
from broker.simulator.market import Line
from broker.simulator.model import CommissionCharged, Event, Executed, Fill, OrderRequest, PositionChanged
from broker.simulator.orderbook import BookedOrder


class OcaSiblingsSurvive(Exchange):
    """A fill in a one-cancels-all group leaves the other members as they were."""

    def _apply_consequences(self, consequences: list[Consequence], now: datetime) -> list[Event]:
        return []


class ModifyIgnored(Exchange):
    """A change is swallowed: no error, no echo, the old terms stay in force."""

    def _apply_modify(self, order: BookedOrder, request: OrderRequest, now: datetime) -> list[Event]:
        return []


class CancelNotConfirmed(Exchange):
    """A cancel works, and nobody is told: neither status Cancelled nor code 202."""

    def _confirm_cancel(self, order: BookedOrder, reason: str) -> list[Event]:
        return []


class CancelOnlyConfirmed(Exchange):
    """A cancel is confirmed and the order goes on working."""

    def _end_by_cancel(
        self, order: BookedOrder, completed_status: str, reason: str, now: datetime, *, with_group: bool = True
    ) -> list[Event]:
        events = super()._end_by_cancel(order, completed_status, reason, now, with_group=with_group)
        order.status = "Submitted"
        self.book.open[order.key] = order
        return events


class FillsTwice(Exchange):
    """Every execution is reported a second time under an id of its own."""

    def _report_fill(self, fill: Fill, order: BookedOrder, commission: CommissionCharged, position: PositionChanged) -> list[Event]:
        again = replace(fill, exec_id=f"{fill.exec_id[:-2]}9.01")
        events = super()._report_fill(fill, order, commission, position)
        self.executions.append((again, replace(commission, exec_id=again.exec_id)))
        return [*events, Executed(again)]


class ChildrenNotHeld(Exchange):
    """The children of a bracket are live before their parent has filled."""

    def _is_held_by_parent(self, order: BookedOrder) -> bool:
        return False


class ChildrenStayHeld(Exchange):
    """The children of a bracket never go live: the position stands unprotected."""

    def _release_children(self, parent: BookedOrder, now: datetime) -> list[Event]:
        return []


class FillsBeyondTheLimit(Exchange):
    """Executions are a cent worse than the market offered."""

    def _fill(
        self, order: BookedOrder, line: Line, quantity: Decimal, price: Decimal, liquidity: int, now: datetime
    ) -> tuple[list[Event], list[Consequence]]:
        worse = price + Decimal("0.01") * (1 if order.request.action == "BUY" else -1)
        return super()._fill(order, line, quantity, worse, liquidity, now)


class ReducesNothing(Exchange):
    """A partial fill in a group of type 2 or 3 cancels only, it never reduces."""

    def _apply_consequences(self, consequences: list[Consequence], now: datetime) -> list[Event]:
        return super()._apply_consequences([one for one in consequences if one.reduce_by is None], now)


BROKEN: tuple[type[Exchange], ...] = (
    OcaSiblingsSurvive,
    ModifyIgnored,
    CancelNotConfirmed,
    CancelOnlyConfirmed,
    FillsTwice,
    ChildrenNotHeld,
    ChildrenStayHeld,
    FillsBeyondTheLimit,
    ReducesNothing,
)


# --- what a complete ticket asks for ------------------------------------------------------------------------------------------------


class TrailsBothWays(Exchange):
    """A trailing stop goes back with the market and so never triggers."""

    def _trail(self, order: BookedOrder, line: Line) -> bool:
        order.trail_stop = None
        return super()._trail(order, line)


class PartlyFillsTheWhole(Exchange):
    """An all-or-none order takes what is displayed."""

    def _fits(self, order: BookedOrder, offered: Decimal) -> bool:
        return True


class ForgetsTheClose(Exchange):
    """Orders on close go on waiting when the close has come."""

    def _auction_of(self, order: BookedOrder, now: datetime) -> list[Event]:
        return []


class NotGoodAfter(Exchange):
    """An order that is good after a moment is live before it."""

    def _time(self, order: BookedOrder, now: datetime) -> None:
        super()._time(order, now)
        order.live_from = None


class ImmediateOrdersRest(Exchange):
    """What an immediate order could not fill stays in the book."""

    def _end_immediate(self, now: datetime) -> list[Event]:
        return []


BROKEN_FOR_TICKETS: tuple[type[Exchange], ...] = (TrailsBothWays, PartlyFillsTheWhole, ForgetsTheClose, NotGoodAfter, ImmediateOrdersRest)
