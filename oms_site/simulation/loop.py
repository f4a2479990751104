"""An event loop without a clock: when nothing is ready it jumps to the next timer, and it knows whose work each step is.

The rule it keeps: one thread, one order. What runs next depends on what ran before and on nothing else, so that a run can be repeated. A
`Process` is everything that was started inside it; killed, none of it runs again, not even a `finally`; frozen, all of it waits.
"""

from __future__ import annotations

import asyncio
import heapq
from asyncio import events
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from typing import Any

TURN_SECONDS = 1e-6  # a turn of the loop takes time, as everywhere: whoever waits for the rest of a rounding error gets there

PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


class Stalled(Exception):
    """Nothing is ready and no timer runs: nothing will ever happen again."""


class Killed(BaseException):
    """The process dies at this point; not an Exception, because nobody may catch it."""


class Process:
    """One operating system process of the simulated world: its tasks, and what must be told to others when it dies."""

    def __init__(self, loop: VirtualLoop, name: str) -> None:
        self.loop, self.name = loop, name
        self.alive, self.frozen = True, False
        self.steps_left: int | None = None
        self.on_death: list[Callable[[], None]] = []
        self._waiting: list[events.Handle] = []
        self._tasks: list[asyncio.Task[Any]] = []

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Starts a task of this process; whatever it starts belongs to the process too."""
        context = copy_context()
        context.run(PROCESS.set, self)
        task: asyncio.Task[Any] = self.loop.create_task(coroutine, name=name, context=context)
        self._tasks.append(task)
        return task

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Runs a function as part of this process."""
        context = copy_context()
        context.run(PROCESS.set, self)
        return context.run(function, *arguments)

    def kill(self) -> None:
        """SIGKILL: what it held is closed by the system, and not a line of it runs again."""
        if not self.alive:
            return
        self.alive = False
        self._waiting.clear()
        for told in self.on_death:
            told()

    def die_after(self, steps: int) -> None:
        """Kills the process in so many steps of its own from now."""
        self.steps_left = steps

    def freeze(self) -> None:
        self.frozen = True

    def thaw(self) -> None:
        """SIGCONT: what fell due meanwhile runs now, in the order in which it fell due."""
        self.frozen = False
        self.loop.take_up(self._waiting)
        self._waiting = []

    def may_run(self, handle: events.Handle) -> bool:
        """Asked before each step."""
        if not self.alive:
            return False
        if self.frozen:
            self._waiting.append(handle)
            return False
        if self.steps_left is not None:
            self.steps_left -= 1
            if self.steps_left <= 0:
                self.kill()
                return False
        return True


class VirtualLoop(asyncio.BaseEventLoop):
    """Time passes only while everybody waits. `network` makes connections; there are no threads, files or signals."""

    def __init__(self) -> None:
        super().__init__()
        self._seconds = 0.0
        self.network: Any = None
        self.steps = 0

    def time(self) -> float:
        return self._seconds

    def process(self, name: str) -> Process:
        return Process(self, name)

    def take_up(self, handles: list[events.Handle]) -> None:
        """Queues handles that had been held back."""
        self._ready.extend(handle for handle in handles if not handle.cancelled())

    def _run_once(self) -> None:
        """As the loop of the standard library, with a jump where that one sleeps."""
        timers, ready = self._scheduled, self._ready  # type: ignore[attr-defined]
        while timers and timers[0]._cancelled:
            self._timer_cancelled_count -= 1
            heapq.heappop(timers)._scheduled = False
        self._seconds += TURN_SECONDS
        if not ready:
            if not timers:
                raise Stalled
            self._seconds = max(self._seconds, timers[0]._when)
        while timers and timers[0]._when <= self._seconds:
            handle = heapq.heappop(timers)
            handle._scheduled = False
            ready.append(handle)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            process = handle._context.get(PROCESS)
            if process is None or process.may_run(handle):
                self.steps += 1
                handle._run()

    def _process_events(self, event_list: list[Any]) -> None:
        raise AssertionError("this loop has no selector")

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> Any:
        raise AssertionError("a simulation has one thread")

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        raise AssertionError("a simulation has one thread")

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:  # type: ignore[override]
        return await self.network.connect(protocol_factory, host, port)

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:  # type: ignore[override]
        return self.network.listen(protocol_factory, host, port)
