"""The instruments of the simulated exchange, and how a loosely described contract is resolved to them.

Contract ids are stable: stocks, ETFs and pairs have their real ones, a derivative's follows from its local symbol, so a contract keeps
its id from one start of the gateway to the next and no two contracts share one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from zlib import crc32

from broker.simulator.model import Instrument
from broker.simulator.pricing import option_value
from broker.simulator.universe_tables import (
    ETFS,
    FUTURES,
    FX_PAIRS,
    HIDDEN,
    HIDDEN_LISTINGS,
    MARKET_RULES,
    OPTION_SERIES,
    ORDER_TYPES,
    STOCK_RULE,
    STOCKS,
    Ladder,
)

MONTH_CODES = "FGHJKMNQUVXZ"
MILLIONTH = Decimal("0.000001")
NASDAQ_ALIASES = {"ISLAND": "NASDAQ"}  # a gateway that refuses NASDAQ takes the old name (campus documentation 04.02.02)
LISTED = 3  # expiries of a future and of an option that are listed at a time
SEARCH_LIMIT = 16  # reqMatchingSymbols answers at most 16 (campus documentation 16.05)


def build_universe(since: date, today: date) -> dict[int, Instrument]:
    """Every contract listed at some day from `since` to `today`, by contract id, in a fixed order.

    What expired before `since` is not there; what expired after it stays, so that a position in it keeps its instrument.
    """
    listed = [*_stocks(), *_pairs(), *_futures(since, today)]
    by_symbol = {one.symbol: one for one in listed if one.sec_type == "STK"}
    listed += _options(by_symbol, since, today)
    return {one.con_id: one for one in listed}


def market_rule(rule_id: int) -> Ladder | None:
    """The price ladder of a market rule as (low edge, increment) steps, or None where there is no such rule."""
    return MARKET_RULES.get(rule_id)


def increment_at(instrument: Instrument, price: Decimal) -> Decimal:
    """The smallest price step allowed for `instrument` at `price`."""
    increment = MARKET_RULES[instrument.market_rule_id][0][1]
    for low_edge, step in MARKET_RULES[instrument.market_rule_id]:
        if price < low_edge:
            break
        increment = step
    return increment


def find_instruments(
    instruments: Iterable[Instrument],
    *,
    con_id: int = 0,
    symbol: str = "",
    sec_type: str = "",
    exchange: str = "",
    currency: str = "",
    expiry: str = "",
    strike: Decimal | None = None,
    right: str = "",
    local_symbol: str = "",
    trading_class: str = "",
) -> list[Instrument]:
    """The instruments a described contract may mean; an empty field says nothing, several answers mean an ambiguous contract.

    An expiry may be a month (YYYYMM). With a contract id only the id and the exchange are read, as IB advises to send no more.
    """
    if con_id:
        return [one for one in instruments if one.con_id == con_id and _routes_to(one, exchange)]
    if not symbol and not local_symbol:
        return []
    return [
        one
        for one in instruments
        if (not symbol or one.symbol == symbol.upper())
        and (not sec_type or one.sec_type == sec_type.upper())
        and _routes_to(one, exchange)
        and (not currency or one.currency == currency.upper())
        and one.expiry.startswith(expiry)
        and (not strike or one.strike == strike)
        and (not right or one.right == right[0].upper())
        and (not local_symbol or one.local_symbol == local_symbol)
        and (not trading_class or one.trading_class == trading_class)
    ]


def search_instruments(instruments: Iterable[Instrument], pattern: str) -> list[Instrument]:
    """At most 16 stocks and ETFs: those whose symbol starts with the pattern, the exact one first, then those with it in their name."""
    wanted = pattern.strip().upper()
    if not wanted:
        return []
    stocks = [one for one in instruments if one.sec_type == "STK"]
    by_symbol = sorted((one for one in stocks if one.symbol.startswith(wanted)), key=lambda one: (len(one.symbol), one.symbol))
    by_name = sorted((one for one in stocks if wanted in one.long_name and one not in by_symbol), key=lambda one: one.symbol)
    return (by_symbol + by_name)[:SEARCH_LIMIT]


def _routes_to(instrument: Instrument, exchange: str) -> bool:
    wanted = NASDAQ_ALIASES.get(exchange.upper(), exchange.upper())
    return wanted in ("", instrument.exchange, instrument.primary_exchange)


def _types_of(sec_type: str, listing: str = "") -> str:
    words = ORDER_TYPES[sec_type].split(",") + ([HIDDEN] if listing in HIDDEN_LISTINGS else [])
    return ",".join(sorted(words))


# --- stocks and pairs ---------------------------------------------------------------------------------------------------------------


def _stocks() -> Iterator[Instrument]:
    for table, kind in ((STOCKS, "COMMON"), (ETFS, "ETF")):
        for symbol, con_id, listing, trading_class, name, industry, price, volatility in table:
            yield Instrument(
                con_id=con_id,
                symbol=symbol,
                sec_type="STK",
                exchange="SMART",
                primary_exchange=listing,
                currency="USD",
                local_symbol=symbol,
                trading_class=trading_class,
                long_name=name,
                market_name=trading_class,
                reference_price=Decimal(price),
                market_rule_id=STOCK_RULE,
                order_types=_types_of("STK", listing),
                stock_type=kind,
                industry=industry,
                volatility=volatility * MILLIONTH,
            )


def _pairs() -> Iterator[Instrument]:
    for pair, con_id, bought, paid, name, rule, price, volatility in FX_PAIRS:
        yield Instrument(
            con_id=con_id,
            symbol=bought,
            sec_type="CASH",
            exchange="IDEALPRO",
            primary_exchange="IDEALPRO",
            currency=paid,
            local_symbol=pair,
            trading_class=pair,
            long_name=name,
            market_name=pair,
            reference_price=Decimal(price),
            market_rule_id=rule,
            order_types=_types_of("CASH"),
            min_size=Decimal(1000),
            size_increment=Decimal(1000),
            volatility=volatility * MILLIONTH,
        )


# --- futures and options ------------------------------------------------------------------------------------------------------------


def _futures(since: date, today: date) -> Iterator[Instrument]:
    for symbol, exchange, name, multiplier, rule, zone, price, volatility, cycle in FUTURES:
        for place, (expiry, month) in enumerate(_future_expiries(cycle, since, today)):
            local_symbol = f"{symbol}{MONTH_CODES[month.month - 1]}{month.year % 10}"
            # A month further out trades a little higher, so that two expiries are told apart on a screen.
            reference = Decimal(price) * (1000 + 4 * place) / 1000
            step = MARKET_RULES[rule][0][1]
            yield Instrument(
                con_id=_derived_id(f"{local_symbol} {expiry:%Y%m%d}"),
                symbol=symbol,
                sec_type="FUT",
                exchange=exchange,
                primary_exchange=exchange,
                currency="USD",
                local_symbol=local_symbol,
                trading_class=symbol,
                long_name=name,
                market_name=symbol,
                reference_price=reference // step * step,
                market_rule_id=rule,
                order_types=_types_of("FUT"),
                multiplier=Decimal(multiplier),
                expiry=f"{expiry:%Y%m%d}",
                under_symbol=symbol,
                time_zone=zone,
                volatility=volatility * MILLIONTH,
            )


def _future_expiries(cycle: str, since: date, today: date) -> list[tuple[date, date]]:
    """(last trading day, contract month) of every contract listed between the two days: three at a time."""
    months = [month for month in _months(since, 40 + (today - since).days // 28) if cycle == "monthly" or _in_cycle(cycle, month)]
    expiring = [(_last_trading_day(cycle, month), month) for month in months]
    alive = [pair for pair in expiring if pair[0] >= since]
    still_ahead = [pair for pair in alive if pair[0] >= today]
    return [pair for pair in alive if pair[0] <= still_ahead[LISTED - 1][0]]


def _in_cycle(cycle: str, month: date) -> bool:
    return month.month % 3 == 0 if cycle == "quarterly" else month.month % 2 == 0


def _last_trading_day(cycle: str, month: date) -> date:
    if cycle == "quarterly":
        return _third_friday(month)
    if cycle == "monthly":  # crude oil: about three business days before the 25th of the month before
        return _weekday_on_or_before((month - timedelta(days=1)).replace(day=21))
    return _weekday_on_or_before((month.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=4))  # gold: late in the month


def _options(by_symbol: dict[str, Instrument], since: date, today: date) -> Iterator[Instrument]:
    months = [_third_friday(month) for month in _months(since, 5 + (today - since).days // 28)]
    alive = [day for day in months if day >= since]
    horizon = [day for day in alive if day >= today][LISTED - 1]
    for symbol, strikes, rule, annual in OPTION_SERIES:
        under = by_symbol[symbol]
        for expiry in (day for day in alive if day <= horizon):
            for strike in strikes:
                for right in "CP":
                    yield _option(under, expiry, Decimal(strike), right, rule, Decimal(annual), since)


def _option(under: Instrument, expiry: date, strike: Decimal, right: str, rule: int, annual: Decimal, since: date) -> Instrument:
    local_symbol = f"{under.symbol:<6}{expiry:%y%m%d}{right}{int(strike * 1000):08d}"
    return Instrument(
        con_id=_derived_id(local_symbol),
        symbol=under.symbol,
        sec_type="OPT",
        exchange="SMART",
        primary_exchange="CBOE",
        currency="USD",
        local_symbol=local_symbol,
        trading_class=under.symbol,
        long_name=under.long_name,
        market_name=under.symbol,
        reference_price=option_value(under.reference_price, strike, right, annual, (expiry - since).days),
        market_rule_id=rule,
        order_types=_types_of("OPT"),
        multiplier=Decimal(100),
        expiry=f"{expiry:%Y%m%d}",
        strike=strike,
        right=right,
        under_con_id=under.con_id,
        under_symbol=under.symbol,
        volatility=annual,
    )


def _derived_id(local_symbol: str) -> int:
    return 600_000_000 + crc32(local_symbol.encode()) % 200_000_000


# --- calendar -----------------------------------------------------------------------------------------------------------------------


def _months(since: date, count: int) -> Iterator[date]:
    month = since.replace(day=1)
    for _ in range(count):
        yield month
        month = (month + timedelta(days=32)).replace(day=1)


def _third_friday(month: date) -> date:
    first = month.replace(day=1)
    return first + timedelta(days=(4 - first.weekday()) % 7 + 14)


def _weekday_on_or_before(day: date) -> date:
    return day - timedelta(days=max(0, day.weekday() - 4))
