"""The words of an order, as FIX and IB use them. Values are IB's own words where IB has one, so that a person reads one language.

Nothing here knows Django, the wire or the time of day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum, StrEnum
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
    MARKET = "MKT"
    LIMIT = "LMT"
    STOP = "STP"
    STOP_LIMIT = "STP LMT"

    @property
    def has_limit(self) -> bool:
        return self in (OrderType.LIMIT, OrderType.STOP_LIMIT)

    @property
    def has_stop(self) -> bool:
        return self in (OrderType.STOP, OrderType.STOP_LIMIT)


class TimeInForce(StrEnum):
    DAY = "DAY"
    GTC = "GTC"


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
    CLOSE = "close"
    EXTERNAL = "external"


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
    """What may be changed of an order while it lives. Prices in the contract's currency per unit; quantity in units (shares, contracts)."""

    side: Side
    order_type: OrderType
    quantity: Decimal
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    outside_rth: bool = False


def terms_to_json(terms: OrderTerms) -> dict[str, str | bool | None]:
    """Terms as a command row keeps them: words and decimals as text, an absent price as None."""
    return {
        "side": terms.side.value,
        "order_type": terms.order_type.value,
        "quantity": plain(terms.quantity),
        "limit_price": None if terms.limit_price is None else plain(terms.limit_price),
        "stop_price": None if terms.stop_price is None else plain(terms.stop_price),
        "time_in_force": terms.time_in_force.value,
        "outside_rth": terms.outside_rth,
    }


def terms_from_json(values: Mapping[str, Any]) -> OrderTerms:
    """The terms that `terms_to_json` wrote."""
    limit_price, stop_price = values["limit_price"], values["stop_price"]
    return OrderTerms(
        side=Side(values["side"]),
        order_type=OrderType(values["order_type"]),
        quantity=Decimal(values["quantity"]),
        limit_price=None if limit_price is None else Decimal(limit_price),
        stop_price=None if stop_price is None else Decimal(stop_price),
        time_in_force=TimeInForce(values["time_in_force"]),
        outside_rth=values["outside_rth"],
    )


def plain(value: Decimal) -> str:
    """The one spelling of a decimal: no exponent, no trailing zeros, no negative zero ("233.33", "100", "0")."""
    text = format(value.normalize(), "f")
    return "0" if text in ("-0", "") else text


def significant_digits(value: Decimal) -> int:
    return len(value.normalize().as_tuple().digits)
