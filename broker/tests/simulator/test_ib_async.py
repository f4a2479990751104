"""Unmodified ib_async against the simulated gateway, over TCP: what its own decoder and state machine make of our frames."""

from __future__ import annotations

import asyncio
import logging
from decimal import Decimal

import pytest
from ib_async import (
    IB,
    Contract,
    ExecutionFilter,
    LimitOrder,
    MarketOrder,
    Option,
    Stock,
    StopOrder,
)

from broker.simulator.server import SimulatedGateway
from broker.tests.simulator.clients import AAPL, FIRST, PATIENCE, SECOND, connected, errors_of, place, until
from broker.tests.simulator.running import running_gateway

FARMS = {2104, 2106, 2158}


@pytest.fixture
async def gateway():
    async with running_gateway() as running:
        yield running


@pytest.fixture(autouse=True)
def decoder_complaints(caplog: pytest.LogCaptureFixture):
    """ib_async logs what it cannot decode and goes on; here that fails the test, and so does an error of the gateway itself."""
    yield
    errors = [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR]
    assert [one.getMessage() for one in errors if one.name == "ib_async.Decoder" or one.name.startswith("broker.simulator")] == []


async def test_start_up_is_answered_in_full(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        assert ib.client.serverVersion() == 178
        assert ib.managedAccounts() == [FIRST, SECOND]
        values = {(one.account, one.tag, one.currency): one.value for one in ib.accountValues()}
        assert Decimal(values[FIRST, "NetLiquidation", "USD"]) == Decimal(values[SECOND, "NetLiquidation", "USD"]) > 0
        assert (ib.positions(), ib.openTrades(), ib.fills()) == ([], [], [])


@pytest.mark.parametrize("version", [157, 158, 160, 163, 164, 166, 169, 170, 176, 177, 178])
async def test_every_version_ib_async_speaks(gateway: SimulatedGateway, version: int) -> None:
    async with connected(gateway.port, highest=version) as ib:
        assert ib.client.serverVersion() == version
        [details] = await ib.reqContractDetailsAsync(AAPL)
        assert details.contract is not None and details.contract.primaryExchange == "NASDAQ"
        bought = await place(ib, MarketOrder("BUY", 100, account=FIRST))
        await until(ib, lambda: bool(bought.fills) and bought.fills[0].commissionReport.commission > 0)
        resting = await place(ib, LimitOrder("SELL", 100, 500, account=FIRST, tif="GTC", orderRef="ours"))
        assert (bought.orderStatus.status, resting.orderStatus.status) == ("Filled", "Submitted")
        [known] = await ib.reqOpenOrdersAsync()
        assert (known.order.orderRef, known.order.tif, known.order.lmtPrice) == ("ours", "GTC", 500.0)
        [done] = await ib.reqCompletedOrdersAsync(apiOnly=False)
        assert (done.order.permId, done.orderStatus.status) == (bought.order.permId, "Filled")
        ib.cancelOrder(resting.order)
        await until(ib, lambda: resting.orderStatus.status == "Cancelled")


async def test_market_order_fill_commission_position_and_values(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        await gateway.command("quote AAPL 100 100.02 500 500")
        ib.reqPnL(SECOND)
        await ib.reqAccountUpdatesAsync(SECOND)
        trade = await place(ib, MarketOrder("BUY", 200, account=SECOND))
        await until(ib, lambda: bool(trade.fills) and trade.fills[0].commissionReport.commission > 0 and bool(ib.portfolio(SECOND)))
        [fill] = trade.fills
        assert (fill.execution.price, fill.execution.shares, fill.execution.side) == (100.02, 200.0, "BOT")
        assert fill.execution.acctNumber == SECOND and fill.execution.time.tzinfo is not None
        [position] = ib.positions(SECOND)
        assert (position.position, position.contract.conId) == (200.0, AAPL.conId)
        assert position.avgCost == pytest.approx(100.02 + fill.commissionReport.commission / 200)
        [item] = ib.portfolio(SECOND)
        assert item.marketPrice == pytest.approx(100.01) and item.unrealizedPNL == pytest.approx(200 * (100.01 - position.avgCost))
        assert ib.positions(FIRST) == []
        assert ib.pnl(SECOND)[0].unrealizedPnL == pytest.approx(item.unrealizedPNL, abs=0.01)


async def test_limit_order_rests_is_modified_and_cancelled(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        heard = errors_of(ib)
        trade = await place(ib, LimitOrder("BUY", 100, 100.0, account=FIRST))
        perm_id = trade.order.permId
        assert trade.orderStatus.status == "Submitted"
        trade.order.lmtPrice, trade.order.totalQuantity = 101.0, 300
        ib.placeOrder(AAPL, trade.order)
        await until(ib, lambda: trade.orderStatus.remaining == 300)
        [known] = await ib.reqAllOpenOrdersAsync()
        assert (known.order.permId, known.order.lmtPrice, known.order.totalQuantity) == (perm_id, 101.0, 300.0)
        ib.cancelOrder(trade.order)
        await until(ib, lambda: (trade.order.orderId, 202) in heard)
        assert trade.orderStatus.status == "Cancelled" and await ib.reqAllOpenOrdersAsync() == []


async def test_refusals_have_ibs_codes(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        heard = errors_of(ib)
        filled = await place(ib, MarketOrder("BUY", 1, account=FIRST))
        off_tick = await place(ib, LimitOrder("BUY", 100, 100.001, account=FIRST))
        no_account = await place(ib, LimitOrder("BUY", 100, 100))
        unknown = ib.placeOrder(Stock("NOSUCH", "SMART", "USD"), LimitOrder("BUY", 1, 1, account=FIRST))
        used = await place(ib, LimitOrder("BUY", 1, 100, orderId=1, account=FIRST))
        ib.client.placeOrder(filled.order.orderId, AAPL, filled.order)
        ib.client.cancelOrder(424242)
        ib.client.cancelOrder(filled.order.orderId)
        await until(ib, lambda: (filled.order.orderId, 10148) in heard)
        expected = [
            (off_tick.order.orderId, 110),
            (no_account.order.orderId, 321),
            (unknown.order.orderId, 200),
            (used.order.orderId, 103),
            (filled.order.orderId, 104),
            (424242, 10147),
            (filled.order.orderId, 10148),
        ]
        assert [one for one in heard if one[1] not in FARMS] == expected


async def test_bracket_waits_for_its_last_leg_then_lives_as_a_family(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        await gateway.command("quote AAPL 100 100.02")
        bracket = ib.bracketOrder("BUY", 100, 99.0, 108.0, 97.0, account=FIRST)
        parent, profit, stop = (ib.placeOrder(AAPL, order) for order in bracket)
        await until(ib, lambda: stop.orderStatus.status == "PreSubmitted" and profit.orderStatus.status == "PreSubmitted")
        assert parent.orderStatus.status == "Submitted"
        await gateway.command("quote AAPL 98.90 98.95")
        await until(ib, lambda: parent.orderStatus.status == "Filled" and profit.orderStatus.status == "Submitted")
        await gateway.command("quote AAPL 108.01 108.02")
        await until(ib, lambda: profit.orderStatus.status == "Filled" and stop.orderStatus.status == "Cancelled")
        assert await ib.reqAllOpenOrdersAsync() == []


async def test_untransmitted_orders_are_silent(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        order = LimitOrder("BUY", 100, 100.0, account=FIRST, transmit=False)
        trade = ib.placeOrder(AAPL, order)
        await ib.reqCurrentTimeAsync()
        assert (trade.orderStatus.status, trade.order.permId, await ib.reqOpenOrdersAsync()) == ("PendingSubmit", 0, [])
        order.transmit = True
        ib.placeOrder(AAPL, order)
        await until(ib, lambda: trade.orderStatus.status == "Submitted")


async def test_oca_group_cancels_the_rest(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        await gateway.command("quote AAPL 100 100.02")
        await place(ib, MarketOrder("BUY", 100, account=FIRST))
        group = {"ocaGroup": "exit-1", "ocaType": 1, "account": FIRST}
        stop = await place(ib, StopOrder("SELL", 100, 98.0, **group))
        target = await place(ib, LimitOrder("SELL", 100, 108.0, **group))
        assert (stop.orderStatus.status, stop.orderStatus.whyHeld) == ("PreSubmitted", "trigger")
        await gateway.command("quote AAPL 97.90 97.95")
        await until(ib, lambda: stop.orderStatus.status == "Filled" and target.orderStatus.status == "Cancelled")


async def test_what_if_changes_nothing(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        next_id = gateway.exchange.next_order_id_floor(17)
        state = await ib.whatIfOrderAsync(AAPL, LimitOrder("BUY", 100, 100.0, account=FIRST))
        assert float(state.initMarginChange) > 0 and state.commission > 0 and state.commissionCurrency == "USD"
        assert float(state.initMarginAfter) == pytest.approx(float(state.initMarginBefore) + float(state.initMarginChange))
        assert gateway.exchange.open_orders() == [] and gateway.exchange.next_order_id_floor(17) == next_id


async def test_contracts_symbols_rules_and_chains(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        [details] = await ib.reqContractDetailsAsync(Stock("AAPL", "SMART", "USD"))
        assert details.contract is not None and (details.contract.conId, details.longName) == (265598, "APPLE INC")
        rule_id = int(details.marketRuleIds.split(",")[0])
        rule = await ib.reqMarketRuleAsync(rule_id)
        assert rule is not None and details.minTick == min(step.increment for step in rule)
        assert len(details.marketRuleIds.split(",")) == len(details.validExchanges.split(","))
        found = await ib.reqMatchingSymbolsAsync("AAP")
        assert found is not None and "AAPL" in {one.contract.symbol for one in found if one.contract}
        chains = await ib.reqSecDefOptParamsAsync("AAPL", "", "STK", 265598)
        assert chains and all(chain.expirations and chain.strikes for chain in chains)
        chain = chains[0]
        option = Option("AAPL", chain.expirations[0], chain.strikes[0], "C", chain.exchange)
        [details] = await ib.reqContractDetailsAsync(option)
        assert details.contract is not None and (details.contract.multiplier, details.underConId) == (chain.multiplier, 265598)
        assert len(await ib.reqContractDetailsAsync(Contract(symbol="AAPL", secType="OPT", currency="USD"))) > 2
        assert await ib.reqContractDetailsAsync(Stock("NOSUCH", "SMART", "USD")) == []


async def test_quotes_stream_and_snapshots_end(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        await gateway.command("quote AAPL 100 100.02 300 400")
        ticker = ib.reqMktData(AAPL)
        await until(ib, lambda: ticker.hasBidAsk() and ticker.close > 0)
        assert (ticker.bid, ticker.ask, ticker.bidSize, ticker.askSize, ticker.marketDataType) == (100, 100.02, 300, 400, 1)
        await gateway.command("quote AAPL 101 101.02 300 400")
        await until(ib, lambda: ticker.bid == 101)
        [snapshot] = await ib.reqTickersAsync(AAPL)
        assert snapshot.ask == 101.02
        ib.cancelMktData(AAPL)
        await ib.reqCurrentTimeAsync()
        await gateway.command("quote AAPL 102 102.02 300 400")
        await ib.reqCurrentTimeAsync()
        assert ticker.bid == 101


async def test_bars(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        for size, duration, count in (("1 min", "3600 S", 60), ("1 day", "5 D", 5)):
            bars = await ib.reqHistoricalDataAsync(AAPL, "", duration, size, "TRADES", useRTH=False)
            assert len(bars) == count and all(bar.low <= bar.open <= bar.high and bar.low <= bar.close <= bar.high for bar in bars)
        heard = errors_of(ib)
        assert len(await ib.reqHistoricalDataAsync(AAPL, "", "1 D", "7 mins", "TRADES", useRTH=False)) == 0
        assert [code for _, code in heard] == [162]


async def test_summary_pnl_and_single_pnl(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        await gateway.command(f"position {FIRST} AAPL 100 90")
        await gateway.command("quote AAPL 100 100.02")
        summary = await ib.accountSummaryAsync()
        assert {one.account for one in summary} == {FIRST, SECOND}
        assert "NetLiquidation" in {one.tag for one in summary} and "CashBalance" in {one.tag for one in summary}
        total, single = ib.reqPnL(FIRST), ib.reqPnLSingle(FIRST, "", 265598)
        await until(ib, lambda: total.unrealizedPnL == single.unrealizedPnL == pytest.approx(1001.0))
        assert single.position == 100
        await gateway.command("quote AAPL 101 101.02")
        await gateway.command("tick 1")
        await until(ib, lambda: single.unrealizedPnL == pytest.approx(1101.0))


async def test_several_clients_see_each_other_only_where_ib_shows_them(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port, 1) as one, connected(gateway.port, 2) as two:
        heard = errors_of(two)
        trade = await place(one, LimitOrder("BUY", 100, 100.0, account=FIRST, orderRef="of-one"))
        assert await two.reqOpenOrdersAsync() == []
        [foreign] = await two.reqAllOpenOrdersAsync()
        assert (foreign.order.clientId, foreign.order.orderRef, foreign.order.permId) == (1, "of-one", trade.order.permId)
        two.client.cancelOrder(trade.order.orderId)
        await until(two, lambda: (trade.order.orderId, 10147) in heard)
        assert trade.orderStatus.status == "Submitted"
        own = await place(two, MarketOrder("BUY", 5, account=SECOND))
        await until(one, lambda: bool(one.positions(SECOND)))  # positions go to everyone, executions to their owner
        assert one.fills() == [] and own.fills
        everyone = await one.reqExecutionsAsync(ExecutionFilter())
        assert [fill.execution.clientId for fill in everyone] == [2]
        assert await one.reqExecutionsAsync(ExecutionFilter(clientId=1)) == []
        assert await one.reqExecutionsAsync(ExecutionFilter(side="SELL")) == []
        one.reqGlobalCancel()
        await until(one, lambda: trade.orderStatus.status == "Cancelled")


async def test_a_client_id_in_use_is_refused_with_326(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port, 17):
        second, heard = IB(), []
        second.errorEvent += lambda req_id, code, text, contract: heard.append(code)
        with pytest.raises(TimeoutError):
            await second.connectAsync("127.0.0.1", gateway.port, clientId=17, timeout=0.3)
        assert heard == [326]
    async with connected(gateway.port, 17) as again:
        assert again.isConnected()


async def test_32_clients_and_no_more(gateway: SimulatedGateway) -> None:
    async with asyncio.TaskGroup() as group, asyncio.timeout(60):
        clients = [IB() for _ in range(32)]
        for number, ib in enumerate(clients):
            group.create_task(ib.connectAsync("127.0.0.1", gateway.port, clientId=number, timeout=PATIENCE, raiseSyncErrors=True))
    with pytest.raises(TimeoutError):
        await IB().connectAsync("127.0.0.1", gateway.port, clientId=99, timeout=0.3)
    for ib in clients:
        ib.disconnect()
