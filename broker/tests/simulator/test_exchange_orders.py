"""Single orders on the simulated exchange: the event sequences of wire_protocol 8.1, prices, sizes, changes and cancels."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from broker.simulator.exchange import Exchange
from broker.simulator.model import CommissionCharged, OrderChanged, Refused
from broker.tests.simulator.trading import (
    AAPL,
    NOON,
    SECOND,
    errors,
    fills,
    held,
    limit,
    lines,
    order_lines,
    quiet,
    quote,
    remaining,
    status,
    stop,
    ticket,
)


def test_market_order_answers_in_the_order_of_a_gateway() -> None:
    assert lines(quiet().submit(ticket(1), NOON)) == [
        "1 PreSubmitted 0/100",
        "1 fill 100 @ 100.02",
        "1 Filled 100/0",
        "commission 1",
        "position 100",
    ]


def test_resting_limit_is_presubmitted_then_submitted() -> None:
    assert lines(quiet().submit(limit(1, "BUY", 100, "99.50"), NOON)) == ["1 PreSubmitted 0/100", "1 Submitted 0/100"]


def test_marketable_limit_fills_at_the_touch_not_at_its_limit() -> None:
    exchange = quiet()
    bought, sold = (exchange.submit(one, NOON) for one in (limit(1, "BUY", 100, "101.00"), limit(2, "SELL", 100, "99.00")))
    assert [fill.price for fill in fills(bought) + fills(sold)] == [Decimal("100.02"), Decimal("100.00")]
    assert {fill.liquidity for fill in fills(bought) + fills(sold)} == {2}


def test_rested_limit_fills_at_its_limit_when_the_market_comes_through_it() -> None:
    exchange = quiet()
    exchange.submit(limit(1, "BUY", 100, "99.50"), NOON)
    (fill,) = fills(quote(exchange, "98.90", "98.92"))
    assert (fill.price, fill.liquidity) == (Decimal("99.50"), 1)


@pytest.mark.parametrize(
    ("action", "trigger", "bid", "ask", "price"),
    [("SELL", "98.00", "97.98", "98.00", "97.98"), ("BUY", "102.00", "102.00", "102.02", "102.02")],
)
def test_stop_waits_for_its_trigger_and_fills_at_the_market(action: str, trigger: str, bid: str, ask: str, price: str) -> None:
    exchange = quiet()
    assert lines(exchange.submit(stop(1, action, 100, trigger), NOON)) == ["1 PreSubmitted 0/100 trigger"]
    assert fills(quote(exchange, "99.00", "101.00")) == []
    assert order_lines(quote(exchange, bid, ask)) == ["1 Submitted 0/100", f"1 fill 100 @ {price}", "1 Filled 100/0"]


def test_stop_limit_rests_at_its_limit_when_elected_too_late() -> None:
    exchange = quiet()
    exchange.submit(ticket(1, "SELL", 100, "STP LMT", limit="97.50", stop="98.00"), NOON)
    assert order_lines(quote(exchange, "95.00", "95.02")) == ["1 Submitted 0/100"]
    (fill,) = fills(quote(exchange, "97.60", "97.62"))
    assert fill.price == Decimal("97.50")


def test_stop_elected_once_stays_elected() -> None:
    exchange = quiet()
    exchange.submit(ticket(1, "SELL", 100, "STP LMT", limit="97.50", stop="98.00"), NOON)
    quote(exchange, "95.00", "95.02")
    assert len(fills(quote(exchange, "99.00", "99.02"))) == 1


def test_stop_already_through_the_market_is_elected_at_once() -> None:
    exchange = quiet()
    events = exchange.submit(stop(1, "SELL", 10, "100.50"), NOON)
    assert order_lines(events)[1:] == ["1 Submitted 0/10", "1 fill 10 @ 100.00", "1 Filled 10/0"]


def test_order_larger_than_the_displayed_size_fills_in_parts_as_the_size_comes_back() -> None:
    exchange = quiet()
    quote(exchange, "100.00", "100.02", size=40)
    events = exchange.submit(limit(1, "BUY", 100, "100.02"), NOON)
    assert order_lines(events) == ["1 PreSubmitted 0/100", "1 fill 40 @ 100.02", "1 Submitted 40/60"]
    assert fills(exchange.submit(limit(2, "BUY", 10, "100.02"), NOON)) == [], "the display is used up until the next step"
    first, second = exchange.tick(NOON + SECOND), exchange.tick(NOON + 2 * SECOND)
    assert [fill.shares for fill in fills(first)] == [40]
    assert [(fill.order_id, fill.shares) for fill in fills(second)] == [(1, 20), (2, 10)]
    assert status(exchange, 1) == "Filled"


def test_market_order_walks_one_increment_deeper_each_step() -> None:
    exchange = quiet()
    quote(exchange, "100.00", "100.02", size=40)
    prices = [fill.price for fill in fills(exchange.submit(ticket(1, "SELL"), NOON))]
    prices += [fill.price for fill in fills(exchange.tick(NOON + 2 * SECOND))]
    assert prices == [Decimal("100.00"), Decimal("99.99"), Decimal("99.98")]


def test_cumulative_quantity_average_price_and_reference_travel_with_the_executions() -> None:
    exchange = quiet()
    quote(exchange, "100.00", "100.02", size=40)
    got = fills(exchange.submit(ticket(1, "SELL", order_ref="DB1-A"), NOON)) + fills(exchange.tick(NOON + 2 * SECOND))
    assert [fill.cum_quantity for fill in got] == [40, 80, 100]
    assert got[-1].average_price == (40 * Decimal(100) + 40 * Decimal("99.99") + 20 * Decimal("99.98")) / 100
    assert {fill.order_ref for fill in got} == {"DB1-A"}
    assert len({fill.exec_id for fill in got}) == 3
    assert {fill.exec_id.count(".") for fill in got} == {3}, "four segments, the last one the revision"


def test_commission_minimum_is_charged_once_an_order_not_once_an_execution() -> None:
    exchange = quiet()
    quote(exchange, "100.00", "100.02", size=150)
    events = exchange.submit(limit(1, "BUY", 400, "100.02"), NOON) + exchange.tick(NOON + 2 * SECOND)
    charged = [event.commission for event in events if isinstance(event, CommissionCharged)]
    assert charged == [Decimal(1), Decimal("0.5"), Decimal("0.5")]


# --- changes ------------------------------------------------------------------------------------------------------------------------


def test_change_puts_new_terms_in_force_and_keeps_the_permanent_id() -> None:
    exchange = quiet()
    exchange.submit(limit(1, "BUY", 100, "99.00", order_ref="DB1-A"), NOON)
    (before,) = exchange.open_orders()
    (changed,) = [event for event in exchange.submit(limit(1, "BUY", 50, "99.50"), NOON) if isinstance(event, OrderChanged)]
    assert changed.echo
    assert (changed.order.request.limit_price, changed.order.remaining, changed.order.status) == (Decimal("99.50"), 50, "Submitted")
    assert (changed.order.perm_id, changed.order.request.order_ref) == (before.perm_id, "DB1-A")
    assert len(exchange.open_orders()) == 1


def test_change_into_the_market_fills_at_the_touch() -> None:
    exchange = quiet()
    exchange.submit(limit(1, "BUY", 100, "99.00"), NOON)
    (fill,) = fills(exchange.submit(limit(1, "BUY", 100, "101.00"), NOON))
    assert fill.price == Decimal("100.02")


def test_changed_stop_triggers_at_its_new_price_only() -> None:
    exchange = quiet()
    exchange.submit(stop(1, "SELL", 100, "98.00"), NOON)
    exchange.submit(stop(1, "SELL", 100, "96.00"), NOON)
    assert fills(quote(exchange, "97.00", "97.02")) == []
    assert len(fills(quote(exchange, "95.98", "96.00"))) == 1


def test_partly_filled_order_may_grow_and_shrink_but_not_below_what_filled() -> None:
    exchange = quiet()
    quote(exchange, "100.00", "100.02", size=40)
    exchange.submit(limit(1, "BUY", 100, "100.02"), NOON)
    exchange.submit(limit(1, "BUY", 90, "99.00"), NOON)
    assert remaining(exchange, 1) == 50
    assert errors(exchange.submit(limit(1, "BUY", 40, "99.00"), NOON)) == [(1, 134)]
    assert remaining(exchange, 1) == 50


# --- cancels ------------------------------------------------------------------------------------------------------------------------


def test_cancel_confirms_by_status_then_code_202() -> None:
    exchange = quiet()
    exchange.submit(limit(1, "BUY", 100, "99.00"), NOON)
    events = exchange.cancel(17, 1, NOON)
    assert lines(events) == ["1 Cancelled 0/100", "1 refused 202"]
    assert isinstance(events[0], OrderChanged)
    assert not events[0].echo
    assert isinstance(events[1], Refused)
    assert events[1].text == "Order Canceled - reason:"
    assert exchange.open_orders() == []


def test_cancelled_order_keeps_what_it_filled() -> None:
    exchange = quiet()
    quote(exchange, "100.00", "100.02", size=40)
    exchange.submit(limit(1, "BUY", 100, "100.02"), NOON)
    assert lines(exchange.cancel(17, 1, NOON))[0] == "1 Cancelled 40/60"
    assert held(exchange) == 40
    assert fills(exchange.tick(NOON + 5 * SECOND)) == []


def test_delayed_cancel_is_pending_and_can_still_fill() -> None:
    exchange = quiet()
    exchange.cancel_delay_steps = 2
    for order_id in (1, 2):
        exchange.submit(limit(order_id, "BUY", 100, "99.00"), NOON)
        assert lines(exchange.cancel(17, order_id, NOON)) == [f"{order_id} PendingCancel 0/100"]
    assert errors(exchange.cancel(17, 1, NOON)) == [(1, 161)]
    assert errors(exchange.submit(limit(1, "BUY", 50, "99.00"), NOON)) == [(1, 2102)]
    assert order_lines(quote(exchange, "98.98", "99.00", size=130)) == [
        "1 fill 100 @ 99.00",
        "1 Filled 100/0",
        "2 fill 30 @ 99.00",
        "2 PendingCancel 30/70",
    ]
    quote(exchange, "100.00", "100.02")
    assert order_lines(exchange.tick(NOON + SECOND)) == []
    assert order_lines(exchange.tick(NOON + 2 * SECOND)) == ["2 Cancelled 30/70", "2 refused 202"]


def test_global_cancel_reaches_every_client_and_account() -> None:
    exchange = quiet()
    exchange.submit(limit(1, "BUY", 100, "99.00"), NOON)
    exchange.submit(limit(1, "BUY", 100, "99.00", client_id=3, account="DU1000902"), NOON)
    assert errors(exchange.cancel_all(NOON)) == [(1, 202), (1, 202)]
    assert exchange.open_orders() == []


# --- transmit ---------------------------------------------------------------------------------------------------------------------


def test_untransmitted_order_is_silent_and_unseen_until_it_is_sent_again() -> None:
    exchange = quiet()
    assert exchange.submit(ticket(1, transmit=False), NOON) == []
    assert exchange.open_orders() == []
    assert exchange.tick(NOON + SECOND)[-1:] != []
    assert held(exchange) == 0
    assert order_lines(exchange.submit(ticket(1, quantity=60), NOON))[-1] == "1 Filled 60/0"


def test_untransmitted_orders_do_not_outlive_a_session() -> None:
    exchange = quiet()
    exchange.submit(limit(1, "BUY", 100, "99.00", transmit=False), NOON)
    exchange.submit(limit(2, "BUY", 100, "99.00"), NOON)
    exchange.forget_untransmitted()
    assert errors(exchange.cancel(17, 1, NOON)) == [(1, 10147)]
    assert status(exchange, 2) == "Submitted"


# --- ends of time -----------------------------------------------------------------------------------------------------------------


def test_day_order_ends_at_eight_in_the_evening_in_new_york_and_gtc_does_not() -> None:
    exchange = quiet()
    exchange.submit(limit(1, "BUY", 100, "99.00"), NOON)
    exchange.submit(limit(2, "BUY", 100, "99.00", tif="GTC"), NOON)
    evening = datetime(2026, 11, 19, 1, 0, tzinfo=UTC)
    assert errors(exchange.tick(evening - SECOND)) == []
    assert order_lines(exchange.tick(evening)) == ["1 Cancelled 0/100", "1 refused 202"]
    assert [one.request.order_id for one in exchange.open_orders()] == [2]


def test_day_order_placed_in_the_evening_lasts_until_the_next_one() -> None:
    exchange = quiet()
    evening = datetime(2026, 11, 19, 1, 30, tzinfo=UTC)
    exchange.submit(limit(1, "BUY", 100, "99.00"), evening)
    assert errors(exchange.tick(evening + timedelta(hours=23))) == []
    assert errors(exchange.tick(evening + timedelta(hours=24))) == [(1, 202)]


@pytest.mark.parametrize(
    "until", ["20261118-18:00:00", "20261118 13:00:00 US/Eastern", "20261118 13:00:00", "20261118 12:00:00 US/Central"]
)
def test_good_till_date_is_read_in_every_form_ib_takes(until: str) -> None:
    exchange = quiet()
    exchange.submit(limit(1, "BUY", 100, "99.00", tif="GTD", wire={"goodTillDate": until}), NOON)
    one_o_clock = NOON + timedelta(hours=1)
    assert errors(exchange.tick(one_o_clock - SECOND)) == []
    assert errors(exchange.tick(one_o_clock)) == [(1, 202)]


# --- what can be asked ----------------------------------------------------------------------------------------------------------------


def test_open_orders_are_those_of_the_client_and_completed_ones_are_todays() -> None:
    exchange = quiet()
    exchange.submit(limit(1, "BUY", 100, "99.00"), NOON)
    exchange.submit(limit(1, "BUY", 100, "99.00", client_id=3), NOON)
    exchange.submit(ticket(2), NOON)
    exchange.submit(limit(3, "BUY", 100, "99.00"), NOON)
    exchange.cancel(17, 3, NOON)
    assert [(one.request.client_id, one.request.order_id) for one in exchange.open_orders()] == [(17, 1), (3, 1)]
    assert [one.request.client_id for one in exchange.open_orders(3)] == [3]
    assert [one.completed_status for one in exchange.completed_orders(NOON)] == ["Filled Size: 100", "Cancelled by Trader"]
    assert [fill.order_id for fill, _ in exchange.fills(NOON)] == [2]


def test_yesterdays_fills_and_completed_orders_are_gone_after_midnight_in_new_york() -> None:
    exchange = quiet()
    exchange.submit(ticket(1), NOON)
    tomorrow = datetime(2026, 11, 19, 5, 0, tzinfo=UTC)
    assert len(exchange.fills(tomorrow - SECOND)) == len(exchange.completed_orders(tomorrow - SECOND)) == 1
    assert exchange.fills(tomorrow) == exchange.completed_orders(tomorrow) == []
    exchange.tick(tomorrow)
    assert errors(exchange.submit(ticket(1), tomorrow)) == [(1, 103)], "a forgotten order's id stays used"


def test_same_seed_and_calls_give_the_same_events() -> None:
    def day(seed: int) -> list[object]:
        exchange = Exchange(seed=seed, now=NOON)
        events: list[object] = [*exchange.submit(ticket(1, quantity=5000), NOON), *exchange.submit(stop(2, "SELL", 100, "236.30"), NOON)]
        for second in range(1, 30):
            events += exchange.tick(NOON + second * SECOND)
        return events

    assert day(3) == day(3)
    assert day(3) != day(4)


def test_quote_by_symbol_and_by_contract_id_are_the_same_door() -> None:
    exchange = quiet()
    assert exchange.set_quote("AAPL", Decimal(50), Decimal(51), NOON) == exchange.set_quote(AAPL, Decimal(50), Decimal(51), NOON)
    with pytest.raises(KeyError):
        exchange.set_quote("NOSUCH", Decimal(1), Decimal(2), NOON)
