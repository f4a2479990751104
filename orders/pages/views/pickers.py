"""Choosing a derivative or a pair by its parts: a future by expiry, an option by expiry, strike and right, a pair by its currencies.

The rule it keeps: what can be chosen is what the broker has listed, and what is chosen is resolved to one contract before the ticket shows
it. A question that is not answered in time is said to be unanswered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_GET

from orders import inquiries
from orders.models import Contract, Inquiry
from orders.pages.views.contracts import Match, ask_broker, contract_by_parts, contract_by_symbol
from orders.queries.quotes import quote_of
from orders.queries.show import expiry_words
from orders.rules.naming import Described
from orders.rules.terms import plain

KINDS = {"FUT": gettext_lazy("Futures"), "OPT": gettext_lazy("Options"), "CASH": gettext_lazy("Currencies")}

STRIKES = 15
"""Strikes shown at first, those nearest to the price of the underlying; the rest on request."""


@dataclass(frozen=True)
class Expiry:
    code: str  # yyyymmdd
    words: str


@dataclass(frozen=True)
class Picked:
    """What is shown of a search by parts, as far as it has come."""

    contracts: tuple[Contract, ...] = ()
    expiries: tuple[Expiry, ...] = ()
    strikes: tuple[str, ...] = ()
    more_strikes: int = 0
    nearest: str = ""
    underlying: Contract | None = None
    listing: dict[str, str] = field(default_factory=dict)
    matches: tuple[Match, ...] = ()
    problem: str = ""


@require_GET
def pick(request: HttpRequest) -> HttpResponse:
    """The search by parts: `kind` FUT, OPT or CASH, `symbol`, and for options `expiry`; the part alone for htmx, else a page."""
    kind = request.GET.get("kind", "FUT")
    kind = kind if kind in KINDS else "FUT"
    symbol = request.GET.get("symbol", "").strip().upper()[:32]
    picked = _LOOK[kind](request, symbol) if symbol else Picked()
    return _show(request, kind, symbol, picked)


def _show(request: HttpRequest, kind: str, symbol: str, picked: Picked) -> HttpResponse:
    """The search as a dialog over the page, its inside alone, or a page of its own without htmx."""
    context = {"kind": kind, "kinds": KINDS.items(), "symbol": symbol, "expiry": request.GET.get("expiry", ""), "picked": picked}
    if not request.htmx:  # type: ignore[attr-defined]
        return render(request, "ticket/picker.html", context)
    if request.htmx.target == "dialog-slot":  # type: ignore[attr-defined]
        return render(request, "ask/dialog.html", {**context, "body": "ticket/_picker_dialog.html"})
    return render(request, "ticket/_picker.html", context)


@require_GET
def option(request: HttpRequest) -> HttpResponse:
    """The ticket with the option of these parts; the search again, with the reason, where the broker lists none such."""
    try:
        strike = Decimal(request.GET.get("strike", ""))
    except InvalidOperation:
        strike = Decimal(0)
    right, expiry = request.GET.get("right", ""), request.GET.get("expiry", "")
    if strike <= 0 or not strike.is_finite() or right not in ("C", "P") or not expiry.isdecimal():
        return _again(request, _("An option has an expiry, a strike and a right."))
    symbol = request.GET.get("underlying", "").strip().upper()[:32]
    found = contract_by_parts(request, Described(symbol, "OPT", expiry=expiry, strike=plain(strike), right=right))
    if found.contract is None:
        return _again(request, found.problem, found.matches)
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(f"{reverse('desk')}?con_id={found.contract.con_id}#ticket")
    return redirect(f"{reverse('ticket_contract', args=[found.contract.con_id])}?{request.GET.urlencode()}")


def _again(request: HttpRequest, problem: str, matches: Sequence[Match] = ()) -> HttpResponse:
    return _show(request, "OPT", request.GET.get("underlying", ""), Picked(problem=problem, matches=tuple(matches)))


def _listed(request: HttpRequest, arguments: dict[str, Any]) -> Picked:
    told, problem = ask_broker(request, Inquiry.Kind.CONTRACT, arguments)
    if problem:
        return Picked(problem=problem)
    rows = Contract.objects.filter(con_id__in=[row["con_id"] for row in told]).select_related("quote")
    found = tuple(sorted(rows, key=lambda row: (row.expiry, row.exchange, row.currency)))
    return Picked(contracts=found, problem="" if found else _("The broker lists none of %s.") % arguments["symbol"])


def _futures(request: HttpRequest, symbol: str) -> Picked:
    """The futures of a product by expiry; those that have expired are left out."""
    listed = _listed(request, {"symbol": symbol, "sec_type": "FUT"})
    today = f"{timezone.now():%Y%m%d}"
    alive = tuple(row for row in listed.contracts if row.expiry >= today)
    return Picked(contracts=alive, problem=listed.problem)


def _pairs(request: HttpRequest, symbol: str) -> Picked:
    """The pairs of a base currency."""
    return _listed(request, {"symbol": symbol[:3], "sec_type": "CASH", "exchange": "IDEALPRO"})


def _options(request: HttpRequest, symbol: str) -> Picked:
    """The expiries of an underlying's options, and once one is chosen its strikes, nearest to the market first."""
    found = contract_by_symbol(request, symbol)
    if found.contract is None:
        return Picked(problem=found.problem, matches=found.matches)
    inquiries.watch_ticket(request.user, found.contract, timezone.now())  # so that by the time of the strikes its price is known
    told, problem = ask_broker(request, Inquiry.Kind.CHAIN, {"con_id": found.contract.con_id})
    if problem:
        return Picked(problem=problem, underlying=found.contract)
    rows = [row for row in told if row["exchange"] == "SMART"] or told
    if not rows:
        return Picked(problem=_("The broker lists no options of %s.") % symbol, underlying=found.contract)
    today = f"{timezone.now():%Y%m%d}"
    expiries = sorted({day for row in rows for day in row["expirations"] if day >= today})
    chosen = request.GET.get("expiry", "")
    strikes = sorted({Decimal(strike) for row in rows if chosen in row["expirations"] for strike in row["strikes"]})
    shown, nearest = _near(strikes, found.contract, everything="all" in request.GET)
    return Picked(
        expiries=tuple(Expiry(day, _words(day)) for day in expiries),
        strikes=tuple(plain(strike) for strike in shown),
        more_strikes=len(strikes) - len(shown),
        nearest=plain(nearest) if nearest is not None else "",
        underlying=found.contract,
        listing={"currency": found.contract.currency, "multiplier": str(rows[0].get("multiplier", ""))},
    )


def _near(strikes: list[Decimal], underlying: Contract, *, everything: bool) -> tuple[list[Decimal], Decimal | None]:
    """The strikes to show, ascending, and the one nearest to the underlying's price where that is known."""
    quote = quote_of(underlying)
    price = quote and (quote.last or quote.bid or quote.ask or quote.close)
    if not strikes or price is None:
        middle = len(strikes) // 2
        first = 0 if everything else max(middle - STRIKES // 2, 0)
        return strikes[first : None if everything else first + STRIKES], None
    by_distance = sorted(strikes, key=lambda strike: (abs(strike - price), strike))
    shown = strikes if everything else sorted(by_distance[:STRIKES])
    return shown, by_distance[0]


def _words(day: str) -> str:
    """ "18 Dec 2026, in 23 days"."""
    left = (date(int(day[:4]), int(day[4:6]), int(day[6:8])) - timezone.now().date()).days
    return ngettext("%(date)s, in %(days)d day", "%(date)s, in %(days)d days", left) % {"date": expiry_words(day), "days": left}


_LOOK = {"FUT": _futures, "OPT": _options, "CASH": _pairs}
