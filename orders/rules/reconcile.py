"""The book and a snapshot of the broker, compared: which reports to apply, in which order, and what the snapshot lacks.

The rule it keeps: what the snapshot says becomes ordinary reports; what it does not say counts only where the questions were answered to
their end. Nothing here asks for anything to be sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from orders.rules.echo import carries
from orders.rules.reports import (
    AccountsReported,
    CommissionReported,
    ExecutionReported,
    OpenOrderReported,
    OrderAbsent,
    OrderCompleted,
    OrderKey,
    OrderMessage,
    OrderStatusReported,
    PositionAbsent,
    PositionReported,
    Question,
    Report,
    Snapshot,
    TermsUnchanged,
)
from orders.rules.terms import OrderTerms

ORDERS = frozenset({Question.OPEN_ORDERS, Question.COMPLETED_ORDERS, Question.EXECUTIONS})
"""All three must be complete before an order's absence means anything: it may have filled or ended."""

SETTLING = timedelta(seconds=10)
"""How long a change may be on its way before a list with the old terms settles it: lists can be a few seconds stale."""

_ORDER_OF_USE: tuple[type, ...] = (
    AccountsReported,  # accounts before what lies in them
    OpenOrderReported,  # names and terms first, so that executions find their orders
    OrderStatusReported,
    ExecutionReported,
    CommissionReported,
    OrderMessage,
    OrderCompleted,  # after the executions: a fill is not late because its list was read second
    PositionReported,
)


@dataclass(frozen=True)
class OpenChange:
    """A MODIFY that the broker may have and that is not settled."""

    command_id: int
    terms: OrderTerms
    sent_at: datetime


@dataclass(frozen=True)
class KnownOrder:
    """An order that the book holds to be sent, working or doubtful."""

    client_order_id: str
    last_touched: datetime  # when it was last sent or heard of
    perm_ids: frozenset[int] = frozenset()
    order_ids: frozenset[tuple[int, int]] = frozenset()  # (client_id, ib_order_id)
    change: OpenChange | None = None
    is_missed: bool = False  # a complete snapshot lacked it already


@dataclass(frozen=True)
class BookView:
    orders: tuple[KnownOrder, ...] = ()
    executions: frozenset[str] = frozenset()  # exec_ids that the book has of these orders
    positions: frozenset[tuple[str, int]] = frozenset()  # (account, con_id) that are not flat


@dataclass(frozen=True)
class Plan:
    """`reports` in the order to apply them; `absent`: client_order_ids that the snapshot lacks; `ask`: what would tell more."""

    reports: tuple[Report, ...] = field(default=())
    absent: tuple[str, ...] = field(default=())
    ask: frozenset[Question] = field(default=frozenset())


def reconcile(view: BookView, snapshot: Snapshot) -> Plan:
    """What follows from a snapshot. An incomplete one proves nothing absent, and its reports count all the same."""
    said = sorted(snapshot.reports, key=_rank)
    absent = _absent(view, snapshot) if snapshot.complete >= ORDERS else ()
    concluded: list[Report] = [OrderAbsent(name, snapshot.taken_at) for name in absent]
    if Question.OPEN_ORDERS in snapshot.complete:
        concluded += _unchanged(view, snapshot)
    if Question.POSITIONS in snapshot.complete:
        concluded += _flat(view, snapshot)
    return Plan(reports=(*said, *concluded), absent=absent, ask=ORDERS if _unlisted(view, snapshot) else frozenset())


def _rank(report: Report) -> tuple[int, float]:
    """By kind, and executions by when they happened: an entry fills before its exits."""
    kind = _ORDER_OF_USE.index(type(report)) if type(report) in _ORDER_OF_USE else len(_ORDER_OF_USE)
    return kind, report.executed_at.timestamp() if isinstance(report, ExecutionReported) else 0.0


def _unlisted(view: BookView, snapshot: Snapshot) -> bool:
    """Whether the list of open orders alone, as the periodic check asks for it, lacks an order that was not heard of just now.

    It may have filled or ended without a word to us: the other lists are asked for too. One that was missed before is looked for anyway.
    """
    if Question.OPEN_ORDERS not in snapshot.complete or snapshot.complete >= ORDERS:
        return False
    old = tuple(order for order in view.orders if not order.is_missed and order.last_touched + SETTLING < snapshot.taken_at)
    return bool(_absent(BookView(old, view.executions), snapshot))


def _absent(view: BookView, snapshot: Snapshot) -> tuple[str, ...]:
    """Orders that no list names. An execution that the book has already is no sign that its order is still there."""
    named = [
        report.key
        for report in snapshot.reports
        if isinstance(report, OpenOrderReported | OrderStatusReported | OrderCompleted)
        or (isinstance(report, ExecutionReported) and report.exec_id not in view.executions)
    ]
    seen = _Names(named, snapshot.client_id)
    return tuple(order.client_order_id for order in view.orders if order.last_touched < snapshot.taken_at and not seen.of(order))


class _Names:
    """The names in a set of messages, and whether an order is among them: by its own name, a perm id, or its client's order id."""

    def __init__(self, keys: Iterable[OrderKey], client_id: int) -> None:
        keys = list(keys)
        self._references = {key.client_order_id for key in keys if key.client_order_id}
        self._perm_ids = {key.perm_id for key in keys if key.perm_id}
        self._order_ids = {
            (client_id if key.client_id is None else key.client_id, key.ib_order_id)
            for key in keys
            if key.ib_order_id and not key.client_order_id  # with another reference it is another order under a reissued id
        }

    def of(self, order: KnownOrder) -> bool:
        return (
            order.client_order_id in self._references
            or not order.perm_ids.isdisjoint(self._perm_ids)
            or not order.order_ids.isdisjoint(self._order_ids)
        )


def _unchanged(view: BookView, snapshot: Snapshot) -> list[Report]:
    """Changes that were sent well before the snapshot and that it does not show: settled as not taken, never repeated."""
    found: list[Report] = []
    for order in view.orders:
        change = order.change
        if change is None or change.sent_at + SETTLING > snapshot.taken_at:
            continue
        listed = [
            report.terms
            for report in snapshot.reports
            if isinstance(report, OpenOrderReported) and _Names([report.key], snapshot.client_id).of(order)
        ]
        if listed and not any(terms is None or carries(terms, change.terms, snapshot.taken_at) for terms in listed):
            found.append(TermsUnchanged(order.client_order_id, change.command_id, snapshot.taken_at))
    return found


def _flat(view: BookView, snapshot: Snapshot) -> list[Report]:
    """Positions that the book shows and a complete list lacks."""
    held = {(report.account, report.contract.con_id) for report in snapshot.reports if isinstance(report, PositionReported)}
    return [PositionAbsent(account, con_id) for account, con_id in sorted(view.positions - held)]
