"""Executions matched into round trips, first in first out, and what a series of results adds up to. Pure.

The rule it keeps: quantity and profit are conserved, and what the book did not see makes no trade. Quantity that was held before is a lot
without a price, ahead of all others; what came or went without an execution opens or closes lots at its time. A closing of which one end
was not seen is left out, and counted as left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

from orders.rules.terms import Side

ZERO = Decimal(0)
_GRAIN = Decimal("0.00000001")  # a share of a commission has the decimals of a money column


@dataclass(frozen=True)
class Fill:
    """One execution that counts. `order` names the order it belongs to; `costs` are in the contract's currency, None where not told."""

    side: Side
    quantity: Decimal
    price: Decimal
    at: datetime
    order: str
    costs: Decimal | None = ZERO


@dataclass(frozen=True)
class Unseen:
    """A change of the position that no execution explains, signed, at the time at which a person recorded it."""

    quantity: Decimal
    at: datetime


@dataclass(frozen=True)
class RoundTrip:
    """What one order opened and another one closed; `side` is that of the entry. Amounts in the contract's currency.

    Orders that fill in parts make one round trip and not many: statistics count decisions, not prints. Times are those of the first
    execution of the entry and of the last one of the exit that belong to it.
    """

    side: Side
    quantity: Decimal
    entry_at: datetime
    exit_at: datetime
    entry_worth: Decimal  # quantity times price, summed
    exit_worth: Decimal
    multiplier: Decimal = Decimal(1)
    costs: Decimal = ZERO
    costs_known: bool = True  # False: an execution in it has no commission report, and counts as having cost nothing

    @property
    def entry_price(self) -> Decimal:
        """The average price of the entry."""
        return self.entry_worth / self.quantity

    @property
    def exit_price(self) -> Decimal:
        return self.exit_worth / self.quantity

    @property
    def gross(self) -> Decimal:
        return (self.exit_worth - self.entry_worth) * self.multiplier * self.side.sign

    @property
    def net(self) -> Decimal:
        return self.gross - self.costs


@dataclass(frozen=True)
class Matched:
    """What the executions of one account and contract come to."""

    trips: tuple[RoundTrip, ...]  # by the time of the exit
    open_quantity: Decimal  # signed: what is still held, by the executions and what came without them
    left_out: int = 0  # closings of which, in part at least, one end was not seen
    left_out_quantity: Decimal = ZERO


def round_trips(
    fills: Iterable[Fill], *, opening: Decimal = ZERO, adjustments: Sequence[Unseen] = (), multiplier: Decimal = Decimal(1)
) -> Matched:
    """Matches the fills, given in the order in which they happened.

    `opening` is signed: what was held before the first of them. `adjustments`, by time: what changed since and no execution explains.
    """
    matching, waiting = _Matching(opening), deque(adjustments)
    for fill in fills:
        while waiting and waiting[0].at <= fill.at:
            matching.adjust(waiting.popleft().quantity)
        if fill.quantity > 0:  # an execution that was busted counts with no quantity
            matching.take(_Lot.of(fill))
    for unseen in waiting:
        matching.adjust(unseen.quantity)
    trips = sorted((trip.finished(multiplier) for trip in matching.trips.values()), key=lambda trip: trip.exit_at)
    held = sum((lot.left * lot.side.sign for lot in matching.lots), ZERO)
    return Matched(tuple(trips), held, matching.left_out, matching.left_out_quantity)


@dataclass
class _Lot:
    """Quantity on its way from its execution to what closes it. Without a fill: it was not seen."""

    side: Side
    left: Decimal
    fill: Fill | None = None
    costs_left: Decimal = ZERO

    @classmethod
    def of(cls, fill: Fill) -> _Lot:
        return cls(fill.side, fill.quantity, fill, fill.costs or ZERO)

    def give(self, quantity: Decimal) -> Decimal:
        """Takes so much out of the lot and returns its share of the costs; the last part takes what is left, so that nothing is lost."""
        share = self.costs_left
        if quantity != self.left:
            share = (self.costs_left * quantity / self.left).quantize(_GRAIN, ROUND_HALF_EVEN)
        self.left -= quantity
        self.costs_left -= share
        return share


@dataclass
class _Growing:
    """A round trip while its parts are added up."""

    side: Side
    entry_at: datetime
    exit_at: datetime
    quantity: Decimal = ZERO
    entry_worth: Decimal = ZERO
    exit_worth: Decimal = ZERO
    costs: Decimal = ZERO
    costs_known: bool = True

    def add(self, entry: Fill, leaving: Fill, quantity: Decimal, costs: Decimal) -> None:
        self.entry_at, self.exit_at = min(self.entry_at, entry.at), max(self.exit_at, leaving.at)
        self.quantity += quantity
        self.entry_worth += quantity * entry.price
        self.exit_worth += quantity * leaving.price
        self.costs += costs
        self.costs_known = self.costs_known and entry.costs is not None and leaving.costs is not None

    def finished(self, multiplier: Decimal) -> RoundTrip:
        return RoundTrip(multiplier=multiplier, **vars(self))


@dataclass
class _Matching:
    """Open lots, oldest first, all of one side; what was held before any execution stands before them."""

    opening: Decimal
    lots: deque[_Lot] = field(default_factory=deque)
    trips: dict[tuple[str, str], _Growing] = field(default_factory=dict)
    left_out: int = 0
    left_out_quantity: Decimal = ZERO

    def __post_init__(self) -> None:
        self.adjust(self.opening)

    def adjust(self, quantity: Decimal) -> None:
        """Takes what was not seen, signed."""
        if quantity:
            self.take(_Lot(Side.BUY if quantity > 0 else Side.SELL, abs(quantity)))

    def take(self, coming: _Lot) -> None:
        """Closes lots of the other side, oldest first; what is left over opens one: an execution that turns a position is split in two."""
        half_seen = ZERO
        while coming.left and self.lots and self.lots[0].side is not coming.side:
            lot = self.lots[0]
            quantity = min(lot.left, coming.left)
            costs = lot.give(quantity) + coming.give(quantity)
            if lot.fill is not None and coming.fill is not None:
                self._close(lot.fill, coming.fill, quantity, costs)
            elif lot.fill is not None or coming.fill is not None:
                half_seen += quantity
            if not lot.left:
                self.lots.popleft()
        if coming.left:
            self.lots.append(coming)
        self.left_out += 1 if half_seen else 0
        self.left_out_quantity += half_seen

    def _close(self, entry: Fill, leaving: Fill, quantity: Decimal, costs: Decimal) -> None:
        key = (entry.order, leaving.order)
        if key not in self.trips:
            self.trips[key] = _Growing(entry.side, entry.at, leaving.at)
        self.trips[key].add(entry, leaving, quantity, costs)


@dataclass(frozen=True)
class Statistics:
    """What a series of results comes to. A result of zero is neither a win nor a loss, and is counted all the same."""

    number: int = 0
    wins: int = 0
    losses: int = 0
    won: Decimal = ZERO
    lost: Decimal = ZERO  # as a positive amount

    @property
    def total(self) -> Decimal:
        return self.won - self.lost

    @property
    def win_rate(self) -> Decimal | None:
        """The part of all results that are wins, between 0 and 1; None where there are none."""
        return Decimal(self.wins) / self.number if self.number else None

    @property
    def average_win(self) -> Decimal | None:
        return self.won / self.wins if self.wins else None

    @property
    def average_loss(self) -> Decimal | None:
        """As a positive amount."""
        return self.lost / self.losses if self.losses else None

    @property
    def payoff(self) -> Decimal | None:
        """Average win by average loss; None where there is no loss to divide by. Zero without a win."""
        return (self.average_win or ZERO) / self.average_loss if self.average_loss else None

    @property
    def kelly(self) -> Decimal | None:
        """Kelly's f = W − (1 − W) / R; None without a win (it goes to minus infinity) or without a loss (there is no payoff)."""
        return self.win_rate - (1 - self.win_rate) / self.payoff if self.win_rate is not None and self.payoff else None

    @property
    def profit_factor(self) -> Decimal | None:
        """All that was won by all that was lost."""
        return self.won / self.lost if self.lost else None

    @property
    def expectancy(self) -> Decimal | None:
        """What one trade brought on average."""
        return self.total / self.number if self.number else None


def statistics(results: Sequence[Decimal]) -> Statistics:
    """The statistics of results in one currency."""
    wins = [result for result in results if result > 0]
    losses = [-result for result in results if result < 0]
    return Statistics(len(results), len(wins), len(losses), sum(wins, ZERO), sum(losses, ZERO))
