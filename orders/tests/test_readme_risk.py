"""What the README says of the risk manager is what the code does: its table of rules, its states, its numbers."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

from orders.manager.halting import TradingState
from orders.pages.arming import IDLE
from orders.rules.limits import RULES
from orders.rules.seals import LIFE
from orders.rules.sizing import ATR_BARS, ENOUGH_TRADES, SizingRequest
from orders.rules.terms import plain

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
SECTION = README.partition("\n## Risk manager & position sizing\n")[2].partition("\n## ")[0]


def table(head: str) -> list[tuple[str, ...]]:
    """The rows below the head of a table."""
    lines = SECTION.partition(f"{head}\n")[2].splitlines()[1:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append(tuple(cell.strip() for cell in line.strip("|").split("|")))
    return rows


def test_the_table_of_rules_is_that_of_the_code() -> None:
    assert table("| Rule | Name | Meaning | Default | Unit |") == [
        (f"`{rule.value}`", one.label, one.meaning, "none" if one.default is None else plain(one.default), one.unit)
        for rule, one in RULES.items()
    ]


def test_the_states_are_those_of_the_code() -> None:
    assert [row[0] for row in table("| State | What goes out |")] == [state.name for state in TradingState]


def test_the_numbers_are_those_of_the_code() -> None:
    defaults = SizingRequest.__dataclass_fields__
    assert f"within {LIFE.total_seconds():.0f} seconds" in SECTION
    assert f"after {IDLE.total_seconds() / 60:.0f} minutes" in SECTION
    assert f"over {ATR_BARS} daily bars" in SECTION
    assert f"Kelly asks for {ENOUGH_TRADES} closed trades" in SECTION
    assert defaults["kelly_fraction"].default == Decimal("0.25") and "a quarter of f" in SECTION
    assert f"at most {plain(defaults['kelly_cap'].default)} %" in SECTION


def test_every_rule_that_the_text_names_exists() -> None:
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", SECTION))
    assert named <= {rule.value for rule in RULES}
