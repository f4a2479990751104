"""The sockets and the timer of the simulated gateway: the only module of it that does network input and output.

It moves bytes between connections and the gateway, ticks, and listens on the loopback control port. Everything runs on one event loop, one
turn at a time, so nothing here needs a lock.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from broker.simulator import control
from broker.simulator.exchange import Exchange
from broker.simulator.gateway import Gateway
from broker.simulator.session import Session

log = logging.getLogger(__name__)
HANDSHAKE_SECONDS = 15.0
MOST_CONNECTIONS = 64  # clients and those that have not introduced themselves yet
MOST_UNREAD_BYTES = 64 << 20  # a client that reads nothing is dropped before it takes the gateway's memory
MOST_CONTROL_LINE = 64 << 10
LOOPBACK = "127.0.0.1"


def utc_now() -> datetime:
    return datetime.now(UTC)


class Connection(asyncio.Protocol):
    """One client socket; asyncio sets TCP_NODELAY on it."""

    def __init__(self, server: SimulatedGateway) -> None:
        self._server = server
        self._core = server.core
        self._handshake_timer: asyncio.TimerHandle | None = None
        self.transport: asyncio.Transport | None = None
        self.session: Session | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if len(self._server.connections) >= MOST_CONNECTIONS:
            transport.abort()
            return
        self.session = self._core.open_session()
        self._server.connections[self.session] = self
        self._handshake_timer = asyncio.get_running_loop().call_later(HANDSHAKE_SECONDS, self._give_up)
        if self._server.paused or self._server.deaf:
            transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        if self.session is not None:
            self._core.receive(self.session, data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._handshake_timer is not None:
            self._handshake_timer.cancel()
        if self.session is not None:
            self._core.forget_session(self.session)
            self._server.connections.pop(self.session, None)

    def write(self) -> None:
        """Puts the session's output on the socket and closes it where the session wants that."""
        if self.session is None or self.transport is None:
            return
        self.transport.write(self.session.take_output())
        if self.session.closing:
            self.transport.close()
        elif self.transport.get_write_buffer_size() > MOST_UNREAD_BYTES:
            log.warning("Client %s does not read; its connection is dropped", self.session.client_id)
            self.transport.abort()

    def _give_up(self) -> None:
        if self.session is not None and not self.session.ready and self.transport is not None and not self._server.paused:
            self.transport.abort()


class SimulatedGateway:
    """A gateway to connect to. `host` and `port` are where clients connect, port 0 for any free one; `control_port` None means none.

    `store` keeps orders over restarts (None: memory), `ledger` is a JSON-lines account of what happened, `clock` tells the time (aware),
    `tick_seconds` is how often the market moves by itself (0: only by control commands). `master_client` is told of everybody's orders.
    """

    def __init__(
        self,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        control_port: int | None = 0,
        seed: int = 1,
        store: Path | None = None,
        ledger: Path | None = None,
        clock: Callable[[], datetime] = utc_now,
        tick_seconds: float = 1.0,
        exchange_factory: Callable[..., Exchange] = Exchange,
        master_client: int | None = None,
    ) -> None:
        self.host, self.port, self.control_port = host, port, control_port
        self.paused = self.deaf = False
        self.connections: dict[Session, Connection] = {}
        self._options = {"seed": seed, "store": store, "ledger": ledger, "clock": clock, "exchange_factory": exchange_factory}
        self._options["master_client"] = master_client
        self._tick_seconds = tick_seconds
        self._core: Gateway | None = None
        self._clients: asyncio.Server | None = None
        self._controls: asyncio.Server | None = None
        self._coming_back: asyncio.Task[None] | None = None
        self._control_tasks: set[asyncio.Task[None]] = set()
        self._ticker: asyncio.Task[None] | None = None

    @property
    def core(self) -> Gateway:
        """The gateway behind the sockets; there is one from `start` on."""
        assert self._core is not None, "the simulated gateway has not been started"
        return self._core

    @property
    def exchange(self) -> Exchange:
        """The exchange behind the gateway, to read from."""
        return self.core.exchange

    async def start(self) -> None:
        """Takes up the store and listens; afterwards `port` and `control_port` hold the real ports.

        Raises StoreProblem for a store that cannot be used and OSError for a port that cannot be had.
        """
        self._core = Gateway(**self._options, write=self._write)
        try:
            await self._listen()
            if self.control_port is not None:
                controls = await asyncio.start_server(self._serve_control, LOOPBACK, self.control_port, limit=MOST_CONTROL_LINE)
                self._controls = controls
                self.control_port = controls.sockets[0].getsockname()[1]
        except BaseException:
            await self.stop()
            raise
        if self._tick_seconds > 0:
            self._ticker = asyncio.create_task(self._tick_forever(), name="simulated gateway ticks")

    async def stop(self) -> None:
        """Stops listening, closes every connection and writes a last snapshot. Safe to call twice."""
        for task in (self._ticker, self._coming_back):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._ticker = self._coming_back = None
        for server in (self._clients, self._controls):
            if server is not None:
                server.close()
        self._clients = self._controls = None
        for control_task in self._control_tasks:
            control_task.cancel()
        await asyncio.gather(*self._control_tasks, return_exceptions=True)
        if self._core is not None:
            self.drop()
            self._core.close()
            self._core = None

    async def command(self, line: str) -> str:
        """One control command, in process; the answer starts with `ok` or `error`."""
        return control.execute(self, line)

    # --- for the control commands ---------------------------------------------------------------------------------------------------------

    def drop(self, client_id: int | None = None) -> int:
        """Breaks the connection of one client, or of all; returns how many there were."""
        doomed = [one for session, one in self.connections.items() if client_id in (None, session.client_id)]
        for connection in doomed:
            if connection.transport is not None:
                connection.transport.abort()
            if connection.session is not None:
                self.core.forget_session(connection.session)  # at once: the id is free before the loop has seen the socket close
        return len(doomed)

    def pause(self) -> None:
        """Freezes the gateway: sockets stay open, nothing is read, written or ticked."""
        self.paused = True
        for connection in self.connections.values():
            if connection.transport is not None:
                connection.transport.pause_reading()

    def resume(self) -> None:
        """Ends the freeze; what had gathered goes out and comes in."""
        self.paused = False
        for connection in list(self.connections.values()):
            connection.write()
            if connection.transport is not None and not connection.transport.is_closing() and not self.deaf:
                connection.transport.resume_reading()

    def stop_reading(self, session: Session | None = None) -> int:
        """Reads nothing more of one client, or of any that there is and that will come; returns of how many."""
        self.deaf |= session is None
        chosen = [one for key, one in self.connections.items() if session in (None, key)]
        for connection in chosen:
            if connection.transport is not None:
                connection.transport.pause_reading()
        return len(chosen)

    def read_again(self) -> int:
        """Reads what clients have sent meanwhile, and what they send."""
        self.deaf = False
        for connection in list(self.connections.values()):
            if connection.transport is not None and not connection.transport.is_closing() and not self.paused:
                connection.transport.resume_reading()
        return len(self.connections)

    def restart(self, seconds: float, *, empty: bool) -> None:
        """Closes every connection and the port, and opens the port again so many seconds later; `empty`: with nothing kept."""
        self.paused = self.deaf = False
        if self._clients is not None:
            self._clients.close()
            self._clients = None
        self.drop()
        if empty:
            self.core.reset()
        else:
            self.core.forget_untransmitted()
        if self._coming_back is not None:
            self._coming_back.cancel()
        self._coming_back = asyncio.create_task(self._come_back(seconds), name="simulated gateway comes back")

    # --- inside -----------------------------------------------------------------------------------------------------------------------

    async def _come_back(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._listen()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._clients = await loop.create_server(lambda: Connection(self), self.host, self.port)
        self.port = self._clients.sockets[0].getsockname()[1]

    def _write(self, session: Session) -> None:
        connection = self.connections.get(session)
        if connection is not None and not self.paused:
            connection.write()

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(self._tick_seconds)
            if not self.paused:
                try:
                    self.core.tick()
                except Exception:
                    log.exception("A tick of the simulated gateway failed")

    async def _serve_control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._control_tasks.add(task)
        try:
            while line := await reader.readline():
                answer = control.execute(self, line.decode("utf-8", "backslashreplace").strip())
                writer.write(answer.encode("utf-8", "backslashreplace") + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError) as error:  # ValueError: a line longer than the limit
            log.info("A control connection ended: %s", error)
        except asyncio.CancelledError:
            pass  # the gateway stops; asyncio logs a handler that ends cancelled
        finally:
            self._control_tasks.discard(task)
            writer.close()
