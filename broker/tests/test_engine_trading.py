"""Orders through the whole worker: from OrderManager over the wire to the exchange, and their fills back into the book."""

from __future__ import annotations

import pytest

from broker.tests.running import Desk
from orders.models import BrokerCommand, Event, Execution, Position
from orders.rules.terms import CommandState

pytestmark = pytest.mark.django_db


async def test_a_market_order_goes_out_and_its_fill_is_in_the_book(desk: Desk) -> None:
    order = await desk.place(quantity="100")
    filled = await desk.order_is(order, "FILLED")
    assert (filled.filled_quantity, filled.status_basis) == (100, "execution")
    execution = await desk.do(Execution.objects.get)
    assert (execution.order_id, execution.quantity, execution.client_order_id) == (order.pk, 100, order.client_order_id)
    await desk.until(lambda: Position.objects.filter(account=desk.account, contract=desk.contract, quantity=100).exists())
    command = await desk.until(lambda: BrokerCommand.objects.filter(state=CommandState.CONFIRMED.value).first())
    assert command.order_id == order.pk
    kinds = await desk.do(lambda: list(Event.objects.order_by("seq").values_list("kind", flat=True)))
    assert kinds.count("order.placed") == 1
