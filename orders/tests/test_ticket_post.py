"""The ticket, from what is typed to what stands in the outbox: once, as shown, or not at all and in words."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from orders import inquiries
from orders.models import BrokerCommand, Contract, Gateway, OrderRecord, Preview, Watch
from orders.rules.terms import AccessLevel, GatewayState, Role
from orders.tests import factories
from orders.tests.seats import Seats, fresh, looked_at, sealed, send_ticket, signed_in, take_seats

pytestmark = pytest.mark.django_db

HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def seats() -> Seats:
    return take_seats()


@pytest.fixture
def client(seats: Seats) -> Client:
    return signed_in(seats.trader)


def filled_in(seats: Seats, **fields: Any) -> dict[str, Any]:
    """A ticket as a browser sends it, rendered just now."""
    values: dict[str, Any] = {
        "account": seats.account.code,
        "symbol": "AAPL",
        "con_id": seats.contract.con_id,
        "side": "BUY",
        "quantity": "10",
        "order_type": "LMT",
        "limit_price": "99.50",
        "time_in_force": "DAY",
        "pair_1_target": "8",
        "pair_1_stop": "2",
    }
    return {**fresh(**values), **fields}


def send(client: Client, fields: dict[str, Any], **headers: str) -> Any:
    """Looks at the preview first, as every page does."""
    return send_ticket(client, fields, **headers)


def post(client: Client, fields: dict[str, Any], **headers: str) -> Any:
    """The sending alone, of a form that is sealed already."""
    return client.post(reverse("ticket"), fields, **headers)


def words(answer: Any) -> str:
    return answer.content.decode()


def sides_chosen(answer: Any) -> list[str]:
    return re.findall(r'name="side" value="(\w+)" required checked', words(answer))


# --- what goes ------------------------------------------------------------------------------------------------------------------------


def test_a_limit_order_goes_into_the_outbox_and_the_browser_to_the_desk(seats: Seats, client: Client) -> None:
    answer = send(client, filled_in(seats))
    assert (answer.status_code, answer["Location"]) == (302, reverse("desk"))
    order = OrderRecord.objects.get()
    assert (order.side, order.quantity, order.order_type, order.limit_price) == ("BUY", Decimal(10), "LMT", Decimal("99.50"))
    assert (order.status, order.created_by, order.account) == ("PENDING", seats.trader, seats.account)
    assert BrokerCommand.objects.get().kind == "PLACE"
    assert "Accepted, on its way: BUY 10 AAPL LMT 99.50 DAY" in words(client.get(reverse("desk")))


@pytest.mark.parametrize(
    ("fields", "prices"),
    [
        ({"order_type": "MKT"}, (None, None)),
        ({"order_type": "STP", "stop_price": "101"}, (None, Decimal(101))),
        ({"order_type": "STP LMT", "stop_price": "101", "limit_price": "101.50"}, (Decimal("101.50"), Decimal(101))),
    ],
)
def test_each_type_takes_its_own_prices_and_no_other(seats: Seats, client: Client, fields: dict[str, str], prices: Any) -> None:
    assert send(client, filled_in(seats, **fields)).status_code == 302
    order = OrderRecord.objects.get()
    assert (order.order_type, order.limit_price, order.stop_price) == (fields["order_type"], *prices)


def test_time_in_force_note_and_hours_go_along(seats: Seats, client: Client) -> None:
    send(client, filled_in(seats, time_in_force="GTC", outside_rth="on", note="pullback"))
    order = OrderRecord.objects.get()
    assert (order.time_in_force, order.outside_rth, order.note) == ("GTC", True, "pullback")


def test_a_bracket_is_worked_out_from_percentages_on_the_tick(seats: Seats, client: Client) -> None:
    send(client, filled_in(seats, bracket="on", limit_price="99.53"))
    entry, stop, target = OrderRecord.objects.order_by("pk")
    assert (target.role, target.parent, target.limit_price) == (Role.TAKE_PROFIT, entry, Decimal("107.49"))
    assert (stop.role, stop.parent, stop.stop_price) == (Role.STOP_LOSS, entry, Decimal("97.54"))


def test_in_a_bracket_a_price_that_is_given_counts_before_its_percentage(seats: Seats, client: Client) -> None:
    send(client, filled_in(seats, bracket="on", side="SELL", limit_price="100.50", pair_1_target_price="95"))
    _entry, stop, target = OrderRecord.objects.order_by("pk")
    assert target.limit_price == Decimal(95)
    assert stop.stop_price == Decimal("102.51")


def test_a_bracket_on_a_market_order_counts_from_the_other_side_of_the_quote(seats: Seats, client: Client) -> None:
    send(client, filled_in(seats, bracket="on", order_type="MKT"))
    entry, stop, target = OrderRecord.objects.order_by("pk")
    assert (entry.limit_price, target.limit_price, stop.stop_price) == (None, Decimal("108.01"), Decimal("98.01"))


def test_the_same_key_is_one_order_however_often_it_is_sent(seats: Seats, client: Client) -> None:
    fields = sealed(looked_at(client, filled_in(seats)))
    assert [post(client, fields).status_code for _again in range(3)] == [302, 302, 302]
    assert OrderRecord.objects.count() == 1


def test_an_answer_that_was_lost_is_given_again_whatever_has_happened_since(seats: Seats, client: Client) -> None:
    fields = sealed(looked_at(client, filled_in(seats)))
    post(client, fields)
    Gateway.objects.update(state=GatewayState.DOWN.value)
    Preview.objects.update(expires_at=timezone.now() - timedelta(minutes=5))
    assert post(client, fields).status_code == 302
    assert OrderRecord.objects.count() == 1


def test_the_key_of_another_order_is_refused(seats: Seats, client: Client) -> None:
    fields = sealed(looked_at(client, filled_in(seats)))
    post(client, fields)
    answer = post(client, {**fields, "quantity": "20"})
    assert answer.status_code == 422
    assert "KEY_REUSED" in words(answer)
    assert OrderRecord.objects.count() == 1


# --- in place -------------------------------------------------------------------------------------------------------------------------


def test_htmx_gets_a_fresh_ticket_and_a_toast(seats: Seats, client: Client) -> None:
    fields = filled_in(seats)
    answer = send(client, fields, **HTMX)
    assert answer.status_code == 200
    assert 'id="ticket-panel"' in words(answer)
    assert "<html" not in words(answer)
    assert 'hx-swap-oob="innerHTML:#toasts"' in words(answer)
    assert "Accepted, on its way: BUY 10 AAPL LMT 99.50 DAY" in words(answer)
    assert fields["key"] not in words(answer)
    assert sides_chosen(answer) == []  # for the next order


def test_htmx_gets_the_refused_ticket_back(seats: Seats, client: Client) -> None:
    answer = send(client, filled_in(seats, limit_price="99.505"), **HTMX)
    assert answer.status_code == 422
    assert 'id="ticket-panel"' in words(answer)
    assert 'value="99.505"' in words(answer)
    assert "(OFF_TICK)" in words(answer)
    assert OrderRecord.objects.count() == 0


# --- what does not go -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"side": ""}, "side", "Choose Buy or Sell."),
        ({"quantity": ""}, "quantity", "Give a quantity."),
        ({"quantity": "0"}, "quantity", "Must be above zero."),
        ({"quantity": "-5"}, "quantity", "Must be above zero."),
        ({"quantity": "1,5"}, "quantity", "Use digits and a point"),
        ({"quantity": "1e3"}, "quantity", "Use digits and a point"),
        ({"quantity": "NaN"}, "quantity", "Use digits and a point"),
        ({"quantity": "１０"}, "quantity", "Use digits and a point"),
        ({"quantity": "1234567890123456"}, "quantity", "15 significant digits"),
        ({"limit_price": ""}, "limit_price", "A LMT order needs this price."),
        ({"order_type": "STP", "stop_price": ""}, "stop_price", "A STP order needs this price."),
        ({"order_type": "REL"}, "order_type", "not one of the available choices"),
        ({"order_type": "MIT", "stop_price": "99", "bracket": "on"}, "order_type", "The entry of a bracket is MKT, LMT, STP or STP LMT."),
        ({"bracket": "on", "pair_1_target": "", "pair_1_stop": ""}, "pair_1_stop", "Give a stop or a target"),
        ({"bracket": "on", "pair_1_stop": "150"}, "pair_1_stop", "no price is left above zero"),
        ({"bracket": "on", "pair_1_stop_price": "120"}, "pair_1_stop_price", "TICKET"),
        ({"bracket": "on", "pair_1_time_stop": "30"}, "pair_1_time_stop", "only with a MKT entry"),
        ({"time_in_force": "IOC", "hidden": "on"}, "hidden", "does not go with IOC"),
        ({"display_size": "10"}, "display_size", "below the quantity"),
        ({"order_type": "STP", "stop_price": "101", "time_in_force": "FOK"}, "time_in_force", "cannot be FOK"),
        ({"trigger_method": "2"}, "trigger_method", "for orders with a trigger"),
        ({"time_in_force": "GTD", "good_till": "2020-01-01T10:00"}, "good_till", "must lie in the future"),
        ({"order_type": "TRAIL", "trail": "100"}, "trail", "must be below 100"),
        ({"limit_price": "99.505"}, "limit_price", "OFF_TICK"),
        ({"limit_price": "150"}, "limit_price", "PRICE_COLLAR"),
        ({"quantity": "20000"}, "quantity", "MAX_QUANTITY"),
        ({"account": "DU9"}, "account", "Choose an account that you may trade."),
    ],
)
def test_a_fault_is_said_beside_its_field_and_nothing_is_sent(
    seats: Seats, client: Client, fields: dict[str, str], field: str, said: str
) -> None:
    answer = send(client, filled_in(seats, **fields))
    assert answer.status_code == 422
    errors = answer.context["form"].errors
    assert said in " ".join(errors[field])
    assert said in words(answer).replace("&#x27;", "'")
    assert OrderRecord.objects.count() == 0


def test_a_preview_that_is_too_old_is_shown_again_and_goes_the_second_time(seats: Seats, client: Client) -> None:
    fields = sealed(looked_at(client, filled_in(seats)))
    Preview.objects.update(created_at=timezone.now() - timedelta(seconds=61), expires_at=timezone.now() - timedelta(seconds=1))
    answer = post(client, fields)
    assert answer.status_code == 422
    assert re.search(r"this preview is \d\d seconds old", words(answer))
    assert OrderRecord.objects.count() == 0
    assert post(client, sealed(answer)).status_code == 302
    assert OrderRecord.objects.count() == 1


@pytest.mark.parametrize("state", [state for state in GatewayState if state is not GatewayState.READY])
def test_nothing_is_sent_while_the_gateway_is_not_ready_and_the_ticket_says_why(seats: Seats, client: Client, state: GatewayState) -> None:
    Gateway.objects.update(state=state.value, reason="because of the test")
    page = words(client.get(reverse("desk")))
    assert '<button type="submit" id="ticket-send" aria-describedby="ticket-why" disabled' in page
    assert "Because of the test." in page
    answer = send(client, filled_in(seats))
    assert answer.status_code == 422
    assert "Because of the test." in words(answer)
    assert OrderRecord.objects.count() == 0


def test_the_same_order_again_asks_whether_it_is_meant(seats: Seats, client: Client) -> None:
    send(client, filled_in(seats))
    answer = send(client, filled_in(seats))
    assert answer.status_code == 422
    assert "DUPLICATE_SECONDS" in words(answer)
    assert "Yes, I mean a second, identical order" in words(answer)
    assert OrderRecord.objects.count() == 1
    assert post(client, {**sealed(answer), "confirm_duplicate": "on"}).status_code == 302
    assert OrderRecord.objects.count() == 2


def test_who_may_only_look_sends_nothing_and_is_told_why(seats: Seats) -> None:
    client = signed_in(seats.viewer)
    page = words(client.get(reverse("desk")))
    assert "You may look at account DU…417, not trade it." in page
    assert "disabled data-locked" in page
    answer = send(client, filled_in(seats))
    assert answer.status_code == 422
    assert "Choose an account that you may trade." in words(answer)
    assert OrderRecord.objects.count() == 0


def test_the_account_of_the_ticket_decides_not_the_one_on_the_screen(seats: Seats, client: Client) -> None:
    other = factories.make_account("DU1000902", at=seats.now)
    factories.grant(seats.trader, other, AccessLevel.TRADE)
    client.get(reverse("desk"), {"account": "DU1000902"})
    send(client, filled_in(seats))
    assert OrderRecord.objects.get().account == seats.account


# --- the contract ---------------------------------------------------------------------------------------------------------------------


def test_a_typed_symbol_is_shown_before_anything_is_sent(seats: Seats, client: Client) -> None:
    answer = send(client, filled_in(seats, con_id=""))
    assert answer.status_code == 422
    assert "AAPL is AAPL INC · NASDAQ · USD" in words(answer)
    assert f'name="con_id" id="id_con_id" value="{seats.contract.con_id}"' in words(answer)
    assert OrderRecord.objects.count() == 0
    assert send(client, filled_in(seats)).status_code == 302


def test_another_symbol_typed_over_a_chosen_contract_wins(seats: Seats, client: Client) -> None:
    msft = factories.make_contract("MSFT")
    answer = send(client, filled_in(seats, symbol="msft"))
    assert answer.status_code == 422
    assert "MSFT is MSFT INC" in words(answer)
    assert f'value="{msft.con_id}"' in words(answer)
    assert OrderRecord.objects.count() == 0


def test_a_symbol_that_names_several_contracts_offers_them(seats: Seats, client: Client) -> None:
    factories.make_contract("AAPL", primary_exchange="LSE", currency="GBP")
    answer = send(client, filled_in(seats, con_id=""))
    assert "AAPL names several contracts: choose one." in words(answer)
    assert words(answer).count('hx-target="#ticket-panel"') >= 2
    assert "GBP" in words(answer)


@contextmanager
def a_broker_that_answers(**answers: Any) -> Iterator[None]:
    """Answers questions by kind while the block runs: a list is the answer, a callable is called first, a text is the reason it fails."""
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            for asked in inquiries.take(timezone.now()):
                answer = answers[asked.kind]
                if isinstance(answer, str):
                    inquiries.fail(asked.id, answer, timezone.now())
                else:
                    inquiries.answer(asked.id, answer() if callable(answer) else answer, timezone.now())
            stop.wait(0.02)
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def found(con_id: int, symbol: str, exchange: str = "NASDAQ") -> dict[str, Any]:
    row = {"con_id": con_id, "symbol": symbol, "sec_type": "STK", "primary_exchange": exchange}
    return {**row, "currency": "USD", "description": f"{symbol} CORP"}


@pytest.mark.django_db(transaction=True)
def test_an_unknown_symbol_is_asked_of_the_broker() -> None:
    seats = take_seats()
    client = signed_in(seats.trader)

    def detail() -> list[dict[str, int]]:
        factories.make_contract("NVDA", con_id=4815747)
        return [{"con_id": 4815747}]

    with a_broker_that_answers(search=[found(4815747, "NVDA"), found(9, "NVDAX")], contract=detail):
        answer = send(client, filled_in(seats, symbol="nvda", con_id=""))
    assert "NVDA is NVDA INC" in words(answer)
    assert 'id="id_con_id" value="4815747"' in words(answer)
    assert OrderRecord.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_what_the_broker_does_not_know_is_said() -> None:
    seats = take_seats()
    client = signed_in(seats.trader)
    with a_broker_that_answers(search=[]):
        assert "The broker knows no contract called XYZZY." in words(send(client, filled_in(seats, symbol="xyzzy", con_id="")))
    with a_broker_that_answers(search="Pacing violation"):
        assert "Pacing violation" in words(send(client, filled_in(seats, symbol="xyzzy", con_id="")))


@pytest.mark.django_db(transaction=True)
def test_what_has_no_symbol_to_search_for_is_had_by_its_con_id() -> None:
    seats = take_seats()
    client = signed_in(seats.trader)

    def detail() -> list[dict[str, int]]:
        factories.make_contract("ES", con_id=495512563, sec_type="FUT", local_symbol="ESZ6", exchange="CME", primary_exchange="")
        return [{"con_id": 495512563}]

    with a_broker_that_answers(search=[], contract=detail):
        listed = client.get(reverse("ticket_search"), {"symbol": "495512563", "far": "1"}, **HTMX)
        answer = send(client, filled_in(seats, symbol="495512563", con_id=""))
    assert "ESZ6" in words(listed)
    assert 'id="id_con_id" value="495512563"' in words(answer)
    assert OrderRecord.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_the_search_lists_what_the_book_knows_first() -> None:
    seats = take_seats()
    with a_broker_that_answers(search=[found(seats.contract.con_id, "AAPL"), found(77, "AAPB", "BATS")]):
        answer = signed_in(seats.trader).get(reverse("ticket_search"), {"symbol": "aap", "far": "1"}, **HTMX)
    assert words(answer).count("<li>") == 2
    assert words(answer).index("AAPL") < words(answer).index("AAPB")
    assert reverse("ticket_contract", args=[77]) in words(answer)


def test_without_a_gateway_the_search_says_that_it_is_short(seats: Seats, client: Client) -> None:
    Gateway.objects.update(state=GatewayState.DOWN.value)
    at_once = words(client.get(reverse("ticket_search"), {"symbol": "aap"}))
    assert "AAPL INC" in at_once
    assert "?far=1&amp;symbol=AAP" in at_once
    answer = client.get(reverse("ticket_search"), {"symbol": "aap", "far": "1"})
    assert "only what the book knows is found" in words(answer)
    assert "AAPL INC" in words(answer)


def test_choosing_a_contract_keeps_what_does_not_belong_to_it(seats: Seats, client: Client) -> None:
    typed = {"quantity": "25", "order_type": "STP", "side": "BUY", "limit_price": "12.34", "note": "keep"}
    answer = client.get(reverse("ticket_contract", args=[seats.contract.con_id]), typed, **HTMX)
    page = words(answer)
    assert 'value="25"' in page
    assert 'value="keep"' in page
    assert '<option value="STP" selected>' in page
    assert "12.34" not in page
    assert sides_chosen(answer) == []
    assert 'data-bid="99.99"' in page
    assert "AAPL INC · NASDAQ · USD · tick 0.01" in page
    assert Watch.objects.get(user=seats.trader).contract == seats.contract


def test_the_address_of_a_contract_opens_the_desk_without_htmx(seats: Seats, client: Client) -> None:
    page = words(client.get(reverse("ticket_contract", args=[seats.contract.con_id])))
    assert "<html" in page
    assert f'id="id_con_id" value="{seats.contract.con_id}"' in page


def test_a_ticket_that_is_worked_on_stays_young_and_keeps_its_key(seats: Seats, client: Client) -> None:
    answer = client.get(reverse("ticket_stamp"), {"con_id": seats.contract.con_id}, **HTMX)
    assert 'name="rendered_at"' in words(answer)
    assert 'name="key"' not in words(answer)
    assert Watch.objects.filter(user=seats.trader, until__isnull=False).exists()


def test_a_contract_that_was_never_detailed_is_not_sent(seats: Seats, client: Client) -> None:
    Contract.objects.update(detailed_at=None)
    Gateway.objects.update(state=GatewayState.DOWN.value)
    answer = send(client, filled_in(seats))
    assert answer.status_code == 422
    assert OrderRecord.objects.count() == 0
