"""A browser's connection as the hub sees it, and the frames that go over it.

A frame is {"n", "prev", "seq", "at"} with `units` ({"panel", "id", "v", "html", "alert"}, html null: gone) or `resync: true` (ask for the
panels again), or neither (a heartbeat). The rule it keeps: `seq` is all that the socket was told, `prev` what it was told before, and `n`
counts its frames, so that a browser notices what it missed; who reads too slowly is closed, and comes back with a resync.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from orders.pages.newsreader import Person, Rendered, View, Views
from orders.pages.panels import Unit

UNKNOWN_PERSON = 4401  # sign in
CHANGED_RIGHTS = 4403  # load the page again
TOO_SLOW = 4408  # a code of our own like the others: the web server can send 1000 and those from 3000 on, and no other

UNITS_AT_ONCE = 200
UNREAD_LIMIT = 1 << 20


@dataclass(eq=False)
class Socket:
    """One browser's connection: who it is, what it looks at, and what it has not read yet."""

    person: Person
    session_key: str
    views: tuple[View, ...]
    told: int = 0  # the last seq it was told
    frames: int = 0
    greeted: bool = False  # it was told the values, which may have moved since its page was made
    outbox: asyncio.Queue[str | int] = field(default_factory=asyncio.Queue)  # frames, and at last a code to close with
    sent: int = 0
    read: int = 0
    closed: bool = False

    def put(self, text: str) -> None:
        """Sends a frame, or closes where too much is unread."""
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


def views_of(sockets: Iterable[Socket]) -> Views:
    """Everything that is looked at, each view with somebody who has its rights."""
    return {view: socket.person.user for socket in sockets for view in socket.views}


def tell(sockets: Iterable[Socket], rendered: Rendered, now: datetime, *, upto: int | None = None, beat: bool = False) -> None:
    """Sends each socket its units in one frame, encoded once for all that need the same one.

    `upto` says that with this frame everything up to that seq was told; a frame without it comes early, and moves nothing on. With `beat`
    a frame goes out where there is nothing to say, too.
    """
    at = now.isoformat()
    frames: dict[tuple[tuple[View, ...], int, int], str | None] = {}
    for socket in sockets:
        wanted = (socket.views, socket.told, socket.frames)
        seq = max(socket.told, upto or 0)
        if wanted not in frames:
            units = [rendered[view] for view in socket.views if view in rendered]
            frames[wanted] = _frame({"n": socket.frames + 1, "prev": socket.told, "seq": seq, "at": at}, units, beat=beat)
        if (text := frames[wanted]) is not None:
            socket.put(text)
            socket.told, socket.frames = seq, socket.frames + 1


def greet(socket: Socket, seen: int, now: datetime) -> None:
    """The first frame. A page older than what was seen of the feed asks again; no later frame fills that gap."""
    behind, socket.told, socket.frames = socket.told < seen, seen, 1
    frame: dict[str, Any] = {"n": 1, "prev": seen, "seq": seen, "at": now.isoformat()}
    socket.put(_text({**frame, "resync": True} if behind else frame))


def _frame(frame: dict[str, Any], views: list[list[Unit] | None], *, beat: bool) -> str | None:
    """The frame as text; None where there is nothing to say."""
    units = [unit for view in views if view is not None for unit in view]
    if None in views or len(units) > UNITS_AT_ONCE:
        frame["resync"] = True
    elif units:
        frame["units"] = [asdict(unit) for unit in units]
    elif not beat:
        return None
    return _text(frame)


def _text(frame: dict[str, Any]) -> str:
    """In ASCII, so that both ends count the same length."""
    return json.dumps(frame, separators=(",", ":"))
