"""Changes of size within a family, which must not overtake one another: at no moment may exits be for more than their entry or position.

The rule it keeps: exits that grow wait until the broker has made the entry larger and the other exits smaller, and an entry that shrinks
waits until it has made the exits smaller. What the broker refused of the first is then refused of the second.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

from orders.exposure import exited, pair_filled
from orders.models import BrokerCommand, OrderRecord
from orders.rules.lifecycle import OPEN
from orders.rules.limits import Breach, Rule
from orders.rules.terms import OPEN_COMMANDS, CommandKind, OrderTerms, plain

_OPEN = [status.value for status in OPEN]


def waits(command: BrokerCommand, terms: OrderTerms) -> bool:
    """Whether another leg's change must be answered before this one goes. It is asked again at each claim; too old, it is refused."""
    order, parent = command.order, command.order.parent
    if terms.quantity > order.quantity:
        return (parent is not None and parent.is_open and any(_resizes([parent], 1))) or any(_resizes(_beside(order), -1))
    if terms.quantity < order.quantity:
        return any(_resizes(_exits(order), -1))
    return False


def overtaken(command: BrokerCommand) -> Breach | None:
    """A pair that has filled in part since the change was asked for: the broker makes this leg smaller, and the change, which names the
    size that it had, would make it larger again than what is left to exit."""
    if not pair_filled(command.order, command.created_at):
        return None
    return Breach("PAIR_FILLED", "The other side of its pair filled meanwhile, so its size is another now; look at it, and ask again.")


def _resizes(orders: list[OrderRecord], sign: int) -> Iterator[bool]:
    """Of each whether a change that is not settled makes it larger (`sign` +1) or smaller (-1)."""
    requested = _requested([order.pk for order in orders])
    return ((requested.get(order.pk, order.quantity) - order.quantity) * sign > 0 for order in orders)


def _beside(order: OrderRecord) -> list[OrderRecord]:
    """The exits that are changed together with this one: those of its entry, or those placed with it on a position."""
    if order.parent is not None:
        return _exits(order.parent)
    return list(OrderRecord.objects.filter(unit_id=order.unit_id, parent=None, status__in=_OPEN))


def exceeds(command: BrokerCommand, terms: OrderTerms) -> Breach | None:
    """An entry that would be smaller than its exits, or exits larger than their entry: the broker refused what was to come first."""
    order, parent = command.order, command.order.parent
    if terms.quantity < order.quantity:
        total = _total(_exits(order)) + exited(order)
        if total > terms.quantity:
            words = f"Its exits are still for {plain(total)}: the broker did not make them smaller."
            return Breach("EXITS_EXCEED", words, total, terms.quantity, "quantity")
    if terms.quantity > order.quantity and parent is not None:
        others = [exit_order for exit_order in _exits(parent) if exit_order.oca_group_id != order.oca_group_id]
        size = min(parent.quantity, _requested([parent.pk]).get(parent.pk, parent.quantity))
        total = terms.quantity - order.filled_quantity + _total(others) + exited(parent)
        most = size if parent.is_open else parent.filled_quantity
        if total > most:
            words = f"The exits would be for {plain(total)}, and their entry is for {plain(most)}."
            return Breach(Rule.EXCEEDS_POSITION, words, most, total, "quantity")
    return None


def _total(exits: list[OrderRecord]) -> Decimal:
    """What exits of one entry may fill yet, pair by pair, each as large as it may be made."""
    requested = _requested([order.pk for order in exits])
    groups: dict[int | None, list[Decimal]] = defaultdict(list)
    for order in exits:
        groups[order.oca_group_id].append(max(order.quantity, requested.get(order.pk, order.quantity)) - order.filled_quantity)
    return sum((max(sizes) for sizes in groups.values()), Decimal(0))


def _requested(orders: list[int]) -> dict[int, Decimal]:
    """Quantities asked for by changes that are not settled."""
    states = [state.value for state in OPEN_COMMANDS]
    rows = BrokerCommand.objects.filter(order__in=orders, kind=CommandKind.MODIFY.value, state__in=states)
    return {pk: Decimal(terms["quantity"]) for pk, terms in rows.values_list("order_id", "terms")}


def _exits(entry: OrderRecord) -> list[OrderRecord]:
    return list(OrderRecord.objects.filter(parent=entry, status__in=_OPEN))
