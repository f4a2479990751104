"""Acts on a position: closing it, and turning it round.

The rule it keeps: direction and quantity come from the position as IB reports it, never from the browser's idea of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from orders.errors import IllegalTransition, Refused
from orders.manager import OrderManager
from orders.manager.closing import Plan, plan_close, plan_reverse
from orders.models import Position
from orders.pages.consequences import SHARES, percent_of, plan_words
from orders.pages.permissions import position_or_404, require_trade
from orders.pages.views.frame import ask, done, too_old, was_sent_before
from orders.queries import gateway
from orders.queries.guard import guard_for
from orders.queries.quotes import quote_of
from orders.queries.show import Ticks, quantity, signed
from orders.rules.terms import plain


@require_http_methods(["GET", "POST"])
def close(request: HttpRequest, code: str, con_id: int) -> HttpResponse:
    """Closes `percent` of a position at the market, all of it by default, after its exits are out of the way."""
    position = position_or_404(request, code, con_id)
    require_trade(request, position.account)
    percent, problems = percent_of(request)
    if request.method == "POST" and not problems:
        problems = too_old(request) or gateway_problem(request)
        if not problems:
            manager = OrderManager(request.user)
            try:
                order = manager.close_position(position.account, position.contract, key=request.POST.get("key", ""), percent=percent)
            except (Refused, IllegalTransition) as error:
                problems = [str(error)]
            else:
                words = {"quantity": quantity(order.quantity), "symbol": position.contract.label}
                return done(request, _("Closing %(quantity)s %(symbol)s") % words, "desk", link=order.client_order_id)
    plan, why_not = _planned(lambda: plan_close(position.account, position.contract, percent, timezone.now()))
    context = {**facts_of(position), "problems": problems or why_not, "percent": plain(percent), "shares": SHARES, **_of_plan(plan)}
    return ask(request, "close", "positions", context, refused=bool(problems))


@require_http_methods(["GET", "POST"])
def reverse(request: HttpRequest, code: str, con_id: int) -> HttpResponse:
    """Turns a position round: its exits go, then one market order of twice its size."""
    position = position_or_404(request, code, con_id)
    require_trade(request, position.account)
    problems: list[str] = []
    if request.method == "POST":
        problems = too_old(request) or gateway_problem(request)
        if not problems:
            try:
                order = OrderManager(request.user).reverse_position(position.account, position.contract, key=request.POST.get("key", ""))
            except (Refused, IllegalTransition) as error:
                problems = [str(error)]
            else:
                return done(request, _("Reversing %(quantity)s %(symbol)s") % _held(position), "desk", link=order.client_order_id)
    plan, why_not = _planned(lambda: plan_reverse(position.account, position.contract))
    context = {**facts_of(position), "problems": problems or why_not, **_of_plan(plan)}
    return ask(request, "reverse", "positions", context, refused=bool(problems))


def _planned(make: Callable[[], Plan]) -> tuple[Plan | None, list[str]]:
    try:
        return make(), []
    except Refused as refused:
        return None, [refused.message]


def _of_plan(plan: Plan | None) -> dict[str, Any]:
    """What a plan does, one sentence each."""
    if plan is None:
        return {"consequences": []}
    shown = Ticks.load()
    after = signed(plan.remains) if plan.remains else ""
    return {"side": plan.side, "size": quantity(plan.quantity), "after": after, "consequences": plan_words(plan, shown)}


def facts_of(position: Position) -> dict[str, Any]:
    contract, shown = position.contract, Ticks.load()
    quote = quote_of(contract)
    return {
        "account": position.account,
        "position": position,
        "held": signed(position.quantity),
        "average": shown.average(contract, position.entry_price),
        "last": shown.price(contract, quote.last if quote else None),
        "guard": guard_for(position),
        "is_long": position.quantity > 0,
    }


def _held(position: Position) -> dict[str, str]:
    return {"quantity": quantity(abs(position.quantity)), "symbol": position.contract.label}


def gateway_problem(request: HttpRequest) -> list[str]:
    pill = gateway(timezone.now())
    return [] if pill.may_place or was_sent_before(request) else [_("Nothing was sent: %s") % pill.reason]
