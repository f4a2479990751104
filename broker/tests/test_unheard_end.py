"""An order ends at the exchange and no message about it arrives, on a line that was never lost: the periodic comparison finds it."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from broker.tests.running import Desk
from orders.models import Position

pytestmark = pytest.mark.django_db


async def test_a_fill_that_was_never_told_is_found_by_the_list_of_open_orders(desk: Desk) -> None:
    order = await desk.place("place_limit_order", limit_price=D("200.00"))
    await desk.order_is(order, "WORKING")
    await desk.command("hold")
    await desk.command("quote AAPL 199.00 199.10")
    await desk.until(lambda: Position.objects.filter(account=desk.account, contract=desk.contract, quantity=100).exists())
    await desk.command("off hold")  # the execution and the status are lost
    await desk.pass_time(12)
    filled = await desk.order_is(order, "FILLED")
    assert (filled.filled_quantity, filled.average_price) == (100, 200)
