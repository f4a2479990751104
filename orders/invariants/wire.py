"""Where the fields of a placeOrder and a cancelOrder frame stand: the one place of the book that knows the order of bytes on the wire.

It is read from what the simulated gateway wrote down, to compare it with the order; nothing is ever written by it. The layout is that of
IB's text protocol, server versions 157 to 200, for an order without legs, conditions or an algorithm, which is all that the desk sends.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_REQUEST_ID = 1_000_000_000
"""Ids from here on number requests; a placeOrder under such an id is a preview (what-if), which trades nothing."""

# Positions in the frame; field 0 is the message id.
_ORDER_ID, _CON_ID, _ACTION, _QUANTITY, _TYPE, _LIMIT, _STOP, _TIF, _ACCOUNT, _REFERENCE = 1, 2, 16, 17, 18, 19, 20, 21, 23, 26
_SHORTEST = _REFERENCE + 1

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
    """The fields of a placeOrder that the order decides, as text, and how many fields there were."""

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
    stop: str
    time_in_force: str
    fields: tuple[str, ...]

    @property
    def is_preview(self) -> bool:
        return self.order_id >= FIRST_REQUEST_ID

    def __str__(self) -> str:
        return f"placeOrder {self.order_id} of client {self.client} ({self.reference or 'no reference'})"


def order_frame(time: str, client: int, fields: list[str]) -> OrderFrame | None:
    """The frame's fields by name; None where it is too short, or its id no number, to be an order at all."""
    if len(fields) < _SHORTEST or not fields[_ORDER_ID].isascii() or not fields[_ORDER_ID].isdigit():
        return None
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
        fields=tuple(fields),
    )


def order_fields(server_version: int) -> int:
    """How many fields a plain placeOrder has at this server version."""
    return _FIELDS_AT_157 + sum(more for since, more in _FIELDS_SINCE.items() if since <= server_version)


def cancelled_id(fields: list[str]) -> int | None:
    """The order id that a cancelOrder names, its third field; None where there is no number in it."""
    number = fields[2] if len(fields) > 2 else ""
    return int(number) if number.isascii() and number.isdigit() else None


def has_control_bytes(text: str) -> bool:
    """Whether a field holds what no field may: NUL ends fields, and nothing else below a blank has any business in an order."""
    return any(ord(character) < 32 or ord(character) == 127 for character in text)
