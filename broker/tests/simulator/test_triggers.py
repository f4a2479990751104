"""Which price a trigger looks at: IB's trigger methods, for stops and for touched orders, by instrument where none is named."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from broker.simulator.market import Line, Market
from broker.simulator.model import OrderRequest
from broker.simulator.triggers import followed_price, is_reached, method_of
from broker.simulator.universe import build_universe
from broker.tests.simulator.tickets import at, touched
from broker.tests.simulator.trading import AAPL, EURUSD, NOON, SECOND, errors, fills, order_lines, quiet, quote, stop, ticket


def line_of(con_id: int = AAPL, *, bid: str, ask: str, last: str, before: tuple[str, str, str] | None = None) -> Line:
    universe = build_universe(NOON.date(), NOON.date())
    line = Market(1, {con_id: universe[con_id]}, NOON).lines[con_id]
    line.bid, line.ask, line.last = Decimal(bid), Decimal(ask), Decimal(last)
    line.before_bid, line.before_ask, line.before_last = (Decimal(one) for one in before or (bid, ask, last))
    return line


def waiting(action: str, order_type: str, method: int = 0) -> OrderRequest:
    return ticket(1, action, 100, order_type, None, "100.00", wire={"triggerMethod": str(method)} if method else {})


LOW, HIGH = ("99.00", "99.10", "99.05"), ("100.90", "101.00", "100.95")


@pytest.mark.parametrize(
    ("method", "quote_", "before", "buys", "sells"),
    [
        # bid, ask, last; whether a stop to buy at 100 and one to sell at 100 are reached
        (2, ("99.00", "101.00", "100.00"), LOW, True, True),
        (2, ("100.50", "101.00", "99.99"), LOW, False, True),
        (4, ("100.00", "101.00", "99.50"), LOW, True, False),
        (4, ("99.00", "100.00", "100.50"), LOW, False, True),
        (4, ("99.99", "100.01", "100.00"), LOW, False, False),
        (1, ("100.00", "101.00", "100.50"), HIGH, True, False),
        (1, ("100.00", "101.00", "100.50"), LOW, False, False),
        (1, ("99.00", "99.50", "99.20"), LOW, False, True),
        (3, ("100.00", "101.00", "100.50"), LOW, False, False),
        (3, ("100.00", "101.00", "100.50"), HIGH, True, False),
        (3, ("99.00", "101.00", "99.50"), LOW, False, True),
        (7, ("99.00", "101.00", "100.00"), LOW, True, True),
        (7, ("100.00", "101.00", "99.00"), LOW, True, True),
        (7, ("99.00", "101.00", "100.50"), LOW, True, False),
        (8, ("99.00", "101.00", "99.00"), LOW, True, True),
        (8, ("99.00", "101.01", "99.00"), LOW, True, False),
    ],
)
def test_stop_is_reached_as_its_method_says(
    method: int, quote_: tuple[str, str, str], before: tuple[str, str, str], buys: bool, sells: bool
) -> None:
    line = line_of(bid=quote_[0], ask=quote_[1], last=quote_[2], before=before)
    level = Decimal(100)
    assert is_reached(waiting("BUY", "STP", method), level, line) is buys
    assert is_reached(waiting("SELL", "STP", method), level, line) is sells
    assert is_reached(waiting("SELL", "MIT", method), level, line) is buys, "a touch to sell waits above, as a stop to buy does"
    assert is_reached(waiting("BUY", "MIT", method), level, line) is sells


def test_method_left_open_is_the_instruments_own() -> None:
    exchange = quiet()
    lines = exchange.market.lines
    option = next(one.con_id for one in exchange.instruments.values() if one.sec_type == "OPT")
    (future,) = exchange.find(symbol="ES", sec_type="FUT", expiry="202612")
    own = {con_id: method_of(waiting("BUY", "STP"), lines[con_id]) for con_id in (AAPL, EURUSD, option, future.con_id)}
    assert list(own.values()) == [2, 4, 1, 2]
    assert method_of(waiting("BUY", "STP", 8), lines[AAPL]) == 8


@pytest.mark.parametrize(
    ("method", "sold", "bought"), [(0, "99.50", "99.50"), (4, "100.00", "99.00"), (1, "100.00", "99.00"), (8, "99.5", "99.5")]
)
def test_trailing_stop_follows_the_price_that_would_trigger_it(method: int, sold: str, bought: str) -> None:
    line = line_of(bid="99.00", ask="100.00", last="99.50")
    assert followed_price(waiting("SELL", "TRAIL", method), line) == Decimal(sold)
    assert followed_price(waiting("BUY", "TRAIL", method), line) == Decimal(bought)


@pytest.mark.parametrize("method", ["5", "6", "9", "-1", "last"])
def test_no_such_method_is_refused(method: str) -> None:
    assert errors(quiet().submit(stop(1, "SELL", 100, "98.00", wire={"triggerMethod": method}), NOON)) == [(1, 146)]


def test_double_trigger_waits_for_a_second_second() -> None:
    exchange = quiet()
    exchange.submit(stop(1, "SELL", 100, "98.00", wire={"triggerMethod": "3"}), NOON)
    assert fills(at(exchange, "97.00")) == []
    assert len(fills(exchange.tick(NOON + SECOND))) == 1


def test_bid_ask_trigger_lets_a_wide_quote_pass() -> None:
    exchange = quiet()
    exchange.submit(stop(1, "SELL", 100, "98.00", wire={"triggerMethod": "4"}), NOON)
    exchange.submit(stop(2, "SELL", 100, "98.25"), NOON)
    assert [fill.order_id for fill in fills(quote(exchange, "96.00", "98.20"))] == [2], "the last price came down, the ask stayed above"
    assert [fill.order_id for fill in fills(at(exchange, "98.00"))] == [1]


@pytest.mark.parametrize(
    ("action", "trigger", "price"),
    [("BUY", "98.00", "98.00"), ("SELL", "102.00", "102.00")],
)
def test_market_if_touched_buys_below_and_sells_above(action: str, trigger: str, price: str) -> None:
    exchange = quiet()
    assert order_lines(exchange.submit(touched(1, action, trigger), NOON)) == ["1 PreSubmitted 0/100 trigger"]
    assert fills(at(exchange, "99.00") + at(exchange, "101.00")) == []
    assert order_lines(at(exchange, price)) == ["1 Submitted 0/100", f"1 fill 100 @ {price}", "1 Filled 100/0"]


def test_limit_if_touched_rests_at_its_limit() -> None:
    exchange = quiet()
    exchange.submit(touched(1, "BUY", "98.00", limit="97.50"), NOON)
    assert order_lines(at(exchange, "98.00")) == ["1 Submitted 0/100"]
    assert [fill.price for fill in fills(at(exchange, "97.00"))] == [Decimal("97.50")]


def test_touched_orders_need_their_prices() -> None:
    exchange = quiet()
    assert errors(exchange.submit(ticket(1, order_type="MIT"), NOON)) == [(1, 403)]
    assert errors(exchange.submit(touched(1, "BUY", "98.005"), NOON)) == [(1, 110)]
    assert errors(exchange.submit(replace(touched(1, "BUY", "98.00"), order_type="LIT"), NOON)) == [(1, 321)]
