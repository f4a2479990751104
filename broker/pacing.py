"""How fast we may write to the gateway: a sliding window over everything that goes out, orders and questions alike.

The rule kept here: IB takes 50 messages a second from a client (code 100, and the session ends on repetition), so we write at most 45;
nothing is ever queued behind it in memory, where a lost socket would lose it. Questions leave room for orders, and orders leave room for
cancels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum

MESSAGES_PER_SECOND = 45
WINDOW = 1.02  # a little over the second: the gateway's clock starts counting when a message arrives


class Kept(IntEnum):
    """What a kind of message must leave free of the window for the kinds before it."""

    CANCEL = 2  # for the probe: without it a burst of cancels would look like a dead gateway
    ORDER = 8
    QUESTION = 20


class Pacer:
    """Counts what was written. `monotonic` gives seconds that only grow."""

    def __init__(self, monotonic: Callable[[], float], limit: int = MESSAGES_PER_SECOND) -> None:
        self._monotonic = monotonic
        self._limit = limit
        self._times: deque[float] = deque()
        self._reserved = 0

    def room(self, kept: int = Kept.ORDER) -> int:
        """How many messages may be written now by a kind that leaves `kept` free for more urgent ones."""
        return max(self._limit - kept - self._used() - self._reserved, 0)

    def fits(self, messages: int) -> bool:
        """Whether so many may be written at once by whoever reserved room for them."""
        return self._used() + messages <= self._limit

    def _used(self) -> int:
        now = self._monotonic()
        while self._times and now - self._times[0] > WINDOW:
            self._times.popleft()
        return len(self._times)

    @contextmanager
    def reserved(self, messages: int) -> Iterator[None]:
        """Nobody else gets this room while it is being decided what to write."""
        self._reserved += messages
        try:
            yield
        finally:
            self._reserved -= messages

    def wrote(self, messages: int = 1) -> None:
        """Counts messages written at this moment."""
        self._times.extend([self._monotonic()] * messages)

    def seconds_until(self, messages: int, kept: int = Kept.ORDER) -> float:
        """How long until so many messages have room, if nothing else is written meanwhile. 0: now."""
        missing = messages - self.room(kept)
        if missing <= 0:
            return 0.0
        if missing > len(self._times):
            return 0.05  # the room is reserved for others: they will have used it or given it back soon
        return max(WINDOW - (self._monotonic() - self._times[missing - 1]), 0.0) + 0.001

    @property
    def largest_unit(self) -> int:
        """The most frames that one unit of orders can have."""
        return self._limit - Kept.ORDER
