"""The gateway over TCP at server versions no library here speaks, and the handshake itself."""

from __future__ import annotations

import asyncio
import struct

import pytest

from broker.simulator.server import SimulatedGateway
from broker.tests.simulator.raw import CONTRACT, RawClient, cancel_order, place_order
from broker.tests.simulator.running import running_gateway

SWEEP = [157, 164, 176, 178, 187, 188, 189, 190, 192, 193, 194, 196, 198, 200]
OPEN_ORDER_FIELDS = {164: 131, 176: 136, 178: 135, 193: 141, 196: 154, 200: 156}
ACCOUNT = "DU1000417"


@pytest.fixture
async def gateway():
    async with running_gateway() as running:
        yield running


@pytest.mark.parametrize(
    ("hello", "version"),
    [
        ("v157..178", "178"),
        ("v100..193", "193"),
        ("v100..225", "200"),
        ("v200", "200"),
        ("v157..178 +PACEAPI", "178"),
        ("v157..178\0", "178"),
    ],
)
async def test_the_highest_common_text_version_is_chosen(gateway: SimulatedGateway, hello: str, version: str) -> None:
    client = await RawClient.open(gateway.port)
    answer = await client.hello(hello)
    assert len(answer) == 2 and answer[0] == version
    client.close()


@pytest.mark.parametrize("hello", ["v100..156", "v213..225", "v0", "hello", "", "v999999999..1"])
async def test_clients_without_a_common_version_are_closed(gateway: SimulatedGateway, hello: str) -> None:
    client = await RawClient.open(gateway.port)
    client.send_bytes(b"API\0" + struct.pack(">I", len(hello)) + hello.encode())
    assert await client.closed()


async def test_nothing_follows_the_hello_until_the_client_starts(gateway: SimulatedGateway) -> None:
    client = await RawClient.open(gateway.port)
    await client.hello("v157..178")
    client.send(71, 2, 17, "")
    first = [await client.read() for _ in range(5)]
    assert [fields[0] for fields in first] == ["15", "9", "4", "4", "4"]
    assert [fields[3] for fields in first[2:]] == ["2104", "2106", "2158"]
    assert first[2][4].endswith(":simfarm")  # by which a desk knows a simulated gateway from a real one
    client.close()


@pytest.mark.parametrize("version", SWEEP)
async def test_place_modify_fill_cancel_at_every_version(gateway: SimulatedGateway, version: int) -> None:
    await gateway.command("quote AAPL 100 100.02")
    client = await RawClient.connect(gateway.port, highest=version)
    client.send(*place_order(version, 1, limit="99.5", ref="mine"))
    open_order = await client.answer(5)
    if version in OPEN_ORDER_FIELDS:
        assert len(open_order) == OPEN_ORDER_FIELDS[version]
    assert open_order[1] == "1" and "mine" in open_order and "99.5" in open_order
    status = (await client.until(lambda fields: fields[0] == "3" and fields[2] == "Submitted"))[-1]
    assert (len(status), status[1:5]) == (12, ["1", "Submitted", "0", "100"])
    client.send(*place_order(version, 1, limit="99.6", ref="mine"))
    assert "99.6" in (await client.until(lambda fields: fields[0] == "5" and "99.6" in fields))[-1]
    client.send(*cancel_order(version, 1))
    assert (await client.until(lambda fields: fields[0] == "3" and "Cancelled" in fields))[-1][1] == "1"
    error = await client.answer(4)
    assert error[1:3] == ["1", "202"] if version >= 194 else error[2:4] == ["1", "202"]

    client.send(*place_order(version, 2, kind="MKT", limit=""))
    execution = await client.answer(11)
    assert len(execution) == 31 + (version >= 178) + (version >= 198)
    assert len(await client.answer(59)) == 8
    client.close()


@pytest.mark.parametrize("version", SWEEP)
async def test_questions_at_every_version(gateway: SimulatedGateway, version: int) -> None:
    client = await RawClient.connect(gateway.port, highest=version)
    client.send(9, 8, 31, *CONTRACT, 0, "", "", *([""] if version >= 176 else []))
    details = await client.answer(10)
    assert details[2 if version < 164 else 1] == "31" and "APPLE INC" in details
    client.send(7, 3, 32, 0, "", "", "", "", "", "", *([2147483647, 0] if version >= 200 else []))
    assert (await client.answer(55))[2] == "32"
    client.send(20, 33, *CONTRACT, 0, "", "1 min", "600 S", 0, "TRADES", 1, 0, "")
    bars = await client.answer(17)
    head = 3 if version >= 196 else 5
    assert (len(bars) - head) == 8 * int(bars[head - 1]) == 80
    if version >= 196:
        assert (await client.answer(108))[1] == "33"
    client.send(*place_order(version, 5, what_if=1))
    preview = await client.answer(5)
    margins = preview[preview.index("PreSubmitted") + 1 :][:9]
    assert all("E308" not in margin and margin for margin in margins)
    client.send(81, 34, "AAPL")
    sample = await client.answer(79)
    assert sample[2] == "1" and sample[3:5] == ["265598", "AAPL"]
    if version >= 197:
        client.send(105)
        assert int((await client.answer(109))[1]) > 1_700_000_000_000
    client.close()


async def test_omitting_the_days_at_200_is_error_320(gateway: SimulatedGateway) -> None:
    client = await RawClient.connect(gateway.port)
    client.send(7, 3, 32, 0, "", "", "", "", "", "")
    assert (await client.answer(4))[1:3] == ["32", "320"]
    client.close()


async def test_what_is_not_simulated_is_refused_by_name(gateway: SimulatedGateway) -> None:
    client = await RawClient.connect(gateway.port, highest=178)
    client.send(97, 41, *CONTRACT, "Last", 0, 0)
    error = await client.answer(4)
    assert error[2:4] == ["41", "322"] and "reqTickByTickData" in error[4]
    client.send(4711, 1, 2)
    error = await client.answer(4)
    assert error[2:4] == ["-1", "320"] and "4711" in error[4]
    client.close()


async def test_a_second_client_with_the_id_hears_326_and_is_closed(gateway: SimulatedGateway) -> None:
    first = await RawClient.connect(gateway.port, client_id=3)
    second = await RawClient.open(gateway.port)
    await second.hello("v157..178")
    second.send(71, 2, 3, "")
    assert (await second.read())[2:4] == ["-1", "326"]
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await second.read()
    first.send(49, 1)
    assert await first.answer(49)
    first.close()


async def test_next_valid_id_is_per_client_and_never_falls(gateway: SimulatedGateway) -> None:
    client = await RawClient.connect(gateway.port, client_id=8)
    assert [fields for fields in client.greeting if fields[0] == "9"] == [["9", "1", "1"]]
    client.send(*place_order(200, 500))
    await client.answer(3)
    client.close()
    await client.closed()
    again = await RawClient.connect(gateway.port, client_id=8)
    other = await RawClient.connect(gateway.port, client_id=9)
    assert ["9", "1", "501"] in again.greeting and ["9", "1", "1"] in other.greeting
    again.send(8, 1, 1)
    assert await again.answer(9) == ["9", "1", "501"]
    again.close()
    other.close()
