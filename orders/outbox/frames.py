"""From claimed rows to frames: order ids from the book's own mark, parents, OCA groups, and who transmits.

The rule it keeps: an id names one order for ever. It is written with the claim, before the frame that carries it can leave.
"""

from __future__ import annotations

from orders import contracts
from orders.book import Fact, OpenBook
from orders.models import BrokerCommand, BrokerId, OrderRecord
from orders.rules.commands import CancelOrder, ModifyOrder, PlaceOrder
from orders.rules.terms import terms_from_json

LAST_ORDER_ID = 999_999_999
"""Requests to the gateway are numbered from 1,000,000,000 up: an error for a request must never hit an order."""


def has_ids_for(b: OpenBook, count: int) -> bool:
    return b.row.order_id_mark + count <= LAST_ORDER_ID


def number(b: OpenBook, fact: Fact, order: OrderRecord, client_id: int) -> int:
    """Gives the order the next id of the book's mark."""
    order_id = b.row.order_id_mark + 1
    fact.set(b.row, order_id_mark=order_id)
    fact.add(BrokerId(order=order, client_id=client_id, ib_order_id=order_id))
    return order_id


def broker_id(order: OrderRecord, client_id: int) -> int | None:
    """The id under which this client may change or cancel the order; None where it is another client's (IB 10147)."""
    rows = BrokerId.objects.filter(order=order, client_id=client_id, ib_order_id__gt=0)
    return rows.order_by("-pk").values_list("ib_order_id", flat=True).first()


def place_frame(command: BrokerCommand, ids: dict[int, int], *, transmit: bool) -> PlaceOrder:
    """`ids`: the IB order ids of the unit's orders so far, by primary key."""
    order = command.order
    group = order.oca_group
    return PlaceOrder(
        command_id=command.pk,
        client_order_id=order.client_order_id,
        ib_order_id=ids[order.pk],
        account=order.account.code,
        contract=contracts.spec(order.contract),
        terms=order.terms,
        parent_ib_order_id=ids[order.parent_id] if order.parent_id is not None else 0,
        oca_group=group.name if group else "",
        oca_type=group.oca_type if group else 0,
        transmit=transmit,
    )


def modify_frame(command: BrokerCommand, ib_order_id: int, client_id: int) -> ModifyOrder:
    """The whole order with its new terms. A parent that is gone is not named any more: IB answers 135 for it otherwise.

    A trailing stop that has moved stays where it is: where it began would throw it back.
    """
    order = command.order
    terms = order.from_where_it_stands(terms_from_json(command.terms))
    group, parent = order.oca_group, order.parent
    parent_id = broker_id(parent, client_id) if parent is not None and parent.is_open else None
    return ModifyOrder(
        command_id=command.pk,
        client_order_id=order.client_order_id,
        ib_order_id=ib_order_id,
        account=order.account.code,
        contract=contracts.spec(order.contract),
        terms=terms,
        parent_ib_order_id=parent_id or 0,
        oca_group=group.name if group else "",
        oca_type=group.oca_type if group else 0,
    )


def cancel_frame(command: BrokerCommand, ib_order_id: int) -> CancelOrder:
    return CancelOrder(command_id=command.pk, client_order_id=command.order.client_order_id, ib_order_id=ib_order_id)
