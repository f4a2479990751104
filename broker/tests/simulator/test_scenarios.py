"""The named misbehaviours: each shows a client what it names, and leaves the exchange's own record true."""

from __future__ import annotations

import asyncio

import pytest
from ib_async import IB, LimitOrder, MarketOrder

from broker.simulator.server import SimulatedGateway
from broker.tests.simulator.clients import AAPL, FIRST, PATIENCE, connected, errors_of, place, until
from broker.tests.simulator.raw import RawClient, frame, place_order
from broker.tests.simulator.running import running_gateway

FILL_IDS = ("3", "5", "11", "59")


@pytest.fixture
async def gateway():
    async with running_gateway() as running:
        await running.command("quote AAPL 100 100.02")
        yield running


async def news_of_a_fill(gateway: SimulatedGateway) -> list[tuple[str, str]]:
    """(message id, status or execution id) of everything a raw client hears about one market order."""
    client = await RawClient.connect(gateway.port, highest=178)
    client.send(*place_order(178, gateway.exchange.next_order_id_floor(1), kind="MKT", limit=""))
    client.send(49, 1)
    frames = await client.until(lambda fields: fields[0] == "49")
    client.close()
    await client.closed()
    where = {"3": 2, "5": 92, "11": 14, "59": 2}
    return [(fields[0], fields[where[fields[0]]]) for fields in frames if fields[0] in FILL_IDS]


async def test_what_a_fill_looks_like_undisturbed(gateway: SimulatedGateway) -> None:
    ids = [kind for kind, _ in await news_of_a_fill(gateway)]
    assert ids.index("11") < ids.index("59") and ids[:2] == ["5", "3"]


async def test_duplicate_statuses(gateway: SimulatedGateway) -> None:
    await gateway.command("duplicate-statuses")
    statuses = [one for one in await news_of_a_fill(gateway) if one[0] == "3"]
    assert statuses[::2] == statuses[1::2]
    assert await gateway.command("off duplicate-statuses") == "ok duplicate-statuses"
    statuses = [one for one in await news_of_a_fill(gateway) if one[0] == "3"]
    assert len(statuses) == len(set(statuses))


async def test_duplicate_executions(gateway: SimulatedGateway) -> None:
    await gateway.command("duplicate-executions")
    executions = [one for one in await news_of_a_fill(gateway) if one[0] == "11"]
    assert len(executions) == 2 and len(set(executions)) == 1
    assert len(gateway.exchange.fills(gateway.core.now())) == 1


async def test_status_before_execution(gateway: SimulatedGateway) -> None:
    await gateway.command("status-before-execution")
    news = await news_of_a_fill(gateway)
    assert news.index(("3", "Filled")) < [kind for kind, _ in news].index("11")


async def test_commission_first(gateway: SimulatedGateway) -> None:
    await gateway.command("commission-first")
    ids = [kind for kind, _ in await news_of_a_fill(gateway)]
    assert ids.index("59") < ids.index("11")


async def test_skip_presubmitted(gateway: SimulatedGateway) -> None:
    assert ("3", "PreSubmitted") in await news_of_a_fill(gateway)
    await gateway.command("skip-presubmitted")
    assert ("3", "PreSubmitted") not in await news_of_a_fill(gateway)


async def test_forget_fills(gateway: SimulatedGateway) -> None:
    await gateway.command("forget-fills")
    news = await news_of_a_fill(gateway)
    assert not {"11", "59"} & {kind for kind, _ in news} and ("3", "Filled") not in news
    assert len(gateway.exchange.fills(gateway.core.now())) == 1


async def test_scenarios_compose(gateway: SimulatedGateway) -> None:
    for line in ("commission-first", "duplicate-executions", "skip-presubmitted"):
        await gateway.command(line)
    assert await gateway.command("scenarios") == "ok commission-first duplicate-executions skip-presubmitted"
    ids = [kind for kind, _ in await news_of_a_fill(gateway)]
    assert ids[:2] == ["59", "59"] and ids.count("11") == 2
    assert await gateway.command("off") == "ok commission-first duplicate-executions skip-presubmitted"
    assert await gateway.command("scenarios") == "ok"


async def test_reject_next_refuses_one_order(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        heard = errors_of(ib)
        await gateway.command("reject-next 201 'Order rejected - reason:margin'")
        refused = await place(ib, MarketOrder("BUY", 1, account=FIRST))
        taken = await place(ib, MarketOrder("BUY", 1, account=FIRST))
        assert heard == [(refused.order.orderId, 201)] and taken.orderStatus.status == "Filled"
        assert len(gateway.exchange.fills(gateway.core.now())) == 1


async def test_silence_on_executions_lets_start_up_time_out(gateway: SimulatedGateway) -> None:
    await gateway.command("silence executions")
    ib = IB()
    with pytest.raises(ConnectionError, match="executions request timed out"):
        await ib.connectAsync("127.0.0.1", gateway.port, clientId=17, timeout=0.5, raiseSyncErrors=True)
    ib.disconnect()
    await gateway.command("off")
    async with connected(gateway.port, 18) as again:
        assert again.isConnected()


async def test_mute_drops_only_the_end(gateway: SimulatedGateway) -> None:
    await gateway.command("mute execDetailsEnd")
    client = await RawClient.connect(gateway.port, highest=178)
    client.send(7, 3, 5, 0, "", "", "", "", "", "")
    client.send(49, 1)
    assert [fields[0] for fields in await client.until(lambda fields: fields[0] == "49")] == ["49"]
    client.close()


async def test_hold_and_release(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        await gateway.command("hold acks")
        trade = ib.placeOrder(AAPL, MarketOrder("BUY", 1, account=FIRST))
        await until(ib, lambda: bool(ib.positions()))  # positions are no news of the order
        assert (trade.orderStatus.status, trade.order.permId, trade.fills) == ("PendingSubmit", 0, [])
        assert int((await gateway.command("release")).removeprefix("ok ")) >= 4
        await until(ib, lambda: trade.orderStatus.status == "Filled" and bool(trade.fills))
        assert await gateway.command("release") == "ok 0"


@pytest.mark.parametrize(("scenario", "reached"), [("drop-before-order", 0), ("drop-after-order", 1)])
async def test_the_connection_breaks_around_an_order(gateway: SimulatedGateway, scenario: str, reached: int) -> None:
    async with connected(gateway.port) as ib:
        await gateway.command(scenario)
        heard = errors_of(ib)
        trade = ib.placeOrder(AAPL, LimitOrder("BUY", 1, 50, account=FIRST, orderRef="mine"))
        async with asyncio.timeout(PATIENCE):
            await ib.disconnectedEvent
        assert (trade.orderStatus.permId, heard) == (0, [])
    assert [order.request.order_ref for order in gateway.exchange.open_orders()] == ["mine"] * reached
    async with connected(gateway.port) as ib:
        assert len(ib.openTrades()) == reached
        assert (await place(ib, LimitOrder("BUY", 1, 50, account=FIRST))).orderStatus.status == "Submitted"


async def test_what_comes_behind_a_broken_order_is_lost_with_the_connection(gateway: SimulatedGateway) -> None:
    client = await RawClient.connect(gateway.port, highest=178)
    await gateway.command("drop-before-order")
    client.send_bytes(frame(place_order(178, 1)) + frame(place_order(178, 2)))
    assert await client.closed()
    assert gateway.exchange.open_orders() == []


async def test_client_id_taken_until_switched_off(gateway: SimulatedGateway) -> None:
    await gateway.command("client-id-taken 17")
    ib, heard = IB(), []
    ib.errorEvent += lambda req_id, code, text, contract: heard.append(code)
    with pytest.raises(TimeoutError):
        await ib.connectAsync("127.0.0.1", gateway.port, clientId=17, timeout=0.3)
    assert heard == [326]
    await gateway.command("off client-id-taken")
    async with connected(gateway.port, 17):
        pass


async def test_delayed_data_is_refused_live_and_given_delayed(gateway: SimulatedGateway) -> None:
    await gateway.command("delayed-data")
    async with connected(gateway.port) as ib:
        heard = errors_of(ib)
        ib.reqMktData(AAPL)
        await until(ib, lambda: 354 in [code for _, code in heard])
        ib.cancelMktData(AAPL)
        ib.reqMarketDataType(3)
        ticker = ib.reqMktData(AAPL)
        await until(ib, lambda: ticker.hasBidAsk())
        assert (ticker.marketDataType, ticker.bid, ticker.ask) == (3, 100.0, 100.02)
        assert 10167 in [code for _, code in heard]


async def test_pacing(gateway: SimulatedGateway) -> None:
    await gateway.command("pacing 5")
    client = await RawClient.connect(gateway.port, highest=178)
    for _ in range(8):
        client.send(49, 1)
    frames = [await client.read() for _ in range(8)]
    assert [fields[0] for fields in frames] == ["49"] * 5 + ["4"] * 3 and frames[-1][3] == "100"
    client.close()
