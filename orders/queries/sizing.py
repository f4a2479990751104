"""What the book knows that a size can rest on, and the size of an order by it. Nothing here asks the broker.

The rule it keeps: what is not known stays unknown, so that whatever needs it is refused; what is old, delayed or incomplete is told beside
the size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from orders.contracts import ticks
from orders.models import Account, Contract, Inquiry, Quote
from orders.models.reading import the_one
from orders.queries.access import visible_accounts
from orders.queries.holdings import FRESH_QUOTE
from orders.queries.show import zone_of
from orders.queries.trades import ClosedTrades, closed_trades
from orders.queries.values import amount_of, exchange_rate
from orders.rules.limits import Market, Rule
from orders.rules.sizing import Bar, Caps, Method, Note, Sizing, SizingError, SizingFacts, SizingRequest, daily_bars, size
from orders.rules.terms import Side
from orders.rules.tickets import TicketError

BAR, DURATION = "1 day", "3 M"
"""Some sixty days: Wilder's smoothing has forgotten where it began by then."""

OLD_BARS = timedelta(days=7)
PAID_IN_FULL = frozenset({"OPT", "FOP", "WAR"})  # bought for cash: no margin is lent on them
ON_MARGIN = frozenset(
    {"STK", "FUND", "BOND"}
)  # what IB's buying power is counted in; futures, currencies and CFDs have margins of their own


class TradesOf(StrEnum):
    """Whose closed trades Kelly's formula reads, among the accounts that the user may see."""

    SYMBOL = "symbol"  # of this symbol in this account
    ACCOUNT = "account"  # all of this account
    ALL = "all"


def bars_question(contract: Contract) -> dict[str, Any]:
    """The arguments of the question (`inquiries.ask(Inquiry.Kind.BARS, ...)`) whose answer a size by average true range needs."""
    return {"con_id": contract.con_id, "bar": BAR, "duration": DURATION}


def sized(
    user: Any,
    account: Account,
    contract: Contract,
    request: SizingRequest,
    *,
    now: datetime,
    bars: Inquiry | None = None,
    limits: Mapping[str, Decimal] | None = None,
    trades_of: TradesOf = TradesOf.SYMBOL,
) -> Sizing:
    """The size that the request comes to. Reads what its method needs and no more; raises `SizingError` naming field and rule.

    `bars`: an answered question for daily bars. `limits`: those that decide for this user (`checks.limits_for`), which cap the size.
    """
    facts = sizing_facts(user, account, contract, request.side, now=now, limits=limits)
    if request.method is Method.ATR:
        facts = with_bars(facts, contract, bars, now)
    if request.method is Method.KELLY:
        facts = with_trades(facts, user, account, contract, trades_of)
    if request.entry_price is None and facts.market_price is not None:
        facts = replace(facts, notes=(*_quote_notes(contract), *facts.notes))
    return size(request, facts)


def sizing_facts(
    user: Any, account: Account, contract: Contract, side: Side, *, now: datetime, limits: Mapping[str, Decimal] | None = None
) -> SizingFacts:
    """What every method rests on. Raises `SizingError` for an account that the user may not see."""
    if not visible_accounts(user).filter(pk=account.pk).exists():
        raise SizingError("account", "NO_PERMISSION", "is none that you may see")
    net = amount_of(account, "NetLiquidation", account.base_currency)
    caps, notes = _caps(account, contract, side, limits or {})
    return SizingFacts(
        currency=contract.currency,
        base_currency=account.base_currency,
        multiplier=Decimal(contract.multiplier),
        rate=exchange_rate(account, contract.currency),
        net_liquidation=net.value if net else None,
        net_liquidation_age=now - net.at if net else None,
        min_size=Decimal(contract.min_size),
        size_increment=Decimal(contract.size_increment),
        ticks=ticks(contract),
        market_price=_market_price(contract, side, now),
        caps=caps,
        notes=notes,
    )


def _market_price(contract: Contract, side: Side, now: datetime) -> Decimal | None:
    """What an order of this side would trade at now, by a fresh and sound quote; where that side is not quoted, where the market is."""
    quote = _quote(contract)
    if quote is None or now - quote.at > FRESH_QUOTE:
        return None
    bid, ask, last = (price if price is not None and price > 0 else None for price in (quote.bid, quote.ask, quote.last))
    market = Market(bid=bid, ask=ask, last=last, age_seconds=Decimal(0), delayed=quote.delayed)
    return (market.touch(side) or market.price) if market.is_sound else None


def _quote(contract: Contract) -> Quote | None:
    return the_one(Quote.objects.filter(contract=contract))


def _quote_notes(contract: Contract) -> tuple[Note, ...]:
    quote = _quote(contract)
    return (Note("DELAYED_QUOTE", "The price is a delayed one."),) if quote is not None and quote.delayed else ()


def _caps(account: Account, contract: Contract, side: Side, limits: Mapping[str, Decimal]) -> tuple[Caps, tuple[Note, ...]]:
    """The limits of one order, and what the account can pay: of options that are bought all, of stocks what IB lends on."""
    caps = Caps(limits.get(Rule.MAX_QUANTITY), limits.get(Rule.MAX_NOTIONAL))
    if contract.sec_type in ON_MARGIN:
        name, words = "BuyingPower", "The buying power"
    elif contract.sec_type in PAID_IN_FULL and side is Side.BUY:
        name, words = "AvailableFunds", "What is available"
    else:
        return caps, ()
    power = amount_of(account, name, account.base_currency)
    if power is None:
        return caps, (Note("BUYING_POWER_UNKNOWN", f"{words} of the account is not known: the size is not held to it."),)
    return replace(caps, buying_power=power.value * limits.get(Rule.BUYING_POWER, Decimal(1))), ()


# --- bars -----------------------------------------------------------------------------------------------------------------------------


def with_bars(facts: SizingFacts, contract: Contract, bars: Inquiry | None, now: datetime) -> SizingFacts:
    """The facts with the daily bars that the question was answered with; with the reason where there are none."""
    today = now.astimezone(zone_of(contract.time_zone)).date()
    found, missing = read_bars(contract, bars, today)
    if not found or today - found[-1].day <= OLD_BARS:
        return replace(facts, bars=found, bars_missing=missing)
    note = Note("OLD_BARS", f"The newest daily bar is of {found[-1].day.isoformat()}.")
    return replace(facts, bars=found, notes=(*facts.notes, note))


def read_bars(contract: Contract, asked: Inquiry | None, today: date) -> tuple[tuple[Bar, ...] | None, str]:
    """The bars of the days before today, because today's has only a part of its range; or why there are none, as a field's message."""
    why = ""
    if asked is None:
        why = "nobody asked for them"
    elif asked.kind != Inquiry.Kind.BARS or asked.arguments.get("con_id") != contract.con_id or asked.arguments.get("bar") != BAR:
        why = "what was asked for is something else"
    elif asked.state == Inquiry.State.FAILED:
        why = asked.error.rstrip(".") or "the question failed"
    elif asked.state != Inquiry.State.ANSWERED:
        why = "they have not been answered yet"
    if asked is None or why:
        return None, f"needs daily bars of the contract: {why}"
    try:
        return daily_bars(asked.answer, before=today), ""
    except TicketError as error:
        return None, error.message


# --- the desk's own record ------------------------------------------------------------------------------------------------------------


def with_trades(facts: SizingFacts, user: Any, account: Account, contract: Contract, trades_of: TradesOf) -> SizingFacts:
    """The facts with the closed trades that Kelly's formula reads, and with what was left out of them."""
    if trades_of is TradesOf.SYMBOL:
        found, words = closed_trades(user, account, contract.symbol), f"{contract.symbol} in {account.short}"
    elif trades_of is TradesOf.ACCOUNT:
        found, words = closed_trades(user, account), f"all of {account.short}"
    else:
        found, words = closed_trades(user).in_base(account.base_currency), "all that you may see"
    return replace(facts, trades=found.statistics, trades_of=words, notes=(*facts.notes, *left_out(found)))


def left_out(found: ClosedTrades) -> list[Note]:
    """What the closed trades leave out, and why."""
    left = found.left_out
    told = (
        ("TRADES_UNSEEN", left.unseen, "Closings of which this book did not see both ends are not counted"),
        ("TRADES_UNLISTED", left.unlisted, "Trades in accounts whose positions were never told whole are not counted"),
        ("TRADES_NO_RATE", left.no_rate, "Trades in a currency whose exchange rate is not known are not counted"),
        ("TRADES_OTHER_BASE", left.other_base, "Trades in accounts with another base currency are not counted"),
        ("TRADES_WITHOUT_COSTS", found.without_costs, "Trades of which a commission was never told are counted without it"),
    )
    return [Note(code, f"{words}: {number}.") for code, number, words in told if number]
