"""Exits as distances from their entry: in percent, as an amount, in ticks, in R; on the tick, on their own side, and back again."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orders.rules.distances import Unit, distance, exit_price, shares
from orders.rules.pricing import PriceRule, exit_figures
from orders.rules.tickets import TicketError

STOCK = PriceRule(((D(0), D("0.0001")), (D(1), D("0.01"))))
OPTION = PriceRule(((D(0), D("0.01")), (D(3), D("0.05"))))
ES = PriceRule(((D(0), D("0.25")),))
RULES = st.sampled_from([STOCK, OPTION, ES])
ENTRIES = st.decimals(min_value=D("2"), max_value=D("100000"), places=4, allow_nan=False, allow_infinity=False)
VALUES = st.decimals(min_value=D("0.0001"), max_value=D("500"), places=4, allow_nan=False, allow_infinity=False)
SIGNS = st.sampled_from([1, -1])


def price_of(value: D, unit: Unit, entry: D, sign: int, rule: PriceRule, risk: D | None = None) -> D:
    return exit_price("target", entry, distance("target", value, unit, entry=entry, rule=rule, risk=risk) * sign, rule)


@pytest.mark.parametrize(
    ("value", "unit", "sign", "price"),
    [
        ("2", Unit.PERCENT, -1, "98"),
        ("8", Unit.PERCENT, 1, "108"),
        ("1.5", Unit.AMOUNT, -1, "98.5"),
        ("25", Unit.TICKS, 1, "100.25"),
        ("3", Unit.RISK, 1, "106"),
        ("0.5", Unit.RISK, -1, "99"),
        ("0.004", Unit.AMOUNT, 1, "100.01"),  # less than a tick is one tick, not none
        ("0.004", Unit.AMOUNT, -1, "99.99"),
    ],
)
def test_a_distance_gives_a_price(value: str, unit: Unit, sign: int, price: str) -> None:
    assert price_of(D(value), unit, D(100), sign, STOCK, risk=D(2)) == D(price)


def test_r_needs_a_stop_to_count_in() -> None:
    with pytest.raises(TicketError) as error:
        price_of(D(3), Unit.RISK, D(100), 1, STOCK)
    assert error.value.field == "target"


def test_a_distance_that_leaves_no_price_is_refused() -> None:
    with pytest.raises(TicketError):
        price_of(D(100), Unit.PERCENT, D(100), -1, STOCK)


@settings(deadline=None)
@given(entry=ENTRIES, value=VALUES, unit=st.sampled_from(list(Unit)), sign=SIGNS, rule=RULES)
def test_a_price_is_on_the_tick_and_on_its_own_side(entry: D, value: D, unit: Unit, sign: int, rule: PriceRule) -> None:
    try:
        price = price_of(value, unit, entry, sign, rule, risk=D("1.25"))
    except TicketError:
        assume(False)
    assert rule.is_on_tick(price)
    assert (price - entry) * sign > 0


@settings(deadline=None)
@given(
    steps=st.integers(1, 4000), away=st.integers(1, 900), sign=SIGNS, rule=RULES, risk=st.integers(1, 500), unit=st.sampled_from(list(Unit))
)
def test_figures_of_a_price_lead_back_to_it(steps: int, away: int, sign: int, rule: PriceRule, risk: int, unit: Unit) -> None:
    entry = rule.nearest(5 + steps * rule.tick_at(D(5)))
    price = rule.nearest(entry + sign * away * rule.tick_at(entry))
    assume(price > 0 and (price - entry) * sign > 0)
    stop = entry - sign * risk * rule.tick_at(entry)
    figures = exit_figures(entry, price, sign=sign, rule=rule, quantity=D(100), multiplier=D(50), stop=stop)
    value = {Unit.PERCENT: figures.percent, Unit.AMOUNT: figures.amount, Unit.TICKS: figures.ticks, Unit.RISK: figures.risk}[unit]
    assert value is not None
    assert price_of(value, unit, entry, sign, rule, risk=abs(entry - stop)) == price
    assert figures.money == abs(price - entry) * 5000


def test_figures_without_a_stop_know_no_r() -> None:
    figures = exit_figures(D(100), D(98), sign=-1, rule=STOCK, quantity=D(10))
    assert (figures.amount, figures.percent, figures.ticks, figures.money, figures.risk) == (D(2), D(2), D(200), D(20), None)


@settings(deadline=None)
@given(total=st.integers(1, 10_000), parts=st.integers(1, 10), given_first=st.integers(1, 50))
def test_parts_sum_to_the_whole(total: int, parts: int, given_first: int) -> None:
    asked = [D(given_first), *[None] * (parts - 1)]
    try:
        found = shares(D(total), asked, D(1))
    except TicketError:
        return
    assert sum(found) == total
    assert all(part > 0 for part in found)
