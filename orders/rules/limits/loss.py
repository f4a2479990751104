"""What a day and a week may cost: from which loss on an account only reduces its positions, and from which it is halted.

The rule it keeps: a loss is a fraction of what the account was worth before it. The gate refuses new risk from the first of these limits
on, whoever released the account; a state that is set by itself is set once for a day and a reason, and not loosened by itself within it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from orders.rules.limit_table import HALTED, REDUCE_ONLY, Rule
from orders.rules.limits.facts import Case, Purse, Reading
from orders.rules.limits.size import NO_NET
from orders.rules.terms import plain

ONLY_REDUCE = "positions may only be reduced"


def daily_loss(case: Case) -> Reading | None:
    """The absolute one."""
    limit, pnl = case.limits.get(Rule.MAX_DAILY_LOSS), case.facts.daily_pnl
    if limit is None:
        return None
    if pnl is None:
        return Reading(Rule.MAX_DAILY_LOSS, limit, None, "The day's profit and loss is not known.")
    words = f"The day's loss of {plain(-pnl)} has reached the limit of {plain(limit)}: {ONLY_REDUCE}."
    return Reading(Rule.MAX_DAILY_LOSS, limit, max(-pnl, Decimal(0)), words if -pnl >= limit else "")


def daily_loss_reduce(case: Case) -> Reading:
    return _fraction(Rule.DAILY_LOSS_REDUCE, "day", case.facts.purse, case.facts.daily_pnl, case.limits)


def daily_loss_halt(case: Case) -> Reading:
    return _fraction(Rule.DAILY_LOSS_HALT, "day", case.facts.purse, case.facts.daily_pnl, case.limits)


def weekly_loss_halt(case: Case) -> Reading:
    return _fraction(Rule.WEEKLY_LOSS_HALT, "week", case.facts.purse, case.facts.purse.week_pnl, case.limits)


def _fraction(rule: Rule, period: str, purse: Purse, pnl: Decimal | None, limits: Mapping[str, Decimal]) -> Reading:
    limit, began = limits[rule], purse.began_with(pnl)
    if pnl is None:
        return Reading(rule, limit, None, f"The {period}'s profit and loss is not known.")
    if began is None or began <= 0:
        return Reading(rule, limit, None, NO_NET)
    actual = max(-pnl, Decimal(0)) / began
    lost, most = (plain((fraction * 100).quantize(Decimal("0.01"))) for fraction in (actual, limit))
    words = f"The {period}'s loss is {lost} % of what the account was worth; from {most} % on {ONLY_REDUCE}."
    return Reading(rule, limit, actual, words if actual >= limit else "")


@dataclass(frozen=True)
class Trigger:
    """A state that an account is to be put into, because of this rule."""

    rule: Rule
    state: Decimal
    limit: Decimal
    actual: Decimal
    period: str

    @property
    def words(self) -> str:
        lost, most = (plain((fraction * 100).quantize(Decimal("0.01"))) for fraction in (self.actual, self.limit))
        consequence = "trading is halted" if self.state == HALTED else ONLY_REDUCE
        return f"the {self.period}'s loss is {lost} % of what the account was worth, the limit {most} %: {consequence}."


def triggers(purse: Purse, daily_pnl: Decimal | None, limits: Mapping[str, Decimal]) -> list[Trigger]:
    """The states that the losses ask for, the strictest first. What is not known asks for none: the gate refuses new risk then."""
    found = []
    for rule, state, period, pnl in (
        (Rule.WEEKLY_LOSS_HALT, HALTED, "week", purse.week_pnl),
        (Rule.DAILY_LOSS_HALT, HALTED, "day", daily_pnl),
        (Rule.DAILY_LOSS_REDUCE, REDUCE_ONLY, "day", daily_pnl),
    ):
        reading = _fraction(rule, period, purse, pnl, limits)
        if reading.broken and reading.actual is not None and reading.limit is not None:
            found.append(Trigger(rule, state, reading.limit, reading.actual, period))
    return found
