"""The ticket's form: what was filled in, read into what the manager is asked for; and what does not make sense, beside its field."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from orders.models import Quote
from orders.pages.forms import TicketForm, add_refusal
from orders.rules.terms import AdaptivePriority, OcaType, OrderTerms, OrderType, Side, TimeInForce, TriggerMethod
from orders.rules.tickets import BracketTicket, ExitPair
from orders.tests.seats import Seats, take_seats

pytestmark = pytest.mark.django_db

D = Decimal


@pytest.fixture
def seats() -> Seats:
    return take_seats()


def filled(seats: Seats, **fields: Any) -> TicketForm:
    values = {
        "account": seats.account.code,
        "symbol": "AAPL",
        "side": "BUY",
        "quantity": "100",
        "order_type": "LMT",
        "limit_price": "99.50",
    }
    return TicketForm({**values, "time_in_force": "DAY", **fields}, accounts=[seats.account])


def terms_of(seats: Seats, **fields: Any) -> OrderTerms:
    form = filled(seats, **fields)
    assert form.is_valid(), form.errors
    asked = form.request(seats.contract)
    assert isinstance(asked, OrderTerms), form.errors
    return asked


def bracket_of(seats: Seats, **fields: Any) -> BracketTicket:
    form = filled(seats, bracket="on", **fields)
    assert form.is_valid(), form.errors
    asked = form.request(seats.contract)
    assert isinstance(asked, BracketTicket), form.errors
    return asked


def errors_of(seats: Seats, **fields: Any) -> dict[str, str]:
    form = filled(seats, **fields)
    if form.is_valid():
        assert form.request(seats.contract) is None
    return {name: " ".join(words) for name, words in form.errors.items()}


# --- one order ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, {"limit_price": D("99.50")}),
        ({"order_type": "MKT"}, {"order_type": OrderType.MARKET}),
        ({"order_type": "STP", "stop_price": "101"}, {"order_type": OrderType.STOP, "stop_price": D(101)}),
        (
            {"order_type": "STP LMT", "stop_price": "101", "limit_price": "101.5"},
            {"order_type": OrderType.STOP_LIMIT, "stop_price": D(101), "limit_price": D("101.5")},
        ),
        ({"order_type": "MIT", "stop_price": "98"}, {"order_type": OrderType.MARKET_IF_TOUCHED, "stop_price": D(98)}),
        (
            {"order_type": "LIT", "stop_price": "98", "limit_price": "98.1"},
            {"order_type": OrderType.LIMIT_IF_TOUCHED, "stop_price": D(98), "limit_price": D("98.1")},
        ),
        ({"order_type": "TRAIL", "trail": "2", "trail_unit": "%"}, {"order_type": OrderType.TRAIL, "trail_percent": D(2)}),
        (
            {"order_type": "TRAIL", "trail": "1.50", "trail_unit": "amount", "stop_price": "98.5"},
            {"order_type": OrderType.TRAIL, "trail_amount": D("1.50"), "stop_price": D("98.5")},
        ),
        (
            {"order_type": "TRAIL LIMIT", "trail": "1.50", "trail_unit": "amount", "stop_price": "98.5", "limit_offset": "0"},
            {"order_type": OrderType.TRAIL_LIMIT, "trail_amount": D("1.50"), "stop_price": D("98.5"), "limit_offset": D(0)},
        ),
        ({"order_type": "MOC"}, {"order_type": OrderType.MARKET_ON_CLOSE}),
        ({"order_type": "LOC", "limit_price": "99"}, {"order_type": OrderType.LIMIT_ON_CLOSE, "limit_price": D(99)}),
        ({"order_type": "MOO"}, {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.OPG}),
        ({"order_type": "LOO", "limit_price": "99"}, {"limit_price": D(99), "time_in_force": TimeInForce.OPG}),
        ({"time_in_force": "IOC"}, {"limit_price": D("99.50"), "time_in_force": TimeInForce.IOC}),
        ({"display_size": "20"}, {"limit_price": D("99.50"), "display_size": D(20)}),
        ({"hidden": "on", "all_or_none": "on"}, {"limit_price": D("99.50"), "hidden": True, "all_or_none": True}),
        ({"adaptive": "Patient"}, {"limit_price": D("99.50"), "adaptive": AdaptivePriority.PATIENT}),
        (
            {"order_type": "STP", "stop_price": "101", "trigger_method": "4", "outside_rth": "on"},
            {"order_type": OrderType.STOP, "stop_price": D(101), "trigger_method": TriggerMethod.BID_ASK, "outside_rth": True},
        ),
    ],
)
def test_each_type_is_read_with_its_own_fields(seats: Seats, fields: dict[str, str], wanted: dict[str, Any]) -> None:
    plain = {"side": Side.BUY, "order_type": OrderType.LIMIT, "quantity": D(100)}
    assert terms_of(seats, **fields) == OrderTerms(**{**plain, **wanted})


def test_prices_that_the_type_does_not_have_are_left_out(seats: Seats) -> None:
    everything = {"limit_price": "nonsense", "stop_price": "1", "trail": "x", "limit_offset": "y", "good_till": "z"}
    assert terms_of(seats, order_type="MKT", **everything) == OrderTerms(Side.BUY, OrderType.MARKET, D(100))


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"limit_price": ""}, "limit_price", "A LMT order needs this price."),
        ({"order_type": "MIT"}, "stop_price", "A MIT order needs this price."),
        ({"order_type": "TRAIL"}, "trail", "A TRAIL order needs the distance it keeps."),
        ({"order_type": "TRAIL LIMIT", "trail": "2"}, "stop_price", "needs this price"),
        ({"order_type": "TRAIL LIMIT", "trail": "2", "stop_price": "98"}, "limit_offset", "needs its limit's distance"),
        ({"time_in_force": "GTD"}, "good_till", "Say until when"),
        ({"time_in_force": "GTD", "good_till": "tomorrow"}, "good_till", "Give a date and a time"),
        ({"good_after": "2026-11-01T01:30"}, "good_after", "The clocks change at that hour"),
        ({"good_after": "2026-03-08T02:30"}, "good_after", "The clocks change at that hour"),
        ({"good_after": "2026-03-09T10:00+01:00"}, "good_after", "Give a date and a time"),
        ({"order_type": "TRAIL", "trail": "2", "bracket": "on"}, "order_type", "The entry of a bracket is MKT, LMT, STP or STP LMT."),
    ],
)
def test_what_is_missing_or_cannot_be_read_is_said_beside_its_field(seats: Seats, fields: dict[str, str], field: str, said: str) -> None:
    assert said in errors_of(seats, **fields)[field]


def test_moments_are_those_of_the_account_s_zone(seats: Seats) -> None:
    terms = terms_of(seats, time_in_force="GTD", good_till="2026-12-01T16:00", good_after="2026-07-01T09:30")
    assert terms.good_till == datetime(2026, 12, 1, 21, 0, tzinfo=UTC)  # New York in winter
    assert terms.good_after == datetime(2026, 7, 1, 13, 30, tzinfo=UTC)
    seats.account.time_zone = "Europe/Berlin"
    assert terms_of(seats, good_after="2026-07-01T09:30").good_after == datetime(2026, 7, 1, 7, 30, tzinfo=UTC)


# --- exits ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"pair_1_target": "8", "pair_1_stop": "2"}, {"target_price": D("107.46"), "stop_price": D("97.51")}),
        (
            {"pair_1_target": "3", "pair_1_target_unit": "amount", "pair_1_stop": "40", "pair_1_stop_unit": "ticks"},
            {"target_price": D("102.50"), "stop_price": D("99.10")},
        ),
        (
            {"pair_1_target": "2.5", "pair_1_target_unit": "R", "pair_1_stop": "1", "pair_1_stop_unit": "amount"},
            {"target_price": D("102.00"), "stop_price": D("98.50")},
        ),
        ({"pair_1_target": "8", "pair_1_target_price": "105"}, {"target_price": D(105)}),
        ({"pair_1_stop": "2", "pair_1_stop_price": "97"}, {"stop_price": D(97)}),
        (
            {"pair_1_stop_kind": "STP LMT", "pair_1_stop": "2", "pair_1_stop_offset": "0.25"},
            {"stop_price": D("97.51"), "stop_limit_price": D("97.26")},
        ),
        ({"pair_1_stop_kind": "TRAIL", "pair_1_stop": "2"}, {"trail_percent": D(2)}),
        (
            {"pair_1_stop_kind": "TRAIL", "pair_1_stop": "1.5", "pair_1_stop_unit": "amount", "pair_1_stop_price": "98"},
            {"trail_amount": D("1.5"), "stop_price": D(98)},
        ),
        ({"pair_1_stop_kind": "TRAIL", "pair_1_stop": "30", "pair_1_stop_unit": "ticks"}, {"trail_amount": D("0.30")}),
        (
            {"pair_1_stop_kind": "TRAIL LIMIT", "pair_1_stop": "2", "pair_1_stop_offset": "0.25"},
            {"trail_percent": D(2), "stop_price": D("97.51"), "limit_offset": D("0.25")},
        ),
        (
            {"pair_1_stop_kind": "TRAIL", "pair_1_stop": "2", "pair_1_target": "2", "pair_1_target_unit": "R"},
            {"trail_percent": D(2), "target_price": D("103.48")},
        ),
        ({"pair_1_stop": "2", "pair_1_time_stop": "90"}, {"stop_price": D("97.51"), "time_stop": timedelta(minutes=90)}),
    ],
)
def test_an_exit_is_a_price_or_a_distance_in_any_unit(seats: Seats, fields: dict[str, str], wanted: dict[str, Any]) -> None:
    assert bracket_of(seats, **fields).pairs == (ExitPair(D(100), **wanted),)


def test_the_exits_of_a_sale_are_mirrored(seats: Seats) -> None:
    fields = {"pair_1_target": "8", "pair_1_stop": "2", "pair_1_stop_kind": "STP LMT", "pair_1_stop_offset": "0.25"}
    pair = bracket_of(seats, side="SELL", limit_price="100.50", **fields).pairs[0]
    assert (pair.target_price, pair.stop_price, pair.stop_limit_price) == (D("92.46"), D("102.51"), D("102.76"))


@pytest.mark.parametrize(
    ("fields", "base"),
    [
        ({"order_type": "MKT"}, "100.01"),
        ({"order_type": "MKT", "side": "SELL"}, "99.99"),
        ({"order_type": "STP", "stop_price": "103"}, "103"),
        ({"order_type": "STP LMT", "stop_price": "103", "limit_price": "103.5"}, "103.5"),
        ({"order_type": "MOO"}, "100.01"),
    ],
)
def test_distances_count_from_the_entry_s_own_price_or_the_quote(seats: Seats, fields: dict[str, str], base: str) -> None:
    sign = -1 if fields.get("side") == "SELL" else 1
    pair = bracket_of(seats, **fields, pair_1_target="5", pair_1_target_unit="amount").pairs[0]
    assert pair.target_price == D(base) + 5 * sign


def test_several_pairs_divide_the_quantity_and_rows_that_are_not_used_do_not_count(seats: Seats) -> None:
    fields = {f"pair_{number}_{leg}": "2" for number in range(1, 6) for leg in ("target", "stop")}
    asked = bracket_of(seats, **{**fields, "pair_5_stop": "nonsense"}, pair_count="3", pair_2_quantity="10")
    assert [pair.quantity for pair in asked.pairs] == [D(45), D(10), D(45)]


def test_how_the_exits_behave_goes_along(seats: Seats) -> None:
    plain = bracket_of(seats, pair_1_stop="2")
    assert (plain.oca_type, plain.exits_time_in_force, plain.exits_outside_rth) == (OcaType.CANCEL_WITH_BLOCK, TimeInForce.GTC, False)
    other = bracket_of(seats, pair_1_stop="2", oca_type="3", exits_time_in_force="DAY", exits_outside_rth="on")
    assert (other.oca_type, other.exits_time_in_force, other.exits_outside_rth) == (OcaType.REDUCE_WITHOUT_BLOCK, TimeInForce.DAY, True)


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({}, "pair_1_stop", "at least one of them"),
        ({"pair_1_target": "2", "pair_1_target_unit": "R"}, "pair_1_target", "there is no stop"),
        ({"pair_1_stop_kind": "TRAIL"}, "pair_1_stop", "Give the distance"),
        ({"pair_1_stop_kind": "STP LMT", "pair_1_stop": "2"}, "pair_1_stop_offset", "Give how far past the stop"),
        ({"pair_1_stop": "100"}, "pair_1_stop", "no price is left above zero"),
        ({"pair_1_stop": "2", "pair_2_stop": "2", "pair_count": "2", "pair_1_quantity": "60", "pair_2_quantity": "60"}, "bracket", "120"),
        ({"pair_1_stop": "1,5"}, "pair_1_stop", "Use digits and a point"),
        ({"pair_1_stop": "2", "pair_2_target": "-1", "pair_count": "2"}, "pair_2_target", "above zero"),
        ({"pair_1_stop": "2", "pair_count": "6"}, "pair_count", "less than or equal to 5"),
    ],
)
def test_what_is_wrong_with_an_exit_is_said_in_its_row(seats: Seats, fields: dict[str, str], field: str, said: str) -> None:
    assert said in errors_of(seats, bracket="on", **fields)[field]


def test_without_a_quote_only_prices_can_be_used(seats: Seats) -> None:
    Quote.objects.all().delete()
    seats.contract.refresh_from_db()
    assert "no quote to count this distance from" in errors_of(seats, order_type="MKT", bracket="on", pair_1_stop="2")["pair_1_stop"]
    assert bracket_of(seats, order_type="MKT", pair_1_stop_price="97").pairs[0].stop_price == D(97)


@pytest.mark.parametrize(
    ("named", "beside"),
    [
        ("contract", "symbol"),
        ("trail_percent", "trail"),
        ("pairs", "bracket"),
        ("pair_3_stop_limit_price", "pair_3_stop_offset"),
        ("pair_2_trail_amount", "pair_2_stop"),
        ("good_till", "good_till"),
        ("nothing we have", "__all__"),
    ],
)
def test_a_refusal_stands_beside_the_field_that_means_what_it_names(seats: Seats, named: str, beside: str) -> None:
    form = filled(seats)
    assert form.is_valid()
    add_refusal(form, "is not possible", named, "RULE")
    assert form.errors[beside] == ["Is not possible. (RULE)"]
