"""What may be spent, and what one unit takes of it: the parts that the methods of sizing are made of.

The rule kept here: budget and unit are in one currency, and what is missing is refused by field and rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from orders.rules.sizing.spelling import figure, money, percent, precise
from orders.rules.sizing.terms import AmountIn, Line, Note, SizingError, SizingFacts, SizingRequest
from orders.rules.terms import Side
from orders.rules.tickets import TicketError, check_number

OLD_VALUE = timedelta(minutes=10)
"""IB tells account values every three minutes; one that is older than this is said to be."""

HUNDRED = Decimal(100)
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Wish:
    """A size before lots and caps: `budget` divided by what one unit takes, or a quantity that was typed."""

    lines: tuple[Line, ...] = ()
    quantity: Decimal | None = None  # as typed
    budget: Decimal = Decimal(0)
    unit: Decimal = Decimal(1)
    currency: str = ""
    verb: str = "costs"  # what the unit does: it costs, or it risks
    stop_price: Decimal | None = None  # suggested
    notes: tuple[Note, ...] = ()
    why_zero: str = ""  # there is nothing to spend, and this is why


def entry_price(request: SizingRequest, facts: SizingFacts) -> Decimal:
    """The price that was given, else the market's. Raises `SizingError` where there is neither."""
    price = request.entry_price if request.entry_price is not None else facts.market_price
    if price is None:
        raise SizingError("entry_price", "PRICE_UNKNOWN", "is required: there is no fresh quote to take its place")
    return given_number("entry_price", price)


def worth_price(request: SizingRequest, facts: SizingFacts) -> Decimal:
    """What one is worth: the entry's price, of a sale below the market what the market gives, as the limits weigh it."""
    price = entry_price(request, facts)
    return price if request.side is Side.BUY or facts.market_price is None else max(price, facts.market_price)


def stop_distance(request: SizingRequest, facts: SizingFacts) -> Decimal:
    """From the entry to the stop, above zero. Raises `SizingError` for a stop that is missing, at the entry, or on the wrong side of it."""
    price, stop = entry_price(request, facts), request.stop_price
    if stop is None:
        raise SizingError("stop_price", "STOP_REQUIRED", "is required: the size is counted by what is lost there")
    given_number("stop_price", stop)
    if stop == price:
        raise SizingError("stop_price", "STOP_AT_ENTRY", f"is the entry of {figure(price)} itself: nothing would be at risk there")
    if (price - stop) * request.side.sign < 0:
        where = "below" if request.side is Side.BUY else "above"
        raise SizingError("stop_price", "STOP_WRONG_SIDE", f"must lie {where} the entry of {figure(price)} for a {request.side}")
    return abs(price - stop)


def rate_of(facts: SizingFacts) -> Decimal:
    """The exchange rate. Raises `SizingError` where it is not known: nothing can be weighed then."""
    if facts.rate is None or not facts.rate.is_finite() or facts.rate <= 0:
        words = f"cannot be weighed: the exchange rate from {facts.currency} to {facts.base_currency or 'the base currency'} is not known"
        raise SizingError("contract", "RATE_UNKNOWN", words)
    return facts.rate


def given_number(field: str, value: Decimal | None, most: Decimal | None = None) -> Decimal:
    """A number that must be there, above zero and no more than `most`. Raises `SizingError` with the rule NUMBER."""
    try:
        check_number(field, value)
    except TicketError as error:
        raise SizingError(field, "NUMBER", error.message) from error
    assert value is not None
    if most is not None and value > most:
        raise SizingError(field, "NUMBER", f"may be at most {figure(most)}")
    return value


@dataclass(frozen=True)
class Budget:
    """What may be spent, and the line that says where it comes from."""

    amount: Decimal
    line: Line
    of_contract: bool = False  # in the contract's currency, and no rate is needed
    notes: tuple[Note, ...] = ()


def typed_budget(request: SizingRequest, facts: SizingFacts) -> Budget:
    amount, of_contract = given_number("amount", request.amount), request.amount_in is AmountIn.CONTRACT
    currency = facts.currency if of_contract else facts.base_currency
    return Budget(amount, Line("Budget", "as typed", money(amount, currency)), of_contract)


def part_of_account(facts: SizingFacts, part: Decimal) -> Budget:
    """A percent of net liquidation, in the base currency."""
    net = facts.net_liquidation
    if net is None or not net.is_finite():
        raise SizingError("method", "NET_LIQUIDATION_UNKNOWN", "needs the net liquidation value of the account, which is not known")
    if net <= 0:
        raise SizingError("method", "NET_LIQUIDATION_UNKNOWN", f"needs a net liquidation value above zero: it is {figure(net)}")
    amount = net * part / HUNDRED
    line = Line("Budget", f"{percent(part)} of {money(net, facts.base_currency)}", money(amount, facts.base_currency))
    age = facts.net_liquidation_age
    if age is None or age <= OLD_VALUE:
        return Budget(amount, line)
    return Budget(amount, line, notes=(Note("NET_LIQUIDATION_OLD", f"The net liquidation value is {age // MINUTE} minutes old."),))


def bought(request: SizingRequest, facts: SizingFacts, budget: Budget, lines: tuple[Line, ...] = ()) -> Wish:
    """The budget by what one unit is worth."""
    return _spent(facts, budget, worth_price(request, facts), (*lines, budget.line), "Cost of one", "costs")


def risked(request: SizingRequest, facts: SizingFacts, budget: Budget, lines: tuple[Line, ...] = ()) -> Wish:
    """The budget by what one unit loses between entry and stop."""
    distance = stop_distance(request, facts)
    near, far = sorted((entry_price(request, facts), request.stop_price or Decimal(0)))
    line = Line("Distance to the stop", f"{figure(far)} − {figure(near)}", figure(distance))
    return _spent(facts, budget, distance, (*lines, budget.line, line), "Risk of one", "risks")


def _spent(facts: SizingFacts, budget: Budget, price: Decimal, lines: tuple[Line, ...], label: str, verb: str) -> Wish:
    one = unit(price, facts, in_base=not budget.of_contract)
    line = Line(label, one.words, precise(one.amount, one.currency))
    return Wish((*lines, line), budget=budget.amount, unit=one.amount, currency=one.currency, verb=verb, notes=budget.notes)


@dataclass(frozen=True)
class Unit:
    """What one unit comes to at a price, or over a distance."""

    amount: Decimal
    currency: str
    words: str  # the factors: "2 × 50 (multiplier)"


def unit(price: Decimal, facts: SizingFacts, *, in_base: bool = True) -> Unit:
    """Price times multiplier and, in the base currency, rate. Raises `SizingError` where the rate is needed and not known."""
    rate = rate_of(facts) if in_base else Decimal(1)
    currency = facts.base_currency if in_base else facts.currency
    factors = [figure(price)]
    if facts.multiplier != 1:
        factors.append(f"{figure(facts.multiplier)} (multiplier)")
    if currency != facts.currency:
        factors.append(f"{figure(rate)} ({currency} for 1 {facts.currency})")
    return Unit(price * facts.multiplier * rate, currency, " × ".join(factors))
