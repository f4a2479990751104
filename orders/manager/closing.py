"""Closing a position: cancel what works to close it, wait until that is gone, then send what is left, as one step that survives a crash.

The rule it keeps: the quantity is settled at the claim, from the position as it is then. Until the cancelled exits are known to be gone
nothing goes out, because an exit that fills meanwhile would make the close open the reverse position.
"""

from __future__ import annotations

from orders import checks
from orders.book import OpenBook
from orders.checks import Draft
from orders.errors import Refused
from orders.exposure import closing_side, may_trade, open_orders, position_of
from orders.manager.changing import ask_cancel, is_cancellable
from orders.manager.placing import Member, Placing, draft_orders, write
from orders.manager.submissions import refuse
from orders.models import BrokerCommand, OrderRecord, Position
from orders.rules.lifecycle import OrderStatus
from orders.rules.terms import OrderTerms, OrderType, Role, plain


def close(b: OpenBook, placing: Placing) -> OrderRecord:
    """A market order for the whole position, after its working exits are cancelled.

    Raises `Refused`: NO_POSITION, CLOSE_OPEN where a close is under way, EXTERNAL_EXITS where orders that only another client can cancel
    close the position already, or what limits a reduction (permission, a halt).
    """
    refuse(checks.permission(b, placing.user, placing.account))
    position = position_of(placing.account, placing.contract)
    if position is None:
        raise Refused("NO_POSITION", f"There is no position in {placing.contract.label} to close.", field="contract")
    exits = _exits(position)
    if any(order.role == Role.CLOSE for order in exits):
        raise Refused("CLOSE_OPEN", "This position is being closed already.")
    cancelled = [order for order in exits if is_cancellable(order)]
    left = abs(position.quantity) - may_trade([order for order in exits if order not in cancelled])
    if left <= 0:
        words = f"Orders placed elsewhere already close the position of {plain(position.quantity)}; cancel them there first."
        raise Refused("EXTERNAL_EXITS", words)
    cancelled = _with_entries(cancelled)
    terms = OrderTerms(side=closing_side(position.quantity), order_type=OrderType.MARKET, quantity=left)
    [draft] = draft_orders(b, placing, [Member(terms, Role.CLOSE)])
    _check(b, placing, draft, cancelled)
    for order in cancelled:
        order.refresh_from_db()  # a withdrawn unit takes several with it
        if order.is_open:
            ask_cancel(b, placing.user, order)
    after = [order.client_order_id for order in cancelled if OrderRecord.objects.get(pk=order.pk).is_open]
    quantity_rule = BrokerCommand.QuantityRule.POSITION
    write(b, draft.order, placing, after=after, quantity_rule=quantity_rule, claimable_at=None if after else b.now)
    return draft.order


def _exits(position: Position) -> list[OrderRecord]:
    """Open orders that may close the position. Exits of an entry that has not filled belong to that entry, not to the position."""
    side = closing_side(position.quantity)
    return [order for order in open_orders(position.account, position.contract, side) if not _waits_for_entry(order)]


def _waits_for_entry(order: OrderRecord) -> bool:
    parent = order.parent
    return parent is not None and parent.is_open and parent.filled_quantity == 0 and parent.state is not OrderStatus.UNKNOWN


def _with_entries(exits: list[OrderRecord]) -> list[OrderRecord]:
    """The exits, and before them the entries that are still filling: an entry must not go on without its exits."""
    entries = {order.parent.pk: order.parent for order in exits if order.parent is not None and order.parent.is_open}
    return [*entries.values(), *exits]


def _check(b: OpenBook, placing: Placing, draft: Draft, leaving: list[OrderRecord]) -> None:
    refuse(checks.fits_contract(placing.contract, draft.terms, resized=False))
    gone = [order.pk for order in leaving]
    found = checks.breaches(b, [draft], placing.user, leaving=gone)
    refuse(found[0] if found else None)
