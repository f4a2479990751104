"""The book of a simulation: one database in memory, made anew from a template for each seed, and the doors through which processes use it.

The rule it keeps: what runs against the book runs at once and whole, or dies in the middle of its transaction and leaves nothing. A
database that fails for a while fails everybody; whether the last commit stood is then nobody's knowledge, as in life.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from types import SimpleNamespace
from typing import Any

from django.db import OperationalError, connection

from oms_site.simulation.loop import Killed, Process, VirtualLoop

SLOWEST = 0.004  # seconds that one function takes, at the most


def set_up() -> None:
    """Loads Django on an empty database in memory. Called once, before anything of the book is imported."""
    os.environ["DESKBOOK_DATA"] = tempfile.mkdtemp(prefix="deskbook-simulation-")
    os.environ["DJANGO_SETTINGS_MODULE"] = "oms_site.settings"
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # here the loop's thread is the book's thread
    for name in [name for name in os.environ if name.startswith(("DATABASE_URL", "REDIS_URL", "IBKR_", "DESKBOOK_ALLOW"))]:
        del os.environ[name]
    import django
    from django.conf import settings

    settings.CHANNEL_LAYERS = {}  # no bells: whoever listens also polls, and the world rings by itself
    settings.DATABASES["default"] |= {"NAME": ":memory:", "OPTIONS": {"transaction_mode": "IMMEDIATE"}}
    settings.LOGGING_CONFIG = None
    django.setup()
    from django.db import connections

    # Django gives every thread and every loop a connection of its own. Here there is one thread, and one database in memory.
    shared = connections["default"]
    connections._connections = SimpleNamespace(default=shared)  # type: ignore[assignment]


class Template:
    """A migrated database with its traders, copied for each seed."""

    def __init__(self, fill: Callable[[], None]) -> None:
        from django.core.management import call_command

        chance, secrets.choice = secrets.choice, Random("template").choice  # the book's own name is drawn when it is opened
        try:
            call_command("migrate", verbosity=0)
        finally:
            secrets.choice = chance
        fill()
        self._template = sqlite3.connect(":memory:", check_same_thread=False)
        connection.ensure_connection()
        connection.connection.backup(self._template)

    def restore(self) -> None:
        """The book as it was when the template was made; of what came after nothing is left."""
        if connection.in_atomic_block:
            raise AssertionError("a transaction is open that nobody runs")
        self._template.backup(connection.connection)


@dataclass
class Failures:
    """What ails the database at the moment."""

    until: float = 0.0  # every call fails before it does anything
    doubtful: int = 0  # so many calls fail after they were committed
    statements: int = 0  # the last of so many statements that write fails, and its transaction with it

    def watch(self, execute: Callable[..., Any], sql: str, parameters: Any, many: bool, context: Any) -> Any:
        """Around every statement of the database (Django's `execute_wrapper`)."""
        if self.statements and sql.startswith(("INSERT", "UPDATE", "DELETE")):
            self.statements -= 1
            if not self.statements:
                raise OperationalError("database or disk is full")
        return execute(sql, parameters, many, context)


class Door:
    """`run_in_book` of one process: whole functions, one at a time, in the order of asking, each taking its moment."""

    def __init__(self, loop: VirtualLoop, process: Process, failures: Failures, rng: Random, heard: Callable[[], None]) -> None:
        self._loop, self._process, self._failures, self._rng, self._heard = loop, process, failures, rng, heard
        self._turn = asyncio.Lock()
        self.dies_in: int | None = None  # calls until the process dies
        self.dies_after_commit = False

    async def __call__(self, function: Callable[..., Any], *args: Any, **named: Any) -> Any:
        if not self._process.alive:
            raise Killed  # a dead process's `finally`, run by whoever clears it away
        async with self._turn:
            await asyncio.sleep(self._rng.random() * SLOWEST)
            return await self._run(function, args, named)

    async def _run(self, function: Callable[..., Any], args: Any, named: Any) -> Any:
        if self._failures.until > self._loop.time():
            raise OperationalError("database is locked")
        dies = self._dies()
        if dies and not self.dies_after_commit:
            await self._die()
        try:
            with connection.execute_wrapper(self._failures.watch):
                answer = function(*args, **named)
        except Killed:
            await self._die()
        finally:
            self._heard()
        if dies:
            await self._die()
        if self._failures.doubtful:
            self._failures.doubtful -= 1
            raise OperationalError("server closed the connection unexpectedly")
        return answer

    def _dies(self) -> bool:
        if self.dies_in is None:
            return False
        self.dies_in -= 1
        return self.dies_in <= 0

    async def _die(self) -> None:
        self._process.kill()
        await self._loop.create_future()
