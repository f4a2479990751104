"""Codes of the broker that name an order, by what they mean for it.

The rule it keeps: a code refuses a new order, a change or a cancel; a live order lives on, and is asked for again where the code is not
clear about it.
"""

from __future__ import annotations

import re

from orders.intake import names, status
from orders.intake.work import Change, Work, clip
from orders.models import Event, OrderRecord
from orders.rules.lifecycle import TERMINAL, WORKING, Evidence, OrderStatus
from orders.rules.reports import Meaning, OrderMessage, Question
from orders.rules.terms import CommandKind, CommandState

_REASON = re.compile(r"^Order Cancell?ed - reason:\s*", re.IGNORECASE)
"""How every 202 begins; what follows, if anything does, is the reason."""


def take_message(work: Work, report: OrderMessage) -> None:
    """A code of the broker that names an order, by what it means."""
    order = names.find(work, report.key)
    if order is None:
        text = (
            f"Message {report.code} names order {names.own_key(work, report.key).ib_order_id}, which the book does not know: {report.text}"
        )
        work.incident("unknown_order_message", text, code=report.code)
        return
    change = Change(
        work, order, kind="order.message", text=clip(report.text, 500), evidence={"code": report.code, "meaning": report.meaning}
    )
    names.record(change, report.key)
    _MESSAGES[report.meaning](change, report)
    if change.told and _told_last(order, report):
        change.told = False
    change.write()


def _told_last(order: OrderRecord, report: OrderMessage) -> bool:
    """Whether the order's last event is this very message: IB repeats itself."""
    last = Event.objects.filter(order=order).order_by("-seq").first()
    return last is not None and last.text == clip(report.text, 500) and last.data.get("code") == report.code


def _rejected(change: Change, report: OrderMessage) -> None:
    modify = change.claimed(CommandKind.MODIFY)
    if change.status in WORKING and modify is not None:
        _not_changed(change, report)
    elif change.status is OrderStatus.WORKING or (change.status is OrderStatus.HELD and change.value("broker_status") == "PreSubmitted"):
        # Live (a waiting stop too) and nothing of ours is open: believed only when the broker ends it or takes it off its list.
        _shown(change, report)
        _look_again(change)
    elif status.was_cancelled(change):
        _shown(change, report)
    else:
        status.become(change, OrderStatus.REJECTED, Evidence.CODE, code=str(report.code), text=report.text)


def _not_changed(change: Change, report: OrderMessage) -> None:
    modify = change.claimed(CommandKind.MODIFY)
    _shown(change, report)
    if modify is not None:
        change.settle(modify, CommandState.REFUSED, str(report.code), report.text)
        change.kind = "order.change_refused"
    else:
        _look_again(change)


def _cancelled(change: Change, report: OrderMessage) -> None:
    status.heard(change)
    live = [row for row in change.names if row.perm_id and row.word in status.LIVE_WORDS]
    if len(live) > 1:  # 202 names the order id, not which of its perm ids
        _shown(change, report)
        _look_again(change)
        return
    if change.status is OrderStatus.CANCELLED and not change.value("status_text") and _REASON.sub("", report.text):
        change.fields.update(status_text=clip(report.text, 500), status_code=str(report.code))  # the word came first, without its reason
    status.become(change, OrderStatus.CANCELLED, Evidence.CODE, code=str(report.code), text=report.text)


def _not_cancelled(change: Change, report: OrderMessage) -> None:
    """Not cancellable, not found: neither says what happened to the order (161, 135, 136, 10147, 10148)."""
    cancel = change.claimed(CommandKind.CANCEL)
    modify = change.claimed(CommandKind.MODIFY)
    _shown(change, report)
    if cancel is not None:
        change.settle(cancel, CommandState.REFUSED, str(report.code), report.text)
        change.kind = "order.cancel_refused"
    elif modify is not None:
        change.settle(modify, CommandState.REFUSED, str(report.code), report.text)
        change.kind = "order.change_refused"
    _look_again(change)


def _shown(change: Change, report: OrderMessage) -> None:
    """Kept as an event, and shown beside an order that is not over: a refusal's own text is not overwritten."""
    change.told = True
    if change.status not in TERMINAL:
        change.fields.update(status_text=clip(report.text, 500), status_code=str(report.code))


def _unclear(change: Change, report: OrderMessage) -> None:
    _shown(change, report)
    _look_again(change)


def _look_again(change: Change) -> None:
    change.work.ask |= set(Question) - {Question.POSITIONS}


_MESSAGES = {
    Meaning.REJECTED: _rejected,
    Meaning.NOT_CHANGED: _not_changed,
    Meaning.CANCELLED: _cancelled,
    Meaning.NOT_CANCELLABLE: _not_cancelled,
    Meaning.NOT_FOUND: _not_cancelled,
    Meaning.HELD: _shown,  # the status word beside it says HELD; the code alone moves nothing
    Meaning.WARNING: _shown,
    Meaning.UNCLEAR: _unclear,
}
