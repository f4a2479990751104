"""What an echo says of an order's terms, and what of it is only where its stop stands now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D

import pytest

from orders.models import Event, OrderRecord, TrailingStop
from orders.outbox.frames import modify_frame
from orders.rules.echo import as_asked, carries
from orders.rules.lifecycle import OrderStatus
from orders.rules.terms import CommandKind, CommandState, OrderTerms, OrderType, Side, TimeInForce
from orders.tests.factories import NOW
from orders.tests.told import Desk, a_desk, new_events, proven

pytestmark = pytest.mark.django_db

TRAIL = OrderTerms(Side.SELL, OrderType.TRAIL, D(100), trail_amount=D(2), time_in_force=TimeInForce.GTC)
STOPPED = replace(TRAIL, stop_price=D(98))


@pytest.fixture
def desk() -> Iterator[Desk]:
    with proven():
        yield a_desk()


def stands_at(order: OrderRecord) -> D | None:
    return TrailingStop.objects.filter(order=order).values_list("price", flat=True).first()


def at(price: str, **changes: object) -> OrderTerms:
    return replace(TRAIL, stop_price=D(price), **changes)


@pytest.mark.parametrize("asked", [TRAIL, STOPPED])
def test_a_trailing_stop_moves_without_an_event_and_is_no_change_of_the_order(desk: Desk, asked: OrderTerms) -> None:
    order = desk.order(OrderStatus.SENT, terms=asked)
    desk.tell(desk.opened(order, "PreSubmitted", at("98")))
    assert (desk.fresh(order).terms, stands_at(order)) == (asked, 98)
    with new_events() as events:
        for price in ("98.5", "99"):
            desk.later(1)
            desk.tell(desk.opened(order, "PreSubmitted", at(price)))
    assert events == []
    row = TrailingStop.objects.get(order=order)
    assert (desk.fresh(order).terms, desk.fresh(order).present_stop, row.price, row.at) == (asked, 99, 99, desk.now)
    desk.later(1)
    desk.tell(desk.opened(order, "PreSubmitted", at("99")))
    assert TrailingStop.objects.get(order=order).at == row.at, "written only where it moved"


def test_a_change_that_somebody_else_made_is_still_one(desk: Desk) -> None:
    order = desk.order(OrderStatus.HELD, terms=STOPPED)
    desk.tell(desk.opened(order, "PreSubmitted", at("98", trail_amount=D(3), quantity=D(50))))
    order = desk.fresh(order)
    assert (order.trail_amount, order.quantity, order.stop_price) == (3, 50, 98)
    assert Event.objects.filter(order=order, text__contains="not from here").exists()


def test_an_order_that_has_ended_has_no_stop_any_more_that_could_move(desk: Desk) -> None:
    order = desk.order(OrderStatus.CANCELLED, terms=TRAIL)
    desk.tell(desk.opened(order, "Cancelled", at("99")))
    assert stands_at(order) is None


def test_a_change_is_confirmed_by_an_echo_whose_stop_has_moved_on(desk: Desk) -> None:
    order = desk.order(OrderStatus.HELD, terms=TRAIL)
    wanted = replace(TRAIL, trail_amount=D(1))
    command = desk.command(order, CommandKind.MODIFY, wanted)
    desk.tell(desk.opened(order, "PreSubmitted", at("98.5")))
    command.refresh_from_db()
    assert command.state == CommandState.SENT
    desk.tell(desk.opened(order, "PreSubmitted", at("99", trail_amount=D(1))))
    command.refresh_from_db()
    assert (command.state, desk.fresh(order).terms) == (CommandState.CONFIRMED, wanted)


@pytest.mark.parametrize(("side", "before", "after"), [(Side.SELL, "97.9", "98.1"), (Side.BUY, "98.1", "97.9")])
def test_a_new_start_is_carried_by_a_stop_that_has_reached_it(side: Side, before: str, after: str) -> None:
    asked = replace(STOPPED, side=side)
    assert not carries(replace(asked, stop_price=D(before)), asked, NOW)
    assert carries(asked, asked, NOW)
    assert carries(replace(asked, stop_price=D(after)), asked, NOW)
    assert not carries(replace(asked, stop_price=D(after), quantity=D(1)), asked, NOW)


def test_a_change_is_sent_from_where_the_stop_stands_unless_it_asks_for_another_place(desk: Desk) -> None:
    order = desk.order(OrderStatus.HELD, terms=STOPPED)
    desk.tell(desk.opened(order, "PreSubmitted", at("103")))
    command = desk.command(order, CommandKind.MODIFY, replace(STOPPED, quantity=D(40)))
    assert modify_frame(command, 7, 17).terms == replace(STOPPED, quantity=D(40), stop_price=D(103))
    command.terms = {**command.terms, "stop_price": "104"}
    assert modify_frame(command, 7, 17).terms.stop_price == 104


def test_a_moment_that_has_passed_may_be_left_out_and_an_end_that_cannot_be_read_is_the_one_asked_for() -> None:
    asked = OrderTerms(
        Side.BUY,
        OrderType.LIMIT,
        D(1),
        limit_price=D(5),
        time_in_force=TimeInForce.GTD,
        good_till=NOW + timedelta(days=2),
        good_after=NOW + timedelta(hours=1),
    )
    gone_live = replace(asked, good_after=None)
    assert as_asked(gone_live, asked, NOW) == gone_live, "not before it has come"
    assert as_asked(gone_live, asked, NOW + timedelta(hours=1)) == asked
    assert as_asked(replace(asked, good_till=None), asked, NOW) == asked
    assert as_asked(replace(asked, good_till=NOW), asked, NOW) != asked


def test_the_reason_to_hold_an_order_stands_until_a_message_names_another(desk: Desk) -> None:
    order = desk.order(OrderStatus.SENT, terms=TRAIL)
    desk.tell(desk.opened(order, "PreSubmitted"))
    desk.tell(desk.says(order, "PreSubmitted", why_held="trigger"))
    desk.tell(desk.opened(order, "PreSubmitted"))
    assert desk.fresh(order).why_held == "trigger"
    desk.tell(desk.opened(order, "Submitted"))
    assert desk.fresh(order).why_held == ""
