"""What the guardian looks at: one position, the orders that work on its contract, and how much of it each of them may still close.

The rule it keeps: what protects is counted low and what may turn a position is counted high. Of orders that shut one another out (an OCA
group, the exits of an entry that name none) only one fills; groups add up. The exits of an entry that is still filling take together no
more than has filled.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from orders.rules.lifecycle import OPEN, WORKING, OrderStatus
from orders.rules.terms import EXITS, OrderTerms, Role, Side, TimeInForce

TRAILING_TYPES = frozenset({"TRAIL", "TRAIL LIMIT"})
STOP_TYPES = frozenset({"STP", "STP LMT"}) | TRAILING_TYPES
ON_THE_WAY = frozenset({OrderStatus.PENDING, OrderStatus.SENT})
NONE = Decimal(0)


@dataclass(frozen=True)
class Entry:
    """The parent of an exit, at the broker or ended."""

    name: str
    status: OrderStatus
    filled: Decimal = NONE

    @property
    def is_open(self) -> bool:
        return self.status in OPEN


@dataclass(frozen=True)
class Standing:
    """An order as it stands: acknowledged terms, beside them those of an open change (`asked`) and those last requested (`requested`)."""

    name: str
    side: Side
    order_type: str
    quantity: Decimal
    status: OrderStatus
    filled: Decimal = NONE
    role: Role = Role.SINGLE
    time_in_force: str = TimeInForce.GTC.value
    stop_price: Decimal | None = None  # of a trailing stop: where it stands now
    limit_price: Decimal | None = None
    outside_rth: bool = False
    good_till: datetime | None = None
    good_after: datetime | None = None
    trail_amount: Decimal | None = None
    trail_percent: Decimal | None = None
    entry: Entry | None = None
    group: str = ""  # orders of one group shut one another out; empty: it stands alone
    oca_type: int = 0
    cancel_asked: bool = False
    asked: OrderTerms | None = None
    requested: OrderTerms | None = None
    broker_word: str = ""
    why_held: str = ""
    words: str = ""  # the broker's text with its end
    is_external: bool = False
    may_cancel: bool = True

    @property
    def kin(self) -> str:
        return self.group or self.name

    @property
    def is_stop(self) -> bool:
        return self.order_type in STOP_TYPES and not self.is_close and self.role is not Role.ENTRY

    @property
    def trails(self) -> bool:
        return self.order_type in TRAILING_TYPES

    @property
    def is_close(self) -> bool:
        return self.role in (Role.CLOSE, Role.LIQUIDATION)

    @property
    def waits_for_entry(self) -> bool:
        """A child whose entry has not filled: it belongs to that entry, not to what is held."""
        return self.entry is not None and self.entry.is_open and self.entry.filled == 0

    @property
    def holds_back(self) -> bool:
        """Accepted, and held for a reason that may keep it from triggering.

        A stop that waits for its price is PreSubmitted at IB, with "trigger" as the reason where it gives one: that is protection. Inactive
        is none: shares to locate, a precaution, or a refusal whose code has not come.
        """
        harmless = {"trigger", "child"} if self.entry is not None else {"trigger"}
        reasons = {reason.strip().lower() for reason in self.why_held.split(",")} - {""}
        return self.status in WORKING and (self.broker_word == "Inactive" or bool(reasons - harmless))

    def remaining(self, *, at_most: bool) -> Decimal:
        """What is left to fill, where a change under way may be true already or not: the greater reading, or the smaller."""
        readings = [self.quantity, self.asked.quantity if self.asked is not None else self.quantity]
        return max((max(readings) if at_most else min(readings)) - self.filled, NONE)


@dataclass(frozen=True)
class Holding:
    """A position of one account in one contract (signed), with the open orders of the contract.

    `ended` are the members that have ended of groups that still have an open one. `market` is the newest price, where it is fresh.
    `session_end` is when a DAY order ends, `late_end` when one does that works outside regular hours too.
    """

    quantity: Decimal
    orders: tuple[Standing, ...] = ()
    ended: tuple[Standing, ...] = ()
    market: Decimal | None = None
    session_end: datetime | None = None
    late_end: datetime | None = None

    @property
    def size(self) -> Decimal:
        return abs(self.quantity)

    @property
    def way_out(self) -> Side:
        """The side that takes from the position."""
        return Side.SELL if self.quantity > 0 else Side.BUY

    @property
    def leaving(self) -> list[Standing]:
        return [order for order in self.orders if self.quantity and order.side is self.way_out]

    def is_exit(self, order: Standing) -> bool:
        """An order that is there to close what is held.

        By its role, or a stop on the way out of a position, whoever placed it. Without a position a plain stop is somebody's entry; a
        closing order that was not sent yet takes its quantity when it goes.
        """
        if order.is_close:
            return order.status is not OrderStatus.PENDING
        if order.role in EXITS:
            return True
        return bool(self.quantity) and order.is_stop and order.side is self.way_out

    def groups(self, orders: Iterable[Standing]) -> dict[str, list[Standing]]:
        found: dict[str, list[Standing]] = defaultdict(list)
        for order in orders:
            found[order.kin].append(order)
        return found

    def members(self, order: Standing) -> list[Standing]:
        """The order and those that it shuts out, ended ones too."""
        return [other for other in (*self.orders, *self.ended) if other.kin == order.kin]

    def reach(self, order: Standing, *, at_most: bool = False) -> Decimal:
        """How much of a position the order may still close."""
        left = order.remaining(at_most=at_most)
        return left if order.entry is None or not order.entry.is_open else min(left, self._given_by(order.entry))

    def _given_by(self, entry: Entry) -> Decimal:
        """What an entry that is still filling gives its exits, all of them: what it has filled, without what they have exited."""
        exits = [order for order in (*self.orders, *self.ended) if order.entry is not None and order.entry.name == entry.name]
        return max(entry.filled - sum((order.filled for order in exits), NONE), NONE)

    def total(self, orders: Iterable[Standing], *, at_most: bool = False) -> Decimal:
        """What these orders may close together: of each group the largest, and of the groups of an entry that fills what it gives."""
        free, filling = NONE, dict[Entry, Decimal]()
        for group in self.groups(orders).values():
            most = max(self.reach(order, at_most=at_most) for order in group)
            entry = group[0].entry
            if entry is None or not entry.is_open:
                free += most
            else:
                filling[entry] = filling.get(entry, NONE) + most
        return free + sum((min(most, self._given_by(entry)) for entry, most in filling.items()), NONE)
