"""The book's own tests once more, on PostgreSQL: what holds on the embedded database must hold on the one that desks of several processes
use, where locks, times, constraints and triggers are others. A choice of them; `DESKBOOK_TEST_DATABASE=postgres` runs any of the others
there. (The races have a run of their own, in orders/tests/test_races.py.)
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from oms_site.tests.desk import ROOT

PARTS = {
    "book": ["manager_placing", "manager_closing", "outbox_settle", "intake_orders", "intake_executions"],
    "record": ["integrity", "replay", "verify", "heads", "invariants", "standing"],
    "screens": ["hub", "consumers", "admin", "history_csv"],
    "worker": ["engine_trading"],
}
CHOICE = {"worker": ["-k", "market_order or bracket or one_group or a_cancel or change"]}


@pytest.mark.postgres
@pytest.mark.parametrize("part", PARTS)
def test_the_book_holds_on_postgresql(part: str) -> None:
    """In a run of its own, with a PostgreSQL of its own (see conftest.py): nobody's helper, and on nobody's data."""
    app = "broker" if part == "worker" else "orders"
    modules = [f"{app}/tests/test_{name}.py" for name in PARTS[part]]
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "DJANGO_SETTINGS", "DESKBOOK_DATA"))}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", *modules, *CHOICE.get(part, [])],
        cwd=ROOT,
        env={**own, "DESKBOOK_TEST_DATABASE": "postgres"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=170,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-6000:]
