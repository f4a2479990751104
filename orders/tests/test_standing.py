"""`manage.py replay`: the book as it stood at any moment of a day whose states are known, and clear words for a moment that is none."""

from __future__ import annotations

import io
import json
from datetime import UTC, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from orders import integrity
from orders.book import book, row_values
from orders.models import AccountAccess, BrokerCommand, Event, Incident, Limit, OrderRecord, Position
from orders.models.book import Source
from orders.standing import NothingStood, seq_at, stood
from orders.tests.desk_of_one import Wire
from orders.tests.factories import NOW, make_limit, make_position
from orders.tests.judged import a_day

pytestmark = pytest.mark.django_db

FIRST, SECOND, THIRD, LAST = (NOW + timedelta(seconds=seconds) for seconds in (10, 20, 30, 40))


@pytest.fixture
def wire() -> Wire:
    """PENDING at FIRST, sent and working at SECOND, half filled at THIRD with a limit and a position, cancelled in the end."""
    wire = Wire()
    wire.pass_time(10)
    order = wire.buy("100", "99.50")
    wire.pass_time(10)
    wire.sent(order)
    wire.pass_time(10)
    wire.fill(order, "40")
    make_limit("MAX_QUANTITY", "500", account=wire.account, at=wire.now)
    make_position(wire.account, wire.contract, "40", "99.5", at=wire.now)
    wire.manager.cancel_order(order, key="gone")
    wire.pass_time(10)
    wire.send()
    wire.gone(order)
    return wire


def replayed(*words: str) -> tuple[str, str]:
    out, errors = io.StringIO(), io.StringIO()
    call_command("replay", *words, stdout=out, stderr=errors)
    return out.getvalue(), errors.getvalue()


def at(moment: Any, *words: str) -> dict[str, Any]:
    return dict(json.loads(replayed("--until", moment.isoformat(), "--json", *words)[0]))


@pytest.mark.parametrize(
    ("moment", "status", "filled", "held", "open_kinds", "limits"),
    [
        (FIRST, "PENDING", "0", [], ["PLACE"], []),
        (SECOND, "WORKING", "0", [], [], []),
        (THIRD, "WORKING", "40", ["40"], ["CANCEL"], ["500"]),
        (LAST, "CANCELLED", "40", ["40"], [], ["500"]),
        (LAST + timedelta(days=1), "CANCELLED", "40", ["40"], [], ["500"]),
    ],
)
def test_the_book_is_as_it_stood(
    wire: Wire, moment: Any, status: str, filled: str, held: list[str], open_kinds: list[str], limits: list[str]
) -> None:
    book = at(moment)
    [order] = book["orders"]
    assert (order["status"], order["filled_quantity"], order["limit_price"]) == (status, filled, "99.5")
    assert (order["account"], order["contract"], order["created_by"]) == (wire.account.code, "AAPL", wire.user.username)
    assert [row["quantity"] for row in book["positions"]] == held
    assert [row["kind"] for row in book["commands"]] == open_kinds
    assert [row["value"] for row in book["limits"]] == limits
    assert [(row["user"], row["level"]) for row in book["access"]] == [(wire.user.username, "trade")]
    assert book["gateway"]["state"] == "READY"


def test_before_anybody_had_access_there_was_none(wire: Wire) -> None:
    granted = Event.objects.get(kind="access.granted")
    assert stood(granted.seq).access and not stood(granted.seq - 1).access


def test_replay_at_the_end_equals_the_rows() -> None:
    a_day()
    end = stood(Event.objects.count())
    for model, rows in ((OrderRecord, end.orders), (AccountAccess, end.access), (Limit, end.limits)):
        assert {row["id"]: row["seq"] for row in rows} == dict(model._default_manager.values_list("pk", "seq"))
    for order in OrderRecord.objects.all():
        told = next(row for row in end.orders if row["id"] == order.pk)
        wanted = row_values(order)
        assert {name: told[name] for name in wanted.keys() & told.keys()} == {name: wanted[name] for name in wanted.keys() & told.keys()}
    assert {row["id"] for row in end.positions} == set(Position.objects.exclude(quantity=0).values_list("pk", flat=True))
    assert {row["id"] for row in end.incidents} == set(Incident.objects.filter(closed_at=None).values_list("pk", flat=True))
    assert not end.commands and not BrokerCommand.objects.filter(settled_at=None).exists()


def test_a_table_for_people(wire: Wire) -> None:
    words, errors = replayed("--until", THIRD.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"))
    assert f"after event {seq_at(THIRD)}" in words and "Gateway: READY" in words and not errors
    [line] = [line for line in words.splitlines() if OrderRecord.objects.get().client_order_id in line and "BUY" in line]
    assert line.split()[1:] == [wire.account.code, "AAPL", "BUY", "100", "LMT", "99.5", "-", "WORKING", "40"]
    assert "Open incidents: none" in words


def test_a_time_is_utc_unless_it_says_otherwise(wire: Wire) -> None:
    assert replayed("--until", "2026-03-02T15:00:20") == replayed("--until", "2026-03-02T10:00:20-05:00")
    assert replayed("--until", "2026-03-02T15:00:20Z") == replayed("--seq", str(seq_at(SECOND)))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--until", "yesterday"], "--until yesterday: not a time"),
        (["--until", "2026-02-30T00:00"], "not a time"),
        (["--until", "0001-01-01T00:00+14:00"], "not a time"),
        (["--until", "2001-01-01"], "--until 2001-01-01: the book was opened at 20"),
        (["--seq", "0"], "--seq 0: not the number of an event"),
        (["--seq", "-1"], "not the number of an event"),
        (["--seq", "x"], "--seq x: not the number of an event"),
        (["--seq", "9" * 30], "not the number of an event"),
        (["--seq", "99999"], "--seq 99999: the record has no event 99999; it goes from 1 to"),
        ([], "one of the arguments --until --seq is required"),
        (["--seq", "1", "--until", "2026-03-02"], "not allowed with argument"),
    ],
)
def test_a_moment_that_is_none_is_refused_in_words(wire: Wire, words: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        replayed(*[f"{first}={second}" for first, second in zip(words[::2], words[1::2], strict=True)])


def test_a_book_without_events_says_so() -> None:
    integrity.remove(connection)
    Event.objects.all().delete()
    with pytest.raises(NothingStood, match="no events"):
        seq_at(NOW)


def test_a_touched_record_is_said_to_be(wire: Wire) -> None:
    integrity.remove(connection)
    Event.objects.filter(seq=3).update(text="never")
    assert "first bad event is seq 3" in replayed("--seq", "5")[1]
    assert replayed("--seq", "2")[1] == ""


def test_words_of_strangers_do_not_reach_the_terminal(wire: Wire) -> None:
    with book(at=wire.now) as b, b.event("incident.opened", source=Source.BROKER, account=wire.account) as fact:
        fact.add(Incident(kind="x", account=wire.account, text="\x1b[2J gone\nOrders: none", opened_at=wire.now))
    words, _ = replayed("--seq", str(Event.objects.count()))
    assert "\x1b" not in words and "� gone�Orders: none" in words.replace("[2J", "")
