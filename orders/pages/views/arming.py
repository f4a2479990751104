"""Arming and disarming the tickets of a page.

The rule it keeps: only an answer to a press on its own button brings a token into a page; no page comes with one.
"""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from orders.pages import arming
from orders.pages.permissions import account_or_404, require_trade
from orders.pages.views.frame import toast


@require_POST
def arm(request: HttpRequest) -> HttpResponse:
    """One-click mode for the page that asks, in the account of its ticket."""
    account = account_or_404(request, request.POST.get("account", ""))
    require_trade(request, account)
    if not request.htmx:  # type: ignore[attr-defined]
        messages.error(request, _("One-click mode needs JavaScript: without it, each order is previewed."))
        return redirect("desk")
    if reason := arming.may_arm(request, account):
        return HttpResponse(toast(reason, is_bad=True))
    return render(request, "ticket/_armed.html", {"token": arming.give(request, account), "account": account})


@require_POST
def disarm(request: HttpRequest) -> HttpResponse:
    """Ends one-click mode, in every page of this session."""
    arming.disarm(request)
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("desk")
    return render(request, "ticket/_armed.html", {"token": ""})
