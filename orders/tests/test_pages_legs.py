"""The page that changes the legs of a bracket together: shown old and new first, sent as shown, and only then."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from orders.models import BrokerCommand, OrderRecord
from orders.rules.terms import CommandKind
from orders.tests.seats import Seats, fresh, signed_in, take_seats

pytestmark = pytest.mark.django_db


@pytest.fixture
def seats() -> Seats:
    return take_seats()


@pytest.fixture
def client(seats: Seats) -> Client:
    return signed_in(seats.trader)


def at(order: OrderRecord) -> str:
    return reverse("legs", args=[order.client_order_id])


def words(answer: Any) -> str:
    return answer.content.decode()


def changes() -> int:
    return BrokerCommand.objects.filter(kind=CommandKind.MODIFY.value).count()


@pytest.fixture
def bracket(seats: Seats) -> tuple[OrderRecord, OrderRecord, OrderRecord]:
    entry, target, stop = seats.bracket()
    OrderRecord.objects.filter(pk__in=[entry.pk, target.pk, stop.pk]).update(heard_at=seats.now)
    return entry, target, stop


def test_it_shows_each_leg_old_and_new_and_sends_nothing(client: Client, bracket: tuple[OrderRecord, ...]) -> None:
    page = words(client.get(at(bracket[1])))
    assert "Change all legs" in page
    assert "Send the changes" not in page
    answer = client.post(at(bracket[1]), fresh(move="-0.50", unit="amount", act="look"))
    assert answer.status_code == 200
    for change in ("limit price 99.50 → 99.00", "limit price 108.00 → 107.50", "stop price 98.00 → 97.50", "Send the changes"):
        assert change in words(answer)
    assert changes() == 0


def test_what_was_shown_is_sent_once(client: Client, bracket: tuple[OrderRecord, ...]) -> None:
    shown = client.post(at(bracket[0]), fresh(move="10", unit="ticks", act="look"))
    form = fresh(move="10", unit="ticks", act="send", seen=shown.context["seen"])
    for _ in range(2):
        assert client.post(at(bracket[0]), form).status_code == 302
    assert changes() == 3


def test_a_leg_that_moved_on_is_shown_anew(client: Client, bracket: tuple[OrderRecord, ...]) -> None:
    shown = client.post(at(bracket[0]), fresh(move="10", unit="ticks", act="look"))
    OrderRecord.objects.filter(pk=bracket[2].pk).update(stop_price="97")
    answer = client.post(at(bracket[0]), fresh(move="10", unit="ticks", act="send", seen=shown.context["seen"]))
    assert "a leg is not as you saw it any more" in words(answer)
    assert changes() == 0


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"move": "-99.50"}, "below the smallest price"),
        ({"move": "x"}, "Send the changes"),
        ({}, "have these terms already"),
        ({"quantity": "0"}, "above zero"),
    ],
)
def test_what_cannot_be_is_said(client: Client, bracket: tuple[OrderRecord, ...], typed: dict[str, str], told: str) -> None:
    answer = client.post(at(bracket[0]), fresh(unit="amount", act="send", seen="", **typed))
    assert (told in words(answer)) is (told != "Send the changes"), words(answer)
    assert changes() == 0


def test_only_who_may_trade_the_account_sees_it(seats: Seats, bracket: tuple[OrderRecord, ...]) -> None:
    assert signed_in(seats.viewer).get(at(bracket[0])).status_code == 403
    assert signed_in(seats.stranger).get(at(bracket[0])).status_code == 404


def test_the_order_page_leads_there_where_there_are_legs(seats: Seats, client: Client, bracket: tuple[OrderRecord, ...]) -> None:
    assert at(bracket[0]) in words(client.get(reverse("order", args=[bracket[0].client_order_id])))
    single = seats.order()
    assert at(single) not in words(client.get(reverse("order", args=[single.client_order_id])))


def test_the_page_of_a_filled_entry_leads_to_its_exits_while_they_work(seats: Seats, client: Client) -> None:
    entry, target, stop = seats.bracket(filled="100")
    OrderRecord.objects.filter(pk__in=[target.pk, stop.pk]).update(heard_at=seats.now)
    address = reverse("order", args=[entry.client_order_id])
    assert at(entry) in words(client.get(address))
    assert at(entry) not in words(signed_in(seats.viewer).get(address))
    page = words(client.get(at(entry)))
    assert "Show the changes" in page and 'name="quantity"' not in page  # the entry keeps its size
    for leg in (target, stop):  # one by one
        assert reverse("change", args=[leg.client_order_id]) in page
    assert reverse("change", args=[entry.client_order_id]) not in page
    shown = client.post(at(entry), fresh(move="-0.50", unit="amount", act="look"))
    assert client.post(at(entry), fresh(move="-0.50", unit="amount", act="send", seen=shown.context["seen"])).status_code == 302
    assert changes() == 2
    OrderRecord.objects.filter(pk__in=[target.pk, stop.pk]).update(status="CANCELLED", status_basis="broker")
    assert at(entry) not in words(client.get(address))
    over = client.post(at(entry), fresh(quantity="50", unit="amount", act="look"))  # from a page that was open since
    assert (over.status_code, "None of its orders is open any more." in words(over)) == (422, True)


def test_exits_of_a_position_are_changed_together_from_the_page_of_either(seats: Seats, client: Client) -> None:
    stop, target = seats.oca_pair()
    OrderRecord.objects.filter(pk__in=[target.pk, stop.pk]).update(heard_at=seats.now, unit_id="one")
    for leg in (stop, target):
        assert at(leg) in words(client.get(reverse("order", args=[leg.client_order_id])))
