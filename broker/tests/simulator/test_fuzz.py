"""Whatever a client sends, the gateway stays up, answers the next client, and answers every broken frame of a client it keeps."""

from __future__ import annotations

import logging
import random
import struct

import pytest

from broker.simulator.session import Handshake, Session
from broker.tests.simulator.raw import CONTRACT, RawClient, cancel_order, frame, place_order
from broker.tests.simulator.running import running_gateway

SOUND = [
    place_order(178, 7),
    place_order(178, 8, kind="MKT", what_if=1),
    cancel_order(178, 7),
    [9, 8, 31, *CONTRACT, 0, "", "", ""],
    [1, 11, 32, *CONTRACT, 0, "", 0, 0, ""],
    [20, 33, *CONTRACT, 0, "", "1 min", "600 S", 0, "TRADES", 1, 0, ""],
    [7, 3, 34, 0, "", "", "", "", "", ""],
    [62, 1, 35, "All", "NetLiquidation"],
    [6, 2, 1, "DU1000417"],
    [94, 36, "DU1000417", "", 265598],
    [61, 1],
    [5, 1],
    [99, 0],
]
NASTY = [
    "",
    "-1",
    "0",
    "nan",
    "1e308",
    "2147483648",
    "9" * 30,
    "\\",
    "'; DROP",
    "\u2603",
    "-0.0",
    "Infinity",
    "x" * 5000,
    "1.7976931348623157e+308",
]


def mutated(chance: random.Random) -> list[str]:
    """One sound request with a few fields changed, dropped, doubled or swapped."""
    fields = [str(field) for field in chance.choice(SOUND)]
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(fields)) if fields else 0
        what = chance.randrange(4)
        if what == 0 and fields:
            fields[place] = chance.choice(NASTY)
        elif what == 1 and fields:
            del fields[place]
        elif what == 2:
            fields.insert(place, chance.choice(NASTY))
        elif fields:
            other = chance.randrange(len(fields))
            fields[place], fields[other] = fields[other], fields[place]
    return fields


@pytest.mark.parametrize("seed", range(6))
async def test_mutated_frames_never_stop_the_gateway(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(seed)
    async with running_gateway() as gateway:
        client = await RawClient.connect(gateway.port, highest=178)
        for number in range(300):
            client.send(*mutated(chance))
            if number % 50 == 49:
                client.send(49, 1)
                await client.answer(49)
        await gateway.command("tick 3")
        fresh = await RawClient.connect(gateway.port, client_id=2)
        fresh.send(16, 1)
        await fresh.answer(53)
        client.close()
        fresh.close()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("seed", range(4))
async def test_noise_on_the_socket_never_stops_the_gateway(seed: int) -> None:
    chance = random.Random(seed)
    async with running_gateway() as gateway:
        for _ in range(20):
            client = await RawClient.open(gateway.port)
            noise = chance.randbytes(chance.randint(1, 200))
            client.send_bytes(chance.choice([noise, b"API\0" + noise, b"API\0" + struct.pack(">I", 9) + b"v157..178" + noise]))
            client.close()
        fresh = await RawClient.connect(gateway.port)
        fresh.send(49, 1)
        assert await fresh.answer(49)
        fresh.close()


async def test_a_frame_beyond_the_bound_is_error_320_and_closes() -> None:
    async with running_gateway() as gateway:
        client = await RawClient.connect(gateway.port, highest=178)
        client.send_bytes(struct.pack(">I", 1 << 30))
        assert (await client.answer(4))[2:4] == ["-1", "320"]
        assert await client.closed()


def test_every_frame_of_a_started_session_becomes_exactly_one_request() -> None:
    chance = random.Random(99)
    session = Session("now")
    session.receive(b"API\0" + struct.pack(">I", 9) + b"v157..178")
    assert session.handshake is Handshake.START
    session.start(1)
    for _ in range(2000):
        assert len(session.receive(frame(mutated(chance)))) == 1
