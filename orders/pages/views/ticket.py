"""The order ticket: finding the contract, and sending the order or the bracket.

The rule it keeps: what is sent was on the screen. A contract that was only typed is looked up and shown first; a ticket older than a
minute, or one that repeats the order before it, asks again.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from orders import inquiries
from orders.errors import Refused
from orders.manager import OrderManager
from orders.models import Account, Contract, OrderRecord, Submission
from orders.pages.forms import OCA_TYPES, ON_OPEN, PlaceRequest, Stamp, TicketForm, add_refusal
from orders.pages.forms.offers import first_offered, offers_of
from orders.pages.forms.pairs import MOST_PAIRS, name_of
from orders.pages.permissions import current_account
from orders.pages.views.contracts import Match, contract_by_id, contract_by_symbol
from orders.pages.views.frame import REFUSED_STATUS, done, toast, too_old, was_sent_before
from orders.queries import gateway, tradable_accounts, visible_accounts
from orders.queries.orders import terms_words
from orders.queries.quotes import describe
from orders.queries.show import Ticks
from orders.rules.distances import Unit
from orders.rules.limits import Rule
from orders.rules.terms import OrderType, TimeInForce, plain
from orders.rules.tickets import ENTRY_TYPES, BracketTicket

_WAYS_OUT = ("target", "target_unit", "stop_kind", "stop", "stop_unit", "time_stop")
LASTING = (
    *("account", "quantity", "order_type", "trail_unit", "time_in_force", "outside_rth", "note", "bracket", "pair_count"),
    *("oca_type", "exits_time_in_force", "exits_outside_rth", "adaptive", "trigger_method"),
    *(name_of(number, field) for number in range(1, MOST_PAIRS + 1) for field in _WAYS_OUT),
)
"""What of a ticket does not belong to its contract: all but side, prices and amounts in the contract's currency."""

ONCE = ("account", "outside_rth", "note", "bracket", "adaptive", "trigger_method")
"""What of it holds for one order only, and is not kept for the next."""

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
        "offered": offers_of(contract, str(form["order_type"].value()), str(form["time_in_force"].value())),
        "oca_types": OCA_TYPES,
        "entry_types": ",".join([*(word.value for word in ENTRY_TYPES), *ON_OPEN]),
        "contract": contract,
        "size_increment": plain(contract.size_increment) if contract else "1",
        "multiplier": plain(contract.multiplier) if contract and contract.multiplier != 1 else "",
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
    form = TicketForm(
        accounts=tradable_accounts(request.user), initial={**_initial(account, found.contract), **_kept(request, found.contract)}
    )
    context = ticket_context(request, account, form=form, contract=found.contract)
    return answer(request, {**context, "problem": found.problem})


def _kept(request: HttpRequest, contract: Contract | None) -> dict[str, Any]:
    """Of a ticket that changes its contract: what does not belong to the contract."""
    kept = lasting(request.GET)
    if "order_type" in kept:
        kept["order_type"] = first_offered(contract, kept["order_type"])
    return kept


def lasting(typed: QueryDict) -> dict[str, Any]:
    """What of a filled-in ticket is worth keeping for another one; distances only where they are no amounts of money."""
    kept = {name: typed[name] for name in LASTING if typed.get(name)}
    for number in range(1, MOST_PAIRS + 1):
        for leg in ("target", "stop"):
            if kept.get(name_of(number, f"{leg}_unit")) in (Unit.AMOUNT, Unit.TICKS):
                kept.pop(name_of(number, leg), None)
                kept.pop(name_of(number, f"{leg}_unit"))
    return kept


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
        return answer(request, ticket_context(request, account))
    form = TicketForm(request.POST, accounts=tradable_accounts(request.user))
    contract = shown = _shown_contract(form) if form.is_valid() else posted_contract(request)
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
    return answer(request, {**context, "notes": notes, "matches": matches}, status=REFUSED_STATUS)


def _shown_contract(form: TicketForm) -> Contract | None:
    """The contract the ticket showed, unless another symbol was typed over it."""
    con_id = form.cleaned_data.get("con_id")
    contract = Contract.objects.select_related("quote").filter(con_id=con_id, detailed_at__isnull=False).first() if con_id else None
    if contract is None:
        return None
    typed = form.cleaned_data["symbol"].upper()
    return contract if typed in (contract.label.upper(), contract.symbol.upper(), contract.local_symbol.upper()) else None


def posted_contract(request: HttpRequest) -> Contract | None:
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
    asked = form.request(contract)
    if asked is None:
        return []
    options = {"note": form.cleaned_data["note"], "confirm_duplicate": form.cleaned_data["confirm_duplicate"]}
    try:
        return _place(OrderManager(request.user), account, contract, asked, key=request.POST.get("key", ""), **options)
    except Refused as refused:
        if refused.code == Rule.DUPLICATE_SECONDS:
            form.asks_for_confirmation = True  # type: ignore[attr-defined]
        message = refused.message
        if refused.code == "KEY_REUSED":
            message = _("This form was used before. Look at your orders: the earlier one may have been accepted.")
        add_refusal(form, message, refused.field, refused.code)
        return []


def _place(manager: OrderManager, account: Account, contract: Contract, asked: PlaceRequest, **options: Any) -> list[OrderRecord]:
    if isinstance(asked, BracketTicket):
        return manager.place_bracket_ticket(account, contract, asked, **options)
    return [manager.place_order(account, contract, asked, **options)]


def _sent(request: HttpRequest, account: Account, contract: Contract, orders: list[OrderRecord]) -> HttpResponse:
    """What was accepted into the book, in words; whether the broker takes it is for the orders panel to say."""
    words = accepted_words(orders)
    if not request.htmx:  # type: ignore[attr-defined]
        return done(request, words, "desk")
    kept = {name: value for name, value in lasting(request.POST).items() if name not in ONCE}
    form = TicketForm(accounts=tradable_accounts(request.user), initial={**_initial(account, contract), **kept})
    context = ticket_context(request, account, form=form, contract=contract)
    return answer(request, context, extra=toast(words, orders[0].client_order_id))


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
