"""A ticket that is still being written: rows of exits come and go, and sizes are worked out, where the page's script does not do it.

The rule it keeps: nothing is sent and nothing is recorded; the ticket comes back with what was typed.
"""

from __future__ import annotations

import re
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.views.decorators.http import require_POST

from orders.pages.forms import TicketForm
from orders.pages.forms.pairs import FIELDS, MOST_PAIRS, default_pair, name_of
from orders.pages.permissions import current_account
from orders.pages.views.sizing import size_for
from orders.pages.views.ticket import answer, posted_contract, ticket_context
from orders.queries import tradable_accounts, visible_accounts


@require_POST
def draft(request: HttpRequest) -> HttpResponse:
    """The ticket again, after one act: `add_pair`, `remove_pair_<number>`, `size`, `take_size`."""
    account = visible_accounts(request.user).filter(code=request.POST.get("account", "")).first() or current_account(request)
    act = request.POST.get("act", "")
    values = reshaped(typed(request.POST), act)
    sized = size_for(request, request.POST)
    if act == "take_size" and sized is not None and sized.value:
        values["quantity"] = sized.value
    form = TicketForm(accounts=tradable_accounts(request.user), initial=values)
    context = ticket_context(request, account, form=form, contract=posted_contract(request))
    return answer(request, {**context, "sized": sized})


def typed(posted: QueryDict) -> dict[str, Any]:
    """What was typed, as the initial values of a form; a box that is not ticked says so."""
    fields = TicketForm(accounts=()).fields
    return {name: posted.get(name, "") for name in fields if name != "confirm_duplicate"}


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
