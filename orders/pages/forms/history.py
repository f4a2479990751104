"""The filters of the blotter, as its address carries them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orders.models import Account
from orders.pages.forms.words import SIDES
from orders.queries.blotter import HistoryFilters
from orders.rules.lifecycle import OrderStatus


class HistoryForm(forms.Form):
    """The blotter's filters, as the address carries them. What is not understood is said, and filters nothing out."""

    begin = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}))
    end = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}))
    account = forms.ChoiceField(required=False)
    symbol = forms.CharField(required=False, max_length=64, strip=True)
    side = forms.ChoiceField(required=False, choices=[("", gettext_lazy("Any")), *SIDES])
    status = forms.ChoiceField(
        required=False,
        choices=[
            ("", gettext_lazy("Any status")),
            ("open", gettext_lazy("Open")),
            *[(status.value, status.value) for status in OrderStatus],
        ],
    )
    by = forms.ChoiceField(required=False)
    text = forms.CharField(required=False, max_length=100, strip=True)

    def __init__(self, *args: Any, accounts: Iterable[Account], people: Iterable[str], **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["account"].choices = [("", _("All"))] + [(account.code, str(account)) for account in accounts]  # type: ignore[attr-defined]
        self.fields["by"].choices = [("", _("Anyone"))] + [(name, name) for name in people]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        begin, end = data.get("begin"), data.get("end")
        if begin and end and begin > end:
            self.add_error("end", _("Lies before the first day."))
        return data

    def filters(self, zone: str) -> HistoryFilters:
        """The filters that were understood."""
        data = self.cleaned_data if self.is_valid() else getattr(self, "cleaned_data", {})

        def text(name: str) -> str:
            return data.get(name) or ""

        def day(name: str) -> date | None:
            return data.get(name)

        return HistoryFilters(
            account=text("account"), symbol=text("symbol"), side=text("side"), status=text("status"), by=text("by"), text=text("text"),
            begin=day("begin"), end=day("end"), zone=zone,
        )  # fmt: skip
