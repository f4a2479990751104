"""Connections in memory, behind `create_connection` and `create_server`, with what real networks do to them.

The rule it keeps: bytes of one direction arrive in order, each once, or not at all; what was on its way when a connection broke has arrived
up to some byte, which the seed chooses. A connection is to its two processes what a socket is: it ends with either of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import partial
from random import Random
from types import SimpleNamespace
from typing import Any

from oms_site.simulation.loop import PROCESS, Process, VirtualLoop

KERNEL_BUFFER = 64 * 1024  # what the two systems take before a writer notices that nobody reads
RESET = partial(ConnectionResetError, 104, "Connection reset by peer")
UNPLUGGED_SECONDS = 8.0  # how long a side holds on to a connection whose other end is gone without a word


@dataclass
class Weather:
    """What the network does at the moment. Times in seconds."""

    latency: float = 0.001
    jitter: float = 0.0
    slices: bool = False  # a message arrives in pieces
    black_hole: bool = False  # nothing arrives, and nobody is told


class Network:
    """Who listens where, which connections there are, and the weather."""

    def __init__(self, loop: VirtualLoop, rng: Random) -> None:
        self.loop, self.rng = loop, rng
        self.weather = Weather()
        self.links: list[Link] = []
        self.said: Callable[[str], None] = lambda text: None
        self._listeners: dict[int, Listening] = {}
        self._next_port = 40000
        self.outside = Context()  # the wires belong to no process
        loop.network = self

    def listen(self, factory: Callable[[], asyncio.Protocol], host: str, port: int) -> Listening:
        if not port:
            self._next_port += 1
            port = self._next_port
        if port in self._listeners:
            raise OSError(98, "Address already in use")
        listening = self._listeners[port] = Listening(self, factory, host, port, PROCESS.get())
        return listening

    def stop_listening(self, port: int) -> None:
        self._listeners.pop(port, None)

    async def connect(self, factory: Callable[[], asyncio.Protocol], host: str, port: int) -> tuple[End, asyncio.Protocol]:
        """Raises ConnectionRefusedError where nobody listens; waits for ever in a black hole, as a connect does."""
        while self.weather.black_hole:
            await asyncio.sleep(1.0)
        await asyncio.sleep(self.delay())
        listening = self._listeners.get(port)
        if listening is None:
            raise ConnectionRefusedError(111, "Connection refused")
        protocol = factory()
        link = Link(self, port)
        near = link.open(protocol, PROCESS.get())
        accept = listening.process.run if listening.process is not None else _call
        far = accept(lambda: link.open(listening.factory(), listening.process))
        near.peer, far.peer = far, near
        self.links.append(link)
        protocol.connection_made(near)
        far.step(far.protocol.connection_made, far)
        return near, protocol

    def delay(self) -> float:
        return self.weather.latency + (self.rng.random() * self.weather.jitter if self.weather.jitter else 0.0)

    def clear(self) -> None:
        """The weather is good again; what had been held up moves on."""
        self.weather = Weather()
        for link in self.links:
            link.reset_after = None
            for end in link.ends:
                end.push()

    def break_all(self) -> int:
        """Every connection is reset, in the middle of whatever is on its way."""
        links = [link for link in self.links if link.is_open]
        for link in links:
            link.reset()
        return len(links)


def _call(function: Callable[[], Any]) -> Any:
    return function()


class Listening:
    """What create_server gives, as far as the gateway uses it."""

    def __init__(self, network: Network, factory: Callable[[], asyncio.Protocol], host: str, port: int, process: Process | None) -> None:
        self._network, self.factory, self.port, self.process = network, factory, port, process
        self.sockets = [SimpleNamespace(getsockname=lambda: (host, port))]
        if process is not None:
            process.on_death.append(self.close)

    def close(self) -> None:
        self._network.stop_listening(self.port)


class Link:
    """One connection: two ends, and what may befall it."""

    def __init__(self, network: Network, port: int) -> None:
        self.network, self.port = network, port
        self.ends: list[End] = []
        self.reset_after: int | None = None  # bytes until it breaks

    def open(self, protocol: asyncio.Protocol, process: Process | None) -> End:
        end = End(self, protocol, process)
        self.ends.append(end)
        if process is not None:
            process.on_death.append(end.orphaned)
        return end

    @property
    def is_open(self) -> bool:
        return any(not end.is_lost for end in self.ends)

    def reset(self) -> None:
        """Both sides lose it; of what is on its way some bytes still arrive."""
        for end in self.ends:
            end.arrive_partly()
        for end in self.ends:
            end.lose(RESET())

    def spend(self, size: int) -> int:
        """How many of these bytes still get through before the connection breaks."""
        if self.reset_after is None:
            return size
        through = min(size, self.reset_after)
        self.reset_after -= through
        return through


class End(asyncio.Transport):
    """One side's transport. `_coming` is what was written here and has not arrived there."""

    peer: End

    def __init__(self, link: Link, protocol: asyncio.Protocol, process: Process | None) -> None:
        super().__init__()
        self.link, self.protocol, self.process = link, protocol, process
        self._network, self._loop = link.network, link.network.loop
        self._coming: deque[bytes] = deque()
        self._size = 0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._reading = True
        self._closing = self._finished = False
        self.is_lost = False
        self._context = copy_context()
        self._context.run(PROCESS.set, process)

    # --- what protocols use -----------------------------------------------------------------------------------------------------------

    def write(self, data: Any) -> None:
        if self._closing or self.is_lost or not data:
            return
        if self.process is not None and not self.process.alive:
            return
        data = bytes(data)
        self._coming.append(data)
        self._size += len(data)
        self._due = max(self._due, self._loop.time() + self._network.delay())
        self.push()

    def write_eof(self) -> None:
        """A half-closed connection is of no use to anybody here: `close` follows at once."""

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        self.push()
        self.lose(None)

    def abort(self) -> None:
        self._drop()
        self._closing = True
        self.lose(None)
        self.peer.lose(RESET(), self._network.delay())

    def is_closing(self) -> bool:
        return self._closing or self.is_lost

    def get_write_buffer_size(self) -> int:
        return max(self._size - KERNEL_BUFFER, 0)

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self.peer.push()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    # --- what the network does --------------------------------------------------------------------------------------------------------

    def push(self) -> None:
        """Sees to it that what is on its way arrives when it is due."""
        if self._timer is None and not self._network.weather.black_hole and (self._coming or self._closing) and not self._finished:
            self._timer = self._loop.call_at(max(self._due, self._loop.time()), self._arrive, context=self._network.outside)

    def _arrive(self) -> None:
        self._timer = None
        peer = self.peer
        if self._network.weather.black_hole or not peer._reading or peer.is_lost:
            return
        if self._coming:
            piece = self._coming.popleft()
            if self._network.weather.slices and len(piece) > 1:
                cut = self._network.rng.randrange(1, len(piece))
                self._coming.appendleft(piece[cut:])
                piece = piece[:cut]
                self._due = self._loop.time() + self._network.delay()
            through = self.link.spend(len(piece))
            self._size -= len(piece)
            if through:
                peer.deliver(piece[:through])
            if through < len(piece):
                self._network.said("the connection breaks in the middle of a message")
                self._drop()  # of what this side wrote after it not a byte may arrive
                self.link.reset()
                return
        if self._coming:
            self.push()
        elif self._closing:
            self._finished = True
            peer.lose(None)

    def deliver(self, data: bytes) -> None:
        """Hands bytes to this side's protocol, as a step of its process."""
        self.step(self._take, data)

    def _take(self, data: bytes) -> None:
        if not self.is_lost:
            self.protocol.data_received(data)

    def arrive_partly(self) -> None:
        """The connection breaks: of what this side has written, some still reaches the other."""
        rest = b"".join(self._coming)
        self._drop()
        if rest and not self.peer.is_lost:
            data = rest[: self._network.rng.randrange(len(rest) + 1)]
            if data:
                self.peer.deliver(data)

    def _drop(self) -> None:
        self._coming.clear()
        self._size = 0

    def lose(self, error: Exception | None, pause: float = 0.0) -> None:
        """This side learns that the connection is gone, after what has reached it before."""
        if pause:
            self._loop.call_later(pause, self._lost, error, context=self._context)
        else:
            self.step(self._lost, error)

    def _lost(self, error: Exception | None) -> None:
        if not self.is_lost:
            self.is_lost = self._closing = True
            self.protocol.connection_lost(error)

    def orphaned(self) -> None:
        """This side's process is gone. Its system says so to the other side, unless the machine went with it."""
        if self.is_lost:
            return
        self.is_lost = True
        self.arrive_partly()
        unplugged = self._network.rng.random() < 0.2
        self.peer.lose(RESET(), UNPLUGGED_SECONDS if unplugged else self._network.delay())

    def step(self, function: Callable[..., None], *arguments: Any) -> None:
        """Does something soon, as a step of this side's process."""
        self._loop.call_soon(function, *arguments, context=self._context)
