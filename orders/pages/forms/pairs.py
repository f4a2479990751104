"""The exits of a bracket, or of a position, as they are filled in: up to five pairs of target and stop, each distance in a unit of its own.

The rule it keeps: a form only reads the fields; what they come to is for the rules (`rules.exit_rows`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django import forms
from django.utils.translation import gettext_lazy

from orders.pages.forms.reading import Number
from orders.pages.forms.words import STOP_KINDS, STOP_UNITS, TARGET_UNITS
from orders.rules.exit_rows import name_of

MOST_PAIRS = 5
"""Rows that the ticket shows at most."""

FIELDS = (
    *("quantity", "target", "target_unit", "target_price", "stop_kind", "stop", "stop_unit", "stop_price", "stop_offset", "time_stop"),
    "typed",  # which of quantity, target and stop a person typed, so that the page's script leaves them as they are; else nothing to us
)


def pair_fields(number: int) -> dict[str, forms.Field]:
    """The fields of one pair."""
    fields: dict[str, forms.Field] = {
        "quantity": Number(required=False),
        "target": Number(required=False, positive=False),
        "target_unit": forms.ChoiceField(choices=TARGET_UNITS, required=False),
        "target_price": Number(required=False),
        "stop_kind": forms.ChoiceField(choices=STOP_KINDS, required=False),
        "stop": Number(required=False, positive=False),
        "stop_unit": forms.ChoiceField(choices=STOP_UNITS, required=False),
        "stop_price": Number(required=False),
        "stop_offset": Number(required=False),
        "time_stop": Number(required=False, error_messages={"invalid": gettext_lazy("Give minutes, as in 90.")}),
        "typed": forms.CharField(required=False, max_length=32, widget=forms.HiddenInput),
    }
    return {name_of(number, field): made for field, made in fields.items()}


@dataclass(frozen=True)
class PairFields:
    """The bound fields of one pair, as a template shows them."""

    number: int
    fields: Mapping[str, forms.BoundField]

    def __getattr__(self, name: str) -> forms.BoundField:
        try:
            return self.fields[name]
        except KeyError:
            raise AttributeError(name) from None


def bound_pair(form: forms.Form, number: int) -> PairFields:
    return PairFields(number, {field: form[name_of(number, field)] for field in FIELDS})


def pair_names(count: int = MOST_PAIRS) -> Sequence[str]:
    """The names of all fields of the first pairs."""
    return [name_of(number, field) for number in range(1, count + 1) for field in FIELDS]
