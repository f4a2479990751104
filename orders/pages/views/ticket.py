"""The order ticket: finding the contract, and sending the order or the bracket.

The rule it keeps: what is sent was on the screen. A contract that was only typed is looked up and shown first; a ticket older than a
minute, or one that repeats the order before it, asks again.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from orders import inquiries
from orders.contracts import ticks
from orders.errors import Refused
from orders.manager import OrderManager
from orders.models import Account, Contract, OrderRecord, Submission
from orders.pages.forms import Stamp, TicketForm, add_refusal
from orders.pages.permissions import current_account
from orders.pages.views.contracts import Match, contract_by_id, contract_by_symbol
from orders.pages.views.frame import REFUSED_STATUS, done, toast, too_old, was_sent_before
from orders.queries import gateway, tradable_accounts, visible_accounts
from orders.queries.orders import terms_words
from orders.queries.quotes import describe
from orders.queries.show import Ticks
from orders.rules.limits import Rule
from orders.rules.terms import OrderType, Side, TimeInForce

CLOSED_DIALOG = '<div id="dialog-slot" hx-swap-oob="innerHTML"></div>'
"""Goes with a ticket whose contract was picked in a dialog: the dialog is done."""

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
        form = TicketForm(accounts=tradable, initial=_initial(account, contract))
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


def _initial(account: Account | None, contract: Contract | None) -> dict[str, Any]:
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


def _answer(request: HttpRequest, context: dict[str, Any], *, status: int = 200, extra: str = "") -> HttpResponse:
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
    form = TicketForm(accounts=tradable_accounts(request.user), initial={**_initial(account, found.contract), **_kept(request)})
    context = ticket_context(request, account, form=form, contract=found.contract)
    picked = "picked" in request.GET
    response = _answer(request, {**context, "problem": found.problem}, extra=CLOSED_DIALOG if picked else "")
    if picked:  # whatever was pressed in the dialog: what came of it is the ticket
        response["HX-Retarget"], response["HX-Reswap"] = "#ticket-panel", "outerHTML"
    return response


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


# --- sending --------------------------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
def ticket(request: HttpRequest) -> HttpResponse:
    """The ticket. A POST sends what it says, once for its key, or shows it again with the reasons why not."""
    account = current_account(request)
    if request.method == "GET":
        return _answer(request, ticket_context(request, account))
    form = TicketForm(request.POST, accounts=tradable_accounts(request.user))
    contract = shown = _shown_contract(form) if form.is_valid() else _posted_contract(request)
    matches: tuple[Match, ...] = ()
    if form.is_valid() and contract is None:
        found = contract_by_symbol(request, form.cleaned_data["symbol"])
        contract, matches = found.contract, found.matches
        if found.problem:
            form.add_error("symbol", found.problem)
    account = visible_accounts(request.user).filter(code=request.POST.get("account", "")).first() or account
    notes = _ask_again(request, form, contract, shown) if form.is_valid() and contract is not None else []
    if form.is_valid() and contract is not None and not notes:
        assert account is not None
        orders = _send(request, form, account, contract)
        if orders:
            return _sent(request, account, contract, orders)
    context = ticket_context(request, account, form=form, contract=contract)
    return _answer(request, {**context, "notes": notes, "matches": matches}, status=REFUSED_STATUS)


def _shown_contract(form: TicketForm) -> Contract | None:
    """The contract the ticket showed, unless another symbol was typed over it."""
    con_id = form.cleaned_data.get("con_id")
    contract = Contract.objects.select_related("quote").filter(con_id=con_id, detailed_at__isnull=False).first() if con_id else None
    if contract is None:
        return None
    typed = form.cleaned_data["symbol"].upper()
    return contract if typed in (contract.label.upper(), contract.symbol.upper(), contract.local_symbol.upper()) else None


def _posted_contract(request: HttpRequest) -> Contract | None:
    con_id = request.POST.get("con_id", "")
    return Contract.objects.select_related("quote").filter(con_id=int(con_id)).first() if con_id.isdecimal() else None


def _ask_again(request: HttpRequest, form: TicketForm, contract: Contract, shown: Contract | None) -> list[str]:
    """Why the ticket must be looked at once more before it goes; empty where it need not be."""
    if shown is None:
        form.data = form.data.copy()
        form.data["con_id"], form.data["symbol"] = str(contract.con_id), contract.label
        return [
            _("%(symbol)s is %(words)s. If that is the one you mean, send again.")
            % {"symbol": contract.label, "words": describe(contract, Ticks.load())}
        ]
    return too_old(request)


def _send(request: HttpRequest, form: TicketForm, account: Account, contract: Contract) -> list[OrderRecord]:
    """The verb of the ticket's type. An empty list, with the reasons in the form, where it was refused."""
    pill = gateway()
    if not pill.may_place and not was_sent_before(request):
        form.add_error(None, _("Nothing was sent: %s") % pill.reason)
        return []
    exits = form.exits(contract, ticks(contract)) if form.cleaned_data["bracket"] else None
    if form.errors:
        return []
    try:
        return _place(OrderManager(request.user), form.cleaned_data, account, contract, exits, request.POST.get("key", ""))
    except Refused as refused:
        if refused.code == Rule.DUPLICATE_SECONDS:
            form.asks_for_confirmation = True  # type: ignore[attr-defined]
        message = refused.message
        if refused.code == "KEY_REUSED":
            message = _("This form was used before. Look at your orders: the earlier one may have been accepted.")
        add_refusal(form, message, refused.field, refused.code)
        return []


def _place(
    manager: OrderManager, data: dict[str, Any], account: Account, contract: Contract, exits: tuple[Decimal, Decimal] | None, key: str
) -> list[OrderRecord]:
    side, amount, order_type = Side(data["side"]), data["quantity"], OrderType(data["order_type"])
    options: dict[str, Any] = {
        "key": key,
        "time_in_force": TimeInForce(data["time_in_force"]),
        "outside_rth": data["outside_rth"],
        "note": data["note"],
        "confirm_duplicate": data["confirm_duplicate"],
    }
    if exits is not None:
        prices = {"limit_price": data["limit_price"], "take_profit_price": exits[0], "stop_loss_price": exits[1]}
        return manager.place_bracket(account, contract, side, amount, **prices, **options)
    if order_type is OrderType.MARKET:
        return [manager.place_market_order(account, contract, side, amount, **options)]
    if order_type is OrderType.LIMIT:
        return [manager.place_limit_order(account, contract, side, amount, data["limit_price"], **options)]
    if order_type is OrderType.STOP:
        return [manager.place_stop_order(account, contract, side, amount, data["stop_price"], **options)]
    return [manager.place_stop_limit_order(account, contract, side, amount, data["stop_price"], data["limit_price"], **options)]


def _sent(request: HttpRequest, account: Account, contract: Contract, orders: list[OrderRecord]) -> HttpResponse:
    """What was accepted into the book, in words; whether the broker takes it is for the orders panel to say."""
    words = accepted_words(orders)
    if not request.htmx:  # type: ignore[attr-defined]
        return done(request, words, "desk")
    kept = {
        name: request.POST[name]
        for name in ("quantity", "order_type", "time_in_force", "take_profit_percent", "stop_loss_percent")
        if name in request.POST
    }
    form = TicketForm(accounts=tradable_accounts(request.user), initial={**_initial(account, contract), **kept})
    context = ticket_context(request, account, form=form, contract=contract)
    return _answer(request, context, extra=toast(words, orders[0].client_order_id))


def accepted_words(orders: list[OrderRecord]) -> str:
    """ "Order accepted: BUY 100 AAPL LMT 236.10 DAY, stop 231.38, target 254.99"."""
    shown = Ticks.load()
    first, *others = orders
    words = f"{first.side} {terms_words(first, shown)}"
    for order in others:
        value = order.stop_price if order.stop_price is not None else order.limit_price
        label = _("stop") if order.stop_price is not None else _("target")
        words += f", {label} {shown.price(order.contract, value)}"
    return _("Accepted, on its way: %s") % words


@require_GET
def submission(request: HttpRequest, key: str) -> HttpResponse:
    """What became of a request whose answer was lost, by its key: `{"found", "text", "url"}`. Only the user's own."""
    stored = Submission.objects.filter(user=request.user, key=key).first()
    if stored is None:
        return JsonResponse({"found": False, "text": "", "url": ""})
    if "refused" in stored.result:
        return JsonResponse({"found": True, "text": stored.result["refused"]["message"], "url": ""})
    pks = stored.result.get("orders") or []
    orders = list(
        OrderRecord.objects.filter(pk__in=pks, account__in=visible_accounts(request.user)).select_related("contract").order_by("pk")
    )
    text = accepted_words(orders) if orders else _("This was done.")
    return JsonResponse({"found": True, "text": text, "url": f"/orders/{orders[0].client_order_id}/" if orders else ""})
