"""How many orders there are and how fast they come: open orders, orders a minute, messages for each execution, the same order twice.

The rule it keeps: cancels are counted where the broker counts them and never refused; a way out of a position is not kept in by a rate.
"""

from __future__ import annotations

from decimal import Decimal

from orders.rules.limit_table import Rule
from orders.rules.limits.facts import Case, Reading
from orders.rules.terms import Role, plain


def open_orders(case: Case) -> Reading | None:
    """What closes a position is not counted against orders that are on their way out themselves: whether there are too many is the broker's
    to say then."""
    request, limit = case.request, case.limits[Rule.MAX_OPEN_ORDERS]
    if request.is_change or request.is_nothing or (request.reduces and request.role in (Role.CLOSE, Role.LIQUIDATION)):
        return None
    actual = Decimal(case.facts.open_orders + 1)
    words = f"This would be open order number {plain(actual)} of this side in this contract; {plain(limit)} are allowed."
    return Reading(Rule.MAX_OPEN_ORDERS, limit, actual, words if actual > limit else "")


def user_orders(case: Case) -> Reading | None:
    request, limit = case.request, case.limits[Rule.MAX_USER_ORDERS]
    if request.is_change:
        return None
    actual = Decimal(case.facts.user_orders + _more(case))
    words = f"This would be your open order number {plain(actual)}; {plain(limit)} are allowed."
    return Reading(Rule.MAX_USER_ORDERS, limit, actual, words if actual > limit else "")


def order_rate(case: Case) -> Reading | None:
    """A new way out passes; moving one to and fro is counted like anything else, because that is what a fault would do."""
    limit = case.limits[Rule.ORDER_RATE]
    if _leads_out(case):
        return None
    actual = Decimal(case.facts.traffic.recent + _more(case))
    words = f"This would be your order or change number {plain(actual)} within a minute; {plain(limit)} are allowed. Cancels always go."
    return Reading(Rule.ORDER_RATE, limit, actual, words if actual > limit else "")


def order_ratio(case: Case) -> Reading | None:
    """IB's Order Efficiency Ratio, by account and trading day."""
    traffic, limit, request = case.facts.traffic, case.limits[Rule.ORDER_RATIO], case.request
    if _leads_out(case):
        return None
    messages = traffic.messages + _more(case)
    actual = Decimal(messages) / (traffic.executions + 1)
    if messages < case.limits[Rule.ORDER_RATIO_FROM]:
        return Reading(Rule.ORDER_RATIO, limit, actual) if request.is_nothing else None
    words = (
        f"{messages} messages for {traffic.executions} executions today are {plain(actual.quantize(Decimal('0.1')))} to one; "
        f"{plain(limit)} are allowed. Cancels and exits go on."
    )
    return Reading(Rule.ORDER_RATIO, limit, actual, words if actual > limit else "")


def duplicate(case: Case) -> Reading | None:
    request, limit, age = case.request, case.limits[Rule.DUPLICATE_SECONDS], case.facts.duplicate_age_seconds
    if request.confirm_duplicate or request.is_change or request.accepted or age is None or age >= limit:
        return None
    words = f"You placed the same order {plain(age.quantize(Decimal('0.1')))} seconds ago. Confirm if you mean a second one."
    return Reading(Rule.DUPLICATE_SECONDS, limit, age, words)


def _leads_out(case: Case) -> bool:
    """Made smaller and smaller, an order comes to its end: that cannot go on for ever."""
    return case.request.reduces and (case.request.shrinks or not case.request.is_change)


def _more(case: Case) -> int:
    return 0 if case.request.is_nothing else case.facts.traffic.judged
