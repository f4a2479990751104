"""A request as a preview reads it: its entry, its ways out, its words.

The rule it keeps: the words on the screen are made from the request itself, never from the fields that it was typed into.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from orders.models import Account, Contract
from orders.queries.show import Ticks, quantity
from orders.rules.terms import OrderTerms, TimeInForce, plain, terms_from_json, terms_to_json
from orders.rules.tickets import BracketTicket

PlaceRequest = OrderTerms | BracketTicket


@dataclass(frozen=True)
class WayOut:
    """One stop and target for a part of the entry. `trail` is the distance of a trailing stop, as a price."""

    quantity: Decimal
    target: Decimal | None
    stop: Decimal | None


def entry_of(request: PlaceRequest) -> OrderTerms:
    """The order that opens: the entry of a bracket, else the order itself."""
    return request.entry if isinstance(request, BracketTicket) else request


def ways_out(request: PlaceRequest) -> Sequence[WayOut]:
    """The exits that come along; none of a single order."""
    if not isinstance(request, BracketTicket):
        return ()
    return (WayOut(request.entry.quantity, request.take_profit_price, request.stop_loss_price),)


def as_json(request: PlaceRequest) -> dict[str, Any]:
    """The request as it is sealed: the same for the same request, however its numbers are spelled."""
    if isinstance(request, OrderTerms):
        return terms_to_json(request)
    return {
        "entry": terms_to_json(request.entry),
        "take_profit_price": plain(request.take_profit_price),
        "stop_loss_price": plain(request.stop_loss_price),
        "exits_time_in_force": request.exits_time_in_force.value,
    }


def from_json(values: Mapping[str, Any]) -> PlaceRequest:
    """The request that `as_json` wrote."""
    if "entry" not in values:
        return terms_from_json(values)
    return BracketTicket(
        entry=terms_from_json(values["entry"]),
        take_profit_price=Decimal(values["take_profit_price"]),
        stop_loss_price=Decimal(values["stop_loss_price"]),
        exits_time_in_force=TimeInForce(values["exits_time_in_force"]),
    )


def terms_words(terms: OrderTerms, contract: Contract, ticks: Ticks) -> str:
    """ "BUY 100 AAPL LMT 233.33 DAY": every price the order has, a trailing distance as one."""
    prices = [ticks.price(contract, value) for value in (terms.stop_price, terms.limit_price) if value is not None]
    if terms.trail_percent is not None:
        prices.append(f"{plain(terms.trail_percent)} %")
    elif terms.trail_amount is not None:
        prices.append(ticks.price(contract, terms.trail_amount))
    shown = " / ".join(prices)
    return " ".join(filter(None, [terms.side, quantity(terms.quantity), contract.label, terms.order_type, shown, terms.time_in_force]))


def sentence(request: PlaceRequest, account: Account, contract: Contract, ticks: Ticks) -> str:
    """The whole request in one sentence: "BUY 100 AAPL LMT 233.33 DAY, account DU…417, stop 228.66, target 252.00"."""
    words = [terms_words(entry_of(request), contract, ticks), _("account %s") % account.short]
    outs = ways_out(request)
    for out in outs:
        share = f"{quantity(out.quantity)} × " if len(outs) > 1 else ""
        if out.stop is not None:
            words.append(_("stop %s") % (share + ticks.price(contract, out.stop)))
        if out.target is not None:
            words.append(_("target %s") % (share + ticks.price(contract, out.target)))
    return ", ".join(words)
