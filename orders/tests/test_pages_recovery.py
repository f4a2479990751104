"""The recovery pages: the certificate, the breaks with their owners, who sees which, and what closing one asks."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from orders.book import book
from orders.models import Certificate, Gateway, Incident, Limit, Position
from orders.models.book import Source
from orders.pages.panels import PANELS, render_units
from orders.queries.recovery import MOST_INCIDENTS, PAGE
from orders.rules.lifecycle import OrderStatus
from orders.rules.limits import Rule
from orders.rules.terms import GatewayState
from orders.tests.factories import make_account, make_position, make_user
from orders.tests.seats import Seats, fresh, signed_in, take_seats

pytestmark = pytest.mark.django_db

HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def seats() -> Seats:
    return take_seats()


@pytest.fixture
def client(seats: Seats) -> Client:
    return signed_in(seats.trader)


def words(answer: Any) -> str:
    return answer.content.decode()


def certified(seats: Seats, **fields: Any) -> Certificate:
    values = {"began_at": seats.now - timedelta(milliseconds=40), "ended_at": seats.now, "fence": 3, "is_complete": True}
    with book(at=seats.now) as b, b.event("recovery.certified", source=Source.RECONCILE) as fact:
        return fact.add(Certificate(**{**values, "reason": "The desk was started", **fields}))


def opened(seats: Seats, kind: str = "late_fill", text: str = "Filled 5 after its end.", **fields: Any) -> Incident:
    with book(at=seats.now) as b, b.event("incident.opened", source=Source.RECONCILE) as fact:
        return fact.add(Incident(kind=kind, text=text, opened_at=seats.now, **{"account": seats.account, **fields}))


def a_break(seats: Seats) -> Incident:
    """150 held, of which 100 are explained."""
    row = make_position(seats.account, seats.contract, "150")
    with book(at=seats.now) as b, b.event("test.opening", source=Source.RECONCILE) as fact:
        fact.set(row, opening=D(100))
    figures = {"contract": "AAPL", "reported": "150", "explained": "100"}
    return opened(seats, "position_differs", "the broker reports 150", contract=seats.contract, data=figures)


def test_the_last_certificate_stands_on_top_and_the_others_below(seats: Seats, client: Client) -> None:
    certified(seats, reason="A new connection, after: <b>reset</b>", in_flight=3, matched=2, unknown=1, fills_recovered=4)
    page = words(client.get(reverse("recovery")))
    assert "A new connection, after: &lt;b&gt;reset&lt;/b&gt;" in page
    assert "3 in flight · 2 matched · 1 unknown · sent again 0 · 4 fills recovered" in page
    assert '<div title="Orders of which nobody knows what became" class="is-bad"><dt>Unknown</dt><dd>1</dd></div>' in page
    assert "Book and broker agree: nothing is open." in page
    for _ in range(PAGE):
        certified(seats)
    assert "reset" not in words(client.get(reverse("recovery")))
    assert "reset" in words(client.get(reverse("recovery"), {"page": "2"}))


def test_a_certificate_names_its_orders_to_those_who_may_see_them(seats: Seats, client: Client) -> None:
    order, other = seats.order(status=OrderStatus.WORKING), make_account("DU7654321")
    row = {"what": "order", "before": "SENT", "after": "WORKING", "basis": "", "settled": True}
    data = {
        "in_flight": [
            {"order": order.client_order_id, "account": seats.account.pk, **row},
            {"order": "DB-not-yours", "account": other.pk, **row},
        ],
        "fills": [{"exec_id": "e.1", "account": seats.account.pk, "order": order.client_order_id}],
        "external": [{"order": "ext-77", "account": other.pk}],
    }
    certificate = certified(seats, in_flight=2, data=data)
    page = words(client.get(reverse("certificate", args=[certificate.pk])))
    assert reverse("order", args=[order.client_order_id]) in page and "e.1" in page
    assert "DB-not-yours" not in page and "ext-77" not in page
    assert "2 more are of accounts that you may not see." in page
    assert client.get(reverse("certificate", args=[certificate.pk + 1])).status_code == 404


def test_breaks_show_to_those_who_may_see_their_account(seats: Seats, client: Client) -> None:
    mine = opened(seats, text="of my account")
    other = opened(seats, text="of another", account=make_account("DU7654321"))
    nobodys = opened(seats, "foreign_account", "of no account", account=None)
    page = words(client.get(reverse("recovery")))
    assert "of my account" in page and "of another" not in page and "of no account" not in page
    assert "nobody looks after it" in page
    assert [client.get(reverse("incident_take", args=[row.pk])).status_code for row in (mine, other, nobodys)] == [200, 404, 404]
    root = signed_in(make_user(is_superuser=True))
    page = words(root.get(reverse("recovery")))
    assert all(text in page for text in ("of my account", "of another", "of no account"))
    assert root.get(reverse("incident_close", args=[nobodys.pk])).status_code == 200


def test_a_flood_of_incidents_hides_no_break_and_every_break_counts(seats: Seats, client: Client) -> None:
    certified(seats)
    a_break(seats)
    for number in range(MOST_INCIDENTS + 1):
        opened(seats, "bad_report", f"unreadable {number}")
    page = words(client.get(reverse("recovery")))
    assert "the broker reports 150" in page
    assert f"<dt>Breaks open</dt><dd>{MOST_INCIDENTS + 2}</dd>" in page


def test_a_viewer_sees_and_may_not_act(seats: Seats) -> None:
    row, viewer = opened(seats), signed_in(seats.viewer)
    page = words(viewer.get(reverse("recovery")))
    assert row.text in page and "Explain and close" not in page
    assert viewer.post(reverse("incident_close", args=[row.pk]), fresh(reason="x")).status_code == 403


def test_taking_and_closing_without_javascript(seats: Seats, client: Client) -> None:
    row = opened(seats)
    assert client.post(reverse("incident_take", args=[row.pk]), fresh()).url == reverse("recovery")
    assert "you look after it" in words(client.get(reverse("recovery")))
    refused = client.post(reverse("incident_close", args=[row.pk]), fresh(reason=" "))
    assert refused.status_code == 422 and "Say what explains it." in words(refused)
    client.post(reverse("incident_close", args=[row.pk]), fresh(reason="seen in TWS"))
    row.refresh_from_db()
    assert (row.closed_by, row.explanation, row.owner) == (seats.trader, "seen in TWS", seats.trader)
    assert "It is closed already." in words(client.get(reverse("incident_close", args=[row.pk])))


def test_a_position_is_closed_by_recording_the_difference_that_was_shown(seats: Seats, client: Client) -> None:
    row = a_break(seats)
    address = reverse("incident_close", args=[row.pk])
    dialog = words(client.get(address, **HTMX))
    assert "Record +50 as an adjustment" in dialog and 'value="50"' in dialog
    assert "still differs by 50" in words(client.post(address, fresh(reason="a transfer"), **HTMX))
    assert "not a number" in words(client.post(address, fresh(reason="a transfer", adjust="fifty"), **HTMX))
    assert client.post(address, fresh(reason="a transfer", adjust="50"), **HTMX).status_code == 200
    assert Position.objects.get().opening == 150


def test_an_unknown_order_is_open_between_book_and_broker(seats: Seats, client: Client) -> None:
    certified(seats)
    assert "Book and broker agree: nothing is open." in words(client.get(reverse("recovery")))
    order = seats.order(status=OrderStatus.UNKNOWN)
    page = words(client.get(reverse("recovery")))
    assert "Book and broker agree" not in page and "AAPL order unknown" in page
    assert f'id="lost-ask-{order.client_order_id}"' in page, "with what can be done about it"
    assert "lost-ask" not in words(signed_in(seats.viewer).get(reverse("recovery")))


@pytest.mark.parametrize("lost", ["gateway", "certificate"])
def test_nobody_says_that_book_and_broker_agree_who_has_not_compared_them(seats: Seats, client: Client, lost: str) -> None:
    certified(seats, is_complete=lost != "certificate")
    if lost == "gateway":
        Gateway.objects.update(state=GatewayState.DOWN.value)
    page = words(client.get(reverse("recovery")))
    assert "Nothing is open." in page and "agree: nothing" not in page


def test_the_certificates_move_by_themselves_page_by_page(seats: Seats, client: Client) -> None:
    rows = [certified(seats, reason=f"number {number}") for number in range(PAGE + 1)]
    for scope, shown in (("", rows[-1]), ("1", rows[-1]), ("2", rows[0]), ("x", rows[-1])):
        [unit] = render_units(PANELS["certificates"], seats.trader, None, scope, {"certificate": {rows[0].pk}}, timezone.now(), 99)
        assert unit.id == "panel-certificates" and unit.html and f'id="certificate-{shown.pk}"' in unit.html, scope
    assert 'data-scope="2"' in words(client.get(reverse("recovery"), {"page": "2"}))
    assert "There are none as old as this." in words(client.get(reverse("recovery"), {"page": "9"}))


def held_back(seats: Seats, value: int, note: str = "", **whose: Any) -> Limit:
    with book(at=seats.now) as b, b.event("limit.set", source=Source.SYSTEM) as fact:
        return fact.add(Limit(rule=Rule.TRADING_STATE.value, value=D(value), note=note, **whose))


def test_every_page_says_where_trading_is_held_back_and_why(seats: Seats, client: Client) -> None:
    assert "REDUCE ONLY" not in words(client.get(reverse("recovery")))
    mine = held_back(seats, 1, "AAPL in DU…417: the broker reports 150. And more of it.", scope="account", account=seats.account)
    held_back(seats, 2, "not yours", scope="account", account=make_account("DU7654321"))
    for name in ("desk", "history", "positions", "executions", "recovery"):
        page = words(client.get(reverse(name)))
        assert "<b>REDUCE ONLY</b> in DU…417. Orders that open or add to a position are refused." in page, name
        assert "the broker reports 150." in page and "And more" not in page and "not yours" not in page
    held_back(seats, 2, scope="desk")
    held_back(seats, 1, scope="user", user=seats.viewer)
    page = words(client.get(reverse("desk")))
    assert "<b>HALTED</b> for the whole desk. Nothing but cancels goes out." in page and "</b> for you" not in page
    assert "<b>REDUCE ONLY</b> for you." in words(signed_in(seats.viewer).get(reverse("desk")))
    with book(at=seats.now) as b, b.event("limit.set", source=Source.SYSTEM) as fact:
        fact.set(mine, value=D(0), note="")
    [unit] = render_units(PANELS["restraints"], seats.trader, seats.account, "", {"limit": {mine.pk}}, timezone.now(), 99)
    assert unit.html and "REDUCE ONLY" not in unit.html and "HALTED" in unit.html


def test_the_panel_moves_by_itself(seats: Seats) -> None:
    row = certified(seats, matched=7)
    now = timezone.now()
    [unit] = render_units(PANELS["recovery"], seats.trader, seats.account, "", {"certificate": {row.pk}}, now, 99)
    assert unit.id == "panel-recovery" and unit.html and "<dt>Matched</dt><dd>7</dd>" in unit.html
    assert render_units(PANELS["recovery"], seats.trader, seats.account, "", {}, now, 99) == []
