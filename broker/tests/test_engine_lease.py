"""One worker trades at a time, and none lives on with a part of it dead."""

from __future__ import annotations

import asyncio
from decimal import Decimal as D

import pytest
from django.db import OperationalError

from broker.connector import NotWritten
from broker.engine import EngineFailed
from broker.simulator.server import SimulatedGateway
from broker.tests.running import BookThread, Desk, running_desk
from orders import lease
from orders.lease import LeaseLost
from orders.models import BrokerCommand, BrokerId, Gateway, Lease, OrderRecord
from orders.rules.commands import CancelOrder, Unit
from orders.rules.terms import GatewayState

pytestmark = pytest.mark.django_db


async def test_a_worker_that_lost_its_lease_ends_and_writes_nothing_more(desk: Desk) -> None:
    here = desk.engine.situation
    await desk.do(lambda: Lease.objects.update(holder="another:1:x", fence=here.fence + 1))
    order = await desk.place()
    with pytest.raises(LeaseLost):
        await desk.running
    assert (await desk.do(lambda: OrderRecord.objects.get(pk=order.pk))).status == "PENDING"
    assert await desk.broker_orders() == []
    assert desk.gateway.core.ready_sessions() == []
    row = await desk.do(Lease.objects.get)
    assert row.holder == "another:1:x", "the lease of another is not given back"


async def test_a_worker_that_slept_too_long_writes_nothing_until_it_knows_that_the_lease_is_still_its_own(desk: Desk) -> None:
    order = await desk.place("place_limit_order", limit_price=D("200.00"))
    await desk.order_is(order, "WORKING")
    name = await desk.do(lambda: BrokerId.objects.get(order=order))
    unit = Unit("x", desk.engine.situation.fence, (CancelOrder(1, order.client_order_id, name.ib_order_id),))
    desk.time.ahead += 60  # stopped by the system for a minute, and woken
    with pytest.raises(NotWritten, match="lease"):
        desk.connector.send(unit)
    await desk.until(lambda: desk.engine.situation.may_send(unit.fence))
    desk.connector.send(unit)
    await desk.order_is(order, "CANCELLED")


async def test_a_worker_that_slept_while_another_took_over_ends(desk: Desk) -> None:
    def taken_over() -> int | None:
        desk.time.ahead += 60
        return lease.acquire("another:1:x", desk.time.now())

    assert await desk.do(taken_over) == desk.engine.situation.fence + 1
    with pytest.raises(LeaseLost):
        await desk.running


async def test_while_the_database_is_down_nothing_is_sent_and_what_is_heard_waits(desk: Desk) -> None:
    order = await desk.place("place_limit_order", limit_price=D("230.00"))
    await desk.order_is(order, "WORKING")
    desk.do.broken = OperationalError("the server closed the connection")
    await desk.command("quote AAPL 229.00 229.10")
    while not len(desk.connector.inbox):
        await asyncio.sleep(0.01)
    desk.time.ahead += 60
    assert not desk.engine.situation.may_send(desk.engine.situation.fence)
    desk.do.broken = None
    await desk.order_is(order, "FILLED")
    await desk.order_is(await desk.place(quantity="5"), "FILLED")


async def test_a_standby_takes_over_when_the_lease_is_given_back(gateway: SimulatedGateway, book_thread: BookThread) -> None:
    async with running_desk(gateway, book_thread) as first, running_desk(gateway, book_thread, start=False) as second:
        second.start(holder="another-host:1:b")
        order = await first.place()
        await first.order_is(order, "FILLED")
        assert second.engine.situation.fence == 0
        assert not second.engine.leading.is_set()
        await first.stop()
        await second.until(lambda: second.engine.leading.is_set())
        assert second.engine.situation.fence == first.engine.situation.fence + 1
        await second.until(lambda: second.engine.situation.state is GatewayState.READY)


async def test_a_worker_that_is_stopped_enters_what_it_heard_and_gives_everything_back(desk: Desk) -> None:
    orders = [await desk.place("place_limit_order", quantity=str(n + 1), limit_price=D("200.00")) for n in range(5)]
    await desk.stop()
    told = {one["order_ref"] for one in await desk.broker_orders()}
    for order in await desk.do(lambda: list(OrderRecord.objects.filter(pk__in=[order.pk for order in orders]))):
        expected = {"PENDING"} if order.client_order_id not in told else {"WORKING", "SENT", "HELD"}
        assert order.status in expected
    row = await desk.do(Gateway.objects.get)
    assert (row.state, row.reason) == ("DOWN", "the worker was stopped")
    assert await desk.do(lambda: Lease.objects.get().holder) == ""
    assert not await desk.do(lambda: BrokerCommand.objects.filter(state="SENDING").exists())


@pytest.mark.parametrize("name", ["lease", "reports", "connection", "probe", "outbox", "check", "inquiries", "figures", "lines", "details"])
async def test_the_death_of_any_task_ends_the_engine(desk: Desk, name: str) -> None:
    [task] = [task for task in asyncio.all_tasks() if task.get_name() == name]
    task.cancel()
    with pytest.raises(EngineFailed, match=name):
        await desk.running
    assert desk.gateway.core.ready_sessions() == []
    assert await desk.do(lambda: Lease.objects.get().holder) == ""


async def test_a_book_that_cannot_be_written_ends_the_engine(desk: Desk) -> None:
    desk.do.broken = RuntimeError("the disk is full")
    with pytest.raises(EngineFailed):
        await desk.running
    desk.do.broken = None
    assert await desk.do(lambda: lease.acquire("next:1:c", desk.time.now())) is None, "it runs out by itself"
