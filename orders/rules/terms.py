"""The words of an order, as FIX and IB use them. Values are IB's own words where IB has one, so that a person reads one language.

Nothing here knows Django, the wire or the time of day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any

MAX_SIGNIFICANT_DIGITS = 15
"""SQLite keeps a decimal as a double, exact to 15 significant digits; what has more is refused where it enters."""


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        """+1 for what adds to a position, -1 for what takes from it."""
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    """IB's order types. Market and limit on open are MKT and LMT with time in force OPG, as IB has them."""

    MARKET = "MKT"
    LIMIT = "LMT"
    STOP = "STP"
    STOP_LIMIT = "STP LMT"
    TRAIL = "TRAIL"
    TRAIL_LIMIT = "TRAIL LIMIT"
    MARKET_IF_TOUCHED = "MIT"
    LIMIT_IF_TOUCHED = "LIT"
    MARKET_ON_CLOSE = "MOC"
    LIMIT_ON_CLOSE = "LOC"

    @property
    def has_limit(self) -> bool:
        """Whether a limit price of its own belongs to it; that of a TRAIL LIMIT follows its stop at `limit_offset`."""
        return self in (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.LIMIT_IF_TOUCHED, OrderType.LIMIT_ON_CLOSE)

    @property
    def has_trigger(self) -> bool:
        """Whether it waits for a price that is given with it (`stop_price`, IB's auxPrice)."""
        return self in (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.MARKET_IF_TOUCHED, OrderType.LIMIT_IF_TOUCHED)

    @property
    def trails(self) -> bool:
        """Whether its stop follows the market; a `stop_price` given with it is where the stop begins (IB's trailStopPrice)."""
        return self in (OrderType.TRAIL, OrderType.TRAIL_LIMIT)

    @property
    def is_stop(self) -> bool:
        """Whether it is elected by a market that goes against the position: what protects one."""
        return self in (OrderType.STOP, OrderType.STOP_LIMIT) or self.trails

    @property
    def is_touch(self) -> bool:
        """Whether it is elected by a market that comes to it, where a stop is elected by one that runs away."""
        return self in (OrderType.MARKET_IF_TOUCHED, OrderType.LIMIT_IF_TOUCHED)

    @property
    def is_on_close(self) -> bool:
        return self in (OrderType.MARKET_ON_CLOSE, OrderType.LIMIT_ON_CLOSE)


class TimeInForce(StrEnum):
    DAY = "DAY"
    GTC = "GTC"
    GTD = "GTD"
    IOC = "IOC"
    FOK = "FOK"
    OPG = "OPG"

    @property
    def is_immediate(self) -> bool:
        """Whether what does not trade at once is cancelled."""
        return self in (TimeInForce.IOC, TimeInForce.FOK)


class TriggerMethod(IntEnum):
    """Which prices elect a stop (IB Order.triggerMethod; 5 and 6 do not exist)."""

    DEFAULT = 0
    DOUBLE_BID_ASK = 1
    LAST = 2
    DOUBLE_LAST = 3
    BID_ASK = 4
    LAST_OR_BID_ASK = 7
    MIDPOINT = 8


class AdaptivePriority(StrEnum):
    """How eager IB's Adaptive algo is (tag adaptivePriority); empty: no algo."""

    NONE = ""
    URGENT = "Urgent"
    NORMAL = "Normal"
    PATIENT = "Patient"


class OcaType(IntEnum):
    """What the first fill of a one-cancels-all group does to the other members (IB Order.OcaType)."""

    CANCEL_WITH_BLOCK = 1
    REDUCE_WITH_BLOCK = 2
    REDUCE_WITHOUT_BLOCK = 3


class Role(StrEnum):
    """What an order is for, within what the trader asked for."""

    SINGLE = "single"
    ENTRY = "entry"
    TAKE_PROFIT = "take profit"
    STOP_LOSS = "stop loss"
    TIME_STOP = "time stop"  # a market order that goes live at a moment, as one more exit
    CLOSE = "close"
    REVERSE = "reverse"  # closes the position and opens the opposite one
    LIQUIDATION = "liquidation"  # a close that a kill switch asked for: it goes although trading is halted
    EXTERNAL = "external"


EXITS = frozenset({Role.STOP_LOSS, Role.TAKE_PROFIT, Role.TIME_STOP})
"""The members of a pair of exits."""


class BookKind(StrEnum):
    """The kind of gateway a book is bound to at its first connect."""

    SIMULATED = "simulated"
    PAPER = "paper"
    LIVE = "live"


class GatewayState(StrEnum):
    DOWN = "DOWN"
    CONNECTING = "CONNECTING"
    RECONCILING = "RECONCILING"
    READY = "READY"
    DEGRADED = "DEGRADED"

    @property
    def may_place(self) -> bool:
        """New orders and changes go out only when the book and the broker are known to agree."""
        return self is GatewayState.READY

    @property
    def may_cancel(self) -> bool:
        return self in (GatewayState.READY, GatewayState.RECONCILING)


class CommandKind(StrEnum):
    PLACE = "PLACE"
    MODIFY = "MODIFY"
    CANCEL = "CANCEL"


class CommandState(StrEnum):
    PENDING = "PENDING"
    SENDING = "SENDING"
    SENT = "SENT"
    UNKNOWN = "UNKNOWN"
    CONFIRMED = "CONFIRMED"
    REFUSED = "REFUSED"
    WITHDRAWN = "WITHDRAWN"


OPEN_COMMANDS = frozenset({CommandState.PENDING, CommandState.SENDING, CommandState.SENT, CommandState.UNKNOWN})


class AccessLevel(StrEnum):
    VIEW = "view"
    TRADE = "trade"


@dataclass(frozen=True)
class OrderTerms:
    """What a trader says of one order. Prices in the contract's currency per unit; quantity in units (shares, contracts).

    Names are those of the columns of an order. What is None or false is not sent: the broker's own default holds.
    """

    side: Side
    order_type: OrderType
    quantity: Decimal
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    outside_rth: bool = False
    trail_amount: Decimal | None = None  # distance of a trailing stop from the market, as a price ...
    trail_percent: Decimal | None = None  # ... or in percent (2 is 2 %); never both
    limit_offset: Decimal | None = None  # distance of a TRAIL LIMIT's limit from its stop
    good_till: datetime | None = None  # when a GTD order ends
    good_after: datetime | None = None  # when the order goes live
    all_or_none: bool = False
    hidden: bool = False
    display_size: Decimal | None = None  # iceberg: how much of it the market sees
    trigger_method: TriggerMethod = TriggerMethod.DEFAULT
    adaptive: AdaptivePriority = AdaptivePriority.NONE

    def __post_init__(self) -> None:
        """Moments are whole seconds, as IB writes them: what comes back must equal what was sent."""
        for name in ("good_till", "good_after"):
            if (moment := getattr(self, name)) is not None:
                object.__setattr__(self, name, moment.replace(microsecond=0))


TERM_NAMES = tuple(field.name for field in fields(OrderTerms))
_DECIMALS = ("limit_price", "stop_price", "trail_amount", "trail_percent", "limit_offset", "display_size")
_MOMENTS = ("good_till", "good_after")
_ALWAYS = ("side", "order_type", "quantity", "limit_price", "stop_price", "time_in_force", "outside_rth")
_DEFAULTS = {field.name: field.default for field in fields(OrderTerms)}


def terms_to_json(terms: OrderTerms) -> dict[str, Any]:
    """Terms as a command row keeps them: words and decimals as text, an absent price as None, seldom used ones only where they are set."""
    return {name: _written(value) for name in TERM_NAMES if (value := getattr(terms, name)) != _DEFAULTS[name] or name in _ALWAYS}


def _written(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value.value if isinstance(value, Enum) else value


def terms_from_json(values: Mapping[str, Any]) -> OrderTerms:
    """The terms that `terms_to_json` wrote, or an order's columns as events carry them. Raises KeyError or ValueError for what is none."""
    decimals = {name: Decimal(values[name]) for name in _DECIMALS if values.get(name) is not None}
    moments = {name: datetime.fromisoformat(values[name]).astimezone(UTC) for name in _MOMENTS if values.get(name) is not None}
    return OrderTerms(
        side=Side(values["side"]),
        order_type=OrderType(values["order_type"]),
        quantity=Decimal(values["quantity"]),
        time_in_force=TimeInForce(values["time_in_force"]),
        outside_rth=bool(values.get("outside_rth")),
        all_or_none=bool(values.get("all_or_none")),
        hidden=bool(values.get("hidden")),
        trigger_method=TriggerMethod(values.get("trigger_method") or 0),
        adaptive=AdaptivePriority(values.get("adaptive") or ""),
        **decimals,
        **moments,
    )


def term_columns(terms: OrderTerms) -> dict[str, Any]:
    """The terms as an order's columns: each word as its value."""
    return {name: value.value if isinstance(value := getattr(terms, name), Enum) else value for name in TERM_NAMES}


def only_smaller(before: OrderTerms, after: OrderTerms) -> bool:
    """Whether the order would do less of what it does, at the prices that it has, and nothing else."""
    return after.quantity < before.quantity and replace(after, quantity=before.quantity) == before


def plain(value: Decimal) -> str:
    """The one spelling of a decimal: no exponent, no trailing zeros, no negative zero ("233.33", "100", "0")."""
    text = format(value.normalize(), "f")
    return "0" if text in ("-0", "") else text


def significant_digits(value: Decimal) -> int:
    return len(value.normalize().as_tuple().digits)
