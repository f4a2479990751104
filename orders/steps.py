"""Steps that we take ourselves with orders and commands, before anything is sent or when nothing more will be.

Every step is looked up in the lifecycle; one that it does not have raises `IllegalTransition`. The broker's steps are for intake.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ulid import ULID

from orders.book import Fact, OpenBook
from orders.errors import IllegalTransition
from orders.models import BrokerCommand, OrderRecord
from orders.models.book import Source
from orders.rules.lifecycle import TERMINAL, Evidence, OrderStatus, Verdict, judge
from orders.rules.terms import CommandState
from orders.signals import order_cancelled, order_error, tell

SCHEMA_VERSION = 2
"""The shape of the command rows this code writes: 2 may say what kinds of terms 1 had no word for."""

KNOWN_SCHEMAS = frozenset({1, 2})
"""The shapes it understands."""


def new_name(now: datetime) -> str:
    """A name that sorts by time and never comes again (ULID: 48 bits of time, 80 of chance)."""
    return str(ULID.from_datetime(now))


def move(fact: Fact, order: OrderRecord, status: OrderStatus, *, code: str = "", text: str = "", **fields: Any) -> None:
    """Takes an order a step on our own evidence. Raises `IllegalTransition` where the lifecycle does not have it."""
    if judge(order.state, order.basis, status, Evidence.LOCAL) is not Verdict.LEGAL:
        raise IllegalTransition(f"{order.client_order_id} cannot go from {order.status} to {status}")
    if status in TERMINAL:
        fields |= {"status_basis": Evidence.LOCAL.value, "closed_at": fact.book.now, "status_code": code, "status_text": text[:500]}
    fact.set(order, status=status.value, **fields)


def settle(fact: Fact, command: BrokerCommand, state: CommandState, *, code: str = "", text: str = "") -> None:
    """Ends a command."""
    fact.set(command, state=state.value, settled_at=fact.book.now, code=code, text=text[:500])


def reject(b: OpenBook, command: BrokerCommand, code: str, text: str, **numbers: Any) -> None:
    """Refuses an order that was never sent: order REJECTED (local), its PLACE REFUSED."""
    order = command.order
    with b.event("order.rejected", source=Source.SYSTEM, order=order, text=text, code=code, **numbers) as fact:
        move(fact, order, OrderStatus.REJECTED, code=code, text=text)
        settle(fact, command, CommandState.REFUSED, code=code, text=text)
    tell(b, order_error, sender=OrderRecord, order=order, code=code, text=text)


def withdraw(
    b: OpenBook,
    command: BrokerCommand,
    code: str,
    text: str,
    *,
    source: Source = Source.SYSTEM,
    actor: Any = None,
    attention: bool = False,
) -> None:
    """Takes back an order that was never sent: order CANCELLED (local), its PLACE WITHDRAWN."""
    order = command.order
    flags = {"needs_attention": True, "attention_text": text[:300]} if attention else {}
    with b.event("order.withdrawn", source=source, actor=actor, order=order, text=text, code=code) as fact:
        move(fact, order, OrderStatus.CANCELLED, code=code, text=text, **flags)
        settle(fact, command, CommandState.WITHDRAWN, code=code, text=text)
    tell(b, order_cancelled, sender=OrderRecord, order=order)


def take(fact: Fact, command: BrokerCommand, fence: int) -> None:
    """Marks a command as being written under this fence."""
    fact.set(command, state=CommandState.SENDING.value, fence=fence, tries=command.tries + 1, claimed_at=fact.book.now)


def end(b: OpenBook, command: BrokerCommand, state: CommandState, code: str, text: str, *, attention: bool = False, **numbers: Any) -> None:
    """Ends a MODIFY or CANCEL without sending it; the order stays. `attention`: a person must look. `numbers`: limit, actual, who asked."""
    order, kind = command.order, command.kind.lower()
    with b.event(f"{kind}.{state.value.lower()}", source=Source.SYSTEM, order=order, text=text, code=code, **numbers) as fact:
        settle(fact, command, state, code=code, text=text)
        if attention:
            fact.set(order, needs_attention=True, attention_text=text[:300])
    if state is CommandState.REFUSED:
        tell(b, order_error, sender=OrderRecord, order=order, code=code, text=text)
