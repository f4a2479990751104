"""The one way back: a snapshot of the broker, compared with the book and applied as ordinary reports.

The rule it keeps: connecting, reconnecting, 1101, 1102, a doubtful order and the periodic check all come here. Nothing is sent again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from orders.book import OpenBook
from orders.intake import names
from orders.intake.holdings import Checked
from orders.intake.status import NOT_AT_THE_BROKER
from orders.intake.work import CLAIMED, restrict
from orders.models import Account, BrokerCommand, BrokerId, Execution, Incident, OrderRecord, Position
from orders.models.book import Source
from orders.rules.breaks import ORDERS_MISSING
from orders.rules.lifecycle import OPEN, TERMINAL, Evidence, OrderStatus
from orders.rules.limits import HALTED
from orders.rules.reconcile import BookView, KnownOrder, OpenChange
from orders.rules.reports import OrderCompleted, Question, Report
from orders.rules.terms import CommandKind, terms_from_json

AT_THE_BROKER = sorted(status.value for status in OPEN - {OrderStatus.PENDING})
FEW = 3
AT_ONCE = 1000  # perm ids in one query


@dataclass(frozen=True)
class Reconciled:
    """What a snapshot came to: counts of orders and executions. `complete`: every question was answered to its end."""

    complete: bool
    settled: int = 0  # orders, changes and cancels that were doubtful and are not any more
    unknown: int = 0  # orders that are UNKNOWN now
    absent: int = 0  # open orders that the snapshot lacks
    lost: int = 0  # orders that proved not to be at the broker by this snapshot
    fills: tuple[int, ...] = ()  # executions that were learnt from it, by primary key
    external: tuple[int, ...] = ()  # orders placed elsewhere and seen for the first time, by primary key
    positions: Checked = field(default=Checked())
    ask: frozenset[Question] = field(default=frozenset())

    @property
    def found(self) -> bool:
        """Whether it told the book anything that is worth a certificate."""
        return bool(self.settled or self.lost or self.fills or self.external or self.positions.opened or self.positions.closed)


def view(accounts: Sequence[str] = ()) -> BookView:
    """The book as far as a snapshot can say something about it: of these accounts, or, with none named, of all."""
    open_orders = OrderRecord.objects.filter(status__in=AT_THE_BROKER)
    held = Position.objects.exclude(quantity=0)
    if accounts:
        open_orders, held = open_orders.filter(account__code__in=accounts), held.filter(account__code__in=accounts)
    perm_ids: dict[int, set[int]] = defaultdict(set)
    order_ids: dict[int, set[tuple[int, int]]] = defaultdict(set)
    for name in BrokerId.objects.filter(order__in=open_orders):
        if name.perm_id:
            perm_ids[name.order_id].add(name.perm_id)
        if name.client_id is not None and name.ib_order_id:
            order_ids[name.order_id].add((name.client_id, name.ib_order_id))
    changes = _changes()
    return BookView(
        orders=tuple(
            KnownOrder(
                client_order_id=order.client_order_id,
                last_touched=max(at for at in (order.created_at, order.sent_at, order.heard_at) if at is not None),
                perm_ids=frozenset(perm_ids[order.pk]),
                order_ids=frozenset(order_ids[order.pk]),
                change=changes.get(order.pk),
                is_missed=order.absent_since is not None,
            )
            for order in open_orders
        ),
        executions=frozenset(Execution.objects.filter(order__in=open_orders).values_list("exec_id", flat=True)),
        positions=frozenset(held.values_list("account__code", "contract__con_id")),
    )


def _changes() -> dict[int, OpenChange]:
    rows = BrokerCommand.objects.filter(kind=CommandKind.MODIFY.value, state__in=sorted(state.value for state in CLAIMED))
    found = {}
    for row in rows:
        sent_at = row.sent_at or row.claimed_at
        if sent_at is not None and row.terms is not None:
            found[row.order_id] = OpenChange(row.pk, terms_from_json(row.terms), sent_at)
    return found


def not_found() -> set[int]:
    """Orders that two complete snapshots lacked."""
    return set(OrderRecord.objects.filter(status=OrderStatus.UNKNOWN.value, status_text=NOT_AT_THE_BROKER).values_list("pk", flat=True))


def halt_where_many_are_missing(b: OpenBook, missing: set[int]) -> None:
    """Halts accounts of which more than a fifth of the open orders has just proved missing: the gateway has lost its memory, or is another.

    One or two orders alone can be missing for reasons of their own.
    """
    for account in Account.objects.filter(orders__in=missing).distinct():
        lost = OrderRecord.objects.filter(account=account, pk__in=missing).count()
        of = OrderRecord.objects.filter(account=account, status__in=AT_THE_BROKER).count()
        if lost < FEW or lost * 5 <= of:
            continue
        text = f"{lost} of {of} open orders of {account.code} are not at the broker. Trading is halted until somebody has looked."
        with b.event("account.halted", source=Source.RECONCILE, account=account, text=text) as fact:
            restrict(fact, account, HALTED, text)
            fact.add(Incident(kind=ORDERS_MISSING, account=account, text=text, opened_at=b.now))


def news(reports: Sequence[Report]) -> list[Report]:
    """The reports but for completedOrders that say what the book has: every list repeats the ends of the day, and reading each is slow."""
    perm_ids = [report.key.perm_id for report in reports if isinstance(report, OrderCompleted) and report.key.perm_id]
    known: dict[int | None, BrokerId] = {}
    for start in range(0, len(perm_ids), AT_ONCE):
        rows = BrokerId.objects.filter(perm_id__in=perm_ids[start : start + AT_ONCE], order__status__in=sorted(TERMINAL))
        known |= {row.perm_id: row for row in rows.select_related("order__account", "order__contract")}
    return [report for report in reports if not (isinstance(report, OrderCompleted) and _is_told(report, known.get(report.key.perm_id)))]


def _is_told(report: OrderCompleted, name: BrokerId | None) -> bool:
    """Whether the order ended in the book by this very word, with at least what the report counts as filled."""
    if name is None or name.word != report.word or name.order.basis not in (Evidence.BROKER, Evidence.EXECUTION):
        return False
    order = name.order
    is_same = order.is_external or report.key.client_order_id == order.client_order_id
    side = report.terms.side if report.terms else report.side
    if not is_same or names.contradiction(order, report.account, report.contract, side):
        return False
    return report.filled_quantity is None or report.filled_quantity <= order.filled_quantity
