"""After the claim: written, not written, unheard of, too old. What the broker says is for intake; here is only what we know ourselves.

The rule it keeps: what may have left is never sent again, except a cancel, which can only ask for the same thing twice.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from orders import lease
from orders.book import OpenBook, book
from orders.models import BrokerCommand
from orders.models.book import Source
from orders.outbox import waiting
from orders.rules.commands import Unit
from orders.rules.lifecycle import Evidence, OrderStatus, Verdict, judge
from orders.rules.reports import OrderDoubtful, Report
from orders.rules.terms import CommandKind, CommandState

NO_EVIDENCE = timedelta(seconds=5)
"""How long a sent order may be silent, once the link is lost, before it is in doubt."""

CANCEL_REPEATS, CANCEL_REPEATS_AT_MOST = timedelta(seconds=10), timedelta(minutes=10)
"""An unanswered cancel is asked again after this time, and then after twice as long each time."""

TRIES_UNTIL_ATTENTION = 3

_IN_FLIGHT = [CommandState.SENDING.value, CommandState.SENT.value]


def written(unit: Unit, now: datetime) -> None:
    """The unit's frames are on the socket. Commands that a fast answer has settled already stay as they are."""
    with book(at=now) as b:
        commands = _of(unit, CommandState.SENDING)
        if not commands:
            return
        with b.event("unit.written", source=Source.SYSTEM, order=commands[0].order, fence=unit.fence) as fact:
            for command in commands:
                fact.set(command, state=CommandState.SENT.value, sent_at=now)


def unwritten(unit: Unit, reason: str, now: datetime) -> None:
    """The unit could not be written whole: its orders are UNKNOWN until evidence comes, its change too; a cancel waits to be sent again."""
    with book(at=now) as b:
        for command in _of(unit, CommandState.SENDING):
            if command.kind == CommandKind.CANCEL:
                _cancel_again(b, command)
            else:
                _doubt(b, command, reason)


def _of(unit: Unit, state: CommandState) -> list[BrokerCommand]:
    ids = [frame.command_id for frame in unit.frames]
    return list(BrokerCommand.objects.filter(pk__in=ids, state=state.value).select_related("order__account").order_by("pk"))


def _doubt(b: OpenBook, command: BrokerCommand, reason: str) -> None:
    order = command.order
    with b.event("order.doubtful", source=Source.SYSTEM, order=order, text=reason) as fact:
        fact.set(command, state=CommandState.UNKNOWN.value, text=reason[:500])
        if command.kind == CommandKind.PLACE and judge(order.state, order.basis, OrderStatus.UNKNOWN, Evidence.DOUBT) is Verdict.LEGAL:
            fact.set(order, status=OrderStatus.UNKNOWN.value, status_text=reason[:500])


def _cancel_again(b: OpenBook, command: BrokerCommand) -> None:
    order = command.order
    with b.event("cancel.repeated", source=Source.SYSTEM, order=order) as fact:
        fact.set(command, state=CommandState.PENDING.value)
        if command.tries >= TRIES_UNTIL_ATTENTION:
            words = f"Asked {command.tries} times to cancel it; the broker has not confirmed."
            fact.set(order, needs_attention=True, attention_text=words)
    b.wake_worker()


def housekeeping(*, fence: int, now: datetime, link_lost: bool) -> list[Report]:
    """What time alone decides: the too old is refused, waiting steps are given up, unanswered cancels are asked again.

    Gives the reports for intake of orders that were sent and are in doubt: no evidence for 5 s, and the link is lost.
    """
    from orders.manager import sweeping  # the verbs are above the outbox; only their unfinished work is taken up here

    sweeping.finish_left_behind(fence=fence, now=now)
    if not BrokerCommand.objects.filter(state__in=[CommandState.PENDING.value, *_IN_FLIGHT, CommandState.UNKNOWN.value]).exists():
        return []
    with book(at=now) as b:
        lease.check(fence)
        pending = waiting.Pending.now()
        if pending.for_others:
            waiting.release(b)
        if pending.others:
            waiting.give_up(b)
        _repeat_cancels(b)
        return _doubtful(b, now - NO_EVIDENCE, "No answer within 5 seconds, and the link was lost.") if link_lost else []


def recover(now: datetime, fence: int) -> list[Report]:
    """At the start of a session, before anything is sent: nothing is known of what the session before left in flight.

    Cancels are asked again; changes are UNKNOWN until a snapshot settles them. Gives the reports for intake of the orders in doubt.
    """
    with book(at=now) as b:
        lease.check(fence, now)
        reason = "The link ended before the broker's answer."
        in_flight = (
            BrokerCommand.objects.filter(state__in=_IN_FLIGHT).exclude(kind=CommandKind.PLACE.value).select_related("order__account")
        )
        for command in in_flight.order_by("pk"):
            if command.kind == CommandKind.CANCEL:
                _cancel_again(b, command)
            else:
                _unsettled(b, command, reason)
        return _doubtful(b, now, reason)


def _doubtful(b: OpenBook, sent_before: datetime, reason: str) -> list[Report]:
    """Reports of the orders that were sent by then and never heard of; they are given until intake has moved the order on."""
    silent = BrokerCommand.objects.filter(
        kind=CommandKind.PLACE.value,
        state__in=[*_IN_FLIGHT, CommandState.UNKNOWN.value],
        claimed_at__lte=sent_before,
        order__status=OrderStatus.SENT.value,
        order__heard_at=None,
    ).select_related("order__account")
    commands = list(silent.order_by("pk"))
    for command in commands:
        _unsettled(b, command, reason)
    return [OrderDoubtful(client_order_id=command.order.client_order_id, reason=reason) for command in commands]


def _unsettled(b: OpenBook, command: BrokerCommand, reason: str) -> None:
    if command.state != CommandState.UNKNOWN:
        with b.event("command.doubtful", source=Source.SYSTEM, order=command.order, text=reason) as fact:
            fact.set(command, state=CommandState.UNKNOWN.value, text=reason)


def _repeat_cancels(b: OpenBook) -> None:
    """Asks again for what was asked and not answered, ever more rarely: the exchange may be closed, and IB counts messages."""
    unanswered = BrokerCommand.objects.filter(
        kind=CommandKind.CANCEL.value, state__in=[CommandState.SENT.value, CommandState.UNKNOWN.value]
    ).select_related("order__account")
    for command in unanswered.order_by("pk"):
        patience = min(CANCEL_REPEATS * 2 ** max(command.tries - 1, 0), CANCEL_REPEATS_AT_MOST)
        asked_at = command.sent_at or command.claimed_at or command.created_at
        if command.order.is_open and b.now - asked_at > patience:
            _cancel_again(b, command)


def raise_order_id_mark(at_least: int, now: datetime) -> None:
    """Order ids up to `at_least` are taken: the next one given out is above it. The mark never goes down (a restarted gateway may)."""
    with book(at=now) as b:
        if b.row.order_id_mark < at_least:
            with b.event("book.order_id_mark", source=Source.BROKER) as fact:
                fact.set(b.row, order_id_mark=at_least)
