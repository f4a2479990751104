"""What a trader types for a contract, read into its parts: "ESZ6", "ES 202612", "AAPL 20261218 240 C", "EUR.USD".

The rule it keeps: what can be read in one way only is read; anything else is None, and is looked for as a symbol. Nothing here decides
that a contract exists: that is the broker's answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from orders.rules.terms import plain

MONTH_CODES = "FGHJKMNQUVXZ"
"""The letters of January to December on every futures exchange."""

CURRENCIES = frozenset(
    (
        *("AUD", "CAD", "CHF", "CNH", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS"),
        *("JPY", "KRW", "MXN", "NOK", "NZD", "PLN", "SEK", "SGD", "TRY", "USD", "ZAR"),
    )
)
"""Currencies that pairs are made of at IB (IDEALPRO); any other pair is looked for as a symbol."""

_PAIR = re.compile(r"([A-Z]{3})[./]?([A-Z]{3})")
_FUTURE_CODE = re.compile(rf"([A-Z0-9]{{1,4}}?)([{MONTH_CODES}])(\d{{1,2}})")
_FUTURE = re.compile(r"([A-Z0-9]{1,6})\s+(\d{6}|\d{8})")
_OPTION = re.compile(r"([A-Z.]{1,6})\s+(\d{8})\s+(\d{1,6}(?:\.\d{1,4})?)\s*([CP])(?:ALL|UT)?")
_OCC = re.compile(r"([A-Z]{1,6})\s*(\d{6})([CP])(\d{8})")


@dataclass(frozen=True)
class Described:
    """A contract as far as it was described, in IB's words; what is empty was not said."""

    symbol: str
    sec_type: str
    currency: str = ""
    expiry: str = ""  # yyyymm or yyyymmdd
    strike: str = ""
    right: str = ""

    def arguments(self) -> dict[str, str]:
        """As a question about contracts takes it."""
        named = {
            "symbol": self.symbol,
            "sec_type": self.sec_type,
            "currency": self.currency,
            "expiry": self.expiry,
            "strike": self.strike,
            "right": self.right,
        }
        return {name: value for name, value in named.items() if value}


def described(typed: str, today: date) -> Described | None:
    """What the text describes, if it is more than a symbol. `today` tells which decade a futures code like "ESZ6" means."""
    text = " ".join(typed.upper().split())
    return _pair(text) or _option(text) or _future(text, today)


def _pair(text: str) -> Described | None:
    found = _PAIR.fullmatch(text)
    if found is None or not {found[1], found[2]} <= CURRENCIES or found[1] == found[2]:
        return None
    return Described(found[1], "CASH", currency=found[2])


def _option(text: str) -> Described | None:
    if found := _OPTION.fullmatch(text):
        symbol, expiry, strike, right = found[1], found[2], found[3], found[4]
    elif found := _OCC.fullmatch(text):  # the OCC's 21 letters: six of symbol, yymmdd, right, strike in thousandths
        symbol, expiry, right = found[1], f"20{found[2]}", found[3]
        strike = f"{int(found[4]) // 1000}.{int(found[4]) % 1000:03d}"
    else:
        return None
    number = Decimal(strike)
    if number <= 0 or not _is_day(expiry):
        return None
    return Described(symbol, "OPT", expiry=expiry, strike=plain(number), right=right)


def _future(text: str, today: date) -> Described | None:
    if found := _FUTURE.fullmatch(text):
        expiry = found[2]
        if not (_is_day(expiry) if len(expiry) == 8 else _is_month(expiry)):
            return None
        return Described(found[1], "FUT", expiry=expiry)
    if found := _FUTURE_CODE.fullmatch(text):
        month = MONTH_CODES.index(found[2]) + 1
        return Described(found[1], "FUT", expiry=f"{_year(found[3], month, today)}{month:02d}")
    return None


def _year(digits: str, month: int, today: date) -> int:
    """The next year that ends with these digits and whose month is not over yet."""
    span = 10 ** len(digits)
    year = today.year - today.year % span + int(digits)
    return year if (year, month) >= (today.year, today.month) else year + span


def _is_day(text: str) -> bool:
    try:
        date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return False
    return True


def _is_month(text: str) -> bool:
    return 1 <= int(text[4:]) <= 12 and int(text[:4]) >= 2000
