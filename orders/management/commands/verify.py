"""`manage.py verify`: whether the record is whole and every invariant holds. One line a check, and exit code 1 where one of them fails.

The rule it keeps: it only reads. What it finds is named (the first bad event, the first offenders of a check), so that a person can look.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.utils import timezone

from orders import heads, integrity
from orders.invariants import Evidence, Finding, judge
from orders.models import Book

SHOWN = 10


class Command(BaseCommand):
    help = "Check that the events are an unbroken chain that nobody has touched, and that every invariant of the book holds."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What may be compared with the database, and how the answer is written."""
        parser.add_argument("--ledger", type=Path, help="the simulated gateway's ledger, as `serve --ledger` writes it")
        parser.add_argument("--head", type=Path, help="a copy of the heads file that was kept elsewhere, checked beside this desk's own")
        parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints the checks. Raises SystemExit(1) where any fails, CommandError for a file that cannot be read."""
        lines = None if options["ledger"] is None else list(_ledger(options["ledger"]))
        kept = _Kept(options["head"])  # read before the events: a head that is kept meanwhile is of an event not seen here
        seen = Evidence.read(lines, timezone.now(), kept.comparison.see)
        unguarded = [f"trigger {name} is missing" for name in integrity.missing(connection)]
        findings = [
            Finding("guard", "the database refuses to change or delete events", 1, "table", unguarded),
            Finding("chain", "each event follows from the one before", seen.past.chain.events, "events", seen.broken_chain()),
            kept.finding(),
            *judge(seen),
        ]
        if options["json"]:
            self.stdout.write(json.dumps({"ok": not any(one.is_broken for one in findings), "checks": [_plain(one) for one in findings]}))
        else:
            for finding in findings:
                self._print(finding)
        if any(finding.is_broken for finding in findings):
            raise SystemExit(1)

    def _print(self, finding: Finding) -> None:
        verdict = "FAILED" if finding.is_broken else "ok" if finding.is_told else "-"
        why = f" ({finding.why})" if finding.is_told and finding.why else ""
        self.stdout.write(f"{verdict:8}{finding.code:6}{finding.words}{why}")
        for problem in finding.violations[:SHOWN]:
            self.stdout.write(f"              {problem}")
        if len(finding.violations) > SHOWN:
            self.stdout.write(f"              and {len(finding.violations) - SHOWN} more")


def _plain(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "title": finding.title,
        "told": finding.is_told,
        "checked": finding.checked,
        "things": finding.things,
        "violations": finding.violations,
        "why": finding.why,
    }


def _ledger(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a ledger. A last line without an end is left out: the gateway was killed while it wrote it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"--ledger {path}: it cannot be read ({error}).") from error
    lines = text.split("\n")
    for number, line in enumerate(lines[:-1], 1):
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        if not isinstance(found, dict) or not {"time", "kind"} <= found.keys():
            raise CommandError(f"--ledger {path}, line {number}: not a line of a ledger; each is a JSON object with a time and a kind.")
        yield found


class _Kept:
    """The heads that were kept outside the database, of this desk and of a copy."""

    def __init__(self, copy: Path | None) -> None:
        install = Book.objects.filter(pk=1).values_list("install", flat=True).first() or ""
        own = heads.file_of(install)
        found: list[heads.Head] = []
        self._files, self._others = 0, 0
        for path in (own if own is not None and own.exists() else None, copy):
            if path is None:
                continue
            try:
                some, others = heads.read(path)
            except OSError as error:
                raise CommandError(f"{'--head ' if path is copy else ''}{path}: it cannot be read ({error.strerror}).") from error
            if path is copy and not some:
                raise CommandError(f'--head {path}: there is no head in it; a line is "seq hash time".')
            found += some
            self._files, self._others = self._files + 1, self._others + others
        self._count = len(found)
        self.comparison = heads.Comparison(found)

    def finding(self) -> Finding:
        """The comparison, once every event has been seen."""
        title = "the record still has every head that was kept outside the database"
        if not self._files:
            return Finding("heads", title, why="none was kept yet; they are kept in the data folder from the next change on")
        why = f"{self._others} lines of the file are no heads" if self._others else ""
        return Finding("heads", title, self._count, "heads", self.comparison.problems(), why)
