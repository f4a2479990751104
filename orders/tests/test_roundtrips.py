"""Executions matched into round trips, and what they come to."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orders.rules.roundtrips import Fill, Statistics, Unseen, round_trips, statistics
from orders.rules.terms import Side, plain
from orders.tests.factories import NOW


def fills(*told: str) -> list[Fill]:
    """ "+100 10 A 1.50": bought 100 at 10 by order A for 1.50, a minute after the one before; "?" for a commission nobody told."""
    found = []
    for minute, words in enumerate(told):
        quantity, price, order, *costs = words.split()
        side = Side.BUY if D(quantity) >= 0 else Side.SELL
        amount = None if costs == ["?"] else D(costs[0]) if costs else D(0)
        found.append(Fill(side, abs(D(quantity)), D(price), NOW + timedelta(minutes=minute), order, amount))
    return found


def shown(matched: Any) -> list[str]:
    return [
        f"{trip.side} {plain(trip.quantity)} {plain(trip.entry_price)}->{plain(trip.exit_price)} "
        f"gross {plain(trip.gross)} net {plain(trip.net)}"
        for trip in matched.trips
    ]


def test_a_buy_and_its_sale_are_one_round_trip() -> None:
    matched = round_trips(fills("+100 10 A 1", "-100 10.50 B 1.25"))
    (trip,) = matched.trips
    assert (trip.side, trip.quantity, trip.entry_price, trip.exit_price) == (Side.BUY, 100, 10, D("10.5"))
    assert (trip.gross, trip.costs, trip.net, trip.costs_known) == (50, D("2.25"), D("47.75"), True)
    assert (trip.entry_at, trip.exit_at) == (NOW, NOW + timedelta(minutes=1))
    assert (matched.open_quantity, matched.left_out) == (0, 0)


def test_a_short_sale_earns_when_it_is_bought_back_lower() -> None:
    assert shown(round_trips(fills("-2 6000 A", "+2 5990 B"), multiplier=D(50))) == ["SELL 2 6000->5990 gross 1000 net 1000"]


def test_the_first_bought_is_the_first_sold() -> None:
    matched = round_trips(fills("+100 10 A", "+100 12 B", "-150 11 C"))
    assert shown(matched) == ["BUY 100 10->11 gross 100 net 100", "BUY 50 12->11 gross -50 net -50"]
    assert matched.open_quantity == 50


def test_an_execution_that_turns_the_position_is_split_in_two() -> None:
    matched = round_trips(fills("+100 10 A 1", "-300 11 B 3", "+200 10 C 2"))
    assert shown(matched) == ["BUY 100 10->11 gross 100 net 98", "SELL 200 11->10 gross 200 net 196"]
    assert matched.open_quantity == 0


def test_an_order_that_fills_in_parts_makes_one_round_trip() -> None:
    matched = round_trips(fills("+40 10 A", "+60 11 A", "-50 12 B", "-50 13 B"))
    (trip,) = matched.trips
    assert (trip.quantity, trip.entry_price, trip.exit_price, trip.gross) == (100, D("10.6"), D("12.5"), 190)
    assert (trip.entry_at, trip.exit_at) == (NOW, NOW + timedelta(minutes=3))


def test_a_scale_out_makes_one_for_each_exit() -> None:
    assert len(round_trips(fills("+100 10 A", "-50 12 B", "-50 13 C")).trips) == 2


def test_what_was_held_before_is_left_out_and_counted() -> None:
    matched = round_trips(fills("-60 11 A 6", "-80 12 B 8", "+40 10 C 4"), opening=D(100))
    assert shown(matched) == ["SELL 40 12->10 gross 80 net 72"]  # half of B's 8 and all of C's 4
    assert (matched.left_out, matched.left_out_quantity, matched.open_quantity) == (2, 100, 0)


def after(minute: float, quantity: int) -> Unseen:
    return Unseen(D(quantity), NOW + timedelta(minutes=minute))


def test_a_sale_that_the_book_missed_makes_no_false_trade() -> None:
    """Bought 100 and sold elsewhere, recorded as -100 half a minute later: the next buy and sale are a trade of their own."""
    matched = round_trips(fills("+100 10 A", "+50 20 B", "-50 21 C"), adjustments=[after(0.5, -100)])
    assert shown(matched) == ["BUY 50 20->21 gross 50 net 50"]
    assert (matched.left_out, matched.left_out_quantity, matched.open_quantity) == (1, 100, 0)


def test_what_comes_unseen_leaves_the_trades_before_it_alone() -> None:
    """Shares that were transferred in after a trade was closed do not stand before it."""
    matched = round_trips(fills("+50 10 A", "-50 11 B", "-30 12 C"), adjustments=[after(1.5, 100)])
    assert shown(matched) == ["BUY 50 10->11 gross 50 net 50"]
    assert (matched.left_out, matched.left_out_quantity, matched.open_quantity) == (1, 30, 70)


def test_what_comes_unseen_and_goes_unseen_is_nothing() -> None:
    matched = round_trips(fills("+50 10 A"), opening=D(100), adjustments=[after(0, -100), after(9, -20)])
    assert (matched.trips, matched.left_out_quantity, matched.open_quantity) == ((), 20, 30)


def test_a_busted_execution_counts_for_nothing() -> None:
    assert shown(round_trips(fills("+0 10 A", "+10 10 B", "-10 11 C"))) == ["BUY 10 10->11 gross 10 net 10"]


def test_a_commission_that_was_not_told_is_said_to_be_missing() -> None:
    (trip,) = round_trips(fills("+10 10 A ?", "-10 11 B 1")).trips
    assert (trip.net, trip.costs_known) == (9, False)


def test_the_parts_of_a_commission_add_up_to_it() -> None:
    matched = round_trips(fills("+3 10 A 1", "-1 10 B", "-1 10 C", "-1 10 D"))
    assert [trip.costs for trip in matched.trips] == [D("0.33333333"), D("0.33333334"), D("0.33333333")]


moves = st.lists(
    st.tuples(
        st.sampled_from(Side),
        st.integers(1, 50).map(lambda quarters: D(quarters) / 4),
        st.none() | st.integers(1, 100_000).map(lambda cents: D(cents) / 100),  # None: not seen
        st.integers(0, 12),
        st.integers(0, 500).map(lambda cents: D(cents) / 100),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(told=moves, opening=st.integers(-60, 60))
def test_quantity_and_profit_are_conserved(told: list[tuple[Side, D, D | None, int, D]], opening: int) -> None:
    """Against a reference that knows no lots: units of one quarter each, in a plain queue."""
    made: list[Fill] = []
    unseen: list[Unseen] = []
    for second, (side, quantity, price, order, costs) in enumerate(told):
        at = NOW + timedelta(seconds=second)
        if price is None:
            unseen.append(Unseen(quantity * side.sign, at))
        else:
            made.append(Fill(side, quantity, price, at, f"{order} {side}", costs))
    matched = round_trips(made, opening=D(opening) / 4, adjustments=unseen, multiplier=D(5))

    units: list[tuple[int, D | None]] = [(1 if opening > 0 else -1, None)] * abs(opening)
    profit, closed, half_seen = D(0), 0, 0
    for side, quantity, price, _, _ in told:
        for _ in range(int(quantity * 4)):
            if not units or units[0][0] == side.sign:
                units.append((side.sign, price))
                continue
            sign, entry = units.pop(0)
            if price is not None and entry is not None:
                closed, profit = closed + 1, profit + (price - entry) * sign / 4 * 5
            elif price is not None or entry is not None:
                half_seen += 1
    assert sum(trip.gross for trip in matched.trips) == profit
    assert sum(trip.quantity for trip in matched.trips) == D(closed) / 4
    assert matched.left_out_quantity == D(half_seen) / 4
    assert matched.open_quantity == D(sum(sign for sign, _ in units)) / 4
    paid, given_ = sum(trip.costs for trip in matched.trips), sum(fill.costs or 0 for fill in made)
    assert paid == given_ if not half_seen and not units else paid <= given_


def test_statistics_by_hand() -> None:
    found = statistics([D(300), D(-100), D(100), D(0), D(-60)])
    assert (found.number, found.wins, found.losses, found.total) == (5, 2, 2, 240)
    assert (found.win_rate, found.average_win, found.average_loss) == (D("0.4"), 200, 80)
    assert (found.payoff, found.profit_factor, found.expectancy) == (D("2.5"), D("2.5"), 48)


@pytest.mark.parametrize(("results", "payoff", "factor"), [([], None, None), ([D(5)], None, None), ([D(-5)], 0, 0), ([D(0)], None, None)])
def test_statistics_of_too_little_divide_by_nothing(results: list[D], payoff: Any, factor: Any) -> None:
    found = statistics(results)
    assert (found.payoff, found.profit_factor) == (payoff, factor)
    assert (found == Statistics()) == (not results)
