"""Changing and cancelling orders that are in the book already.

The rule it keeps: what was asked stands in an open command, and the order itself changes only when the broker has confirmed it. An order
that was never claimed is ours alone: it is changed or withdrawn at once, and its unit with it, because a unit lives whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model

from orders import checks
from orders.book import OpenBook
from orders.checks import Draft
from orders.errors import Refused
from orders.exposure import OPEN_STATUSES, pair_filled
from orders.holdings import SETTLES
from orders.manager import family
from orders.manager.submissions import refuse
from orders.models import Account, BrokerCommand, BrokerId, Contract, Gateway, OrderRecord
from orders.models.book import Source
from orders.proposals import as_of
from orders.queries.access import tradable_accounts
from orders.rules.lifecycle import WORKING, OrderStatus
from orders.rules.terms import (
    OPEN_COMMANDS,
    CommandKind,
    CommandState,
    OrderTerms,
    TimeInForce,
    plain,
    term_columns,
    terms_to_json,
)
from orders.rules.tickets import check_terms
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


def modify(b: OpenBook, user: Any, order: OrderRecord, **asked: Any) -> BrokerCommand | None:
    """Asks for other terms, by the names of `OrderTerms`: the open MODIFY, or None where the order was not sent yet and is changed at once.

    What is None stays as it is. Raises `Refused`: NOTHING_CHANGES, NOT_OPEN, NOT_ACKNOWLEDGED, MODIFY_OPEN, CANCEL_OPEN, EXTERNAL,
    BELOW_FILLED, NOT_WHOLE, NOT_CHANGEABLE, EXITS_EXCEED, BRACKET, or what any new order would be refused for.
    """
    refuse(checks.permission(b, user, order.account))
    draft = changed(order, asked, b.now)
    if draft.terms == order.terms:
        raise Refused("NOTHING_CHANGES", "The order has these terms already.")
    family.keep_whole([draft])
    found = checks.breaches(b, [draft], user)
    refuse(found[0] if found else None)
    return ask_for(b, user, draft)


def changed(order: OrderRecord, asked: Mapping[str, Any], now: datetime) -> Draft:
    """The order with the terms asked for, as far as that can be judged by itself. Raises `Refused` or `TicketError`."""
    _may_change(order, now)
    terms = _changed_terms(order.terms, {name: value for name, value in asked.items() if value is not None})
    if terms.good_till != order.good_till:  # an end must be ahead; where the order began may be behind it
        check_terms(as_of(terms, now), now)
    check_terms(terms)
    if terms.quantity <= order.filled_quantity:
        words = f"{plain(order.filled_quantity)} are filled already; the quantity must be above that. To stop the rest, cancel it."
        raise Refused("BELOW_FILLED", words, field="quantity", limit=order.filled_quantity, actual=terms.quantity)
    refuse(checks.fits_contract(order.contract, terms, resized=terms.quantity != order.quantity))
    return Draft(order, terms, is_change=True)


_LASTING = (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD)


def _changed_terms(terms: OrderTerms, asked: Mapping[str, Any]) -> OrderTerms:
    """The new terms. An end goes with GTD alone: asking for one makes it GTD, and leaving GTD leaves it behind."""
    values = dict(asked)
    if "good_till" in values:
        values.setdefault("time_in_force", TimeInForce.GTD)
    becomes = values.get("time_in_force", terms.time_in_force)
    if becomes is not terms.time_in_force and not (becomes in _LASTING and terms.time_in_force in _LASTING):
        words = f"An order that is {terms.time_in_force} cannot become {becomes}; cancel it and place another."
        raise Refused("NOT_CHANGEABLE", words, field="time_in_force")
    if becomes is not TimeInForce.GTD and "good_till" not in values:
        values["good_till"] = None
    for one, other in (("trail_amount", "trail_percent"), ("trail_percent", "trail_amount")):
        if one in values and getattr(terms, other) is not None:
            words = "A trail keeps its kind: an amount stays an amount, a percentage a percentage. Cancel it and place another."
            raise Refused("NOT_CHANGEABLE", words, field=one)
    return replace(terms, **values)


def _may_change(order: OrderRecord, now: datetime) -> None:
    if order.is_external:
        raise Refused("EXTERNAL", "It was placed elsewhere; change it where it was placed.")
    if not order.is_open:
        raise Refused("NOT_OPEN", f"The order is {order.status} already.")
    if order.state is not OrderStatus.PENDING and order.state not in WORKING:
        # IB refuses a change before it has acknowledged the order (2102).
        raise Refused("NOT_ACKNOWLEDGED", "The broker has not acknowledged the order yet; wait for it, or cancel it.")
    if order.heard_at is not None and pair_filled(order, max(order.heard_at, now - SETTLES)):
        raise Refused("PAIR_FILLED", "Its pair has just filled; the broker makes this one smaller. Look again in a moment.")
    if open_command(order, CommandKind.CANCEL) is not None:
        raise Refused("CANCEL_OPEN", "A cancel of this order is under way.")
    if open_command(order, CommandKind.MODIFY) is not None:
        raise Refused("MODIFY_OPEN", "A change of this order is under way; wait until the broker has answered.")
    if order.state is not OrderStatus.PENDING and order.children.filter(heard_at=None).exists():
        # A bracket that was torn while it was written leaves an entry that waits untransmitted: a change would send it off without exits.
        raise Refused("NOT_WHOLE", "The broker has not named all of its exits, so a change could send it without them. Cancel it instead.")


def ask_for(b: OpenBook, user: Any, draft: Draft) -> BrokerCommand | None:
    """Changes what was never sent at once, and writes the MODIFY of what was. The event says old and new."""
    order, terms = draft.order, draft.terms
    words = change_words(order.terms, terms)
    if order.state is OrderStatus.PENDING:
        with b.event("order.changed", source=Source.USER, actor=user, order=order, text=f"Changed before it was sent: {words}") as fact:
            fact.set(order, **term_columns(terms))
        return None
    before = terms_to_json(order.terms)
    with b.event(
        "modify.asked", source=Source.USER, actor=user, order=order, text=words, before=before, terms=terms_to_json(terms)
    ) as fact:
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


def change_words(before: OrderTerms, after: OrderTerms) -> str:
    """ "limit price 99.5 → 99.6, quantity 100 → 80"."""
    old, new = terms_to_json(before), terms_to_json(after)
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return ", ".join(f"{name.replace('_', ' ')} {old.get(name) or 'none'} → {new.get(name) or 'none'}" for name in names)


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
