"""Immediate orders, all-or-none orders and good-after times on the simulated exchange, and which time in force goes with which type."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.simulator.model import OrderRequest
from broker.tests.simulator.tickets import at, stop_of, touched, trail
from broker.tests.simulator.trading import (
    EURUSD,
    NOON,
    SECOND,
    bracket,
    errors,
    fills,
    held,
    limit,
    order_lines,
    quiet,
    quote,
    remaining,
    status,
    stop,
    ticket,
)

ONE = NOON + timedelta(hours=1)
AT_ONE = {"goodAfterTime": "20261118-18:00:00"}


# --- immediate or cancel, fill or kill, all or none ---------------------------------------------------------------------------------


def test_immediate_order_takes_what_is_there_and_the_rest_is_cancelled_without_a_code() -> None:
    exchange = quiet()
    quote(exchange, "100.00", "100.02", size=40)
    assert order_lines(exchange.submit(limit(1, "BUY", 100, "100.02", tif="IOC"), NOON)) == [
        "1 PreSubmitted 0/100",
        "1 fill 40 @ 100.02",
        "1 Submitted 40/60",
        "1 PendingCancel 40/60",
        "1 Cancelled 40/60",
    ]
    assert fills(exchange.tick(NOON + 2 * SECOND)) == []


def test_immediate_order_away_from_the_market_is_cancelled() -> None:
    exchange = quiet()
    assert order_lines(exchange.submit(limit(1, "BUY", 100, "99.00", tif="IOC"), NOON))[-2:] == [
        "1 PendingCancel 0/100",
        "1 Cancelled 0/100",
    ]


@pytest.mark.parametrize("terms", [limit(1, "BUY", 100, "101.00", tif="FOK"), ticket(1, tif="FOK")])
def test_fill_or_kill_is_all_or_nothing_at_once(terms: OrderRequest) -> None:
    exchange = quiet()
    quote(exchange, "100.00", "100.02", size=99)
    assert order_lines(exchange.submit(terms, NOON))[-2:] == ["1 PendingCancel 0/100", "1 Cancelled 0/100"]
    quote(exchange, "100.00", "100.02", size=100)
    assert order_lines(exchange.submit(replace(terms, order_id=2), NOON))[-1] == "2 Filled 100/0"
    assert held(exchange) == 100


def test_killed_order_is_told_as_inactive_where_that_is_set() -> None:
    exchange = quiet()
    exchange.kills_as_inactive = True
    assert order_lines(exchange.submit(limit(1, "BUY", 100, "99.00", tif="FOK"), NOON))[-1] == "1 Inactive 0/100"
    assert status(exchange, 1) == "Inactive"
    assert order_lines(exchange.submit(limit(2, "BUY", 100, "99.00", tif="IOC"), NOON))[-1] == "2 Cancelled 0/100"


def test_all_or_none_waits_until_the_whole_is_displayed() -> None:
    exchange = quiet()
    quote(exchange, "100.00", "100.02", size=99)
    order = limit(1, "BUY", 100, "100.02", wire={"allOrNone": "1"})
    assert order_lines(exchange.submit(order, NOON))[-1] == "1 Submitted 0/100"
    assert fills(exchange.tick(NOON + 2 * SECOND)) == []
    assert [fill.shares for fill in fills(quote(exchange, "100.00", "100.02", size=100))] == [100]


def test_cancelled_immediate_parent_takes_its_children() -> None:
    exchange = quiet()
    exchange.submit(limit(1, "BUY", 100, "99.00", tif="IOC", transmit=False), NOON)
    exchange.submit(stop(2, "SELL", 100, "97.00", parent_id=1), NOON)
    assert exchange.open_orders() == []
    assert status(exchange, 2) == "Cancelled"


def test_immediate_child_gets_its_chance_when_its_parent_fills() -> None:
    exchange = quiet()
    exchange.submit(limit(1, "BUY", 100, "99.00", transmit=False), NOON)
    exchange.submit(limit(2, "SELL", 100, "120.00", parent_id=1, tif="IOC"), NOON)
    assert status(exchange, 2) == "PreSubmitted"
    quote(exchange, "98.98", "99.00")
    assert status(exchange, 2) == "Cancelled"


def test_resting_order_changed_into_an_immediate_one_does_not_rest() -> None:
    exchange = quiet()
    exchange.submit(limit(1, "BUY", 100, "99.00"), NOON)
    assert order_lines(exchange.submit(limit(1, "BUY", 100, "99.00", tif="IOC"), NOON))[-1] == "1 Cancelled 0/100"


@settings(max_examples=120, deadline=None)
@given(
    orders=st.lists(
        st.tuples(
            st.sampled_from(["BUY", "SELL"]),
            st.integers(1, 300),
            st.sampled_from([None, "99.90", "100.00", "100.10"]),
            st.sampled_from(["IOC", "FOK", "AON"]),
            st.sampled_from(["", "g"]),
        ),
        min_size=1,
        max_size=8,
    ),
    sizes=st.lists(st.integers(0, 400), min_size=1, max_size=6),
)
def test_immediate_orders_never_rest_and_whole_orders_never_partly_fill(
    orders: list[tuple[str, int, str | None, str, str]], sizes: list[int]
) -> None:
    exchange = quiet()
    whole: dict[int, int] = {}
    traded = []
    for number, (action, quantity, price, how, group) in enumerate(orders, 1):
        quote(exchange, "100.00", "100.00", size=sizes[number % len(sizes)])
        request = ticket(
            number,
            action,
            quantity,
            "MKT" if price is None else "LMT",
            price,
            tif="DAY" if how == "AON" else how,
            oca_group=group,
            oca_type=1 if group else 0,
            wire={"allOrNone": "1"} if how == "AON" else {},
        )
        if how != "IOC":
            whole[number] = quantity
        traded += fills(exchange.submit(request, NOON))
        assert {one.request.tif for one in exchange.open_orders()} <= {"DAY"}, "an immediate order rests"
        traded += fills(exchange.tick(exchange.market.stepped_at + SECOND))
    for size in sizes:
        traded += fills(quote(exchange, "99.95", "100.05", size=size))
    for fill in traded:
        if fill.order_id in whole:
            assert fill.shares == whole[fill.order_id]


# --- what goes together -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        *((replace(stop(1, "SELL", 100, "98.00"), tif=tif), 111) for tif in ("IOC", "FOK", "OPG")),
        *((replace(trail(1), tif=tif), 111) for tif in ("IOC", "FOK", "OPG")),
        *((replace(touched(1, "BUY", "98.00"), tif=tif), 111) for tif in ("IOC", "FOK", "OPG")),
        *((ticket(1, order_type="MOC", tif=tif), 113) for tif in ("GTC", "IOC", "FOK", "OPG", "GTD")),
        (ticket(1, order_type="LOC", limit="99.00", tif="GTC"), 113),
        (ticket(1, order_type="LOC"), 321),
        (ticket(1, "BUY", 1000, con_id=EURUSD, order_type="MOC"), 387),
        (ticket(1, "BUY", 1000, con_id=EURUSD, tif="OPG"), 387),
        (ticket(1, "BUY", 1000, con_id=EURUSD, tif="FOK"), 387),
        (ticket(1, tif="GTD"), 334),
        (ticket(1, wire={"goodTillDate": "20261118-18:00:00"}), 334),
        (ticket(1, wire={"goodAfterTime": "at noon"}), 337),
        (ticket(1, wire={"goodAfterTime": "20261118 25:00:00"}), 337),
        (ticket(1, order_type="MOC", wire=AT_ONE), 338),
        (ticket(1, tif="OPG", wire=AT_ONE), 338),
        (limit(1, "BUY", 100, "99.00", tif="GTD", wire={**AT_ONE, "goodTillDate": "20261118-18:00:00"}), 334),
    ],
)
def test_times_in_force_that_do_not_go_with_the_order_are_refused(request_: OrderRequest, code: int) -> None:
    exchange = quiet()
    assert errors(exchange.submit(request_, NOON)) == [(1, code)]
    assert exchange.open_orders() == []


def test_futures_and_options_have_no_auctions() -> None:
    exchange = quiet()
    (future,) = exchange.find(symbol="ES", sec_type="FUT", expiry="202612")
    option = next(one for one in exchange.instruments.values() if one.sec_type == "OPT")
    for number, one in enumerate((future, option)):
        for place, terms in enumerate(({"tif": "OPG"}, {"order_type": "MOC"})):
            order_id = 10 * number + place + 1
            assert errors(exchange.submit(ticket(order_id, quantity=1, con_id=one.con_id, **terms), NOON)) == [(order_id, 387)]


# --- good after ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["20261118-18:00:00", "20261118 13:00:00", "20261118 12:00:00 US/Central"])
def test_order_good_after_a_moment_stands_until_then_and_goes_live(moment: str) -> None:
    exchange = quiet()
    assert order_lines(exchange.submit(ticket(1, wire={"goodAfterTime": moment}), NOON)) == ["1 PreSubmitted 0/100"]
    assert order_lines(exchange.tick(ONE - SECOND)) == []
    assert order_lines(exchange.tick(ONE)) == ["1 fill 100 @ 100.02", "1 Filled 100/0"]


def test_moment_that_has_passed_holds_nothing() -> None:
    exchange = quiet()
    assert order_lines(exchange.submit(ticket(1, wire={"goodAfterTime": "20261118-16:00:00"}), NOON))[-1] == "1 Filled 100/0"


def test_moment_that_came_before_the_order_was_transmitted_holds_nothing() -> None:
    exchange = quiet()
    exchange.submit(limit(1, "BUY", 100, "100.02", wire=AT_ONE, transmit=False), NOON)
    events = exchange.submit(limit(2, "SELL", 100, "108.00", parent_id=1), ONE)
    assert "1 Filled 100/0" in order_lines(events)


def test_stop_and_trailing_stop_take_their_places_at_their_moment() -> None:
    exchange = quiet()
    assert order_lines(exchange.submit(stop(1, "SELL", 100, "98.00", wire=AT_ONE), NOON)) == ["1 PreSubmitted 0/100"]
    exchange.submit(replace(trail(2), wire=AT_ONE), NOON)
    at(exchange, "97.00")
    assert held(exchange) == 0
    at(exchange, "105.00")
    assert order_lines(exchange.tick(ONE)) == ["1 PreSubmitted 0/100 trigger", "2 PreSubmitted 0/100 trigger"]
    assert stop_of(exchange, 2) == Decimal("104.00")


def test_day_of_an_order_begins_at_its_moment_and_a_later_change_does_not_end_it() -> None:
    exchange = quiet()
    tomorrow = {"goodAfterTime": "20261119 11:00:00"}
    exchange.submit(limit(1, "BUY", 100, "99.00", wire=tomorrow), NOON)
    evening = datetime(2026, 11, 19, 1, 0, tzinfo=UTC)
    assert errors(exchange.tick(evening)) == []
    noon_after = NOON + timedelta(days=1)
    exchange.tick(noon_after)
    exchange.submit(limit(1, "BUY", 50, "99.00", wire=tomorrow), noon_after)
    assert errors(exchange.tick(noon_after + SECOND)) == []
    assert errors(exchange.tick(evening + timedelta(days=1))) == [(1, 202)]


def test_time_stop_of_a_group_closes_the_position_and_cancels_the_others() -> None:
    exchange = quiet()
    group = {"oca_group": "exit", "oca_type": 1}
    exchange.submit(ticket(1), NOON)
    exchange.submit(limit(2, "SELL", 100, "108.00", **group), NOON)
    exchange.submit(stop(3, "SELL", 100, "97.00", **group), NOON)
    exchange.submit(ticket(4, "SELL", wire=AT_ONE, **group), NOON)
    assert [one.status for one in exchange.open_orders()] == ["Submitted", "PreSubmitted", "PreSubmitted"]
    exchange.tick(ONE)
    assert (held(exchange), exchange.open_orders()) == (0, [])


def test_target_in_time_cancels_the_time_stop() -> None:
    exchange = quiet()
    group = {"oca_group": "exit", "oca_type": 1}
    exchange.submit(limit(2, "SELL", 100, "108.00", **group), NOON)
    exchange.submit(ticket(4, "SELL", wire=AT_ONE, **group), NOON)
    quote(exchange, "108.00", "108.02")
    exchange.tick(ONE)
    assert (held(exchange), status(exchange, 4)) == (-100, "Cancelled")


def test_time_stop_of_a_bracket_waits_for_its_parent_as_well() -> None:
    exchange = quiet()
    bracket(exchange)
    exchange.submit(ticket(4, "SELL", parent_id=1, wire=AT_ONE), NOON)
    exchange.tick(ONE)
    assert remaining(exchange, 4) == 100, "the entry has not filled"
    quote(exchange, "98.98", "99.00")
    assert held(exchange) == 0, "its moment has passed: it closes at once"
    assert exchange.open_orders() == []
