"""What a preview on a page is, whatever form it is made from: the ticket's, or the exits of a position.

The rule it keeps: every form that can be understood yields one, and one that would be refused says so here, in the same words. Nothing is
sent from here but under the seal of what was shown.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _

from orders.errors import Refused
from orders.models import Account, Contract, Submission
from orders.pages.forms import Stamp, add_refusal
from orders.pages.views.frame import REFUSED_STATUS
from orders.preview.making import Previewed, make
from orders.preview.redeeming import request_of
from orders.preview.request import PlaceRequest
from orders.preview.shown import preview_view
from orders.queries import gateway
from orders.rules.seals import Code
from orders.rules.tickets import TicketError

_NOT_THE_REQUEST = frozenset({"confirm_duplicate", "note"})


@dataclass(frozen=True)
class Place:
    """Where on the page a preview belongs: its own element, the form it is made from, and what its sending answers with."""

    preview: str  # the id of its element
    form: str  # the id of the form
    send: str  # the address that sends it
    whole: str  # the selector of what holds both
    reswap: str = "outerHTML"
    name: str = "preview"  # of its form and its button: preview-form, preview-send
    is_live: bool = True  # whether htmx puts the answer there; else the browser loads a page
    keep: str = ""  # the words of the button that leaves things as they are, where the form has one
    back: str = ""  # and where it leads without htmx

    def of_the_whole(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Says to htmx where the whole belongs: the form that asked expects a preview."""
        if request.htmx:  # type: ignore[attr-defined]
            response["HX-Retarget"], response["HX-Reswap"] = self.whole, self.reswap
        return response


@dataclass
class FilledIn:
    """A form that asks for orders, as it was posted: what it asks for, in which account and contract, and how it is shown again."""

    form: forms.Form
    account: Account | None
    contract: Contract | None

    @property
    def is_sound(self) -> bool:
        return self.contract is not None and self.account is not None and self.form.is_valid()

    @property
    def fields(self) -> str:
        """One hash for one filled-in form: what its fields say, without the note."""
        names = sorted(set(self.form.fields) - _NOT_THE_REQUEST)
        said = {name: self.form.data.get(name, "") for name in names}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    @property
    def place(self) -> Place:
        raise NotImplementedError

    def request(self) -> PlaceRequest | None:
        """What it asks for; None, with the reasons in the form, where that cannot be known."""
        raise NotImplementedError

    def whole(self, request: HttpRequest, more: dict[str, Any], *, status: int, extra: str = "") -> HttpResponse:
        """The form again, with what is to be said of it."""
        raise NotImplementedError


def show(
    request: HttpRequest, filled: FilledIn, *, notes: Sequence[str] = (), instead_of: str = "", changed: str = "", extra: str = ""
) -> HttpResponse:
    """The form with its preview. `notes` are said on top of it; `instead_of` is the seal of the one it replaces.

    `changed`: the code under which that one was refused; what has changed is then shown old and new, and the notes need not say it.
    """
    asked = filled.request() if filled.is_sound else None
    made = _made(request, filled, asked, instead_of) if asked is not None else None
    if made is None:
        return faults(request, filled, notes, extra)
    for breach in made.refusals:
        add_refusal(filled.form, breach.message, breach.field, str(breach.code))
    if changed and made.changed:
        notes = [_("Nothing was sent: this has changed since the preview. (%s)") % changed]
    notes = [*notes, *_sent_before(request)]
    stamp = Stamp.fresh(made.row.created_at) if _is_used(request) or notes or made.refusals else _posted(request)
    context = {"preview": preview_view(made), "preview_notes": notes, "stamp": stamp, "posted": _kept(filled), "pill": gateway()}
    context["place"] = filled.place
    if request.htmx and not made.refusals and not notes:  # type: ignore[attr-defined]
        return render(request, "ticket/_preview.html", context)
    status = REFUSED_STATUS if made.refusals or notes else 200
    return filled.whole(request, context, status=status, extra=extra)


def faults(request: HttpRequest, filled: FilledIn, notes: Sequence[str] = (), extra: str = "") -> HttpResponse:
    """A form that cannot be previewed, with the reasons beside its fields."""
    return filled.whole(request, {"notes": list(notes)}, status=REFUSED_STATUS, extra=extra)


def refused(request: HttpRequest, filled: FilledIn, refusal: Refused, seal: str) -> HttpResponse:
    """What was not sent, beside its field where it names one; what the preview finds again by itself is said once."""
    if refusal.code == "KEY_REUSED":
        words = _("This form was used before. Look at your orders: the earlier one may have been accepted.")
        add_refusal(filled.form, words, "", refusal.code)
        return show(request, filled)
    if refusal.code in set(Code):
        return show(request, filled, notes=[f"{refusal.message} ({refusal.code})"], instead_of=seal, changed=refusal.code)
    note = _("Nothing was sent: %(words)s (%(rule)s)") % {"words": refusal.message, "rule": refusal.code}
    return show(request, filled, notes=[note])


def asked_for(request: HttpRequest, filled: FilledIn, seal: str) -> PlaceRequest | None:
    """What is to be placed: what the seal's preview showed, where it was made from these very fields; else what the form says now."""
    return request_of(request.user, seal, filled.fields) or filled.request()


def _made(request: HttpRequest, filled: FilledIn, asked: PlaceRequest, instead_of: str) -> Previewed | None:
    assert filled.account is not None and filled.contract is not None
    data = filled.form.cleaned_data
    try:
        return make(
            request.user,
            filled.account,
            filled.contract,
            asked,
            timezone.now(),
            note=data.get("note", ""),
            fields=filled.fields,
            instead_of=instead_of,
            confirm_duplicate=data["confirm_duplicate"],
        )
    except TicketError as error:
        add_refusal(filled.form, f"{error.field.replace('_', ' ')} {error.message}", error.field, "TICKET")
        return None


def _is_used(request: HttpRequest) -> bool:
    return Submission.objects.filter(user=request.user, key=request.POST.get("key", "")).exists() or not request.POST.get("key")


def _posted(request: HttpRequest) -> Stamp:
    """The key that the form had: a request whose fate is open keeps its key through every preview of it."""
    return Stamp(request.POST["key"], request.POST.get("rendered_at", ""))


def _sent_before(request: HttpRequest) -> list[str]:
    """A tab that was restored shows a ticket that is on its way already."""
    stored = Submission.objects.filter(user=request.user, key=request.POST.get("key", "")).first()
    if stored is None or not stored.result.get("orders"):
        return []
    return [_("This ticket was sent before: look at your orders. Sent again, it is another order.")]


def _kept(filled: FilledIn) -> list[tuple[str, str]]:
    """What the preview's own form posts again: the fields that were filled in, as they were."""
    names = [name for name in filled.form.fields if name != "confirm_duplicate"]
    return [(name, filled.form.data[name]) for name in names if filled.form.data.get(name)]
