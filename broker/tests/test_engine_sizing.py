"""Position sizing on a desk that runs: account values, daily bars and executions as the simulated gateway tells them."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest
from django.utils import timezone

from broker.tests.running import Desk
from broker.tests.test_engine_asking import Kind, asked
from orders.models import Account, AccountValue, CommissionReport, Contract
from orders.queries.sizing import bars_question, sized
from orders.queries.trades import closed_trades
from orders.rules.sizing import Basis, Method, Sizing, SizingRequest
from orders.rules.terms import Side

pytestmark = pytest.mark.django_db


async def size_of(desk: Desk, request: SizingRequest, **known: Any) -> Sizing:
    """The size by what the book has of the contract now."""

    def find() -> Sizing:
        contract = Contract.objects.get(con_id=desk.contract.con_id)
        return sized(desk.manager.actor, desk.account, contract, request, now=timezone.now(), **known)

    return await desk.do(find)


async def test_the_size_by_the_average_true_range_of_bars_that_were_asked_for(desk: Desk) -> None:
    await desk.until(lambda: AccountValue.objects.filter(account=desk.account, name="BuyingPower").exists())
    bars = await asked(desk, Kind.BARS, **bars_question(desk.contract))
    assert bars.state == "answered", bars.error
    assert len(bars.answer) > 30
    price = desk.gateway.exchange.quote(desk.contract.con_id).ask
    assert price is not None
    found = await size_of(desk, SizingRequest(Method.ATR, Side.BUY, price, percent=D("0.5")), bars=bars)
    net = D(await desk.do(lambda: AccountValue.objects.get(account=desk.account, name="NetLiquidation").value))
    assert found.quantity > 0 and found.stop_price is not None and found.stop_price < price
    assert found.risk_base == found.quantity * (price - found.stop_price) <= net / 200 < (found.quantity + 1) * (price - found.stop_price)
    assert not found.warnings


async def test_a_round_trip_through_the_market_is_a_closed_trade_with_its_costs(desk: Desk) -> None:
    bought = await desk.order_is(await desk.place(quantity="100"), "FILLED")
    await desk.command("quote AAPL 250.00 250.10")
    sold = await desk.order_is(await desk.place(side=Side.SELL, quantity="100"), "FILLED")
    await desk.until(lambda: CommissionReport.objects.count() >= bought.executions.count() + sold.executions.count())
    await desk.until(lambda: Account.objects.get(pk=desk.account.pk).positions_known_at)
    found = await desk.do(closed_trades, desk.manager.actor)
    (one,) = found.trades
    assert (one.trip.side, one.trip.quantity, one.trip.costs_known) == (Side.BUY, 100, True)
    costs = await desk.do(lambda: sum(CommissionReport.objects.values_list("amount", flat=True)))
    assert sold.average_price is not None and bought.average_price is not None
    assert one.trip.gross == (sold.average_price - bought.average_price) * 100
    assert one.net_base == one.trip.gross - costs
    assert not found.left_out

    request = SizingRequest(Method.KELLY, Side.BUY, D(250), kelly_of=Basis.NOTIONAL)
    with pytest.raises(ValueError, match=r"needs 30 closed trades: there are 1 \(AAPL in DU…417\)"):
        await size_of(desk, request)
