"""The doorbell: tells the hubs that the feed moved and the worker that the outbox has work.

A bell may be lost, and carries nothing: the truth is always in the database, and who listens also polls. So a full, slow or dead channel
layer never turns an accepted order into an error; one that hangs costs a moment now and then, because the bell is rung in the thread that
writes the book.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from asgiref.sync import async_to_sync
from channels.exceptions import ChannelFull
from channels.layers import get_channel_layer

log = logging.getLogger(__name__)

FEED_GROUP = "feed"
WORKER_CHANNEL = "broker"
OUTBOX, CHECK = "outbox.moved", "check.wanted"

RING_SECONDS = 0.25
QUIET_SECONDS = 2.0  # after a failure nobody rings for so long: those who listen look by themselves every second

_quiet_until = float("-inf")


def ring_feed() -> None:
    layer = get_channel_layer()
    if layer is not None:
        _ring(lambda: layer.group_send(FEED_GROUP, {"type": "feed.moved"}))


def ring_worker() -> None:
    """The outbox has work."""
    _ring_worker(OUTBOX)


def ring_check() -> None:
    """Somebody wants book and broker compared now."""
    _ring_worker(CHECK)


def _ring_worker(what: str) -> None:
    layer = get_channel_layer()
    if layer is not None:
        _ring(lambda: layer.send(WORKER_CHANNEL, {"type": what}))


def _ring(send: Callable[[], Awaitable[None]]) -> None:
    """Raises what the layer raises, TimeoutError where it hangs; the caller logs it."""
    global _quiet_until
    if time.monotonic() < _quiet_until:
        return

    async def in_time() -> None:
        async with asyncio.timeout(RING_SECONDS):
            await send()

    try:
        async_to_sync(in_time)()
    except ChannelFull:
        log.debug("the bell is ringing already")
    except Exception:
        _quiet_until = time.monotonic() + QUIET_SECONDS
        raise
