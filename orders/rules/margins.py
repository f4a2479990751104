"""When IB may be asked what an order would do to the margin (a what-if), and what is known where it may not.

The rule it keeps: IB asks for at most about one what-if a minute in an account, and one for ten orders; nobody's sending waits for an
answer. Where it may not be asked, the last answer for the contract is scaled by the quantity, and is called an estimate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

SPACING = timedelta(minutes=1)
WINDOW = timedelta(hours=1)
FREE_IN_WINDOW = 10
"""What-ifs that an account has in an hour before one for ten orders begins to count: who sends little still sees his margin."""
ORDERS_FOR_ONE = 10

PATIENCE = timedelta(seconds=5)
"""How long a page waits for the answer before it says that there is none."""


@dataclass(frozen=True)
class Wait:
    """IB is not asked now. `until` is when it may be asked again; `too_soon`: less than a minute has passed, else it is too often."""

    until: datetime
    too_soon: bool


def may_ask(now: datetime, asked: Sequence[datetime], orders: int) -> Wait | None:
    """None where it may be asked. `asked` are the what-ifs of the account in the last hour, `orders` the orders it sent in that time."""
    recent = [at for at in asked if at > now - WINDOW]
    if recent and now - max(recent) < SPACING:
        return Wait(max(recent) + SPACING, too_soon=True)
    if len(recent) < FREE_IN_WINDOW + orders // ORDERS_FOR_ONE:
        return None
    return Wait(min(recent) + WINDOW, too_soon=False)


@dataclass(frozen=True)
class Margin:
    """Initial and maintenance margin before, what the order adds, and after; in the base currency. None where IB left it unset."""

    initial_before: Decimal | None = None
    initial_change: Decimal | None = None
    initial_after: Decimal | None = None
    maintenance_before: Decimal | None = None
    maintenance_change: Decimal | None = None
    maintenance_after: Decimal | None = None
    equity_after: Decimal | None = None
    commission: Decimal | None = None
    least_commission: Decimal | None = None
    most_commission: Decimal | None = None
    commission_currency: str = ""
    warning: str = ""

    @property
    def excess_after(self) -> Decimal | None:
        """What would be left above the maintenance margin; below zero IB refuses or liquidates."""
        if self.equity_after is None or self.maintenance_after is None:
            return None
        return self.equity_after - self.maintenance_after

    @property
    def available_after(self) -> Decimal | None:
        """What would be left above the initial margin; below zero IB refuses the order."""
        if self.equity_after is None or self.initial_after is None:
            return None
        return self.equity_after - self.initial_after


def margin_from(answer: Mapping[str, Any]) -> Margin:
    """The answer to a what-if as an inquiry keeps it."""
    names = {
        "initial_before": "initial_margin_before",
        "initial_change": "initial_margin_change",
        "initial_after": "initial_margin_after",
        "maintenance_before": "maintenance_margin_before",
        "maintenance_change": "maintenance_margin_change",
        "maintenance_after": "maintenance_margin_after",
        "equity_after": "equity_with_loan_after",
        "commission": "commission",
        "least_commission": "least_commission",
        "most_commission": "most_commission",
    }
    numbers = {ours: None if answer.get(theirs) is None else Decimal(answer[theirs]) for ours, theirs in names.items()}
    return Margin(**numbers, commission_currency=answer.get("commission_currency") or "", warning=answer.get("warning") or "")


def estimated(known: Margin, known_quantity: Decimal, quantity: Decimal, *, initial: Decimal | None, maintenance: Decimal | None) -> Margin:
    """What an order of `quantity` may do, by what IB said of one of `known_quantity` (same account, contract and side).

    `initial` and `maintenance` are the account's margins now. The equity is taken as it was; IB's own words are not repeated.
    """
    share = quantity / known_quantity

    def scaled(value: Decimal | None) -> Decimal | None:
        return None if value is None else value * share

    def together(before: Decimal | None, change: Decimal | None) -> Decimal | None:
        return None if before is None or change is None else before + change

    initial_change, maintenance_change = scaled(known.initial_change), scaled(known.maintenance_change)
    before = known.initial_before if initial is None else initial
    kept = known.maintenance_before if maintenance is None else maintenance
    return replace(
        known,
        initial_before=before,
        initial_change=initial_change,
        initial_after=together(before, initial_change),
        maintenance_before=kept,
        maintenance_change=maintenance_change,
        maintenance_after=together(kept, maintenance_change),
        commission=scaled(known.commission),
        least_commission=scaled(known.least_commission),
        most_commission=scaled(known.most_commission),
        warning="",
    )
