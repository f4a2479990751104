"""How well a position is protected: the part of it that a stop would close, counted from the open orders.

The rule it keeps: only what IB has accepted protects. An order that is pending, sent, unknown or being cancelled does not count, nor does a
child whose parent has not filled.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from django.utils.translation import gettext as _

from orders.models import BrokerCommand, OrderRecord, Position
from orders.queries.show import quantity
from orders.rules.lifecycle import OPEN, WORKING, OrderStatus
from orders.rules.terms import OPEN_COMMANDS, CommandKind, Role, Side

Exits = Mapping[tuple[int, int], list[OrderRecord]]
"""Open orders by (account, contract)."""

ON_THE_WAY = frozenset({OrderStatus.PENDING, OrderStatus.SENT})

STOPS = ("STP", "STP LMT", "TRAIL", "TRAIL LIMIT")


@dataclass(frozen=True)
class Guard:
    """A badge: `css` is its colour role; `bare` is the quantity no stop covers; `orphans` the exits that nothing is left to close for."""

    text: str
    css: str
    glyph: str
    bare: Decimal = Decimal(0)
    orphans: Decimal = Decimal(0)
    under_way: bool = False  # an order that will close or cover it has been sent or is about to be
    closing: bool = False


def open_exits(positions: Iterable[Position]) -> Exits:
    """The open orders in the contracts of these positions, with `cancel_asked` set on those that a cancel is out for: two queries."""
    keys = {(position.account_id, position.contract_id) for position in positions}
    accounts, contracts = {account for account, _contract in keys}, {contract for _account, contract in keys}
    found = OrderRecord.objects.filter(account__in=accounts, contract__in=contracts, status__in=[status.value for status in OPEN])
    orders = list(found.select_related("parent"))
    asked = set(
        BrokerCommand.objects.filter(
            order__in=[order.pk for order in orders], kind=CommandKind.CANCEL, state__in=[state.value for state in OPEN_COMMANDS]
        ).values_list("order", flat=True)
    )
    exits: dict[tuple[int, int], list[OrderRecord]] = defaultdict(list)
    for order in orders:
        order.cancel_asked = order.pk in asked  # type: ignore[attr-defined]
        exits[order.account_id, order.contract_id].append(order)
    return exits


def guard_of(position: Position, exits: Exits) -> Guard | None:
    """The badge of a position; None where there is nothing held and nothing left over."""
    orders = exits.get((position.account_id, position.contract_id), [])
    held = position.quantity
    if not held:
        return _orphans([order for order in orders if order.role in (Role.STOP_LOSS, Role.TAKE_PROFIT)])
    way_out = Side.SELL if held > 0 else Side.BUY
    leaving = [order for order in orders if order.side == way_out]
    if any(order.role == Role.CLOSE for order in leaving):
        return Guard(_("closing %s") % quantity(abs(held)), "badge-sent", "s-sent", under_way=True, closing=True)
    bare = max(abs(held) - _covered(leaving, WORKING), Decimal(0))
    if not bare:
        return Guard(_("protected %s") % quantity(abs(held)), "badge-ok", "i-shield")
    if abs(held) <= _covered(leaving, WORKING | ON_THE_WAY):
        return Guard(_("protecting %s") % quantity(bare), "badge-sent", "s-sent", bare=bare, under_way=True)
    return Guard(_("unprotected %s") % quantity(bare), "badge-bare", "i-warn", bare=bare)


def _covered(orders: Collection[OrderRecord], statuses: Collection[OrderStatus]) -> Decimal:
    """What stops in these statuses would close. Stops of one OCA group stand for one another: the largest counts."""
    groups: dict[object, Decimal] = {}
    for order in orders:
        if order.order_type not in STOPS or order.state not in statuses or order.cancel_asked:  # type: ignore[attr-defined]
            continue
        amount = order.remaining_quantity
        if order.parent is not None:
            amount = min(amount, order.parent.filled_quantity)
        key: object = order.oca_group_id if order.oca_group_id and order.parent_id is None else ("order", order.pk)
        groups[key] = max(groups.get(key, Decimal(0)), amount)
    return sum(groups.values(), Decimal(0))


def _orphans(orders: Collection[OrderRecord]) -> Guard | None:
    """Exits without a position would open one when they fill. A child of an entry that still waits is no orphan."""
    left = [order for order in orders if order.parent is None or not order.parent.is_open]
    if not left:
        return None
    amount = max(order.remaining_quantity for order in left)
    return Guard(_("orphan exit %s") % quantity(amount), "badge-orphan", "i-orphan", orphans=amount)
