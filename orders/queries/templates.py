"""The exit template that holds for a user in a contract: his own for the symbol, else his own for all, else the desk's.

The rule it keeps: a template is of one person. Nobody's exits change because somebody else sets his.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from orders.models import Contract, ExitTemplate
from orders.rules.exit_template import BUILT_IN, Template
from orders.rules.terms import OcaType, TimeInForce


def exits_for(user: Any, contract: Contract) -> Template:
    """The template for this user's exits of the contract. Without a user (a program) it is the desk's."""
    if user is None or user.pk is None:
        return BUILT_IN
    rows = {row.symbol: row for row in ExitTemplate.objects.filter(user_id=user.pk, symbol__in=["", contract.symbol])}
    row = rows.get(contract.symbol) or rows.get("")
    return BUILT_IN if row is None else template_of(row)


def templates_of(user: Any) -> list[Template]:
    """The user's own templates: that for all symbols first, then by symbol."""
    return [template_of(row) for row in ExitTemplate.objects.filter(user_id=user.pk).order_by("symbol")]


def template_of(row: ExitTemplate) -> Template:
    return Template(
        stop_loss=row.stop_loss,
        profit_target=row.profit_target,
        trail_percent=row.trail_percent,
        time_stop=None if row.time_stop_seconds is None else timedelta(seconds=row.time_stop_seconds),
        oca_type=OcaType(row.oca_type),
        time_in_force=TimeInForce(row.time_in_force),
        symbol=row.symbol,
    )
