"""`manage.py replay --until T`: the book as it stood at T, from the events alone.

The rule it keeps: it only reads, and says up to which event it read; where the record was touched before that, it says so too.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from orders.book import encode
from orders.standing import NothingStood, Row, Standing, seq_at, stood

# Title, rows, and the columns that a person reads first; --json has every field.
TABLES = {
    "orders": (
        "Orders",
        (
            "client_order_id",
            "account",
            "contract",
            "side",
            "quantity",
            "order_type",
            "limit_price",
            "stop_price",
            "status",
            "filled_quantity",
        ),
    ),
    "positions": ("Positions", ("account", "contract", "quantity", "average_cost", "opening")),
    "commands": ("Open commands", ("kind", "state", "order", "actor", "created_at")),
    "limits": ("Limits", ("rule", "value", "scope", "account", "user")),
    "access": ("Access", ("user", "account", "level")),
    "incidents": ("Open incidents", ("kind", "account", "order", "opened_at", "text")),
}


class Command(BaseCommand):
    help = "Print the book as it stood at a moment, from the events alone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The moment, as a time or as an event, and how the answer is written."""
        moment = parser.add_mutually_exclusive_group(required=True)
        moment.add_argument("--until", metavar="T", help="a time as in 2026-03-02T15:04:05, UTC unless it says otherwise")
        moment.add_argument("--seq", metavar="N", help="the number of the last event to take in")
        parser.add_argument("--json", action="store_true", help="one JSON object with every field instead of tables")

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints the book. Raises CommandError for a moment that is none, or at which there was no book."""
        name, given = ("--until", options["until"]) if options["until"] is not None else ("--seq", options["seq"])
        try:
            standing = stood(seq_at(_time(given)) if name == "--until" else _number(given))
        except NothingStood as error:
            raise CommandError(f"{name} {given}: {error}.") from error
        if options["json"]:
            self.stdout.write(json.dumps(encode(asdict(standing))))
        else:
            self.stdout.write(_told(standing))
        if standing.first_bad is not None:
            self.stderr.write(f"The record was touched: its first bad event is seq {standing.first_bad}. Ask `manage.py verify`.")


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise CommandError(f"--until {text}: not a time. Write it as in 2026-03-02T15:04:05 or 2026-03-02T10:04:05-05:00.") from error


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 19 and int(text) > 0):
        raise CommandError(f"--seq {text}: not the number of an event. Give a whole number from 1 up.")
    return int(text)


def _told(standing: Standing) -> str:
    gateway = standing.gateway
    state = f"{gateway['state']}{gateway['reason'] and ', '}{gateway['reason']}" if gateway else "not known yet"
    lines = [f"The book after event {standing.seq}, written at {encode(standing.at)}. Gateway: {state}."]
    for rows, (title, columns) in TABLES.items():
        found: list[Row] = getattr(standing, rows)
        lines += ["", f"{title}: {len(found) or 'none'}", *_table(found, columns)]
    return "\n".join(lines)


def _table(rows: list[Row], columns: Sequence[str]) -> list[str]:
    if not rows:
        return []
    cells = [list(columns), *([_cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    return ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def _cell(value: Any) -> str:
    """One line, whatever somebody wrote: what a terminal would act on is shown as a mark."""
    text = "-" if value in (None, "") else str(value)
    return "".join(character if character.isprintable() else "�" for character in text)
