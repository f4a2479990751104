"""Reading what a caller asks for: numbers as Decimal, words as our words, before anything is hashed or checked.

The rule it keeps: a float never becomes money. What cannot be read is refused as a fault of the ticket, naming the field.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, TypedDict, TypeVar

from orders.errors import Refused
from orders.rules.terms import OrderTerms, OrderType, Side, TimeInForce

W = TypeVar("W", bound=Enum)


class Options(TypedDict, total=False):
    """What an order may carry besides its type, size and prices. Defaults: DAY, regular hours only, no note, duplicates ask back."""

    time_in_force: TimeInForce
    outside_rth: bool
    note: str
    confirm_duplicate: bool
    seal: str  # of the preview that was looked at: the order goes out as that one showed it, or not at all
    armed: bool  # sent with one click, in the mode in which nobody looks at a preview


DEFAULTS = Options(time_in_force=TimeInForce.DAY, outside_rth=False, note="", confirm_duplicate=False, seal="", armed=False)


def number(field: str, value: Any) -> Decimal:
    """The number as Decimal. Raises `Refused` TICKET for floats and for what is not a finite number."""
    try:
        found = Decimal(value) if isinstance(value, Decimal | int | str) and not isinstance(value, bool) else None
    except InvalidOperation:
        found = None
    if found is None or not found.is_finite():
        raise Refused("TICKET", f"{field.replace('_', ' ').capitalize()} must be a decimal number.", field=field)
    return found


def optional(field: str, value: Any) -> Decimal | None:
    return None if value is None else number(field, value)


def word(words: type[W], field: str, value: Any) -> W:
    """One of our words, given as such or as its value. Raises `Refused` TICKET for any other."""
    try:
        return words(value)
    except ValueError:
        known = ", ".join(str(member.value) for member in words)
        raise Refused("TICKET", f"{field.replace('_', ' ').capitalize()} must be one of {known}.", field=field) from None


def with_defaults(options: Options) -> Options:
    """Raises TypeError for an option that does not exist, as Python does for any other argument."""
    if unknown := options.keys() - DEFAULTS.keys():
        raise TypeError(f"unknown options: {', '.join(sorted(unknown))}")
    return {**DEFAULTS, **options}


def terms(
    order_type: OrderType, side: Any, quantity: Any, options: Options, *, limit_price: Any = None, stop_price: Any = None
) -> OrderTerms:
    """The terms of one order, read from a verb's arguments."""
    return OrderTerms(
        side=word(Side, "side", side),
        order_type=order_type,
        quantity=number("quantity", quantity),
        limit_price=optional("limit_price", limit_price),
        stop_price=optional("stop_price", stop_price),
        time_in_force=word(TimeInForce, "time_in_force", options["time_in_force"]),
        outside_rth=bool(options["outside_rth"]),
    )
