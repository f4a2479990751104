"""What silence means: nothing heard in time, an order that a complete snapshot lacks, a change that it does not show.

The rule it keeps: silence is never a rejection and nothing is sent again because of it. A doubtful order is UNKNOWN until evidence or a
person ends it.
"""

from __future__ import annotations

from datetime import timedelta

from orders.intake import status
from orders.intake.work import Change, Work
from orders.models import OrderRecord
from orders.rules.lifecycle import OPEN, Evidence, OrderStatus
from orders.rules.reports import OrderAbsent, OrderDoubtful, Question, TermsUnchanged
from orders.rules.terms import CommandKind, CommandState, TimeInForce
from orders.trading_day import trading_day

ABSENCE = timedelta(seconds=10)
"""Two complete snapshots at least this far apart, both without an order, before its absence means anything."""

WRITTEN = (CommandState.SENDING, CommandState.SENT)


def take_doubt(work: Work, report: OrderDoubtful) -> None:
    """Sent, and nothing was heard: UNKNOWN, which only evidence or a person ends. Commands in doubt are marked so."""
    order = _order(report.client_order_id)
    change = Change(work, order, heard=False, text=report.reason)
    if order.status == OrderStatus.SENT:
        status.become(change, OrderStatus.UNKNOWN, Evidence.DOUBT, text=report.reason)
        work.ask |= set(Question) - {Question.POSITIONS}
    for kind in (CommandKind.PLACE, CommandKind.MODIFY):  # a cancel is asked again: it can only ask for the same thing twice
        command = change.commands.get(kind)
        if command is not None and command.state in WRITTEN:
            change.settle(command, CommandState.UNKNOWN, text=report.reason)
    change.write()


def take_absence(work: Work, report: OrderAbsent) -> None:
    """A complete snapshot lacks the order. Once means nothing yet; twice, 10 s apart, that it is not at the broker."""
    order = _order(report.client_order_id)
    if order.state not in OPEN - {OrderStatus.PENDING} or (order.heard_at is not None and order.heard_at > report.taken_at):
        return
    change = Change(work, order, heard=False, kind="order.absent", evidence={"taken_at": report.taken_at})
    if order.absent_since is None:
        change.text = "A complete snapshot of the broker lacks the order."
        change.fields["absent_since"] = report.taken_at
    elif report.taken_at - order.absent_since >= ABSENCE:
        _conclude(change, report)
    change.write()


def _conclude(change: Change, report: OrderAbsent) -> None:
    order = change.order
    if status.said_filled(change):
        # It was executed, and no list tells of it any more: neither a cancel may be concluded nor a second order offered.
        if order.state is not OrderStatus.UNKNOWN:
            status.become(change, OrderStatus.UNKNOWN, Evidence.DOUBT, text=status.EXECUTIONS_MISSING)
        change.attention(status.EXECUTIONS_TO_FIND)
        return
    ended = order.time_in_force == TimeInForce.DAY and trading_day(order.account, order.sent_at or order.created_at).end <= report.taken_at
    if ended and order.state is not OrderStatus.SENT:
        status.become(change, OrderStatus.CANCELLED, Evidence.INFERRED, text="Its day has ended, and the broker does not know it any more.")
        return
    if order.state is not OrderStatus.UNKNOWN:
        status.become(change, OrderStatus.UNKNOWN, Evidence.DOUBT, text=status.NOT_AT_THE_BROKER)
    change.fields["status_text"] = status.NOT_AT_THE_BROKER
    if not (order.needs_attention and order.status_text == status.NOT_AT_THE_BROKER):
        change.attention("The order is not at the broker. Look there, then close it here or send it again.")
    place = change.commands.get(CommandKind.PLACE)
    if place is not None and place.state in WRITTEN:
        change.settle(place, CommandState.UNKNOWN, text=status.NOT_AT_THE_BROKER)


def take_terms_unchanged(work: Work, report: TermsUnchanged) -> None:
    """A snapshot, taken well after a change was sent, shows the old terms: the change did not arrive. It is never repeated."""
    order = _order(report.client_order_id)
    change = Change(work, order, heard=False, kind="order.change_refused", text="The broker shows the order unchanged.")
    modify = change.claimed(CommandKind.MODIFY)
    if modify is not None and modify.pk == report.command_id:
        change.settle(modify, CommandState.REFUSED, "UNCHANGED", change.text)
        change.write()


def _order(client_order_id: str) -> OrderRecord:
    return OrderRecord.objects.select_related("account", "contract").get(client_order_id=client_order_id)
