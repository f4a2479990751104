"""The record cannot be rewritten: the database refuses, a check sees whether it would, and a migrated database is a book."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.checks import Tags, run_checks
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from orders import integrity
from orders.book import book
from orders.models import Book, Event, Gateway
from orders.models.book import Source
from orders.replay import differences, verify_chain
from orders.rules.terms import BookKind
from orders.tests.factories import NOW


def an_event() -> Event:
    with book(at=NOW) as b, b.event("test.said", source=Source.SYSTEM, text="as it was"):
        pass
    return Event.objects.latest("seq")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE orders_event SET text = 'as it never was'",
        "UPDATE orders_event SET text = text",
        "DELETE FROM orders_event",
        "DELETE FROM orders_event WHERE seq = (SELECT MAX(seq) FROM orders_event)",
    ],
)
def test_the_database_refuses_to_rewrite_an_event(statement: str) -> None:
    event = an_event()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert Event.objects.get(seq=event.seq).text == "as it was"


@pytest.mark.on_postgresql  # TRUNCATE, which passes row triggers by, is PostgreSQL's
@pytest.mark.django_db(transaction=True)
def test_the_database_refuses_to_empty_the_table() -> None:
    event = an_event()
    with pytest.raises(DatabaseError, match="append-only"), connection.cursor() as cursor:
        cursor.execute("TRUNCATE orders_event CASCADE")
    assert Event.objects.filter(seq=event.seq).exists()


@pytest.mark.django_db
def test_the_models_are_refused_as_well() -> None:
    event = an_event()
    event.text = "as it never was"
    for act in (event.save, event.delete, Event.objects.all().delete):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            act()


@pytest.mark.django_db
def test_a_check_sees_a_missing_trigger() -> None:
    assert [message.id for message in run_checks(tags=[Tags.database], databases=["default"]) if message.id == "orders.W001"] == []
    name = integrity.expected(connection.vendor)[0]
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER {name}" + (" ON orders_event" if connection.vendor == "postgresql" else ""))
    assert integrity.missing(connection) == [name]
    found = [message for message in run_checks(tags=[Tags.database], databases=["default"]) if message.id == "orders.W001"]
    assert len(found) == 1
    assert name in found[0].msg
    integrity.install(connection)
    assert integrity.missing(connection) == []


@pytest.mark.django_db
def test_a_check_sees_nothing_wrong_where_no_database_is_asked_about() -> None:
    assert list(integrity.check_triggers(None)) == []


@pytest.mark.django_db(transaction=True)
def test_emptying_the_database_opens_a_new_book_with_its_guard() -> None:
    an_event()
    before = Book.objects.get().install
    call_command("flush", interactive=False, stdout=StringIO())
    opened = Book.objects.get()
    assert (opened.seq, opened.kind) == (1, "")
    assert opened.install != before
    assert len(opened.install) == 6
    assert list(Event.objects.values_list("seq", "kind")) == [(1, "book.opened")]
    assert Gateway.objects.get().state == "DOWN"
    assert integrity.missing(connection) == []
    assert differences() == []
    assert verify_chain() is None


@pytest.mark.django_db(transaction=True)
def test_the_record_of_a_live_book_is_not_emptied() -> None:
    event = an_event()
    Book.objects.update(kind=BookKind.LIVE.value)
    with pytest.raises(CommandError, match="not emptied"):
        call_command("flush", interactive=False, stdout=StringIO())
    assert Event.objects.filter(seq=event.seq).exists()
    assert integrity.missing(connection) == []
    Book.objects.update(kind="")


@pytest.mark.django_db(transaction=True)
def test_a_migration_that_rebuilds_the_table_ends_with_the_triggers() -> None:
    """SQLite drops a table's triggers when a migration rebuilds it."""
    integrity.remove(connection)
    call_command("migrate", verbosity=0)
    assert integrity.missing(connection) == []


@pytest.mark.django_db
def test_a_book_that_is_open_is_not_opened_again() -> None:
    before = (Book.objects.get().install, Event.objects.count())
    integrity.after_migrate(using="default")
    assert (Book.objects.get().install, Event.objects.count()) == before
