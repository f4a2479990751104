"""Which types, times in force and attributes go together: every combination is allowed, or refused naming the field that is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from itertools import product
from typing import Any

import pytest

from orders.rules.faults import TicketError
from orders.rules.offering import ATTRIBUTES, check_attached, check_terms, offered
from orders.rules.terms import AdaptivePriority, OrderTerms, OrderType, Side, TimeInForce, TriggerMethod

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
LATER, LAST = NOW + timedelta(hours=1), NOW + timedelta(hours=3)
T, F = OrderType, TimeInForce

PRICES: dict[OrderType, dict[str, Any]] = {
    T.MARKET: {},
    T.LIMIT: {"limit_price": D("99.5")},
    T.STOP: {"stop_price": D("98")},
    T.STOP_LIMIT: {"stop_price": D("98"), "limit_price": D("97.5")},
    T.TRAIL: {"trail_amount": D("2")},
    T.TRAIL_LIMIT: {"stop_price": D("98"), "trail_percent": D("2"), "limit_offset": D("0.1")},
    T.MARKET_IF_TOUCHED: {"stop_price": D("105")},
    T.LIMIT_IF_TOUCHED: {"stop_price": D("105"), "limit_price": D("104.9")},
    T.MARKET_ON_CLOSE: {},
    T.LIMIT_ON_CLOSE: {"limit_price": D("101")},
}
SET: dict[str, Any] = {
    "outside_rth": True,
    "good_after": LATER,
    "all_or_none": True,
    "hidden": True,
    "display_size": D(10),
    "trigger_method": TriggerMethod.LAST,
    "adaptive": AdaptivePriority.NORMAL,
}

# --- the table, written out by hand: what IB's documents allow ---------------------------------------------------------------------------

ANY_TIME = set(F)
LASTING = {F.DAY, F.GTC, F.GTD}
ALLOWED_TIMES: dict[OrderType, set[TimeInForce]] = {
    T.MARKET: ANY_TIME,
    T.LIMIT: ANY_TIME,
    T.STOP: LASTING,
    T.STOP_LIMIT: LASTING,
    T.TRAIL: LASTING,
    T.TRAIL_LIMIT: LASTING,
    T.MARKET_IF_TOUCHED: LASTING,
    T.LIMIT_IF_TOUCHED: LASTING,
    T.MARKET_ON_CLOSE: {F.DAY},
    T.LIMIT_ON_CLOSE: {F.DAY},
}
TRIGGERED = {T.STOP, T.STOP_LIMIT, T.TRAIL, T.TRAIL_LIMIT, T.MARKET_IF_TOUCHED, T.LIMIT_IF_TOUCHED}
RESTING = {T.LIMIT}
ON_CLOSE = {T.MARKET_ON_CLOSE, T.LIMIT_ON_CLOSE}
ALLOWED_ATTRIBUTES: dict[str, tuple[set[OrderType], set[TimeInForce]]] = {
    "outside_rth": (set(T) - ON_CLOSE, ANY_TIME - {F.OPG}),
    "good_after": (set(T) - ON_CLOSE, LASTING),
    "all_or_none": (set(T), ANY_TIME),
    "hidden": (RESTING, LASTING),
    "display_size": (RESTING, LASTING),
    "trigger_method": (TRIGGERED, LASTING),
    "adaptive": ({T.MARKET, T.LIMIT}, {F.DAY, F.GTC}),
}


def terms_of(order_type: OrderType, time_in_force: TimeInForce = F.DAY, **more: Any) -> OrderTerms:
    good_till = {"good_till": LAST} if time_in_force is F.GTD else {}
    values = {**PRICES[order_type], **good_till, "time_in_force": time_in_force, **more}
    return OrderTerms(Side.SELL, order_type, D(100), **values)


def field_of(terms: OrderTerms, now: datetime | None = NOW) -> str:
    with pytest.raises(TicketError) as error:
        check_terms(terms, now)
    assert error.value.message
    return error.value.field


@pytest.mark.parametrize(("order_type", "time_in_force"), list(product(T, F)))
def test_every_type_with_every_time_in_force(order_type: OrderType, time_in_force: TimeInForce) -> None:
    terms = terms_of(order_type, time_in_force)
    if time_in_force in ALLOWED_TIMES[order_type]:
        check_terms(terms, NOW)
    else:
        assert field_of(terms) == "time_in_force"


@pytest.mark.parametrize("name", ATTRIBUTES)
@pytest.mark.parametrize(("order_type", "time_in_force"), [(t, f) for t, f in product(T, F) if f in ALLOWED_TIMES[t]])
def test_every_attribute_with_every_type_and_time_in_force(order_type: OrderType, time_in_force: TimeInForce, name: str) -> None:
    terms = terms_of(order_type, time_in_force, **{name: SET[name]})
    types, times = ALLOWED_ATTRIBUTES[name]
    if order_type in types and time_in_force in times:
        check_terms(terms, NOW)
    else:
        assert field_of(terms) == name


@pytest.mark.parametrize("order_type", T)
def test_a_form_is_offered_exactly_what_is_let_through(order_type: OrderType) -> None:
    everything = offered([])
    narrowed = everything.for_type(order_type)
    assert {time for time, why in narrowed.times.items() if not why} == ALLOWED_TIMES[order_type]
    for time_in_force in ALLOWED_TIMES[order_type]:
        open_to_it = {name for name, why in everything.for_type(order_type, time_in_force).attributes.items() if not why}
        assert open_to_it == {name for name, (types, times) in ALLOWED_ATTRIBUTES.items() if order_type in types and time_in_force in times}


@pytest.mark.parametrize("order_type", T)
def test_each_type_takes_exactly_its_prices(order_type: OrderType) -> None:
    own = PRICES[order_type]
    for name in ("limit_price", "stop_price", "trail_amount", "trail_percent", "limit_offset"):
        if name in own and name not in ("trail_amount", "trail_percent"):
            assert field_of(replace(terms_of(order_type), **{name: None})) == name
        elif name not in own and not (order_type is T.TRAIL and name == "stop_price"):
            expected = "trail_percent" if order_type.trails and name == "trail_amount" else name
            assert field_of(replace(terms_of(order_type), **{name: D(5)})) == expected
    check_terms(terms_of(order_type), NOW)


def test_a_trail_needs_one_distance_and_may_say_where_it_begins() -> None:
    check_terms(terms_of(T.TRAIL, stop_price=D("98")), NOW)
    assert field_of(terms_of(T.TRAIL, trail_amount=None)) == "trail_amount"
    assert field_of(terms_of(T.TRAIL, trail_percent=D(2))) == "trail_percent"
    for percent, field in (("0", "trail_percent"), ("100", "trail_percent"), ("-1", "trail_percent")):
        assert field_of(terms_of(T.TRAIL, trail_amount=None, trail_percent=D(percent))) == field
    check_terms(terms_of(T.TRAIL, trail_amount=None, trail_percent=D("99.99")), NOW)


def test_the_limit_of_a_trail_limit_may_lie_on_its_stop_but_not_before_it() -> None:
    check_terms(terms_of(T.TRAIL_LIMIT, limit_offset=D(0)), NOW)
    assert field_of(terms_of(T.TRAIL_LIMIT, limit_offset=D("-0.01"))) == "limit_offset"


def test_moments_lie_ahead_and_in_order() -> None:
    assert field_of(terms_of(T.LIMIT, F.GTD, good_till=None)) == "good_till"
    assert field_of(terms_of(T.LIMIT, F.GTC, good_till=LAST)) == "good_till"
    assert field_of(terms_of(T.LIMIT, F.GTD, good_till=NOW)) == "good_till"
    assert field_of(terms_of(T.LIMIT, good_after=NOW)) == "good_after"
    assert field_of(terms_of(T.LIMIT, F.GTD, good_after=LAST)) == "good_after"
    assert field_of(terms_of(T.LIMIT, good_after=LATER.replace(tzinfo=None))) == "good_after"
    check_terms(terms_of(T.LIMIT, F.GTD, good_after=LATER), NOW)
    check_terms(terms_of(T.LIMIT, F.GTD, good_till=NOW - timedelta(days=1)))  # of an order that is there, nobody asks again


@pytest.mark.parametrize("size", ["0", "-1", "1.5", "100", "101"])
def test_what_is_shown_of_an_iceberg_is_whole_and_less_than_all_of_it(size: str) -> None:
    assert field_of(terms_of(T.LIMIT, display_size=D(size))) == "display_size"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("hidden", "display_size"),
        ("all_or_none", "display_size"),
        ("adaptive", "display_size"),
        ("adaptive", "hidden"),
        ("adaptive", "all_or_none"),
        ("adaptive", "good_after"),
    ],
)
def test_attributes_that_shut_one_another_out(one: str, other: str) -> None:
    assert field_of(terms_of(T.LIMIT, **{one: SET[one], other: SET[other]})) == other


def test_an_algorithm_is_no_part_of_a_family() -> None:
    check_attached(terms_of(T.LIMIT))
    with pytest.raises(TicketError, match="single orders"):
        check_attached(terms_of(T.LIMIT, adaptive=AdaptivePriority.URGENT))


def test_moments_are_whole_seconds_as_the_broker_writes_them() -> None:
    assert terms_of(T.LIMIT, good_after=LATER.replace(microsecond=5)) == terms_of(T.LIMIT, good_after=LATER)


# --- what a contract takes --------------------------------------------------------------------------------------------------------------

# As ContractDetails.orderTypes came for a US stock by SMART, an option on one, and a future (recorded by others on real gateways).
STOCK = (
    "ACTIVETIM,AD,ADJUST,ALERT,ALGO,ALLOC,AON,AVGCOST,BASKET,CASHQTY,COND,CONDORDER,DAY,DEACT,DIS,DUR,GAT,GTC,GTD,GTT,HID,ICE,IMB,IOC,LIT,"
    "LMT,LOC,MIDPX,MIT,MKT,MOC,MTL,NONALGO,OCA,OPG,PEGMID,POSTONLY,REL,RTH,SCALE,SNAPMID,STP,STPLMT,SWEEP,TRAIL,TRAILLIT,TRAILLMT,TRAILMIT"
)
FUTURE = (
    "ACTIVETIM,AD,ADJUST,ALERT,ALGO,ALLOC,AVGCOST,BASKET,COND,CONDORDER,DAY,DEACT,GAT,GTC,GTD,GTT,HID,ICE,IOC,LIT,LMT,LTH,MIT,MKT,MTL,"
    "NONALGO,OCA,SCALE,SNAPMID,STP,STPLMT,TRAIL,TRAILLIT,TRAILLMT,TRAILMIT,WHATIF"
)


def refused(order_types: Sequence[str]) -> set[Any]:
    offer = offered(order_types)
    return {str(name) for part in (offer.order_types, offer.times, offer.attributes) for name, why in part.items() if why}


def test_a_list_offers_what_it_names() -> None:
    assert refused(STOCK.split(",")) == {"FOK"}
    assert refused(FUTURE.split(",")) == {"MOC", "LOC", "FOK", "OPG", "all_or_none"}


def test_a_list_that_is_not_known_refuses_nothing_and_a_list_of_types_speaks_of_types() -> None:
    assert refused([]) == set()
    assert refused(["LMT", "MKT", "STP", "STPLMT"]) == {t.value for t in set(T) - {T.MARKET, T.LIMIT, T.STOP, T.STOP_LIMIT}}


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        (terms_of(T.MARKET_ON_CLOSE), "order_type"),
        (terms_of(T.LIMIT, F.FOK), "time_in_force"),
        (terms_of(T.LIMIT, all_or_none=True), "all_or_none"),
    ],
)
def test_what_a_contract_does_not_take_is_named(terms: OrderTerms, field: str) -> None:
    offered([]).check(terms)
    with pytest.raises(TicketError) as error:
        offered(FUTURE.split(",")).check(terms)
    assert error.value.field == field
