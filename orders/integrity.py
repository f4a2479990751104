"""The record cannot be rewritten: triggers on the event table refuse UPDATE and DELETE, on SQLite and PostgreSQL alike.

The rule it keeps: they are put back after every migration (SQLite drops them when it rebuilds a table), a check sees that they are there,
and the book's own first rows are made with them, so that a migrated database is always a book.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from orders.book import book
from orders.models import Book, Event, Gateway
from orders.models.book import Source
from orders.rules.terms import GatewayState

log = logging.getLogger(__name__)

_TABLE = Event._meta.db_table
_NAMES = {"UPDATE": f"{_TABLE}_is_not_changed", "DELETE": f"{_TABLE}_is_not_deleted"}
_TRUNCATE = f"{_TABLE}_is_not_emptied"
_FUNCTION = f"{_TABLE}_is_append_only"
_WORDS = "events are append-only"
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: no letter that looks like a digit


def expected(vendor: str) -> list[str]:
    """The triggers that must be there. TRUNCATE, which no row trigger sees, exists on PostgreSQL only."""
    return sorted([*_NAMES.values(), _TRUNCATE] if vendor == "postgresql" else _NAMES.values())


def missing(connection: BaseDatabaseWrapper) -> list[str]:
    """The triggers that are not there or are switched off. Empty for a database that was never migrated: it holds no record yet."""
    if _TABLE not in connection.introspection.table_names():
        return []
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND tgenabled IN ('O', 'A')", [_TABLE])
        else:
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s", [_TABLE])
        there = {row[0] for row in cursor.fetchall()}
    return [name for name in expected(connection.vendor) if name not in there]


def install(connection: BaseDatabaseWrapper) -> None:
    """Puts the triggers in place, those that are there already included."""
    remove(connection)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                f"CREATE OR REPLACE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{_WORDS}'; END $$"
            )
            for act, name in _NAMES.items():
                cursor.execute(f"CREATE TRIGGER {name} BEFORE {act} ON {_TABLE} FOR EACH ROW EXECUTE FUNCTION {_FUNCTION}()")
            cursor.execute(f"CREATE TRIGGER {_TRUNCATE} BEFORE TRUNCATE ON {_TABLE} FOR EACH STATEMENT EXECUTE FUNCTION {_FUNCTION}()")
        else:
            for act, name in _NAMES.items():
                cursor.execute(f"CREATE TRIGGER {name} BEFORE {act} ON {_TABLE} BEGIN SELECT RAISE(ABORT, '{_WORDS}'); END")


def remove(connection: BaseDatabaseWrapper) -> None:
    """Takes the triggers away: only before they are made again, or before everything is emptied."""
    if _TABLE not in connection.introspection.table_names():
        return
    suffix = f" ON {_TABLE}" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        for name in expected(connection.vendor):
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}{suffix}")


def open_book(at: datetime) -> None:
    """Makes the book's one row and the gateway's, where they are not there yet, with the first event."""
    if Book.objects.filter(pk=1).exists():
        return
    install_code = "".join(secrets.choice(_ALPHABET) for _ in range(6))
    Book.objects.create(pk=1, install=install_code, created_at=at)
    with book(at=at) as b, b.event("book.opened", source=Source.SYSTEM, text=f"The book {install_code} is opened.") as fact:
        fact.carry(b.row)
        fact.add(Gateway(pk=1, state=GatewayState.DOWN.value, since=at))


def after_migrate(using: str, **_: Any) -> None:
    """Receiver of post_migrate: a migrated database has its triggers and its first rows."""
    connection = connections[using]
    if not {_TABLE, Book._meta.db_table, Gateway._meta.db_table} <= set(connection.introspection.table_names()):
        return
    install(connection)
    if using == "default":
        open_book(timezone.now())


@register(Tags.database)
def check_triggers(databases: Sequence[str] | None = None, **_: Any) -> Iterable[CheckMessage]:
    """orders.W001 where the record is not guarded. A warning, because `migrate`, which runs this check first, is what mends it."""
    for alias in databases or ():
        lacking = missing(connections[alias])
        if lacking:
            yield Warning(
                f"The event table lacks triggers ({', '.join(lacking)}): the record could be rewritten.",
                hint="Run `manage.py migrate`, which puts them back, and `manage.py verify`, which finds changed rows.",
                obj=Event,
                id="orders.W001",
            )
