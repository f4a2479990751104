"""The prices of the simulated exchange: one quoted line per instrument, moved by a seeded walk or pinned by hand.

The walk of a step depends on the seed and the step's number only, so a restored market goes on exactly where the saved one would have.
Displayed sizes are used up by fills and come back with the next step; a quote is only announced when bid, ask or last changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random

from broker.simulator.model import Instrument, QuoteChanged
from broker.simulator.pricing import option_value
from broker.simulator.universe import increment_at

MAX_STEPS = 60  # a gateway that slept for an hour catches up one minute of prices, not an hour's worth of work
PULL = Decimal(1) / 20_000  # of the distance to its anchor that a price gives back each step: it strays a few percent, then returns
GRAIN = Decimal("0.000001")
NOISE_SCALE = Decimal(37_837)  # standard deviation of the sum of four uniform 16-bit numbers
NOISE_MEAN = 131_070
# Displayed size by security type: (unit, fewest units, most units); an unstated size of a pinned quote is ten times the most.
DISPLAYED = {"STK": (100, 4, 15), "FUT": (1, 10, 60), "OPT": (1, 10, 80), "CASH": (100_000, 5, 30)}


@dataclass(slots=True)
class Line:
    """The quoted line of one instrument. `bid_size` and `ask_size` are what is left of the displayed sizes."""

    instrument: Instrument
    middle: Decimal  # what the walk moves; the quote is rounded from it
    anchor: Decimal  # what the walk returns to
    bid: Decimal
    ask: Decimal
    last: Decimal
    bid_size: Decimal
    ask_size: Decimal
    last_size: Decimal
    volume: Decimal
    at: datetime
    before_bid: Decimal  # the quote of the second before, or before it was pinned: what "double" triggers look at
    before_ask: Decimal
    before_last: Decimal
    pinned_sizes: tuple[Decimal, Decimal] | None = None  # (bid, ask) sizes while the quote is pinned

    @property
    def mark(self) -> Decimal:
        """The price positions are valued at: the middle of the quote."""
        return (self.bid + self.ask) / 2

    def touch(self, action: str) -> tuple[Decimal, Decimal]:
        """(price, size left) that an order with this action meets: the ask for BUY, the bid for SELL."""
        return (self.ask, self.ask_size) if action == "BUY" else (self.bid, self.bid_size)

    def use(self, action: str, quantity: Decimal) -> None:
        """Take `quantity` off the displayed size and record the trade in the day's volume. The last price stays: it is the market's,
        not ours, so that a fill of a desk's own order never elects the desk's own stops."""
        if action == "BUY":
            self.ask_size -= quantity
        else:
            self.bid_size -= quantity
        self.volume += quantity

    def remember(self) -> None:
        """Keep the quote that is about to be followed by another, perhaps equal one."""
        self.before_bid, self.before_ask, self.before_last = self.bid, self.ask, self.last

    def event(self) -> QuoteChanged:
        return QuoteChanged(
            self.instrument.con_id, self.bid, self.ask, self.last, self.bid_size, self.ask_size, self.last_size, self.volume, self.at
        )


class Market:
    """Every line of the exchange, and the clock of its steps (one a second)."""

    def __init__(self, seed: int, instruments: Mapping[int, Instrument], now: datetime) -> None:
        self.seed = seed
        self.steps = 0
        self.stepped_at = now
        self.lines: dict[int, Line] = {}
        self.list_instruments(instruments, now)

    def list_instruments(self, instruments: Mapping[int, Instrument], now: datetime) -> None:
        """Open a line for every instrument that has none and keep the lines in the order of `instruments`, which the walk follows."""
        self.lines = {con_id: self.lines.get(con_id) or _opening_line(one, now) for con_id, one in instruments.items()}

    def whole_steps_until(self, now: datetime) -> int:
        """How many steps are due at `now`, at most 60; the clock of the steps moves on by all whole seconds gone by."""
        seconds = int((now - self.stepped_at).total_seconds())
        if seconds <= 0:
            return 0
        self.stepped_at += timedelta(seconds=seconds)
        return min(seconds, MAX_STEPS)

    def step(self, now: datetime) -> list[QuoteChanged]:
        """Move every line once and fill up the displayed sizes; the quotes that changed."""
        self.steps += 1
        random = Random(f"{self.seed}:{self.steps}")  # noqa: S311 - repeatable on purpose
        changed = []
        for line in self.lines.values():
            noise = random.getrandbits(96)  # drawn for pinned lines too: pinning one must not move the others
            line.remember()
            if line.pinned_sizes is not None:
                line.bid_size, line.ask_size = line.pinned_sizes
            elif self._walk(line, noise, now):
                changed.append(line.event())
        return changed

    def pin(
        self, con_id: int, bid: Decimal, ask: Decimal, now: datetime, bid_size: Decimal | None, ask_size: Decimal | None
    ) -> QuoteChanged:
        """Hold the quote of an instrument at these prices until `release`. The last price is drawn inside the quote from outside:
        a market that fell traded at its bid, one that rose at its ask. Raises ValueError for a crossed or non-positive quote."""
        if not (bid.is_finite() and ask.is_finite() and 0 < bid <= ask):
            raise ValueError(f"not a quote: bid {bid}, ask {ask}")
        line = self.lines[con_id]
        line.remember()
        unit, _, most = DISPLAYED[line.instrument.sec_type]
        plenty = Decimal(unit * most * 10)
        line.pinned_sizes = (plenty if bid_size is None else bid_size, plenty if ask_size is None else ask_size)
        line.bid_size, line.ask_size = line.pinned_sizes
        if not bid <= line.last <= ask:
            line.last = bid if line.last > ask else ask
        line.bid, line.ask, line.at = bid, ask, now
        line.middle = line.anchor = line.mark
        return line.event()

    def release(self, con_id: int) -> None:
        """Let a pinned line walk again, from where it is."""
        self.lines[con_id].pinned_sizes = None

    def _walk(self, line: Line, noise: int, now: datetime) -> bool:
        """One step of a line; True if its bid, ask or last changed. `noise` is 96 random bits."""
        before = (line.bid, line.ask, line.last)
        chance = noise >> 64
        middle = self._moved_middle(line, noise, chance, now)
        if middle != line.middle:
            line.middle = middle
            line.bid, line.ask = _quote_around(line.instrument, middle)
        unit, fewest, most = DISPLAYED[line.instrument.sec_type]
        line.bid_size = Decimal(unit * (fewest + (chance & 0xFFF) % (most - fewest)))
        line.ask_size = Decimal(unit * (fewest + (chance >> 12 & 0xFFF) % (most - fewest)))
        if chance >> 24 & 3 == 0:  # one step in four prints a trade, on either side
            line.last = line.bid if chance >> 26 & 1 else line.ask
            line.last_size = Decimal(unit)
            line.volume += unit
        line.at = now
        return before != (line.bid, line.ask, line.last)

    def _moved_middle(self, line: Line, noise: int, chance: int, now: datetime) -> Decimal:
        instrument = line.instrument
        if instrument.sec_type == "OPT":  # follows its underlying, in one step of four: forty options need not all move each second
            return line.middle if chance >> 27 & 3 else self._option_middle(instrument, now.date())
        pushes = (noise & 0xFFFF) + (noise >> 16 & 0xFFFF) + (noise >> 32 & 0xFFFF) + (noise >> 48 & 0xFFFF) - NOISE_MEAN
        move = line.middle * instrument.volatility * pushes / NOISE_SCALE + (line.anchor - line.middle) * PULL
        return (line.middle + move).quantize(GRAIN)

    def _option_middle(self, option: Instrument, today: date) -> Decimal:
        days_left = (date.fromisoformat(option.expiry) - today).days
        return option_value(self.lines[option.under_con_id].middle, option.strike, option.right, option.volatility, days_left)


def _opening_line(instrument: Instrument, now: datetime) -> Line:
    price = instrument.reference_price
    bid, ask = _quote_around(instrument, price)
    unit, fewest, most = DISPLAYED[instrument.sec_type]
    size = Decimal(unit * (fewest + most) // 2)
    return Line(instrument, price, price, bid, ask, bid, size, size, Decimal(unit), Decimal(0), now, bid, ask, bid)


def _quote_around(instrument: Instrument, middle: Decimal) -> tuple[Decimal, Decimal]:
    increment = increment_at(instrument, middle)
    width = increment * _spread_in_increments(instrument, middle, increment)
    bid = max((middle - width / 2) // increment * increment, increment)
    return bid, bid + width


def _spread_in_increments(instrument: Instrument, middle: Decimal, increment: Decimal) -> int:
    if instrument.sec_type == "STK":
        return 1 if middle < 100 else 2 if middle < 400 else 4
    if instrument.sec_type == "OPT":
        return max(1, int(middle / 100 / increment))
    return 1 if instrument.sec_type == "FUT" else 2
