"""What is wrong with a field stands beside it, and says so to whoever does not see it: marked as invalid, described by the words."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from orders.tests.seats import Seats, fresh, signed_in, take_seats

pytestmark = pytest.mark.django_db

HTMX = {"HTTP_HX_REQUEST": "true"}


class Page(HTMLParser):
    """The fields of a page by name, with what describes them, and the errors by id, in the order in which they stand."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.invalid: dict[str, list[str]] = {}
        self.ids: dict[str, int] = {}
        self.errors: dict[str, str] = {}
        self.places: dict[str, int] = {}
        self._error = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("name") or given.get("id") or given.get("aria-label") or tag
        if given.get("id"):
            self.ids[str(given["id"])] = len(self.ids)
        if given.get("aria-invalid") == "true":
            self.invalid[name] = (given.get("aria-describedby") or "").split()
            self.places[name] = len(self.ids)
        if tag == "p" and given.get("class") == "err":
            self._error = str(given.get("id"))
            self.errors[self._error] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "p":
            self._error = ""

    def handle_data(self, data: str) -> None:
        if self._error:
            self.errors[self._error] += data.strip()


@pytest.fixture
def seats() -> Seats:
    return take_seats()


def ticket(seats: Seats, **fields: Any) -> dict[str, Any]:
    values = {"account": seats.account.code, "symbol": "AAPL", "con_id": seats.contract.con_id, "side": "BUY", "quantity": "10"}
    return {**fresh(**values, order_type="LMT", limit_price="99.50", time_in_force="DAY"), **fields}


BRACKET = {"bracket": "on", "pair_count": "2", "oca_type": "1", "exits_time_in_force": "GTC", "pair_1_target": "8", "pair_1_stop": "2"}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"side": ""}, "Side"),
        ({"quantity": "1,5"}, "quantity"),
        ({"limit_price": ""}, "limit_price"),
        ({"order_type": "STP", "stop_price": "x"}, "stop_price"),
        ({"order_type": "TRAIL", "trail": "-1", "trail_unit": "%"}, "trail"),
        ({"order_type": "TRAIL LIMIT", "trail": "1", "trail_unit": "%", "limit_offset": "x"}, "limit_offset"),
        ({"time_in_force": "GTD", "good_till": ""}, "good_till"),
        ({"order_type": "MKT", "display_size": "5"}, "display_size"),
        ({"good_after": "yesterday"}, "good_after"),
        ({"order_type": "LOC", "outside_rth": "on"}, "outside_rth"),
        ({"size_method": "risk", "size_value": "x"}, "size_value"),
        ({**BRACKET, "pair_1_target": "x"}, "pair_1_target"),
        ({**BRACKET, "pair_2_stop_price": "x"}, "pair_2_stop_price"),
        ({**BRACKET, "pair_1_quantity": "0"}, "pair_1_quantity"),
        ({**BRACKET, "pair_1_time_stop": "soon"}, "pair_1_time_stop"),
        ({**BRACKET, "exits_time_in_force": "IOC"}, "exits_time_in_force"),
    ],
)
def test_a_fault_of_the_ticket_describes_its_field(seats: Seats, fields: dict[str, str], field: str) -> None:
    answer = signed_in(seats.trader).post(reverse("ticket_preview"), ticket(seats, **fields), **HTMX)
    assert answer.status_code == 422
    check(answer.content.decode(), field)


def check(text: str, field: str) -> None:
    page = Page(text)
    assert field in page.invalid
    for name, described in page.invalid.items():
        assert described, f"{name} is marked and says nowhere why"
        assert [one for one in described if one not in page.ids] == [], f"{name} is described by what is not there"
        assert any(page.errors.get(one) for one in described), f"{name} has no words"
        (error,) = [one for one in described if one in page.errors]
        assert page.ids[error] - page.places[name] < 6, f"the words about {name} stand far from it"
    told = {one for described in page.invalid.values() for one in described}
    assert set(page.errors) <= told, "an error that belongs to no field"


def test_a_fault_of_a_size_describes_its_field(seats: Seats) -> None:
    asked = {"symbol": "AAPL", "side": "BUY", "entry": "1,5", "stop": "98", "method": "risk", "value": "1"}
    client = signed_in(seats.trader)
    for headers in (HTMX, {}):
        check(client.get(reverse("risk_size" if headers else "risk"), asked, **headers).content.decode(), "entry")


def test_a_fault_of_the_legs_describes_its_field(seats: Seats) -> None:
    entry, *_exits = seats.bracket()
    answer = signed_in(seats.trader).post(reverse("legs", args=[entry.client_order_id]), fresh(move="a lot", unit="%", act="look"), **HTMX)
    check(answer.content.decode(), "move")


def test_a_fault_of_a_limit_describes_its_field_and_a_fraction_says_what_it_means(client: Client, admin_user: Any) -> None:
    take_seats()
    client.force_login(admin_user)
    where = reverse("risk_limit", args=["RISK_PER_TRADE"])
    asked = client.get(where, **HTMX).content.decode()
    assert 'aria-describedby="id_value-note"' in asked
    assert '<p class="f-note" id="id_value-note">Of net liquidation, as a fraction: 0.05 is 5 %. Empty takes the limit away.</p>' in asked
    whole = client.get(reverse("risk_limit", args=["MAX_QUANTITY"]), **HTMX).content.decode()
    assert '<p class="f-note" id="id_value-note">Units. Empty takes the limit away.</p>' in whole
    answer = client.post(where, fresh(scope="desk", value="5 %", note="Thin books"), **HTMX)
    check(answer.content.decode(), "value")


def test_a_product_that_nobody_lists_describes_its_field(seats: Seats) -> None:
    answer = signed_in(seats.trader).get(reverse("ticket_option"), {"underlying": "AAPL", "strike": "x"}, **HTMX)
    check(answer.content.decode(), "symbol")
