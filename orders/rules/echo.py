"""What an order's echo says of its terms: the broker moves some of them by itself, and that is no change of what was asked.

The rule it keeps: an order's terms are what people asked for. Where the stop of a trailing order stands now is a figure beside them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from orders.rules.terms import OrderTerms


def as_asked(told: OrderTerms, asked: OrderTerms, now: datetime) -> OrderTerms:
    """The terms of an echo without what the broker moved by itself: equal to `asked` where nobody changed the order.

    IB moves trailStopPrice with the market and fills it in where none was given; an order that has gone live may come without the moment
    at which it was to do so, and an end in a zone that no table has cannot be read.
    """
    own: dict[str, Any] = {}
    if _trails_alike(told, asked):
        own["stop_price"] = asked.stop_price
    if told.good_after is None and asked.good_after is not None and asked.good_after <= now:
        own["good_after"] = asked.good_after
    if told.time_in_force is asked.time_in_force and told.good_till is None:
        own["good_till"] = asked.good_till
    return replace(told, **own)


def carries(told: OrderTerms, asked: OrderTerms, now: datetime) -> bool:
    """Whether an echo carries the terms of a change. A trailing stop may have moved on since, but never away from the market."""
    if as_asked(told, asked, now) != asked:
        return False
    if not _trails_alike(told, asked):
        return True
    if asked.stop_price is None or told.stop_price is None:
        return True
    return (told.stop_price - asked.stop_price) * -asked.side.sign >= 0


def trailing_price(told: OrderTerms) -> Decimal | None:
    """Where the stop of a trailing order stands, by its echo."""
    return told.stop_price if told.order_type.trails else None


def _trails_alike(told: OrderTerms, asked: OrderTerms) -> bool:
    return told.order_type.trails and told.order_type is asked.order_type
