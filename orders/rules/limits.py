"""Pre-trade checks: whether an order that makes sense is also allowed. Pure: what is known comes in as `Facts`, breaches go out.

The rule it keeps: what cannot be evaluated blocks. A missing quote blocks market and stop orders, a missing exchange rate every new risk.
Only proven reductions of a position pass without them, because a desk must always be able to get out; a cancel is never checked at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from orders.rules.limit_table import HALTED, REDUCE_ONLY, RULES, Rule, RuleSetting, effective
from orders.rules.terms import OrderTerms, OrderType, Role, Side, plain

__all__ = [
    "HALTED",
    "REDUCE_ONLY",
    "RULES",
    "Breach",
    "Facts",
    "Market",
    "Proposal",
    "Rule",
    "RuleSetting",
    "check",
    "effective",
    "fresh_market",
    "notional",
    "trades_now",
]


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


@dataclass(frozen=True)
class Proposal:
    """One order as it would stand after the request."""

    terms: OrderTerms
    role: Role = Role.SINGLE
    reduces: bool = False  # proven: with all other exits it takes no more than the position (or its own entry) gives
    waits: bool = False  # a bracket's exit whose entry does not trade at once: today's market says nothing about it
    exceeds: bool = False  # an exit that takes more than the position gives: it would open the reverse one
    is_change: bool = False  # of an order that is counted already
    accepted: bool = False  # judged again before it is sent
    confirm_duplicate: bool = False


@dataclass(frozen=True)
class Facts:
    """What is known when the request is judged, read under the book's lock."""

    multiplier: Decimal
    exchange_rate: Decimal | None  # base currency per unit of the contract's currency
    market: Market | None
    position: Decimal = Decimal(0)  # signed
    working: Decimal = Decimal(0)  # remaining quantity of other open orders of this side
    open_orders: int = 0  # other open orders of this contract, side and account
    duplicate_age_seconds: Decimal | None = None  # of the newest same order by the same user
    daily_pnl: Decimal | None = None
    is_live_book: bool = False


@dataclass(frozen=True)
class Breach:
    code: str
    message: str
    limit: Decimal | None = None
    actual: Decimal | None = None
    field: str = ""


def check(request: Proposal, facts: Facts, limits: Mapping[str, Decimal]) -> list[Breach]:
    """Every breach of `limits`, in the order of the rules; empty when the order may go."""
    market = fresh_market(facts, limits)
    found = [
        _trading_state(request, limits),
        _exceeds(request, facts),
        _open_orders(request, facts, limits),
        _duplicate(request, facts, limits),
    ]
    if not request.reduces:
        found += [
            _quantity(request, limits),
            _notional(request, facts, limits, market),
            _position(request, facts, limits),
            _daily_loss(facts, limits),
        ]
    if not request.waits:
        found += [_through_market(request, market), _collar(request, facts, limits, market)]
    return [breach for breach in found if breach is not None]


def fresh_market(facts: Facts, limits: Mapping[str, Decimal]) -> Market | None:
    """The quote, where it may be relied on: young enough, not crossed, and on a live book not a delayed one unless that is allowed."""
    market = facts.market
    if market is None or not market.is_sound or market.age_seconds > limits[Rule.QUOTE_SECONDS]:
        return None
    if market.delayed and facts.is_live_book and limits[Rule.DELAYED_QUOTES] < 1:
        return None
    return market


def trades_now(terms: OrderTerms, market: Market | None) -> bool:
    """Whether the order would trade at once: a market order, or a limit at or through the other side."""
    if terms.order_type is OrderType.MARKET:
        return True
    touch = market.touch(terms.side) if market else None
    if terms.order_type is not OrderType.LIMIT or touch is None or terms.limit_price is None:
        return False
    return (terms.limit_price - touch) * terms.side.sign >= 0


def _trading_state(request: Proposal, limits: Mapping[str, Decimal]) -> Breach | None:
    state = limits[Rule.TRADING_STATE]
    if request.role is Role.LIQUIDATION and request.reduces:
        return None  # what a kill switch closes with
    if state >= HALTED:
        return Breach(Rule.TRADING_STATE, "Trading is halted; only cancels go out.", state)
    if state >= REDUCE_ONLY and not request.reduces:
        return Breach(Rule.TRADING_STATE, "Positions may only be reduced now.", state)
    return None


def _exceeds(request: Proposal, facts: Facts) -> Breach | None:
    if not request.exceeds:
        return None
    words = f"An exit of {plain(request.terms.quantity)} is more than the position of {plain(facts.position)} leaves open."
    return Breach(Rule.EXCEEDS_POSITION, words, abs(facts.position), request.terms.quantity, "quantity")


def _quantity(request: Proposal, limits: Mapping[str, Decimal]) -> Breach | None:
    limit, actual = limits[Rule.MAX_QUANTITY], request.terms.quantity
    if actual <= limit:
        return None
    return Breach(Rule.MAX_QUANTITY, f"The quantity {plain(actual)} is above the limit of {plain(limit)}.", limit, actual, "quantity")


def notional(terms: OrderTerms, facts: Facts, market: Market | None) -> Decimal | None:
    """What the order is worth in the base currency, at the worst price it may get; None where that cannot be known."""
    touch = market.touch(terms.side) if market else None
    price = terms.limit_price if terms.limit_price is not None else terms.stop_price
    if price is None:
        price = touch
    elif terms.side is Side.SELL and touch is not None:
        price = max(price, touch)  # a sell far below the market trades at the market
    if price is None or facts.exchange_rate is None:
        return None
    return price * terms.quantity * facts.multiplier * facts.exchange_rate


def _notional(request: Proposal, facts: Facts, limits: Mapping[str, Decimal], market: Market | None) -> Breach | None:
    limit = limits[Rule.MAX_NOTIONAL]
    if facts.exchange_rate is None:
        return Breach(Rule.MAX_NOTIONAL, "The exchange rate to the account's base currency is not known, so nothing can be weighed.", limit)
    actual = notional(request.terms, facts, market)
    if actual is None:
        return Breach(Rule.MAX_NOTIONAL, "There is no fresh quote to weigh this order by.", limit)
    if actual <= limit:
        return None
    shown = plain(actual.quantize(Decimal("0.01")))
    return Breach(Rule.MAX_NOTIONAL, f"The order is worth {shown}, above the limit of {plain(limit)}.", limit, actual, "quantity")


def _position(request: Proposal, facts: Facts, limits: Mapping[str, Decimal]) -> Breach | None:
    limit = limits[Rule.MAX_POSITION]
    actual = facts.position * request.terms.side.sign + facts.working + request.terms.quantity
    if actual <= limit:
        return None
    words = f"The position could become {plain(actual)}, above the limit of {plain(limit)}."
    return Breach(Rule.MAX_POSITION, words, limit, actual, "quantity")


def _daily_loss(facts: Facts, limits: Mapping[str, Decimal]) -> Breach | None:
    limit = limits.get(Rule.MAX_DAILY_LOSS)
    if limit is None:
        return None
    if facts.daily_pnl is None:
        return Breach(Rule.MAX_DAILY_LOSS, "The day's profit and loss is not known.", limit)
    if -facts.daily_pnl < limit:
        return None
    words = f"The day's loss of {plain(-facts.daily_pnl)} has reached the limit of {plain(limit)}: positions may only be reduced."
    return Breach(Rule.MAX_DAILY_LOSS, words, limit, -facts.daily_pnl)


def _open_orders(request: Proposal, facts: Facts, limits: Mapping[str, Decimal]) -> Breach | None:
    limit, actual = limits[Rule.MAX_OPEN_ORDERS], Decimal(facts.open_orders + 1)
    if request.is_change or actual <= limit:
        return None
    words = f"This would be open order number {plain(actual)} of this side in this contract; {plain(limit)} are allowed."
    return Breach(Rule.MAX_OPEN_ORDERS, words, limit, actual)


def _duplicate(request: Proposal, facts: Facts, limits: Mapping[str, Decimal]) -> Breach | None:
    limit, age = limits[Rule.DUPLICATE_SECONDS], facts.duplicate_age_seconds
    if request.confirm_duplicate or request.is_change or request.accepted or age is None or age >= limit:
        return None
    words = f"You placed the same order {plain(age.quantize(Decimal('0.1')))} seconds ago. Confirm if you mean a second one."
    return Breach(Rule.DUPLICATE_SECONDS, words, limit, age)


def _collar(request: Proposal, facts: Facts, limits: Mapping[str, Decimal], market: Market | None) -> Breach | None:
    """Judges what would trade now. A limit or stop away from the market is nobody's mistake; one far through it is."""
    terms, collar = request.terms, limits[Rule.PRICE_COLLAR]
    touch = market.touch(terms.side) if market else None
    if touch is None:
        if terms.order_type is OrderType.LIMIT or request.reduces:
            return None  # a limit order is judged by its own price; a reduction must always be possible
        return Breach(Rule.PRICE_COLLAR, f"{_no_quote(facts, limits)} {terms.order_type.value} orders need a fresh one.", collar)
    if terms.order_type is OrderType.MARKET:
        reference = market.last if market else None
        if reference is None or request.reduces:
            return None
        return _beyond(touch, reference, terms.side, collar, "quantity", "The market order would trade at")
    if terms.limit_price is None:
        return None
    # A stop limit trades from its stop on, not from here.
    reference = touch if terms.order_type is OrderType.LIMIT else terms.stop_price
    assert reference is not None
    return _beyond(terms.limit_price, reference, terms.side, collar, "limit_price", "The limit lies at")


def _beyond(price: Decimal, reference: Decimal, side: Side, collar: Decimal, field: str, words: str) -> Breach | None:
    distance = (price - reference) / reference * side.sign
    if distance <= collar:
        return None
    percent = plain((distance * 100).quantize(Decimal("0.1")))
    message = f"{words} {plain(price)}, {percent} % through {plain(reference)}; {plain(collar * 100)} % is allowed."
    return Breach(Rule.PRICE_COLLAR, message, collar, distance, field)


def _no_quote(facts: Facts, limits: Mapping[str, Decimal]) -> str:
    market = facts.market
    if market is None:
        return "There is no quote."
    if market.age_seconds > limits[Rule.QUOTE_SECONDS]:
        return f"The newest quote is {plain(market.age_seconds.quantize(Decimal(1)))} seconds old."
    if not market.is_sound:
        return "The quote is crossed (bid above ask)."
    if market.delayed and facts.is_live_book and limits[Rule.DELAYED_QUOTES] < 1:
        return "The quote is a delayed one."
    return "There is no quote on the other side."


def _through_market(request: Proposal, market: Market | None) -> Breach | None:
    """A stop the market has passed would trade at once, and so would a target: neither is what its name says."""
    terms, price = request.terms, market.price if market else None
    if price is None or (request.accepted and request.reduces):
        return None  # the market moved after it was accepted: a position is not left bare because its stop is needed at once
    if terms.stop_price is not None and (terms.stop_price - price) * terms.side.sign <= 0:
        where = "above" if terms.side is Side.BUY else "below"
        words = f"The market is at {plain(price)}: a {terms.side.value} stop must lie {where} it."
        return Breach(Rule.STOP_THROUGH_MARKET, words, price, terms.stop_price, "stop_price")
    if request.role is Role.TAKE_PROFIT and trades_now(terms, market):
        words = f"The market is at {plain(price)}, at or beyond the target: this would close at once."
        return Breach(Rule.TARGET_THROUGH_MARKET, words, price, terms.limit_price, "limit_price")
    return None
