"""How single values are written on the TWS API wire, both ways.

Clients of different languages say "no value" in different words (empty, the greatest double, the greatest 32-bit integer), so all of
them are read as None. The rule kept: numbers are plain bounded decimals or they are refused, never rounded and never NaN.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

UNSET_DOUBLE = "1.7976931348623157E308"
UNSET_INTEGER = "2147483647"
UNSET_LONG = "-9223372036854775808"
INFINITY = "Infinity"
INTEGER_SIZES_BELOW = 163  # older servers never send fractional sizes, and older clients read sizes with an integer parser

_NUMBER = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,3})?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_UNSET_TEXTS = frozenset({"", UNSET_INTEGER, UNSET_DOUBLE, "1.7976931348623157e+308", "1.7976931348623157E+308"})
_INFINITE_TEXTS = frozenset({"Infinite", "Infinity", "inf"})
_LARGEST_EXPONENT = 20
_SMALLEST_EXPONENT = -20
_GREATEST_JAVA_INT = 2**31 - 1
_GREATEST_JAVA_LONG = 2**63 - 1


class ValueProblem(Exception):
    """A field does not hold what its place in the layout asks for; the text says what was found."""


def parse_integer(text: str, *, wide: bool = False) -> int:
    """A whole number as Java reads it: 32 bits, or 64 where `wide`. Raises ValueProblem (TWS: error 320, NumberFormatException)."""
    if not _INTEGER.fullmatch(text):
        raise ValueProblem(f'Unable to parse integer field: For input string: "{text[:40]}"')
    number = int(text)
    bound = _GREATEST_JAVA_LONG if wide else _GREATEST_JAVA_INT
    if not -bound - 1 <= number <= bound:
        raise ValueProblem(f'Unable to parse integer field: For input string: "{text[:40]}"')
    return number


def parse_optional_integer(text: str) -> int | None:
    """A whole number, or None where the client said "no value" in any of the accepted words."""
    return None if text in _UNSET_TEXTS else parse_integer(text)


def parse_number(text: str) -> Decimal | None:
    """An exact decimal, or None where the client said "no value". NaN, infinities and absurd magnitudes raise ValueProblem."""
    if text in _UNSET_TEXTS:
        return None
    if not _NUMBER.fullmatch(text):
        raise ValueProblem(f'Unable to parse number field: For input string: "{text[:40]}"')
    number = Decimal(text)
    if number and not _SMALLEST_EXPONENT <= number.adjusted() <= _LARGEST_EXPONENT:
        raise ValueProblem(f'Number field out of range: "{text[:40]}"')
    return number


def parse_flag(text: str) -> bool:
    """A boolean: 1/0, true/false in any case, empty for false."""
    word = text.lower()
    if word in ("1", "true"):
        return True
    if word in ("", "0", "false"):
        return False
    raise ValueProblem(f'Unable to parse boolean field: For input string: "{text[:40]}"')


def is_infinite(text: str) -> bool:
    """True for the words that clients use for plus infinity (an unlimited peg-best offset)."""
    return text in _INFINITE_TEXTS


def without_unset(text: str) -> str:
    """The field as it came, with every way of saying "no value" made empty."""
    return "" if text in _UNSET_TEXTS else text


def number(value: Decimal | int | None, unset: str = "") -> str:
    """A number as plain decimal text without exponent; `unset` stands for None."""
    if value is None:
        return unset
    if isinstance(value, int):
        return str(value)
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def size(value: Decimal, version: int) -> str:
    """A size or volume: whole below server version 163 (older clients parse these with int()), exact from there on."""
    return str(int(value)) if version < INTEGER_SIZES_BELOW else number(value)


def flag(value: bool) -> str:
    return "1" if value else "0"


def escaped(text: str) -> str:
    """Text of error messages and long names: ASCII, everything else as ``\\uXXXX``, a literal backslash doubled."""
    out: list[str] = []
    for character in text:
        if character == "\\":
            out.append("\\\\")
        elif character == "\n" or " " <= character <= "~":
            out.append(character)
        else:
            units = character.encode("utf-16-be", "surrogatepass")
            out += [f"\\u{int.from_bytes(units[i : i + 2], 'big'):04x}" for i in range(0, len(units), 2)]
    return "".join(out)


def timestamp(moment: datetime) -> str:
    """A moment as the gateway writes it: ``YYYYMMDD HH:MM:SS UTC`` (whole seconds)."""
    return moment.astimezone(UTC).strftime("%Y%m%d %H:%M:%S UTC")


def parse_timestamp(text: str) -> datetime | None:
    """A moment as clients write it in filters: ``YYYYMMDD HH:MM:SS [UTC]`` or ``YYYYMMDD-HH:MM:SS``; empty is None. Always UTC."""
    words = text.replace("-", " ").split()
    if not words:
        return None
    if len(words) > 3 or (len(words) == 3 and words[2].upper() not in ("UTC", "GMT")):
        raise ValueProblem(f'Invalid date or time: "{text[:40]}"; give it in UTC')
    clock = words[1] if len(words) > 1 else "00:00:00"
    try:
        return datetime.strptime(f"{words[0]} {clock}", "%Y%m%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError as error:
        raise ValueProblem(f'Invalid date or time: "{text[:40]}"') from error
