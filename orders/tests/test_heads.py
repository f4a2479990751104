"""Heads of the record outside the database: kept after a commit and never in its way, and what they find that the chain does not."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from orders import heads, integrity, replay
from orders.book import book, event_hash
from orders.heads import Comparison, Head
from orders.models import Book, Event
from orders.models.book import Source
from orders.tests.factories import NOW, make_book


def say(times: int = 1) -> None:
    for _ in range(times):
        with book(at=NOW) as b, b.event("test.said", source=Source.SYSTEM):
            pass


def kept() -> list[Head]:
    heads.flush()
    path = heads.file_of(Book.objects.get().install)
    assert path is not None
    return heads.read(path)[0] if path.exists() else []


def compared(found: list[Head]) -> list[str]:
    comparison = Comparison(found)
    for event in replay.all_events():
        comparison.see(event)
    return comparison.problems()


@pytest.mark.django_db(transaction=True)
def test_what_is_committed_leaves_its_head_for_the_owner_alone() -> None:
    make_book()
    say(5)
    row = Book.objects.get()
    found = kept()
    assert (found[-1].seq, found[-1].hash, found[-1].at) == (row.seq, row.head_hash, NOW.isoformat())
    path = heads.file_of(row.install)
    assert path is not None and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert compared(found) == []


@pytest.mark.django_db
def test_what_is_undone_leaves_none() -> None:
    before = kept()
    say()
    assert kept() == before


# --- a record that was cut or written anew, by somebody who knows the chain -----------------------------------------------------------


def cut_the_tail() -> None:
    Event.objects.filter(seq__gt=4).delete()


def write_the_tail_anew() -> None:
    previous = Event.objects.get(seq=3)
    for event in Event.objects.filter(seq__gt=3).order_by("seq"):
        event.prev_hash, event.text = previous.hash, "as it never was"
        event.hash = event_hash(event)
        event.save()
        previous = event


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (cut_the_tail, "the head of seq 6 was kept at T6, and the record ends with seq 4: events were cut off"),
        (
            write_the_tail_anew,
            "event 6 is not the one whose head was kept at T6: the record was written anew after seq 2, the last head that agrees",
        ),
    ],
)
def test_what_the_chain_cannot_tell_the_heads_do(spoil: Callable[[], None], said: str) -> None:
    say(8)
    found = [Head(event.seq, event.hash, f"T{event.seq}") for event in Event.objects.filter(seq__in=[2, 6, 8])]
    assert compared(found) == []
    integrity.remove(connection)
    spoil()
    last = Event.objects.order_by("seq").last()
    assert last is not None
    Book.objects.update(seq=last.seq, head_hash=last.hash)
    assert replay.verify_chain() is None, "the chain alone is whole"
    problems = compared(found)
    assert problems[0] == said and len(problems) == 2


# --- the file ---------------------------------------------------------------------------------------------------------------------------


def test_a_long_file_is_thinned_and_keeps_its_oldest_and_its_newest(tmp_path: Path) -> None:
    path = tmp_path / "heads"
    path.write_text("".join(str(Head(seq, "f" * 64, "T")) for seq in range(1, 4000)))
    path.chmod(0o600)
    before = path.stat().st_size
    assert before > heads.MOST_BYTES
    heads.append(path, Head(4000, "f" * 64, "T"))
    found, others = heads.read(path)
    assert path.stat().st_size < 0.7 * before and not others
    assert found[0].seq == 1 and [head.seq for head in found[-heads.NEWEST_KEPT :]] == list(range(3001, 4001))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["heads"]


def test_a_file_that_only_grows_stays_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "MOST_BYTES", 4000)
    monkeypatch.setattr(heads, "NEWEST_KEPT", 10)
    for seq in range(1, 1000):
        heads.append(tmp_path / "heads", Head(seq, "f" * 64, "T"))
        assert (tmp_path / "heads").stat().st_size < 4200
    found, _ = heads.read(tmp_path / "heads")
    assert found[0].seq == 1 and found[-1].seq == 999


def test_many_who_append_and_thin_lose_no_new_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads stand for processes: the lock is the file's, and each opens it for itself."""
    monkeypatch.setattr(heads, "MOST_BYTES", 30_000)
    path, started = tmp_path / "heads", threading.Barrier(4)

    def write(who: int) -> None:
        started.wait()
        for number in range(1, 151):
            heads.append(path, Head(who * 1000 + number, "f" * 64, "T"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    found, others = heads.read(path)
    assert not others and len(found) == len(set(found)) == 600


def test_a_line_that_was_cut_short_harms_no_other(tmp_path: Path) -> None:
    path = tmp_path / "heads"
    heads.append(path, Head(1, "a" * 64, "T"))
    path.write_text(path.read_text() + "2 bbb")
    heads.append(path, Head(3, "c" * 64, "T"))
    found, others = heads.read(path)
    assert ([head.seq for head in found], others) == ([1, 3], 1)


# --- the hot path -------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Head]]:
    """What is written from here on, and not to any disk."""
    heads.flush()
    found: list[Head] = []
    monkeypatch.setattr(heads, "append", lambda path, head: found.append(head))
    yield found
    heads.flush()


def test_a_thousand_notes_are_a_line_or_two(written: list[Head]) -> None:
    keeper = heads._Keeper()
    for seq in range(1, 1001):
        keeper.note(Path("heads"), seq, "", NOW)
    keeper.flush()
    assert written[-1].seq == 1000 and len(written) <= 3


@pytest.mark.django_db(transaction=True)
def test_a_head_that_cannot_be_kept_fails_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    make_book()
    heads.flush()
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "heads").mkdir()  # a folder where the file should be
    monkeypatch.setattr(heads, "file_of", lambda install: folder / "heads")
    for _ in range(2):
        say()
        heads.flush()
    assert Event.objects.filter(kind="test.said").count() == 2
    assert len([one for one in caplog.records if "could not be kept" in one.message]) == 1, "and it is said, once"
