"""Closing a position through the whole worker: its exits are cancelled, confirmed gone, and only then what is left is sold."""

from __future__ import annotations

import pytest

from broker.tests.running import Desk
from orders.models import BrokerCommand, OrderRecord, Position

pytestmark = pytest.mark.django_db


async def held(desk: Desk, quantity: int) -> None:
    await desk.until(lambda: Position.objects.filter(account=desk.account, contract=desk.contract, quantity=quantity).exists())


async def test_a_protected_position_is_closed_after_its_exits_are_gone(desk: Desk) -> None:
    await desk.order_is(await desk.place(quantity="100"), "FILLED")
    await held(desk, 100)
    stop, target = await desk.act("place_oca_group", desk.account, desk.contract)
    await desk.order_is(stop, "HELD")
    await desk.order_is(target, "WORKING")
    close = await desk.act("close_position", desk.account, desk.contract)
    closed = await desk.order_is(close, "FILLED")
    assert (closed.filled_quantity, closed.needs_attention) == (100, False)
    for order in (stop, target):
        assert (await desk.do(lambda order=order: OrderRecord.objects.get(pk=order.pk))).status == "CANCELLED"
    claimed = await desk.do(lambda: BrokerCommand.objects.get(order=close).claimed_at)
    gone = await desk.do(lambda: [OrderRecord.objects.get(pk=order.pk).closed_at for order in (stop, target)])
    assert claimed >= max(gone)
    await held(desk, 0)


async def test_only_what_an_earlier_sale_left_is_closed(desk: Desk) -> None:
    await desk.order_is(await desk.place(quantity="100"), "FILLED")
    await held(desk, 100)
    sale = await desk.place("place_limit_order", side="SELL", quantity="30", limit_price="260.00")
    await desk.order_is(sale, "WORKING")
    await desk.command("quote AAPL 260.00 260.02")
    await desk.order_is(sale, "FILLED")
    closed = await desk.order_is(await desk.act("close_position", desk.account, desk.contract), "FILLED")
    assert (closed.filled_quantity, closed.needs_attention) == (70, False)
    await held(desk, 0)
