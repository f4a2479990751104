"""Prices and quantities as an exchange takes them: the tick of a price by market rule, stop and target from an entry, size increments.

A price that was computed here is rounded to the nearest tick; a price that a person typed is never changed, only found to be on the tick or
not. Everything is Decimal; a rule that is not known is None, and whoever asks refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal

from orders.rules.terms import MAX_SIGNIFICANT_DIGITS
from orders.rules.tickets import TicketError

DECIMAL_PLACES = Decimal("0.00000001")
"""A money column keeps eight decimal places."""

_KEPT = Context(prec=MAX_SIGNIFICANT_DIGITS, rounding=ROUND_HALF_UP)


@dataclass(frozen=True)
class PriceRule:
    """Ticks by price band: ascending (low edge, tick); a price has the tick of the last band whose edge it reaches (IB reqMarketRule)."""

    increments: tuple[tuple[Decimal, Decimal], ...]

    def tick_at(self, price: Decimal) -> Decimal:
        tick = self.increments[0][1]
        for low_edge, increment in self.increments:
            if price >= low_edge:
                tick = increment
        return tick

    def is_on_tick(self, price: Decimal) -> bool:
        return price % self.tick_at(price) == 0

    def nearest(self, price: Decimal) -> Decimal:
        """The nearest price on the tick, a tie away from zero. A price rounded into the next band is rounded by that band's tick too."""
        rounded = _to_multiple(price, self.tick_at(price))
        return rounded if self.is_on_tick(rounded) else _to_multiple(price, self.tick_at(rounded))

    def beyond(self, price: Decimal, sign: int) -> Decimal:
        """The next price on the tick above it (`sign` +1) or below it (-1), never the price itself."""
        tick = self.tick_at(price)
        steps = (price / tick).to_integral_value(ROUND_FLOOR if sign > 0 else ROUND_CEILING)
        return self.nearest((steps + sign) * tick)


def _to_multiple(value: Decimal, step: Decimal) -> Decimal:
    return (value / step).quantize(Decimal(1), ROUND_HALF_UP) * step


def price_rule(
    exchange: str,
    valid_exchanges: Sequence[str],
    market_rule_ids: Sequence[int],
    rules: Mapping[int, Iterable[tuple[Decimal, Decimal]]],
    min_tick: Decimal | None,
) -> PriceRule | None:
    """The ticks of a contract where it is routed (`valid_exchanges` and `market_rule_ids` are parallel lists, IB ContractDetails).

    Where the market rule was never answered, the contract's smallest tick stands in: the broker then has the last word (code 110). None
    where neither is known.
    """
    by_exchange = dict(zip(valid_exchanges, market_rule_ids, strict=False))
    bands = tuple(sorted((low, tick) for low, tick in rules.get(by_exchange.get(exchange, -1), ()) if tick > 0))
    if bands:
        return PriceRule(bands)
    if min_tick is not None and min_tick > 0:
        return PriceRule(((Decimal(0), min_tick),))
    return None


def kept(value: Decimal) -> Decimal:
    """A computed amount as the book can keep it: eight decimal places and at most fifteen significant digits."""
    return _KEPT.plus(value).quantize(DECIMAL_PLACES, ROUND_HALF_UP, context=Context(prec=28)).normalize()


def stop_and_target(
    entry: Decimal, *, is_long: bool, stop_loss: Decimal, profit_target: Decimal, rule: PriceRule
) -> tuple[Decimal, Decimal]:
    """Prices of the exits of a position entered at `entry`, each on the nearest tick: (stop, target).

    `stop_loss` and `profit_target` are fractions of the entry (0.02 is 2 %). The stop of a long position lies below the entry and its
    target above; for a short one both signs are mirrored. Raises `TicketError` for a fraction that leaves no price above zero.
    """
    if not 0 < stop_loss < 1:
        raise TicketError("stop_loss", "must be above 0 and below 1 (0.02 is 2 %)")
    if profit_target <= 0 or (not is_long and profit_target >= 1):
        raise TicketError("profit_target", "must be above 0, and below 1 for a short position (0.08 is 8 %)")
    sign = 1 if is_long else -1
    stop = rule.nearest(entry * (1 - sign * stop_loss))
    target = rule.nearest(entry * (1 + sign * profit_target))
    if stop <= 0 or target <= 0:
        raise TicketError("entry_price", "is so low that an exit would lie below the smallest price")
    return stop, target


def check_price(field: str, price: Decimal | None, rule: PriceRule) -> None:
    """Raises `TicketError`, naming the tick and the prices next to it, for a typed price that is not on the tick."""
    if price is None or rule.is_on_tick(price):
        return
    tick = rule.tick_at(price)
    below = price // tick * tick
    raise TicketError(field, f"must be a multiple of {tick.normalize():f} here: {below.normalize():f} or {(below + tick).normalize():f}")


def check_distance(field: str, distance: Decimal, rule: PriceRule, level: Decimal | None) -> None:
    """Raises `TicketError` for a distance between prices (a trail, an offset) off the tick of the prices at `level` that it lies between.

    Where no level is known the distance is judged as a price: by a finer tick at most, and the broker has the last word (110).
    """
    tick = rule.tick_at(distance if level is None else level)
    if distance % tick != 0:
        raise TicketError(field, f"must be a multiple of {tick.normalize():f} here")


def check_quantity(quantity: Decimal, *, min_size: Decimal, size_increment: Decimal) -> None:
    """Raises `TicketError` for a quantity below the smallest size or off its increment (IB ContractDetails minSize, sizeIncrement)."""
    if quantity < min_size:
        raise TicketError("quantity", f"must be at least {min_size.normalize():f}")
    if size_increment > 0 and quantity % size_increment != 0:
        raise TicketError("quantity", f"must be a multiple of {size_increment.normalize():f}")


@dataclass(frozen=True)
class ExitPrices:
    """Where a stop and a target go, and what they are counted from."""

    base: Decimal
    stop: Decimal
    target: Decimal
    from_market: bool  # the entry's own prices lie through the market, so they are counted from there


def exit_prices(
    entry: Decimal, market: Decimal | None, *, is_long: bool, stop_loss: Decimal, profit_target: Decimal, rule: PriceRule
) -> ExitPrices:
    """Exits around the entry; around the market where it has left them behind already: a stop there would go off at once."""
    sign = 1 if is_long else -1
    stop, target = stop_and_target(entry, is_long=is_long, stop_loss=stop_loss, profit_target=profit_target, rule=rule)
    if market is None or (stop * sign < market * sign < target * sign):
        return ExitPrices(entry, stop, target, from_market=False)
    stop, target = stop_and_target(market, is_long=is_long, stop_loss=stop_loss, profit_target=profit_target, rule=rule)
    return ExitPrices(market, stop, target, from_market=True)


@dataclass(frozen=True)
class ExitFigures:
    """How far an exit lies from its entry, in every way that traders say it; above zero on the exit's own side.

    `money` is what it makes or costs, in the contract's currency, before costs. `risk` counts in R, the distance of the stop; None without
    a stop.
    """

    amount: Decimal
    percent: Decimal
    ticks: Decimal
    money: Decimal
    risk: Decimal | None


def exit_figures(
    entry: Decimal,
    price: Decimal,
    *,
    sign: int,
    rule: PriceRule,
    quantity: Decimal = Decimal(0),
    multiplier: Decimal = Decimal(1),
    stop: Decimal | None = None,
) -> ExitFigures:
    """What a price comes to. `sign` is +1 where gains lie above the entry: the target of a long position, the stop of a short one.

    Ticks are those at the entry. Nothing is rounded: whoever shows a figure rounds it, and the price is found again from what is not.
    """
    amount = (price - entry) * sign
    distance = abs(entry - stop) if stop is not None else None
    return ExitFigures(
        amount=amount,
        percent=amount / entry * 100,
        ticks=amount / rule.tick_at(entry),
        money=amount * quantity * multiplier,
        risk=amount / distance if distance else None,
    )
