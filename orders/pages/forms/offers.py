"""What a ticket offers for a contract: each type, time in force and attribute, and where it is not taken, why.

The rule it keeps: nothing is left out of a list without a word. What is not taken is shown disabled with its reason; the page's script
gets the same table, so that it changes with the chosen type without asking.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from orders.contracts import offer
from orders.models import Contract
from orders.pages.forms.words import ALL_TIMES_IN_FORCE, ON_OPEN, ORDER_TYPES
from orders.rules.offering import ATTRIBUTES, EXCLUSIVE, Offer, offered
from orders.rules.terms import OrderType, TimeInForce


@dataclass(frozen=True)
class Choice:
    """One entry of a list. `why`: the reason for which it cannot be chosen, "" where it can."""

    value: str
    label: str | Promise
    why: str = ""
    selected: bool = False


@dataclass(frozen=True)
class Offered:
    """The lists of a ticket as they stand for its type and time in force, and the whole table for the script (`table`, JSON)."""

    types: tuple[Choice, ...]
    times: tuple[Choice, ...]
    attributes: Mapping[str, str]
    table: str

    @property
    def types_refused(self) -> list[Choice]:
        return [choice for choice in self.types if choice.why]

    @property
    def times_refused(self) -> list[Choice]:
        return [choice for choice in self.times if choice.why]


def offers_of(contract: Contract | None, order_type: str, time_in_force: str) -> Offered:
    """The offer of a contract, or of IB as a whole where none is chosen yet. Words that are not ours count as LMT and DAY."""
    taken = offered(()) if contract is None else offer(contract)
    chosen, time = _type_and_time(order_type, time_in_force)
    given = taken.for_type(chosen, time)
    return Offered(
        types=tuple(Choice(value, label, _type_why(taken, value), value == order_type) for value, label in ORDER_TYPES),
        times=tuple(Choice(value, label, _time_why(given, order_type, value), value == time.value) for value, label in ALL_TIMES_IN_FORCE),
        attributes=dict(given.attributes),
        table=json.dumps(_table(taken), separators=(",", ":")),
    )


def first_offered(contract: Contract | None, order_type: str) -> str:
    """The type itself where the contract takes it, else the first that it takes."""
    if contract is None:
        return order_type
    taken = offer(contract)
    words = [order_type, *(value for value, _label in ORDER_TYPES)]
    return next((word for word in words if word in _known() and not _type_why(taken, word)), order_type)


def _known() -> list[str]:
    return [value for value, _label in ORDER_TYPES]


def _type_and_time(order_type: str, time_in_force: str) -> tuple[OrderType, TimeInForce]:
    if order_type in ON_OPEN:
        return ON_OPEN[order_type], TimeInForce.OPG
    try:
        return OrderType(order_type), TimeInForce(time_in_force)
    except ValueError:
        return OrderType.LIMIT, TimeInForce.DAY


def _type_why(taken: Offer, word: str) -> str:
    """Why the type is not taken, as a sentence of its own; an order for the opening is one by its time in force."""
    if word in ON_OPEN:
        return taken.order_types[ON_OPEN[word]] or taken.times[TimeInForce.OPG]
    return taken.order_types[OrderType(word)]


def _time_why(given: Offer, order_type: str, time: str) -> str:
    if order_type in ON_OPEN and time != TimeInForce.OPG:
        return _("of %s is OPG: the order is for the opening") % order_type
    return given.times[TimeInForce(time)]


def _table(taken: Offer) -> dict[str, object]:
    """The offer by type and time, each reason written once: "why" has them, and what is refused points there by number."""
    why: list[str] = []

    def number(reason: str) -> int:
        if reason not in why:
            why.append(reason)
        return why.index(reason)

    times: dict[str, dict[str, int]] = {}
    attributes: dict[str, dict[str, int]] = {}
    for word in _known():
        base, _time = _type_and_time(word, TimeInForce.DAY.value)
        given = taken.for_type(base)
        reasons = {time.value: _time_why(given, word, time.value) for time in TimeInForce}
        times[word] = {time: number(reason) for time, reason in reasons.items() if reason}
        for time in (one for one, reason in reasons.items() if not reason):
            refused = taken.for_type(base, TimeInForce(time)).attributes
            attributes[f"{word}|{time}"] = {name: number(refused[name]) for name in ATTRIBUTES if refused[name]}
    exclusive = [[one, other, number(reason)] for one, other, reason in EXCLUSIVE]
    return {"why": why, "times": times, "attributes": attributes, "exclusive": exclusive}
