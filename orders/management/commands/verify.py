"""`manage.py verify`: whether the record is whole. One line a check, and exit code 1 where one of them fails.

The rule it keeps: it only reads. What it finds is named (the first bad event, each differing field), so that a person can look.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection

from orders import integrity, replay
from orders.models import Event

SHOWN = 10


class Command(BaseCommand):
    help = "Check that the events are an unbroken chain, that they add up to the rows, and that the database guards them."

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints the checks. Raises SystemExit(1) where any fails."""
        events = Event.objects.count()
        unguarded = [f"trigger {name} is missing" for name in integrity.missing(connection)]
        checks = [
            ("guard: the database refuses to change or delete events", unguarded),
            (f"chain: {events} events, each follows from the one before", _chain()),
            ("replay: folding the events gives the rows", [str(difference) for difference in replay.differences()]),
        ]
        for name, problems in checks:
            self.stdout.write(f"{'FAILED' if problems else 'ok':8}{name}")
            for problem in problems[:SHOWN]:
                self.stdout.write(f"        {problem}")
            if len(problems) > SHOWN:
                self.stdout.write(f"        and {len(problems) - SHOWN} more")
        if any(problems for _, problems in checks):
            raise SystemExit(1)


def _chain() -> list[str]:
    bad = replay.verify_chain()
    return [] if bad is None else [f"the first bad event is seq {bad}: changed, deleted, inserted or moved"]
