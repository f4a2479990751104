"""Protecting a position that is there already: the ticket's rows of exits, for what of it no other order works to close.

The rule it keeps: direction and what may be closed come from the position as IB reports it, never from the browser's idea of it; and what
is sent was on the screen, under the seal of its preview.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from orders import inquiries
from orders.contracts import ticks
from orders.errors import Refused
from orders.exposure import closing_side, unprotected
from orders.manager import OrderManager
from orders.models import Position
from orders.pages.forms import OCA_TYPES, ProtectForm, Stamp
from orders.pages.forms.own_exits import exits_of
from orders.pages.forms.protect import basis_of
from orders.pages.permissions import position_or_404, require_trade
from orders.pages.views import previewing
from orders.pages.views.contracts import contract_by_id
from orders.pages.views.draft import keep_exits, reshaped, told, typed
from orders.pages.views.frame import ask, done, was_sent_before
from orders.pages.views.positions import facts_of, gateway_problem
from orders.pages.views.previewing import FilledIn, Place
from orders.pages.views.sending import accepted_words
from orders.queries.guard import guard_for
from orders.queries.quotes import reference_price
from orders.queries.show import Ticks, quantity
from orders.queries.templates import exits_for
from orders.rules.pricing import kept
from orders.rules.terms import plain
from orders.rules.tickets import ExitsTicket

IDS = "ask_%s"


@dataclass
class Exits(FilledIn):
    """The exits of a position as they were posted."""

    form: ProtectForm
    position: Position
    is_live: bool

    @property
    def place(self) -> Place:
        return _place(self.position, is_live=self.is_live)

    def request(self) -> ExitsTicket | None:
        return self.form.request(self.position)

    def whole(self, request: HttpRequest, more: dict[str, Any], *, status: int, extra: str = "") -> HttpResponse:
        problems = [*more.pop("notes", []), *more.pop("problems", [])]
        response = _show(request, self.position, self.form, {**more, "problems": problems}, refused=status != 200)
        return self.place.of_the_whole(request, response)


def _place(position: Position, *, is_live: bool) -> Place:
    return Place(
        preview="exits-preview",
        form="protect-form",
        send=reverse("protect", args=[position.account.code, position.contract.con_id]),
        whole="#dialog-slot",
        reswap="innerHTML",
        name="exits",
        is_live=is_live,
        keep=_("Leave it"),
        back=reverse("desk"),
    )


@require_http_methods(["GET", "POST"])
def protect(request: HttpRequest, code: str, con_id: int) -> HttpResponse:
    """A POST with a seal sends what its preview showed; `act` changes the rows or keeps the user's own exits; any other previews."""
    position = position_or_404(request, code, con_id)
    require_trade(request, position.account)
    inquiries.watch_ticket(request.user, position.contract, timezone.now())
    if request.method == "GET":
        return _show(request, position, ProtectForm(initial=_suggested(request, position), auto_id=IDS), {})
    act = request.POST.get("act", "")
    form = ProtectForm(request.POST, auto_id=IDS)
    if act == "save_exits":
        form.is_valid()  # what could be read is enough
        words, is_bad = keep_exits(request, form.cleaned_data, position.contract, _basis(form, position))
        if (answer := told(request, words, is_bad=is_bad)) is not None:
            return answer
    if act:
        again = ProtectForm(initial=reshaped(typed(request.POST, form), act), auto_id=IDS)
        return _show(request, position, again, {})
    exits = Exits(form, position.account, position.contract, position, is_live=bool(request.htmx))  # type: ignore[attr-defined]
    return _send(request, exits) if request.POST.get("seal") else previewing.show(request, exits)


def _basis(form: ProtectForm, position: Position) -> Any:
    return basis_of(position, form.cleaned_data.get("entry_price") or kept(position.entry_price))


def _send(request: HttpRequest, exits: Exits) -> HttpResponse:
    """Places what was shown; where that is refused, the form with a fresh preview."""
    if not exits.is_sound:
        return previewing.faults(request, exits)
    if problems := gateway_problem(request):
        return previewing.show(request, exits, notes=problems)
    seal = request.POST["seal"]
    asked = previewing.asked_for(request, exits, seal)
    if not isinstance(asked, ExitsTicket):
        return previewing.show(request, exits)
    try:
        orders = OrderManager(request.user).place_exits(
            exits.position.account,
            exits.position.contract,
            asked.pairs,
            key=request.POST.get("key", ""),
            side=asked.side,
            oca_type=asked.oca_type,
            time_in_force=asked.time_in_force,
            outside_rth=asked.outside_rth,
            confirm_duplicate=exits.form.cleaned_data["confirm_duplicate"],
            seal=seal,
            armed=False,
        )
    except Refused as refused:
        return previewing.refused(request, exits, refused, seal)
    return done(request, accepted_words(orders), "desk")


# --- what it shows ----------------------------------------------------------------------------------------------------------------------


def _show(request: HttpRequest, position: Position, form: ProtectForm, more: dict[str, Any], *, refused: bool = False) -> HttpResponse:
    found = contract_by_id(request, position.contract.con_id) if ticks(position.contract) is None else None
    if found is not None and found.contract is not None:
        position.contract = found.contract
    context = {
        **facts_of(position),
        **_market(position),
        **_cover(position),
        "form": form,
        "place": _place(position, is_live=bool(request.htmx)),  # type: ignore[attr-defined]
        "oca_types": OCA_TYPES,
        "has_own_exits": not exits_for(request.user, position.contract).is_built_in,
        "ticks_problem": found.problem if found is not None else "",
        **more,
    }
    if "stamp" not in context:
        context["stamp"] = _stamp(request)
    return ask(request, "protect", "positions", context, refused=refused)


def _stamp(request: HttpRequest) -> Stamp:
    """A request whose fate is open keeps its key, through rows that come and go too."""
    posted = request.POST.get("key", "")
    return Stamp(posted, request.POST.get("rendered_at", "")) if posted and not was_sent_before(request) else Stamp.fresh(timezone.now())


def _suggested(request: HttpRequest, position: Position) -> dict[str, Any]:
    """What nothing works to close yet, counted from the average cost, with the exits that the user has for the contract."""
    return {
        **exits_of(exits_for(request.user, position.contract)),
        "quantity": plain(_left(position) or abs(position.quantity)),
        "entry_price": _typed(position),
    }


def _typed(position: Position) -> str:
    """The average cost as it stands in an input: with the decimals of the tick where it is on one, else as it is."""
    cost, rule = kept(position.entry_price), ticks(position.contract)
    return Ticks.load().typed(position.contract, cost) if rule is not None and rule.is_on_tick(cost) else plain(cost)


def _left(position: Position) -> Decimal:
    """How much of the position new exits may be for: what no stop covers, and never more than no other order works to close."""
    left = unprotected(position.account, position.contract, closing_side(position.quantity))
    guard = guard_for(position)
    wanting = guard.wanting or guard.bare if guard is not None else left
    return min(left, wanting) if wanting else left


def _cover(position: Position) -> dict[str, Any]:
    """What of the position other orders work to close, in words; empty where none does."""
    size, left = abs(position.quantity), unprotected(position.account, position.contract, closing_side(position.quantity))
    if left == size:
        return {"covered": ""}
    words = {"covered": quantity(size - left), "size": quantity(size), "left": quantity(left)}
    if not left:
        return {"covered": _("Orders that work already may close all %(size)s. Change or cancel them, or nothing can be added.") % words}
    return {"covered": _("Of %(size)s, orders that work already may close %(covered)s: these exits are for the other %(left)s.") % words}


def _market(position: Position) -> dict[str, Any]:
    """The ticks, as the page's script counts in them, and the price at which the position could be closed now."""
    contract, side, shown = position.contract, closing_side(position.quantity), Ticks.load()
    rule, market = ticks(contract), reference_price(contract, side)
    return {
        "ladder": json.dumps([[plain(low), plain(tick)] for low, tick in rule.increments]) if rule is not None else "",
        "has_ticks": rule is not None,
        "side": side,
        "sign": side.opposite.sign,
        "market": plain(market) if market is not None else "",
        "market_shown": shown.price(contract, market),
        "entry_typed": _typed(position),
        "size_increment": plain(contract.size_increment),
        "multiplier": plain(contract.multiplier),
    }
