"""The Channels worker that hosts the engine: the same class in a process of its own (`runworker broker`) and inside the desk (`serve`).

The rule kept here: it listens on its channel only while its engine holds the lease, because a standby that listened would swallow half of
the bells; and a dead channel layer costs a second of latency, never an order.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import Any

from asgiref.sync import sync_to_async
from channels.worker import Worker
from django.conf import settings
from django.db import close_old_connections, connections
from django.utils import timezone

from broker.connector import IBKRConnector
from broker.engine import Engine

log = logging.getLogger(__name__)

CHANNEL = "broker"
CHECK = "check.wanted"  # a message of this type asks for a comparison of book and broker
QUOTES_GROUP = "quotes"
DEAF_SECONDS = 1.0
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class BookRunner:
    """Runs whole synchronous functions against the database: in one thread of its own, one at a time, in the order of asking."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="book")

    async def __call__(self, function: Callable[..., Any], *args: Any, **named: Any) -> Any:
        def whole() -> Any:
            close_old_connections()
            return function(*args, **named)

        return await sync_to_async(whole, thread_sensitive=False, executor=self._executor)()

    def close(self) -> None:
        """Closes the thread's connection to the database, and the thread after it; does not wait for either."""
        with suppress(RuntimeError):
            self._executor.submit(connections.close_all)
        self._executor.shutdown(wait=False)


class BrokerWorker(Worker):
    """Hosts one engine for one gateway. `arun` works until `astop`, and raises where the engine could not go on."""

    def __init__(
        self,
        application: Any = None,
        channels: Sequence[str] = (CHANNEL,),
        channel_layer: Any = None,
        max_applications: int = 1000,
        *,
        host: str = "",
        port: int = 0,
        client_id: int | None = None,
        holder: str = "",
        clock: Callable[[], datetime] = timezone.now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without an address, the one of the environment (IBKR_HOST, IBKR_PORT, IBKR_CLIENT_ID)."""
        super().__init__(application, list(channels), channel_layer, max_applications)
        if self.channels != [CHANNEL]:
            raise ValueError(f"the broker's worker listens on {CHANNEL!r} and on nothing else")
        self._address = (host or settings.IBKR_HOST, port or settings.IBKR_PORT)
        self._client_id = settings.IBKR_CLIENT_ID if client_id is None else client_id
        self._holder, self._clock, self._monotonic = holder, clock, monotonic
        self._stop_asked = False
        self._ended: asyncio.Event | None = None
        self.engine: Engine | None = None

    def run(self) -> None:
        """In a process of its own: until SIGTERM or SIGINT. Raises what ended the engine, so that the process ends non-zero."""
        asyncio.run(self._run_until_signalled())

    async def _run_until_signalled(self) -> None:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self.stop)
        await self.arun()

    async def arun(self) -> None:
        """Waits for the lease, trades while it lasts, and returns after `stop`. Raises LeaseLost or EngineFailed."""
        runner, self._ended = BookRunner(), asyncio.Event()
        connector = IBKRConnector(*self._address, self._client_id, clock=self._clock, monotonic=self._monotonic)
        self.engine = Engine(
            connector,
            self._clock,
            runner,
            holder=self._holder,
            allow_live=settings.DESKBOOK_ALLOW_LIVE,
            quotes_moved=self._quotes_moved,
            monotonic=self._monotonic,
        )
        if self._stop_asked:
            self.engine.stop()
        listening = asyncio.create_task(self.handle(), name="bell")
        try:
            await self.engine.run()
        finally:
            listening.cancel()
            await asyncio.wait({listening})
            runner.close()
            self._ended.set()

    def stop(self) -> None:
        """Asks for an ordered end."""
        self._stop_asked = True
        if self.engine is not None:
            self.engine.stop()

    async def astop(self) -> None:
        """Asks for an ordered end and waits for it."""
        self.stop()
        if self._ended is not None:
            await self._ended.wait()

    async def handle(self) -> None:
        """Rings the engine for what comes on the channel, from the moment it leads."""
        assert self.engine is not None
        await self.engine.leading.wait()
        await self.listener(CHANNEL)

    async def listener(self, channel: str) -> None:
        """Turns every message into one ring of the bell, one kind into a comparison too.

        While the layer fails the engine polls, once a second, as it always does.
        """
        assert self.engine is not None
        deaf = False
        while True:
            try:
                message = await self.channel_layer.receive(channel)
            except Exception as error:  # noqa: BLE001 - whatever a layer does, trading goes on
                if not deaf:
                    log.warning("The bell is out of order (%r); the outbox is polled.", error)
                deaf = True
                await asyncio.sleep(DEAF_SECONDS)
            else:
                deaf = False
                self.engine.wake()
                if message.get("type") == CHECK:
                    self.engine.compare()

    async def _quotes_moved(self) -> None:
        """Tells the hubs that there are newer quotes; whoever misses it reads them with the next."""
        try:
            async with asyncio.timeout(DEAF_SECONDS):
                await self.channel_layer.group_send(QUOTES_GROUP, {"type": "quotes.moved"})
        except Exception as error:  # noqa: BLE001 - as above
            log.debug("The hubs were not told of newer quotes: %r", error)
