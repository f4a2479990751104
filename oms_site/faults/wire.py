"""A line between two programs that can be slow, swallow everything, or break at a chosen byte, without either of them having a hand in it.

The rule it keeps: bytes are passed on unchanged and in order until the line breaks; what broke is counted, so that a drill knows it struck.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

UP, DOWN = "up", "down"  # to the server, and from it
ALL, NOTHING = 1 << 30, -1 << 30
_CHUNK = 1 << 16
_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closing resets


@dataclass
class Cut:
    """Breaks the line where `pattern` comes by: so many bytes from its beginning are passed on (NOTHING: not even what came with it)."""

    way: str
    pattern: bytes
    keep: int


@dataclass
class Wire:
    """Listens on `port` and connects each client to `target`. `latency` in seconds, each way; `cuts` counts the lines that were cut."""

    target: int
    latency: float = 0.0
    cuts: int = 0
    port: int = 0
    _armed: Cut | None = None
    _listener: socket.socket = field(default_factory=socket.socket)
    _pairs: list[tuple[socket.socket, socket.socket]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self) -> None:
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="wire", daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        self.reset()

    def arm(self, way: str, pattern: bytes, keep: int) -> None:
        """The next time the pattern comes by, that line breaks there, once."""
        with self._lock:
            self._armed = Cut(way, pattern, keep)

    def reset(self) -> None:
        """Breaks every line that stands."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            _reset(*pair)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
                except OSError:
                    _reset(client)
                    continue
                server.settimeout(None)
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._pairs.append((client, server))
                self._pump(UP, client, server)
                self._pump(DOWN, server, client)

    def _pump(self, way: str, source: socket.socket, sink: socket.socket) -> None:
        """Two threads: one that reads and one that writes, so that a slow line is late and not narrow."""
        waiting: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

        def read() -> None:
            data = b"-"
            while data:
                try:
                    data = source.recv(_CHUNK)
                except OSError:
                    data = b""
                waiting.put((time.monotonic() + self.latency, data))

        def write() -> None:
            for due, data in _until_empty(waiting):
                threading.Event().wait(max(due - time.monotonic(), 0))
                passed, is_cut = self._looked_at(way, data)
                try:
                    sink.sendall(passed)
                    if is_cut:
                        self.cuts += 1  # before anybody can notice
                        _reset(source, sink)
                        return
                except OSError:
                    _reset(source)
                    return
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)

        for work in (read, write):
            threading.Thread(target=work, name=f"wire {way}", daemon=True).start()

    def _looked_at(self, way: str, data: bytes) -> tuple[bytes, bool]:
        with self._lock:
            cut = self._armed
            if cut is None or cut.way != way or (at := data.find(cut.pattern)) < 0:
                return data, False
            self._armed = None
        return data[: max(at + cut.keep, 0)], True


def _until_empty(waiting: queue.SimpleQueue[tuple[float, bytes]]) -> Iterator[tuple[float, bytes]]:
    while (one := waiting.get())[1]:
        yield one


def _reset(*sockets: socket.socket) -> None:
    for one in sockets:
        with contextlib.suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it
        with contextlib.suppress(OSError):
            one.close()
