"""Flatten, the kill switch, trading states and their reports, as pages: what is listed first, who may, and what the report says."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from orders.models import BrokerCommand, Gateway, Limit, OrderRecord, Sweep
from orders.rules.terms import CommandKind, GatewayState, Role
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


def words(answer: Any) -> str:
    return answer.content.decode()


def boss(seats: Seats) -> Client:
    """Who may halt the desk and release it, and trades nothing himself."""
    user = factories.make_user("boss", first_name="Boss")
    user.user_permissions.add(*Permission.objects.filter(codename__in=["halt_desk", "release_trading"]))
    factories.grant(user, seats.account, factories.AccessLevel.VIEW, at=seats.now)
    return signed_in(user)


def restrain(value: str, **whose: Any) -> None:
    factories.make_limit("TRADING_STATE", value, **whose)


# --- close and reverse ------------------------------------------------------------------------------------------------------------------


def place(name: str, seats: Seats) -> str:
    return reverse(name, args=[seats.account.code, seats.contract.con_id])


def test_a_part_says_what_is_made_smaller_and_what_stays(seats: Seats, client: Client) -> None:
    seats.position("100")
    seats.oca_pair()
    page = words(client.get(place("close", seats) + "?percent=50"))
    assert "Made smaller first, to 50: SELL 100 AAPL STP 98.00" in page
    assert "Then SELL 50 AAPL at the market" in page
    assert "+50 stay." in page
    assert 'name="percent" value="50"' in page


def test_a_part_is_closed(seats: Seats, client: Client) -> None:
    seats.position("100")
    client.post(place("close", seats), fresh(percent="25"))
    order = OrderRecord.objects.get(role=Role.CLOSE)
    assert order.quantity == 25


@pytest.mark.parametrize("percent", ["0", "101", "abc", "-5", "1e1"])
def test_a_percentage_that_makes_no_sense_closes_nothing(seats: Seats, client: Client, percent: str) -> None:
    seats.position("100")
    answer = client.post(place("close", seats), fresh(percent=percent), **HTMX)
    assert answer.status_code == 422
    assert "must be a number above 0 and at most 100" in words(answer)
    assert not OrderRecord.objects.exists()


def test_reversing_says_that_it_opens_a_position_and_does_it(seats: Seats, client: Client) -> None:
    seats.position("100")
    page = words(client.get(place("reverse", seats)))
    assert "Then SELL 200 AAPL at the market" in page
    assert "Afterwards −100 stand there, without stop or target" in page
    client.post(place("reverse", seats), fresh())
    assert OrderRecord.objects.get().role == Role.REVERSE


# --- flatten ----------------------------------------------------------------------------------------------------------------------------


def test_flattening_lists_each_position_and_then_leads_to_its_report(seats: Seats, client: Client) -> None:
    seats.position("100")
    seats.oca_pair()
    page = words(client.get(reverse("flatten"), {"account": seats.account.code}))
    assert "+100 AAPL" in page
    assert "SELL 100, about 9,999.00 USD at the last quote. 2 orders are cancelled first." in page
    assert "Close 1 position at the market" in page
    answer = client.post(reverse("flatten"), fresh(account=seats.account.code), **HTMX)
    sweep = Sweep.objects.get()
    assert answer["HX-Redirect"] == reverse("sweep", args=[sweep.pk])
    report = words(client.get(reverse("sweep", args=[sweep.pk])))
    assert f"Flatten: all positions in {seats.account.code}" in report
    assert "UNDER WAY" in report
    assert "The broker has confirmed 0 of 3." in report
    assert "Waits until its exits are out of the way." in report


def test_flattening_without_javascript_goes_to_the_report(seats: Seats, client: Client) -> None:
    seats.position("100")
    answer = client.post(reverse("flatten"), fresh(account=seats.account.code, percent="50"), follow=True)
    assert "Flatten 50 %: all positions" in words(answer)
    assert OrderRecord.objects.get().quantity == 50


def test_filters_that_match_nothing_say_so(seats: Seats, client: Client) -> None:
    seats.position("100")
    page = words(client.get(reverse("flatten"), {"account": seats.account.code, "side": "SHORT"}))
    assert "There is no position of this kind." in page
    assert "at the market</button>" not in page


def test_an_account_that_one_may_only_see_is_not_flattened(seats: Seats) -> None:
    seats.position("100")
    viewer = signed_in(seats.viewer)
    assert viewer.get(reverse("flatten")).status_code == 403
    assert viewer.post(reverse("flatten"), fresh()).status_code == 403
    assert signed_in(seats.stranger).get(reverse("flatten"), {"account": seats.account.code}).status_code in (403, 404)


def test_an_old_page_flattens_nothing(seats: Seats, client: Client) -> None:
    seats.position("100")
    answer = client.post(reverse("flatten"), fresh(rendered_at="2020-01-01T00:00:00+00:00"), **HTMX)
    assert answer.status_code == 422
    assert not Sweep.objects.exists()


# --- kill -------------------------------------------------------------------------------------------------------------------------------


def test_the_switch_is_on_every_page_of_whoever_may_use_it(seats: Seats, client: Client) -> None:
    for name in ("desk", "positions", "history", "executions", "recovery", "sweeps"):
        assert 'id="kill"' in words(client.get(reverse(name))), name
    assert 'id="kill"' not in words(signed_in(seats.viewer).get(reverse("desk")))
    assert 'id="kill"' in words(boss(seats).get(reverse("desk")))


def test_it_counts_what_is_in_reach_and_offers_only_what_one_may(seats: Seats, client: Client) -> None:
    seats.position("100")
    seats.order()
    page = words(client.get(reverse("kill")))
    assert f"Account {seats.account.code}" in page and "Your own trading" in page and "The whole desk" not in page
    assert "1 open order is cancelled." in page
    assert "Positions in reach: +100 AAPL." in page
    assert "The whole desk" in words(boss(seats).get(reverse("kill")))
    assert signed_in(seats.viewer).get(reverse("kill")).status_code == 403


def test_it_halts_cancels_and_reports(seats: Seats, client: Client) -> None:
    order, unsent = seats.order(), seats.order(status="PENDING")
    answer = client.post(reverse("kill"), fresh(scope="account", reason="Fat finger"), **HTMX)
    sweep = Sweep.objects.get()
    assert "HX-Redirect" not in answer, "one stays on the page that one is on"
    assert "Halted: account DU1000417." in words(answer)
    assert f'<a href="{reverse("sweep", args=[sweep.pk])}">Report</a>' in words(answer)
    assert Limit.objects.get().value == 2
    assert BrokerCommand.objects.get(order=order, kind=CommandKind.CANCEL).state == "PENDING"
    report = words(client.get(reverse("sweep", args=[sweep.pk])))
    assert "Kill switch for account" in report and "Fat finger" in report
    assert "The cancel waits to be sent." in report
    desk = words(client.get(reverse("desk")))
    assert desk.count("HALTED") >= 2, "the pill and the strip"
    assert f'href="{reverse("sweep", args=[sweep.pk])}"' in desk
    assert unsent.pk in sweep.data["cancelled"]


def test_it_works_on_an_old_page_and_without_the_gateway(seats: Seats, client: Client) -> None:
    Gateway.objects.update(state=GatewayState.DOWN.value)
    seats.order()
    page = words(client.get(reverse("kill")))
    assert "The halt holds at once; cancels wait here" in page
    client.post(reverse("kill"), fresh(scope="account", reason="x", rendered_at="2020-01-01T00:00:00+00:00"))
    report = words(client.get(reverse("sweep", args=[Sweep.objects.get().pk])))
    assert "Cancels wait here and go out as soon as the gateway is back" in report


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"scope": "account"}, "Say why."), ({"scope": "desk", "reason": "x"}, "Choose what is to be halted."), ({"reason": "x"}, "Choose")],
)
def test_without_a_reason_or_a_scope_nothing_happens(seats: Seats, client: Client, fields: dict[str, str], message: str) -> None:
    answer = client.post(reverse("kill"), fresh(**fields), **HTMX)
    assert answer.status_code == 422 and message in words(answer)
    assert not Sweep.objects.exists()


def test_a_lost_answer_is_found_by_its_key(seats: Seats, client: Client) -> None:
    fields = fresh(scope="account", reason="x")
    client.post(reverse("kill"), fields)
    found = client.get(reverse("submission", args=[fields["key"]])).json()
    assert found["url"] == reverse("sweep", args=[Sweep.objects.get().pk])


# --- the report -------------------------------------------------------------------------------------------------------------------------


def test_a_report_shows_only_orders_of_accounts_that_one_may_see(seats: Seats) -> None:
    seats.order()
    boss(seats).post(reverse("kill"), fresh(scope="desk", reason="Outage"))
    sweep = Sweep.objects.get()
    assert "100 AAPL" in words(signed_in(seats.viewer).get(reverse("sweep", args=[sweep.pk])))
    stranger = signed_in(seats.stranger)
    assert stranger.get(reverse("sweep", args=[sweep.pk])).status_code == 404
    other = factories.make_account(at=seats.now)
    factories.grant(seats.stranger, other, at=seats.now)
    page = words(stranger.get(reverse("sweep", args=[sweep.pk])))
    assert "100 AAPL" not in page and "1 more is of an account that you may not see." in page


def test_the_report_of_an_account_is_not_for_others(seats: Seats, client: Client) -> None:
    client.post(reverse("kill"), fresh(scope="user", reason="x"))
    pk = Sweep.objects.get().pk
    assert client.get(reverse("sweep", args=[pk])).status_code == 200
    assert signed_in(seats.viewer).get(reverse("sweep", args=[pk])).status_code == 404
    assert "Kill switch for user" in words(client.get(reverse("sweeps")))
    assert "None yet." in words(signed_in(seats.viewer).get(reverse("sweeps")))


def test_the_panel_answers_for_any_scope(client: Client) -> None:
    for scope in ("", "abc", "999"):
        assert client.get(reverse("panel", args=["sweep"]), {"scope": scope}).status_code == 200


# --- trading states ---------------------------------------------------------------------------------------------------------------------


def test_a_halt_is_released_by_who_may_with_a_reason(seats: Seats, client: Client) -> None:
    client.post(reverse("kill"), fresh(scope="account", reason="Fat finger"))
    assert "Release…" not in words(client.get(reverse("desk")))
    named = {"scope": "account", "account": seats.account.code}
    assert "You may not change the trading state" in words(client.get(reverse("trading"), named))
    officer = boss(seats)
    assert "Release…" in words(officer.get(reverse("desk")))
    assert officer.post(reverse("trading"), fresh(state="ACTIVE", reason=" ", **named), **HTMX).status_code == 422
    page = officer.post(reverse("trading"), fresh(state="ACTIVE", reason="Looked at it", **named), **HTMX)
    assert "HX-Redirect" not in page, "one stays on the page that one is on"
    assert "Recorded: the trading of account DU1000417 is ACTIVE." in words(page)
    assert Limit.objects.get().value == 0
    report = words(client.get(reverse("sweep", args=[Sweep.objects.get().pk])))
    assert "Released by boss: Looked at it" in report
    assert "HALTED" not in words(client.get(reverse("desk")))


def test_a_trader_may_hold_his_account_back_without_a_cancel(seats: Seats, client: Client) -> None:
    seats.order()
    client.post(reverse("trading"), fresh(scope="account", account=seats.account.code, state="REDUCE_ONLY", reason="Earnings"))
    assert Limit.objects.get().value == 1
    assert not BrokerCommand.objects.filter(kind=CommandKind.CANCEL).exists()
    assert "REDUCE ONLY" in words(client.get(reverse("desk")))
    assert client.get(reverse("trading"), {"scope": "user", "user": "boss"}).status_code == 404
    assert "You may not change the trading state of the desk" in words(client.get(reverse("trading"), {"scope": "desk"}))


@pytest.mark.parametrize(
    ("referer", "leads"),
    [
        ("http://testserver/risk/?account=DU1000417", "/risk/?account=DU1000417"),
        ("http://testserver/trading/?scope=account", "/"),
        ("http://elsewhere.example/risk/", "/"),
        ("", "/"),
    ],
)
def test_without_javascript_one_comes_back_to_the_page_that_one_was_on(seats: Seats, client: Client, referer: str, leads: str) -> None:
    named = {"scope": "account", "account": seats.account.code}
    asked = words(client.get(reverse("trading"), named, headers={"referer": referer}))
    assert f'name="back" value="{leads}"' in asked
    answer = client.post(reverse("trading"), fresh(state="REDUCE_ONLY", reason="Earnings", back=leads, **named))
    assert answer.url == leads
