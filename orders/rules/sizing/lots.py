"""Whole lots, and the caps that shrink a size. The rule kept here: down, never up; what shrinks is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal

from orders.rules.pricing import DECIMAL_PLACES
from orders.rules.sizing.budgets import Unit, unit, worth_price
from orders.rules.sizing.spelling import figure, money, precise
from orders.rules.sizing.terms import Line, Note, SizingFacts, SizingRequest

NOTHING = Decimal(0)


@dataclass(frozen=True)
class Lots:
    """The quantities that the broker takes: multiples of the increment, from the smallest size on."""

    increment: Decimal
    least: Decimal

    @classmethod
    def of(cls, facts: SizingFacts) -> Lots:
        increment = facts.size_increment or DECIMAL_PLACES
        whole, rest = divmod(facts.min_size, increment)
        return cls(increment, max(whole + (1 if rest else 0), Decimal(1)) * increment)

    def down(self, quantity: Decimal) -> Decimal:
        """The largest quantity that is no more than this one; zero below the smallest."""
        whole = quantity // self.increment * self.increment
        return whole if whole >= self.least else NOTHING

    @property
    def words(self) -> str:
        least = f", at least {figure(self.least)}" if self.least != self.increment else ""
        return f"in multiples of {figure(self.increment)}{least}"


@dataclass(frozen=True)
class Capped:
    """A size within the caps. `why_zero`: nothing is left, and this is why."""

    quantity: Decimal
    lines: tuple[Line, ...] = ()
    notes: tuple[Note, ...] = ()
    why_zero: str = ""


def within_caps(quantity: Decimal, request: SizingRequest, facts: SizingFacts, lots: Lots) -> Capped:
    """The quantity held to each cap in turn. Raises `SizingError` where a cap is an amount and the order cannot be weighed."""
    held = Capped(quantity)
    for cap in _caps(request, facts):
        allowed = lots.down(max(cap.quantity, NOTHING))
        if allowed < held.quantity:
            held = _held(held, cap, allowed, lots)
    return held


@dataclass(frozen=True)
class _Cap:
    """One cap as a quantity, not yet in whole lots; with what one unit is worth where it is an amount."""

    code: str
    label: str
    expression: str
    words: str
    quantity: Decimal
    one: Unit | None = None


def _held(before: Capped, cap: _Cap, allowed: Decimal, lots: Lots) -> Capped:
    lines = (*before.lines, Line(cap.label, cap.expression, figure(allowed)))
    if allowed:
        note = Note(cap.code, f"{figure(before.quantity)} is held to {figure(allowed)} by {cap.words}.")
        return Capped(allowed, lines, (*before.notes, note))
    worth = f", which is worth {money(lots.least * cap.one.amount, cap.one.currency, ROUND_UP)}" if cap.one else ""
    words = f"Nothing: {cap.words} allows less than the smallest size of {figure(lots.least)}{worth}."
    return Capped(NOTHING, lines, before.notes, words)


def _caps(request: SizingRequest, facts: SizingFacts) -> Iterator[_Cap]:
    most = facts.caps.max_quantity
    if most is not None:
        yield _Cap("MAX_QUANTITY", "Largest quantity", "limit of one order", f"the limit of {figure(most)}", most)
    for code, label, words, amount in (
        ("MAX_NOTIONAL", "Largest worth", "the limit of {} for one order", facts.caps.max_notional),
        ("BUYING_POWER", "Buying power", "the buying power of {}", facts.caps.buying_power),
    ):
        if amount is not None:
            one, shown = unit(worth_price(request, facts), facts), money(amount, facts.base_currency)
            expression = f"{shown} / {precise(one.amount, one.currency)}"
            yield _Cap(code, label, expression, words.format(shown), amount / one.amount, one)
