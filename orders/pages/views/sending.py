"""Sending a ticket: under the seal of the preview that was looked at, or with one click in a page that is armed.

The rule it keeps: what is sent was on the screen. Whatever is not as it was shown, is shown again with what changed; a key is one order.
"""

from __future__ import annotations

from datetime import timedelta

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from orders import checks
from orders.errors import Refused
from orders.manager import OrderManager
from orders.models import Account, Contract, OrderRecord, Submission
from orders.pages import arming
from orders.pages.forms import TicketForm
from orders.pages.permissions import current_account
from orders.pages.views import previewing
from orders.pages.views.frame import done, toast, too_old, was_sent_before
from orders.pages.views.preview import Ticket, read_ticket, show_preview
from orders.pages.views.ticket import ONCE, answer, initial, lasting, ticket_context, ticket_place
from orders.queries import gateway, tradable_accounts, visible_accounts
from orders.queries.orders import terms_words
from orders.queries.quotes import quote_of
from orders.queries.show import Ticks
from orders.rules.limits import Rule
from orders.rules.terms import OrderTerms, Role, plain
from orders.rules.tickets import BracketTicket, ExitsTicket

MOST_SPELLED = 3
"""Exits that are told one by one."""


@require_http_methods(["GET", "POST"])
def ticket(request: HttpRequest) -> HttpResponse:
    """The ticket. A POST sends what its preview showed, once for its key, or shows it again with the reasons why not."""
    if request.method == "GET":
        return answer(request, ticket_context(request, current_account(request)))
    read = read_ticket(request)
    if not read.is_sound or not read.shown:
        return show_preview(request, read)
    notes, extra = _look_again(request, read)
    if notes:
        return show_preview(request, read, notes=notes, extra=extra, instead_of=request.POST.get("seal", ""))
    pill = gateway()
    if not pill.may_place and not was_sent_before(request):
        read.form.add_error(None, _("Nothing was sent: %s") % pill.reason)
        return show_preview(request, read)
    return _send(request, read)


def _look_again(request: HttpRequest, read: Ticket) -> tuple[list[str], str]:
    """Why the ticket must be looked at before it goes, empty where it need not be; and what that changes on the page."""
    if was_sent_before(request):
        return [], ""
    if token := request.POST.get("arming", ""):
        assert read.account is not None and read.contract is not None
        if ended := arming.why_not(request, read.account, token):
            return [ended], disarmed()
        return too_old(request) or _old_quote(request, read.account, read.contract), ""
    if not request.POST.get("seal"):
        return [_("Nothing was sent: look at the preview first, then send.")], ""
    return [], ""


def _old_quote(request: HttpRequest, account: Account, contract: Contract) -> list[str]:
    """With one click nothing is sent on a price that nobody has seen lately."""
    quote, longest = quote_of(contract), checks.limits_for(account, request.user)[Rule.QUOTE_SECONDS]
    if quote is None:
        return [_("Nothing was sent: there is no quote.")]
    if timezone.now() - quote.at > timedelta(seconds=float(longest)):
        return [_("Nothing was sent: the quote is too old to send on it with one click.")]
    return []


def _send(request: HttpRequest, read: Ticket) -> HttpResponse:
    """Places what was shown; where that is refused, the ticket with a fresh preview."""
    assert read.account is not None and read.contract is not None
    armed, seal = bool(request.POST.get("arming")), request.POST.get("seal", "")
    asked = previewing.asked_for(request, read, seal)
    if asked is None or isinstance(asked, ExitsTicket):
        return show_preview(request, read)
    data = read.form.cleaned_data
    try:
        orders = place(
            OrderManager(request.user),
            read.account,
            read.contract,
            asked,
            key=request.POST.get("key", ""),
            note=data["note"],
            confirm_duplicate=data["confirm_duplicate"],
            seal=seal,
            armed=armed and not seal,
        )
    except Refused as refused:
        return previewing.refused(request, read, refused, seal)
    return _sent(request, read.account, read.contract, orders)


def place(
    manager: OrderManager,
    account: Account,
    contract: Contract,
    asked: OrderTerms | BracketTicket,
    *,
    key: str,
    note: str,
    confirm_duplicate: bool,
    seal: str,
    armed: bool,
) -> list[OrderRecord]:
    """The verb of the request. Raises `Refused`."""
    options = {"key": key, "note": note, "confirm_duplicate": confirm_duplicate}
    if isinstance(asked, BracketTicket):
        return manager.place_bracket_ticket(account, contract, asked, **options, seal=seal, armed=armed)
    return [manager.place_order(account, contract, asked, **options, seal=seal, armed=armed)]


def _sent(request: HttpRequest, account: Account, contract: Contract, orders: list[OrderRecord]) -> HttpResponse:
    """What was accepted into the book, in words; whether the broker takes it is for the orders panel to say."""
    words = accepted_words(orders)
    if not request.htmx:  # type: ignore[attr-defined]
        return done(request, words, "desk")
    kept = {name: value for name, value in lasting(request.POST, is_same=True).items() if name not in ONCE}
    form = TicketForm(accounts=tradable_accounts(request.user), initial={**initial(account, contract, request.user), **kept})
    context = ticket_context(request, account, form=form, contract=contract)
    again = armed(request, account) if request.POST.get("arming") else ""
    return ticket_place().of_the_whole(request, answer(request, context, extra=toast(words, orders[0].client_order_id) + again))


def armed(request: HttpRequest, account: Account) -> str:
    """A fresh token for the page, out of band: its fifteen minutes begin anew."""
    return render_to_string("ticket/_armed.html", {"token": arming.give(request, account), "out_of_band": True}, request=request)


def disarmed() -> str:
    """Takes the token off the page, out of band."""
    return render_to_string("ticket/_armed.html", {"token": "", "out_of_band": True})


def accepted_words(orders: list[OrderRecord]) -> str:
    """ "Order accepted: BUY 100 AAPL LMT 236.10 DAY, stop 231.38, target 254.99"; of more exits only how many there are."""
    shown = Ticks.load()
    first, *others = orders
    words = f"{first.side} {terms_words(first, shown)}"
    if len(others) > MOST_SPELLED:
        words += _(", with %s exits") % len(others)
    else:
        words += "".join(f", {_exit_words(order, shown)}" for order in others)
    return _("Accepted, on its way: %s") % words


def _exit_words(order: OrderRecord, shown: Ticks) -> str:
    if order.trail_percent is not None:
        return _("trailing stop %s %%") % plain(order.trail_percent)
    if order.trail_amount is not None:
        return _("trailing stop %s") % shown.price(order.contract, order.trail_amount)
    if order.role == Role.TIME_STOP:
        return _("time stop")
    if order.stop_price is not None:
        return _("stop %s") % shown.price(order.contract, order.stop_price)
    return _("target %s") % shown.price(order.contract, order.limit_price)


@require_GET
def submission(request: HttpRequest, key: str) -> HttpResponse:
    """What became of a request whose answer was lost, by its key: `{"found", "text", "url"}`. Only the user's own."""
    stored = Submission.objects.filter(user=request.user, key=key).first()
    if stored is None:
        return JsonResponse({"found": False, "text": "", "url": ""})
    if "refused" in stored.result:
        return JsonResponse({"found": True, "text": stored.result["refused"]["message"], "url": ""})
    if sweep := stored.result.get("sweep"):
        return JsonResponse({"found": True, "text": _("This was done."), "url": f"/sweeps/{sweep}/"})
    pks = stored.result.get("orders") or []
    orders = list(
        OrderRecord.objects.filter(pk__in=pks, account__in=visible_accounts(request.user)).select_related("contract").order_by("pk")
    )
    text = accepted_words(orders) if orders else _("This was done.")
    return JsonResponse({"found": True, "text": text, "url": f"/orders/{orders[0].client_order_id}/" if orders else ""})
