"""The words that the simulated exchange and its wire sessions share.

Plain frozen values: no IO, no clock. The exchange takes `OrderRequest`s and answers with `Event`s; a session turns frames into the
one and the other into frames. Prices and quantities are `Decimal`; times are aware UTC datetimes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True)
class Instrument:
    """One tradable contract of the universe, with what a contract-details answer tells about it."""

    con_id: int
    symbol: str
    sec_type: str  # STK, FUT, CASH, OPT
    exchange: str  # where an order is routed: SMART, CME, IDEALPRO ...
    primary_exchange: str
    currency: str
    local_symbol: str
    trading_class: str
    long_name: str
    market_name: str
    reference_price: Decimal  # where the seeded walk starts
    market_rule_id: int
    multiplier: Decimal = Decimal(1)
    expiry: str = ""  # YYYYMMDD
    strike: Decimal = Decimal(0)
    right: str = ""  # C, P or ""
    under_con_id: int = 0
    under_symbol: str = ""
    stock_type: str = ""  # COMMON, ETF or ""
    min_size: Decimal = Decimal(1)
    size_increment: Decimal = Decimal(1)
    order_types: str = "LMT,MKT,STP,STPLMT"  # types, times in force and attributes in IB's spelling
    time_zone: str = "US/Eastern"
    industry: str = ""
    volatility: Decimal = Decimal("0.0002")  # standard deviation of one step of the walk, as a fraction of the price


@dataclass(frozen=True)
class OrderRequest:
    """What a client asks for with placeOrder, in our words; `wire` keeps every other field of the frame, by its IB name, to echo."""

    client_id: int
    order_id: int
    con_id: int
    account: str
    action: str  # BUY or SELL
    quantity: Decimal
    order_type: str  # a key of order_types.KINDS
    limit_price: Decimal | None
    aux_price: Decimal | None  # the trigger; of a trailing stop its distance
    tif: str  # one of order_types.TIMES_IN_FORCE ("" is sent as DAY)
    order_ref: str = ""
    oca_group: str = ""
    oca_type: int = 0
    parent_id: int = 0
    transmit: bool = True
    outside_rth: bool = False
    wire: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class OrderState:
    """An order as the exchange holds it at one moment: enough for one openOrder and one orderStatus frame."""

    request: OrderRequest  # the terms now in force
    perm_id: int
    status: str  # PreSubmitted, Submitted, PendingCancel, Cancelled, Filled, Inactive
    filled: Decimal
    remaining: Decimal
    average_price: Decimal
    last_price: Decimal
    why_held: str  # "", "child", "trigger"
    placed_at: datetime
    commission: Decimal | None = None
    completed_at: datetime | None = None
    completed_status: str = ""  # "Filled Size: 100", "Cancelled by Trader", "Rejected ..."
    parent_perm_id: int = 0


@dataclass(frozen=True)
class Fill:
    """One execution. A correction has the same `exec_id` but for the digits after its last dot."""

    exec_id: str
    time: datetime
    client_id: int
    order_id: int
    perm_id: int
    con_id: int
    account: str
    exchange: str
    side: str  # BOT or SLD
    shares: Decimal
    price: Decimal
    cum_quantity: Decimal
    average_price: Decimal
    order_ref: str
    liquidity: int  # 1 added, 2 removed, 3 routed out


# --- what the exchange answers ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OrderChanged:
    """An order was accepted, changed terms or changed status. `echo` is True where the gateway also repeats openOrder."""

    order: OrderState
    echo: bool = True


@dataclass(frozen=True)
class Executed:
    fill: Fill


@dataclass(frozen=True)
class Corrected:
    """An execution that stands in the place of an earlier revision; shares 0 is a bust."""

    fill: Fill
    replaces: str


@dataclass(frozen=True)
class CommissionCharged:
    """Commission of one execution, in the contract's currency; realized P&L is None where the fill opened a position."""

    exec_id: str
    client_id: int
    account: str
    commission: Decimal
    currency: str
    realized_pnl: Decimal | None


@dataclass(frozen=True)
class Refused:
    """An error message for one order or request of one client: (code, text) as IB words it."""

    client_id: int
    order_id: int
    code: int
    text: str


@dataclass(frozen=True)
class Warned:
    """A message about an order that was taken all the same (codes 2100 to 2199)."""

    client_id: int
    order_id: int
    code: int
    text: str


@dataclass(frozen=True)
class AuctionHeld:
    """An auction has taken place: orders on open or on close were executed at `price` or have ended. For the ledger."""

    con_id: int
    which: str  # open or close
    price: Decimal


@dataclass(frozen=True)
class PositionChanged:
    account: str
    con_id: int
    quantity: Decimal
    average_cost: Decimal  # of one unit of the position, multiplied by the multiplier, commissions included
    realized_pnl: Decimal


@dataclass(frozen=True)
class QuoteChanged:
    con_id: int
    bid: Decimal
    ask: Decimal
    last: Decimal
    bid_size: Decimal
    ask_size: Decimal
    last_size: Decimal
    volume: Decimal
    at: datetime


@dataclass(frozen=True)
class WhatIf:
    """The credit check of an order that is not placed: margins before, change, after; commission."""

    init_before: Decimal
    init_change: Decimal
    init_after: Decimal
    maint_before: Decimal
    maint_change: Decimal
    maint_after: Decimal
    equity_before: Decimal
    equity_change: Decimal
    equity_after: Decimal
    commission: Decimal
    currency: str
    warning: str = ""


@dataclass(frozen=True)
class PositionMoved:
    """A position was set by hand (transfer, split, assignment): no execution explains it. For the ledger; clients hear PositionChanged."""

    account: str
    con_id: int
    quantity: Decimal
    previous: Decimal


Event = (
    OrderChanged
    | Executed
    | Corrected
    | CommissionCharged
    | Refused
    | Warned
    | AuctionHeld
    | PositionChanged
    | PositionMoved
    | QuoteChanged
)


# --- what it answers about the past ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bar:
    """One bar of trade prices; `start` is the bar's first moment."""

    start: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    average: Decimal
    trades: int
