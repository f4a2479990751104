"""Field shorthands shared by the models, so that money, quantities and word lists look the same everywhere."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any

from django.db import models


def money(**options: Any) -> models.DecimalField:
    """A price, amount or quantity. The form refuses more than 15 significant digits (terms.MAX_SIGNIFICANT_DIGITS); the column is wider."""
    return models.DecimalField(max_digits=24, decimal_places=8, **options)


def word(words: Iterable[Enum], **options: Any) -> models.CharField:
    """One of a fixed list of words, as text, so that rows read well in any tool."""
    members = list(words)
    choices = [(member.value, member.value) for member in members]
    return models.CharField(max_length=max(len(member.value) for member in members), choices=choices, **options)
