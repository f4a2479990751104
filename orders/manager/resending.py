"""Sending an order again that is not at the broker: a new order with the same terms, linked to the lost one, which ends on a person's word.

The rule it keeps: never by itself, and never where the first may still be there. Closing the old one and placing the new one are one
transaction, so that the two never count together; and the new one goes through the checks of any order.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from orders.book import OpenBook
from orders.errors import Refused
from orders.exposure import unprotected
from orders.manager import family, tending
from orders.manager.changing import refuse_stranger
from orders.manager.closing import CLOSERS
from orders.manager.placing import Member, Placing, check_unit, draft_orders, write_unit
from orders.models import BrokerCommand, OrderRecord
from orders.rules.lifecycle import NOT_AT_THE_BROKER, OrderStatus
from orders.rules.offering import check_terms
from orders.rules.terms import EXITS, CommandKind, OcaType, OrderTerms, Role, Side


def send_again(b: OpenBook, user: Any, order: OrderRecord, reason: str) -> list[OrderRecord]:
    """The new orders of the unit, the one for `order` among them.

    Raises `Refused`: NO_PERMISSION, REASON, EXTERNAL, NOT_LOST where two complete lists of the broker have not shown that it is not there,
    UNIT_LIVES where another part of its unit does or did, TIME_PASSED, or what any new order would be refused for.
    """
    refuse_stranger(b, user, order.account)
    if not reason.strip():
        raise Refused("REASON", "Say what you saw at the broker.", field="reason")
    unit = lost_unit(order)
    if any(member.good_after is not None and member.good_after <= b.now for member in unit):
        raise Refused("TIME_PASSED", "It, or an exit of it, was to go live at a time that has passed. Close it, and place it anew.")
    lost_terms = [as_of_now(replace(member.terms, quantity=member.remaining_quantity), b.now) for member in unit]
    for member in unit:
        tending.conclude_cancelled(b, user, member, f"{reason.strip()} Sent again.")
    if unit[0].role in (Role.CLOSE, Role.LIQUIDATION):
        left = _left_to_close(unit[0])
        part = _rule_of(unit[0]) == BrokerCommand.QuantityRule.AT_MOST
        lost_terms = [replace(lost_terms[0], quantity=min(left, lost_terms[0].quantity) if part else left)]
    placing = Placing(user=user, account=order.account, contract=order.contract, note=order.note, confirm_duplicate=True)
    pairs = family.pairs([member for member in unit if member.role in EXITS])
    pair_of = {member.pk: number for number, pair in enumerate(pairs, 1) for member in pair}
    members = [
        Member(terms, Role(member.role), is_child=member.parent_id is not None, pair=pair_of.get(member.pk, 0))
        for terms, member in zip(lost_terms, unit, strict=True)
    ]
    drafts = draft_orders(b, placing, members)
    for draft, member in zip(drafts, unit, strict=True):
        draft.order.resend_of = member
    check_unit(b, placing, drafts)
    return write_unit(b, placing, drafts, oca_type=_oca_type(unit), **_rule(unit))


def as_of_now(terms: OrderTerms, now: datetime) -> OrderTerms:
    """The terms, whole where the rest is no more than was shown of it. Raises `TicketError` where the order's end has passed."""
    if terms.display_size is not None and terms.display_size >= terms.quantity:
        terms = replace(terms, display_size=None)
    check_terms(terms, now)
    return terms


def lost_unit(order: OrderRecord) -> list[OrderRecord]:
    """The orders that go again with this one, entry first. Raises `Refused` where it, or a part of its unit, may not."""
    if order.is_external:
        raise Refused("EXTERNAL", "It was placed elsewhere; place it again there.")
    if not is_lost(order):
        words = "Only an order that two complete lists of the broker lacked is sent again; this one may still be there."
        raise Refused("NOT_LOST", words if order.is_open else f"The order is {order.status} already.")
    unit = list(
        OrderRecord.objects.filter(unit_id=order.unit_id).select_related("account", "contract", "parent", "oca_group").order_by("pk")
    )
    for member in unit:
        if member.pk != order.pk and (not is_lost(member) or member.filled_quantity):
            had = " and has filled in part" if member.filled_quantity else ""
            words = f"It was sent together with {member}, which is {member.status}{had}. Close this one, and place what is missing anew."
            raise Refused("UNIT_LIVES", words)
    if len(unit) > 1 and order.filled_quantity:
        raise Refused("UNIT_LIVES", "A part of it has filled, so the whole is not sent again. Close it, and protect what is held.")
    return unit


def is_lost(order: OrderRecord) -> bool:
    """UNKNOWN, and two complete snapshots lacked it."""
    return order.state is OrderStatus.UNKNOWN and order.status_text == NOT_AT_THE_BROKER


def _left_to_close(order: OrderRecord) -> Decimal:
    """What a closing order would close now; at its claim it is worked out once more."""
    left = unprotected(order.account, order.contract, Side(order.side))
    if left == 0:
        raise Refused("NO_POSITION", f"There is nothing left to close in {order.contract.label}. Close this order by hand instead.")
    return left


def _oca_type(unit: list[OrderRecord]) -> OcaType | None:
    """That of the groups its exits are in; None where the broker links them in its own way, or there is nothing to link."""
    return next((OcaType(order.oca_group.oca_type) for order in unit if order.oca_group is not None), None)


def _rule(unit: list[OrderRecord]) -> dict[str, Any]:
    """An order that closes or reverses takes its quantity from the position again."""
    return {"quantity_rule": _rule_of(unit[0])} if unit[0].role in CLOSERS else {}


def _rule_of(order: OrderRecord) -> str:
    return BrokerCommand.objects.values_list("quantity_rule", flat=True).get(order=order, kind=CommandKind.PLACE.value)
