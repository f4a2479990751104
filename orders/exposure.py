"""What open orders may still do to a position, read under the book's lock.

Of the members of one OCA group only one can fill: they count once. The groups of one entry add up, to no more than the entry has filled.
What cannot be told apart counts fully, so that the answer is never too small (rules.limits.exposed).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from decimal import Decimal

from django.db.models import Case, IntegerField, Q, Value, When

from orders.models import Account, BrokerCommand, Contract, Execution, OrderRecord, Position
from orders.models.reading import the_one
from orders.rules.lifecycle import OPEN, OrderStatus
from orders.rules.limits import exposed
from orders.rules.limits.exposed import Open
from orders.rules.terms import OPEN_COMMANDS, CommandKind, OcaType, Role, Side

OPEN_STATUSES = [status.value for status in OPEN]
OPEN_COMMAND_STATES = [state.value for state in OPEN_COMMANDS]
_COLUMNS = (
    "pk", "account_id", "contract_id", "side", "quantity", "filled_quantity", "status", "role", "order_type", "limit_price", "stop_price",
    "created_by_id", "unit_id", "oca_group_id", "parent_id", "parent__status", "parent__filled_quantity", "trailing__price", "sent_at",
)  # fmt: skip


def open_orders(account: Account, contract: Contract, side: Side, *, without: Collection[int] = ()) -> list[OrderRecord]:
    """Orders of this side that are not terminal, UNKNOWN included, by age; `without` leaves out orders by primary key."""
    rows = OrderRecord.objects.filter(account=account, contract=contract, side=side.value, status__in=OPEN_STATUSES)
    return list(rows.exclude(pk__in=list(without)).select_related("parent").order_by("pk"))


# Spelled out, because SQLite takes the index of the open orders only where it sees their words in the statement; and what is wanted of them
# is asked in a form that no index serves, or it walks through all orders that the account ever had.
_IS_OPEN = f'"{OrderRecord._meta.db_table}"."status" IN ({", ".join(repr(word) for word in sorted(OPEN_STATUSES))})'


def read_open(which: Q) -> list[Open]:
    """The open orders of that kind as facts, by age, with the quantities that unsettled changes ask for: two queries, one where none is."""
    wanted = Case(When(which, then=Value(1)), default=Value(0), output_field=IntegerField())
    found = OrderRecord.objects.extra(where=[_IS_OPEN])  # noqa: S610 - our own words, no one else's
    found = found.annotate(is_wanted=wanted).filter(is_wanted=1)
    rows = list(found.order_by("pk").values_list(*_COLUMNS))
    requested = _requested_quantities([row[0] for row in rows])
    return [_open(row, requested) for row in rows]


def _open(row: tuple, requested: dict[int, Decimal]) -> Open:
    pk, account, contract, side, quantity, filled, status, role, kind, limit, stop, user, unit, group, parent, *of_parent = row
    parent_status, parent_filled, trailing, sent_at = of_parent
    return Open(
        pk=pk,
        account=account,
        contract=contract,
        side=Side(side),
        quantity=max(quantity, requested.get(pk, quantity)),
        filled=filled,
        status=OrderStatus(status),
        role=Role(role),
        order_type=kind,
        limit_price=limit,
        stop_price=stop if trailing is None else trailing,
        user=user,
        unit=unit,
        sent_at=sent_at,
        group=group,
        parent=parent,
        parent_is_open=parent is not None and _gives_what_it_filled(OrderStatus(parent_status), parent_filled),
        parent_filled=parent_filled if parent_filled is not None else Decimal(0),
    )


def _gives_what_it_filled(status: OrderStatus, filled: Decimal) -> bool:
    """An entry that still fills. Of one that was cancelled without a fill the exits never went live, and the broker takes them away with
    it: until that is heard they take nothing from what is held besides. (One that was refused may leave them behind.)"""
    return status in OPEN or (status is OrderStatus.CANCELLED and filled == 0)


def may_trade(orders: Collection[OrderRecord]) -> Decimal:
    """The quantity that these open orders of one side may still trade together."""
    requested = _requested_quantities([order.pk for order in orders])
    return exposed.may_trade(_fact(order, requested) for order in orders)


def _fact(order: OrderRecord, requested: dict[int, Decimal]) -> Open:
    parent = order.parent
    return Open(
        pk=order.pk,
        account=order.account_id,
        contract=order.contract_id,
        side=Side(order.side),
        quantity=max(order.quantity, requested.get(order.pk, order.quantity)),
        filled=order.filled_quantity,
        status=order.state,
        role=Role(order.role),
        order_type=order.order_type,
        group=order.oca_group_id,
        parent=order.parent_id,
        parent_is_open=parent is not None and _gives_what_it_filled(parent.state, parent.filled_quantity),
        parent_filled=parent.filled_quantity if parent is not None else Decimal(0),
    )


def _requested_quantities(orders: Iterable[int]) -> dict[int, Decimal]:
    """Quantities asked for by changes that are not settled: any of them may already be true at the broker."""
    keys = list(orders)
    if not keys:
        return {}
    rows = BrokerCommand.objects.filter(order_id__in=keys, kind=CommandKind.MODIFY.value, state__in=OPEN_COMMAND_STATES)
    return {order_id: Decimal(terms["quantity"]) for order_id, terms in rows.order_by().values_list("order_id", "terms")}


def exited(entry: OrderRecord) -> Decimal:
    """What the exits of an entry have filled, those that have ended too."""
    return sum(OrderRecord.objects.filter(parent=entry).exclude(filled_quantity=0).values_list("filled_quantity", flat=True), Decimal(0))


def pair_filled(order: OrderRecord, since: datetime) -> bool:
    """Whether an order that makes this one smaller when it fills was heard to fill after that: a member of its OCA group, unless the first
    fill cancels the others, or of an entry's exits that the broker links in its own way."""
    others = OrderRecord.objects.exclude(pk=order.pk)
    if order.oca_group is not None:
        if order.oca_group.oca_type == OcaType.CANCEL_WITH_BLOCK:
            return False
        others = others.filter(oca_group=order.oca_group)
    elif order.parent_id is not None:
        others = others.filter(parent=order.parent_id, oca_group=None)
    else:
        return False
    return Execution.objects.filter(order__in=others, counts=True, received_at__gt=since).exists()


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
