"""What an order says of prices, held against the market: collars, spreads, stops and targets the market has passed, trading hours.

The rule it keeps: what would trade now is judged by a fresh quote or not let through; a limit or stop away from the market is nobody's
mistake. A position is never kept from being reduced because a quote is missing or wide.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from orders.rules.hours import Hours
from orders.rules.limit_table import HOURS_BLOCK, HOURS_WARN, Rule
from orders.rules.limits.facts import Case, Reading
from orders.rules.limits.worth import is_for_later, takes_any_price, trades_now
from orders.rules.terms import OrderTerms, OrderType, Role, Side, TimeInForce, plain

ON_OPEN_CLOSES, ON_CLOSE_CLOSES = timedelta(minutes=2), timedelta(minutes=10)
"""How long before the session an order for its opening is still taken, and before its end one for its close (US listings)."""


def stop_through_market(case: Case) -> Reading | None:
    """A stop the market has passed would trade at once: that is not what its name says."""
    terms, price = case.terms, _price(case)
    if price is None or terms.stop_price is None or not terms.order_type.is_stop or (terms.stop_price - price) * terms.side.sign > 0:
        return None
    where = "above" if terms.side is Side.BUY else "below"
    words = f"The market is at {plain(price)}: a {terms.side.value} stop must lie {where} it."
    return Reading(Rule.STOP_THROUGH_MARKET, price, terms.stop_price, words, "stop_price")


def touch_through_market(case: Case) -> Reading | None:
    """An order that waits for the market to come to its price, where the market has been there."""
    terms, price = case.terms, _price(case)
    if price is None or terms.stop_price is None or not terms.order_type.is_touch or (price - terms.stop_price) * terms.side.sign > 0:
        return None
    where = "below" if terms.side is Side.BUY else "above"
    words = f"The market is at {plain(price)}: the price that a {terms.side.value} {terms.order_type.value} waits for must lie {where} it."
    return Reading(Rule.TOUCH_THROUGH_MARKET, price, terms.stop_price, words, "stop_price")


def target_through_market(case: Case) -> Reading | None:
    price = _price(case)
    if price is None or case.request.role is not Role.TAKE_PROFIT or not trades_now(case.terms, case.market):
        return None
    words = f"The market is at {plain(price)}, at or beyond the target: this would close at once."
    return Reading(Rule.TARGET_THROUGH_MARKET, price, case.terms.limit_price, words, "limit_price")


def _price(case: Case) -> Decimal | None:
    """Where the market is, for what may not lie through it."""
    if case.request.accepted and case.request.reduces:
        return None  # the market moved after it was accepted: a position is not left bare because its stop is needed at once
    return case.market.price if case.market else None


def collar(case: Case) -> Reading | None:
    """Judges what would trade now. A limit or stop away from the market is nobody's mistake; one far through it is."""
    terms, limit = case.terms, case.limits[Rule.PRICE_COLLAR]
    touch = case.market.touch(terms.side) if case.market else None
    if touch is None:
        if terms.order_type in (OrderType.LIMIT, OrderType.LIMIT_ON_CLOSE) or case.request.reduces:
            return None  # a limit order is judged by its own price; a reduction must always be possible
        return Reading(Rule.PRICE_COLLAR, limit, None, f"{_no_quote(case)} {terms.order_type.value} orders need a fresh one.")
    if terms.order_type is OrderType.MARKET:
        reference = case.market.last if case.market else None
        if reference is None or case.request.reduces:
            return None
        return _beyond(case, touch, reference, "quantity", "The market order would trade at")
    if terms.order_type is OrderType.TRAIL_LIMIT:
        stop = terms.stop_price if terms.stop_price is not None else touch
        return _beyond(case, stop + (terms.limit_offset or 0) * terms.side.sign, stop, "limit_offset", "The limit begins at")
    if terms.limit_price is None:
        return None
    # What waits for a price trades from there on, not from here.
    reference = terms.stop_price if terms.order_type.has_trigger else touch
    assert reference is not None
    return _beyond(case, terms.limit_price, reference, "limit_price", "The limit lies at")


def _beyond(case: Case, price: Decimal, reference: Decimal, field: str, words: str) -> Reading:
    limit = case.limits[Rule.PRICE_COLLAR]
    distance = (price - reference) / reference * case.terms.side.sign
    if distance <= limit:
        return Reading(Rule.PRICE_COLLAR, limit, max(distance, Decimal(0)))
    message = f"{words} {plain(price)}, {_percent(distance)} % through {plain(reference)}; {plain(limit * 100)} % is allowed."
    return Reading(Rule.PRICE_COLLAR, limit, distance, message, field)


def _percent(fraction: Decimal) -> str:
    return plain((fraction * 100).quantize(Decimal("0.1")))


def _no_quote(case: Case) -> str:
    market, limits = case.facts.market, case.limits
    if market is None:
        return "There is no quote."
    if market.age_seconds > limits[Rule.QUOTE_SECONDS]:
        return f"The newest quote is {plain(market.age_seconds.quantize(Decimal(1)))} seconds old."
    if not market.is_sound:
        return "The quote is crossed (bid above ask)."
    if market.delayed and case.facts.is_live_book and limits[Rule.DELAYED_QUOTES] < 1:
        return "The quote is a delayed one."
    return "There is no quote on the other side."


def spread(case: Case) -> Reading | None:
    """A market as wide as that gives any price: nothing goes in that takes it."""
    terms, limit = case.terms, case.limits[Rule.MAX_SPREAD]
    if not (takes_any_price(terms) and trades_now(terms, case.market)):
        return None
    actual = case.market.spread if case.market else None
    if actual is None:
        return Reading(Rule.MAX_SPREAD, limit, None, "There is no fresh quote of both sides, so the spread is not known.")
    words = f"The spread is {_percent(actual)} % of the price; {plain(limit * 100)} % is allowed for an order that takes any price."
    return Reading(Rule.MAX_SPREAD, limit, actual, words if actual > limit else "")


def trading_hours(case: Case) -> Reading | None:
    """Orders that the hours would kill or keep waiting: immediate and market ones outside of them, those for an opening or a close."""
    limit, terms, hours = case.limits[Rule.TRADING_HOURS], case.terms, case.facts.hours
    if limit < HOURS_WARN or not _hangs_on_hours(terms):
        return None
    blocks = limit >= HOURS_BLOCK
    if hours is None:
        words = "The trading hours of the contract are not known."
        return Reading(Rule.TRADING_HOURS, limit, None, words) if blocks else None
    words = _out_of_hours(terms, hours)
    if not words:
        return None
    return Reading(Rule.TRADING_HOURS, limit, None, words if blocks else "", "time_in_force", "" if blocks else words)


def _hangs_on_hours(terms: OrderTerms) -> bool:
    if terms.order_type.is_on_close or terms.time_in_force is TimeInForce.OPG:
        return True
    if is_for_later(terms):
        return False
    return terms.time_in_force.is_immediate or (terms.order_type is OrderType.MARKET and not terms.outside_rth)


def _out_of_hours(terms: OrderTerms, hours: Hours) -> str:
    if terms.time_in_force is TimeInForce.OPG:
        if hours.is_open:
            return "The session is open: an order for the opening waits for the next one."
        return "The opening is too near for an order of its own." if hours.until < ON_OPEN_CLOSES else ""
    if terms.order_type.is_on_close:
        if not hours.is_open:
            return "The session is not open: an order for the close waits for that of the next one."
        return "The close is too near for an order of its own." if hours.until < ON_CLOSE_CLOSES else ""
    if hours.is_open:
        return ""
    if terms.time_in_force.is_immediate:
        return f"The market is closed: an {terms.time_in_force.value} order would be cancelled at once."
    return "The market is closed: a market order waits, and takes whatever price the opening brings."
