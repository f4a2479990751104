"""Quotes of the simulated exchange: seeded, on the ladder, calm, cheap, and held still when pinned."""

from __future__ import annotations

import statistics
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from time import perf_counter

import pytest

from broker.simulator.exchange import Exchange
from broker.simulator.market import MAX_STEPS, Market
from broker.simulator.model import QuoteChanged
from broker.simulator.pricing import option_value
from broker.simulator.universe import build_universe, increment_at
from broker.tests.simulator.trading import AAPL, EURUSD, NOON, SECOND, SPY, USDJPY, quiet, quote

UNIVERSE = build_universe(NOON.date(), NOON.date())


def walked(seed: int, steps: int) -> Market:
    market = Market(seed, UNIVERSE, NOON)
    for _ in range(steps):
        market.step(NOON)
    return market


def test_every_quote_is_on_the_ladder_uncrossed_and_has_size() -> None:
    for line in walked(1, 200).lines.values():
        for price in (line.bid, line.ask):
            assert price % increment_at(line.instrument, price) == 0, line.instrument.local_symbol
        assert 0 < line.bid < line.ask
        assert min(line.bid_size, line.ask_size) > 0


def test_walk_is_calm_and_returns_to_where_it_started() -> None:
    market = Market(5, {AAPL: UNIVERSE[AAPL], EURUSD: UNIVERSE[EURUSD]}, NOON)
    strayed = {AAPL: Decimal(0), EURUSD: Decimal(0)}
    largest_move = Decimal(0)
    for _ in range(20_000):
        before = market.lines[AAPL].middle
        market.step(NOON)
        largest_move = max(largest_move, abs(market.lines[AAPL].middle / before - 1))
        for con_id, line in market.lines.items():
            strayed[con_id] = max(strayed[con_id], abs(line.middle / line.anchor - 1))
    assert Decimal("0.001") < strayed[AAPL] < Decimal("0.05")
    assert strayed[EURUSD] < Decimal("0.02")
    assert largest_move < Decimal("0.0005")


def test_only_changed_quotes_are_announced() -> None:
    market = Market(2, UNIVERSE, NOON)
    for _ in range(50):
        before = {con_id: (line.bid, line.ask, line.last) for con_id, line in market.lines.items()}
        announced = {event.con_id for event in market.step(NOON)}
        assert announced == {con_id for con_id, line in market.lines.items() if (line.bid, line.ask, line.last) != before[con_id]}


def test_step_over_the_whole_universe_is_cheap() -> None:
    market, taken = Market(3, UNIVERSE, NOON), []
    for _ in range(50):
        started = perf_counter()
        market.step(NOON)
        taken.append(perf_counter() - started)
    assert statistics.median(taken) < 0.010, "a step takes about a millisecond; ten mean that something is wrong"


def test_same_seed_walks_the_same_way_and_another_does_not() -> None:
    first, second, other = ([line.event() for line in walked(seed, 20).lines.values()] for seed in (4, 4, 6))
    assert first == second != other


def test_pinned_quote_stands_still_and_does_not_move_the_others() -> None:
    free, pinned = Exchange(seed=9, now=NOON), Exchange(seed=9, now=NOON)
    quote(pinned, "50.00", "50.10")
    for exchange in (free, pinned):
        exchange.tick(NOON + 10 * SECOND)
    assert (pinned.quote(AAPL).bid, pinned.quote(AAPL).ask) == (Decimal("50.00"), Decimal("50.10"))
    assert pinned.quote(SPY) == free.quote(SPY)
    assert pinned.quote(AAPL) != free.quote(AAPL)


def test_released_quote_walks_on_from_where_it_was_pinned() -> None:
    exchange = quiet()
    exchange.release_quote("AAPL")
    exchange.tick(NOON + 30 * SECOND)
    bid = exchange.quote(AAPL).bid
    assert bid != Decimal("100.00")
    assert abs(bid - 100) < 1


@pytest.mark.parametrize(
    ("bid", "ask", "last"),
    [("99.00", "99.02", "99.00"), ("101.00", "101.02", "101.02"), ("99.90", "100.10", "100.00")],
)
def test_last_price_is_drawn_into_a_pinned_quote_from_the_side_it_comes_from(bid: str, ask: str, last: str) -> None:
    exchange = quiet()
    assert exchange.quote(AAPL).last == Decimal("100.00")
    quote(exchange, bid, ask)
    assert exchange.quote(AAPL).last == Decimal(last)


@pytest.mark.parametrize(("bid", "ask"), [("100.02", "100.00"), ("0", "1"), ("NaN", "1"), ("1", "Infinity")])
def test_impossible_quote_is_refused(bid: str, ask: str) -> None:
    with pytest.raises(ValueError, match="not a quote"):
        quote(quiet(), bid, ask)


def test_options_follow_their_underlying() -> None:
    exchange = Exchange(seed=1, now=NOON)
    (call,) = exchange.find(symbol="AAPL", sec_type="OPT", expiry="20261218", strike=Decimal(240), right="C")
    (put,) = exchange.find(symbol="AAPL", sec_type="OPT", expiry="20261218", strike=Decimal(240), right="P")
    call_before, put_before = exchange.quote(call.con_id).bid, exchange.quote(put.con_id).bid
    quote(exchange, "250.00", "250.02")
    exchange.tick(NOON + 30 * SECOND)
    assert exchange.quote(call.con_id).bid > call_before + 5
    assert exchange.quote(put.con_id).bid < put_before - 3
    parity = exchange.quote(call.con_id).bid - exchange.quote(put.con_id).bid
    assert abs(parity - 10) < Decimal("0.50")


def test_option_is_worth_its_intrinsic_value_at_least() -> None:
    assert option_value(Decimal(250), Decimal(240), "C", Decimal("0.3"), 0) >= 10
    assert option_value(Decimal(200), Decimal(240), "C", Decimal("0.1"), 1) == Decimal("0.01")


def test_long_sleep_is_caught_up_with_a_bounded_number_of_steps() -> None:
    exchange = Exchange(seed=1, now=NOON)
    exchange.tick(NOON + timedelta(hours=3))
    assert exchange.market.steps == MAX_STEPS
    exchange.tick(NOON + timedelta(hours=3))
    exchange.tick(NOON + timedelta(hours=1))
    assert exchange.market.steps == MAX_STEPS, "neither a second call nor a clock set back moves prices"
    exchange.tick(NOON + timedelta(hours=3, seconds=1))
    assert exchange.market.steps == MAX_STEPS + 1


def test_tick_tells_one_quote_an_instrument() -> None:
    events = Exchange(seed=1, now=NOON).tick(NOON + 30 * SECOND)
    quoted = [event.con_id for event in events if isinstance(event, QuoteChanged)]
    assert len(quoted) == len(set(quoted)) > 50


def test_bars_end_at_the_present_price_hang_together_and_repeat() -> None:
    exchange = Exchange(seed=1, now=NOON)
    for con_id, seconds in ((AAPL, 60), (USDJPY, 86_400), (SPY, 5)):
        bars = exchange.bars(con_id, seconds, 100, NOON)
        assert bars == exchange.bars(con_id, seconds, 100, NOON)
        assert len(bars) == 100
        assert bars[-1].close == exchange.quote(con_id).last
        assert bars[-1].start <= NOON <= bars[-1].start + timedelta(seconds=seconds)
        assert all(after.start - before.start == timedelta(seconds=seconds) for before, after in pairwise(bars))
        assert all(before.close == after.open for before, after in pairwise(bars))
        assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in bars)
        increment = increment_at(exchange.instruments[con_id], bars[0].low)
        assert all(price % increment == 0 for bar in bars for price in (bar.open, bar.high, bar.low, bar.close, bar.average))


def test_shorter_history_is_the_end_of_the_longer_one() -> None:
    exchange = Exchange(seed=1, now=NOON)
    assert exchange.bars(AAPL, 60, 100, NOON)[-20:] == exchange.bars(AAPL, 60, 20, NOON)
