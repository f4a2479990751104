"""Brackets of several pairs through the whole worker: what the exchange does with groups of each type, trails, time stops and changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from broker.tests.running import Desk
from orders.models import BrokerCommand, OrderRecord, Position
from orders.queries.guard import verdicts
from orders.queries.holdings import guarded
from orders.rules.guardian import Kind
from orders.rules.terms import CommandState, OcaType, OrderTerms, OrderType, Side
from orders.rules.tickets import BracketTicket, ExitPair
from orders.tests.factories import make_quote

pytestmark = pytest.mark.django_db

LIMIT = OrderTerms(Side.BUY, OrderType.LIMIT, D(100), limit_price=D("229.00"))
MARKET = OrderTerms(Side.BUY, OrderType.MARKET, D(100))
SCALE_OUT = (
    ExitPair(D(50), target_price=D("235.00"), stop_price=D("220.00")),
    ExitPair(D(30), target_price=D("240.00"), stop_price=D("220.00")),
    ExitPair(D(20), target_price=D("245.00"), stop_price=D("220.00")),
)


async def place(desk: Desk, ticket: BracketTicket) -> list[OrderRecord]:
    await desk.command("quote AAPL 229.90 230.00")
    await desk.do(lambda: make_quote(desk.contract, "229.90", "230.00", "229.90", at=desk.time.now()))
    return await desk.act("place_bracket_ticket", desk.account, desk.contract, ticket)


async def resting(desk: Desk, ticket: BracketTicket) -> list[OrderRecord]:
    """The bracket at the exchange: its entry works, its exits are held behind it."""
    orders = await place(desk, ticket)
    await desk.order_is(orders[0], "WORKING")
    for leg in orders[1:]:
        await desk.order_is(leg, "HELD")
    return orders


async def fill(desk: Desk, order: OrderRecord, shares: str, price: str) -> None:
    await desk.command(f"fill {order.client_order_id} {shares} {price}")


async def holds(desk: Desk, quantity: int) -> None:
    await desk.until(lambda: Position.objects.filter(account=desk.account, contract=desk.contract, quantity=quantity).exists())


async def has(desk: Desk, order: OrderRecord, **values: Any) -> OrderRecord:
    return await desk.until(lambda: OrderRecord.objects.filter(pk=order.pk, **values).first())


async def found(desk: Desk, *expected: tuple[Kind, int]) -> None:
    """Waits for the guardian's verdict. A fill and the report of the position that it makes come one after the other."""

    def read() -> bool:
        row = guarded(desk.account, desk.contract)
        assert row is not None
        verdict = verdicts([row], desk.time.now())[desk.account.pk, desk.contract.pk]
        return [(finding.kind, finding.quantity) for finding in verdict.findings] == [(kind, D(size)) for kind, size in expected]

    await desk.until(read)


@pytest.mark.parametrize("oca_type", list(OcaType))
async def test_a_position_is_scaled_out_of_in_three_pairs(desk: Desk, oca_type: OcaType) -> None:
    entry, stop1, target1, stop2, target2, stop3, target3 = await resting(desk, BracketTicket(LIMIT, SCALE_OUT, oca_type=oca_type))
    told = {one["order_ref"]: one for one in await desk.broker_orders()}
    assert {told[leg.client_order_id]["oca_group"] for leg in (stop1, target1)} == {stop1.oca_group.name}
    assert told[stop2.client_order_id]["oca_type"] == int(oca_type)
    await fill(desk, entry, "60", "229.00")
    await has(desk, entry, filled_quantity=60)
    await holds(desk, 60)
    await fill(desk, entry, "40", "229.00")
    await desk.order_is(entry, "FILLED")
    await holds(desk, 100)
    await desk.command("tick 1")  # the market takes its next step
    for target in (target1, target2, target3):
        await desk.order_is(target, "WORKING")
    await found(desk, (Kind.PROTECTED, 100))

    await fill(desk, target1, "20", "235.00")
    await holds(desk, 80)
    if oca_type is OcaType.CANCEL_WITH_BLOCK:
        await desk.order_is(stop1, "CANCELLED")
        await found(desk, (Kind.UNDER_PROTECTED, 30), (Kind.PROTECTED, 50))
    else:
        await has(desk, stop1, quantity=30)
        await found(desk, (Kind.PROTECTED, 80))
    await fill(desk, target1, "30", "235.00")
    await desk.order_is(target1, "FILLED")
    await desk.order_is(stop1, "CANCELLED")
    await holds(desk, 50)
    await has(desk, stop2, status="HELD", quantity=30)  # the other pairs are no part of it

    await desk.command("quote AAPL 219.90 220.00")
    for stop, target in ((stop2, target2), (stop3, target3)):
        await desk.order_is(stop, "FILLED")
        await desk.order_is(target, "CANCELLED")
    await holds(desk, 0)


async def test_a_trailing_stop_follows_the_market_and_goes_off(desk: Desk) -> None:
    pair = ExitPair(D(100), target_price=D("260.00"), trail_amount=D("3.00"))
    entry, trail, target = await place(desk, BracketTicket(replace(LIMIT, limit_price=D("230.10")), (pair,)))
    await desk.order_is(entry, "FILLED")
    await desk.order_is(trail, "HELD")
    await desk.command("quote AAPL 239.90 240.00")
    await desk.until(lambda: OrderRecord.objects.get(pk=trail.pk).present_stop in (D("236.90"), D("237.00")))
    await found(desk, (Kind.PROTECTED, 100))
    assert (await has(desk, trail, trail_amount=D(3))).stop_price is None
    await desk.command("quote AAPL 236.50 236.60")
    await desk.order_is(trail, "FILLED")
    await desk.order_is(target, "CANCELLED")
    await holds(desk, 0)


async def test_a_time_stop_ends_its_pair_and_no_other(desk: Desk) -> None:
    first = ExitPair(D(60), target_price=D("260.00"), stop_price=D("210.00"), time_stop=timedelta(hours=1))
    second = ExitPair(D(40), target_price=D("270.00"), stop_price=D("205.00"))
    entry, stop, target, late, other_stop, other_target = await place(desk, BracketTicket(MARKET, (first, second)))
    await desk.order_is(entry, "FILLED")
    await desk.order_is(late, "HELD")
    await desk.command("tick 3601")
    filled = await desk.order_is(late, "FILLED")
    assert filled.filled_quantity == 60
    await desk.order_is(stop, "CANCELLED")
    await desk.order_is(target, "CANCELLED")
    await holds(desk, 40)
    await has(desk, other_stop, status="HELD", quantity=40)
    await has(desk, other_target, status="WORKING", quantity=40)


async def test_exits_of_a_position_in_pairs(desk: Desk) -> None:
    await desk.order_is(await desk.place(quantity="100"), "FILLED")
    await holds(desk, 100)
    pairs = (ExitPair(D(70), stop_price=D("210.00"), time_stop=timedelta(hours=1)), ExitPair(D(30), trail_percent=D(5)))
    stop, late, trail = await desk.act("place_exits", desk.account, desk.contract, pairs)
    await desk.order_is(stop, "HELD")
    await desk.order_is(trail, "HELD")
    await desk.command("tick 3601")
    await desk.order_is(late, "FILLED")
    await desk.order_is(stop, "CANCELLED")
    await holds(desk, 30)
    await has(desk, trail, status="HELD", quantity=30)


async def test_a_cancelled_entry_takes_all_its_pairs_along(desk: Desk) -> None:
    entry, *legs = await resting(desk, BracketTicket(LIMIT, SCALE_OUT))
    await desk.act("cancel_order", entry)
    for order in (entry, *legs):
        await desk.order_is(order, "CANCELLED")


# --- changed together ---------------------------------------------------------------------------------------------------------------------


async def states(desk: Desk, commands: list[BrokerCommand]) -> list[CommandState]:
    """How the broker has answered each change, once all are answered."""

    def answered() -> list[CommandState] | None:
        found = BrokerCommand.objects.in_bulk([command.pk for command in commands])
        rows = [found[command.pk] for command in commands]
        return None if any(row.is_open for row in rows) else [CommandState(row.state) for row in rows]

    answer = await desk.until(answered)
    assert answer is not None
    return answer


async def sizes(desk: Desk, orders: list[OrderRecord]) -> list[D]:
    told = {one["order_ref"]: one for one in await desk.broker_orders()}
    return [D(told[order.client_order_id]["quantity"]) for order in orders]


async def test_a_bracket_is_moved_and_the_exchange_has_it(desk: Desk) -> None:
    orders = await resting(desk, BracketTicket(LIMIT, SCALE_OUT))
    commands = await desk.act("modify_bracket", orders[3], move=D("-1.50"))
    assert await states(desk, commands) == [CommandState.CONFIRMED] * 7
    told = {one["order_ref"]: one for one in await desk.broker_orders()}
    assert D(told[orders[0].client_order_id]["limit_price"]) == D("227.50")
    await has(desk, orders[1], stop_price=D("218.50"))
    await has(desk, orders[6], limit_price=D("243.50"))


@pytest.mark.parametrize("quantity", ["50", "133"])
async def test_a_resized_entry_and_its_exits_agree_at_the_exchange(desk: Desk, quantity: str) -> None:
    orders = await resting(desk, BracketTicket(LIMIT, SCALE_OUT, oca_type=OcaType.REDUCE_WITH_BLOCK))
    commands = await desk.act("modify_bracket", orders[0], quantity=D(quantity))
    assert await states(desk, commands) == [CommandState.CONFIRMED] * 7
    expected = {"50": [50, 25, 25, 15, 15, 10, 10], "133": [133, 66, 66, 39, 39, 28, 28]}[quantity]
    assert await sizes(desk, orders) == expected


async def test_a_leg_that_the_broker_refuses_leaves_the_others_changed(desk: Desk) -> None:
    orders = await resting(desk, BracketTicket(LIMIT, SCALE_OUT))
    await desk.command("reject-next 201 'Order rejected - reason:Margin'")
    commands = await desk.act("modify_bracket", orders[0], move=D("0.50"))
    assert await states(desk, commands) == [CommandState.REFUSED] + [CommandState.CONFIRMED] * 6
    await has(desk, orders[0], limit_price=D("229.00"))
    await has(desk, orders[2], limit_price=D("235.50"))


async def test_an_entry_is_not_made_smaller_when_its_exits_were_not(desk: Desk) -> None:
    orders = await resting(desk, BracketTicket(LIMIT, SCALE_OUT))
    await desk.command("reject-next 201 'Order rejected - reason:Margin'")
    commands = await desk.act("modify_bracket", orders[0], quantity=D(50))
    answers = await states(desk, commands)
    assert answers[:2] == [CommandState.REFUSED, CommandState.REFUSED]
    assert (await sizes(desk, orders))[:3] == [100, 50, 25]


async def test_an_entry_that_fills_while_it_is_resized_is_found_with_exits_for_less(desk: Desk) -> None:
    orders = await resting(desk, BracketTicket(LIMIT, SCALE_OUT, oca_type=OcaType.REDUCE_WITH_BLOCK))
    await desk.command("hold")
    commands = await desk.act("modify_bracket", orders[0], quantity=D(50))
    await desk.until(lambda: BrokerCommand.objects.filter(kind="MODIFY", state=CommandState.SENT.value).count() == 6)
    await fill(desk, orders[0], "100", "229.00")
    await desk.command("release")
    assert (await states(desk, commands))[0] in (CommandState.REFUSED, CommandState.WITHDRAWN)
    await desk.order_is(orders[0], "FILLED")
    await holds(desk, 100)
    await has(desk, orders[1], quantity=25)
    await found(desk, (Kind.UNDER_PROTECTED, 50), (Kind.PROTECTED, 50))


async def test_changes_that_were_not_answered_before_the_link_was_lost_are_settled_by_what_the_broker_has(desk: Desk) -> None:
    orders = await resting(desk, BracketTicket(LIMIT, SCALE_OUT))
    await desk.command("hold")
    commands = await desk.act("modify_bracket", orders[0], move=D("-0.50"))
    await desk.until(lambda: BrokerCommand.objects.filter(kind="MODIFY", state=CommandState.SENT.value).count() == 7)
    await desk.command("drop")
    await desk.until(lambda: BrokerCommand.objects.filter(kind="MODIFY", state=CommandState.UNKNOWN.value).exists())
    await desk.command("release")
    assert await states(desk, commands) == [CommandState.CONFIRMED] * 7
    await has(desk, orders[0], limit_price=D("228.50"))
    assert len(await desk.broker_orders()) == 7, "nothing was sent twice"


async def test_a_trail_is_changed_where_it_stands(desk: Desk) -> None:
    await desk.order_is(await desk.place(quantity="100"), "FILLED")
    await holds(desk, 100)
    [trail] = await desk.act("place_exits", desk.account, desk.contract, [ExitPair(D(100), trail_amount=D(5))])
    await desk.order_is(trail, "HELD")
    command = await desk.act("modify_order", trail, trail_amount=D(4))
    assert await states(desk, [command]) == [CommandState.CONFIRMED]
    await has(desk, trail, trail_amount=D(4))


async def test_a_stop_limit_entry_carries_pairs(desk: Desk) -> None:
    entry = replace(LIMIT, order_type=OrderType.STOP_LIMIT, stop_price=D("231.00"), limit_price=D("231.50"))
    first, stop, target = await place(desk, BracketTicket(entry, (ExitPair(D(100), target_price=D(240), stop_price=D(225)),)))
    await desk.order_is(first, "HELD")
    await desk.command("quote AAPL 231.00 231.10")
    await desk.order_is(first, "FILLED")
    await desk.order_is(target, "WORKING")
    await has(desk, stop, status="HELD")
