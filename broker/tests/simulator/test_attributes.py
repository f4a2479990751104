"""Attributes of orders on the simulated exchange, what each instrument lists, and every field it does not match refused by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from broker.simulator.model import OrderChanged, OrderRequest, Warned
from broker.simulator.order_types import KINDS, lists
from broker.simulator.unmatched import DEFAULTS, REFUSED, says_nothing
from broker.tests.simulator.tickets import adaptive, algorithm, trail
from broker.tests.simulator.trading import EURUSD, NOON, SPY, errors, held, limit, lines, quiet, quote, status, stop, ticket

GE = 498843743  # listed at NYSE
SOME_WORDS = {"MOC", "LOC", "OPG", "FOK", "AON", "TRAILLMT", "ALGO", "GAT", "ICE", "MIT", "HID"}
AON, HIDDEN = {"allOrNone": "1"}, {"hidden": "1"}


def _other(exchange, sec_type: str) -> int:
    return next(one.con_id for one in exchange.instruments.values() if one.sec_type == sec_type)


# --- display size, hidden, all or none ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (limit(1, "BUY", 100, "99.00", wire={"displaySize": "100"}), 10020),
        (limit(1, "BUY", 100, "99.00", wire={"displaySize": "200"}), 10020),
        (limit(1, "BUY", 100, "99.00", wire={"displaySize": "-1"}), 10020),
        (limit(1, "BUY", 100, "99.00", wire={"displaySize": "1.5"}), 10020),
        (limit(1, "BUY", 100, "99.00", wire={"displaySize": "some"}), 10020),
        (ticket(1, wire={"displaySize": "10"}), 10255),
        (stop(1, "SELL", 100, "98.00", wire={"displaySize": "10"}), 10255),
        (limit(1, "BUY", 100, "99.00", wire={"displaySize": "10", **HIDDEN}), 10255),
        (limit(1, "BUY", 100, "99.00", wire={"displaySize": "10", **AON}), 10257),
        (limit(1, "BUY", 2000, "1.1", con_id=EURUSD, wire={"displaySize": "1000"}), 387),
        (limit(1, "BUY", 1000, "1.1", con_id=EURUSD, wire=AON), 387),
        (limit(1, "BUY", 1000, "1.1", con_id=EURUSD, wire=HIDDEN), 387),
        (limit(1, "BUY", 100, "200.00", con_id=GE, wire=HIDDEN), 387),
        (ticket(1, wire=HIDDEN), 152),
        (limit(1, "BUY", 100, "99.00", tif="OPG", wire=HIDDEN), 152),
    ],
)
def test_attribute_that_does_not_fit_is_refused(request_: OrderRequest, code: int) -> None:
    exchange = quiet()
    assert errors(exchange.submit(request_, NOON)) == [(1, code)]
    assert exchange.open_orders() == []


@pytest.mark.parametrize(
    "request_",
    [
        limit(1, "BUY", 100, "99.00", wire={"displaySize": "99"}),
        limit(1, "BUY", 100, "99.00", wire={"displaySize": "0"}),
        limit(1, "BUY", 100, "99.00", wire=HIDDEN),
        limit(1, "BUY", 100, "200.00", con_id=SPY, wire={"hidden": "true"}),
        ticket(1, "BUY", 100, "LMT", "99.00", wire=AON),
        ticket(1, "BUY", 100, "LMT", "99.00", wire={"allOrNone": "0", "hidden": "0"}),
    ],
)
def test_attribute_that_fits_is_taken_and_told_as_it_was_sent(request_: OrderRequest) -> None:
    exchange = quiet()
    assert errors(exchange.submit(request_, NOON)) == []
    (order,) = exchange.open_orders()
    assert order.request.wire == request_.wire


def test_options_and_futures_take_no_hidden_orders_and_futures_no_all_or_none() -> None:
    exchange = quiet()
    option, future = _other(exchange, "OPT"), _other(exchange, "FUT")
    for order_id, con_id, wire in ((1, option, HIDDEN), (2, future, HIDDEN), (3, future, AON)):
        assert errors(exchange.submit(ticket(order_id, "BUY", 2, con_id=con_id, wire=wire), NOON)) == [(order_id, 387)]


# --- outside regular hours ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "warned"),
    [
        (ticket(1), True),
        (ticket(1, order_type="MIT", stop="98.00"), True),
        (ticket(1, order_type="MOC"), True),
        (limit(1, "BUY", 100, "99.00", tif="OPG"), True),
        (adaptive(1), True),
        (limit(1, "BUY", 100, "99.00"), False),
        (stop(1, "SELL", 100, "98.00"), False),
        (ticket(1, "BUY", 1000, con_id=EURUSD), False),
    ],
)
def test_outside_regular_hours_is_taken_with_a_warning_where_it_is_ignored(request_: OrderRequest, warned: bool) -> None:
    exchange = quiet()
    events = exchange.submit(replace(request_, outside_rth=True), NOON)
    assert [one.code for one in events if isinstance(one, Warned)] == [2109] * warned
    assert errors(events) == [] and any(isinstance(one, OrderChanged) for one in events)
    assert isinstance(events[0], Warned) is warned, "before the order's own news, which puts a client's status right again"


# --- the adaptive algorithm -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("priority", ["Urgent", "Normal", "Patient"])
def test_adaptive_orders_are_taken_traded_and_told_with_their_priority(priority: str) -> None:
    exchange = quiet()
    assert errors(exchange.submit(adaptive(1, priority), NOON)) == []
    (order,) = exchange.open_orders()
    assert order.request.wire == algorithm("Adaptive", adaptivePriority=priority)
    assert lines(exchange.submit(adaptive(2, priority, "MKT", None, tif="GTC"), NOON))[1] == "2 fill 100 @ 100.02"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (ticket(1, wire=algorithm("Vwap", maxPctVol="0.1")), 439),
        (ticket(1, wire=algorithm("Adaptive")), 441),
        (ticket(1, wire=algorithm("Adaptive", adaptivePriority="Fast")), 441),
        (ticket(1, wire=algorithm("Adaptive", adaptivePriority="Normal", strategyType="x")), 443),
        (ticket(1, wire={"algoStrategy": "Adaptive"}), 441),
        (stop(1, "SELL", 100, "98.00", wire=algorithm("Adaptive", adaptivePriority="Normal")), 442),
        (replace(trail(1), wire=algorithm("Adaptive", adaptivePriority="Normal")), 442),
        (adaptive(1, tif="IOC"), 442),
        (replace(adaptive(1), wire={**adaptive(1).wire, "goodAfterTime": "20261118-18:00:00"}), 442),
        (replace(adaptive(1), wire={**adaptive(1).wire, **HIDDEN}), 152),
        (replace(adaptive(1), wire={**adaptive(1).wire, "displaySize": "10"}), 10255),
        (replace(adaptive(1), wire={**adaptive(1).wire, **AON}), 10257),
        (ticket(1, "BUY", 1000, con_id=EURUSD, wire=algorithm("Adaptive", adaptivePriority="Normal")), 387),
    ],
)
def test_algorithm_that_does_not_fit_is_refused(request_: OrderRequest, code: int) -> None:
    assert errors(quiet().submit(request_, NOON)) == [(1, code)]


def test_algorithm_cannot_be_changed_added_or_dropped() -> None:
    exchange = quiet()
    exchange.submit(adaptive(1), NOON)
    exchange.submit(limit(2, "BUY", 100, "98.00"), NOON)
    for change in (adaptive(1, "Urgent"), limit(1, "BUY", 100, "99.00"), adaptive(2)):
        assert errors(exchange.submit(change, NOON)) == [(change.order_id, 440)]
    assert errors(exchange.submit(adaptive(1, limit="99.50"), NOON)) == []


def test_algorithm_has_no_part_in_a_bracket() -> None:
    exchange = quiet()
    exchange.submit(adaptive(1, transmit=False), NOON)
    assert errors(exchange.submit(limit(2, "SELL", 100, "108.00", parent_id=1), NOON)) == [(2, 442)]
    exchange.submit(limit(3, "BUY", 100, "99.00", transmit=False), NOON)
    assert errors(exchange.submit(replace(adaptive(4), action="SELL", parent_id=3), NOON)) == [(4, 442)]


# --- what is listed, and what is not matched ------------------------------------------------------------------------------------------


def test_types_are_listed_in_ibs_spelling_and_what_is_not_listed_is_refused() -> None:
    exchange = quiet()
    taken = {}
    for kind in ("STK", "OPT", "FUT", "CASH"):
        instrument = exchange.instruments[_other(exchange, kind)]
        words = instrument.order_types.split(",")
        assert words == sorted(set(words))
        taken[kind] = set(words) & SOME_WORDS
        for name, one in KINDS.items():
            order_id = exchange.next_order_id_floor(17)
            request = ticket(order_id, "BUY", 1000, name, "1", "1", con_id=instrument.con_id, wire={})
            assert ((order_id, 387) in errors(exchange.submit(request, NOON))) is not lists(instrument, one.word), (kind, name)
    assert taken["STK"] - {"HID"} == {"MOC", "LOC", "OPG", "FOK", "AON", "TRAILLMT", "ALGO", "GAT", "ICE", "MIT"}
    assert taken["OPT"] == {"FOK", "AON", "TRAILLMT", "ALGO", "GAT", "ICE", "MIT"}
    assert taken["FUT"] == {"TRAILLMT", "ALGO", "GAT", "ICE", "MIT"}
    assert taken["CASH"] == {"TRAILLMT", "GAT", "MIT"}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_field_that_is_not_matched_is_refused_with_its_code_and_nothing_is_placed(name: str) -> None:
    exchange = quiet()
    assert errors(exchange.submit(limit(1, "BUY", 100, "99.00", wire={name: "7"}), NOON)) == [(1, REFUSED[name][0])]
    assert exchange.open_orders() == []


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_field_that_says_nothing_is_taken(name: str) -> None:
    exchange = quiet()
    for order_id, value in enumerate(("0", "0.0", "false", DEFAULTS.get(name, "")), 1):
        assert errors(exchange.submit(limit(order_id, "BUY", 100, "99.00", wire={name: value}), NOON)) == []


def test_words_are_not_zero() -> None:
    assert not says_nothing("hedgeType", "D") and not says_nothing("minQty", "NaN") and not says_nothing("openClose", "C")
    assert says_nothing("deltaNeutralOrderType", "None") and says_nothing("clearingIntent", "IB") and says_nothing("exemptCode", "-1")


def test_labels_are_taken_and_told() -> None:
    exchange = quiet()
    labels = {"extOperator": "desk", "softDollarTierName": "tier", "mifid2DecisionMaker": "me", "manualOrderTime": "20261118-17:00:00"}
    assert errors(exchange.submit(limit(1, "BUY", 100, "99.00", wire=labels), NOON)) == []
    assert exchange.open_orders()[0].request.wire == labels


def test_refused_change_of_an_attribute_leaves_the_order() -> None:
    exchange = quiet()
    exchange.submit(limit(1, "BUY", 100, "99.00", wire={"displaySize": "10"}), NOON)
    assert errors(exchange.submit(limit(1, "BUY", 10, "99.00", wire={"displaySize": "10"}), NOON)) == [(1, 10020)]
    assert status(exchange, 1) == "Submitted"
    quote(exchange, "98.98", "99.00")
    assert held(exchange) == 100
