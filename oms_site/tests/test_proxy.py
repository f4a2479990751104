"""The proxy itself: what it says it does to a connection is what the two ends see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from oms_site.tests.proxy import Proxy, proxied


class Echo:
    """A server that sends back what it receives, and notes how its connections ended."""

    def __init__(self) -> None:
        self.ends: list[str] = []
        self.received = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                self.received += len(data)
                writer.write(data)
            self.ends.append("end")
        except ConnectionResetError:
            self.ends.append("reset")
        writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[tuple[Echo, Proxy]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    async with asyncio.timeout(20), proxied(server.sockets[0].getsockname()[1]) as proxy:
        yield echo, proxy
    server.close()


async def until(condition: object) -> None:
    while not condition():  # type: ignore[operator]
        await asyncio.sleep(0.005)


async def test_it_passes_bytes_both_ways_and_counts_them(echo: tuple[Echo, Proxy]) -> None:
    _, proxy = echo
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(bytes(range(256)) * 1000)
    assert await reader.readexactly(256_000) == bytes(range(256)) * 1000
    assert (proxy.up.passed, proxy.down.passed, proxy.accepted) == (256_000, 256_000, 1)
    writer.close()
    assert await reader.read() == b""


async def test_latency_is_of_each_way_and_keeps_the_order(echo: tuple[Echo, Proxy]) -> None:
    _, proxy = echo
    proxy.up.latency, proxy.down.latency = 0.2, 0.1
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    began = asyncio.get_running_loop().time()
    for word in (b"one", b"two"):
        writer.write(word)
        await writer.drain()
        await asyncio.sleep(0.02)
    assert await reader.readexactly(6) == b"onetwo"
    assert 0.3 <= asyncio.get_running_loop().time() - began < 1  # not once for each word
    writer.close()


async def test_it_cuts_a_stream_into_tiny_segments(echo: tuple[Echo, Proxy]) -> None:
    _, proxy = echo
    proxy.up.pieces = proxy.down.pieces = 1
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"abcdefgh")
    assert await reader.readexactly(8) == b"abcdefgh"
    assert (proxy.up.segments, proxy.down.segments) == (8, 8)
    writer.close()


@pytest.mark.parametrize("count", [0, 1, 5, 8])
async def test_it_resets_after_so_many_bytes_and_once(echo: tuple[Echo, Proxy], count: int) -> None:
    server, proxy = echo
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    proxy.up.reset_after(count)
    writer.write(b"abcdefgh")
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(9)
    await until(lambda: server.ends == ["reset"])
    assert (proxy.up.passed, bytes(proxy.up.swallowed), proxy.resets) == (count, b"abcdefgh"[count:], 1)
    again, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"abcdefgh")
    assert await again.readexactly(8) == b"abcdefgh"
    writer.close()


async def test_it_ends_connections_in_order(echo: tuple[Echo, Proxy]) -> None:
    server, proxy = echo
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"x")
    await reader.readexactly(1)
    assert proxy.finish() == 1
    assert await reader.read() == b""
    await until(lambda: server.ends == ["end"])
    writer.close()


async def test_a_hole_swallows_without_a_word_until_it_heals(echo: tuple[Echo, Proxy]) -> None:
    server, proxy = echo
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"x")
    await reader.readexactly(1)
    proxy.black_hole()
    writer.write(b"lost")
    late, late_writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    late_writer.write(b"too")
    await until(lambda: len(proxy.up.swallowed) == 7)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await late.read(1)
    assert server.received == 1 and server.ends == []
    proxy.heal()
    await until(lambda: server.ends == ["reset", "reset"])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await reader.read(1)
    again, again_writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    again_writer.write(b"back")
    assert await again.readexactly(4) == b"back"
    for one in (writer, late_writer, again_writer):
        one.close()
