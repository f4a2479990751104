"""Which order types, times in force and attributes go together at IB, and what of it a contract takes: one table each.

The rule it keeps: what IB refuses is refused here first, as a `TicketError` that names the field and the rule; what IB's documents leave
open is let through, and IB has the last word. Forms offer by the same tables, so that a person is never offered what would be refused.

Sources: IB's "Message Codes" (by number), the TWS users' guide ("Times in Force for Orders", "Order Types", the pages of each attribute),
and `ContractDetails.orderTypes`, which lists a contract's types, times and attributes in words of its own (STPLMT, GAT, AON ...).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from orders.rules.faults import TicketError, check_number
from orders.rules.terms import AdaptivePriority, OrderTerms, OrderType, TimeInForce, TriggerMethod

_LASTING = frozenset({TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD})

TIMES: Mapping[OrderType, frozenset[TimeInForce]] = {
    order_type: frozenset(TimeInForce)
    if order_type in (OrderType.MARKET, OrderType.LIMIT)
    else frozenset({TimeInForce.DAY})
    if order_type.is_on_close
    else _LASTING
    for order_type in OrderType
}
"""The times in force of each type. 111: the two do not go together; 113: MOC and LOC are DAY; OPG makes MOO and LOO of MKT and LMT."""

ATTRIBUTES = ("outside_rth", "good_after", "all_or_none", "hidden", "display_size", "trigger_method", "adaptive")
"""What an order may have besides its type, its prices and its time in force, by the names of `OrderTerms`."""


def time_refusal(order_type: OrderType, time_in_force: TimeInForce) -> str:
    """Why this time in force does not go with the type (IB 111, 113), after the words "time in force"; "" where it does."""
    if time_in_force in TIMES[order_type]:
        return ""
    if order_type.is_on_close:
        return f"of {order_type} is DAY: the order is for this day's closing auction (IB 113)"
    rule = "makes a market or limit order one for the opening" if time_in_force is TimeInForce.OPG else "is for MKT and LMT only"
    return f"cannot be {time_in_force} for {order_type}: {time_in_force} {rule} (IB 111)"


# --- attributes by type and time in force -----------------------------------------------------------------------------------------------


def _outside_rth(order_type: OrderType, time_in_force: TimeInForce) -> str:
    """351, 411: such an order cannot fill outside regular hours; where the gateway only ignores it (2109) it would promise what is not."""
    if order_type.is_on_close or time_in_force is TimeInForce.OPG:
        return "is not for auctions: opening and close lie in regular hours (IB 351)"
    return ""


def _good_after(order_type: OrderType, time_in_force: TimeInForce) -> str:
    """111: an order that trades at once or never has no later moment to begin. 338: nor has one for an auction."""
    if order_type.is_on_close or time_in_force is TimeInForce.OPG:
        return "is not for auctions: the order goes live with them (IB 338)"
    return f"does not go with {time_in_force} (IB 111)" if time_in_force.is_immediate else ""


def _hidden(order_type: OrderType, time_in_force: TimeInForce) -> str:
    """152. TWS users' guide, Hidden: it keeps a resting limit order out of the market's data; nothing else rests there to be seen."""
    return _for_resting(order_type, time_in_force, 152)


def _display_size(order_type: OrderType, time_in_force: TimeInForce) -> str:
    """10255. TWS users' guide, Iceberg/Reserve: part of a resting limit order is shown (10020 for its size)."""
    return _for_resting(order_type, time_in_force, 10255)


def _for_resting(order_type: OrderType, time_in_force: TimeInForce, code: int) -> str:
    if order_type is not OrderType.LIMIT:
        return f"is for LMT orders, not for {order_type} (IB {code})"
    if time_in_force.is_immediate or time_in_force is TimeInForce.OPG:
        return f"does not go with {time_in_force}: the order never rests in the market (IB {code})"
    return ""


def _trigger_method(order_type: OrderType, time_in_force: TimeInForce) -> str:
    """146: a trigger method where nothing is triggered."""
    return "" if order_type.has_trigger or order_type.trails else f"is for orders with a trigger, and {order_type} has none (IB 146)"


def _adaptive(order_type: OrderType, time_in_force: TimeInForce) -> str:
    """442: the algorithm's base order is MKT or LMT, and it works by the day: no auction, nothing immediate, no moment at which it ends."""
    if order_type not in (OrderType.MARKET, OrderType.LIMIT):
        return f"works on MKT and LMT only, not on {order_type} (IB 442)"
    if time_in_force not in (TimeInForce.DAY, TimeInForce.GTC):
        return f"works DAY or GTC, not {time_in_force} (IB 442)"
    return ""


_ATTRIBUTE_RULES: Mapping[str, Callable[[OrderType, TimeInForce], str]] = {
    "outside_rth": _outside_rth,
    "good_after": _good_after,
    "all_or_none": lambda order_type, time_in_force: "",
    "hidden": _hidden,
    "display_size": _display_size,
    "trigger_method": _trigger_method,
    "adaptive": _adaptive,
}

EXCLUSIVE: tuple[tuple[str, str, str], ...] = (
    # (attribute, the one it shuts out, why): the second is the field that is named
    ("hidden", "display_size", "does not go with hidden: of a hidden order nothing is shown (IB 10255)"),
    ("all_or_none", "display_size", "does not go with all or none: what trades whole is not shown in parts (IB 10257)"),
    ("adaptive", "display_size", "does not go with Adaptive: the algorithm shows what it likes (IB 10255)"),
    ("adaptive", "hidden", "does not go with Adaptive (IB 152)"),
    ("adaptive", "all_or_none", "does not go with Adaptive: the algorithm trades in parts (IB 10257)"),
    ("adaptive", "good_after", "does not go with Adaptive (IB 442)"),
)


def attribute_refusal(name: str, order_type: OrderType, time_in_force: TimeInForce) -> str:
    """Why the attribute does not go with the type and the time in force, after the attribute's name; "" where it does."""
    return _ATTRIBUTE_RULES[name](order_type, time_in_force)


def has(terms: OrderTerms, name: str) -> bool:
    """Whether the terms use the attribute."""
    return getattr(terms, name) not in (None, False, TriggerMethod.DEFAULT, AdaptivePriority.NONE)


# --- one order's own sense --------------------------------------------------------------------------------------------------------------


def check_terms(terms: OrderTerms, now: datetime | None = None) -> None:
    """A single order's own sense: quantity, exactly the prices of its type, times and attributes that go together at IB.

    Moments are compared with `now` where it is given: they must be ahead when an order is placed, and may have passed when one that works
    is changed. Raises `TicketError` with the first field that is wrong.
    """
    check_number("quantity", terms.quantity)
    _check_prices(terms)
    _refuse("time_in_force", time_refusal(terms.order_type, terms.time_in_force))
    _check_moments(terms, now)
    used = [name for name in ATTRIBUTES if has(terms, name)]
    for name in used:
        _refuse(name, attribute_refusal(name, terms.order_type, terms.time_in_force))
    for one, other, why in EXCLUSIVE:
        if one in used and other in used:
            raise TicketError(other, why)
    _check_display_size(terms)


def check_attached(terms: OrderTerms) -> None:
    """An order with a parent, children or a group. IB: an algorithm (IBALGO) is no part of a bracket, in TWS nor through the API."""
    if terms.adaptive is not AdaptivePriority.NONE:
        raise TicketError("adaptive", "is for single orders: IB attaches no bracket to an algorithm's order")


def _refuse(field: str, why: str) -> None:
    if why:
        raise TicketError(field, why)


def _check_prices(terms: OrderTerms) -> None:
    """Exactly the prices that the type has: 107, 403 without a trigger, 158 and 159 without a trail.

    A TRAIL LIMIT needs the stop it begins at (IB trailStopPrice); a TRAIL may leave it to IB, which counts from the market.
    """
    order_type = terms.order_type
    may_begin = order_type is OrderType.TRAIL
    for field, wanted in (
        ("limit_price", order_type.has_limit),
        ("stop_price", order_type.has_trigger or order_type is OrderType.TRAIL_LIMIT or (may_begin and terms.stop_price is not None)),
    ):
        if wanted:
            # Spreads and some futures trade at or below zero; a single contract that does is refused by its market rule instead.
            check_number(field, getattr(terms, field))
        else:
            _not_used(terms, field)
    if order_type.trails:
        _check_trail(terms)
    else:
        _not_used(terms, "trail_amount")
        _not_used(terms, "trail_percent")
    if order_type is OrderType.TRAIL_LIMIT:
        check_number("limit_offset", terms.limit_offset, positive=False)
        if terms.limit_offset is not None and terms.limit_offset < 0:
            raise TicketError("limit_offset", "must not be below zero")
    else:
        _not_used(terms, "limit_offset")


def _not_used(terms: OrderTerms, field: str) -> None:
    if getattr(terms, field) is not None:
        raise TicketError(field, f"is not used by an order of type {terms.order_type}")


def _check_trail(terms: OrderTerms) -> None:
    """One distance: an amount (IB auxPrice) or a percentage (trailingPercent), never both (159)."""
    if terms.trail_amount is not None and terms.trail_percent is not None:
        raise TicketError("trail_percent", "and a trailing amount exclude each other: give one of them")
    if terms.trail_percent is None:
        check_number("trail_amount", terms.trail_amount)
        return
    check_number("trail_percent", terms.trail_percent)
    if terms.trail_percent >= 100:
        raise TicketError("trail_percent", "must be below 100")


def _check_moments(terms: OrderTerms, now: datetime | None) -> None:
    """334, 336, 337, 343, 391: dates that are missing, past or in the wrong order."""
    if terms.time_in_force is TimeInForce.GTD and terms.good_till is None:
        raise TicketError("good_till", "is required for GTD")
    if terms.time_in_force is not TimeInForce.GTD and terms.good_till is not None:
        raise TicketError("good_till", f"is for GTD only, not for {terms.time_in_force}")
    for field, moment in (("good_till", terms.good_till), ("good_after", terms.good_after)):
        if moment is not None and moment.tzinfo is None:
            raise TicketError(field, "must name its time zone")
        if moment is not None and now is not None and moment <= now:
            raise TicketError(field, "must lie in the future")
    if terms.good_till is not None and terms.good_after is not None and terms.good_after >= terms.good_till:
        raise TicketError("good_after", "must come before the order's end")


def _check_display_size(terms: OrderTerms) -> None:
    """10020: the display size is smaller than the order. On the wire it is a whole number."""
    size = terms.display_size
    if size is None:
        return
    check_number("display_size", size)
    if size != size.to_integral_value():
        raise TicketError("display_size", "must be a whole number")
    if size >= terms.quantity:
        raise TicketError("display_size", "must be below the quantity (IB 10020)")


# --- what a contract takes --------------------------------------------------------------------------------------------------------------

_ATTRIBUTE_WORDS = {"good_after": "GAT", "all_or_none": "AON", "hidden": "HID", "display_size": "ICE", "adaptive": "ALGO"}
"""IB's words in ContractDetails.orderTypes. "RTH" is in the lists of stocks and not of futures, which trade at night all the same, and a
trigger method has no word: of these two a list says nothing."""


def type_word(order_type: OrderType) -> str:
    """The type as ContractDetails.orderTypes spells it: STPLMT, TRAILLMT."""
    return {OrderType.TRAIL_LIMIT: "TRAILLMT"}.get(order_type, order_type.value.replace(" ", ""))


@dataclass(frozen=True)
class Offer:
    """What may be asked of a contract: each type, time in force and attribute with the reason why it is not offered, "" where it is."""

    order_types: Mapping[OrderType, str]
    times: Mapping[TimeInForce, str]
    attributes: Mapping[str, str]

    def for_type(self, order_type: OrderType, time_in_force: TimeInForce | None = None) -> Offer:
        """The same with the reasons that the type gives, and the time in force where there is one: what a form offers next."""
        times = {one: why or time_refusal(order_type, one) for one, why in self.times.items()}
        if time_in_force is None:
            time_in_force = next((one for one, why in times.items() if not why), TimeInForce.DAY)
        attributes = {name: why or attribute_refusal(name, order_type, time_in_force) for name, why in self.attributes.items()}
        return Offer(self.order_types, times, attributes)

    def check(self, terms: OrderTerms) -> None:
        """Raises `TicketError` for the first thing that the contract does not take (387, 10268)."""
        _refuse("order_type", self.order_types[terms.order_type])
        _refuse("time_in_force", self.times[terms.time_in_force])
        for name, why in self.attributes.items():
            if why and has(terms, name):
                raise TicketError(name, why)


def offered(order_types: Sequence[str]) -> Offer:
    """Reads a contract's list of order types. An empty list is not known, and one without any time in force speaks of types alone."""
    words = frozenset(order_types)
    tells_more = any(time.value in words for time in TimeInForce)

    def missing(word: str, value: str = "") -> str:
        named = f"cannot be {value}: IB does not offer it" if value else "is not offered by IB"
        return "" if word in words else f"{named} for this contract ({word} is not among its order types)"

    return Offer(
        order_types={one: missing(type_word(one), one.value) if words else "" for one in OrderType},
        times={one: missing(one.value, one.value) if tells_more else "" for one in TimeInForce},
        attributes={name: missing(word) if tells_more and (word := _ATTRIBUTE_WORDS.get(name)) else "" for name in ATTRIBUTES},
    )


def distances(terms: OrderTerms) -> dict[str, Decimal]:
    """The terms that are distances between prices and lie on the tick of those prices: trailing amount and limit offset."""
    values = {"trail_amount": terms.trail_amount, "limit_offset": terms.limit_offset}
    return {field: value for field, value in values.items() if value is not None}
