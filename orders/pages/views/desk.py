"""The desk: the live panels around the ticket, and the pages that show one of them alone."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from orders.models import OrderRecord
from orders.pages.permissions import current_account
from orders.pages.views.frame import page
from orders.pages.views.ticket import ticket_context
from orders.queries import visible_accounts

SCOPES = ("working", "today")


@require_GET
def desk(request: HttpRequest) -> HttpResponse:
    """`/?account=<code>&scope=working|today&con_id=<contract for the ticket>`."""
    return desk_page(request, ticket_context(request, current_account(request)))


def desk_page(request: HttpRequest, ticket: dict[str, Any], *, status: int = 200) -> HttpResponse:
    """The desk around a ticket, which may be one that was just refused."""
    scope = request.GET.get("scope", "")
    return page(request, "desk.html", "desk", {"scope": scope if scope in SCOPES else "working", **ticket}, status=status)


@require_GET
def positions(request: HttpRequest) -> HttpResponse:
    return page(request, "positions.html", "positions", {})


@require_GET
def executions(request: HttpRequest) -> HttpResponse:
    return page(request, "executions.html", "executions", {})


@require_GET
def find(request: HttpRequest) -> HttpResponse:
    """The search field: straight to an order of that name, else to the blotter."""
    wanted = request.GET.get("q", "").strip()
    if OrderRecord.objects.filter(account__in=visible_accounts(request.user), client_order_id=wanted).exists():
        return redirect("order", wanted)
    return redirect(f"{reverse('history')}?{urlencode({'text': wanted})}")
