"""What open orders may still do to a position, read under the book's lock.

Of the members of one OCA group, and of the exits of one entry, only one can fill: they count once. Exits whose entry has not filled count
not at all. What cannot be told apart counts fully, so that the answer is never too small.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from decimal import Decimal

from orders.models import Account, BrokerCommand, Contract, OrderRecord, Position
from orders.models.reading import the_one
from orders.rules.lifecycle import OPEN
from orders.rules.terms import OPEN_COMMANDS, CommandKind, Side

OPEN_STATUSES = [status.value for status in OPEN]
OPEN_COMMAND_STATES = [state.value for state in OPEN_COMMANDS]


def open_orders(account: Account, contract: Contract, side: Side, *, without: Collection[int] = ()) -> list[OrderRecord]:
    """Orders of this side that are not terminal, UNKNOWN included, by age; `without` leaves out orders by primary key."""
    rows = OrderRecord.objects.filter(account=account, contract=contract, side=side.value, status__in=OPEN_STATUSES)
    return list(rows.exclude(pk__in=list(without)).select_related("parent").order_by("pk"))


def may_trade(orders: Collection[OrderRecord]) -> Decimal:
    """The quantity that these open orders of one side may still trade together."""
    requested = _requested_quantities(orders)
    once: defaultdict[tuple[str, int], list[Decimal]] = defaultdict(list)
    for order in orders:
        remaining = max(order.quantity, requested.get(order.pk, order.quantity)) - order.filled_quantity
        parent = order.parent
        if parent is not None and parent.is_open:
            remaining = min(remaining, parent.filled_quantity)
        if parent is not None:
            once["parent", parent.pk].append(remaining)
        elif order.oca_group_id is not None:
            once["oca", order.oca_group_id].append(remaining)
        else:
            once["order", order.pk].append(remaining)
    return sum((max(*group, Decimal(0)) for group in once.values()), Decimal(0))


def _requested_quantities(orders: Collection[OrderRecord]) -> dict[int, Decimal]:
    """Quantities asked for by changes that are not settled: any of them may already be true at the broker."""
    rows = BrokerCommand.objects.filter(
        order_id__in=[order.pk for order in orders], kind=CommandKind.MODIFY.value, state__in=OPEN_COMMAND_STATES
    )
    return {order_id: Decimal(terms["quantity"]) for order_id, terms in rows.values_list("order_id", "terms")}


def position_of(account: Account, contract: Contract) -> Position | None:
    """The position as IB reports it, or None where it is flat."""
    row = the_one(Position.objects.filter(account=account, contract=contract))
    return row if row is not None and row.quantity != 0 else None


def closing_side(quantity: Decimal) -> Side:
    """The side that takes from a position of this signed quantity."""
    return Side.SELL if quantity > 0 else Side.BUY


def unprotected(account: Account, contract: Contract, side: Side, *, without: Collection[int] = ()) -> Decimal:
    """How much of the position orders of `side` may still close: the position minus what works to close it already, at least zero."""
    position = position_of(account, contract)
    if position is None or closing_side(position.quantity) is not side:
        return Decimal(0)
    return max(abs(position.quantity) - may_trade(open_orders(account, contract, side, without=without)), Decimal(0))
