"""Reading what a caller asks for: numbers as Decimal, words as our words, before anything is hashed or checked.

The rule it keeps: a float never becomes money. What cannot be read is refused as a fault of the ticket, naming the field.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, TypedDict, TypeVar

from orders.errors import Refused
from orders.rules.terms import TERM_NAMES, AdaptivePriority, OrderTerms, OrderType, Side, TimeInForce, TriggerMethod
from orders.rules.tickets import ExitPair, pair_field

W = TypeVar("W", bound=Enum)


class Options(TypedDict, total=False):
    """What an order may carry besides its type, size and prices. Defaults: DAY, regular hours only, no note, duplicates ask back.

    All but `note` and `confirm_duplicate` are terms, by the names of `OrderTerms`.
    """

    time_in_force: TimeInForce
    outside_rth: bool
    good_till: datetime | None
    good_after: datetime | None
    all_or_none: bool
    hidden: bool
    display_size: Decimal | None
    trigger_method: TriggerMethod
    adaptive: AdaptivePriority
    note: str
    confirm_duplicate: bool
    seal: str  # of the preview that was looked at: the order goes out as that one showed it, or not at all
    armed: bool  # sent with one click, in the mode in which nobody looks at a preview


class Changes(TypedDict, total=False):
    """What may be changed of an order, by the names of `OrderTerms`; what is left out, or None, stays."""

    quantity: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    trail_amount: Decimal | None
    trail_percent: Decimal | None
    limit_offset: Decimal | None
    time_in_force: TimeInForce | None
    good_till: datetime | None


DEFAULTS = Options(time_in_force=TimeInForce.DAY, outside_rth=False, note="", confirm_duplicate=False, seal="", armed=False)
ATTRIBUTES = ("good_till", "good_after", "all_or_none", "hidden", "display_size", "trigger_method", "adaptive")
ABOUT_TERMS = frozenset({"time_in_force", "outside_rth", *ATTRIBUTES})


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


PRICES_OF_A_PAIR = ("target_price", "stop_price", "stop_limit_price", "trail_amount", "trail_percent", "limit_offset")


def pairs(given: Sequence[ExitPair]) -> tuple[ExitPair, ...]:
    """The pairs with every number read. Raises `Refused` TICKET, naming the field by the number of its pair."""
    return tuple(
        replace(
            pair,
            quantity=number(pair_field(n, "quantity"), pair.quantity),
            **{name: optional(pair_field(n, name), getattr(pair, name)) for name in PRICES_OF_A_PAIR},
        )
        for n, pair in enumerate(given, 1)
    )


def moment(field: str, value: Any) -> datetime | None:
    """A moment with its time zone, given as such or in ISO 8601. Raises `Refused` TICKET for any other."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = False
    if value is None or (isinstance(value, datetime) and value.tzinfo is not None):
        return value.astimezone(UTC) if value is not None else None
    raise Refused("TICKET", f"{field.replace('_', ' ').capitalize()} must be a date and time with its time zone.", field=field)


def changes(given: Changes) -> dict[str, Any]:
    """The changes that were asked for, in our words. Raises TypeError for what cannot be changed, as Python does for any other argument."""
    if unknown := given.keys() - Changes.__annotations__.keys():
        raise TypeError(f"cannot be changed: {', '.join(sorted(unknown))}")
    readers: dict[str, Callable[[str, Any], Any]] = {
        "time_in_force": lambda field, value: word(TimeInForce, field, value),
        "good_till": moment,
    }
    return {field: readers.get(field, number)(field, value) for field, value in given.items() if value is not None}


def with_defaults(options: Options) -> Options:
    """Raises TypeError for an option that does not exist, as Python does for any other argument."""
    if unknown := options.keys() - Options.__annotations__.keys():
        raise TypeError(f"unknown options: {', '.join(sorted(unknown))}")
    return {**DEFAULTS, **options}


def without_attributes(options: Options) -> Options:
    """The options of a verb whose orders have no attributes: one that would be left out silently raises TypeError."""
    if unused := options.keys() & set(ATTRIBUTES):
        raise TypeError(f"these orders have no {', '.join(sorted(unused))}")
    return with_defaults(options)


def about_the_request(options: Options) -> Options:
    """The options for an order whose terms are complete. Raises TypeError for one that belongs among the terms."""
    if doubled := options.keys() & ABOUT_TERMS:
        raise TypeError(f"these belong to the terms: {', '.join(sorted(doubled))}")
    return with_defaults(options)


def terms(order_type: OrderType, side: Any, quantity: Any, options: Options, **prices: Any) -> OrderTerms:
    """The terms of one order, read from a verb's arguments; `prices` by the names of `OrderTerms`."""
    return OrderTerms(
        side=word(Side, "side", side),
        order_type=order_type,
        quantity=number("quantity", quantity),
        **{field: optional(field, value) for field, value in prices.items()},
        time_in_force=word(TimeInForce, "time_in_force", options["time_in_force"]),
        outside_rth=bool(options["outside_rth"]),
        **attributes(options),
    )


def attributes(options: Options) -> dict[str, Any]:
    """The attributes among the options that were given, in our words."""
    readers: dict[str, Callable[[str, Any], Any]] = {
        "good_till": moment,
        "good_after": moment,
        "all_or_none": lambda field, value: bool(value),
        "hidden": lambda field, value: bool(value),
        "display_size": optional,
        "trigger_method": lambda field, value: word(TriggerMethod, field, value),
        "adaptive": lambda field, value: word(AdaptivePriority, field, value),
    }
    given: dict[str, Any] = {**options}
    return {field: read(field, given[field]) for field, read in readers.items() if field in given}


PRICES = ("limit_price", "stop_price", "trail_amount", "trail_percent", "limit_offset")


def complete(asked: OrderTerms) -> OrderTerms:
    """Terms that a caller made, every value read as a verb's arguments are: a float is refused."""
    given = {name: getattr(asked, name) for name in TERM_NAMES}
    order_type = word(OrderType, "order_type", asked.order_type)
    options: Any = {name: value for name, value in given.items() if name in ABOUT_TERMS}
    return terms(order_type, asked.side, asked.quantity, options, **{name: given[name] for name in PRICES})
