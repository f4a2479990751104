"""The change of an order: what can be changed of each type, old and new in words, and what the order has done meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from orders.models import BrokerCommand, OrderRecord
from orders.pages.forms import ChangeForm
from orders.pages.forms.changes import fingerprint
from orders.rules.lifecycle import OrderStatus
from orders.rules.terms import CommandKind, CommandState, TimeInForce, terms_to_json
from orders.tests.seats import Seats, fresh, signed_in, take_seats

pytestmark = pytest.mark.django_db

D = Decimal


@pytest.fixture
def seats() -> Seats:
    return take_seats()


@pytest.fixture
def client(seats: Seats) -> Client:
    return signed_in(seats.trader)


def words(answer: Any) -> str:
    return answer.content.decode().replace("&#x27;", "'")


def change(client: Client, order: OrderRecord, **fields: Any) -> Any:
    """A change as the page sends it: the order was seen as it is now, unless `seen` says otherwise."""
    form = ChangeForm(order=order)
    values = {name: form[name].value() or "" for name in form.fields}
    return client.post(reverse("change", args=[order.client_order_id]), fresh(**{**values, **fields}))


@pytest.mark.parametrize(
    ("fields", "offered"),
    [
        ({"order_type": "MKT", "limit_price": None}, {"quantity"}),
        ({"order_type": "LMT"}, {"quantity", "limit_price"}),
        ({"order_type": "STP LMT", "limit_price": D(101), "stop_price": D(100)}, {"quantity", "limit_price", "stop_price"}),
        ({"order_type": "TRAIL", "limit_price": None, "stop_price": D(98), "trail_percent": D(2)}, {"quantity", "trail_percent"}),
        (
            {"order_type": "TRAIL LIMIT", "limit_price": None, "stop_price": D(98), "trail_amount": D(1), "limit_offset": D("0.1")},
            {"quantity", "trail_amount", "limit_offset"},
        ),
    ],
)
def test_what_the_order_has_can_be_changed_and_nothing_else(seats: Seats, fields: dict[str, Any], offered: set[str]) -> None:
    form = ChangeForm(order=seats.order(**fields))
    assert {field.name for field in form.compared} == offered | {"time_in_force", "good_till"}


def test_a_time_in_force_that_cannot_become_another_is_not_offered(seats: Seats) -> None:
    form = ChangeForm(order=seats.order(time_in_force="OPG"))
    assert {field.name for field in form.compared} == {"quantity", "limit_price"}


def test_a_trail_and_its_offset_are_changed(seats: Seats, client: Client) -> None:
    prices = {"limit_price": None, "stop_price": D(98), "trail_amount": D(1), "limit_offset": D("0.10")}
    order = seats.order("SELL", "TRAIL LIMIT", **prices)
    seats.position("100")
    answer = change(client, order, trail_amount="1.50", limit_offset="0")
    assert answer.status_code == 302, words(answer)
    asked = BrokerCommand.objects.get().terms
    assert (asked["trail_amount"], asked["limit_offset"], asked["stop_price"]) == ("1.5", "0", "98")


@pytest.mark.parametrize(
    ("fields", "time", "end"),
    [
        ({"time_in_force": "GTC"}, TimeInForce.GTC, None),
        ({"time_in_force": "GTD", "good_till": "2030-01-02T16:00"}, TimeInForce.GTD, "2030-01-02T21:00:00+00:00"),
    ],
)
def test_the_time_in_force_is_changed(seats: Seats, client: Client, fields: dict[str, str], time: TimeInForce, end: str | None) -> None:
    answer = change(client, seats.order(), **fields)
    assert answer.status_code == 302, words(answer)
    asked = BrokerCommand.objects.get().terms
    assert (asked["time_in_force"], asked.get("good_till")) == (time.value, end)


def test_gtd_needs_its_end(seats: Seats, client: Client) -> None:
    assert "Say until when the order is good." in words(change(client, seats.order(), time_in_force="GTD"))


def test_what_was_asked_for_is_said_as_old_and_new(seats: Seats, client: Client) -> None:
    order = seats.order()
    change(client, order, quantity="80", limit_price="99.60", time_in_force="GTC")
    page = words(client.get(reverse("desk")))
    assert "quantity 100 → 80, limit price 99.50 → 99.60, in force DAY → GTC" in page


def test_an_end_that_was_only_looked_at_is_no_change(seats: Seats, client: Client) -> None:
    order = seats.order(time_in_force="GTD", good_till=datetime(2030, 1, 2, 21, 0, 30, tzinfo=UTC))
    assert "Nothing would change" in words(change(client, order))


# --- meanwhile ------------------------------------------------------------------------------------------------------------------------


def test_terms_that_moved_on_since_they_were_seen_are_told_and_nothing_is_sent(seats: Seats, client: Client) -> None:
    order = seats.order()
    seen = fingerprint(order)
    OrderRecord.objects.update(limit_price=D("99.40"))
    answer = change(client, order, seen=seen, limit_price="99.60")
    assert answer.status_code == 422 and not BrokerCommand.objects.exists()
    assert "the order is not as you saw it any more" in words(answer) and "Limit price: 99.5 → 99.4" in words(answer)
    order.refresh_from_db()
    assert answer.context["form"]["seen"].value() == fingerprint(order)
    again = change(client, order, seen=fingerprint(order), limit_price="99.60")
    assert again.status_code == 302


def test_a_part_that_filled_meanwhile_is_told(seats: Seats, client: Client) -> None:
    order = seats.order()
    seen = fingerprint(order)
    OrderRecord.objects.update(filled_quantity=D(40))
    answer = change(client, order, seen=seen, limit_price="99.60")
    assert "Filled: 0 → 40" in words(answer) and not BrokerCommand.objects.exists()


@pytest.mark.parametrize(
    ("status", "filled", "said"),
    [
        (OrderStatus.FILLED, "100", "This order is over: FILLED, with 100 of 100 filled."),
        (OrderStatus.CANCELLED, "40", "This order is over: CANCELLED, with 40 of 100 filled."),
        (OrderStatus.UNKNOWN, "0", "What became of this order is not known."),
        (OrderStatus.SENT, "0", "An order that is SENT cannot be changed until the broker has answered."),
    ],
)
def test_an_order_that_went_on_under_the_form_says_what_it_is_now(
    seats: Seats, client: Client, status: OrderStatus, filled: str, said: str
) -> None:
    order = seats.order()
    basis = "broker" if status in (OrderStatus.FILLED, OrderStatus.CANCELLED) else ""
    OrderRecord.objects.update(status=status.value, status_basis=basis, filled_quantity=D(filled))
    order.refresh_from_db()
    answer = change(client, order, limit_price="99.60")
    assert answer.status_code == 422 and said in words(answer)
    assert not BrokerCommand.objects.exists()


def test_a_change_that_is_on_its_way_is_named_with_who_asked_for_it(seats: Seats, client: Client) -> None:
    order = seats.order()
    terms = {**terms_to_json(order.terms), "limit_price": "99.55"}
    seats.command(order, CommandKind.MODIFY, CommandState.SENT, terms=terms)
    said = "A change is already on its way: limit price 99.5 → 99.55 (trader)"
    assert said in words(client.get(reverse("change", args=[order.client_order_id])))
    assert said in words(change(client, order, limit_price="99.60"))
    assert BrokerCommand.objects.count() == 1


def test_a_cancel_that_is_on_its_way_leaves_nothing_to_change(seats: Seats, client: Client) -> None:
    order = seats.order()
    seats.command(order, CommandKind.CANCEL, CommandState.SENT)
    assert "A cancel is already on its way." in words(change(client, order, limit_price="99.60"))
