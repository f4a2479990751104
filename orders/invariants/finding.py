"""What a check found: one finding an invariant, with what it looked at, so that "no violation" of nothing is not mistaken for a proof."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Finding:
    """The state of one invariant. `checked` counts `things`; `why` says what could not be told from the database and the ledger, and
    where it is shown instead. An invariant that cannot be told at all has checked nothing."""

    code: str
    title: str
    checked: int = 0
    things: str = ""
    violations: list[str] = field(default_factory=list)
    why: str = ""

    @property
    def is_told(self) -> bool:
        """Whether database and ledger can say anything about it."""
        return bool(self.things)

    @property
    def is_broken(self) -> bool:
        return bool(self.violations)

    @property
    def first(self) -> str:
        """The first offender; "" where there is none."""
        return self.violations[0] if self.violations else ""

    def __str__(self) -> str:
        if not self.is_told:
            return f"{self.code} {self.title}: {self.why}"
        return f"{self.code} {self.title}: {self.checked} {self.things}, {len(self.violations)} violations"
