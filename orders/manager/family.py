"""A bracket, or the exits of a position, as one thing: which orders belong together, and what must hold between them when some are changed.

The rule it keeps: the pairs of an entry never sum to more than the entry, and a pair's prices keep their order, whichever is changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal

from orders.checks import Draft
from orders.errors import Refused
from orders.exposure import exited
from orders.models import OrderRecord
from orders.queries.legs import members
from orders.rules.terms import EXITS, OrderTerms, Role, Side, plain
from orders.rules.tickets import TicketError, check_exits, check_stop_limit, entry_prices

__all__ = ["keep_whole", "members", "pairs"]

Terms = Mapping[int, OrderTerms]
"""Terms of orders as they would be, by primary key."""


def pairs(exits: Sequence[OrderRecord]) -> list[list[OrderRecord]]:
    """The exits by pair, in the order in which they were placed: those of one group, or all children that name none."""
    found: dict[tuple[str, int | None], list[OrderRecord]] = defaultdict(list)
    for order in exits:
        alone = order.oca_group_id is None and order.parent_id is None
        found[("order", order.pk) if alone else ("group", order.oca_group_id)].append(order)
    return list(found.values())


def keep_whole(drafts: Sequence[Draft]) -> None:
    """Raises `Refused` EXITS_EXCEED or BRACKET where the family of these changes would not hold together. All are of one family."""
    family = members(drafts[0].order)
    terms = {order.pk: order.terms for order in family} | {draft.order.pk: draft.terms for draft in drafts}
    changed = {draft.order.pk for draft in drafts}
    exits = [order for order in family if order.role in EXITS]
    if not exits:
        return
    entry = exits[0].parent
    if entry is not None:
        _within(entry, exits, terms, {draft.order.pk for draft in drafts if draft.terms.quantity != draft.order.quantity})
    prices = entry_prices(terms[entry.pk]) if entry is not None and entry.is_open else ()
    for pair in pairs(exits):
        if entry is None or entry.pk in changed or changed & {order.pk for order in pair}:
            _sound(pair, terms, prices, changed)


def _within(entry: OrderRecord, exits: Sequence[OrderRecord], terms: Terms, resized: set[int]) -> None:
    """An entry is not made smaller than its exits, nor they larger than it: filled, they would open the reverse position.

    An entry that has ended gives what it filled. Exits that it left too large are no reason against making others of them smaller.
    """
    if entry.is_open and entry.pk in resized:
        total, size = _total(pairs(exits), terms) + exited(entry), terms[entry.pk].quantity
        if total > size:
            words = f"Its exits are for {plain(total)}: make them smaller first."
            raise Refused("EXITS_EXCEED", words, field="quantity", limit=total, actual=size)
        return
    grown = {order.pk for order in exits if order.pk in resized and terms[order.pk].quantity > order.quantity}
    judged = [[order for order in pair if order.pk in grown] or pair for pair in pairs(exits)]
    total, size = _total(judged, terms) + exited(entry), entry.quantity if entry.is_open else entry.filled_quantity
    if grown and total > size:
        words = f"The exits would be for {plain(total)}, and their entry is for {plain(size)}."
        raise Refused("EXCEEDS_POSITION", words, field="quantity", limit=size, actual=total)


def _total(exits: Sequence[Sequence[OrderRecord]], terms: Terms) -> Decimal:
    """What they may fill yet, pair by pair."""
    return sum((max(terms[order.pk].quantity - order.filled_quantity for order in pair) for pair in exits), Decimal(0))


def _sound(pair: Sequence[OrderRecord], terms: Terms, prices: Sequence[Decimal], changed: set[int]) -> None:
    by_role = {Role(order.role): terms[order.pk] for order in pair}
    target, stop = by_role.get(Role.TAKE_PROFIT), by_role.get(Role.STOP_LOSS)
    sign = Side(pair[0].side).opposite.sign
    try:
        check_exits(sign, prices, target and target.limit_price, stop and stop.stop_price)
        if stop is not None:
            check_stop_limit(sign, stop.stop_price, stop.limit_price)
    except TicketError as error:
        what = {"target_price": "The target", "stop_price": "The stop", "stop_limit_price": "The limit of the stop"}[error.field]
        raise Refused("BRACKET", f"{what} {error.message}.", field=_changed_field(pair, terms, changed)) from error


def _changed_field(pair: Sequence[OrderRecord], terms: Terms, changed: set[int]) -> str:
    """The price that was changed, as the form of a single order names it."""
    order = next((order for order in pair if order.pk in changed), None) or pair[0].parent
    if order is None:
        return ""
    return "limit_price" if terms[order.pk].limit_price != order.limit_price else "stop_price"
