"""Placing single orders: what the book holds after it, and what is refused before anything is written."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from orders.errors import Refused
from orders.models import Book, BrokerCommand, Event, OrderRecord
from orders.rules.lifecycle import OrderStatus
from orders.rules.terms import AdaptivePriority, CommandKind, CommandState, OrderTerms, OrderType, Side, TimeInForce, TriggerMethod
from orders.tests.desk_of_one import Desk
from orders.tests.factories import NOW, a_key

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_limit_order_stands_in_the_book_with_its_event_and_its_command(desk: Desk) -> None:
    order = desk.buy(note="first", outside_rth=True, time_in_force=TimeInForce.GTC)
    row = OrderRecord.objects.get()
    assert row == order
    assert (row.side, row.order_type, row.quantity, row.limit_price, row.stop_price) == ("BUY", "LMT", D(100), D("99.50"), None)
    assert (row.time_in_force, row.outside_rth, row.note) == ("GTC", True, "first")
    assert (row.status, row.created_by, row.created_at) == (OrderStatus.PENDING, desk.user, NOW)
    command = BrokerCommand.objects.get()
    assert (command.kind, command.state, command.order, command.actor) == (CommandKind.PLACE, CommandState.PENDING, row, desk.user)
    assert (command.unit_id, command.claimable_at) == (row.unit_id, NOW)
    event = Event.objects.get(kind="order.placed")
    assert (event.order, event.actor, event.status_after, event.seq) == (row, desk.user, "PENDING", row.seq)


def test_names_are_ours_for_ever_and_short_enough_for_the_broker(desk: Desk) -> None:
    names = [desk.buy(quantity).client_order_id for quantity in ("1", "2", "3")]
    assert len(set(names)) == 3
    assert all(name.startswith(f"DB{Book.objects.get().install}-") and name.isascii() and len(name) <= 40 for name in names)


@pytest.mark.parametrize(
    ("verb", "prices", "order_type"),
    [
        ("place_market_order", {}, "MKT"),
        ("place_limit_order", {"limit_price": D("100.00")}, "LMT"),
        ("place_stop_order", {"stop_price": D("101.00")}, "STP"),
        ("place_stop_limit_order", {"stop_price": D("101.00"), "limit_price": D("101.50")}, "STP LMT"),
    ],
)
def test_each_type_carries_exactly_its_prices(desk: Desk, verb: str, prices: dict[str, D], order_type: str) -> None:
    order = getattr(desk.manager, verb)(desk.account, desk.contract, Side.BUY, D(10), **prices, key=a_key())
    assert (order.order_type, order.limit_price, order.stop_price) == (order_type, prices.get("limit_price"), prices.get("stop_price"))


@pytest.mark.parametrize(
    ("quantity", "price", "code", "field"),
    [
        ("0", "99.50", "TICKET", "quantity"),
        ("-5", "99.50", "TICKET", "quantity"),
        ("1.5", "99.50", "OFF_SIZE", "quantity"),
        ("100", "99.505", "OFF_TICK", "limit_price"),
        ("100", "0", "TICKET", "limit_price"),
        ("100", "NaN", "TICKET", "limit_price"),
        ("100.0000000000001", "99.50", "TICKET", "quantity"),
        ("10001", "1.00", "MAX_QUANTITY", "quantity"),
        ("9999", "99.50", "MAX_NOTIONAL", "quantity"),
        ("100", "115.00", "PRICE_COLLAR", "limit_price"),
    ],
)
def test_what_makes_no_sense_or_breaks_a_limit_is_refused(desk: Desk, quantity: str, price: str, code: str, field: str) -> None:
    with pytest.raises(Refused) as refused:
        desk.buy(quantity, price)
    assert (refused.value.code, refused.value.field) == (code, field)
    assert not OrderRecord.objects.exists()
    assert not BrokerCommand.objects.exists()


@pytest.mark.parametrize(
    "terms",
    [
        OrderTerms(Side.SELL, OrderType.TRAIL, D(10), trail_percent=D("2.5"), time_in_force=TimeInForce.GTC),
        OrderTerms(Side.SELL, OrderType.TRAIL_LIMIT, D(10), trail_amount=D(2), stop_price=D(98), limit_offset=D("0.1")),
        OrderTerms(Side.BUY, OrderType.MARKET_IF_TOUCHED, D(10), stop_price=D(95), trigger_method=TriggerMethod.LAST),
        OrderTerms(Side.BUY, OrderType.LIMIT, D(10), limit_price=D(95), display_size=D(5), good_after=NOW + timedelta(hours=1)),
        OrderTerms(Side.BUY, OrderType.LIMIT, D(10), limit_price=D(95), adaptive=AdaptivePriority.NORMAL),
        OrderTerms(
            Side.BUY,
            OrderType.LIMIT,
            D(10),
            limit_price=D(95),
            time_in_force=TimeInForce.GTD,
            good_till=NOW + timedelta(days=1),
            hidden=True,
        ),
    ],
)
def test_any_order_is_placed_by_its_terms(desk: Desk, terms: OrderTerms) -> None:
    order = desk.manager.place_order(desk.account, desk.contract, terms, key=a_key(), note="whole")
    order.refresh_from_db()
    assert (order.terms, order.note) == (terms, "whole")


def test_the_same_key_is_the_same_order_and_other_terms_are_another_request(desk: Desk) -> None:
    key, terms = a_key(), OrderTerms(Side.SELL, OrderType.TRAIL, D(10), trail_amount=D("2.50"))
    first = desk.manager.place_order(desk.account, desk.contract, terms, key=key)
    assert desk.manager.place_order(desk.account, desk.contract, replace(terms, trail_amount=D("2.5")), key=key) == first
    with pytest.raises(Refused) as refused:
        desk.manager.place_order(desk.account, desk.contract, replace(terms, trail_amount=D(3)), key=key)
    assert refused.value.code == "KEY_REUSED"
    assert OrderRecord.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"trail_amount": 2.5}, "TICKET", "trail_amount"),
        ({"trail_percent": D(2)}, "TICKET", "trail_percent"),
        ({"trail_amount": D("2.005")}, "OFF_TICK", "trail_amount"),
        ({"time_in_force": TimeInForce.IOC}, "TICKET", "time_in_force"),
        ({"time_in_force": TimeInForce.GTD, "good_till": NOW}, "TICKET", "good_till"),
        ({"display_size": D(5)}, "TICKET", "display_size"),
    ],
)
def test_terms_that_make_no_sense_are_refused_by_their_field(desk: Desk, changes: dict[str, Any], code: str, field: str) -> None:
    terms = replace(OrderTerms(Side.SELL, OrderType.TRAIL, D(10), trail_amount=D(2)), **changes)
    with pytest.raises(Refused) as refused:
        desk.manager.place_order(desk.account, desk.contract, terms, key=a_key())
    assert (refused.value.code, refused.value.field) == (code, field)
    assert not OrderRecord.objects.exists()


@pytest.mark.parametrize(
    ("terms", "code", "field"),
    [
        (OrderTerms(Side.SELL, OrderType.MARKET_ON_CLOSE, D(10)), "ORDER_TYPE", "order_type"),
        (OrderTerms(Side.BUY, OrderType.LIMIT, D(10), limit_price=D(95), time_in_force=TimeInForce.FOK), "TIME_IN_FORCE", "time_in_force"),
        (OrderTerms(Side.BUY, OrderType.LIMIT, D(10), limit_price=D(95), all_or_none=True), "NOT_OFFERED", "all_or_none"),
    ],
)
def test_what_the_contract_does_not_offer_is_refused_by_the_server(desk: Desk, terms: OrderTerms, code: str, field: str) -> None:
    desk.contract.order_types = ["DAY", "GTC", "LMT", "MKT", "STP"]
    desk.contract.save()
    with pytest.raises(Refused) as refused:
        desk.manager.place_order(desk.account, desk.contract, terms, key=a_key())
    assert (refused.value.code, refused.value.field) == (code, field)


def test_attributes_may_be_given_to_the_verb_of_a_type_and_stand_in_the_terms_of_any_order(desk: Desk) -> None:
    order = desk.buy(time_in_force="GTD", good_till="2026-03-03T15:00:00+00:00", all_or_none=True, trigger_method=0)
    order.refresh_from_db()
    assert (order.good_till, order.all_or_none, order.adaptive) == (NOW + timedelta(days=1), True, "")
    terms = OrderTerms(Side.BUY, OrderType.LIMIT, D(10), limit_price=D(95))
    with pytest.raises(TypeError, match="belong to the terms: hidden"):
        desk.manager.place_order(desk.account, desk.contract, terms, key=a_key(), hidden=True)
    with pytest.raises(TypeError, match="no hidden"):
        desk.protect(hidden=True)
    with pytest.raises(Refused, match="time zone"):
        desk.buy(time_in_force="GTD", good_till="2026-03-03T15:00:00")
