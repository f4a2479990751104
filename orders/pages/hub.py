"""One hub per web process tells its sockets what changed in the book.

It is woken by the bell and looks every second anyway: the bell may be lost, Redis may be gone, the database has the truth. The rule it
keeps: a socket is told everything it may see, or it is closed; no socket waits for another; and an order's row waits for nothing else.

So there are two rounds. The quick one renders orders and executions as soon as the feed moves. The other follows a moment later with the
panels that cost more, the values that moved without an event and the heartbeat; with it the sockets' `seq` moves on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer
from django.db import close_old_connections, connections
from django.utils import timezone

from orders.bell import FEED_GROUP
from orders.pages.newsreader import Change, News, NewsReader
from orders.pages.panels import CLOCK, PANELS
from orders.pages.sockets import CHANGED_RIGHTS, UNKNOWN_PERSON, Socket, greet, tell, views_of

log = logging.getLogger(__name__)
T = TypeVar("T")

QUOTES_GROUP = "quotes"
POLL_SECONDS = 1.0
BEAT_SECONDS = 5.0
COALESCE_SECONDS = 0.05
QUICK_ROUNDS = 4  # rounds that need not wait for each other: an order's way to its fill is that many changes
AFTER_SECONDS = 0.15  # how long after the quick round the other one follows
VALUES_SECONDS = 0.25
BUSY_SHARE = 0.25  # of the time, at most, goes into the second round: in an embedded desk the worker needs the rest
REJOIN_SECONDS = 3600  # Redis forgets a member of a group that does not say for a day that it is there
LONGEST_PAUSE_SECONDS = 15.0


class Hub:
    def __init__(self, clock: Callable[[], datetime] = timezone.now) -> None:
        self._clock = clock
        self._reader = NewsReader(clock)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hub")
        self._sockets: set[Socket] = set()
        self._joining: list[Socket] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._bell = asyncio.Event()
        self._awake = False  # reading; not while nobody looks
        self._seen = 0  # the feed was read up to here
        self._held: list[Change] = []  # seen, and waiting for the second round
        self._flood = False  # too much was seen, or a round failed: the panels are to be asked for again
        self._quick_left = float(QUICK_ROUNDS)
        self._due = asyncio.Event()
        self._due_at = self._not_before = self._next_beat = 0.0

    async def admit(self, user_id: int, session_key: str, account: str, panels: list[tuple[str, str]], language: str) -> Socket:
        """A socket for this user. Raises ObjectDoesNotExist or KeyError where he may not have what he asks for."""
        person, views = await self._read(self._reader.admitted, user_id, account, panels, language)
        return Socket(person, session_key, views)

    def join(self, socket: Socket, seq: int) -> None:
        """From its next round on the hub tells this socket what comes after `seq`, the oldest of what its page shows."""
        socket.told = seq
        self._joining.append(socket)
        if not self._tasks:
            rounds = (("quick", self._quick_round, self._until_bell), ("second", self._second_round, self._until_due))
            self._tasks = [asyncio.create_task(self._for_ever(act, wait), name=f"hub, {name}") for name, act, wait in rounds]
            self._tasks.append(asyncio.create_task(self._listen(), name="hub, bell"))
        self._bell.set()

    def leave(self, socket: Socket) -> None:
        self._sockets.discard(socket)
        if socket in self._joining:
            self._joining.remove(socket)
        if not self._sockets and not self._joining:
            self._bell.set()  # to fall asleep

    # --- Rounds ------------------------------------------------------------------------------------------------------------------------

    async def _for_ever(self, act: Callable[[], Awaitable[None]], wait: Callable[[float], Awaitable[None]]) -> None:
        """Acts and waits. A failed round is tried again, ever more patiently; no heartbeat goes out meanwhile."""
        failures = 0
        while True:
            started = _now()
            try:
                await act()
                failures = 0
            except Exception:
                failures += 1
                self._flood = True
                log.exception("the hub could not read the book (%s in a row)", failures)
                await asyncio.sleep(min(LONGEST_PAUSE_SECONDS, 0.3 * 2**failures))
            await wait(started)

    async def _quick_round(self) -> None:
        """Takes in who joined, reads the feed, and tells of orders and executions."""
        self._bell.clear()
        if not self._awake and self._joining:
            self._seen = await self._read(self._reader.start)
            self._awake = True
        while self._joining:
            socket = self._joining.pop()
            greet(socket, self._seen, self._clock())
            self._sockets.add(socket)
            self._soon(0)
        if not self._sockets:
            await self._fall_asleep()
            return
        news = await self._read(self._reader.look)
        self._seen = news.seq
        if news.changes is None:
            self._flood = True
        elif news.changes:
            self._held += news.changes
            self._soon(AFTER_SECONDS)
        if news.about_people:
            await self._check_people()
        if news.changes:
            quick = {view: user for view, user in views_of(self._sockets).items() if PANELS[view.panel].quick}
            tell(self._sockets, await self._read(self._reader.rendered, news, quick), self._clock())

    async def _second_round(self) -> None:
        """Tells of all that waits: the other panels, the values, and every few seconds that the desk is alive."""
        started = _now()
        self._due_at = started + POLL_SECONDS
        if not self._sockets:
            return
        if beat := started >= self._next_beat:
            await self._check_people()
            self._next_beat = started + BEAT_SECONDS
        seq, flood, held = self._seen, self._flood, self._held
        self._held, self._flood = [], False
        fresh = {socket for socket in self._sockets if not socket.greeted}
        moved = await self._read(self._reader.moved)
        clock = [Change(CLOCK, 0)] if beat else []
        news = News(seq, None if flood else tuple(dict.fromkeys([*held, *moved, *clock])))
        values = News(seq, tuple(moved))  # the quick round, which had the changes, sees no values
        rendered = await self._read(self._reader.values, seq, views_of(fresh)) if fresh else {}
        for view, user in views_of(self._sockets).items():
            if flood or view not in rendered:
                told = values if PANELS[view.panel].quick and not flood else news
                rendered |= await self._read(self._reader.rendered, told, {view: user})  # one at a time: the quick round is let by
        tell(self._sockets, rendered, self._clock(), upto=seq, beat=beat)
        for socket in fresh:
            socket.greeted = True
        self._not_before = max(started + VALUES_SECONDS, started + (_now() - started) / BUSY_SHARE)
        self._due_at = max(self._due_at, self._not_before)

    async def _check_people(self) -> None:
        """Closes the sockets of those who left, were shut out, or may see other accounts than when their page was made."""
        sockets = [*self._sockets, *self._joining]
        people, sessions = await self._read(self._reader.people, {s.person.user.pk for s in sockets}, {s.session_key for s in sockets})
        for socket in sockets:
            person = people.get(socket.person.user.pk)
            if person is None or person.mark != socket.person.mark or socket.session_key not in sessions:
                self._shut(socket, UNKNOWN_PERSON)
            elif person.rights != socket.person.rights:
                self._shut(socket, CHANGED_RIGHTS)

    def _shut(self, socket: Socket, code: int) -> None:
        self.leave(socket)
        socket.close(code)

    # --- Waiting -----------------------------------------------------------------------------------------------------------------------

    async def _until_bell(self, started: float) -> None:
        """Waits for the bell, or a second; a few rounds may follow each other at once, then they are 50 ms apart."""
        try:
            async with asyncio.timeout_at(started + POLL_SECONDS if self._awake else None):
                await self._bell.wait()
        except TimeoutError:
            pass
        self._quick_left = min(QUICK_ROUNDS, self._quick_left + (_now() - started) / COALESCE_SECONDS) - 1
        if self._quick_left < 0:
            await asyncio.sleep(-self._quick_left * COALESCE_SECONDS)
            self._quick_left = 0

    async def _until_due(self, started: float) -> None:
        while _now() < self._due_at:
            self._due.clear()
            try:
                async with asyncio.timeout_at(self._due_at):
                    await self._due.wait()
            except TimeoutError:
                pass

    def _soon(self, seconds: float) -> None:
        """The second round is due in so many seconds, if not before; it has a pace of its own."""
        due = max(_now() + seconds, self._not_before)
        if due < self._due_at:
            self._due_at = due
            self._due.set()

    # --- The bell ----------------------------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Hears the bell. A dead layer is tried again, ever more patiently; the rounds go on without it."""
        failures = 0
        while (layer := get_channel_layer()) is not None:
            try:
                name = await layer.new_channel()  # of the default prefix: one of its own starves in the Redis layer
                while True:
                    for group in (FEED_GROUP, QUOTES_GROUP):
                        await layer.group_add(group, name)
                    await self._hear(layer, name)
                    failures = 0
            except Exception as error:  # noqa: BLE001 - whatever the layer's client raises, the rounds go on
                failures += 1
                log.warning("the hub does not hear the bell, and looks every second: %r", error)
                await asyncio.sleep(min(LONGEST_PAUSE_SECONDS, 0.3 * 2**failures))

    async def _hear(self, layer: Any, name: str) -> None:
        """Passes the rings on for an hour."""
        try:
            async with asyncio.timeout(REJOIN_SECONDS):
                while True:
                    message = await layer.receive(name)
                    if message["type"] == "quotes.moved":
                        self._soon(0)
                    else:
                        self._bell.set()
        except TimeoutError:
            pass

    # --- The database ------------------------------------------------------------------------------------------------------------------

    async def _read(self, function: Callable[..., T], *args: Any) -> T:
        """Runs a whole function in the hub's own thread: the event loop never waits for the database."""

        def run() -> T:
            close_old_connections()
            return function(*args)

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    async def _fall_asleep(self) -> None:
        """Nobody looks: nothing is read, and no connection is held, until somebody does."""
        if self._awake:
            self._awake = False
            self._held, self._flood = [], False
            await asyncio.get_running_loop().run_in_executor(self._thread, connections.close_all)


def _now() -> float:
    return asyncio.get_running_loop().time()


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running loop, made when first asked for."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]
