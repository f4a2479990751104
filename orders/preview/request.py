"""A request as a preview reads it: its entry, its ways out, its words.

The rule it keeps: the words on the screen are made from the request itself, never from the fields that it was typed into.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from orders.models import Account, Contract
from orders.preview.parts import Spelling, span, terms_words
from orders.queries.show import Ticks, quantity
from orders.rules.terms import OcaType, OrderTerms, OrderType, Side, TimeInForce, plain, terms_from_json
from orders.rules.tickets import BracketTicket, ExitPair, ExitsTicket, PlaceRequest, request_to_json

__all__ = ["PlaceRequest", "WayOut", "as_json", "entry_of", "from_json", "opened_by", "sentence", "ways_out"]

as_json = request_to_json
"""The request as it is sealed: the same for the same request, however its numbers are spelled."""


@dataclass(frozen=True)
class WayOut:
    """One pair of exits. `target` and `stop` are prices; a trailing stop begins at its distance from the entry."""

    quantity: Decimal
    target: Decimal | None
    stop: Decimal | None


def entry_of(request: PlaceRequest) -> OrderTerms:
    """What a request is weighed by: the entry of a bracket, the order itself; of exits what they close together, whichever fills."""
    if isinstance(request, ExitsTicket):
        assert request.side is not None, "exits are previewed for a position that was seen"
        return OrderTerms(request.side, OrderType.MARKET, request.quantity, time_in_force=request.time_in_force)
    return request.entry if isinstance(request, BracketTicket) else request


def opened_by(request: PlaceRequest) -> int:
    """+1 where what the exits close is long, -1 where it is short."""
    return -entry_of(request).side.sign if isinstance(request, ExitsTicket) else entry_of(request).side.sign


def ways_out(request: PlaceRequest, price: Decimal | None) -> Sequence[WayOut]:
    """The exits that come along, for an entry at `price`, from which a trailing stop begins; none of a single order."""
    if isinstance(request, OrderTerms):
        return ()
    sign = opened_by(request)
    return [WayOut(pair.quantity, pair.target_price, _stop(pair, price, sign)) for pair in request.pairs]


def _stop(pair: ExitPair, price: Decimal | None, sign: int) -> Decimal | None:
    """Where the stop of a pair stands when the entry fills at `price`."""
    if pair.stop_price is not None or price is None:
        return pair.stop_price
    if pair.trail_amount is not None:
        return price - sign * pair.trail_amount
    return price * (1 - sign * pair.trail_percent / 100) if pair.trail_percent is not None else None


def from_json(values: Mapping[str, Any]) -> PlaceRequest:
    """The request that `as_json` wrote."""
    if "pairs" not in values:
        return terms_from_json(values)
    if "entry" not in values:
        return ExitsTicket(
            pairs=tuple(_pair(pair) for pair in values["pairs"]),
            side=values["side"] and Side(values["side"]),
            oca_type=OcaType(values["oca_type"]),
            time_in_force=TimeInForce(values["time_in_force"]),
            outside_rth=values["outside_rth"],
        )
    return BracketTicket(
        entry=terms_from_json(values["entry"]),
        pairs=tuple(_pair(pair) for pair in values["pairs"]),
        oca_type=None if values["oca_type"] is None else OcaType(values["oca_type"]),
        exits_time_in_force=TimeInForce(values["exits_time_in_force"]),
        exits_outside_rth=values["exits_outside_rth"],
    )


def _pair(values: Mapping[str, Any]) -> ExitPair:
    numbers = {name: Decimal(value) for name, value in values.items() if name != "time_stop"}
    seconds = values.get("time_stop")
    return ExitPair(**numbers, time_stop=None if seconds is None else timedelta(seconds=seconds))


def sentence(request: PlaceRequest, account: Account, contract: Contract, ticks: Ticks) -> str:
    """The whole request in one sentence: "BUY 100 AAPL LMT 233.33 DAY, account DU…417, stop 228.66, target 252.00"."""
    spelling = Spelling(contract, account.time_zone, ticks)
    if isinstance(request, ExitsTicket):
        parts = [entry_of(request).side, quantity(request.quantity), contract.label, request.time_in_force]
        first = _("%s as exits") % " ".join(parts)
    else:
        first = terms_words(entry_of(request), spelling)
    words = [first, _("account %s") % account.short]
    pairs = () if isinstance(request, OrderTerms) else request.pairs
    for pair in pairs:
        words += _pair_words(pair, spelling, f"{quantity(pair.quantity)} × " if len(pairs) > 1 else "")
    return ", ".join(words)


def _pair_words(pair: ExitPair, spelling: Spelling, share: str) -> list[str]:
    found = []
    if pair.trails:
        percent = pair.trail_percent
        distance = f"{plain(percent)} %" if percent is not None else spelling.distance(pair.trail_amount)
        begins = _(" from %s") % spelling.price(pair.stop_price) if pair.stop_price is not None else ""
        words = _("stop %s") % (share + _("trailing by %s") % (distance + begins))
        if pair.limit_offset is not None:
            words += _(", its limit %s behind it") % spelling.distance(pair.limit_offset)
        found.append(words)
    elif pair.stop_price is not None:
        limit = f" / {spelling.price(pair.stop_limit_price)}" if pair.stop_limit_price is not None else ""
        found.append(_("stop %s") % (share + spelling.price(pair.stop_price) + limit))
    if pair.target_price is not None:
        found.append(_("target %s") % (share + spelling.price(pair.target_price)))
    if pair.time_stop is not None:
        found.append(_("out after %s") % (share + span(pair.time_stop)))
    return found
