"""Turns the fields of one received frame into a request, whatever they hold.

Known requests that this gateway does not simulate are listed here with the place of their request id, so that they are answered with an
error that names them. The rule kept: reading never fails; what cannot be read becomes a Malformed, with the request's id where that
much can be read.
"""

from __future__ import annotations

from broker.simulator.messages.layout import Cursor
from broker.simulator.messages.place_order import read_place_order
from broker.simulator.messages.requests import LAYOUTS, NAMES, Malformed, NotSimulated, Request
from broker.simulator.messages.values import ValueProblem, parse_integer

PLACE_ORDER = 3

# id: (name, index of the request id among the fields, or None where the message has none)
NOT_SIMULATED: dict[int, tuple[str, int | None]] = {
    10: ("reqMktDepth", 2),
    11: ("cancelMktDepth", 2),
    12: ("reqNewsBulletins", None),
    13: ("cancelNewsBulletins", None),
    18: ("requestFA", None),
    19: ("replaceFA", None),
    21: ("exerciseOptions", 2),
    22: ("reqScannerSubscription", 1),
    23: ("cancelScannerSubscription", 2),
    24: ("reqScannerParameters", None),
    50: ("reqRealTimeBars", 2),
    51: ("cancelRealTimeBars", 2),
    52: ("reqFundamentalData", 2),
    53: ("cancelFundamentalData", 2),
    54: ("calculateImpliedVolatility", 2),
    55: ("calculateOptionPrice", 2),
    56: ("cancelCalculateImpliedVolatility", 2),
    57: ("cancelCalculateOptionPrice", 2),
    65: ("verifyRequest", None),
    66: ("verifyMessage", None),
    67: ("queryDisplayGroups", 2),
    68: ("subscribeToGroupEvents", 2),
    69: ("updateDisplayGroup", 2),
    70: ("unsubscribeFromGroupEvents", 2),
    72: ("verifyAndAuthRequest", None),
    73: ("verifyAndAuthMessage", None),
    84: ("reqNewsArticle", 1),
    86: ("reqHistoricalNews", 1),
    87: ("reqHeadTimeStamp", 1),
    88: ("reqHistogramData", 1),
    89: ("cancelHistogramData", 1),
    90: ("cancelHeadTimeStamp", 1),
    96: ("reqHistoricalTicks", 1),
    97: ("reqTickByTickData", 1),
    98: ("cancelTickByTickData", 1),
    100: ("reqWshMetaData", 1),
    101: ("cancelWshMetaData", 1),
    102: ("reqWshEventData", 1),
    103: ("cancelWshEventData", 1),
}


def name_of(fields: list[str]) -> str:
    """IB's name of the message in `fields`, for people and ledgers; unknown ones are named by their id."""
    try:
        message_id = int(fields[0])
    except (IndexError, ValueError):
        return "unreadable"
    return NAMES.get(message_id) or NOT_SIMULATED.get(message_id, (f"message {message_id}", None))[0]


def _number_at(fields: list[str], index: int | None) -> int:
    try:
        return parse_integer(fields[index]) if index is not None else -1
    except (IndexError, ValueProblem):
        return -1


def read_request(fields: list[str], version: int) -> Request:
    """The request in one frame's fields; Malformed or NotSimulated where it is not one that can be served. Never raises."""
    message_id = _number_at(fields, 0)
    if message_id in NOT_SIMULATED:
        name, index = NOT_SIMULATED[message_id]
        return NotSimulated(name, _number_at(fields, index))
    layout = LAYOUTS.get(message_id)
    if layout is None and message_id != PLACE_ORDER:
        return Malformed(-1, f"Error reading request. Unknown message id {fields[0][:40] if fields else '(none)'}.")
    leads_with_version = layout is not None and version < layout.version_field_below
    cursor = Cursor(fields[1:], version)
    try:
        return read_place_order(cursor) if layout is None else layout.read(cursor)
    except ValueProblem as problem:
        return Malformed(_number_at(fields, 2 if leads_with_version else 1), f"Error reading request. {NAMES[message_id]}: {problem}")
