"""The blotter: its filters, its totals, and a CSV of exactly what it shows."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from orders.models import CommissionReport, OrderRecord
from orders.queries import blotter as module
from orders.queries.blotter import safe_cell
from orders.queries.show import zone_of
from orders.rules.lifecycle import OrderStatus
from orders.tests import factories
from orders.tests.seats import Seats, signed_in, take_seats

pytestmark = pytest.mark.django_db


@pytest.fixture
def seats() -> Seats:
    return take_seats()


@pytest.fixture
def client(seats: Seats) -> Client:
    return signed_in(seats.trader)


def shown(client: Client, **filters: Any) -> set[str]:
    page = client.get(reverse("history"), filters)
    return {row.order.client_order_id for row in page.context["shown"].rows}


def exported(client: Client, **filters: Any) -> list[dict[str, str]]:
    answer = client.get(reverse("history_csv"), filters)
    assert answer.streaming
    assert answer["Content-Disposition"].startswith("attachment; filename=")
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))


@pytest.fixture
def many(seats: Seats) -> dict[str, OrderRecord]:
    msft = factories.make_contract("MSFT")
    other = factories.make_account("DU1000902")
    factories.grant(seats.trader, other)
    hidden = factories.make_account("DU1000999")
    return {
        "plain": seats.order(),
        "sell": seats.order("SELL", status=OrderStatus.FILLED, filled_quantity=Decimal(100)),
        "msft": seats.order(contract=msft, status=OrderStatus.REJECTED, status_text="201 no money"),
        "other": seats.order(account=other, created_by=seats.viewer),
        "old": seats.order(created_at=seats.now - timedelta(days=30)),
        "noted": seats.order(note="earnings dip"),
        "hidden": seats.order(account=hidden),
    }


FILTERS: list[tuple[dict[str, str], set[str]]] = [
    ({}, {"plain", "sell", "msft", "other", "old", "noted"}),
    ({"account": "DU1000902"}, {"other"}),
    ({"symbol": "msft"}, {"msft"}),
    ({"side": "SELL"}, {"sell"}),
    ({"status": "REJECTED"}, {"msft"}),
    ({"status": "open"}, {"plain", "other", "old", "noted"}),
    ({"by": "viewer"}, {"other"}),
    ({"text": "earnings"}, {"noted"}),
    ({"text": "no money"}, {"msft"}),
    ({"text": "msft"}, {"msft"}),
    ({"symbol": "AAPL", "side": "BUY", "by": "trader", "status": "open"}, {"plain", "old", "noted"}),
]


@pytest.mark.parametrize(("filters", "expected"), FILTERS)
def test_page_and_file_show_exactly_what_the_filters_let_through(
    client: Client, many: dict[str, OrderRecord], filters: dict[str, str], expected: set[str]
) -> None:
    wanted = {many[name].client_order_id for name in expected}
    assert shown(client, **filters) == wanted
    assert {row["client_order_id"] for row in exported(client, **filters)} == wanted


def test_days_are_counted_in_the_zone_of_the_account_and_both_are_included(seats: Seats, client: Client, many: Any) -> None:
    day = seats.now.astimezone(zone_of("America/New_York")).date()
    assert many["old"].client_order_id not in shown(client, begin=day.isoformat(), end=day.isoformat())
    assert many["plain"].client_order_id in shown(client, begin=day.isoformat(), end=day.isoformat())
    assert shown(client, end=(day - timedelta(days=20)).isoformat()) == {many["old"].client_order_id}


def test_a_filter_that_cannot_be_read_is_said(client: Client, seats: Seats) -> None:
    seats.order()
    answer = client.get(reverse("history"), {"begin": "nonsense"})
    assert "Enter a valid date" in answer.content.decode()
    assert client.get(reverse("history_csv"), {"begin": "nonsense"}).status_code == 404
    assert "Lies before the first day" in client.get(reverse("history"), {"begin": "2026-02-02", "end": "2026-01-01"}).content.decode()


def test_totals_are_of_everything_filtered_and_say_what_is_missing(seats: Seats, client: Client) -> None:
    order = seats.order("SELL", status=OrderStatus.FILLED, filled_quantity=Decimal(100))
    for amount, realised in (("0.10", "-137.50"), ("0.20", "0.05")):
        execution = seats.execution(order)
        CommissionReport.objects.create(
            exec_id=execution.exec_id, amount=Decimal(amount), currency="USD", realized_pnl=Decimal(realised), received_at=seats.now
        )
    seats.execution(order)
    page = client.get(reverse("history")).context["shown"]
    assert page.sums.commission == "0.30 USD"
    assert [figure.text for figure in page.sums.realised] == ["−137.45 USD"]
    assert (page.sums.filled, page.sums.missing) == (1, 1)
    (row,) = exported(client)
    assert (row["commission"], row["commission_currency"], row["realized_pnl"]) == ("0.3", "USD", "-137.45")


def test_numbers_are_exact_and_times_are_utc_in_the_file(seats: Seats, client: Client) -> None:
    order = seats.order(quantity="0.12345678", limit_price=Decimal("99.5"))
    (row,) = exported(client)
    assert (row["quantity"], row["limit_price"], row["stop_price"]) == ("0.12345678", "99.5", "")
    assert row["created_utc"].endswith("Z")
    assert row["account"] == "DU1000417"
    assert row["by"] == "trader"
    assert order.client_order_id == row["client_order_id"]


@pytest.mark.parametrize(
    "evil", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1+1", "\u00a0@SUM(A1)", "＝1+1", "|calc", '=HYPERLINK("http://x")']
)
def test_no_cell_is_a_formula(seats: Seats, client: Client, evil: str) -> None:
    seats.order(note=evil)
    assert exported(client)[0]["note"] == f"'{evil}"


@pytest.mark.parametrize("harmless", ["-137.50", "+5", "text = more", "", "a@b", "–"])
def test_what_is_no_formula_stays_as_it_is(harmless: str) -> None:
    assert safe_cell(harmless) == harmless


@pytest.mark.parametrize("number", ["-Infinity", "+NaN"])
def test_only_real_numbers_keep_their_sign(number: str) -> None:
    assert safe_cell(number) == f"'{number}"


def test_a_long_history_is_whole_and_read_in_parts(seats: Seats, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 3)
    orders = [seats.order(created_at=seats.now - timedelta(minutes=number // 3)) for number in range(10)]
    found = [row["client_order_id"] for row in exported(client)]
    assert len(found) == len(set(found)) == 10
    assert set(found) == {order.client_order_id for order in orders}


def test_pages_follow_one_another(seats: Seats, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 4)
    for _number in range(10):
        seats.order()
    seen: list[str] = []
    for number in (1, 2, 3):
        page = client.get(reverse("history"), {"page": number, "side": "BUY"}).context["shown"]
        assert (page.number, page.total, page.has_next) == (number, 10, number < 3)
        seen += [row.order.client_order_id for row in page.rows]
    assert len(set(seen)) == 10
    assert client.get(reverse("history"), {"page": 99}).context["shown"].number == 3
    body = client.get(reverse("history"), {"page": 2, "side": "BUY"}).content.decode()
    assert "?side=BUY&amp;page=1" in body
    assert "?side=BUY&amp;page=3" in body


def test_the_number_of_queries_does_not_grow_with_the_orders(seats: Seats, client: Client, django_assert_max_num_queries) -> None:
    for _number in range(30):
        seats.order()
    with django_assert_max_num_queries(36):
        client.get(reverse("history"))
