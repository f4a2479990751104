"""A few named tasks around one connector, under the lease.

The rule kept here: the engine never lives on with a part of it dead. If one task fails, all end, and `run` raises; the process ends non-
zero, and starting it again is the recovery. It ends in order: no new claims, what was heard goes into the book, the lease goes back, the
line is closed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any

from broker.connector import IBKRConnector
from broker.engine.asking import Asking
from broker.engine.checking import Checking
from broker.engine.connection import Connection
from broker.engine.hearing import Hearing
from broker.engine.sending import Sending
from broker.engine.situation import RunInBook, Situation
from orders import lease
from orders.crashpoints import reach
from orders.lease import LeaseLost
from orders.rules.terms import GatewayState

log = logging.getLogger(__name__)

STANDBY_SECONDS = 1.0
RENEW_SECONDS = 2.5
DRAIN_SECONDS = 5.0


class EngineFailed(Exception):
    """A task of the engine ended that should not have; the cause is its exception."""


async def _nobody() -> None:
    """Where nobody wants to hear that quotes moved."""


class Engine:
    """`run` waits for the lease, works under it until `stop`, and raises where it cannot go on. `leading` is set while it has the lease."""

    def __init__(
        self,
        connector: IBKRConnector,
        clock: Callable[[], datetime],
        run_in_book: RunInBook,
        *,
        holder: str = "",
        allow_live: Iterable[str] = (),
        quotes_moved: Callable[[], Awaitable[None]] = _nobody,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.situation = Situation(
            connector, clock, run_in_book, holder or lease.holder_name(), allow_live=frozenset(allow_live), monotonic=monotonic
        )
        connector.may_send = self.situation.may_send
        self._quotes_moved = quotes_moved
        self._stopping = asyncio.Event()
        self.leading = asyncio.Event()

    def wake(self) -> None:
        """The bell: the outbox or the inquiries have work."""
        for bell in (self.situation.bell, self.situation.inquiry_bell, self.situation.lines_bell):
            bell.set()

    def stop(self) -> None:
        """Asks the engine to end in order; `run` returns when it has."""
        self._stopping.set()

    async def run(self) -> None:
        """Works until `stop`. Raises LeaseLost where another worker took over, EngineFailed where a task of ours died."""
        reach("worker.start")
        if not await self._lead():
            return
        tasks = self._start()
        stopping = asyncio.create_task(self._stopping.wait(), name="stop")
        try:
            await asyncio.wait({*tasks.values(), stopping}, return_when=asyncio.FIRST_COMPLETED)
            failed = [task for task in tasks.values() if task.done()]
            if not failed:
                await self._wind_up(tasks)
                failed = [task for task in tasks.values() if _failed(task)]
        finally:
            await _end(stopping, *tasks.values())
            await self._close()
        _raise_for(failed)

    def _start(self) -> dict[str, asyncio.Task[Any]]:
        here = self.situation
        connection, asking = Connection(here), Asking(here, self._quotes_moved)
        coroutines = {
            "lease": self._renew(),
            "reports": Hearing(here).run(),
            "connection": connection.keep(),
            "probe": connection.probe(),
            "outbox": Sending(here, connection.alive).run(),
            "check": Checking(here).run(),
            "inquiries": asking.answer(),
            "figures": asking.keep_figures(),
            "lines": asking.keep_lines(),
            "details": asking.keep_details(),
        }
        return {name: asyncio.create_task(coroutine, name=name) for name, coroutine in coroutines.items()}

    # --- the lease --------------------------------------------------------------------------------------------------------------------

    async def _lead(self) -> bool:
        """Waits until the lease is ours; False where the engine is stopped before."""
        here, waited = self.situation, False
        while not self._stopping.is_set():
            asked_at = here.monotonic()
            fence = await here.book(lease.acquire, here.holder, here.now)
            if fence is not None:
                here.fence = fence
                here.renewed(asked_at)
                self.leading.set()
                log.info("This worker trades, under fence %s.", fence)
                return True
            if not waited:
                log.info("Another worker trades; this one stands by.")
                waited = True
            with suppress(TimeoutError):
                async with asyncio.timeout(STANDBY_SECONDS):
                    await self._stopping.wait()
        return False

    async def _renew(self) -> None:
        """Renews the lease every 2.5 s. Raises LeaseLost when another has it; while it cannot be renewed, `may_send` keeps us silent."""
        here = self.situation
        while True:
            here.renewed(await here.book(here.renew))
            await asyncio.sleep(max(RENEW_SECONDS - (here.monotonic() - here.renewed_at), 0.0))

    # --- the end ----------------------------------------------------------------------------------------------------------------------

    async def _wind_up(self, tasks: dict[str, asyncio.Task[Any]]) -> None:
        """No new claims; a claim that is under way is finished; what was heard goes into the book. Five seconds at the most."""
        here = self.situation
        here.stopping = True
        here.bell.set()
        log.info("The worker stops: no new orders are taken; what was heard is entered.")
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await asyncio.wait({tasks["outbox"]})
                here.change(GatewayState.DOWN, "the worker was stopped")
                await here.connector.inbox.emptied()
        except TimeoutError:
            log.warning("Not everything that was heard could be entered; the next start finds it by asking.")

    async def _close(self) -> None:
        """Leaves the gateway and gives the lease back, unless it is lost."""
        here = self.situation
        self.leading.clear()
        await here.connector.disconnect()
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await here.run_in_book(lease.release, here.holder, here.fence)
        except Exception:  # it may not hide what ended the engine
            log.exception("The lease could not be given back; it runs out by itself.")


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def _failed(task: asyncio.Task[Any]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is not None


def _raise_for(failed: list[asyncio.Task[Any]]) -> None:
    """Raises what ended the engine; a lost lease comes first, because the rest may follow from it."""
    errors = [(task, task.exception()) for task in failed if _failed(task)]
    for _, error in errors:
        if isinstance(error, LeaseLost):
            raise error
    for task, error in errors:
        raise EngineFailed(f"the task {task.get_name()} failed: {error!r}") from error
    for task in failed:
        raise EngineFailed(f"the task {task.get_name()} ended")
