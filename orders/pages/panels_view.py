"""A panel by itself, as a resync asks for it: the same query and template as on the page that shows it."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_GET

from orders import queries
from orders.pages.panels import PANELS, render


@require_GET
def panel(request: HttpRequest, name: str) -> HttpResponse:
    """`/panels/<name>/?account=<code>&scope=<scope>`; 404 where there is no such panel or the user may not see the account."""
    if name not in PANELS:
        raise Http404(name)
    code = request.GET.get("account")
    account = get_object_or_404(queries.visible_accounts(request.user), code=code) if code else None
    return HttpResponse(render(PANELS[name], request.user, account, request.GET.get("scope", ""), timezone.now(), request))
