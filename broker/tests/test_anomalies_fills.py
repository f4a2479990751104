"""Fills told in every way that gateways tell them: out of order, again, corrected, taken back, late, too many, without their cost."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from broker.simulator.messages import answers as say
from broker.simulator.model import CommissionCharged
from broker.tests.anomalies import a_fill, a_working_limit, execution, fresh, incidents, leap, name_of, say_to
from broker.tests.running import Desk
from orders.models import BrokerCommand, CommissionReport, Event, Execution, Incident, OrderRecord
from orders.queries.blotter import HistoryFilters, history
from orders.rules.terms import GatewayState

pytestmark = pytest.mark.django_db


def cost(exec_id: str, amount: str = "1.5", realized: str | None = None) -> say.CommissionReport:
    return say.CommissionReport(CommissionCharged(exec_id, 17, "DU1000417", D(amount), "USD", None if realized is None else D(realized)))


async def test_fills_come_in_any_order_and_any_number_of_times_and_count_once(desk: Desk) -> None:
    """C1, C2, C4: the execution before every other word, again live and in the list; the commission before it; words three times."""
    order = await a_working_limit(desk)
    first, second = await a_fill(desk, order, "x.1.01", "40"), await a_fill(desk, order, "x.2.01", "60", "201")
    say_to(desk.gateway, cost("x.2.01"), execution(desk.gateway, second), cost("x.1.01"))
    say_to(desk.gateway, *[execution(desk.gateway, first)] * 3, cost("x.1.01"), execution(desk.gateway, second))
    filled = await desk.order_is(order, "FILLED")
    assert (filled.filled_quantity, filled.average_price) == (100, D("200.6"))
    await desk.until(lambda: CommissionReport.objects.count() == 2)
    kinds = await desk.do(lambda: list(Event.objects.filter(order=order).values_list("kind", flat=True)))
    assert kinds.count("execution.reported") == 2
    assert await incidents(desk, order) == []


async def test_a_correction_replaces_and_a_bust_takes_back_whenever_they_come(desk: Desk) -> None:
    """C5, C7: price, quantity down, quantity up, before the original and after it; the bust of a filled order is told to a person."""
    order = await a_working_limit(desk)
    rows = [("c.1.02", "40", "199"), ("c.1.01", "40", "200"), ("c.2.01", "50", "200"), ("c.2.02", "60", "200")]
    for exec_id, shares, price in rows:
        say_to(desk.gateway, execution(desk.gateway, await a_fill(desk, order, exec_id, shares, price)))
    filled = await desk.order_is(order, "FILLED")
    assert (filled.filled_quantity, filled.average_price) == (100, D("199.6"))
    assert await desk.do(lambda: Execution.objects.filter(order=order).count()) == 4  # the record shows both
    desk.gateway.core.scenarios.add("hold", [])
    say_to(desk.gateway, execution(desk.gateway, await a_fill(desk, order, "c.2.03", "0", "200")))
    await desk.until(lambda: Incident.objects.filter(order=order, kind="busted").exists())
    assert await desk.do(lambda: OrderRecord.objects.get(pk=order.pk).filled_quantity) == 40
    await desk.order_is(order, "WORKING")  # the list of open orders still has it


async def test_the_money_of_a_corrected_fill_is_the_corrected_money(desk: Desk) -> None:
    """C5, C8: the commission and the realised profit of what counts; those of what was replaced stay on record and are not added."""
    order = await a_working_limit(desk)
    say_to(desk.gateway, execution(desk.gateway, await a_fill(desk, order, "m.1.01", "100")), cost("m.1.01", "2.00", "10"))
    await desk.order_is(order, "FILLED")
    say_to(desk.gateway, execution(desk.gateway, await a_fill(desk, order, "m.1.02", "100", "199")), cost("m.1.02", "3.00", "-5"))
    await desk.until(lambda: CommissionReport.objects.count() == 2)
    page = await desk.do(lambda: history(desk.manager.actor, HistoryFilters()))
    assert (page.sums.commission, page.sums.missing) == ("3.00 USD", 0)
    assert "5" in page.sums.realised[0].text
    say_to(desk.gateway, execution(desk.gateway, await a_fill(desk, order, "m.1.03", "0", "199")))
    await desk.until(lambda: Execution.objects.filter(exec_id="m.1.03").exists())
    page = await desk.do(lambda: history(desk.manager.actor, HistoryFilters()))
    assert (page.sums.missing, page.sums.commission) == (0, "–")  # what was taken back costs nothing, and no cost of it is waited for


async def test_a_commission_that_never_came_is_swept_up(desk: Desk) -> None:
    """C8: the fill shows at once, its cost as pending; the executions are asked for again after a while, and bring it."""
    desk.gateway.core.scenarios.add("mute", ["commissionReport"])
    order = await desk.place(quantity="30")
    await desk.order_is(order, "FILLED")
    assert not await desk.do(CommissionReport.objects.exists)
    await desk.command("off")
    await desk.pass_time(33)
    await desk.until(CommissionReport.objects.exists)


async def test_a_revised_commission_replaces_the_first(desk: Desk) -> None:
    """C8: revised twice, the second time to a rebate; -1 and the unset number are no amounts."""
    order = await a_working_limit(desk)
    say_to(desk.gateway, execution(desk.gateway, await a_fill(desk, order, "r.1.01", "100")))
    for amount in ("-1", "1.7976931348623157e308", "2", "2.5", "-0.25"):
        say_to(desk.gateway, cost("r.1.01", amount))
    await desk.until(lambda: CommissionReport.objects.filter(amount=D("-0.25")).exists())
    assert await desk.do(CommissionReport.objects.count) == 1


async def test_a_fill_while_the_cancel_is_under_way_ends_both(desk: Desk) -> None:
    """C9: the cancel came too late, and says so."""
    await desk.command("cancel-delay 5")
    order = await a_working_limit(desk)
    await desk.act("cancel_order", order)
    await desk.until(lambda: OrderRecord.objects.filter(pk=order.pk, broker_status="PendingCancel").exists())
    await desk.command("quote AAPL 199.00 199.10")
    await desk.order_is(order, "FILLED")
    command = await desk.until(lambda: BrokerCommand.objects.filter(order=order, kind="CANCEL", state="REFUSED").first())
    assert command.code == "TOO_LATE"


@pytest.mark.parametrize("shares", ["40", "100"])
async def test_a_fill_after_the_confirmed_cancel_counts_and_is_told(desk: Desk, shares: str) -> None:
    """C10: counted, an incident, and the limits see it."""
    order = await a_working_limit(desk)
    name = await name_of(desk, order)
    await desk.act("cancel_order", order)
    await desk.order_is(order, "CANCELLED")
    say_to(desk.gateway, execution(desk.gateway, await a_fill(desk, order, "late.1.01", shares, perm_id=name.perm_id)))
    await desk.until(lambda: Incident.objects.filter(order=order, kind="late_fill").exists())
    after = await fresh(desk, order)
    assert (after.status, after.filled_quantity) == ("FILLED" if shares == "100" else "CANCELLED", D(shares))
    assert after.needs_attention


async def test_more_than_ordered_is_counted_whole_and_told(desk: Desk) -> None:
    """I8: overfill."""
    order = await a_working_limit(desk)
    for number in (1, 2):
        say_to(desk.gateway, execution(desk.gateway, await a_fill(desk, order, f"o.{number}.01", "60")))
    filled = await desk.order_is(order, "FILLED")
    assert filled.filled_quantity == 120
    assert await incidents(desk, order) == ["overfill"]


async def test_filled_without_its_executions_is_never_taken_for_cancelled_or_lost(desk: Desk) -> None:
    """C21, G3: the broker said filled, the executions never came, and over midnight no list knows the order any more."""
    desk.gateway.core.scenarios.add("forget-fills", [])
    order = await a_working_limit(desk)
    name = await name_of(desk, order)
    desk.gateway.core.scenarios.add("mute", ["execDetails"])
    await desk.command("quote AAPL 199.00 199.10")
    say_to(desk.gateway, say.OrderStatus(name.ib_order_id, "Filled", D(100), D(0), D(200), name.perm_id, 0, D(200), 17, ""))
    await desk.until(lambda: OrderRecord.objects.filter(pk=order.pk, broker_status="Filled").exists())
    await leap(desk, 11)
    shown = await desk.until(lambda: OrderRecord.objects.filter(pk=order.pk, needs_attention=True).first())
    assert (shown.status, shown.filled_quantity, shown.status_text) == ("WORKING", 0, "The broker says filled; executions are missing.")
    page = await desk.do(lambda: history(desk.manager.actor, HistoryFilters()))
    assert page.sums.untold == 1  # the totals say that they are incomplete
    await desk.command("off")
    await desk.command("tick 90000")
    await leap(desk, 90_000)
    await desk.until(lambda: OrderRecord.objects.filter(pk=order.pk, absent_since__isnull=False).exists())
    await leap(desk, 15)
    shown = await desk.until(lambda: OrderRecord.objects.filter(pk=order.pk, attention_text__contains="not send").first())
    assert (shown.status, shown.filled_quantity) == ("UNKNOWN", 0)


async def test_the_fills_of_yesterday_stay_when_the_list_is_of_today(desk: Desk) -> None:
    """G3: executions are listed since the gateway's midnight; what the book has of the day before is neither missing nor counted again."""
    order = await desk.place(quantity="30")
    await desk.order_is(order, "FILLED")
    await desk.until(lambda: CommissionReport.objects.exists())
    await desk.command("tick 172800")
    await leap(desk, 172_800)
    before = await desk.do(lambda: Event.objects.filter(order=order).count())
    desk.engine.situation.reconcile("a new day", "A new day")
    await desk.until(lambda: desk.engine.situation.state is GatewayState.READY)
    after = await fresh(desk, order)
    assert (after.status, after.filled_quantity, after.needs_attention) == ("FILLED", 30, False)
    assert await desk.do(lambda: Event.objects.filter(order=order).count()) == before
    assert await incidents(desk) == []
