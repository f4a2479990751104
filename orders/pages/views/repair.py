"""Mending what the guardian found: one page that says what is wrong and exactly what will be done, and one press that does it.

The rule it keeps: what is done is the plan that was shown. The form carries it, and the manager refuses where it is not the plan any more.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from orders.errors import IllegalTransition, Refused
from orders.manager import OrderManager
from orders.manager.repairing import Wanted, pair_for, prices_for
from orders.models import Account, Contract, OrderRecord, Position
from orders.pages.permissions import account_or_404, contract_or_404, require_trade
from orders.pages.views.frame import ask, done, too_old, was_sent_before
from orders.queries import gateway
from orders.queries.guard import guard_of, kind_named, verdicts
from orders.queries.holdings import guarded, market_price
from orders.queries.orders import terms_words
from orders.queries.show import Ticks, quantity
from orders.queries.templates import exits_for
from orders.rules.guardian import Finding
from orders.rules.mending import Cancel, Change, Protect, spell
from orders.rules.terms import Role, plain


@require_http_methods(["GET", "POST"])
def repair(request: HttpRequest, code: str, con_id: int) -> HttpResponse:
    """`?kind=` chooses the finding; without it the gravest one."""
    account, contract = account_or_404(request, code), contract_or_404(con_id)
    require_trade(request, account)
    problems: list[str] = []
    if request.method == "POST":
        problems = too_old(request) or _gateway_problem(request)
        if not problems:
            try:
                _mend(request, account, contract)
            except (Refused, IllegalTransition) as error:
                problems = [str(error)]
            else:
                return done(request, _("Repair asked for: %s") % contract.label, "desk")
    context = {**_shown(request, account, contract), "account": account, "contract": contract, "problems": problems}
    return ask(request, "repair", "positions", context, refused=request.method == "POST")


def _mend(request: HttpRequest, account: Account, contract: Contract) -> list[OrderRecord]:
    return OrderManager(request.user).repair_protection(
        account,
        contract,
        key=request.POST.get("key", ""),
        kind=kind_named(request.POST.get("kind", "")),
        plan=request.POST.get("plan", ""),
        stop_price=_price(request, "stop_price"),
        target_price=_price(request, "target_price"),
        with_target="stop_only" not in request.POST,
    )


def _price(request: HttpRequest, name: str) -> Decimal | None:
    """A typed price; None where the plan places nothing. Raises `Refused` for what is no number."""
    typed = request.POST.get(name, "").strip()
    if not typed:
        return None
    try:
        return Decimal(typed)
    except InvalidOperation:
        raise Refused("TICKET", _("%s is not a number.") % typed, field=name) from None


def _gateway_problem(request: HttpRequest) -> list[str]:
    pill = gateway(timezone.now())
    return [] if pill.may_place or was_sent_before(request) else [_("Nothing was sent: %s") % pill.reason]


# --- what the page says -----------------------------------------------------------------------------------------------------------------


def _shown(request: HttpRequest, account: Account, contract: Contract) -> dict[str, Any]:
    row = guarded(account, contract)
    if row is None:
        raise Http404(contract.label)
    found = verdicts([row])
    guard = guard_of(row, found)
    kind = kind_named(request.GET.get("kind") or request.POST.get("kind") or "")
    pairs = list(zip(guard.findings, found[row.account_id, row.contract_id].findings, strict=True)) if guard is not None else []
    chosen = next(((shown, finding) for shown, finding in pairs if shown.alarms and kind in (None, finding.kind)), None)
    others = [shown for shown, _finding in pairs if chosen is None or shown is not chosen[0]]
    if chosen is None:
        return {"mend": None, "others": others, "plan": ""}
    shown, finding = chosen
    context = {"mend": shown, "others": others, "plan": spell(finding.steps), "wait": finding.wait, "button": _button(finding)}
    return {**context, "lines": _lines(request, row, finding), **_pair(request, row, finding)}


def _button(finding: Finding) -> str:
    first = finding.steps[0] if finding.steps else None
    if any(isinstance(step, Protect) for step in finding.steps):
        return _("Cancel, then send the exits") if isinstance(first, Cancel) else _("Send the exits")
    return _("Send the cancels") if isinstance(first, Cancel) else _("Send the changes")


def _lines(request: HttpRequest, row: Position | OrderRecord, finding: Finding) -> list[str]:
    pairs = [step for step in finding.steps if isinstance(step, Protect)]
    lines = [_words(step, row.contract, makes_room=bool(pairs)) for step in finding.steps if not isinstance(step, Protect)]
    return lines + [_placed(request, row, step, alone=len(pairs) == 1) for step in pairs]


def _placed(request: HttpRequest, row: Position | OrderRecord, step: Protect, *, alone: bool) -> str:
    """A new pair in words: the prices of a single one are in fields, those of several stand here."""
    facts = {"quantity": quantity(step.quantity), "symbol": row.contract.label}
    if alone or not isinstance(row, Position):
        return _("Placed, once what is cancelled is gone: stop and target for %(quantity)s %(symbol)s, one cancelling the other.") % facts
    template, market = exits_for(request.user, row.contract), market_price(row.contract, timezone.now())
    try:
        pair = pair_for(row, step, Wanted(), template, market)
    except Refused as refused:
        return str(refused)
    ticks = Ticks.load()
    stop = _("%s %% behind the market") % plain(pair.trail_percent) if pair.trail_percent is not None else ""
    prices = {"stop": stop or ticks.price(row.contract, pair.stop_price), "target": ticks.price(row.contract, pair.target_price)}
    words = _("Placed, once what is cancelled is gone: stop %(stop)s and target %(target)s for %(quantity)s %(symbol)s, as one pair.")
    return words % {**facts, **prices}


def _words(step: Cancel | Change, contract: Contract, *, makes_room: bool) -> str:
    """One step, exactly. `makes_room`: it is taken so that new exits can follow."""
    ticks = Ticks.load()
    order = OrderRecord.objects.select_related("contract").get(client_order_id=step.order)
    words = f"{order.side} {terms_words(order, ticks)}"
    if isinstance(step, Cancel):
        left = _(", the %s that are left of it") % quantity(order.remaining_quantity) if order.is_partially_filled else ""
        by_itself = _(". It was placed by itself, not as a target: beside a new stop it could close more than is held.")
        return _("Cancelled: %s") % words + left + (by_itself if makes_room and order.role == Role.SINGLE else "")
    return _("Changed in place: %(order)s → %(terms)s") % {"order": words, "terms": _terms(step, contract, ticks)}


def _terms(step: Change, contract: Contract, ticks: Ticks) -> str:
    values = {
        _("quantity"): None if step.quantity is None else quantity(step.quantity),
        _("limit"): None if step.limit_price is None else ticks.price(contract, step.limit_price),
        _("stop"): None if step.stop_price is None else ticks.price(contract, step.stop_price),
        _("trail"): None if step.trail_amount is None else plain(step.trail_amount),
        _("trail %"): None if step.trail_percent is None else plain(step.trail_percent),
        _("in force"): step.time_in_force,
    }
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)


def _pair(request: HttpRequest, row: Position | OrderRecord, finding: Finding) -> dict[str, Any]:
    """The prices of a new pair, and what they are counted from."""
    pairs = [step for step in finding.steps if isinstance(step, Protect)]
    if len(pairs) != 1 or not isinstance(row, Position):
        return {}
    [step] = pairs
    template = exits_for(request.user, row.contract)
    try:
        found = prices_for(row, step, market_price(row.contract, timezone.now()), template)
    except Refused as refused:
        return {"counted": str(refused)}
    ticks = Ticks.load()
    base = ticks.price(row.contract, found.base)
    away = {"base": base, "stop": plain(template.stop_loss * 100), "target": plain(template.profit_target * 100)}
    if step.stop_price == found.stop:
        counted = _("As the exits stood before.")
    elif found.from_market:
        words = _("Counted from the market at %(base)s, %(stop)s %% and %(target)s %%: around the entry they would trade at once.")
        counted = words % away
    else:
        counted = _("Counted from the average cost of %(base)s, %(stop)s %% and %(target)s %%.") % away
    trails = template.trail_percent is not None and step.stop_price != found.stop
    if trails:
        counted += " " + _("Without a price the stop trails %s %% behind the market.") % plain(template.trail_percent)
    return {
        "prices": True,
        "stop_price": request.POST.get("stop_price") or ("" if trails else plain(found.stop)),
        "target_price": request.POST.get("target_price") or plain(found.target),
        "stop_only": "stop_only" in request.POST,
        "counted": counted,
    }
