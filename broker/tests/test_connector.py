"""The connector alone, with the real ib_async, against the simulated gateway over TCP: what goes out, what is heard, what is refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from decimal import Decimal as D
from typing import Any

import pytest
import pytest_asyncio

from broker.connector import ClientIdTaken, IBKRConnector, NotWritten
from broker.pacing import Kept
from broker.requests import FIRST_REQUEST_ID, RequestFailed
from broker.simulator.server import SimulatedGateway
from broker.tests.simulator.running import running_gateway
from orders.errors import GatewayUnavailable
from orders.rules.commands import CancelOrder, ContractSpec, ModifyOrder, PlaceOrder, Unit
from orders.rules.reports import (
    ExecutionReported,
    Meaning,
    OpenOrderReported,
    OrderMessage,
    OrderStatusReported,
    PnlReported,
    PositionReported,
    Question,
    QuoteReported,
)
from orders.rules.terms import BookKind, OrderTerms, OrderType, Side

AAPL = ContractSpec(265598, "SMART", "AAPL", "STK", "USD")
MSFT = ContractSpec(272093, "SMART", "MSFT", "STK", "USD")
ACCOUNT = "DU1000417"
FENCE = 3


def limit(price: str = "200", quantity: int = 100) -> OrderTerms:
    return OrderTerms(Side.BUY, OrderType.LIMIT, D(quantity), limit_price=D(price))


MARKET = OrderTerms(Side.BUY, OrderType.MARKET, D(100))


def place(order_id: int, terms: OrderTerms = MARKET, *, fence: int = FENCE, contract: ContractSpec = AAPL, **fields: Any) -> Unit:
    frame = PlaceOrder(order_id, f"DBT-{order_id}", order_id, ACCOUNT, contract, terms, **fields)
    return Unit(f"unit-{order_id}", fence, (frame,))


def make(gateway: SimulatedGateway, client_id: int = 17) -> IBKRConnector:
    connector = IBKRConnector("127.0.0.1", gateway.port, client_id, clock=lambda: datetime.now(UTC), patience=1.0)
    connector.may_send = lambda fence: fence == FENCE
    return connector


@pytest_asyncio.fixture
async def connector(gateway: SimulatedGateway) -> AsyncIterator[IBKRConnector]:
    connector = make(gateway)
    await connector.connect()
    await connector.questions.snapshot(frozenset({Question.POSITIONS}))  # which also subscribes to them
    yield connector
    await connector.disconnect()


async def heard(connector: IBKRConnector, wanted: Callable[[Any], bool], seconds: float = 10.0) -> Any:
    """Waits for a report, and gives it; everything before it is let go."""
    async with asyncio.timeout(seconds):
        while True:
            await connector.inbox.arrived()
            [report] = connector.inbox.take(1)
            if wanted(report):
                return report


def frames(gateway: SimulatedGateway) -> list[Any]:
    """The orders that reached the exchange, oldest first."""
    return sorted(gateway.exchange.open_orders(), key=lambda order: order.request.order_id)


# --- connecting -----------------------------------------------------------------------------------------------------------------------


async def test_a_gateway_says_who_it_is(gateway: SimulatedGateway) -> None:
    connector = make(gateway)
    connected = await connector.connect()
    assert (connected.kind, connected.accounts) == (BookKind.SIMULATED, (ACCOUNT, "DU1000902"))
    assert (connected.server_version, connected.next_order_id) == (178, 1)
    assert connector.is_connected
    await connector.disconnect()
    assert not connector.is_connected


async def test_a_client_id_in_use_is_named(connector: IBKRConnector, gateway: SimulatedGateway) -> None:
    with pytest.raises(ClientIdTaken, match="client id 17 is in use"):
        await make(gateway).connect()
    assert connector.is_connected, "the one who came first stays"


async def test_nobody_there_is_said_in_words() -> None:
    async with running_gateway() as gateway:
        connector = make(gateway)
    with pytest.raises(GatewayUnavailable, match="nothing answers at 127"):
        await connector.connect()


async def test_a_lost_connection_is_noticed_and_a_new_one_starts_afresh(connector: IBKRConnector, gateway: SimulatedGateway) -> None:
    losing = asyncio.create_task(connector.lost())
    await gateway.command("drop 17")
    async with asyncio.timeout(5):
        assert await losing
    with pytest.raises(GatewayUnavailable):
        _ = connector.questions
    with pytest.raises(NotWritten, match="lost"):
        connector.send(place(1))
    await connector.connect()
    assert Question.OPEN_ORDERS in (await connector.questions.snapshot()).complete


async def test_a_message_without_an_end_closes_the_connection(connector: IBKRConnector, gateway: SimulatedGateway) -> None:
    [connection] = gateway.connections.values()
    assert connection.transport is not None
    losing = asyncio.create_task(connector.lost())
    connection.transport.write((1 << 31).to_bytes(4, "big") + b"x")
    async with asyncio.timeout(20):
        assert "without an end" in await losing


# --- sending --------------------------------------------------------------------------------------------------------------------------


async def test_an_order_is_acknowledged_and_filled_in_our_words(connector: IBKRConnector) -> None:
    connector.send(place(1))
    opened = await heard(connector, lambda report: isinstance(report, OpenOrderReported))
    assert (opened.key.client_order_id, opened.key.client_id, opened.terms) == ("DBT-1", 17, MARKET)
    executed = await heard(connector, lambda report: isinstance(report, ExecutionReported))
    assert (executed.quantity, executed.live, executed.key.client_order_id) == (100, True, "DBT-1")
    held = await heard(connector, lambda report: isinstance(report, PositionReported))
    assert (held.account, held.quantity) == (ACCOUNT, 100)


async def test_no_claim_no_send(connector: IBKRConnector, gateway: SimulatedGateway) -> None:
    with pytest.raises(NotWritten, match="lease"):
        connector.send(place(1, limit(), fence=FENCE - 1))
    connector.may_send = lambda fence: False
    for write in (connector.place_market_order, connector.place_stop_order, connector.place_oca_group, connector.cancel_order):
        with pytest.raises(NotWritten, match="lease"):
            write(place(1, limit()))
    await connector.questions.current_time(5.0)
    assert frames(gateway) == []


async def test_a_unit_that_cannot_be_said_is_not_written_at_all(connector: IBKRConnector, gateway: SimulatedGateway) -> None:
    good = place(1, limit(), transmit=False).frames[0]
    bad = place(2, OrderTerms(Side.SELL, OrderType.STOP, D(100))).frames[0]
    with pytest.raises(NotWritten, match="stop price"):
        connector.send(Unit("u", FENCE, (good, bad)))
    await connector.questions.current_time(5.0)
    assert frames(gateway) == []


async def test_each_kind_of_unit_goes_by_the_method_made_for_it(connector: IBKRConnector) -> None:
    stop = OrderTerms(Side.SELL, OrderType.STOP, D(1), stop_price=D(1))
    cancel = Unit("u", FENCE, (CancelOrder(1, "DBT-1", 1),))
    modify = Unit("u", FENCE, (ModifyOrder(1, "DBT-1", 1, ACCOUNT, AAPL, limit()),))
    for unit, method in [
        (place(1), connector.place_market_order),
        (place(1, limit()), connector.place_market_order),
        (place(1, stop), connector.place_stop_order),
        (place(1, stop, oca_group="g", oca_type=1), connector.place_oca_group),
        (modify, connector.modify_order),
        (cancel, connector.cancel_order),
    ]:
        assert connector._writer_of(unit) == method


async def test_an_order_is_changed_under_its_id_and_cancelled(connector: IBKRConnector, gateway: SimulatedGateway) -> None:
    connector.send(place(1, limit()))
    await heard(connector, lambda report: isinstance(report, OrderStatusReported) and report.word == "Submitted")
    connector.send(Unit("m", FENCE, (ModifyOrder(1, "DBT-1", 1, ACCOUNT, AAPL, limit("201", 50)),)))
    await heard(connector, lambda report: isinstance(report, OpenOrderReported) and report.terms == limit("201", 50))
    connector.cancel_all_orders([Unit("c", FENCE, (CancelOrder(1, "DBT-1", 1),))])
    message = await heard(connector, lambda report: isinstance(report, OrderMessage))
    assert (message.code, message.meaning, message.key.client_order_id) == (202, Meaning.CANCELLED, "DBT-1")
    assert frames(gateway) == []


@pytest.mark.parametrize(("code", "expected"), [(201, Meaning.REJECTED), (399, Meaning.WARNING), (12345, Meaning.UNCLEAR)])
async def test_what_a_code_means_for_a_new_order(connector: IBKRConnector, gateway: SimulatedGateway, code: int, expected: Meaning) -> None:
    await gateway.command(f"reject-next {code} 'the reason'")
    connector.send(place(1, limit()))
    message = await heard(connector, lambda report: isinstance(report, OrderMessage))
    assert (message.code, message.text, message.meaning) == (code, "the reason", expected)


async def test_a_refused_change_is_not_a_rejected_order(connector: IBKRConnector, gateway: SimulatedGateway) -> None:
    connector.send(place(1, limit()))
    await heard(connector, lambda report: isinstance(report, OrderStatusReported) and report.word == "Submitted")
    await gateway.command("reject-next 201 'the reason'")
    connector.send(Unit("m", FENCE, (ModifyOrder(1, "DBT-1", 1, ACCOUNT, AAPL, limit("201")),)))
    message = await heard(connector, lambda report: isinstance(report, OrderMessage))
    assert message.meaning is Meaning.NOT_CHANGED
    await gateway.command("error 17 1 201 later")
    message = await heard(connector, lambda report: isinstance(report, OrderMessage))
    assert message.meaning is Meaning.REJECTED, "once the change is settled, 201 is about the order again"


async def test_two_hundred_orders_never_wait_in_the_library(connector: IBKRConnector, gateway: SimulatedGateway) -> None:
    client = connector._connected.ib.client
    written: list[float] = []
    contracts = [ContractSpec(con_id, "SMART", "", "STK", "USD") for con_id in list(gateway.exchange.instruments)[:20]]
    for order_id in range(1, 201):
        while connector.room() < 1:
            assert not client._msgQ
            await asyncio.sleep(connector.pacer.seconds_until(1))
        connector.send(place(order_id, limit("1"), contract=contracts[order_id % 20]))
        written.append(time.monotonic())
        assert not client._msgQ
    await connector.questions.current_time(10.0)
    assert len(frames(gateway)) + len(gateway.exchange.completed_orders(gateway.core.now())) == 200
    assert all(later - earlier >= 1.0 for earlier, later in zip(written, written[45:], strict=False))
    assert connector.room(Kept.CANCEL) > 0, "a cancel has room even now"


async def test_a_gateway_that_does_not_read_gets_nothing_more(connector: IBKRConnector, gateway: SimulatedGateway) -> None:
    assert connector.room() > 0
    gateway.pause()
    transport = connector._connected.ib.client.conn.transport
    while transport.get_write_buffer_size() <= 64 * 1024:
        transport.write(b"\0" * 65536)
    assert connector.room() == 0
    with pytest.raises(NotWritten, match="room"):
        connector.send(place(1))


# --- asking ---------------------------------------------------------------------------------------------------------------------------


async def test_a_snapshot_tells_everything_and_that_it_is_everything(connector: IBKRConnector) -> None:
    connector.send(place(1))
    await heard(connector, lambda report: isinstance(report, PositionReported))
    connector.send(place(2, limit()))
    await heard(connector, lambda report: isinstance(report, OrderStatusReported) and report.word == "Submitted")
    snapshot = await connector.questions.snapshot()
    assert snapshot.complete == frozenset(Question)
    kinds = [type(report).__name__ for report in snapshot.reports]
    assert kinds == ["OpenOrderReported", "OrderStatusReported", "OrderCompleted", "ExecutionReported", "PositionReported"]
    assert [report.key.client_order_id for report in await connector.get_open_orders()] == ["DBT-2"]
    assert [report.quantity for report in await connector.get_positions()] == [100]


@pytest.mark.parametrize(
    ("silenced", "missing"),
    [
        ("mute openOrderEnd", Question.OPEN_ORDERS),
        ("mute completedOrdersEnd", Question.COMPLETED_ORDERS),
        ("mute execDetailsEnd", Question.EXECUTIONS),
        ("mute positionEnd", Question.POSITIONS),
        ("silence reqAllOpenOrders", Question.OPEN_ORDERS),
    ],
)
async def test_what_was_not_told_to_its_end_is_not_complete(
    connector: IBKRConnector, gateway: SimulatedGateway, silenced: str, missing: Question
) -> None:
    assert (await gateway.command(silenced)).startswith("ok")
    snapshot = await connector.questions.snapshot()
    assert snapshot.complete == frozenset(Question) - {missing}
    if missing is Question.POSITIONS:
        with pytest.raises(GatewayUnavailable):
            await connector.get_positions()


async def test_a_list_with_a_message_that_cannot_be_read_is_not_complete(connector: IBKRConnector, gateway: SimulatedGateway) -> None:
    [connection] = gateway.connections.values()
    assert connection.transport is not None
    broken = b"61\0003\0DU1000417\0what\0"
    troubles: list[str] = []
    connector.on_trouble = troubles.append
    taking = asyncio.create_task(connector.questions.snapshot(frozenset({Question.POSITIONS})))
    while not connector._connected.requests.waiting("positions"):
        await asyncio.sleep(0)
    connection.transport.write(len(broken).to_bytes(4, "big") + broken)
    snapshot = await taking
    assert troubles
    assert snapshot.complete == frozenset()


async def test_an_error_for_a_question_never_hits_an_order(connector: IBKRConnector) -> None:
    connector.send(place(1, limit()))
    await heard(connector, lambda report: isinstance(report, OrderStatusReported))
    with pytest.raises(RequestFailed, match="200"):
        await connector.questions.contracts(symbol="NOSUCHTHING", sec_type="STK", exchange="SMART", currency="USD")
    assert not [report for report in connector.inbox.take(1000) if isinstance(report, OrderMessage)]
    assert connector._connected.requests.new_id() > FIRST_REQUEST_ID


async def test_contracts_rules_searches_previews_and_bars(connector: IBKRConnector) -> None:
    questions = connector.questions
    [told] = await questions.contracts(con_id=265598)
    assert (told.contract.symbol, told.market_rule_ids, told.min_tick) == ("AAPL", (26, 26), D("0.0001"))
    [named] = await questions.contracts(symbol="AAPL", sec_type="STK", exchange="SMART", currency="USD")
    assert named.contract.con_id == 265598
    assert (await questions.market_rule(26)).increments == ((D(0), D("0.0001")), (D(1), D("0.01")))
    assert "AAPL" in [row["symbol"] for row in await questions.search("AAPL")]
    preview = await questions.what_if(9, AAPL, MARKET, ACCOUNT)
    assert D(preview["initial_margin_change"]) > 0
    assert len(await questions.bars(AAPL, "5 mins", "1800 S")) > 1
    assert not [report for report in connector.inbox.take(1000) if isinstance(report, OpenOrderReported)]


async def test_a_refused_preview_fails_in_the_brokers_words(connector: IBKRConnector) -> None:
    with pytest.raises(RequestFailed):
        await connector.questions.what_if(9, AAPL, OrderTerms(Side.BUY, OrderType.LIMIT, D(100), limit_price=D("200.123")), ACCOUNT)


async def test_two_searches_are_a_second_apart(connector: IBKRConnector) -> None:
    started = time.monotonic()
    await asyncio.gather(connector.questions.search("AAPL"), connector.questions.search("MSFT"))
    assert time.monotonic() - started >= 2.0


# --- lines ----------------------------------------------------------------------------------------------------------------------------


async def figures_of(connector: IBKRConnector, kind: type, seconds: float = 10.0) -> list[Any]:
    async with asyncio.timeout(seconds):
        while True:
            await connector.figures.arrived()
            if found := [value for value in connector.figures.take() if isinstance(value, kind)]:
                return found


async def test_quotes_come_for_what_is_watched_and_end_with_it(connector: IBKRConnector, gateway: SimulatedGateway) -> None:
    await connector.lines.watch({265598: AAPL, 272093: MSFT})
    quotes = {quote.con_id: quote for quote in await figures_of(connector, QuoteReported)}
    assert quotes[265598].bid == gateway.exchange.quote(265598).bid
    assert not quotes[265598].delayed
    await connector.lines.watch({265598: AAPL})
    await connector.questions.current_time(5.0)
    [session] = gateway.core.ready_sessions()
    assert [line.con_id for line in session.subscriptions.market.values()] == [265598]


async def test_where_live_data_is_refused_delayed_data_is_asked_for(connector: IBKRConnector, gateway: SimulatedGateway) -> None:
    await gateway.command("delayed-data")
    await connector.lines.watch({265598: AAPL})
    await connector.questions.current_time(5.0)
    await connector.lines.watch({265598: AAPL})
    [quote] = await figures_of(connector, QuoteReported)
    assert (quote.delayed, quote.bid) == (True, gateway.exchange.quote(265598).bid)


async def test_at_most_a_hundred_lines_are_watched(connector: IBKRConnector, gateway: SimulatedGateway) -> None:
    wanted = {con_id: ContractSpec(con_id, "SMART", "", "STK", "USD") for con_id in range(1, 150)}
    await connector.lines.watch(wanted)
    assert len(connector.lines._request_of) <= 100


async def test_accounts_and_positions_are_followed(connector: IBKRConnector) -> None:
    connector.send(place(1))
    await heard(connector, lambda report: isinstance(report, PositionReported))
    await connector.lines.follow_accounts([ACCOUNT])
    assert {value.account for value in await figures_of(connector, PnlReported)} == {ACCOUNT}
    await connector.lines.follow_positions({(ACCOUNT, 265598)})
    await connector.lines.follow_positions(set())
    assert connector.lines._pnl_single == {}
