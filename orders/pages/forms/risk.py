"""What is filled in on the risk page: a size to be worked out, and a limit to be set.

The rule it keeps: a number is digits and one point. What a method needs is for the rules of sizing to ask for, by name.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from orders.models import Limit
from orders.pages.forms.reading import Number
from orders.pages.forms.sizing import METHODS
from orders.rules.sizing import Method
from orders.rules.terms import OrderType, Side

SIDES = [(Side.BUY.value, _("Buy")), (Side.SELL.value, _("Sell"))]


class SizeForm(forms.Form):
    """Named apart from the ticket's fields, because both may stand on one page."""

    symbol = forms.CharField(max_length=40)
    side = forms.ChoiceField(choices=SIDES, initial=Side.BUY.value)
    entry = Number(required=False)
    stop = Number(required=False)
    method = forms.ChoiceField(choices=[choice for choice in METHODS if choice[0]], initial=Method.RISK.value)
    value = Number(required=False)
    atr = Number(required=False)

    def as_ticket(self) -> dict[str, Any]:
        """The same as the fields of a ticket, which sizing reads."""
        data = self.cleaned_data
        entry = data.get("entry")
        return {
            "side": data["side"],
            "order_type": OrderType.LIMIT.value if entry is not None else OrderType.MARKET.value,
            "limit_price": entry,
            "size_method": data["method"],
            "size_value": data.get("value"),
            "size_stop": data.get("stop"),
            "size_atr": data.get("atr"),
        }


class LimitForm(forms.Form):
    """`value` in the rule's unit; empty takes the limit away."""

    scope = forms.ChoiceField(choices=Limit.Scope.choices)
    user = forms.CharField(max_length=150, required=False)
    value = Number(required=False, positive=False)
    note = forms.CharField(max_length=200)
