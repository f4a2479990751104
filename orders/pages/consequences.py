"""What an act will do, in sentences, before it is done: closing, reversing, flattening, halting.

The rule it keeps: the sentences are made from the plan that the manager will carry out, and say what stays as well as what goes.
"""

from __future__ import annotations

from decimal import Decimal

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orders.manager.closing import ALL, Plan
from orders.models import OrderRecord, Position
from orders.queries.orders import terms_words
from orders.queries.quotes import quote_of
from orders.queries.show import Ticks, number, quantity, signed
from orders.rules.terms import Role, Side

SHARES = ("25", "50", "75", "100")
"""Percentages that are offered with one press."""


def percent_of(request: HttpRequest) -> tuple[Decimal, list[str]]:
    """The percentage asked for, all of it where none is; what cannot be read is said and counts as all, which is then not done."""
    text = (request.POST if request.method == "POST" else request.GET).get("percent", "").strip()
    if not text:
        return ALL, []
    digits = text.replace(".", "", 1)
    if not (digits.isascii() and digits.isdecimal() and len(text) <= 8):
        return ALL, [_("The percentage must be a number above 0 and at most 100.")]
    percent = Decimal(text)
    return (percent, []) if 0 < percent <= ALL else (ALL, [_("The percentage must be a number above 0 and at most 100.")])


def about(position: Position, side: Side, size: Decimal) -> str:
    """What the order is worth at the quote, as a half sentence; empty where there is no quote."""
    quote = quote_of(position.contract)
    touch = quote and (quote.bid if side is Side.SELL else quote.ask)
    if not touch:
        return ""
    worth = number(size * touch * position.contract.multiplier)
    return _("about %(worth)s %(currency)s at the last quote") % {"worth": worth, "currency": position.contract.currency}


def plan_words(plan: Plan, ticks: Ticks) -> list[str]:
    """The plan, one sentence each, in the order in which it happens."""
    label = plan.position.contract.label
    words = [_("Cancelled first: %s") % _order(order, ticks) for order in plan.cancels]
    words += [
        _("Made smaller first, to %(quantity)s: %(order)s") % {"quantity": quantity(size), "order": _order(order, ticks)}
        for order, size in plan.changes
    ]
    if words:
        words.append(_("The order waits until the broker has confirmed each of these. If it does not within 30 seconds, nothing is sent."))
    worth = about(plan.position, plan.side, plan.quantity)
    told = {"side": str(plan.side), "size": quantity(plan.quantity), "symbol": label, "worth": f", {worth}" if worth else ""}
    words.append(_("Then %(side)s %(size)s %(symbol)s at the market, DAY%(worth)s.") % told)
    words += _afterwards(plan, ticks)
    return words


def _afterwards(plan: Plan, ticks: Ticks) -> list[str]:
    if plan.role is Role.REVERSE:
        words = [_("Afterwards %s stand there, without stop or target: protect them.") % signed(plan.remains)]
        words.append(_("It opens a position, so every limit for new orders holds."))
    elif plan.remains:
        words = [_("%s stay.") % signed(plan.remains)]
        words.append(_("The quantity is worked out again when it goes, and is never more than this."))
    else:
        words = [_("The quantity is worked out when it goes: what IB reports then, so that it never turns the position around.")]
    words += [_("Not touched, placed elsewhere: %s") % _order(order, ticks) for order in plan.elsewhere]
    words += [_("Stays as it is: %s") % _order(order, ticks) for order in plan.stays]
    return words


def position_words(plan: Plan) -> str:
    """The plan of one of many positions, in one line."""
    worth = about(plan.position, plan.side, plan.quantity)
    words = f"{plan.side} {quantity(plan.quantity)}" + (f", {worth}" if worth else "")
    if plan.cancels:
        words += ". " + ngettext("%d order is cancelled first", "%d orders are cancelled first", len(plan.cancels)) % len(plan.cancels)
    if plan.changes:
        words += ". " + ngettext("%d exit is made smaller first", "%d exits are made smaller first", len(plan.changes)) % len(plan.changes)
    if plan.remains:
        words += ". " + _("%s stay") % signed(plan.remains)
    return words + "."


def _order(order: OrderRecord, ticks: Ticks) -> str:
    return f"{order.side} {terms_words(order, ticks)}"
