"""`manage.py verify` says that a whole record is whole, and names what is wrong with a broken one."""

from __future__ import annotations

import io

import pytest
from django.core.management import call_command
from django.db import connection

from orders import integrity
from orders.models import Account, Event
from orders.tests.factories import make_account, make_book


def verify() -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("verify", stdout=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


@pytest.fixture
def record(transactional_db: None) -> Account:
    make_book()
    return make_account("DU1000417")


def test_a_whole_record_is_whole(record: Account) -> None:
    code, words = verify()
    assert code == 0, words
    lines = words.splitlines()
    assert [line for line in lines if not line.startswith(("ok ", "- "))] == []
    assert [line.split()[1] for line in lines] == ["guard", "chain", "heads", *(f"I{number}" for number in range(1, 23))]


def test_a_changed_event_is_named(record: Account) -> None:
    event = Event.objects.order_by("seq").last()
    assert event is not None
    integrity.remove(connection)
    try:
        Event.objects.filter(pk=event.pk).update(text="never happened")
        code, words = verify()
    finally:
        integrity.install(connection)
    assert code == 1
    assert f"the first bad event is seq {event.seq}" in words
    assert "trigger" in words, "the missing guard is named, too"


def test_a_row_written_past_the_book_is_named(record: Account) -> None:
    Account.objects.filter(pk=record.pk).update(alias="mine")
    code, words = verify()
    assert code == 1
    assert "orders.Account" in words and "alias" in words
