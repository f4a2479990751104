"""Heads of the record, kept outside the database: lines "seq hash time" of the newest event, in a file of the data folder.

What they prove: each hash covers every event before it, so one line pins the record up to its seq. Who rewrites the whole database, events
and the book's own head alike, is found by a line that no longer agrees. What they do not prove: anything after the last line, and nothing
against somebody who rewrites this file too. So copy it to another machine now and then, and check against the copy.

The rule it keeps: a head is written after its commit and never holds one up. Committing leaves a note in memory; a thread writes the newest
note at most once a second, and `flush` writes what is left at an orderly end. A process that is killed loses the notes of its last second.
Several processes append to one file under its lock. It is kept short: of old lines every other is left out, again and again.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from django.conf import settings
from django.db import connection

from orders.models import Event

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
MOST_BYTES = 256 * 1024  # some 2,400 lines
NEWEST_KEPT = 1000  # lines that thinning leaves alone


@dataclass(frozen=True)
class Head:
    """The hash of one event, as it was when it was the last."""

    seq: int
    hash: str
    at: str

    def __str__(self) -> str:
        return f"{self.seq} {self.hash} {self.at}\n"


def file_of(install: str) -> Path | None:
    """The heads of this book: beside the embedded database, or in the data folder. None for a database that is no file."""
    return _file(str(connection.settings_dict["NAME"]) if connection.vendor == "sqlite" else "", install)


@cache
def _file(name: str, install: str) -> Path | None:
    if name.startswith(("file:", ":memory:")):
        return None
    return (Path(name).parent if name else Path(settings.DATA_DIR)) / f"heads-{install}.txt"


# --- writing ------------------------------------------------------------------------------------------------------------------------------


class _Keeper:
    """The newest head of each file, until the thread has written it."""

    def __init__(self) -> None:
        self._newest: dict[Path, tuple[int, str, datetime]] = {}
        self._noted = threading.Event()
        self._writing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._troubled = False

    def note(self, path: Path, seq: int, hash: str, at: datetime) -> None:
        self._newest[path] = (seq, hash, at)
        if not self._noted.is_set():
            self._noted.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="heads", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        pause = threading.Event()  # never set: a wait that is a pause
        while True:
            self._noted.wait()
            self._noted.clear()
            self.flush()
            pause.wait(PAUSE_SECONDS)

    def flush(self) -> None:
        with self._writing:
            while self._newest:
                try:
                    path, (seq, hash, at) = self._newest.popitem()
                except KeyError:  # another thread was faster
                    return
                self._write(path, Head(seq, hash, at.astimezone(UTC).isoformat()))

    def _write(self, path: Path, head: Head) -> None:
        try:
            append(path, head)
        except OSError as error:
            if not self._troubled and path.parent.exists():  # with the folder the database is gone, too
                log.error("The head of the record could not be kept in %s (%s); trading goes on.", path, error.strerror)
            self._troubled = True
        else:
            self._troubled = False


_keeper = _Keeper()


def note(install: str, seq: int, hash: str, at: datetime) -> None:
    """Notes the newest head of a book whose transaction stands. Costs a few microseconds and touches no disk."""
    path = None if connection.in_atomic_block else file_of(install)
    if path is not None:
        _keeper.note(path, seq, hash, at)


def flush() -> None:
    """Writes what was noted and not written yet: at an orderly end."""
    _keeper.flush()


def _new_keeper() -> None:
    global _keeper
    _keeper = _Keeper()


atexit.register(flush)
os.register_at_fork(after_in_child=_new_keeper)  # threads and locks do not survive a fork


def append(path: Path, head: Head) -> None:
    """Appends one line under the file's lock, and thins the file where it has grown too long. Raises OSError."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not _is_still(path, descriptor):
                continue  # it was thinned while we waited: the file of that name is another now
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"  # a disk that was full cut the last line short
            os.write(descriptor, (("\n" if torn else "") + str(head)).encode())
            if size > MOST_BYTES:
                _thin(path)
            return
        finally:
            os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def _thin(path: Path) -> None:
    lines = path.read_text().splitlines(keepends=True)
    old, new = lines[:-NEWEST_KEPT], lines[-NEWEST_KEPT:]
    draft = path.with_suffix(".draft")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.writelines([*old[::2], *new])  # the oldest line stays
    draft.replace(path)


# --- checking -----------------------------------------------------------------------------------------------------------------------------


def read(path: Path) -> tuple[list[Head], int]:
    """The heads of a file, and how many of its lines are none. Raises OSError where it cannot be read."""
    found, others = [], 0
    for line in path.read_text(errors="replace").splitlines():
        parts = line.split()
        if len(parts) == 3 and parts[0].isascii() and parts[0].isdigit():
            found.append(Head(int(parts[0]), parts[1], parts[2]))
        else:
            others += bool(parts)
    return found, others


@dataclass
class Comparison:
    """Compares kept heads with the events as these pass by, in order; ask for `problems` when the last has passed."""

    heads: Iterable[Head]
    _due: dict[int, list[Head]] = field(default_factory=dict)
    _wrong: list[Head] = field(default_factory=list)
    _good: int = 0
    _last: int = 0

    def __post_init__(self) -> None:
        for head in self.heads:
            self._due.setdefault(head.seq, []).append(head)

    def see(self, event: Event) -> None:
        self._last = event.seq
        kept = self._due.pop(event.seq, ())
        wrong = [head for head in kept if head.hash != event.hash]
        if kept and not wrong and not self._wrong:
            self._good = event.seq
        self._wrong += wrong

    def problems(self) -> list[str]:
        """What does not agree, the first offender first; empty where every head that was kept is in the record."""
        since = f"after seq {self._good}, the last head that agrees" if self._good else "from the beginning"
        found = [
            f"event {head.seq} is not the one whose head was kept at {head.at}: the record was written anew {since}" for head in self._wrong
        ]
        for seq in sorted(self._due):
            words = f"the record ends with seq {self._last}" if seq > self._last else "it is not there"
            found += [f"the head of seq {seq} was kept at {head.at}, and {words}: events were cut off" for head in self._due[seq]]
        return found
