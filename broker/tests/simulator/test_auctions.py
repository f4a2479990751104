"""Orders on close and on open: they wait, trade once at the auction's price, and end where their limit is not met."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from broker.simulator.elsewhere import INPUTS
from broker.simulator.exchange import Exchange
from broker.simulator.hours import CLOSE, OPEN, hours_of, hours_text, next_auction
from broker.simulator.model import AuctionHeld
from broker.tests.simulator.tickets import at
from broker.tests.simulator.trading import AAPL, MSFT, NOON, SECOND, errors, fills, held, limit, order_lines, quiet, quote, status, ticket

CLOSES = datetime(2026, 11, 18, 21, 0, tzinfo=UTC)  # 16:00 in New York
OPENS = datetime(2026, 11, 19, 14, 30, tzinfo=UTC)  # 09:30 of the next day


def test_order_on_close_waits_whatever_the_market_does_and_trades_at_the_close() -> None:
    exchange = quiet()
    assert order_lines(exchange.submit(ticket(1, order_type="MOC"), NOON)) == ["1 PreSubmitted 0/100"]
    assert order_lines(at(exchange, "103.00") + exchange.tick(CLOSES - SECOND)) == []
    events = exchange.tick(CLOSES)
    assert order_lines(events) == ["1 fill 100 @ 103.00", "1 Filled 100/0"]
    assert [one for one in events if isinstance(one, AuctionHeld)] == [AuctionHeld(AAPL, "close", Decimal("103.00"))]


def test_orders_on_open_trade_at_the_next_open_and_not_at_the_close() -> None:
    exchange = quiet()
    exchange.submit(ticket(1, tif="OPG"), NOON)
    exchange.submit(limit(2, "SELL", 50, "100.00", tif="OPG"), NOON)
    assert fills(exchange.tick(CLOSES)) == []
    assert errors(exchange.tick(OPENS - SECOND)) == [], "the end of the day does not end them"
    assert [(fill.order_id, fill.shares) for fill in fills(exchange.tick(OPENS))] == [(1, 100), (2, 50)]


@pytest.mark.parametrize(
    ("action", "price", "last", "ends"),
    [
        ("BUY", "101.00", "100.50", "Filled"),
        ("BUY", "101.00", "101.00", "Filled"),
        ("BUY", "101.00", "101.01", "Cancelled"),
        ("SELL", "101.00", "101.50", "Filled"),
        ("SELL", "101.00", "100.99", "Cancelled"),
    ],
)
@pytest.mark.parametrize(("order_type", "tif", "moment"), [("LOC", "DAY", CLOSES), ("LMT", "OPG", OPENS)])
def test_limit_of_an_auction_order_is_kept_and_what_misses_it_ends(
    action: str, price: str, last: str, ends: str, order_type: str, tif: str, moment: datetime
) -> None:
    exchange = quiet()
    exchange.submit(ticket(1, action, 100, order_type, price, tif=tif), NOON)
    at(exchange, last)
    events = exchange.tick(moment)
    assert [fill.price for fill in fills(events)] == ([Decimal(last)] if ends == "Filled" else [])
    assert order_lines(events)[-1] == ("1 Filled 100/0" if ends == "Filled" else "1 refused 202")
    assert exchange.open_orders() == []


def test_auction_fills_more_than_is_displayed() -> None:
    exchange = quiet()
    exchange.submit(ticket(1, quantity=2_000, order_type="MOC"), NOON)
    quote(exchange, "100.00", "100.02", size=10)
    assert [fill.shares for fill in fills(exchange.tick(CLOSES))] == [2_000]
    assert [fill.shares for fill in fills(exchange.submit(limit(2, "BUY", 50, "100.02"), CLOSES))] == [10]


def test_order_after_the_close_waits_for_the_next_weekday() -> None:
    exchange = quiet()
    friday_evening = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
    exchange.tick(friday_evening)
    exchange.submit(ticket(1, order_type="MOC"), friday_evening)
    monday = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
    assert fills(exchange.tick(monday - SECOND)) == []
    assert len(fills(exchange.tick(monday))) == 1


def test_long_sleep_is_made_up_for_in_the_order_of_its_moments() -> None:
    exchange = quiet()
    group = {"oca_group": "exit", "oca_type": 1}
    exchange.submit(limit(1, "SELL", 100, "108.00", **group), NOON)
    exchange.submit(ticket(2, "SELL", order_type="MOC", **group), NOON)
    exchange.tick(CLOSES + timedelta(hours=10))
    assert (held(exchange), exchange.open_orders()) == (-100, []), "the close came before the end of the day"
    done = {one.request.order_id: one.status for one in exchange.completed_orders(CLOSES)}
    assert done == {1: "Cancelled", 2: "Filled"}


def test_order_sent_behind_an_auction_does_not_trade_in_it() -> None:
    exchange = quiet()
    exchange.submit(ticket(1, order_type="MOC"), CLOSES - SECOND)
    exchange.submit(ticket(2, order_type="MOC"), CLOSES + SECOND)
    assert [fill.order_id for fill in fills(exchange.tick(CLOSES + 2 * SECOND))] == [1]
    assert status(exchange, 2) == "PreSubmitted"


def test_child_on_close_waits_for_its_parent_and_then_for_the_close() -> None:
    exchange = quiet()
    exchange.submit(limit(1, "BUY", 100, "99.00", transmit=False), NOON)
    exchange.submit(ticket(2, "SELL", order_type="MOC", parent_id=1), NOON)
    assert order_lines(quote(exchange, "98.98", "99.00"))[-1] == "2 PreSubmitted 0/100"
    exchange.tick(CLOSES)
    assert held(exchange) == 0


def test_order_on_close_takes_up_credit_and_can_be_changed_and_cancelled() -> None:
    exchange = quiet()
    assert errors(exchange.submit(ticket(1, quantity=39_000, order_type="MOC"), NOON)) == []
    assert errors(exchange.submit(limit(2, "BUY", 39_000, "99.00"), NOON)) == [(2, 201)]
    assert order_lines(exchange.submit(ticket(1, quantity=60, order_type="MOC"), NOON)) == ["1 PreSubmitted 0/60"]
    assert order_lines(exchange.cancel(17, 1, NOON)) == ["1 Cancelled 0/60", "1 refused 202"]


def test_auction_ahead_of_its_hour_is_that_of_one_instrument_and_one_kind() -> None:
    exchange = quiet()
    quote(exchange, "500.00", "500.02", con_id=MSFT)
    exchange.submit(ticket(1, order_type="MOC"), NOON)
    exchange.submit(ticket(2, order_type="MOC", con_id=MSFT), NOON)
    exchange.submit(ticket(3, tif="OPG"), NOON)
    assert exchange.awaited_auctions(CLOSE) == [AAPL, MSFT]
    assert [fill.order_id for fill in fills(exchange.hold_auction(CLOSE, AAPL, NOON))] == [1]
    assert [fill.order_id for fill in fills(exchange.hold_auction(OPEN, AAPL, NOON))] == [3]
    assert exchange.awaited_auctions(CLOSE) == [MSFT]


def test_waiting_orders_outlive_a_restart() -> None:
    saved = quiet()
    saved.submit(ticket(1, order_type="MOC"), NOON)
    saved.submit(ticket(2, wire={"goodAfterTime": "20261118-18:00:00"}), NOON)
    saved.submit(ticket(3, "SELL", 100, "TRAIL", None, "1.00"), NOON)
    saved.submit(ticket(4, "SELL", 100, "TRAIL LIMIT", None, "1.00", wire={"trailStopPrice": "99", "lmtPriceOffset": "0.5"}), NOON)
    at(saved, "101.00")
    restored = Exchange.restore(json.loads(json.dumps(saved.snapshot())))
    assert restored.open_orders() == saved.open_orders()
    for exchange in (restored, saved):
        at(exchange, "100.60")
    assert restored.tick(CLOSES) == saved.tick(CLOSES)
    assert [one.order_id for one, _ in restored.fills(CLOSES)] == [2, 1]
    assert restored.snapshot() == saved.snapshot()


def test_corrected_order_on_close_that_works_again_waits_for_the_next_close() -> None:
    exchange = quiet()
    exchange.submit(ticket(1, order_type="MOC"), NOON)
    exchange.tick(CLOSES)
    INPUTS["correct"](exchange, {"execution": "last", "shares": "60", "price": "100.00", "reinstate": True}, CLOSES)
    assert fills(quote(exchange, "100.00", "100.02")) == []
    assert [fill.shares for fill in fills(exchange.tick(CLOSES + timedelta(days=1)))] == [40]


# --- hours --------------------------------------------------------------------------------------------------------------------------


def test_stated_hours_are_those_of_ib_and_begin_and_end_with_the_auctions() -> None:
    exchange = quiet()
    lookup = {one.local_symbol: one for one in exchange.instruments.values()}
    wednesday = "20261118:0930-20261118:1600;20261119:0930-20261119:1600;20261120:0930-20261120:1600;20261121:CLOSED;20261122:CLOSED"
    told = {}
    for name in ("AAPL", "EUR.USD", "ESZ6"):
        hours, zone = hours_of(lookup[name]), lookup[name].time_zone
        told[name] = [hours_text(session, zone, NOON) for session in (hours.trading, hours.liquid)]
    assert told["AAPL"][1].startswith(wednesday)
    assert told["AAPL"][0].startswith("20261118:0400-20261118:2000;")
    assert told["EUR.USD"][0].startswith("20261117:1715-20261118:1700;20261118:1715-20261119:1700;20261119:1715-20261120:1700;")
    assert told["EUR.USD"][0].split(";")[3] == "20261121:CLOSED"
    assert told["EUR.USD"][0].split(";")[4] == "20261122:1715-20261123:1700"
    assert told["ESZ6"][0].startswith("20261117:1700-20261118:1600")
    assert told["ESZ6"][1].startswith("20261118:0830-20261118:1600")
    assert all(len(text.split(";")) == 6 for texts in told.values() for text in texts)


def test_every_instrument_states_hours() -> None:
    for one in quiet().instruments.values():
        hours = hours_of(one)
        assert "-" in hours_text(hours.trading, one.time_zone, NOON)
        assert "-" in hours_text(hours.liquid, one.time_zone, NOON)


@pytest.mark.parametrize(
    ("which", "after", "expected"),
    [
        (CLOSE, NOON, CLOSES),
        (CLOSE, CLOSES, CLOSES + timedelta(days=1)),
        (OPEN, NOON, OPENS),
        (OPEN, datetime(2026, 11, 21, 12, 0, tzinfo=UTC), datetime(2026, 11, 23, 14, 30, tzinfo=UTC)),
        (OPEN, datetime(2026, 10, 30, 20, 0, tzinfo=UTC), datetime(2026, 11, 2, 14, 30, tzinfo=UTC)),  # daylight saving ends between
    ],
)
def test_next_auction_is_on_a_weekday_at_its_hour_in_new_york(which: str, after: datetime, expected: datetime) -> None:
    assert next_auction(which, "US/Eastern", after) == expected
