"""A date and time as a person in the account's zone writes it.

The rule it keeps: a clock time that does not exist, or comes twice, on the night the clocks change is refused and not guessed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy

from orders.queries.show import zone_of


class LocalMoment(forms.CharField):
    """A moment, typed without a zone and meant in `zone` (set by the form that knows the account); cleaned to UTC."""

    default_error_messages = {
        "invalid": gettext_lazy("Give a date and a time, as in 2026-03-02 15:30."),
        "ambiguous": gettext_lazy("The clocks change at that hour: choose another."),
    }
    zone = "UTC"

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"strip": True, "max_length": 32, **options})

    def clean(self, value: Any) -> datetime | None:  # type: ignore[override]
        text = super().clean(value)
        if not text:
            return None
        try:
            typed = datetime.fromisoformat(text)
        except ValueError:
            typed = None
        if typed is None or typed.tzinfo is not None:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        here = typed.replace(tzinfo=zone_of(self.zone))
        if here.utcoffset() != here.replace(fold=1).utcoffset():
            raise forms.ValidationError(self.error_messages["ambiguous"], code="ambiguous")
        return here.astimezone(UTC)
