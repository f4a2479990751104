"""Kill switch, flatten, partial close and reverse through the whole worker: ib_async, the simulated gateway, and the broker's own word."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from broker.tests.running import Desk
from orders.models import BrokerCommand, Gateway, OrderRecord, Position, Sweep
from orders.queries import sweep as report_of
from orders.rules.lifecycle import OPEN
from orders.rules.terms import Role, Side
from orders.tests.factories import make_contract, make_limit

pytestmark = pytest.mark.django_db

MSFT = 272093
OTHERS = (("MSFT", MSFT), ("NVDA", 4815747), ("AMD", 4391))
_OPEN = [status.value for status in OPEN]


async def held(desk: Desk, quantity: int, contract: Any = None) -> None:
    what = contract or desk.contract
    await desk.until(lambda: Position.objects.filter(account=desk.account, contract=what, quantity=quantity).exists())


async def buy(desk: Desk, quantity: int, contract: Any = None, side: Side = Side.BUY) -> None:
    await desk.order_is(await desk.place(quantity=str(quantity), side=side, contract=contract), "FILLED")
    await held(desk, quantity if side is Side.BUY else -quantity, contract)


async def over(desk: Desk, sweep: Sweep) -> Any:
    """The report, once the broker has confirmed all of it."""

    def report() -> Any:
        found = report_of(desk.manager.actor, sweep.pk)
        return found if found is not None and found.is_over else None

    return await desk.until(report)


async def resting(desk: Desk, count: int) -> list[OrderRecord]:
    """Orders that work far from the market, brackets among them: `count` of them, at most 18 in one contract (IB takes no more than 20)."""
    for rule in ("MAX_OPEN_ORDERS", "MAX_USER_ORDERS", "ORDER_RATE", "ORDER_RATIO"):
        await desk.do(make_limit, rule, "1000")
    orders: list[OrderRecord] = []
    contracts = [desk.contract, *(await desk.do(lambda: [make_contract(symbol, con_id=con_id) for symbol, con_id in OTHERS]))]
    for n in range(count // 6):
        where = {"contract": contracts[n // 3], "quantity": "1", "confirm_duplicate": True}
        exits = {"take_profit_price": D(900), "stop_loss_price": D(2)}
        orders += await desk.place("place_bracket", limit_price=D(10) + n, **exits, **where)
        for step in range(3):
            orders.append(await desk.place("place_limit_order", limit_price=D(20) + n + D(step) / 10, **where))
    await desk.until(lambda: OrderRecord.objects.filter(status__in=["WORKING", "HELD"]).count() == len(orders))
    return orders


async def test_sixty_working_orders_are_gone_and_the_broker_says_so(desk: Desk) -> None:
    orders = await resting(desk, 60)
    assert len(orders) == 60
    sweep = await desk.act("kill", scope="account", account=desk.account, reason="Out")
    report = await over(desk, sweep)
    assert (len(report.cancelled), report.bad, report.left, report.word) == (60, 0, (), "DONE")
    assert not await desk.do(lambda: OrderRecord.objects.filter(status__in=_OPEN).exists())
    assert [one for one in await desk.broker_orders() if one["status"] in ("Submitted", "PreSubmitted")] == []


async def test_without_a_gateway_it_halts_at_once_and_is_confirmed_after_the_reconnect(desk: Desk) -> None:
    orders = await resting(desk, 6)
    await desk.command("client-id-taken 17")  # keeps us out
    await desk.command("drop 17")
    await desk.until(lambda: Gateway.objects.exclude(state="READY").exists())
    sweep = await desk.act("kill", scope="account", account=desk.account, reason="The line is gone")
    report = await desk.do(lambda: report_of(desk.manager.actor, sweep.pk))
    assert (report.waiting, report.word) == (len(orders), "UNDER WAY")
    assert "Cancels wait here" in report.gateway_words
    await desk.command("off client-id-taken")
    report = await over(desk, sweep)
    assert (len(report.cancelled), report.bad) == (len(orders), 0)


async def test_long_and_short_are_flattened_with_their_exits(desk: Desk) -> None:
    msft = await desk.do(lambda: make_contract("MSFT", con_id=MSFT))
    await buy(desk, 100)
    await buy(desk, 40, msft, Side.SELL)
    exits = [*await desk.act("place_oca_group", desk.account, desk.contract), *await desk.act("place_oca_group", desk.account, msft)]
    for order in exits:
        await desk.until(lambda order=order: OrderRecord.objects.filter(pk=order.pk, status__in=["WORKING", "HELD"]).exists())
    sweep = await desk.act("flatten")
    report = await over(desk, sweep)
    assert (len(report.cancelled), len(report.placed), report.word) == (4, 2, "DONE")
    await held(desk, 0)
    await held(desk, 0, msft)


async def test_half_is_closed_and_the_exits_cover_the_other_half(desk: Desk) -> None:
    await buy(desk, 100)
    stop, target = await desk.act("place_oca_group", desk.account, desk.contract)
    await desk.order_is(stop, "HELD")
    await desk.order_is(target, "WORKING")
    sweep = await desk.act("flatten", percent=D(50))
    report = await over(desk, sweep)
    assert (len(report.changed), len(report.placed), report.word) == (2, 1, "DONE")
    await held(desk, 50)
    sizes = await desk.do(lambda: set(OrderRecord.objects.filter(pk__in=[stop.pk, target.pk]).values_list("quantity", "status")))
    assert sizes == {(D(50), "HELD"), (D(50), "WORKING")}
    at_broker = {one["status"] for one in await desk.broker_orders()}
    assert {"Submitted", "PreSubmitted"} <= at_broker


async def test_a_position_is_turned_round_after_its_exits_are_gone(desk: Desk) -> None:
    await buy(desk, 100)
    exits = await desk.act("place_oca_group", desk.account, desk.contract)
    await desk.order_is(exits[0], "HELD")
    await desk.order_is(exits[1], "WORKING")
    order = await desk.act("reverse_position", desk.account, desk.contract)
    done = await desk.order_is(order, "FILLED")
    assert (done.role, done.filled_quantity) == (Role.REVERSE, 200)
    await held(desk, -100)


async def test_a_target_that_fills_in_part_meanwhile_is_not_closed_again(desk: Desk) -> None:
    await buy(desk, 100)
    target = await desk.place("place_limit_order", side=Side.SELL, quantity="100", limit_price="260.00")
    await desk.order_is(target, "WORKING")
    await desk.command("quote AAPL 260.00 260.02 30 30")
    await desk.until(lambda: OrderRecord.objects.filter(pk=target.pk, filled_quantity__gt=0).exists())
    sweep = await desk.act("kill", scope="account", account=desk.account, reason="Out", flatten=True)
    await desk.until(lambda: OrderRecord.objects.filter(pk__in=sweep.data["placed"], status="WORKING").exists())
    await desk.command("quote AAPL 260.00 260.02 900 900")
    await over(desk, sweep)
    await held(desk, 0)
    sold = await desk.do(lambda: sum(order.filled_quantity for order in OrderRecord.objects.filter(side="SELL")))
    assert sold == 100
    assert await desk.do(lambda: BrokerCommand.objects.filter(order__pk__in=sweep.data["placed"], state="CONFIRMED").exists())
