"""Closing and protecting a position: direction and quantity come from what IB reports."""

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


def protection(**fields: Any) -> dict[str, Any]:
    values = {"quantity": "100", "entry_price": "100", "stop_percent": "2", "target_percent": "8", "oca_type": "1", "time_in_force": "GTC"}
    return fresh(**{**values, **fields})


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


# --- protect --------------------------------------------------------------------------------------------------------------------------


def test_protection_is_suggested_from_the_average_cost(seats: Seats, client: Client) -> None:
    seats.position("100", "233.33")
    page = words(client.get(at("protect", seats)))
    assert 'name="quantity" inputmode="decimal" value="100"' in page
    assert 'name="entry_price" inputmode="decimal" value="233.33"' in page
    assert 'placeholder="228.66"' in page
    assert 'placeholder="252.00"' in page
    assert "In a fast market both can fill and turn the position around." in page


def test_only_what_is_bare_is_suggested(seats: Seats, client: Client) -> None:
    seats.position("100")
    seats.oca_pair("60")
    assert 'name="quantity" inputmode="decimal" value="40"' in words(client.get(at("protect", seats)))


def test_stop_and_target_go_as_one_oca_group(seats: Seats, client: Client) -> None:
    seats.position("100")
    answer = client.post(at("protect", seats), protection(oca_type="2"))
    assert answer["Location"] == reverse("desk")
    stop, target = OrderRecord.objects.order_by("-order_type")
    assert (stop.order_type, stop.side, stop.stop_price, stop.time_in_force) == ("STP", "SELL", Decimal("98"), "GTC")
    assert (target.order_type, target.limit_price) == ("LMT", Decimal("108"))
    assert stop.oca_group == target.oca_group
    assert stop.oca_group is not None
    assert stop.oca_group.oca_type == 2


def test_of_a_short_position_the_signs_are_mirrored(seats: Seats, client: Client) -> None:
    seats.position("-100")
    client.post(at("protect", seats), protection())
    stop, target = OrderRecord.objects.order_by("-order_type")
    assert (stop.side, stop.stop_price, target.limit_price) == ("BUY", Decimal("102"), Decimal("92"))


def test_a_price_that_is_given_counts(seats: Seats, client: Client) -> None:
    seats.position("100")
    client.post(at("protect", seats), protection(stop_price="97.25", stop_percent=""))
    assert OrderRecord.objects.get(order_type="STP").stop_price == Decimal("97.25")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"stop_percent": "", "stop_price": ""}, "Give a percentage or a price."),
        ({"stop_price": "101"}, "(STOP_THROUGH_MARKET)"),
        ({"stop_price": "97.255"}, "(OFF_TICK)"),
        ({"quantity": "ten"}, "Use digits and a point"),
        ({"oca_type": "7"}, "not one of the available choices"),
        ({"stop_percent": "150"}, "TICKET"),
    ],
)
def test_a_protection_that_cannot_be_is_said_and_nothing_is_sent(seats: Seats, client: Client, fields: dict[str, str], said: str) -> None:
    seats.position("100")
    answer = client.post(at("protect", seats), protection(**fields))
    assert answer.status_code == 422
    assert said in words(answer)
    assert OrderRecord.objects.count() == 0


def test_in_place_it_is_a_dialog_that_comes_back_with_its_faults(seats: Seats, client: Client) -> None:
    seats.position("100")
    answer = client.post(at("protect", seats), protection(stop_price="120"), **HTMX)
    assert answer.status_code == 422
    assert words(answer).startswith("<dialog")
    assert 'value="120"' in words(answer)
    answer = client.post(at("protect", seats), protection(), **HTMX)
    assert words(answer).startswith('<div hx-swap-oob="innerHTML:#toasts">')


def test_a_plain_order_that_makes_room_for_a_stop_is_named_as_what_it_is(seats: Seats, client: Client) -> None:
    seats.position("100")
    seats.order("SELL", quantity="100", limit_price=Decimal("108"))
    address = reverse("repair", args=[seats.account.code, seats.contract.con_id])
    page = words(client.get(address))
    assert "Cancelled: SELL 100 AAPL LMT 108.00" in page
    assert "It was placed by itself, not as a target" in page
    OrderRecord.objects.update(role=Role.TAKE_PROFIT.value)
    assert "placed by itself" not in words(client.get(address))
