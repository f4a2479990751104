"""Where the fields of a placeOrder and a cancelOrder frame stand: the one place of the book that knows the order of bytes on the wire.

It is read from what the simulated gateway wrote down, to compare it with the order; nothing is ever written by it. The layout is that of
IB's text protocol, server versions 157 to 200, for an order without legs or conditions, which is all that the desk sends.
"""

from __future__ import annotations

from dataclasses import dataclass

USUAL_VERSION = 178
"""What ib_async agrees on with any gateway of today; stands in where the server version is not known."""

# Positions in the frame; field 0 is the message id.
_ORDER_ID, _CON_ID, _ACTION, _QUANTITY, _TYPE, _LIMIT, _STOP, _TIF, _ACCOUNT, _REFERENCE = 1, 2, 16, 17, 18, 19, 20, 21, 23, 26
_DISPLAY_SIZE, _TRIGGER_METHOD, _OUTSIDE_RTH, _HIDDEN, _GOOD_AFTER, _GOOD_TILL = 31, 32, 33, 34, 37, 38
_SHORTEST = _REFERENCE + 1
# From the model code on positions depend on the version: below 177 a field (faProfile) stands before it. Counted from the model code:
_MODEL_CODE, _NO_PROFILE_SINCE = 42, 177
_ALL_OR_NONE, _TRAIL_STOP, _TRAIL_PERCENT, _ALGORITHM = 7, 26, 27, 40
# Counted from the end of the algorithm, which is its name and, where it has one, the number of its parameters and each one's tag and value.
_WHAT_IF, _LIMIT_OFFSET = 2, 10

_FIELDS_AT_157 = 110
# Server version -> how many fields more (or fewer) than the version before it.
_FIELDS_SINCE = {
    158: 1,  # duration
    160: 1,  # postToAts
    162: 1,  # autoCancelParent
    166: 1,  # advancedErrorOverride
    169: 1,  # manualOrderTime
    177: -1,  # faProfile is gone
    183: 1,  # customerAccount
    184: 1,  # professionalCustomer
    187: 2,  # two of a request for quote, for three versions
    189: 1,  # includeOvernight
    190: -2,
    192: 1,  # manualOrderIndicator
    199: 1,  # imbalanceOnly
}


@dataclass(frozen=True)
class OrderFrame:
    """The fields of a placeOrder that the order decides, as text, and how many fields there were. Flags and numbers not set are "0"."""

    time: str
    client: int
    order_id: int
    reference: str
    account: str
    con_id: str
    action: str
    quantity: str
    order_type: str
    limit: str
    stop: str  # auxPrice: the trigger, or the distance of a trailing stop
    time_in_force: str
    display_size: str
    trigger_method: str
    outside_rth: str
    hidden: str
    good_after: str
    good_till: str
    all_or_none: str
    trail_stop: str
    trail_percent: str
    algorithm: tuple[str, ...]  # its name, tags and values
    limit_offset: str
    is_preview: bool  # a what-if, which trades nothing
    fields: tuple[str, ...]

    def __str__(self) -> str:
        return f"placeOrder {self.order_id} of client {self.client} ({self.reference or 'no reference'})"


def order_frame(time: str, client: int, fields: list[str], server_version: int | None = None) -> OrderFrame | None:
    """The frame's fields by name; None where it is too short, or its id no number, to be an order at all."""
    if len(fields) < _SHORTEST or not _is_number(fields[_ORDER_ID]):
        return None

    def at(position: int, unset: str = "") -> str:
        return (fields[position] if position < len(fields) else "") or unset

    model_code = _MODEL_CODE + ((server_version or USUAL_VERSION) < _NO_PROFILE_SINCE)
    algorithm, after = _algorithm(fields, model_code + _ALGORITHM)
    return OrderFrame(
        time=time,
        client=client,
        order_id=int(fields[_ORDER_ID]),
        reference=fields[_REFERENCE],
        account=fields[_ACCOUNT],
        con_id=fields[_CON_ID],
        action=fields[_ACTION],
        quantity=fields[_QUANTITY],
        order_type=fields[_TYPE],
        limit=fields[_LIMIT],
        stop=fields[_STOP],
        time_in_force=fields[_TIF],
        display_size=at(_DISPLAY_SIZE, "0"),
        trigger_method=at(_TRIGGER_METHOD, "0"),
        outside_rth=at(_OUTSIDE_RTH, "0"),
        hidden=at(_HIDDEN, "0"),
        good_after=at(_GOOD_AFTER),
        good_till=at(_GOOD_TILL),
        all_or_none=at(model_code + _ALL_OR_NONE, "0"),
        trail_stop=at(model_code + _TRAIL_STOP),
        trail_percent=at(model_code + _TRAIL_PERCENT),
        algorithm=algorithm,
        limit_offset=at(after + _LIMIT_OFFSET),
        is_preview=at(after + _WHAT_IF) == "1",
        fields=tuple(fields),
    )


def _algorithm(fields: list[str], position: int) -> tuple[tuple[str, ...], int]:
    """The algorithm's name, tags and values, and the position of the last field that belongs to it."""
    name = fields[position] if position < len(fields) else ""
    count = fields[position + 1] if name and position + 1 < len(fields) else "0"
    if not name or not _is_number(count):
        return (name,) if name else (), position
    after = position + 1 + 2 * int(count)
    return (name, *fields[position + 2 : after + 1]), after


def order_fields(server_version: int, algorithm: tuple[str, ...] = ()) -> int:
    """How many fields a placeOrder has at this server version: with an algorithm, the number of its parameters, tags and values too."""
    plain = _FIELDS_AT_157 + sum(more for since, more in _FIELDS_SINCE.items() if since <= server_version)
    return plain + len(algorithm)


def cancelled_id(fields: list[str]) -> int | None:
    """The order id that a cancelOrder names, its third field; None where there is no number in it."""
    number = fields[2] if len(fields) > 2 else ""
    return int(number) if _is_number(number) else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def has_control_bytes(text: str) -> bool:
    """Whether a field holds what no field may: NUL ends fields, and nothing else below a blank has any business in an order."""
    return any(ord(character) < 32 or ord(character) == 127 for character in text)
