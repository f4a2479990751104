"""Where an order stands, as a word, a colour role and a glyph: the one place every page, panel, filter and message takes them from.

The rule it keeps: never colour alone, and an intent (an open cancel or change) is said beside the status, never as one. The colours stay
near the legend that IB's own users know.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from orders.models import OrderRecord
from orders.rules.lifecycle import OrderStatus
from orders.rules.terms import CommandKind, Role, Side


@dataclass(frozen=True)
class Mark:
    """`css` is a class of the stylesheet, `glyph` a symbol of the sprite, `title` the sentence behind the word."""

    word: str | Promise
    css: str
    glyph: str
    title: str | Promise


STATUS_MARKS: dict[OrderStatus, Mark] = {
    OrderStatus.PENDING: Mark(_("PENDING"), "st-pending", "s-pending", _("In our book, not sent yet")),
    OrderStatus.SENT: Mark(_("SENT"), "st-sent", "s-sent", _("Sent, nothing heard from IB yet")),
    OrderStatus.HELD: Mark(_("HELD"), "st-held", "s-held", _("Accepted, waiting at IB for its trigger, its parent or the market")),
    OrderStatus.WORKING: Mark(_("WORKING"), "st-working", "s-working", _("Live in the market")),
    OrderStatus.FILLED: Mark(_("FILLED"), "st-filled", "s-filled", _("Executions add up to the quantity")),
    OrderStatus.CANCELLED: Mark(_("CANCELLED"), "st-cancelled", "s-dead", _("Gone, with whatever had filled")),
    OrderStatus.REJECTED: Mark(_("REJECTED"), "st-dead", "s-dead", _("Refused")),
    OrderStatus.UNKNOWN: Mark(
        _("UNKNOWN"), "st-unknown", "s-unknown", _("Sent, and what became of it is not known. It is not sent again by itself.")
    ),
}

WAITS = Mark(_("WAITS"), "st-pending", "s-pending", _("Waits for other orders to be cancelled first"))
CANCEL_ASKED = Mark(_("CANCEL ASKED"), "st-asked", "s-asked", _("A cancel is on its way; the order lives until IB says it is gone"))
CHANGE_ASKED = Mark(_("CHANGE ASKED"), "st-asked", "s-asked", _("A change is on its way; the old terms hold until IB carries the new ones"))

LEGS: dict[str, str | Promise] = {
    Role.TAKE_PROFIT: _("target"),
    Role.STOP_LOSS: _("stop"),
    Role.TIME_STOP: _("time stop"),
    Role.CLOSE: _("close"),
    Role.REVERSE: _("reverse"),
    Role.LIQUIDATION: _("liquidation"),
    Role.EXTERNAL: _("external"),
}

SIDE_CSS = {Side.BUY: "buy", Side.SELL: "sell"}


def order_mark(order: OrderRecord, open_commands: Collection[str] = (), *, waits: bool = False) -> Mark:
    """The mark of an order. An open cancel or change shows only on an order that is still open and known."""
    status = order.state
    if status is OrderStatus.PENDING and waits:
        return WAITS
    if order.is_open and status is not OrderStatus.UNKNOWN:
        if CommandKind.CANCEL in open_commands:
            return CANCEL_ASKED
        if CommandKind.MODIFY in open_commands:
            return CHANGE_ASKED
    return STATUS_MARKS[status]
