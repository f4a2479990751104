"""A change of a working order: its new terms, what of them is new, and whether the order is still the one that was looked at.

The rule it keeps: only what IB changes is offered, and only what differs is asked for. Who changes an order saw its terms; if those have
moved on meanwhile, he looks again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.dateformat import format as format_date
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orders.models import OrderRecord
from orders.pages.forms.moments import LocalMoment
from orders.pages.forms.reading import Number
from orders.pages.forms.words import TIMES_IN_FORCE
from orders.queries.show import NOTHING, Ticks, quantity, zone_of
from orders.rules.terms import TimeInForce, plain

LABELS: dict[str, str | Promise] = {
    "quantity": gettext_lazy("Quantity"),
    "stop_price": gettext_lazy("Stop price"),
    "limit_price": gettext_lazy("Limit price"),
    "trail_amount": gettext_lazy("Trails by"),
    "trail_percent": gettext_lazy("Trails by, %"),
    "limit_offset": gettext_lazy("Limit offset"),
    "time_in_force": gettext_lazy("In force"),
    "good_till": gettext_lazy("Good till"),
}
LASTING = [*TIMES_IN_FORCE, (TimeInForce.GTD.value, gettext_lazy("GTD until a moment"))]
PRICES = ("stop_price", "limit_price", "trail_amount", "trail_percent", "limit_offset")


@dataclass(frozen=True)
class Compared:
    """One term of an order: its field, and what the order has now, in words and as the script counts."""

    name: str
    label: str | Promise
    old: str
    old_value: str
    bound: forms.BoundField


class ChangeForm(forms.Form):
    """New terms of a working order; what is left as it is, is not changed. Fields that the order has not are not there."""

    quantity = Number(error_messages={"required": gettext_lazy("Give a quantity.")})
    stop_price = Number()
    limit_price = Number()
    trail_amount = Number()
    trail_percent = Number()
    limit_offset = Number(positive=False)
    time_in_force = forms.ChoiceField(choices=LASTING)
    good_till = LocalMoment(required=False)
    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, order: OrderRecord, **options: Any) -> None:
        self.order, self.ticks = order, Ticks.load()
        self.zone = order.account.time_zone
        super().__init__(*args, initial={name: self._typed(name) for name in LABELS} | {"seen": fingerprint(order)}, **options)
        for name in PRICES:
            # Once a stop trails, the broker moves it; where it began is of no use any more.
            if getattr(order, name) is None or (name == "stop_price" and order.order_type.startswith("TRAIL")):
                del self.fields[name]
        if order.time_in_force not in dict(LASTING):
            del self.fields["time_in_force"], self.fields["good_till"]
        else:
            self.fields["good_till"].zone = self.zone  # type: ignore[attr-defined]

    def _typed(self, name: str) -> str:
        """The term as it stands in an input."""
        value = getattr(self.order, name)
        if value is None or name == "time_in_force":
            return value or ""
        if name == "good_till":
            return value.astimezone(zone_of(self.zone)).strftime("%Y-%m-%dT%H:%M")
        return self.ticks.typed(self.order.contract, value) if name in ("stop_price", "limit_price") else plain(value)

    def shown(self, name: str, value: Any) -> str:
        """A term in words; nothing is –."""
        if value is None:
            return NOTHING
        if isinstance(value, datetime):
            return format_date(value.astimezone(zone_of(self.zone)), "j M Y H:i")
        if name in ("stop_price", "limit_price"):
            return self.ticks.price(self.order.contract, value)
        return str(value) if isinstance(value, str) else quantity(value)

    @property
    def compared(self) -> list[Compared]:
        """Each field with what the order has now."""
        return [
            Compared(name, label, self.shown(name, getattr(self.order, name)), self._typed(name), self[name])
            for name, label in LABELS.items()
            if name in self.fields
        ]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if "good_till" in self.fields and data.get("time_in_force") != TimeInForce.GTD:
            data["good_till"] = None
            self.errors.pop("good_till", None)
        elif "good_till" in self.fields and data.get("good_till") is None and "good_till" not in self.errors:
            self.add_error("good_till", _("Say until when the order is good."))
        return data

    def changes(self) -> dict[str, Any]:
        """Only what differs from the acknowledged terms."""
        data, changed = self.cleaned_data, {}
        for name in LABELS:
            new, old = data.get(name), getattr(self.order, name)
            if name in self.fields and new is not None and not _is_same(new, old):
                changed[name] = TimeInForce(new) if name == "time_in_force" else new
        return changed

    def words(self, changes: dict[str, Any]) -> str:
        """ "limit price 99.00 → 99.10, in force DAY → GTC"."""
        parts = [
            f"{str(LABELS[name]).lower()} {self.shown(name, getattr(self.order, name))} → {self.shown(name, value)}"
            for name, value in changes.items()
        ]
        return ", ".join(parts)

    def moved_on(self) -> list[str]:
        """What of the order is no longer as it was when the form was made, as old → new; empty where all of it is."""
        seen = dict(part.split("=", 1) for part in self.cleaned_data.get("seen", "").split(";") if "=" in part)
        now = dict(part.split("=", 1) for part in fingerprint(self.order).split(";"))
        labels = {**LABELS, "filled": gettext_lazy("Filled")}
        return [
            f"{labels[name]}: {seen[name] or NOTHING} → {value or NOTHING}" for name, value in now.items() if seen.get(name, value) != value
        ]


def _is_same(new: Any, old: Any) -> bool:
    """A moment is typed in whole minutes."""
    if isinstance(new, datetime) and isinstance(old, datetime):
        return new.astimezone(UTC) == old.astimezone(UTC).replace(second=0, microsecond=0)
    return bool(new == old)


def fingerprint(order: OrderRecord) -> str:
    """The terms that can be changed, and what has filled, as a form carries them: "quantity=100;limit_price=99.5;...;filled=40"."""
    values = {name: getattr(order, name) for name in LABELS}
    values["filled"] = order.filled_quantity
    return ";".join(f"{name}={_plainly(value)}" for name, value in values.items())


def _plainly(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="minutes")
    return value if isinstance(value, str) else plain(Decimal(value))
