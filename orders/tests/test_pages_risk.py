"""The risk page: who is shown what of limits, states, refusals and changes; setting a limit; sizing without a ticket."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from orders import lease, losses, outbox, queries, replay, risk
from orders.book import book
from orders.errors import Refused
from orders.manager import OrderManager
from orders.models import Account, AccountValue, BrokerId, Event, Feed, InstrumentRule, Limit, Quote
from orders.models.book import Source
from orders.pages.panels import PANELS
from orders.queries import ChangeFilters
from orders.risk.limits import GROUPS
from orders.rules.limits import RULES, Rule, loosens
from orders.rules.sizing import ENOUGH_TRADES
from orders.rules.terms import GatewayState, Side
from orders.tests.factories import a_key, grant, make_account, make_contract, make_limit, make_trader, make_user, make_values
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
    return " ".join(answer.content.decode().split())


def may(user: User, *names: str) -> User:
    """The user with these permissions; read again, because Django keeps them."""
    user.user_permissions.add(*Permission.objects.filter(codename__in=names))
    return User.objects.get(pk=user.pk)


def row_of(seats: Seats, rule: Rule, user: User | None = None) -> Any:
    view = risk.limits(user or seats.trader, seats.account, timezone.now())
    assert view is not None
    return next(row for row in view.rows if row.code == rule.value)


def refused(seats: Seats, quantity: str = "20000", user: User | None = None, account: Account | None = None) -> Refused:
    with pytest.raises(Refused) as caught:
        OrderManager(user or seats.trader).place_limit_order(
            account or seats.account, seats.contract, Side.BUY, D(quantity), D("99.50"), key=a_key()
        )
    return caught.value


# --- limits ---------------------------------------------------------------------------------------------------------------------------


def test_every_rule_stands_in_one_group() -> None:
    grouped = [rule for _, _, rules in GROUPS for rule in rules]
    assert sorted(grouped) == sorted(RULES)


def test_a_default_says_so_and_a_row_says_who_set_it_when_and_why(seats: Seats) -> None:
    assert row_of(seats, Rule.MAX_QUANTITY).source.whose == "built-in default"
    setter = may(seats.trader, "change_limit")
    before = timezone.now()
    OrderManager(setter).set_limit("MAX_QUANTITY", D(500), key=a_key(), scope="account", account=seats.account, note="Thin books this week")
    make_limit("MAX_QUANTITY", "800")
    row = row_of(seats, Rule.MAX_QUANTITY)
    assert (row.limit, row.source.whose, row.source.by, row.source.why) == (
        "500",
        f"account {seats.account.short}",
        "trader",
        "Thin books this week",
    )
    assert row.source.at is not None and row.source.at.at >= before
    assert [(other.whose, other.value) for other in row.others] == [("the desk", "800")]


@pytest.mark.parametrize(
    ("limit", "level", "share"), [("134", "", 74), ("133", "warn", 75), ("101", "warn", 99), ("100", "bad", 100), ("50", "bad", 200)]
)
def test_a_limit_is_near_from_three_quarters_and_reached_from_the_whole(seats: Seats, limit: str, level: str, share: int) -> None:
    seats.position("100")
    make_limit("MAX_POSITION", limit, account=seats.account)
    row = row_of(seats, Rule.MAX_POSITION)
    assert (row.level, row.share, row.actual, row.more) == (level, share, "100", "AAPL")
    assert row.state


def test_the_figures_are_those_of_the_gate(seats: Seats) -> None:
    """A position of 100 at 100 USD, a working purchase of 50 at 99.50, and an order on its way, of an account of a known worth."""
    make_values(seats.account, at=timezone.now())
    net = D(AccountValue.objects.get(account=seats.account, name="NetLiquidation", currency="USD").value)
    seats.position("100")
    seats.order(quantity="50")
    gross = row_of(seats, Rule.GROSS_EXPOSURE)
    assert gross.actual == f"{round(15000 / net * 100, 2).normalize():f} %"
    assert row_of(seats, Rule.NAME_EXPOSURE).more == "AAPL"
    assert (row_of(seats, Rule.MAX_OPEN_ORDERS).actual, row_of(seats, Rule.MAX_OPEN_ORDERS).more) == ("1", "BUY AAPL")
    assert (row_of(seats, Rule.MAX_USER_ORDERS).actual, row_of(seats, Rule.MAX_QUANTITY).actual) == ("1", "50")
    assert row_of(seats, Rule.MAX_NOTIONAL).actual == "4,975"
    assert row_of(seats, Rule.MAX_POSITION).actual == "150"


@pytest.mark.parametrize("rule", [Rule.GROSS_EXPOSURE, Rule.NAME_EXPOSURE, Rule.DAILY_LOSS_REDUCE, Rule.BUYING_POWER, Rule.VALUE_SECONDS])
def test_what_is_not_known_says_so_and_that_it_blocks(seats: Seats, client: Client, rule: Rule) -> None:
    seats.position("100")
    AccountValue.objects.filter(account=seats.account).delete()
    row = row_of(seats, rule)
    assert (row.level, row.share, row.actual) == ("unknown", None, "")
    assert "new risk is refused" in row.state and row.more
    assert "not known: new risk is refused" in words(client.get(reverse("risk")))


def test_an_old_quote_counts_as_not_known(seats: Seats) -> None:
    seats.position("100")
    Quote.objects.update(at=timezone.now() - timedelta(minutes=5))
    row = row_of(seats, Rule.QUOTE_SECONDS)
    assert row.level == "bad" and "AAPL" in row.more


def test_nearness_is_told_in_numbers_and_words(seats: Seats, client: Client) -> None:
    seats.position("100")
    make_limit("MAX_POSITION", "120", account=seats.account)
    page = words(client.get(reverse("risk")))
    assert 'aria-label="Position: 100 of 120, 83 % used, near"' in page
    assert '<progress class="is-warn" max="100" value="83"' in page


def test_limits_of_an_account_that_is_not_his_are_none(seats: Seats) -> None:
    assert risk.limits(seats.stranger, seats.account, seats.now) is None
    assert signed_in(seats.stranger).get(reverse("risk"), {"account": seats.account.code}).status_code == 404
    assert "You may see no account" in words(signed_in(seats.stranger).get(reverse("risk")))


def test_instruments_that_are_restricted_are_listed(seats: Seats, client: Client) -> None:
    InstrumentRule.objects.create(kind="restricted", scope="account", account=seats.account, symbol="TSLA", note="Earnings")
    InstrumentRule.objects.create(kind="restricted", scope="user", user=seats.viewer, symbol="GME")
    page = words(client.get(reverse("risk")))
    assert "TSLA" in page and "Earnings" in page and "GME" not in page


# --- setting one ----------------------------------------------------------------------------------------------------------------------


def test_a_limit_is_set_with_a_reason_by_whoever_may(seats: Seats) -> None:
    client = signed_in(may(seats.trader, "change_limit"))
    here = reverse("risk_limit", args=["MAX_QUANTITY"])
    assert "Of several values the smallest decides" in words(client.get(here, **HTMX))
    answer = client.post(here, fresh(scope="account", value="500", note=""), **HTMX)
    assert answer.status_code == 422 and not Limit.objects.exists()
    assert client.post(here, fresh(scope="account", value="500", note="Thin books"), **HTMX).status_code == 200
    row = Limit.objects.get()
    assert (row.rule, row.value, row.account, row.note) == ("MAX_QUANTITY", D(500), seats.account, "Thin books")
    event = Event.objects.get(kind="limit.set")
    assert (event.actor, event.data["before"]) == (seats.trader, {"value": None})
    assert refused(seats, "501").code == "MAX_QUANTITY"
    assert client.post(here, fresh(scope="account", value="", note="Over")).status_code == 302
    assert not Limit.objects.exists() and Event.objects.filter(kind="limit.removed").exists()
    assert not replay.differences()


def test_the_same_key_sets_it_once(seats: Seats) -> None:
    manager, key = OrderManager(may(seats.trader, "change_limit")), a_key()
    for _ in range(2):
        manager.set_limit("MAX_SPREAD", D("0.05"), key=key, scope="desk", note="Calm")
    assert Event.objects.filter(kind="limit.set").count() == 1


def test_nobody_else_sets_one(seats: Seats, client: Client) -> None:
    here = reverse("risk_limit", args=["MAX_QUANTITY"])
    assert client.get(here).status_code == client.post(here, fresh(scope="desk", value="1", note="x")).status_code == 403
    with pytest.raises(Refused) as caught:
        OrderManager(seats.trader).set_limit("MAX_QUANTITY", D(1), key=a_key(), scope="desk", note="x")
    assert caught.value.code == "NO_PERMISSION" and not Limit.objects.exists()
    assert "Set…" not in words(client.get(reverse("risk")))


def test_not_in_an_account_that_he_may_not_see(seats: Seats) -> None:
    setter = may(seats.trader, "change_limit")
    with pytest.raises(Refused) as caught:
        OrderManager(setter).set_limit("MAX_QUANTITY", D(1), key=a_key(), scope="account", account=make_account("DU9"), note="x")
    assert caught.value.code == "NO_PERMISSION"


@pytest.mark.parametrize(("rule", "code"), [("TRADING_STATE", "RULE"), ("EXCEEDS_POSITION", "RULE"), ("NONSENSE", "RULE")])
def test_what_is_no_limit_is_not_set(seats: Seats, rule: str, code: str) -> None:
    setter = may(seats.trader, "change_limit")
    with pytest.raises(Refused) as caught:
        OrderManager(setter).set_limit(rule, D(0), key=a_key(), scope="desk", note="x")
    assert caught.value.code == code
    assert signed_in(setter).get(reverse("risk_limit", args=[rule])).status_code == 404


@pytest.mark.parametrize(
    ("rule", "before", "after", "looser"),
    [
        (Rule.MAX_QUANTITY, D(10), D(11), True),
        (Rule.MAX_QUANTITY, D(10), D(9), False),
        (Rule.REQUIRE_STOP, D(1), D(0), True),
        (Rule.REQUIRE_STOP, D(0), D(1), False),
        (Rule.MAX_DAILY_LOSS, None, D(1), False),
        (Rule.MAX_DAILY_LOSS, D(1), None, True),
    ],
)
def test_which_way_is_looser(rule: Rule, before: D | None, after: D | None, looser: bool) -> None:
    assert loosens(rule, before, after) is looser


def test_the_administration_asks_why_a_limit_is_loosened(seats: Seats) -> None:
    admin = signed_in(make_user("boss", is_staff=True, is_superuser=True))
    values = {"scope": "desk", "account": "", "user": "", "rule": "MAX_QUANTITY", "value": "20000", "note": ""}
    add = reverse("admin:orders_limit_add")
    assert "say why" in words(admin.post(add, values))
    assert admin.post(add, {**values, "value": "900"}).status_code == 302  # stricter than the default
    change = reverse("admin:orders_limit_change", args=[Limit.objects.get().pk])
    assert "say why" in words(admin.post(change, {**values, "value": "901"}))
    assert admin.post(change, {**values, "value": "901", "note": "Asked for by the head of desk"}).status_code == 302
    assert Limit.objects.get().value == D(901)


# --- states ---------------------------------------------------------------------------------------------------------------------------


def states_of(user: User) -> dict[str, Any]:
    return {row.whose: row for row in queries.trading_states(user, timezone.now()).rows}


def test_states_say_who_and_why_and_a_loss_is_told_as_automatic(seats: Seats) -> None:
    OrderManager(seats.trader).set_trading_state(key=a_key(), scope="user", state=1, reason="Two losses in a row")
    mine = states_of(seats.trader)["You"]
    assert (mine.word, mine.by, mine.why, mine.automatic) == ("REDUCE ONLY", "trader", "Two losses in a row", "")
    make_values(seats.account, net="100000", pnl="-4000", at=timezone.now())
    assert losses.watch(timezone.now(), lease.acquire("here:1:a", timezone.now()) or 0) == 1
    account = states_of(seats.trader)[seats.account.code]
    assert account.word == "REDUCE ONLY" and "loss limit" in account.automatic and not account.by


def test_who_is_offered_to_hold_back_and_to_release(seats: Seats) -> None:
    assert states_of(seats.viewer)[seats.account.code].ask == ""
    offered = states_of(seats.trader)
    assert offered["The whole desk"].ask == "" and offered[seats.account.code].ask and offered["You"].ask
    head = may(seats.viewer, "halt_desk", "release_trading")
    assert set(states_of(head)) == {"The whole desk", seats.account.code, "You", "trader"}
    OrderManager(head).set_trading_state(key=a_key(), scope="desk", state=2, reason="Fire alarm")
    assert states_of(seats.trader)["The whole desk"].ask == ""
    assert states_of(head)["The whole desk"].ask
    page = signed_in(head).get(reverse("trading") + "?" + states_of(head)["trader"].ask)
    assert page.status_code == 200 and "user trader" in words(page)


def test_a_kill_switch_leads_to_its_report(seats: Seats, client: Client) -> None:
    made = OrderManager(seats.trader).kill(key=a_key(), scope="account", account=seats.account, reason="Runaway")
    assert states_of(seats.trader)[seats.account.code].sweep == made.pk
    assert reverse("sweep", args=[made.pk]) in words(client.get(reverse("risk")))


# --- changes --------------------------------------------------------------------------------------------------------------------------


def changes_of(user: User, **filters: Any) -> Any:
    return queries.risk_changes(user, ChangeFilters(**filters), timezone.now())


def test_changes_tell_from_what_to_what_who_and_why(seats: Seats) -> None:
    boss = make_user("boss", is_staff=True, is_superuser=True)
    manager = OrderManager(boss)
    for value, note in ((D(500), "Thin books"), (D(900), "Better now"), (None, "Over")):
        manager.set_limit("MAX_QUANTITY", value, key=a_key(), scope="account", account=seats.account, note=note)
    found = changes_of(seats.trader, rule="MAX_QUANTITY").rows
    assert [(row.before, row.after, row.direction, row.why, row.by) for row in found] == [
        ("900", "10,000 by default", "looser", "Over", "boss"),
        ("500", "900", "looser", "Better now", "boss"),
        ("10,000 by default", "500", "tighter", "Thin books", "boss"),
    ]
    assert {row.code for row in changes_of(seats.trader).rows} == {"MAX_QUANTITY", "ACCESS"}
    assert not changes_of(seats.trader, by="nobody").rows


def test_changes_of_other_people_and_accounts_are_not_told(seats: Seats) -> None:
    boss = make_user("boss", is_superuser=True)
    other = make_account("DU2000000")
    make_trader(other, "elsewhere")
    for named in ({"scope": "account", "account": other}, {"scope": "user", "user": seats.viewer}, {"scope": "desk"}):
        OrderManager(boss).set_limit("MAX_SPREAD", D("0.05"), key=a_key(), note="x", **named)
    assert {row.whose for row in changes_of(seats.trader, rule="MAX_SPREAD").rows} == {"the desk"}
    assert {row.whose for row in changes_of(seats.viewer, rule="MAX_SPREAD").rows} == {"the desk", "you"}
    assert len(changes_of(boss, rule="MAX_SPREAD").rows) == 3
    assert not changes_of(seats.stranger).rows


def test_changes_are_paged_and_a_scope_is_an_address(seats: Seats, client: Client) -> None:
    boss = make_user("boss", is_superuser=True)
    for number in range(1, 26):
        OrderManager(boss).set_limit("MAX_QUANTITY", D(number), key=a_key(), scope="desk", note=f"step {number}")
    first = changes_of(seats.trader, rule="MAX_QUANTITY")
    assert (first.total, len(first.rows), first.newer) == (25, 20, None)
    second = queries.risk_changes(seats.trader, ChangeFilters.of(first.older), timezone.now())
    assert [row.why for row in second.rows] == [f"step {number}" for number in range(5, 0, -1)]
    page = words(client.get(reverse("risk"), {"rule": "MAX_QUANTITY", "page": "2"}))
    assert "step 3<" in page and "step 24<" not in page
    assert ChangeFilters.of("page=-1&rule=" + "x" * 900).page == 1


# --- refusals -------------------------------------------------------------------------------------------------------------------------


def test_a_refusal_has_its_rule_limit_and_actual_and_is_told_to_the_screens(seats: Seats, client: Client) -> None:
    refused(seats)
    found = queries.risk_refusals(seats.viewer, timezone.now())
    row = found.rows[0]
    assert (row.code, row.limit, row.actual, row.symbol, row.by, row.when) == (
        "MAX_QUANTITY", "10,000", "20,000", "AAPL", "trader", "at entry",
    )  # fmt: skip
    assert found.counts[0] == ("MAX_QUANTITY", "Order quantity", 1)
    assert Feed.objects.filter(topic="refusal", account=seats.account).exists()
    assert PANELS["risk_refusals"].topics >= {"refusal"}
    assert row.words in words(client.get(reverse("risk")))


def test_what_is_refused_just_before_sending_is_there_too(seats: Seats) -> None:
    manager = OrderManager(seats.trader)
    manager.place_limit_order(seats.account, seats.contract, Side.BUY, D(100), D("99.50"), key=a_key())
    make_limit("MAX_QUANTITY", "50", account=seats.account)
    now = timezone.now()
    fence = lease.acquire("here:1:a", now)
    outbox.claim(fence=fence or 0, client_id=17, state=GatewayState.READY, room=45, now=now)
    row = queries.risk_refusals(seats.trader, timezone.now()).rows[0]
    assert (row.code, row.when, row.by) == ("MAX_QUANTITY", "just before sending", "trader") and row.client_order_id


def test_a_change_that_is_refused_just_before_sending_has_its_numbers_too(seats: Seats) -> None:
    order = seats.order()
    with book(at=seats.now) as b, b.event("test.named", source=Source.BROKER, order=order) as fact:
        fact.add(BrokerId(order=order, client_id=17, ib_order_id=1))
    other = make_trader(seats.account, "other")  # not who placed it
    OrderManager(other).modify_order(order, key=a_key(), quantity=D(200))
    make_limit("MAX_QUANTITY", "150", account=seats.account)
    now = timezone.now()
    outbox.claim(fence=lease.acquire("here:1:a", now) or 0, client_id=17, state=GatewayState.READY, room=45, now=now)
    row = queries.risk_refusals(seats.trader, timezone.now()).rows[0]
    assert (row.what, row.code, row.limit, row.actual, row.when) == ("change", "MAX_QUANTITY", "150", "200", "just before sending")
    assert (row.client_order_id, row.by) == (order.client_order_id, "other")


def test_refusals_without_an_account_are_his_own(seats: Seats) -> None:
    with pytest.raises(Refused):
        OrderManager(seats.viewer).set_trading_state(key=a_key(), scope="desk", state=2, reason="x")
    assert [row.code for row in queries.risk_refusals(seats.viewer, timezone.now()).rows] == ["NO_PERMISSION"]
    assert not queries.risk_refusals(seats.trader, timezone.now()).rows
    refused(seats, user=seats.stranger)
    assert not [row for row in queries.risk_refusals(seats.stranger, timezone.now()).rows if row.account]


# --- sizing and the record ------------------------------------------------------------------------------------------------------------


def test_a_size_is_worked_out_with_its_arithmetic(seats: Seats, client: Client) -> None:
    make_values(seats.account, net="100000", at=timezone.now())
    asked = {"symbol": "AAPL", "side": "BUY", "entry": "100", "stop": "98", "method": "risk", "value": "1"}
    piece = words(client.get(reverse("risk_size"), asked, **HTMX))
    assert "500" in piece and "1 % of 100,000.00 USD" in piece
    assert "1 % of 100,000.00 USD" in words(client.get(reverse("risk"), asked))  # without JavaScript
    assert "must lie below" in words(client.get(reverse("risk_size"), {**asked, "stop": "101"}, **HTMX))
    assert "Use digits and a point" in words(client.get(reverse("risk_size"), {**asked, "entry": "1,5"}, **HTMX))


def test_the_record_of_closed_trades_says_what_it_left_out(seats: Seats, client: Client) -> None:
    Account.objects.update(positions_known_at=seats.now - timedelta(days=1))
    seats.execution(seats.order(status="FILLED", filled_quantity=D(100)), "100", "100")
    seats.execution(seats.order("SELL", status="FILLED", filled_quantity=D(100)), "100", "103")
    unrated = make_contract("SAP", currency="CHF")
    for side, price in (("BUY", "10"), ("SELL", "11")):
        order = seats.order(side, status="FILLED", filled_quantity=D(100), contract=unrated)
        seats.execution(order, "100", price)
    found = queries.trade_record(seats.trader)
    assert [(row.symbol, row.number, row.win_rate, str(row.total)) for row in found.rows] == [
        ("", 1, "100.0 %", "+300.00"),
        ("AAPL", 1, "100.0 %", "+300.00"),
    ]
    assert found.rows[0].kelly == "–" and str(ENOUGH_TRADES) in found.rows[0].kelly_why
    assert any("exchange rate is not known" in note for note in found.notes)
    assert not queries.trade_record(seats.stranger).rows
    assert "+300.00" in words(client.get(reverse("risk")))


# --- the page -------------------------------------------------------------------------------------------------------------------------


def test_the_number_of_queries_does_not_grow_with_the_book(seats: Seats, client: Client, django_assert_max_num_queries: Any) -> None:
    boss = make_user("boss", is_superuser=True)
    for number in range(12):
        other = make_contract(f"S{number}")
        seats.order(contract=other, quantity=str(10 + number))
        make_trader(seats.account, f"colleague{number}")
        OrderManager(boss).set_limit("MAX_QUANTITY", D(900 + number), key=a_key(), scope="desk", note="x")
        grant(make_user(f"looker{number}"), make_account(f"DU30{number:05d}"))
    refused(seats)
    with django_assert_max_num_queries(110):
        assert client.get(reverse("risk")).status_code == 200
    for name, most in (("risk_limits", 40), ("risk_states", 25), ("risk_refusals", 12), ("risk_changes", 14)):
        with django_assert_max_num_queries(most):
            assert client.get(reverse("panel", args=[name]), {"account": seats.account.code}).status_code == 200


def test_who_sees_nothing_is_shown_no_figures(seats: Seats) -> None:
    refused(seats)
    page = words(signed_in(seats.stranger).get(reverse("risk")))
    assert seats.account.code not in page and seats.account.short not in page
