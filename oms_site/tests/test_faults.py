"""A choice of the catalogue of process faults: real processes die, and no order is lost or sent twice. All of it is `make faults`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oms_site.faults.ending import end
from oms_site.faults.rig import rig
from oms_site.faults.rows import POSTGRES, ROWS, SQLITE
from oms_site.tests.servers import PostgresServer

pytestmark = pytest.mark.xdist_group("faults")

CHOSEN = {SQLITE: ("A3", "A6", "A13b", "A15a", "D1b"), POSTGRES: ("A8", "D4", "D10")}


def run(name: str, folder: Path, server: PostgresServer | None, blocker: Any) -> None:
    row = next(row for row in ROWS if row.name == name)
    with blocker.unblock(), rig(folder, server) as broken:
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
