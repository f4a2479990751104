"""What a person is told of an order before he sends it: each caution, and its absence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal as D

import pytest

from orders.preview.warnings import Scene, warnings
from orders.rules.limits import Market
from orders.rules.terms import AdaptivePriority, OrderTerms, OrderType, Side, TimeInForce

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)  # a Monday, 10:00 in New York
REGULAR = "20260302:0930-20260302:1600;20260303:0930-20260303:1600"
EXTENDED = "20260302:0400-20260302:2000;20260303:0400-20260303:2000"
EVENING = datetime(2026, 3, 2, 22, 0, tzinfo=UTC)  # 17:00
NIGHT = datetime(2026, 3, 3, 4, 0, tzinfo=UTC)  # 23:00
SCENE = Scene(NOW, Market(D("99.99"), D("100.01"), D(100), D(1)), D(1000000), D(0), REGULAR, EXTENDED, "America/New_York")
BUY = OrderTerms(Side.BUY, OrderType.LIMIT, D(100), D("99.50"))


def said(terms: OrderTerms = BUY, **scene: object) -> str:
    return " ".join(warnings(terms, replace(SCENE, **scene)))  # type: ignore[arg-type]


def test_an_ordinary_order_has_no_caution() -> None:
    assert said() == ""


@pytest.mark.parametrize(
    ("scene", "words"),
    [
        ({"now": EVENING}, "trades only within them"),
        ({"now": NIGHT}, "The market is closed"),
        ({"position": D(-50)}, "This crosses zero: it turns the position of −50 into +50."),
        ({"volume": D(4000)}, "This is 2.5 % of the day's volume so far (4,000)."),
        ({"market": None}, "There is no quote"),
        ({"market": replace(SCENE.market, delayed=True)}, "The quote is delayed"),
        ({"market": replace(SCENE.market, age_seconds=D("44.4"))}, "The quote is 44 seconds old."),
        ({"market": Market(D("100.01"), D("99.99"), D(100), D(1))}, "The quote is crossed"),
    ],
)
def test_what_stands_around_the_order_is_said(scene: dict[str, object], words: str) -> None:
    assert words in said(**scene)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"limit_price": D("100.02")}, "The limit lies above the best ask"),
        ({"side": Side.SELL, "limit_price": D("99.98")}, "The limit lies below the best bid"),
        ({"order_type": OrderType.MARKET, "limit_price": None}, "takes whatever price there is"),
        ({"order_type": OrderType.STOP, "limit_price": None, "stop_price": D(101)}, "Once elected it is a market order"),
        ({"order_type": OrderType.STOP_LIMIT, "stop_price": D(101)}, "it may not trade at all"),
        ({"order_type": OrderType.TRAIL, "limit_price": None, "trail_percent": D(2)}, "The stop follows the market"),
        ({"order_type": OrderType.MARKET_ON_CLOSE, "limit_price": None}, "closing auction"),
        ({"time_in_force": TimeInForce.OPG}, "opening auction"),
        ({"time_in_force": TimeInForce.IOC}, "What does not trade at once is cancelled."),
        ({"time_in_force": TimeInForce.GTC}, "90 days without a login"),
        ({"all_or_none": True}, "All or none"),
        ({"hidden": True}, "hidden order"),
        ({"adaptive": AdaptivePriority.PATIENT}, "Adaptive"),
    ],
)
def test_what_the_order_itself_brings_along_is_said(changes: dict[str, object], words: str) -> None:
    assert words in said(replace(BUY, **changes))  # type: ignore[arg-type]


def test_a_gtc_stop_is_not_adjusted_for_dividends() -> None:
    stop = OrderTerms(Side.SELL, OrderType.STOP, D(1), stop_price=D(90), time_in_force=TimeInForce.GTC)
    assert "not adjusted for dividends" in said(stop)
    assert "not adjusted" not in said(replace(stop, time_in_force=TimeInForce.DAY))


def test_in_extended_hours_an_order_that_trades_there_is_told_of_thin_markets_only() -> None:
    assert "fewer trade" in said(replace(BUY, outside_rth=True), now=EVENING)
    assert "waits" not in said(replace(BUY, outside_rth=True), now=EVENING)
