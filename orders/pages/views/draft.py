"""A ticket that is still being written: rows of exits come and go, and sizes are worked out, where the page's script does not do it.

The rule it keeps: nothing is sent; the ticket comes back with what was typed. What is recorded is a habit of its writer, his own exits.
"""

from __future__ import annotations

import re
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from orders.contracts import ticks
from orders.errors import Refused
from orders.manager import OrderManager
from orders.models import Contract
from orders.pages.forms import Stamp, TicketForm
from orders.pages.forms.exits import ExitsForm
from orders.pages.forms.own_exits import default_pair, template_values
from orders.pages.forms.pairs import FIELDS, MOST_PAIRS
from orders.pages.forms.reading import sentence
from orders.pages.forms.sizing import typed_entry
from orders.pages.permissions import current_account
from orders.pages.views.frame import toast
from orders.pages.views.sizing import size_for
from orders.pages.views.ticket import answer, ticket_context
from orders.queries import tradable_accounts, visible_accounts
from orders.queries.quotes import reference_price
from orders.rules.exit_rows import Basis, name_of
from orders.rules.terms import OcaType, Side, TimeInForce, plain
from orders.rules.tickets import TicketError


@require_POST
def draft(request: HttpRequest) -> HttpResponse:
    """The ticket again, after one act: `add_pair`, `remove_pair_<number>`, `size`, `take_size`."""
    account = visible_accounts(request.user).filter(code=request.POST.get("account", "")).first() or current_account(request)
    act = request.POST.get("act", "")
    values = reshaped(typed(request.POST, TicketForm(accounts=())), act)
    sized = size_for(request, request.POST)
    if act == "take_size" and sized is not None and sized.value:
        values["quantity"] = sized.value
    form = TicketForm(accounts=tradable_accounts(request.user), initial=values)
    context = ticket_context(request, account, form=form, contract=_contract(request.POST))
    return answer(request, {**context, "sized": sized})


@require_POST
def save_exits(request: HttpRequest) -> HttpResponse:
    """Keeps the first pair of the ticket as the user's own exits for the contract's symbol."""
    contract = _contract(request.POST)
    form = TicketForm(request.POST, accounts=tradable_accounts(request.user))
    form.is_valid()  # what could be read is enough
    words, is_bad = (_("Choose a symbol first."), True) if contract is None else _save(request, form.cleaned_data, contract)
    return told(request, words, is_bad=is_bad) or draft(request)


def told(request: HttpRequest, words: str, *, is_bad: bool) -> HttpResponse | None:
    """What is said of exits that were kept: a toast for htmx; None where it stands on the next page."""
    if request.htmx:  # type: ignore[attr-defined]
        return HttpResponse(toast(words, is_bad=is_bad))
    (messages.error if is_bad else messages.success)(request, words)
    return None


def _save(request: HttpRequest, data: dict[str, Any], contract: Contract) -> tuple[str, bool]:
    side = Side(data.get("side") or Side.BUY)
    return keep_exits(request, data, contract, Basis(typed_entry(data) or reference_price(contract, side), side.sign, ticks(contract)))


def keep_exits(request: HttpRequest, data: dict[str, Any], contract: Contract, basis: Basis) -> tuple[str, bool]:
    """Keeps the first pair as the user's own exits for the symbol. Gives what is said of it, and whether it went wrong."""
    try:
        values = template_values(data, basis)
        kept = OrderManager(request.user).set_exit_template(
            contract.symbol,
            key=Stamp.fresh(timezone.now()).key,  # the ticket's own is for its order
            **values,
            oca_type=OcaType(int(data.get("oca_type") or OcaType.CANCEL_WITH_BLOCK)),
            time_in_force=TimeInForce(data.get("exits_time_in_force") or TimeInForce.GTC),
        )
    except (TicketError, Refused) as error:
        return sentence(error.message), True
    stop = kept.trail_percent if kept.trail_percent is not None else kept.stop_loss * 100
    said = {"symbol": contract.symbol, "target": plain(kept.profit_target * 100), "stop": plain(stop)}
    if kept.trail_percent is not None:
        return _("Your exits for %(symbol)s: target %(target)s %%, trailing stop %(stop)s %%.") % said, False
    return _("Your exits for %(symbol)s: target %(target)s %%, stop %(stop)s %%.") % said, False


def typed(posted: QueryDict, form: ExitsForm) -> dict[str, Any]:
    """What was typed, as the initial values of a form; a box that is not ticked says so."""
    return {name: posted.get(name, "") for name in form.fields if name != "confirm_duplicate"}


def reshaped(values: dict[str, Any], act: str) -> dict[str, Any]:
    """The values with one row of exits more or less; the rows behind one that is taken away move up."""
    given = str(values.get("pair_count", ""))
    count = min(max(int(given), 1), MOST_PAIRS) if given.isdecimal() else 1
    if act == "add_pair":
        count = min(count + 1, MOST_PAIRS)
        values = {**values, **{name_of(count, field): "" for field in FIELDS}, **default_pair(count)}
    elif (found := re.fullmatch(r"remove_pair_(\d)", act)) and count > 1:
        for number in range(int(found[1]), MOST_PAIRS):
            values |= {name_of(number, field): values.get(name_of(number + 1, field), "") for field in FIELDS}
        count -= 1
    return {**values, "pair_count": count}


def _contract(posted: QueryDict) -> Contract | None:
    con_id = posted.get("con_id", "")
    return Contract.objects.select_related("quote").filter(con_id=int(con_id)).first() if con_id.isdecimal() else None
