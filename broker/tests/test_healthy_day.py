"""A short day of the whole worker breaks no invariant: book, events and the gateway's own ledger say the same."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from broker.tests.running import BookThread, running_desk
from broker.tests.simulator.running import running_gateway
from orders import inquiries
from orders.invariants import check
from orders.models import BrokerCommand, OrderRecord, Position
from orders.models.market import Inquiry
from orders.rules.terms import (
    OPEN_COMMANDS,
    AdaptivePriority,
    OrderTerms,
    OrderType,
    Side,
    TimeInForce,
    TriggerMethod,
    terms_to_json,
)

pytestmark = pytest.mark.django_db


async def test_a_short_day_breaks_no_invariant(book_thread: BookThread, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    async with running_gateway(ledger=ledger) as gateway, running_desk(gateway, book_thread) as desk:
        await desk.order_is(await desk.place(quantity="100"), "FILLED")
        await desk.until(lambda: Position.objects.filter(quantity=100).exists())
        stop, target = await desk.act("place_oca_group", desk.account, desk.contract)
        await desk.order_is(target, "WORKING")
        prices = {"limit_price": D("200.00"), "take_profit_price": D("260.00"), "stop_loss_price": D("190.00")}
        entry, *_ = await desk.place("place_bracket", **prices)
        await desk.order_is(entry, "WORKING")
        await desk.act("modify_order", entry, limit_price=D("201"))
        await desk.until(lambda: OrderRecord.objects.get(pk=entry.pk).limit_price == 201)
        await desk.act("cancel_order", entry)
        await desk.order_is(entry, "CANCELLED")
        await desk.command("reject-next 201 'Order rejected'")
        await desk.order_is(await desk.place("place_limit_order", limit_price=D("199.00")), "REJECTED")
        await desk.command(f"quote AAPL {target.limit_price} {target.limit_price + D('0.02')}")
        await desk.order_is(target, "FILLED")
        await desk.order_is(stop, "CANCELLED")
        await desk.place("place_limit_order", side=Side.BUY, limit_price=D("180.00"))
        await desk.until(lambda: Position.objects.get().quantity == 0 and not _open())
        lines = [json.loads(line) for line in ledger.read_text().splitlines()]
        found = {one.code: one for one in await desk.do(check, lines, desk.time.now())}
        assert {code: one.violations for code, one in found.items() if one.is_broken} == {}
        assert {code for code, one in found.items() if not one.checked} == {"I14", "I18", "I21", "I22"}
        assert found["I4"].checked >= 2, "positions were judged from their opening, and against the ledger"


async def test_a_day_of_every_type_of_order_breaks_no_invariant(book_thread: BookThread, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    async with running_gateway(ledger=ledger) as gateway, running_desk(gateway, book_thread) as desk:
        await desk.command("quote AAPL 236.40 236.42")
        for asked in tickets(timezone.now()):
            terms = terms_to_json(asked)
            preview = {"con_id": desk.contract.con_id, "account": desk.account.code, "terms": terms}
            row = await desk.do(inquiries.ask, Inquiry.Kind.WHAT_IF, preview, desk.manager.actor, timezone.now())
            order = await desk.act("place_order", desk.account, desk.contract, asked)
            await desk.until(lambda pk=order.pk: OrderRecord.objects.filter(pk=pk, status__in=["HELD", "WORKING"]).exists())
            await desk.until(lambda pk=row.pk: Inquiry.objects.filter(pk=pk, state="answered").exists())
            await desk.act("modify_order", order, quantity=D(50))
            await desk.until(lambda pk=order.pk: OrderRecord.objects.get(pk=pk).quantity == 50)
        await desk.command("quote AAPL 231.40 231.42")
        await desk.act("cancel_all_orders")
        await desk.until(lambda: not OrderRecord.objects.exclude(status="CANCELLED").exists() and not _open())
        lines = [json.loads(line) for line in ledger.read_text().splitlines()]
        found = {one.code: one for one in await desk.do(check, lines, desk.time.now())}
        assert {code: one.violations for code, one in found.items() if one.is_broken} == {}
        assert found["I19"].checked == found["I20"].checked == 2 * len(tickets(timezone.now()))
        # Each of the fields that the frame of an order has beyond its price is compared.
        for name, (frame, position, wrong) in spoilt(lines).items():
            kept, frame["fields"][position] = frame["fields"][position], wrong
            told = {one.code: one for one in await desk.do(check, lines, desk.time.now())}
            assert "instead of" in str(told["I19"].violations), name
            frame["fields"][position] = kept


def tickets(now: datetime) -> list[OrderTerms]:
    """One of each type, waiting at the exchange with the market at 236.40, with every attribute on one of them."""
    buy, sell, soon, end = Side.BUY, Side.SELL, now + timedelta(days=1), now + timedelta(days=3)
    T, F = OrderType, TimeInForce
    return [
        OrderTerms(buy, T.LIMIT, D(100), limit_price=D("200"), display_size=D(10), outside_rth=True),
        OrderTerms(buy, T.LIMIT, D(100), limit_price=D("201"), hidden=True),
        OrderTerms(buy, T.LIMIT, D(100), limit_price=D("202"), all_or_none=True, time_in_force=F.GTD, good_till=end, good_after=soon),
        OrderTerms(buy, T.LIMIT, D(100), limit_price=D("203"), adaptive=AdaptivePriority.PATIENT, time_in_force=F.GTC),
        OrderTerms(buy, T.LIMIT, D(100), limit_price=D("204"), time_in_force=F.OPG),
        OrderTerms(buy, T.STOP, D(100), stop_price=D("260"), trigger_method=TriggerMethod.MIDPOINT),
        OrderTerms(buy, T.STOP_LIMIT, D(100), stop_price=D("260"), limit_price=D("261")),
        OrderTerms(buy, T.TRAIL, D(100), trail_amount=D("20"), stop_price=D("258")),
        OrderTerms(sell, T.TRAIL, D(100), trail_percent=D("7.5")),
        OrderTerms(buy, T.TRAIL_LIMIT, D(100), trail_percent=D("8"), stop_price=D("257"), limit_offset=D("0.5")),
        OrderTerms(buy, T.MARKET_IF_TOUCHED, D(100), stop_price=D("205")),
        OrderTerms(buy, T.LIMIT_IF_TOUCHED, D(100), stop_price=D("206"), limit_price=D("206.5")),
        OrderTerms(buy, T.MARKET_ON_CLOSE, D(100)),
        OrderTerms(buy, T.LIMIT_ON_CLOSE, D(100), limit_price=D("207")),
    ]


def spoilt(lines: list[dict[str, Any]]) -> dict[str, tuple[dict[str, Any], int, str]]:
    """A field's name -> the first frame of an order, the position of the field there, by the protocol, and a value that was not asked."""
    frames = [line for line in lines if line.get("message") == "placeOrder" and line["fields"][26]]
    first: dict[str, dict[str, Any]] = {}
    for frame in frames:
        first.setdefault(frame["fields"][26], frame)
    of = list(first.values())
    return {
        "display size": (of[0], 31, "11"),
        "outside regular hours": (of[0], 33, "0"),
        "hidden": (of[1], 34, "0"),
        "good after": (of[2], 37, ""),
        "good till": (of[2], 38, "20991231-00:00:00"),
        "all or none": (of[2], 49, "0"),
        "priority": (of[3], 85, "Urgent"),
        "trigger method": (of[5], 32, "2"),
        "trailing amount": (of[7], 20, "21"),
        "start of the trail": (of[7], 68, "259"),
        "trailing percent": (of[8], 69, "7"),
        "limit offset": (of[9], 92, "0.4"),
    }


def _open() -> bool:
    return BrokerCommand.objects.filter(state__in=[state.value for state in OPEN_COMMANDS]).exists()
