"""Where a trailing stop stands: at its distance from the market, and never further away from it than it was.

Pure. The distance is an amount (auxPrice) or a percentage of the market price (trailingPercent). A stop is rounded to the price ladder
away from the market, so that it is never closer than was asked for. The limit of a TRAIL LIMIT follows its stop: below it for a sale,
above it for a purchase.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from broker.simulator.model import Instrument, OrderRequest
from broker.simulator.universe import increment_at

NOT_A_NUMBER = Decimal("NaN")


def number_in(request: OrderRequest, name: str) -> Decimal | None:
    """A number among the other fields of the frame; None where it is not set, NaN where it is no number."""
    text = request.wire.get(name, "")
    if not text:
        return None
    try:
        number = Decimal(text)
    except ArithmeticError:
        return NOT_A_NUMBER
    return number if number.is_finite() else NOT_A_NUMBER


def moved_stop(request: OrderRequest, instrument: Instrument, market: Decimal, stop: Decimal | None) -> Decimal:
    """The stop for this market price, where it has been at `stop` so far (None: nowhere yet)."""
    percent = number_in(request, "trailingPercent")
    distance = market * percent / 100 if percent else request.aux_price or Decimal(0)
    selling = request.action == "SELL"
    fresh = on_ladder(instrument, market - distance if selling else market + distance, away_from_sale=selling)
    if stop is None:
        return fresh
    return max(stop, fresh) if selling else min(stop, fresh)


def offset_of(request: OrderRequest, stop: Decimal | None) -> Decimal | None:
    """How far the limit of a TRAIL LIMIT is from its stop: as given, or as its first limit price had it."""
    offset = number_in(request, "lmtPriceOffset")
    if offset is not None or request.limit_price is None or stop is None:
        return offset
    return stop - request.limit_price if request.action == "SELL" else request.limit_price - stop


def limit_for(request: OrderRequest, instrument: Instrument, stop: Decimal, offset: Decimal) -> Decimal:
    selling = request.action == "SELL"
    return on_ladder(instrument, stop - offset if selling else stop + offset, away_from_sale=selling)


def on_ladder(instrument: Instrument, price: Decimal, *, away_from_sale: bool) -> Decimal:
    """The price on the ladder: down where it is that of a sale, up where it is that of a purchase; one increment at the least."""
    increment = increment_at(instrument, price)
    rounding = ROUND_FLOOR if away_from_sale else ROUND_CEILING
    return max((price / increment).to_integral_value(rounding) * increment, increment)
