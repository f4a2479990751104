"""The checks a gateway makes on an order before it takes it: nothing placed, one error, its code and words as IB's.

Pure: a request, its instrument and what is known of the accounts go in; (code, text) or None comes out. Checks that need the book
(groups, limits, margins) are the exchange's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from broker.simulator.model import Instrument, OrderRequest
from broker.simulator.universe import increment_at

Refusal = tuple[int, str]

GATEWAY_ZONE = ZoneInfo("America/New_York")
DAY_END = time(20, 0)  # the end of the extended session of US stocks; the simulated markets are open at any hour
ZONE_ALIASES = {"US/Eastern": "America/New_York", "EST": "America/New_York", "US/Central": "America/Chicago", "UTC": "UTC", "GMT": "UTC"}
SUPPORTED = {"MKT": "MKT", "LMT": "LMT", "STP": "STP", "STP LMT": "STPLMT"}  # our word: the word of ContractDetails.orderTypes
LARGEST = Decimal(10) ** 12  # of a price or a size; beyond it there is only nonsense, and a division no decimal context can hold
LIMITED, STOPPED = ("LMT", "STP LMT"), ("STP", "STP LMT")
# Types that IB knows and this exchange does not simulate: refused as unsupported, where any other word is refused as invalid.
KNOWN_ELSEWHERE = frozenset(
    (
        *("TRAIL", "TRAIL LIMIT", "MOC", "LOC", "MIT", "LIT", "REL", "MIDPRICE", "MTL", "MKT PRT", "STP PRT", "BOX TOP", "VOL"),
        *("PEG MKT", "PEG MID", "PEG BEST", "PEG STK", "PEG BENCH"),
    )
)


def refusal(request: OrderRequest, instrument: Instrument | None, accounts: Sequence[str], now: datetime) -> Refusal | None:
    """Why a gateway would not take this order, new or modified: the first reason, or None."""
    if instrument is None:
        return 200, "No security definition has been found for the request"
    if instrument.expiry and instrument.expiry < f"{now.astimezone(GATEWAY_ZONE):%Y%m%d}":
        return 392, "Invalid order: contract expired."
    return _account(request, accounts) or _terms(request, instrument) or _prices(request, instrument) or _time_in_force(request, now)


def validation_error(cause: str) -> Refusal:
    """Code 321 in the words a gateway wraps every cause in."""
    return 321, f"Error validating request.-'bF' : cause - {cause}"


def end_of_order(request: OrderRequest, now: datetime) -> datetime | None:
    """When an order placed at `now` expires: the next 20:00 in New York for DAY, its own date for GTD, never for GTC."""
    if request.tif == "GTD":
        return good_till(request.wire.get("goodTillDate", ""))
    if request.tif == "GTC":
        return None
    local = now.astimezone(GATEWAY_ZONE)
    day = local.date() if local.time() < DAY_END else local.date() + timedelta(days=1)
    return datetime.combine(day, DAY_END, GATEWAY_ZONE).astimezone(UTC)


def good_till(text: str) -> datetime | None:
    """A goodTillDate as IB takes it, `yyyymmdd-hh:mm:ss` in UTC or `yyyymmdd hh:mm:ss zone`; None where it is neither."""
    date_part, _, rest = text.partition(" ")
    try:
        if not rest:
            return datetime.strptime(text, "%Y%m%d-%H:%M:%S").replace(tzinfo=UTC)
        clock, _, zone = rest.partition(" ")
        local_zone = ZoneInfo(ZONE_ALIASES.get(zone, zone)) if zone else GATEWAY_ZONE
        return datetime.strptime(f"{date_part} {clock}", "%Y%m%d %H:%M:%S").replace(tzinfo=local_zone).astimezone(UTC)
    except (ValueError, OverflowError, OSError, KeyError):  # ZoneInfo: KeyError for an unknown zone, OSError for a directory
        return None


def _account(request: OrderRequest, accounts: Sequence[str]) -> Refusal | None:
    if not request.account:
        return validation_error("You must specify an account.")
    return None if request.account in accounts else validation_error("Invalid account code.")


def _terms(request: OrderRequest, instrument: Instrument) -> Refusal | None:
    if request.action not in ("BUY", "SELL"):
        return validation_error("Invalid side was entered")
    if request.order_type not in SUPPORTED:
        if request.order_type in KNOWN_ELSEWHERE:
            return 387, "Unsupported order type for this exchange and security type."
        return validation_error("Invalid order type was entered")
    if SUPPORTED[request.order_type] not in instrument.order_types.split(","):
        return 387, "Unsupported order type for this exchange and security type."
    if request.oca_type not in (0, 1, 2, 3):
        return validation_error("Invalid OCA type was entered")
    return _size(request.quantity, instrument)


def _size(quantity: Decimal, instrument: Instrument) -> Refusal | None:
    if quantity == 0:
        return 434, "The order size cannot be zero."
    conforming = quantity.is_finite() and instrument.min_size <= quantity <= LARGEST and not quantity % instrument.size_increment
    return None if conforming else validation_error("Order size does not conform to market rule")


def _prices(request: OrderRequest, instrument: Instrument) -> Refusal | None:
    if request.order_type in LIMITED:
        if request.limit_price is None:
            return validation_error("Limit price is missing")
        if not _on_ladder(request.limit_price, instrument):
            return 110, "The price does not conform to the minimum price variation for this contract."
    if request.order_type in STOPPED:
        if request.aux_price is None or not request.aux_price.is_finite() or request.aux_price <= 0:
            return 403, "Invalid stop price."
        if not _on_ladder(request.aux_price, instrument):
            return 110, "The price does not conform to the minimum price variation for this contract."
    return None


def _on_ladder(price: Decimal, instrument: Instrument) -> bool:
    return price.is_finite() and 0 < price <= LARGEST and not price % increment_at(instrument, price)


def _time_in_force(request: OrderRequest, now: datetime) -> Refusal | None:
    if request.tif not in ("", "DAY", "GTC", "GTD"):
        return validation_error("Invalid time in force was entered")
    if request.tif == "GTD":
        until = good_till(request.wire.get("goodTillDate", ""))
        if until is None or until <= now:
            return 334, "Invalid Good Till Date order"
    return None
