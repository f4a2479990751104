"""How limits are spelled: a value with what its unit means, whose it is, and who set it.

The rule it keeps: a fraction is shown in percent, a switch in words, and a name is given only where the reader may know it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orders.models import Event
from orders.models.book import Source
from orders.queries.show import NOTHING, quantity
from orders.rules.limits import HALTED, REDUCE_ONLY, RULES, Rule

_SWITCHES: dict[Rule, tuple[str | Promise, ...]] = {
    Rule.TRADING_STATE: (gettext_lazy("trades"), gettext_lazy("only reduces"), gettext_lazy("halted")),
    Rule.LOSS_STATE_LIFTS: (gettext_lazy("stays until released"), gettext_lazy("ends the next day")),
    Rule.REQUIRE_STOP: (gettext_lazy("not required"), gettext_lazy("required")),
    Rule.SHORT_SALES: (gettext_lazy("refused"), gettext_lazy("allowed")),
    Rule.SELF_CROSS: (gettext_lazy("refused"), gettext_lazy("allowed")),
    Rule.DELAYED_QUOTES: (gettext_lazy("do not count"), gettext_lazy("may stand in")),
    Rule.TRADING_HOURS: (gettext_lazy("not looked at"), gettext_lazy("warns"), gettext_lazy("refuses")),
}
SWITCHES = frozenset(_SWITCHES)
"""Rules of which nothing is used up: they say yes or no."""

_AFTER: dict[str, str | Promise] = {
    "fraction": gettext_lazy("through the market"),
    "units": "",
    "seconds": "",
    "orders": "",
    "messages": "",
}


def is_share(unit: str) -> bool:
    """Whether a value of this unit is a fraction of something."""
    return unit == "fraction" or unit.startswith("of ")


def value_words(code: str, value: Decimal | None) -> str:
    """A value of the rule as people read it: "400 %", "250,000", "halted"."""
    if value is None:
        return NOTHING
    if code not in Rule.__members__ or (rule := Rule(code)) not in RULES:
        return quantity(value.normalize())
    if words := _SWITCHES.get(rule):
        return str(words[min(int(value), len(words) - 1)])
    if RULES[rule].unit == "seconds":
        return f"{quantity(round(value, 1 if value < 10 else 0).normalize())} s"
    if is_share(RULES[rule].unit):
        return f"{quantity(round(value * 100, 2).normalize())} %"
    return quantity(round(value, 2).normalize())


def unit_words(code: str, currency: str) -> str:
    """What stands after the value: "of net liquidation", "USD", "a minute"; nothing for switches and plain counts."""
    if Rule(code) in SWITCHES:
        return ""
    unit = RULES[Rule(code)].unit
    return currency if unit == "base currency" and currency else str(_AFTER.get(unit, _(unit)))


def rule_label(code: str) -> str:
    """The rule's name for people; a code that is no limit keeps its letters, in lower case."""
    if code in Rule.__members__ and (rule := Rule(code)) in RULES:
        return _(RULES[rule].label)
    return code.replace("_", " ").capitalize()


def state_word(value: Decimal) -> str:
    return _("HALTED") if value >= HALTED else _("REDUCE ONLY") if value >= REDUCE_ONLY else _("ACTIVE")


def person(user: Any) -> str:
    return user.get_full_name() or user.get_username() if user is not None else ""


_BY_ITSELF: dict[str, str | Promise] = {
    "account.loss_limit": gettext_lazy("set by itself: a loss limit was reached"),
    "account.loss_over": gettext_lazy("ended by itself: the day of the loss is over"),
    "account.halted": gettext_lazy("set by itself: orders are missing at the broker"),
    "position.break": gettext_lazy("set by itself: a position is not explained"),
    "position.explained": gettext_lazy("ended by itself: the position is explained again"),
}


def by_itself(event: Event) -> str:
    """How a state came about that no person set; empty where one did."""
    if event.source == Source.USER:
        return ""
    return str(_BY_ITSELF.get(event.kind) or _("set by itself: %s") % event.kind.replace(".", " ").replace("_", " "))
