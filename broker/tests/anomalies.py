"""What tests of anomalies say in the gateway's place: any answer of the protocol, any bytes, at any moment, to the desk's own connection.

The rule kept here: nothing of the product is touched; the simulated gateway writes what it is given on the socket that it has.
"""

from __future__ import annotations

import dataclasses
from decimal import Decimal as D
from typing import Any

from broker.simulator.messages import answers as say
from broker.simulator.messages.answers import Answer
from broker.simulator.model import Fill
from broker.simulator.server import SimulatedGateway
from broker.simulator.wire import encode_frame
from broker.tests.running import Desk
from orders.models import BrokerId, Event, Incident, OrderRecord


def say_to(gateway: SimulatedGateway, *answers: Answer, client_id: int = 17) -> None:
    """Sends answers to a client, past every scenario and without the exchange knowing."""
    pour(gateway, *(encode_frame(answer.fields(178)) for answer in answers), client_id=client_id)


def pour(gateway: SimulatedGateway, *pieces: bytes, client_id: int = 17) -> None:
    """Writes bytes on the client's socket."""
    [connection] = [one for session, one in gateway.connections.items() if session.client_id == client_id]
    assert connection.transport is not None
    for piece in pieces:
        connection.transport.write(piece)


def fill_of(gateway: SimulatedGateway, order: OrderRecord, index: int = -1) -> Any:
    """A fill of the order as the exchange has it."""
    fills = [fill for fill, _ in gateway.exchange.fills(gateway.core.now()) if fill.order_ref == order.client_order_id]
    return fills[index]


def execution(gateway: SimulatedGateway, fill: Any, **changes: Any) -> say.ExecutionDetails:
    """A live execDetails of a fill, with fields changed."""
    return say.ExecutionDetails(-1, dataclasses.replace(fill, **changes), gateway.exchange.instruments[fill.con_id], "")


async def a_fill(
    desk: Desk, order: OrderRecord, exec_id: str = "0000e0d5.65960001.01.01", shares: str = "100", price: str = "200", **changes: Any
) -> Any:
    """A fill of an order of ours that the exchange knows nothing of, for `execution`."""
    name = await name_of(desk, order)
    order = await fresh(desk, order)
    facts = {
        "exec_id": exec_id,
        "time": desk.gateway.core.now(),
        "client_id": 17,
        "order_id": name.ib_order_id,
        "perm_id": name.perm_id,
        "con_id": order.contract.con_id,
        "account": order.account.code,
        "exchange": "NASDAQ",
        "side": "BOT" if order.side == "BUY" else "SLD",
        "shares": D(shares),
        "price": D(price),
        "cum_quantity": D(shares),
        "average_price": D(price),
        "order_ref": order.client_order_id,
        "liquidity": 1,
    }
    return Fill(**{**facts, **changes})


async def name_of(desk: Desk, order: OrderRecord) -> BrokerId:
    return await desk.do(lambda: BrokerId.objects.filter(order=order, ib_order_id__isnull=False, perm_id__isnull=False).get())


async def code(desk: Desk, order: OrderRecord, number: int, text: str = "something about it") -> None:
    """An error that names the order."""
    name = await desk.do(lambda: BrokerId.objects.filter(order=order, ib_order_id__isnull=False).get())
    say_to(desk.gateway, say.ErrorMessage(name.ib_order_id, number, text, desk.gateway.core.now()))


async def heard(desk: Desk, order: OrderRecord, text: str = "something about it") -> Event:
    """Waits until the text is among the events of the order."""
    return await desk.until(lambda: Event.objects.filter(order=order, text__contains=text).first())


async def fresh(desk: Desk, order: OrderRecord) -> OrderRecord:
    return await desk.do(lambda: OrderRecord.objects.select_related("account", "contract").get(pk=order.pk))


async def incidents(desk: Desk, order: OrderRecord | None = None) -> list[str]:
    """Kinds of the open incidents, of one order or of all, oldest first."""
    rows = Incident.objects.filter(closed_at=None, **({"order": order} if order is not None else {})).order_by("pk")
    return await desk.do(lambda: list(rows.values_list("kind", flat=True)))


async def a_working_limit(desk: Desk, price: str = "200.00", quantity: str = "100", **options: Any) -> OrderRecord:
    order = await desk.place("place_limit_order", quantity=quantity, limit_price=D(price), **options)
    return await desk.order_is(order, "WORKING")
