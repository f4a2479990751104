"""The checks a gateway makes on an order before it takes it: nothing placed, one error, its code and words as IB's.

Pure: a request, its instrument and what is known of the accounts go in; (code, text) or None comes out. Checks that need the book
(groups, limits, margins) are the exchange's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from broker.simulator.attributes import attribute_refusal
from broker.simulator.model import Instrument, OrderRequest
from broker.simulator.moments import GATEWAY_ZONE
from broker.simulator.order_types import Refusal, Wait, kind_of, type_refusal, validation_error
from broker.simulator.trailing import number_in
from broker.simulator.universe import increment_at
from broker.simulator.unmatched import unmatched_refusal

LARGEST = Decimal(10) ** 12  # of a price or a size; beyond it there is only nonsense, and a division no decimal context can hold
_OFF_LADDER: Refusal = (110, "The price does not conform to the minimum price variation for this contract.")
_BAD_STOP: Refusal = (403, "Invalid stop price.")


def refusal(
    request: OrderRequest, instrument: Instrument | None, accounts: Sequence[str], now: datetime, held: OrderRequest | None = None
) -> Refusal | None:
    """Why a gateway would not take this order: the first reason, or None. `held` are the terms it would change."""
    if instrument is None:
        return 200, "No security definition has been found for the request"
    if instrument.expiry and instrument.expiry < f"{now.astimezone(GATEWAY_ZONE):%Y%m%d}":
        return 392, "Invalid order: contract expired."
    return (
        _account(request, accounts)
        or _terms(request, instrument)
        or _prices(request, instrument, held)
        or attribute_refusal(request, instrument, now)
        or unmatched_refusal(request)
    )


def _account(request: OrderRequest, accounts: Sequence[str]) -> Refusal | None:
    if not request.account:
        return validation_error("You must specify an account.")
    return None if request.account in accounts else validation_error("Invalid account code.")


def _terms(request: OrderRequest, instrument: Instrument) -> Refusal | None:
    if request.action not in ("BUY", "SELL"):
        return validation_error("Invalid side was entered")
    reason = type_refusal(request, instrument)
    if reason:
        return reason
    if request.oca_type not in (0, 1, 2, 3):
        return validation_error("Invalid OCA type was entered")
    return _size(request.quantity, instrument)


def _size(quantity: Decimal, instrument: Instrument) -> Refusal | None:
    if quantity == 0:
        return 434, "The order size cannot be zero."
    conforming = quantity.is_finite() and instrument.min_size <= quantity <= LARGEST and not quantity % instrument.size_increment
    return None if conforming else validation_error("Order size does not conform to market rule")


def _prices(request: OrderRequest, instrument: Instrument, held: OrderRequest | None) -> Refusal | None:
    kind = kind_of(request)
    if kind.waits_for is Wait.TRAIL:
        return _trailing(request, instrument, held)
    if any(number_in(request, name) for name in ("trailStopPrice", "trailingPercent", "lmtPriceOffset")):
        return 10340, "The following order attribute is not supported: trailing of an order that does not trail"
    if kind.limited:
        if request.limit_price is None:
            return validation_error("Limit price is missing")
        if not _on_ladder(request.limit_price, instrument):
            return _OFF_LADDER
    return _trigger(request.aux_price, instrument) if kind.waits_for is not None else None


def _trigger(price: Decimal | None, instrument: Instrument) -> Refusal | None:
    if price is None or not price.is_finite() or price <= 0:
        return _BAD_STOP
    return None if _on_ladder(price, instrument) else _OFF_LADDER


def _trailing(request: OrderRequest, instrument: Instrument, held: OrderRequest | None) -> Refusal | None:
    """A distance as an amount or in percent, not both; where the stop begins may be left out. Zero is as good as not set."""
    percent, stop = number_in(request, "trailingPercent"), number_in(request, "trailStopPrice")
    amount = request.aux_price or None
    if bool(amount) == bool(percent) or (amount and not (amount.is_finite() and 0 < amount <= LARGEST)):
        return 158, "You must specify an offset amount or a percent offset value."
    if percent and not (percent.is_finite() and 0 < percent < 100):
        return 159, "The percent offset value must be between 0% and 100%."
    if stop and (reason := _trigger(stop, instrument)):
        return reason
    return _trailing_limit(request, instrument, held) if kind_of(request).limited else None


def _trailing_limit(request: OrderRequest, instrument: Instrument, held: OrderRequest | None) -> Refusal | None:
    """A TRAIL LIMIT says where its stop begins, and its limit by a price or by an offset. A change may leave out where the stop begins,
    and may carry the limit that openOrder told of beside the offset: then the offset counts."""
    offset, limit = number_in(request, "lmtPriceOffset"), request.limit_price or None
    if held is None and not number_in(request, "trailStopPrice"):
        return validation_error("Trail stop price is missing")
    if (offset is None) == (limit is None) and not (held is not None and offset is not None):
        return validation_error("Either the limit price or the limit price offset must be specified")
    if offset is not None:
        return None if offset.is_finite() and abs(offset) <= LARGEST else validation_error("Invalid limit price offset was entered")
    return None if limit is not None and _on_ladder(limit, instrument) else _OFF_LADDER


def _on_ladder(price: Decimal, instrument: Instrument) -> bool:
    return price.is_finite() and 0 < price <= LARGEST and not price % increment_at(instrument, price)
