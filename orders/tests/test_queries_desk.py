"""Positions and how protected they are, the account strip, the gateway, and what needs a person."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import User

from orders import lease, queries
from orders.models import AccountValue, CommissionReport, Gateway, Incident, PositionValue, Watch
from orders.queries.desk import MOST
from orders.rules.lifecycle import OrderStatus
from orders.rules.terms import CommandKind, GatewayState, Role
from orders.tests import factories
from orders.tests.seats import Seats, take_seats

pytestmark = pytest.mark.django_db


@pytest.fixture
def seats() -> Seats:
    return take_seats()


def guard(seats: Seats, user: User | None = None) -> str:
    (row,) = queries.positions(user or seats.trader)
    return row.guard.text if row.guard else ""


# --- positions ------------------------------------------------------------------------------------------------------------------------


def test_a_position_shows_what_ib_reports(seats: Seats) -> None:
    position = seats.position("200", "233.33")
    PositionValue.objects.create(position=position, market_value=Decimal("47224"), unrealized_pnl=Decimal("558"), at=seats.now)
    (row,) = queries.positions(seats.trader, account=seats.account)
    assert (row.quantity, row.average, row.value, row.unrealised.text) == ("+200", "233.33", "47,224.00", "+558.00")
    assert (row.daily.text, row.last) == ("–", "100.00")
    assert row.unit_id == f"position-{position.pk}"


def test_a_position_without_a_stop_is_unprotected(seats: Seats) -> None:
    seats.position("-60")
    (row,) = queries.positions(seats.trader)
    assert (row.guard.text, row.guard.css, row.can_protect, row.can_close) == ("unprotected 60", "badge-bare", True, True)


def test_an_accepted_stop_protects_and_a_target_does_not(seats: Seats) -> None:
    seats.position("100")
    seats.order("SELL", role=Role.TAKE_PROFIT.value)
    assert guard(seats) == "unprotected 100"
    stop = seats.order("SELL", "STP", "60", role=Role.STOP_LOSS.value, stop_price=Decimal("98"), status=OrderStatus.HELD)
    assert guard(seats) == "unprotected 40 of 100"
    seats.command(stop, CommandKind.CANCEL)
    assert guard(seats) == "unprotected 100"


@pytest.mark.parametrize("status", [OrderStatus.PENDING, OrderStatus.SENT])
def test_a_stop_on_its_way_does_not_protect_yet_and_is_not_sent_twice(seats: Seats, status: OrderStatus) -> None:
    seats.position("100")
    stop = seats.order("SELL", "STP", role=Role.STOP_LOSS.value, stop_price=Decimal("98"), status=status)
    (row,) = queries.positions(seats.trader)
    assert (row.guard.text, row.guard.bare, row.can_protect) == ("protecting 100", Decimal(100), False)
    stop.quantity = Decimal(50)
    stop.save()
    (row,) = queries.positions(seats.trader)
    assert (row.guard.text, row.can_protect) == ("unprotected 100", True)


def test_a_stop_of_unknown_fate_does_not_protect(seats: Seats) -> None:
    seats.position("100")
    seats.order("SELL", "STP", role=Role.STOP_LOSS.value, stop_price=Decimal("98"), status=OrderStatus.UNKNOWN)
    assert guard(seats) == "unprotected 100"


def test_a_stop_of_an_entry_protects_as_much_as_has_filled(seats: Seats) -> None:
    seats.position("40")
    seats.bracket(filled="40")
    assert guard(seats) == "protected 40"


def test_stops_of_one_oca_group_count_once(seats: Seats) -> None:
    seats.position("200")
    stop, _target = seats.oca_pair("100")
    seats.order("SELL", "STP", role=Role.STOP_LOSS.value, stop_price=Decimal("97"), oca_group=stop.oca_group, status=OrderStatus.HELD)
    assert guard(seats) == "unprotected 100 of 200"


def test_an_exit_without_a_position_is_an_orphan(seats: Seats) -> None:
    seats.position("0", "0")
    assert queries.positions(seats.trader) == []
    seats.order("SELL", "STP", "50", role=Role.STOP_LOSS.value, stop_price=Decimal("98"), status=OrderStatus.HELD)
    (row,) = queries.positions(seats.trader)
    assert (row.guard.text, row.can_close, row.can_protect) == ("orphan exit 50", False, False)


def test_exits_that_wait_for_their_entry_are_no_orphans(seats: Seats) -> None:
    seats.position("0", "0")
    seats.bracket()
    assert queries.positions(seats.trader) == []


def test_a_position_that_is_being_closed_is_not_closed_twice(seats: Seats) -> None:
    seats.position("100")
    seats.order("SELL", "MKT", role=Role.CLOSE.value, status=OrderStatus.PENDING)
    (row,) = queries.positions(seats.trader)
    assert (row.guard.text, row.can_close, row.can_protect) == ("closing 100", False, False)


def test_positions_are_for_those_who_may_see_them(seats: Seats) -> None:
    seats.position("100")
    assert queries.positions(seats.stranger) == []
    (row,) = queries.positions(seats.viewer)
    assert not row.can_close
    assert not row.can_protect


def test_many_positions_take_as_many_queries_as_few(seats: Seats, django_assert_max_num_queries) -> None:
    for number in range(10):
        factories.make_position(seats.account, factories.make_contract(f"S{number}"), at=seats.now)
    with django_assert_max_num_queries(5):
        assert len(queries.positions(seats.trader)) == 10


# --- executions -----------------------------------------------------------------------------------------------------------------------


def test_an_execution_comes_with_its_commission_once_it_is_told(seats: Seats) -> None:
    execution = seats.execution(seats.order())
    (row,) = queries.executions(seats.trader)
    assert (row.commission, row.realised.text, row.toast) == ("–", "–", "Bought 40 AAPL at 99.50")
    CommissionReport.objects.create(exec_id=execution.exec_id, amount=Decimal("0.35"), currency="USD", received_at=seats.now)
    assert queries.executions(seats.trader)[0].commission == "0.35"


def test_executions_of_other_days_and_replaced_ones_are_not_shown(seats: Seats) -> None:
    order = seats.order()
    seats.execution(order, executed_at=seats.now - timedelta(days=2))
    seats.execution(order, counts=False)
    assert queries.executions(seats.trader) == []
    day = (seats.now - timedelta(days=2)).date()
    nearby = [queries.executions(seats.trader, day=day + timedelta(days=shift)) for shift in (-1, 0)]
    assert sum(len(rows) for rows in nearby) == 1


def test_a_stranger_sees_no_execution(seats: Seats) -> None:
    seats.execution(seats.order())
    assert queries.executions(seats.stranger) == []


# --- account and gateway --------------------------------------------------------------------------------------------------------------


def test_the_strip_shows_the_base_currency_and_never_zero_for_nothing(seats: Seats) -> None:
    for name, currency, value in (("NetLiquidation", "EUR", "1"), ("NetLiquidation", "USD", "248916.40"), ("DailyPnL", "", "648.30")):
        where = {"account": seats.account, "name": name, "currency": currency}
        AccountValue.objects.update_or_create(**where, defaults={"value": value, "at": seats.now})
    AccountValue.objects.filter(name="BuyingPower").delete()
    strip = queries.account_strip(seats.viewer, seats.account)
    assert strip is not None
    assert (strip.net_liquidation, strip.currency, strip.daily.text, strip.daily_percent) == ("248,916.40", "USD", "+648.30", "+0.26%")
    assert strip.buying_power == "–"
    assert queries.account_strip(seats.stranger, seats.account) is None


def test_the_gateway_is_ready_while_a_worker_is_there(seats: Seats) -> None:
    assert (queries.gateway().word, queries.gateway().may_place, queries.gateway().reason) == ("READY", True, "")
    Gateway.objects.update(state=GatewayState.DEGRADED.value, reason="2110")
    pill = queries.gateway()
    assert (pill.word, pill.may_place) == ("DEGRADED", False)
    assert "2110" in pill.reason


def test_a_gateway_whose_worker_is_silent_is_not_ready(seats: Seats) -> None:
    later = seats.now + timedelta(minutes=5)
    pill = queries.gateway(now=later)
    assert (pill.word, pill.may_place) == ("DOWN", False)
    assert "worker" in pill.reason
    assert lease.acquire("host:1:x", later) is not None
    assert queries.gateway(now=later).word == "READY"


# --- what needs a person --------------------------------------------------------------------------------------------------------------


def test_unknown_orders_come_first_and_count(seats: Seats) -> None:
    seats.order(status=OrderStatus.REJECTED, needs_attention=True, attention_text="201: no buying power")
    seats.order(status=OrderStatus.UNKNOWN)
    told = queries.attention(seats.viewer)
    assert told.unknown == 1
    assert [item.css for item in told.items] == ["red", "amber"]
    assert told.items[1].detail.startswith("201: no buying power")


def test_a_flood_hides_neither_an_unknown_order_nor_a_break(seats: Seats) -> None:
    seats.order(status=OrderStatus.UNKNOWN)
    Incident.objects.create(kind="position_differs", account=seats.account, text="50 of 150", opened_at=seats.now)
    for number in range(MOST + 1):
        seats.order(status=OrderStatus.REJECTED, needs_attention=True, attention_text="201")
        Incident.objects.create(kind="bad_report", account=seats.account, text=f"{number}", opened_at=seats.now)
    told = queries.attention(seats.viewer)
    assert (told.unknown, told.items[0].css) == (1, "red")
    assert any("50 of 150" in item.detail for item in told.items)


def test_incidents_bare_positions_and_orphans_are_told(seats: Seats) -> None:
    Incident.objects.create(kind="late_fill", account=seats.account, text="A fill came late.", opened_at=seats.now)
    Incident.objects.create(kind="old", account=seats.account, text="Done with.", opened_at=seats.now, closed_at=seats.now)
    seats.position("60")
    told = [(item.title, item.protect is not None) for item in queries.attention(seats.trader).items]
    assert told == [("AAPL unprotected 60", True), ("Late fill", False)], "a position without a stop is graver than what has been"
    assert queries.attention(seats.viewer).items[0].protect is None


def test_it_covers_every_account_one_may_see_and_no_other(seats: Seats) -> None:
    other = factories.make_account("DU2")
    seats.order(account=other, status=OrderStatus.UNKNOWN)
    assert queries.attention(seats.trader).items == ()
    factories.grant(seats.trader, other)
    assert len(queries.attention(seats.trader, seats.account).items) == 1


# --- quotes ---------------------------------------------------------------------------------------------------------------------------


def test_a_watchlist_is_ones_own_and_an_old_quote_looks_old(seats: Seats) -> None:
    Watch.objects.create(user=seats.trader, contract=seats.contract, created_at=seats.now)
    Watch.objects.create(user=seats.viewer, contract=seats.contract, until=seats.now, created_at=seats.now)
    factories.make_quote(seats.contract, close=Decimal("98.80"), at=seats.now)
    (row,) = queries.watchlist(seats.trader, now=seats.now)
    assert (row.symbol, row.last, row.change.text, row.is_old) == ("AAPL", "100.00", "+1.21", False)
    assert queries.watchlist(seats.trader, now=seats.now + timedelta(seconds=31))[0].is_old
    assert queries.watchlist(seats.viewer) == []


def test_the_ticket_is_told_ticks_quote_and_position(seats: Seats) -> None:
    seats.position("60", "99")
    shown = queries.quote(seats.trader, seats.account, seats.contract.pk)
    assert shown is not None
    assert (shown.bid, shown.ask, shown.ladder) == ("99.99", "100.01", '[["0", "0.0001"], ["1", "0.01"]]')
    assert (shown.position, shown.average) == ("+60", "99.00")
    assert [chip.value for chip in shown.chips] == ["99.99", "100", "100.01", "100"]
    hidden = queries.quote(seats.stranger, seats.account, seats.contract.pk)
    assert hidden is not None
    assert hidden.position == "0"
    assert queries.quote(seats.trader, seats.account, "") is None


@pytest.mark.parametrize(
    ("state", "said", "shown"),
    [
        ("DOWN", "the gateway closed the connection", "The gateway is down. The gateway closed the connection."),
        ("DEGRADED", "It has been lost. (code 1100)", "The gateway has lost its own connection to IB. It has been lost (code 1100)."),
        ("DEGRADED", "the gateway does not answer", "The gateway does not answer."),
        ("DEGRADED", "The API is read-only (code 321), so it takes no orders.", "The API is read-only (code 321), so it takes no orders."),
        ("DEGRADED", "", "The gateway has lost its own connection to IB."),
        ("DOWN", "is another worker alive? (code 326)", "The gateway is down. Is another worker alive? (code 326)."),
    ],
)
def test_the_reason_of_the_gateway_is_true_and_in_sentences(seats: Seats, state: str, said: str, shown: str) -> None:
    Gateway.objects.update(state=state, reason=said, heard_at=seats.now, since=seats.now)
    pill = queries.gateway(seats.now, "America/New_York")
    assert pill.reason == shown
    assert pill.since_words.endswith(("EST", "EDT"))
