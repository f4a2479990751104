"""What was heard and is not in the book yet: reports in the order of hearing, and figures of which only the newest counts.

The rule kept here: reports wait in a bounded queue and are taken in order; what no longer fits is dropped with a flag, and the flag asks
for a reconciliation. Figures are conflated: one entry a name, so that a storm of ticks costs no more memory than a calm.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from orders.rules.reports import Value

LARGEST_QUEUE = 50_000

T = TypeVar("T")


class Inbox(Generic[T]):
    """A queue for one reader in the same loop."""

    def __init__(self, largest: int = LARGEST_QUEUE) -> None:
        self._items: deque[T] = deque()
        self._largest = largest
        self._arrived = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self.overflowed = False

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T, *, must_fit: bool = False) -> bool:
        """Queues an item; False where it was dropped because the queue is full. What the desk itself must hear always fits."""
        if len(self._items) >= self._largest and not must_fit:
            self.overflowed = True
            return False
        self._items.append(item)
        self._empty.clear()
        self._arrived.set()
        return True

    async def arrived(self) -> None:
        """Returns when there is something to take."""
        await self._arrived.wait()

    def take(self, most: int) -> list[T]:
        """The oldest items, at most so many. They count as waiting until `done`."""
        items = [self._items.popleft() for _ in range(min(most, len(self._items)))]
        if not self._items:
            self._arrived.clear()
        return items

    def done(self) -> None:
        """What was taken is in the book."""
        if not self._items:
            self._empty.set()

    async def emptied(self) -> None:
        """Returns when everything that was queued is in the book."""
        await self._empty.wait()


class Figures:
    """The newest figure of each name."""

    def __init__(self) -> None:
        self._newest: dict[Hashable, Value] = {}
        self._arrived = asyncio.Event()

    def put(self, name: Hashable, value: Value) -> None:
        self._newest[name] = value
        self._arrived.set()

    async def arrived(self) -> None:
        """Returns when there is something to take."""
        await self._arrived.wait()

    def take(self) -> list[Value]:
        values = list(self._newest.values())
        self._newest.clear()
        self._arrived.clear()
        return values
