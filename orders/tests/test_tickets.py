"""What a trader asks for, checked for sense: fields that are missing, too many, or on the wrong side of each other."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D

import pytest

from orders.rules.terms import OrderTerms, OrderType, Side, TimeInForce, plain, terms_from_json, terms_to_json
from orders.rules.tickets import BracketTicket, OcaExitTicket, TicketError, check_bracket, check_oca_exit, check_terms

LIMIT = OrderTerms(Side.BUY, OrderType.LIMIT, D(100), limit_price=D("99.5"))
ENTRIES = {
    Side.BUY: BracketTicket(LIMIT, take_profit_price=D(107), stop_loss_price=D(97)),
    Side.SELL: BracketTicket(replace(LIMIT, side=Side.SELL), take_profit_price=D(95), stop_loss_price=D(103)),
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


@pytest.mark.parametrize("side", list(Side))
def test_the_exits_of_a_bracket_lie_on_both_sides_of_its_entry(side: Side) -> None:
    ticket = ENTRIES[side]
    check_bracket(ticket)
    swapped = replace(ticket, take_profit_price=ticket.stop_loss_price, stop_loss_price=ticket.take_profit_price)
    assert field_of(check_bracket, swapped) == "stop_loss_price"
    assert field_of(check_bracket, replace(ticket, take_profit_price=LIMIT.limit_price)) == "take_profit_price"
    assert field_of(check_bracket, replace(ticket, stop_loss_price=LIMIT.limit_price)) == "stop_loss_price"


def test_a_bracket_is_entered_by_market_or_limit() -> None:
    stop_entry = OrderTerms(Side.BUY, OrderType.STOP, D(1), stop_price=D(101))
    assert field_of(check_bracket, replace(ENTRIES[Side.BUY], entry=stop_entry)) == "order_type"
    check_bracket(replace(ENTRIES[Side.BUY], entry=OrderTerms(Side.BUY, OrderType.MARKET, D(1))))


@pytest.mark.parametrize(("side", "stop", "target"), [(Side.SELL, "98", "108"), (Side.BUY, "102", "92")])
def test_an_exits_target_lies_on_the_profit_side_of_its_stop(side: Side, stop: str, target: str) -> None:
    ticket = OcaExitTicket(side, D(100), entry_price=D(100), stop_price=D(stop), target_price=D(target))
    check_oca_exit(ticket)
    assert field_of(check_oca_exit, replace(ticket, side=side.opposite)) == "stop_price"
    assert field_of(check_oca_exit, replace(ticket, stop_price=ticket.target_price)) == "stop_price"


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
