"""Exits as they are written down, in rows: pairs of target and stop, each distance in a unit of its own, read into what is placed.

The rule it keeps: a price that is given counts; without one the distance does, on the tick nearest to it. Signs are mirrored where what the
exits close is short. A form of the pages and a word of the command line are read by the same code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from orders.rules.distances import Unit, distance, exit_price, shares
from orders.rules.exit_template import Template
from orders.rules.pricing import PriceRule
from orders.rules.terms import OrderType, plain
from orders.rules.tickets import ExitPair, TicketError


def name_of(number: int, field: str) -> str:
    """The name of a field of a pair, counted from one, as the rules name it too: "pair_2_stop_price"."""
    return f"pair_{number}_{field}"


@dataclass(frozen=True)
class Basis:
    """What the distances are counted from: the entry's price, its direction, and the contract's ticks.

    A position that is `held` may have left its cost behind: its exits may lie on either side of it, or at it.
    """

    entry: Decimal | None  # None: no price to count from, so only prices that are given can be used
    sign: int  # +1 where the entry buys
    rule: PriceRule | None
    held: bool = False
    market: Decimal | None = None  # where a position that is held could be closed now

    @property
    def begins(self) -> Decimal | None:
        """The price that a trailing stop keeps its distance from at first: the market's, or that of an entry that has not filled."""
        return self.market if self.held else self.entry

    def needed(self, row: Row, field: str) -> tuple[Decimal, PriceRule]:
        if self.rule is None:
            raise row.fault(field, "the price ticks of this contract are not known yet, so no price can be counted from a distance")
        if self.entry is None:
            raise row.fault(field, "there is no quote to count this distance from: give the price")
        return self.entry, self.rule


def read_pairs(data: Mapping[str, Any], count: int, total: Decimal, increment: Decimal, basis: Basis) -> tuple[ExitPair, ...]:
    """The pairs that the ticket asks for. Raises `TicketError` naming the field."""
    parts = shares(total, [data.get(name_of(number, "quantity")) for number in range(1, count + 1)], increment)
    return tuple(_pair(Row(number, data), part, basis) for number, part in enumerate(parts, 1))


def first_stop(data: Mapping[str, Any], basis: Basis) -> Decimal | None:
    """Where the stop of the first pair lies, a trailing one where it begins; None where that is not said or cannot be counted."""
    row = Row(1, data)
    try:
        return _price(row, "stop", basis, -1)
    except TicketError:
        return None


@dataclass(frozen=True)
class Row:
    """One pair as it was filled in."""

    number: int
    data: Mapping[str, Any]

    def __getitem__(self, field: str) -> Any:
        return self.data.get(name_of(self.number, field))

    def fault(self, field: str, words: str) -> TicketError:
        return TicketError(name_of(self.number, field), words)


def _pair(row: Row, quantity: Decimal, basis: Basis) -> ExitPair:
    kind = OrderType(row["stop_kind"] or OrderType.STOP.value)
    minutes = row["time_stop"]
    trail = trail_of(row, basis) if kind.trails else {}
    stop = row["stop_price"] if kind.trails else _price(row, "stop", basis, -1)
    target = _price(row, "target", basis, +1, risk=_risk(row, stop, trail, basis))
    limit = offset = None
    if kind is OrderType.STOP_LIMIT:
        limit = _stop_limit(row, stop, basis)
    elif kind is OrderType.TRAIL_LIMIT:
        offset = _offset(row)
        stop = _begins(row, trail, basis) if stop is None else stop
    if target is None and stop is None and not trail:
        raise row.fault("stop", "give a stop or a target: a pair has at least one of them")
    time_stop = timedelta(minutes=float(minutes)) if minutes is not None else None
    return ExitPair(quantity, target, stop, stop_limit_price=limit, **trail, limit_offset=offset, time_stop=time_stop)


def _begins(row: Row, trail: Mapping[str, Decimal], basis: Basis) -> Decimal:
    """Where a trailing stop begins that must be told: at its distance from the market, or from the entry."""
    if basis.begins is None or basis.rule is None:
        raise row.fault("stop_price", "give where it begins: there is no quote to count it from")
    away = trail["trail_amount"] if "trail_amount" in trail else basis.begins * trail["trail_percent"] / 100
    return exit_price(name_of(row.number, "stop"), basis.begins, -away * basis.sign, basis.rule)


def _offset(row: Row) -> Decimal:
    if row["stop_offset"] is None:
        raise row.fault("stop_offset", "give how far past the stop it may still trade")
    return row["stop_offset"]


def _price(row: Row, leg: str, basis: Basis, way: int, risk: Decimal | None = None) -> Decimal | None:
    """The price of a leg: the one that is given, else the distance's; None where neither is."""
    if row[f"{leg}_price"] is not None:
        return row[f"{leg}_price"]
    if row[leg] is None:
        return None
    if row[leg] <= 0 and not basis.held:
        raise row.fault(leg, "must be above zero")
    entry, rule = basis.needed(row, leg)
    name = name_of(row.number, leg)
    away = distance(name, row[leg], unit_of(row, leg), entry=entry, rule=rule, risk=risk)
    return exit_price(name, entry, away * way * basis.sign, rule)


def unit_of(row: Row, leg: str) -> Unit:
    return Unit(row[f"{leg}_unit"] or Unit.PERCENT)


def trail_of(row: Row, basis: Basis) -> dict[str, Decimal]:
    """The distance of a trailing stop: in percent as it is, else as an amount on the tick."""
    value, unit = row["stop"], unit_of(row, "stop")
    if value is None or value <= 0:
        raise row.fault("stop", "give the distance that the trailing stop keeps, above zero")
    if unit is Unit.PERCENT:
        return {"trail_percent": value}
    if unit is Unit.AMOUNT:
        return {"trail_amount": value}
    entry, rule = basis.needed(row, "stop")
    return {"trail_amount": distance("stop", value, unit, entry=entry, rule=rule)}


def _risk(row: Row, stop: Decimal | None, trail: Mapping[str, Decimal], basis: Basis) -> Decimal | None:
    """How far the stop is away, which R counts in."""
    if basis.entry is None:
        return None
    if stop is not None:
        return abs(basis.entry - stop)
    if "trail_amount" in trail:
        return trail["trail_amount"]
    return basis.entry * trail["trail_percent"] / 100 if trail else None


def _stop_limit(row: Row, stop: Decimal | None, basis: Basis) -> Decimal:
    """The limit of a stop limit lies beyond its stop by an offset: below it where the position is long."""
    if stop is None:
        raise row.fault("stop", "give the stop a price or a distance")
    offset = _offset(row)
    if basis.rule is None:
        raise row.fault("stop_offset", "the price ticks of this contract are not known yet, so no price can be counted from a distance")
    return exit_price(name_of(row.number, "stop_offset"), stop, -offset * basis.sign, basis.rule)


def row_of(template: Template) -> dict[str, str]:
    """A user's exits as a row says them."""
    trails = template.trail_percent is not None
    minutes = template.time_stop.total_seconds() / 60 if template.time_stop is not None else None
    return {
        "target": plain(template.profit_target * 100),
        "target_unit": Unit.PERCENT.value,
        "stop_kind": (OrderType.TRAIL if trails else OrderType.STOP).value,
        "stop": plain(template.trail_percent if template.trail_percent is not None else template.stop_loss * 100),
        "stop_unit": Unit.PERCENT.value,
        "time_stop": "" if minutes is None else f"{minutes:g}",
    }
