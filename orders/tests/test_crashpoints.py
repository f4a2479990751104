"""The places where a drill kills the process: named, counted, refused where they are none, and never on a book of real money."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from oms_site.tests.desk import ROOT, environment, manage
from orders import crashpoints, intake
from orders.errors import Refused
from orders.models import Book
from orders.rules.terms import BookKind
from orders.tests.factories import NOW


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names at which something would have been done."""
    names: list[str] = []
    monkeypatch.setattr(crashpoints, "action", names.append)
    yield names
    crashpoints.arm("")


def test_nothing_happens_unless_a_place_is_armed(reached: list[str]) -> None:
    for name in crashpoints.NAMES:
        crashpoints.reach(name)
    assert reached == [] and crashpoints.armed() is None


def test_the_armed_place_acts_once_at_its_time(reached: list[str]) -> None:
    crashpoints.arm("worker.after_place:3")
    for _ in range(5):
        crashpoints.reach("worker.before_claim")
        crashpoints.reach("worker.after_place")
        if reached:
            break
    assert reached == ["worker.after_place"]
    crashpoints.reach("worker.after_place")
    assert reached == ["worker.after_place"]


@pytest.mark.parametrize("where", ["worker.nowhere", "worker.after_place:0", "worker.after_place:x", "worker.after_place:", ":1", "worker"])
def test_what_names_no_place_is_refused_in_words(where: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=re.escape(f"DESKBOOK_CRASH_AT={where}: ")):
        crashpoints.arm(where)
    assert crashpoints.armed() is None


def test_an_unknown_name_stops_the_start(tmp_path: Path) -> None:
    done = manage(tmp_path / "data", "check", DESKBOOK_CRASH_AT="worker.after_plaice")
    assert done.returncode == 1 and "DESKBOOK_CRASH_AT=worker.after_plaice: there is no such place" in done.stderr


@pytest.mark.parametrize("name", sorted(crashpoints.NAMES))
def test_every_place_is_somewhere_in_the_code(name: str) -> None:
    own = Path(crashpoints.__file__)
    sources = [path for top in ("orders", "broker") for path in (ROOT / top).rglob("*.py") if "tests" not in path.parts and path != own]
    assert sum(path.read_text().count(f'"{name}"') for path in sources) == 1


@pytest.mark.django_db(transaction=True)
def test_a_live_book_is_never_killed(caplog: pytest.LogCaptureFixture) -> None:
    """With the true action: this test goes on."""
    Book.objects.update(kind=BookKind.LIVE.value)
    crashpoints.arm("submit.before_write")
    try:
        crashpoints.reach("submit.before_write")
    finally:
        crashpoints.arm("")
        Book.objects.update(kind="")  # a live book could not be emptied
    assert "held back: the book belongs to a live gateway" in caplog.text


@pytest.mark.django_db
@pytest.mark.parametrize(("kind", "refused"), [(BookKind.LIVE, True), (BookKind.PAPER, False), (BookKind.SIMULATED, False)])
def test_an_armed_process_is_kept_from_a_live_gateway(kind: BookKind, refused: bool, reached: list[str]) -> None:
    crashpoints.arm("cancel.before_send")
    if refused:
        with pytest.raises(Refused, match=r"armed to be killed at cancel\.before_send"):
            intake.bind(kind, ["U1234567"], NOW)
        assert Book.objects.get().kind == ""
        crashpoints.arm("")
    intake.bind(kind, ["U1234567"], NOW)
    assert Book.objects.get().kind == kind.value


def test_the_process_dies_as_in_a_power_cut(tmp_path: Path) -> None:
    """The last line it writes says where; no handler, no `finally` runs."""
    assert manage(tmp_path, "migrate", "--verbosity", "0").returncode == 0
    code = "from orders.crashpoints import reach\ntry:\n    reach('worker.start')\nfinally:\n    print('still here')"
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "shell", "-v", "0", "-c", code],
        env=environment(tmp_path, DESKBOOK_CRASH_AT="worker.start"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert "still here" not in done.stdout and "The crash point worker.start is reached" in done.stderr
