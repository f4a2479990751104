"""The whole worker behind a network that breaks: cut at any byte, ended, swallowed, late, in crumbs. Nothing doubled, nothing lost.

After each the book must be what the exchange's own ledger says: every order that arrived, once, with its fills; every other one shown as
unknown. Pauses between attempts are shortened; what the worker waits for from the gateway is its own.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from decimal import Decimal as D
from pathlib import Path

import pytest
import pytest_asyncio

from broker.engine import connection
from broker.simulator import control, ledger, truth
from broker.simulator.server import SimulatedGateway
from broker.tests.running import BookThread, Desk, running_desk
from broker.tests.simulator.running import running_gateway
from oms_site.tests.agreement import disagreements
from oms_site.tests.proxy import Proxy, proxied
from orders.models import BrokerCommand, Certificate, CommissionReport, Execution, OrderRecord
from orders.rules.terms import GatewayState

pytestmark = pytest.mark.django_db

POINTS = 8


@pytest_asyncio.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[SimulatedGateway]:
    """A gateway that writes its ledger to disk."""
    async with running_gateway(ledger=tmp_path / "ledger.jsonl") as running:
        yield running


@pytest_asyncio.fixture
async def line(gateway: SimulatedGateway) -> AsyncIterator[Proxy]:
    """The network between the worker and the gateway."""
    async with proxied(gateway.port) as proxy:
        yield proxy


@pytest_asyncio.fixture
async def far_desk(gateway: SimulatedGateway, line: Proxy, book_thread: BookThread, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """A desk that is READY, with the proxy between it and its gateway."""
    monkeypatch.setattr(connection, "SHORTEST_PAUSE", 0.02)
    async with running_desk(gateway, book_thread, start=False) as desk:
        desk.port = line.port
        desk.start()
        await desk.ready()
        yield desk


async def back(desk: Desk, before: int) -> None:
    """Waits until the way back was gone since, and the desk is READY."""
    await desk.until(lambda: Certificate.objects.count() > before and desk.engine.situation.state is GatewayState.READY)


async def certificates(desk: Desk) -> int:
    return await desk.do(Certificate.objects.count)


async def agrees(desk: Desk, tmp_path: Path) -> None:
    """Waits until the book is what the exchange says, orders that never arrived apart; then nothing was sent twice."""
    path = tmp_path / "ledger.jsonl"
    found: list[str] = []

    def same() -> bool:
        told = disagreements(lambda words: control.execute(desk.gateway, words), ledger.read(path))
        found[:] = [one for one in told if "is UNKNOWN in the book and not at the exchange" not in one]
        return not found and not OrderRecord.objects.filter(status__in=("PENDING", "SENT")).exists()

    try:
        await desk.until(same)
    except AssertionError as error:
        raise AssertionError(f"{error}\n" + "\n".join(found)) from None
    lines = ledger.read(path)
    placed = Counter(one["fields"][1] for one in lines if one["kind"] == "in" and one["message"] == "placeOrder")
    assert all(count == 1 for count in placed.values()), placed
    counted = {one["exec_id"]: D(one["shares"]) for one in truth.derive(lines).executions.values()}
    assert dict(await desk.do(lambda: list(Execution.objects.filter(counts=True).values_list("exec_id", "quantity")))) == counted
    assert not await desk.do(BrokerCommand.objects.filter(kind="PLACE", tries__gt=1).exists)


def spread(whole: int, *, seed: int, fixed: tuple[int, ...] = ()) -> list[int]:
    """Points between the first byte and the last: some that matter, and some by chance."""
    chance = random.Random(seed)
    return sorted({*fixed, *(chance.randrange(1, whole) for _ in range(POINTS - len(fixed)))})


# --- cut -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["up", "down"])
async def test_a_reset_at_any_byte_of_the_way_back_leads_to_another_one(far_desk: Desk, line: Proxy, tmp_path: Path, way: str) -> None:
    """B1: in the handshake and in the middle of the lists; what filled meanwhile is found, and no order leaves before READY."""
    desk, direction = far_desk, getattr(line, way)
    whole = direction.passed  # of a whole way from the connection to READY
    working = await desk.order_is(await desk.place("place_limit_order", limit_price=D("230.00")), "WORKING")
    for number, point in enumerate(spread(whole, seed=len(way), fixed=(1, 4, 11))):
        before, resets = await certificates(desk), line.resets
        direction.reset_after(point)
        line.finish()
        if number == 5:
            await desk.command("quote AAPL 229.00 229.10")
        while line.resets == resets:
            await asyncio.sleep(0.005)
        await back(desk, before)
        direction.budget = None
    assert (await desk.order_is(working, "FILLED")).filled_quantity == 100
    await agrees(desk, tmp_path)
    kinds = [
        one["event"] if one["kind"] == "client" else one["message"]
        for one in ledger.read(tmp_path / "ledger.jsonl")
        if one["kind"] == "client" or one.get("message") == "placeOrder"
    ]
    assert kinds.count("placeOrder") == 1


async def test_a_reset_at_any_byte_of_an_order_leaves_it_at_the_broker_or_unknown(far_desk: Desk, line: Proxy, tmp_path: Path) -> None:
    """B1: before the first byte of placeOrder, inside it, and behind its last."""
    desk = far_desk
    before_order = line.up.passed
    await desk.order_is(await desk.place("place_limit_order", limit_price=D("230.00"), quantity="100"), "WORKING")
    whole = line.up.passed - before_order
    points = [whole, whole - 1, *spread(whole - 1, seed=3, fixed=(0, 1, 4))]  # the last byte first, while order ids have one digit
    for number, point in enumerate(points):
        before = await certificates(desk)
        line.up.reset_after(point)
        await desk.place("place_limit_order", limit_price=D("230.00"), quantity=str(101 + number), confirm_duplicate=True)
        await back(desk, before)
        assert line.up.budget is None
    await agrees(desk, tmp_path)
    states = Counter(await desk.do(lambda: list(OrderRecord.objects.values_list("status", flat=True))))
    assert states == {"WORKING": 2, "UNKNOWN": len(points) - 1}  # the first, and the one that was whole


async def test_a_reset_at_any_byte_of_the_news_of_a_fill_loses_no_fill(far_desk: Desk, line: Proxy, tmp_path: Path) -> None:
    """B1: in the middle of execDetails, of its commission, of the order's state."""
    desk = far_desk
    before_fill = line.down.passed
    await desk.order_is(await desk.place(quantity="1"), "FILLED")
    await desk.until(CommissionReport.objects.exists)
    whole = line.down.passed - before_fill
    for number, point in enumerate(spread(whole, seed=4, fixed=(1,))):
        before = await certificates(desk)
        line.down.reset_after(point)
        order = await desk.place(quantity=str(number + 2), confirm_duplicate=True)
        await back(desk, before)
        line.down.budget = None
        assert (await desk.order_is(order, "FILLED")).filled_quantity == number + 2
    await agrees(desk, tmp_path)


async def test_an_end_in_order_is_no_different(far_desk: Desk, line: Proxy, tmp_path: Path) -> None:
    """B2: at rest, and with an order on its way."""
    desk = far_desk
    working = await desk.order_is(await desk.place("place_limit_order", limit_price=D("230.00")), "WORKING")
    for _ in range(2):
        before = await certificates(desk)
        assert line.finish() == 1
        await back(desk, before)
    before = await certificates(desk)
    order = await desk.place("place_limit_order", limit_price=D("229.50"), quantity="7")
    while not line.finish():
        await asyncio.sleep(0)
    await back(desk, before)
    await desk.until(lambda: OrderRecord.objects.filter(pk=order.pk, status__in=("WORKING", "UNKNOWN")).exists())
    await desk.act("cancel_order", working)
    await desk.order_is(working, "CANCELLED")
    await agrees(desk, tmp_path)


# --- swallowed, late, in crumbs --------------------------------------------------------------------------------------------------------


async def test_a_hole_is_found_within_ten_seconds_and_swallows_no_order(far_desk: Desk, line: Proxy, tmp_path: Path) -> None:
    """B3: half-open, no end is told. The question for life goes before an order where nothing was heard for five seconds."""
    desk = far_desk
    monotonic = desk.time.monotonic
    line.black_hole()
    began = monotonic()
    await desk.pass_time(5.1)
    order = await desk.place(quantity="3")
    await desk.until(lambda: desk.engine.situation.state is GatewayState.DEGRADED)
    assert monotonic() - began < 10
    assert "does not answer" in desk.engine.situation.reason
    assert line.up.swallowed and order.client_order_id.encode() not in line.up.swallowed
    assert (await desk.do(lambda: OrderRecord.objects.get(pk=order.pk))).status == "PENDING"
    before = await certificates(desk)
    line.heal()
    await desk.connector.disconnect()  # what it does after five unanswered questions
    await back(desk, before)
    await desk.order_is(order, "FILLED")
    await agrees(desk, tmp_path)


async def test_a_hole_that_nobody_looks_into_is_found_by_the_probe(
    far_desk: Desk, line: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B3: without an order; the connection is made anew after some questions without an answer."""
    monkeypatch.setattr(connection, "PROBE_PATIENCE", 0.3)
    monkeypatch.setattr(connection, "MISSES_UNTIL_DROPPED", 2)
    desk = far_desk
    working = await desk.order_is(await desk.place("place_limit_order", limit_price=D("230.00")), "WORKING")
    before, accepted = await certificates(desk), line.accepted
    line.black_hole()
    await desk.pass_time(5)
    await desk.until(lambda: desk.engine.situation.state is GatewayState.DEGRADED)
    await desk.command("quote AAPL 229.00 229.10")
    while line.accepted == accepted:
        await desk.pass_time(1)
        await asyncio.sleep(0.05)
    line.heal()
    line.reset()  # the attempt that fell into the hole
    await back(desk, before)
    assert (await desk.order_is(working, "FILLED")).filled_quantity == 100
    await agrees(desk, tmp_path)


async def test_a_gateway_that_is_far_away_costs_time_and_nothing_else(
    far_desk: Desk, line: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B4: five seconds each way (here half a second, and the patience of the probe a tenth, too): late is not refused, nor sent again."""
    monkeypatch.setattr(connection, "PROBE_PATIENCE", 0.4)
    desk = far_desk
    line.up.latency = line.down.latency = 0.5
    orders = [await desk.place("place_limit_order", limit_price=D("230.00"), quantity=str(number)) for number in (4, 5)]
    await desk.until(lambda: OrderRecord.objects.filter(status="SENT").count() == 2)
    await desk.pass_time(6)  # what was not answered for five seconds is doubted once the gateway does not answer either
    await desk.until(lambda: desk.engine.situation.state is GatewayState.DEGRADED)
    assert not await desk.do(OrderRecord.objects.filter(status__in=("REJECTED", "CANCELLED")).exists)
    for order in orders:
        await desk.order_is(order, "WORKING")
    before = await certificates(desk)
    line.up.latency = line.down.latency = 0.0
    await back(desk, before)
    await agrees(desk, tmp_path)
    assert await desk.do(lambda: set(OrderRecord.objects.values_list("status", flat=True))) == {"WORKING"}


async def test_a_stream_in_crumbs_of_one_byte_is_read_like_any_other(
    gateway: SimulatedGateway, line: Proxy, book_thread: BookThread, tmp_path: Path
) -> None:
    """Every frame, both ways, from the handshake on."""
    line.up.pieces = line.down.pieces = 1
    async with running_desk(gateway, book_thread, start=False) as desk:
        desk.port = line.port
        desk.start()
        await desk.ready()
        working = await desk.order_is(await desk.place("place_limit_order", limit_price=D("230.00")), "WORKING")
        await desk.order_is(await desk.place(quantity="3"), "FILLED")
        await desk.act("cancel_order", working)
        await desk.order_is(working, "CANCELLED")
        await agrees(desk, tmp_path)
        assert line.down.segments == line.down.passed > 5_000
        assert desk.connector._connected.listener.troubles == 0
