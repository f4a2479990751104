"""What other code in this process may listen to. Sent at most once, after the commit, in the process that wrote.

The durable record is `Event`. A listener that fails is logged and harms nothing: neither the book nor the other listeners.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from django.dispatch import Signal

if TYPE_CHECKING:
    from orders.book import OpenBook

log = logging.getLogger(__name__)

order_placed = Signal()
"""`order`: an OrderRecord was accepted into the book; nothing has been sent yet."""

order_filled = Signal()
"""`order`, `execution`, `complete`: an execution counts for an order; `complete` where it is filled with it."""

order_cancelled = Signal()
"""`order`: it is gone, with whatever had filled."""

order_error = Signal()
"""`order`, `code`, `text`: it was rejected, or the broker or the outbox said something a person should read."""

positions_update = Signal()
"""`position`: the broker reported a position; `account` and `contract` are on it."""


def tell(b: OpenBook, signal: Signal, *, sender: Any, **facts: Any) -> None:
    """Sends `signal` to every listener once the transaction of `b` stands."""

    def send() -> None:
        for receiver, answer in signal.send_robust(sender=sender, **facts):
            if isinstance(answer, Exception):
                log.error("the listener %r failed", receiver, exc_info=answer)

    b.after_commit(send)
