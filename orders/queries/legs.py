"""Which orders are changed together: a bracket that works, or the exits of a position that were placed as one.

The rule it keeps: only what is open is named. An entry that has filled is no leg any more; its exits still are.
"""

from __future__ import annotations

from orders.models import OrderRecord
from orders.rules.lifecycle import OPEN
from orders.rules.terms import EXITS

_OPEN = [status.value for status in OPEN]


def members(order: OrderRecord) -> list[OrderRecord]:
    """The open orders that are changed together with this one, entry first: a bracket, or the exits placed with it."""
    entry = order.parent or order
    rows = OrderRecord.objects.filter(status__in=_OPEN).select_related("account", "contract", "oca_group").order_by("pk")
    children = list(rows.filter(parent=entry))
    if not children and order.parent_id is None:
        return list(rows.filter(unit_id=order.unit_id, role__in=EXITS)) if order.role in EXITS else [order]
    for child in children:
        child.parent = entry
    return [entry, *children] if entry.is_open else children


def has_legs(order: OrderRecord) -> bool:
    """Whether there is something to change together: several orders, or one that is left of an entry that has ended."""
    found = [leg for leg in members(order) if leg.is_open]
    return len(found) > 1 or any(leg.pk != order.pk for leg in found)
