"""What the exchange is told to do on its control port, as the worker's book has it afterwards: both say the same, corrections included."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal as D
from pathlib import Path

import pytest
import pytest_asyncio

from broker.simulator import control, ledger
from broker.simulator.server import SimulatedGateway
from broker.tests.anomalies import a_working_limit, fresh, incidents, leap
from broker.tests.running import Desk
from broker.tests.simulator.running import running_gateway
from oms_site.tests.agreement import disagreements
from orders.models import Incident, OrderRecord, Position

pytestmark = pytest.mark.django_db


@pytest_asyncio.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[SimulatedGateway]:
    async with running_gateway(ledger=tmp_path / "ledger.jsonl") as running:
        yield running


async def agrees(desk: Desk, tmp_path: Path) -> None:
    """Waits until the book differs in nothing from the exchange and its ledger."""

    def told() -> list[str]:
        return disagreements(lambda words: control.execute(desk.gateway, words), ledger.read(tmp_path / "ledger.jsonl"))

    try:
        await desk.until(lambda: not told(), seconds=10)
    except AssertionError:
        raise AssertionError("\n".join(await desk.do(told))) from None


async def test_a_fill_is_corrected_thrice(desk: Desk, tmp_path: Path) -> None:
    """C5: price, quantity down, quantity up; each replaces the one before, and a restarted connection finds the last."""
    order = await desk.order_is(await desk.place(quantity="100"), "FILLED")
    await desk.command("correct last price=199.5")
    await desk.command("correct last qty=60")
    await desk.until(lambda: OrderRecord.objects.get(pk=order.pk).filled_quantity == 60)
    assert "busted" in await incidents(desk, order)
    await desk.command("correct last qty=100 price=198")
    filled = await desk.order_is(order, "FILLED")
    assert (filled.filled_quantity, filled.average_price) == (100, D(198))
    await desk.command("drop 17")
    await agrees(desk, tmp_path)


async def test_a_busted_order_that_works_again_fills_again(desk: Desk, tmp_path: Path) -> None:
    """C7: back to what is not filled by a correction alone, with an incident; then the exchange lets the rest work."""
    order = await desk.order_is(await desk.place("place_limit_order", limit_price=D("245.00"), quantity="50"), "FILLED")
    await desk.command("quote AAPL 300.00 300.02")
    await desk.command("bust last reinstate")
    working = await desk.order_is(order, "WORKING")
    assert working.filled_quantity == 0 and "busted" in await incidents(desk, order)
    await agrees(desk, tmp_path)
    await desk.command("quote AAPL 240.00 240.02")
    assert (await desk.order_is(order, "FILLED")).filled_quantity == 50
    await agrees(desk, tmp_path)


@pytest.mark.parametrize(("shares", "status", "kind"), [("40", "CANCELLED", "late_fill"), ("130", "FILLED", "overfill")])
async def test_a_cancelled_order_fills_late_in_part_or_too_much(desk: Desk, tmp_path: Path, shares: str, status: str, kind: str) -> None:
    """C10, I8."""
    order = await a_working_limit(desk)
    await desk.act("cancel_order", order)
    await desk.order_is(order, "CANCELLED")
    await desk.command(f"fill {order.client_order_id} {shares}")
    await desk.until(lambda: Incident.objects.filter(order=order, kind=kind).exists())
    assert (await fresh(desk, order)).status == status
    await agrees(desk, tmp_path)


async def test_both_legs_of_a_pair_fill_in_one_moment(desk: Desk, tmp_path: Path) -> None:
    """C23: the position is turned, and nothing is traded for it."""
    await desk.order_is(await desk.place(quantity="100"), "FILLED")
    await desk.until(lambda: Position.objects.filter(contract=desk.contract, quantity=100).exists())
    stop, target = await desk.act("place_oca_group", desk.account, desk.contract)
    await desk.order_is(target, "WORKING")
    assert await desk.command(f"fill-group {target.client_order_id}") == "2"
    await desk.until(lambda: Incident.objects.filter(kind="exits_overfilled").exists(), seconds=2)
    await desk.order_is(stop, "FILLED")
    await agrees(desk, tmp_path)


@pytest.mark.parametrize("who", ["tws", "mobile", "9"])
async def test_orders_of_other_hands_are_followed_to_their_end(desk: Desk, tmp_path: Path, who: str) -> None:
    """C31: shown under its permanent id; changed, and ended, where it was placed."""
    perm_id = await desk.command(f"place {who} DU1000417 AAPL BUY 30 limit=200")
    await leap(desk, 11)
    row = await desk.until(lambda: OrderRecord.objects.filter(client_order_id=f"ext-{perm_id}", status="WORKING").first())
    await desk.command(f"change {perm_id} qty=20 limit=201")
    await leap(desk, 11)
    await desk.until(lambda: OrderRecord.objects.filter(pk=row.pk, quantity=20, limit_price=D(201)).exists())
    await desk.command(f"fill {perm_id} 5")
    await desk.command(f"cancel {perm_id}")
    await leap(desk, 11)
    ended = await desk.order_is(row, "CANCELLED")
    await desk.until(lambda: OrderRecord.objects.get(pk=row.pk).filled_quantity == 5)
    assert ended.is_external
    await agrees(desk, tmp_path)


async def test_a_second_life_is_told_and_both_may_fill(desk: Desk) -> None:
    """B12: one reference, two permanent ids, both at work: an incident, and the executions of both are the order's."""
    order = await a_working_limit(desk)
    await desk.command("second-life last")
    await desk.until(lambda: Incident.objects.filter(order=order, kind="two_working").exists())
    await desk.command("quote AAPL 199.00 199.10")
    await desk.until(lambda: OrderRecord.objects.get(pk=order.pk).filled_quantity == 200)
    assert "overfill" in await incidents(desk, order)
    await desk.until(lambda: Position.objects.filter(contract=desk.contract, quantity=200).exists())


async def test_what_is_broken_off_in_the_middle_of_a_fill_is_found(desk: Desk, tmp_path: Path) -> None:
    """B1, C37, C38: half an execution and the end; frames without an end, empty, mangled."""
    await desk.command("cut execDetails")
    await desk.order_is(await desk.place(quantity="7"), "FILLED")
    for words in ("length 17 2147483648", "length 17 -1"):
        accepted = len(ledger.read(tmp_path / "ledger.jsonl"))
        await desk.ready()
        await desk.command(words)
        await desk.until(lambda seen=accepted: any(one.get("event") == "gone" for one in ledger.read(tmp_path / "ledger.jsonl")[seen:]))
        await desk.ready()
    await desk.order_is(await desk.place(quantity="8"), "FILLED")
    await desk.command("mangle 17 5 any orderStatus 50")
    await desk.until(lambda: desk.connector._connected.listener.troubles > 0)
    await agrees(desk, tmp_path)
