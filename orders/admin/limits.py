"""The limits that the pre-trade checks apply, for the desk, an account or a user.

The rule it keeps: a limit names a rule that exists and the scope that it is for, and every change of one is an event.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse

from orders.admin.common import BookAdmin
from orders.models import Limit
from orders.rules.limits import RULES
from orders.rules.terms import plain
from orders.rules.tickets import TicketError, check_number


def _rules() -> list[tuple[str, str]]:
    return [("", "—")] + [(rule.value, f"{rule.value}: {setting.meaning} ({setting.unit})") for rule, setting in RULES.items()]


def _defaults() -> list[dict[str, str]]:
    return [
        {"name": rule.value, "default": plain(s.default) if s.default is not None else "", "unit": s.unit, "meaning": s.meaning}
        for rule, s in RULES.items()
    ]


class LimitForm(forms.ModelForm):
    rule = forms.ChoiceField(choices=_rules)

    class Meta:
        model = Limit
        fields = ("scope", "account", "user", "rule", "value", "note")

    def clean_value(self) -> Any:
        value = self.cleaned_data["value"]
        try:
            check_number("value", value, positive=False)
        except TicketError as error:
            raise ValidationError(error.message) from error
        if value < 0:
            raise ValidationError("must not be below zero")
        return value

    def clean(self) -> dict[str, Any]:
        """The scope says whom the limit is for; the others must be empty, or a limit would mean two things."""
        values = super().clean() or self.cleaned_data
        for scope in ("account", "user"):
            chosen = values.get("scope") == scope
            if chosen and not values.get(scope):
                self.add_error(scope, "is required for this scope")
            elif not chosen and values.get(scope):
                self.add_error(scope, "must be empty for this scope")
        return values


@admin.register(Limit)
class LimitAdmin(BookAdmin):
    kinds = ("limit.set", "limit.set", "limit.removed")
    form = LimitForm
    list_display = ("rule", "scope", "account", "user", "amount", "note")
    list_filter = ("rule", "scope", "account")
    list_select_related = ("account", "user")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The rows, and below them the defaults that hold where there is none: an empty list is not a desk without limits."""
        return super().changelist_view(request, {**(extra_context or {}), "standing": _defaults()})

    @admin.display(description="value", ordering="value")
    def amount(self, limit: Limit) -> str:
        return plain(limit.value)

    def words(self, row: Limit) -> str:
        return f"{row}: {plain(row.value)}"
