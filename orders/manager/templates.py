"""Setting and removing a user's exit templates.

The rule it keeps: each user sets his own only, and what was set when stands in the events.
"""

from __future__ import annotations

from typing import Any

from orders.book import OpenBook
from orders.errors import Refused
from orders.models import ExitTemplate
from orders.models.book import Source
from orders.rules.exit_template import Template, check_template
from orders.rules.terms import plain


def put(b: OpenBook, user: Any, template: Template) -> ExitTemplate:
    """The user's template for its symbol, new or in the place of the one before. Raises `TicketError`."""
    check_template(template)
    values = {
        "stop_loss": template.stop_loss,
        "profit_target": template.profit_target,
        "trail_percent": template.trail_percent,
        "time_stop_seconds": None if template.time_stop is None else int(template.time_stop.total_seconds()),
        "oca_type": int(template.oca_type),
        "time_in_force": template.time_in_force.value,
    }
    row = ExitTemplate.objects.filter(user=user, symbol=template.symbol).first()
    stop, target = plain(template.stop_loss * 100), plain(template.profit_target * 100)
    words = f"Exits of {template.symbol or 'every symbol'}: stop {stop} %, target {target} %"
    with b.event("exit_template.set", source=Source.USER, actor=user, text=words) as fact:
        if row is None:
            return fact.add(ExitTemplate(user=user, symbol=template.symbol, **values))
        fact.set(row, **values)
    return row


def remove(b: OpenBook, user: Any, symbol: str) -> None:
    """Takes the user's template away: the one for all symbols, or the desk's, holds again. Raises `Refused` NO_TEMPLATE."""
    row = ExitTemplate.objects.filter(user=user, symbol=symbol).first()
    if row is None:
        raise Refused("NO_TEMPLATE", f"You have no exits of your own for {symbol or 'every symbol'}.", field="symbol")
    with b.event("exit_template.removed", source=Source.USER, actor=user, text=f"Exits of {symbol or 'every symbol'}") as fact:
        fact.remove(row)
