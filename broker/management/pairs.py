"""`--pair target=8%,stop=2%,quantity=60`: the exits of a bracket, or of a position, on the command line. One syntax for both.

The rule it keeps: a pair is read by the code that reads a row of the pages; a word that is not known is refused, never left out.
"""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.core.management.base import CommandError

from orders.rules.distances import Unit
from orders.rules.exit_rows import Basis, name_of, read_pairs
from orders.rules.terms import OcaType, OrderType, TimeInForce
from orders.rules.tickets import MAX_PAIRS, ExitPair, TicketError

HELP = """one way out, as words joined by commas; again for another pair: target=, stop=, trail= and begins=, offset=, time=, quantity=.
A bare number is a price (of trail= an amount); a distance ends with %%, amount, ticks or R, as in target=8%%,stop=2%%"""

EPILOG = """a --pair is an OCA group of its own, its words joined by commas:
  target=110           a limit order at a price; as a distance: target=8%, target=5amount, target=400ticks, target=3R (R: that of the stop)
  stop=95              a stop at a price, or at a distance: stop=2%, stop=1.50amount, stop=40ticks
  offset=0.10          makes the stop, fixed or trailing, a limit order when it goes off, with its limit so far behind it
  trail=2%             in its place a stop that follows the market, in percent, or by an amount: trail=1.50
  begins=97            where the trailing stop begins; without it at its distance from the market
  time=90              a market order so long after the sending: minutes, or 30s, 90m, 2h
  quantity=60          for how many; without it an equal part of what the others leave"""

_DISTANCE = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+))(%|amount|ticks|R)?", re.ASCII)
_TIME = re.compile(r"(\d+(?:\.\d+)?|\.\d+)([smh])?", re.ASCII)
_MINUTES = {"s": Decimal(1) / 60, "m": Decimal(1), "h": Decimal(60), "": Decimal(1)}
_WORDS = ("target", "stop", "trail", "begins", "offset", "time", "quantity")


def add_pairs(parser: ArgumentParser) -> None:
    """The exits that a verb may carry, and how they behave."""
    parser.add_argument("--pair", action="append", type=row, default=[], metavar="WORDS", help=HELP)
    parser.add_argument(
        "--oca-type",
        type=int,
        choices=[one.value for one in OcaType],
        help="when one of a pair fills: 1 cancels the others even for a part, 2 reduces them by it, 3 reduces them while all work (1)",
    )
    parser.add_argument("--exits-tif", choices=[TimeInForce.DAY.value, TimeInForce.GTC.value], help="how long the exits work (GTC)")
    parser.epilog = EPILOG


def row(text: str) -> dict[str, Any]:
    """The words of one --pair as the fields of a row. Raises ArgumentTypeError naming the word that is wrong."""
    said = [word.partition("=") for word in text.replace(" ", ",").split(",") if word]
    names = [name for name, _is, _value in said]
    for name, equals, value in said:
        if name not in _WORDS or not equals or not value:
            raise ArgumentTypeError(f"{name}{equals}{value} in {text}: its words are {', '.join(f'{one}=' for one in _WORDS)}")
        if names.count(name) > 1:
            raise ArgumentTypeError(f"{name}= is twice in {text}")
    words = {name: value for name, _equals, value in said}
    if "trail" in words and "stop" in words:
        raise ArgumentTypeError(f"stop= and trail= in {text}: a pair has one stop; say where a trailing one begins with begins=")
    if "begins" in words and "trail" not in words:
        raise ArgumentTypeError(f"begins= in {text}: only a trailing stop begins somewhere; give trail=")
    fields = {"quantity": _number(words, "quantity"), "stop_offset": _number(words, "offset"), "time_stop": _minutes(words)}
    return {**fields, **_leg("target", words.get("target")), **_stop(words)}


def _stop(words: Mapping[str, str]) -> dict[str, Any]:
    if "trail" not in words:
        kind = OrderType.STOP_LIMIT if "offset" in words else OrderType.STOP
        return {"stop_kind": kind.value, **_leg("stop", words.get("stop"))}
    found = _leg("stop", words["trail"])
    if found.pop("stop_price") is not None:  # a bare number is how far it trails, not where it stands
        found |= {"stop": Decimal(words["trail"]), "stop_unit": Unit.AMOUNT.value}
    kind = OrderType.TRAIL_LIMIT if "offset" in words else OrderType.TRAIL
    return {"stop_kind": kind.value, **found, "stop_price": _number(words, "begins")}


def _leg(name: str, text: str | None) -> dict[str, Any]:
    """A price where it is a bare number, else a distance in its unit."""
    nothing = {name: None, f"{name}_unit": "", f"{name}_price": None}
    if text is None:
        return nothing
    if (found := _DISTANCE.fullmatch(text)) is None:
        raise ArgumentTypeError(f"{text} is neither a price nor a distance; write it as 110, 8%, 5amount, 40ticks or 3R")
    value, unit = Decimal(found[1]), found[2]
    return {**nothing, name: value, f"{name}_unit": unit} if unit else {**nothing, f"{name}_price": value}


def _number(words: Mapping[str, str], name: str) -> Decimal | None:
    if name not in words:
        return None
    found = _DISTANCE.fullmatch(words[name])
    if found is None or found[2]:
        raise ArgumentTypeError(f"{name}={words[name]} is not a number")
    return Decimal(found[1])


def _minutes(words: Mapping[str, str]) -> Decimal | None:
    if "time" not in words:
        return None
    if (found := _TIME.fullmatch(words["time"])) is None:
        raise ArgumentTypeError(f"time={words['time']} is not a time; write it as 90, 30s, 90m or 2h")
    return Decimal(found[1]) * _MINUTES[found[2] or ""]


def pairs_of(rows: Sequence[Mapping[str, Any]], total: Decimal, increment: Decimal, basis: Basis) -> tuple[ExitPair, ...]:
    """The pairs that were said, for a quantity. Raises CommandError naming the pair and the word."""
    if len(rows) > MAX_PAIRS:
        raise CommandError(f"--pair: at most {MAX_PAIRS} of them.")
    data = {name_of(number, field): value for number, one in enumerate(rows, 1) for field, value in one.items()}
    try:
        return read_pairs(data, len(rows), total, increment, basis)
    except TicketError as error:
        raise CommandError(f"Refused (TICKET): {_named(error.field)}: {error.message}.") from None


def _named(field: str) -> str:
    found = re.fullmatch(r"pair_(\d+)_(\w+)", field)
    return f"--pair {found[1]}, {found[2].replace('_', ' ')}" if found else "--pair"


def behaviour_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """How the exits behave, as far as it was said."""
    said: dict[str, Any] = {}
    if options["oca_type"] is not None:
        said["oca_type"] = OcaType(options["oca_type"])
    if options["exits_tif"] is not None:
        said["time_in_force"] = TimeInForce(options["exits_tif"])
    return said
