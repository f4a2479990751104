"""Codes of the broker: warnings on live orders, errors that mean nothing for them, codes that nobody knows, in any place and moment."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from broker.errors import Standing, meaning
from broker.simulator.messages import answers as say
from broker.tests.anomalies import a_working_limit, code, fresh, heard, incidents, name_of, say_to
from broker.tests.running import Desk
from orders.models import BrokerCommand, Event
from orders.rules.lifecycle import OrderStatus
from orders.rules.reports import Meaning, Question
from orders.rules.terms import Side
from orders.tests import told

pytestmark = pytest.mark.django_db


async def test_nothing_that_is_said_about_a_live_order_ends_it_but_its_end(desk: Desk) -> None:
    """C17, C19: a limit that works and a stop that waits, each told every kind of thing; both are live with the terms they had."""
    limit = await a_working_limit(desk)
    stop = await desk.place("place_stop_order", side=Side.BUY, stop_price=D("300"))
    await desk.order_is(stop, "HELD")
    for number in (201, 203, 110, 10349, 399, 2109, 404, 161, 135, 10147, 104, 481, 321, 10328, 12345, 19_999):
        for order in (limit, stop):
            await code(desk, order, number, f"about {number}")
    for order, status in ((limit, "WORKING"), (stop, "HELD")):
        await heard(desk, order, "about 19999")
        after = await fresh(desk, order)
        assert (after.status, after.quantity, after.limit_price) == (status, 100, order.limit_price)
        texts = await desk.do(
            lambda order=order: set(Event.objects.filter(order=order, kind="order.message").values_list("text", flat=True))
        )
        assert len(texts) == 16  # kept as evidence, each of them
        await desk.act("cancel_order", order)
        await desk.order_is(order, "CANCELLED")
        assert await incidents(desk, order) == []


async def test_what_is_said_after_the_end_changes_nothing(desk: Desk) -> None:
    """C3, C15, C18: a filled, a cancelled and a refused order, each told again that it works, is inactive, is refused, is warned of."""
    filled = await desk.order_is(await desk.place(quantity="10"), "FILLED")
    cancelled = await a_working_limit(desk)
    await desk.act("cancel_order", cancelled)
    await desk.order_is(cancelled, "CANCELLED")
    await desk.command("reject-next 201 'Order rejected - reason:Margin'")
    refused = await desk.order_is(await desk.place(quantity="20"), "REJECTED")
    orders = [filled, await fresh(desk, cancelled), refused]
    before = {order.pk: (order.status, order.status_text, order.filled_quantity) for order in orders}
    for order in orders:
        name = await desk.do(lambda order=order: order.broker_ids.get())
        waiting = ("PreSubmitted", "Inactive")  # of a refused order a real Submitted would be news
        for word in waiting if order is refused else ("Submitted", *waiting, "PendingCancel", "WhoKnows"):
            say_to(desk.gateway, say.OrderStatus(name.ib_order_id, word, D(0), D(10), D(0), name.perm_id or 77, 0, D(0), 17, ""))
        for number in (201, 202, 399, 10349, 161, 12345):
            await code(desk, order, number, "Order Canceled - reason:" if number == 202 else f"late {number}")
    for order in orders:
        await heard(desk, order, "late 12345")
        after = await fresh(desk, order)
        assert (after.status, after.status_text, after.filled_quantity) == before[order.pk]
        assert await incidents(desk, order) == []


async def test_a_cancel_that_is_refused_says_nothing_of_the_order(desk: Desk) -> None:
    """C12, C13, C14: the cancel is refused with its reason, the broker is asked, and the order is what it is there."""
    await desk.command("silence cancelOrder")
    order = await a_working_limit(desk)
    for number in (10147, 10148, 161, 135, 136):
        await desk.act("cancel_order", order)
        await desk.until(lambda: BrokerCommand.objects.filter(order=order, kind="CANCEL", state="SENT").exists())
        await code(desk, order, number, f"OrderId cannot be cancelled, state: Filled ({number})")
        refused = BrokerCommand.objects.filter(order=order, kind="CANCEL", state="REFUSED", code=str(number))
        command = await desk.until(refused.first)
        assert "state: Filled" in command.text
        assert (await fresh(desk, order)).status == "WORKING"
    await desk.command("off")
    await desk.act("cancel_order", order)
    await desk.order_is(order, "CANCELLED")


async def test_a_cancel_refused_for_a_fill_that_nobody_told_finds_the_fill(desk: Desk) -> None:
    """C13: 10148 "state: Filled", and every word of the fill was lost: the executions are asked for."""
    order = await a_working_limit(desk)
    await desk.command("forget-fills")
    await desk.command("quote AAPL 199.00 199.10")
    await desk.act("cancel_order", order)
    await desk.order_is(order, "FILLED")
    command = await desk.until(lambda: BrokerCommand.objects.filter(order=order, kind="CANCEL", state="REFUSED").first())
    assert command.code in ("10148", "TOO_LATE", "161")


async def test_however_a_cancel_is_confirmed_it_is_one_cancel(desk: Desk) -> None:
    """C11: 202 before the word, after it, three times, and instead of it."""
    for arrival in (("code", "word"), ("word", "code"), ("code", "code", "word", "word", "code"), ("code",)):
        await desk.command("off")
        order = await a_working_limit(desk, confirm_duplicate=True)
        name = await name_of(desk, order)
        await desk.command("silence cancelOrder")
        await desk.act("cancel_order", order)
        await desk.until(lambda order=order: BrokerCommand.objects.filter(order=order, kind="CANCEL", state="SENT").exists())
        for what in arrival:
            if what == "code":
                await code(desk, order, 202, "Order Canceled - reason:")
            else:
                say_to(desk.gateway, say.OrderStatus(name.ib_order_id, "Cancelled", D(0), D(100), D(0), name.perm_id, 0, D(0), 17, ""))
        await desk.order_is(order, "CANCELLED")
        await desk.until(lambda order=order: BrokerCommand.objects.filter(order=order, kind="CANCEL", state="CONFIRMED").exists())
        kinds = await desk.do(lambda order=order: list(Event.objects.filter(order=order).values_list("kind", flat=True)))
        assert kinds.count("order.cancelled") == 1
        desk.gateway.core.scenarios.remove()


async def test_an_inactive_order_may_live_again(desk: Desk) -> None:
    """C30: held while shares are located (404, Inactive), then it works and fills; Inactive ends nothing by itself."""
    order = await a_working_limit(desk)
    name = await name_of(desk, order)
    await code(desk, order, 404, "Order held while securities are located.")
    say_to(desk.gateway, say.OrderStatus(name.ib_order_id, "Inactive", D(0), D(100), D(0), name.perm_id, 0, D(0), 17, "locate"))
    held = await desk.order_is(order, "HELD")
    assert (held.why_held, held.broker_status) == ("locate", "Inactive")
    say_to(desk.gateway, say.OrderStatus(name.ib_order_id, "Submitted", D(0), D(100), D(0), name.perm_id, 0, D(0), 17, ""))
    await desk.order_is(order, "WORKING")
    await desk.command("quote AAPL 199.00 199.10")
    await desk.order_is(order, "FILLED")


async def test_a_change_that_races_with_the_fill_is_refused_and_the_totals_are_right(desk: Desk) -> None:
    """C28: a change of what has just filled is refused, and the order keeps the terms it filled with."""
    order = await a_working_limit(desk)
    await desk.command("hold")
    await desk.command("quote AAPL 199.00 199.10")
    await desk.act("modify_order", order, limit_price=D("201"))
    await desk.until(lambda: BrokerCommand.objects.filter(order=order, kind="MODIFY", state__in=["SENT", "REFUSED"]).exists())
    await desk.command("release")
    filled = await desk.order_is(order, "FILLED")
    assert (filled.filled_quantity, filled.limit_price) == (100, D("200"))
    command = await desk.until(lambda: BrokerCommand.objects.filter(order=order, kind="MODIFY", state="REFUSED").first())
    assert command.code in ("104", "TOO_LATE")


# --- every code ---------------------------------------------------------------------------------------------------------------------------

ENDS_A_NEW_ORDER = {code for code in range(1, 20_001) if meaning(code, Standing.NEW) in (Meaning.REJECTED, Meaning.CANCELLED)}


@pytest.mark.parametrize("status", [OrderStatus.WORKING, OrderStatus.HELD, OrderStatus.FILLED])
def test_of_twenty_thousand_codes_only_the_cancel_ends_what_lives(status: OrderStatus) -> None:
    """C19, I7: each code in its turn, told of a live order and of a filled one; those of one meaning come to the same."""
    with told.proven():
        desk = told.a_desk()
        kinds: dict[Meaning, list[int]] = {}
        for number in range(1, 20_001):
            kinds.setdefault(meaning(number, Standing.KNOWN), []).append(number)
        for means, numbers in kinds.items():
            for number in (*numbers[:3], *numbers[-3:]):
                order = desk.order(status, broker_status="Filled" if status is OrderStatus.FILLED else "PreSubmitted",
                                   filled_quantity=D(100 if status is OrderStatus.FILLED else 0))  # fmt: skip
                outcome = desk.tell(desk.message(order, number, means, f"words {number}"))
                after = desk.fresh(order)
                ended = means is Meaning.CANCELLED and status is not OrderStatus.FILLED
                assert after.state is (OrderStatus.CANCELLED if ended else status), number
                assert ended or status is OrderStatus.FILLED or Event.objects.filter(order=order, text=f"words {number}").exists()
                if means is Meaning.UNCLEAR:
                    assert Question.OPEN_ORDERS in outcome.ask
        assert sum(map(len, kinds.values())) == 20_000
        assert kinds[Meaning.CANCELLED] == [202]
        assert not told.incidents()


def test_the_codes_that_refuse_a_new_order_are_those_of_the_table() -> None:
    """C19: a code that is not documented ends nothing, not even an order of which nothing else was heard: it is asked for."""
    assert len(ENDS_A_NEW_ORDER) < 120
    assert {201, 203, 110, 202} <= ENDS_A_NEW_ORDER
    assert not {399, 2109, 10349, 404, 161, 10147, 12345, 19_999, 1, 100, 300, 500} & ENDS_A_NEW_ORDER
