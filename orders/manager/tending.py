"""What a person concludes after looking at the broker: an order of unknown fate is gone, a flag has been seen, an external order is ours.

The rule it keeps: a person's word is evidence and is recorded as such. Should the broker say otherwise later, its word is taken and an
incident tells of it.
"""

from __future__ import annotations

from typing import Any

from orders.book import OpenBook
from orders.errors import IllegalTransition, Refused
from orders.manager.changing import refuse_stranger
from orders.models import BrokerCommand, OrderRecord
from orders.models.book import Source
from orders.rules.lifecycle import Evidence, OrderStatus, Verdict, judge
from orders.rules.terms import OPEN_COMMANDS, CommandState
from orders.signals import order_cancelled, tell
from orders.steps import settle


def conclude_cancelled(b: OpenBook, user: Any, order: OrderRecord, reason: str) -> OrderRecord:
    """An UNKNOWN order is not at the broker, says a person who looked there: CANCELLED, with whatever had filled.

    Raises `Refused` NO_PERMISSION, REASON without a reason, NOT_UNKNOWN for any other status.
    """
    refuse_stranger(b, user, order.account)
    if not reason.strip():
        raise Refused("REASON", "Say what you saw at the broker.", field="reason")
    if order.state is not OrderStatus.UNKNOWN:
        raise Refused("NOT_UNKNOWN", f"The order is {order.status}; only an order of unknown fate is ended by hand.")
    if judge(order.state, order.basis, OrderStatus.CANCELLED, Evidence.PERSON) is not Verdict.LEGAL:
        raise IllegalTransition(f"{order.client_order_id} cannot be ended by hand")
    text = f"Not at the broker, says {user}: {reason.strip()}"[:500]
    states = [state.value for state in OPEN_COMMANDS]
    with b.event("order.concluded", source=Source.USER, actor=user, order=order, text=text) as fact:
        fact.set(
            order,
            status=OrderStatus.CANCELLED.value,
            status_basis=Evidence.PERSON.value,
            status_text=text,
            closed_at=b.now,
            needs_attention=False,
            attention_text="",
        )
        for command in BrokerCommand.objects.filter(order=order, state__in=states).select_related("order"):
            settle(fact, command, CommandState.WITHDRAWN, code="PERSON", text="The order was ended by hand.")
    tell(b, order_cancelled, sender=OrderRecord, order=order)
    b.wake_worker()
    return order


def ask_again(b: OpenBook, user: Any, order: OrderRecord) -> OrderRecord:
    """Somebody wants the broker asked again about an UNKNOWN order; the record of it is how often it was. Raises `Refused` NOT_UNKNOWN."""
    refuse_stranger(b, user, order.account)
    if order.state is not OrderStatus.UNKNOWN:
        raise Refused("NOT_UNKNOWN", f"The order is {order.status}; there is nothing to ask.")
    with b.event("order.inquired", source=Source.USER, actor=user, order=order, text="The broker is asked for its lists again.") as fact:
        fact.show("order", order.pk, account_id=order.account_id)
    return order


def clear_attention(b: OpenBook, user: Any, order: OrderRecord) -> OrderRecord:
    """Somebody has looked at a flagged order. A flag that is gone already stays gone."""
    refuse_stranger(b, user, order.account)
    if order.needs_attention:
        text = f"Seen: {order.attention_text}"
        with b.event("order.seen", source=Source.USER, actor=user, order=order, text=text) as fact:
            fact.set(order, needs_attention=False, attention_text="")
    return order


def adopt(b: OpenBook, user: Any, order: OrderRecord) -> OrderRecord:
    """Attributes an order placed elsewhere to the user, in the book only. Raises `Refused` NOT_EXTERNAL, ADOPTED."""
    refuse_stranger(b, user, order.account)
    if not order.is_external:
        raise Refused("NOT_EXTERNAL", "This order was placed here.")
    if order.created_by is not None and order.created_by != user:
        raise Refused("ADOPTED", f"{order.created_by} has adopted this order.")
    with b.event("order.adopted", source=Source.USER, actor=user, order=order, text=f"{user} has adopted this order.") as fact:
        fact.set(order, created_by=user)
    return order
