"""What an order would do in the market of now: whether it trades at once, at what price at worst, and what it is worth.

The rule it keeps: a price that cannot be known is None. A stop is elected by a market that runs away from it, a touched order by one that
comes to it; both trade from there on like the order that they become.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from orders.rules.limits.facts import Facts, Market
from orders.rules.terms import OrderTerms, OrderType, Side, TimeInForce


def is_for_later(terms: OrderTerms, now: datetime | None = None) -> bool:
    """Whether today's market says nothing of it yet: it is for an opening, or goes live at a moment that has not come.

    Without a clock an order with such a moment counts as one for later.
    """
    if terms.time_in_force is TimeInForce.OPG:
        return True
    return terms.good_after is not None and (now is None or terms.good_after > now)


def is_elected(terms: OrderTerms, market: Market | None) -> bool:
    """Whether the market has reached the price that the order waits for already. Without a price or a market nobody can say: False."""
    price = market.price if market is not None else None
    if price is None or terms.stop_price is None:
        return False
    ahead = (terms.stop_price - price) * terms.side.sign  # above zero: a buy's price lies above the market, a sell's below
    return ahead >= 0 if terms.order_type.is_touch else ahead <= 0


def trades_now(terms: OrderTerms, market: Market | None) -> bool:
    """Whether the order would trade at once: a market order, a limit at or through the other side, what is elected and is one of these."""
    if is_for_later(terms) or terms.order_type.is_on_close:
        return False
    if terms.order_type is OrderType.MARKET:
        return True
    if terms.order_type is OrderType.LIMIT:
        return _is_marketable(terms, market)
    if not is_elected(terms, market):
        return False
    return _is_marketable(terms, market) if terms.order_type.has_limit else True


def _is_marketable(terms: OrderTerms, market: Market | None) -> bool:
    touch = market.touch(terms.side) if market else None
    if touch is None or terms.limit_price is None:
        return False
    return (terms.limit_price - touch) * terms.side.sign >= 0


def takes_any_price(terms: OrderTerms) -> bool:
    """Whether it becomes a market order, at once or when it is elected."""
    return terms.order_type in (OrderType.MARKET, OrderType.STOP, OrderType.TRAIL, OrderType.MARKET_IF_TOUCHED)


def worst_price(terms: OrderTerms, market: Market | None) -> Decimal | None:
    """The highest price it may trade at, as far as that can be said: the price its worth is counted by.

    A purchase says itself what it pays at most. A sale says what it takes at least, and one far below the market trades at the market:
    without a market nobody knows what it is worth.
    """
    touch = market.touch(terms.side) if market else None
    if terms.order_type.trails:
        return _worst_of_trail(terms, touch)
    price = terms.limit_price if terms.limit_price is not None else terms.stop_price
    if price is None or (terms.side is Side.SELL and touch is None):
        return touch
    return max(price, touch) if terms.side is Side.SELL and touch is not None else price


def _worst_of_trail(terms: OrderTerms, touch: Decimal | None) -> Decimal | None:
    """A buy's stop begins above the market and only comes down with it; a sell's lies below, and is worth what the market is."""
    if terms.side is Side.SELL:
        return touch
    stop = terms.stop_price if terms.stop_price is not None else trail_begins(terms, touch)
    return None if stop is None else stop + (terms.limit_offset or 0)


def trail_begins(terms: OrderTerms, market: Decimal | None) -> Decimal | None:
    """Where a trailing stop begins when it is not said: at its distance from this price."""
    if market is None:
        return None
    if terms.trail_amount is not None:
        return market + terms.trail_amount * terms.side.sign
    if terms.trail_percent is not None:
        return market * (1 + terms.trail_percent / 100 * terms.side.sign)
    return None


def notional(terms: OrderTerms, facts: Facts, market: Market | None, quantity: Decimal | None = None) -> Decimal | None:
    """What the order (or so much of it) is worth in the base currency, at the worst price it may get; None where that cannot be known."""
    price = worst_price(terms, market)
    if price is None or facts.exchange_rate is None:
        return None
    return price * (terms.quantity if quantity is None else quantity) * facts.multiplier * facts.exchange_rate


def stop_risk(entry: OrderTerms, market: Market | None, stops: list[OrderTerms]) -> Decimal | None:
    """What the entry loses per contract multiplier when its stops are hit: the distance of each from the entry's price, times its quantity.

    None where a price is not known. A trailing stop begins at its distance from the entry.
    """
    price = worst_price(entry, market) if entry.side is Side.BUY else _entry_of_sell(entry, market)
    if price is None:
        return None
    total = Decimal(0)
    for stop in stops:
        at = stop.stop_price if stop.stop_price is not None else trail_begins(stop, price)
        if at is None:
            return None
        total += max((price - at) * entry.side.sign, Decimal(0)) * stop.quantity
    return total


def _entry_of_sell(entry: OrderTerms, market: Market | None) -> Decimal | None:
    """A short entry loses most where it sells lowest: at its limit or its stop, else where the market is. A stop limit may sell
    as low as its limit once it is elected."""
    touch = market.touch(Side.SELL) if market else None
    if entry.limit_price is not None:
        return entry.limit_price if touch is None or entry.stop_price is not None else max(entry.limit_price, touch)
    return entry.stop_price if entry.stop_price is not None else touch
