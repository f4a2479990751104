"""Price history of the simulated exchange: seeded bars that end at the present price.

Nothing is stored: a bar's shape follows from the seed, the contract, the bar size and the bar's place in time, so asking twice gives the
same answer as long as the price has not moved; when it moves, the whole chart moves with it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from random import Random

from broker.simulator.model import Bar, Instrument
from broker.simulator.universe import increment_at

LONGEST_STRIDE = 40_000  # seconds of movement a bar may have: a month's bars stay near the price they lead to
SCALE = Decimal(1_000)


def price_history(seed: int, instrument: Instrument, price: Decimal, bar_seconds: int, count: int, end: datetime) -> list[Bar]:
    """`count` bars of `bar_seconds` up to `end`, oldest first, the last one closing at `price`. Times are aligned to the bar size."""
    increment = increment_at(instrument, price)
    stride = min(instrument.volatility, Decimal("0.0002")) * Decimal(min(bar_seconds, LONGEST_STRIDE)).sqrt()
    last_index = -(-int(end.timestamp()) // bar_seconds) - 1
    bars: list[Bar] = []
    close = price
    for index in range(last_index, last_index - count, -1):
        random = Random(f"{seed}:{instrument.con_id}:{bar_seconds}:{index}")  # noqa: S311 - repeatable on purpose
        opened = _rounded(close / (1 + stride * _thousandths(random, -1000, 1000)), increment)
        high = _rounded(max(opened, close) * (1 + stride * _thousandths(random, 0, 400)), increment)
        low = _rounded(min(opened, close) * (1 - stride * _thousandths(random, 0, 400)), increment)
        trades = random.randint(1, 2 * bar_seconds)
        start = datetime.fromtimestamp(index * bar_seconds, UTC)
        average = _rounded((high + low + close) / 3, increment)
        volume = trades * instrument.min_size * 10
        bars.append(Bar(start, opened, max(high, opened, close), min(low, opened, close), close, volume, average, trades))
        close = opened
    return bars[::-1]


def _thousandths(random: Random, low: int, high: int) -> Decimal:
    return random.randint(low, high) / SCALE


def _rounded(price: Decimal, increment: Decimal) -> Decimal:
    return max((price / increment).to_integral_value() * increment, increment)
