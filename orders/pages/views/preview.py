"""The preview of a ticket: what would be sent, in words and figures, under a seal; and what IB says of its margin meanwhile.

The rule it keeps: every ticket that can be understood yields one, and a ticket that would be refused says so here, in the same words. The
page never waits for IB.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from orders.models import Account, Contract, Preview, Submission
from orders.pages.forms import Stamp, TicketForm, add_refusal
from orders.pages.permissions import current_account
from orders.pages.views.contracts import Match, contract_by_symbol
from orders.pages.views.frame import REFUSED_STATUS
from orders.pages.views.ticket import answer, posted_contract, ticket_context
from orders.preview import margin as margins
from orders.preview.making import Previewed, make
from orders.preview.request import PlaceRequest
from orders.preview.shown import margin_view, preview_view
from orders.queries import gateway, tradable_accounts, visible_accounts
from orders.queries.quotes import describe
from orders.queries.show import Ticks
from orders.rules.tickets import TicketError

_NOT_THE_REQUEST = frozenset({"confirm_duplicate", "note"})


@dataclass
class Ticket:
    """A ticket as it was posted: its form, the contract it means, and what is to be said of it. `shown`: the contract was on the screen."""

    form: TicketForm
    account: Account | None
    contract: Contract | None
    shown: bool
    matches: tuple[Match, ...] = ()

    @property
    def is_sound(self) -> bool:
        return self.contract is not None and self.account is not None and self.form.is_valid()

    @property
    def fields(self) -> str:
        """One hash for one filled-in form: what its fields say, without the note."""
        names = sorted(set(self.form.fields) - _NOT_THE_REQUEST)
        said = {name: self.form.data.get(name, "") for name in names}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def request(self) -> PlaceRequest | None:
        """What it asks for; None, with the reasons in the form, where that cannot be known."""
        return self.form.request(self.contract) if self.contract is not None else None


def read_ticket(request: HttpRequest) -> Ticket:
    """The ticket of a POST. A contract that was only typed is looked up, and counts as not shown yet."""
    form = TicketForm(request.POST, accounts=tradable_accounts(request.user))
    account = visible_accounts(request.user).filter(code=request.POST.get("account", "")).first() or current_account(request)
    if not form.is_valid():
        return Ticket(form, account, posted_contract(request), shown=True)
    contract = _shown_contract(form)
    if contract is not None:
        return Ticket(form, account, contract, shown=True)
    found = contract_by_symbol(request, form.cleaned_data["symbol"])
    if found.problem:
        form.add_error("symbol", found.problem)
    return Ticket(form, account, found.contract, shown=False, matches=found.matches)


def _shown_contract(form: TicketForm) -> Contract | None:
    """The contract the ticket showed, unless another symbol was typed over it."""
    con_id = form.cleaned_data.get("con_id")
    contract = Contract.objects.select_related("quote").filter(con_id=con_id, detailed_at__isnull=False).first() if con_id else None
    if contract is None:
        return None
    typed = form.cleaned_data["symbol"].upper()
    return contract if typed in (contract.label.upper(), contract.symbol.upper(), contract.local_symbol.upper()) else None


@require_POST
def preview(request: HttpRequest) -> HttpResponse:
    """What this ticket would send, sealed for a minute; with its faults beside their fields where it would be refused."""
    return show_preview(request, read_ticket(request))


def show_preview(
    request: HttpRequest, ticket: Ticket, *, notes: Sequence[str] = (), instead_of: str = "", changed: str = "", extra: str = ""
) -> HttpResponse:
    """The ticket with its preview. `notes` are said on top of it; `instead_of` is the seal of the one it replaces.

    `changed`: the code under which that one was refused; what has changed is then shown old and new, and the notes need not say it.
    """
    if not ticket.is_sound:
        return _faults(request, ticket, notes, extra)
    if not ticket.shown:
        return _show_contract(request, ticket, extra)
    asked = ticket.request()
    made = _made(request, ticket, asked, instead_of) if asked is not None else None
    if made is None:
        return _faults(request, ticket, notes, extra)
    for breach in made.refusals:
        add_refusal(ticket.form, breach.message, breach.field, str(breach.code))
    if changed and made.changed:
        notes = [_("Nothing was sent: this has changed since the preview. (%s)") % changed]
    notes = [*notes, *_sent_before(request)]
    stamp = Stamp.fresh(made.row.created_at) if _is_used(request) or notes or made.refusals else _posted(request)
    context = {"preview": preview_view(made), "preview_notes": notes, "stamp": stamp, "posted": _kept(ticket), "pill": gateway()}
    if request.htmx and not made.refusals and not notes:  # type: ignore[attr-defined]
        return render(request, "ticket/_preview.html", context)
    status = REFUSED_STATUS if made.refusals or notes else 200
    return _whole(request, ticket, context, status=status, extra=extra)


def _made(request: HttpRequest, ticket: Ticket, asked: PlaceRequest, instead_of: str) -> Previewed | None:
    assert ticket.account is not None and ticket.contract is not None
    data = ticket.form.cleaned_data
    try:
        return make(
            request.user,
            ticket.account,
            ticket.contract,
            asked,
            timezone.now(),
            note=data["note"],
            fields=ticket.fields,
            instead_of=instead_of,
            confirm_duplicate=data["confirm_duplicate"],
        )
    except TicketError as error:
        add_refusal(ticket.form, f"{error.field.replace('_', ' ')} {error.message}", error.field, "TICKET")
        return None


def _faults(request: HttpRequest, ticket: Ticket, notes: Sequence[str], extra: str) -> HttpResponse:
    """A ticket that cannot be previewed, with the reasons beside its fields."""
    return _whole(request, ticket, {"notes": list(notes)}, status=REFUSED_STATUS, extra=extra)


def _show_contract(request: HttpRequest, ticket: Ticket, extra: str) -> HttpResponse:
    """The ticket with the contract that its symbol means: nobody has seen yet which one that is."""
    contract = ticket.contract
    assert contract is not None
    ticket.form.data = ticket.form.data.copy()
    ticket.form.data["con_id"], ticket.form.data["symbol"] = str(contract.con_id), contract.label
    words = _("%(symbol)s is %(words)s. If that is the one you mean, go on.")
    notes = [words % {"symbol": contract.label, "words": describe(contract, Ticks.load())}]
    return _whole(request, ticket, {"notes": notes}, status=REFUSED_STATUS, extra=extra)


def _whole(request: HttpRequest, ticket: Ticket, more: dict[str, Any], *, status: int, extra: str = "") -> HttpResponse:
    """The whole ticket. For htmx it says where it belongs, because a preview alone goes elsewhere."""
    context = ticket_context(request, ticket.account, form=ticket.form, contract=ticket.contract)
    response = answer(request, {**context, "matches": ticket.matches, **more}, status=status, extra=extra)
    return in_its_place(request, response)


def in_its_place(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Says to htmx where a whole ticket belongs: the form that asked expects a preview."""
    if request.htmx:  # type: ignore[attr-defined]
        response["HX-Retarget"], response["HX-Reswap"] = "#ticket-panel", "outerHTML"
    return response


def _is_used(request: HttpRequest) -> bool:
    return Submission.objects.filter(user=request.user, key=request.POST.get("key", "")).exists() or not request.POST.get("key")


def _posted(request: HttpRequest) -> Stamp:
    """The key that the ticket had: a request whose fate is open keeps its key through every preview of it."""
    return Stamp(request.POST["key"], request.POST.get("rendered_at", ""))


def _sent_before(request: HttpRequest) -> list[str]:
    """A tab that was restored shows a ticket that is on its way already."""
    stored = Submission.objects.filter(user=request.user, key=request.POST.get("key", "")).first()
    if stored is None or not stored.result.get("orders"):
        return []
    return [_("This ticket was sent before: look at your orders. Sent again, it is another order.")]


def _kept(ticket: Ticket) -> list[tuple[str, str]]:
    """What the preview's own form posts again: the fields that were filled in, as they were."""
    names = [name for name in ticket.form.fields if name != "confirm_duplicate"]
    return [(name, ticket.form.data[name]) for name in names if ticket.form.data.get(name)]


@require_GET
def margin(request: HttpRequest, seal: str) -> HttpResponse:
    """What IB has said of the margin so far; asks for itself again as long as it may still answer."""
    row = get_object_or_404(Preview.objects.select_related("inquiry", "account"), seal=seal, user=request.user)
    heard = margins.heard(row.inquiry, timezone.now())
    return render(request, "ticket/_margin.html", {"margin": margin_view(heard, row.account), "seal": seal})
