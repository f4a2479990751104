"""The order ticket as it is shown: for an account and a contract, with its quote. What comes of it is for `preview` and `sending`.

The rule it keeps: a ticket that is shown anew has a key of its own, and keeps nothing that belonged to another contract.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from orders import inquiries
from orders.models import Account, Contract
from orders.pages.forms import Stamp, TicketForm
from orders.pages.permissions import current_account
from orders.pages.views.contracts import contract_by_id
from orders.queries import gateway, tradable_accounts
from orders.queries.quotes import describe
from orders.queries.show import Ticks
from orders.rules.terms import OrderType, TimeInForce

# --- what the ticket shows ------------------------------------------------------------------------------------------------------------


def ticket_context(
    request: HttpRequest, account: Account | None, *, form: TicketForm | None = None, contract: Contract | None = None
) -> dict[str, Any]:
    """The ticket for an account and, where one is chosen (`?con_id=`), a contract."""
    now = timezone.now()
    tradable = list(tradable_accounts(request.user))
    if contract is None and form is None and request.GET.get("con_id", "").isdecimal():
        contract = Contract.objects.select_related("quote").filter(con_id=int(request.GET["con_id"])).first()
    if contract is not None:
        inquiries.watch_ticket(request.user, contract, now)
    pill = gateway(now)
    if form is None:
        form = TicketForm(accounts=tradable, initial=initial(account, contract))
    return {
        "account": account,
        "form": form,
        "contract": contract,
        "contract_words": describe(contract, Ticks.load()) if contract else "",
        "stamp": Stamp.fresh(now),
        "why_not": _why_not(account, tradable),
        "may_place": pill.may_place,
        "gate_reason": pill.reason,
    }


def initial(account: Account | None, contract: Contract | None) -> dict[str, Any]:
    return {
        "account": account.code if account else "",
        "symbol": contract.label if contract else "",
        "con_id": contract.con_id if contract else "",
        "quantity": "",
        "order_type": OrderType.LIMIT.value,
        "time_in_force": TimeInForce.DAY.value,
        "take_profit_percent": "8",
        "stop_loss_percent": "2",
    }


def _why_not(account: Account | None, tradable: list[Account]) -> str:
    """Why this user cannot send anything from this ticket now; empty where he can. The gateway's own reason comes live beside it."""
    if account is None:
        return _("No account has been given to you yet. An administrator can do that.")
    if not tradable:
        return _("You may look at account %s, not trade it.") % account.short
    if account not in tradable:
        return _("You may look at account %s, not trade it. Choose another account.") % account.short
    return ""


def answer(request: HttpRequest, context: dict[str, Any], *, status: int = 200, extra: str = "") -> HttpResponse:
    """The ticket alone for htmx, else the desk around it."""
    if request.htmx:  # type: ignore[attr-defined]
        response = render(request, "ticket/_ticket.html", context, status=status)
        response.content += extra.encode()
        return response
    from orders.pages.views.desk import desk_page

    return desk_page(request, {**context, "ticket_open": True}, status=status)


# --- choosing the contract ------------------------------------------------------------------------------------------------------------


@require_GET
def choose(request: HttpRequest, con_id: int) -> HttpResponse:
    """The ticket with this contract: its ticks, quote and position. Side and prices, which were the other's, are cleared."""
    account = current_account(request)
    found = contract_by_id(request, con_id)
    form = TicketForm(accounts=tradable_accounts(request.user), initial={**initial(account, found.contract), **_kept(request)})
    context = ticket_context(request, account, form=form, contract=found.contract)
    return answer(request, {**context, "problem": found.problem})


def _kept(request: HttpRequest) -> dict[str, Any]:
    """Of a ticket that changes its contract: what does not belong to the contract."""
    names = (
        "account",
        "quantity",
        "order_type",
        "time_in_force",
        "note",
        "take_profit_percent",
        "stop_loss_percent",
        "outside_rth",
        "bracket",
    )
    return {name: request.GET[name] for name in names if request.GET.get(name)}


@require_GET
def stamp(request: HttpRequest) -> HttpResponse:
    """A fresh key and time for a ticket that somebody works on, so that it does not grow old under his hands; its quotes go on too."""
    contract = Contract.objects.filter(con_id=request.GET["con_id"]).first() if request.GET.get("con_id", "").isdecimal() else None
    now = timezone.now()
    if contract is not None:
        inquiries.watch_ticket(request.user, contract, now)
    return render(request, "ticket/_stamp.html", {"stamp": Stamp.fresh(now)})


@require_GET
def watch(request: HttpRequest) -> HttpResponse:
    """Keeps the quotes of an open ticket coming; nothing to show."""
    if request.GET.get("con_id", "").isdecimal():
        contract = Contract.objects.filter(con_id=int(request.GET["con_id"])).first()
        if contract is not None:
            inquiries.watch_ticket(request.user, contract, timezone.now())
    return HttpResponse(status=204)
