"""Losses of the day and the week: the days that are kept, the state that the worker sets, and when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D

import pytest

from orders import intake, lease, losses, replay
from orders.book import book
from orders.errors import Refused
from orders.intake.work import restrict
from orders.models import AccountDay, Event, Incident, Limit
from orders.models.book import Source
from orders.recovery import BY_THE_CHECK
from orders.rules.limits import HALTED, REDUCE_ONLY
from orders.rules.reports import AccountValueReported, PnlReported
from orders.tests.desk_of_one import Wire
from orders.tests.factories import NOW, make_limit, make_position, make_quote, make_values

pytestmark = pytest.mark.django_db


@pytest.fixture
def wire() -> Iterator[Wire]:
    """A desk with an account that began the day with ten millions; at last its events give its rows."""
    yield (wire := Wire())
    assert [one for one in replay.differences() if "Limit" in one.table or "Incident" in one.table] == []
    del wire


def lose(wire: Wire, amount: int) -> int:
    """The account has lost so much today; how many changes the watch makes of it."""
    make_values(wire.account, net=str(10_000_000 - amount), pnl=str(-amount), at=wire.now)
    return losses.watch(wire.now, wire.fence)


def state(wire: Wire) -> D:
    row = Limit.objects.filter(account=wire.account, rule="TRADING_STATE").first()
    return row.value if row else D(0)


# --- days -------------------------------------------------------------------------------------------------------------------------------


def hear(wire: Wire, *, net: str | None = None, pnl: str | None = None) -> None:
    values = [AccountValueReported(wire.account.code, "NetLiquidation", net, "USD")] if net else []
    results = [PnlReported(wire.account.code, D(pnl), None, None)] if pnl else []
    intake.apply_values([*values, *results], now=wire.now)


def test_a_day_keeps_its_first_worth_and_its_last_result(wire: Wire) -> None:
    hear(wire, net="100000")
    hear(wire, net="99000", pnl="-1000")
    hear(wire, pnl="-800")
    wire.now += timedelta(hours=14)  # past midnight in New York
    hear(wire, net="99500", pnl="-5")
    days = AccountDay.objects.values_list("date", "net_liquidation", "pnl")
    assert list(days) == [(date(2026, 3, 2), D(100000), D(-800)), (date(2026, 3, 3), D(99500), D(-5))]


def test_a_day_in_a_zone_that_nobody_knows_is_not_kept_and_harms_nothing(wire: Wire) -> None:
    wire.account.time_zone = "Nowhere/Land"
    wire.account.save()
    hear(wire, net="100000", pnl="5")
    assert not AccountDay.objects.exists()
    assert wire.account.values.filter(name="NetLiquidation", value="100000").exists()


# --- the watch --------------------------------------------------------------------------------------------------------------------------


def test_a_loss_restricts_the_account_once_and_says_so(wire: Wire) -> None:
    assert lose(wire, 299_999) == 0
    assert lose(wire, 300_000) == 1
    assert (state(wire), lose(wire, 310_000)) == (REDUCE_ONLY, 0)
    [incident] = Incident.objects.all()
    assert (incident.kind, incident.data["rule"], incident.data["state"]) == ("loss_limit", "DAILY_LOSS_REDUCE", "1")
    event = Event.objects.get(kind="account.loss_limit")
    assert (event.source, event.account, event.data["daily_pnl"]) == (Source.SYSTEM, wire.account, "-300000")
    assert lose(wire, 500_000) == 1
    assert (state(wire), Incident.objects.count()) == (HALTED, 2)
    assert lose(wire, 100) == 0 and state(wire) == HALTED  # never loosened by itself


def test_the_gate_keeps_to_what_was_set(wire: Wire) -> None:
    make_position(wire.account, wire.contract, "100")
    lose(wire, 300_000)
    make_values(wire.account)  # the loss is made up for: the state stands
    with pytest.raises(Refused) as refused:
        wire.buy()
    assert refused.value.code == "TRADING_STATE"
    wire.protect()
    lose(wire, 600_000)
    assert wire.claim() == []


def test_a_person_who_releases_is_not_overruled_and_the_gate_still_refuses_new_risk(wire: Wire) -> None:
    lose(wire, 500_000)
    make_limit("TRADING_STATE", "0", account=wire.account)
    assert lose(wire, 520_000) == 0
    assert state(wire) == 0
    with pytest.raises(Refused) as refused:
        wire.buy()
    assert refused.value.code == "DAILY_LOSS_REDUCE"
    make_position(wire.account, wire.contract, "100")
    wire.protect()
    assert len(wire.claim()) == 1


def test_a_week_is_its_days(wire: Wire) -> None:
    for day, pnl in ((1, -9_000_000), (2, -400_000), (3, -350_000)):
        AccountDay.objects.create(account=wire.account, date=date(2026, 3, day), pnl=D(pnl), at=NOW)
    wire.now = datetime(2026, 3, 4, 15, tzinfo=UTC)
    make_values(wire.account, net="9000001", pnl="-249999", at=wire.now)
    lease.renew("here:1:a", wire.fence, wire.now)
    assert losses.watch(wire.now, wire.fence) == 0
    make_values(wire.account, net="9000000", pnl="-250000", at=wire.now)
    assert losses.watch(wire.now, wire.fence) == 1
    assert state(wire) == HALTED
    assert Incident.objects.get().data["period"] == "week 2026-03-02"
    wire.now += timedelta(days=1)
    make_values(wire.account, net="9000000", pnl="0", at=wire.now)
    assert losses.watch(wire.now, wire.fence) == 0


def test_what_is_not_known_sets_no_state(wire: Wire) -> None:
    make_values(wire.account, net=None, pnl="-9000000")
    assert losses.watch(wire.now, wire.fence) == 0
    make_values(wire.account, pnl=None)
    assert losses.watch(wire.now, wire.fence) == 0


def test_another_limit_of_the_account_decides(wire: Wire) -> None:
    make_limit("DAILY_LOSS_REDUCE", "0.01", account=wire.account)
    assert lose(wire, 100_000) == 1


@pytest.mark.parametrize(("lifts", "expected"), [("0", REDUCE_ONLY), ("1", D(0))])
def test_on_the_next_day_the_state_ends_only_where_it_is_to(wire: Wire, lifts: str, expected: D) -> None:
    make_limit("LOSS_STATE_LIFTS", lifts)
    lose(wire, 300_000)
    wire.now += timedelta(days=1)
    lose(wire, 0)
    assert state(wire) == expected
    assert Incident.objects.filter(closed_at=None).exists() == (expected == REDUCE_ONLY)
    assert lose(wire, 300_000) == 1  # a new day, a new loss


def test_what_another_has_set_is_not_ended(wire: Wire) -> None:
    make_limit("LOSS_STATE_LIFTS", "1")
    with book(at=wire.now) as b, b.event("position.break", source=Source.RECONCILE, account=wire.account) as fact:
        restrict(fact, wire.account, HALTED, BY_THE_CHECK + "a difference")
    assert lose(wire, 300_000) == 1
    wire.now += timedelta(days=1)
    assert lose(wire, 0) == 0
    assert state(wire) == HALTED


def test_a_worker_without_the_lease_sets_nothing(wire: Wire) -> None:
    lease.release("here:1:a", wire.fence)
    assert lease.acquire("there:2:b", NOW) is not None
    with pytest.raises(lease.LeaseLost):
        lose(wire, 300_000)
    assert state(wire) == 0
    make_quote(wire.contract)
