"""Executions with their commissions. The rule it keeps: of a corrected execution only the newest revision is shown as counting."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from orders.models import Account, CommissionReport, Execution
from orders.queries.access import visible_accounts
from orders.queries.marks import SIDE_CSS
from orders.queries.show import NOTHING, Figure, Moment, Ticks, figure, initials, number, quantity, zone_of
from orders.rules.terms import Side
from orders.trading_day import trading_day

MOST = 200
"""The newest executions a live panel shows; the blotter has them all."""


@dataclass(frozen=True)
class ExecutionRow:
    """One execution, spelled out for a table."""

    id: int
    exec_id: str
    account: str
    account_code: str
    symbol: str
    con_id: int
    side: str
    side_css: str
    quantity: str
    price: str
    venue: str
    commission: str
    commission_currency: str
    realised: Figure
    order: str
    by: str
    by_name: str
    at: Moment
    toast: str
    corrected: bool

    @property
    def unit_id(self) -> str:
        return f"execution-{self.id}"

    @property
    def sort(self) -> str:
        """The newest first: time, then the order of arrival."""
        return f"{self.at.iso}-{self.id:012d}"

    @property
    def order_end(self) -> str:
        return self.order[-6:]


def executions(
    user: Any,
    account: Account | None = None,
    ids: Collection[int] | None = None,
    day: date | None = None,
    now: datetime | None = None,
) -> list[ExecutionRow]:
    """Executions that count, newest first; of `day`, or of the trading day that is on now in each account."""
    now = now or timezone.now()
    found = Execution.objects.filter(account__in=visible_accounts(user), counts=True)
    if account is not None:
        found = found.filter(account=account)
    if ids is not None:
        found = found.filter(pk__in=ids)
    accounts = [account] if account is not None else list(visible_accounts(user))
    found = found.filter(_of_day(accounts, day, now))
    return execution_rows(found[:MOST])


def _of_day(accounts: Collection[Account], day: date | None, now: datetime) -> Q:
    wanted = Q(pk__in=[])
    for account in accounts:
        # A trading day bears the date of its middle, so the noon of a date lies in the day of that date.
        inside = now if day is None else datetime.combine(day, time(12), tzinfo=zone_of(account.time_zone))
        found = trading_day(account, inside)
        wanted |= Q(account=account, executed_at__gte=found.start, executed_at__lt=found.end)
    return wanted


def execution_rows(found: QuerySet[Execution]) -> list[ExecutionRow]:
    """Spells executions out, with their commissions: three queries."""
    rows = list(found.select_related("account", "contract", "order", "order__created_by"))
    reports = {report.exec_id: report for report in CommissionReport.objects.filter(exec_id__in=[row.exec_id for row in rows])}
    ticks = Ticks.load()
    return [_row(row, reports.get(row.exec_id), ticks) for row in rows]


def _row(execution: Execution, report: CommissionReport | None, ticks: Ticks) -> ExecutionRow:
    side = Side(execution.side)
    order = execution.order
    name = (order.created_by.get_full_name() or order.created_by.username) if order and order.created_by else ""
    price = ticks.price(execution.contract, execution.price)
    words = _("Bought %(quantity)s %(symbol)s at %(price)s") if side is Side.BUY else _("Sold %(quantity)s %(symbol)s at %(price)s")
    return ExecutionRow(
        id=execution.pk,
        exec_id=execution.exec_id,
        account=execution.account.short,
        account_code=execution.account.code,
        symbol=execution.contract.label,
        con_id=execution.contract.con_id,
        side=execution.side,
        side_css=SIDE_CSS[side],
        quantity=quantity(execution.quantity),
        price=price,
        venue=execution.exchange,
        commission=number(report.amount) if report else NOTHING,
        commission_currency=report.currency if report else "",
        realised=figure(report.realized_pnl if report else None),
        order=order.client_order_id if order else "",
        by=initials(name) if name else _("ext"),
        by_name=name,
        at=Moment(execution.executed_at, execution.account.time_zone),
        toast=words % {"quantity": quantity(execution.quantity), "symbol": execution.contract.label, "price": price},
        corrected=execution.revision > 1,
    )
