"""Stop and target for a position that is there already."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orders.pages.forms.reading import Number
from orders.pages.forms.words import OCA_TYPES, TIMES_IN_FORCE
from orders.rules.terms import TimeInForce


class ProtectForm(forms.Form):
    """Stop and target on a position, as one OCA group. A price that is given counts, else the percentage of the entry."""

    quantity = Number(error_messages={"required": gettext_lazy("Give a quantity.")})
    entry_price = Number(error_messages={"required": gettext_lazy("Give the price the percentages count from.")})
    stop_percent = Number(required=False, initial="2")
    stop_price = Number(required=False)
    target_percent = Number(required=False, initial="8")
    target_price = Number(required=False)
    oca_type = forms.ChoiceField(choices=[(value, label) for value, label, _words in OCA_TYPES], initial=OCA_TYPES[0][0])
    time_in_force = forms.ChoiceField(choices=TIMES_IN_FORCE, initial=TimeInForce.GTC.value)
    outside_rth = forms.BooleanField(required=False)
    confirm_duplicate = forms.BooleanField(required=False)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for exit_name in ("stop", "target"):
            if data.get(f"{exit_name}_price") is None and data.get(f"{exit_name}_percent") is None:
                self.add_error(f"{exit_name}_percent", _("Give a percentage or a price."))
        return data
