"""The attributes of an order beside its type, prices and time: all or none, display size, hidden, trigger method, good after, algorithm.

Pure checks in the order a gateway makes them: (code, text) or None. What an instrument does not list is code 387. Combinations that IB
does not allow have the codes that were seen on a paper account: 152 hidden, 10255 display size, 10257 all or none. The algorithm Adaptive
is taken with its priority and traded as the order itself would be (modelling choice); it has no part in brackets, as at IB.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from broker.simulator.model import Instrument, OrderRequest
from broker.simulator.moments import moment_of
from broker.simulator.order_types import UNSUPPORTED, Refusal, has_flag, kind_of, lists, trades_at_auction
from broker.simulator.trailing import number_in
from broker.simulator.triggers import METHODS

PRIORITIES = frozenset({"Urgent", "Normal", "Patient"})
ADAPTIVE, PRIORITY = "Adaptive", "adaptivePriority"
BLOCK_SEPARATOR = "\0"  # between the fields of an echoed block, as place_order joins them
NO_ALGORITHM_HERE: Refusal = (442, "Specified algorithm is not allowed for this order.")
_IGNORED_RTH: Refusal = (
    2109,
    "Order Event Warning: Attribute 'Outside Regular Trading Hours' is ignored based on the order type and destination. "
    "PlaceOrder is now being processed.",
)
_BAD_TIME = (
    "The date, time, or time-zone entered is invalid. The correct format is yyyymmdd hh:mm:ss xxx where yyyymmdd and xxx are optionally "
    "specified. E.g.: 20031126 15:59:00 EST"
)


def attribute_refusal(request: OrderRequest, instrument: Instrument, now: datetime) -> Refusal | None:
    """Why a gateway would not take the order with these attributes: the first reason, or None."""
    return (
        _times(request, instrument, now)
        or _trigger_method(request)
        or _all_or_none(request, instrument)
        or _display_size(request, instrument)
        or _hidden(request, instrument)
        or _algorithm(request, instrument)
    )


def algorithm_of(request: OrderRequest) -> tuple[str, ...]:
    """The algorithm, the number of its parameters, and each parameter's name and value; empty where there is none."""
    strategy = request.wire.get("algoStrategy", "")
    return (strategy, *request.wire.get("algoParams", "").split(BLOCK_SEPARATOR)) if strategy else ()


def ignored_attribute(request: OrderRequest, instrument: Instrument) -> Refusal | None:
    """The warning 2109 where IB takes `outsideRth` and does without it: share orders that trade in regular hours only, and options."""
    if not request.outside_rth or instrument.sec_type in ("CASH", "FUT"):
        return None
    regular_only = request.order_type in ("MKT", "MIT") or trades_at_auction(request) or bool(algorithm_of(request))
    return _IGNORED_RTH if regular_only or instrument.sec_type == "OPT" else None


def _times(request: OrderRequest, instrument: Instrument, now: datetime) -> Refusal | None:
    until_text, after_text = request.wire.get("goodTillDate", ""), request.wire.get("goodAfterTime", "")
    until, after = moment_of(until_text), moment_of(after_text)
    if (request.tif == "GTD" and (until is None or until <= now)) or (request.tif != "GTD" and until_text):
        return 334, "Invalid Good Till Date order"
    if not after_text:
        return None
    if after is None:
        return 337, _BAD_TIME
    if not lists(instrument, "GAT"):
        return UNSUPPORTED
    if trades_at_auction(request):
        return 338, "Good After Time orders are currently disabled on this exchange."
    return (334, "Invalid Good Till Date order") if until is not None and until <= after else None


def _trigger_method(request: OrderRequest) -> Refusal | None:
    text = request.wire.get("triggerMethod", "")
    return (146, "Invalid trigger method.") if text and text not in {str(method) for method in METHODS} else None


def _all_or_none(request: OrderRequest, instrument: Instrument) -> Refusal | None:
    if not has_flag(request, "allOrNone"):
        return None
    if not lists(instrument, "AON"):
        return UNSUPPORTED
    if _shown(request) is not None or algorithm_of(request):
        return 10257, "The 'All or None' attribute may not be specified for this order."
    return None


def _display_size(request: OrderRequest, instrument: Instrument) -> Refusal | None:
    shown = _shown(request)
    if shown is None:
        return None
    if not shown.is_finite() or shown < 0 or shown >= request.quantity or shown % 1:
        return 10020, "Display size should be smaller than order size."
    if not lists(instrument, "ICE"):
        return UNSUPPORTED
    if request.order_type != "LMT" or trades_at_auction(request) or has_flag(request, "hidden") or algorithm_of(request):
        return 10255, "The display size may not be specified for this order."
    return None


def _shown(request: OrderRequest) -> Decimal | None:
    """The display size; clients that mean none leave it out or at zero."""
    shown = number_in(request, "displaySize")
    return None if shown == 0 else shown


def _hidden(request: OrderRequest, instrument: Instrument) -> Refusal | None:
    if not has_flag(request, "hidden"):
        return None
    if not lists(instrument, "HID"):
        return UNSUPPORTED
    if request.order_type != "LMT" or trades_at_auction(request) or algorithm_of(request):
        return 152, 'The "hidden" order attribute may not be specified for this order.'
    return None


def _algorithm(request: OrderRequest, instrument: Instrument) -> Refusal | None:
    if not (algorithm := algorithm_of(request)):
        return None
    strategy, _, *pairs = algorithm
    parameters = dict(zip(pairs[::2], pairs[1::2], strict=False))
    if not lists(instrument, "ALGO"):
        return UNSUPPORTED
    if strategy != ADAPTIVE:
        return 439, "Order processing failed. Algorithm definition not found."
    if parameters.keys() - {PRIORITY}:
        return 443, "Order processing failed. Unknown algo attribute."
    if parameters.get(PRIORITY) not in PRIORITIES:
        return 441, f"Algo attributes validation failed: {PRIORITY}"
    if kind_of(request).word not in ("MKT", "LMT") or request.tif not in ("DAY", "GTC", "") or request.parent_id:
        return NO_ALGORITHM_HERE
    return NO_ALGORITHM_HERE if request.wire.get("goodAfterTime") else None
