"""Closing a position: cancel, wait, then place what is left, whatever happens on the way."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from orders import intake, outbox
from orders.errors import Refused
from orders.holdings import Sums
from orders.models import BrokerCommand, OrderRecord, Position
from orders.rules.commands import CancelOrder, PlaceOrder
from orders.rules.lifecycle import OrderStatus
from orders.rules.reports import PositionReported, Question, Snapshot
from orders.rules.terms import CommandState, Role
from orders.tests.desk_of_one import CLIENT, Wire
from orders.tests.factories import a_key, make_limit, make_position

pytestmark = pytest.mark.django_db


@pytest.fixture
def wire() -> Wire:
    return Wire()


def hold(wire: Wire, quantity: str = "100") -> None:
    make_position(wire.account, wire.contract, quantity, "100", at=wire.now)


def close(wire: Wire) -> OrderRecord:
    return wire.manager.close_position(wire.account, wire.contract, key=a_key())


def placed(wire: Wire) -> list[PlaceOrder]:
    return [frame for unit in wire.send() for frame in unit.frames if isinstance(frame, PlaceOrder)]


@pytest.mark.parametrize(("quantity", "side"), [("100", "SELL"), ("-30", "BUY")])
def test_a_position_without_exits_is_closed_at_once(wire: Wire, quantity: str, side: str) -> None:
    hold(wire, quantity)
    order = close(wire)
    assert (order.role, order.order_type, order.side, order.quantity) == (Role.CLOSE, "MKT", side, abs(D(quantity)))
    [frame] = placed(wire)
    assert (frame.terms.quantity, frame.terms.side) == (abs(D(quantity)), side)


def test_it_goes_without_a_quote_and_above_every_size_limit_while_only_reductions_are_allowed(wire: Wire) -> None:
    hold(wire, "60000")
    wire.contract.quote.delete()
    make_limit("MAX_QUANTITY", "1")
    make_limit("TRADING_STATE", "1")
    close(wire)
    assert [frame.terms.quantity for frame in placed(wire)] == [D(60000)]


def test_working_exits_are_cancelled_first_and_the_close_waits_for_them(wire: Wire) -> None:
    hold(wire)
    stop, target = wire.sent(*wire.protect())
    order = close(wire)
    units = wire.send()
    assert [type(unit.frames[0]) for unit in units] == [CancelOrder, CancelOrder]
    assert {unit.frames[0].client_order_id for unit in units} == {stop.client_order_id, target.client_order_id}
    wire.gone(stop)
    assert placed(wire) == []
    wire.gone(target)
    wire.pass_time(25)  # its age runs from here, not from when it was asked for
    [frame] = placed(wire)
    assert (frame.client_order_id, frame.terms.quantity) == (order.client_order_id, D(100))


def test_an_exit_that_fills_on_the_way_is_not_closed_again(wire: Wire) -> None:
    hold(wire)
    stop, target = wire.sent(*wire.protect())
    order = close(wire)
    wire.send()
    wire.fill(target, 40)
    wire.gone(stop, target)
    wire.pass_time(1)
    hold(wire, "60")
    assert [frame.terms.quantity for frame in placed(wire)] == [D(60)]
    order.refresh_from_db()
    assert (order.quantity, order.needs_attention) == (D(60), False)


def test_a_position_that_is_reported_late_is_waited_for(wire: Wire) -> None:
    hold(wire)
    stop, target = wire.sent(*wire.protect())
    close(wire)
    wire.pass_time(1)
    wire.fill(target, 40)
    wire.gone(stop, target)
    assert placed(wire) == []  # the book still shows 100, and 40 of them are sold
    hold(wire, "60")
    assert [frame.terms.quantity for frame in placed(wire)] == [D(60)]


def test_a_position_that_is_never_reported_again_is_closed_by_the_smaller_reading_and_flagged(wire: Wire) -> None:
    hold(wire)
    stop, target = wire.sent(*wire.protect())
    order = close(wire)
    wire.pass_time(1)
    wire.fill(target, 40)
    wire.gone(stop, target)
    wire.pass_time(6)
    assert [frame.terms.quantity for frame in placed(wire)] == [D(60)]
    order.refresh_from_db()
    assert order.needs_attention


def test_an_exit_that_fills_whole_leaves_nothing_to_close(wire: Wire) -> None:
    hold(wire)
    stop, target = wire.sent(*wire.protect())
    order = close(wire)
    wire.send()
    wire.fill(target, 100)
    wire.gone(stop)
    hold(wire, "0")
    assert placed(wire) == []
    order.refresh_from_db()
    assert (order.status, order.status_basis, order.status_code) == (OrderStatus.CANCELLED, "local", "NOTHING_TO_CLOSE")


def test_a_position_that_turned_round_is_left_alone(wire: Wire) -> None:
    hold(wire)
    order = close(wire)
    hold(wire, "-10")
    assert placed(wire) == []
    order.refresh_from_db()
    assert order.status == OrderStatus.CANCELLED


def test_a_cancel_that_is_not_confirmed_in_time_ends_the_step_with_a_flag(wire: Wire) -> None:
    hold(wire)
    wire.sent(*wire.protect())
    order = close(wire)
    wire.send()
    wire.pass_time(31)
    wire.housekeeping()
    order.refresh_from_db()
    assert (order.status, order.status_code, order.needs_attention) == (OrderStatus.CANCELLED, "STEP_TIMEOUT", True)
    assert placed(wire) == []


def test_exits_that_were_never_sent_are_withdrawn_and_not_waited_for(wire: Wire) -> None:
    hold(wire)
    exits = wire.protect()
    order = close(wire)
    assert {row.status for row in OrderRecord.objects.filter(pk__in=[row.pk for row in exits])} == {OrderStatus.CANCELLED}
    assert [frame.client_order_id for frame in placed(wire)] == [order.client_order_id]


def test_the_exits_of_an_unfilled_entry_stay_with_it(wire: Wire) -> None:
    hold(wire)
    wire.sent(*wire.bracket("30"))
    close(wire)
    units = wire.send()
    assert [type(unit.frames[0]) for unit in units] == [PlaceOrder]


def test_an_entry_that_is_still_filling_is_cancelled_with_its_exits(wire: Wire) -> None:
    entry, target, stop = wire.sent(*wire.bracket("30"))
    wire.fill(entry, 10)
    hold(wire, "10")
    order = close(wire)
    assert order.quantity == D(10)
    names = [unit.frames[0].client_order_id for unit in wire.send()]
    assert names == [entry.client_order_id, stop.client_order_id, target.client_order_id]


def test_a_second_close_is_refused_while_the_first_is_under_way(wire: Wire) -> None:
    hold(wire)
    close(wire)
    with pytest.raises(Refused) as refused:
        close(wire)
    assert refused.value.code == "CLOSE_OPEN"


def test_without_a_position_there_is_nothing_to_close(wire: Wire) -> None:
    with pytest.raises(Refused) as refused:
        close(wire)
    assert refused.value.code == "NO_POSITION"


def test_orders_placed_elsewhere_are_counted_and_not_cancelled(wire: Wire) -> None:
    hold(wire)
    [elsewhere] = wire.sent(wire.sell("40"))
    OrderRecord.objects.filter(pk=elsewhere.pk).update(is_external=True)
    elsewhere.broker_ids.update(client_id=99)
    close(wire)
    assert [frame.terms.quantity for frame in placed(wire)] == [D(60)]
    OrderRecord.objects.filter(pk=elsewhere.pk).update(quantity=D(100))
    wire.manager.cancel_order(OrderRecord.objects.get(role=Role.CLOSE), key=a_key())
    wire.send()
    OrderRecord.objects.filter(role=Role.CLOSE).update(status="CANCELLED", status_basis="broker")
    with pytest.raises(Refused) as refused:
        close(wire)
    assert refused.value.code == "EXTERNAL_EXITS"


def test_the_step_survives_the_worker(wire: Wire) -> None:
    hold(wire)
    stop, target = wire.sent(*wire.protect())
    order = close(wire)
    wire.claim()  # the cancels are claimed, and the worker dies
    outbox.recover(wire.now, wire.fence)
    assert len(wire.send()) == 2
    wire.gone(stop, target)
    assert [frame.client_order_id for frame in placed(wire)] == [order.client_order_id]
    assert BrokerCommand.objects.get(order=order).state == CommandState.SENT


def test_a_position_that_its_executions_do_not_explain_closes_no_more_than_both_say(wire: Wire) -> None:
    hold(wire)
    sums = Sums()

    def listed() -> Position:
        """A complete list, half a minute later, that does not know of the newest execution."""
        wire.pass_time(30)
        told = PositionReported(wire.account.code, wire.facts(), D(100), D(100))
        taken = Snapshot(wire.now, CLIENT, frozenset({Question.POSITIONS}), (told,))
        intake.reconcile(taken, now=wire.now, fence=wire.fence, sums=sums)
        return Position.objects.get()

    assert listed().differs_checks == 0
    [sold] = wire.sent(wire.sell("40"))
    wire.fill(sold, 40)
    assert listed().differs_checks == 1
    close(wire)
    assert [frame.terms.quantity for frame in placed(wire)] == [D(60)], "100 would sell 40 short, if the execution is right"
