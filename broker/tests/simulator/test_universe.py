"""The instruments of the simulated exchange: enough of them, real ids, stable derivatives, and contract resolution as IB does it."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from broker.simulator.exchange import Exchange
from broker.simulator.universe import build_universe, increment_at
from broker.simulator.universe_tables import ETFS, FUTURES, FX_PAIRS, OPTION_SERIES, STOCKS
from broker.tests.simulator.trading import AAPL, EURUSD, MSFT, NOON, SPY

TODAY = date(2026, 11, 18)


@pytest.fixture(scope="module")
def exchange() -> Exchange:
    return Exchange(seed=1, now=NOON)


def test_universe_has_every_kind_and_no_id_twice() -> None:
    universe = build_universe(TODAY, TODAY)
    kinds = Counter(one.sec_type for one in universe.values())
    assert kinds["STK"] == len(STOCKS) + len(ETFS) > 50
    assert kinds["CASH"] == len(FX_PAIRS)
    assert kinds["FUT"] == 3 * len(FUTURES)
    assert kinds["OPT"] == sum(3 * 2 * len(strikes) for _, strikes, _, _ in OPTION_SERIES)
    assert sum(kinds.values()) == len(universe)
    assert (universe[AAPL].symbol, universe[MSFT].symbol, universe[SPY].stock_type) == ("AAPL", "MSFT", "ETF")


def test_derivatives_expire_ahead_on_weekdays_whatever_the_day() -> None:
    for today in (TODAY + timedelta(days=offset) for offset in range(0, 900, 5)):
        universe = build_universe(today, today)
        expiring = [one for one in universe.values() if one.expiry]
        assert len(expiring) == 3 * len(FUTURES) + 60
        for one in expiring:
            expiry = date.fromisoformat(one.expiry)
            assert today <= expiry < today + timedelta(days=300), (today, one.local_symbol)
            assert expiry.weekday() < 5, (today, one.local_symbol)
        assert len(universe) == len({one.local_symbol for one in universe.values()}), today


def test_contracts_of_earlier_days_stay_as_they_were_when_new_ones_are_listed() -> None:
    before = build_universe(TODAY, TODAY)
    after = build_universe(TODAY, TODAY + timedelta(days=120))
    assert before.items() <= after.items()
    assert len(after) > len(before)
    assert build_universe(TODAY, TODAY + timedelta(days=121)).keys() >= after.keys()


@pytest.mark.parametrize(
    ("local_symbol", "price", "increment"),
    [
        ("AAPL", "236.40", "0.01"),
        ("AAPL", "0.99", "0.0001"),
        ("AAPL", "1", "0.01"),
        ("ESZ6", "6712", "0.25"),
        ("CLF7", "62", "0.01"),
        ("GCZ6", "4028", "0.1"),
        ("EUR.USD", "1.165", "0.00005"),
        ("USD.JPY", "151", "0.005"),
        ("AAPL  261218C00240000", "2.99", "0.01"),
        ("AAPL  261218C00240000", "3", "0.05"),
        ("SPY   261218P00660000", "12", "0.01"),
    ],
)
def test_increments_are_those_of_ib(exchange: Exchange, local_symbol: str, price: str, increment: str) -> None:
    (instrument,) = exchange.find(local_symbol=local_symbol)
    assert increment_at(instrument, Decimal(price)) == Decimal(increment)


def test_market_rules_are_ascending_ladders_from_zero(exchange: Exchange) -> None:
    for rule_id in {one.market_rule_id for one in exchange.instruments.values()}:
        ladder = exchange.market_rule(rule_id)
        assert ladder is not None
        assert ladder[0][0] == 0
        assert all(low < high for (low, _), (high, _) in pairwise(ladder))
    assert exchange.market_rule(999_999) is None


def test_contract_is_found_by_id_with_a_fitting_exchange_only(exchange: Exchange) -> None:
    for named in ("", "SMART", "NASDAQ", "ISLAND"):
        assert [one.con_id for one in exchange.find(con_id=AAPL, exchange=named)] == [AAPL], named
    assert exchange.find(con_id=AAPL, exchange="NYSE") == exchange.find(con_id=1) == []


def test_contract_is_found_by_description_and_may_be_ambiguous(exchange: Exchange) -> None:
    assert [one.con_id for one in exchange.find(symbol="aapl", sec_type="STK", exchange="SMART", currency="USD")] == [AAPL]
    assert [one.con_id for one in exchange.find(symbol="EUR", sec_type="CASH", exchange="IDEALPRO", currency="USD")] == [EURUSD]
    assert exchange.find(symbol="AAPL", sec_type="STK", currency="EUR") == []
    assert exchange.find(symbol="NOSUCH") == exchange.find() == []
    assert len(exchange.find(symbol="ES", sec_type="FUT")) == 3
    (december,) = exchange.find(symbol="ES", sec_type="FUT", expiry="202612")
    assert (december.local_symbol, december.expiry, december.multiplier) == ("ESZ6", "20261218", 50)
    calls = exchange.find(symbol="SPY", sec_type="OPT", right="CALL", strike=Decimal("650.0"))
    assert [one.expiry for one in calls] == ["20261120", "20261218", "20270115"]
    assert {one.under_con_id for one in calls} == {SPY}


def test_search_finds_stocks_by_symbol_first_then_by_name(exchange: Exchange) -> None:
    assert [one.symbol for one in exchange.search("m")][:3] == ["MA", "MU", "MCD"], "shorter symbols first"
    assert [one.symbol for one in exchange.search("V")][:2] == ["V", "VZ"]
    assert [one.symbol for one in exchange.search("apple")] == ["AAPL"]
    assert exchange.search("zzzz") == exchange.search("  ") == []
    assert len(exchange.search("A")) == 16
    assert {one.sec_type for one in exchange.search("A")} == {"STK"}
