"""The words of position sizing: what is asked, what is known, and what comes of it.

The rule they keep: percents are percents (2 is 2 %), rates are what one unit of the contract's currency is worth in the account's base
currency, and what is not known is None, never zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

from orders.rules.pricing import PriceRule
from orders.rules.roundtrips import Statistics
from orders.rules.sizing.bars import ATR_BARS, Bar
from orders.rules.terms import Side
from orders.rules.tickets import TicketError


class Method(StrEnum):
    """How a size is found."""

    QUANTITY = "quantity"  # as it was typed
    CASH = "cash"  # for an amount of money
    NET_LIQUIDATION = "net liquidation"  # worth a percent of the account
    RISK = "risk"  # losing a percent of the account, or an amount, if the stop is hit
    ATR = "atr"  # the same, with a stop a multiple of the average true range away
    KELLY = "kelly"  # by a part of what Kelly's formula makes of the desk's own closed trades


class AmountIn(StrEnum):
    """The currency of a typed amount."""

    BASE = "base"  # of the account
    CONTRACT = "contract"  # the contract's


class Basis(StrEnum):
    """What Kelly's part of the account is: a bet is what a losing trade loses, so it is the risk to the stop unless said otherwise."""

    RISK = "risk"
    NOTIONAL = "notional"


ENOUGH_TRADES = 30
"""Fewer closed trades say nothing, as far as Kelly's formula is concerned."""


class SizingError(TicketError):
    """A size cannot be found. `field` is the field of the request, `rule` names what is missing or broken; nothing was computed."""

    def __init__(self, field: str, rule: str, message: str) -> None:
        super().__init__(field, message)
        self.rule = rule


@dataclass(frozen=True)
class SizingRequest:
    """What a trader asks. Each method reads its own fields; `entry_price` stands in for the market's where it is given."""

    method: Method
    side: Side
    entry_price: Decimal | None = None
    stop_price: Decimal | None = None
    quantity: Decimal | None = None  # QUANTITY
    amount: Decimal | None = None  # CASH, or RISK instead of a percent
    amount_in: AmountIn = AmountIn.BASE
    percent: Decimal | None = None  # of net liquidation: NET_LIQUIDATION, RISK, ATR
    atr_multiple: Decimal = Decimal(2)
    atr_bars: int = ATR_BARS
    kelly_fraction: Decimal = Decimal("0.25")  # of what the formula says; quarter Kelly
    kelly_cap: Decimal = Decimal(5)  # percent of net liquidation
    kelly_trades: int = ENOUGH_TRADES
    kelly_of: Basis = Basis.RISK


@dataclass(frozen=True)
class Caps:
    """What shrinks a size. Amounts in the base currency; None: no such cap."""

    max_quantity: Decimal | None = None
    max_notional: Decimal | None = None
    buying_power: Decimal | None = None


@dataclass(frozen=True)
class Note:
    """Something to be told beside a size. `code` names it for whoever decides by it."""

    code: str
    text: str


@dataclass(frozen=True)
class SizingFacts:
    """What is known of account, contract and record at the moment of asking."""

    currency: str  # the contract's
    base_currency: str
    multiplier: Decimal = Decimal(1)
    rate: Decimal | None = None  # base currency per unit of the contract's currency
    net_liquidation: Decimal | None = None  # in the base currency
    net_liquidation_age: timedelta | None = None
    min_size: Decimal = Decimal(1)
    size_increment: Decimal = Decimal(1)
    ticks: PriceRule | None = None
    market_price: Decimal | None = None  # what an order of this side would trade at now; None without a fresh quote
    bars: tuple[Bar, ...] | None = None  # daily, oldest first
    bars_missing: str = ""  # why there are none, as the message of a field
    trades: Statistics | None = None  # of closed trades, net, in the base currency
    trades_of: str = ""  # whose or which, in words
    caps: Caps = Caps()
    notes: tuple[Note, ...] = ()  # to be told with any size that rests on these facts


@dataclass(frozen=True)
class Line:
    """One step of the arithmetic: "Budget", "1 % of 100,000.00 USD", "1,000.00 USD"."""

    label: str
    expression: str
    result: str


@dataclass(frozen=True)
class Sizing:
    """A size with its arithmetic. Quantity zero: `why_zero` says what it would take; amounts are exact, None where a fact is missing."""

    method: Method
    quantity: Decimal
    lines: tuple[Line, ...]
    price: Decimal | None
    stop_price: Decimal | None  # that the risk is counted to: the one asked for, or the one that is suggested
    suggests_stop: bool
    notional: Decimal | None  # in the contract's currency
    notional_base: Decimal | None
    risk: Decimal | None  # lost at the stop, in the contract's currency
    risk_base: Decimal | None
    risk_percent: Decimal | None  # of net liquidation
    warnings: tuple[Note, ...] = ()
    why_zero: str = ""
