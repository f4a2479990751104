"""Questions that wait for the gateway's answer, by request id or, where the protocol gives a question none, by kind.

The rule kept here: a question without an answer is unknown, never empty. An end that may belong to an earlier question of its kind, one
that we had stopped waiting for, does not count as the answer to the present one.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

FIRST_REQUEST_ID = 1_000_000_000  # far above order ids, so that an error for a request can never hit an order
LATE_SECONDS = 60.0  # an end that comes later than this after we stopped waiting is not expected any more

# Kinds whose ends do not say which question they end, and whose rows are taken for the whole. (Any "current time" is a sign of life.)
LOOK_ALIKE = frozenset({"open orders", "completed orders", "positions"})

Key = int | str


class RequestFailed(Exception):
    """The gateway refused a question."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text} (code {code})")
        self.code = code
        self.text = text


class Unanswered(Exception):
    """The gateway did not answer in time: nothing is known."""


class Waiting:
    """One open question and the rows it has had so far."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.rows: list[Any] = []
        self.notices: list[str] = []  # what was said about the question without ending it
        self.taken_for: list[float] = []  # ends that came and were taken for those of earlier questions, of these moments
        self.last_heard = monotonic()

    def row(self, row: Any) -> None:
        self.rows.append(row)
        self.touch()

    def touch(self) -> None:
        """Something of the answer came: a long list is not late while it still moves."""
        self.last_heard = self._monotonic()

    def settle(self, result: Any = None, error: Exception | None = None) -> None:
        if self._future.done():
            return
        if error is not None:
            self._future.set_exception(error)
            self._future.exception()  # whoever waits hears it; nobody may be waiting any more
        else:
            self._future.set_result(self.rows if result is None else result)

    async def answer(self, patience: float) -> Any:
        """The answer. Raises Unanswered after `patience` seconds without a row, RequestFailed, or ConnectionError."""
        while not self._future.done():
            left = patience - (self._monotonic() - self.last_heard)
            if left <= 0:
                raise Unanswered
            await asyncio.wait({self._future}, timeout=left)
        return self._future.result()


class Requests:
    """The open questions of one connection."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._next_id = FIRST_REQUEST_ID
        self._open: dict[Key, Waiting] = {}
        self._owed: dict[Key, list[float]] = defaultdict(list)
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def turn(self, kind: str) -> asyncio.Lock:
        """Questions of one kind without a request id are asked one after the other: their ends look the same."""
        return self._turns[kind]

    @contextmanager
    def asked(self, key: Key) -> Iterator[Waiting]:
        """Opens a question; leaving without its end makes the next end of a kind without ids doubtful."""
        waiting = self._open[key] = Waiting(self._monotonic)
        try:
            yield waiting
        except (Unanswered, asyncio.CancelledError):
            if key in LOOK_ALIKE:
                # Where an end did come, one is owed as before and not a newer one: a single lost end would put off every answer for ever.
                self._owed[key].append(waiting.taken_for.pop(0) if waiting.taken_for else self._monotonic())
            raise
        finally:
            if self._open.get(key) is waiting:
                del self._open[key]

    def waiting(self, key: Key) -> Waiting | None:
        return self._open.get(key)

    def end(self, key: Key, result: Any = None) -> None:
        """The end of an answer came. It settles the open question unless an earlier one of its kind is still owed an end."""
        owed = [at for at in self._owed.pop(key, []) if self._monotonic() - at < LATE_SECONDS]
        waiting = self._open.get(key)
        if owed:
            self._owed[key] = owed[1:]
            if waiting is not None:
                waiting.taken_for.append(owed[0])
            return
        if waiting is not None:
            waiting.settle(result)

    def fail(self, key: Key, error: Exception) -> bool:
        """Refuses an open question; False where there is none."""
        waiting = self._open.get(key)
        if waiting is not None:
            waiting.settle(error=error)
        return waiting is not None

    def abandon(self, error: Exception) -> None:
        """The connection is gone: nobody will answer."""
        for waiting in list(self._open.values()):
            waiting.settle(error=error)
