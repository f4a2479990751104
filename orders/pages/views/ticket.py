"""The order ticket as it is shown: for an account and a contract, with its quote. What comes of it is for `preview` and `sending`.

The rule it keeps: a ticket that is shown anew has a key of its own, and keeps nothing that belonged to another contract.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from orders import inquiries
from orders.models import Account, Contract
from orders.pages.forms import OCA_TYPES, ON_OPEN, Stamp, TicketForm
from orders.pages.forms.offers import first_offered, offers_of
from orders.pages.forms.own_exits import exits_of
from orders.pages.forms.pairs import MOST_PAIRS
from orders.pages.permissions import current_account
from orders.pages.views.contracts import contract_by_id
from orders.pages.views.previewing import Place
from orders.queries import gateway, tradable_accounts
from orders.queries.quotes import describe
from orders.queries.show import Ticks
from orders.queries.templates import exits_for
from orders.rules.exit_rows import name_of
from orders.rules.terms import OrderType, TimeInForce, plain
from orders.rules.tickets import ENTRY_TYPES

LASTING = (
    *("account", "quantity", "order_type", "trail_unit", "time_in_force", "outside_rth", "note", "bracket"),
    *("adaptive", "trigger_method", "size_method"),
)
"""What of a ticket does not belong to its contract: all but side, prices, amounts in the contract's currency, and its own exits."""

_WAYS_OUT = ("target", "target_unit", "stop_kind", "stop", "stop_unit", "stop_offset", "time_stop")
OF_THE_CONTRACT = (
    *("pair_count", "oca_type", "exits_time_in_force", "exits_outside_rth", "size_value", "size_atr"),
    *(name_of(number, field) for number in range(1, MOST_PAIRS + 1) for field in _WAYS_OUT),
)
"""What is kept beside that for another order of the same contract."""

ONCE = ("account", "outside_rth", "note", "bracket", "adaptive", "trigger_method")
"""What of it holds for one order only, and is not kept for the next."""

CLOSED_DIALOG = '<div id="dialog-slot" hx-swap-oob="innerHTML"></div>'
"""Goes with a ticket whose contract was picked in a dialog: the dialog is done."""


def ticket_place() -> Place:
    """Where the ticket shows its preview."""
    return Place(preview="ticket-preview", form="ticket-form", send=reverse("ticket"), whole="#ticket-panel")


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
        form = TicketForm(accounts=tradable, initial=initial(account, contract, request.user))
    return {
        "account": account,
        "form": form,
        "place": ticket_place(),
        "offered": offers_of(contract, str(form["order_type"].value()), str(form["time_in_force"].value())),
        "oca_types": OCA_TYPES,
        "entry_types": ",".join([*(word.value for word in ENTRY_TYPES), *ON_OPEN]),
        "contract": contract,
        "size_increment": plain(contract.size_increment) if contract else "1",
        "multiplier": plain(contract.multiplier) if contract and contract.multiplier != 1 else "",
        "contract_words": describe(contract, Ticks.load()) if contract else "",
        "stamp": Stamp.fresh(now),
        "why_not": _why_not(account, tradable),
        "has_own_exits": contract is not None and form.initial.get("own_exits", False),
        "may_place": pill.may_place,
        "gate_reason": pill.reason,
    }


def initial(account: Account | None, contract: Contract | None, user: Any) -> dict[str, Any]:
    """A fresh ticket: the exits are those that the user has for the contract."""
    template = exits_for(user, contract) if contract is not None else None
    exits = {**exits_of(template), "own_exits": not template.is_built_in} if template is not None else {}
    return {
        **exits,
        "account": account.code if account else "",
        "symbol": contract.label if contract else "",
        "con_id": contract.con_id if contract else "",
        "quantity": "",
        "order_type": first_offered(contract, OrderType.LIMIT.value),
        "time_in_force": TimeInForce.DAY.value,
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
    values = {**initial(account, found.contract, request.user), **_kept(request, found.contract)}
    form = TicketForm(accounts=tradable_accounts(request.user), initial=values)
    context = ticket_context(request, account, form=form, contract=found.contract)
    picked = "picked" in request.GET
    response = answer(request, {**context, "problem": found.problem}, extra=CLOSED_DIALOG if picked else "")
    # Whatever was pressed in the dialog: what came of it is the ticket.
    return ticket_place().of_the_whole(request, response) if picked else response


def _kept(request: HttpRequest, contract: Contract | None) -> dict[str, Any]:
    """Of a ticket that changes its contract: what does not belong to the contract."""
    is_same = contract is not None and request.GET.get("con_id") == str(contract.con_id)
    kept = lasting(request.GET, is_same=is_same)
    if "order_type" in kept:
        kept["order_type"] = first_offered(contract, kept["order_type"])
    return kept


def lasting(typed: QueryDict, *, is_same: bool) -> dict[str, Any]:
    """What of a filled-in ticket is worth keeping for another one, of the same contract or not."""
    return {name: typed[name] for name in (*LASTING, *(OF_THE_CONTRACT if is_same else ())) if typed.get(name)}


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


def posted_contract(request: HttpRequest) -> Contract | None:
    """The contract that a posted ticket names; None where it names none, or one that is not known."""
    con_id = request.POST.get("con_id", "")
    return Contract.objects.select_related("quote").filter(con_id=int(con_id)).first() if con_id.isdecimal() else None
