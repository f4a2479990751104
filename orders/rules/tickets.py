"""What a trader asks for, checked for sense before anything else looks at it: single order, bracket, OCA exit, modification.

A ticket that makes no sense raises `TicketError` naming the field and the rule. Whether it is *allowed* is for `limits`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from orders.rules.faults import TicketError, check_number
from orders.rules.offering import check_attached, check_terms
from orders.rules.terms import OcaType, OrderTerms, OrderType, Role, Side, TimeInForce, plain, terms_to_json

MAX_PAIRS = 10
ENTRY_TYPES = frozenset({OrderType.MARKET, OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT})
SHORTEST_TIME_STOP, LONGEST_TIME_STOP = timedelta(seconds=1), timedelta(days=90)

__all__ = [
    "BracketTicket",
    "ExitPair",
    "ExitsTicket",
    "PlaceRequest",
    "TicketError",
    "check_bracket",
    "check_exits",
    "check_number",
    "check_pairs",
    "check_stop_limit",
    "check_terms",
    "legs",
    "pair_field",
    "pair_to_json",
    "request_to_json",
]


@dataclass(frozen=True)
class ExitPair:
    """One way out for a part of what is held: a target, a stop, or both, and perhaps a time stop. What fills first shuts out the others.

    The stop is fixed (STP), a stop limit where `stop_limit_price` is given, or trailing (TRAIL), where a `stop_price` is where it begins.
    One that trails is a limit order when it goes off (TRAIL LIMIT) where `limit_offset` says how far its limit lies behind it.
    The time stop is a market order that goes live when its time has passed since the ticket was sent.
    """

    quantity: Decimal
    target_price: Decimal | None = None
    stop_price: Decimal | None = None
    stop_limit_price: Decimal | None = None
    trail_amount: Decimal | None = None
    trail_percent: Decimal | None = None
    limit_offset: Decimal | None = None
    time_stop: timedelta | None = None

    @property
    def trails(self) -> bool:
        return self.trail_amount is not None or self.trail_percent is not None

    @property
    def has_stop(self) -> bool:
        return self.trails or self.stop_price is not None


@dataclass(frozen=True)
class BracketTicket:
    """An entry with its ways out, which live from the entry's fill: each pair is an OCA group of its own, all are children of the entry.

    The quantities of the pairs sum to the entry's. Without an `oca_type`, which only a single pair may lack, no group is named and the
    broker links the entry's children in its own way.
    """

    entry: OrderTerms
    pairs: tuple[ExitPair, ...]
    oca_type: OcaType | None = OcaType.CANCEL_WITH_BLOCK
    exits_time_in_force: TimeInForce = TimeInForce.GTC
    exits_outside_rth: bool = False


@dataclass(frozen=True)
class ExitsTicket:
    """Ways out of a position that is there already, each pair an OCA group of its own.

    The pairs sum to at most what no other order works to close. `side` is the exits' own, where whoever asks has seen the position: they
    are not the exits of one that has turned since. Without it they are on whatever side closes it.
    """

    pairs: tuple[ExitPair, ...]
    side: Side | None = None
    oca_type: OcaType = OcaType.CANCEL_WITH_BLOCK
    time_in_force: TimeInForce = TimeInForce.GTC
    outside_rth: bool = False

    @property
    def quantity(self) -> Decimal:
        """What the pairs close together."""
        return sum((pair.quantity for pair in self.pairs), Decimal(0))


PlaceRequest = OrderTerms | BracketTicket | ExitsTicket


def check_bracket(ticket: BracketTicket, now: datetime | None = None) -> None:
    """The entry's type, the number and sum of the pairs, and each pair's prices beside each other and the entry's.

    Fields of pairs are named by their number: "pair_2_stop_price".
    """
    entry = ticket.entry
    _check_entry(entry)
    check_terms(entry, now)
    if ticket.oca_type is None and len(ticket.pairs) > 1:
        raise TicketError("oca_type", "is needed where there are several pairs of exits")
    check_pairs(ticket.pairs, entry.side, ticket.exits_time_in_force, prices=entry_prices(entry))
    total = sum((pair.quantity for pair in ticket.pairs), Decimal(0))
    if total != entry.quantity:
        raise TicketError("pairs", f"must sum to the entry's quantity of {plain(entry.quantity)}, not to {plain(total)}")
    for number, pair in enumerate(ticket.pairs, 1):
        if pair.trails and entry.order_type not in (OrderType.LIMIT, OrderType.STOP_LIMIT):
            field = "trail_percent" if pair.trail_amount is None else "trail_amount"
            words = "goes only with a LMT or STP LMT entry (IB 328); put the trailing stop on the position once the entry has filled"
            raise TicketError(pair_field(number, field), words)
        if pair.time_stop is not None and (entry.order_type is not OrderType.MARKET or entry.good_after is not None):
            words = "counts from the sending, so it goes only with a MKT entry; put it on the position once the entry has filled"
            raise TicketError(pair_field(number, "time_stop"), words)


def _check_entry(entry: OrderTerms) -> None:
    if entry.order_type not in ENTRY_TYPES:
        raise TicketError("order_type", "the entry of a bracket is MKT, LMT, STP or STP LMT")
    if entry.time_in_force is TimeInForce.IOC:
        # Its rest is cancelled with the first fill, and a cancelled parent takes its children away (IB).
        raise TicketError("time_in_force", "cannot be IOC: what has not traded is cancelled at once, and the exits of the rest with it")
    check_attached(entry)


def entry_prices(entry: OrderTerms) -> tuple[Decimal, ...]:
    """The prices that an entry may fill around: its limit, its trigger, or both; none for a market order."""
    return tuple(price for price in (entry.stop_price, entry.limit_price) if price is not None)


def check_pairs(pairs: Sequence[ExitPair], entry_side: Side, time_in_force: TimeInForce, *, prices: Sequence[Decimal] = ()) -> None:
    """Each pair in itself and against the entry's `prices`. `entry_side` is the side that opened what the pairs close."""
    if not 1 <= len(pairs) <= MAX_PAIRS:
        raise TicketError("pairs", f"must be 1 to {MAX_PAIRS}")
    if time_in_force not in (TimeInForce.DAY, TimeInForce.GTC):
        raise TicketError("exits_time_in_force", "must be DAY or GTC: an exit waits until it is needed")
    for number, pair in enumerate(pairs, 1):
        try:
            _check_legs(pair)
            _check_sides(pair, entry_side.sign, prices)
        except TicketError as error:
            raise TicketError(pair_field(number, error.field), error.message) from None


def pair_field(number: int, field: str) -> str:
    """How a ticket names a field of its pair of this number, counted from one."""
    return f"pair_{number}_{field}"


def _check_legs(pair: ExitPair) -> None:
    """Which prices a pair may have together."""
    check_number("quantity", pair.quantity)
    for field in ("target_price", "stop_price", "stop_limit_price", "trail_amount", "trail_percent"):
        check_number(field, getattr(pair, field), required=False)
    if pair.target_price is None and not pair.has_stop:
        raise TicketError("stop_price", "or a trailing distance or a target is needed")
    if pair.trail_amount is not None and pair.trail_percent is not None:
        raise TicketError("trail_percent", "and a trailing amount exclude each other")
    if pair.trail_percent is not None and pair.trail_percent >= 100:
        raise TicketError("trail_percent", "must be below 100")
    if pair.stop_limit_price is not None and pair.trails:
        raise TicketError("stop_limit_price", "does not go with a trailing stop")
    if pair.stop_limit_price is not None and pair.stop_price is None:
        raise TicketError("stop_limit_price", "needs a stop price")
    _check_limit_offset(pair)
    if pair.time_stop is not None and not SHORTEST_TIME_STOP <= pair.time_stop <= LONGEST_TIME_STOP:
        raise TicketError("time_stop", "must be between one second and 90 days")


def _check_limit_offset(pair: ExitPair) -> None:
    if pair.limit_offset is None:
        return
    check_number("limit_offset", pair.limit_offset, positive=False)
    if pair.limit_offset < 0:
        raise TicketError("limit_offset", "must not be below zero")
    if not pair.trails:
        raise TicketError("limit_offset", "goes with a trailing stop; a fixed one has a limit of its own")
    if pair.stop_price is None:
        raise TicketError("stop_price", "is needed: a trailing stop with a limit must be told where it begins (IB trailStopPrice)")


def _check_sides(pair: ExitPair, sign: int, prices: Sequence[Decimal]) -> None:
    """The pair's prices beside the entry's, and a stop's limit not before the stop. `sign` is +1 where the entry buys."""
    check_exits(sign, prices, pair.target_price, pair.stop_price)
    for price in prices:
        if pair.trail_amount is not None and pair.trail_amount >= price:
            raise TicketError("trail_amount", f"must be less than the entry's price of {plain(price)}")
    check_stop_limit(sign, pair.stop_price, pair.stop_limit_price)


def check_exits(sign: int, prices: Sequence[Decimal], target: Decimal | None, stop: Decimal | None) -> None:
    """Target beyond the stop and beyond each price that the entry may fill at, stop before it; what is None is not compared.

    A target on the wrong side of its entry would trade the moment the entry fills. Raises `TicketError` on "target_price" or "stop_price".
    """
    below, above = ("below", "above") if sign > 0 else ("above", "below")
    if target is not None and stop is not None and (target - stop) * sign <= 0:
        raise TicketError("stop_price", f"must be {below} the target of a {'long' if sign > 0 else 'short'} position")
    for price in prices:
        if target is not None and (target - price) * sign <= 0:
            raise TicketError("target_price", f"must be {above} the entry's price of {plain(price)}")
        if stop is not None and (price - stop) * sign <= 0:
            raise TicketError("stop_price", f"must be {below} the entry's price of {plain(price)}")


def check_stop_limit(sign: int, stop: Decimal | None, limit: Decimal | None) -> None:
    """The limit of a protecting stop lies at the stop or beyond it, where the market comes to when the stop goes off."""
    if stop is not None and limit is not None and (limit - stop) * sign > 0:
        above = "above" if sign > 0 else "below"
        raise TicketError("stop_limit_price", f"must not be {above} the stop: it would not trade when the stop goes off")


def legs(
    pair: ExitPair,
    side: Side,
    *,
    time_in_force: TimeInForce,
    outside_rth: bool,
    now: datetime,
) -> list[tuple[Role, OrderTerms]]:
    """The orders of a pair in the order in which they are sent: what protects first, then the target, then the time stop.

    `side` is the exits' own. A time stop counts from `now`; IB takes whole seconds, and a market order outside regular hours is none.
    """
    common = {"side": side, "quantity": pair.quantity, "time_in_force": time_in_force}
    found: list[tuple[Role, OrderTerms]] = []
    if pair.has_stop:
        trailing = OrderType.TRAIL if pair.limit_offset is None else OrderType.TRAIL_LIMIT
        fixed = OrderType.STOP if pair.stop_limit_price is None else OrderType.STOP_LIMIT
        terms = OrderTerms(
            order_type=trailing if pair.trails else fixed,
            stop_price=pair.stop_price,
            limit_price=pair.stop_limit_price,
            trail_amount=pair.trail_amount,
            trail_percent=pair.trail_percent,
            limit_offset=pair.limit_offset,
            outside_rth=outside_rth,
            **common,
        )
        found.append((Role.STOP_LOSS, terms))
    if pair.target_price is not None:
        target = OrderTerms(order_type=OrderType.LIMIT, limit_price=pair.target_price, outside_rth=outside_rth, **common)
        found.append((Role.TAKE_PROFIT, target))
    if pair.time_stop is not None:
        when = (now + pair.time_stop).replace(microsecond=0)
        found.append((Role.TIME_STOP, OrderTerms(order_type=OrderType.MARKET, good_after=when, **common)))
    return found


def request_to_json(request: PlaceRequest) -> dict[str, Any]:
    """A request as it is hashed and kept: the same for the same request, however its numbers are spelled."""
    if isinstance(request, OrderTerms):
        return terms_to_json(request)
    if isinstance(request, ExitsTicket):
        return {
            "pairs": [pair_to_json(pair) for pair in request.pairs],
            "side": request.side and request.side.value,
            "oca_type": int(request.oca_type),
            "time_in_force": request.time_in_force.value,
            "outside_rth": request.outside_rth,
        }
    return {
        "entry": terms_to_json(request.entry),
        "pairs": [pair_to_json(pair) for pair in request.pairs],
        "oca_type": request.oca_type and int(request.oca_type),
        "exits_time_in_force": request.exits_time_in_force.value,
        "exits_outside_rth": request.exits_outside_rth,
    }


def pair_to_json(pair: ExitPair) -> dict[str, Any]:
    """The pair's values that are set: decimals as text, the time stop in seconds."""
    values = {field.name: getattr(pair, field.name) for field in fields(pair)}
    found = {name: plain(value) for name, value in values.items() if isinstance(value, Decimal)}
    return found if pair.time_stop is None else {**found, "time_stop": pair.time_stop.total_seconds()}
