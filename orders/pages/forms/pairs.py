"""The exits of a bracket as they are filled in: up to five pairs of target and stop, each distance in a unit of its own.

The rule it keeps: a price that is given counts; without one the distance from the entry does, on the tick nearest to it. Signs are
mirrored where the entry sells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy

from orders.pages.forms.reading import Number
from orders.pages.forms.words import STOP_KINDS, STOP_UNITS, TARGET_UNITS
from orders.rules.distances import Unit, distance, exit_price, shares
from orders.rules.pricing import PriceRule
from orders.rules.terms import OrderType
from orders.rules.tickets import ExitPair, TicketError

MOST_PAIRS = 5
"""Rows that the ticket shows at most."""

FIELDS = (
    *("quantity", "target", "target_unit", "target_price", "stop_kind", "stop", "stop_unit", "stop_price", "stop_offset", "time_stop"),
    "typed",  # which of quantity, target and stop a person typed, so that the page's script leaves them as they are; else nothing to us
)


def name_of(number: int, field: str) -> str:
    """The name of a field of a pair, counted from one, as the rules name it too: "pair_2_stop_price"."""
    return f"pair_{number}_{field}"


def pair_fields(number: int) -> dict[str, forms.Field]:
    """The fields of one pair."""
    fields: dict[str, forms.Field] = {
        "quantity": Number(required=False),
        "target": Number(required=False),
        "target_unit": forms.ChoiceField(choices=TARGET_UNITS, required=False),
        "target_price": Number(required=False),
        "stop_kind": forms.ChoiceField(choices=STOP_KINDS, required=False),
        "stop": Number(required=False),
        "stop_unit": forms.ChoiceField(choices=STOP_UNITS, required=False),
        "stop_price": Number(required=False),
        "stop_offset": Number(required=False),
        "time_stop": Number(required=False, error_messages={"invalid": gettext_lazy("Give minutes, as in 90.")}),
        "typed": forms.CharField(required=False, max_length=32, widget=forms.HiddenInput),
    }
    return {name_of(number, field): made for field, made in fields.items()}


@dataclass(frozen=True)
class PairFields:
    """The bound fields of one pair, as a template shows them."""

    number: int
    fields: Mapping[str, forms.BoundField]

    def __getattr__(self, name: str) -> forms.BoundField:
        try:
            return self.fields[name]
        except KeyError:
            raise AttributeError(name) from None


def bound_pair(form: forms.Form, number: int) -> PairFields:
    return PairFields(number, {field: form[name_of(number, field)] for field in FIELDS})


@dataclass(frozen=True)
class Basis:
    """What the distances are counted from: the entry's price, its direction, and the contract's ticks."""

    entry: Decimal | None  # None: no price to count from, so only prices that are given can be used
    sign: int  # +1 where the entry buys
    rule: PriceRule | None

    def needed(self, row: Row, field: str) -> tuple[Decimal, PriceRule]:
        if self.entry is None or self.rule is None:
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
    trail = trail_of(row, basis) if kind is OrderType.TRAIL else {}
    stop = row["stop_price"] if kind is OrderType.TRAIL else _price(row, "stop", basis, -1)
    target = _price(row, "target", basis, +1, risk=_risk(row, stop, trail, basis))
    limit = None
    if kind is OrderType.STOP_LIMIT:
        limit = _stop_limit(row, stop, basis)
    if target is None and stop is None and not trail:
        raise row.fault("stop", "give a stop or a target: a pair has at least one of them")
    time_stop = timedelta(minutes=float(minutes)) if minutes is not None else None
    return ExitPair(quantity=quantity, target_price=target, stop_price=stop, stop_limit_price=limit, **trail, time_stop=time_stop)


def _price(row: Row, leg: str, basis: Basis, way: int, risk: Decimal | None = None) -> Decimal | None:
    """The price of a leg: the one that is given, else the distance's; None where neither is."""
    if row[f"{leg}_price"] is not None:
        return row[f"{leg}_price"]
    if row[leg] is None:
        return None
    entry, rule = basis.needed(row, leg)
    name = name_of(row.number, leg)
    away = distance(name, row[leg], unit_of(row, leg), entry=entry, rule=rule, risk=risk)
    return exit_price(name, entry, away * way * basis.sign, rule)


def unit_of(row: Row, leg: str) -> Unit:
    return Unit(row[f"{leg}_unit"] or Unit.PERCENT)


def trail_of(row: Row, basis: Basis) -> dict[str, Decimal]:
    """The distance of a trailing stop: in percent as it is, else as an amount on the tick."""
    value, unit = row["stop"], unit_of(row, "stop")
    if value is None:
        raise row.fault("stop", "give the distance that the trailing stop keeps")
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
    if row["stop_offset"] is None:
        raise row.fault("stop_offset", "give how far past the stop it may still trade")
    if basis.rule is None:
        raise row.fault("stop_offset", "the price ticks of the contract are not known: look it up first")
    return exit_price(name_of(row.number, "stop_offset"), stop, -row["stop_offset"] * basis.sign, basis.rule)


def pair_names(count: int = MOST_PAIRS) -> Sequence[str]:
    """The names of all fields of the first pairs."""
    return [name_of(number, field) for number in range(1, count + 1) for field in FIELDS]
