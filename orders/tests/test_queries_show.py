"""How numbers and times are spelled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from orders.queries.show import Moment, Ticks, age, figure, initials, number, price, quantity, signed
from orders.tests.factories import make_contract


@pytest.mark.parametrize(
    ("value", "places", "shown"),
    [("47224", 2, "47,224.00"), ("-108", 2, "−108.00"), ("-0.001", 2, "0.00"), ("0.125", 2, "0.12"), (None, 2, "–")],
)
def test_an_amount_has_the_decimals_asked_for(value: str | None, places: int, shown: str) -> None:
    assert number(None if value is None else Decimal(value), places) == shown


@pytest.mark.parametrize(("value", "shown"), [("100", "100"), ("0.25000000", "0.25"), ("-1200", "−1,200"), ("0", "0")])
def test_a_quantity_has_the_decimals_it_has(value: str, shown: str) -> None:
    assert quantity(Decimal(value)) == shown


@pytest.mark.parametrize(("value", "shown"), [("200", "+200"), ("-50", "−50"), ("0", "0")])
def test_a_sign_is_shown_but_for_zero(value: str, shown: str) -> None:
    assert signed(Decimal(value)) == shown


def test_a_price_never_loses_digits() -> None:
    assert price(Decimal("236.1"), 2) == "236.10"
    assert price(Decimal("0.1234"), 2) == "0.1234"


def test_gain_and_loss_have_a_sign_and_a_colour() -> None:
    assert [(figure(Decimal(value)).text, figure(Decimal(value)).css) for value in ("1", "-1", "0")] == [
        ("+1.00", "gain"),
        ("−1.00", "loss"),
        ("0.00", "dim"),
    ]


@pytest.mark.django_db
def test_decimals_follow_the_tick_at_the_price() -> None:
    contract = make_contract()
    ticks = Ticks.load()
    assert ticks.price(contract, Decimal("236.1")) == "236.10"
    assert ticks.price(contract, Decimal("0.5")) == "0.5000"
    assert ticks.average(contract, Decimal("233.33333333")) == "233.33"
    assert ticks.typed(contract, Decimal("1236.1")) == "1236.10"


def test_a_time_is_told_in_the_zone_of_the_account_and_in_utc() -> None:
    shown = Moment(datetime(2026, 3, 2, 15, 31, 26, 114000, tzinfo=UTC), "America/New_York")
    assert shown.clock == "10:31:26"
    assert shown.clock_millis == "10:31:26.114"
    assert shown.utc == "2026-03-02 15:31:26 UTC"
    assert shown.iso == "2026-03-02T15:31:26.114Z"


@pytest.mark.parametrize(("seconds", "shown"), [(42, "0:42"), (1579, "26:19"), (10800, "3h"), (200000, "2d"), (-5, "0:00")])
def test_an_age_is_short(seconds: int, shown: str) -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    assert age(now - timedelta(seconds=seconds), now) == shown


@pytest.mark.parametrize(("name", "short"), [("Mara Lind", "ML"), ("mara.lind", "ML"), ("trader1", "T1"), ("ada", "AD"), ("", "?")])
def test_initials(name: str, short: str) -> None:
    assert initials(name) == short
