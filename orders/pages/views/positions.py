"""Acts on a position: closing it, turning it round, and protecting it with a stop and a target.

The rule it keeps: direction and quantity come from the position as IB reports it, never from the browser's idea of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from orders.contracts import ticks as ticks_of
from orders.errors import IllegalTransition, Refused
from orders.manager import OrderManager
from orders.manager.closing import Plan, plan_close, plan_reverse
from orders.models import Position
from orders.pages.consequences import SHARES, percent_of, plan_words
from orders.pages.forms import HUNDRED, OCA_TYPES, ProtectForm, add_refusal
from orders.pages.permissions import position_or_404, require_trade
from orders.pages.views.frame import ask, done, too_old, was_sent_before
from orders.pages.views.sending import accepted_words
from orders.queries import gateway
from orders.queries.guard import guard_for
from orders.queries.quotes import quote_of
from orders.queries.show import Ticks, quantity, signed
from orders.queries.templates import exits_for
from orders.rules.limits import Rule
from orders.rules.pricing import kept, stop_and_target
from orders.rules.terms import OcaType, TimeInForce, plain
from orders.rules.tickets import TicketError


@require_http_methods(["GET", "POST"])
def close(request: HttpRequest, code: str, con_id: int) -> HttpResponse:
    """Closes `percent` of a position at the market, all of it by default, after its exits are out of the way."""
    position = position_or_404(request, code, con_id)
    require_trade(request, position.account)
    percent, problems = percent_of(request)
    if request.method == "POST" and not problems:
        problems = too_old(request) or _gateway_problem(request)
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
    context = {**_facts(position), "problems": problems or why_not, "percent": plain(percent), "shares": SHARES, **_of_plan(plan)}
    return ask(request, "close", "positions", context, refused=bool(problems))


@require_http_methods(["GET", "POST"])
def reverse(request: HttpRequest, code: str, con_id: int) -> HttpResponse:
    """Turns a position round: its exits go, then one market order of twice its size."""
    position = position_or_404(request, code, con_id)
    require_trade(request, position.account)
    problems: list[str] = []
    if request.method == "POST":
        problems = too_old(request) or _gateway_problem(request)
        if not problems:
            try:
                order = OrderManager(request.user).reverse_position(position.account, position.contract, key=request.POST.get("key", ""))
            except (Refused, IllegalTransition) as error:
                problems = [str(error)]
            else:
                return done(request, _("Reversing %(quantity)s %(symbol)s") % _held(position), "desk", link=order.client_order_id)
    plan, why_not = _planned(lambda: plan_reverse(position.account, position.contract))
    context = {**_facts(position), "problems": problems or why_not, **_of_plan(plan)}
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


@require_http_methods(["GET", "POST"])
def protect(request: HttpRequest, code: str, con_id: int) -> HttpResponse:
    """Stop and target on a position, in one OCA group."""
    position = position_or_404(request, code, con_id)
    require_trade(request, position.account)
    form = ProtectForm(request.POST or None, initial=_suggested(request, position), auto_id="ask_%s")
    problems: list[str] = []
    if request.method == "POST" and form.is_valid():
        problems = too_old(request) or _gateway_problem(request)
        if not problems:
            orders = _protected(request, form, position)
            if orders:
                return done(request, accepted_words(orders), "desk")
    facts = {**_facts(position), "form": form, "problems": problems, "oca_types": OCA_TYPES, **_preview(form, position)}
    return ask(request, "protect", "positions", facts, refused=request.method == "POST")


def _protected(request: HttpRequest, form: ProtectForm, position: Position) -> list[Any]:
    data = form.cleaned_data
    try:
        return OrderManager(request.user).place_oca_group(
            position.account,
            position.contract,
            data["quantity"],
            data["entry_price"],
            (data["stop_percent"] or Decimal(2)) / HUNDRED,
            (data["target_percent"] or Decimal(8)) / HUNDRED,
            key=request.POST.get("key", ""),
            oca_type=OcaType(int(data["oca_type"])),
            stop_price=data["stop_price"],
            target_price=data["target_price"],
            time_in_force=TimeInForce(data["time_in_force"]),
            outside_rth=data["outside_rth"],
            confirm_duplicate=data["confirm_duplicate"],
        )
    except Refused as refused:
        if refused.code == Rule.DUPLICATE_SECONDS:
            form.asks_for_confirmation = True  # type: ignore[attr-defined]
        names = {"stop_loss": "stop_percent", "profit_target": "target_percent", "take_profit_price": "target_price"}
        add_refusal(form, refused.message, names.get(refused.field, refused.field), refused.code)
        return []


def _suggested(request: HttpRequest, position: Position) -> dict[str, str]:
    """What is not protected yet, from the average cost, at the distances of the user's template."""
    guard = guard_for(position)
    bare = (guard.wanting or guard.bare if guard is not None else None) or abs(position.quantity)
    template = exits_for(request.user, position.contract)
    return {
        "quantity": plain(bare),
        "entry_price": plain(kept(position.entry_price)),
        "stop_percent": plain(template.stop_loss * 100),
        "target_percent": plain(template.profit_target * 100),
        "oca_type": str(int(template.oca_type)),
        "time_in_force": template.time_in_force.value,
    }


def _preview(form: ProtectForm, position: Position) -> dict[str, Any]:
    """The price ladder, and the stop and target that the percentages of the form, or its defaults, come to."""

    def value(name: str) -> Decimal | None:
        try:
            return Decimal(str(form[name].value() or form.fields[name].initial))
        except ArithmeticError:
            return None

    entry, stop, target = value("entry_price"), value("stop_percent"), value("target_percent")
    rule = ticks_of(position.contract)
    if rule is None:
        return {}
    ladder = {"ladder": json.dumps([[plain(low), plain(tick)] for low, tick in rule.increments])}
    if entry is None or stop is None or target is None:
        return ladder
    try:
        prices = stop_and_target(entry, is_long=position.quantity > 0, stop_loss=stop / HUNDRED, profit_target=target / HUNDRED, rule=rule)
    except (TicketError, ArithmeticError):
        return ladder
    shown = Ticks.load()
    return {**ladder, "stop_shown": shown.price(position.contract, prices[0]), "target_shown": shown.price(position.contract, prices[1])}


def _facts(position: Position) -> dict[str, Any]:
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


def _gateway_problem(request: HttpRequest) -> list[str]:
    pill = gateway(timezone.now())
    return [] if pill.may_place or was_sent_before(request) else [_("Nothing was sent: %s") % pill.reason]
