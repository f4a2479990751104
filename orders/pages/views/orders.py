"""One order: its page, cancelling it; and cancelling all of an account.

The rule it keeps: an act on an order first says, in a page of its own, what it will do; nothing on the screen changes because of a click.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods

from orders.errors import IllegalTransition, Refused
from orders.manager import OrderManager
from orders.manager.changing import in_scope
from orders.manager.resending import lost_unit
from orders.models import Account, Contract, OrderRecord
from orders.pages.permissions import account_or_404, order_or_404, require_trade
from orders.pages.views.frame import ask, done, page, too_old, was_sent_before
from orders.pages.views.sending import accepted_words
from orders.queries import gateway, order_detail
from orders.queries.orders import terms_words
from orders.queries.show import Ticks, quantity
from orders.queries.unknown import evidence
from orders.rules.lifecycle import OrderStatus
from orders.rules.terms import OPEN_COMMANDS, CommandKind, Role


@require_GET
def order(request: HttpRequest, client_order_id: str) -> HttpResponse:
    """Everything about one order."""
    record = order_or_404(request, client_order_id)
    detail = order_detail(request.user, client_order_id)
    if detail is None:
        raise Http404(client_order_id)
    return page(request, "orders/order.html", "history", {"account": record.account, "detail": detail})


# --- cancel ---------------------------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
def cancel(request: HttpRequest, client_order_id: str) -> HttpResponse:
    """Cancels the rest of an order, after saying what that leaves behind."""
    record = order_or_404(request, client_order_id)
    require_trade(request, record.account)
    problems = _why_not_cancel(record) if request.method == "GET" else []
    if request.method == "POST":
        try:
            OrderManager(request.user).cancel_order(record, key=request.POST.get("key", ""))
        except (Refused, IllegalTransition) as error:
            problems = [str(error)]
        else:
            return done(request, _("Cancel asked for: %s") % _words(record), _url(record), link=record.client_order_id)
    context = {"order": record, "words": _words(record), "problems": problems, "consequences": cancel_consequences(record)}
    return ask(request, "cancel", "history", {**context, "account": record.account}, refused=request.method == "POST")


def _why_not_cancel(record: OrderRecord) -> list[str]:
    if not record.is_open:
        return [_("This order is over: %s. There is nothing to cancel.") % record.status]
    if CommandKind.CANCEL in _open_commands(record):
        return [_("A cancel is already on its way. The order lives until the broker says it is gone.")]
    return []


def cancel_consequences(record: OrderRecord) -> list[str]:
    """What a cancel of this order leaves behind, one sentence each."""
    words = []
    symbol = record.contract.label
    if record.state is OrderStatus.PENDING:
        words.append(_("It has not been sent: it is taken back here."))
    elif record.is_partially_filled:
        left, had = quantity(record.remaining_quantity), quantity(record.filled_quantity)
        words.append(_("%(left)s stop working. The %(had)s already filled stay.") % {"left": left, "had": had})
    else:
        words.append(
            _("%(left)s %(symbol)s stop working once the broker confirms.")
            % {"left": quantity(record.remaining_quantity), "symbol": symbol}
        )
    if record.role == Role.STOP_LOSS and (record.parent is None or record.parent.filled_quantity):
        words.append(_("The position in %s loses this stop.") % symbol)
    children = [child for child in record.children.all() if child.is_open]
    if children and not record.filled_quantity:
        words.append(ngettext("Its exit goes with it.", "Its %(count)s exits go with it.", len(children)) % {"count": len(children)})
    if record.oca_group is not None:
        words.append(_("The other orders of its OCA group are cancelled by the broker only if it does so itself; look at them afterwards."))
    if CommandKind.MODIFY in _open_commands(record):
        words.append(_("A change that is on its way may still arrive before the cancel."))
    return words


# --- cancel all -----------------------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
def cancel_all(request: HttpRequest, code: str) -> HttpResponse:
    """Cancels every open order of one account, of one contract with `?con_id=`; the page names them and counts them first."""
    account = account_or_404(request, code)
    require_trade(request, account)
    wanted = request.GET.get("con_id") or request.POST.get("con_id") or ""
    contract = get_object_or_404(Contract, con_id=int(wanted)) if wanted.isdecimal() else None
    orders = _open_orders(request, account, contract)
    if request.method == "POST":
        try:
            asked = OrderManager(request.user).cancel_all_orders(key=request.POST.get("key", ""), account=account, contract=contract)
        except Refused as refused:
            return ask(request, "cancel_all", "desk", {**_scope(account, contract, orders), "problems": [str(refused)]}, refused=True)
        words = ngettext("Cancel asked for %(count)s order in %(account)s", "Cancel asked for %(count)s orders in %(account)s", len(asked))
        return done(request, words % {"count": len(asked), "account": account.short}, "desk")
    return ask(request, "cancel_all", "desk", _scope(account, contract, orders))


def _open_orders(request: HttpRequest, account: Account, contract: Contract | None) -> list[OrderRecord]:
    """What a cancel of everything reaches, by the manager's own rule."""
    reached = in_scope(request.user, account, contract)
    return list(OrderRecord.objects.filter(pk__in=reached).select_related("contract", "parent"))


def _scope(account: Any, contract: Contract | None, orders: list[OrderRecord]) -> dict[str, Any]:
    """The scope in words, and what goes with it."""
    stops = [order for order in orders if order.role == Role.STOP_LOSS and (order.parent is None or order.parent.filled_quantity)]
    partly = [order for order in orders if order.is_partially_filled]
    lost = [order for order in orders if order.state is OrderStatus.UNKNOWN]
    ticks = Ticks.load()
    words = []
    if stops:
        names = ", ".join(f"{quantity(order.remaining_quantity)} {order.contract.label}" for order in stops)
        words.append(_("These positions lose their stops: %s.") % names)
    words += [
        _("%(symbol)s keeps the %(had)s already filled.") % {"symbol": order.contract.label, "had": quantity(order.filled_quantity)}
        for order in partly
    ]
    if lost:
        words.append(
            ngettext(
                "%(count)s order is unknown: it is asked to be cancelled and stays until the broker answers.",
                "%(count)s orders are unknown: they are asked to be cancelled and stay until the broker answers.",
                len(lost),
            )
            % {"count": len(lost)}
        )
    words.append(_("Orders of other accounts, and orders that only another client can cancel, are not touched."))
    shown = [f"{order.side} {terms_words(order, ticks)}" for order in orders]
    return {
        "account": account,
        "contract": contract,
        "count": len(orders),
        "consequences": words,
        "shown": shown[:20],
        "more": max(0, len(shown) - 20),
    }


# --- what a person concludes ------------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
def conclude(request: HttpRequest, client_order_id: str) -> HttpResponse:
    """Ends an order of unknown fate by hand: somebody looked at the broker and says what he saw there."""
    record = order_or_404(request, client_order_id)
    require_trade(request, record.account)
    lines = [
        _("Do this only after looking at TWS or the broker's own page: the order must not be there."),
        _("Nothing is sent to the broker. Should the order live after all, its fills are still counted and an incident says so."),
    ]
    tended = {
        "title": _("Mark as cancelled: %s") % _words(record),
        "lines": lines,
        "button": _("It is not at the broker"),
        "asks_reason": True,
    }
    return _tend(request, record, tended, "conclude", lambda manager, key, reason: manager.conclude_cancelled(record, reason, key=key))


@require_http_methods(["GET", "POST"])
def send_again(request: HttpRequest, client_order_id: str) -> HttpResponse:
    """A new order with the terms of one that is not at the broker; the old one ends by the same word."""
    record = order_or_404(request, client_order_id)
    require_trade(request, record.account)
    reason = request.POST.get("reason", "")[:300]
    problems: list[str] = []
    if request.method == "POST":
        pill = gateway()
        problems = too_old(request)
        if not problems and not pill.may_place and not was_sent_before(request):
            problems = [_("Nothing was sent: %s") % pill.reason]
        if not problems:
            try:
                made = OrderManager(request.user).send_again(record, key=request.POST.get("key", ""), reason=reason)
            except (Refused, IllegalTransition) as error:
                problems = [str(error)]
            else:
                return done(request, accepted_words(made), _url(made[0]), link=made[0].client_order_id)
    try:
        lines = _again_lines(lost_unit(record))
    except Refused as refused:
        lines, problems = [], problems or [str(refused)]
    context = {"order": record, "words": _words(record), "problems": problems, "lines": lines, "reason": reason, "account": record.account}
    context["evidence"] = evidence([record]).get(record.pk, ())
    return ask(request, "send_again", "history", context, refused=request.method == "POST")


def _again_lines(unit: list[OrderRecord]) -> list[str]:
    """What sending again does, one sentence each."""
    ticks = Ticks.load()
    words = [_("%s ends here, on your word that it is not at the broker.") % order.client_order_id for order in unit]
    words += [_("Sent as a new order: %s") % f"{order.side} {terms_words(order, ticks)}" for order in unit]
    if unit[0].filled_quantity:
        words.append(_("Of it only the %s that had not filled.") % quantity(unit[0].remaining_quantity))
    words.append(_("It is checked like any new order, against the limits and a fresh quote."))
    words.append(_("Should the first live after all, its fills are counted and an incident on both says so: then you have two."))
    return words


@require_http_methods(["GET", "POST"])
def ask_again(request: HttpRequest, client_order_id: str) -> HttpResponse:
    """Asks the broker for its lists now."""
    record = order_or_404(request, client_order_id)
    require_trade(request, record.account)
    lines = [_("The broker is asked for its open orders, completed orders and executions now. Nothing else is sent.")]
    tended = {"title": _("Ask IB again about %s") % _words(record), "lines": lines, "button": _("Ask now"), "asks_reason": False}
    return _tend(request, record, tended, "ask_again", lambda manager, key, reason: manager.ask_again(record, key=key))


@require_http_methods(["GET", "POST"])
def seen(request: HttpRequest, client_order_id: str) -> HttpResponse:
    """Takes the flag off an order that somebody has looked at."""
    record = order_or_404(request, client_order_id)
    require_trade(request, record.account)
    lines = [record.attention_text] if record.attention_text else []
    tended = {"title": _("Looked at: %s") % _words(record), "lines": lines, "button": _("I have looked at it"), "asks_reason": False}
    return _tend(request, record, tended, "seen", lambda manager, key, reason: manager.clear_attention(record, key=key))


@require_http_methods(["GET", "POST"])
def adopt(request: HttpRequest, client_order_id: str) -> HttpResponse:
    """Puts one's name to an order that was placed elsewhere."""
    record = order_or_404(request, client_order_id)
    require_trade(request, record.account)
    lines = [_("The order was placed elsewhere. In this book it will bear your name; at the broker nothing changes.")]
    tended = {"title": _("Adopt %s") % _words(record), "lines": lines, "button": _("Adopt it"), "asks_reason": False}
    return _tend(request, record, tended, "adopt", lambda manager, key, reason: manager.adopt_order(record, key=key))


def _tend(
    request: HttpRequest, record: OrderRecord, tended: dict[str, Any], name: str, act: Callable[[OrderManager, str, str], OrderRecord]
) -> HttpResponse:
    problems: list[str] = []
    reason = request.POST.get("reason", "")[:300]
    if request.method == "POST":
        try:
            act(OrderManager(request.user), request.POST.get("key", ""), reason)
        except (Refused, IllegalTransition) as error:
            problems = [str(error)]
        else:
            return done(request, _("Recorded: %s") % tended["title"], _url(record), link=record.client_order_id)
    context = {"order": record, "account": record.account, "problems": problems, "reason": reason, "url_name": name, **tended}
    return ask(request, "tend", "history", context, refused=bool(problems))


# --- small things ---------------------------------------------------------------------------------------------------------------------


def _open_commands(record: OrderRecord) -> set[str]:
    states = [state.value for state in OPEN_COMMANDS]
    return set(record.commands.filter(state__in=states).values_list("kind", flat=True))


def _words(record: OrderRecord) -> str:
    return f"{record.side} {terms_words(record, Ticks.load())}"


def _url(record: OrderRecord) -> str:
    return reverse("order", args=[record.client_order_id])
