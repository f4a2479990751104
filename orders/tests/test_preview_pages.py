"""The preview on the page: what it shows, what its form sends, and what becomes of it when something has changed meanwhile."""

from __future__ import annotations

import ast
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

import orders.pages
from orders.models import Event, Inquiry, OrderRecord, Preview, Submission
from orders.pages.forms.ticket import default_initial
from orders.rules.terms import AccessLevel
from orders.tests import factories
from orders.tests.seats import Seats, fresh, looked_at, sealed, signed_in, take_seats

pytestmark = pytest.mark.django_db

HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def seats() -> Seats:
    return take_seats()


@pytest.fixture
def client(seats: Seats) -> Client:
    return signed_in(seats.trader)


def filled_in(seats: Seats, **fields: Any) -> dict[str, Any]:
    values = {"account": seats.account.code, "symbol": "AAPL", "con_id": seats.contract.con_id, "side": "BUY", "quantity": "10"}
    return {**fresh(**values, order_type="LMT", limit_price="99.50", time_in_force="DAY"), **fields}


def post(client: Client, fields: dict[str, Any], **headers: str) -> Any:
    return client.post(reverse("ticket"), fields, **headers)


def words(answer: Any) -> str:
    return answer.content.decode().replace("&#x27;", "'")


# --- what it shows --------------------------------------------------------------------------------------------------------------------


def test_htmx_gets_the_preview_alone_and_the_ticket_keeps_what_was_typed(seats: Seats, client: Client) -> None:
    fields = filled_in(seats)
    answer = looked_at(client, fields, **HTMX)
    page = words(answer)
    assert answer.status_code == 200
    assert page.startswith('<section class="preview" id="ticket-preview"')
    assert "BUY 10 AAPL LMT 99.50 DAY, account DU…417" in page
    assert "Margin: asking IB" in page
    assert 'id="ticket-form"' not in page
    assert f'name="key" value="{fields["key"]}"' in page
    assert OrderRecord.objects.count() == 0


def test_without_htmx_it_is_a_page_with_a_send_button(seats: Seats, client: Client) -> None:
    page = words(looked_at(client, filled_in(seats)))
    assert "<html" in page
    assert 'id="preview-send"' in page
    assert '<input type="hidden" name="limit_price" value="99.50">' in page


def test_a_fault_goes_back_to_the_whole_ticket_and_htmx_is_told_where(seats: Seats, client: Client) -> None:
    answer = looked_at(client, filled_in(seats, quantity=""), **HTMX)
    assert (answer.status_code, answer["HX-Retarget"], answer["HX-Reswap"]) == (422, "#ticket-panel", "outerHTML")
    assert "Give a quantity." in words(answer)
    assert Preview.objects.count() == 0


def test_what_would_be_refused_says_so_beside_its_field_and_in_the_preview(seats: Seats, client: Client) -> None:
    answer = looked_at(client, filled_in(seats, quantity="20000"), **HTMX)
    page = words(answer)
    assert answer.status_code == 422
    assert "MAX_QUANTITY" in " ".join(answer.context["form"].errors["quantity"])
    assert "MAX_QUANTITY · limit 10,000, this: 20,000" in page
    assert 'id="preview-send" disabled data-locked' in page


def test_limits_used_and_cautions_are_shown(seats: Seats, client: Client) -> None:
    seats.position("-4")
    answer = looked_at(client, filled_in(seats))
    page = words(answer)
    assert "−4 → +6" in page
    assert "This crosses zero" in page
    used = {one.rule: (one.words, one.is_over) for one in answer.context["preview"].usage}
    assert used["MAX_QUANTITY"] == ("10 / 10,000", False)
    assert "Order quantity" in page


# --- what is sent ---------------------------------------------------------------------------------------------------------------------


def test_nothing_goes_without_a_preview(seats: Seats, client: Client) -> None:
    answer = post(client, filled_in(seats))
    assert answer.status_code == 422
    assert "Nothing was sent: look at the preview first, then send." in words(answer)
    assert OrderRecord.objects.count() == 0
    assert post(client, sealed(answer)).status_code == 302


def test_what_was_shown_goes_with_its_seal_in_the_record(seats: Seats, client: Client) -> None:
    form = sealed(looked_at(client, filled_in(seats, note="why")))
    assert post(client, form).status_code == 302
    order = OrderRecord.objects.get()
    assert (order.note, order.created_by) == ("why", seats.trader)
    assert Event.objects.get(kind="order.placed").data["seal"] == form["seal"]


def test_a_bracket_on_the_market_goes_with_the_prices_that_were_shown(seats: Seats, client: Client) -> None:
    """Read again, its exits would be counted from the quote of now."""
    fields = {**default_initial(), **filled_in(seats, order_type="MKT", limit_price="", bracket="on")}
    form = sealed(looked_at(client, fields))
    shown = Preview.objects.get().basis["request"]
    factories.make_quote(seats.contract, bid="100.30", ask="100.32", last="100.31", at=timezone.now())
    assert post(client, form).status_code == 302
    prices = {order.stop_price or order.limit_price for order in OrderRecord.objects.exclude(order_type="MKT")}
    assert {str(price.normalize()) for price in prices if price} == {shown["pairs"][0]["stop_price"], shown["pairs"][0]["target_price"]}


@pytest.mark.parametrize("changed", [{"quantity": "11"}, {"limit_price": "99.51"}, {"side": "SELL"}, {"time_in_force": "GTC"}])
def test_a_form_that_says_something_else_than_its_preview_is_shown_again(seats: Seats, client: Client, changed: dict[str, str]) -> None:
    answer = post(client, {**sealed(looked_at(client, filled_in(seats))), **changed})
    assert answer.status_code == 422
    assert "the ticket is not what the preview showed" in words(answer)
    assert OrderRecord.objects.count() == 0
    assert post(client, sealed(answer)).status_code == 302


def test_a_quote_that_moved_is_shown_old_and_new_and_goes_the_second_time(seats: Seats, client: Client) -> None:
    form = sealed(looked_at(client, filled_in(seats)))
    factories.make_quote(seats.contract, bid="101.98", ask="102.00", last="101.99", at=timezone.now())
    answer = post(client, form, **HTMX)
    assert answer.status_code == 422
    assert "QUOTE_MOVED" in words(answer)
    assert "<s>100.01</s> → <b>102</b>" in words(answer)
    assert OrderRecord.objects.count() == 0
    again = sealed(answer)
    assert again["key"] != form["key"]
    assert post(client, again).status_code == 302


def test_a_limit_that_was_set_meanwhile_is_shown_with_the_refusal_it_means(seats: Seats, client: Client) -> None:
    form = sealed(looked_at(client, filled_in(seats)))
    factories.make_limit("MAX_QUANTITY", "5", at=timezone.now())
    page = words(post(client, form))
    assert "LIMITS_CHANGED" in page
    assert "<s>10000</s> → <b>5</b>" in page
    assert "MAX_QUANTITY · limit 5, this: 10" in page


def test_the_preview_of_a_colleague_sends_nothing(seats: Seats, client: Client) -> None:
    form = sealed(looked_at(client, filled_in(seats)))
    colleague = factories.make_trader(seats.account)
    answer = post(signed_in(colleague), form)
    assert "SEAL_FOREIGN" in words(answer)
    assert OrderRecord.objects.count() == 0


def test_a_second_tab_with_the_same_preview_makes_no_second_order(seats: Seats, client: Client) -> None:
    form = sealed(looked_at(client, filled_in(seats)))
    post(client, form)
    answer = post(client, {**form, "key": "another", "confirm_duplicate": "on"})
    assert "SEAL_USED" in words(answer)
    assert OrderRecord.objects.count() == 1


def test_a_ticket_whose_fate_is_open_keeps_its_key_through_a_second_preview(seats: Seats, client: Client) -> None:
    fields = filled_in(seats)
    first, second = sealed(looked_at(client, fields)), sealed(looked_at(client, fields))
    assert first["key"] == second["key"] and first["seal"] != second["seal"]
    assert [post(client, form).status_code for form in (first, second)] == [302, 302]
    assert OrderRecord.objects.count() == 1


def test_a_tab_that_was_restored_is_told_that_its_ticket_was_sent(seats: Seats, client: Client) -> None:
    fields = filled_in(seats)
    post(client, sealed(looked_at(client, fields)))
    answer = looked_at(client, fields)
    assert "This ticket was sent before" in words(answer)
    assert sealed(answer)["key"] != fields["key"]


def test_a_refused_key_is_not_offered_again(seats: Seats, client: Client) -> None:
    form = sealed(looked_at(client, filled_in(seats)))
    Preview.objects.all().delete()
    answer = post(client, form)
    assert "SEAL_UNKNOWN" in words(answer)
    assert Submission.objects.get().key == form["key"] != sealed(answer)["key"]


# --- the margin -----------------------------------------------------------------------------------------------------------------------


def margin(client: Client) -> str:
    return words(client.get(reverse("preview_margin", args=[Preview.objects.get().seal])))


def test_the_page_asks_for_the_margin_until_it_is_there(seats: Seats, client: Client) -> None:
    looked_at(client, filled_in(seats))
    assert 'hx-trigger="load delay:300ms"' in margin(client)
    answer = {"initial_margin_before": "0", "initial_margin_change": "250", "initial_margin_after": "250", "commission": "1"}
    answer |= {"equity_with_loan_after": "1000", "maintenance_margin_after": "150", "commission_currency": "USD"}
    Inquiry.objects.update(state=Inquiry.State.ANSWERED, answer=answer)
    page = margin(client)
    assert "hx-get" not in page
    assert "+250.00" in page and "850.00" in page and "as IB says" in page


def test_the_margin_is_unknown_when_ib_is_silent_or_refuses(seats: Seats, client: Client) -> None:
    looked_at(client, filled_in(seats))
    Inquiry.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert "Margin unknown. IB did not answer." in margin(client)
    Inquiry.objects.update(expires_at=timezone.now() + timedelta(seconds=5), state=Inquiry.State.FAILED, error="no margin")
    assert "Margin unknown. no margin" in margin(client)


def test_within_a_minute_the_page_says_when_ib_may_be_asked_again(seats: Seats, client: Client) -> None:
    looked_at(client, filled_in(seats))
    page = words(looked_at(client, filled_in(seats)))
    assert "Margin unknown. IB asks for at most one what-if a minute; next possible at" in page
    Inquiry.objects.update(state=Inquiry.State.ANSWERED, answer={"initial_margin_change": "250"})
    page = words(looked_at(client, filled_in(seats, quantity="20")))
    assert "estimate" in page and "+500.00" in page
    assert Inquiry.objects.count() == 1


def test_the_margin_of_somebody_elses_preview_is_not_found(seats: Seats, client: Client) -> None:
    looked_at(client, filled_in(seats))
    address = reverse("preview_margin", args=[Preview.objects.get().seal])
    assert signed_in(seats.viewer).get(address).status_code == 404


# --- no view places otherwise -----------------------------------------------------------------------------------------------------------

PLACING = {"place_order", "place_bracket", "place_bracket_ticket", "place_market_order", "place_limit_order", "place_stop_order"}
PLACING |= {"place_stop_limit_order", "place_exits"}
ASKED_BEFORE = {
    "close_position",
    "reverse_position",
    "repair_protection",
    "send_again",
    "flatten",
    "kill",
}
"""Verbs whose questions over the page have stamps of their own: they name what they do, and what they rest on, themselves."""


def test_no_view_places_without_a_seal_or_an_arming() -> None:
    found = {}
    for path in sorted(Path(orders.pages.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Attribute) or not node.attr.startswith("place_") or node.attr in ASKED_BEFORE:
                continue
            assert node.attr in PLACING, f"{path.name}: {node.attr} is new; does it need a seal?"
            found[path.name, node.lineno] = node.attr
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        for call in calls:
            if isinstance(call.func, ast.Attribute) and call.func.attr in PLACING:
                named = {keyword.arg for keyword in call.keywords}
                assert {"seal", "armed"} <= named, f"{path.name}, line {call.lineno}: {call.func.attr} without seal and armed"
                found.pop((path.name, call.func.lineno))
    assert not found, f"a placing verb is taken without being called: {found}"


def test_the_view_that_places_asks_for_one_of_them(seats: Seats, client: Client) -> None:
    """Neither a seal nor a token, an empty seal, an invented token: nothing is placed."""
    for more in ({}, {"seal": ""}, {"seal": "0" * 64}, {"arming": "invented"}, {"arming": "", "armed": "on"}):
        assert post(client, filled_in(seats, **more)).status_code == 422
    assert OrderRecord.objects.count() == 0


# --- one click ------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def armed(seats: Seats, client: Client) -> str:
    """The token of a page that is armed."""
    from django.contrib.auth.models import Permission

    seats.trader.user_permissions.add(Permission.objects.get(codename="trade_armed"))
    return token_of(client, seats)


def token_of(client: Client, seats: Seats) -> str:
    answer = client.post(reverse("arm"), {"account": seats.account.code}, **HTMX)
    assert "ARMED" in words(answer)
    return str(answer.context["token"])


def test_an_armed_ticket_goes_with_one_click_and_the_record_says_so(seats: Seats, client: Client, armed: str) -> None:
    answer = post(client, filled_in(seats, arming=armed), **HTMX)
    assert answer.status_code == 200
    assert "Accepted, on its way: BUY 10 AAPL" in words(answer)
    assert answer["HX-Retarget"] == "#ticket-panel"  # the ticket's form expects a preview
    data = Event.objects.get(kind="order.placed").data
    assert data["armed"] is True and "seal" not in data
    assert 'hx-swap-oob="innerHTML:#ticket-armed"' in words(answer)  # its fifteen minutes begin anew


def test_an_armed_ticket_is_one_order_for_its_key_and_asks_back_for_a_second_like_it(seats: Seats, client: Client, armed: str) -> None:
    fields = filled_in(seats, arming=armed)
    assert [post(client, fields, **HTMX).status_code for _again in range(3)] == [200, 200, 200]
    answer = post(client, filled_in(seats, arming=armed), **HTMX)
    assert answer.status_code == 422
    assert "Yes, I mean a second, identical order" in words(answer)
    assert OrderRecord.objects.count() == 1


def test_an_armed_ticket_that_is_old_or_whose_quote_is_old_is_looked_at_first(seats: Seats, client: Client, armed: str) -> None:
    old = (timezone.now() - timedelta(seconds=61)).isoformat()
    answer = post(client, filled_in(seats, arming=armed, rendered_at=old), **HTMX)
    assert (answer.status_code, "older than a minute" in words(answer), "preview" in answer.context) == (422, True, True)
    factories.make_quote(seats.contract, at=timezone.now() - timedelta(seconds=61))
    assert "the quote is too old" in words(post(client, filled_in(seats, arming=armed), **HTMX))
    assert OrderRecord.objects.count() == 0


def test_an_armed_ticket_passes_the_same_checks(seats: Seats, client: Client, armed: str) -> None:
    answer = post(client, filled_in(seats, arming=armed, quantity="20000"), **HTMX)
    assert "MAX_QUANTITY" in words(answer)
    assert OrderRecord.objects.count() == 0


def test_who_may_not_is_not_armed(seats: Seats, client: Client) -> None:
    assert "You may not send orders with one click." in words(client.post(reverse("arm"), {"account": seats.account.code}, **HTMX))
    assert 'id="ticket-arming"' not in words(client.get(reverse("desk")))
    assert signed_in(seats.viewer).post(reverse("arm"), {"account": seats.account.code}, **HTMX).status_code == 403
    assert signed_in(seats.stranger).post(reverse("arm"), {"account": seats.account.code}, **HTMX).status_code == 404


def ended(client: Client, seats: Seats, token: str, **fields: Any) -> str:
    answer = post(client, filled_in(seats, arming=token, **fields), **HTMX)
    assert answer.status_code == 422
    assert OrderRecord.objects.count() == 0
    assert '<div hx-swap-oob="innerHTML:#ticket-armed"></div>' in words(answer)
    return words(answer)


def test_a_token_is_for_one_session_user_and_account(seats: Seats, client: Client, armed: str) -> None:
    assert "another session" in ended(signed_in(seats.trader), seats, armed)
    assert "another account, or another session" in ended(signed_in(factories.make_trader(seats.account)), seats, armed)
    other = factories.make_account("DU1000902", at=seats.now)
    factories.grant(seats.trader, other, AccessLevel.TRADE)
    assert "it was for another account" in ended(client, seats, armed, account="DU1000902")
    assert "One-click mode has ended." in ended(client, seats, armed[:-1] + ("A" if armed[-1] != "A" else "B"))


def test_it_ends_after_fifteen_idle_minutes(seats: Seats, client: Client, armed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    later = time.time() + 15 * 60 + 1
    monkeypatch.setattr("django.core.signing.time.time", lambda: later)
    assert "nothing was sent for 15 minutes" in ended(client, seats, armed)


def test_it_ends_with_the_disarming_in_every_tab(seats: Seats, client: Client, armed: str) -> None:
    other = token_of(client, seats)
    assert 'name="arming"' not in words(client.post(reverse("disarm"), **HTMX))
    for token in (armed, other):
        ended(client, seats, token)


def test_it_ends_where_trading_is_held_back_and_with_the_permission(seats: Seats, client: Client, armed: str) -> None:
    limit = factories.make_limit("TRADING_STATE", "1", account=seats.account, at=timezone.now())
    assert "no one-click mode while trading is held back" in ended(client, seats, armed)
    limit.delete()
    seats.trader.user_permissions.clear()
    assert "You may not send orders with one click." in ended(client, seats, armed)


def test_no_page_is_ever_rendered_armed(seats: Seats, client: Client, armed: str) -> None:
    pages = [client.get(reverse("desk")), client.get(reverse("ticket")), client.get(reverse("ticket"), {"arming": armed})]
    pages.append(client.get(reverse("ticket_contract", args=[seats.contract.con_id]), {"arming": armed}))
    pages.append(looked_at(client, filled_in(seats, arming=armed)))
    for page in pages:
        assert 'name="arming"' not in words(page) and "data-armed" in words(page)
    assert client.post(reverse("arm"), {"account": seats.account.code}).status_code == 302  # without JavaScript there is none
