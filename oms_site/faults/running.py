"""Runs rows of the catalogue, one desk a run, and prints the table with its totals.

The rule it keeps: a row that could not be run to its end counts as a violation, and no run shares a desk with the one before.
"""

from __future__ import annotations

import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from oms_site.faults.answers import summary
from oms_site.faults.ending import Verdict, end
from oms_site.faults.rig import rig
from oms_site.faults.rows import POSTGRES, ROWS, Row
from oms_site.tests.servers import PostgresServer

LONGEST_WORDS = 4000


@dataclass
class Catalogue:
    """One run over some rows; everything it makes lies in `folder`."""

    folder: Path
    out: TextIO
    totals: Verdict = field(default_factory=Verdict)
    runs: int = 0

    def run(self, rows: Sequence[Row], databases: Sequence[str], times: int) -> int:
        """Prints a line for each row and database, and the totals. 1 where anything is bad, else 0."""
        self._say(f"{'row':<6}{'database':<10}{'runs':>5}{'faults':>8}{'orders':>8}{'bad':>5}{'s':>8}  what")
        server = PostgresServer(self.folder)
        is_here = POSTGRES in databases and PostgresServer.binaries() is not None
        try:
            if is_here:
                server.start()
            for row in rows:
                for database in (one for one in row.databases if one in databases):
                    if database == POSTGRES and not is_here:
                        self._say(f"{row.name:<6}{database:<10} not run: PostgreSQL is not on this machine")
                    else:
                        self._line(row, database, server if database == POSTGRES else None, times)
        finally:
            server.close()
        totals = self.totals
        self._say(
            f"{self.runs} runs, {totals.faults} faults injected, {totals.orders} orders: {len(totals.lost)} lost, "
            f"{len(totals.doubled)} doubled, {len(totals.violations)} other violations"
        )
        for line in summary(row.name for row in ROWS):
            self._say(line)
        return 0 if totals.is_clean else 1

    def _line(self, row: Row, database: str, server: PostgresServer | None, times: int) -> None:
        found, started = Verdict(), time.monotonic()
        for _ in range(times):
            found.add(self._once(row, server))
        self.totals.add(found)
        self.runs += times
        bad = [*found.lost, *found.doubled, *found.violations]
        counts = f"{times:>5}{found.faults:>8}{found.orders:>8}{len(bad):>5}{time.monotonic() - started:>8.1f}"
        self._say(f"{row.name:<6}{database:<10}{counts}  {row.what}")
        for words in [*found.notes, *bad]:
            self._say(f"      {words}")

    def _once(self, row: Row, server: PostgresServer | None) -> Verdict:
        try:
            with rig(Path(tempfile.mkdtemp(dir=self.folder)), server, wired=row.wired) as broken:
                row.provoke(broken)
                return end(broken)
        except Exception as error:  # noqa: BLE001 - a row that breaks off is a finding like any other
            where = next(frame for frame in reversed(traceback.extract_tb(error.__traceback__)) if "/faults/" in frame.filename)
            return Verdict(violations=[f"not run to its end: {error!r} at {where.line}"[:LONGEST_WORDS]])

    def _say(self, words: str) -> None:
        self.out.write(words + "\n")
        self.out.flush()
