"""What a trader asks for, checked for sense: fields that are missing, too many, or on the wrong side of each other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from orders.rules.terms import AdaptivePriority, OrderTerms, OrderType, Role, Side, TimeInForce, plain, terms_from_json, terms_to_json
from orders.rules.tickets import ENTRY_TYPES, BracketTicket, ExitPair, TicketError, check_bracket, check_terms, legs, request_to_json

LIMIT = OrderTerms(Side.BUY, OrderType.LIMIT, D(100), limit_price=D("99.5"))
ENTRIES = {
    Side.BUY: BracketTicket(LIMIT, (ExitPair(D(100), target_price=D(107), stop_price=D(97)),)),
    Side.SELL: BracketTicket(replace(LIMIT, side=Side.SELL), (ExitPair(D(100), target_price=D(95), stop_price=D(103)),)),
}


def field_of(check, ticket) -> str:
    with pytest.raises(TicketError) as error:
        check(ticket)
    return error.value.field


@pytest.mark.parametrize(
    ("order_type", "prices"),
    [
        (OrderType.MARKET, {}),
        (OrderType.LIMIT, {"limit_price"}),
        (OrderType.STOP, {"stop_price"}),
        (OrderType.STOP_LIMIT, {"limit_price", "stop_price"}),
    ],
)
def test_each_type_takes_its_prices_and_no_others(order_type: OrderType, prices: set[str]) -> None:
    bare = OrderTerms(Side.SELL, order_type, D(1))
    complete = replace(bare, **{name: D(5) for name in prices})
    check_terms(complete)
    for name in ("limit_price", "stop_price"):
        wrong = replace(complete, **{name: None if name in prices else D(5)})
        assert field_of(check_terms, wrong) == name


@pytest.mark.parametrize("bad", ["0", "-1", "NaN", "Infinity", "0.1234567890123456"])
def test_quantities_and_prices_are_finite_positive_and_of_fifteen_digits(bad: str) -> None:
    assert field_of(check_terms, replace(LIMIT, quantity=D(bad))) == "quantity"
    assert field_of(check_terms, replace(LIMIT, limit_price=D(bad))) == "limit_price"


def with_pair(ticket: BracketTicket, **values: Any) -> BracketTicket:
    return replace(ticket, pairs=(replace(ticket.pairs[0], **values),))


@pytest.mark.parametrize("side", list(Side))
def test_the_exits_of_a_bracket_lie_on_both_sides_of_its_entry(side: Side) -> None:
    ticket = ENTRIES[side]
    pair = ticket.pairs[0]
    check_bracket(ticket)
    swapped = with_pair(ticket, target_price=pair.stop_price, stop_price=pair.target_price)
    assert field_of(check_bracket, swapped) == "pair_1_stop_price"
    assert field_of(check_bracket, with_pair(ticket, target_price=LIMIT.limit_price)) == "pair_1_target_price"
    assert field_of(check_bracket, with_pair(ticket, stop_price=LIMIT.limit_price)) == "pair_1_stop_price"


@pytest.mark.parametrize("side", list(Side))
def test_a_stop_entry_is_measured_at_its_trigger(side: Side) -> None:
    entry = OrderTerms(side, OrderType.STOP, D(100), stop_price=D(100))
    ticket = replace(ENTRIES[side], entry=entry)
    check_bracket(ticket)
    assert field_of(check_bracket, with_pair(ticket, stop_price=D(100))) == "pair_1_stop_price"
    assert field_of(check_bracket, with_pair(ticket, target_price=D(100))) == "pair_1_target_price"
    # Between its trigger and its limit an entry may fill anywhere: a target there would close at a loss.
    stop_limit = replace(entry, order_type=OrderType.STOP_LIMIT, limit_price=D(100) + side.sign)
    assert field_of(check_bracket, with_pair(replace(ticket, entry=stop_limit), target_price=D(100) + side.sign)) == "pair_1_target_price"


@pytest.mark.parametrize("order_type", [one for one in OrderType if one not in ENTRY_TYPES])
def test_a_bracket_is_entered_by_market_limit_or_stop(order_type: OrderType) -> None:
    prices = {"limit_price": D(100)} if order_type.has_limit else {}
    prices |= {"stop_price": D(100)} if order_type.has_trigger else {}
    entry = OrderTerms(Side.BUY, order_type, D(100), trail_amount=D(1) if order_type.trails else None, **prices)
    assert field_of(check_bracket, replace(ENTRIES[Side.BUY], entry=entry)) == "order_type"


MARKET = BracketTicket(OrderTerms(Side.BUY, OrderType.MARKET, D(100)), (ExitPair(D(100), target_price=D(107), stop_price=D(97)),))


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"target_price": None, "stop_price": None}, "stop_price"),
        ({"target_price": None, "stop_price": None, "time_stop": timedelta(hours=1)}, "stop_price"),
        ({"trail_amount": D(1), "trail_percent": D(2)}, "trail_percent"),
        ({"trail_percent": D(100)}, "trail_percent"),
        ({"trail_amount": D(0)}, "trail_amount"),
        ({"trail_amount": D(1), "stop_limit_price": D(96)}, "stop_limit_price"),
        ({"limit_offset": D("0.1")}, "limit_offset"),
        ({"trail_amount": D(1), "limit_offset": D("-0.1")}, "limit_offset"),
        ({"trail_amount": D(1), "limit_offset": D("0.1"), "stop_price": None}, "stop_price"),
        ({"stop_price": None, "stop_limit_price": D(96)}, "stop_limit_price"),
        ({"stop_limit_price": D("97.01")}, "stop_limit_price"),
        ({"time_stop": timedelta(0)}, "time_stop"),
        ({"time_stop": timedelta(days=91)}, "time_stop"),
        ({"quantity": D(0)}, "quantity"),
        ({"stop_price": D("0.1234567890123456")}, "stop_price"),
    ],
)
def test_a_pair_has_a_sense(values: dict[str, Any], field: str) -> None:
    assert field_of(check_bracket, with_pair(MARKET, **values)) == f"pair_1_{field}"


@pytest.mark.parametrize(
    "values",
    [
        {"target_price": None},
        {"stop_price": None},
        {"stop_limit_price": D(97)},
        {"stop_limit_price": D("96.5")},
        {"stop_price": None, "trail_percent": D(2)},
        {"trail_amount": D("1.5")},
        {"trail_amount": D("1.5"), "limit_offset": D(0)},
        {"time_stop": timedelta(minutes=30)},
    ],
)
def test_a_pair_may_have_each_kind_of_stop(values: dict[str, Any]) -> None:
    trails = "trail_percent" in values or "trail_amount" in values
    check_bracket(with_pair(ENTRIES[Side.BUY] if trails else MARKET, **values))


@pytest.mark.parametrize("values", [{"trail_percent": D(2)}, {"trail_amount": D(1)}])
def test_a_trailing_stop_is_attached_to_a_limit_only(values: dict[str, Any]) -> None:
    """IB 328."""
    [field] = values
    assert field_of(check_bracket, with_pair(MARKET, **values)) == f"pair_1_{field}"
    entry = OrderTerms(Side.BUY, OrderType.STOP, D(100), stop_price=D(100))
    assert field_of(check_bracket, with_pair(replace(MARKET, entry=entry), **values)) == f"pair_1_{field}"
    check_bracket(with_pair(replace(MARKET, entry=replace(entry, order_type=OrderType.STOP_LIMIT, limit_price=D(101))), **values))


def test_pairs_are_one_to_ten_and_sum_to_the_entry() -> None:
    third = replace(MARKET.pairs[0], quantity=D(30))
    assert field_of(check_bracket, replace(MARKET, pairs=())) == "pairs"
    assert field_of(check_bracket, replace(MARKET, pairs=(third, third, third))) == "pairs"
    check_bracket(replace(MARKET, pairs=(third, third, replace(third, quantity=D(40)))))
    assert field_of(check_bracket, replace(MARKET, pairs=(replace(third, quantity=D(10)),) * 11)) == "pairs"
    bad = replace(MARKET, pairs=(third, replace(third, quantity=D(70), stop_price=D(108))))
    assert field_of(check_bracket, bad) == "pair_2_stop_price"
    unnamed = replace(MARKET, oca_type=None)
    check_bracket(unnamed)
    assert field_of(check_bracket, replace(unnamed, pairs=(replace(third, quantity=D(50)),) * 2)) == "oca_type"


def test_what_cannot_carry_exits_says_so() -> None:
    in_time = with_pair(ENTRIES[Side.BUY], time_stop=timedelta(hours=1))
    assert field_of(check_bracket, in_time) == "pair_1_time_stop"
    later = replace(MARKET.entry, good_after=datetime(2026, 3, 2, 16, tzinfo=UTC))
    assert field_of(check_bracket, with_pair(replace(MARKET, entry=later), time_stop=timedelta(hours=1))) == "pair_1_time_stop"
    assert field_of(check_bracket, replace(MARKET, entry=replace(MARKET.entry, time_in_force=TimeInForce.IOC))) == "time_in_force"
    assert field_of(check_bracket, replace(MARKET, entry=replace(MARKET.entry, adaptive=AdaptivePriority.NORMAL))) == "adaptive"
    assert field_of(check_bracket, replace(MARKET, exits_time_in_force=TimeInForce.FOK)) == "exits_time_in_force"


def test_the_orders_of_a_pair_go_stop_first_then_target_then_time_stop() -> None:
    pair = ExitPair(D(10), target_price=D(107), trail_percent=D(2), time_stop=timedelta(minutes=5))
    at = datetime(2026, 3, 2, 15, 0, 0, 999, tzinfo=UTC)
    stop, target, late = legs(pair, Side.SELL, time_in_force=TimeInForce.GTC, outside_rth=True, now=at)
    assert stop == (Role.STOP_LOSS, OrderTerms(Side.SELL, OrderType.TRAIL, D(10), None, None, TimeInForce.GTC, True, trail_percent=D(2)))
    assert target == (Role.TAKE_PROFIT, OrderTerms(Side.SELL, OrderType.LIMIT, D(10), D(107), None, TimeInForce.GTC, True))
    limited = replace(pair, limit_offset=D("0.1"), stop_price=D(97), target_price=None, time_stop=None)
    [(_role, terms)] = legs(limited, Side.SELL, time_in_force=TimeInForce.GTC, outside_rth=False, now=at)
    assert (terms.order_type, terms.stop_price, terms.limit_offset, terms.limit_price) == (OrderType.TRAIL_LIMIT, D(97), D("0.1"), None)
    when = datetime(2026, 3, 2, 15, 5, tzinfo=UTC)
    assert late == (Role.TIME_STOP, OrderTerms(Side.SELL, OrderType.MARKET, D(10), time_in_force=TimeInForce.GTC, good_after=when))


def test_a_request_is_spelled_once() -> None:
    spelled = with_pair(MARKET, stop_price=D("97.00"), quantity=D("1E+2"))
    assert request_to_json(spelled) == request_to_json(MARKET)
    assert request_to_json(with_pair(MARKET, time_stop=timedelta(minutes=1))) != request_to_json(MARKET)
    assert request_to_json(LIMIT) == terms_to_json(LIMIT)


@pytest.mark.parametrize(
    "terms",
    [
        LIMIT,
        OrderTerms(Side.SELL, OrderType.MARKET, D("0.00000001"), time_in_force=TimeInForce.GTC),
        OrderTerms(Side.SELL, OrderType.STOP_LIMIT, D("1E+2"), D("99.50"), D("1234567.12345678"), outside_rth=True),
    ],
)
def test_terms_survive_their_row(terms: OrderTerms) -> None:
    assert terms_from_json(terms_to_json(terms)) == terms


@pytest.mark.parametrize(("value", "text"), [("100.00", "100"), ("1E+2", "100"), ("-0.0", "0"), ("0.00000001", "0.00000001")])
def test_a_decimal_has_one_spelling(value: str, text: str) -> None:
    assert plain(D(value)) == text
