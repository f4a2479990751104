"""A TCP proxy that behaves as networks do: late, in pieces, cut, reset, or a hole in which everything vanishes.

It stands between a desk and a gateway, in the test's own loop; its port can be given to a desk in a process of its own just as well. The
rules kept: bytes are never changed or put in another order, only delayed, cut up or lost; and what was lost can be read afterwards.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

CHUNK = 65536
_LINGER_NOT = struct.pack("ii", 1, 0)  # closing resets the connection and throws away what was not sent


@dataclass
class Way:
    """One direction, for all connections. `latency` in seconds; `pieces`: at most so many bytes in a segment, 0 for as they come."""

    latency: float = 0.0
    pieces: int = 0
    passed: int = 0  # bytes
    segments: int = 0
    swallowed: bytearray = field(default_factory=bytearray)  # what vanished in a hole, or behind a reset
    budget: int | None = None  # bytes until the connection is reset

    def reset_after(self, count: int) -> None:
        """The connection that is the first to pass so many bytes this way from now on is reset there, once."""
        self.budget = count


@dataclass(eq=False)
class Link:
    """One connection through the proxy, with its two sockets: that of the client and that towards the server."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    is_lost: bool = False  # what is sent vanishes, for ever, and neither end is told
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def reset(self, *, server_only: bool = False) -> None:
        for writer in (self.server,) if server_only else (self.client, self.server):
            sock = writer.get_extra_info("socket")
            if sock is not None and sock.fileno() >= 0:
                with suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            writer.transport.abort()

    def finish(self) -> None:
        """Both ends are told that no more comes, after what was on its way."""
        for writer in (self.client, self.server):
            writer.close()


class Proxy:
    """Listens on `port` and passes connections on to a port of this machine. `up` is from the client to the server, `down` back."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.up, self.down = Way(), Way()
        self.accepted = 0
        self.resets = 0
        self.links: list[Link] = []
        self._is_hole = False
        self._listening: asyncio.Server | None = None

    async def start(self) -> None:
        self._listening = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK)
        self.port = self._listening.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._listening is not None:
            self._listening.close()
        for link in list(self.links):
            link.reset()
            for task in link.tasks:
                task.cancel()
            await asyncio.gather(*link.tasks, return_exceptions=True)

    # --- what networks do ------------------------------------------------------------------------------------------------------------

    def reset(self) -> int:
        """Resets every connection (RST); how many."""
        for link in list(self.links):
            self._reset(link)
        return len(self.links)

    def finish(self) -> int:
        """Ends every connection in order (FIN); how many."""
        for link in list(self.links):
            link.finish()
        return len(self.links)

    def black_hole(self) -> None:
        """From here on everything vanishes both ways, on connections that are and on those to come, and no end is told."""
        self._is_hole = True
        for link in self.links:
            link.is_lost = True

    def heal(self) -> None:
        """New connections pass. Those of before stay lost for the client; the server finds out, as its own probing would have it."""
        self._is_hole = False
        for link in self.links:
            if link.is_lost:
                link.reset(server_only=True)

    # --- inside -----------------------------------------------------------------------------------------------------------------------

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            back, server = await asyncio.open_connection("127.0.0.1", self.target, limit=CHUNK)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, server, self._is_hole)
        self.links.append(link)
        for way, source, sink in ((self.up, reader, server), (self.down, back, writer)):
            lane: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
            link.tasks += [asyncio.ensure_future(self._take(way, source, lane)), asyncio.ensure_future(self._give(link, way, lane, sink))]
        try:
            await asyncio.gather(*link.tasks)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            for task in link.tasks:
                task.cancel()
            if link in self.links:
                self.links.remove(link)

    @staticmethod
    async def _take(way: Way, source: asyncio.StreamReader, lane: asyncio.Queue[tuple[float, bytes]]) -> None:
        """Puts what is received on its way, the end of the stream (no bytes) included."""
        now = asyncio.get_running_loop().time
        data = b"start"
        while data:
            try:
                data = await source.read(CHUNK)
            except ConnectionError:
                data = b""
            lane.put_nowait((now() + way.latency, data))

    async def _give(self, link: Link, way: Way, lane: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter) -> None:
        """Passes on what is due; the end of a stream ends the other, unless the connection is lost: then nobody is told."""
        now = asyncio.get_running_loop().time
        while True:
            due, data = await lane.get()
            if due > now():
                await asyncio.sleep(due - now())
            if link.is_lost:
                way.swallowed += data
                if not data:
                    return
                continue
            if not data:
                sink.close()
                return
            size = way.pieces or len(data)
            for start in range(0, len(data), size):
                if not await self._pass(link, way, sink, data[start : start + size]):
                    way.swallowed += data[start + size :]
                    return

    async def _pass(self, link: Link, way: Way, sink: asyncio.StreamWriter, piece: bytes) -> bool:
        """One segment; False where the connection was reset in it."""
        cut = piece if way.budget is None else piece[: way.budget]
        if cut:
            sink.write(cut)
            way.passed += len(cut)
            way.segments += 1
        if way.budget is not None:
            way.budget -= len(cut)
            if way.budget <= 0:
                way.budget = None
                way.swallowed += piece[len(cut) :]
                await asyncio.sleep(0)  # what was let through is on the wire
                self._reset(link)
                return False
        await sink.drain()
        if way.pieces:
            await asyncio.sleep(0)  # the other end may read this segment before the next is written
        return True

    def _reset(self, link: Link) -> None:
        self.resets += 1
        link.reset()


@asynccontextmanager
async def proxied(target: int) -> AsyncIterator[Proxy]:
    """A proxy in front of a port of this machine."""
    proxy = Proxy(target)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
