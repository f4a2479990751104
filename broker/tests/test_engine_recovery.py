"""Every way back, and the certificate that it leaves; positions that no execution explains."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from broker.engine import hearing
from broker.simulator.server import SimulatedGateway
from broker.tests.running import BookThread, Desk, running_desk
from orders import outbox
from orders.models import Certificate, Event, Execution, Incident, Limit, OrderRecord, Position
from orders.rules.limits import REDUCE_ONLY
from orders.rules.reports import Question
from orders.rules.terms import GatewayState

pytestmark = pytest.mark.django_db


async def certificate(desk: Desk, words: str, number: int = 1) -> Certificate:
    """Waits until there are so many certificates whose reason has these words, and gives the newest."""

    def newest() -> Certificate | None:
        found = list(Certificate.objects.filter(reason__contains=words))
        return found[0] if len(found) >= number else None

    return await desk.until(newest)


def figures(row: Certificate) -> tuple[int, ...]:
    return (row.in_flight, row.matched, row.unknown, row.resent, row.fills_recovered, row.external_seen, row.breaks_open)


async def test_the_start_leaves_a_certificate(desk: Desk) -> None:
    row = await certificate(desk, "started")
    assert (figures(row), row.is_complete, row.fence) == ((0,) * 7, True, desk.engine.situation.fence)
    assert row.began_at <= row.ended_at


async def test_an_order_whose_answer_was_lost_is_in_flight_and_matched(desk: Desk) -> None:
    await desk.command("drop-after-order")
    order = await desk.place("place_limit_order", limit_price=D("230.00"))
    row = await certificate(desk, "A new connection, after:")
    assert figures(row) == (1, 1, 0, 0, 0, 0, 0)
    [one] = row.data["in_flight"]
    assert (one["order"], one["what"], one["after"], one["settled"]) == (order.client_order_id, "order", "WORKING", True)
    assert one["before"] in ("SENT", "UNKNOWN")
    assert len(await desk.broker_orders()) == 1


async def test_an_order_that_never_arrived_is_unknown_in_the_certificate(desk: Desk) -> None:
    await desk.command("drop-before-order")
    await desk.place()
    row = await certificate(desk, "A new connection, after:")
    assert figures(row) == (1, 0, 1, 0, 0, 0, 0)
    assert await desk.broker_orders() == []


@pytest.mark.parametrize(("restored", "code"), [("restored", "1102"), ("restored-lost", "1101")])
async def test_fills_and_orders_that_were_never_pushed_are_counted(desk: Desk, restored: str, code: str) -> None:
    order = await desk.place("place_limit_order", limit_price=D("230.00"))
    await desk.order_is(order, "WORKING")
    await desk.command("connectivity lost")
    await desk.until(lambda: desk.engine.situation.state is GatewayState.DEGRADED)
    await desk.command("forget-fills")
    await desk.command("quote AAPL 229.00 229.10")
    await desk.command(f"connectivity {restored}")
    row = await certificate(desk, f"({code})")
    assert figures(row) == (0, 0, 0, 0, 1, 0, 0)
    [fill] = row.data["fills"]
    assert fill["order"] == order.client_order_id


@pytest.mark.parametrize("hands", ["5", "tws", "mobile"])
async def test_what_happened_elsewhere_while_the_link_was_down_is_counted(desk: Desk, hands: str) -> None:
    """The list of open orders comes as news, too, and enters the book before the comparison does."""
    await desk.command("client-id-taken 17")
    await desk.command("drop 17")
    await desk.until(lambda: desk.engine.situation.state is GatewayState.DOWN)
    await desk.command(f"place {hands} DU1000417 AAPL BUY 20 limit=200")
    await desk.command("off client-id-taken")
    row = await certificate(desk, "A new connection, after:")
    assert figures(row) == (0, 0, 0, 0, 0, 1, 0)
    [one] = row.data["external"]
    order = await desk.do(lambda: OrderRecord.objects.get(is_external=True))
    assert (one["order"], order.quantity) == (order.client_order_id, 20)


async def test_a_quiet_check_leaves_none_and_one_that_found_something_does(desk: Desk) -> None:
    order = await desk.place("place_limit_order", limit_price=D("230.00"))
    await desk.order_is(order, "WORKING")
    before = await desk.do(Certificate.objects.count)
    here = desk.engine.situation
    await desk.pass_time(11)
    await desk.until(lambda: not here.to_check and here.connector.silence < 1)
    assert await desk.do(Certificate.objects.count) == before
    await desk.command("forget-fills")
    await desk.command("quote AAPL 229.00 229.10")
    await desk.pass_time(11)
    row = await certificate(desk, "A check of")
    assert figures(row) == (0, 0, 0, 0, 1, 0, 0)
    assert (await desk.do(Execution.objects.get)).order_id == order.pk


async def test_a_check_whose_list_had_no_end_is_not_called_complete(gateway: SimulatedGateway, book_thread: BookThread) -> None:
    async with running_desk(gateway, book_thread, patience=0.5) as desk:
        order = await desk.place("place_limit_order", limit_price=D("230.00"))
        await desk.order_is(order, "WORKING")
        await desk.command("forget-fills")
        await desk.command("mute execDetailsEnd")
        await desk.command("quote AAPL 229.00 229.10")
        await desk.pass_time(11)
        row = await certificate(desk, "A check of")
        assert (row.fills_recovered, row.is_complete) == (1, False)


async def test_a_position_that_no_execution_explains_restricts_its_account(desk: Desk) -> None:
    await desk.order_is(await desk.place(), "FILLED")
    row = await desk.until(lambda: Position.objects.filter(quantity=100).first())
    assert row.opening == 0
    await desk.command("position DU1000417 AAPL 150 230")
    await desk.until(lambda: Position.objects.filter(quantity=150).exists())
    for checks in (1, 2, 3):
        await desk.pass_time(31 if checks == 1 else 16)
        await desk.until(lambda n=checks: Position.objects.filter(differs_checks=n).exists())
    incident = await desk.until(lambda: Incident.objects.filter(kind="position_differs").first())
    assert incident.data == {"contract": "AAPL", "reported": "150", "explained": "100"}
    assert (await desk.do(lambda: Limit.objects.get(rule="TRADING_STATE"))).value == REDUCE_ONLY
    assert (await certificate(desk, "A check of")).breaks_open == 1
    assert len(await desk.broker_orders()) == 1, "nothing is traded for it"
    refused = await desk.place(confirm_duplicate=True, side="SELL", quantity="50")
    assert refused.status != "REJECTED", "what reduces is allowed"


async def test_what_was_held_before_the_book_needs_no_explaining(gateway: SimulatedGateway, book_thread: BookThread) -> None:
    await gateway.command("position DU1000417 AAPL 70 230")
    async with running_desk(gateway, book_thread) as desk:
        assert (await desk.do(Position.objects.get)).opening == 70
        await desk.order_is(await desk.place(), "FILLED")
        await desk.until(lambda: Position.objects.filter(quantity=170, opening=70).exists())
        await desk.pass_time(31)
        here = desk.engine.situation
        await desk.until(lambda: not here.to_check and here.connector.silence < 1)
        assert not await desk.do(Position.objects.filter(differs_checks__gt=0).exists)
        assert not await desk.do(OrderRecord.objects.filter(needs_attention=True).exists)


async def test_what_is_heard_after_a_list_is_not_undone_by_it(desk: Desk) -> None:
    await desk.order_is(await desk.place(), "FILLED")
    await desk.until(lambda: Position.objects.filter(quantity=100).exists())
    await desk.order_is(await desk.place("place_limit_order", limit_price=D("200.00")), "WORKING")
    here, enter, steps = desk.engine.situation, desk.engine.situation.book, []

    async def enter_slowly(function: Any, *args: Any, **named: Any) -> Any:
        if function is outbox.raise_order_id_mark and not steps:  # the book is busy, and meanwhile the position moves
            steps.append("moved")
            await desk.command("position DU1000417 AAPL 150 230")
            await desk.until(lambda: Position.objects.filter(quantity=150).exists())
        answer = await enter(function, *args, **named)
        if function is hearing._settle:
            steps.append("settled")
        return answer

    await desk.until(lambda: not here.to_check)
    here.book = enter_slowly  # type: ignore[method-assign]
    here.ask(Question)
    await desk.until(lambda: "moved" in steps and "settled" in steps)
    await desk.until(lambda: Position.objects.filter(quantity=150).exists())
    texts = await desk.do(lambda: list(Event.objects.filter(kind="position.reported").values_list("text", flat=True)))
    assert texts == ["AAPL: none → 100", "AAPL: 100 → 150"]
