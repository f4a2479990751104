"""The invariants: what must be true of a book whatever befell it, checked from the database and, where there is one, the gateway's ledger.

The rule it keeps: a check only reads, trusts no figure that it can work out anew, and says what it looked at. It is the judge of every
simulated day, so it shares no code with what it judges but the tables of the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from orders.invariants import counting, hearing, permitted, record, sending
from orders.invariants.elsewhere import ELSEWHERE
from orders.invariants.evidence import Evidence
from orders.invariants.finding import Finding

__all__ = ["Evidence", "Finding", "check", "judge"]

CHECKS: tuple[Callable[[Evidence], Finding], ...] = (
    sending.at_most_once,
    sending.nothing_lost,
    counting.filled_adds_up,
    counting.position_adds_up,
    counting.counted_once,
    record.record_is_whole,
    record.legal_steps,
    counting.filled_only_grows,
    permitted.actor_was_permitted,
    permitted.within_limits,
    sending.fenced,
    sending.one_name_one_order,
    hearing.one_owner,
    hearing.requests_end,
    sending.only_when_ready,
    counting.exits_within,
    sending.true_figures,
    sending.well_formed,
)


def check(ledger: Iterable[dict[str, Any]] | None, now: datetime) -> list[Finding]:
    """One finding for each invariant, I1 to I22, in order. `ledger`: the simulated gateway's lines, as dicts; None without one.

    Ask when the desk is at rest: what is on its way between broker and book at this moment counts as missing. `now` decides what is old;
    a later one than the clock's finds what would stay undone.
    """
    return judge(Evidence.read(ledger, now))


def judge(seen: Evidence) -> list[Finding]:
    """The findings about evidence that has been read already."""
    return sorted([*(one(seen) for one in CHECKS), *ELSEWHERE], key=lambda finding: int(finding.code[1:]))
