"""The acts on many orders at once: flatten, the kill switch, holding trading back and releasing it; and the report of each.

The rule it keeps: what is in reach is listed before it happens, by the manager's own rule. The kill switch asks for nothing but a reason,
and works on a page that is old and with a gateway that is away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods
from django_htmx.http import HttpResponseClientRedirect

from orders import queries
from orders.errors import Refused
from orders.manager import OrderManager
from orders.manager.closing import plan_close
from orders.manager.halting import Scope, Target, TradingState, may_hold_back, may_release, state_of
from orders.manager.sweeping import Filter, liquidated, orders_of, positions_of
from orders.models import Account, Contract, Position
from orders.pages.consequences import SHARES, percent_of, position_words
from orders.pages.permissions import account_or_404, current_account
from orders.pages.views.frame import ask, came_from, done, page, too_old, was_sent_before
from orders.queries.orders import terms_words
from orders.queries.show import Ticks, signed
from orders.rules.terms import plain

SHOWN = 20
"""Orders that a question names one by one."""


@require_GET
def sweep(request: HttpRequest, pk: int) -> HttpResponse:
    """The report of one, live until the broker has confirmed all of it."""
    report = queries.sweep(request.user, pk)
    if report is None:
        raise Http404(pk)
    return page(request, "sweeps/sweep.html", "recovery", {"report": report})


@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """The newest ones."""
    return page(request, "sweeps/sweeps.html", "recovery", {"reports": queries.sweeps(request.user)})


def _reported(request: HttpRequest, pk: int) -> HttpResponse:
    """To the report, which tells what came of it."""
    url = reverse("sweep", args=[pk])
    return HttpResponseClientRedirect(url) if request.htmx else redirect(url)  # type: ignore[attr-defined]


# --- flatten --------------------------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
def flatten(request: HttpRequest) -> HttpResponse:
    """Closes positions at the market: of one account or of all the user may trade, by contract, type, side and percent."""
    asked = request.POST if request.method == "POST" else request.GET
    tradable = list(queries.tradable_accounts(request.user))
    if not tradable:
        raise PermissionDenied(_("You may trade no account."))
    which, problems = _filter(request, asked, tradable)
    if request.method == "POST" and not problems:
        problems = too_old(request)
        pill = queries.gateway()
        if not problems and not pill.may_place and not was_sent_before(request):
            problems = [_("Nothing was sent: %s") % pill.reason]
        if not problems:
            try:
                made = OrderManager(request.user).flatten(key=request.POST.get("key", ""), **_arguments(which))
            except Refused as refused:
                problems = [refused.message]
            else:
                return _reported(request, made.pk)
    rows = _flattened(request, which)
    context = {
        "problems": problems,
        "which": which,
        "percent": plain(which.percent),
        "shares": SHARES,
        "rows": rows,
        "count": sum(1 for row in rows if not row.why_not),
        "choices": tradable,
        "sec_types": sorted({position.contract.sec_type for position in positions_of(request.user, Filter())}),
        "account": which.account or current_account(request),
    }
    return ask(request, "flatten", "positions", context, refused=bool(problems))


def _filter(request: HttpRequest, asked: Any, tradable: list[Account]) -> tuple[Filter, list[str]]:
    percent, problems = percent_of(request)
    code = asked.get("account", "")
    account = next((one for one in tradable if one.code == code), None)
    if code and account is None:
        account_or_404(request, code)
        raise PermissionDenied(_("You may look at account %s, not trade it.") % code)
    con_id = asked.get("con_id", "")
    contract = Contract.objects.filter(con_id=int(con_id)).first() if con_id.isdecimal() else None
    side = asked.get("side", "")
    return Filter(account, contract, asked.get("sec_type", "")[:8].upper(), side if side in ("LONG", "SHORT") else "", percent), problems


def _arguments(which: Filter) -> dict[str, Any]:
    return {name: getattr(which, name) for name in ("account", "contract", "sec_type", "side", "percent")}


@dataclass(frozen=True)
class FlattenRow:
    """A position that a flattening is about, with what it does to it, or why nothing."""

    symbol: str
    account: str
    held: str
    words: str
    why_not: str


def _flattened(request: HttpRequest, which: Filter) -> list[FlattenRow]:
    found = [position.pk for position in positions_of(request.user, which)]
    rows = Position.objects.select_related("account", "contract", "contract__quote").in_bulk(found)
    now = timezone.now()
    return [_flatten_row(rows[pk], which, now) for pk in found]


def _flatten_row(position: Position, which: Filter, now: Any) -> FlattenRow:
    words, why_not = "", ""
    try:
        plan = plan_close(position.account, position.contract, which.percent, now)
    except Refused as refused:
        why_not = refused.message
    else:
        words = position_words(plan)
    return FlattenRow(position.contract.label, position.account.short, signed(position.quantity), words, why_not)


# --- the kill switch ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class KillChoice:
    """A scope that the user may halt, with what is in reach of it."""

    value: str
    label: str
    consequence: str
    orders: list[str]
    more: int
    positions: str


@require_http_methods(["GET", "POST"])
def kill(request: HttpRequest) -> HttpResponse:
    """Halts trading, cancels what works, and closes positions where that is asked for too."""
    code = (request.POST if request.method == "POST" else request.GET).get("account", "")
    account = account_or_404(request, code) if code else current_account(request)  # of the page it was pressed on, not of another tab
    whose = [one for one in _targets(request, account) if may_hold_back(request.user, one)]
    if not whose:
        raise PermissionDenied(_("You may halt nothing here."))
    problems: list[str] = []
    scope = request.POST.get("scope", "") or request.GET.get("scope", "")
    reason, flattens = request.POST.get("reason", "")[:400], "flatten" in request.POST
    if request.method == "POST":
        target = next((one for one in whose if str(one.scope) == scope), None)
        problems = [] if target is not None else [_("Choose what is to be halted.")]
        if target is not None:
            named = {"scope": str(target.scope), "account": target.account, "user": target.user}
            try:
                made = OrderManager(request.user).kill(key=request.POST.get("key", ""), reason=reason, flatten=flattens, **named)
            except Refused as refused:
                problems = [refused.message]
            else:
                words = _("Halted: %s. Every open order in reach is being cancelled.") % target.words
                return done(request, words, reverse("sweep", args=[made.pk]), report=made.pk)
    choices = [_choice(request, one) for one in whose]
    chosen = scope if scope in {one.value for one in choices} else choices[0].value
    context = {"problems": problems, "choices": choices, "chosen": chosen, "reason": reason, "flattens": flattens, "account": account}
    return ask(request, "kill", "recovery", context, refused=bool(problems))


def _targets(request: HttpRequest, account: Account | None) -> list[Target]:
    """The account of the page first: a panic act is about what one looks at."""
    named = [Target(Scope.ACCOUNT, account=account)] if account is not None else []
    return [*named, Target(Scope.USER, user=request.user), Target(Scope.DESK)]


def _choice(request: HttpRequest, whose: Target) -> KillChoice:
    orders, positions = orders_of(request.user, whose), liquidated(request.user, whose)
    ticks = Ticks.load()
    words = {
        Scope.ACCOUNT: _("Nobody places orders in it until it is released."),
        Scope.USER: _("You place no orders anywhere until it is released; others go on."),
        Scope.DESK: _("Nobody places orders anywhere until it is released."),
    }[whose.scope]
    labels = {
        Scope.ACCOUNT: _("Account %s") % (whose.account.code if whose.account else ""),
        Scope.USER: _("Your own trading"),
        Scope.DESK: _("The whole desk"),
    }
    count = ngettext("%d open order is cancelled.", "%d open orders are cancelled.", len(orders)) % len(orders)
    held = ", ".join(f"{signed(position.quantity)} {position.contract.label}" for position in positions)
    shown = [f"{order.side} {terms_words(order, ticks)}" for order in orders[:SHOWN]]
    return KillChoice(str(whose.scope), labels[whose.scope], f"{words} {count}", shown, max(0, len(orders) - SHOWN), held)


# --- trading states -------------------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
def trading(request: HttpRequest) -> HttpResponse:
    """Sets the trading state of the desk, an account or a user: ACTIVE again (a release), REDUCE_ONLY, HALTED without a cancel."""
    asked = request.POST if request.method == "POST" else request.GET
    whose = _target(request, asked)
    now = state_of(whose)
    states = [state for state in TradingState if state != now and _may(request.user, whose, state, now)]
    problems: list[str] = [] if states else [_("You may not change the trading state of %s.") % whose.words]
    reason = request.POST.get("reason", "")[:400]
    if request.method == "POST" and states:
        try:
            _set(request, whose, asked.get("state", ""), reason)
        except Refused as refused:
            problems = [refused.message]
        else:
            return done(request, _("Recorded: the trading of %(whose)s is %(state)s.") % _now(whose), came_from(request))
    context = {
        "problems": problems,
        "whose": whose,
        "state": _word(now),
        "states": [(state.name, _word(state), _STATE_WORDS[state]()) for state in states],
        "chosen": asked.get("state", "") or (states[0].name if states else ""),
        "releases": now is not TradingState.ACTIVE,
        "back": came_from(request),
        "reason": reason,
        "account": whose.account or current_account(request),
    }
    return ask(request, "trading", "recovery", context, refused=request.method == "POST")


_STATE_WORDS = {
    TradingState.ACTIVE: lambda: _("Orders go out again, unless something else holds them back."),
    TradingState.REDUCE_ONLY: lambda: _("Orders that open or add to a position are refused; working orders stay."),
    TradingState.HALTED: lambda: _("Nothing but cancels goes out; working orders stay until they are cancelled."),
}


def _word(state: TradingState) -> str:
    return {TradingState.ACTIVE: _("ACTIVE"), TradingState.REDUCE_ONLY: _("REDUCE ONLY"), TradingState.HALTED: _("HALTED")}[state]


def _now(whose: Target) -> dict[str, str]:
    return {"whose": whose.words, "state": _word(state_of(whose))}


def _may(user: Any, whose: Target, state: TradingState, now: TradingState) -> bool:
    return may_release(user, whose) if state < now else may_hold_back(user, whose)


def _set(request: HttpRequest, whose: Target, word: str, reason: str) -> None:
    if word not in TradingState.__members__:
        raise Refused("STATE", _("Choose a state."), field="state")
    manager, key = OrderManager(request.user), request.POST.get("key", "")
    named = {"scope": str(whose.scope), "account": whose.account, "user": whose.user}
    manager.set_trading_state(key=key, state=TradingState[word], reason=reason, **named)


def _target(request: HttpRequest, asked: Any) -> Target:
    """Whose state; 404 for what the user may not see."""
    scope = asked.get("scope", "account")
    if scope == Scope.DESK:
        return Target(Scope.DESK)
    if scope == Scope.USER:
        name = asked.get("user", "")
        user = get_user_model().objects.filter(username=name).first() if name else request.user
        if user is None or (user.pk != request.user.pk and not request.user.has_perm("orders.halt_desk")):  # type: ignore[union-attr]
            raise Http404(name)
        return Target(Scope.USER, user=user)
    account = account_or_404(request, asked["account"]) if asked.get("account") else current_account(request)
    if scope != Scope.ACCOUNT or account is None:
        raise Http404(scope)
    return Target(Scope.ACCOUNT, account=account)
