"""One function for each method: what may be spent, and what one unit takes of it.

The rule kept here: budget and unit are in one currency, and whatever a method needs and does not have is refused by field and rule. What is
made of them, in whole lots, is for `size`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

from orders.rules.pricing import PriceRule
from orders.rules.roundtrips import Statistics
from orders.rules.sizing.bars import atr
from orders.rules.sizing.spelling import figure, money, percent, precise
from orders.rules.sizing.terms import AmountIn, Basis, Line, Method, Note, SizingError, SizingFacts, SizingRequest
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


def wish(request: SizingRequest, facts: SizingFacts) -> Wish:
    """What the method of the request comes to."""
    return METHODS[request.method](request, facts)


# --- the methods ----------------------------------------------------------------------------------------------------------------------


def by_quantity(request: SizingRequest, facts: SizingFacts) -> Wish:
    quantity = _number("quantity", request.quantity)
    return Wish((Line("Quantity", "as typed", figure(quantity)),), quantity=quantity)


def by_cash(request: SizingRequest, facts: SizingFacts) -> Wish:
    """The amount by price, multiplier and, for an amount in the base currency, rate."""
    return _bought(request, facts, _typed(request, facts))


def by_net_liquidation(request: SizingRequest, facts: SizingFacts) -> Wish:
    """The same with a percent of the account."""
    return _bought(request, facts, _part(facts, _number("percent", request.percent)))


def by_risk(request: SizingRequest, facts: SizingFacts) -> Wish:
    """What may be lost by what one unit loses from the entry to the stop."""
    if request.amount is not None and request.percent is not None:
        raise SizingError("amount", "ONE_BUDGET", "may not be given beside a percent")
    if request.amount is not None:
        return _risked(request, facts, _typed(request, facts))
    return _risked(request, facts, _part(facts, _number("percent", request.percent, most=HUNDRED)))


def by_atr(request: SizingRequest, facts: SizingFacts) -> Wish:
    """Risk to a stop that is a multiple of the average true range away, on the tick that leaves it at least so much room."""
    budget = _part(facts, _number("percent", request.percent, most=HUNDRED))
    multiple = _number("atr_multiple", request.atr_multiple)
    price, average = entry_price(request, facts), _atr(request, facts)
    if facts.ticks is None:
        raise SizingError("method", "TICK_UNKNOWN", "needs the price ticks of the contract, which are not known yet")
    is_long = request.side is Side.BUY
    exact = price - multiple * average * request.side.sign
    stop = _beyond(exact, facts.ticks, down=is_long)
    if stop <= 0:
        raise SizingError("atr_multiple", "STOP_BELOW_ZERO", f"leaves no price above zero: the stop would stand at {figure(exact)}")
    sum_ = f"{figure(price)} {'−' if is_long else '+'} {figure(multiple)} × {figure(average)}"
    steps = (
        Line("Average true range", f"Wilder's, {request.atr_bars} of {len(facts.bars or ())} days", figure(average)),
        Line("Suggested stop", sum_ if stop == exact else f"{sum_} = {figure(exact)}, on the tick", figure(stop)),
    )
    found = _risked(replace(request, stop_price=stop), facts, budget, steps)
    typed = request.stop_price
    if typed is None or typed == stop:
        return replace(found, stop_price=stop)
    other = Note("OTHER_STOP", f"The size is made for a stop at {figure(stop)}, and not for the one typed at {figure(typed)}.")
    return replace(found, stop_price=stop, notes=(*found.notes, other))


def by_kelly(request: SizingRequest, facts: SizingFacts) -> Wish:
    """A fraction of f = W − (1 − W) / R, at most the cap, as a percent of net liquidation; nothing where there is no edge."""
    fraction = _number("kelly_fraction", request.kelly_fraction, most=Decimal(1))
    cap = _number("kelly_cap", request.kelly_cap, most=HUNDRED)
    edge, lines = _edge(request, facts)
    if edge is None or edge <= 0:
        found = "none of them won" if edge is None else f"Kelly's f is {figure(edge, 4)}"
        words = f"Nothing: the {facts.trades.number if facts.trades else 0} closed trades have no edge, {found}."
        return Wish(lines, currency=facts.base_currency, why_zero=words)
    share = edge * fraction * HUNDRED
    lines += (Line("Part of it", f"{figure(fraction)} × {figure(edge, 4)}", percent(share)),)
    capped: tuple[Note, ...] = ()
    if share > cap:
        lines += (Line("Cap", f"at most {percent(cap)}", percent(cap)),)
        capped = (Note("KELLY_CAPPED", f"Kelly's {percent(share)} is held to {percent(cap)} of net liquidation."),)
    spend = _risked if request.kelly_of is Basis.RISK else _bought
    found = spend(request, facts, _part(facts, min(share, cap)), lines)
    return replace(found, notes=(*capped, *found.notes))


METHODS: dict[Method, Callable[[SizingRequest, SizingFacts], Wish]] = {
    Method.QUANTITY: by_quantity,
    Method.CASH: by_cash,
    Method.NET_LIQUIDATION: by_net_liquidation,
    Method.RISK: by_risk,
    Method.ATR: by_atr,
    Method.KELLY: by_kelly,
}


# --- what they share ------------------------------------------------------------------------------------------------------------------


def entry_price(request: SizingRequest, facts: SizingFacts) -> Decimal:
    """The price that was given, else the market's. Raises `SizingError` where there is neither."""
    price = request.entry_price if request.entry_price is not None else facts.market_price
    if price is None:
        raise SizingError("entry_price", "PRICE_UNKNOWN", "is required: there is no fresh quote to take its place")
    return _number("entry_price", price)


def stop_distance(request: SizingRequest, facts: SizingFacts) -> Decimal:
    """From the entry to the stop, above zero. Raises `SizingError` for a stop that is missing, at the entry, or on the wrong side of it."""
    price, stop = entry_price(request, facts), request.stop_price
    if stop is None:
        raise SizingError("stop_price", "STOP_REQUIRED", "is required: the size is counted by what is lost there")
    _number("stop_price", stop)
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


def _number(field: str, value: Decimal | None, most: Decimal | None = None) -> Decimal:
    try:
        check_number(field, value)
    except TicketError as error:
        raise SizingError(field, "NUMBER", error.message) from error
    assert value is not None
    if most is not None and value > most:
        raise SizingError(field, "NUMBER", f"may be at most {figure(most)}")
    return value


@dataclass(frozen=True)
class _Budget:
    """What may be spent, and the line that says where it comes from."""

    amount: Decimal
    line: Line
    of_contract: bool = False  # in the contract's currency, and no rate is needed
    notes: tuple[Note, ...] = ()


def _typed(request: SizingRequest, facts: SizingFacts) -> _Budget:
    amount, of_contract = _number("amount", request.amount), request.amount_in is AmountIn.CONTRACT
    currency = facts.currency if of_contract else facts.base_currency
    return _Budget(amount, Line("Budget", "as typed", money(amount, currency)), of_contract)


def _part(facts: SizingFacts, part: Decimal) -> _Budget:
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
        return _Budget(amount, line)
    return _Budget(amount, line, notes=(Note("NET_LIQUIDATION_OLD", f"The net liquidation value is {age // MINUTE} minutes old."),))


def _bought(request: SizingRequest, facts: SizingFacts, budget: _Budget, lines: tuple[Line, ...] = ()) -> Wish:
    """The budget by what one unit is worth."""
    return _spent(facts, budget, entry_price(request, facts), (*lines, budget.line), "Cost of one", "costs")


def _risked(request: SizingRequest, facts: SizingFacts, budget: _Budget, lines: tuple[Line, ...] = ()) -> Wish:
    """The budget by what one unit loses between entry and stop."""
    distance = stop_distance(request, facts)
    near, far = sorted((entry_price(request, facts), request.stop_price or Decimal(0)))
    line = Line("Distance to the stop", f"{figure(far)} − {figure(near)}", figure(distance))
    return _spent(facts, budget, distance, (*lines, budget.line, line), "Risk of one", "risks")


def _spent(facts: SizingFacts, budget: _Budget, price: Decimal, lines: tuple[Line, ...], label: str, verb: str) -> Wish:
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


def _atr(request: SizingRequest, facts: SizingFacts) -> Decimal:
    if facts.bars is None:
        raise SizingError("method", "ATR_UNKNOWN", facts.bars_missing or "needs daily bars of the contract, and nobody asked for them")
    try:
        return atr(facts.bars, request.atr_bars)
    except TicketError as error:
        raise SizingError(error.field, "ATR_UNKNOWN", error.message) from error


def _beyond(price: Decimal, rule: PriceRule, *, down: bool) -> Decimal:
    """The price on the tick at or beyond this one; one that reaches the next band is on that band's tick too."""
    for _ in range(2 if price > 0 else 0):
        tick = rule.tick_at(price)
        if price % tick:
            price = price // tick * tick + (0 if down else tick)
    return price


def _edge(request: SizingRequest, facts: SizingFacts) -> tuple[Decimal | None, tuple[Line, ...]]:
    """Kelly's f of the closed trades; None where none won, because the formula goes to minus infinity.

    Raises `SizingError` for too few trades, and where none lost: there is no payoff then, and the formula would say to bet nearly all.
    """
    trades = facts.trades or Statistics()
    if request.kelly_trades < 1:
        raise SizingError("kelly_trades", "NUMBER", "must be at least 1")
    if trades.number < request.kelly_trades:
        words = f"needs {request.kelly_trades} closed trades: there are {trades.number}"
        raise SizingError("method", "TRADES_TOO_FEW", words + (f" ({facts.trades_of})" if facts.trades_of else ""))
    rate, payoff, win, loss = trades.win_rate, trades.payoff, trades.average_win, trades.average_loss
    if rate is None or payoff is None or loss is None:
        raise SizingError("method", "NO_LOSS", f"needs trades that lost to set the wins against: none of the {trades.number} did")
    lines: tuple[Line, ...] = (Line("Win rate W", f"{trades.wins} of {trades.number} trades", figure(rate, 4)),)
    if win is None:
        return None, lines
    edge, currency = rate - (1 - rate) / payoff, facts.base_currency
    return edge, (
        *lines,
        Line("Payoff R", f"average win {money(win, currency)} / average loss {money(loss, currency)}", figure(payoff, 4)),
        Line("Kelly f = W − (1 − W) / R", f"{figure(rate, 4)} − (1 − {figure(rate, 4)}) / {figure(payoff, 4)}", figure(edge, 4)),
    )
