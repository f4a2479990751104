"""What a row of the catalogue is.

The rule it keeps: a row provokes its fault for certain. One that did not strike fails instead of passing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from oms_site.faults.rig import Rig

SQLITE, POSTGRES = "sqlite", "postgres"
BOTH = (SQLITE, POSTGRES)
BRACKET = {"bracket": "on", "pair_1_target_price": "220", "pair_1_stop_price": "190"}


@dataclass(frozen=True)
class Row:
    """One fault. `provoke` breaks the desk and asserts what must be seen at once."""

    name: str
    what: str
    provoke: Callable[[Rig], None]
    databases: tuple[str, ...] = BOTH
    wired: bool = False  # there is a line between worker and gateway that can be broken
