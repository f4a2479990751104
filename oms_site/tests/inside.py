"""The book of a desk that runs in other processes, worked on from here: verbs of the command line and questions to the book.

The rule it keeps: only the connection of this thread is turned to the other database, and it is turned back; starting an interpreter for
every word would take seconds.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dj_database_url
from django.core.management import CommandError, call_command
from django.db import connections
from django.db.utils import load_backend


@contextmanager
def inside(database: Path | str) -> Iterator[None]:
    """Django works on this book here: the data folder of an embedded desk, or a DATABASE_URL. The tests' block must be lifted."""
    url = f"sqlite:///{database / 'deskbook.sqlite3'}" if isinstance(database, Path) else database
    parsed: dict[str, Any] = dict(dj_database_url.parse(url))
    base = connections.settings["default"]
    if parsed["ENGINE"] != base["ENGINE"]:
        parsed["OPTIONS"] = {}
    own = connections["default"]
    connections["default"] = load_backend(parsed["ENGINE"]).DatabaseWrapper({**base, **parsed, "CONN_MAX_AGE": 0}, "default")
    try:
        yield
    finally:
        connections["default"].close()
        connections["default"] = own


@dataclass(frozen=True)
class Said:
    """How a command ended: its exit code, and what it printed, with what went wrong at the end."""

    code: int
    text: str

    @property
    def rows(self) -> list[list[str]]:
        """The cells of its table, without the head; a cell with blanks in it is several."""
        return [line.split() for line in self.text.splitlines()[1:]]

    @property
    def order(self) -> str:
        """The client order id of its first order."""
        return self.rows[0][0]


def say(*words: str, user: str = "trader1") -> Said:
    """`manage.py desk ...` as this user, in this process."""
    out = io.StringIO()
    try:
        call_command("desk", *words, "--user", user, stdout=out, stderr=out)
    except CommandError as error:
        return Said(error.returncode, f"{out.getvalue()}{error}")
    return Said(0, out.getvalue())


def ledger_of(path: Path) -> list[dict[str, Any]]:
    """What a simulated gateway heard and did. A line that is being written is left for the next look."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def placed(ledger: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The placeOrder frames (new orders and changes of them) that carry this client order id."""
    return [line for line in ledger if line["kind"] == "in" and line["message"] == "placeOrder" and name in line["fields"]]
