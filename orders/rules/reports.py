"""What a broker may tell us: facts, in our words, with nothing decided yet.

Live messages and reconciliation make the same reports and enter the book by the same door. Floats and IB's unset numbers have
stopped before this file; an absent number is None. Times are aware UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from orders.rules.terms import GatewayState, OrderTerms, Side


class Meaning(StrEnum):
    """What an error code that names an order means for it (IB message codes; the table is the wire's)."""

    REJECTED = "rejected"  # a new order was refused: 201, 203, 110 before an acknowledgement ...
    CANCELLED = "cancelled"  # 202
    NOT_CHANGED = "not changed"  # a modify was refused, the order lives on with its old terms
    NOT_CANCELLABLE = "not cancellable"  # 161, 136, 10148: look again, conclude nothing
    NOT_FOUND = "not found"  # 135, 10147: look again, conclude nothing
    HELD = "held"  # 404 and its kind
    WARNING = "warning"  # shown, changes nothing
    UNCLEAR = "unclear"  # any other code: kept as evidence, the order is asked for again


class Question(StrEnum):
    """The parts of a snapshot; one that was not answered, or not decoded whole, is missing from `Snapshot.complete`."""

    OPEN_ORDERS = "open orders"
    COMPLETED_ORDERS = "completed orders"
    EXECUTIONS = "executions"
    POSITIONS = "positions"


@dataclass(frozen=True)
class OrderKey:
    """Every name the broker gave with a message. `client_order_id` (IB orderRef) first, then `perm_id`, then (client_id, ib_order_id)."""

    client_id: int | None = None
    ib_order_id: int = 0
    perm_id: int = 0
    client_order_id: str = ""


@dataclass(frozen=True)
class ContractFacts:
    """A contract as a message names it; detailed facts (long name, ticks, hours) come with `ContractDetailed`."""

    con_id: int
    symbol: str
    sec_type: str
    currency: str
    exchange: str = ""
    primary_exchange: str = ""
    local_symbol: str = ""
    trading_class: str = ""
    multiplier: Decimal = Decimal(1)
    expiry: str = ""
    strike: Decimal = Decimal(0)
    right: str = ""


# --- facts about orders: each makes an event --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OrderStatusReported:
    key: OrderKey
    word: str  # IB's status word, e.g. "Submitted"
    filled: Decimal
    remaining: Decimal
    average_price: Decimal | None = None
    why_held: str = ""


@dataclass(frozen=True)
class OpenOrderReported:
    key: OrderKey
    account: str
    contract: ContractFacts
    terms: OrderTerms | None  # None where the broker uses a type or time in force that we have no word for
    word: str
    type_word: str = ""  # IB's own order type and time in force, for orders placed elsewhere
    warning_text: str = ""
    oca_group: str = ""
    oca_type: int = 0
    parent_ib_order_id: int = 0
    side: Side | None = None  # side and quantity again, for terms that we have no word for
    quantity: Decimal | None = None


@dataclass(frozen=True)
class OrderCompleted:
    """A completedOrder: it carries no order id and no client id; match by client_order_id, then perm_id."""

    key: OrderKey
    account: str
    contract: ContractFacts
    terms: OrderTerms | None
    word: str
    completed_status: str
    completed_at: datetime | None
    filled_quantity: Decimal | None
    type_word: str = ""
    side: Side | None = None
    quantity: Decimal | None = None


@dataclass(frozen=True)
class OrderMessage:
    key: OrderKey
    code: int
    text: str
    meaning: Meaning


@dataclass(frozen=True)
class ExecutionReported:
    key: OrderKey
    exec_id: str
    account: str
    contract: ContractFacts
    side: Side
    quantity: Decimal
    price: Decimal
    executed_at: datetime
    exchange: str = ""
    liquidity: int = 0
    live: bool = True  # False where it came with an answer to reqExecutions


@dataclass(frozen=True)
class CommissionReported:
    exec_id: str
    amount: Decimal
    currency: str
    realized_pnl: Decimal | None = None


@dataclass(frozen=True)
class OrderAbsent:
    """A complete snapshot, taken at `taken_at`, does not know an order that we hold to be sent or working."""

    client_order_id: str
    taken_at: datetime


@dataclass(frozen=True)
class TermsUnchanged:
    """A snapshot, taken well after a change was sent, shows the order with its old terms."""

    client_order_id: str
    command_id: int
    taken_at: datetime


@dataclass(frozen=True)
class OrderDoubtful:
    """Sent, and nothing was heard in time or before the link was lost."""

    client_order_id: str
    reason: str


# --- facts about accounts ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AccountsReported:
    codes: tuple[str, ...]


@dataclass(frozen=True)
class PositionReported:
    account: str
    contract: ContractFacts
    quantity: Decimal
    average_cost: Decimal  # per unit times multiplier, commissions included, as IB reports it


@dataclass(frozen=True)
class PositionAbsent:
    """A complete list of positions does not have one that the book shows: it is flat."""

    account: str
    con_id: int


@dataclass(frozen=True)
class GatewayChanged:
    state: GatewayState
    reason: str = ""
    server_version: int | None = None
    latency_ms: int | None = None


Report = (
    OrderStatusReported
    | OpenOrderReported
    | OrderCompleted
    | OrderMessage
    | ExecutionReported
    | CommissionReported
    | OrderAbsent
    | TermsUnchanged
    | OrderDoubtful
    | AccountsReported
    | PositionReported
    | PositionAbsent
    | GatewayChanged
)


# --- values: upserted without an event, the newest wins ---------------------------------------------------------------------------


@dataclass(frozen=True)
class AccountValueReported:
    account: str
    name: str  # IB's key, e.g. "NetLiquidation"
    value: str
    currency: str = ""


@dataclass(frozen=True)
class PnlReported:
    account: str
    daily: Decimal | None
    unrealized: Decimal | None
    realized: Decimal | None


@dataclass(frozen=True)
class PositionPnlReported:
    account: str
    con_id: int
    daily: Decimal | None
    unrealized: Decimal | None
    realized: Decimal | None
    value: Decimal | None


@dataclass(frozen=True)
class QuoteReported:
    con_id: int
    at: datetime
    bid: Decimal | None = None
    ask: Decimal | None = None
    last: Decimal | None = None
    close: Decimal | None = None
    bid_size: Decimal | None = None
    ask_size: Decimal | None = None
    last_size: Decimal | None = None
    volume: Decimal | None = None
    delayed: bool = False


@dataclass(frozen=True)
class ContractDetailed:
    contract: ContractFacts
    long_name: str
    min_tick: Decimal
    order_types: tuple[str, ...]
    valid_exchanges: tuple[str, ...]
    market_rule_ids: tuple[int, ...]  # parallel to valid_exchanges
    min_size: Decimal = Decimal(1)
    size_increment: Decimal = Decimal(1)
    time_zone: str = ""
    trading_hours: str = ""
    liquid_hours: str = ""
    contract_month: str = ""
    stock_type: str = ""


@dataclass(frozen=True)
class MarketRuleReported:
    rule_id: int
    increments: tuple[tuple[Decimal, Decimal], ...]  # (low edge of the price band, tick), ascending


Value = AccountValueReported | PnlReported | PositionPnlReported | QuoteReported | ContractDetailed | MarketRuleReported


@dataclass(frozen=True)
class Snapshot:
    """What the broker said when asked for everything: the reports, and which questions were answered to their end."""

    taken_at: datetime
    client_id: int
    complete: frozenset[Question]
    reports: tuple[Report, ...] = field(default=())
    accounts: tuple[str, ...] = ()  # those of the login: what a list lacks of others proves nothing. None named: of all
