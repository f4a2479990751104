"""How much to trade: by quantity, cash, part of the account, risk to a stop, volatility, or the desk's own record. Pure.

The rule it keeps: a size is rounded down and never up, and nothing is guessed. What is missing is refused with its field and rule, a size
of nothing says which number it would take, and the arithmetic is shown.
"""

from orders.rules.sizing.bars import ATR_BARS, Bar, atr, daily_bars, true_ranges
from orders.rules.sizing.size import size
from orders.rules.sizing.terms import (
    ENOUGH_TRADES,
    AmountIn,
    Basis,
    Caps,
    Line,
    Method,
    Note,
    Sizing,
    SizingError,
    SizingFacts,
    SizingRequest,
)

__all__ = [
    "ATR_BARS",
    "ENOUGH_TRADES",
    "AmountIn",
    "Bar",
    "Basis",
    "Caps",
    "Line",
    "Method",
    "Note",
    "Sizing",
    "SizingError",
    "SizingFacts",
    "SizingRequest",
    "atr",
    "daily_bars",
    "size",
    "true_ranges",
]
