"""What an order carries beside its type, prices and time in force, in words: its end, its beginning, what the market sees of it.

The rule it keeps: nothing that decides how an order trades is left off the screen.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from orders.models import OrderRecord
from orders.queries.show import quantity, zone_of
from orders.rules.terms import TriggerMethod, plain

TRIGGERS: dict[int, str | Promise] = {
    TriggerMethod.DEFAULT: _("IB's default"),
    TriggerMethod.DOUBLE_BID_ASK: _("two quotes in a row"),
    TriggerMethod.LAST: _("last trade"),
    TriggerMethod.DOUBLE_LAST: _("two trades in a row"),
    TriggerMethod.BID_ASK: _("bid or ask"),
    TriggerMethod.LAST_OR_BID_ASK: _("last trade, bid or ask"),
    TriggerMethod.MIDPOINT: _("midpoint"),
}


def attributes(order: OrderRecord) -> tuple[tuple[str | Promise, str | Promise], ...]:
    """(name, value) of each attribute that the order uses, times in the account's zone."""
    return tuple(_used(order))


def in_words(order: OrderRecord) -> str:
    """The same in one line, "" where there is none."""
    return "; ".join(f"{name}: {value}" if value else str(name) for name, value in _used(order))


def _used(order: OrderRecord) -> Iterator[tuple[str | Promise, str | Promise]]:
    if order.trail_percent is not None:
        yield _("Trails by"), f"{plain(order.trail_percent)} %"
    if order.trail_amount is not None:
        yield _("Trails by"), plain(order.trail_amount)
    if (order.trail_percent is not None or order.trail_amount is not None) and order.stop_price is not None:
        yield _("Trail began at"), plain(order.stop_price)
    if order.limit_offset is not None:
        yield _("Limit off its stop"), plain(order.limit_offset)
    if order.good_till is not None:
        yield _("Ends"), moment(order, order.good_till)
    if order.good_after is not None:
        yield _("Goes live"), moment(order, order.good_after)
    if order.display_size is not None:
        yield _("The market sees"), quantity(order.display_size)
    if order.hidden:
        yield _("Hidden"), ""
    if order.all_or_none:
        yield _("All or none"), ""
    if order.trigger_method:
        yield _("Triggered by"), TRIGGERS.get(order.trigger_method, str(order.trigger_method))
    if order.adaptive:
        yield _("Algorithm"), f"Adaptive, {order.adaptive}"


def moment(order: OrderRecord, at: datetime) -> str:
    """The moment in the zone of the order's account."""
    return f"{at.astimezone(zone_of(order.account.time_zone)):%Y-%m-%d %H:%M:%S %Z}"
