"""The ticket's pages: what is offered and why not, rows of exits without a script, sizes, a user's own exits, open orders."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from orders import inquiries
from orders.manager import OrderManager
from orders.models import AccountValue, Event, ExitTemplate, Gateway, Inquiry, OrderRecord
from orders.rules.terms import GatewayState, OcaType, Side
from orders.tests import factories
from orders.tests.seats import Seats, fresh, send_ticket, signed_in, take_seats

pytestmark = pytest.mark.django_db

HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def seats() -> Seats:
    return take_seats()


@pytest.fixture
def client(seats: Seats) -> Client:
    return signed_in(seats.trader)


def typed(seats: Seats, **fields: Any) -> dict[str, Any]:
    values = {"account": seats.account.code, "symbol": "AAPL", "con_id": seats.contract.con_id, "side": "BUY", "quantity": "100"}
    return {**fresh(**values), "order_type": "LMT", "limit_price": "99.50", "time_in_force": "DAY", **fields}


def words(answer: Any) -> str:
    return answer.content.decode().replace("&#x27;", "'")


def value_of(answer: Any, name: str) -> str:
    """What stands in an input of the answer."""
    found = re.search(rf'<input[^>]*name="{name}"[^>]*>', words(answer))
    assert found, name
    value = re.search(r' value="([^"]*)"', found[0])
    return value[1] if value else ""


def hidden_rows(answer: Any) -> list[str]:
    return re.findall(r'data-pair="(\d)" hidden', words(answer))


# --- what is offered -----------------------------------------------------------------------------------------------------------------


def test_what_the_contract_does_not_take_is_shown_disabled_with_its_reason(seats: Seats, client: Client) -> None:
    seats.contract.order_types = ["LMT", "MKT", "STP", "DAY", "GTC", "AON"]
    seats.contract.save()
    page = words(client.get(reverse("ticket_contract", args=[seats.contract.con_id]), **HTMX))
    assert re.search(r'<option value="TRAIL" disabled>', page)
    assert re.search(r'<option value="MOO" disabled>', page)  # it takes MKT, but no OPG
    assert "<b>TRAIL</b> cannot be TRAIL: IB does not offer it for this contract (TRAIL is not among its order types)" in page
    assert re.search(r'<input type="checkbox" name="hidden"[^>]* disabled', page)
    assert "Hidden is not offered by IB for this contract (HID is not among its order types)" in page
    assert not re.search(r'<input type="checkbox" name="all_or_none"[^>]* disabled', page)


def test_the_type_that_a_contract_does_not_take_is_not_kept_for_it(seats: Seats, client: Client) -> None:
    seats.contract.order_types = ["LMT", "MKT"]
    seats.contract.save()
    page = words(client.get(reverse("ticket_contract", args=[seats.contract.con_id]), {"order_type": "TRAIL"}, **HTMX))
    assert '<option value="LMT" selected>' in page


def test_what_the_type_does_not_take_comes_with_its_reason_too(seats: Seats, client: Client) -> None:
    answer = client.post(reverse("ticket_draft"), typed(seats, order_type="MOC"), **HTMX)
    assert '<option value="GTC" disabled>' in words(answer)
    assert "of MOC is DAY: the order is for this day's closing auction (IB 113)" in words(answer)
    assert "Outside regular hours is not for auctions" in words(answer)


def test_every_attribute_goes_along_into_the_book(seats: Seats, client: Client) -> None:
    seldom = {"good_after": "2030-01-02T09:45", "hidden": "on", "all_or_none": "on", "note": "slowly"}
    assert send_ticket(client, typed(seats, **seldom)).status_code == 302
    order = OrderRecord.objects.get()
    assert (order.hidden, order.all_or_none, order.note) == (True, True, "slowly")
    assert order.good_after is not None and order.good_after.isoformat() == "2030-01-02T14:45:00+00:00"


def test_what_is_set_and_folded_away_is_said_beside_the_fold(seats: Seats, client: Client) -> None:
    answer = client.post(reverse("ticket_draft"), typed(seats, hidden="on", note="x"), **HTMX)
    assert re.search(r"data-more-says>hidden · note<", words(answer))


# --- rows of exits, without a script -------------------------------------------------------------------------------------------------


def test_a_pair_is_added_and_taken_away_and_nothing_that_was_typed_is_lost(seats: Seats, client: Client) -> None:
    fields = typed(seats, bracket="on", pair_count="1", pair_1_target="6", pair_1_stop="1.5", side="SELL")
    answer = client.post(reverse("ticket_draft"), {**fields, "act": "add_pair"}, **HTMX)
    assert value_of(answer, "pair_count") == "2" and hidden_rows(answer) == ["3", "4", "5"]
    assert (value_of(answer, "pair_1_target"), value_of(answer, "pair_2_target"), value_of(answer, "quantity")) == ("6", "8", "100")
    assert 'value="SELL" required checked' in words(answer)
    assert OrderRecord.objects.count() == 0
    two = {**fields, "pair_count": "2", "pair_2_target": "12", "pair_2_stop": "3", "act": "remove_pair_1"}
    answer = client.post(reverse("ticket_draft"), two, **HTMX)
    assert (value_of(answer, "pair_count"), value_of(answer, "pair_1_target"), value_of(answer, "pair_1_stop")) == ("1", "12", "3")


def test_there_are_never_more_than_five_pairs_nor_less_than_one(seats: Seats, client: Client) -> None:
    for count, act, left in (("5", "add_pair", "5"), ("1", "remove_pair_1", "1"), ("nonsense", "add_pair", "2")):
        answer = client.post(reverse("ticket_draft"), typed(seats, bracket="on", pair_count=count, act=act), **HTMX)
        assert value_of(answer, "pair_count") == left


def test_without_htmx_the_ticket_comes_back_on_the_desk(seats: Seats, client: Client) -> None:
    answer = client.post(reverse("ticket_draft"), typed(seats, act="add_pair", bracket="on"))
    assert "<html" in words(answer) and value_of(answer, "pair_count") == "2"


def test_three_pairs_go_out_as_seven_orders(seats: Seats, client: Client) -> None:
    rows = {f"pair_{number}_{leg}": str(number * 2) for number in (1, 2, 3) for leg in ("target", "stop")}
    sent = send_ticket(client, typed(seats, bracket="on", pair_count="3", oca_type="2", **rows))
    assert sent.status_code == 302
    entry, *exits = OrderRecord.objects.order_by("pk")
    assert [exit_order.quantity for exit_order in exits] == [Decimal(33), Decimal(33), Decimal(33), Decimal(33), Decimal(34), Decimal(34)]
    assert {exit_order.parent for exit_order in exits} == {entry}
    assert len({exit_order.oca_group_id for exit_order in exits}) == 3


# --- sizes ---------------------------------------------------------------------------------------------------------------------------


def worth(seats: Seats, amount: str) -> None:
    for name, value in {"NetLiquidation": amount, "BuyingPower": "1000000"}.items():
        row = {"account": seats.account, "name": name, "currency": seats.account.base_currency}
        AccountValue.objects.update_or_create(**row, defaults={"value": value, "at": timezone.now()})


def size_of(client: Client, seats: Seats, **fields: Any) -> str:
    return words(client.get(reverse("ticket_size"), typed(seats, **fields), **HTMX))


def test_a_size_by_risk_counts_to_the_stop_of_the_exits_and_shows_its_arithmetic(seats: Seats, client: Client) -> None:
    worth(seats, "100000")
    page = size_of(client, seats, size_method="risk", size_value="0.5", bracket="on", pair_1_stop="2", limit_price="100")
    assert 'data-take-size="250"' in page
    assert "0.5 % of 100,000.00 USD" in page and "100 − 98" in page


def test_a_size_by_risk_counts_to_a_stop_that_is_typed_for_it_alone(seats: Seats, client: Client) -> None:
    worth(seats, "100000")
    page = size_of(client, seats, size_method="risk amount", size_value="500", size_stop="95", limit_price="100")
    assert 'data-take-size="100"' in page
    page = size_of(client, seats, size_method="risk amount", size_value="500", limit_price="100")
    assert "The stop is required" in page and "data-take-size" not in page


def test_a_size_for_cash_and_for_a_part_of_the_account(seats: Seats, client: Client) -> None:
    worth(seats, "100000")
    assert 'data-take-size="50"' in size_of(client, seats, size_method="cash", size_value="5000", limit_price="100")
    assert 'data-take-size="100"' in size_of(client, seats, size_method="net liquidation", size_value="10", limit_price="100")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"size_method": "cash", "size_value": ""}, "The amount is required."),
        ({"size_method": "cash", "size_value": "1,5"}, "Use digits and a point"),
        ({"size_method": "kelly", "size_value": "0.25", "size_stop": "95"}, "This method needs 30 closed trades"),
        ({"size_method": "risk", "size_value": "1", "size_stop": "101"}, "The stop must lie below the entry"),
        ({"size_method": "cash", "size_value": "5", "side": ""}, "choose Buy or Sell"),
        ({"size_method": "cash", "size_value": "5", "con_id": ""}, "Choose a symbol first."),
        ({"size_method": "cash", "size_value": "5"}, "Nothing: the smallest size of 1"),
    ],
)
def test_what_is_missing_for_a_size_is_said(seats: Seats, client: Client, fields: dict[str, str], said: str) -> None:
    worth(seats, "100000")
    page = size_of(client, seats, **fields)
    assert said in page and "data-take-size" not in page


def test_without_a_method_there_is_nothing_to_say(seats: Seats, client: Client) -> None:
    assert size_of(client, seats).strip() == ""


def test_a_size_by_volatility_asks_for_bars_once_and_looks_again_without_waiting(seats: Seats, client: Client) -> None:
    worth(seats, "100000")
    fields = {"size_method": "atr", "size_value": "1", "size_atr": "2", "limit_price": "100"}
    first, second = size_of(client, seats, **fields), size_of(client, seats, **fields)
    assert "Asking the broker for daily bars" in first and 'hx-trigger="load delay:600ms"' in second
    asked = Inquiry.objects.get()
    assert asked.arguments == {"con_id": seats.contract.con_id, "bar": "1 day", "duration": "3 M"}
    days = [f"2026{month:02d}{day:02d}" for month in (9, 10) for day in range(1, 29)]
    inquiries.answer(asked.pk, [[day, "100", "102", "98", "100", "1000"] for day in days], timezone.now())
    page = size_of(client, seats, **fields)
    assert 'data-take-size="125"' in page and 'data-take-stop="92.00"' in page  # 1000 at 2 × 4 a share


def test_a_failed_question_for_bars_says_why_and_is_not_asked_again_at_once(seats: Seats, client: Client) -> None:
    worth(seats, "100000")
    size_of(client, seats, size_method="atr", size_value="1")
    inquiries.fail(Inquiry.objects.get().pk, "No permission for historical data.", timezone.now())
    assert "No permission for historical data" in size_of(client, seats, size_method="atr", size_value="1")
    assert Inquiry.objects.count() == 1


def test_bars_are_not_asked_for_where_nobody_would_answer(seats: Seats, client: Client) -> None:
    worth(seats, "100000")
    Gateway.objects.update(state=GatewayState.DOWN.value)
    assert "the gateway cannot be asked now" in size_of(client, seats, size_method="atr", size_value="1")
    assert not Inquiry.objects.exists()


def test_without_a_script_a_size_is_worked_out_and_taken_by_buttons(seats: Seats, client: Client) -> None:
    worth(seats, "100000")
    fields = typed(seats, size_method="cash", size_value="5000", limit_price="100", quantity="")
    shown = client.post(reverse("ticket_draft"), {**fields, "act": "size"})
    assert "Take 50" in words(shown) and value_of(shown, "quantity") == ""
    taken = client.post(reverse("ticket_draft"), {**fields, "act": "take_size"})
    assert value_of(taken, "quantity") == "50"


def test_nobody_sizes_by_an_account_he_may_not_see(seats: Seats, client: Client) -> None:
    other = factories.make_account("DU1000902", at=seats.now)
    AccountValue.objects.filter(account=other, name="NetLiquidation").update(value="777777")
    worth(seats, "100000")
    fields = typed(seats, account="DU1000902", size_method="net liquidation", size_value="10", limit_price="100")
    answer = client.get(reverse("ticket_size"), fields, **HTMX)
    assert answer.status_code in (403, 404) and "777,777" not in words(answer) and "77,777" not in words(answer)


# --- a user's own exits --------------------------------------------------------------------------------------------------------------


def test_the_first_pair_becomes_the_user_s_exits_for_the_symbol_and_the_next_ticket_begins_with_them(seats: Seats, client: Client) -> None:
    fields = typed(seats, pair_1_target="6", pair_1_stop="1.5", oca_type="2", exits_time_in_force="DAY", bracket="on")
    answer = client.post(reverse("ticket_exits"), fields, **HTMX)
    assert "Your exits for AAPL: target 6 %, stop 1.5 %." in words(answer)
    kept = ExitTemplate.objects.get(user=seats.trader, symbol="AAPL")
    assert (kept.profit_target, kept.stop_loss, kept.oca_type) == (Decimal("0.06"), Decimal("0.015"), OcaType.REDUCE_WITH_BLOCK)
    page = client.get(reverse("ticket_contract", args=[seats.contract.con_id]), **HTMX)
    assert (value_of(page, "pair_1_target"), value_of(page, "pair_1_stop")) == ("6", "1.5")
    assert 'value="2" checked' in words(page) and "these are yours" in words(page)
    assert Event.objects.filter(kind="exit_template.set").count() == 1
    other = signed_in(seats.viewer).get(reverse("ticket_contract", args=[seats.contract.con_id]), **HTMX)
    assert value_of(other, "pair_1_target") == "8"


@pytest.mark.parametrize(
    ("fields", "target", "stop", "trail"),
    [
        ({"pair_1_target": "4", "pair_1_target_unit": "amount", "pair_1_stop_price": "98"}, "0.04", "0.02", None),
        ({"pair_1_target": "3", "pair_1_target_unit": "R", "pair_1_stop": "1"}, "0.03", "0.01", None),
        # The script writes the prices beside the distances; a price that was typed leads.
        ({"pair_1_target": "8", "pair_1_target_price": "107.77", "pair_1_stop": "2", "pair_1_stop_price": "97.99"}, "0.08", "0.02", None),
        ({"pair_1_target": "8", "pair_1_stop": "2", "pair_1_stop_price": "97", "pair_1_typed": "stop"}, "0.08", "0.03", None),
        ({"pair_1_target": "8", "pair_1_stop": "3", "pair_1_stop_kind": "TRAIL"}, "0.08", "0.03", "3"),
        (
            {"pair_1_target": "8", "pair_1_stop": "200", "pair_1_stop_unit": "ticks", "pair_1_stop_kind": "TRAIL"},
            "0.08",
            "0.02",
            "2",
        ),
    ],
)
def test_exits_in_any_unit_are_kept_as_parts_of_the_entry(
    seats: Seats, client: Client, fields: dict[str, str], target: str, stop: str, trail: str | None
) -> None:
    client.post(reverse("ticket_exits"), typed(seats, bracket="on", limit_price="100", **fields), **HTMX)
    kept = ExitTemplate.objects.get()
    assert (kept.profit_target, kept.stop_loss) == (Decimal(target), Decimal(stop))
    assert kept.trail_percent == (None if trail is None else Decimal(trail))


def test_exits_that_say_too_little_are_not_kept(seats: Seats, client: Client) -> None:
    answer = client.post(reverse("ticket_exits"), typed(seats, pair_1_target="6", pair_1_stop=""), **HTMX)
    assert "Give a distance" in words(answer) and "toast-bad" in words(answer)
    answer = client.post(reverse("ticket_exits"), typed(seats, pair_1_target="6"))
    assert "<html" in words(answer) and value_of(answer, "pair_1_target") == "6"
    assert not ExitTemplate.objects.exists()


def test_to_keep_exits_uses_no_key_of_an_order(seats: Seats, client: Client) -> None:
    fields = typed(seats, pair_1_target="6", pair_1_stop="2")
    client.post(reverse("ticket_exits"), fields, **HTMX)
    assert send_ticket(client, fields).status_code == 302
    assert OrderRecord.objects.count() == 1


# --- beside the quote ----------------------------------------------------------------------------------------------------------------


def test_the_open_orders_of_the_contract_stand_in_the_ticket_with_their_change(seats: Seats, client: Client) -> None:
    order = seats.order()
    lost = seats.order(status="UNKNOWN", side="SELL")
    page = words(client.get(reverse("ticket_contract", args=[seats.contract.con_id]), **HTMX))
    assert "2 open orders" in page
    assert f'id="ticket-change-{order.client_order_id}"' in page and "100 AAPL LMT 99.50 DAY" in page
    assert f'id="ticket-change-{lost.client_order_id}"' not in page
    seen = words(signed_in(seats.viewer).get(reverse("ticket_contract", args=[seats.contract.con_id]), **HTMX))
    assert "2 open orders" in seen and "ticket-change-" not in seen


def test_what_one_contract_is_worth_is_told_with_its_multiplier(seats: Seats, client: Client) -> None:
    future = factories.make_contract("ES", sec_type="FUT", local_symbol="ESZ6", multiplier=Decimal(50))
    page = words(client.get(reverse("ticket_contract", args=[future.con_id]), **HTMX))
    assert "× 50" in page and 'data-multiplier="50"' in page


def test_the_exits_of_one_contract_are_not_carried_to_another(seats: Seats, client: Client) -> None:
    OrderManager(seats.trader).set_exit_template("MSFT", key=factories.a_key(), stop_loss=Decimal("0.01"), profit_target=Decimal("0.03"))
    msft = factories.make_contract("MSFT")
    fields = typed(seats, pair_1_target="6", pair_1_stop="2", bracket="on")
    page = client.get(reverse("ticket_contract", args=[msft.con_id]), fields, **HTMX)
    assert (value_of(page, "pair_1_target"), value_of(page, "pair_1_stop")) == ("3", "1")
    same = client.get(reverse("ticket_contract", args=[seats.contract.con_id]), fields, **HTMX)
    assert value_of(same, "pair_1_target") == "6"
    assert Side.BUY.value not in re.findall(r'name="side" value="(\w+)" required checked', words(page))
