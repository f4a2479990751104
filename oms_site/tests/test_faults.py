"""A choice of the catalogue of process faults: real processes die, and no order is lost or sent twice. All of it is `make faults`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from oms_site.faults.answers import ELSEWHERE, MUST_BE_SURVIVED, NOT_PROVEN, fault_of, summary
from oms_site.faults.ending import end
from oms_site.faults.rig import rig
from oms_site.faults.rows import POSTGRES, ROWS, SQLITE
from oms_site.tests.desk import ROOT
from oms_site.tests.servers import PostgresServer

pytestmark = pytest.mark.xdist_group("faults")

CHOSEN = {SQLITE: ("A3", "A6", "A13b", "A15d", "B11", "D1b", "F6"), POSTGRES: ("A8", "B2", "D4", "D10a", "F16")}


def run(name: str, folder: Path, server: PostgresServer | None, blocker: Any) -> None:
    row = next(row for row in ROWS if row.name == name)
    with blocker.unblock(), rig(folder, server, wired=row.wired) as broken:
        row.provoke(broken)
        verdict = end(broken)
    assert verdict.is_clean, verdict
    assert verdict.faults and verdict.orders, "nothing was broken, or nothing ordered"


@pytest.mark.parametrize("name", CHOSEN[SQLITE])
def test_on_sqlite(name: str, tmp_path: Path, django_db_blocker: Any, django_db_setup: None) -> None:
    run(name, tmp_path, None, django_db_blocker)


@pytest.mark.redis
@pytest.mark.postgres
@pytest.mark.parametrize("name", CHOSEN[POSTGRES])
def test_on_postgresql(name: str, tmp_path: Path, postgres_server: PostgresServer, django_db_blocker: Any, django_db_setup: None) -> None:
    run(name, tmp_path, postgres_server, django_db_blocker)


def test_every_row_has_a_name_of_its_own() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_no_fault_is_left_without_an_answer() -> None:
    answered = {fault_of(row.name) for row in ROWS} | ELSEWHERE.keys() | NOT_PROVEN.keys()
    assert MUST_BE_SURVIVED.keys() - answered == set()
    assert (ELSEWHERE.keys() | NOT_PROVEN.keys()) - MUST_BE_SURVIVED.keys() == set()


def test_every_test_that_is_named_exists() -> None:
    named = {test for tests in ELSEWHERE.values() for test in tests}
    files = sorted({test.partition("::")[0] for test in named})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-n", "0", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    collected = {line.partition("[")[0] for line in done.stdout.splitlines() if "::" in line}
    assert named - collected == set()


def test_what_is_not_proven_is_printed_by_name() -> None:
    told = "\n".join(summary(row.name for row in ROWS))
    assert all(f"  {fault:<5}{MUST_BE_SURVIVED[fault]}: {what}" in told for fault, what in NOT_PROVEN.items())
    without = "\n".join(summary(row.name for row in ROWS if row.name != "F12"))
    assert "F12" not in told and f"  F12  {MUST_BE_SURVIVED['F12']}" in without
