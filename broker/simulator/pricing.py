"""What an option is worth on the simulated exchange: the one place of the simulator that computes with floats.

The normal (Bachelier) model without interest: put and call agree at every strike, nothing is ever negative, and the result leaves as
a `Decimal` rounded to a cent, so no float reaches a price, a size or an amount of money.
"""

from __future__ import annotations

from decimal import Decimal
from math import erf, exp, pi, sqrt

CENT = Decimal("0.01")


def option_value(under: Decimal, strike: Decimal, right: str, annual_volatility: Decimal, days_left: int) -> Decimal:
    """Value per share in the underlying's currency, at least one cent; the last day counts as half a day."""
    distance = float(under - strike) if right == "C" else float(strike - under)
    spread = float(strike * annual_volatility) * sqrt(max(days_left, 0.5) / 365)
    reach = distance / spread
    value = distance * (1 + erf(reach / sqrt(2))) / 2 + spread * exp(-reach * reach / 2) / sqrt(2 * pi)
    return max(Decimal(value).quantize(CENT), CENT)
