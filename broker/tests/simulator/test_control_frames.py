"""Bytes that are no messages, and a gateway that is frozen, deaf, or comes back: seen from the other end of the socket."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ib_async import LimitOrder, MarketOrder

from broker.simulator.messages.raw import NUL_STORM, WAYS, mangled
from broker.simulator.wire import encode_frame
from broker.tests.simulator.clients import AAPL, FIRST, connected, place, until
from broker.tests.simulator.raw import RawClient, cancel_order, place_order
from broker.tests.simulator.rehearsing import Rehearsal, rehearsal


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Rehearsal]:
    async with rehearsal(tmp_path) as running:
        await running.do("quote AAPL 100 100.02")
        yield running


async def payload(client: RawClient) -> bytes:
    """The next frame as it is, text or not."""
    async with asyncio.timeout(10):
        (length,) = struct.unpack(">I", await client._reader.readexactly(4))
        return await client._reader.readexactly(length)


# --- bytes ------------------------------------------------------------------------------------------------------------------------


async def test_any_bytes_and_any_frame_reach_the_client_in_order(here: Rehearsal) -> None:
    client = await RawClient.connect(here.port, client_id=3)
    await here.do("frame 3 4 2 -1 2137 'a text' ''")
    await here.do("raw 3 00000003 616200")
    await here.do("length 3 0")
    await here.do("oversized 3 100000")
    await here.do("nuls 3 2")
    assert await client.read() == ["4", "2", "-1", "2137", "a text", ""]
    assert await payload(client) == b"ab\0"
    assert await payload(client) == b""
    assert len(await payload(client)) == 100_000
    assert [await payload(client) for _ in range(2)] == [bytes(NUL_STORM)] * 2
    client.send(49, 1)
    assert (await client.answer(49))[0] == "49"  # the gateway itself goes on
    client.close()
    assert here.injected() == ["frame", "raw", "length", "oversized", "nuls"]


@pytest.mark.parametrize(("length", "announced"), [("2147483648", 2**31), ("-1", 2**32 - 1), ("20000000", 20_000_000)])
async def test_a_frame_can_be_announced_and_never_come(here: Rehearsal, length: str, announced: int) -> None:
    client = await RawClient.connect(here.port, client_id=3)
    await here.do(f"length 3 {length}")
    async with asyncio.timeout(10):
        assert struct.unpack(">I", await client._reader.readexactly(4)) == (announced,)
    client.close()
    assert here.injected() == ["length"]


@pytest.mark.parametrize("how", WAYS)
async def test_what_was_said_comes_again_mangled_and_the_same_by_the_same_seed(here: Rehearsal, how: str) -> None:
    client = await RawClient.connect(here.port, client_id=3, highest=178)
    client.send(*place_order(178, 5, limit="90.0"))
    await client.answer(3)
    await here.do("order-error last 399 mark")
    whole = b""
    while b"mark" not in (told := await payload(client)):
        whole = told if told.startswith(b"5\0") else whole
    for _ in range(2):
        await here.do(f"mangle 3 11 {how} openOrder")
    first, again = await payload(client), await payload(client)
    assert first == again != whole
    assert struct.pack(">I", len(first)) + first == mangled(struct.pack(">I", len(whole)) + whole, how, 11)
    client.close()
    assert here.injected() == ["order-error", "mangle"]


def test_each_way_of_mangling_does_what_its_name_says() -> None:
    whole = encode_frame(["11", "-1", "3", "AAPL", "100", "99.5", "mine"])
    for seed in range(200):
        ways = {how: mangled(whole, how, seed)[4:] for how in WAYS}
        assert len(ways["missing"].split(b"\0")) < len(whole[4:].split(b"\0"))
        assert sum(one != other for one, other in zip(ways["bad-int"].split(b"\0"), whole[4:].split(b"\0"), strict=True)) == 1
        assert b"AAPL" in ways["bad-int"] and b"mine" in ways["bad-int"]  # no number there
        assert int(ways["unknown-id"].split(b"\0")[0]) > 10_000
        assert set(ways["nuls"]) == {0}
        with pytest.raises(UnicodeDecodeError):
            ways["bad-utf8"].decode()
        assert mangled(whole, "any", seed) == mangled(whole, "any", seed) != whole


async def test_a_real_client_lives_through_mangled_frames(here: Rehearsal) -> None:
    async with connected(here.port) as ib:
        trade = await place(ib, LimitOrder("BUY", 10, 90, account=FIRST))
        await here.do("mangle 17 1 unknown-id openOrder 20")
        await here.do("mangle 17 1 missing orderStatus 20")
        await ib.reqCurrentTimeAsync()
        assert trade.orderStatus.status == "Submitted" and ib.isConnected()
    assert here.injected() == ["mangle"]


@pytest.mark.parametrize("line", ["half 17", "half 17 orderStatus"])
async def test_half_of_what_was_said_ends_the_connection(here: Rehearsal, line: str) -> None:
    async with connected(here.port) as ib, asyncio.timeout(10):
        await place(ib, LimitOrder("BUY", 10, 90, account=FIRST))
        gone = asyncio.Event()
        ib.disconnectedEvent += gone.set
        await here.do(line)
        await gone.wait()
    assert here.injected() == ["half"]


async def test_a_message_to_come_is_broken_off_with_the_connection(here: Rehearsal) -> None:
    """The execution is true, and was never wholly told."""
    client = await RawClient.connect(here.port, client_id=3, highest=178)
    await here.do("cut execDetails ref=mine")
    client.send(*place_order(178, 5, kind="MKT", ref="mine"))
    received = bytearray()
    async with asyncio.timeout(10):
        while data := await client._reader.read(65536):
            received += data
    frames = []
    while len(received) >= 4 and len(received) >= 4 + struct.unpack_from(">I", received)[0]:
        (length,) = struct.unpack_from(">I", received)
        frames.append(bytes(received[4 : 4 + length]))
        del received[: 4 + length]
    assert all(not frame.startswith(b"11\0") for frame in frames) and received[4:].startswith(b"11\0")
    assert await here.do("scenarios") == ""
    async with connected(here.port) as ib:
        assert [fill.execution.orderRef for fill in await ib.reqExecutionsAsync()] == ["mine"]
    here.agrees()
    assert here.injected() == ["cut"]


# --- the life of the process ------------------------------------------------------------------------------------------------------


async def test_a_deaf_gateway_goes_on_telling_and_takes_in_later_what_was_sent(here: Rehearsal) -> None:
    client = await RawClient.connect(here.port, client_id=3, highest=178)
    other = await RawClient.connect(here.port, client_id=4, highest=178)
    assert await here.do("stop-reading 3") == "1"
    client.send(*place_order(178, 5, limit="90.0"))
    other.send(49, 1)
    await other.answer(49)
    await here.do("error 3 -1 2137 still-here")
    assert "still-here" in (await client.until(lambda fields: fields[0] == "4"))[-1]
    assert here.gateway.exchange.open_orders() == []
    assert await here.do("stop-reading") == "2"  # whoever comes now, too
    late = await RawClient.open(here.port)
    hello = asyncio.create_task(late.hello("v157..178"))
    _, waiting = await asyncio.wait([hello], timeout=0.2)
    assert waiting == {hello}
    await here.do("read")
    assert (await hello)[0] == "178"
    assert (await client.answer(5))[1] == "5"
    for one in (client, other, late):
        one.close()
    assert here.injected() == ["stop-reading", "error", "stop-reading"]


@pytest.mark.parametrize("empty", [False, True])
async def test_a_gateway_comes_back_with_what_it_kept_or_empty(here: Rehearsal, empty: bool) -> None:
    async with connected(here.port) as ib, asyncio.timeout(10):
        await place(ib, LimitOrder("BUY", 10, 90, account=FIRST, orderRef="mine"))
        ib.placeOrder(AAPL, LimitOrder("BUY", 10, 91, account=FIRST, transmit=False))
        await ib.reqCurrentTimeAsync()
        gone = asyncio.Event()
        ib.disconnectedEvent += gone.set
        await here.do(f"restart 0.3{' empty' if empty else ''}")
        await gone.wait()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", here.port)
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", here.port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                break
    async with connected(here.port) as ib:
        assert [trade.order.orderRef for trade in ib.openTrades()] == ([] if empty else ["mine"])
        assert len(json.loads(await here.do("orders"))) == (0 if empty else 1)
    here.agrees()
    assert here.injected() == ["restart"] and bool(here.lines("wiped")) == empty


async def test_a_frozen_gateway_takes_orders_in_when_it_resumes_and_none_is_lost(here: Rehearsal) -> None:
    async with connected(here.port) as ib:
        await here.do("pause")
        trade = ib.placeOrder(AAPL, MarketOrder("BUY", 10, account=FIRST))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await ib.reqCurrentTimeAsync()
        assert here.gateway.exchange.book.orders == {}
        await here.do("resume")
        await until(ib, lambda: trade.orderStatus.status == "Filled")
    here.agrees()
    assert here.injected() == ["pause"]


async def test_an_order_is_lost_with_its_connection_before_or_after_it_was_taken(here: Rehearsal) -> None:
    for scenario, arrived in (("drop-before-order", 0), ("drop-after-order", 1)):
        await here.do(scenario)
        client = await RawClient.connect(here.port, client_id=3, highest=178)
        client.send(*place_order(178, 5, limit="90.0"))
        assert await client.closed()
        assert len(here.gateway.exchange.open_orders()) == arrived
    again = await RawClient.connect(here.port, client_id=3, highest=178)
    again.send(*cancel_order(178, 5))
    assert (await again.answer(3))[2] == "Cancelled"
    again.close()
    assert here.injected() == ["drop-before-order", "drop-after-order"]


WRONG = ["raw", "raw 17 xyz", "raw 99 00", "frame 17", "mangle 17", "mangle 17 x", "mangle 17 1 gently", "mangle 17 1 any nonsense",
     "mangle 17 1 any completedOrder", "mangle 17 1 any openOrder 0", "nuls 17 0", "length 17", "length 17 4294967296",
     "length 17 -2147483649",
     "oversized 17 0", "oversized 17 99999999999", "half 99", "half 17 completedOrder", "stop-reading 99", "restart soon",
     "restart -1"]  # fmt: skip


async def test_wrong_commands_are_errors_in_words(here: Rehearsal) -> None:
    async with connected(here.port) as ib:
        for line in WRONG:
            assert await here.fails(line), line
        await ib.reqCurrentTimeAsync()
        assert here.injected() == []
