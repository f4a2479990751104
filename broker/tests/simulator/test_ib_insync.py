"""Unmodified ib_insync, the older library, which negotiates server version 176 and keeps its own ideas about errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from broker.tests.simulator.running import running_gateway

ACCOUNT = "DU1000902"


async def test_connects_trades_and_cancels() -> None:
    import ib_insync

    async def until(condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await ib.updateEvent

    async with running_gateway() as gateway:
        ib = ib_insync.IB()
        await ib.connectAsync("127.0.0.1", gateway.port, clientId=5, timeout=10)
        assert (ib.client.serverVersion(), ib.managedAccounts()) == (176, ["DU1000417", ACCOUNT])
        [contract] = await ib.qualifyContractsAsync(ib_insync.Stock("AAPL", "SMART", "USD"))
        bought = ib.placeOrder(contract, ib_insync.MarketOrder("BUY", 100, account=ACCOUNT))
        await until(lambda: bought.fills and bought.fills[0].commissionReport.commission > 0)
        resting = ib.placeOrder(contract, ib_insync.LimitOrder("SELL", 100, 900, account=ACCOUNT))
        await until(lambda: resting.orderStatus.status == "Submitted")
        resting.order.lmtPrice = 901
        ib.placeOrder(contract, resting.order)
        state = await ib.whatIfOrderAsync(contract, ib_insync.LimitOrder("BUY", 10, 100, account=ACCOUNT))
        assert float(state.initMarginChange) > 0
        ib.cancelOrder(resting.order)
        await until(lambda: resting.orderStatus.status == "Cancelled")
        assert [(one.account, one.position) for one in ib.positions()] == [(ACCOUNT, 100)]
        assert len(await ib.reqCompletedOrdersAsync(False)) == 2
        assert len(await ib.reqMatchingSymbolsAsync("AAPL")) == 1
        ib.disconnect()
