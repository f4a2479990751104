"""Changing a bracket, or the exits of a position, as one: moved together, leg by leg, or resized with its entry.

The rule it keeps: the legs are judged together and asked for in one transaction, all or none. The broker answers them one by one; what it
makes of each stands in that leg's own MODIFY. What must not overtake another leg waits for it in the outbox.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from orders import checks, contracts
from orders.book import OpenBook
from orders.errors import Refused
from orders.manager import changing, family
from orders.manager.submissions import refuse
from orders.models import BrokerCommand, OrderRecord
from orders.rules.pricing import PriceRule
from orders.rules.terms import EXITS, plain
from orders.rules.tickets import TicketError

Changes = dict[int, dict[str, Any]]
"""What is asked of each leg, by primary key and the names of `OrderTerms`."""


@dataclass(frozen=True)
class Wanted:
    """A move of every price by an amount or by ticks, changes by leg, and a new size of the entry: any of them together."""

    move: Decimal | None = None
    move_ticks: Decimal | None = None
    legs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    quantity: Decimal | None = None


def reshape(b: OpenBook, user: Any, order: OrderRecord, wanted: Wanted) -> list[BrokerCommand]:
    """The MODIFY of each leg that changes; none where the whole was not sent yet and has simply been changed.

    Raises `Refused`: NOTHING_CHANGES, NOT_OPEN, NOT_A_LEG, PARTLY_FILLED, TOO_SMALL, what any of the changes would be refused for (the
    words then say of which leg), or `TicketError`.
    """
    refuse(checks.permission(b, user, order.account))
    drafts = plan(order, wanted, b.now)
    found = checks.breaches(b, drafts, user)
    refuse(found[0] if found else None)
    commands = [changing.ask_for(b, user, draft) for draft in drafts]
    return [command for command in commands if command is not None]


def plan(order: OrderRecord, wanted: Wanted, now: datetime) -> list[checks.Draft]:
    """What would be asked for, leg by leg, as far as it can be judged without the limits. Raises as `reshape` does."""
    legs = [leg for leg in family.members(order) if leg.is_open]
    if not legs:
        raise Refused("NOT_OPEN", "None of its orders is open any more.")
    asked = _asked(legs, wanted)
    drafts = [draft for leg in legs if leg.pk in asked and (draft := _draft(leg, asked[leg.pk], now)).terms != leg.terms]
    if not drafts:
        raise Refused("NOTHING_CHANGES", "The orders have these terms already.")
    family.keep_whole(drafts)
    return drafts


def _draft(leg: OrderRecord, asked: Mapping[str, Any], now: datetime) -> checks.Draft:
    """The leg's change, judged by itself. What is refused names the leg."""
    try:
        return changing.changed(leg, asked, now)
    except Refused as refused:
        refused.message = f"{leg.role.capitalize()}: {refused.message}"
        raise
    except TicketError as error:
        words = f"{leg.role.capitalize()}: {error.field.replace('_', ' ')} {error.message}."
        raise Refused("TICKET", words, field=error.field) from error


def _asked(legs: Sequence[OrderRecord], wanted: Wanted) -> Changes:
    """What is asked of each leg, later wishes over earlier ones: the move, the size, then what was said of the leg itself."""
    asked: Changes = {leg.pk: {} for leg in legs}
    if wanted.move is not None or wanted.move_ticks is not None:
        for leg in legs:
            asked[leg.pk] |= _moved(leg, wanted)
    if wanted.quantity is not None:
        for pk, quantity in _resized(legs, wanted.quantity).items():
            asked[pk]["quantity"] = quantity
    names = {leg.client_order_id: leg.pk for leg in legs}
    for name, changes in wanted.legs.items():
        if name not in names:
            raise Refused("NOT_A_LEG", f"{name} is no open order of this bracket.")
        asked[names[name]] |= changes
    return {pk: changes for pk, changes in asked.items() if changes}


def _moved(leg: OrderRecord, wanted: Wanted) -> dict[str, Decimal]:
    """The leg's prices, shifted. A trail keeps its distance; where it begins moves while it waits for its entry."""
    rule = contracts.ticks(leg.contract)
    if rule is None:
        words = f"The price ticks of {leg.contract.label} are not known yet; look the contract up first."
        raise Refused("TICK_UNKNOWN", words, field="contract")
    names = ("limit_price", "stop_price") if not leg.terms.order_type.trails or leg.parent is not None else ()
    prices = {name: price for name in names if (price := getattr(leg, name)) is not None}
    return {name: _shifted(price, rule, wanted) for name, price in prices.items()}


def _shifted(price: Decimal, rule: PriceRule, wanted: Wanted) -> Decimal:
    by = (wanted.move or Decimal(0)) + (wanted.move_ticks or Decimal(0)) * rule.tick_at(price)
    moved = rule.nearest(price + by)
    if moved <= 0:
        raise TicketError("move", f"would take {plain(price)} below the smallest price")
    return moved


def _resized(legs: Sequence[OrderRecord], quantity: Decimal) -> dict[int, Decimal]:
    """The entry's new size, and its exits in proportion: each pair rounded down to the size increment, the rest on the last."""
    entry, exits = legs[0], [leg for leg in legs if leg.role in EXITS]
    if entry.role in EXITS:
        raise Refused("PARTLY_FILLED", "Its entry has ended; change the sizes of its exits one by one.", field="quantity")
    if entry.filled_quantity:
        words = f"The entry has filled {plain(entry.filled_quantity)} already; change the sizes of its legs one by one."
        raise Refused("PARTLY_FILLED", words, field="quantity")
    step = entry.contract.size_increment if entry.contract.size_increment > 0 else Decimal(1)
    found = {entry.pk: quantity}
    every = family.pairs(exits)
    left, total = quantity, sum((pair[0].quantity for pair in every), Decimal(0))
    for pair in every:
        share = (pair[0].quantity * quantity / total / step).to_integral_value(ROUND_FLOOR) * step if pair is not every[-1] else left
        if share <= 0:
            words = f"{plain(quantity)} are too few for {len(every)} pairs of exits."
            raise Refused("TOO_SMALL", words, field="quantity", actual=quantity)
        left -= share
        found |= {leg.pk: share for leg in pair}
    return found
