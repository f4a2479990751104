"""The blotter: orders of any day, filtered by the address, page by page or as CSV of exactly what is filtered."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from orders.models import Account
from orders.pages.forms import HistoryForm
from orders.pages.views.frame import page
from orders.queries import HistoryFilters, visible_accounts
from orders.queries.blotter import history as blotter
from orders.queries.blotter import history_csv, people, zone_for


@require_GET
def history(request: HttpRequest) -> HttpResponse:
    """`/orders/?begin=&end=&account=&symbol=&side=&status=&by=&text=&page=`."""
    form, filters, _account = _read(request)
    number = request.GET.get("page", "1")
    shown = blotter(request.user, filters, int(number) if number.isdecimal() and len(number) < 9 else 1)
    address = request.GET.copy()
    address.pop("page", None)
    context = {"form": form, "shown": shown, "zone": filters.zone, "query": address.urlencode(), "is_filtered": bool(address)}
    return page(request, "history.html", "history", context)


@require_GET
def history_file(request: HttpRequest) -> StreamingHttpResponse:
    """What the blotter shows, all pages of it, as CSV; streamed."""
    form, filters, _account = _read(request)
    if not form.is_valid():
        raise Http404("filters")
    rows = history_csv(request.user, filters)
    name = f"orders-{timezone.now():%Y%m%d-%H%M%S}Z.csv"
    return StreamingHttpResponse(
        _lines(rows), content_type="text/csv; charset=utf-8", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _read(request: HttpRequest) -> tuple[HistoryForm, HistoryFilters, Account | None]:
    """The filters of the address; 404 for an account that the user may not see."""
    accounts = list(visible_accounts(request.user))
    form = HistoryForm(request.GET, accounts=accounts, people=people(request.user))
    form.is_valid()
    wanted = request.GET.get("account", "")
    account = next((account for account in accounts if account.code == wanted), None)
    if wanted and account is None:
        raise Http404(wanted)
    return form, form.filters(zone_for(request.user, account)), account


class _Echo:
    """A file for csv.writer that gives back what is written."""

    def write(self, text: str) -> str:
        return text


def _lines(rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    writer: Any = csv.writer(_Echo())
    for row in rows:
        yield writer.writerow(row)
