"""The connection as it is in life: broken, refused, frozen, half told; and the one way back from all of it."""

from __future__ import annotations

import asyncio
from decimal import Decimal as D
from functools import partial

import pytest

from broker.engine import EngineFailed
from broker.simulator.exchange import Exchange
from broker.simulator.server import SimulatedGateway
from broker.tests.running import BookThread, Desk, running_desk
from broker.tests.simulator.running import running_gateway
from orders import intake
from orders.models import Book, BrokerCommand, BrokerId, Event, Execution, Gateway, OrderRecord
from orders.rules.terms import BookKind, CommandState, GatewayState

pytestmark = pytest.mark.django_db


def gateway_row() -> Gateway:
    return Gateway.objects.get()


async def state_is(desk: Desk, state: GatewayState) -> Gateway:
    """Waits for the state, in the engine and on the row that the screens show."""
    await desk.until(lambda: desk.engine.situation.state is state)
    return await desk.until(lambda: Gateway.objects.filter(state=state.value).first())


async def not_at_the_broker(desk: Desk, order: OrderRecord) -> OrderRecord:
    """Waits until two complete snapshots, ten seconds apart, lacked the order."""
    await desk.until(lambda: OrderRecord.objects.filter(pk=order.pk, absent_since__isnull=False).exists())
    await desk.pass_time(12)
    return await desk.until(lambda: OrderRecord.objects.filter(pk=order.pk, status_text__icontains="not at the broker").first())


def dies(fence: int) -> bool:
    """The worker's death after the claim was committed and before the first byte."""
    raise RuntimeError("dies here")


async def test_fills_while_the_line_was_down_are_found(desk: Desk) -> None:
    order = await desk.place("place_limit_order", limit_price=D("230.00"))
    await desk.order_is(order, "WORKING")
    port = desk.gateway.port
    await desk.command("client-id-taken 17")  # keeps us out until the fill has happened
    await desk.command("drop 17")
    await state_is(desk, GatewayState.DOWN)
    await desk.command("quote AAPL 229.00 229.10")
    await desk.until(lambda: "326" in gateway_row().reason)
    await desk.command("off client-id-taken")
    filled = await desk.order_is(order, "FILLED")
    assert (filled.filled_quantity, desk.gateway.port) == (100, port)
    await state_is(desk, GatewayState.READY)
    assert await desk.do(Execution.objects.count) == 1


async def test_an_order_whose_answer_was_lost_is_found_by_its_name(desk: Desk) -> None:
    await desk.command("drop-after-order")
    order = await desk.place("place_limit_order", limit_price=D("230.00"))
    await desk.order_is(order, "UNKNOWN")
    await desk.order_is(order, "WORKING")
    assert len(await desk.broker_orders()) == 1


async def test_an_order_that_never_arrived_is_unknown_and_not_sent_again(desk: Desk) -> None:
    await desk.command("drop-before-order")
    order = await desk.place()
    await desk.order_is(order, "UNKNOWN")
    missing = await not_at_the_broker(desk, order)
    assert (missing.status, missing.needs_attention) == ("UNKNOWN", True)
    assert await desk.broker_orders() == []


async def test_a_worker_that_died_between_claim_and_write_leaves_an_order_that_is_not_at_the_broker(closed_desk: Desk) -> None:
    desk = closed_desk
    desk.start()
    await desk.ready()
    desk.connector.may_send = dies
    order = await desk.place()
    with pytest.raises(EngineFailed, match="outbox"):
        await desk.running
    assert (await desk.do(lambda: BrokerCommand.objects.get(order=order))).state == CommandState.SENDING.value
    desk.start()
    await desk.ready()
    await desk.order_is(order, "UNKNOWN")
    await not_at_the_broker(desk, order)
    assert await desk.broker_orders() == []


async def test_a_client_id_in_use_is_named_and_waited_for(gateway: SimulatedGateway, book_thread: BookThread) -> None:
    await gateway.command("client-id-taken 17")
    async with running_desk(gateway, book_thread, start=False) as desk:
        desk.start()
        row = await desk.until(lambda: Gateway.objects.filter(reason__contains="326").first())
        assert row.state == GatewayState.DOWN.value
        assert "client id 17 is in use" in row.reason
        await gateway.command("off client-id-taken")
        await desk.ready()
        assert [one.client_id for one in gateway.core.ready_sessions()] == [17]


@pytest.mark.parametrize("restored", ["restored", "restored-lost"])
async def test_while_the_gateway_has_lost_ib_nothing_goes_out_and_afterwards_everything_is_asked(desk: Desk, restored: str) -> None:
    first = await desk.place("place_limit_order", limit_price=D("230.00"))
    await desk.order_is(first, "WORKING")
    await desk.command("connectivity lost")
    row = await state_is(desk, GatewayState.DEGRADED)
    assert "1100" in row.reason
    waiting = await desk.place("place_limit_order", limit_price=D("220.00"), quantity="7")
    await desk.command("forget-fills")  # what fills meanwhile is never pushed
    await desk.command("quote AAPL 229.00 229.10")
    assert (await desk.do(lambda: OrderRecord.objects.get(pk=waiting.pk))).status == "PENDING"
    await desk.command(f"connectivity {restored}")
    filled = await desk.order_is(first, "FILLED")
    assert filled.filled_quantity == 100
    await desk.order_is(waiting, "WORKING")
    await state_is(desk, GatewayState.READY)


async def test_a_frozen_gateway_gets_no_order(desk: Desk) -> None:
    desk.gateway.pause()
    await desk.pass_time(6)  # nothing was heard for longer than an order may trust
    order = await desk.place()
    row = await state_is(desk, GatewayState.DEGRADED)
    assert "does not answer" in row.reason
    assert (await desk.do(lambda: OrderRecord.objects.get(pk=order.pk))).status == "PENDING"
    desk.gateway.resume()
    await desk.order_is(order, "FILLED")


@pytest.mark.parametrize("kind", ["openOrderEnd", "positionEnd"])
async def test_a_list_without_its_end_keeps_the_desk_closed(gateway: SimulatedGateway, book_thread: BookThread, kind: str) -> None:
    await gateway.command(f"mute {kind}")
    async with running_desk(gateway, book_thread, start=False) as desk:
        desk.start(patience=0.3)
        row = await desk.until(lambda: Gateway.objects.filter(reason__contains="has not told all of its").first())
        assert row.state == GatewayState.RECONCILING.value


async def test_a_gateway_that_never_ends_its_executions_opens_with_a_warning(gateway: SimulatedGateway, book_thread: BookThread) -> None:
    await gateway.command("mute execDetailsEnd")
    async with running_desk(gateway, book_thread, start=False) as desk:
        desk.start(patience=0.3)
        row = await desk.until(lambda: Gateway.objects.filter(state=GatewayState.READY.value).first())
        assert "executions" in row.reason


async def test_order_ids_that_roll_back_are_never_used_again(desk: Desk) -> None:
    for _ in range(3):
        await desk.order_is(await desk.place(quantity="1", confirm_duplicate=True), "FILLED")
    used = await desk.do(lambda: set(BrokerId.objects.values_list("ib_order_id", flat=True)))
    await desk.command("reset-ids 1")
    await desk.command("drop 17")
    await state_is(desk, GatewayState.DOWN)
    await state_is(desk, GatewayState.READY)
    order = await desk.place(quantity="2")
    await desk.until(lambda: BrokerId.objects.filter(order=order).exists())
    name = await desk.do(lambda: BrokerId.objects.get(order=order))
    assert name.ib_order_id not in used
    assert await desk.do(lambda: Book.objects.get().order_id_mark) >= name.ib_order_id


@pytest.mark.parametrize(("allowed", "opens"), [((), False), (("U1111111",), False), (("U1111111", "U2222222"), True)])
async def test_real_money_is_touched_only_where_every_account_was_listed(
    book_thread: BookThread, monkeypatch: pytest.MonkeyPatch, allowed: tuple[str, ...], opens: bool
) -> None:
    monkeypatch.setattr("broker.simulator.gateway.FARMS_OK", ((2104, "Market data farm connection is OK:usfarm"),))
    accounts = partial(Exchange, accounts=("U1111111", "U2222222"))
    async with running_gateway(exchange_factory=accounts) as gateway, running_desk(gateway, book_thread, start=False) as desk:
        desk.start(allow_live=allowed)
        if opens:
            await state_is(desk, GatewayState.READY)
            assert await desk.do(lambda: Book.objects.get().kind) == "live"
            return
        row = await desk.until(lambda: Gateway.objects.filter(reason__contains="DESKBOOK_ALLOW_LIVE").first())
        assert row.state == GatewayState.DOWN.value
        assert "U2…222" in row.reason
        assert await desk.do(lambda: Book.objects.get().kind) == ""
        assert not await desk.do(lambda: Event.objects.filter(kind="account.added").exists())


async def test_a_book_of_another_kind_is_refused_in_words(gateway: SimulatedGateway, book_thread: BookThread) -> None:
    async with running_desk(gateway, book_thread, start=False) as desk:
        await desk.do(intake.bind, BookKind.PAPER, ["DU1000417"], desk.time.now())
        desk.start()
        row = await desk.until(lambda: Gateway.objects.filter(reason__contains="simulated").first())
        assert row.state == GatewayState.DOWN.value
        assert gateway.core.ready_sessions() == []


async def test_an_unreadable_message_is_made_good_by_asking(desk: Desk) -> None:
    order = await desk.place("place_limit_order", limit_price=D("230.00"))
    await desk.order_is(order, "WORKING")
    [session] = desk.gateway.core.ready_sessions()
    await desk.command("forget-fills")
    await desk.command("quote AAPL 229.00 229.10")
    connection = desk.gateway.connections[session]
    assert connection.transport is not None
    broken = b"11\0-1\0what\0"
    connection.transport.write(len(broken).to_bytes(4, "big") + broken)
    filled = await desk.order_is(order, "FILLED")
    assert filled.filled_quantity == 100


async def test_a_gateway_that_had_lost_ib_before_we_came_is_not_ready(gateway: SimulatedGateway, book_thread: BookThread) -> None:
    async with running_desk(gateway, book_thread, start=False) as desk:
        desk.start()
        here = desk.engine.situation
        while here.state is not GatewayState.CONNECTING:  # it does not last long enough to be polled for
            await asyncio.sleep(0)
        here.connector.on_notice(1100, "Connectivity between IB and Trader Workstation has been lost.")
        row = await state_is(desk, GatewayState.DEGRADED)
        assert "1100" in row.reason
        here.connector.on_notice(2104, "Market data farm connection is OK:usfarm")
        assert here.state is GatewayState.DEGRADED, "one farm is not the whole"
        here.connector.on_notice(1102, "Connectivity between IB and Trader Workstation has been restored - data maintained.")
        await state_is(desk, GatewayState.READY)


async def test_what_does_not_fit_into_the_inbox_is_asked_for(desk: Desk) -> None:
    order = await desk.place("place_limit_order", limit_price=D("230.00"))
    await desk.order_is(order, "WORKING")
    desk.connector.inbox._largest = 0  # nothing fits any more
    await desk.command("quote AAPL 229.00 229.10")
    await desk.until(lambda: desk.connector.inbox.overflowed)
    desk.connector.inbox._largest = 1000
    desk.engine.situation.tell()  # something that the engine itself must hear
    filled = await desk.order_is(order, "FILLED")
    assert filled.filled_quantity == 100
