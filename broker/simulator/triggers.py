"""When the market has reached an order's trigger, by IB's trigger methods, and which price a trailing stop follows.

Methods: 0 the instrument's own (shares and futures last, US options double bid/ask, currencies bid/ask), 1 double bid/ask, 2 last,
3 double last, 4 bid/ask, 7 last or bid/ask, 8 midpoint. A trigger above the market looks at the bid and one below it at the ask, as IB
does: it is reached when both sides of the quote are there. "Double" asks that the price of the second before was there too; that a
second price at the same level must also be larger, as IB wants it for options, is left out (modelling choice).
"""

from __future__ import annotations

from decimal import Decimal

from broker.simulator.market import Line
from broker.simulator.model import OrderRequest
from broker.simulator.order_types import Wait, kind_of

DOUBLE_QUOTE, LAST, DOUBLE_LAST, QUOTE, LAST_OR_QUOTE, MIDPOINT = 1, 2, 3, 4, 7, 8
METHODS = frozenset({0, DOUBLE_QUOTE, LAST, DOUBLE_LAST, QUOTE, LAST_OR_QUOTE, MIDPOINT})
DEFAULTS = {"OPT": DOUBLE_QUOTE, "CASH": QUOTE}


def method_of(request: OrderRequest, line: Line) -> int:
    """The trigger method in force; what the client left at 0 is the instrument's own."""
    return int(request.wire.get("triggerMethod") or 0) or DEFAULTS.get(line.instrument.sec_type, LAST)


def is_reached(request: OrderRequest, level: Decimal, line: Line) -> bool:
    """Whether the market has reached `level` from the side on which this order waits."""
    rising = _waits_for_a_rise(request)
    quote, before = (line.bid, line.before_bid) if rising else (line.ask, line.before_ask)
    watched = {
        DOUBLE_QUOTE: (min if rising else max)(quote, before),
        LAST: line.last,
        DOUBLE_LAST: (min if rising else max)(line.last, line.before_last),
        QUOTE: quote,
        LAST_OR_QUOTE: (max if rising else min)(quote, line.last),
        MIDPOINT: line.mark,
    }[method_of(request, line)]
    return watched >= level if rising else watched <= level


def followed_price(request: OrderRequest, line: Line) -> Decimal:
    """The market price that a trailing stop keeps its distance from: that which would trigger it."""
    method = method_of(request, line)
    if method in (LAST, DOUBLE_LAST, LAST_OR_QUOTE):
        return line.last
    if method == MIDPOINT:
        return line.mark
    return line.bid if _waits_for_a_rise(request) else line.ask


def _waits_for_a_rise(request: OrderRequest) -> bool:
    """A stop to buy and a touch to sell wait for higher prices, a stop to sell and a touch to buy for lower ones."""
    return (request.action == "BUY") is (kind_of(request).waits_for is not Wait.TOUCH)
