"""`manage.py verify` says that a whole record is whole, and names what is wrong with a broken one."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from orders import heads, integrity
from orders.book import book
from orders.models import Account, Book, Event
from orders.models.book import Source
from orders.tests.factories import NOW, make_account, make_book
from orders.tests.judged import Day, a_day

CODES = ["guard", "chain", "heads", *(f"I{number}" for number in range(1, 23))]


def verify(*words: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("verify", *words, stdout=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


def verdicts(words: str) -> dict[str, str]:
    """Code -> ok, FAILED or - (cannot be told)."""
    lines = [line.split() for line in words.splitlines() if not line.startswith("  ")]
    return {line[1]: line[0] for line in lines}


def failed(words: str) -> list[str]:
    return [code for code, verdict in verdicts(words).items() if verdict == "FAILED"]


@pytest.fixture
def record(transactional_db: None) -> Account:
    make_book()
    return make_account("DU1000417")


def test_a_whole_record_is_whole_while_others_may_write(record: Account) -> None:
    heads.flush()
    code, words = verify()
    assert code == 0, words
    assert list(verdicts(words)) == CODES
    assert {code for code, verdict in verdicts(words).items() if verdict == "-"} == {"I14", "I18", "I19", "I20", "I21", "I22"}
    with book(at=NOW) as b, b.event("test.said", source=Source.SYSTEM):
        pass  # the reading is over, and has left no transaction open


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
    assert failed(words) == ["guard", "chain", "I6"]


def test_a_row_written_past_the_book_is_named(record: Account) -> None:
    Account.objects.filter(pk=record.pk).update(alias="mine")
    code, words = verify()
    assert code == 1
    assert failed(words) == ["I6"]
    assert "orders.Account" in words and "alias" in words


def test_a_tail_that_was_cut_with_the_books_own_head_is_found_by_a_kept_one(record: Account, tmp_path: Path) -> None:
    heads.flush()
    own = heads.file_of(Book.objects.get().install)
    assert own is not None
    copy = tmp_path / "copy"
    copy.write_text(own.read_text())
    last = Event.objects.order_by("-seq")[1]
    integrity.remove(connection)
    Event.objects.filter(seq__gt=last.seq).delete()
    Account.objects.all().delete()
    Book.objects.update(seq=last.seq, head_hash=last.hash)
    integrity.install(connection)
    code, words = verify()
    assert (code, failed(words)) == (1, ["heads"]), words
    assert f"the record ends with seq {last.seq}: events were cut off" in words
    own.unlink()
    assert failed(verify()[1]) == [], "who can rewrite the file, too, is found by the copy alone"
    assert failed(verify("--head", str(copy))[1]) == ["heads"]


# --- with a ledger ---------------------------------------------------------------------------------------------------------------------


def written(path: Path, lines: list[dict[str, Any]], end: str = "\n") -> Path:
    path.write_text("\n".join(json.dumps(line) for line in lines) + end)
    return path


@pytest.mark.django_db
def test_the_ledger_is_compared_and_the_answer_can_be_read_by_a_machine(tmp_path: Path) -> None:
    day: Day = a_day()
    ledger = written(tmp_path / "ledger", day.lines, end='\n{"time": "cut off by a ki')
    code, words = verify("--ledger", str(ledger))
    assert code == 0, words
    assert "ok      I3    filled = sum of executions = ledger: 9 orders, 0 violations" in words
    assert {code for code, verdict in verdicts(words).items() if verdict == "-"} <= {"I14", "I18", "I21", "I22", "heads"}
    day.states("cancelled")[0]["status"] = "Submitted"
    code, words = verify("--ledger", str(written(ledger, day.lines)), "--json")
    told = json.loads(words)
    assert (code, told["ok"], [one["code"] for one in told["checks"]]) == (1, False, CODES)
    [broken] = [one for one in told["checks"] if one["violations"]]
    assert broken["code"] == "I2" and day["cancelled"].client_order_id in broken["violations"][0]


@pytest.mark.django_db
def test_many_violations_are_counted_and_the_first_are_shown(tmp_path: Path) -> None:
    day = a_day()
    day.lines += [{**day.states("changed")[0], "perm_id": 5000 + number, "client": 5, "order_ref": ""} for number in range(14)]
    _, words = verify("--ledger", str(written(tmp_path / "ledger", day.lines)))
    assert failed(words) == ["I13"] and "and 4 more" in words


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("option", "content", "said"),
    [
        ("--ledger", None, "it cannot be read"),
        ("--ledger", "nonsense\n", "line 1: not a line of a ledger"),
        ("--ledger", '{"time": "T", "kind": "x"}\n[1]\n', "line 2: not a line of a ledger"),
        ("--head", None, "it cannot be read"),
        ("--head", "nonsense\n", "there is no head in it"),
    ],
)
def test_a_file_that_is_none_is_refused_in_words(tmp_path: Path, option: str, content: str | None, said: str) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_text(content)
    with pytest.raises(CommandError, match=f"{option} .*{said}"):
        verify(option, str(path))
