"""A whole desk in one process and one loop: Daphne's pages, the broker's worker, and the simulated gateway where there is no real one.

The rule it keeps: it ends in order (no new visitors, the worker gives its lease back, then the gateway, then the open pages), each step
within its time, and it never lives on with a part of it dead: the exit code tells the supervisor, whose restart is the recovery.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from daphne.server import Server, twisted_loop  # installs the reactor on its own loop: before anything else of Twisted
from twisted.internet import reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IListeningPort

logger = logging.getLogger(__name__)

STEP_SECONDS = 8.0  # of one step of the ending; the worker drains for up to 5 s
# Supervisors, `timeout` and `make` may deliver one request to end twice; a person's second Ctrl-C comes later.
IMPATIENCE_SECONDS = 1.0
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Worker(Protocol):
    """What talks to the gateway until it is told to stop."""

    async def arun(self) -> None: ...
    async def astop(self) -> None: ...


class Gateway(Protocol):
    """What the worker connects to; its port is known once it has started."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...


@dataclass(frozen=True)
class RealGateway:
    """TWS or IB Gateway: an address. It runs without us, and on after us."""

    host: str
    port: int

    async def start(self) -> None:
        """Nothing to start: the worker connects when it can."""

    async def stop(self) -> None:
        """Nothing to stop."""


class Web(Server):
    """Daphne, which by itself forgets the ports it listens on and so cannot close them."""

    ports: list[IListeningPort]

    def listen_success(self, port: IListeningPort) -> None:
        """Keeps the port, for `close_doors`."""
        self.__dict__.setdefault("ports", []).append(port)
        super().listen_success(port)

    async def close_doors(self) -> None:
        """No new connections; those that are open stay."""
        for port in self.__dict__.pop("ports", []):
            await maybeDeferred(port.stopListening).asFuture(asyncio.get_running_loop())


class Host:
    """Runs the parts until a signal comes or one of them fails. `make_worker` is called with the address of the gateway.

    `told`: exceptions of the start whose own words say what a person can do; others are logged with their trace.
    """

    def __init__(
        self,
        listener: socket.socket,
        application: Any,
        make_worker: Callable[[str, int], Worker],
        gateway: Gateway,
        welcome: Callable[[str, int], Coroutine[Any, Any, None]],
        step_seconds: float = STEP_SECONDS,
        told: tuple[type[Exception], ...] = (),
    ) -> None:
        # Twisted copies the descriptor and closes the one it was given: a socket that thought it still owned it would close another's.
        endpoint = f"fd:fileno={listener.detach()}"
        self._web = Web(application, endpoints=[endpoint], signal_handlers=False, server_name="deskbook")
        self._make_worker = make_worker
        self._gateway = gateway
        self._welcome = welcome
        self._step_seconds = step_seconds
        self._told = told
        self._stop = asyncio.Event()
        self._failed = True  # until the ordered ending says otherwise

    def run(self) -> int:
        """Blocks until the desk has ended. 0: it was asked to; 1: a part of it failed, the log says which."""
        reactor.callWhenRunning(self._begin)
        self._web.run()
        return 1 if self._failed else 0

    def _begin(self) -> None:
        for number in SIGNALS:
            twisted_loop.add_signal_handler(number, self._asked_to_stop, number)
        self._life = twisted_loop.create_task(self._live(), name="desk")

    def _asked_to_stop(self, number: signal.Signals) -> None:
        now = twisted_loop.time()
        if not self._stop.is_set():
            self._asked_at = now
            self._stop.set()
        elif number == signal.SIGINT and now - self._asked_at > IMPATIENCE_SECONDS:
            os._exit(130)  # somebody at the terminal is in a hurry; the book is made for it

    async def _live(self) -> None:
        try:
            self._failed = not await self._parts()
        except self._told as problem:
            logger.error("The desk could not start: %s", problem)
        except Exception:
            logger.exception("The desk could not start.")
        finally:
            await self._web.close_doors()
            reactor.stop()

    async def _parts(self) -> bool:
        """Starts the parts, waits for the end, ends them in order. True when all of it went well."""
        await self._gateway.start()
        try:
            worker = self._make_worker(self._gateway.host, self._gateway.port)
        except BaseException:
            await _ended("gateway", self._gateway.stop, self._step_seconds)
            raise
        working = asyncio.create_task(worker.arun(), name="worker")
        welcoming = asyncio.create_task(self._welcome(self._gateway.host, self._gateway.port), name="welcome")
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        await _first_end({working, stopping}, welcoming)
        well = not working.done()
        if not well:
            logger.error("The worker ended by itself; the desk ends with it.", exc_info=_error_of(working))
        welcoming.cancel()
        steps: list[tuple[str, Callable[[], Awaitable[Any]]]] = [("web listener", self._web.close_doors)]
        if well:
            steps += [("worker", worker.astop), ("worker's tasks", lambda: working)]
        steps.append(("gateway", self._gateway.stop))
        for name, step in steps:
            well &= await _ended(name, step, self._step_seconds)
        return well


async def _first_end(deciding: set[asyncio.Task[Any]], welcoming: asyncio.Task[None]) -> None:
    """Waits for one of the deciding tasks; a failed welcome is told, and the desk goes on: it still guards the orders it has."""
    await asyncio.wait({*deciding, welcoming}, return_when=asyncio.FIRST_COMPLETED)
    if welcoming.done() and not any(task.done() for task in deciding):
        if (error := _error_of(welcoming)) is not None:
            logger.error("The welcome failed.", exc_info=error)
        await asyncio.wait(deciding, return_when=asyncio.FIRST_COMPLETED)


async def _ended(name: str, step: Callable[[], Awaitable[Any]], seconds: float) -> bool:
    """Does one step of the ending; False when it failed or took too long."""
    try:
        async with asyncio.timeout(seconds):
            await step()
    except TimeoutError:
        logger.error("The %s did not end within %g s.", name, seconds)
    except Exception:
        logger.exception("The %s failed while ending.", name)
    else:
        return True
    return False


def _error_of(task: asyncio.Task[Any]) -> BaseException | None:
    return None if task.cancelled() else task.exception()
