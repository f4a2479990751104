"""Changing the legs of a bracket, or of the exits of a position, together: a move or a size, each leg old and new, then the sending press.

The rule it keeps: what is sent is what was shown. Where a leg has moved on since, it is shown anew and nothing is sent.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from orders.checks import Draft
from orders.errors import IllegalTransition, Refused
from orders.manager import OrderManager, family
from orders.manager.reshaping import Wanted, plan
from orders.models import OrderRecord
from orders.pages.forms.reading import Number
from orders.pages.permissions import order_or_404, require_trade
from orders.pages.views.frame import ask, done, too_old, was_sent_before
from orders.queries.marks import LEGS
from orders.queries.orders import terms_words
from orders.queries.show import Ticks, quantity
from orders.rules.faults import TicketError
from orders.rules.terms import TERM_NAMES, Role


class LegsForm(forms.Form):
    """How far all prices move, in money or in ticks, and the entry's new size."""

    move = Number(required=False, positive=False)
    unit = forms.ChoiceField(choices=[("amount", gettext_lazy("in price")), ("ticks", gettext_lazy("ticks"))], required=False)
    quantity = Number(required=False)

    def wanted(self) -> Wanted:
        move, ticks = self.cleaned_data["move"], self.cleaned_data["unit"] == "ticks"
        return Wanted(move=None if ticks else move, move_ticks=move if ticks else None, quantity=self.cleaned_data["quantity"])


@dataclass(frozen=True)
class Leg:
    """An order of the bracket as it is, and what would change of it: "limit price 99.5 → 99.6"; nothing where it stays."""

    client_order_id: str
    name: str
    words: str
    change: str = ""


@require_http_methods(["GET", "POST"])
def legs(request: HttpRequest, client_order_id: str) -> HttpResponse:
    """`act=send` sends what was shown before; any other answer shows what would be sent."""
    record = order_or_404(request, client_order_id)
    require_trade(request, record.account)
    form = LegsForm(request.POST or None, auto_id="ask_%s")
    problems: list[str] = []
    drafts: list[Draft] = []
    sends = request.POST.get("act") == "send"
    if request.method == "POST" and form.is_valid():
        problems = too_old(request) if sends else []
        drafts, refused = _planned(record, form.wanted()) if not was_sent_before(request) else ([], [])
        problems += refused
        if sends and not problems and (was_sent_before(request) or request.POST.get("seen") == _seen(drafts)):
            problems = _send(request, record, form.wanted())
            if not problems:
                count = len(drafts) or len(family.members(record))
                words = ngettext("Change asked for %(count)s leg", "Change asked for %(count)s legs", count) % {"count": count}
                return done(request, words, reverse("order", args=[record.client_order_id]), link=record.client_order_id)
        elif sends and not problems:
            problems = [_("Nothing was sent: a leg is not as you saw it any more. Look again.")]
    shown = _legs(record, drafts)
    context = {"order": record, "form": form, "problems": problems, "legs": shown, "seen": _seen(drafts) if drafts else ""}
    context["may_resize"] = _may_resize(record)
    refused_now = sends or bool(problems)
    return ask(request, "legs", "history", {**context, "account": record.account}, refused=request.method == "POST" and refused_now)


def _planned(record: OrderRecord, wanted: Wanted) -> tuple[list[Draft], list[str]]:
    try:
        return plan(record, wanted, timezone.now()), []
    except Refused as refused:
        return [], [refused.message]
    except TicketError as error:
        return [], [f"{error.field.replace('_', ' ').capitalize()} {error.message}."]


def _send(request: HttpRequest, record: OrderRecord, wanted: Wanted) -> list[str]:
    values: dict[str, Any] = {"move": wanted.move, "move_ticks": wanted.move_ticks, "quantity": wanted.quantity}
    try:
        OrderManager(request.user).modify_bracket(record, key=request.POST.get("key", ""), **values)
    except (Refused, IllegalTransition) as error:
        return [str(error)]
    return []


def _may_resize(record: OrderRecord) -> bool:
    """An entry that has begun to fill, or has ended, keeps its size; its exits then change theirs one by one."""
    first = next(iter(family.members(record)), None)
    return first is not None and first.role == Role.ENTRY and not first.filled_quantity


def _seen(drafts: list[Draft]) -> str:
    """One word for what was shown: the legs with their old and new terms."""
    told = "; ".join(f"{draft.order.client_order_id} {draft.order.terms} {draft.terms}" for draft in drafts)
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def _legs(record: OrderRecord, drafts: list[Draft]) -> list[Leg]:
    ticks = Ticks.load()
    changes = {draft.order.pk: _moved(draft, ticks) for draft in drafts}
    return [
        Leg(leg.client_order_id, str(LEGS.get(leg.role, leg.role)), f"{leg.side} {terms_words(leg, ticks)}", changes.get(leg.pk, ""))
        for leg in family.members(record)
    ]


def _moved(draft: Draft, ticks: Ticks) -> str:
    """ "limit price 99.50 → 99.60, quantity 100 → 80": prices as the rest of the page has them."""
    old, new = draft.order.terms, draft.terms
    shown = {"limit_price": ticks.price, "stop_price": ticks.price, "trail_amount": ticks.distance, "limit_offset": ticks.distance}

    def spell(name: str, value: Any) -> str:
        return shown[name](draft.order.contract, value) if name in shown else quantity(value) if isinstance(value, Decimal) else str(value)

    names = [name for name in TERM_NAMES if getattr(old, name) != getattr(new, name)]
    return ", ".join(f"{name.replace('_', ' ')} {spell(name, getattr(old, name))} → {spell(name, getattr(new, name))}" for name in names)
