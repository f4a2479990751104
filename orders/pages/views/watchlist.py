"""Adding to and taking from one's own watchlist."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from orders import inquiries, queries
from orders.models import Contract
from orders.pages.panels import PANELS, render
from orders.pages.permissions import contract_or_404, current_account
from orders.pages.views.contracts import contract_by_id, contract_by_symbol
from orders.pages.views.frame import page, toast


@require_GET
def watchlist(request: HttpRequest) -> HttpResponse:
    """The page on which the list is edited; on the desk it only shows prices."""
    return page(request, "watchlist.html", "desk", {"rows": queries.watchlist(request.user)})


@require_POST
def add(request: HttpRequest) -> HttpResponse:
    """Adds the contract of a symbol, or of a `con_id`. One that cannot be told is explained."""
    con_id = request.POST.get("con_id", "")
    found = contract_by_id(request, int(con_id)) if con_id.isdecimal() else contract_by_symbol(request, request.POST.get("symbol", ""))
    if found.contract is not None:
        inquiries.add_to_watchlist(request.user, found.contract, timezone.now())
    words = _("%s is on your watchlist.") % found.contract.label if found.contract else found.problem
    return _answer(request, words, found.contract)


@require_POST
def remove(request: HttpRequest, con_id: int) -> HttpResponse:
    contract = contract_or_404(con_id)
    inquiries.remove_from_watchlist(request.user, contract)
    return _answer(request, _("%s is off your watchlist.") % contract.label, contract)


def _answer(request: HttpRequest, words: str, contract: Contract | None) -> HttpResponse:
    if request.htmx:  # type: ignore[attr-defined]
        panel = render(PANELS["watchlist"], request.user, current_account(request), "", timezone.now(), request)
        return HttpResponse(panel + toast(words, is_bad=contract is None))
    messages.add_message(request, messages.SUCCESS if contract else messages.ERROR, words)
    return redirect(request.POST.get("back") if request.POST.get("back") in ("desk", "watchlist") else "desk")
