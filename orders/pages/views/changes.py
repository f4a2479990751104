"""Changing a working order: its terms as old → new, before it is asked for and after.

The rule it keeps: what is changed is what was looked at. Where the order has filled, has moved on, or is being changed by somebody else
meanwhile, the page says so and nothing is sent.
"""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from orders.contracts import ticks
from orders.errors import IllegalTransition, Refused
from orders.manager import OrderManager
from orders.manager.changing import change_words
from orders.models import BrokerCommand, OrderRecord
from orders.pages.forms import ChangeForm, add_refusal
from orders.pages.permissions import order_or_404, require_trade
from orders.pages.views.frame import ask, done, too_old, was_sent_before
from orders.queries.orders import terms_words
from orders.queries.show import Ticks, quantity
from orders.rules.lifecycle import WORKING, OrderStatus
from orders.rules.terms import OPEN_COMMANDS, CommandKind, plain, terms_from_json

RACES = frozenset({"NOT_OPEN", "NOT_ACKNOWLEDGED", "MODIFY_OPEN", "CANCEL_OPEN", "BELOW_FILLED"})
"""Refusals that say: the order is no longer as it was when it was looked at."""


@require_http_methods(["GET", "POST"])
def change(request: HttpRequest, client_order_id: str) -> HttpResponse:
    """New sizes, prices, distances or time in force for a working order, shown as old → new."""
    record = order_or_404(request, client_order_id)
    require_trade(request, record.account)
    form = ChangeForm(request.POST or None, order=record, auto_id="ask_%s")
    was_sent = request.method == "POST" and was_sent_before(request)
    problems = [] if was_sent else why_not(record)
    if request.method == "POST" and form.is_valid() and not problems:
        problems = too_old(request)
        changes = form.changes()
        if not problems and _changed(request, record, form, changes):
            words = _("Change asked for: %(order)s: %(changes)s") % {"order": _words(record), "changes": form.words(changes)}
            return done(request, words, reverse("order", args=[record.client_order_id]), link=record.client_order_id)
    context = {"order": record, "words": _words(record), "form": form, "problems": problems, "is_over": not record.is_open}
    return ask(request, "change", "history", {**context, **_ladder(record), "account": record.account}, refused=request.method == "POST")


def _changed(request: HttpRequest, record: OrderRecord, form: ChangeForm, changes: dict[str, Any]) -> bool:
    if not changes:
        form.add_error(None, _("Nothing would change: these are the terms the order has."))
        return False
    if not was_sent_before(request) and (moved := form.moved_on()):
        form.add_error(None, _("Nothing was sent: the order is not as you saw it any more."))
        for words in moved:
            form.add_error(None, words)
        _look_anew(form)
        return False
    try:
        OrderManager(request.user).modify_order(record, key=request.POST.get("key", ""), **changes)
    except Refused as refused:
        if refused.code in RACES and (words := why_not(OrderRecord.objects.select_related("contract", "account").get(pk=record.pk))):
            for word in words:
                form.add_error(None, _("Nothing was sent: %s") % word)
        else:
            add_refusal(form, refused.message, refused.field, refused.code)
        return False
    except IllegalTransition as illegal:
        form.add_error(None, str(illegal))
        return False
    return True


def _look_anew(form: ChangeForm) -> None:
    """The form that comes back shows the order as it is now; what was typed stays."""
    form.data = form.data.copy()
    form.data["seen"] = form.initial["seen"]


def why_not(record: OrderRecord) -> list[str]:
    """Why this order cannot be changed now, one sentence each; empty where it can."""
    if record.is_external:
        return [_("This order was placed elsewhere, and can only be changed there.")]
    if not record.is_open:
        return [_over(record)]
    if record.state is OrderStatus.UNKNOWN:
        return [_("What became of this order is not known. It cannot be changed until the broker has answered.")]
    if record.state is not OrderStatus.PENDING and record.state not in WORKING:
        return [_("An order that is %s cannot be changed until the broker has answered.") % record.status]
    waiting = _open_commands(record)
    if CommandKind.CANCEL in waiting:
        return [_("A cancel is already on its way.")]
    if CommandKind.MODIFY in waiting:
        return [_("A change is already on its way: %s") % _asked_words(record, waiting[CommandKind.MODIFY])]
    return []


def _over(record: OrderRecord) -> str:
    if record.filled_quantity:
        words = _("This order is over: %(status)s, with %(filled)s of %(quantity)s filled.")
        return words % {"status": record.status, "filled": quantity(record.filled_quantity), "quantity": quantity(record.quantity)}
    return _("This order is over: %s.") % record.status


def _open_commands(record: OrderRecord) -> dict[str, BrokerCommand]:
    states = [state.value for state in OPEN_COMMANDS]
    return {command.kind: command for command in record.commands.filter(state__in=states)}


def _asked_words(record: OrderRecord, command: BrokerCommand) -> str:
    """What somebody has asked for already, and who: "limit price 99 → 99.05 (trader1)"."""
    words = change_words(record.terms, terms_from_json(command.terms)) if command.terms else ""
    who = f" ({command.actor})" if command.actor else ""
    return (words or _("wait until the broker has answered.")) + who


def _ladder(record: OrderRecord) -> dict[str, str]:
    """The contract's ticks, for the arrow keys."""
    rule = ticks(record.contract)
    rungs = [[plain(low), plain(tick)] for low, tick in rule.increments] if rule else []
    return {"ladder": json.dumps(rungs), "increment": plain(record.contract.size_increment)}


def _words(record: OrderRecord) -> str:
    return f"{record.side} {terms_words(record, Ticks.load())}"
