"""The blotter: orders of any day, filtered, page by page or as CSV.

The rule it keeps: page, totals and CSV come from one filtered query, so that what is exported is exactly what is shown. Sums of money are
added up here, never in SQL.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from orders.models import Account, CommissionReport, Execution, OrderRecord
from orders.queries.access import visible_accounts
from orders.queries.orders import ROW_RELATIONS, Context, OrderRow, order_row
from orders.queries.show import NOTHING, Figure, figure, number, zone_of
from orders.rules.lifecycle import OPEN
from orders.rules.terms import plain

PAGE = 50
CHUNK = 500


@dataclass(frozen=True)
class HistoryFilters:
    """What the blotter shows. Empty means any; `begin` and `end` are days, both included, in `zone`."""

    account: str = ""
    symbol: str = ""
    side: str = ""
    status: str = ""  # a status, or "open"
    by: str = ""  # a user name
    text: str = ""
    begin: date | None = None
    end: date | None = None
    zone: str = "UTC"


@dataclass(frozen=True)
class HistoryRow:
    """One order with its money."""

    order: OrderRow
    commission: str
    realised: Figure


@dataclass(frozen=True)
class Sums:
    """Totals of everything that is filtered, money by currency; `missing` executions have no commission report yet, and `untold` orders
    filled, as the broker says, by executions that it has not told."""

    orders: int
    filled: int
    rejected: int
    commission: str
    realised: tuple[Figure, ...]
    missing: int
    untold: int = 0


@dataclass(frozen=True)
class HistoryPage:
    rows: tuple[HistoryRow, ...]
    sums: Sums
    number: int
    first: int
    last: int
    total: int
    has_next: bool


def filtered(user: Any, filters: HistoryFilters) -> QuerySet[OrderRecord]:
    """The orders that the filters let through, newest first, of the accounts `user` may see."""
    found = OrderRecord.objects.filter(account__in=visible_accounts(user))
    if filters.account:
        found = found.filter(account__code=filters.account)
    if filters.symbol:
        found = found.filter(Q(contract__symbol__iexact=filters.symbol) | Q(contract__local_symbol__iexact=filters.symbol))
    if filters.side:
        found = found.filter(side=filters.side)
    if filters.status == "open":
        found = found.filter(status__in=[status.value for status in OPEN])
    elif filters.status:
        found = found.filter(status=filters.status)
    if filters.by:
        found = found.filter(created_by__username=filters.by)
    if filters.text:
        found = found.filter(
            Q(client_order_id__icontains=filters.text)
            | Q(contract__symbol__iexact=filters.text)
            | Q(contract__local_symbol__iexact=filters.text)
            | Q(note__icontains=filters.text)
            | Q(status_text__icontains=filters.text)
            | Q(attention_text__icontains=filters.text)
        )
    zone = zone_of(filters.zone)
    if filters.begin:
        found = found.filter(created_at__gte=datetime.combine(filters.begin, time(), tzinfo=zone).astimezone(UTC))
    if filters.end and filters.end < date.max:
        found = found.filter(created_at__lt=datetime.combine(filters.end + timedelta(days=1), time(), tzinfo=zone).astimezone(UTC))
    return found.order_by("-created_at", "-id")


def history(user: Any, filters: HistoryFilters, page: int = 1, now: datetime | None = None) -> HistoryPage:
    """One page of the blotter with the totals of all of it. A page beyond the last is the last."""
    found = filtered(user, filters)
    total = found.count()
    page = max(1, min(page, -(-total // PAGE)))
    first = (page - 1) * PAGE
    rows = tuple(_rows(user, found[first : first + PAGE], now or timezone.now()))
    return HistoryPage(
        rows=rows,
        sums=_sums(found, total),
        number=page,
        first=first + 1 if rows else 0,
        last=first + len(rows),
        total=total,
        has_next=first + len(rows) < total,
    )


@dataclass
class _Money:
    """Commissions and realised profit, by currency, of one order or of many."""

    commission: dict[str, Decimal]
    realised: dict[str, Decimal]

    @classmethod
    def empty(cls) -> _Money:
        return cls(defaultdict(Decimal), defaultdict(Decimal))

    def add(self, report: CommissionReport) -> None:
        self.commission[report.currency] += report.amount
        if report.realized_pnl is not None:
            self.realised[report.currency] += report.realized_pnl


def _money(orders: Iterable[int]) -> dict[int, _Money]:
    """The money of each order: two queries."""
    of_order = dict(Execution.objects.filter(order__in=list(orders), counts=True).values_list("exec_id", "order"))
    money: dict[int, _Money] = defaultdict(_Money.empty)
    for report in CommissionReport.objects.filter(exec_id__in=list(of_order)):
        money[of_order[report.exec_id]].add(report)
    return money


def _rows(user: Any, found: Iterable[OrderRecord], now: datetime) -> Iterator[HistoryRow]:
    orders = list(found.select_related(*ROW_RELATIONS) if isinstance(found, QuerySet) else found)
    context = Context.load(user, orders, now)
    money = _money(order.pk for order in orders)
    for order in orders:
        mine = money.get(order.pk, _Money.empty())
        yield HistoryRow(
            order=order_row(order, context),
            commission=" ".join(number(amount) for amount in mine.commission.values()) or NOTHING,
            realised=figure(next(iter(mine.realised.values()), None)),
        )


def _sums(found: QuerySet[OrderRecord], total: int) -> Sums:
    """The totals. Ids are compared in the database, amounts are added here."""
    counted = Execution.objects.filter(order__in=found.order_by().values("pk"), counts=True).exclude(quantity=0)  # a bust costs nothing
    reports = CommissionReport.objects.filter(exec_id__in=counted.values("exec_id"))
    money = _Money.empty()
    told = 0
    for report in reports.iterator(chunk_size=CHUNK):
        money.add(report)
        told += 1
    return Sums(
        orders=total,
        filled=found.filter(status="FILLED").count(),
        rejected=found.filter(status="REJECTED").count(),
        commission=_by_currency(money.commission),
        realised=tuple(Figure(f"{shown.text} {currency}", shown.css) for currency, shown in _figures(money.realised)),
        missing=counted.count() - told,
        untold=found.filter(broker_status="Filled").exclude(status="FILLED").count(),
    )


def _by_currency(amounts: dict[str, Decimal]) -> str:
    return " · ".join(f"{number(amount)} {currency}" for currency, amount in sorted(amounts.items())) or NOTHING


def _figures(amounts: dict[str, Decimal]) -> list[tuple[str, Figure]]:
    return [(currency, figure(amount)) for currency, amount in sorted(amounts.items())]


# --- CSV ------------------------------------------------------------------------------------------------------------------------------

COLUMNS = (
    "client_order_id", "created_utc", "account", "by", "symbol", "con_id", "currency", "side", "quantity", "order_type", "limit_price",
    "stop_price", "time_in_force", "outside_rth", "role", "parent", "oca_group", "status", "status_basis", "status_code", "broker_status",
    "filled_quantity", "average_price", "commission", "commission_currency", "realized_pnl", "message", "note", "closed_utc",
    "trail_amount", "trail_percent", "limit_offset", "good_till_utc", "good_after_utc", "display_size", "hidden", "all_or_none",
    "trigger_method", "adaptive",
)  # fmt: skip


def history_csv(user: Any, filters: HistoryFilters) -> Iterator[tuple[str, ...]]:
    """The filtered orders as rows of text, the column names first."""
    yield from orders_csv(filtered(user, filters))


def orders_csv(orders: QuerySet[OrderRecord]) -> Iterator[tuple[str, ...]]:
    """Orders as rows of text, newest first, after the column names; read in chunks, so that a long history does not fill the memory."""
    yield COLUMNS
    orders = orders.order_by("-created_at", "-pk").select_related(*ROW_RELATIONS, "parent")
    last: tuple[datetime, int] | None = None
    while True:
        rest = orders.filter(Q(created_at__lt=last[0]) | Q(created_at=last[0], pk__lt=last[1])) if last is not None else orders
        chunk = list(rest[:CHUNK])
        if not chunk:
            return
        money = _money(order.pk for order in chunk)
        for order in chunk:
            yield tuple(safe_cell(value) for value in _cells(order, money.get(order.pk, _Money.empty())))
        last = (chunk[-1].created_at, chunk[-1].pk)


def safe_cell(value: str) -> str:
    """A cell that no spreadsheet takes for a formula. Numbers stay numbers: a leading minus is left to them (OWASP, CSV injection)."""
    begins = value.lstrip()[:1] or value[:1]  # what stands before it some programs leave out
    if not begins or (value[0] not in "\t\r\n" and begins not in "=+-@＝＋－＠|"):
        return value
    try:
        return value if Decimal(value).is_finite() else f"'{value}"
    except ArithmeticError:
        return f"'{value}"


def _cells(order: OrderRecord, money: _Money) -> Iterator[str]:
    yield order.client_order_id
    yield _utc(order.created_at)
    yield order.account.code
    yield order.created_by.username if order.created_by else ""
    yield order.contract.label
    yield str(order.contract.con_id)
    yield order.contract.currency
    yield order.side
    yield plain(order.quantity)
    yield order.order_type
    yield _amount(order.limit_price)
    yield _amount(order.stop_price)
    yield order.time_in_force
    yield "yes" if order.outside_rth else "no"
    yield order.role
    yield order.parent.client_order_id if order.parent else ""
    yield order.oca_group.name if order.oca_group else ""
    yield order.status
    yield order.status_basis
    yield order.status_code
    yield order.broker_status
    yield plain(order.filled_quantity)
    yield _amount(order.average_price)
    yield " ".join(plain(amount) for amount in money.commission.values())
    yield " ".join(money.commission)
    yield " ".join(plain(amount) for amount in money.realised.values())
    yield order.attention_text or order.status_text
    yield order.note
    yield _utc(order.closed_at)
    yield _amount(order.trail_amount)
    yield _amount(order.trail_percent)
    yield _amount(order.limit_offset)
    yield _utc(order.good_till)
    yield _utc(order.good_after)
    yield _amount(order.display_size)
    yield "yes" if order.hidden else "no"
    yield "yes" if order.all_or_none else "no"
    yield str(order.trigger_method)
    yield order.adaptive


def _amount(value: Decimal | None) -> str:
    return plain(value) if value is not None else ""


def _utc(at: datetime | None) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else ""


def people(user: Any) -> list[str]:
    """The names of those who placed orders that `user` may see, for the filter."""
    found = OrderRecord.objects.filter(account__in=visible_accounts(user), created_by__isnull=False)
    return sorted(set(found.order_by().values_list("created_by__username", flat=True).distinct()))


def zone_for(user: Any, account: Account | None) -> str:
    """The zone in which the days of the filter are counted: of the account, else of the first one `user` sees."""
    chosen = account or visible_accounts(user).first()
    return chosen.time_zone if chosen else "UTC"
