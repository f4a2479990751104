"""Changes of size within a bracket, which must not overtake one another: at no moment may its exits be for more than its entry.

The rule it keeps: exits that grow wait until the broker has made the entry larger, and an entry that shrinks waits until it has made the
exits smaller. What the broker refused of the first is then refused of the second.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from orders.models import BrokerCommand, OrderRecord
from orders.rules.lifecycle import OPEN
from orders.rules.limits import Breach
from orders.rules.terms import OPEN_COMMANDS, CommandKind, OrderTerms, plain

_OPEN = [status.value for status in OPEN]


def waits(command: BrokerCommand, terms: OrderTerms) -> bool:
    """Whether another leg's change must be answered before this one goes. It is asked again at each claim; too old, it is refused."""
    order = command.order
    if terms.quantity > order.quantity and order.parent is not None and order.parent.is_open:
        return terms.quantity > order.parent.quantity and _changing([order.parent.pk])
    if terms.quantity < order.quantity:
        return _changing([child.pk for child in _exits(order)])
    return False


def exceeds(command: BrokerCommand, terms: OrderTerms) -> Breach | None:
    """An entry that would become smaller than its exits are, because the broker did not make them smaller."""
    order = command.order
    if terms.quantity >= order.quantity:
        return None
    groups: dict[int | None, list[Decimal]] = defaultdict(list)
    for child in _exits(order):
        groups[child.oca_group_id].append(child.quantity)
    total = sum((max(sizes) for sizes in groups.values()), Decimal(0))
    if total <= terms.quantity:
        return None
    words = f"Its exits are still for {plain(total)}: the broker did not make them smaller."
    return Breach("EXITS_EXCEED", words, total, terms.quantity, "quantity")


def _changing(orders: list[int]) -> bool:
    states = [state.value for state in OPEN_COMMANDS]
    return BrokerCommand.objects.filter(order__in=orders, kind=CommandKind.MODIFY.value, state__in=states).exists()


def _exits(entry: OrderRecord) -> list[OrderRecord]:
    return list(OrderRecord.objects.filter(parent=entry, status__in=_OPEN))
