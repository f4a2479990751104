"""A complete ticket through unmodified ib_async: every type, time in force and attribute placed, told back, changed, executed, refused."""

from __future__ import annotations

import dataclasses
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ib_async import Contract, LimitOrder, MarketOrder, Order, OrderState, TagValue, Trade

from broker.simulator.ledger import read
from broker.simulator.server import SimulatedGateway
from broker.tests.simulator.clients import AAPL, FIRST, connected, errors_of, place, until
from broker.tests.simulator.running import GatewayProcess, running_gateway


@pytest.fixture
async def gateway():
    async with running_gateway() as running:
        await running.command("quote AAPL 100 100")
        yield running


@pytest.fixture(autouse=True)
def decoder_complaints(caplog: pytest.LogCaptureFixture):
    """ib_async logs what it cannot decode and goes on; here that fails the test, and so does an error of the gateway itself."""
    yield
    errors = [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR]
    assert [one.getMessage() for one in errors if one.name == "ib_async.Decoder" or one.name.startswith("broker.simulator")] == []


def order(order_type: str, action: str = "SELL", quantity: float = 100, **fields: Any) -> Order:
    return Order(orderType=order_type, action=action, totalQuantity=quantity, account=FIRST, **fields)


def utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%d-%H:%M:%S")


async def told(gateway: SimulatedGateway, trade: Trade) -> Order:
    """The order as another client reads it from openOrder."""
    async with connected(gateway.port, 18) as other:
        [found] = [one for one in await other.reqAllOpenOrdersAsync() if one.order.permId == trade.order.permId]
        return found.order


EVERYTHING: list[tuple[str, dict[str, Any]]] = [
    ("TRAIL", {"auxPrice": 1.5, "trailStopPrice": 98.5}),
    ("TRAIL", {"trailingPercent": 2.5, "trailStopPrice": 97.5, "triggerMethod": 8}),
    ("TRAIL LIMIT", {"auxPrice": 3.0, "trailStopPrice": 97.0, "lmtPriceOffset": 0.25}),
    ("MIT", {"auxPrice": 105.0, "triggerMethod": 4}),
    ("LIT", {"auxPrice": 105.0, "lmtPrice": 104.9}),
    ("MOC", {"tif": "DAY"}),
    ("LOC", {"tif": "DAY", "lmtPrice": 104.0}),
    ("MKT", {"tif": "OPG"}),
    ("LMT", {"tif": "OPG", "lmtPrice": 104.0}),
    ("LMT", {"lmtPrice": 104.0, "tif": "GTD", "goodTillDate": "20991231-20:00:00"}),
    ("MKT", {"goodAfterTime": "20991231-20:00:00", "tif": "GTC"}),
    ("STP", {"auxPrice": 95.0, "goodAfterTime": "20991231-20:00:00", "tif": "GTC"}),
    ("LMT", {"lmtPrice": 104.0, "allOrNone": True}),
    ("LMT", {"lmtPrice": 104.0, "displaySize": 20}),
    ("LMT", {"lmtPrice": 104.0, "hidden": True}),
    ("LMT", {"lmtPrice": 104.0, "algoStrategy": "Adaptive", "algoParams": [TagValue("adaptivePriority", "Patient")]}),
    ("STP LMT", {"auxPrice": 95.0, "lmtPrice": 94.5, "outsideRth": True, "triggerMethod": 7}),
]


@pytest.mark.parametrize(("order_type", "fields"), EVERYTHING, ids=lambda value: value if isinstance(value, str) else "-".join(value))
async def test_what_is_placed_is_told_back_as_it_was_sent_and_when_it_has_ended(
    gateway: SimulatedGateway, order_type: str, fields: dict[str, Any]
) -> None:
    async with connected(gateway.port) as ib:
        sent = order(order_type, **fields)
        trade = await place(ib, sent)
        held = order_type != "LMT" or sent.tif == "OPG"
        assert trade.orderStatus.status == ("PreSubmitted" if held else "Submitted")
        back = await told(gateway, trade)
        assert (back.orderType, back.tif or "DAY") == (order_type, sent.tif or "DAY")
        assert {name: getattr(back, name) for name in fields} == fields
        ib.cancelOrder(sent)
        await until(ib, lambda: trade.orderStatus.status == "Cancelled")
        [done] = await ib.reqCompletedOrdersAsync(apiOnly=False)
        assert {name: getattr(done.order, name) for name in fields} == fields


@pytest.mark.parametrize("version", [157, 163, 169, 170, 177, 178])
async def test_trailing_stop_is_told_in_every_version(gateway: SimulatedGateway, version: int) -> None:
    async with connected(gateway.port, highest=version) as ib:
        heard: list[float] = []
        plain = ib.wrapper.openOrder

        def hear(order_id: int, contract: Contract, told: Order, state: OrderState) -> None:
            heard.append(told.trailStopPrice)
            plain(order_id, contract, told, state)

        ib.wrapper.openOrder = hear
        trade = await place(ib, order("TRAIL", auxPrice=2.0))
        await gateway.command("quote AAPL 103 103")
        await gateway.command("quote AAPL 102 102")
        await gateway.command("quote AAPL 104.5 104.5")
        await ib.reqCurrentTimeAsync()
        assert heard == [98.0, 101.0, 102.5]
        await gateway.command("quote AAPL 102.5 102.5")
        await until(ib, lambda: trade.orderStatus.status == "Filled")
        assert trade.orderStatus.avgFillPrice == 102.5


async def test_trailing_limit_keeps_its_offset_when_the_order_of_an_earlier_session_is_changed(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        await place(ib, order("TRAIL LIMIT", auxPrice=2.0, trailStopPrice=98.0, lmtPriceOffset=0.5))
        await gateway.command("quote AAPL 103 103")
    async with connected(gateway.port) as ib:
        heard = errors_of(ib)
        [known] = ib.openTrades()
        assert (known.order.trailStopPrice, known.order.lmtPrice, known.order.lmtPriceOffset) == (101.0, 100.5, 0.5)
        known.order.totalQuantity = 60
        ib.placeOrder(AAPL, known.order)
        await until(ib, lambda: known.orderStatus.remaining == 60)
        assert [one for one in heard if one[0] == known.order.orderId] == []
        back = await told(gateway, known)
        assert (back.trailStopPrice, back.lmtPrice, back.lmtPriceOffset) == (101.0, 100.5, 0.5)


@pytest.mark.parametrize(("order_type", "fields"), [one for one in EVERYTHING if one[0] not in ("MOC", "LOC")])
async def test_every_order_read_back_may_be_sent_again(gateway: SimulatedGateway, order_type: str, fields: dict[str, Any]) -> None:
    async with connected(gateway.port) as ib:
        await place(ib, order(order_type, **fields))
    async with connected(gateway.port) as ib:
        heard = errors_of(ib)
        [known] = ib.openTrades()
        ib.placeOrder(AAPL, dataclasses.replace(known.order, totalQuantity=90))
        await ib.reqCurrentTimeAsync()
        assert [one for one in heard if one[0] == known.order.orderId] == []
        [changed] = await ib.reqOpenOrdersAsync()
        assert changed.order.totalQuantity == 90


REFUSED: list[tuple[int, Order]] = [
    (158, order("TRAIL")),
    (158, order("TRAIL", auxPrice=1.0, trailingPercent=1.0)),
    (159, order("TRAIL", trailingPercent=100.0)),
    (321, order("TRAIL LIMIT", auxPrice=1.0, lmtPriceOffset=0.1)),
    (113, order("MOC", tif="GTC")),
    (111, order("STP", auxPrice=95.0, tif="IOC")),
    (111, order("TRAIL", auxPrice=1.0, tif="FOK")),
    (111, order("LIT", auxPrice=105.0, lmtPrice=105.0, tif="OPG")),
    (334, order("LMT", lmtPrice=104.0, tif="GTD")),
    (337, order("LMT", lmtPrice=104.0, goodAfterTime="tomorrow")),
    (10020, order("LMT", lmtPrice=104.0, displaySize=100)),
    (146, order("STP", auxPrice=95.0, triggerMethod=5)),
    (439, order("LMT", lmtPrice=104.0, algoStrategy="Twap")),
    (441, order("LMT", lmtPrice=104.0, algoStrategy="Adaptive", algoParams=[TagValue("adaptivePriority", "Hasty")])),
    (10256, order("LMT", lmtPrice=104.0, minQty=10)),
    (10267, order("LMT", lmtPrice=104.0, sweepToFill=True)),
    (325, order("LMT", lmtPrice=104.0, discretionaryAmt=0.1)),
    (10297, order("LMT", lmtPrice=104.0, notHeld=True)),
    (10340, order("LMT", lmtPrice=104.0, blockOrder=True)),
    (10244, order("MKT", cashQty=1000.0)),
    (361, order("LMT", lmtPrice=104.0, triggerPrice=90.0)),
]


async def test_what_does_not_fit_is_refused_with_ibs_code_and_nothing_is_placed(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        heard = errors_of(ib)
        trades = [await place(ib, dataclasses.replace(one)) for _, one in REFUSED]
        assert heard == [(trade.order.orderId, code) for trade, (code, _) in zip(trades, REFUSED, strict=True)]
        assert await ib.reqAllOpenOrdersAsync() == [] and await ib.reqCompletedOrdersAsync(apiOnly=False) == []


# --- what happens to them -------------------------------------------------------------------------------------------------------------


async def test_immediate_orders_end_at_once(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        heard = errors_of(ib)
        await gateway.command("quote AAPL 100 100 40 40")
        part = await place(ib, order("LMT", "BUY", lmtPrice=100.0, tif="IOC"))
        assert (part.orderStatus.status, part.orderStatus.filled) == ("Cancelled", 40)
        await gateway.command("quote AAPL 100 100 40 40")
        killed = await place(ib, order("LMT", "BUY", lmtPrice=100.0, tif="FOK"))
        assert (killed.orderStatus.status, killed.orderStatus.filled) == ("Cancelled", 0)
        assert await gateway.command("fok-answer inactive") == "ok inactive"
        killed = await place(ib, order("LMT", "BUY", lmtPrice=100.0, tif="FOK"))
        assert killed.orderStatus.status == "Inactive"
        whole = await place(ib, order("LMT", "BUY", 40, lmtPrice=100.0, tif="FOK"))
        assert whole.orderStatus.status == "Filled" and heard == []
        assert (await gateway.command("fok-answer maybe")).startswith("error")


async def test_auction_on_demand_fills_orders_on_close_and_on_open(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    async with running_gateway(ledger=ledger) as gateway, connected(gateway.port) as ib:
        await gateway.command("quote AAPL 100 100")
        closing, limited = await place(ib, order("MOC", "BUY")), await place(ib, order("LOC", "BUY", lmtPrice=99.0))
        opening = await place(ib, order("MKT", "BUY", tif="OPG"))
        assert await gateway.command("auction close AAPL") == "ok close 1"
        await until(ib, lambda: closing.orderStatus.status == "Filled" and limited.orderStatus.status == "Cancelled")
        assert opening.orderStatus.status == "PreSubmitted"
        assert await gateway.command("auction open") == "ok open 1"
        await until(ib, lambda: opening.orderStatus.status == "Filled")
        assert (await gateway.command("auction noon")).startswith("error") and (await gateway.command("auction close X")).startswith(
            "error"
        )
        lines = read(ledger)
        assert [(one["which"], one["con_id"], one["price"]) for one in lines if one["kind"] == "auction"] == [
            ("close", 265598, "100"),
            ("open", 265598, "100"),
        ]


async def test_close_comes_with_the_clock(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        trade = await place(ib, order("MOC", "BUY"))
        await gateway.command(f"tick {4 * 86_400}")  # over a weekend, whatever day it is
        await until(ib, lambda: trade.orderStatus.status == "Filled")


async def test_time_stop_as_third_leg_closes_the_bracket(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        after = utc(gateway.core.now() + timedelta(hours=1))
        entry, target, stop = ib.bracketOrder("BUY", 100, 100.0, 108.0, 97.0, account=FIRST)
        stop.transmit = False
        closing = order("MKT", parentId=entry.orderId, goodAfterTime=after)
        trades = [ib.placeOrder(AAPL, one) for one in (entry, target, stop, closing)]
        await until(ib, lambda: trades[0].orderStatus.status == "Filled" and trades[1].orderStatus.status == "Submitted")
        assert [one.orderStatus.status for one in trades[2:]] == ["PreSubmitted", "PreSubmitted"]
        await gateway.command("tick 3600")
        await until(ib, lambda: trades[3].orderStatus.status == "Filled" and trades[2].orderStatus.status == "Cancelled")
        assert trades[1].orderStatus.status == "Cancelled"
        await until(ib, lambda: ib.positions() == [])


async def test_ignored_attribute_is_a_warning_and_the_order_works(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    async with running_gateway(ledger=ledger) as gateway, connected(gateway.port) as ib:
        await gateway.command("quote AAPL 100 100")
        heard = errors_of(ib)
        trade = await place(ib, order("MIT", auxPrice=105.0, outsideRth=True))
        assert (heard, trade.orderStatus.status) == ([(trade.order.orderId, 2109)], "PreSubmitted")
        assert [one["code"] for one in read(ledger) if one["kind"] in ("warned", "refused")] == [2109]
        assert [one["kind"] for one in read(ledger) if one["kind"] in ("warned", "refused")] == ["warned"]


async def test_algorithm_is_refused_a_change(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        heard = errors_of(ib)
        patient = [TagValue("adaptivePriority", "Patient")]
        trade = await place(ib, order("LMT", lmtPrice=104.0, algoStrategy="Adaptive", algoParams=patient))
        ib.client.placeOrder(trade.order.orderId, AAPL, dataclasses.replace(trade.order, algoStrategy="", algoParams=[]))
        await until(ib, lambda: heard == [(trade.order.orderId, 440)])
        [known] = await ib.reqOpenOrdersAsync()
        assert known.order.algoParams == patient


async def test_what_if_of_a_full_ticket_answers_and_places_nothing(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        trailing = order("TRAIL LIMIT", auxPrice=1.0, trailStopPrice=99.0, lmtPriceOffset=0.1)
        for one in (trailing, order("MOC", "BUY"), order("MKT", "BUY", tif="OPG")):
            state = await ib.whatIfOrderAsync(AAPL, one)
            assert float(state.initMarginChange) > 0 and float(state.commission) > 0
        assert await ib.reqAllOpenOrdersAsync() == []


async def test_everything_survives_a_power_cut(tmp_path: Path) -> None:
    with GatewayProcess(store=tmp_path / "gateway.db") as gateway:
        async with connected(gateway.port) as ib:
            gateway.command("quote AAPL 100 100")
            lasting = [(kind, fields if kind == "MOC" else {"tif": "GTC", **fields}) for kind, fields in EVERYTHING[:6]]
            sent = [await place(ib, order(kind, **fields)) for kind, fields in lasting]
            gateway.command("quote AAPL 101 101")
            await ib.reqCurrentTimeAsync()
            before = gateway.listed("orders")
            gateway.kill()
        gateway.restart()
        assert gateway.listed("orders") == before
        async with connected(gateway.port) as ib:
            stops = {one.order.permId: one.order.trailStopPrice for one in ib.openTrades()}
            assert [stops[one.order.permId] for one in sent[:3]] == [99.5, 98.47, 98.0]


async def test_orders_of_other_hands_may_be_of_any_type(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        trailing = f"place tws {FIRST} AAPL SELL 100 type=TRAIL trailingPercent=2 triggerMethod=4 mine"
        late = f"place mobile {FIRST} AAPL BUY 50 tif=GTC goodAfterTime=20991231-20:00:00"
        for line in (trailing, f"place 7 {FIRST} AAPL SELL 100 type=MOC", late, f"place 7 {FIRST} AAPL BUY 1 'type=TRAIL LIMIT' stop=1"):
            await gateway.command(line)
        found = {one.order.orderType: one.order for one in await ib.reqAllOpenOrdersAsync()}
        assert found.keys() == {"TRAIL", "MOC", "MKT"}, "the last one says no start and no limit"
        assert (found["TRAIL"].trailStopPrice, found["TRAIL"].orderRef, found["MKT"].tif) == (98.0, "mine", "GTC")
        assert (await gateway.command(f"place 7 {FIRST} AAPL BUY 1 colour=red")).startswith("error")


async def test_market_order_and_limit_order_still_need_nothing_else(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        bought = await place(ib, MarketOrder("BUY", 10, account=FIRST))
        assert bought.orderStatus.status == "Filled"
        resting = await place(ib, LimitOrder("SELL", 10, 120, account=FIRST))
        assert resting.orderStatus.status == "Submitted"
