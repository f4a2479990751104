"""After the claim: written, not written, unheard of, too old; and what a new session makes of what the old one left."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orders import lease, outbox
from orders.lease import LeaseLost
from orders.models import Book, BrokerCommand, OrderRecord
from orders.rules.commands import CancelOrder
from orders.rules.lifecycle import OrderStatus
from orders.rules.reports import OrderDoubtful
from orders.rules.terms import CommandKind, CommandState, GatewayState
from orders.tests.desk_of_one import CLIENT, HOLDER, Wire
from orders.tests.factories import a_key

pytestmark = pytest.mark.django_db


@pytest.fixture
def wire() -> Wire:
    return Wire()


def command(order: OrderRecord, kind: CommandKind = CommandKind.PLACE) -> BrokerCommand:
    return BrokerCommand.objects.get(order=order, kind=kind)


def test_what_was_written_is_sent(wire: Wire) -> None:
    order = wire.buy()
    [unit] = wire.claim()
    outbox.written(unit, wire.now)
    assert (command(order).state, command(order).sent_at) == (CommandState.SENT, wire.now)


def test_an_answer_that_overtook_the_note_stands(wire: Wire) -> None:
    order = wire.buy()
    [unit] = wire.claim()
    wire.acknowledge(order)
    assert command(order).state == CommandState.CONFIRMED
    outbox.written(unit, wire.now)
    assert command(order).state == CommandState.CONFIRMED
    outbox.unwritten(unit, "the link broke", wire.now)
    order.refresh_from_db()
    assert (command(order).state, order.status) == (CommandState.CONFIRMED, OrderStatus.WORKING)


def test_a_unit_that_was_not_written_whole_is_unknown_whole(wire: Wire) -> None:
    orders = wire.bracket()
    [unit] = wire.claim()
    outbox.unwritten(unit, "the link broke after the first frame", wire.now)
    for order in orders:
        order.refresh_from_db()
        assert (order.status, command(order).state) == (OrderStatus.UNKNOWN, CommandState.UNKNOWN)
    assert wire.claim() == []


def test_a_cancel_that_was_not_written_waits_again_and_a_change_does_not(wire: Wire) -> None:
    changed, cancelled = wire.sent(wire.buy("1"), wire.buy("2"))
    wire.manager.modify_order(changed, key=a_key(), quantity="3")
    wire.manager.cancel_order(cancelled, key=a_key())
    for unit in wire.claim():
        outbox.unwritten(unit, "the link broke", wire.now)
    assert command(changed, CommandKind.MODIFY).state == CommandState.UNKNOWN
    changed.refresh_from_db()
    assert changed.status == OrderStatus.WORKING
    [again] = wire.claim()
    assert [type(frame) for frame in again.frames] == [CancelOrder]


# --- doubt ----------------------------------------------------------------------------------------------------------------------------


def test_silence_means_nothing_while_the_link_stands(wire: Wire) -> None:
    wire.buy()
    wire.send()
    wire.pass_time(30)
    assert wire.housekeeping() == []


def test_five_seconds_of_silence_and_a_lost_link_are_doubt(wire: Wire) -> None:
    order = wire.buy()
    wire.send()
    wire.pass_time(4.9)
    assert wire.housekeeping(link_lost=True) == []
    wire.pass_time(0.2)
    [report] = wire.housekeeping(link_lost=True)
    assert isinstance(report, OrderDoubtful)
    assert report.client_order_id == order.client_order_id
    wire.hear(report)
    order.refresh_from_db()
    assert (order.status, command(order).state) == (OrderStatus.UNKNOWN, CommandState.UNKNOWN)
    assert wire.housekeeping(link_lost=True) == []


def test_an_order_that_was_heard_of_is_in_no_doubt(wire: Wire) -> None:
    wire.sent(wire.buy())
    wire.pass_time(60)
    assert wire.housekeeping(link_lost=True) == []
    assert outbox.recover(wire.now, wire.fence) == []


@pytest.mark.parametrize("was_written", [False, True])
def test_a_new_session_doubts_what_the_old_one_left_unheard(wire: Wire, was_written: bool) -> None:
    order, waiting = wire.buy("1"), wire.buy("2")
    [unit] = wire.claim(room=1)
    if was_written:
        outbox.written(unit, wire.now)
    reports = outbox.recover(wire.now, wire.fence)
    assert [report.client_order_id for report in reports] == [order.client_order_id]  # type: ignore[union-attr]
    wire.hear(*reports)
    order.refresh_from_db()
    assert order.status == OrderStatus.UNKNOWN
    assert [unit.frames[0].client_order_id for unit in wire.claim()] == [waiting.client_order_id]


def test_a_report_of_doubt_that_was_lost_is_given_again(wire: Wire) -> None:
    wire.buy()
    wire.claim()
    assert len(outbox.recover(wire.now, wire.fence)) == 1
    assert len(outbox.recover(wire.now, wire.fence)) == 1


def test_a_new_session_repeats_cancels_and_never_changes(wire: Wire) -> None:
    changed, cancelled = wire.sent(wire.buy("1"), wire.buy("2"))
    wire.manager.modify_order(changed, key=a_key(), quantity="3")
    wire.manager.cancel_order(cancelled, key=a_key())
    wire.send()
    outbox.recover(wire.now, wire.fence)
    [again] = wire.send()
    assert again.frames[0].client_order_id == cancelled.client_order_id
    assert command(cancelled, CommandKind.CANCEL).tries == 2
    assert command(changed, CommandKind.MODIFY).state == CommandState.UNKNOWN


# --- time -----------------------------------------------------------------------------------------------------------------------------


def test_orders_too_old_to_send_are_refused_whatever_the_gateway_does(wire: Wire) -> None:
    orders = wire.bracket()
    wire.pass_time(60)
    wire.housekeeping()
    assert len(OrderRecord.objects.filter(status=OrderStatus.PENDING)) == 3
    wire.pass_time(1)
    wire.housekeeping(link_lost=True)
    for order in orders:
        order.refresh_from_db()
        assert (order.status, order.status_code) == (OrderStatus.REJECTED, "STALE")


def test_an_unanswered_cancel_is_repeated_ever_more_rarely_and_flagged(wire: Wire) -> None:
    [order] = wire.sent(wire.buy())
    wire.manager.cancel_order(order, key=a_key())
    waits = []
    for _ in range(4):
        assert len(wire.send()) == 1
        waits.append(0)
        while True:
            wire.pass_time(1)
            waits[-1] += 1
            wire.housekeeping()
            if command(order, CommandKind.CANCEL).state == CommandState.PENDING:
                break
    assert waits == [11, 21, 41, 81]
    assert command(order, CommandKind.CANCEL).tries == 4
    order.refresh_from_db()
    assert order.needs_attention
    wire.gone(order)
    assert wire.send() == []


def test_a_cancel_of_an_order_that_is_over_is_withdrawn(wire: Wire) -> None:
    [order] = wire.sent(wire.buy())
    wire.manager.cancel_order(order, key=a_key())
    wire.fill(order, 100)
    assert wire.send() == []
    assert not command(order, CommandKind.CANCEL).is_open


def test_a_cancel_under_another_client_id_is_refused_and_flagged(wire: Wire) -> None:
    [order] = wire.sent(wire.buy())
    wire.manager.cancel_order(order, key=a_key())
    outbox.claim(fence=wire.fence, client_id=CLIENT + 1, state=GatewayState.READY, room=45, now=wire.now)
    order.refresh_from_db()
    assert (command(order, CommandKind.CANCEL).code, order.needs_attention, order.status) == ("OTHER_CLIENT", True, OrderStatus.WORKING)


def test_only_the_newest_fence_keeps_house(wire: Wire) -> None:
    wire.buy()
    wire.claim()
    lease.release(HOLDER, wire.fence)
    lease.acquire("there:2:b", wire.now)
    with pytest.raises(LeaseLost):
        wire.housekeeping()
    with pytest.raises(LeaseLost):
        outbox.recover(wire.now + timedelta(seconds=1), wire.fence)


def test_ids_never_reach_the_range_of_requests(wire: Wire) -> None:
    outbox.raise_order_id_mark(999_999_998, wire.now)
    last, refused = wire.buy("1"), wire.buy("2")
    assert [unit.frames[0].ib_order_id for unit in wire.claim()] == [999_999_999]
    for order in (last, refused):
        order.refresh_from_db()
    assert (last.status, refused.status_code) == (OrderStatus.SENT, "ORDER_IDS")
    assert Book.objects.get().order_id_mark == 999_999_999
