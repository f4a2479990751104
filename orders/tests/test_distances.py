"""Distances in percent, amounts, ticks and R; and quantities that are divided without a rest."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.rules.distances import Unit, distance, exit_price, shares
from orders.rules.pricing import PriceRule
from orders.rules.tickets import TicketError

CENTS = PriceRule(((Decimal(0), Decimal("0.01")),))
BANDS = PriceRule(((Decimal(0), Decimal("0.0001")), (Decimal(1), Decimal("0.01"))))


@pytest.mark.parametrize(
    ("value", "unit", "rule", "entry", "away"),
    [
        ("2", Unit.PERCENT, CENTS, "99.53", "1.9906"),
        ("1.25", Unit.AMOUNT, CENTS, "99.53", "1.25"),
        ("30", Unit.TICKS, CENTS, "99.53", "0.30"),
        ("30", Unit.TICKS, BANDS, "0.5", "0.0030"),
        ("3", Unit.RISK, CENTS, "99.53", "1.5"),
    ],
)
def test_a_distance_is_a_price_in_each_unit(value: str, unit: Unit, rule: PriceRule, entry: str, away: str) -> None:
    assert distance("target", Decimal(value), unit, entry=Decimal(entry), rule=rule, risk=Decimal("0.5")) == Decimal(away)


def test_r_needs_a_stop_to_count_in() -> None:
    with pytest.raises(TicketError, match="no stop"):
        distance("pair_1_target", Decimal(3), Unit.RISK, entry=Decimal(100), rule=CENTS)


def test_a_price_is_on_the_nearest_tick_and_above_zero() -> None:
    assert exit_price("stop", Decimal("99.53"), Decimal("-1.9906"), CENTS) == Decimal("97.54")
    with pytest.raises(TicketError, match="no price is left above zero"):
        exit_price("stop", Decimal(1), Decimal("-1.001"), CENTS)


@pytest.mark.parametrize(
    ("total", "given", "increment", "parts"),
    [
        ("100", [None], "1", ["100"]),
        ("100", [None, None, None], "1", ["33", "33", "34"]),
        ("100", ["50", None, None], "1", ["50", "25", "25"]),
        ("100", [None, "20", None], "1", ["40", "20", "40"]),
        ("700", [None, None, None], "100", ["200", "200", "300"]),
        ("1", [None, None], "0.001", ["0.500", "0.500"]),
        ("100", ["60", "40"], "1", ["60", "40"]),
    ],
)
def test_a_quantity_is_divided_equally_and_the_rest_goes_to_the_last(
    total: str, given: list[str | None], increment: str, parts: list[str]
) -> None:
    typed = [None if part is None else Decimal(part) for part in given]
    assert shares(Decimal(total), typed, Decimal(increment)) == [Decimal(part) for part in parts]


@pytest.mark.parametrize(
    ("total", "given", "said"),
    [("100", ["60", "50"], "sum to 110"), ("2", [None, None, None], "too small"), ("100", ["60", "40", None], "too small")],
)
def test_parts_that_cannot_sum_to_the_whole_are_refused(total: str, given: list[str | None], said: str) -> None:
    with pytest.raises(TicketError, match=said) as refused:
        shares(Decimal(total), [None if part is None else Decimal(part) for part in given], Decimal(1))
    assert refused.value.field == "pairs"


@pytest.mark.filterwarnings("ignore")
@given(total=st.integers(1, 10**7), parts=st.integers(1, 5), increment=st.sampled_from(["1", "10", "100", "0.01"]))
def test_parts_always_sum_to_the_whole_and_none_is_empty(total: int, parts: int, increment: str) -> None:
    try:
        found = shares(Decimal(total), [None] * parts, Decimal(increment))
    except TicketError:
        assert Decimal(total) / parts < Decimal(increment)
        return
    assert sum(found) == total
    assert min(found) > 0
    assert all(part % Decimal(increment) == 0 for part in found[:-1])
