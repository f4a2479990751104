"""What stands at the exchange, worked out from the lines of its ledger alone: orders, executions that count, positions.

Pure, and of the ledger's words only, so that a checker needs neither the exchange nor its store. The rule kept: an execution counts in
its highest revision, whatever the order in which the revisions were written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

Line = dict[str, Any]
Holding = tuple[str, int]  # account, contract id


@dataclass
class Truth:
    """The state of the exchange after the last line read."""

    orders: dict[int, Line] = field(default_factory=dict)  # by permanent id: the order's last line
    executions: dict[str, Line] = field(default_factory=dict)  # by the id without its revision: the line that counts, busts included
    positions: dict[Holding, Decimal] = field(default_factory=dict)

    def filled(self, perm_id: int) -> Decimal:
        """How much of an order its executions that count add up to."""
        return sum((Decimal(one["shares"]) for one in self.executions.values() if one["perm_id"] == perm_id), Decimal(0))


def derive(lines: Iterable[Line]) -> Truth:
    """The truth after these lines. What a wipe made the exchange forget is forgotten here too."""
    truth = Truth()
    for line in lines:
        kind = line["kind"]
        if kind == "wiped":
            truth = Truth()
        elif kind == "order":
            truth.orders[line["perm_id"]] = line
        elif kind in ("execution", "correction"):
            _execute(truth, line)
        elif kind == "position":
            truth.positions[line["account"], line["con_id"]] = Decimal(line["quantity"])
    return truth


def signed(line: Line) -> Decimal:
    """The shares of an execution's line, minus for a sale."""
    return Decimal(line["shares"]) if line["side"] == "BOT" else -Decimal(line["shares"])


def _execute(truth: Truth, line: Line) -> None:
    root, _, revision = line["exec_id"].rpartition(".")
    before = truth.executions.get(root)
    if before is not None and int(before["exec_id"].rpartition(".")[2]) >= int(revision):
        return
    truth.executions[root] = line
    key = line["account"], line["con_id"]
    moved = signed(line) - (signed(before) if before is not None else Decimal(0))
    truth.positions[key] = truth.positions.get(key, Decimal(0)) + moved
