"""A change of a working order: its new terms, and what of them is new."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy

from orders.models import OrderRecord
from orders.pages.forms.reading import Number
from orders.pages.forms.words import TIMES_IN_FORCE
from orders.queries.show import Ticks
from orders.rules.terms import TimeInForce, plain


class ChangeForm(forms.Form):
    """New terms of a working order; what is left as it is, is not changed."""

    quantity = Number(error_messages={"required": gettext_lazy("Give a quantity.")})
    limit_price = Number(required=False)
    stop_price = Number(required=False)
    time_in_force = forms.ChoiceField(choices=TIMES_IN_FORCE)

    def __init__(self, *args: Any, order: OrderRecord, **options: Any) -> None:
        self.order = order
        ticks = Ticks.load()
        initial = {
            "quantity": plain(order.quantity),
            "limit_price": ticks.typed(order.contract, order.limit_price),
            "stop_price": ticks.typed(order.contract, order.stop_price),
            "time_in_force": order.time_in_force,
        }
        super().__init__(*args, initial=initial, **options)
        for name in ("limit_price", "stop_price"):
            if getattr(order, name) is None:
                del self.fields[name]
            else:
                self.fields[name].required = True

    def changes(self) -> dict[str, Any]:
        """Only what differs from the acknowledged terms."""
        data = self.cleaned_data
        changed = {
            name: data[name]
            for name in ("quantity", "limit_price", "stop_price")
            if name in data and data[name] != getattr(self.order, name)
        }
        if data["time_in_force"] != self.order.time_in_force:
            changed["time_in_force"] = TimeInForce(data["time_in_force"])
        return changed
