"""The order types and times in force that the simulated exchange trades, and which of them go together.

One table says what a type is made of; everything else asks it. The rule kept: a type or time in force that an instrument does not list
(ContractDetails.orderTypes) is refused with IB's code, never taken as something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from broker.simulator.model import Instrument, OrderRequest

Refusal = tuple[int, str]


class Wait(Enum):
    """What an order waits for before it is a market or limit order."""

    STOP = "the market reaches the price from the better side"
    TOUCH = "the market reaches the price from the worse side"
    TRAIL = "the market reaches a stop that follows it"


@dataclass(frozen=True)
class Kind:
    """What an order type is made of. `word` is IB's spelling of it in ContractDetails.orderTypes."""

    word: str
    limited: bool = False
    waits_for: Wait | None = None
    at_close: bool = False


KINDS = {
    "MKT": Kind("MKT"),
    "LMT": Kind("LMT", limited=True),
    "STP": Kind("STP", waits_for=Wait.STOP),
    "STP LMT": Kind("STPLMT", limited=True, waits_for=Wait.STOP),
    "TRAIL": Kind("TRAIL", waits_for=Wait.TRAIL),
    "TRAIL LIMIT": Kind("TRAILLMT", limited=True, waits_for=Wait.TRAIL),
    "MIT": Kind("MIT", waits_for=Wait.TOUCH),
    "LIT": Kind("LIT", limited=True, waits_for=Wait.TOUCH),
    "MOC": Kind("MOC", at_close=True),
    "LOC": Kind("LOC", limited=True, at_close=True),
}
# Types that IB knows and this exchange does not simulate: refused as unsupported, where any other word is refused as invalid.
KNOWN_ELSEWHERE = frozenset(
    (
        *("REL", "MIDPRICE", "MTL", "MKT PRT", "STP PRT", "BOX TOP", "VOL", "TRAIL MIT", "TRAIL LIT", "PASSV REL", "SNAP MKT", "SNAP MID"),
        *("SNAP PRIM", "PEG MKT", "PEG MID", "PEGMID", "PEG BEST", "PEGBEST", "PEG STK", "PEG BENCH", "PEGBENCH"),
    )
)
IMMEDIATE = frozenset({"IOC", "FOK"})  # never rest: what is not filled at once is cancelled
AT_OPEN = "OPG"
TIMES_IN_FORCE = frozenset({"DAY", "GTC", "GTD", AT_OPEN, *IMMEDIATE})
EVERYWHERE = frozenset({"DAY", "GTC"})  # times in force that every instrument takes
UNSUPPORTED: Refusal = (387, "Unsupported order type for this exchange and security type.")


def validation_error(cause: str) -> Refusal:
    """Code 321 in the words a gateway wraps every cause in."""
    return 321, f"Error validating request.-'bF' : cause - {cause}"


def kind_of(request: OrderRequest) -> Kind:
    return KINDS[request.order_type]


def lists(instrument: Instrument, word: str) -> bool:
    """Whether ContractDetails.orderTypes of the instrument has this word."""
    return word in instrument.order_types.split(",")


def trades_at_auction(request: OrderRequest) -> bool:
    """On close (MOC, LOC) or on open (MKT and LMT with time in force OPG)."""
    return kind_of(request).at_close or request.tif == AT_OPEN


def fills_whole_or_not(request: OrderRequest) -> bool:
    """All or none of what remains: time in force FOK, or the attribute allOrNone."""
    return request.tif == "FOK" or has_flag(request, "allOrNone")


def has_flag(request: OrderRequest, name: str) -> bool:
    return request.wire.get(name, "").lower() in ("1", "true")


def type_refusal(request: OrderRequest, instrument: Instrument) -> Refusal | None:
    """Why this instrument does not take an order of this type and time in force: the first reason, or None."""
    kind = KINDS.get(request.order_type)
    if kind is None:
        return UNSUPPORTED if request.order_type in KNOWN_ELSEWHERE else validation_error("Invalid order type was entered")
    tif = request.tif or "DAY"
    if tif not in TIMES_IN_FORCE:
        return validation_error("Invalid time in force was entered")
    if kind.at_close and tif != "DAY":
        return 113, "The Tif option should be set to DAY for MOC and LOC orders."
    if kind.waits_for is not None and (tif in IMMEDIATE or tif == AT_OPEN):
        return 111, "The TIF (Tif type) and the order type are incompatible."
    if not lists(instrument, kind.word) or (tif not in EVERYWHERE and not lists(instrument, tif)):
        return UNSUPPORTED
    return None
