"""Trailing stops on the simulated exchange: they follow the market, never go back, and their limit follows them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.simulator.model import OrderRequest
from broker.tests.simulator.tickets import at, stop_of, told_stops, trail, trail_limit
from broker.tests.simulator.trading import NOON, SECOND, errors, fills, limit, lines, order_lines, quiet, ticket


def test_trailing_stop_follows_the_market_up_and_stays_when_it_falls() -> None:
    exchange = quiet()
    assert lines(exchange.submit(trail(1), NOON)) == ["1 PreSubmitted 0/100 trigger"]
    assert stop_of(exchange) == Decimal("99.00")
    assert told_stops(at(exchange, "102.00")) == ["101.00"], "one openOrder for one step of the price"
    assert told_stops(at(exchange, "101.50")) == [], "nothing to tell while the stop stands"
    assert order_lines(at(exchange, "100.98")) == ["1 Submitted 0/100", "1 fill 100 @ 100.98", "1 Filled 100/0"]


def test_trailing_stop_of_a_purchase_follows_the_market_down() -> None:
    exchange = quiet()
    exchange.submit(trail(1, "BUY"), NOON)
    at(exchange, "97.00")
    assert stop_of(exchange) == Decimal("98.00")
    assert [fill.price for fill in fills(at(exchange, "98.00"))] == [Decimal("98.00")]


def test_distance_in_percent_is_rounded_away_from_the_market() -> None:
    exchange = quiet()
    exchange.submit(trail(1, "SELL", None, trailingPercent="3.337"), NOON)
    exchange.submit(trail(2, "BUY", None, trailingPercent="3.337"), NOON)
    assert (stop_of(exchange, 1), stop_of(exchange, 2)) == (Decimal("96.66"), Decimal("103.34"))


def test_given_start_is_where_the_stop_stands_until_the_market_calls_for_more() -> None:
    exchange = quiet()
    assert told_stops(exchange.submit(trail(1, trailStopPrice="99.50"), NOON)) == ["99.50"]
    at(exchange, "100.40")
    assert stop_of(exchange) == Decimal("99.50")
    at(exchange, "100.80")
    assert stop_of(exchange) == Decimal("99.80")


def test_limit_follows_the_stop_at_its_offset_and_is_told_with_it() -> None:
    exchange = quiet()
    exchange.submit(trail_limit(1, trailStopPrice="99.00", lmtPriceOffset="0.50"), NOON)
    at(exchange, "102.00")
    (order,) = exchange.open_orders()
    assert (order.request.wire["trailStopPrice"], order.request.limit_price) == ("101.00", Decimal("100.50"))
    assert order_lines(at(exchange, "99.00")) == ["1 Submitted 0/100"], "elected, and too late for its limit"
    assert [fill.price for fill in fills(at(exchange, "100.60"))] == [Decimal("100.50")]


def test_first_limit_price_says_the_offset_as_well() -> None:
    exchange = quiet()
    exchange.submit(trail_limit(1, "BUY", limit="101.25", trailStopPrice="101.00"), NOON)
    at(exchange, "99.00")
    (order,) = exchange.open_orders()
    assert (order.request.wire["trailStopPrice"], order.request.limit_price) == ("100.00", Decimal("100.25"))


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (trail(1, amount=None), 158),
        (trail(1, amount="0"), 158),
        (trail(1, amount="-1"), 158),
        (trail(1, trailingPercent="2"), 158),
        (trail(1, amount=None, trailingPercent="0"), 158),
        (trail(1, amount=None, trailingPercent="100"), 159),
        (trail(1, amount=None, trailingPercent="-1"), 159),
        (trail(1, amount=None, trailingPercent="much"), 159),
        (trail(1, trailStopPrice="99.005"), 110),
        (trail(1, trailStopPrice="-3"), 403),
        (trail_limit(1, lmtPriceOffset="0.10"), 321),
        (trail_limit(1, trailStopPrice="99.00"), 321),
        (trail_limit(1, limit="98.00", trailStopPrice="99.00", lmtPriceOffset="1.00"), 321),
        (trail_limit(1, limit="98.005", trailStopPrice="99.00"), 110),
        (trail_limit(1, trailStopPrice="99.00", lmtPriceOffset="wide"), 321),
        (limit(1, "BUY", 100, "99.00", wire={"trailStopPrice": "98.00"}), 10340),
        (ticket(1, wire={"trailingPercent": "2"}), 10340),
    ],
)
def test_terms_that_make_no_trailing_stop_are_refused(request_: OrderRequest, code: int) -> None:
    exchange = quiet()
    assert errors(exchange.submit(request_, NOON)) == [(1, code)]
    assert exchange.open_orders() == []


def test_zero_is_as_good_as_not_set_because_openorder_says_zero() -> None:
    exchange = quiet()
    assert errors(exchange.submit(trail(1, amount="0", trailingPercent="2", trailStopPrice="0"), NOON)) == []
    assert errors(exchange.submit(trail(2, trailingPercent="0", lmtPriceOffset="0"), NOON)) == []


def test_change_keeps_the_stop_where_it_is_unless_it_names_another_start() -> None:
    exchange = quiet()
    exchange.submit(trail(1, trailStopPrice="98.00"), NOON)
    at(exchange, "102.00")
    exchange.submit(trail(1, amount="3.00", trailStopPrice="98.00"), NOON)
    assert stop_of(exchange) == Decimal("101.00"), "a wider distance does not take the stop back"
    exchange.submit(trail(1, amount="0.50", trailStopPrice="98.00"), NOON)
    assert stop_of(exchange) == Decimal("101.50")
    exchange.submit(trail(1, amount="3.00", trailStopPrice="97.00"), NOON)
    assert stop_of(exchange) == Decimal("99.00"), "another start is a word of the trader's"


def test_order_read_back_may_be_sent_again_with_another_size() -> None:
    exchange = quiet()
    exchange.submit(trail_limit(1, trailStopPrice="99.00", lmtPriceOffset="0.50"), NOON)
    at(exchange, "102.00")
    (told,) = exchange.open_orders()
    assert errors(exchange.submit(replace(told.request, quantity=Decimal(40)), NOON)) == []
    (changed,) = exchange.open_orders()
    assert (changed.remaining, changed.request.wire["trailStopPrice"], changed.request.limit_price) == (40, "101.00", Decimal("100.50"))


def test_limit_price_of_openorder_does_not_change_the_offset() -> None:
    exchange = quiet()
    exchange.submit(trail_limit(1, limit="98.50", trailStopPrice="99.00"), NOON)
    at(exchange, "102.00")
    exchange.submit(trail_limit(1, limit="100.50", trailStopPrice="99.00"), NOON)
    at(exchange, "103.00")
    (order,) = exchange.open_orders()
    assert (order.request.wire["trailStopPrice"], order.request.limit_price) == ("102.00", Decimal("101.50"))


def test_trailing_child_takes_its_place_when_its_parent_is_filled() -> None:
    exchange = quiet()
    exchange.submit(limit(1, "BUY", 100, "99.00", transmit=False), NOON)
    exchange.submit(replace(trail(2), parent_id=1), NOON)
    at(exchange, "104.00")
    assert [one.request.wire.get("trailStopPrice") for one in exchange.open_orders()] == [None, None]
    assert "2 PreSubmitted 0/100 trigger" in order_lines(at(exchange, "99.00"))
    assert stop_of(exchange, 2) == Decimal("98.00")


def test_trailing_child_wants_a_parent_with_a_limit() -> None:
    exchange = quiet()
    exchange.submit(ticket(1, transmit=False), NOON)
    assert errors(exchange.submit(replace(trail(2), parent_id=1), NOON)) == [(2, 328)]


ticks = st.integers(-150, 150)


@settings(max_examples=150, deadline=None)
@given(
    action=st.sampled_from(["BUY", "SELL"]),
    distance=st.one_of(st.integers(1, 500).map(lambda cents: (cents, None)), st.integers(1, 900).map(lambda tenths: (None, tenths))),
    method=st.sampled_from(["0", "1", "2", "3", "4", "7", "8"]),
    moves=st.lists(st.tuples(ticks, st.integers(0, 8), st.booleans()), min_size=1, max_size=25),
)
def test_a_trailing_stop_never_moves_away_from_the_market(
    action: str, distance: tuple[int | None, int | None], method: str, moves: list[tuple[int, int, bool]]
) -> None:
    amount, percent = distance
    more = {"triggerMethod": method} | ({} if percent is None else {"trailingPercent": str(Decimal(percent) / 100)})
    exchange = quiet()
    exchange.submit(trail(1, action, None if amount is None else str(Decimal(amount) / 100), **more), NOON)
    bid, now, stops = Decimal(100), NOON, []
    for move, width, second in moves:
        bid = max(bid + Decimal(move) / 100, Decimal(1))
        events = exchange.set_quote(265598, bid, bid + Decimal(width) / 100, now)
        if second:
            now += SECOND
            assert len(told_stops([*events, *exchange.tick(now)])) <= 2 or fills(events)
        if not exchange.open_orders():
            break
        stops.append(stop_of(exchange))
    assert stops == sorted(stops, reverse=action == "BUY")
