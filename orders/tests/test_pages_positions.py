"""Closing a position, and mending its protection: direction and quantity come from what IB reports."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from orders.models import BrokerCommand, Gateway, OrderRecord
from orders.rules.terms import CommandKind, GatewayState, Role
from orders.tests.seats import Seats, fresh, signed_in, take_seats

pytestmark = pytest.mark.django_db

HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def seats() -> Seats:
    return take_seats()


@pytest.fixture
def client(seats: Seats) -> Client:
    return signed_in(seats.trader)


def at(name: str, seats: Seats) -> str:
    return reverse(name, args=[seats.account.code, seats.contract.con_id])


def words(answer: Any) -> str:
    return answer.content.decode()


# --- close ----------------------------------------------------------------------------------------------------------------------------


def test_closing_says_what_it_will_do_in_order(seats: Seats, client: Client) -> None:
    seats.position("100")
    seats.oca_pair()
    page = words(client.get(at("close", seats)))
    assert "Close +100 AAPL in DU1000417?" in page
    first, last = page.index("Cancelled first: SELL 100 AAPL STP 98.00"), page.index("Then SELL 100 AAPL at the market")
    assert first < last
    assert "about 9,999.00 USD at the last quote." in page
    assert "Close AAPL: SELL 100 at the market" in page


def test_closing_a_short_position_buys(seats: Seats, client: Client) -> None:
    seats.position("-60")
    page = words(client.get(at("close", seats)))
    assert "Close −60 AAPL" in page
    assert "Then BUY 60 AAPL at the market" in page
    client.post(at("close", seats), fresh())
    order = OrderRecord.objects.get()
    assert (order.side, order.order_type, order.role) == ("BUY", "MKT", Role.CLOSE)


def test_closing_cancels_the_exits_and_waits_for_them(seats: Seats, client: Client) -> None:
    seats.position("100")
    stop, target = seats.oca_pair()
    answer = client.post(at("close", seats), fresh())
    assert answer["Location"] == reverse("desk")
    assert set(BrokerCommand.objects.filter(kind=CommandKind.CANCEL).values_list("order", flat=True)) == {stop.pk, target.pk}
    place = BrokerCommand.objects.get(kind=CommandKind.PLACE)
    assert set(place.after) == {stop.client_order_id, target.client_order_id}
    assert "Closing 100 AAPL" in words(client.get(reverse("desk")))


def test_one_key_closes_once(seats: Seats, client: Client) -> None:
    seats.position("100")
    fields = fresh()
    for _again in range(3):
        client.post(at("close", seats), fields)
    assert OrderRecord.objects.count() == 1


def test_an_old_page_or_a_gateway_that_is_down_closes_nothing(seats: Seats, client: Client) -> None:
    seats.position("100")
    assert "older than a minute" in words(client.post(at("close", seats), fresh(seconds_ago=61)))
    Gateway.objects.update(state=GatewayState.DOWN.value, reason="no route to host")
    assert "No route to host." in words(client.post(at("close", seats), fresh()))
    assert OrderRecord.objects.count() == 0


def test_a_flat_position_cannot_be_closed_or_protected(seats: Seats, client: Client) -> None:
    seats.position("0", "0")
    for name in ("close", "protect"):
        assert client.get(at(name, seats)).status_code == 404


def test_a_plain_order_that_makes_room_for_a_stop_is_named_as_what_it_is(seats: Seats, client: Client) -> None:
    seats.position("100")
    seats.order("SELL", quantity="100", limit_price=Decimal("108"))
    address = reverse("repair", args=[seats.account.code, seats.contract.con_id])
    page = words(client.get(address))
    assert "Cancelled: SELL 100 AAPL LMT 108.00" in page
    assert "It was placed by itself, not as a target" in page
    OrderRecord.objects.update(role=Role.TAKE_PROFIT.value)
    assert "placed by itself" not in words(client.get(address))
