"""Protecting a position: the ticket's rows of exits, for what nothing works to close yet, previewed under a seal and sent as shown."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from orders.manager import OrderManager
from orders.models import Contract, Event, ExitTemplate, Gateway, Inquiry, OrderRecord, Position, Preview
from orders.rules.terms import GatewayState, Role
from orders.tests import factories
from orders.tests.seats import Seats, fresh, sealed, signed_in, take_seats

pytestmark = pytest.mark.django_db

HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def seats() -> Seats:
    return take_seats()


@pytest.fixture
def client(seats: Seats) -> Client:
    return signed_in(seats.trader)


def at(seats: Seats) -> str:
    return reverse("protect", args=[seats.account.code, seats.contract.con_id])


def words(answer: Any) -> str:
    return answer.content.decode().replace("&#x27;", "'")


def exits(**fields: Any) -> dict[str, Any]:
    """One pair around a cost of 100, as the page offers it, for 100."""
    values = {"quantity": "100", "entry_price": "100", "pair_count": "1", "oca_type": "1", "exits_time_in_force": "GTC"}
    return fresh(**{**values, **pair(1), **fields})


def pair(number: int, **fields: str) -> dict[str, str]:
    values = {"target": "8", "target_unit": "%", "stop_kind": "STP", "stop": "2", "stop_unit": "%", **fields}
    return {f"pair_{number}_{name}": value for name, value in values.items()}


def look(client: Client, seats: Seats, fields: dict[str, Any], **headers: str) -> Any:
    return client.post(at(seats), fields, **headers)


def send(client: Client, seats: Seats, fields: dict[str, Any], **headers: str) -> Any:
    """Previews the exits and sends them as they were shown; gives the preview where that cannot be sent."""
    shown = look(client, seats, fields, **headers)
    if "preview" not in shown.context or not shown.context["preview"].may_send:
        return shown
    sure = {name: fields[name] for name in ("confirm_duplicate",) if name in fields}
    return client.post(at(seats), {**sealed(shown), **sure}, **headers)


def legs() -> list[tuple[str, str, D, D | None, D | None]]:
    rows = OrderRecord.objects.order_by("pk")
    return [(row.role, row.order_type, row.quantity, row.stop_price, row.limit_price) for row in rows]


# --- what it begins with ----------------------------------------------------------------------------------------------------------------


def test_it_begins_with_the_user_s_exits_counted_from_the_average_cost(seats: Seats, client: Client) -> None:
    seats.position("100", "233.33")
    page = words(client.get(at(seats)))
    assert 'name="quantity" inputmode="decimal" data-steps="quantity" value="100"' in page
    assert 'name="entry_price" inputmode="decimal" data-steps="price" value="233.33"' in page
    assert 'name="pair_1_stop" inputmode="decimal" value="2"' in page
    assert 'name="pair_1_target" inputmode="decimal" value="8"' in page
    assert "In a fast market both can fill and turn the position around." in page
    OrderManager(seats.trader).set_exit_template(
        "AAPL", key=factories.a_key(), stop_loss=D("0.01"), trail_percent=D("1.5"), time_stop=timedelta(minutes=90), profit_target=D("0.05")
    )
    page = words(client.get(at(seats)))
    assert 'name="pair_1_stop" inputmode="decimal" value="1.5"' in page
    assert '<option value="TRAIL" selected>' in page
    assert "these are yours" in page


@pytest.mark.parametrize("quantity", ["100", "-100"])
def test_only_what_nothing_works_to_close_is_offered_and_taken(seats: Seats, client: Client, quantity: str) -> None:
    seats.position(quantity)
    side = "SELL" if quantity == "100" else "BUY"
    seats.order(side, "STP", "60", role=Role.STOP_LOSS.value, stop_price=D("98") if side == "SELL" else D("102"), limit_price=None)
    page = words(client.get(at(seats)))
    assert 'data-steps="quantity" value="40"' in page
    assert "Of 100, orders that work already may close 60: these exits are for the other 40." in page
    answer = look(client, seats, exits(quantity="41"))
    assert answer.status_code == 422
    assert "EXCEEDS_POSITION" in " ".join(answer.context["form"].errors["quantity"])
    assert "Of the position of 100 only 40 is not covered by working orders." in words(answer)
    assert send(client, seats, exits(quantity="40")).status_code == 302
    assert OrderRecord.objects.count() == 3


def test_what_is_covered_whole_says_so_and_takes_nothing_more(seats: Seats, client: Client) -> None:
    seats.position("100")
    seats.oca_pair()
    assert "Orders that work already may close all 100." in words(client.get(at(seats)))
    answer = look(client, seats, exits())
    assert "Working orders already cover the whole position of 100." in words(answer)
    assert answer.context["preview"].may_send is False


def test_a_flat_position_has_no_exits(seats: Seats, client: Client) -> None:
    seats.position("0", "0")
    assert client.get(at(seats)).status_code == 404


# --- what is sent -----------------------------------------------------------------------------------------------------------------------


def test_one_pair_goes_as_one_oca_group(seats: Seats, client: Client) -> None:
    seats.position("100")
    answer = send(client, seats, exits(oca_type="2"))
    assert answer["Location"] == reverse("desk")
    assert legs() == [("stop loss", "STP", D(100), D(98), None), ("take profit", "LMT", D(100), None, D(108))]
    stop, target = OrderRecord.objects.select_related("oca_group").order_by("pk")
    assert (stop.side, stop.time_in_force) == ("SELL", "GTC")
    assert stop.oca_group is not None
    assert (stop.oca_group, stop.oca_group.oca_type) == (target.oca_group, 2)


def test_the_signs_of_a_short_position_are_mirrored(seats: Seats, client: Client) -> None:
    seats.position("-100")
    send(client, seats, exits())
    assert legs() == [("stop loss", "STP", D(100), D(102), None), ("take profit", "LMT", D(100), None, D(92))]
    assert set(OrderRecord.objects.values_list("side", flat=True)) == {"BUY"}


def test_scaling_out_with_a_trailing_stop_and_a_time_stop(seats: Seats, client: Client) -> None:
    seats.position("100")
    second = pair(2, target="3", target_unit="R", stop_kind="TRAIL", stop="1.50", stop_unit="amount", time_stop="90")
    third = pair(3, target="", stop_kind="STP LMT", stop="200", stop_unit="ticks", stop_offset="0.10")
    shown = look(client, seats, exits(pair_count="3", pair_1_quantity="50", **second, **third))
    sentence = (
        "SELL 100 AAPL GTC as exits, account DU…417, stop 50 × 98.00, target 50 × 108.00, stop 25 × trailing by 1.50, target 25 × 104.50"
    )
    assert shown.context["preview"].sentence == f"{sentence}, out after 25 × 90 min, stop 25 × 98.00 / 97.90"
    assert "STP, TRAIL: Once elected" not in words(shown)
    assert "STP: Once elected it is a market order" in words(shown)
    assert "STP, TRAIL, STP LMT: A stop is elected in regular trading hours only." in words(shown)
    assert OrderRecord.objects.count() == 0
    assert client.post(at(seats), sealed(shown)).status_code == 302
    assert [row[:3] for row in legs()] == [
        ("stop loss", "STP", D(50)),
        ("take profit", "LMT", D(50)),
        ("stop loss", "TRAIL", D(25)),
        ("take profit", "LMT", D(25)),
        ("time stop", "MKT", D(25)),
        ("stop loss", "STP LMT", D(25)),
    ]
    trail, late = OrderRecord.objects.get(order_type="TRAIL"), OrderRecord.objects.get(role="time stop")
    assert (trail.trail_amount, trail.stop_price) == (D("1.5"), None)
    assert timedelta(minutes=89) < late.good_after - seats.now <= timedelta(minutes=91)
    groups = list(OrderRecord.objects.order_by("pk").values_list("oca_group", flat=True))
    assert groups[0] == groups[1] != groups[2] == groups[3] == groups[4]
    assert groups[5] is None  # a stop alone cancels nothing


@pytest.mark.parametrize(("quantity", "begins"), [("100", "98.49"), ("-100", "101.51")])
def test_a_trailing_stop_with_a_limit_begins_at_its_distance_from_the_market(
    seats: Seats, client: Client, quantity: str, begins: str
) -> None:
    seats.position(quantity, "90")
    kind = pair(1, target="", stop_kind="TRAIL LIMIT", stop="1.50", stop_unit="amount", stop_offset="0.20")
    shown = look(client, seats, exits(entry_price="90", **kind))
    assert f"stop trailing by 1.50 from {begins}, its limit 0.20 behind it" in shown.context["preview"].sentence
    assert client.post(at(seats), sealed(shown)).status_code == 302
    order = OrderRecord.objects.get()
    assert (order.order_type, order.stop_price, order.trail_amount, order.limit_offset) == ("TRAIL LIMIT", D(begins), D("1.5"), D("0.2"))


def test_a_price_that_is_given_counts(seats: Seats, client: Client) -> None:
    seats.position("100")
    send(client, seats, exits(pair_1_stop_price="97.25", pair_1_stop=""))
    assert OrderRecord.objects.get(order_type="STP").stop_price == D("97.25")


def test_distances_count_from_the_price_that_is_said(seats: Seats, client: Client) -> None:
    seats.position("100", "50")
    send(client, seats, exits(entry_price="99.99"))
    assert [row[3] or row[4] for row in legs()] == [D("97.99"), D("107.99")]


@pytest.mark.parametrize(("distance", "price"), [("-5", "94.99"), ("0", "90.47")])
def test_of_a_position_that_has_gained_the_stop_may_lie_at_its_cost_or_beyond(
    seats: Seats, client: Client, distance: str, price: str
) -> None:
    seats.position("100", "90.47")
    send(client, seats, exits(entry_price="90.47", pair_1_stop=distance, pair_1_target="20"))
    assert OrderRecord.objects.get(order_type="STP").stop_price == D(price)


def test_exits_on_an_average_cost_between_two_ticks_lie_on_the_tick(seats: Seats, client: Client) -> None:
    seats.position("100", "99.98765432")
    send(client, seats, exits(entry_price="99.98765432"))
    assert [row[3] or row[4] for row in legs()] == [D("97.99"), D("107.99")]


# --- the seal ---------------------------------------------------------------------------------------------------------------------------


def test_the_preview_says_what_the_exits_come_to_and_asks_ib_for_no_margin(seats: Seats, client: Client) -> None:
    seats.position("100")
    answer = look(client, seats, exits(), **HTMX)
    page = words(answer)
    assert page.startswith('<section class="preview" id="exits-preview"')
    for said in ("+100 → 0", "once they have filled", "−200.00 USD", "+800.00 USD", "from the average cost", "Limits with this order"):
        assert said in page
    assert "A stop that is good till cancelled is not adjusted for dividends" in page
    assert "Margin" not in page
    assert Inquiry.objects.filter(kind=Inquiry.Kind.WHAT_IF).count() == 0


def test_it_goes_once_for_its_key_and_its_seal_stands_in_the_record(seats: Seats, client: Client) -> None:
    seats.position("100")
    form = sealed(look(client, seats, exits()))
    assert [client.post(at(seats), form).status_code for _again in range(3)] == [302, 302, 302]
    assert OrderRecord.objects.count() == 2
    assert {event.data["seal"] for event in Event.objects.filter(kind="order.placed")} == {form["seal"]}
    assert Preview.objects.get().used_at is not None


def test_nothing_goes_without_the_seal_of_what_was_shown(seats: Seats, client: Client) -> None:
    seats.position("100")
    assert look(client, seats, {**exits(), "seal": ""}).context["preview"].may_send
    assert "SEAL_UNKNOWN" in words(look(client, seats, {**exits(), "seal": "0" * 64}))
    other = signed_in(factories.make_trader(seats.account, "other"))
    assert "SEAL_FOREIGN" in words(other.post(at(seats), sealed(look(client, seats, exits()))))
    assert OrderRecord.objects.count() == 0


@pytest.mark.parametrize(
    ("quantity", "said"),
    [("-100", "POSITION_CHANGED"), ("60", "POSITION_CHANGED"), ("150", "")],
)
def test_a_position_that_has_changed_is_shown_anew(seats: Seats, client: Client, quantity: str, said: str) -> None:
    """Smaller or turned, the exits would open the reverse of it; larger, they are for a part of it."""
    seats.position("100")
    form = sealed(look(client, seats, exits()))
    Position.objects.update(quantity=D(quantity))
    answer = client.post(at(seats), form)
    assert said in words(answer)
    assert OrderRecord.objects.count() == (0 if said else 2)


def test_of_two_who_looked_at_the_same_time_the_second_is_refused(seats: Seats, client: Client) -> None:
    seats.position("100")
    other = signed_in(factories.make_trader(seats.account, "other"))
    mine, theirs = sealed(look(client, seats, exits())), sealed(look(other, seats, exits(pair_1_stop="3")))
    assert client.post(at(seats), mine).status_code == 302
    answer = other.post(at(seats), theirs)
    assert answer.status_code == 422
    assert "Nothing was sent: Working orders already cover the whole position of 100. (EXCEEDS_POSITION)" in words(answer)
    assert OrderRecord.objects.count() == 2


def test_a_moved_quote_is_shown_old_and_new(seats: Seats, client: Client) -> None:
    seats.position("100")
    form = sealed(look(client, seats, exits()))
    factories.make_quote(seats.contract, bid="98.99", ask="99.01", at=seats.now)
    answer = client.post(at(seats), form)
    assert answer.status_code == 422
    assert "QUOTE_MOVED" in words(answer)
    assert "<s>99.99</s> → <b>98.99</b>" in words(answer)
    assert client.post(at(seats), sealed(answer)).status_code == 302


def test_changed_fields_under_an_old_seal_are_another_request(seats: Seats, client: Client) -> None:
    seats.position("100")
    form = sealed(look(client, seats, exits()))
    answer = client.post(at(seats), {**form, "pair_1_stop": "3"})
    assert "SEAL_MISMATCH" in words(answer)
    assert OrderRecord.objects.count() == 0


def test_a_gateway_that_is_down_sends_nothing_and_says_why(seats: Seats, client: Client) -> None:
    seats.position("100")
    form = sealed(look(client, seats, exits()))
    Gateway.objects.update(state=GatewayState.DOWN.value, reason="no route to host")
    assert "No route to host." in words(client.post(at(seats), form))
    assert OrderRecord.objects.count() == 0


# --- what is refused --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "where", "said"),
    [
        ({"pair_1_stop": "", "pair_1_target": ""}, "pair_1_stop", "a pair has at least one of them"),
        ({"pair_1_stop_price": "101"}, "pair_1_stop_price", "(STOP_THROUGH_MARKET)"),
        ({"pair_1_stop_price": "97.255"}, "pair_1_stop_price", "(OFF_TICK)"),
        ({"quantity": "ten"}, "quantity", "Use digits and a point"),
        ({"entry_price": ""}, "entry_price", "Give the price that the distances count from."),
        ({"oca_type": "7"}, "oca_type", "not one of the available choices"),
        ({"pair_1_stop": "150"}, "pair_1_stop", "no price is left above zero"),
        ({"pair_1_stop_kind": "TRAIL", "pair_1_stop": "100"}, "pair_1_stop", "must be below 100"),
        ({"pair_1_stop_kind": "STP LMT"}, "pair_1_stop_offset", "how far past the stop"),
        ({"pair_1_stop_kind": "TRAIL LIMIT"}, "pair_1_stop_offset", "how far past the stop"),
        ({"pair_1_stop_kind": "TRAIL LIMIT", "pair_1_stop_offset": "0.005"}, "pair_1_stop_offset", "(OFF_TICK)"),
        ({"pair_count": "2", "pair_1_quantity": "70", "pair_2_quantity": "40", **pair(2)}, "quantity", "the parts sum to 110, not to"),
    ],
)
def test_what_cannot_be_is_said_beside_its_field(seats: Seats, client: Client, fields: dict[str, str], where: str, said: str) -> None:
    seats.position("100")
    answer = look(client, seats, exits(**fields))
    assert answer.status_code == 422
    assert said.lower() in " ".join(answer.context["form"].errors[where]).lower()
    assert said.lower() in words(answer).lower()
    assert OrderRecord.objects.count() == 0


def test_ticks_that_are_not_known_are_said_in_plain_words(seats: Seats, client: Client) -> None:
    seats.position("100")
    Contract.objects.update(min_tick=None, market_rule_ids=[])
    page = words(client.get(at(seats)))
    assert "The price ticks of AAPL are not known yet" in page
    assert "nothing can be sent until the broker has given them" in page
    answer = look(client, seats, exits())
    assert answer.status_code == 422
    assert "no price can be counted from a distance" in " ".join(answer.context["form"].errors["pair_1_stop"])
    given = look(client, seats, exits(pair_1_stop="", pair_1_target="", pair_1_stop_price="98"))
    assert "TICK_UNKNOWN" in words(given)
    assert given.context["preview"].may_send is False


# --- on the page ------------------------------------------------------------------------------------------------------------------------


def test_in_place_it_is_a_dialog_that_comes_back_with_its_faults(seats: Seats, client: Client) -> None:
    seats.position("100")
    answer = look(client, seats, exits(pair_1_stop_price="120"), **HTMX)
    assert (answer.status_code, answer["HX-Retarget"], answer["HX-Reswap"]) == (422, "#dialog-slot", "innerHTML")
    assert words(answer).startswith("<dialog")
    assert 'value="120"' in words(answer)
    answer = send(client, seats, exits(), **HTMX)
    assert words(answer).startswith('<div hx-swap-oob="innerHTML:#toasts">')


def test_rows_come_and_go_without_a_script(seats: Seats, client: Client) -> None:
    seats.position("100")
    fields = exits(pair_1_target="5", act="add_pair")
    page = client.post(at(seats), fields)
    assert page.context["form"].pairs_shown == 2
    assert page.context["stamp"].key == fields["key"]
    more = exits(pair_count="2", pair_1_target="5", **pair(2, target="9"), act="remove_pair_1")
    form = client.post(at(seats), more).context["form"]
    assert (form.pairs_shown, form["pair_1_target"].value()) == (1, "9")
    assert Preview.objects.count() == 0


def test_the_first_pair_is_kept_as_the_user_s_own(seats: Seats, client: Client) -> None:
    seats.position("-100")
    answer = client.post(at(seats), exits(pair_1_stop_price="103", pair_1_stop="", act="save_exits"), **HTMX)
    assert "Your exits for AAPL: target 8 %, stop 3 %." in words(answer)
    kept = ExitTemplate.objects.get()
    assert (kept.user, kept.symbol, kept.stop_loss) == (seats.trader, "AAPL", D("0.03"))


def test_only_who_may_trade_the_account_protects(seats: Seats) -> None:
    seats.position("100")
    assert signed_in(seats.viewer).post(at(seats), exits()).status_code == 403
    assert signed_in(seats.stranger).post(at(seats), exits()).status_code == 404
    assert Preview.objects.count() == 0
