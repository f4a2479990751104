"""One order's page and the acts on it: changing, cancelling, cancelling all, and what a person concludes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from orders.models import BrokerCommand, BrokerId, Incident, OrderRecord
from orders.rules.lifecycle import OrderStatus
from orders.rules.terms import CommandKind, CommandState, Role, terms_to_json
from orders.tests import factories
from orders.tests.seats import Seats, fresh, signed_in, take_seats

pytestmark = pytest.mark.django_db

HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def seats() -> Seats:
    return take_seats()


@pytest.fixture
def client(seats: Seats) -> Client:
    return signed_in(seats.trader)


def at(name: str, order: OrderRecord) -> str:
    return reverse(name, args=[order.client_order_id])


def words(answer: Any) -> str:
    return answer.content.decode()


# --- the page -------------------------------------------------------------------------------------------------------------------------


def test_it_tells_everything_that_is_known_of_an_order(seats: Seats, client: Client) -> None:
    entry, target, _stop = seats.bracket(filled="40")
    BrokerId.objects.create(order=entry, client_id=17, ib_order_id=1204, perm_id=1840226617)
    execution = seats.execution(entry)
    seats.command(entry, CommandKind.MODIFY, terms={**terms_to_json(entry.terms), "limit_price": "99.60"})
    Incident.objects.create(kind="late_fill", order=entry, text="A fill came late.", opened_at=seats.now)
    page = words(client.get(at("order", entry)))
    for told in (
        "100 AAPL LMT 99.50 DAY",
        "17 / 1204",
        "1840226617",
        execution.exec_id,
        "Change asked: limit 99.50 → 99.60",
        "40 of 100",
        "A fill came late.",
        "Placed",
        at("order", target),
        "MODIFY",
    ):
        assert told in page, told


def test_the_timeline_keeps_the_evidence_and_the_order_of_events(seats: Seats, client: Client) -> None:
    order = seats.order()
    seats.execution(order)
    detail = client.get(at("order", order)).context["detail"]
    assert [entry.title for entry in detail.timeline] == ["Execution reported", "Placed"]
    assert [entry.source for entry in detail.timeline] == ["broker", "trader"]
    assert detail.timeline[0].seq > detail.timeline[1].seq


def test_the_page_takes_a_bounded_number_of_queries(seats: Seats, client: Client, django_assert_max_num_queries: Any) -> None:
    order = seats.order()
    for _number in range(20):
        seats.execution(order, "1")
    with django_assert_max_num_queries(60):
        client.get(at("order", order))


# --- change ---------------------------------------------------------------------------------------------------------------------------


def test_a_change_shows_old_and_new_and_becomes_a_command(seats: Seats, client: Client) -> None:
    order = seats.order()
    page = words(client.get(at("change", order)))
    assert '<span class="old">99.50</span>' in page
    assert 'value="99.50"' in page
    answer = client.post(at("change", order), fresh(quantity="100", limit_price="99.60", time_in_force="DAY"))
    assert (answer.status_code, answer["Location"]) == (302, at("order", order))
    command = BrokerCommand.objects.get()
    assert (command.kind, command.terms["limit_price"]) == ("MODIFY", "99.6")
    order.refresh_from_db()
    assert order.limit_price == Decimal("99.50")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"limit_price": "99.605"}, "OFF_TICK"),
        ({"limit_price": ""}, "This field is required."),
        ({"quantity": "20"}, "BELOW_FILLED"),
        ({}, "Nothing would change"),
    ],
)
def test_a_change_that_cannot_be_is_said(seats: Seats, client: Client, fields: dict[str, str], said: str) -> None:
    order = seats.order(filled_quantity=Decimal(40))
    answer = client.post(at("change", order), {**fresh(quantity="100", limit_price="99.50", time_in_force="DAY"), **fields})
    assert answer.status_code == 422
    assert said in words(answer)
    assert BrokerCommand.objects.count() == 0


def test_an_old_change_is_asked_again(seats: Seats, client: Client) -> None:
    order = seats.order()
    answer = client.post(at("change", order), fresh(quantity="100", limit_price="99.60", time_in_force="DAY", seconds_ago=61))
    assert (answer.status_code, BrokerCommand.objects.count()) == (422, 0)
    assert "older than a minute" in words(answer)


@pytest.mark.parametrize(
    ("status", "said"),
    [(OrderStatus.FILLED, "This order is over"), (OrderStatus.SENT, "cannot be changed"), (OrderStatus.UNKNOWN, "cannot be changed")],
)
def test_what_cannot_be_changed_says_why(seats: Seats, client: Client, status: OrderStatus, said: str) -> None:
    order = seats.order(status=status, filled_quantity=Decimal(100 if status is OrderStatus.FILLED else 0))
    assert said in words(client.get(at("change", order)))
    assert client.post(at("change", order), fresh(quantity="90", limit_price="99.50", time_in_force="DAY")).status_code == 422
    assert BrokerCommand.objects.count() == 0


# --- cancel ---------------------------------------------------------------------------------------------------------------------------


def test_a_cancel_says_what_it_leaves_behind(seats: Seats, client: Client) -> None:
    seats.position("40")
    order = seats.order(filled_quantity=Decimal(40))
    assert "60 stop working. The 40 already filled stay." in words(client.get(at("cancel", order)))
    stop, _target = seats.oca_pair()
    assert "The position in AAPL loses this stop." in words(client.get(at("cancel", stop)))
    entry, _target, _stop = seats.bracket()
    assert "Its 2 exits go with it." in words(client.get(at("cancel", entry)))


def test_a_cancel_is_asked_for_and_the_order_lives_on_until_the_broker_says(seats: Seats, client: Client) -> None:
    order = seats.order()
    fields = fresh()
    for _again in range(2):
        assert client.post(at("cancel", order), fields)["Location"] == at("order", order)
    assert [command.kind for command in BrokerCommand.objects.all()] == ["CANCEL"]
    order.refresh_from_db()
    assert order.status == "WORKING"
    assert "Cancel asked for: BUY 100 AAPL LMT 99.50 DAY" in words(client.get(at("order", order)))


def test_in_place_the_dialog_goes_and_a_toast_comes(seats: Seats, client: Client) -> None:
    order = seats.order()
    dialog = words(client.get(at("cancel", order), **HTMX))
    assert dialog.startswith("<dialog")
    assert "data-modal" in dialog
    assert 'method="dialog"' in dialog
    answer = words(client.post(at("cancel", order), fresh(), **HTMX))
    assert answer.startswith('<div hx-swap-oob="innerHTML:#toasts">')
    assert at("order", order) in answer


def test_an_order_that_is_over_cannot_be_cancelled(seats: Seats, client: Client) -> None:
    order = seats.order(status=OrderStatus.CANCELLED)
    assert "There is nothing to cancel." in words(client.get(at("cancel", order)))
    answer = client.post(at("cancel", order), fresh())
    assert (answer.status_code, BrokerCommand.objects.count()) == (422, 0)


def test_a_second_cancel_is_not_offered(seats: Seats, client: Client) -> None:
    order = seats.order()
    seats.command(order, CommandKind.CANCEL)
    page = words(client.get(at("cancel", order)))
    assert "A cancel is already on its way." in page
    assert "danger-solid" not in page


# --- cancel all -----------------------------------------------------------------------------------------------------------------------


def test_cancel_all_names_its_scope_and_its_count(seats: Seats, client: Client) -> None:
    other = factories.make_account("DU1000902", at=seats.now)
    factories.grant(seats.trader, other)
    elsewhere = seats.order(account=other)
    seats.order()
    seats.oca_pair("300")
    address = reverse("cancel_all", args=[seats.account.code])
    page = words(client.get(address))
    assert "Cancel all 3 orders in account DU1000417?" in page
    assert "These positions lose their stops: 300 AAPL." in page
    assert "Cancel 3 orders</button>" in page
    answer = client.post(address, fresh())
    assert answer["Location"] == reverse("desk")
    assert BrokerCommand.objects.filter(kind="CANCEL").count() == 3
    assert not BrokerCommand.objects.filter(order=elsewhere).exists()
    assert "Cancel asked for 3 orders in DU…417" in words(client.get(reverse("desk")))


def test_cancel_all_of_one_contract_leaves_the_others(seats: Seats, client: Client) -> None:
    msft = factories.make_contract("MSFT")
    kept = seats.order()
    seats.order(contract=msft)
    address = reverse("cancel_all", args=[seats.account.code])
    assert "Cancel 1 order in MSFT, account DU1000417?" in words(client.get(address, {"con_id": msft.con_id}))
    client.post(address, fresh(con_id=msft.con_id))
    assert not BrokerCommand.objects.filter(order=kept).exists()
    assert BrokerCommand.objects.count() == 1


def test_cancel_all_of_nothing_has_no_button(seats: Seats, client: Client) -> None:
    page = words(client.get(reverse("cancel_all", args=[seats.account.code])))
    assert "There is no open order to cancel." in page
    assert "danger-solid" not in page


# --- what a person concludes ----------------------------------------------------------------------------------------------------------


def test_an_unknown_order_is_ended_by_hand_with_a_reason(seats: Seats, client: Client) -> None:
    order = seats.order(status=OrderStatus.UNKNOWN)
    seats.command(order, CommandKind.PLACE, CommandState.UNKNOWN)
    assert at("conclude", order) in words(client.get(at("order", order)))
    assert client.post(at("conclude", order), fresh(reason=" ")).status_code == 422
    answer = client.post(at("conclude", order), fresh(reason="TWS does not list it"))
    assert answer["Location"] == at("order", order)
    order.refresh_from_db()
    assert (order.status, order.status_basis) == ("CANCELLED", "person")
    assert "TWS does not list it" in order.status_text


def test_an_order_of_known_fate_is_not_ended_by_hand(seats: Seats, client: Client) -> None:
    order = seats.order()
    assert at("conclude", order) not in words(client.get(at("order", order)))
    assert client.post(at("conclude", order), fresh(reason="because")).status_code == 422
    order.refresh_from_db()
    assert order.status == "WORKING"


def test_a_flag_is_taken_off_by_who_looked(seats: Seats, client: Client) -> None:
    order = seats.order(status=OrderStatus.REJECTED, needs_attention=True, attention_text="201: no buying power")
    assert "201: no buying power" in words(client.get(at("seen", order)))
    client.post(at("seen", order), fresh())
    order.refresh_from_db()
    assert not order.needs_attention


def test_an_order_placed_elsewhere_is_adopted(seats: Seats, client: Client) -> None:
    order = seats.order(is_external=True, created_by=None, role=Role.EXTERNAL.value, client_order_id="ext-1840226617")
    page = words(client.get(at("order", order)))
    assert at("adopt", order) in page
    assert at("change", order) not in page
    client.post(at("adopt", order), fresh())
    order.refresh_from_db()
    assert order.created_by == seats.trader
