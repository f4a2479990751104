"""The preview of a ticket: what would be sent, in words and figures, under a seal; and what IB says of its margin meanwhile.

The rule it keeps: a contract that was only typed is shown before anything of it is previewed. The page never waits for IB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from orders.models import Contract, Preview
from orders.pages.forms import TicketForm
from orders.pages.permissions import current_account
from orders.pages.views import previewing
from orders.pages.views.contracts import Match, contract_by_symbol
from orders.pages.views.frame import REFUSED_STATUS
from orders.pages.views.previewing import FilledIn, Place, faults
from orders.pages.views.ticket import answer, posted_contract, ticket_context, ticket_place
from orders.preview import margin as margins
from orders.preview.request import PlaceRequest
from orders.preview.shown import margin_view
from orders.queries import tradable_accounts, visible_accounts
from orders.queries.quotes import describe
from orders.queries.show import Ticks


@dataclass
class Ticket(FilledIn):
    """A ticket as it was posted. `shown`: the contract was on the screen."""

    form: TicketForm
    shown: bool
    matches: tuple[Match, ...] = ()

    @property
    def place(self) -> Place:
        return ticket_place()

    def request(self) -> PlaceRequest | None:
        return self.form.request(self.contract) if self.contract is not None else None

    def whole(self, request: HttpRequest, more: dict[str, Any], *, status: int, extra: str = "") -> HttpResponse:
        context = ticket_context(request, self.account, form=self.form, contract=self.contract)
        response = answer(request, {**context, "matches": self.matches, **more}, status=status, extra=extra)
        return self.place.of_the_whole(request, response)


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


def show_preview(request: HttpRequest, ticket: Ticket, *, notes: Sequence[str] = (), extra: str = "", **more: str) -> HttpResponse:
    """The ticket with its preview, or first with the contract that it means, where nobody has seen that one yet."""
    if not ticket.is_sound:
        return faults(request, ticket, notes, extra)
    if not ticket.shown:
        return _show_contract(request, ticket, extra)
    return previewing.show(request, ticket, notes=notes, extra=extra, **more)


def _show_contract(request: HttpRequest, ticket: Ticket, extra: str) -> HttpResponse:
    """The ticket with the contract that its symbol means: nobody has seen yet which one that is."""
    contract = ticket.contract
    assert contract is not None
    ticket.form.data = ticket.form.data.copy()
    ticket.form.data["con_id"], ticket.form.data["symbol"] = str(contract.con_id), contract.label
    words = _("%(symbol)s is %(words)s. If that is the one you mean, go on.")
    notes = [words % {"symbol": contract.label, "words": describe(contract, Ticks.load())}]
    return ticket.whole(request, {"notes": notes}, status=REFUSED_STATUS, extra=extra)


@require_GET
def margin(request: HttpRequest, seal: str) -> HttpResponse:
    """What IB has said of the margin so far; asks for itself again as long as it may still answer."""
    row = get_object_or_404(Preview.objects.select_related("inquiry", "account"), seal=seal, user=request.user)
    heard = margins.heard(row.inquiry, timezone.now())
    return render(request, "ticket/_margin.html", {"margin": margin_view(heard, row.account), "seal": seal})
