"""Sizing as it is asked on the ticket: by which method, with which numbers, to which stop.

The rule it keeps: it works on a ticket that is only half filled in. What the method needs and the ticket does not say is for the rules to
refuse, by name; the quantity that comes of it goes into the ticket when somebody takes it, and not by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from orders.contracts import ticks
from orders.models import Contract
from orders.pages.forms.reading import Number
from orders.rules.exit_rows import Basis, first_stop
from orders.rules.sizing import Method, SizingRequest
from orders.rules.terms import OrderType, Side
from orders.rules.tickets import TicketError

RISK_AMOUNT = "risk amount"
METHODS: list[tuple[str, str | Promise]] = [
    ("", gettext_lazy("Quantity")),
    (Method.RISK.value, gettext_lazy("Risk in %")),
    (RISK_AMOUNT, gettext_lazy("Risk amount")),
    (Method.CASH.value, gettext_lazy("Cash")),
    (Method.NET_LIQUIDATION.value, gettext_lazy("% of account")),
    (Method.ATR.value, gettext_lazy("Risk %, ATR stop")),
    (Method.KELLY.value, gettext_lazy("Part of Kelly")),
]
TO_THE_STOP = (Method.RISK.value, RISK_AMOUNT, Method.KELLY.value)
"""Methods that count what is lost at a stop."""


def size_fields() -> dict[str, forms.Field]:
    return {
        "size_method": forms.ChoiceField(choices=METHODS, required=False),
        "size_value": Number(required=False),
        "size_stop": Number(required=False),
        "size_atr": Number(required=False),
    }


def sizing_request(data: Mapping[str, Any], contract: Contract) -> SizingRequest:
    """What is asked, from as much of a ticket as could be read. Raises `TicketError` where it cannot be asked yet."""
    if not data.get("side"):
        raise TicketError("side", "is needed: choose Buy or Sell")
    name, value, side = data["size_method"], data.get("size_value"), Side(data["side"])
    entry = typed_entry(data)
    return SizingRequest(
        method=Method.RISK if name == RISK_AMOUNT else Method(name),
        side=side,
        entry_price=entry,
        stop_price=_stop(data, contract, entry, side),
        amount=value if name in (Method.CASH, RISK_AMOUNT) else None,
        percent=value if name in (Method.RISK, Method.NET_LIQUIDATION, Method.ATR) else None,
        **{"atr_multiple": data["size_atr"]} if data.get("size_atr") is not None else {},
        **{"kelly_fraction": value} if name == Method.KELLY and value is not None else {},
    )


def typed_entry(data: Mapping[str, Any]) -> Decimal | None:
    """The order's own price, where its type has one: what it would trade at."""
    order_type = OrderType(data["order_type"]) if data.get("order_type") else OrderType.MARKET
    if order_type.has_limit:
        return data.get("limit_price")
    return data.get("stop_price") if order_type.has_trigger else None


def _stop(data: Mapping[str, Any], contract: Contract, entry: Decimal | None, side: Side) -> Decimal | None:
    """The stop that the risk is counted to: that of the attached exits, else the one that was typed for the sizing alone."""
    if not data.get("bracket"):
        return data.get("size_stop")
    return first_stop(data, Basis(entry, side.sign, ticks(contract))) or data.get("size_stop")
