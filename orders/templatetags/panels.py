"""`{% panel "orders" scope="working" %}` puts a live panel on a page, for the user and the account (a variable `account`) of that page."""

from __future__ import annotations

from django import template
from django.utils import timezone
from django.utils.safestring import SafeString

from orders.pages.panels import PANELS, book_seq, render

register = template.Library()


@register.simple_tag(takes_context=True)
def panel(context: template.Context, name: str, scope: object = "", account: object = None) -> SafeString:
    """The whole panel. Raises KeyError for a panel that does not exist.

    All panels of a page are of the moment before the first one was read: what is newer comes over the socket.
    """
    request = context["request"]
    seq = context.render_context.get("book_seq") or book_seq()
    context.render_context["book_seq"] = seq
    return render(PANELS[name], request.user, account or context.get("account"), str(scope), timezone.now(), request, seq)
