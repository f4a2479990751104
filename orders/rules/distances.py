"""How far an exit lies from its entry, as a trader says it: in percent, as an amount, in ticks, or in R, the distance of the stop.

The rule it keeps: a price that comes of a distance is on the tick nearest to it and above zero, or there is none. And a quantity is
divided so that its parts sum to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal
from enum import StrEnum

from orders.rules.pricing import PriceRule
from orders.rules.terms import plain
from orders.rules.tickets import TicketError

HUNDRED = Decimal(100)


class Unit(StrEnum):
    """What a distance is given in."""

    PERCENT = "%"
    AMOUNT = "amount"
    TICKS = "ticks"
    RISK = "R"  # as many times as the stop is away


def distance(field: str, value: Decimal, unit: Unit, *, entry: Decimal, rule: PriceRule, risk: Decimal | None = None) -> Decimal:
    """The distance as a price, not rounded. `risk`: that of the stop, which R counts in. Raises `TicketError` for R without a stop."""
    if unit is Unit.PERCENT:
        return entry * value / HUNDRED
    if unit is Unit.TICKS:
        return value * rule.tick_at(entry)
    if unit is Unit.AMOUNT:
        return value
    if not risk:
        raise TicketError(field, "R counts in the distance of the stop, and there is no stop")
    return value * risk


def exit_price(field: str, entry: Decimal, away: Decimal, rule: PriceRule) -> Decimal:
    """The price on the tick nearest to `away` from the entry, negative below it, and never on the entry's other side or at it.

    Raises `TicketError` where none is above zero.
    """
    price = rule.nearest(entry + away)
    if (price - entry) * away <= 0 and away:  # less than half a tick, or an average cost between two ticks
        price = rule.beyond(entry, 1 if away > 0 else -1)
    if price <= 0:
        raise TicketError(field, "is so far away that no price is left above zero")
    return price


def shares(total: Decimal, given: Sequence[Decimal | None], increment: Decimal) -> list[Decimal]:
    """`total` divided into as many parts as `given` has: what is given stays, the others are equal, the last of them takes the rest.

    Equal parts are multiples of the contract's size increment. Raises `TicketError` where the parts cannot sum to the total.
    """
    left = total - sum((part for part in given if part is not None), Decimal(0))
    open_parts = given.count(None)
    if not open_parts and left:
        raise TicketError("pairs", f"the parts sum to {plain(total - left)}, not to the quantity of {plain(total)}")
    step = increment if increment > 0 else Decimal(1)
    part = (left / open_parts / step).quantize(Decimal(1), ROUND_FLOOR) * step if open_parts else Decimal(0)
    last = left - part * (open_parts - 1)
    if open_parts and (part <= 0 or last <= 0):
        raise TicketError("pairs", f"the quantity of {plain(total)} is too small to be divided by {len(given)}")
    parts = [part] * (open_parts - 1) + [last]
    return [parts.pop(0) if amount is None else amount for amount in given]
