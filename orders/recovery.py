"""The certificate of a reconciliation: what was in doubt when the comparing began, what became of it, and what still differs.

The rule it keeps: every figure is counted from the book's own rows, before and after; that nothing was sent twice too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet, Sum

from orders import lease
from orders.book import Fact, book
from orders.models import BrokerCommand, Certificate, Execution, Incident, Limit, OrderRecord
from orders.models.book import Source
from orders.rules.breaks import BREAKS, POSITION_DIFFERS
from orders.rules.lifecycle import OPEN, OrderStatus
from orders.rules.limits import REDUCE_ONLY, Rule
from orders.rules.terms import CommandKind, CommandState

IN_DOUBT = (OrderStatus.SENT.value, OrderStatus.UNKNOWN.value)
UNANSWERED = (CommandState.SENDING.value, CommandState.SENT.value, CommandState.UNKNOWN.value)
MOST_NAMED = 200
"""So many orders are named in a certificate; beyond, there are only the counts."""

AT_ONCE = 1000  # orders in one query

BY_THE_CHECK = "By the position check: "
"""How the note of a restriction begins that ends with the break that caused it."""

ORDER, CHANGE, CANCEL = "order", "change", "cancel"
_WHAT = {CommandKind.MODIFY.value: CHANGE, CommandKind.CANCEL.value: CANCEL}

Doubt = tuple[int, str]  # (order, what of it): the order itself, a change or a cancel of it


def in_flight() -> dict[Doubt, str]:
    """Everything that the broker may or may not have, with its state: orders sent and not heard of, changes and cancels not answered."""
    found = {(pk, ORDER): status for pk, status in OrderRecord.objects.filter(status__in=IN_DOUBT).values_list("pk", "status")}
    asked = BrokerCommand.objects.filter(kind__in=sorted(_WHAT), state__in=UNANSWERED)
    return found | {(order, _WHAT[kind]): state for order, kind, state in asked.values_list("order", "kind", "state")}


def open_breaks() -> QuerySet[Incident]:
    return Incident.objects.filter(kind__in=BREAKS, closed_at=None)


@dataclass(frozen=True)
class Mark:
    """Where executions and orders ended, to tell afterwards which are new: nobody but the engine enters them."""

    execution: int
    order: int

    @classmethod
    def now(cls) -> Mark:
        ends = (model.objects.order_by("-pk").values_list("pk", flat=True).first() or 0 for model in (Execution, OrderRecord))
        return cls(*ends)

    def new_fills(self) -> tuple[int, ...]:
        return tuple(Execution.objects.filter(pk__gt=self.execution).order_by("pk").values_list("pk", flat=True))

    def new_external(self) -> tuple[int, ...]:
        return tuple(OrderRecord.objects.filter(pk__gt=self.order, is_external=True).order_by("pk").values_list("pk", flat=True))


@dataclass
class Comparison:
    """One reconciliation under way: what it found so far, in as many snapshots as it takes.

    Of a way back everything learnt `since` it began is its find, because the broker's lists tell it as news, too.
    """

    reason: str
    began_at: datetime
    in_flight: dict[Doubt, str]
    since: Mark | None = None
    fills: set[int] = field(default_factory=set)  # executions, by primary key
    external: set[int] = field(default_factory=set)  # orders placed elsewhere, by primary key


def begin(reason: str, now: datetime, *, way_back: bool = False) -> Comparison:
    """Looks at the book before the broker is asked."""
    return Comparison(reason, now, in_flight(), Mark.now() if way_back else None)


def certify(comparison: Comparison, *, complete: bool, now: datetime, fence: int) -> Certificate:
    """Writes down what a reconciliation came to. Raises `LeaseLost` where another worker trades."""
    with book(at=now) as b:
        lease.check(fence)
        before, after = comparison.in_flight, in_flight()
        matched = len(before.keys() - after.keys())
        if comparison.since is not None:
            comparison.fills |= set(comparison.since.new_fills())
            comparison.external |= set(comparison.since.new_external())
        row = Certificate(
            began_at=comparison.began_at,
            ended_at=now,
            reason=comparison.reason[:300],
            fence=fence,
            is_complete=complete,
            in_flight=len(before),
            matched=matched,
            unknown=OrderRecord.objects.filter(status=OrderStatus.UNKNOWN.value).count(),
            resent=sent_twice({pk for pk, _ in before}),
            fills_recovered=len(comparison.fills),
            external_seen=len(comparison.external),
            breaks_open=open_breaks().count(),
            data=_named(comparison, after),
        )
        text = f"{row.reason}: {row.in_flight} in flight, {row.matched} matched, {row.unknown} unknown, {row.resent} sent again."
        with b.event("recovery.certified", source=Source.RECONCILE, text=text) as fact:
            fact.add(row)
    return row


def sent_twice(doubtful: Iterable[int]) -> int:
    """Of the orders in doubt and the open ones, those that were claimed for sending more than once: never one, says the outbox."""
    open_ones = OrderRecord.objects.filter(status__in=sorted(status.value for status in OPEN)).values_list("pk", flat=True)
    ids = sorted({*doubtful, *open_ones})
    found = 0
    for start in range(0, len(ids), AT_ONCE):
        places = BrokerCommand.objects.filter(kind=CommandKind.PLACE.value, order__in=ids[start : start + AT_ONCE])
        found += places.order_by().values("order").annotate(claims=Sum("tries")).filter(claims__gt=1).count()
    return found


def _named(comparison: Comparison, after: dict[Doubt, str]) -> dict[str, Any]:
    """The orders by name, and what became of each; bounded, because a certificate is a page."""
    doubts = sorted(comparison.in_flight)[:MOST_NAMED]
    fills = sorted(comparison.fills)[:MOST_NAMED]
    external = sorted(comparison.external)[:MOST_NAMED]
    orders = OrderRecord.objects.in_bulk({pk for pk, _ in doubts} | set(external))
    executions = Execution.objects.filter(pk__in=fills).select_related("order", "account").order_by("pk")
    return {
        "in_flight": [
            {
                "order": orders[pk].client_order_id,
                "account": orders[pk].account_id,
                "what": what,
                "before": comparison.in_flight[pk, what],
                "after": after.get((pk, what)) or orders[pk].status,
                "basis": orders[pk].status_basis,
                "settled": (pk, what) not in after,
            }
            for pk, what in doubts
        ],
        "fills": [
            {"exec_id": fill.exec_id, "account": fill.account_id, "order": fill.order.client_order_id if fill.order else ""}
            for fill in executions
        ],
        "external": [{"order": orders[pk].client_order_id, "account": orders[pk].account_id} for pk in external],
        "breaks": list(open_breaks().order_by("pk").values_list("pk", flat=True)[:MOST_NAMED]),
    }


def lift(fact: Fact, incident: Incident) -> None:
    """Takes back the REDUCE_ONLY that the position check put on an account, where nothing else has asked for it and no position differs.

    The end of any other incident frees nothing, and HALTED stays: an administrator takes it back.
    """
    if incident.kind != POSITION_DIFFERS:
        return
    row = Limit.objects.filter(scope=Limit.Scope.ACCOUNT, account=incident.account, rule=Rule.TRADING_STATE.value).first()
    if row is None or row.value != REDUCE_ONLY or not row.note.startswith(BY_THE_CHECK):
        return
    others = open_breaks().filter(kind=POSITION_DIFFERS, account=incident.account).exclude(pk=incident.pk)
    if not others.exists():
        fact.set(row, value=Decimal(0), note="")
