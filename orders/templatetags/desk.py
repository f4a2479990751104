"""What every page of the desk shows around its content, the login page included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import template
from django.forms import BoundField
from django.utils.html import format_html

from orders.models import Account, Book
from orders.queries.access import tradable_ids
from orders.queries.desk import book_kind
from orders.queries.show import Moment, expiry_words

register = template.Library()


@dataclass(frozen=True)
class BookMark:
    """SIMULATED, PAPER or LIVE, with its colour role and the sentence behind it, and the book's last sequence number."""

    word: str
    css: str
    title: str
    seq: int


@register.simple_tag
def book_mark() -> BookMark:
    row = Book.objects.filter(pk=1).only("kind", "seq").first()
    word, css, title = book_kind(row.kind if row else "")
    return BookMark(word, css, str(title), row.seq if row else 0)


@register.inclusion_tag("_time.html")
def clock(moment: Moment | None, form: str = "clock") -> dict[str, object]:
    """A moment in the zone of its account: `clock` 10:31:26, `stamp` 20 Nov 10:31:26, `full` with year and zone. UTC is in its title."""
    return {"moment": moment, "text": getattr(moment, form) if moment else ""}


@register.inclusion_tag("_age.html")
def age(moment: Moment | None, text: str) -> dict[str, object]:
    """How long ago, counted on by the page."""
    return {"moment": moment, "text": text}


@register.filter
def at(values: Mapping[str, object], name: str) -> object:
    """The value of that name; empty where there is none."""
    return values.get(name, "")


@register.filter
def expiry(code: str) -> str:
    """IB's "20261218" as "18 Dec 2026"."""
    return expiry_words(code)


@register.simple_tag
def contract(label: str) -> str:
    """What a contract is called in a row: of "AAPL 20261218 240 C" the symbol, and the rest as a line below it."""
    head, _, rest = label.partition(" ")
    return format_html('{} <span class="k-con">{}</span>', head, rest) if rest else format_html("{}", head)


@register.simple_tag
def may_trade(user: Any, account: Account | None) -> bool:
    """Whether the user may trade the account that the page shows."""
    return account is not None and account.pk in tradable_ids(user)


@register.inclusion_tag("_errors.html")
def field_errors(bound: BoundField) -> dict[str, object]:
    """The errors of a field, in words, beside it."""
    return {"bound": bound}


@register.simple_tag
def invalid(bound: BoundField, *also: str) -> str:
    """The attributes of an input that something is wrong with: that it is, and where it is said (`field_errors`).

    `also`: what is said of the field whether it is wrong or not, by the endings of the elements' ids, as in "why".
    """
    names = " ".join(f"{bound.id_for_label}-{ending}" for ending in (*also, *(["err"] if bound.errors else [])))
    marked = format_html(' aria-invalid="{}"', "true") if bound.errors else ""
    described = format_html(' aria-describedby="{}"', names) if names else ""
    return format_html("{}{}", marked, described)


@register.inclusion_tag("_mark.html")
def mark(order_mark: object) -> dict[str, object]:
    """The status of an order: glyph, word and colour."""
    return {"mark": order_mark}
