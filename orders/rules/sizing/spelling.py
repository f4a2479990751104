"""How the arithmetic of a size is spelled. Amounts are rounded for the eye only: nothing here is computed with."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, ROUND_UP, Context, Decimal

_CENT = Decimal("0.01")
_PLACES = 8


def figure(value: Decimal, places: int = _PLACES) -> str:
    """A number as it is, thousands grouped, at most `places` decimals: "1,234.5"."""
    rounded = value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)
    text = f"{abs(rounded):,f}"
    return ("−" if rounded < 0 else "") + (text.rstrip("0").rstrip(".") if "." in text else text)


def money(value: Decimal, currency: str, rounding: str = ROUND_HALF_EVEN) -> str:
    """An amount with cents: "1,234.50 USD"; one below a cent with the digits that it has."""
    if value and abs(value) < _CENT:
        return f"{figure(Context(prec=4, rounding=rounding).plus(value), 12)} {currency}"
    rounded = value.quantize(_CENT, rounding)
    return f"{'−' if rounded < 0 else ''}{abs(rounded):,f} {currency}"


def precise(value: Decimal, currency: str) -> str:
    """What one unit comes to: at least cents, and the decimals that it has, up to eight."""
    return money(value, currency) if value % _CENT == 0 else f"{figure(value)} {currency}"


def percent(value: Decimal) -> str:
    """ "1 %", "0.25 %": at most four decimals."""
    return f"{figure(value, 4)} %"


def percent_needed(value: Decimal) -> str:
    """The same, rounded up: the percent that is enough."""
    return percent(value.quantize(Decimal("0.0001"), ROUND_UP))
