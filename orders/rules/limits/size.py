"""How large an order is, by itself, with the position, and against what the account is worth and can buy.

The rule it keeps: what cannot be weighed is too heavy. Proven reductions are not weighed at all.
"""

from __future__ import annotations

from decimal import Decimal

from orders.rules.limit_table import Rule
from orders.rules.limits.exposed import Exposed
from orders.rules.limits.facts import Case, Reading
from orders.rules.limits.worth import notional, worst_price
from orders.rules.terms import Role, plain

CENT = Decimal("0.01")
UNWEIGHED = "The exchange rate to the account's base currency is not known, so nothing can be weighed."
NO_NET = "The account's net liquidation value is not known, or not of late."


def money(amount: Decimal) -> str:
    return plain(amount.quantize(CENT))


def share(amount: Decimal) -> str:
    return plain(amount.quantize(CENT))


def opening(case: Case) -> Decimal:
    """What of the order is new risk: of one that turns a position round the half that opens the opposite one, and all that it
    is made larger by."""
    quantity = case.terms.quantity
    if case.request.role is not Role.REVERSE:
        return quantity
    held = max(-case.facts.position * case.terms.side.sign, Decimal(0))
    return quantity - min(quantity / 2, held)


def quantity(case: Case) -> Reading:
    limit, actual = case.limits[Rule.MAX_QUANTITY], opening(case)
    words = f"The quantity {plain(actual)} is above the limit of {plain(limit)}."
    return Reading(Rule.MAX_QUANTITY, limit, actual, words if actual > limit else "", "quantity")


def worth(case: Case) -> Reading:
    limit = case.limits[Rule.MAX_NOTIONAL]
    if case.facts.exchange_rate is None:
        return Reading(Rule.MAX_NOTIONAL, limit, None, UNWEIGHED)
    actual = notional(case.terms, case.facts, case.market, opening(case))
    if actual is None:
        return Reading(Rule.MAX_NOTIONAL, limit, None, "There is no fresh quote to weigh this order by.")
    words = f"The order is worth {money(actual)}, above the limit of {plain(limit)}."
    return Reading(Rule.MAX_NOTIONAL, limit, actual, words if actual > limit else "", "quantity")


def position(case: Case) -> Reading:
    limit, facts, sign = case.limits[Rule.MAX_POSITION], case.facts, case.terms.side.sign
    actual = facts.position * sign + facts.working + case.request.adds * sign
    words = f"The position could become {plain(actual)}, above the limit of {plain(limit)}."
    return Reading(Rule.MAX_POSITION, limit, actual, words if actual > limit else "", "quantity")


def buying_power(case: Case) -> Reading | None:
    """Of a change only what it adds is asked for: the broker keeps the rest aside already."""
    limit, purse, request = case.limits[Rule.BUYING_POWER], case.facts.purse, case.request
    asked = notional(case.terms, case.facts, case.market, opening(case) - request.filled)
    if request.before is not None:
        kept = notional(request.before, case.facts, case.market, request.before.quantity - request.filled)
        if asked is not None and kept is not None and asked <= kept:
            return None
        asked = None if asked is None or kept is None else asked - kept
    power, unsent = purse.buying_power, purse.unsent
    if asked is None or power is None or unsent is None:
        what = "The account's buying power is not known, or not of late." if power is None else "What this order needs is not known."
        return Reading(Rule.BUYING_POWER, limit, None, what)
    need = asked + unsent
    actual = need / power if power > 0 else limit + 1
    words = f"It needs {money(need)}, with orders that it does not count yet; the buying power is {money(power)}."
    return Reading(Rule.BUYING_POWER, limit, actual, words if actual > limit else "", "quantity")


def risk_per_trade(case: Case) -> Reading | None:
    """What the entry loses when its stops are hit. A change that risks no more than before is none of its business."""
    risk, facts, limit = case.facts.risk, case.facts, case.limits[Rule.RISK_PER_TRADE]
    if not risk.has_stop or (case.request.is_change and risk.amount is not None and risk.before is not None and risk.amount <= risk.before):
        return None
    net = facts.purse.net_liquidation
    if risk.amount is None or facts.exchange_rate is None or net is None or net <= 0:
        words = NO_NET if net is None or net <= 0 else "How far the stop is from the entry is not known."
        return Reading(Rule.RISK_PER_TRADE, limit, None, words)
    loss = risk.amount * facts.multiplier * facts.exchange_rate
    actual = loss / net
    words = f"Stopped out it loses {money(loss)}, {_percent(actual)} % of what the account is worth; {_percent(limit)} % is allowed."
    return Reading(Rule.RISK_PER_TRADE, limit, actual, words if actual > limit else "", "quantity")


def require_stop(case: Case) -> Reading | None:
    limit, request = case.limits[Rule.REQUIRE_STOP], case.request
    if limit < 1 or case.facts.risk.has_stop or request.is_change or request.role not in (Role.SINGLE, Role.ENTRY, Role.REVERSE):
        return None
    return Reading(Rule.REQUIRE_STOP, limit, Decimal(0), "What opens or adds to a position must bring a stop; place it as a bracket.")


def _percent(fraction: Decimal) -> str:
    return plain((fraction * 100).quantize(CENT))


# --- exposure ---------------------------------------------------------------------------------------------------------------------------


def gross_exposure(case: Case) -> Reading | None:
    return _exposure(case, Rule.GROSS_EXPOSURE, "gross", "All positions together could be worth")


def net_exposure(case: Case) -> Reading | None:
    return _exposure(case, Rule.NET_EXPOSURE, "net", "Long less short positions could be worth")


def name_exposure(case: Case) -> Reading | None:
    return None if case.request.is_nothing else _exposure(case, Rule.NAME_EXPOSURE, "name", f"All of {case.facts.symbol} could be worth")


def _exposure(case: Case, rule: Rule, figure: str, words: str) -> Reading | None:
    """As it could be with the order, in parts of net liquidation. What adds nothing to it is not refused, however high it stands."""
    limit, facts, request = case.limits[rule], case.facts, case.request
    after, before = _exposed(case, request.adds), _exposed(case, request.stands)
    net = facts.purse.net_liquidation
    if net is None or net <= 0:
        return Reading(rule, limit, None, "" if request.is_nothing else NO_NET)
    if after.unknown:
        sentence = f"What {after.unknown} is worth is not known, so the exposure cannot be weighed."
        return Reading(rule, limit, None, "" if request.is_nothing else sentence)
    could, is_now = getattr(after, figure), getattr(before, figure)
    actual = could / net
    message = f"{words} {money(could)}, {share(actual)} times what the account is worth; {plain(limit)} times is allowed."
    return Reading(rule, limit, actual, message if actual > limit and could > is_now else "", "quantity")


def _exposed(case: Case, adds: Decimal) -> Exposed:
    facts = case.facts
    known = [price for price in (facts.market.price if facts.market else None, worst_price(case.terms, case.market)) if price is not None]
    line = facts.line(max(known, default=None), case.terms.side, adds)
    return facts.rest.plus(line, facts.symbol, same_name=True)
