"""Where the simulated gateway keeps what must survive a crash: a snapshot of the exchange and a journal of what was done to it since.

The exchange is deterministic, so its inputs are all there is to save. The rule kept: an input that changed an order, an execution or a
position is on disk (SQLite, synchronous FULL) before any client hears of it. Mere ticks wait in memory and go to disk with the next
such input.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SCHEMA_VERSION = "1"
LOCK_SECONDS = 5.0  # as long as the gateway before may take to end
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS journal (seq INTEGER PRIMARY KEY, entry TEXT NOT NULL);
"""


class StoreProblem(Exception):
    """The store cannot be used as it is; the text says what a person can do."""


class Store:
    """One SQLite file, or memory where `path` is None (then nothing survives, but the same code runs).

    The file belongs to one gateway at a time: two would each write an exchange of their own over the other's. Raises StoreProblem for
    a second one; the lock goes with its process, however that ends.
    """

    def __init__(self, path: Path | None) -> None:
        self._database = sqlite3.connect(str(path) if path else ":memory:", isolation_level=None, timeout=LOCK_SECONDS)
        try:
            self._database.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(_SCHEMA)
        except sqlite3.OperationalError as error:
            self._database.close()
            if "locked" not in str(error):
                raise
            raise StoreProblem(f"{path} is in use by another simulated gateway: does another desk run on this data folder?") from error
        if path is not None:
            path.chmod(0o600)
        if self.meta("schema") not in (None, SCHEMA_VERSION):
            raise StoreProblem(f"{path} was written by another version of the simulated gateway; remove it to start afresh")
        self.set_meta({"schema": SCHEMA_VERSION})

    def load(self) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
        """The last snapshot, or None for a new store, and the journal entries recorded after it, in order."""
        snapshot = self.meta("snapshot")
        rows = self._database.execute("SELECT entry FROM journal ORDER BY seq").fetchall()
        return (json.loads(snapshot) if snapshot else None), [json.loads(entry) for (entry,) in rows]

    def append(self, entries: Iterable[dict[str, Any]]) -> None:
        """Adds journal entries in one durable transaction."""
        with _Transaction(self._database):
            self._database.executemany("INSERT INTO journal (entry) VALUES (?)", [(json.dumps(entry),) for entry in entries])

    def compact(self, snapshot: dict[str, Any]) -> None:
        """Replaces snapshot and journal by a new snapshot, in one durable transaction."""
        with _Transaction(self._database):
            self._put("snapshot", json.dumps(snapshot))
            self._database.execute("DELETE FROM journal")

    def clear(self) -> None:
        """Forgets everything but the schema."""
        with _Transaction(self._database):
            self._database.execute("DELETE FROM journal")
            self._database.execute("DELETE FROM meta WHERE key != 'schema'")

    def meta(self, key: str) -> str | None:
        row = self._database.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def set_meta(self, values: dict[str, str]) -> None:
        """Writes small values in one durable transaction."""
        with _Transaction(self._database):
            for key, value in values.items():
                self._put(key, value)

    def close(self) -> None:
        self._database.close()

    def _put(self, key: str, value: str) -> None:
        self._database.execute(
            "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value)
        )


class _Transaction:
    """BEGIN IMMEDIATE to COMMIT, or ROLLBACK on an error."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._database.execute("COMMIT" if kind is None else "ROLLBACK")
