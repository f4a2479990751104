"""Changing and cancelling orders that are in the book already.

The rule it keeps: what was asked stands in an open command, and the order itself changes only when the broker has confirmed it. An order
that was never claimed is ours alone: it is changed or withdrawn at once, and its unit with it, because a unit lives whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from django.contrib.auth import get_user_model

from orders import checks
from orders.book import OpenBook
from orders.checks import Draft
from orders.errors import Refused
from orders.exposure import OPEN_STATUSES
from orders.manager.submissions import refuse
from orders.models import Account, BrokerCommand, BrokerId, Contract, Gateway, OrderRecord
from orders.models.book import Source
from orders.queries.access import tradable_accounts
from orders.rules.lifecycle import WORKING, OrderStatus
from orders.rules.terms import (
    OPEN_COMMANDS,
    CommandKind,
    CommandState,
    OrderTerms,
    Role,
    Side,
    TimeInForce,
    plain,
    term_columns,
    terms_to_json,
)
from orders.rules.tickets import TicketError, check_exits, check_terms
from orders.steps import SCHEMA_VERSION, new_name, settle, withdraw

WITHDRAWN_BY_USER = "Withdrawn before it was sent."

CHUNK = 50
"""Orders that a verb about many takes on in one transaction: the lock is never held long."""

_OPEN = [state.value for state in OPEN_COMMANDS]


def load(pk: int) -> OrderRecord:
    """The order as it is now, under the lock."""
    return OrderRecord.objects.select_related("account", "contract", "parent", "oca_group").get(pk=pk)


def open_command(order: OrderRecord, kind: CommandKind) -> BrokerCommand | None:
    rows = BrokerCommand.objects.filter(order=order, kind=kind.value, state__in=_OPEN)
    return rows.select_related("order__account", "order__contract").first()


# --- changing -------------------------------------------------------------------------------------------------------------------------


def modify(
    b: OpenBook,
    user: Any,
    order: OrderRecord,
    *,
    quantity: Decimal | None,
    limit_price: Decimal | None,
    stop_price: Decimal | None,
    time_in_force: TimeInForce | None,
) -> BrokerCommand | None:
    """Asks for other terms: the open MODIFY, or None where the order was not sent yet and has simply been changed.

    What is None stays as it is. Raises `Refused`: NOTHING_CHANGES, NOT_OPEN, NOT_ACKNOWLEDGED, MODIFY_OPEN, CANCEL_OPEN, EXTERNAL,
    BELOW_FILLED, NOT_WHOLE, EXITS_EXCEED, BRACKET, or what any new order would be refused for.
    """
    refuse(checks.permission(b, user, order.account))
    _may_change(order)
    asked = {"quantity": quantity, "limit_price": limit_price, "stop_price": stop_price, "time_in_force": time_in_force}
    terms = replace(order.terms, **{name: value for name, value in asked.items() if value is not None})
    check_terms(terms)
    if terms == order.terms:
        raise Refused("NOTHING_CHANGES", "The order has these terms already.")
    if terms.quantity <= order.filled_quantity:
        words = f"{plain(order.filled_quantity)} are filled already; the quantity must be above that. To stop the rest, cancel it."
        raise Refused("BELOW_FILLED", words, field="quantity", limit=order.filled_quantity, actual=terms.quantity)
    _keep_exits_within(order, terms)
    _keep_exits_sound(order, terms)
    refuse(checks.fits_contract(order.contract, terms, resized=terms.quantity != order.quantity))
    found = checks.breaches(b, [Draft(order, terms, is_change=True)], user)
    refuse(found[0] if found else None)
    if order.state is OrderStatus.PENDING:
        _change_now(b, user, order, terms)
        return None
    return _ask_for(b, user, order, terms)


def _may_change(order: OrderRecord) -> None:
    if order.is_external:
        raise Refused("EXTERNAL", "It was placed elsewhere; change it where it was placed.")
    if not order.is_open:
        raise Refused("NOT_OPEN", f"The order is {order.status} already.")
    if order.state is not OrderStatus.PENDING and order.state not in WORKING:
        # IB refuses a change before it has acknowledged the order (2102).
        raise Refused("NOT_ACKNOWLEDGED", "The broker has not acknowledged the order yet; wait for it, or cancel it.")
    if open_command(order, CommandKind.CANCEL) is not None:
        raise Refused("CANCEL_OPEN", "A cancel of this order is under way.")
    if open_command(order, CommandKind.MODIFY) is not None:
        raise Refused("MODIFY_OPEN", "A change of this order is under way; wait until the broker has answered.")
    if order.state is not OrderStatus.PENDING and order.children.filter(heard_at=None).exists():
        # A bracket that was torn while it was written leaves an entry that waits untransmitted: a change would send it off without exits.
        raise Refused("NOT_WHOLE", "The broker has not named all of its exits, so a change could send it without them. Cancel it instead.")


def _keep_exits_within(order: OrderRecord, terms: OrderTerms) -> None:
    """An entry is not made smaller than its exits: filled, they would open the reverse position."""
    if terms.quantity >= order.quantity:
        return
    exits = OrderRecord.objects.filter(parent=order, status__in=OPEN_STATUSES)
    largest = max((exit_order.quantity for exit_order in exits), default=Decimal(0))
    if terms.quantity < largest:
        words = f"Its exits are for {plain(largest)}: make them smaller first."
        raise Refused("EXITS_EXCEED", words, field="quantity", limit=largest, actual=terms.quantity)


def _keep_exits_sound(order: OrderRecord, terms: OrderTerms) -> None:
    """A bracket's prices keep their order, whichever of them is changed; an entry that has ended is not compared with any more."""
    entry = order.parent or order
    exits = {child.role: child.terms for child in entry.children.filter(status__in=OPEN_STATUSES)}
    if order.parent is not None:
        exits[order.role] = terms
    target, stop = exits.get(Role.TAKE_PROFIT.value), exits.get(Role.STOP_LOSS.value)
    price = (terms if order.parent is None else entry.terms).limit_price if entry.is_open else None
    try:
        check_exits(Side(entry.side), price, target and target.limit_price, stop and stop.stop_price)
    except TicketError as error:
        changed = "limit_price" if terms.limit_price != order.limit_price else "stop_price"
        what = {"take_profit_price": "The target", "stop_loss_price": "The stop"}[error.field]
        raise Refused("BRACKET", f"{what} {error.message}.", field=changed) from error


def _change_now(b: OpenBook, user: Any, order: OrderRecord, terms: OrderTerms) -> None:
    with b.event("order.changed", source=Source.USER, actor=user, order=order, text="Changed before it was sent.") as fact:
        fact.set(order, **term_columns(terms))


def _ask_for(b: OpenBook, user: Any, order: OrderRecord, terms: OrderTerms) -> BrokerCommand:
    with b.event("modify.asked", source=Source.USER, actor=user, order=order, terms=terms_to_json(terms)) as fact:
        command = fact.add(
            BrokerCommand(
                order=order,
                kind=CommandKind.MODIFY.value,
                unit_id=new_name(b.now),
                terms=terms_to_json(terms),
                actor=user,
                schema_version=SCHEMA_VERSION,
                created_at=b.now,
                claimable_at=b.now,
            )
        )
    b.wake_worker()
    return command


# --- cancelling -----------------------------------------------------------------------------------------------------------------------


def cancel(b: OpenBook, user: Any, order: OrderRecord) -> OrderRecord:
    """Asks for a cancel, or withdraws what was never claimed, with its whole unit. Asking twice changes nothing.

    Raises `Refused`: NO_PERMISSION, NOT_OPEN, EXTERNAL. An account that is switched off can still be cancelled in.
    """
    refuse_stranger(b, user, order.account)
    if not order.is_open:
        raise Refused("NOT_OPEN", f"The order is {order.status} already.")
    if not is_cancellable(order):
        raise Refused("EXTERNAL", "It was placed elsewhere; the broker lets only that client cancel it.")
    ask_cancel(b, user, order)
    return load(order.pk)


def refuse_stranger(b: OpenBook, user: Any, account: Account) -> None:
    """A cancel needs the permission to trade the account, and nothing else: it must be possible when trading is not."""
    breach = checks.permission(b, user, account)
    if breach is not None and breach.code in ("USER_INACTIVE", "NO_PERMISSION"):
        refuse(breach)


def is_cancellable(order: OrderRecord) -> bool:
    """Ours, or placed under our client id: only the client that placed an order may cancel it (IB 10147)."""
    if not order.is_external:
        return True
    client_id = Gateway.objects.values_list("client_id", flat=True).first()
    return client_id is not None and BrokerId.objects.filter(order=order, client_id=client_id, ib_order_id__gt=0).exists()


def ask_cancel(b: OpenBook, user: Any, order: OrderRecord) -> None:
    """The cancel itself, for an open order that may be cancelled. The broker takes an entry's exits away with it."""
    place = open_command(order, CommandKind.PLACE)
    if place is not None and place.state == CommandState.PENDING:
        _withdraw_unit(b, user, place.unit_id)
        return
    if open_command(order, CommandKind.CANCEL) is not None:
        return
    change = open_command(order, CommandKind.MODIFY)
    with b.event("cancel.asked", source=Source.USER, actor=user, order=order) as fact:
        if change is not None and change.state == CommandState.PENDING:
            settle(fact, change, CommandState.WITHDRAWN, code="CANCELLED", text="Overtaken by a cancel.")
        fact.add(
            BrokerCommand(
                order=order,
                kind=CommandKind.CANCEL.value,
                unit_id=new_name(b.now),
                actor=user,
                schema_version=SCHEMA_VERSION,
                created_at=b.now,
                claimable_at=b.now,
            )
        )
    b.wake_worker()


def in_scope(user: Any, account: Account | None, contract: Contract | None) -> list[int]:
    """Open orders that a cancel of all is about: entries before their exits, so that none is left to fill without them."""
    rows = OrderRecord.objects.filter(status__in=OPEN_STATUSES, account__in=tradable_accounts(user))
    if account is not None:
        rows = rows.filter(account=account)
    if contract is not None:
        rows = rows.filter(contract=contract)
    return [order.pk for order in rows.order_by("pk") if is_cancellable(order)]


def cancel_those_open(b: OpenBook, user_id: int, orders: Sequence[int]) -> None:
    """Cancels those of the orders that are still open, and whose account the user may still trade."""
    user = get_user_model().objects.get(pk=user_id)
    for pk in orders:
        order = load(pk)  # read one by one: a unit is withdrawn whole
        if order.is_open and tradable_accounts(user).filter(pk=order.account_id).exists():
            ask_cancel(b, user, order)


def _withdraw_unit(b: OpenBook, user: Any, unit_id: str) -> None:
    for command in unclaimed(unit_id):
        withdraw(b, command, "WITHDRAWN", WITHDRAWN_BY_USER, source=Source.USER, actor=user)


def unclaimed(unit_id: str) -> Iterable[BrokerCommand]:
    """The PLACE commands of a unit that nothing has been sent of."""
    rows = BrokerCommand.objects.filter(unit_id=unit_id, kind=CommandKind.PLACE.value, state=CommandState.PENDING.value)
    return list(rows.select_related("order__account", "order__contract").order_by("pk"))
