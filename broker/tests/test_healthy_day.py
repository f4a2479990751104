"""A short day of the whole worker breaks no invariant: book, events and the gateway's own ledger say the same."""

from __future__ import annotations

import json
from decimal import Decimal as D
from pathlib import Path

import pytest

from broker.tests.running import BookThread, running_desk
from broker.tests.simulator.running import running_gateway
from orders.invariants import check
from orders.models import BrokerCommand, OrderRecord, Position
from orders.rules.terms import OPEN_COMMANDS, Side

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


def _open() -> bool:
    return BrokerCommand.objects.filter(state__in=[state.value for state in OPEN_COMMANDS]).exists()
