"""When IB may be asked for a what-if, and what is estimated where it may not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from orders.rules.margins import FREE_IN_WINDOW, ORDERS_FOR_ONE, SPACING, WINDOW, Margin, estimated, margin_from, may_ask

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def test_the_first_is_asked_and_the_next_only_after_a_minute() -> None:
    assert may_ask(NOW, [], 0) is None
    assert may_ask(NOW, [ago(60)], 0) is None
    wait = may_ask(NOW, [ago(300), ago(59)], 100)
    assert wait is not None and wait.too_soon and wait.until == NOW + timedelta(seconds=1)


def test_beyond_the_first_few_of_an_hour_it_is_one_for_ten_orders() -> None:
    asked = [ago(60 + 100 * number) for number in range(FREE_IN_WINDOW)]
    wait = may_ask(NOW, asked, ORDERS_FOR_ONE - 1)
    assert wait is not None and not wait.too_soon
    assert wait.until == min(asked) + WINDOW
    assert may_ask(NOW, asked, ORDERS_FOR_ONE) is None


@given(pauses=st.lists(st.integers(0, 300), max_size=80), orders=st.integers(0, 60))
def test_whoever_keeps_to_it_never_asks_too_often(pauses: list[int], orders: int) -> None:
    """Whenever somebody wants to know: no two within a minute, and never more in an hour than the orders allow."""
    asked: list[datetime] = []
    now = NOW
    for pause in pauses:
        now += timedelta(seconds=pause)
        if may_ask(now, asked, orders) is None:
            asked.append(now)
    assert all(later - earlier >= SPACING for earlier, later in pairwise(asked))
    for at in asked:
        within = [one for one in asked if at - WINDOW < one <= at]
        assert len(within) <= FREE_IN_WINDOW + orders // ORDERS_FOR_ONE


@given(pauses=st.lists(st.integers(0, 120), max_size=40))
def test_when_it_says_may_be_asked_again_it_may(pauses: list[int]) -> None:
    asked: list[datetime] = []
    now = NOW
    for pause in pauses:
        now += timedelta(seconds=pause)
        wait = may_ask(now, asked, 0)
        if wait is None:
            asked.append(now)
        else:
            assert wait.until > now
            after = may_ask(wait.until, asked, 0)
            assert after is None or after.until > wait.until


ANSWER = {
    "initial_margin_before": "1000", "initial_margin_change": "500", "initial_margin_after": "1500",
    "maintenance_margin_before": "800", "maintenance_margin_change": "400", "maintenance_margin_after": "1200",
    "equity_with_loan_after": "9000", "commission": None, "least_commission": "1", "most_commission": "2.5",
    "commission_currency": "USD", "warning": "Careful.",
}  # fmt: skip


def test_an_answer_is_read_and_what_ib_left_out_stays_unknown() -> None:
    margin = margin_from(ANSWER)
    assert (margin.initial_after, margin.maintenance_change, margin.commission) == (D(1500), D(400), None)
    assert (margin.excess_after, margin.available_after) == (D(7800), D(7500))
    assert margin_from({}) == Margin()
    assert margin_from({}).excess_after is None


def test_an_estimate_scales_what_the_order_adds_and_starts_from_the_margin_of_now() -> None:
    margin = estimated(margin_from(ANSWER), D(100), D(250), initial=D(1500), maintenance=D(1200))
    assert (margin.initial_before, margin.initial_change, margin.initial_after) == (D(1500), D(1250), D(2750))
    assert (margin.maintenance_before, margin.maintenance_change, margin.maintenance_after) == (D(1200), D(1000), D(2200))
    assert (margin.commission, margin.least_commission, margin.most_commission) == (None, D("2.5"), D("6.25"))
    assert margin.warning == ""


def test_an_estimate_of_what_is_unknown_is_unknown() -> None:
    assert estimated(Margin(), D(100), D(10), initial=None, maintenance=D(5)) == Margin(maintenance_before=D(5))
