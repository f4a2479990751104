"""Orders whose frames branch, sent by unmodified ib_async: read to the last field, refused by what they ask for, told as they came."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ib_async import ComboLeg, Contract, LimitOrder, Order, OrderComboLeg, PriceCondition, TagValue, TimeCondition

from broker.simulator.messages.order_frames import OpenOrder
from broker.simulator.messages.place_order import PlaceOrder
from broker.simulator.messages.reading import read_request
from broker.simulator.model import OrderRequest, OrderState
from broker.tests.simulator.clients import FIRST, connected, errors_of, place
from broker.tests.simulator.running import running_gateway

PEGGED: tuple[dict[str, Any], ...] = (
    {"orderType": "PEG BENCH", "referenceContractId": 4391, "peggedChangeAmount": 1.0},
    {"orderType": "PEG BEST", "competeAgainstBestOffset": float("inf"), "midOffsetAtWhole": 1.0},
    {"orderType": "PEG MID", "midOffsetAtWhole": 1.0, "midOffsetAtHalf": 1.0},
)


@pytest.fixture(autouse=True)
def decoder_complaints(caplog: pytest.LogCaptureFixture):
    """ib_async logs what it cannot decode and goes on; here that fails the test, and so does an error of the gateway itself."""
    yield
    errors = [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR]
    assert [one.getMessage() for one in errors if one.name == "ib_async.Decoder" or one.name.startswith("broker.simulator")] == []


def _as_read(fields: list[str], exchange: str = "SMART") -> OrderState:
    """The order of a placeOrder frame as an exchange would tell it that took everything."""
    told = read_request(fields, 178)
    assert isinstance(told, PlaceOrder), told
    request = OrderRequest(
        *(17, told.order_id, 265598, told.account, told.action, told.quantity or Decimal(0), told.order_type),
        *(told.limit_price, told.aux_price, told.tif, told.order_ref),
        wire={**told.wire, "exchange": exchange},
    )
    zero = Decimal(0)
    return OrderState(request, 900 + told.order_id, "Submitted", zero, request.quantity, zero, zero, "", datetime.now(UTC))


async def test_orders_with_every_attribute_are_read_to_the_end_and_refused_by_what_they_ask_for(tmp_path: Path) -> None:
    """Orders whose frames branch: conditions, scale, hedge, delta-neutral, pegged types, combinations. What the exchange does not match it
    refuses by name; the frames themselves are read to their last field, and would be told back as they came."""
    conditions = [
        PriceCondition(1, conjunction="o", isMore=True, price=50, conId=265598, exch="SMART"),
        TimeCondition(3, time="20300101 00:00:00"),
    ]
    scaled = {"scaleInitLevelSize": 1, "scaleSubsLevelSize": 1, "scalePriceIncrement": 0.5, "scaleRandomPercent": True}
    special = [
        (402, LimitOrder("BUY", 1, 100, account=FIRST, conditions=conditions, conditionsIgnoreRth=True)),
        (387, LimitOrder("BUY", 1, 100, account=FIRST, **scaled)),
        (387, LimitOrder("BUY", 1, 100, account=FIRST, hedgeType="D", hedgeParam="0.5")),
        (429, LimitOrder("BUY", 1, 100, account=FIRST, deltaNeutralOrderType="LMT", deltaNeutralAuxPrice=3.0, deltaNeutralConId=4)),
        (325, LimitOrder("BUY", 2, 100, account=FIRST, discretionaryAmt=0.1, minQty=1, displaySize=1)),
        (10340, LimitOrder("BUY", 1, 100, account=FIRST, orderMiscOptions=[TagValue("a", "b")])),
        (387, Order(action="BUY", totalQuantity=1, orderType="PEG BENCH", account=FIRST, referenceContractId=4391, peggedChangeAmount=1.0)),
        (
            387,
            Order(
                action="BUY",
                totalQuantity=1,
                orderType="PEG BEST",
                account=FIRST,
                competeAgainstBestOffset=float("inf"),
                midOffsetAtWhole=1.0,
            ),
        ),
        (387, Order(action="BUY", totalQuantity=1, orderType="PEG MID", account=FIRST, midOffsetAtWhole=1.0, midOffsetAtHalf=1.0)),
    ]
    ledger = tmp_path / "ledger.jsonl"
    async with running_gateway(ledger=ledger) as gateway, connected(gateway.port) as ib, connected(gateway.port, 18) as other:
        heard = errors_of(ib)
        trades = [await place(ib, order) for _, order in special]
        assert [(trade.order.orderId, code) for trade, (code, _) in zip(trades, special, strict=True)] == heard
        legs = [
            ComboLeg(conId=265598, ratio=1, action="BUY", exchange="SMART"),
            ComboLeg(conId=4391, ratio=1, action="SELL", exchange="SMART"),
        ]
        bag = Contract(secType="BAG", symbol="AAPL", currency="USD", exchange="SMART", comboLegs=legs)
        combo = LimitOrder("BUY", 1, 1.0, account=FIRST, orderComboLegs=[OrderComboLeg(1.0), OrderComboLeg(2.0)])
        combo.smartComboRoutingParams = [TagValue("NonGuaranteed", "1")]
        await place(ib, combo, bag)
        assert heard[-1] == (combo.orderId, 387) and await ib.reqAllOpenOrdersAsync() == []
        lines = [json.loads(line) for line in ledger.read_text().splitlines()]
        frames = [line["fields"] for line in lines if line["kind"] == "in" and line["message"] == "placeOrder"]
        assert len(frames) == len(special) + 1
        for state in (_as_read(fields) for fields in frames[:5]):
            other.client.decoder.interpret(OpenOrder(state, gateway.exchange.instruments[265598]).fields(178))
        told = {trade.order.permId - 900: trade.order for trade in other.openTrades()}
        first, scale, hedged, neutral, plain = (told[trade.order.orderId] for trade in trades[:5])
        assert [(one.price if one.condType == 1 else one.time) for one in first.conditions] == [50.0, "20300101 00:00:00"]
        assert first.conditionsIgnoreRth is True
        assert (scale.scalePriceIncrement, scale.scaleRandomPercent, hedged.hedgeParam) == (0.5, True, "0.5")
        assert (neutral.deltaNeutralOrderType, neutral.deltaNeutralConId, plain.displaySize, plain.minQty) == ("LMT", 4, 1, 1)
