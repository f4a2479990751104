"""The watch over losses through the whole worker: the gateway tells what the day cost, the account is restricted; values stay fresh."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from broker.tests.running import Desk
from orders.errors import Refused
from orders.models import AccountDay, AccountValue, Incident, Limit
from orders.tests.factories import make_limit

pytestmark = pytest.mark.django_db


async def test_a_loss_that_the_gateway_tells_restricts_the_account_and_it_can_still_be_closed(desk: Desk) -> None:
    await desk.do(lambda: make_limit("DAILY_LOSS_REDUCE", "0.001", account=desk.account, at=desk.time.now()))
    order = await desk.place()
    await desk.order_is(order, "FILLED")
    await desk.command("quote AAPL 200 200.02")
    state = await desk.until(lambda: Limit.objects.filter(rule="TRADING_STATE", account=desk.account).first())
    assert state.value == 1 and state.note.startswith("By the day's loss")
    assert await desk.do(lambda: Incident.objects.filter(kind="loss_limit", account=desk.account).count()) == 1
    day = await desk.until(lambda: AccountDay.objects.filter(account=desk.account, pnl__lt=D(-1000)).first())
    assert day.net_liquidation == 1_000_000
    with pytest.raises(Refused, match="only be reduced"):
        await desk.place()
    close = await desk.act("close_position", desk.account, desk.contract)
    await desk.order_is(close, "FILLED")


async def test_values_that_do_not_change_are_asked_for_anew(desk: Desk) -> None:
    told = await desk.until(lambda: AccountValue.objects.filter(account=desk.account, name="NetLiquidation").first())
    await desk.pass_time(300)
    fresh = await desk.until(lambda: AccountValue.objects.filter(pk=told.pk, at__gt=told.at).first())
    assert (fresh.value, (fresh.at - told.at).total_seconds() >= 240) == (told.value, True)
