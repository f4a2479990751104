"""Rows of exits on a form: those of an entry that is still to be sent, and those of a position that is there already.

The rule it keeps: both are filled in with the same fields and read by the same code; only what they count from differs.
"""

from __future__ import annotations

from typing import Any

from django import forms

from orders.pages.forms.own_exits import default_pair
from orders.pages.forms.pairs import MOST_PAIRS, PairFields, bound_pair, pair_fields, pair_names
from orders.pages.forms.words import OCA_TYPES, TIMES_IN_FORCE
from orders.rules.exit_rows import name_of
from orders.rules.terms import OcaType, TimeInForce


class ExitsForm(forms.Form):
    """Up to five pairs of exits, and how they behave."""

    pair_count = forms.IntegerField(required=False, min_value=1, max_value=MOST_PAIRS)
    oca_type = forms.ChoiceField(choices=[(value, label) for value, label, _words in OCA_TYPES], required=False)
    exits_time_in_force = forms.ChoiceField(choices=TIMES_IN_FORCE, required=False)
    exits_outside_rth = forms.BooleanField(required=False)

    def __init__(self, *args: Any, initial: dict[str, Any] | None = None, **options: Any) -> None:
        super().__init__(*args, initial={**default_exits(), **(initial or {})}, **options)
        for number in range(1, MOST_PAIRS + 1):
            self.fields.update(pair_fields(number))

    @property
    def pairs_shown(self) -> int:
        """How many rows of exits are in use."""
        given = str(self["pair_count"].value() or "")
        return min(max(int(given), 1), MOST_PAIRS) if given.isdecimal() else 1

    @property
    def pairs(self) -> list[PairFields]:
        """All rows of exits as a template shows them; those beyond `pairs_shown` are kept out of sight until they are added."""
        return [bound_pair(self, number) for number in range(1, MOST_PAIRS + 1)]

    @property
    def exits_have_errors(self) -> bool:
        return any(name == "oca_type" or name.startswith("exits_") or name.endswith("_time_stop") for name in self.errors)

    def leave_out(self, data: dict[str, Any], name: str) -> None:
        """What was not shown counts for nothing."""
        data[name] = None
        self.errors.pop(name, None)

    def leave_out_pairs(self, data: dict[str, Any], used: int) -> None:
        """The rows behind those in use."""
        for number in range(used + 1, MOST_PAIRS + 1):
            for field in pair_names_of(number):
                self.leave_out(data, field)

    @property
    def behaviour(self) -> dict[str, Any]:
        """How the exits behave, by the names that both kinds of tickets have in common."""
        data = self.cleaned_data
        return {
            "oca_type": OcaType(int(data["oca_type"] or OcaType.CANCEL_WITH_BLOCK)),
            "time_in_force": TimeInForce(data["exits_time_in_force"] or TimeInForce.GTC),
            "outside_rth": data["exits_outside_rth"],
        }


def pair_names_of(number: int) -> list[str]:
    return [name for name in pair_names() if name.startswith(name_of(number, ""))]


def default_exits() -> dict[str, Any]:
    """What the rows say before anybody has filled them in: the desk's own exits."""
    values: dict[str, Any] = {
        "pair_count": 1,
        "oca_type": str(OcaType.CANCEL_WITH_BLOCK.value),
        "exits_time_in_force": TimeInForce.GTC.value,
    }
    for number in range(1, MOST_PAIRS + 1):
        values |= default_pair(number)
    return values
