"""Quantities that are divided among several exits, without a rest."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.rules.distances import shares
from orders.rules.tickets import TicketError


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
