"""One function for each method of sizing: what it may spend, and what one unit takes of it.

The rule kept here: whatever a method needs and does not have is refused by field and rule. Whole lots and caps are for `size`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from orders.rules.pricing import PriceRule
from orders.rules.roundtrips import Statistics
from orders.rules.sizing.bars import atr
from orders.rules.sizing.budgets import HUNDRED, Wish, bought, entry_price, given_number, part_of_account, risked, typed_budget
from orders.rules.sizing.spelling import figure, money, percent
from orders.rules.sizing.terms import Basis, Line, Method, Note, SizingError, SizingFacts, SizingRequest
from orders.rules.terms import Side
from orders.rules.tickets import TicketError


def wish(request: SizingRequest, facts: SizingFacts) -> Wish:
    """What the method of the request comes to."""
    return METHODS[request.method](request, facts)


def by_quantity(request: SizingRequest, facts: SizingFacts) -> Wish:
    quantity = given_number("quantity", request.quantity)
    return Wish((Line("Quantity", "as typed", figure(quantity)),), quantity=quantity)


def by_cash(request: SizingRequest, facts: SizingFacts) -> Wish:
    """The amount by price, multiplier and, for an amount in the base currency, rate."""
    return bought(request, facts, typed_budget(request, facts))


def by_net_liquidation(request: SizingRequest, facts: SizingFacts) -> Wish:
    """The same with a percent of the account."""
    return bought(request, facts, part_of_account(facts, given_number("percent", request.percent)))


def by_risk(request: SizingRequest, facts: SizingFacts) -> Wish:
    """What may be lost by what one unit loses from the entry to the stop."""
    if request.amount is not None and request.percent is not None:
        raise SizingError("amount", "ONE_BUDGET", "may not be given beside a percent")
    if request.amount is not None:
        return risked(request, facts, typed_budget(request, facts))
    return risked(request, facts, part_of_account(facts, given_number("percent", request.percent, most=HUNDRED)))


def by_atr(request: SizingRequest, facts: SizingFacts) -> Wish:
    """Risk to a stop that is a multiple of the average true range away, on the tick that leaves it at least so much room."""
    budget = part_of_account(facts, given_number("percent", request.percent, most=HUNDRED))
    multiple = given_number("atr_multiple", request.atr_multiple)
    price, average = entry_price(request, facts), _atr(request, facts)
    if facts.ticks is None:
        raise SizingError("method", "TICK_UNKNOWN", "needs the price ticks of the contract, which are not known yet")
    is_long = request.side is Side.BUY
    exact = price - multiple * average * request.side.sign
    stop = _beyond(exact, facts.ticks, down=is_long)
    if stop <= 0:
        raise SizingError("atr_multiple", "STOP_BELOW_ZERO", f"leaves no price above zero: the stop would stand at {figure(exact)}")
    away = f"{figure(price)} {'−' if is_long else '+'} {figure(multiple)} × {figure(average)}"
    steps = (
        Line("Average true range", f"Wilder's, {request.atr_bars} of {len(facts.bars or ())} days", figure(average)),
        Line("Suggested stop", away if stop == exact else f"{away} = {figure(exact)}, on the tick", figure(stop)),
    )
    found = risked(replace(request, stop_price=stop), facts, budget, steps)
    typed = request.stop_price
    if typed is None or typed == stop:
        return replace(found, stop_price=stop)
    other = Note("OTHER_STOP", f"The size is made for a stop at {figure(stop)}, and not for the one typed at {figure(typed)}.")
    return replace(found, stop_price=stop, notes=(*found.notes, other))


def by_kelly(request: SizingRequest, facts: SizingFacts) -> Wish:
    """A fraction of f = W − (1 − W) / R, at most the cap, as a percent of net liquidation; nothing where there is no edge."""
    fraction = given_number("kelly_fraction", request.kelly_fraction, most=Decimal(1))
    cap = given_number("kelly_cap", request.kelly_cap, most=HUNDRED)
    edge, lines = _edge(request, facts)
    if edge is None or edge <= 0:
        why = "none of them won" if edge is None else f"Kelly's f is {figure(edge, 4)}"
        number = facts.trades.number if facts.trades else 0
        return Wish(lines, currency=facts.base_currency, why_zero=f"Nothing: the {number} closed trades have no edge, {why}.")
    share = edge * fraction * HUNDRED
    lines += (Line("Part of it", f"{figure(fraction)} × {figure(edge, 4)}", percent(share)),)
    capped: tuple[Note, ...] = ()
    if share > cap:
        lines += (Line("Cap", f"at most {percent(cap)}", percent(cap)),)
        capped = (Note("KELLY_CAPPED", f"Kelly's {percent(share)} is held to {percent(cap)} of net liquidation."),)
    spend = risked if request.kelly_of is Basis.RISK else bought
    found = spend(request, facts, part_of_account(facts, min(share, cap)), lines)
    return replace(found, notes=(*capped, *found.notes))


METHODS: dict[Method, Callable[[SizingRequest, SizingFacts], Wish]] = {
    Method.QUANTITY: by_quantity,
    Method.CASH: by_cash,
    Method.NET_LIQUIDATION: by_net_liquidation,
    Method.RISK: by_risk,
    Method.ATR: by_atr,
    Method.KELLY: by_kelly,
}


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
    edge, currency = trades.kelly, facts.base_currency
    return edge, (
        *lines,
        Line("Payoff R", f"average win {money(win, currency)} / average loss {money(loss, currency)}", figure(payoff, 4)),
        Line("Kelly f = W − (1 − W) / R", f"{figure(rate, 4)} − (1 − {figure(rate, 4)}) / {figure(payoff, 4)}", figure(edge, 4)),
    )
