"""`make faults`: runs the catalogue and prints a table with its totals; exit code 1 on any violation.

The rule it keeps: a row that could not be run to its end counts as a violation, and no run shares a desk with the one before.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path


def main() -> int:
    """Runs the rows that were asked for; the exit code."""
    import django

    django.setup()
    from oms_site.faults.rows import BOTH, ROWS
    from oms_site.faults.running import Catalogue

    parser = argparse.ArgumentParser(
        prog="python -m oms_site.faults", description="Breaks real processes, and looks what became of the orders."
    )
    parser.add_argument("--rows", default="", help="names, separated by commas (all)")
    parser.add_argument("--runs", type=int, default=1, help="how often each row is run")
    parser.add_argument("--database", choices=BOTH, action="append", help="where (both)")
    options = parser.parse_args()
    wanted = set(filter(None, options.rows.split(",")))
    if unknown := wanted - {row.name for row in ROWS}:
        parser.error(f"--rows: there is no row {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="deskbook-faults-") as folder:
        rows = [row for row in ROWS if not wanted or row.name in wanted]
        return Catalogue(Path(folder), sys.stdout).run(rows, options.database or list(BOTH), options.runs)


if __name__ == "__main__":
    _own = tempfile.TemporaryDirectory(prefix="deskbook-faults-data-")
    for _name in [name for name in os.environ if name.startswith(("IBKR_", "DESKBOOK_", "DATABASE_URL", "REDIS_URL"))]:
        del os.environ[_name]
    os.environ |= {"DESKBOOK_DATA": _own.name, "DJANGO_SETTINGS_MODULE": "oms_site.settings"}
    sys.exit(main())
