"""What keeps orders in though the gateway answers, and connections that break again and again: named causes, nothing doubled, no leaks."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from collections import Counter
from decimal import Decimal as D
from pathlib import Path

import pytest
from django.utils import timezone

from broker.engine import checking, connection
from broker.simulator.server import SimulatedGateway
from broker.tests.running import ACCOUNTS, BookThread, Desk, running_desk
from orders import intake
from orders.models import BrokerCommand, Certificate, Execution, Gateway, OrderRecord
from orders.rules.terms import BookKind, GatewayState
from orders.tests.factories import make_limit

pytestmark = pytest.mark.django_db

BURST = 60
READ_ONLY = "'Error validating request.-bW : cause - The API interface is currently in Read-Only mode.'"


async def said(desk: Desk, words: str, state: GatewayState = GatewayState.RECONCILING) -> Gateway:
    """Waits until the screens give the reason in that state."""
    return await desk.until(lambda: Gateway.objects.filter(reason__contains=words, state=state.value).first())


def fresh(order: OrderRecord) -> OrderRecord:
    return OrderRecord.objects.get(pk=order.pk)


# --- what keeps orders in -------------------------------------------------------------------------------------------------------------


async def test_a_read_only_api_found_by_the_first_order_keeps_the_next_in(desk: Desk) -> None:
    working = await desk.order_is(await desk.place("place_limit_order", limit_price=D("230.00")), "WORKING")
    await desk.command(f"refuse placeOrder 321 {READ_ONLY} count=1")
    refused = await desk.order_is(await desk.place(quantity="1"), "REJECTED")
    assert "Read-Only" in refused.status_text
    await said(desk, "read-only (code 321)")
    waiting = await desk.place(quantity="2")
    await desk.act("cancel_order", working)
    await desk.order_is(working, "CANCELLED")
    assert (await desk.do(fresh, waiting)).status == "PENDING"
    await desk.command("drop 17")  # as when the gateway is restarted with the box unticked
    await desk.order_is(waiting, "FILLED")


async def test_a_read_only_api_found_by_a_question_keeps_the_desk_closed(gateway: SimulatedGateway, book_thread: BookThread) -> None:
    await gateway.command(f"refuse reqExecutions 321 {READ_ONLY} count=1")
    async with running_desk(gateway, book_thread, start=False) as desk:
        desk.start(patience=0.3)
        await said(desk, "read-only (code 321)")
        await desk.until(lambda: Certificate.objects.exists())
        assert desk.engine.situation.state is GatewayState.RECONCILING


async def test_clocks_that_differ_are_said_and_by_more_than_a_minute_keep_orders_in(desk: Desk) -> None:
    here = desk.engine.situation
    desk.time.ahead += 5
    here.renewed(desk.time.monotonic())
    await said(desk, "5 s behind this machine's", GatewayState.READY)
    await desk.pass_time(65)
    await said(desk, "it is not certain which day it is")
    order = await desk.place(quantity="3")
    await asyncio.sleep(0)
    assert (await desk.do(fresh, order)).status == "PENDING"
    desk.connector._clock = desk.connector.questions.clock = desk.engine.situation.clock = timezone.now  # set right
    await desk.order_is(order, "FILLED")


async def test_an_account_in_use_that_the_login_lacks_is_named(gateway: SimulatedGateway, book_thread: BookThread) -> None:
    async with running_desk(gateway, book_thread, start=False) as desk:
        await desk.do(intake.bind, BookKind.SIMULATED, [*ACCOUNTS, "DU1999999"], desk.time.now())
        desk.start()
        row = await said(desk, "does not name DU1999999", GatewayState.DOWN)
        assert "switched off in the administration" in row.reason
        assert gateway.core.ready_sessions() == []


@pytest.mark.parametrize("kind", ["openOrderEnd", "completedOrdersEnd", "execDetailsEnd", "positionEnd"])
async def test_a_question_never_answered_raises_an_alarm(
    gateway: SimulatedGateway, book_thread: BookThread, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """All but the list of completed orders are needed; executions only where positions do not agree."""
    monkeypatch.setattr(checking, "ALARM_SECONDS", 0.1)
    await gateway.command(f"mute {kind}")
    if kind == "execDetailsEnd":
        await gateway.command("mute positionEnd")
    async with running_desk(gateway, book_thread, start=False) as desk:
        desk.start(patience=0.2)
        if kind == "completedOrdersEnd":
            row = await desk.until(lambda: Certificate.objects.first())
            assert not row.is_complete
            return
        await said(desk, "ALARM")
        assert not await desk.do(Certificate.objects.exists)


# --- storms ---------------------------------------------------------------------------------------------------------------------------


async def test_a_burst_that_is_cut_leaves_every_order_somewhere_and_none_twice(desk: Desk) -> None:
    for rule in ("MAX_OPEN_ORDERS", "ORDER_RATE", "ORDER_RATIO"):
        await desk.do(lambda rule=rule: make_limit(rule, "500", account=desk.account, at=desk.time.now()))
    await desk.stop()  # the burst is in the book before the first is sent
    for _ in range(BURST):
        await desk.place(quantity="1", confirm_duplicate=True)
    desk.start()
    await desk.until(lambda: Execution.objects.count() >= 38)
    await desk.command("drop 17")
    await desk.until(lambda: Certificate.objects.filter(reason__contains="after:").exists())

    def settled() -> bool:
        counts = Counter(OrderRecord.objects.values_list("status", flat=True))
        return counts["FILLED"] + counts["UNKNOWN"] == BURST

    await desk.until(settled, 40)
    at_broker = Counter(one["order_ref"] for one in await desk.broker_orders())
    filled = set(await desk.do(lambda: list(OrderRecord.objects.filter(status="FILLED").values_list("client_order_id", flat=True))))
    assert set(at_broker) == filled and set(at_broker.values()) == {1}
    assert not await desk.do(Certificate.objects.filter(resent__gt=0).exists)
    assert not await desk.do(BrokerCommand.objects.filter(kind="PLACE", tries__gt=1).exists)


async def test_drop_after_drop_leaks_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(connection, "SHORTEST_PAUSE", 0.01)
    caplog.set_level(logging.INFO, "broker")

    async def drop() -> None:
        number = await desk.do(Certificate.objects.count)
        await desk.command("drop 17")
        await desk.until(lambda: Certificate.objects.count() > number and desk.engine.situation.state is GatewayState.READY)

    def held() -> tuple[int, int]:
        gc.collect()
        return len(asyncio.all_tasks()), len(list(Path(f"/proc/{os.getpid()}/fd").iterdir()))

    for _ in range(3):
        await drop()
    before, lines = held(), len(caplog.records)
    drops = 15
    for _ in range(drops):
        await drop()
    tasks, files = held()
    assert tasks <= before[0] + 2 and files <= before[1] + 2, (before, tasks, files)
    assert len(caplog.records) - lines <= drops * 12
