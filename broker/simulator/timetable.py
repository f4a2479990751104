"""What the passing of time does to orders of the simulated exchange: good-after moments, auctions, and ends.

The rule kept: what became due since the last tick happens in the order of its moments, however long the tick was. An auction has one
price, the last price of the market when its moment has passed; orders on open or on close execute there completely, those whose limit is
not met end. That auctions know neither imbalances nor a cut-off before them is a modelling choice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from broker.simulator.hours import CLOSE, OPEN
from broker.simulator.matching import REMOVED, OrderFlow
from broker.simulator.model import AuctionHeld, Event, OrderChanged
from broker.simulator.order_types import kind_of, trades_at_auction
from broker.simulator.orderbook import BookedOrder, OrderKey

Act = Callable[[BookedOrder, datetime], list[Event]]


@dataclass(frozen=True, order=True)
class Due:
    """Something that is due to one order. At the same moment orders go live before an auction, and trade in it before they end."""

    moment: datetime
    rank: int
    place: int  # in the book
    key: OrderKey


class Timetable(OrderFlow):
    """The clock of the order flow. `Exchange` calls `_pass_time` with every tick."""

    def _pass_time(self, now: datetime) -> list[Event]:
        """Everything that became due up to `now`, in the order of its moments."""
        acts: tuple[Act, ...] = (self._begin, self._auction_of, self._expire)
        events: list[Event] = []
        for due in self._due(now):
            order = self.book.open.get(due.key)
            if order is not None and order.is_open:  # what happened a moment before may have ended it
                events += acts[due.rank](order, now)
        return events

    def hold_auction(self, which: str, con_id: int, now: datetime, until: datetime | None = None) -> list[Event]:
        """Hold an auction of one instrument now, for every order in the market that waits for one of this kind; `until`: only for those
        whose auction was due by then."""
        events: list[Event] = [AuctionHeld(con_id, which, self.market.lines[con_id].last)]
        for order in list(self.book.open.values()):
            if order.request.con_id != con_id or not order.in_market or order.auction_at is None or auction_kind(order) != which:
                continue
            if until is None or order.auction_at <= until:
                events += self._trade_at_auction(order, now)
        return events + self._match(now)

    def awaited_auctions(self, which: str) -> list[int]:
        """The contracts that have orders waiting for an auction of this kind, in the order of the oldest one."""
        waiting = (one for one in self.book.open.values() if one.in_market and one.auction_at is not None and auction_kind(one) == which)
        return list(dict.fromkeys(one.request.con_id for one in waiting))

    def _due(self, now: datetime) -> list[Due]:
        found = []
        for place, order in enumerate(self.book.open.values()):
            if order.transmitted:
                for rank, moment in enumerate((order.live_from, order.auction_at, order.good_until)):
                    if moment is not None and moment <= now:
                        found.append(Due(moment, rank, place, order.key))
        return sorted(found)

    def _begin(self, order: BookedOrder, now: datetime) -> list[Event]:
        """Its good-after moment has come: it goes live, unless it still waits for its parent."""
        order.live_from = None
        if order.held_for_parent:
            return []
        self._go_live(order, now)
        told: list[Event] = [OrderChanged(order.state())] if order.awaits_trigger else []
        return told + self._match(now)

    def _auction_of(self, order: BookedOrder, now: datetime) -> list[Event]:
        """The auction this order waits for, with every other order that is due there; no more, once it was held for one of them."""
        if order.auction_at is None:
            return []
        return self.hold_auction(auction_kind(order), order.request.con_id, now, until=now)

    def _trade_at_auction(self, order: BookedOrder, now: datetime) -> list[Event]:
        """Execute it at the auction's price, or end it where that is beyond its limit."""
        line, limit = self.market.lines[order.request.con_id], order.limit
        price, displayed = line.last, (line.bid_size, line.ask_size)
        order.auction_at = None
        if limit is not None and (price > limit if order.request.action == "BUY" else price < limit):
            return self._expire(order, now)
        events, consequences = self._fill(order, line, order.remaining, price, REMOVED, now)
        line.bid_size, line.ask_size = displayed  # an auction has a size of its own
        return events + self._apply_consequences(consequences, now)


def auction_kind(order: BookedOrder) -> str:
    """Which auction an order waits for that waits for one."""
    assert trades_at_auction(order.request)
    return CLOSE if kind_of(order.request).at_close else OPEN
