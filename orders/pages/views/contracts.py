"""Finding a contract: what the book knows first, then what the broker finds.

The rule it keeps: a symbol that names several contracts, or none, is never guessed; and a question the broker does not answer in time is
said to be unanswered, not empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from orders import inquiries
from orders.models import Contract, Inquiry
from orders.queries import gateway
from orders.rules.naming import Described, described

PATIENCE = 3.0
"""Seconds a page waits for the broker's answer to a question."""

MATCHES = 8

DERIVATIVES = ("OPT", "FUT", "FOP", "WAR")


@dataclass(frozen=True)
class Match:
    """A contract that a typed symbol may mean."""

    con_id: int
    symbol: str
    sec_type: str
    exchange: str
    currency: str
    description: str


@dataclass(frozen=True)
class Found:
    """The one contract, or the reason in words why there is not one, with those it may be."""

    contract: Contract | None
    problem: str = ""
    matches: tuple[Match, ...] = ()


def contract_by_symbol(request: HttpRequest, typed: str) -> Found:
    """The contract of an exact symbol, of a future, option or pair spelled out, or of IB's conId. Waits for the broker's answer."""
    typed = typed.strip().upper()
    if not typed:
        return Found(None, _("Type a symbol."))
    matches = [_known(contract) for contract in _of_the_book(typed)[:MATCHES]]
    if not matches and (parts := described(typed, timezone.now().date())) is not None:
        found = contract_by_parts(request, parts)
        if found.contract is not None or found.matches:
            return found
    if not matches:
        told, problem = _search(request, typed)
        if problem:
            return Found(None, problem)
        matches = [match for match in told if match.symbol.upper() == typed]
    if len(matches) == 1:
        return contract_by_id(request, matches[0].con_id)
    if matches:
        return Found(None, _("%s names several contracts: choose one.") % typed, tuple(matches[:MATCHES]))
    if _is_con_id(typed):
        return contract_by_id(request, int(typed))
    return Found(None, _("The broker knows no contract called %s.") % typed)


def contract_by_parts(request: HttpRequest, parts: Described) -> Found:
    """The one contract that fits the description, or those that do, or why none does."""
    told, problem = ask_broker(request, Inquiry.Kind.CONTRACT, {**parts.arguments(), **_listing(parts)})
    if problem:
        return Found(None, problem)
    rows = list(Contract.objects.filter(con_id__in=[row["con_id"] for row in told]).select_related("quote"))
    if len(rows) == 1:
        return Found(rows[0])
    if not rows:
        return Found(None, _("The broker knows no such contract."))
    rows.sort(key=lambda row: (row.expiry, row.strike, row.right, row.currency))
    words = _("%(count)s contracts fit: choose one.") % {"count": len(rows)}
    return Found(None, words, tuple(_known(row) for row in rows[:MATCHES]))


def _listing(parts: Described) -> dict[str, str]:
    """Where to look: options on stocks are routed by SMART, and each pair trades at one place. Futures are named by their symbol alone."""
    if parts.sec_type == "OPT":
        return {"exchange": "SMART"}
    return {"exchange": "IDEALPRO"} if parts.sec_type == "CASH" else {}


def _of_the_book(typed: str) -> QuerySet[Contract]:
    """The contracts of the book that are called so. A bare symbol means the stock or pair, not the derivatives that bear it too."""
    named = Q(symbol__iexact=typed) & ~Q(sec_type__in=DERIVATIVES) | Q(local_symbol__iexact=typed)
    return Contract.objects.filter(named, detailed_at__isnull=False)


def contract_by_id(request: HttpRequest, con_id: int) -> Found:
    """The contract with its ticks and hours, which the broker is asked for where the book does not have them."""
    contract = _detailed(con_id)
    if contract is not None:
        return Found(contract)
    _told, problem = ask_broker(request, Inquiry.Kind.CONTRACT, {"con_id": con_id})
    contract = _detailed(con_id)
    return Found(contract, "" if contract else problem or _("The broker has not given the details of this contract."))


def _detailed(con_id: int) -> Contract | None:
    return Contract.objects.select_related("quote").filter(con_id=con_id, detailed_at__isnull=False).first()


@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """Contracts that a typed symbol may mean: at once those the book knows, with `far` also those the broker finds."""
    typed = request.GET.get("symbol", "").strip().upper()
    found: list[Match] = []
    problem = ""
    if typed:
        named = Q(symbol__istartswith=typed) & ~Q(sec_type__in=DERIVATIVES) | Q(local_symbol__istartswith=typed)
        found = [_known(contract) for contract in Contract.objects.filter(named, detailed_at__isnull=False)[:MATCHES]]
        told, problem = _search(request, typed) if "far" in request.GET else ([], "")
        seen = {match.con_id for match in found}
        found += [match for match in told if match.con_id not in seen]
        found.sort(key=lambda match: match.symbol.upper() != typed)
        if "far" in request.GET and not found:
            found, problem = _spelled_out(request, typed, problem)
    return render(
        request, "ticket/_matches.html", {"found": found[:MATCHES], "problem": problem, "typed": typed, "is_far": "far" in request.GET}
    )


def _spelled_out(request: HttpRequest, typed: str, problem: str) -> tuple[list[Match], str]:
    """What no symbol begins with may be a conId, or a future, option or pair spelled out."""
    parts = described(typed, timezone.now().date())
    if parts is not None:
        there = contract_by_parts(request, parts)
    elif _is_con_id(typed) and not problem:
        there = contract_by_id(request, int(typed))
    else:
        return [], problem
    return ([_known(there.contract)] if there.contract else list(there.matches)), "" if there.matches else there.problem


def _is_con_id(typed: str) -> bool:
    """Some exchanges have symbols of digits (7203): they are looked for first."""
    return typed.isdecimal() and len(typed) <= 12


def _known(contract: Contract) -> Match:
    exchange = contract.primary_exchange or contract.exchange
    return Match(contract.con_id, contract.label, contract.sec_type, exchange, contract.currency, contract.long_name)


def _search(request: HttpRequest, typed: str) -> tuple[list[Match], str]:
    told, problem = ask_broker(request, Inquiry.Kind.SEARCH, {"pattern": typed})
    return [
        Match(row["con_id"], row["symbol"], row["sec_type"], row.get("primary_exchange", ""), row["currency"], row.get("description", ""))
        for row in told
        if row.get("con_id")
    ], problem


def ask_broker(request: HttpRequest, kind: str, arguments: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """The broker's answer; an empty one with the reason in words where there is none."""
    if not gateway().may_cancel:
        return [], _("The gateway cannot be asked now; only what the book knows is found.")
    asked = inquiries.ask(kind, arguments, request.user, timezone.now())
    answered = inquiries.wait_for(asked.pk, PATIENCE)
    if answered is None or answered.state not in (Inquiry.State.ANSWERED, Inquiry.State.FAILED):
        return [], _("The gateway has not answered within %s seconds. Try again.") % int(PATIENCE)
    if answered.state == Inquiry.State.FAILED:
        return [], answered.error or _("The gateway could not answer.")
    return answered.answer or [], ""
