"""What an order carries beside its type, prices and time in force, in words: its end, its beginning, what the market sees of it.

The rule it keeps: nothing that decides how an order trades is left off the screen.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from orders.models import Contract, OrderRecord
from orders.queries.show import Ticks, quantity, zone_of
from orders.rules.terms import OcaType, OrderTerms, TriggerMethod, plain

Attribute = tuple[str | Promise, str | Promise]

TRIGGERS: dict[int, str | Promise] = {
    TriggerMethod.DEFAULT: _("IB's default"),
    TriggerMethod.DOUBLE_BID_ASK: _("two quotes in a row"),
    TriggerMethod.LAST: _("last trade"),
    TriggerMethod.DOUBLE_LAST: _("two trades in a row"),
    TriggerMethod.BID_ASK: _("bid or ask"),
    TriggerMethod.LAST_OR_BID_ASK: _("last trade, bid or ask"),
    TriggerMethod.MIDPOINT: _("midpoint"),
}

OCA_WORDS: dict[int, str | Promise] = {
    OcaType.CANCEL_WITH_BLOCK: _("One fill cancels the others; only one is worked at a time"),
    OcaType.REDUCE_WITH_BLOCK: _("A fill reduces the others; only one is worked at a time"),
    OcaType.REDUCE_WITHOUT_BLOCK: _("A fill reduces the others; all are worked at once"),
}


def attributes(order: OrderRecord, ticks: Ticks) -> tuple[Attribute, ...]:
    """(name, value) of each attribute that the order uses, times in the account's zone; of a trailing order where its stop is now."""
    stop: list[Attribute] = []
    if _trails(order) and order.present_stop is not None:
        stop.append((_("Stop stands at"), ticks.price(order.contract, order.present_stop)))
    return (*stop, *_used(order, order.contract, order.account.time_zone, ticks, begins=_("Trail began at")))


def in_words(order: OrderRecord, ticks: Ticks) -> str:
    """What it uses in one line, "" where that is nothing."""
    return said(_used(order, order.contract, order.account.time_zone, ticks, begins=_("Trail began at")))


def attributes_of_terms(terms: OrderTerms, contract: Contract, zone: str, ticks: Ticks) -> tuple[Attribute, ...]:
    """The same of an order that is not sent yet."""
    return tuple(_used(terms, contract, zone, ticks, begins=_("Trail begins at")))


def said(found: Iterator[Attribute] | tuple[Attribute, ...]) -> str:
    """Attributes in one line."""
    return "; ".join(f"{name}: {value}" if value else str(name) for name, value in found)


def _trails(terms: OrderTerms | OrderRecord) -> bool:
    return terms.trail_percent is not None or terms.trail_amount is not None


def _used(terms: OrderTerms | OrderRecord, contract: Contract, zone: str, ticks: Ticks, *, begins: str | Promise) -> Iterator[Attribute]:
    if terms.trail_percent is not None:
        yield _("Trails by"), f"{plain(terms.trail_percent)} %"
    if terms.trail_amount is not None:
        yield _("Trails by"), ticks.distance(contract, terms.trail_amount)
    if _trails(terms) and terms.stop_price is not None:
        yield begins, ticks.price(contract, terms.stop_price)
    if terms.limit_offset is not None:
        yield _("Limit off its stop"), ticks.distance(contract, terms.limit_offset)
    if terms.good_till is not None:
        yield _("Ends"), moment(terms.good_till, zone)
    if terms.good_after is not None:
        yield _("Goes live"), moment(terms.good_after, zone)
    if terms.display_size is not None:
        yield _("The market sees"), quantity(terms.display_size)
    if terms.hidden:
        yield _("Hidden"), ""
    if terms.all_or_none:
        yield _("All or none"), ""
    if terms.trigger_method:
        yield _("Triggered by"), TRIGGERS.get(terms.trigger_method, str(terms.trigger_method))
    if terms.adaptive:
        yield _("Algorithm"), f"Adaptive, {terms.adaptive}"


def moment(at: datetime, zone: str) -> str:
    """The moment as the account's zone has it: "2026-12-04 16:00:00 EST"."""
    return f"{at.astimezone(zone_of(zone)):%Y-%m-%d %H:%M:%S %Z}"
