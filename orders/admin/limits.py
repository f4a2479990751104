"""The limits that the pre-trade checks apply, and the instruments that may or may not be traded, for the desk, an account or a user.

The rule it keeps: a row names what exists and the scope that it is for, and every change of one is an event; what is taken away is taken
away for a reason. Trading states are only shown: they have verbs and rights of their own.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.actions import delete_selected
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from orders.admin.common import BookAdmin
from orders.manager.halting import LONGEST_REASON
from orders.models import InstrumentRule, Limit
from orders.queries.access import visible_accounts
from orders.rules.limits import RULES, Rule, loosens
from orders.rules.terms import plain
from orders.rules.tickets import TicketError, check_number


def _rules() -> list[tuple[str, str]]:
    told = [(rule.value, f"{rule.value}: {s.meaning} ({s.unit})") for rule, s in RULES.items() if rule is not Rule.TRADING_STATE]
    return [("", "—"), *told]


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
        """Whoever lets more through says why, each time anew; so does whoever makes one rule's row, or one scope's, another's."""
        values = super().clean()
        rule, value = values.get("rule"), values.get("value")
        if rule is None or value is None:
            return values
        is_other = bool(self.instance.pk) and not {"rule", "scope", "account", "user"}.isdisjoint(self.changed_data)
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


class ScopedAdmin(BookAdmin):
    """Rows of the accounts that the user may see, of users and of the desk. Deleting one asks why."""

    delete_confirmation_template = "admin/orders/delete_one.html"
    delete_selected_confirmation_template = "admin/orders/delete_several.html"
    actions = ("delete_selected",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        return rows if request.user.is_superuser else rows.filter(Q(account=None) | Q(account__in=visible_accounts(request.user)))

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "account" and not request.user.is_superuser:
            kwargs["queryset"] = visible_accounts(request.user)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def reason(self, request: HttpRequest) -> str:
        return request.POST.get("reason", "").strip()[:LONGEST_REASON]

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        if request.method == "POST" and not self.reason(request):
            self._ask_why(request)
            return redirect(request.path)
        return super().delete_view(request, object_id, extra_context)

    @admin.action(description="Delete the selected rows", permissions=["delete"])
    def delete_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        if request.POST.get("post") and not self.reason(request):
            self._ask_why(request)
            request.POST = request.POST.copy()  # type: ignore[assignment]
            request.POST.pop("post")  # type: ignore[attr-defined]
        return delete_selected(self, request, queryset)

    def _ask_why(self, request: HttpRequest) -> None:
        self.message_user(request, "Nothing was deleted: say why.", messages.ERROR)


@admin.register(Limit)
class LimitAdmin(ScopedAdmin):
    kinds = ("limit.set", "limit.set", "limit.removed")
    form = LimitForm
    list_display = ("rule", "scope", "account", "user", "amount", "note")
    list_filter = ("rule", "scope", "account")
    list_select_related = ("account", "user")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The rows, and below them the defaults that hold where there is none: an empty list is not a desk without limits."""
        return super().changelist_view(request, {**(extra_context or {}), "standing": _defaults()})

    def has_change_permission(self, request: HttpRequest, obj: Limit | None = None) -> bool:
        return super().has_change_permission(request, obj) and not _is_state(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Limit | None = None) -> bool:
        return super().has_delete_permission(request, obj) and not _is_state(obj)

    @admin.display(description="value", ordering="value")
    def amount(self, limit: Limit) -> str:
        return plain(limit.value)

    def words(self, row: Limit) -> str:
        return f"{row}: {plain(row.value)}"


def _is_state(limit: Limit | None) -> bool:
    """Holding back and releasing need rights of their own: a trading state is neither changed nor deleted as a limit is."""
    return limit is not None and limit.rule == Rule.TRADING_STATE


@admin.register(InstrumentRule)
class InstrumentRuleAdmin(ScopedAdmin):
    """Where any row of a scope allows something, only what such rows name is allowed there; what is restricted anywhere is restricted."""

    kinds = ("instrument_rule.set", "instrument_rule.set", "instrument_rule.removed")
    form = InstrumentRuleForm
    list_display = ("kind", "symbol", "sec_type", "scope", "account", "user", "note")
    list_filter = ("kind", "scope", "account", "sec_type")
    list_select_related = ("account", "user")
