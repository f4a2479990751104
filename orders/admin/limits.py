"""The limits that the pre-trade checks apply, and the instruments that may or may not be traded, for the desk, an account or a user.

The rule it keeps: a row names what exists and the scope that it is for, and every change of one is an event.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse

from orders.admin.common import BookAdmin
from orders.models import InstrumentRule, Limit
from orders.rules.limits import RULES, Rule, loosens
from orders.rules.terms import plain
from orders.rules.tickets import TicketError, check_number


def _rules() -> list[tuple[str, str]]:
    return [("", "—")] + [(rule.value, f"{rule.value}: {setting.meaning} ({setting.unit})") for rule, setting in RULES.items()]


def _defaults() -> list[dict[str, str]]:
    return [
        {"name": rule.value, "default": plain(s.default) if s.default is not None else "", "unit": s.unit, "meaning": s.meaning}
        for rule, s in RULES.items()
    ]


class ScopedForm(forms.ModelForm):
    """The scope says whom the row is for; the others must be empty, or it would mean two things."""

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        for scope in ("account", "user"):
            chosen = values.get("scope") == scope
            if chosen and not values.get(scope):
                self.add_error(scope, "is required for this scope")
            elif not chosen and values.get(scope):
                self.add_error(scope, "must be empty for this scope")
        return values


class LimitForm(ScopedForm):
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
        """Whoever lets more through says why, each time anew; so does whoever makes one rule's row another's."""
        values = super().clean()
        rule, value = values.get("rule"), values.get("value")
        if rule is None or value is None:
            return values
        is_other = bool(self.instance.pk) and self.initial.get("rule") != rule
        before = RULES[Rule(rule)].default if not self.instance.pk else self.initial.get("value")
        if (is_other or loosens(Rule(rule), before, value)) and not ("note" in self.changed_data and str(values.get("note", "")).strip()):
            self.add_error("note", "say why: this lets more through than before")
        return values


class InstrumentRuleForm(ScopedForm):
    class Meta:
        model = InstrumentRule
        fields = ("kind", "scope", "account", "user", "symbol", "sec_type", "note")

    def clean_symbol(self) -> str:
        return str(self.cleaned_data["symbol"]).strip().upper()

    def clean_sec_type(self) -> str:
        return str(self.cleaned_data["sec_type"]).strip().upper()

    def clean(self) -> dict[str, Any]:
        values = super().clean()
        if not values.get("symbol") and not values.get("sec_type"):
            self.add_error("symbol", "say a symbol, a kind of instrument, or both")
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


@admin.register(InstrumentRule)
class InstrumentRuleAdmin(BookAdmin):
    """Where any row of a scope allows something, only what such rows name is allowed there; what is restricted anywhere is restricted."""

    kinds = ("instrument_rule.set", "instrument_rule.set", "instrument_rule.removed")
    form = InstrumentRuleForm
    list_display = ("kind", "symbol", "sec_type", "scope", "account", "user", "note")
    list_filter = ("kind", "scope", "account", "sec_type")
    list_select_related = ("account", "user")
