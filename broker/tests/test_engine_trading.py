"""Orders through the whole worker: from OrderManager over the wire to the exchange, and what becomes of them back into the book."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal as D

import pytest

from broker.tests.running import Desk
from orders.models import BrokerCommand, BrokerId, CommissionReport, Event, Execution, OrderRecord, Position
from orders.rules.terms import CommandState
from orders.tests.factories import a_key, make_contract, make_limit

pytestmark = pytest.mark.django_db


async def test_a_market_order_goes_out_and_its_fill_is_in_the_book(desk: Desk) -> None:
    order = await desk.place(quantity="100")
    filled = await desk.order_is(order, "FILLED")
    assert (filled.filled_quantity, filled.status_basis) == (100, "execution")
    execution = await desk.do(Execution.objects.get)
    assert (execution.order_id, execution.quantity, execution.client_order_id) == (order.pk, 100, order.client_order_id)
    await desk.until(lambda: CommissionReport.objects.filter(exec_id=execution.exec_id).exists())
    await desk.until(lambda: Position.objects.filter(account=desk.account, contract=desk.contract, quantity=100).exists())
    command = await desk.until(lambda: BrokerCommand.objects.filter(state=CommandState.CONFIRMED.value).first())
    assert command.order_id == order.pk
    kinds = await desk.do(lambda: list(Event.objects.order_by("seq").values_list("kind", flat=True)))
    assert kinds.count("order.placed") == 1


async def test_a_thousand_clicks_are_one_order(desk: Desk) -> None:
    key = a_key()
    orders = [await desk.place(quantity="10", key=key) for _ in range(50)]
    assert len({order.pk for order in orders}) == 1
    await desk.order_is(orders[0], "FILLED")
    [told] = await desk.broker_orders()
    assert (told["order_ref"], D(told["quantity"])) == (orders[0].client_order_id, 10)


async def test_a_bracket_goes_out_whole_and_its_exits_live_from_the_fill_of_the_entry(desk: Desk) -> None:
    entry, target, stop = await desk.place(
        "place_bracket", limit_price=D("230.00"), take_profit_price=D("260.00"), stop_loss_price=D("210.00")
    )
    await desk.order_is(entry, "WORKING")
    for child in (target, stop):
        await desk.order_is(child, "HELD")
    told = {one["order_ref"]: one for one in await desk.broker_orders()}
    parent_id = told[entry.client_order_id]["order_id"]
    assert [told[child.client_order_id]["parent_id"] for child in (target, stop)] == [parent_id, parent_id]
    await desk.command("quote AAPL 229.90 230.00")
    await desk.order_is(entry, "FILLED")
    await desk.order_is(target, "WORKING")
    await desk.command("quote AAPL 209.00 209.10")
    await desk.order_is(stop, "FILLED")
    await desk.order_is(target, "CANCELLED")
    await desk.until(lambda: Position.objects.get(account=desk.account, contract=desk.contract).quantity == 0)


async def test_a_stop_and_a_target_on_a_position_go_out_as_one_group(desk: Desk) -> None:
    await desk.order_is(await desk.place(quantity="100"), "FILLED")
    await desk.until(lambda: Position.objects.filter(contract=desk.contract, quantity=100).exists())
    stop, target = await desk.act("place_oca_group", desk.account, desk.contract)
    await desk.order_is(stop, "HELD")
    await desk.order_is(target, "WORKING")
    told = {one["order_ref"]: one for one in await desk.broker_orders()}
    assert told[stop.client_order_id]["oca_group"] == told[target.client_order_id]["oca_group"] == stop.oca_group.name
    await desk.command(f"quote AAPL {target.limit_price} {target.limit_price + D('0.02')}")
    await desk.order_is(target, "FILLED")
    await desk.order_is(stop, "CANCELLED")


async def test_a_cancel_goes_out_and_is_confirmed(desk: Desk) -> None:
    order = await desk.place("place_limit_order", limit_price=D("200.00"))
    await desk.order_is(order, "WORKING")
    await desk.act("cancel_order", order)
    cancelled = await desk.order_is(order, "CANCELLED")
    assert cancelled.status_basis == "broker"
    await desk.until(lambda: BrokerCommand.objects.filter(order=order, kind="CANCEL", state=CommandState.CONFIRMED.value).exists())


async def test_a_change_is_acknowledged_by_the_broker_before_the_book_shows_it(desk: Desk) -> None:
    order = await desk.place("place_limit_order", limit_price=D("200.00"))
    await desk.order_is(order, "WORKING")
    await desk.command("hold")
    await desk.act("modify_order", order, limit_price=D("201.00"), quantity=D(50))
    await desk.until(lambda: BrokerCommand.objects.filter(kind="MODIFY", state=CommandState.SENT.value).exists())
    held = await desk.do(lambda: OrderRecord.objects.get(pk=order.pk))
    assert (held.limit_price, held.quantity) == (D("200"), 100)
    await desk.command("release")
    changed = await desk.until(lambda: OrderRecord.objects.filter(pk=order.pk, limit_price=D("201.00")).first())
    assert (changed.quantity, changed.status) == (50, "WORKING")
    await desk.until(lambda: BrokerCommand.objects.filter(kind="MODIFY", state=CommandState.CONFIRMED.value).exists())


async def test_a_refused_order_is_rejected_with_the_brokers_words(desk: Desk) -> None:
    await desk.command("reject-next 201 'Order rejected - reason:Margin'")
    order = await desk.place()
    rejected = await desk.order_is(order, "REJECTED")
    assert (rejected.status_basis, rejected.status_code) == ("code", "201")
    assert "Margin" in rejected.status_text


@pytest.mark.parametrize("code", [201, 110, 10349, 399, 2109, 12345])
async def test_no_code_ends_an_order_that_works(desk: Desk, code: int) -> None:
    order = await desk.place("place_limit_order", limit_price=D("200.00"))
    await desk.order_is(order, "WORKING")
    name = await desk.do(lambda: BrokerId.objects.get(order=order))
    await desk.command(f"error 17 {name.ib_order_id} {code} 'something about it'")
    await desk.until(lambda: Event.objects.filter(order=order, text__contains="something about it").exists())
    assert (await desk.do(lambda: OrderRecord.objects.get(pk=order.pk))).status == "WORKING"
    await desk.act("cancel_order", order)
    await desk.order_is(order, "CANCELLED")


async def test_a_refused_change_leaves_the_order_with_its_old_terms(desk: Desk) -> None:
    order = await desk.place("place_limit_order", limit_price=D("200.00"))
    await desk.order_is(order, "WORKING")
    await desk.command("reject-next 201 'Order rejected - reason:Margin'")
    await desk.act("modify_order", order, limit_price=D("201.00"))
    await desk.until(lambda: BrokerCommand.objects.filter(kind="MODIFY", state=CommandState.REFUSED.value).exists())
    kept = await desk.do(lambda: OrderRecord.objects.get(pk=order.pk))
    assert (kept.status, kept.limit_price) == ("WORKING", D("200"))


@pytest.mark.parametrize(
    "scenario", ["duplicate-statuses", "duplicate-executions", "status-before-execution", "commission-first", "skip-presubmitted"]
)
async def test_however_a_fill_is_told_it_counts_once(desk: Desk, scenario: str) -> None:
    await desk.command(scenario)
    order = await desk.place(quantity="30")
    filled = await desk.order_is(order, "FILLED")
    assert filled.filled_quantity == 30
    await desk.until(lambda: CommissionReport.objects.count() == 1)
    assert await desk.do(Execution.objects.count) == 1


async def test_a_burst_goes_out_at_the_pace_the_gateway_takes_and_cancels_go_first(desk: Desk) -> None:
    first = await desk.place("place_limit_order", limit_price=D("230.00"))
    await desk.order_is(first, "WORKING")
    shares = (("MSFT", 272093), ("NVDA", 4815747), ("AMZN", 3691937), ("META", 107113386), ("KO", 8894), ("XOM", 13977))
    contracts = [await desk.do(make_contract, symbol, con_id=con_id) for symbol, con_id in shares]
    for rule in ("ORDER_RATE", "ORDER_RATIO"):  # the pacer is looked at, not the pace that a user may keep
        await desk.do(make_limit, rule, "1000")
    desk.engine.situation.break_off("test", "while the burst gathers")
    for rule in ("ORDER_RATE", "ORDER_RATIO"):
        await desk.do(lambda rule=rule: make_limit(rule, "500", account=desk.account, at=desk.time.now()))
    orders = []
    for contract in contracts:
        price = (desk.gateway.exchange.quote(contract.con_id).bid * D("0.95")).quantize(D("0.01"))
        orders += [
            await desk.place("place_limit_order", quantity=str(n + 1), limit_price=price, contract=contract, confirm_duplicate=True)
            for n in range(14)
        ]
    await desk.act("cancel_order", first)
    desk.engine.situation.mend("test", way_back="the end of the burst")
    for order in orders:
        await desk.order_is(order, "WORKING")
    cancelled = await desk.order_is(first, "CANCELLED")
    assert len(await desk.broker_orders()) == len(orders) + 1
    sent = await desk.do(lambda: sorted(OrderRecord.objects.exclude(pk=first.pk).values_list("sent_at", flat=True)))
    assert cancelled.closed_at < sent[-1]
    assert sent[-1] - sent[0] > timedelta(seconds=1)
