"""How a form is read: its key and its age, numbers as traders type them, a refusal beside the field it names.

The rule it keeps: a number is digits and one point, nothing is guessed from a comma.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django import forms
from django.utils.translation import gettext_lazy

from orders.rules.tickets import TicketError, check_number

TOO_OLD = timedelta(seconds=60)
"""A ticket or preview older than this asks again before anything is sent."""


@dataclass(frozen=True)
class Stamp:
    """What every form carries: a fresh key, under which its request happens once, and when it was made."""

    key: str
    rendered_at: str

    @classmethod
    def fresh(cls, now: datetime) -> Stamp:
        return cls(uuid4().hex, now.isoformat())


def is_too_old(rendered_at: str, now: datetime) -> bool:
    """Whether what the user looked at is older than a minute; a time that cannot be read counts as old."""
    try:
        at = datetime.fromisoformat(rendered_at)
    except ValueError:
        return True
    return at.tzinfo is None or not timedelta(seconds=-5) <= now - at <= TOO_OLD


class Number(forms.CharField):
    """A decimal as a trader types it: digits, at most one point. "1,5" and "1e5" are refused, because they may be meant in two ways."""

    default_error_messages = {"invalid": gettext_lazy("Use digits and a point, as in 1234.5.")}

    def __init__(self, *, positive: bool = True, **options: Any) -> None:
        self.positive = positive
        super().__init__(**{"strip": True, "max_length": 32, **options})

    def clean(self, value: Any) -> Decimal | None:
        text = super().clean(value)
        if not text:
            return None
        if not re.fullmatch(r"[-−]?(\d+\.?|\d*\.\d{1,8})", text, re.ASCII):
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        number = Decimal(text.replace("−", "-"))
        try:
            check_number("number", number, positive=self.positive)
        except TicketError as error:
            raise forms.ValidationError(sentence(error.message), code="invalid") from error
        return number


def sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + ("" if words.endswith(".") else ".")


ELSEWHERE = {"contract": ("symbol",), "trail_amount": ("trail",), "trail_percent": ("trail",), "pairs": ("bracket", "quantity")}
"""Where a form shows what the rules call otherwise: beside the first of these that it has."""

IN_PAIRS = {"stop_limit_price": "stop_offset", "limit_offset": "stop_offset", "trail_amount": "stop", "trail_percent": "stop"}


def add_refusal(form: forms.Form, message: str, field: str, rule: str) -> None:
    """Puts a refusal beside the field it names, with its rule; in the summary where it names none of the form's."""
    words = f"{sentence(message)} ({rule})" if rule else sentence(message)
    if field not in form.fields:
        field = next((name for name in ELSEWHERE.get(field, ()) if name in form.fields), field)
    if found := re.fullmatch(r"(pair_\d+_)(\w+)", field):
        field = found[1] + IN_PAIRS.get(found[2], found[2])
    form.add_error(field if field in form.fields else None, forms.ValidationError(words, code=rule or "refused"))
