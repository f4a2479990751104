"""The size of an order: what a method wishes for, in whole lots, within the caps, with its arithmetic.

The rule it keeps: every step rounds down, so that a budget and a cap are never exceeded; arithmetic is exact, because a quotient rounded up
in its last digit would be a lot too many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import ROUND_DOWN, ROUND_UP, Context, Decimal, localcontext

from orders.rules.sizing.budgets import HUNDRED, Wish, entry_price, given_number, stop_distance, unit, worth_price
from orders.rules.sizing.lots import NOTHING, Capped, Lots, within_caps
from orders.rules.sizing.methods import wish
from orders.rules.sizing.spelling import figure, money, percent, percent_needed, precise
from orders.rules.sizing.terms import Line, Method, Note, Sizing, SizingError, SizingFacts, SizingRequest

_EXACT = Context(prec=100, rounding=ROUND_DOWN)
"""Products of four numbers of a money column have at most 96 digits."""


def size(request: SizingRequest, facts: SizingFacts) -> Sizing:
    """The size that the request comes to, zero where a lot is more than it allows (`Sizing.why_zero` says what it would take).

    Raises `SizingError`, a `TicketError`, naming the field and the rule, for what makes no sense and for what is not known.
    """
    with localcontext(_EXACT):
        _check_contract(facts)
        wanted, lots = wish(request, facts), Lots.of(facts)
        if wanted.stop_price is not None:
            request = replace(request, stop_price=wanted.stop_price)
        found = _in_lots(request, wanted, lots)
        if found.quantity:
            given_number("quantity", found.quantity)  # no more digits than the book keeps
            capped = within_caps(found.quantity, request, facts, lots)
            found = replace(capped, lines=(*found.lines, *capped.lines), notes=(*found.notes, *capped.notes))
        return _weighed(request, facts, found, suggests_stop=wanted.stop_price is not None)


def _check_contract(facts: SizingFacts) -> None:
    for value in (facts.multiplier, facts.min_size, facts.size_increment):
        if not value.is_finite() or value < 0:
            raise SizingError("contract", "CONTRACT", "names a multiplier or a size that makes no sense")
    if not facts.multiplier:
        raise SizingError("contract", "CONTRACT", "names no multiplier")


def _in_lots(request: SizingRequest, wanted: Wish, lots: Lots) -> Capped:
    """The wish in whole lots, and where it is less than one lot, what that would take."""
    if wanted.why_zero:
        return Capped(NOTHING, wanted.lines, wanted.notes, wanted.why_zero)
    lines, notes, typed = wanted.lines, wanted.notes, wanted.quantity
    raw = wanted.budget / wanted.unit if typed is None else typed
    if typed is None:
        words = f"{money(wanted.budget, wanted.currency)} / {precise(wanted.unit, wanted.currency)}"
        lines += (Line("Quantity", words, figure(raw)),)
    quantity = lots.down(raw)
    if quantity != raw:
        lines += (Line("Rounded down", lots.words, figure(quantity)),)
    if not quantity:
        return Capped(NOTHING, lines, notes, _too_little(request, wanted, lots))
    if quantity != typed is not None:
        notes += (Note("ROUNDED", f"{figure(raw)} is rounded down to {figure(quantity)}: sizes are {lots.words}."),)
    return Capped(quantity, lines, notes)


def _too_little(request: SizingRequest, wanted: Wish, lots: Lots) -> str:
    least = figure(lots.least)
    if wanted.quantity is not None:
        return f"Nothing: {figure(wanted.quantity)} is less than the smallest size of {least}."
    needed = lots.least * wanted.unit
    words = f"Nothing: the smallest size of {least} {wanted.verb} {money(needed, wanted.currency, ROUND_UP)}, "
    words += f"and the budget is {money(wanted.budget, wanted.currency, ROUND_DOWN)}."
    if request.method in (Method.NET_LIQUIDATION, Method.RISK, Method.ATR) and request.percent is not None:
        words += f" It would take {percent_needed(request.percent * needed / wanted.budget)} of net liquidation."
    return words


def _weighed(request: SizingRequest, facts: SizingFacts, found: Capped, *, suggests_stop: bool) -> Sizing:
    """The size with what it is worth and what it loses at the stop, as far as that can be known."""
    rate = facts.rate if facts.rate is not None and facts.rate.is_finite() and facts.rate > 0 else None
    known = request.entry_price is not None or facts.market_price is not None
    price, each = (entry_price(request, facts), worth_price(request, facts)) if known else (None, None)
    # A stop that makes no sense is refused whatever the method is.
    distance = stop_distance(request, facts) if known and request.stop_price is not None else None
    notes = (*found.notes, *facts.notes)
    if rate is None:
        words = f"The exchange rate from {facts.currency} to {facts.base_currency or 'the base currency'} is not known."
        notes += (Note("RATE_UNKNOWN", words),)
    worth, risk = (None if one is None else found.quantity * one * facts.multiplier for one in (each, distance))
    worth_base, risk_base = (None if amount is None or rate is None else amount * rate for amount in (worth, risk))
    net = facts.net_liquidation
    part = risk_base / net * HUNDRED if risk_base is not None and net is not None and net.is_finite() and net > 0 else None
    return Sizing(
        method=request.method,
        quantity=found.quantity,
        lines=(*found.lines, *_last_lines(found.quantity, each, distance, facts, part, in_base=rate is not None)),
        price=price,
        stop_price=request.stop_price,
        suggests_stop=suggests_stop,
        notional=worth,
        notional_base=worth_base,
        risk=risk,
        risk_base=risk_base,
        risk_percent=part,
        warnings=notes,
        why_zero=found.why_zero,
    )


def _last_lines(
    quantity: Decimal, price: Decimal | None, distance: Decimal | None, facts: SizingFacts, part: Decimal | None, *, in_base: bool
) -> Sequence[Line]:
    lines: list[Line] = []
    told = f" ({percent(part)} of net liquidation)" if part is not None else ""
    for label, one, more in (("Worth", price, ""), ("Lost at the stop", distance, told)):
        if one is not None and quantity:
            each = unit(one, facts, in_base=in_base)
            lines.append(Line(label, f"{figure(quantity)} × {each.words}", money(quantity * each.amount, each.currency) + more))
    return lines
