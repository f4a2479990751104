"""Ticks by price band, exits computed from an entry, and sizes."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.rules.pricing import PriceRule, check_price, check_quantity, kept, price_rule, stop_and_target
from orders.rules.terms import significant_digits
from orders.rules.tickets import TicketError

STOCK = PriceRule(((D(0), D("0.0001")), (D(1), D("0.01"))))
OPTION = PriceRule(((D(0), D("0.01")), (D(3), D("0.05"))))
ES = PriceRule(((D(0), D("0.25")),))


@pytest.mark.parametrize(
    ("rule", "price", "tick", "nearest"),
    [
        (STOCK, "0.99994", "0.0001", "0.9999"),
        (STOCK, "0.99996", "0.0001", "1.0000"),
        (STOCK, "233.335", "0.01", "233.34"),
        (STOCK, "233.3349", "0.01", "233.33"),
        (OPTION, "2.994", "0.01", "2.99"),
        (OPTION, "2.996", "0.01", "3.00"),
        (OPTION, "3.02", "0.05", "3.00"),
        (OPTION, "3.025", "0.05", "3.05"),
        (ES, "6001.13", "0.25", "6001.25"),
        (ES, "6001.12", "0.25", "6001.00"),
    ],
)
def test_the_tick_is_that_of_the_band_the_price_is_in(rule: PriceRule, price: str, tick: str, nearest: str) -> None:
    assert rule.tick_at(D(price)) == D(tick)
    assert rule.nearest(D(price)) == D(nearest)


def test_a_price_rounded_into_a_coarser_band_is_on_that_bands_tick() -> None:
    rule = PriceRule(((D(0), D("0.35")), (D(1), D("0.5"))))
    assert rule.nearest(D("0.99")) == D("1.0")


prices = st.decimals(min_value=D("0.01"), max_value=D("100000"), places=6, allow_nan=False, allow_infinity=False)


@given(price=prices, rule=st.sampled_from([STOCK, OPTION, ES]))
def test_the_nearest_price_is_on_the_tick_and_at_most_half_a_tick_away(price: D, rule: PriceRule) -> None:
    nearest = rule.nearest(price)
    assert rule.is_on_tick(nearest)
    assert abs(nearest - price) * 2 <= max(rule.tick_at(price), rule.tick_at(nearest))
    assert rule.nearest(nearest) == nearest


def test_exits_of_a_long_position_default_to_two_percent_below_and_eight_above() -> None:
    stop, target = stop_and_target(D("233.33"), is_long=True, stop_loss=D("0.02"), profit_target=D("0.08"), rule=STOCK)
    assert (stop, target) == (D("228.66"), D("252.00"))  # 228.6634 and 251.9964


def test_exits_of_a_short_position_are_mirrored() -> None:
    stop, target = stop_and_target(D("233.33"), is_long=False, stop_loss=D("0.02"), profit_target=D("0.08"), rule=STOCK)
    assert (stop, target) == (D("238.00"), D("214.66"))  # 237.9966 and 214.6636


@given(entry=st.decimals(min_value=2, max_value=9000, places=4), is_long=st.booleans())
def test_the_entry_lies_between_its_exits(entry: D, is_long: bool) -> None:
    stop, target = stop_and_target(entry, is_long=is_long, stop_loss=D("0.02"), profit_target=D("0.08"), rule=STOCK)
    assert (stop < entry < target) if is_long else (target < entry < stop)


@pytest.mark.parametrize(
    ("field", "is_long", "stop_loss", "profit_target"),
    [
        ("stop_loss", True, "0", "0.08"),
        ("stop_loss", True, "1", "0.08"),
        ("stop_loss", False, "-0.02", "0.08"),
        ("profit_target", True, "0.02", "0"),
        ("profit_target", False, "0.02", "1"),
    ],
)
def test_a_fraction_that_makes_no_exit_is_refused(field: str, is_long: bool, stop_loss: str, profit_target: str) -> None:
    with pytest.raises(TicketError) as refused:
        stop_and_target(D(100), is_long=is_long, stop_loss=D(stop_loss), profit_target=D(profit_target), rule=STOCK)
    assert refused.value.field == field


def test_a_long_target_may_be_more_than_double() -> None:
    assert stop_and_target(D(10), is_long=True, stop_loss=D("0.5"), profit_target=D("1.5"), rule=STOCK) == (D(5), D(25))


def test_a_typed_price_off_the_tick_is_refused_naming_the_tick() -> None:
    check_price("limit_price", D("233.33"), STOCK)
    check_price("limit_price", None, STOCK)
    with pytest.raises(TicketError, match=r"0\.01 here: 233\.33 or 233\.34") as refused:
        check_price("limit_price", D("233.335"), STOCK)
    assert refused.value.field == "limit_price"


def test_quantities_keep_to_the_size_increment() -> None:
    check_quantity(D(100), min_size=D(1), size_increment=D(1))
    check_quantity(D("0.0005"), min_size=D("0.0001"), size_increment=D("0.0001"))
    with pytest.raises(TicketError, match=r"multiple of 1$"):
        check_quantity(D("1.5"), min_size=D(1), size_increment=D(1))
    with pytest.raises(TicketError, match="at least 100"):
        check_quantity(D(50), min_size=D(100), size_increment=D(1))


RULES = {26: ((D(0), D("0.0001")), (D(1), D("0.01"))), 67: ((D(0), D("0.25")),)}


def test_the_rule_is_that_of_the_exchange_the_order_is_routed_to() -> None:
    rule = price_rule("CME", ["SMART", "CME"], [26, 67], RULES, D("0.0001"))
    assert rule == ES


def test_without_the_market_rule_the_smallest_tick_stands_in() -> None:
    assert price_rule("SMART", ["SMART"], [99], RULES, D("0.005")) == PriceRule(((D(0), D("0.005")),))


@pytest.mark.parametrize("min_tick", [None, D(0)])
def test_without_both_there_is_no_rule(min_tick: D | None) -> None:
    assert price_rule("SMART", [], [], {}, min_tick) is None


@given(amount=st.decimals(min_value=D("0.000001"), max_value=D("999999"), places=20))
def test_a_computed_amount_is_one_that_the_book_keeps(amount: D) -> None:
    value = kept(amount)
    assert significant_digits(value) <= 15
    assert value.as_tuple().exponent >= -8
    assert abs(value - amount) <= D("0.0000001")
