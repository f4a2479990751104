"""How much to trade: what a sizing method comes to for the ticket as it stands, with its arithmetic.

The rule it keeps: nothing is changed and nothing waits. A method that needs the bars of the broker asks and looks again in a moment; the
quantity of the ticket is left to the person who takes the size.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from orders import inquiries
from orders.checks import limits_for
from orders.models import Account, Contract, Inquiry
from orders.pages.forms import TicketForm
from orders.pages.forms.reading import sentence
from orders.pages.forms.sizing import sizing_request
from orders.pages.permissions import current_account
from orders.queries import gateway, tradable_accounts, visible_accounts
from orders.queries.show import Ticks, quantity
from orders.queries.sizing import bars_question, sized
from orders.rules.sizing import Method, Sizing
from orders.rules.terms import plain
from orders.rules.tickets import TicketError

BARS_KEPT = timedelta(minutes=10)
"""Daily bars that were answered so long ago still do."""
ASK_AGAIN = timedelta(seconds=15)
"""A question that failed is not asked again before."""


@dataclass(frozen=True)
class Sized:
    """What the ticket shows: a size that can be taken, or why there is none; `waits` while the broker is asked."""

    sizing: Sizing | None = None
    value: str = ""
    shown: str = ""
    stop: str = ""
    problem: str = ""
    waits: bool = False


@require_GET
def size(request: HttpRequest) -> HttpResponse:
    """The size for a ticket that is being filled in, as far as it is."""
    return render(request, "ticket/_size.html", {"sized": size_for(request, request.GET)})


def size_for(request: HttpRequest, typed: Any) -> Sized | None:
    """What the method on the ticket comes to; None where the quantity is simply typed."""
    if not typed.get("size_method"):
        return None
    form = TicketForm(typed, accounts=tradable_accounts(request.user))
    form.is_valid()  # what could be read is enough
    data = form.cleaned_data
    account = visible_accounts(request.user).filter(code=typed.get("account", "")).first() or current_account(request)
    con_id = typed.get("con_id", "")
    contract = Contract.objects.select_related("quote").filter(con_id=int(con_id)).first() if con_id.isdecimal() else None
    if contract is None or account is None:
        return Sized(problem=_("Choose a symbol first."))
    if wrong := [name for name in ("size_method", "size_value", "size_stop", "size_atr") if name in form.errors]:
        return Sized(problem=" ".join(form.errors[wrong[0]]))
    return worked_out(request, data, account, contract)


def worked_out(request: HttpRequest, data: dict[str, Any], account: Account, contract: Contract) -> Sized:
    """What the method in `data` (the fields of a ticket, as they were read) comes to for this contract in this account."""
    now = timezone.now()
    try:
        asked = sizing_request(data, contract)
        bars = _bars(request, contract, now) if asked.method is Method.ATR else None
        if bars is not None and bars.state in (Inquiry.State.ASKED, Inquiry.State.ASKING) and bars.expires_at > now:
            return Sized(waits=True)
        found = sized(request.user, account, contract, asked, now=now, bars=bars, limits=limits_for(account, request.user))
    except TicketError as error:
        return Sized(problem=sentence(f"{_named(error.field)} {error.message}"))
    stop = Ticks.load().typed(contract, found.stop_price) if found.suggests_stop else ""
    return Sized(found, plain(found.quantity), quantity(found.quantity), stop)


def _named(field: str) -> str:
    """How the ticket calls a field of a sizing."""
    names = {
        "amount": _("the amount"),
        "percent": _("the percent"),
        "stop_price": _("the stop"),
        "entry_price": _("the price"),
        "method": _("this method"),
        "atr_multiple": _("the multiple of the ATR"),
        "kelly_fraction": _("the part of Kelly's size"),
        "contract": _("the contract"),
        "side": _("the side"),
    }
    return names.get(field, field.replace("_", " "))


def _bars(request: HttpRequest, contract: Contract, now: datetime) -> Inquiry | None:
    """The newest question for the contract's daily bars, asked now where there is none that is still worth something."""
    arguments = bars_question(contract)
    asked = Inquiry.objects.filter(kind=Inquiry.Kind.BARS, asked_at__gt=now - BARS_KEPT).order_by("-asked_at")
    newest = next((row for row in asked[:50] if row.arguments == arguments), None)
    if newest is not None and not _is_worthless(newest, now):
        return newest
    if not gateway().may_cancel:
        raise TicketError("method", _("needs daily bars, and the gateway cannot be asked now"))
    return inquiries.ask(Inquiry.Kind.BARS, arguments, request.user, now)


def _is_worthless(row: Inquiry, now: datetime) -> bool:
    """Failed or never answered, and a while ago."""
    if row.state == Inquiry.State.ANSWERED:
        return False
    if row.state == Inquiry.State.FAILED:
        return now - (row.answered_at or row.asked_at) > ASK_AGAIN
    return row.expires_at <= now
