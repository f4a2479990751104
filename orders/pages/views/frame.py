"""What all views share: the frame of a page, and the two shapes of an answer.

The rule it keeps: every address answers a plain browser with a page (after a POST with a redirect and a message) and htmx with the piece it
asked for; both are made from the same form and the same template.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from orders.models import Account, Submission
from orders.pages.forms import Stamp, is_too_old
from orders.pages.permissions import current_account
from orders.queries import gateway, tradable_ids, visible_accounts
from orders.queries.show import initials

REFUSED_STATUS = 422


@dataclass(frozen=True)
class Section:
    name: str
    label: str | Promise
    url: str


_SECTIONS = (
    ("desk", _("Desk")),
    ("history", _("Orders")),
    ("positions", _("Positions")),
    ("executions", _("Executions")),
    ("risk", _("Risk")),
    ("recovery", _("Recovery")),
)


def frame(request: HttpRequest, section: str, account: Account | None = None) -> dict[str, Any]:
    """The context around every page: who, which account, where."""
    user = request.user
    return {
        "section": section,
        "navigation": [Section(name, label, reverse(name)) for name, label in _SECTIONS],
        "accounts": list(visible_accounts(user)),
        "tradable": tradable_ids(user),
        "account": account or current_account(request),
        "initials": initials(user.get_full_name() or user.get_username()),  # type: ignore[union-attr]
    }


def page(request: HttpRequest, template: str, section: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    """A whole page. `context["account"]`, where it is given, is the account of the page."""
    return render(request, template, {**frame(request, section, context.get("account")), **context}, status=status)


def ask(request: HttpRequest, name: str, section: str, context: dict[str, Any], *, refused: bool = False) -> HttpResponse:
    """A question before an act: `ask/_<name>.html` as a dialog over the page for htmx, as a page of its own without."""
    status = REFUSED_STATUS if refused else 200
    context = {"stamp": Stamp.fresh(timezone.now()), "pill": gateway(), **context, "body": f"ask/_{name}.html"}
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "ask/dialog.html", context, status=status)
    return page(request, "ask/page.html", section, context, status=status)


def done(request: HttpRequest, words: str, url: str, *, link: str = "", report: int | None = None) -> HttpResponse:
    """An act that was accepted: a redirect with the message, or for htmx an empty dialog and a toast over the page that one is on.

    The toast leads to the order `link`, or to the report of that number.
    """
    if request.htmx:  # type: ignore[attr-defined]
        return HttpResponse(toast(words, link, report=report))
    messages.success(request, words)
    return redirect(url)


def too_old(request: HttpRequest) -> list[str]:
    """Why a form must be looked at once more: it was made more than a minute ago. Empty where it is fresh, or was sent before."""
    if not was_sent_before(request) and is_too_old(request.POST.get("rendered_at", ""), timezone.now()):
        return [gettext("Nothing was sent: this page is older than a minute. Look at it again, then send.")]
    return []


def was_sent_before(request: HttpRequest) -> bool:
    """Whether the key of this form has its answer already: then that is given again, however old the form or the state of the gateway."""
    return Submission.objects.filter(user=request.user, key=request.POST.get("key", "")).exists()


def toast(words: str, link: str = "", *, is_bad: bool = False, report: int | None = None) -> str:
    """A message for the bottom lane, put there out of band."""
    return render_to_string("_toast.html", {"words": words, "link": link, "is_bad": is_bad, "report": report})


def came_from(request: HttpRequest) -> str:
    """The page that a question was asked from, where an act leads back to without htmx; the desk where that is not one of ours."""
    asked = request.POST.get("back") or request.META.get("HTTP_REFERER", "")
    here = url_has_allowed_host_and_scheme(asked, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    parts = urlsplit(asked)
    return f"{parts.path}?{parts.query}".rstrip("?") if here and parts.path != request.path else reverse("desk")
