"""Prices: streaming quotes, snapshots and historical bars.

A quote line remembers what it last sent, tick type by tick type. The rule kept: subscribers hear a changed price or size once, a
snapshot everything.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from broker.simulator.answering.contracts import finest_increment
from broker.simulator.answering.turn import PROCESSING, REQUEST_NOT_FOUND, Turn
from broker.simulator.messages import market_answers as say
from broker.simulator.messages import requests as ask
from broker.simulator.messages.answers import Answer
from broker.simulator.messages.values import ValueProblem, number, parse_timestamp, timestamp
from broker.simulator.model import Bar, QuoteChanged
from broker.simulator.session import BarLine, MarketLine, Session

if TYPE_CHECKING:
    from broker.simulator.exchange import Exchange

DUPLICATE_TICKER = "Error processing request.-'bW' : cause - Duplicate ticker id"
HISTORICAL_PROBLEM = 162
MOST_BARS = 2_000
DAY = 86_400
LIVE = 1
MARKET_DATA_TYPES = (1, 2, 3, 4)
ALL_SNAPSHOT_PERMISSIONS = 3
BAR_SECONDS = {
    "1 secs": 1, "5 secs": 5, "10 secs": 10, "15 secs": 15, "30 secs": 30, "1 min": 60, "2 mins": 120, "3 mins": 180, "5 mins": 300,
    "10 mins": 600, "15 mins": 900, "20 mins": 1200, "30 mins": 1800, "1 hour": 3600, "2 hours": 7200, "3 hours": 10800, "4 hours": 14400,
    "8 hours": 28800, "1 day": DAY, "1W": 7 * DAY, "1 week": 7 * DAY, "1M": 30 * DAY, "1 month": 30 * DAY,
}  # fmt: skip
DURATION_SECONDS = {"S": 1, "D": DAY, "W": 7 * DAY, "M": 30 * DAY, "Y": 365 * DAY}
EPOCH_DATES = 2


# --- quotes -----------------------------------------------------------------------------------------------------------------------


def market_data(turn: Turn, request: ask.RequestMarketData) -> None:
    """A quote subscription, or one snapshot of a quote and its end. Everyone is entitled to live data unless a scenario says otherwise."""
    if request.req_id in turn.session.subscriptions.market:
        turn.error(request.req_id, PROCESSING, DUPLICATE_TICKER)
        return
    instrument = turn.resolve(request.req_id, request.contract)
    if instrument is None:
        return
    line = MarketLine(instrument.con_id)
    minimum = finest_increment(turn, instrument)
    turn.session.say(
        say.TickRequestParameters(request.req_id, minimum, instrument.primary_exchange, ALL_SNAPSHOT_PERMISSIONS),
        say.MarketDataType(request.req_id, LIVE),
        *ticks(turn.exchange, request.req_id, line, turn.exchange.quote(instrument.con_id)),
    )
    if request.snapshot or request.regulatory_snapshot:
        turn.session.say(say.TickSnapshotEnd(request.req_id))
    else:
        turn.session.subscriptions.market[request.req_id] = line


def ticks(exchange: Exchange, req_id: int, line: MarketLine, quote: QuoteChanged) -> list[Answer]:
    """The tick messages for what differs between `quote` and what the line last sent; the close is where the day's prices started."""
    close = exchange.instruments[quote.con_id].reference_price
    prices = ((say.BID, quote.bid, quote.bid_size), (say.ASK, quote.ask, quote.ask_size), (say.LAST, quote.last, quote.last_size))
    sizes = ((say.BID_SIZE, quote.bid_size), (say.ASK_SIZE, quote.ask_size), (say.LAST_SIZE, quote.last_size), (say.VOLUME, quote.volume))
    out: list[Answer] = [say.TickPrice(req_id, kind, price, size) for kind, price, size in prices if _news(line, kind, price)]
    out += [say.TickSize(req_id, kind, size) for kind, size in sizes if _news(line, kind, size)]
    if any(isinstance(one, say.TickPrice) and one.tick_type == say.LAST for one in out):
        out.append(say.TickString(req_id, say.LAST_TIME, str(int(quote.at.timestamp()))))
    if _news(line, say.CLOSE, close):
        out.append(say.TickPrice(req_id, say.CLOSE, close, Decimal(0)))
    return out


def _news(line: MarketLine, kind: int, value: Decimal) -> bool:
    text = number(value)
    if line.sent.get(kind) == text:
        return False
    line.sent[kind] = text
    return True


def cancel_market_data(turn: Turn, request: ask.CancelMarketData) -> None:
    if turn.session.subscriptions.market.pop(request.req_id, None) is None:
        turn.error(request.req_id, REQUEST_NOT_FOUND, f"Can't find EId with tickerId:{request.req_id}")


def market_data_type(turn: Turn, request: ask.RequestMarketDataType) -> None:
    """Which kind of data this client takes where it has no live data. IB does not answer; the kind comes with the data."""
    if request.market_data_type in MARKET_DATA_TYPES:
        turn.session.subscriptions.market_data_type = request.market_data_type
    else:
        turn.invalid(-1, f"Invalid market data type {request.market_data_type}")


def push_quote(session: Session, exchange: Exchange, quote: QuoteChanged) -> None:
    """A changed quote to the lines of this session that watch it."""
    for req_id, line in session.subscriptions.market.items():
        if line.con_id == quote.con_id:
            session.say(*ticks(exchange, req_id, line, quote))
    for req_id, bars in session.subscriptions.bars.items():
        if bars.con_id == quote.con_id:
            for bar in exchange.bars(bars.con_id, bars.bar_seconds, 1, quote.at):
                session.say(say.HistoricalDataUpdate(req_id, _wire_bar(bar, bars.bar_seconds, bars.date_format)))


# --- bars -------------------------------------------------------------------------------------------------------------------------


def historical_data(turn: Turn, request: ask.RequestHistoricalData) -> None:
    """Bars up to a moment, oldest first; error 162 for a bar size, duration or end that IB does not know."""
    instrument = turn.resolve(request.req_id, request.contract)
    if instrument is None:
        return
    try:
        seconds, count = _bar_plan(request.bar_size, request.duration)
        end = min(parse_timestamp(request.end) or turn.now, turn.now)
    except ValueProblem as problem:
        turn.error(request.req_id, HISTORICAL_PROBLEM, f"Historical Market Data Service error message:{problem}")
        return
    bars = turn.exchange.bars(instrument.con_id, seconds, count, end)
    wire_bars = tuple(_wire_bar(bar, seconds, request.date_format) for bar in bars)
    start_text, end_text = timestamp(end - timedelta(seconds=seconds * count)), timestamp(end)
    turn.session.say(say.HistoricalData(request.req_id, start_text, end_text, wire_bars))
    if turn.session.server_version >= 196:
        turn.session.say(say.HistoricalDataEnd(request.req_id, start_text, end_text))
    if request.keep_up_to_date:
        turn.session.subscriptions.bars[request.req_id] = BarLine(instrument.con_id, seconds, request.date_format)


def _bar_plan(bar_size: str, duration: str) -> tuple[int, int]:
    """Seconds of one bar and how many bars the duration holds, at least one, at most 2,000."""
    seconds = BAR_SECONDS.get(bar_size.strip())
    if seconds is None:
        raise ValueProblem(f'invalid bar size "{bar_size[:40]}"')
    amount, _, unit = duration.strip().partition(" ")
    if unit not in DURATION_SECONDS or not (amount.isascii() and amount.isdigit()) or not 0 < len(amount) <= 6 or int(amount) == 0:
        raise ValueProblem(f'invalid duration "{duration[:40]}"')
    return seconds, max(1, min(MOST_BARS, int(amount) * DURATION_SECONDS[unit] // seconds))


def _wire_bar(bar: Bar, bar_seconds: int, date_format: int) -> say.WireBar:
    return say.WireBar(bar_date(bar.start, bar_seconds, date_format), bar)


def bar_date(start: datetime, bar_seconds: int, date_format: int) -> str:
    """Days and longer as YYYYMMDD, epoch seconds where asked for (format 2), otherwise a time in UTC."""
    if bar_seconds >= DAY:
        return f"{start.astimezone(UTC):%Y%m%d}"
    return str(int(start.timestamp())) if date_format == EPOCH_DATES else timestamp(start)


def cancel_historical_data(turn: Turn, request: ask.CancelHistoricalData) -> None:
    if turn.session.subscriptions.bars.pop(request.req_id, None) is None:
        cause = f"No historical data query found for ticker id:{request.req_id}"
        turn.error(request.req_id, HISTORICAL_PROBLEM, f"Historical Market Data Service error message:{cause}")
