"""A user's own exits: what a ticket begins with, and what of a ticket is kept as such.

The rule it keeps: they are parts of the entry. A distance in percent is kept as it was typed; any other is measured against the entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from orders.pages.forms.pairs import MOST_PAIRS
from orders.rules.distances import Unit, distance
from orders.rules.exit_rows import Basis, Row, name_of, row_of, trail_of, unit_of
from orders.rules.exit_template import BUILT_IN, Template
from orders.rules.pricing import kept
from orders.rules.terms import OrderType


def default_pair(number: int) -> dict[str, str]:
    """What a fresh row says: the desk's own exits."""
    return {name_of(number, field): value for field, value in row_of(BUILT_IN).items()}


def exits_of(template: Template) -> dict[str, Any]:
    """A user's exits as the ticket shows them: every row begins with them."""
    rows = {name_of(number, field): value for number in range(1, MOST_PAIRS + 1) for field, value in row_of(template).items()}
    return {**rows, "oca_type": str(template.oca_type.value), "exits_time_in_force": template.time_in_force.value}


def template_values(data: Mapping[str, Any], basis: Basis) -> dict[str, Any]:
    """The first pair as the values of a template. Raises `TicketError` naming the field that says too little."""
    row = Row(1, data)
    trails = OrderType(row["stop_kind"] or OrderType.STOP).trails
    percent = _trail_percent(row, basis) if trails else None
    stop = _fraction(row, "stop", basis, None) if percent is None else kept(percent / 100)
    minutes = row["time_stop"]
    return {
        "stop_loss": stop,
        "profit_target": _fraction(row, "target", basis, stop),
        "trail_percent": percent,
        "time_stop": timedelta(minutes=float(minutes)) if minutes is not None else None,
    }


def _trail_percent(row: Row, basis: Basis) -> Decimal:
    trail = trail_of(row, basis)
    if "trail_percent" in trail:
        return trail["trail_percent"]
    entry, _rule = basis.needed(row, "stop")
    return kept(trail["trail_amount"] / entry * 100)


def _fraction(row: Row, leg: str, basis: Basis, risk: Decimal | None) -> Decimal:
    """How far a leg is away, as a fraction of the entry; `risk` is that of the stop. A price leads only where a person typed it."""
    value, unit, price = row[leg], unit_of(row, leg), row[f"{leg}_price"]
    if price is not None and (value is None or leg in (row["typed"] or "").split()):
        entry, _rule = basis.needed(row, leg)
        return kept(abs(price - entry) / entry)
    if value is None:
        raise row.fault(leg, "give a distance: your exits have a target and a stop")
    if unit is Unit.PERCENT:
        return kept(value / 100)
    if unit is Unit.RISK and risk is not None:
        return kept(value * risk)
    entry, rule = basis.needed(row, leg)
    return kept(distance(leg, value, unit, entry=entry, rule=rule) / entry)
