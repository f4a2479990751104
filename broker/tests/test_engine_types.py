"""Every type of order through the whole worker: what is asked goes out in IB's words, comes back as it was asked, and trades as it says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from django.utils import timezone

from broker.tests.running import Desk
from orders.models import BrokerCommand, Event, OrderRecord, TrailingStop
from orders.rules.terms import AdaptivePriority, CommandState, OrderTerms, OrderType, Side, TimeInForce, TriggerMethod
from orders.tests.factories import a_key, make_quote

pytestmark = pytest.mark.django_db

T = OrderType
QUOTE = "quote AAPL 236.40 236.42"
IN_A_WEEK = timedelta(days=7)

RESTING: dict[str, tuple[OrderType, dict[str, Any]]] = {
    # a name -> what waits at the exchange with the market at 236.40, and the fields beyond its side and quantity
    "limit till a date": (T.LIMIT, {"limit_price": D("200"), "time_in_force": TimeInForce.GTD, "good_till": IN_A_WEEK}),
    "limit, iceberg": (T.LIMIT, {"limit_price": D("200"), "display_size": D(10)}),
    "limit, hidden": (T.LIMIT, {"limit_price": D("200"), "hidden": True}),
    "limit, all or none": (T.LIMIT, {"limit_price": D("200"), "all_or_none": True, "outside_rth": True}),
    "limit, later": (T.LIMIT, {"limit_price": D("200"), "good_after": IN_A_WEEK, "time_in_force": TimeInForce.GTC}),
    "limit, adaptive": (T.LIMIT, {"limit_price": D("200"), "adaptive": AdaptivePriority.PATIENT}),
    "limit at the open": (T.LIMIT, {"limit_price": D("200"), "time_in_force": TimeInForce.OPG}),
    "market at the open": (T.MARKET, {"time_in_force": TimeInForce.OPG}),
    "stop": (T.STOP, {"stop_price": D("260"), "trigger_method": TriggerMethod.DOUBLE_LAST}),
    "stop limit": (T.STOP_LIMIT, {"stop_price": D("260"), "limit_price": D("260.5"), "time_in_force": TimeInForce.GTC}),
    "trail by an amount": (T.TRAIL, {"trail_amount": D("20")}),
    "trail by percent": (T.TRAIL, {"trail_percent": D("7.5"), "stop_price": D("260")}),
    "trail limit": (T.TRAIL_LIMIT, {"trail_amount": D("20"), "stop_price": D("260"), "limit_offset": D("0.25")}),
    "trail limit by percent": (T.TRAIL_LIMIT, {"trail_percent": D("9"), "stop_price": D("260"), "limit_offset": D("0")}),
    "market if touched": (T.MARKET_IF_TOUCHED, {"stop_price": D("200")}),
    "limit if touched": (T.LIMIT_IF_TOUCHED, {"stop_price": D("200"), "limit_price": D("200.5")}),
    "market on close": (T.MARKET_ON_CLOSE, {}),
    "limit on close": (T.LIMIT_ON_CLOSE, {"limit_price": D("200")}),
}


def terms(order_type: OrderType, fields: dict[str, Any], side: Side = Side.BUY, quantity: str = "100") -> OrderTerms:
    ahead = {name: timezone.now() + value if isinstance(value, timedelta) else value for name, value in fields.items()}
    return OrderTerms(side, order_type, D(quantity), **ahead)


async def send(desk: Desk, asked: OrderTerms) -> OrderRecord:
    """Places it by its terms, with the exchange's own quote behind it."""

    def place() -> OrderRecord:
        quote = desk.gateway.exchange.quote(desk.contract.con_id)
        make_quote(desk.contract, str(quote.bid), str(quote.ask), str(quote.bid), at=desk.time.now())
        return desk.manager.place_order(desk.account, desk.contract, asked, key=a_key())

    order = await desk.do(place)
    desk.engine.wake()
    return order


async def fresh(desk: Desk, order: OrderRecord) -> OrderRecord:
    return await desk.do(lambda: OrderRecord.objects.get(pk=order.pk))


async def acknowledged(desk: Desk, order: OrderRecord) -> OrderRecord:
    """The order once the broker has told of it, with its PLACE confirmed."""
    confirmed = BrokerCommand.objects.filter(order=order, kind="PLACE", state=CommandState.CONFIRMED.value)
    await desk.until(confirmed.exists)
    return await desk.until(lambda: OrderRecord.objects.filter(pk=order.pk, status__in=["HELD", "WORKING"]).first())


@pytest.mark.parametrize("name", RESTING)
async def test_what_was_asked_comes_back_as_it_was_asked(desk: Desk, name: str) -> None:
    await desk.command(QUOTE)
    asked = terms(*RESTING[name])
    order = await acknowledged(desk, await send(desk, asked))
    assert order.terms == asked
    # Reconciled against the list of open orders: it says the same of it.
    await desk.stop()
    desk.start()
    await desk.ready()
    order = await fresh(desk, order)
    assert (order.terms, order.needs_attention) == (asked, False)
    assert not await desk.do(Event.objects.filter(order=order, kind="order.terms").exists)
    await desk.act("cancel_order", order)
    await desk.order_is(order, "CANCELLED")


@pytest.mark.parametrize("name", [name for name, (order_type, _) in RESTING.items() if not order_type.is_on_close])
async def test_a_change_of_each_type_is_confirmed_by_its_echo(desk: Desk, name: str) -> None:
    await desk.command(QUOTE)
    asked = terms(*RESTING[name])
    order = await acknowledged(desk, await send(desk, asked))
    await desk.act("modify_order", order, quantity=D(60))
    modify = await desk.until(lambda: BrokerCommand.objects.filter(order=order, kind="MODIFY").exclude(settled_at=None).first())
    assert (modify.state, modify.text) == (CommandState.CONFIRMED, "")
    assert (await fresh(desk, order)).terms == replace(asked, quantity=D(60))
    assert not await desk.do(Event.objects.filter(order=order, text__startswith="Changed at the broker").exists)


@pytest.mark.parametrize(
    ("order_type", "fields", "filled"),
    [
        (T.MARKET, {"time_in_force": TimeInForce.IOC}, True),
        (T.LIMIT, {"limit_price": D("240"), "time_in_force": TimeInForce.FOK}, True),
        (T.LIMIT, {"limit_price": D("200"), "time_in_force": TimeInForce.IOC}, False),
        (T.MARKET, {"adaptive": AdaptivePriority.URGENT}, True),
    ],
)
async def test_what_trades_at_once_or_never(desk: Desk, order_type: OrderType, fields: dict[str, Any], filled: bool) -> None:
    await desk.command(QUOTE)
    order = await send(desk, terms(order_type, fields, quantity="10"))
    await desk.order_is(order, "FILLED" if filled else "CANCELLED")


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("stop", ["260.10 260.12"]),
        ("stop limit", ["260.10 260.12"]),
        ("trail by an amount", ["230.00 230.02", "250.10 250.12"]),
        ("trail limit", ["230.00 230.02", "250.10 250.12"]),
        ("market if touched", ["199.90 199.92"]),
        ("limit if touched", ["199.90 199.92"]),
    ],
)
async def test_each_trigger_is_elected_by_the_market_it_waits_for(desk: Desk, name: str, way: list[str]) -> None:
    await desk.command(QUOTE)
    order_type, fields = RESTING[name]
    plain_trigger = {key: value for key, value in fields.items() if key != "trigger_method"}
    order = await acknowledged(desk, await send(desk, terms(order_type, plain_trigger)))
    for quote in way:
        await desk.command(f"quote AAPL {quote}")
    await desk.order_is(order, "FILLED")


@pytest.mark.parametrize(("which", "name"), [("close", "market on close"), ("open", "market at the open")])
async def test_an_auction_fills_what_waits_for_it(desk: Desk, which: str, name: str) -> None:
    await desk.command(QUOTE)
    order = await acknowledged(desk, await send(desk, terms(*RESTING[name])))
    await desk.command(f"auction {which}")
    await desk.order_is(order, "FILLED")


async def test_a_trailing_stop_moves_beside_its_order_and_a_change_leaves_it_where_it_is(desk: Desk) -> None:
    await desk.command(QUOTE)
    asked = terms(T.TRAIL, {"trail_amount": D("5"), "time_in_force": TimeInForce.GTC}, side=Side.SELL)
    await desk.order_is(await desk.place(), "FILLED")
    order = await acknowledged(desk, await send(desk, asked))
    first = await desk.until(lambda: TrailingStop.objects.filter(order=order).first())
    await desk.until(lambda: OrderRecord.objects.filter(pk=order.pk, why_held="trigger").exists())
    events = await desk.do(Event.objects.filter(order=order).count)
    await desk.command("quote AAPL 246.40 246.42")
    moved = await desk.until(lambda: TrailingStop.objects.filter(order=order, price__gt=first.price + 9).first())
    order = await fresh(desk, order)
    assert (order.terms, await desk.do(lambda: order.present_stop)) == (asked, moved.price)
    assert await desk.do(Event.objects.filter(order=order).count) == events
    # The market falls back, the stop does not; nor does a change of the quantity throw it back.
    await desk.command("quote AAPL 243.40 243.42")
    await desk.act("modify_order", order, quantity=D(50))
    await desk.until(lambda: BrokerCommand.objects.filter(order=order, kind="MODIFY", state=CommandState.CONFIRMED.value).exists())
    order = await fresh(desk, order)
    assert (order.quantity, order.stop_price, await desk.do(lambda: order.present_stop)) == (50, None, moved.price)
    await desk.command("quote AAPL 241.00 241.02")
    await desk.order_is(order, "FILLED")
