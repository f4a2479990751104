"""The administration: the record can be read and not written, and what may be changed is an event that names who did it."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.test import Client

from orders import intake, replay
from orders.book import book
from orders.models import Account, AccountAccess, Event, Feed, Incident, InstrumentRule, Limit, OrderRecord, Sweep
from orders.models.book import Source
from orders.rules.lifecycle import OrderStatus
from orders.rules.reports import CommissionReported, Meaning, PositionReported
from orders.rules.terms import BookKind
from orders.tests.factories import NOW, make_limit, make_user
from orders.tests.told import Desk, a_desk, a_limit, facts, new_events, proven

pytestmark = pytest.mark.django_db
User = get_user_model()

RECORDS = ("orderrecord", "execution", "event", "incident", "position", "sweep")


@pytest.fixture
def desk() -> Iterator[Desk]:
    """An order that filled, one that was cancelled and filled late, a position: something in every table."""
    with proven():
        desk = a_desk()
        order = desk.order(OrderStatus.WORKING, note="=1+1")
        desk.tell(desk.fill(order, "a.1.01", "100"), CommissionReported("a.1.01", Decimal("1.05"), "USD"))
        late = desk.order(OrderStatus.CANCELLED, terms=a_limit("7"))
        desk.tell(desk.fill(late, "b.1.01", "3"), desk.message(late, 399, Meaning.WARNING, "<script>alert(1)</script>"))
        desk.tell(PositionReported(desk.account.code, facts(desk.contract), Decimal(-5), Decimal(10)))
        a_sweep(desk.account)
        yield desk


def a_sweep(account: Account) -> Sweep:
    """A kill switch that cancelled two orders and closed nothing."""
    data = {"open": False, "cancelled": [1, 2], "placed": [], "left": []}
    sweep = Sweep(kind=Sweep.Kind.KILL, scope="account", account=account, reason="Fat finger", data=data, at=NOW)
    with book(at=NOW) as b, b.event("kill.asked", source=Source.USER, account=account) as fact:
        return fact.add(sweep)


@pytest.fixture
def root() -> Any:
    return make_user("root", is_staff=True, is_superuser=True)


@pytest.fixture
def admin(root: Any) -> Client:
    client = Client()
    client.force_login(root)
    return client


def page(client: Client, path: str, **query: str) -> str:
    response = client.get(f"/admin/{path}", query)
    assert response.status_code == 200, path
    return response.content.decode()


def pages(desk: Desk) -> list[str]:
    """Every page of the administration of this app and of users."""
    order = OrderRecord.objects.order_by("pk").first()
    assert order is not None
    lists = [f"orders/{name}/" for name in (*RECORDS, "account", "accountaccess", "limit", "instrumentrule")]
    forms = [f"orders/orderrecord/{order.pk}/change/", f"orders/account/{desk.account.pk}/change/", "orders/limit/add/"]
    forms.append("orders/instrumentrule/add/")
    return ["", *lists, *forms, "orders/accountaccess/add/", "auth/user/", "auth/user/add/", f"auth/user/{User.objects.get().pk}/change/"]


def test_every_page_opens_and_keeps_to_the_security_policy(desk: Desk, admin: Client) -> None:
    """No script, style or handler in the page itself: the policy would refuse it. Words of the broker stay words."""
    for path in pages(desk):
        text = page(admin, path)
        assert not re.findall(r"<script(?![^>]*\bsrc=)(?![^>]*type=\"application/json\")[^>]*>", text), path
        assert not re.findall(r"<style|<[^>]+\sstyle=|<[^>]+\son[a-z]+=", text), path
        assert "<script>alert(1)" not in text


# --- the record is read only --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*RECORDS, "account"])
def test_no_row_of_the_record_is_added_or_deleted(desk: Desk, admin: Client, name: str) -> None:
    assert admin.get(f"/admin/orders/{name}/add/").status_code == 403
    model = {"orderrecord": OrderRecord, "event": Event, "incident": Incident, "account": Account, "sweep": Sweep}.get(name)
    if model is not None:
        row = model.objects.first()
        assert row is not None
        assert admin.post(f"/admin/orders/{name}/{row.pk}/delete/", {"post": "yes"}).status_code == 403
        assert model.objects.filter(pk=row.pk).exists()
    listed = page(admin, f"orders/{name}/")
    assert "delete_selected" not in listed


@pytest.mark.parametrize("name", RECORDS)
def test_no_row_of_the_record_is_changed(desk: Desk, admin: Client, name: str) -> None:
    model: Any = {model.__name__.lower(): model for model in (*replay.AUDITED, Event)}[name]
    row = model.objects.first()
    with new_events() as events:
        assert admin.post(f"/admin/orders/{name}/{row.pk}/change/", {"status": "CANCELLED", "quantity": "1"}).status_code == 403
    assert events == []


def test_a_user_who_may_write_still_cannot(desk: Desk) -> None:
    clerk = make_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(content_type__app_label="orders"))
    client = Client()
    client.force_login(clerk)
    assert client.get("/admin/orders/orderrecord/add/").status_code == 403


def test_an_order_shows_its_story(desk: Desk, admin: Client) -> None:
    order = OrderRecord.objects.get(status="FILLED")
    text = page(admin, f"orders/orderrecord/{order.pk}/change/")
    assert "a.1.01" in text and "execution.reported" in text and "CONFIRMED" in text
    assert order.client_order_id in text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status__exact": "FILLED"}, 1),
        ({"status__exact": "PENDING"}, 0),
        ({"side__exact": "BUY"}, 2),
        ({"contract__symbol": "AAPL"}, 2),
        ({"contract__symbol": "MSFT"}, 0),
        ({"needs_attention__exact": "1"}, 1),
        ({"q": "AAPL"}, 2),
        ({"q": "no such thing"}, 0),
        ({"created_at__year": "2026"}, 2),
        ({"created_at__year": "2025"}, 0),
    ],
)
def test_orders_are_filtered_and_searched(desk: Desk, admin: Client, query: dict[str, str], found: int) -> None:
    response = admin.get("/admin/orders/orderrecord/", query)
    assert response.status_code == 200
    assert len(response.context["cl"].result_list) == found


def test_an_order_is_found_by_its_names(desk: Desk, admin: Client) -> None:
    for order in OrderRecord.objects.all():
        perm_id = order.broker_ids.get().perm_id
        for words in (order.client_order_id, str(perm_id)):
            response = admin.get("/admin/orders/orderrecord/", {"q": words})
            assert [row.pk for row in response.context["cl"].result_list] == [order.pk]


def export(client: Client, query: str = "", **fields: Any) -> list[dict[str, str]]:
    response = client.post(f"/admin/orders/orderrecord/{query}", {"action": "export_csv", **fields})
    assert response["Content-Type"].startswith("text/csv"), response.status_code
    text = b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]
    return list(csv.DictReader(StringIO(text)))


def test_the_export_is_what_the_filters_leave_or_what_is_ticked(desk: Desk, admin: Client) -> None:
    filled, late = OrderRecord.objects.order_by("pk")
    assert len(export(admin)) == 2
    rows = export(admin, "?status__exact=FILLED")
    assert [row["client_order_id"] for row in rows] == [filled.client_order_id]
    rows = export(admin, _selected_action=[late.pk])
    assert [row["client_order_id"] for row in rows] == [late.client_order_id]
    assert len(export(admin, "?q=AAPL")) == 2


def test_no_cell_of_the_export_is_a_formula(desk: Desk, admin: Client) -> None:
    cells = [cell for row in export(admin) for cell in row.values()]
    assert "'=1+1" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "\t", "\r"))]


def test_staff_see_the_accounts_that_they_were_given(desk: Desk) -> None:
    clerk = make_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(content_type__app_label="orders", codename__startswith="view_"))
    client = Client()
    client.force_login(clerk)
    for name in RECORDS:
        shown = client.get(f"/admin/orders/{name}/")
        assert list(shown.context["cl"].result_list) == []
        assert desk.account.code not in shown.content.decode()  # nor as something to filter by
    order = OrderRecord.objects.first()
    assert order is not None
    assert client.get(f"/admin/orders/orderrecord/{order.pk}/change/").status_code == 302  # not there, for him
    assert len(export(client)) == 0


def test_an_incident_is_closed_with_a_name_and_stays(desk: Desk, admin: Client, root: Any) -> None:
    row = Incident.objects.get()
    chosen = {"action": "close", "_selected_action": [row.pk]}
    admin.post("/admin/orders/incident/", chosen)
    row.refresh_from_db()
    assert row.closed_at is None, "not without an explanation"
    for _ in range(2):
        admin.post("/admin/orders/incident/", chosen | {"explanation": "seen in TWS"})
    row.refresh_from_db()
    assert (row.closed_by, row.explanation) == (root, "seen in TWS")
    assert row.closed_at is not None
    assert Event.objects.filter(kind="incident.closed", actor=root).count() == 1


# --- what people set -----------------------------------------------------------------------------------------------------------------


def saved(client: Client, path: str, data: dict[str, Any]) -> None:
    response = client.post(f"/admin/{path}", data)
    errors = response.context["adminform"].form.errors if response.status_code == 200 else ""
    assert response.status_code == 302, errors


def test_an_account_is_changed_through_the_book(desk: Desk, admin: Client, root: Any) -> None:
    data = {"alias": "main", "time_zone": "Europe/Berlin", "session_start": "18:00", "is_active": ""}
    with new_events() as events:
        saved(admin, f"orders/account/{desk.account.pk}/change/", data)
        saved(admin, f"orders/account/{desk.account.pk}/change/", data)  # nothing changed: nothing said
    row = Account.objects.get()
    assert (row.alias, row.time_zone, row.is_active, row.code) == ("main", "Europe/Berlin", False, "DU1000001")
    assert [(event.kind, event.actor, event.source) for event in events] == [("account.changed", root, "user")]
    assert events[0].data["before"]["time_zone"] == "America/New_York"


def test_an_account_has_a_zone_that_exists(desk: Desk, admin: Client) -> None:
    data = {"time_zone": "Mars/Olympus", "session_start": "00:00", "is_active": "on"}
    response = admin.post(f"/admin/orders/account/{desk.account.pk}/change/", data)
    assert "time_zone" in response.context["adminform"].form.errors


def test_access_is_granted_changed_and_revoked_with_an_event_and_a_feed_row(desk: Desk, admin: Client, root: Any) -> None:
    trader = make_user("trader")
    with new_events() as events:
        saved(admin, "orders/accountaccess/add/", {"user": trader.pk, "account": desk.account.pk, "level": "view"})
        row = AccountAccess.objects.get()
        saved(admin, f"orders/accountaccess/{row.pk}/change/", {"level": "trade"})
        assert AccountAccess.objects.get().level == "trade"
        saved(admin, f"orders/accountaccess/{row.pk}/delete/", {"post": "yes"})
    assert not AccountAccess.objects.exists()
    assert [(event.kind, event.actor) for event in events] == [
        ("access.granted", root),
        ("access.changed", root),
        ("access.revoked", root),
    ]
    for event in events:
        assert Feed.objects.filter(seq=event.seq, topic="access", user=trader).exists()


def test_several_rights_are_revoked_one_event_each(desk: Desk, admin: Client) -> None:
    intake.bind(BookKind.SIMULATED, ["DU1000001", "DU1000002"], NOW)
    trader = make_user("trader")
    for account in Account.objects.all():
        saved(admin, "orders/accountaccess/add/", {"user": trader.pk, "account": account.pk, "level": "view"})
    with new_events() as events:
        ticked = list(AccountAccess.objects.values_list("pk", flat=True))
        admin.post("/admin/orders/accountaccess/", {"action": "delete_selected", "_selected_action": ticked, "post": "yes"})
    assert not AccountAccess.objects.exists()
    assert [event.kind for event in events] == ["access.revoked", "access.revoked"]


def test_the_limits_that_hold_without_a_row_are_shown(desk: Desk, admin: Client) -> None:
    text = page(admin, "orders/limit/")
    assert "MAX_OPEN_ORDERS" in text and "PRICE_COLLAR" in text
    assert re.search(r"MAX_QUANTITY</th><td>10000</td>", text)


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        ({"scope": "desk", "rule": "MAX_QUANTITY", "value": "500"}, ""),
        ({"scope": "account", "account": "ACCOUNT", "rule": "PRICE_COLLAR", "value": "0.05"}, ""),
        ({"scope": "desk", "rule": "NO_SUCH_RULE", "value": "1"}, "rule"),
        ({"scope": "desk", "rule": "MAX_QUANTITY", "value": "-1"}, "value"),
        ({"scope": "desk", "rule": "MAX_QUANTITY", "value": "1234567890123456"}, "value"),
        ({"scope": "account", "rule": "MAX_QUANTITY", "value": "1"}, "account"),
        ({"scope": "desk", "account": "ACCOUNT", "rule": "MAX_QUANTITY", "value": "1"}, "account"),
        ({"scope": "user", "rule": "MAX_QUANTITY", "value": "1"}, "user"),
    ],
)
def test_a_limit_names_a_rule_and_whom_it_is_for(desk: Desk, admin: Client, data: dict[str, str], wrong: str) -> None:
    sent = {name: str(desk.account.pk) if value == "ACCOUNT" else value for name, value in data.items()}
    if wrong:
        response = admin.post("/admin/orders/limit/add/", sent)
        assert wrong in response.context["adminform"].form.errors
        assert not Limit.objects.exists()
        return
    with new_events() as events:
        saved(admin, "orders/limit/add/", sent)
        row = Limit.objects.get()
        saved(admin, f"orders/limit/{row.pk}/change/", {**sent, "value": "2", "note": "quarter end"})
        saved(admin, f"orders/limit/{row.pk}/delete/", {"post": "yes", "reason": " the desk's own will do "})
    assert [event.kind for event in events] == ["limit.set", "limit.set", "limit.removed"]
    assert events[2].data["reason"] == "the desk's own will do" and events[2].text.endswith("because: the desk's own will do")
    assert events[1].data["before"]["value"] == data["value"] or Decimal(events[1].data["before"]["value"]) == Decimal(data["value"])


def test_the_same_limit_twice_is_refused_at_the_form(desk: Desk, admin: Client) -> None:
    data = {"scope": "desk", "rule": "MAX_QUANTITY", "value": "500"}
    saved(admin, "orders/limit/add/", data)
    assert admin.post("/admin/orders/limit/add/", data).status_code == 200
    assert Limit.objects.count() == 1


@pytest.mark.parametrize("reason", ["", "  "])
def test_no_limit_is_deleted_without_a_reason(desk: Desk, admin: Client, reason: str) -> None:
    rows = [make_limit(rule, "7", account=desk.account) for rule in ("MAX_QUANTITY", "MAX_POSITION")]
    with new_events() as events:
        asked = admin.post(f"/admin/orders/limit/{rows[0].pk}/delete/", {"post": "yes", "reason": reason}, follow=True)
        ticked = {"action": "delete_selected", "_selected_action": [row.pk for row in rows]}
        several = admin.post("/admin/orders/limit/", {**ticked, "post": "yes", "reason": reason})
    assert Limit.objects.count() == 2 and events == []
    for answer in (asked, several):
        text = answer.content.decode()
        assert answer.status_code == 200 and "Nothing was deleted: say why." in text and 'name="reason"' in text
        assert not re.findall(r"<style|<[^>]+\sstyle=|<[^>]+\son[a-z]+=", text)


def test_several_limits_are_deleted_for_one_reason_told_with_each(desk: Desk, admin: Client, root: Any) -> None:
    rows = [make_limit(rule, "7", account=desk.account) for rule in ("MAX_QUANTITY", "MAX_POSITION")]
    with new_events() as events:
        ticked = {"action": "delete_selected", "_selected_action": [row.pk for row in rows]}
        assert 'name="reason"' in admin.post("/admin/orders/limit/", ticked).content.decode()
        saved(admin, "orders/limit/", {**ticked, "post": "yes", "reason": "A new year"})
    assert not Limit.objects.exists()
    assert [(event.kind, event.actor, event.data["reason"]) for event in events] == [("limit.removed", root, "A new year")] * 2


def test_a_limit_that_becomes_another_scopes_needs_a_reason(desk: Desk, admin: Client) -> None:
    row = make_limit("MAX_QUANTITY", "7")
    data = {"scope": "account", "account": str(desk.account.pk), "rule": "MAX_QUANTITY", "value": "7", "note": ""}
    response = admin.post(f"/admin/orders/limit/{row.pk}/change/", data)
    assert "note" in response.context["adminform"].form.errors
    saved(admin, f"orders/limit/{row.pk}/change/", {**data, "note": "It was for this one alone"})


def test_a_trading_state_is_not_released_as_a_limit_is_changed(desk: Desk, admin: Client) -> None:
    row = make_limit("TRADING_STATE", "2", account=desk.account)
    path = f"/admin/orders/limit/{row.pk}"
    assert admin.get(f"{path}/change/").status_code == 200  # to read
    data = {"scope": "account", "account": str(desk.account.pk), "rule": "TRADING_STATE", "value": "0", "note": "Go on"}
    assert admin.post(f"{path}/change/", data).status_code == 403
    assert admin.post(f"{path}/delete/", {"post": "yes", "reason": "Go on"}).status_code == 403
    ticked = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes", "reason": "Go on"}
    assert admin.post("/admin/orders/limit/", ticked).status_code == 403
    response = admin.post("/admin/orders/limit/add/", {**data, "scope": "desk", "account": ""})
    assert "rule" in response.context["adminform"].form.errors
    assert Limit.objects.get().value == 2


def test_limits_of_accounts_that_a_clerk_does_not_see_are_not_his_to_set(desk: Desk) -> None:
    make_limit("MAX_QUANTITY", "7", account=desk.account)
    own = make_limit("MAX_QUANTITY", "8")
    clerk = make_user("clerk", is_staff=True)
    clerk.user_permissions.add(*Permission.objects.filter(codename__in=("view_limit", "add_limit", "change_limit", "delete_limit")))
    client = Client()
    client.force_login(clerk)
    assert list(client.get("/admin/orders/limit/").context["cl"].queryset) == [own]
    data = {"scope": "account", "account": str(desk.account.pk), "rule": "MAX_POSITION", "value": "7", "note": "Mine"}
    assert "account" in client.post("/admin/orders/limit/add/", data).context["adminform"].form.errors


def test_a_user_is_added_changed_and_switched_off_with_events(desk: Desk, admin: Client, root: Any) -> None:
    password = "correct horse battery staple 9"
    with new_events() as events:
        saved(admin, "auth/user/add/", {"username": "trader", "password1": password, "password2": password, "usable_password": "true"})
        user = User.objects.get(username="trader")
        assert user.check_password(password)
        group = Group.objects.create(name="night shift")
        data = {"username": "trader", "is_active": "", "groups": [group.pk], "date_joined_0": "2026-03-02", "date_joined_1": "10:00:00"}
        saved(admin, f"auth/user/{user.pk}/change/", data)
    user.refresh_from_db()
    assert not user.is_active
    assert list(user.groups.all()) == [group]
    assert [(event.kind, event.actor) for event in events] == [("user.added", root), ("user.changed", root)]
    assert {"is_active", "groups"} <= set(events[1].data["changed"])
    assert password not in str([event.data for event in events])
    for event in events:
        assert Feed.objects.filter(seq=event.seq, topic="access", user=user).exists()


def test_a_new_password_is_an_event_that_does_not_say_it(desk: Desk, admin: Client, root: Any) -> None:
    user = make_user("trader")
    password = "correct horse battery staple 9"
    with new_events() as events:
        saved(admin, f"auth/user/{user.pk}/password/", {"password1": password, "password2": password, "usable_password": "true"})
    assert [(event.kind, event.text) for event in events] == [("user.changed", "trader: password")]
    assert User.objects.get(pk=user.pk).check_password(password)


def test_nobody_is_deleted(desk: Desk, admin: Client) -> None:
    user = make_user("trader")
    assert admin.post(f"/admin/auth/user/{user.pk}/delete/", {"post": "yes"}).status_code == 403
    assert User.objects.filter(pk=user.pk).exists()


@pytest.mark.django_db(transaction=True)
def test_the_books_lock_is_taken_first_outside_of_any_test_transaction(root: Any) -> None:
    """Django wraps these views in a transaction of its own; inside one the book refuses to open."""
    client = Client(raise_request_exception=True)
    client.force_login(root)
    desk = a_desk()
    trader = make_user("trader")
    saved(client, "orders/accountaccess/add/", {"user": trader.pk, "account": desk.account.pk, "level": "view"})
    saved(client, f"orders/accountaccess/{AccountAccess.objects.get().pk}/delete/", {"post": "yes"})
    password = "correct horse battery staple 9"
    saved(client, "auth/user/add/", {"username": "second", "password1": password, "password2": password, "usable_password": "true"})
    saved(client, f"auth/user/{trader.pk}/password/", {"password1": password, "password2": password, "usable_password": "true"})


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        ({"symbol": " aapl "}, ""),
        ({"sec_type": "opt"}, ""),
        ({}, "symbol"),
        ({"symbol": "AAPL", "scope": "user"}, "user"),
        ({"symbol": "AAPL", "kind": "perhaps"}, "kind"),
    ],
)
def test_an_instrument_is_allowed_or_restricted_for_somebody(desk: Desk, admin: Client, data: dict[str, str], wrong: str) -> None:
    sent = {"kind": "restricted", "scope": "desk", "account": "", "user": "", "symbol": "", "sec_type": "", "note": "", **data}
    with new_events() as events:
        response = admin.post("/admin/orders/instrumentrule/add/", sent)
    if wrong:
        assert wrong in response.context["adminform"].form.errors and events == []
        return
    row = InstrumentRule.objects.get()
    assert (row.symbol, row.sec_type) == (data.get("symbol", "").strip().upper(), data.get("sec_type", "").upper())
    with new_events() as later:
        saved(admin, f"orders/instrumentrule/{row.pk}/change/", {**sent, "note": "watch list"})
        admin.post(f"/admin/orders/instrumentrule/{row.pk}/delete/", {"post": "yes"})  # says no reason
        assert InstrumentRule.objects.exists()
        saved(admin, f"orders/instrumentrule/{row.pk}/delete/", {"post": "yes", "reason": "Earnings are over"})
    assert [event.kind for event in (*events, *later)] == ["instrument_rule.set", "instrument_rule.set", "instrument_rule.removed"]
