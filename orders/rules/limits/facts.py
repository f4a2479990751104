"""What a judgement rests on: the order as it would stand, the facts that were read for it, and what a rule reads from both.

The rule it keeps: what is not known is None, and never zero. Amounts are in the account's base currency unless their name says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

from orders.rules.hours import Hours
from orders.rules.limit_table import Rule
from orders.rules.limits.exposed import Exposed, Line
from orders.rules.terms import OrderTerms, Role, Side

ZERO = Decimal(0)


@dataclass(frozen=True)
class Market:
    """The newest quote, as old as it is. Prices that are absent, zero or negative are None (IB sends -1 for "none")."""

    bid: Decimal | None
    ask: Decimal | None
    last: Decimal | None
    age_seconds: Decimal
    delayed: bool = False

    def touch(self, side: Side) -> Decimal | None:
        """What an order of this side would trade at now."""
        return self.ask if side is Side.BUY else self.bid

    @property
    def is_sound(self) -> bool:
        return self.bid is None or self.ask is None or self.bid <= self.ask

    @property
    def price(self) -> Decimal | None:
        """Where the market is: the last price, held between bid and ask, because a last price may be old in a fast market."""
        price = self.last if self.last is not None else self.bid or self.ask
        if price is None:
            return None
        if self.ask is not None and price > self.ask:
            price = self.ask
        if self.bid is not None and price < self.bid:
            price = self.bid
        return price

    @property
    def spread(self) -> Decimal | None:
        """Ask less bid as a fraction of their middle; None where one of them is missing."""
        if self.bid is None or self.ask is None:
            return None
        return (self.ask - self.bid) * 2 / (self.ask + self.bid)


@dataclass(frozen=True)
class Proposal:
    """One order as it would stand after the request."""

    terms: OrderTerms
    role: Role = Role.SINGLE
    reduces: bool = False  # proven: with all other exits it takes no more than the position (or its own entry) gives
    waits: bool = False  # an exit whose entry does not trade at once, or an order for later: today's market says nothing about it
    exceeds: bool = False  # an exit that takes more than the position gives: it would open the reverse one
    is_change: bool = False  # of an order that is counted already
    accepted: bool = False  # judged again before it is sent
    confirm_duplicate: bool = False
    filled: Decimal = ZERO  # of the order that is changed
    before: OrderTerms | None = None  # its terms as they stand
    shrinks: bool = False  # a change that only takes a part of it back, which is a cancel of that part
    is_nothing: bool = False  # no order at all: how things stand without one

    @property
    def adds(self) -> Decimal:
        """Signed: what it may still add to the position."""
        return ZERO if self.is_nothing else (self.terms.quantity - self.filled) * self.terms.side.sign

    @property
    def stands(self) -> Decimal:
        """Signed: what the order that is changed may add as it is."""
        return ZERO if self.before is None else (self.before.quantity - self.filled) * self.before.side.sign


@dataclass(frozen=True)
class Purse:
    """What the account is worth and what it made. Values that are too old to be relied on are None here."""

    net_liquidation: Decimal | None = None
    buying_power: Decimal | None = None
    unsent: Decimal | None = ZERO  # worth of opening orders that the buying power does not count yet
    week_pnl: Decimal | None = None  # the days of this week, today included

    def began_with(self, pnl: Decimal | None) -> Decimal | None:
        """Net liquidation before a result: what a loss is a fraction of."""
        return None if self.net_liquidation is None or pnl is None else self.net_liquidation - pnl


@dataclass(frozen=True)
class Risk:
    """What a stopped-out entry loses, in the contract's currency. `before`: as it stands, where it is changed."""

    has_stop: bool = False
    amount: Decimal | None = None
    before: Decimal | None = None


@dataclass(frozen=True)
class Traffic:
    """Messages to the broker."""

    recent: int = 0  # orders and changes of the user in the last minute, without those that are judged
    messages: int = 0  # orders, changes and cancels of the account today, without those that are judged
    executions: int = 0  # of the account today
    judged: int = 1  # how many are judged together


@dataclass(frozen=True)
class InstrumentWord:
    """One row of what may be traded: `allows`, or else restricts, a symbol, a kind, or both. `whose`: desk, account or user."""

    allows: bool
    whose: str
    symbol: str = ""
    sec_type: str = ""
    note: str = ""

    def names(self, symbol: str, sec_type: str) -> bool:
        return self.symbol in ("", symbol) and self.sec_type in ("", sec_type)


@dataclass(frozen=True)
class Facts:
    """What is known when the request is judged, read under the book's lock."""

    multiplier: Decimal
    exchange_rate: Decimal | None  # base currency per unit of the contract's currency
    market: Market | None
    position: Decimal = ZERO  # signed
    working: Decimal = ZERO  # what other open orders of this side may still trade
    opposite: Decimal = ZERO  # the same of the other side
    open_orders: int = 0  # other open orders of this contract, side and account
    user_orders: int = 0  # other open orders of the user
    duplicate_age_seconds: Decimal | None = None  # of the newest same order by the same user
    daily_pnl: Decimal | None = None
    is_live_book: bool = False
    symbol: str = ""
    sec_type: str = ""
    strike: Decimal = ZERO
    purse: Purse = field(default_factory=Purse)
    rest: Exposed = field(default_factory=Exposed)  # of all other contracts of the account
    resting: Decimal | None = None  # the best price of the desk's own limit orders on the other side
    risk: Risk = field(default_factory=Risk)
    traffic: Traffic = field(default_factory=Traffic)
    instruments: tuple[InstrumentWord, ...] = ()
    hours: Hours | None = None  # of the contract, as the order counts them; None: not known

    def line(self, price: Decimal | None, side: Side, adds: Decimal) -> Line:
        """The contract's own part of the exposure, with an order of this side that adds so much (signed)."""
        buys, sells = (self.working, self.opposite) if side is Side.BUY else (self.opposite, self.working)
        rate = self.exchange_rate
        return Line(
            position=self.position,
            buys=buys + max(adds, ZERO),
            sells=sells + max(-adds, ZERO),
            worth=None if price is None or rate is None else price * self.multiplier * rate,
            strike_worth=ZERO if rate is None else self.strike * self.multiplier * rate,
        )


@dataclass(frozen=True)
class Breach:
    code: str
    message: str
    limit: Decimal | None = None
    actual: Decimal | None = None
    field: str = ""


@dataclass(frozen=True)
class Reading:
    """What a rule read: its limit, what stands against it (None: not known), and, where it is broken, the sentence of the refusal.

    `warns`: a sentence that is shown and refuses nothing.
    """

    code: str
    limit: Decimal | None = None
    actual: Decimal | None = None
    broken: str = ""
    field: str = ""
    warns: str = ""

    @property
    def breach(self) -> Breach | None:
        return Breach(self.code, self.broken, self.limit, self.actual, self.field) if self.broken else None


@dataclass(frozen=True)
class Case:
    """One order before its judge."""

    request: Proposal
    facts: Facts
    limits: Mapping[str, Decimal]

    @property
    def terms(self) -> OrderTerms:
        return self.request.terms

    @cached_property
    def market(self) -> Market | None:
        return fresh_market(self.facts, self.limits)


def fresh_market(facts: Facts, limits: Mapping[str, Decimal]) -> Market | None:
    """The quote, where it may be relied on: young enough, not crossed, and on a live book not a delayed one unless that is allowed."""
    market = facts.market
    if market is None or not market.is_sound or market.age_seconds > limits[Rule.QUOTE_SECONDS]:
        return None
    if market.delayed and facts.is_live_book and limits[Rule.DELAYED_QUOTES] < 1:
        return None
    return market
