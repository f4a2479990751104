"""Closing a part of a position, and turning one round: what is in the way is made smaller or goes first, and nothing stands bare."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D

import pytest

from orders.errors import Refused
from orders.models import BrokerCommand, OrderRecord
from orders.rules.commands import CancelOrder, ModifyOrder, PlaceOrder
from orders.rules.lifecycle import OrderStatus
from orders.rules.terms import CommandKind, Role
from orders.tests.desk_of_one import Wire
from orders.tests.factories import a_key, make_limit, make_position

pytestmark = pytest.mark.django_db


@pytest.fixture
def wire() -> Wire:
    return Wire()


def hold(wire: Wire, quantity: str = "100") -> None:
    make_position(wire.account, wire.contract, quantity, "100", at=wire.now)


def close(wire: Wire, percent: str) -> OrderRecord:
    return wire.manager.close_position(wire.account, wire.contract, key=a_key(), percent=D(percent))


def reverse(wire: Wire) -> OrderRecord:
    return wire.manager.reverse_position(wire.account, wire.contract, key=a_key())


def frames(wire: Wire, kind: type) -> list:
    return [frame for unit in wire.send() for frame in unit.frames if isinstance(frame, kind)]


def confirm_size(wire: Wire, order: OrderRecord, quantity: str) -> None:
    """The broker carries the smaller quantity."""
    order.refresh_from_db()
    wire.acknowledge(order, terms=replace(order.terms, quantity=D(quantity)))


@pytest.mark.parametrize(
    ("held", "percent", "step", "quantity"),
    [
        ("100", "50", "1", "50"),
        ("7", "50", "1", "3"),
        ("1", "50", "1", "1"),
        ("-30", "10", "1", "3"),
        ("250", "33", "100", "100"),
        ("3", "1", "1", "1"),
    ],
)
def test_a_percentage_is_rounded_down_to_the_increment_and_is_at_least_one(
    wire: Wire, held: str, percent: str, step: str, quantity: str
) -> None:
    hold(wire, held)
    wire.contract.size_increment = D(step)
    wire.contract.save()
    order = close(wire, percent)
    [frame] = frames(wire, PlaceOrder)
    assert (frame.terms.quantity, order.role) == (D(quantity), Role.CLOSE)
    assert frame.terms.side == ("SELL" if D(held) > 0 else "BUY")


@pytest.mark.parametrize("percent", ["0", "-5", "100.1", "101"])
def test_a_percentage_beyond_its_range_is_refused(wire: Wire, percent: str) -> None:
    hold(wire)
    with pytest.raises(Refused) as refused:
        close(wire, percent)
    assert (refused.value.code, refused.value.field) == ("PERCENT", "percent")


def test_exits_are_made_smaller_in_place_and_the_close_waits_for_the_brokers_word(wire: Wire) -> None:
    hold(wire)
    stop, target = wire.sent(*wire.protect())
    order = close(wire, "40")
    changes = frames(wire, ModifyOrder)
    assert {(frame.client_order_id, frame.terms.quantity) for frame in changes} == {
        (stop.client_order_id, D(60)),
        (target.client_order_id, D(60)),
    }
    assert [frame.terms.stop_price for frame in changes if frame.client_order_id == stop.client_order_id] == [stop.stop_price]
    confirm_size(wire, stop, "60")
    assert frames(wire, PlaceOrder) == []  # the target still works for all of it
    confirm_size(wire, target, "60")
    [frame] = frames(wire, PlaceOrder)
    assert (frame.client_order_id, frame.terms.quantity) == (order.client_order_id, D(40))
    for exit_order in (stop, target):
        exit_order.refresh_from_db()
        assert (exit_order.is_open, exit_order.quantity) == (True, D(60))


def test_exits_that_fit_what_remains_are_left_as_they_are(wire: Wire) -> None:
    hold(wire)
    wire.sent(*wire.protect(quantity=D(50)))
    close(wire, "50")
    units = wire.send()
    assert [type(frame) for unit in units for frame in unit.frames] == [PlaceOrder]


def test_of_several_pairs_the_younger_goes_and_its_room_is_waited_for(wire: Wire) -> None:
    hold(wire)
    first = wire.sent(*wire.protect(quantity=D(50)))
    second = wire.sent(*wire.protect(quantity=D(50), confirm_duplicate=True))
    close(wire, "50")
    assert {frame.client_order_id for frame in frames(wire, CancelOrder)} == {order.client_order_id for order in second}
    wire.gone(*second)
    [frame] = frames(wire, PlaceOrder)
    assert frame.terms.quantity == D(50)
    for order in first:
        order.refresh_from_db()
        assert (order.is_open, order.quantity) == (True, D(50))


def test_an_exit_that_fills_while_it_is_made_smaller_leaves_the_rest_covered_once(wire: Wire) -> None:
    hold(wire)
    stop, target = wire.sent(*wire.protect())
    order = close(wire, "50")
    wire.send()
    wire.fill(target, 10)
    confirm_size(wire, stop, "50")
    confirm_size(wire, target, "50")
    wire.pass_time(1)
    hold(wire, "90")
    [frame] = frames(wire, PlaceOrder)
    assert frame.terms.quantity == D(40), "90 are held and the stop closes 50 of them"
    order.refresh_from_db()
    assert order.quantity == D(40)


def test_a_change_that_the_broker_refuses_leaves_the_position_covered_and_tells_a_person(wire: Wire) -> None:
    hold(wire)
    stop, target = wire.sent(*wire.protect())
    order = close(wire, "50")
    wire.send()
    for exit_order in (stop, target):
        command = BrokerCommand.objects.get(order=exit_order, kind=CommandKind.MODIFY)
        command.state = "REFUSED"
        command.save()
    assert frames(wire, PlaceOrder) == []
    order.refresh_from_db()
    assert (order.status, order.status_code, order.needs_attention) == (OrderStatus.CANCELLED, "NOTHING_TO_CLOSE", True)
    stop.refresh_from_db()
    assert stop.is_open


def test_a_change_that_is_never_confirmed_ends_the_step_with_a_flag(wire: Wire) -> None:
    hold(wire)
    wire.sent(*wire.protect())
    order = close(wire, "50")
    wire.send()
    wire.pass_time(31)
    wire.housekeeping()
    order.refresh_from_db()
    assert (order.status_code, order.needs_attention) == ("STEP_TIMEOUT", True)


def test_while_the_entry_still_fills_a_part_is_not_closed(wire: Wire) -> None:
    entry, _, _ = wire.sent(*wire.bracket("30"))
    wire.fill(entry, 10)
    hold(wire, "10")
    with pytest.raises(Refused) as refused:
        close(wire, "50")
    assert refused.value.code == "ENTRY_FILLING"


def test_a_close_of_all_sent_before_with_its_key_answers_as_before(wire: Wire) -> None:
    hold(wire)
    key = a_key()
    first = wire.manager.close_position(wire.account, wire.contract, key=key)
    assert wire.manager.close_position(wire.account, wire.contract, key=key, percent=D(100)) == first
    with pytest.raises(Refused) as refused:
        wire.manager.close_position(wire.account, wire.contract, key=key, percent=D(50))
    assert refused.value.code == "KEY_REUSED"


# --- reverse --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("held", "side"), [("100", "SELL"), ("-40", "BUY")])
def test_a_position_is_turned_round_by_one_order_of_twice_its_size(wire: Wire, held: str, side: str) -> None:
    hold(wire, held)
    order = reverse(wire)
    [frame] = frames(wire, PlaceOrder)
    assert (order.role, frame.terms.side, frame.terms.quantity) == (Role.REVERSE, side, 2 * abs(D(held)))


def test_its_exits_are_gone_before_it_is_turned_round_and_what_is_left_then_counts(wire: Wire) -> None:
    hold(wire)
    stop, target = wire.sent(*wire.protect())
    order = reverse(wire)
    assert {frame.client_order_id for frame in frames(wire, CancelOrder)} == {stop.client_order_id, target.client_order_id}
    wire.fill(target, 30)
    wire.gone(stop, target)
    assert frames(wire, PlaceOrder) == []  # the position is reported late
    wire.pass_time(1)
    hold(wire, "70")
    [frame] = frames(wire, PlaceOrder)
    assert (frame.client_order_id, frame.terms.quantity) == (order.client_order_id, D(140))


def test_a_position_in_doubt_is_not_turned_round(wire: Wire) -> None:
    hold(wire)
    stop, target = wire.sent(*wire.protect())
    order = reverse(wire)
    wire.pass_time(1)
    wire.fill(target, 40)
    wire.gone(stop, target)
    wire.pass_time(6)
    assert frames(wire, PlaceOrder) == []
    order.refresh_from_db()
    assert (order.status_code, order.needs_attention) == ("POSITION_MOVED", True)


def test_a_position_that_is_gone_is_not_opened_the_other_way(wire: Wire) -> None:
    hold(wire)
    stop, target = wire.sent(*wire.protect())
    order = reverse(wire)
    wire.send()
    wire.gone(stop, target)
    hold(wire, "0")
    assert frames(wire, PlaceOrder) == []
    order.refresh_from_db()
    assert order.status_code == "NOTHING_TO_CLOSE"


@pytest.mark.parametrize(("rule", "value"), [("TRADING_STATE", "1"), ("TRADING_STATE", "2"), ("MAX_POSITION", "50")])
def test_the_half_that_opens_is_a_new_risk(wire: Wire, rule: str, value: str) -> None:
    hold(wire)
    make_limit(rule, value)
    with pytest.raises(Refused) as refused:
        reverse(wire)
    assert refused.value.code == rule
    assert not OrderRecord.objects.exists()


def test_of_the_size_limits_only_the_half_that_opens_counts(wire: Wire) -> None:
    hold(wire)
    make_limit("MAX_QUANTITY", "100")
    make_limit("MAX_NOTIONAL", "10500")
    assert reverse(wire).quantity == D(200)


def test_more_than_the_size_limits_is_not_turned_round(wire: Wire) -> None:
    hold(wire)
    make_limit("MAX_QUANTITY", "99")
    with pytest.raises(Refused) as refused:
        reverse(wire)
    assert (refused.value.code, refused.value.actual) == ("MAX_QUANTITY", "100")


def test_a_limit_that_falls_before_the_claim_stops_it(wire: Wire) -> None:
    hold(wire)
    stop, target = wire.sent(*wire.protect())
    order = reverse(wire)
    wire.send()
    make_limit("TRADING_STATE", "1")
    wire.gone(stop, target)
    assert frames(wire, PlaceOrder) == []
    order.refresh_from_db()
    assert (order.status, order.status_code) == (OrderStatus.REJECTED, "TRADING_STATE")


def test_orders_placed_elsewhere_that_close_it_forbid_turning_it_round(wire: Wire) -> None:
    hold(wire)
    [elsewhere] = wire.sent(wire.sell("40"))
    OrderRecord.objects.filter(pk=elsewhere.pk).update(is_external=True)
    elsewhere.broker_ids.update(client_id=99)
    with pytest.raises(Refused) as refused:
        reverse(wire)
    assert refused.value.code == "EXTERNAL_EXITS"


def test_a_second_reverse_waits_for_the_first(wire: Wire) -> None:
    hold(wire)
    reverse(wire)
    for act in (reverse, lambda desk: close(desk, "100")):
        with pytest.raises(Refused) as refused:
            act(wire)
        assert refused.value.code == "CLOSE_OPEN"
