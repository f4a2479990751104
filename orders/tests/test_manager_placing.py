"""Placing single orders: what the book holds after it, and what is refused before anything is written."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from orders.errors import Refused
from orders.models import Book, BrokerCommand, Event, OrderRecord
from orders.rules.lifecycle import OrderStatus
from orders.rules.terms import CommandKind, CommandState, Side, TimeInForce
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
