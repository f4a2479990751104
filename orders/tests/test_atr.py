"""Daily bars as they are answered, and Wilder's average true range."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orders.rules.sizing import Bar, atr, daily_bars, true_ranges
from orders.rules.tickets import TicketError


def bars(*told: str) -> list[Bar]:
    """ "12 10 11": high, low and close of each day."""
    return [Bar(date(2026, 1, 5) + timedelta(days=day), *(D(price) for price in words.split())) for day, words in enumerate(told)]


FIVE = bars("12 10 11", "13 11 12.5", "12 9 10", "16 15 15.5", "15 14 14")


def test_the_true_range_counts_the_gap_from_the_close_before() -> None:
    assert true_ranges(FIVE) == [2, D("3.5"), 6, D("1.5")]


def test_wilders_smoothing_by_hand() -> None:
    """Over three: (2 + 3.5 + 6) / 3 = 3.8333..., then (3.8333... × 2 + 1.5) / 3 = 3.0555..."""
    assert atr(FIVE[:4], 3) == D("3.83333333")
    assert atr(FIVE, 3) == D("3.05555556")
    assert atr(FIVE, 1) == D("1.5")


def test_fourteen_true_ranges_are_fifteen_bars() -> None:
    like = bars(*["12 10 11"] * 15)
    assert atr(like) == 2
    with pytest.raises(TicketError, match="needs 15 daily bars for an average true range over 14: there are 14") as refused:
        atr(like[:14])
    assert refused.value.field == "method"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (bars("12 10 11", "9 11 10"), "make sense"),
        (bars("12 10 11", "NaN 11 10"), "make sense"),
        (bars("12 10 11", "Infinity 11 10"), "make sense"),
        (bars("10 10 10", "10 10 10"), "is zero"),
        ([], "there are 0"),
    ],
)
def test_bars_that_give_no_range_are_refused(found: list[Bar], words: str) -> None:
    with pytest.raises(TicketError, match=words):
        atr(found, 1)


def test_an_answer_is_read_without_the_day_that_is_not_over() -> None:
    answer = [
        ["2026-03-02", "10", "12", "9.5", "11", "1000"],
        ["2026-03-03", "11", "13", "11", "12.5", None],
        ["2026-03-04", "12.5", "12.6", "12.4", "12.5", "10"],
    ]
    assert daily_bars(answer)[0] == Bar(date(2026, 3, 2), D(12), D("9.5"), D(11))
    assert [bar.day.day for bar in daily_bars(answer, before=date(2026, 3, 4))] == [2, 3]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"bars": []},
        ["2026-03-02"],
        [["2026-03-02", "10", "12", None, "11", "1"]],
        [["2026-03-02", "10", "nine", "8", "11", "1"]],
        [["2026-03-02", "10", "8", "9", "8.5", "1"]],
        [["2026-03-02T15:00:00+00:00", "10", "12", "9", "11", "1"]],
        [[1772463600, "10", "12", "9", "11", "1"]],
        [["2026-03-03", "10", "12", "9", "11", "1"], ["2026-03-02", "10", "12", "9", "11", "1"]],
        [["2026-03-02", "10", "12", "9", "11", "1"]] * 2,
    ],
)
def test_what_is_no_list_of_daily_bars_is_refused(answer: Any) -> None:
    with pytest.raises(TicketError) as refused:
        daily_bars(answer)
    assert refused.value.field == "method"


ranges = st.lists(st.tuples(st.integers(-500, 500), st.integers(1, 300), st.integers(0, 300)), min_size=6, max_size=30)


@settings(deadline=None)
@given(told=ranges, n=st.integers(1, 5))
def test_the_average_lies_between_the_least_and_the_greatest_range(told: list[tuple[int, int, int]], n: int) -> None:
    """Closes may lie outside of high and low, as settlement prices do."""
    day = date(2026, 1, 1)
    found = [Bar(day + timedelta(days=i), D(low + reach), D(low), D(low + close)) for i, (low, reach, close) in enumerate(told)]
    each = true_ranges(found)
    assert len(each) == len(found) - 1 and all(one >= bar.high - bar.low for one, bar in zip(each, found[1:], strict=True))
    grain = D("0.00000001")
    assert min(each) - grain <= atr(found, n) <= max(each) + grain
