"""Whether the order may be there at all: trading state, instrument, position, the desk's other orders.

The rule it keeps: what takes from a position goes in a state that only reduces, and a kill switch's own flattening in a halt; nothing
else does.
"""

from __future__ import annotations

from decimal import Decimal

from orders.rules.limit_table import HALTED, REDUCE_ONLY, Rule
from orders.rules.limits.facts import Case, InstrumentWord, Reading
from orders.rules.limits.worth import takes_any_price, trades_now
from orders.rules.terms import OrderType, Role, Side, plain

_SCOPES = {"desk": "the desk", "account": "this account", "user": "you"}
_WAYS_OUT = (Role.STOP_LOSS, Role.TIME_STOP, Role.CLOSE, Role.LIQUIDATION)


def trading_state(case: Case) -> Reading:
    request, state = case.request, case.limits[Rule.TRADING_STATE]
    words = ""
    if state >= HALTED and not (request.role is Role.LIQUIDATION and request.reduces):
        words = "Trading is halted; only cancels go out."
    elif state >= REDUCE_ONLY and not request.reduces:
        words = "Positions may only be reduced now."
    return Reading(Rule.TRADING_STATE, state, None, "" if request.is_nothing else words)


def exceeds(case: Case) -> Reading | None:
    request, facts = case.request, case.facts
    if not request.exceeds:
        return None
    words = f"An exit of {plain(request.terms.quantity)} is more than the position of {plain(facts.position)} leaves open."
    return Reading(Rule.EXCEEDS_POSITION, abs(facts.position), request.terms.quantity, words, "quantity")


def instrument_restricted(case: Case) -> Reading | None:
    facts = case.facts
    row = next((row for row in facts.instruments if not row.allows and row.names(facts.symbol, facts.sec_type)), None)
    if row is None:
        return None
    words = f"{_named(row)} may not be traded for {_SCOPES[row.whose]}{_why(row)}; positions may be closed."
    return Reading(Rule.INSTRUMENT_RESTRICTED, broken=words, field="contract")


def instrument_not_allowed(case: Case) -> Reading | None:
    """Where a scope allows anything, only what it names is allowed there."""
    facts = case.facts
    allowing: dict[str, list[InstrumentWord]] = {}
    for row in facts.instruments:
        if row.allows:
            allowing.setdefault(row.whose, []).append(row)
    for whose, rows in allowing.items():
        if not any(row.names(facts.symbol, facts.sec_type) for row in rows):
            words = (
                f"{facts.symbol} ({facts.sec_type}) is not among the instruments that {_SCOPES[whose]} may trade; positions may be closed."
            )
            return Reading(Rule.INSTRUMENT_NOT_ALLOWED, broken=words, field="contract")
    return None


def _named(row: InstrumentWord) -> str:
    return f"{row.symbol} ({row.sec_type})" if row.symbol and row.sec_type else row.symbol or f"Every {row.sec_type}"


def _why(row: InstrumentWord) -> str:
    return f" ({row.note.rstrip('.')})" if row.note else ""


def short_sales(case: Case) -> Reading | None:
    """A sale beyond what is held. Sales that work already are counted as filled, purchases that work are not."""
    limit, facts = case.limits[Rule.SHORT_SALES], case.facts
    if case.terms.side is not Side.SELL or limit >= 1:
        return None
    left = facts.position - facts.working + case.request.adds
    if left >= 0:
        return None
    words = f"It would sell {plain(-left)} more than is held; short sales are not allowed."
    return Reading(Rule.SHORT_SALES, limit, -left, words, "quantity")


def self_cross(case: Case) -> Reading | None:
    """An order that would trade with one that rests for the desk itself, whichever account it is for (a wash sale)."""
    request, facts, limit = case.request, case.facts, case.limits[Rule.SELF_CROSS]
    resting = facts.resting
    if limit >= 1 or resting is None or request.waits or (request.reduces and request.role in _WAYS_OUT):
        return None
    sign = case.terms.side.sign
    if case.terms.order_type in (OrderType.LIMIT, OrderType.LIMIT_ON_CLOSE):
        reach = case.terms.limit_price
    elif takes_any_price(case.terms) and trades_now(case.terms, case.market):
        reach = case.market.touch(case.terms.side) if case.market else None
    else:
        return None
    if reach is None or (reach - resting) * sign < 0:
        return None
    words = f"An order of the desk works at {plain(resting)} on the other side: the two would trade with one another."
    return Reading(Rule.SELF_CROSS, limit, Decimal(1), words, "limit_price" if case.terms.limit_price is not None else "")
