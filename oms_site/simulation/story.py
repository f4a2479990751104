"""What happened in a run, line by line, and the digest of it: the proof that a seed repeats, and the tale that a person reads.

The rule it keeps: the digest is the same whether anybody reads along or not. What costs a query to tell (the book's events) is told only
where somebody reads, and enters the digest at the end.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from orders.models import Event

BEGINNING = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)  # a Monday, 10:00 in New York
LONGEST = 170


class Story:
    """`tell` is given each line, or None where nobody reads."""

    def __init__(self, moment: Callable[[], float], tell: Callable[[str], None] | None = None) -> None:
        self._moment, self._tell = moment, tell
        self._digest = hashlib.sha256()
        self._last_seq = 0
        self.faults: Counter[str] = Counter()

    def say(self, who: str, what: str) -> None:
        """One line of the story."""
        line = f"{self._moment():9.3f}  {who:<11} {what}"
        self._digest.update(line.encode())
        if self._tell is not None:
            self._tell(line)

    def fault(self, kind: str, what: str = "") -> None:
        """A fault that struck, counted under its kind."""
        self.faults[kind] += 1
        self.say("FAULT", f"{kind}{what and ': '}{what}")

    def book_moved(self) -> None:
        """Tells the new events of the book, where somebody reads."""
        if self._tell is None:
            return
        for event in Event.objects.filter(seq__gt=self._last_seq).select_related("order").order_by("seq"):
            order = f" …{event.order.client_order_id[-6:]}" if event.order is not None else ""
            step = f" {event.status_before or 'none'} → {event.status_after}" if event.status_before != event.status_after else ""
            self._tell(f"{self._moment():9.3f}    event     {event.seq} {event.kind}{order}{step} {event.text}"[:LONGEST])
            self._last_seq = event.seq

    def digest(self) -> str:
        """Of everything that was said, and of every event since the beginning; before it, the template was made, at some real time."""
        fields = ("seq", "kind", "source", "order_id", "status_before", "status_after", "text", "data", "broker_time", "at")
        for row in Event.objects.filter(at__gt=BEGINNING).exclude(kind="book.opened").order_by("seq").values_list(*fields):
            self._digest.update(repr(row).encode())
        return self._digest.hexdigest()[:16]


class MemoryLedger(list[dict[str, Any]]):
    """The gateway's ledger: its lines, each told as it is written. It outlives its gateway, as a file does."""

    def __init__(self, heard: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self._heard = heard

    def __bool__(self) -> bool:
        return True

    def append(self, line: dict[str, Any]) -> None:
        super().append(line)
        self._heard(line)

    def open(self, *mode: str, **options: Any) -> MemoryLedger:
        return self

    def write(self, text: str) -> None:
        self.append(json.loads(text))

    def close(self) -> None:
        """Nothing to close."""


def as_words(line: dict[str, Any]) -> str | None:
    """A line of the ledger as the story tells it; None for frames that only ask."""
    match line["kind"]:
        case "in":
            if line["message"] not in ("placeOrder", "cancelOrder", "startApi"):
                return None
            return f"hears {line['message']} {' '.join(line['fields'][1:3])} from client {line['client']}"
        case "order":
            about = f"…{line['order_ref'][-6:]} {line['action']} {line['quantity']} {line['type']}"
            return f"order {line['perm_id']} {about}: {line['status']} {line['filled']}/{line['remaining']}"
        case "execution" | "correction":
            return f"{line['kind']} {line['exec_id'][-8:]} …{line['order_ref'][-6:]} {line['side']} {line['shares']} at {line['price']}"
        case "refused":
            return f"refuses {line['order_id']}: {line['code']} {line['text'][:80]}"
        case kind:
            rest = {name: value for name, value in line.items() if name not in ("time", "kind")}
            return f"{kind} {json.dumps(rest)[:100]}"
