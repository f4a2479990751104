"""The doorbell: tells the hubs that the feed moved and the worker that the outbox has work.

A bell may be lost, and carries nothing: the truth is always in the database, and who listens also polls. So a full, slow or dead channel
layer never turns an accepted order into an error.
"""

from __future__ import annotations

import logging

from asgiref.sync import async_to_sync
from channels.exceptions import ChannelFull
from channels.layers import get_channel_layer

log = logging.getLogger(__name__)

FEED_GROUP = "feed"
WORKER_CHANNEL = "broker"
OUTBOX, CHECK = "outbox.moved", "check.wanted"


def ring_feed() -> None:
    layer = get_channel_layer()
    if layer is not None:
        async_to_sync(layer.group_send)(FEED_GROUP, {"type": "feed.moved"})


def ring_worker() -> None:
    """The outbox has work."""
    _ring(OUTBOX)


def ring_check() -> None:
    """Somebody wants book and broker compared now."""
    _ring(CHECK)


def _ring(what: str) -> None:
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        async_to_sync(layer.send)(WORKER_CHANNEL, {"type": what})
    except ChannelFull:
        log.debug("the worker's bell is already ringing")
