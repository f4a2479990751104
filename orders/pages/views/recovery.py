"""The recovery pages: where the desk stands with the broker, the certificates, and what a person does with a break.

The rule it keeps: taking and closing first say, in a page of their own, what they will do; what still differs is not closed by words.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from orders import queries
from orders.errors import Refused
from orders.manager import OrderManager
from orders.models import Incident
from orders.pages.permissions import require_trade
from orders.pages.views.frame import ask, done, page
from orders.queries.recovery import difference
from orders.queries.show import signed
from orders.rules.terms import plain


@require_GET
def recovery(request: HttpRequest) -> HttpResponse:
    """`/recovery/?page=`: the present on top, the certificates below, page by page; both live."""
    return page(request, "recovery/recovery.html", "recovery", {"number": request.GET.get("page", "1")[:6]})


@require_GET
def certificate(request: HttpRequest, pk: int) -> HttpResponse:
    """One certificate, with its orders."""
    detail = queries.certificate(request.user, pk)
    if detail is None:
        raise Http404(pk)
    return page(request, "recovery/certificate.html", "recovery", {"detail": detail})


@require_http_methods(["GET", "POST"])
def take(request: HttpRequest, pk: int) -> HttpResponse:
    """The user looks after an incident from now on."""
    row = _incident(request, pk)
    lines = [row.text]
    if row.owner is not None and row.owner != request.user:
        lines.append(_("%s looks after it now.") % (row.owner.get_full_name() or row.owner.get_username()))
    asked = {"title": _("Look after this"), "lines": lines, "button": _("I look after it"), "asks_reason": False}
    return _tend(request, row, asked, "incident_take")


@require_http_methods(["GET", "POST"])
def close(request: HttpRequest, pk: int) -> HttpResponse:
    """Explains and closes an incident; of a position, by recording the difference that the page shows."""
    row = _incident(request, pk)
    lines = [row.text]
    by = difference(row)
    asked = {"title": _("Explain and close"), "lines": lines, "button": _("Close it"), "asks_reason": True, "adjust": ""}
    if by:
        asked |= {"adjust": plain(by), "adjust_shown": signed(by)}
    return _tend(request, row, asked, "incident_close")


def _tend(request: HttpRequest, row: Incident, asked: dict[str, Any], name: str) -> HttpResponse:
    problems: list[str] = []
    reason = request.POST.get("reason", "")[:500]
    if request.method == "POST":
        try:
            _act(request, row, name, reason)
        except Refused as refused:
            problems = [refused.message]
        else:
            return done(request, _("Recorded: %s") % asked["title"], reverse("recovery"))
    elif row.closed_at is not None:
        problems = [_("It is closed already.")]
    context = {"incident": row, "problems": problems, "reason": reason, "url_name": name, "adjusts": "adjust" in request.POST, **asked}
    return ask(request, "incident", "recovery", context, refused=request.method == "POST")


def _act(request: HttpRequest, row: Incident, name: str, reason: str) -> None:
    manager, key = OrderManager(request.user), request.POST.get("key", "")
    if name == "incident_take":
        manager.own_incident(row, key=key)
        return
    try:
        adjust = Decimal(request.POST["adjust"]) if request.POST.get("adjust") else None
    except InvalidOperation as error:
        raise Refused("ADJUST", _("The difference is not a number; open this page again."), field="adjust") from error
    manager.close_incident(row, reason, key=key, adjust=adjust)


def _incident(request: HttpRequest, pk: int) -> Incident:
    """The incident, if the user may see it; 403 where he may only look."""
    seen = queries.seen_incidents(request.user).select_related("account", "contract", "order__account", "owner")
    row: Incident = get_object_or_404(seen, pk=pk)
    account = row.account or (row.order.account if row.order else None)
    if request.user.is_superuser:
        return row
    if account is None:
        raise PermissionDenied(_("This belongs to no account; an administrator looks after it."))
    require_trade(request, account)
    return row
