"""What the simulated exchange refuses, with IB's codes and words, and that a refusal changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from broker.simulator.exchange import Exchange
from broker.simulator.model import Event, OrderRequest
from broker.tests.simulator.trading import (
    AAPL,
    CLIENT,
    EURUSD,
    MSFT,
    NOON,
    SPY,
    bracket,
    error_text,
    errors,
    limit,
    lines,
    order_lines,
    quiet,
    quote,
    status,
    stop,
    ticket,
)

REFUSED_AT_THE_DOOR: list[tuple[OrderRequest, int, str]] = [
    (ticket(0), 10149, "Invalid order id"),
    (ticket(1, con_id=1), 200, "No security definition"),
    (ticket(1, account=""), 321, "You must specify an account"),
    (ticket(1, account="DU1"), 321, "Invalid account code"),
    (ticket(1, action="HOLD"), 321, "Invalid side"),
    (ticket(1, order_type="FOO"), 321, "Invalid order type was entered"),
    (ticket(1, order_type="REL"), 387, "Unsupported order type"),
    (ticket(1, quantity=0), 434, "cannot be zero"),
    (ticket(1, quantity=-5), 321, "does not conform to market rule"),
    (ticket(1, quantity="NaN"), 321, "does not conform to market rule"),
    (ticket(1, quantity="1e40"), 321, "does not conform to market rule"),
    (limit(1, "BUY", 100, "NaN"), 110, "minimum price variation"),
    (limit(1, "BUY", 100, "1e40"), 110, "minimum price variation"),
    (stop(1, "BUY", 100, "NaN"), 403, "Invalid stop price"),
    (ticket(1, quantity="1.5"), 321, "does not conform to market rule"),
    (ticket(1, quantity=500, con_id=EURUSD), 321, "does not conform to market rule"),
    (limit(1, "BUY", 100, "99.005"), 110, "minimum price variation"),
    (limit(1, "BUY", 1000, "1.165211", con_id=EURUSD), 110, "minimum price variation"),
    (limit(1, "BUY", 100, "-1"), 110, "minimum price variation"),
    (stop(1, "BUY", 100, "99.005"), 110, "minimum price variation"),
    (ticket(1, order_type="LMT"), 321, "Limit price is missing"),
    (ticket(1, order_type="STP"), 403, "Invalid stop price"),
    (ticket(1, tif="AUC"), 321, "Invalid time in force"),
    (ticket(1, tif="GTD", wire={"goodTillDate": "tomorrow"}), 334, "Invalid Good Till Date"),
    (ticket(1, tif="GTD", wire={"goodTillDate": "20261118 11:59:59"}), 334, "Invalid Good Till Date"),
    (ticket(1, tif="GTD", wire={"goodTillDate": "20261118 11:59:59 Mars/North"}), 334, "Invalid Good Till Date"),
    (ticket(2, parent_id=1), 10006, "Missing parent"),
    (ticket(2, parent_id=2), 10006, "Missing parent"),
    (limit(1, "BUY", 100, "99", oca_group="g", oca_type=4), 321, "Invalid OCA type"),
]


@pytest.mark.parametrize(("request_", "code", "words"), REFUSED_AT_THE_DOOR, ids=lambda value: str(value) if isinstance(value, int) else "")
def test_refused_order_is_not_taken(request_: OrderRequest, code: int, words: str) -> None:
    exchange = quiet()
    events = exchange.submit(request_, NOON)
    assert errors(events) == [(request_.order_id, code)]
    assert len(events) == 1
    assert words in error_text(events)
    assert exchange.open_orders() == exchange.completed_orders(NOON) == []


def test_price_below_one_dollar_has_finer_increments() -> None:
    exchange = quiet(bid="0.5000", ask="0.5002")
    assert errors(exchange.submit(limit(1, "BUY", 100, "0.4999"), NOON)) == []
    assert errors(exchange.submit(limit(2, "BUY", 100, "1.0001"), NOON)) == [(2, 110)]


def test_account_may_be_left_out_where_there_is_one() -> None:
    exchange = Exchange(seed=1, now=NOON, accounts=("DU7",))
    exchange.submit(ticket(1, account=""), NOON)
    assert [one.account for one in exchange.positions()] == ["DU7"]


def test_expired_contract_is_refused() -> None:
    exchange = quiet()
    option = next(one for one in exchange.instruments.values() if one.sec_type == "OPT")
    later = NOON + timedelta(days=60)
    assert errors(exchange.submit(ticket(1, quantity=1, con_id=option.con_id), later)) == [(1, 392)]


# --- ids --------------------------------------------------------------------------------------------------------------------------


def test_id_not_above_the_last_one_is_a_duplicate_unless_it_names_an_open_order() -> None:
    exchange = quiet()
    exchange.submit(limit(5, "BUY", 100, "99.00"), NOON)
    exchange.submit(limit(6, "BUY", 100, "99.00"), NOON)
    exchange.cancel(CLIENT, 6, NOON)
    assert errors(exchange.submit(limit(4, "BUY", 100, "99.00"), NOON)) == [(4, 103)], "too low"
    assert errors(exchange.submit(limit(6, "BUY", 100, "99.00"), NOON)) == [(6, 103)], "cancelled"
    assert errors(exchange.submit(limit(5, "BUY", 100, "99.10"), NOON)) == [], "a change"
    assert errors(exchange.submit(limit(1, "BUY", 100, "99.00", client_id=3), NOON)) == [], "another client counts for itself"


def test_filled_order_cannot_be_changed() -> None:
    exchange = quiet()
    exchange.submit(ticket(1), NOON)
    assert errors(exchange.submit(ticket(1, quantity=200), NOON)) == [(1, 104)]
    assert len(exchange.fills(NOON)) == 1


def test_refused_id_may_be_sent_again_but_is_below_the_floor() -> None:
    exchange = quiet()
    assert exchange.next_order_id_floor(CLIENT) == 1
    exchange.submit(limit(7, "BUY", 100, "99.005"), NOON)
    assert exchange.next_order_id_floor(CLIENT) == 8
    assert errors(exchange.submit(limit(7, "BUY", 100, "99.00"), NOON)) == []
    assert exchange.next_order_id_floor(3) == 1


# --- cancels that cannot be -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order_id", "client_id", "code", "words"),
    [
        (9, 17, 10147, "OrderId 9 that needs to be cancelled is not found."),
        (1, 3, 10147, "OrderId 1 that needs to be cancelled is not found."),
        (2, 17, 10148, "OrderId 2 that needs to be cancelled cannot be cancelled, state: Filled."),
        (3, 17, 10148, "OrderId 3 that needs to be cancelled cannot be cancelled, state: Cancelled."),
    ],
)
def test_cancel_of_what_is_not_open_says_why(order_id: int, client_id: int, code: int, words: str) -> None:
    exchange = quiet()
    exchange.submit(limit(1, "BUY", 100, "99.00"), NOON)
    exchange.submit(ticket(2), NOON)
    exchange.submit(limit(3, "BUY", 100, "99.00"), NOON)
    exchange.cancel(CLIENT, 3, NOON)
    events = exchange.cancel(client_id, order_id, NOON)
    assert (errors(events), error_text(events)) == ([(order_id, code)], words)
    assert status(exchange, 1) == "Submitted"


# --- changes that cannot be -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (limit(1, "SELL", 100, "99.00"), 105),
        (limit(1, "BUY", 100, "99.00", con_id=MSFT), 105),
        (limit(1, "BUY", 100, "99.00", account="DU1000902"), 105),
        (ticket(1), 329),
        (limit(1, "BUY", 100, "99.00", oca_group="other", oca_type=1), 10326),
        (limit(1, "BUY", 100, "99.00", oca_group="g", oca_type=2), 10327),
        (limit(1, "BUY", 100, "99.00", parent_id=8), 10341),
        (limit(1, "BUY", 100, "99.001"), 110),
        (limit(1, "BUY", 0, "99.00"), 434),
        (limit(1, "BUY", 10_000_000, "99.00"), 201),
    ],
)
def test_refused_change_leaves_the_order_as_it_was(change: OrderRequest, code: int) -> None:
    exchange = quiet()
    exchange.submit(limit(1, "BUY", 100, "98.00", oca_group="g", oca_type=1), NOON)
    before = exchange.open_orders()
    assert errors(exchange.submit(change, NOON)) == [(1, code)]
    assert exchange.open_orders() == before


def test_change_may_leave_group_and_parent_out() -> None:
    exchange = quiet()
    exchange.submit(limit(1, "BUY", 100, "98.00", oca_group="g", oca_type=1), NOON)
    assert errors(exchange.submit(limit(1, "BUY", 100, "98.50", oca_type=3), NOON)) == []
    (order,) = exchange.open_orders()
    assert (order.request.oca_group, order.request.oca_type, order.request.limit_price) == ("g", 1, Decimal("98.50"))


def test_child_naming_its_filled_parent_is_changed_or_refused_with_135_as_set() -> None:
    exchange = quiet()
    bracket(exchange)
    quote(exchange, "98.98", "99.00")
    change = stop(3, "SELL", 100, "96.00", parent_id=1)
    exchange.refuses_child_naming_gone_parent = True
    assert errors(exchange.submit(change, NOON)) == [(1, 135)]
    assert errors(exchange.submit(stop(3, "SELL", 100, "95.00"), NOON)) == []
    exchange.refuses_child_naming_gone_parent = False
    assert errors(exchange.submit(change, NOON)) == []


# --- rejected by the broker ---------------------------------------------------------------------------------------------------------------


def _too_expensive(exchange: Exchange) -> list[Event]:
    return exchange.submit(ticket(90, quantity=100_000), NOON)


def _twenty_first(exchange: Exchange) -> list[Event]:
    for order_id in range(1, 21):
        assert errors(exchange.submit(limit(order_id, "BUY", 1, "99.00"), NOON)) == []
    assert errors(exchange.submit(limit(60, "BUY", 1, "400.00", con_id=SPY), NOON)) == [], "another contract"
    assert errors(exchange.submit(limit(61, "SELL", 1, "101.00"), NOON)) == [], "another side"
    assert errors(exchange.submit(limit(62, "BUY", 1, "99.00", account="DU1000902"), NOON)) == [], "another account"
    return exchange.submit(limit(90, "BUY", 1, "99.00"), NOON)


def _both_sides_of_an_option(exchange: Exchange) -> list[Event]:
    (option,) = exchange.find(symbol="AAPL", sec_type="OPT", expiry="20261218", strike=Decimal(240), right="C")
    assert errors(exchange.submit(limit(1, "BUY", 1, "0.05", con_id=option.con_id), NOON)) == []
    return exchange.submit(limit(90, "SELL", 1, "90.00", con_id=option.con_id), NOON)


def _finished_group(exchange: Exchange) -> list[Event]:
    exchange.submit(ticket(1, oca_group="g", oca_type=1), NOON)
    return exchange.submit(limit(90, "BUY", 1, "99.00", oca_group="g", oca_type=1), NOON)


def _other_type_in_group(exchange: Exchange) -> list[Event]:
    exchange.submit(limit(1, "BUY", 1, "99.00", oca_group="g", oca_type=1), NOON)
    return exchange.submit(limit(90, "BUY", 1, "99.00", oca_group="g", oca_type=2), NOON)


@pytest.mark.parametrize(
    ("send", "code", "words"),
    [
        (_too_expensive, 201, "MUST EXCEED THE INITIAL MARGIN"),
        (_twenty_first, 201, "limit of 20 active orders"),
        (_both_sides_of_an_option, 201, "both sides of the same US Option contract"),
        (_finished_group, 201, "OCA group already filled"),
        (_other_type_in_group, 10327, "OCA group type revision"),
    ],
)
def test_rejected_order_is_told_by_code_then_inactive(send: Callable[[Exchange], list[Event]], code: int, words: str) -> None:
    exchange = quiet()
    events = send(exchange)
    assert order_lines(events)[0] == f"90 refused {code}"
    assert order_lines(events)[1].startswith("90 Inactive 0/")
    assert len(events) == 2
    assert words in error_text(events)
    (rejected,) = [one for one in exchange.completed_orders(NOON) if one.request.order_id == 90]
    assert (rejected.status, rejected.completed_status[:9]) == ("Inactive", "Rejected:")
    assert errors(exchange.cancel(CLIENT, 90, NOON)) == [(90, 10148)]
    assert errors(exchange.submit(ticket(90), NOON)) == [(90, 103)]


def test_bracket_on_an_option_may_stand_on_both_sides() -> None:
    exchange = quiet()
    (option,) = exchange.find(symbol="SPY", sec_type="OPT", expiry="20261218", strike=Decimal(660), right="P")
    exchange.submit(limit(1, "BUY", 1, "0.05", con_id=option.con_id, transmit=False), NOON)
    assert errors(exchange.submit(limit(2, "SELL", 1, "90.00", con_id=option.con_id, parent_id=1), NOON)) == []
    assert len(exchange.open_orders()) == 2


def test_closing_order_is_never_refused_for_margin() -> None:
    exchange = quiet()
    quote(exchange, "100.00", "100.02", size=50_000)
    exchange.submit(ticket(1, quantity=39_000), NOON)
    quote(exchange, "80.00", "80.02", size=50_000)
    assert Decimal({key: value for key, value, _ in exchange.account_values("DU1000417")}["AvailableFunds"]) < 0
    assert errors(exchange.submit(ticket(3, "SELL", 39_000, con_id=AAPL), NOON)) == []
    assert exchange.positions() == []


def test_working_orders_take_up_credit_and_a_group_takes_it_once() -> None:
    exchange = quiet()
    exchange.submit(limit(1, "BUY", 30_000, "99.00", oca_group="g", oca_type=1), NOON)
    assert errors(exchange.submit(limit(2, "BUY", 30_000, "98.00", oca_group="g", oca_type=1), NOON)) == []
    assert errors(exchange.submit(limit(3, "BUY", 30_000, "98.00"), NOON)) == [(3, 201)]
    assert lines(exchange.submit(limit(4, "BUY", 9_000, "98.00"), NOON))[-1] == "4 Submitted 0/9000"
