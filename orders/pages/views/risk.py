"""The risk page: limits and what is used of them, trading states, refusals, changes, and position sizing.

The rule it keeps: the page shows what the gate reads and changes nothing; a limit is set by one verb, after a question, with a reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from orders import queries
from orders.errors import Refused
from orders.manager import OrderManager
from orders.manager.limiting import CHANGE_LIMIT, rule_of
from orders.models import Account, Contract, Limit
from orders.pages.forms.risk import LimitForm, SizeForm
from orders.pages.permissions import current_account
from orders.pages.views.contracts import Match, contract_by_id, contract_by_symbol
from orders.pages.views.frame import ask, done, page
from orders.pages.views.sizing import Sized, worked_out
from orders.queries.risk.words import is_share, rule_label, unit_words, value_words
from orders.queries.show import Moment
from orders.rules.limits import RULES, Rule
from orders.rules.terms import plain


@require_GET
def risk(request: HttpRequest) -> HttpResponse:
    """`/risk/?account=&rule=&by=&page=` and, without JavaScript, the fields of a size: symbol, side, entry, stop, method, value, atr."""
    account = current_account(request)
    filters = queries.ChangeFilters.of(urlencode({name: request.GET.get(name, "") for name in ("rule", "by", "page")}))
    now = timezone.now()
    context = {
        "account": account,
        "filters": filters,
        "filter_scope": filters.text(),
        "changes": queries.risk_changes(request.user, filters, now),
        "record": queries.trade_record(request.user),
        "as_of": Moment(now, account.time_zone if account is not None else "UTC"),
        "sizing": size_for(request, account),
        "symbols": _symbols(account),
    }
    return page(request, "risk/risk.html", "risk", context)


# --- position sizing ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sizing:
    """The calculator: its form, and what it comes to where it was asked."""

    form: SizeForm
    contract: Contract | None = None
    sized: Sized | None = None
    matches: tuple[Match, ...] = ()
    problem: str = ""


@require_GET
def size(request: HttpRequest) -> HttpResponse:
    """What the fields come to, as a piece of the page."""
    account = current_account(request)
    return render(request, "risk/_sizing.html", {"sizing": size_for(request, account), "account": account, "symbols": _symbols(account)})


def size_for(request: HttpRequest, account: Account | None) -> Sizing:
    """Nothing where nothing was asked; only the market is looked up, and nothing is changed."""
    if not request.GET.get("symbol"):
        return Sizing(SizeForm())
    form = SizeForm(request.GET)
    if account is None or not form.is_valid():
        return Sizing(form, problem=_("Look at the marked fields.") if account else _("You may see no account."))
    con_id = request.GET.get("con_id", "")
    known = con_id.isascii() and con_id.isdecimal() and len(con_id) < 16
    found = contract_by_id(request, int(con_id)) if known else contract_by_symbol(request, form.cleaned_data["symbol"])
    if found.contract is None:
        return Sizing(form, matches=found.matches, problem=found.problem)
    return Sizing(form, found.contract, worked_out(request, form.as_ticket(), account, found.contract))


def _symbols(account: Account | None) -> list[str]:
    """What is held or worked in, for the field's list."""
    if account is None:
        return []
    held = Contract.objects.filter(positions__account=account).exclude(positions__quantity=0)
    return sorted(set(held.values_list("symbol", flat=True)))[:50]


# --- limits ---------------------------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
def limit(request: HttpRequest, rule: str) -> HttpResponse:
    """Sets a limit of the desk, of the account that the page is about, or of a user, or takes it away."""
    try:
        chosen = rule_of(rule)
    except Refused as refused:
        raise Http404(rule) from refused
    if not request.user.has_perm(CHANGE_LIMIT):  # type: ignore[union-attr]
        raise PermissionDenied(_("You may not change limits."))
    account = current_account(request)
    form = LimitForm(request.POST or None, initial={"scope": Limit.Scope.ACCOUNT if account else Limit.Scope.DESK})
    problems: list[str] = []
    if request.method == "POST" and form.is_valid():
        try:
            _set(request, chosen, account, form.cleaned_data)
        except Refused as refused:
            problems = [refused.message]
        else:
            return done(request, _("Recorded: %s") % rule_label(rule), reverse("risk"))
    return ask(request, "limit", "risk", _limit_context(request, chosen, account, form, problems), refused=request.method == "POST")


def _set(request: HttpRequest, rule: Rule, account: Account | None, data: dict[str, Any]) -> None:
    scope, user = data["scope"], None
    if scope == Limit.Scope.USER:
        user = get_user_model().objects.filter(username=data["user"]).first()
        if user is None:
            raise Refused("USER", _("There is no user called “%s”.") % data["user"], field="user")
    named = {"scope": scope, "account": account if scope == Limit.Scope.ACCOUNT else None, "user": user}
    OrderManager(request.user).set_limit(rule.value, data["value"], key=request.POST.get("key", ""), note=data["note"], **named)


def _limit_context(request: HttpRequest, rule: Rule, account: Account | None, form: LimitForm, problems: list[str]) -> dict[str, Any]:
    setting = RULES[rule]
    seen = Q(account=None) | Q(account__in=queries.visible_accounts(request.user))
    rows = Limit.objects.filter(seen, rule=rule.value).select_related("account", "user").order_by("scope", "pk")[:30]
    default = setting.default
    return {
        "rule": rule.value,
        "label": rule_label(rule.value),
        "meaning": setting.meaning,
        "unit": setting.unit,
        "example": plain(default) if default is not None else "",
        "default": f"{value_words(rule.value, default)} {unit_words(rule.value, '')}".strip() if default is not None else _("not applied"),
        "is_share": is_share(setting.unit),
        "standing": [(_whose(row), plain(row.value), _apart(rule, row), row.note) for row in rows],
        "form": form,
        "problems": problems,
        "account": account,
        "takes_strictest": _("the smallest") if setting.strictest == "min" else _("the largest"),
    }


def _apart(rule: Rule, row: Limit) -> str:
    """The value in words, where they say more than the number."""
    words = value_words(rule.value, row.value)
    return "" if words.replace(",", "") == plain(row.value) else words


def _whose(row: Limit) -> str:
    if row.account is not None:
        return row.account.code
    return row.user.get_username() if row.user is not None else _("the desk")
