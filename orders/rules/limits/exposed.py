"""What open orders may still do to a position, and what an account is exposed to if they all do it.

The rule it keeps: what cannot be told apart counts fully, so that the answer is never too small. Of the members of one OCA group only one
can fill, so they count once; the groups of one entry add up, to no more than the entry has filled.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from orders.rules.lifecycle import OrderStatus
from orders.rules.terms import Role, Side

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Open:
    """One open order, as far as it matters to others. Numbers are primary keys."""

    pk: int
    account: int
    contract: int
    side: Side
    quantity: Decimal  # the larger one of what stands and what a change asks for
    filled: Decimal
    status: OrderStatus
    role: Role
    order_type: str
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None  # of a trailing stop: where it stands now
    user: int | None = None
    unit: str = ""
    sent_at: datetime | None = None
    group: int | None = None  # OCA
    parent: int | None = None
    parent_is_open: bool = False  # or was cancelled before it filled anything: either way its exits get no more than it has filled
    parent_filled: Decimal = ZERO

    @property
    def remaining(self) -> Decimal:
        return max(self.quantity - self.filled, ZERO)

    @property
    def waits_for_entry(self) -> bool:
        return self.parent is not None and self.parent_is_open and self.parent_filled == 0


def may_trade(orders: Iterable[Open]) -> Decimal:
    """The quantity that these open orders of one side, contract and account may still trade together."""
    groups: defaultdict[tuple[int | None, int], Decimal] = defaultdict(Decimal)  # (entry, group): the largest of its members
    entries: dict[int, Decimal | None] = {}  # entry: the most that its exits may trade
    for order in orders:
        if order.parent is None and order.group is None:
            key = (None, -order.pk)
        else:
            key = (order.parent, order.group or 0)
        groups[key] = max(groups[key], order.remaining)
        if order.parent is not None:
            entries[order.parent] = order.parent_filled if order.parent_is_open else None
    total = sum((quantity for (entry, _), quantity in groups.items() if entry is None), ZERO)
    for entry, most in entries.items():
        exits = sum((quantity for (parent, _), quantity in groups.items() if parent == entry), ZERO)
        total += exits if most is None else min(exits, most)
    return total


@dataclass(frozen=True)
class Line:
    """One contract of an account: what is held, what may be bought and sold besides, and what one unit is worth in the base currency."""

    position: Decimal
    buys: Decimal
    sells: Decimal
    worth: Decimal | None
    strike_worth: Decimal = ZERO  # of an option: a short one may have to be honoured at its strike

    @property
    def is_idle(self) -> bool:
        return self.position == 0 and self.buys == 0 and self.sells == 0

    @property
    def longest(self) -> Decimal:
        return self.position + self.buys

    @property
    def shortest(self) -> Decimal:
        return self.position - self.sells

    @property
    def gross(self) -> Decimal:
        """The worth of the larger of what it may become, long or short; to be asked where the worth is known."""
        assert self.worth is not None
        long, short = max(self.longest, ZERO), max(-self.shortest, ZERO)
        return max(long * self.worth, short * max(self.worth, self.strike_worth))


@dataclass(frozen=True)
class Exposed:
    """What many contracts of an account come to. `unknown` names one that cannot be weighed; then no figure means anything."""

    gross: Decimal = ZERO
    longest: Decimal = ZERO  # signed, everything that may be bought bought
    shortest: Decimal = ZERO  # signed, everything that may be sold sold
    name: Decimal = ZERO  # gross, of those with the symbol in question
    unknown: str = ""

    @property
    def net(self) -> Decimal:
        return max(abs(self.longest), abs(self.shortest))

    def plus(self, line: Line, label: str, *, same_name: bool) -> Exposed:
        if line.is_idle:
            return self
        if line.worth is None:
            return Exposed(self.gross, self.longest, self.shortest, self.name, self.unknown or label or "a contract")
        return Exposed(
            gross=self.gross + line.gross,
            longest=self.longest + line.longest * line.worth,
            shortest=self.shortest + line.shortest * line.worth,
            name=self.name + (line.gross if same_name else ZERO),
            unknown=self.unknown,
        )
