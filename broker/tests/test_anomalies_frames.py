"""Frames that are no messages: mangled, cut, empty, endless, not text. The worker lives, counts them, and finds by asking what they hid.

`DESKBOOK_FRAMES` says how many mangled frames are tried (the catalogue: 100000); `DESKBOOK_SEED` which.
"""

from __future__ import annotations

import logging
import os
import random
import struct
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from django.utils import timezone

from broker.connector import IBKRConnector
from broker.inbox import Inbox
from broker.simulator.server import SimulatedGateway
from broker.tests.anomalies import a_fill, a_working_limit, execution, fill_of, fresh, pour
from broker.tests.running import BookThread, Desk
from broker.tests.simulator.raw import RawClient, frame, place_order
from broker.tests.simulator.running import running_gateway
from orders import intake, replay
from orders.models import Execution
from orders.rules.reports import Question
from orders.rules.terms import BookKind, GatewayState
from orders.tests.factories import make_book

pytestmark = pytest.mark.django_db

HOW_MANY = int(os.environ.get("DESKBOOK_FRAMES", "4000"))
SEED = int(os.environ.get("DESKBOOK_SEED", "20261125"))
NASTY = ["", "-1", "0", "nan", "inf", "1e308", "1.7976931348623157e+308", "2147483648", "9" * 30, "-" + "9" * 30, "9" * 5000, "\\ud800",
         "\u202egnp", "\x1b[2J", "'; DROP", "=1+1", "<script>", "x" * 5000, "20261125 10:00:00 Nowhere/Zone", "2026", "\n"]  # fmt: skip


@pytest_asyncio.fixture
async def recorded() -> list[list[str]]:
    """What a gateway said in a session in which orders were placed, changed, filled and asked for: of another gateway than the test's."""
    async with running_gateway(seed=7) as other:
        client = await RawClient.connect(other.port, client_id=17, highest=178)
        frames = list(client.greeting)
        client.send(*place_order(178, 900_001, kind="MKT", ref="elsewhere-1", account="DU1000417"))
        client.send(*place_order(178, 900_002, limit="150.0", ref="elsewhere-2", account="DU1000902"))
        for request in ([5, 1], [16, 1], [99, 0], [61, 1], [7, 3, 1_000_000_001, 0, "", "", "", "", "", ""], [49, 1]):
            client.send(*request)
        frames += await client.until(lambda fields: fields[0] == "49")
        client.close()
    kinds = {fields[0] for fields in frames}
    assert kinds >= {"3", "4", "5", "11", "59", "61", "101"}, kinds  # statuses, errors, orders, executions, costs, positions, completed
    return frames


def mangled(chance: random.Random, frames: list[list[str]]) -> bytes:
    """One recorded frame with fields changed, lost, doubled or swapped, or with its bytes cut or stirred."""
    fields = list(chance.choice(frames))
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(fields)) if fields else 0
        what = chance.randrange(5)
        if what < 2 and fields:
            fields[place] = chance.choice(NASTY)
        elif what == 2 and fields:
            del fields[place]
        elif what == 3:
            fields.insert(place, chance.choice(NASTY))
        elif fields:
            other = chance.randrange(len(fields))
            fields[place], fields[other] = fields[other], fields[place]
    payload = bytearray("".join(f"{field}\0" for field in fields).encode("utf-8", "surrogatepass"))
    for _ in range(chance.choice((0, 0, 0, 1, 5))):
        if payload:
            payload[chance.randrange(len(payload))] = chance.choice((0, 0xFF, 0xC3, chance.randrange(256)))
    return struct.pack(">I", len(payload)) + bytes(payload)


async def test_mangled_frames_are_counted_and_harm_nobody(
    gateway: SimulatedGateway, recorded: list[list[str]], book_thread: BookThread, caplog: pytest.LogCaptureFixture
) -> None:
    """C37: whatever the frame, the connection lives and hears the next; everything that got through can be taken into a book."""
    caplog.set_level(logging.CRITICAL)
    connector = IBKRConnector("127.0.0.1", gateway.port, 17, clock=timezone.now)
    connector.inbox = Inbox(10 * HOW_MANY)
    await connector.connect()
    listener = connector._connected.listener
    chance, told = random.Random(SEED), 0
    do = book_thread
    await do(make_book, "", (), timezone.now())
    await do(intake.bind, BookKind.SIMULATED, ["DU1000417", "DU1000902"], timezone.now())
    for start in range(0, HOW_MANY, 500):
        pour(gateway, *(mangled(chance, recorded) for _ in range(min(500, HOW_MANY - start))))
        await connector.questions.current_time(30)
        reports = connector.inbox.take(100_000)
        told += len(reports)
        for batch in range(0, len(reports), 100):
            await do(intake.apply, reports[batch : batch + 100], now=timezone.now(), client_id=17)
    assert listener.troubles > HOW_MANY / 10
    assert told > HOW_MANY / 10
    snapshot = await connector.questions.snapshot()
    assert snapshot.complete == frozenset(Question)
    await do(intake.reconcile, snapshot, now=timezone.now())
    assert await do(replay.differences) == []
    await connector.disconnect()


async def test_a_fill_behind_a_mangled_frame_is_found_by_asking(desk: Desk) -> None:
    """C37, I3: the execution itself came mangled and everything else about the fill was lost; one unreadable frame is reason to ask."""
    await desk.command("forget-fills")
    order = await desk.place(quantity="30")
    await desk.order_is(order, "HELD")
    await desk.command("off")
    fields = execution(desk.gateway, fill_of(desk.gateway, order)).fields(178)
    whole = list(fields)
    whole[whole.index("30")] = "thirty"
    pour(desk.gateway, frame(whole))
    filled = await desk.order_is(order, "FILLED")
    assert filled.filled_quantity == 30
    assert await desk.do(Execution.objects.count) == 1
    assert desk.connector._connected.listener.troubles == 1


async def test_a_storm_of_mangled_frames_leaves_the_worker_at_work(desk: Desk, recorded: list[list[str]]) -> None:
    """C37: frames cut, empty, of NULs, of no text; meanwhile orders are placed, and all of them end in the book as at the exchange."""
    chance = random.Random(SEED)
    orders = []
    for quantity in range(1, 6):
        pour(
            desk.gateway,
            *(mangled(chance, recorded) for _ in range(60)),
            frame([]),
            b"\0\0\0\x40" + b"\0" * 64,
            b"\0\0\0\2\xff\xfe",
            bytes(4),
        )
        orders.append(await desk.place(quantity=str(quantity), confirm_duplicate=True))
    for order in orders:
        await desk.order_is(order, "FILLED")
    assert [(await fresh(desk, order)).filled_quantity for order in orders] == [1, 2, 3, 4, 5]
    await desk.until(lambda: desk.engine.situation.state is GatewayState.READY)


@pytest.mark.parametrize("length", [1 << 31, (1 << 32) - 1, 20 << 20], ids=["2 GiB", "negative", "20 MiB"])
async def test_a_frame_that_announces_more_than_any_message_is_closes_the_line(desk: Desk, length: int) -> None:
    """C38: at once and not when so much has come; the next connection finds what was missed."""
    await desk.command("forget-fills")
    order = await desk.place(quantity="30")
    await desk.order_is(order, "HELD")
    await desk.command("off")
    listener = desk.connector._connected.listener
    pour(desk.gateway, struct.pack(">I", length) + b"some")
    await desk.until(lambda: desk.engine.situation.state is not GatewayState.READY)
    await desk.order_is(order, "FILLED")
    await desk.until(lambda: desk.engine.situation.state is GatewayState.READY)
    assert desk.connector._connected.listener is not listener


async def test_no_fill_is_lost_for_the_zone_in_which_its_time_is_told(desk: Desk) -> None:
    """G4: gateways in New York, Hong Kong or UTC name their zones in their own ways; one that no table has costs the time, not the fill."""
    order = await a_working_limit(desk)
    hours = {"HKT": 2, "China Standard Time": 2, "": 10, "US/Eastern": 15, "UTC": 10, "Nowhere/Zone": None}
    for number, zone in enumerate(hours):
        fill = await a_fill(desk, order, f"zone.{number}.01", "1")
        fields = list(execution(desk.gateway, fill).fields(178))
        fields[15] = f"20260105 10:00:00 {zone}".strip()
        pour(desk.gateway, frame(fields))
    await desk.until(lambda: Execution.objects.filter(order=order).count() == len(hours))
    times = await desk.do(lambda: dict(Execution.objects.values_list("exec_id", "executed_at")))
    for number, hour in enumerate(hours.values()):
        told = times[f"zone.{number}.01"]
        assert told == datetime(2026, 1, 5, hour, tzinfo=UTC) if hour is not None else timezone.now() - told < timedelta(minutes=1)
