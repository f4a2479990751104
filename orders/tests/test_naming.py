"""What a trader types for a contract."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.rules.naming import CURRENCIES, MONTH_CODES, Described, described

TODAY = date(2026, 11, 25)


@pytest.mark.parametrize(
    ("typed", "means"),
    [
        ("EUR.USD", Described("EUR", "CASH", currency="USD")),
        ("eur/usd", Described("EUR", "CASH", currency="USD")),
        ("USDJPY", Described("USD", "CASH", currency="JPY")),
        ("ESZ6", Described("ES", "FUT", expiry="202612")),
        ("ESH7", Described("ES", "FUT", expiry="202703")),
        ("ESF6", Described("ES", "FUT", expiry="203601")),  # January 2026 is over
        ("ESZ26", Described("ES", "FUT", expiry="202612")),
        ("6EZ6", Described("6E", "FUT", expiry="202612")),
        ("ES 202612", Described("ES", "FUT", expiry="202612")),
        ("es  20261218", Described("ES", "FUT", expiry="20261218")),
        ("AAPL 20261218 240 C", Described("AAPL", "OPT", expiry="20261218", strike="240", right="C")),
        ("AAPL 20261218 240.50 put", Described("AAPL", "OPT", expiry="20261218", strike="240.5", right="P")),
        ("AAPL  261218C00240000", Described("AAPL", "OPT", expiry="20261218", strike="240", right="C")),
        ("AAPL261218P00237500", Described("AAPL", "OPT", expiry="20261218", strike="237.5", right="P")),
    ],
)
def test_what_can_be_read_in_one_way_is_read(typed: str, means: Described) -> None:
    assert described(typed, TODAY) == means


@pytest.mark.parametrize(
    "typed",
    ["AAPL", "BRK B", "EURXYZ", "EUR.EUR", "GOOGLE", "ES 202613", "ES 20261232", "AAPL 20261218 0 C", "AAPL 20261318 240 C", "", "7203"],
)
def test_anything_else_is_a_symbol(typed: str) -> None:
    assert described(typed, TODAY) is None


@given(st.sampled_from(sorted(CURRENCIES)), st.sampled_from(sorted(CURRENCIES)), st.sampled_from(["", ".", "/"]))
def test_every_pair_is_read_however_it_is_joined(base: str, quoted: str, joint: str) -> None:
    found = described(f"{base}{joint}{quoted}", TODAY)
    assert found == (None if base == quoted else Described(base, "CASH", currency=quoted))


@given(st.sampled_from(MONTH_CODES), st.integers(0, 9))
def test_a_futures_code_means_a_month_that_is_not_over_and_within_ten_years(code: str, digit: int) -> None:
    found = described(f"ES{code}{digit}", TODAY)
    assert found is not None
    year, month = int(found.expiry[:4]), int(found.expiry[4:])
    assert (2026, 11) <= (year, month) <= (2036, 12)
    assert year % 10 == digit and month == MONTH_CODES.index(code) + 1


@given(st.decimals(min_value=Decimal("0.5"), max_value=Decimal("99999"), places=3), st.sampled_from("CP"))
def test_the_occ_spelling_says_the_same_as_the_plain_one(strike: Decimal, right: str) -> None:
    occ = f"SPY261218{right}{int(strike * 1000):08d}"
    assert described(occ, TODAY) == described(f"SPY 20261218 {strike} {right}", TODAY)


def test_only_what_was_said_is_asked_for() -> None:
    assert Described("ES", "FUT", expiry="202612").arguments() == {"symbol": "ES", "sec_type": "FUT", "expiry": "202612"}
