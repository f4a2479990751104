"""Who gets what at every address: a trader, a viewer, a stranger, an administrator, and nobody at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import URLPattern, reverse

from orders.manager import OrderManager
from orders.models import Event, Incident, OrderRecord, Watch
from orders.pages import urls
from orders.pages.panels import PANELS
from orders.rules.lifecycle import OrderStatus
from orders.tests import factories
from orders.tests.seats import Seats, fresh, send_ticket, signed_in, take_seats

pytestmark = pytest.mark.django_db

# Addresses of a thing in an account: the trader gets a page, the viewer a page or a refusal, the stranger does not know that it exists.
SEEN = {
    "order": lambda s, o: [o.client_order_id],
    "sweep": lambda s, o: [a_sweep(s)],
}
DONE = {
    "change": lambda s, o: [o.client_order_id],
    "cancel": lambda s, o: [o.client_order_id],
    "conclude": lambda s, o: [o.client_order_id],
    "seen": lambda s, o: [o.client_order_id],
    "ask_again": lambda s, o: [o.client_order_id],
    "send_again": lambda s, o: [o.client_order_id],
    "adopt": lambda s, o: [o.client_order_id],
    "cancel_all": lambda s, o: [s.account.code],
    "legs": lambda s, o: [o.client_order_id],
    "close": lambda s, o: [s.account.code, s.contract.con_id],
    "reverse": lambda s, o: [s.account.code, s.contract.con_id],
    "protect": lambda s, o: [s.account.code, s.contract.con_id],
    "repair": lambda s, o: [s.account.code, s.contract.con_id],
    "incident_take": lambda s, o: [an_incident(s)],
    "incident_close": lambda s, o: [an_incident(s)],
}
# Addresses that are the user's own: they answer everybody, with what he may see.
OWN = (
    "desk",
    "find",
    "ticket",
    "ticket_search",
    "ticket_stamp",
    "ticket_watch",
    "ticket_pick",
    "ticket_option",
    "ticket_size",
    "history",
    "history_csv",
    "positions",
    "executions",
    "recovery",
    "risk",
    "risk_size",
    "sweeps",
    "watchlist",
)
# Who may do these is told by tests of their own: rights over many accounts, or answers to what was posted.
OTHERS = (
    "panel", "ticket_contract", "ticket_draft", "ticket_exits", "ticket_preview", "preview_margin", "arm", "disarm", "submission",
    "certificate", "flatten", "kill", "trading", "risk_limit", "watchlist_add", "watchlist_remove",
)  # fmt: skip

Where = Callable[[Seats, OrderRecord], list[object]]


def an_incident(seats: Seats) -> int:
    """An open incident of the account, by its number."""
    return Incident.objects.create(kind="overfill", account=seats.account, text="Filled 110 of 100.", opened_at=seats.now).pk


def a_sweep(seats: Seats) -> int:
    """The report of a flattening of the account, by its number."""
    return OrderManager(seats.trader).flatten(key="flat", account=seats.account).pk


@pytest.fixture
def seats() -> Seats:
    return take_seats()


@pytest.fixture
def order(seats: Seats) -> OrderRecord:
    seats.position("100")
    return seats.order(status=OrderStatus.WORKING)


def test_every_address_is_in_this_test() -> None:
    named = {pattern.name for pattern in urls.urlpatterns if isinstance(pattern, URLPattern)}
    assert named == {*SEEN, *DONE, *OWN, *OTHERS}


@pytest.mark.parametrize("name", [*SEEN, *DONE])
def test_a_stranger_finds_nothing(seats: Seats, order: OrderRecord, name: str) -> None:
    where: Where = {**SEEN, **DONE}[name]
    address = reverse(name, args=where(seats, order))
    assert signed_in(seats.stranger).get(address).status_code == 404
    assert signed_in(seats.stranger).post(address, fresh()).status_code in (404, 405)


@pytest.mark.parametrize("name", list(SEEN))
def test_a_viewer_looks(seats: Seats, order: OrderRecord, name: str) -> None:
    assert signed_in(seats.viewer).get(reverse(name, args=SEEN[name](seats, order))).status_code == 200


@pytest.mark.parametrize("name", list(DONE))
def test_a_viewer_is_refused_in_words_and_nothing_happens(seats: Seats, order: OrderRecord, name: str) -> None:
    address = reverse(name, args=DONE[name](seats, order))
    before = Event.objects.count()
    for answer in (signed_in(seats.viewer).get(address), signed_in(seats.viewer).post(address, fresh())):
        assert answer.status_code == 403
        assert "You may look at account DU1000417, not trade it." in answer.content.decode()
    assert Event.objects.count() == before


@pytest.mark.parametrize("name", [*SEEN, *DONE])
def test_a_trader_gets_a_page(seats: Seats, order: OrderRecord, name: str) -> None:
    where: Where = {**SEEN, **DONE}[name]
    assert signed_in(seats.trader).get(reverse(name, args=where(seats, order))).status_code == 200


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("who", ["trader", "viewer", "stranger"])
def test_ones_own_pages_answer_everybody(seats: Seats, order: OrderRecord, name: str, who: str) -> None:
    client = signed_in(getattr(seats, who))
    answer = client.get(reverse(name))
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    assert answer.status_code in (200, 204, 302)
    if who == "stranger":
        assert order.client_order_id.encode() not in body
        assert b"DU1000417" not in body


@pytest.mark.parametrize("name", [*SEEN, *DONE, *OWN, *OTHERS])
def test_nobody_is_asked_to_sign_in(seats: Seats, order: OrderRecord, name: str) -> None:
    arguments = {
        "panel": ["orders"],
        "ticket_contract": [1],
        "submission": ["x"],
        "preview_margin": ["x"],
        "certificate": [1],
        "risk_limit": ["MAX_QUANTITY"],
        "watchlist_remove": [1],
        "watchlist_add": [],
    }
    where = {**SEEN, **DONE}.get(name)
    address = reverse(name, args=where(seats, order) if where else arguments.get(name, []))
    answer = Client().get(address)
    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("login"))


# --- panels ---------------------------------------------------------------------------------------------------------------------------


def _scope(name: str, seats: Seats, order: OrderRecord) -> str:
    return {"order": order.client_order_id, "quote": str(seats.contract.pk)}.get(name, "")


@pytest.mark.parametrize("name", list(PANELS))
def test_a_panel_shows_a_viewer_the_account_without_acts(seats: Seats, order: OrderRecord, name: str) -> None:
    answer = signed_in(seats.viewer).get(reverse("panel", args=[name]), {"account": "DU1000417", "scope": _scope(name, seats, order)})
    assert answer.status_code == 200
    for act in ("/cancel/", "/change/", "/close/", "/protect/", "/repair/", "/send-again/", "/ask-again/", "/cancel-all/"):
        assert act not in answer.content.decode()


@pytest.mark.parametrize("name", list(PANELS))
def test_a_panel_of_an_account_one_may_not_see_does_not_exist(seats: Seats, order: OrderRecord, name: str) -> None:
    client = signed_in(seats.stranger)
    assert client.get(reverse("panel", args=[name]), {"account": "DU1000417"}).status_code == 404
    answer = client.get(reverse("panel", args=[name]), {"scope": _scope(name, seats, order)})
    assert answer.status_code == 200
    assert f"/orders/{order.client_order_id}/" not in answer.content.decode()
    assert "99.50" not in answer.content.decode()


def test_a_panel_that_is_none_is_not_found(seats: Seats) -> None:
    assert signed_in(seats.trader).get(reverse("panel", args=["nonsense"])).status_code == 404


# --- the account in the address -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["desk", "positions", "executions", "history", "history_csv", "ticket"])
def test_an_account_one_may_not_see_is_not_found(seats: Seats, name: str) -> None:
    assert signed_in(seats.stranger).get(reverse(name), {"account": "DU1000417"}).status_code == 404


def test_a_superuser_sees_every_account_and_trades_none_by_that(seats: Seats, order: OrderRecord) -> None:
    client = signed_in(factories.make_user("root", is_superuser=True, is_staff=True))
    assert client.get(reverse("order", args=[order.client_order_id])).status_code == 200
    assert client.get(reverse("cancel", args=[order.client_order_id])).status_code == 403


def test_access_taken_away_is_gone_at_the_next_request(seats: Seats, order: OrderRecord) -> None:
    client = signed_in(seats.trader)
    address = reverse("order", args=[order.client_order_id])
    assert client.get(address).status_code == 200
    seats.account.access.filter(user=seats.trader).delete()
    assert client.get(address).status_code == 404


def test_what_became_of_a_request_is_told_to_its_user_only(seats: Seats) -> None:
    fields = fresh(account="DU1000417", symbol="AAPL", con_id=seats.contract.con_id, side="BUY", quantity="10", order_type="LMT")
    fields |= {"limit_price": "99.50", "time_in_force": "DAY"}
    assert send_ticket(signed_in(seats.trader), fields).status_code == 302
    address = reverse("submission", args=[fields["key"]])
    assert signed_in(seats.trader).get(address).json()["found"] is True
    assert "BUY 10 AAPL" in signed_in(seats.trader).get(address).json()["text"]
    assert signed_in(seats.viewer).get(address).json() == {"found": False, "text": "", "url": ""}


def test_a_watchlist_changes_for_its_user_only(seats: Seats) -> None:
    signed_in(seats.viewer).post(reverse("watchlist_add"), {"symbol": "AAPL"})
    assert Watch.objects.get().user == seats.viewer
    signed_in(seats.stranger).post(reverse("watchlist_remove", args=[seats.contract.con_id]))
    assert Watch.objects.count() == 1
    signed_in(seats.viewer).post(reverse("watchlist_remove", args=[seats.contract.con_id]))
    assert Watch.objects.count() == 0
