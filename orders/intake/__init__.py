"""The intake: the one door by which what the broker says enters the book, live and by snapshot alike.

The rule it keeps: reports are applied in order, each in its own savepoint, so that a bad one becomes an incident and harms no other. It is
the single writer of broker facts, and it goes on whatever it hears.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import InterfaceError, OperationalError

from orders import crashpoints, lease, recovery
from orders.book import book
from orders.errors import Refused
from orders.holdings import Sums
from orders.intake import accounts, executions, holdings, messages, orders, silence, snapshot
from orders.intake.snapshot import Reconciled
from orders.intake.values import apply_values
from orders.intake.work import Work, clip
from orders.models import Gateway, OrderRecord
from orders.models.book import Source
from orders.rules import reconcile as rules
from orders.rules.lifecycle import OrderStatus
from orders.rules.reports import (
    AccountsReported,
    CommissionReported,
    ExecutionReported,
    GatewayChanged,
    OpenOrderReported,
    OrderAbsent,
    OrderCompleted,
    OrderDoubtful,
    OrderMessage,
    OrderStatusReported,
    PositionAbsent,
    PositionReported,
    Question,
    Report,
    Snapshot,
    TermsUnchanged,
)
from orders.rules.terms import BookKind, CommandKind

__all__ = ["Outcome", "Reconciled", "apply", "apply_values", "bind", "gateway", "reconcile"]

log = logging.getLogger(__name__)

_ACKNOWLEDGED = {
    CommandKind.PLACE: "worker.after_ack_before_commit",
    CommandKind.MODIFY: "modify.after_ack",
    CommandKind.CANCEL: "cancel.after_ack",
}
BATCH = 100
"""Reports of a snapshot in one transaction: a long list must not keep a trader's order waiting for the lock."""

_HANDLERS: dict[type, Callable[[Work, Any], None]] = {
    OrderStatusReported: orders.take_status,
    OpenOrderReported: orders.take_open_order,
    OrderCompleted: orders.take_completed,
    OrderMessage: messages.take_message,
    ExecutionReported: executions.take_execution,
    CommissionReported: executions.take_commission,
    OrderAbsent: silence.take_absence,
    OrderDoubtful: silence.take_doubt,
    TermsUnchanged: silence.take_terms_unchanged,
    AccountsReported: accounts.take_accounts,
    PositionReported: accounts.take_position,
    PositionAbsent: accounts.take_position_absent,
    GatewayChanged: accounts.take_gateway,
}


@dataclass(frozen=True)
class Outcome:
    """What a batch came to. `ask`: what is worth asking the broker again."""

    ask: frozenset[Question] = frozenset()
    refused: int = 0  # reports that became incidents because they could not be taken in
    executions: int = 0
    external: int = 0


def apply(reports: Sequence[Report], *, now: datetime, client_id: int, fence: int | None = None, source: Source = Source.BROKER) -> Outcome:
    """Applies reports in one transaction. Raises `LeaseLost` where the fence is not the current one, and then changes nothing."""
    if not reports:
        return Outcome()
    refused = 0
    with book(at=now) as b:
        if fence is not None:
            lease.check(fence)
        work = Work(b, client_id=client_id, source=source)
        executions.look_up(work, reports)
        for report in reports:
            refused += not _take(work, report)
        if work.some_order_closed:
            b.wake_worker()  # a PLACE may have waited for it
        _reach_crash_points(work)
    return Outcome(frozenset(work.ask), refused, work.executions, work.external)


def _reach_crash_points(work: Work) -> None:
    if work.executions:
        crashpoints.reach("exec.before_commit")
    for kind in work.acknowledged:
        crashpoints.reach(_ACKNOWLEDGED[kind])


def _take(work: Work, report: Report) -> bool:
    """Applies one report; False where it could not be taken in. What ails the database itself is the caller's to hear."""
    try:
        with work.b.savepoint():
            _HANDLERS[type(report)](work, report)
        return True
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        log.exception("a report could not be taken in: %r", report)
        _tell_of(work, report, error)
        return False


def _tell_of(work: Work, report: Report, error: Exception) -> None:
    """The incident of a report that could not be taken in. Where even that fails the log has it, and the others go on."""
    text = clip(f"A {type(report).__name__} of the broker could not be taken in ({type(error).__name__}: {error}).", 400)
    try:
        with work.b.savepoint():
            work.incident("bad_report", text, report=clip(repr(report), 2000))
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception("nor could its incident be opened")


def reconcile(
    taken: Snapshot,
    *,
    now: datetime,
    fence: int | None = None,
    before_each: Callable[[], None] = lambda: None,
    sums: Sums | None = None,
) -> Reconciled:
    """Compares a snapshot with the book and applies what follows. Absence counts only where every list of orders was complete.

    `before_each` is called before each of its transactions: a long snapshot takes longer than a lease lives. `sums`: what the executions
    add up to, kept from one snapshot to the next.
    """
    doubtful, not_found, mark = recovery.in_flight().keys(), snapshot.not_found(), recovery.Mark.now()
    plan = rules.reconcile(snapshot.view(taken.accounts), taken)
    reports = snapshot.news(plan.reports)
    outcomes = []
    for start in range(0, len(reports), BATCH):
        before_each()
        crashpoints.reach("snapshot.between_parts")
        part = reports[start : start + BATCH]
        outcomes.append(apply(part, now=now, client_id=taken.client_id, fence=fence, source=Source.RECONCILE))
    before_each()
    missing = snapshot.not_found() - not_found
    if missing:
        with book(at=now) as b:
            snapshot.halt_where_many_are_missing(b, missing)
    asked = frozenset().union(*(outcome.ask for outcome in outcomes))
    if executions.costs_are_due(now):
        asked |= {Question.EXECUTIONS}
    return Reconciled(
        complete=taken.complete >= frozenset(Question),
        settled=len(doubtful - recovery.in_flight().keys()),
        unknown=OrderRecord.objects.filter(status=OrderStatus.UNKNOWN.value).count(),
        absent=len(plan.absent),
        lost=len(missing),
        fills=mark.new_fills(),
        external=mark.new_external(),
        positions=holdings.check(taken, sums or Sums(), now=now, fence=fence),
        ask=(asked - taken.complete) | plan.ask,  # what was answered to its end would only say the same again
    )


def bind(kind: BookKind, codes: Sequence[str], now: datetime) -> None:
    """Binds the book to the gateway that it meets first. Raises Refused("WRONG_BOOK") for another kind, saying what to do."""
    if kind is BookKind.LIVE and (place := crashpoints.armed()) is not None:
        words = (
            f"This gateway trades real money, and this process is armed to be killed at {place}. Unset DESKBOOK_CRASH_AT and start again."
        )
        raise Refused("CRASH_POINT", words)
    with book(at=now) as b:
        accounts.bind_book(b, kind, codes)


def gateway(changed: GatewayChanged, now: datetime, address: str = "", client_id: int | None = None) -> None:
    """Shows the gateway's state. An event only where it differs; that it was heard, and how fast, is a plain figure."""
    differing = accounts.gateway_differences(changed, Gateway.objects.get(pk=1), address, client_id)
    if differing:
        with book(at=now) as b:
            accounts.change_gateway(b, differing, now)
    Gateway.objects.filter(pk=1).update(heard_at=now, latency_ms=changed.latency_ms)
