"""Daily bars as the broker answers them, and the average true range by Wilder's smoothing.

The rule it keeps: a bar that is missing something or contradicts itself is refused, never mended: a range that is too small makes a size
that is too large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from itertools import pairwise
from typing import Any

from orders.rules.tickets import TicketError

ATR_BARS = 14
"""Wilder's own number of bars."""

_GRAIN = Decimal("0.00000001")


@dataclass(frozen=True)
class Bar:
    """One day. The close of a future may be its settlement price, which need not lie between high and low."""

    day: date
    high: Decimal
    low: Decimal
    close: Decimal


def daily_bars(answer: Any, *, before: date | None = None) -> tuple[Bar, ...]:
    """The bars of an answered question for daily bars: [[day, open, high, low, close, volume], ...], oldest first.

    `before`: bars of this day and later are left out, because a day that is not over has only a part of its range. Raises `TicketError`
    for what is no list of daily bars.
    """
    if not isinstance(answer, list):
        raise TicketError("method", "needs daily bars, and there are none")
    bars = tuple(_bar(row) for row in answer)
    if any(later.day <= earlier.day for earlier, later in pairwise(bars)):
        raise TicketError("method", "needs daily bars in the order of their days")
    return tuple(bar for bar in bars if before is None or bar.day < before)


def _bar(row: Any) -> Bar:
    try:
        day, _, high, low, close, *_ = row
        bar = Bar(date.fromisoformat(day), *(Decimal(str(price)) for price in (high, low, close)))
    except (TypeError, ValueError, InvalidOperation) as error:
        raise TicketError("method", f"needs daily bars that are whole, and one is not: {row}") from error
    _check(bar)
    return bar


def _check(bar: Bar) -> None:
    prices = (bar.high, bar.low, bar.close)
    if not all(price.is_finite() for price in prices) or bar.high < bar.low:
        raise TicketError("method", f"needs daily bars that make sense, and that of {bar.day} does not")


def true_ranges(bars: Sequence[Bar]) -> list[Decimal]:
    """How far the price went on each day but the first, the gap from the close before included."""
    return [max(bar.high, before.close) - min(bar.low, before.close) for before, bar in pairwise(bars)]


def atr(bars: Sequence[Bar], n: int = ATR_BARS) -> Decimal:
    """The average true range over `n` bars: the mean of the first `n` true ranges, then each later one with the weight 1/n (Wilder).

    In the price's unit, to eight decimal places. Raises `TicketError` for fewer than n + 1 bars, which are n true ranges, for bars that
    make no sense, and where there was no range at all.
    """
    if n < 1:
        raise TicketError("atr_bars", "must be at least 1")
    for bar in bars:
        _check(bar)
    ranges = true_ranges(bars)
    if len(ranges) < n:
        raise TicketError("method", f"needs {n + 1} daily bars for an average true range over {n}: there are {len(bars)}")
    average = sum(ranges[:n], Decimal(0)) / n
    for one in ranges[n:]:
        average = (average * (n - 1) + one) / n
    average = average.quantize(_GRAIN, ROUND_HALF_UP)
    if average <= 0:
        raise TicketError("method", "cannot be used: the average true range is zero")
    return average
