"""One hub per web process tells its sockets what changed in the book.

It is woken by the bell and looks every second anyway: the bell may be lost, Redis may be gone, the database has the truth. The rule it
keeps: a socket is told everything it may see, once, in order of `seq`, or it is closed; and no socket waits for another.

A frame is {"prev", "seq", "at"} with `units` ({"panel", "id", "v", "html"}, html null: gone) or `resync: true` (ask for the panels again),
or neither (a heartbeat). `prev` is the seq this socket was told last.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer
from django.db import close_old_connections, connections
from django.utils import timezone

from orders.bell import FEED_GROUP
from orders.pages.newsreader import Change, News, NewsReader, Person, Rendered, View, Views
from orders.pages.panels import CLOCK, Unit

log = logging.getLogger(__name__)
T = TypeVar("T")

QUOTES_GROUP = "quotes"
POLL_SECONDS = 1.0
BEAT_SECONDS = 5.0
COALESCE_SECONDS = 0.05
QUICK_TURNS = 4  # turns that need not wait for each other: an order's way to its fill is that many changes
VALUES_SECONDS = 0.25
REJOIN_SECONDS = 3600  # Redis forgets a member of a group that does not say for a day that it is there
LONGEST_PAUSE_SECONDS = 15.0
UNITS_AT_ONCE = 200
UNREAD_LIMIT = 1 << 20

UNKNOWN_PERSON = 4401  # sign in
CHANGED_RIGHTS = 4403  # load the page again
TOO_SLOW = 1013


@dataclass(eq=False)
class Socket:
    """One browser's connection: who it is, what it looks at, and what it has not read yet."""

    person: Person
    session_key: str
    views: tuple[View, ...]
    told: int  # the last seq it was told
    outbox: asyncio.Queue[str | int] = field(default_factory=asyncio.Queue)  # frames, and at last a code to close with
    sent: int = 0
    read: int = 0
    closed: bool = False

    def put(self, text: str) -> None:
        """Sends a frame; a reader too far behind is closed instead, and comes back with a resync."""
        if self.closed:
            return
        self.sent += len(text)
        if self.sent - self.read > UNREAD_LIMIT:
            self.close(TOO_SLOW)
        else:
            self.outbox.put_nowait(text)

    def close(self, code: int) -> None:
        if not self.closed:
            self.closed = True
            while not self.outbox.empty():
                self.outbox.get_nowait()
            self.outbox.put_nowait(code)

    def receipt(self, count: int) -> None:
        """The browser has read so many characters."""
        self.read = max(self.read, min(count, self.sent))


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
        self._missed = False  # a turn failed after it had read: what it would have told is asked for instead
        self._seq = 0
        self._next_values = self._next_beat = 0.0
        self._turns_free = float(QUICK_TURNS)

    async def admit(self, user_id: int, session_key: str, account: str, panels: list[tuple[str, str]], language: str) -> Socket:
        """A socket for this user. Raises ObjectDoesNotExist or KeyError where he may not have what he asks for."""
        person, views = await self._read(self._reader.admitted, user_id, account, panels, language)
        return Socket(person, session_key, views, told=0)

    def join(self, socket: Socket, seq: int) -> None:
        """From its next turn on the hub tells this socket what comes after `seq`, the oldest of what its page shows."""
        socket.told = seq
        self._joining.append(socket)
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._run(), name="hub"), asyncio.create_task(self._listen(), name="hub bell")]
        self._bell.set()

    def leave(self, socket: Socket) -> None:
        self._sockets.discard(socket)
        if socket in self._joining:
            self._joining.remove(socket)

    # --- Turns -------------------------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Looks and tells, for ever. A failed turn is tried again, ever more patiently; no heartbeat goes out meanwhile."""
        failures = 0
        while True:
            self._bell.clear()
            started = asyncio.get_running_loop().time()
            try:
                await self._turn(started)
                failures = 0
            except Exception:
                failures += 1
                self._missed = True
                log.exception("the hub could not read the book (%s in a row)", failures)
                await asyncio.sleep(min(LONGEST_PAUSE_SECONDS, 0.3 * 2**failures))
            await self._until_next_turn(started)

    async def _turn(self, now: float) -> None:
        if not self._awake and self._joining:
            self._seq = await self._read(self._reader.start)
            self._awake = True
            self._next_beat = now + BEAT_SECONDS
        await self._admit_joining()
        if not self._sockets:
            await self._fall_asleep()
            return
        beat = now >= self._next_beat
        values = beat or now >= self._next_values
        news = await self._read(self._reader.look, values=values)
        if self._missed:
            news = News(news.seq, None)
        if beat or news.about_people:
            await self._check_people()
        if beat and news.changes is not None:
            news = News(news.seq, (*news.changes, Change(CLOCK, 0)))
        if news.changes != ():
            self._tell(news.seq, await self._read(self._reader.rendered, news, _views(self._sockets)), self._sockets)
        self._seq, self._missed = news.seq, False
        if values:
            self._next_values = self._now() + max(VALUES_SECONDS, self._now() - now)  # never more than half of the time
        if beat:
            self._next_beat = now + BEAT_SECONDS
            self._tell(news.seq, {}, self._sockets, beat=True)

    async def _admit_joining(self) -> None:
        """A page older than what the hub has told the others asks again; no frame fills that gap. Its values it is told at once."""
        if not self._joining:
            return
        asked = list(self._joining)
        values = await self._read(self._reader.values, self._seq, _views(asked))
        joining = [socket for socket in asked if socket in self._joining]  # some may have left meanwhile
        for socket in joining:
            self._joining.remove(socket)
            behind, socket.told = socket.told < self._seq, self._seq
            frame = {"prev": self._seq, "seq": self._seq, "at": self._clock().isoformat()}
            socket.put(json.dumps({**frame, "resync": True} if behind else frame))
        self._tell(self._seq, values, joining)
        self._sockets.update(joining)

    def _tell(self, seq: int, rendered: Rendered, sockets: Iterable[Socket], *, beat: bool = False) -> None:
        """Sends each socket its units in one frame, encoded once for all that need the same one."""
        frames: dict[tuple[tuple[View, ...], int], str | None] = {}
        at = self._clock().isoformat()
        for socket in sockets:
            wanted = (socket.views, socket.told)
            if wanted not in frames:
                frames[wanted] = _frame(socket.told, seq, at, [rendered[view] for view in socket.views if view in rendered], beat=beat)
            if (text := frames[wanted]) is not None:
                socket.put(text)
                socket.told = seq

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

    async def _until_next_turn(self, started: float) -> None:
        """Waits for the bell, or a second; a few turns may follow each other at once, then they are 50 ms apart."""
        try:
            async with asyncio.timeout_at(started + POLL_SECONDS if self._awake else None):
                await self._bell.wait()
        except TimeoutError:
            pass
        gone = self._now() - started
        self._turns_free = min(QUICK_TURNS, self._turns_free + gone / COALESCE_SECONDS) - 1
        if self._turns_free < 0:
            await asyncio.sleep(-self._turns_free * COALESCE_SECONDS)
            self._turns_free = 0

    # --- The bell ----------------------------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Hears the bell. A dead layer is tried again, ever more patiently; the turns go on without it."""
        failures = 0
        while (layer := get_channel_layer()) is not None:
            try:
                name = await layer.new_channel()  # of the default prefix: one of its own starves in the Redis layer
                while True:
                    for group in (FEED_GROUP, QUOTES_GROUP):
                        await layer.group_add(group, name)
                    await self._hear(layer, name)
                    failures = 0
            except Exception as error:  # noqa: BLE001 - whatever the layer's client raises, the turns go on
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
                        self._ring_for_values()
                    else:
                        self._bell.set()
        except TimeoutError:
            pass

    def _ring_for_values(self) -> None:
        """Quotes are looked at no more often than four times a second."""
        loop = asyncio.get_running_loop()
        loop.call_at(max(loop.time(), self._next_values), self._bell.set)

    # --- The database ------------------------------------------------------------------------------------------------------------------

    async def _read(self, function: Callable[..., T], *args: Any, **options: Any) -> T:
        """Runs a whole function in the hub's own thread: the event loop never waits for the database."""

        def run() -> T:
            close_old_connections()
            return function(*args, **options)

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    async def _fall_asleep(self) -> None:
        """Nobody looks: nothing is read, and no connection is held, until somebody does."""
        if self._awake:
            self._awake = False
            await asyncio.get_running_loop().run_in_executor(self._thread, connections.close_all)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _views(sockets: Iterable[Socket]) -> Views:
    return {view: socket.person.user for socket in sockets for view in socket.views}


def _frame(prev: int, seq: int, at: str, views: Iterable[list[Unit] | None], *, beat: bool) -> str | None:
    """The frame as text, in ASCII, so that both ends count the same length; None where there is nothing to say."""
    views = list(views)
    frame: dict[str, Any] = {"prev": prev, "seq": seq, "at": at}
    units = [unit for view in views if view is not None for unit in view]
    if None in views or len(units) > UNITS_AT_ONCE:
        frame["resync"] = True
    elif units:
        frame["units"] = [{"panel": unit.panel, "id": unit.id, "v": unit.v, "html": unit.html} for unit in units]
    elif not beat:
        return None
    return json.dumps(frame, separators=(",", ":"))


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running loop, made when first asked for."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]
