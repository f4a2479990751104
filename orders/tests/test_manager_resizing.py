"""Sizes of exits that are changed together: never more than the position or the entry, whatever the broker makes of each."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D
from typing import Any

import pytest

from orders.errors import Refused
from orders.models import BrokerCommand, OrderRecord
from orders.rules.terms import CommandState, OcaType
from orders.rules.tickets import ExitPair
from orders.tests.desk_of_one import Wire
from orders.tests.factories import a_key, make_limit, make_position
from orders.tests.test_manager_reshaping import bracket, changes, quantities, refusal, reshape

pytestmark = pytest.mark.django_db


@pytest.fixture
def wire() -> Wire:
    wire = Wire()
    wire.contract.order_types = []
    wire.contract.save()
    return wire


# --- exits of a position, resized together ----------------------------------------------------------------------------------------------


def exits_of_a_hundred(wire: Wire) -> list[OrderRecord]:
    """[stop, target] of sixty and [stop, target] of forty."""
    make_position(wire.account, wire.contract, "100", "100")
    pairs = (ExitPair(D(60), target_price=D(103), stop_price=D(97)), ExitPair(D(40), target_price=D(107), stop_price=D(96)))
    orders = wire.manager.place_exits(wire.account, wire.contract, pairs, key=a_key())
    wire.sent(*orders)
    return orders


def sizes(orders: list[OrderRecord], *wanted: str) -> dict[str, Any]:
    return {order.client_order_id: {"quantity": D(size)} for order, size in zip(orders, wanted, strict=True)}


def test_exits_that_are_changed_together_do_not_grow_beyond_the_position(wire: Wire) -> None:
    """The other pair only moves: it is none the less there, and takes its forty."""
    orders = exits_of_a_hundred(wire)
    moves = {orders[2].client_order_id: {"stop_price": D(95)}, orders[3].client_order_id: {"limit_price": D(108)}}
    legs = {**sizes(orders[:2], "100", "100"), **moves}
    code, words = refusal(wire, orders[0], legs=legs)
    assert (code, "more than the position of 100" in words) == ("EXCEEDS_POSITION", True)


def test_all_exits_together_do_not_grow_beyond_the_position(wire: Wire) -> None:
    orders = exits_of_a_hundred(wire)
    for wanted in (("61", "61", "40", "40"), ("50", "50", "51", "51"), ("101", "60", "40", "40")):
        assert refusal(wire, orders[0], legs=sizes(orders, *wanted))[0] == "EXCEEDS_POSITION"


def test_of_two_exits_one_grows_once_the_broker_has_made_the_other_smaller(wire: Wire) -> None:
    orders = exits_of_a_hundred(wire)
    assert len(reshape(wire, orders[0], legs=sizes(orders, "75", "75", "25", "25"))) == 4
    first = changes(wire)
    assert quantities(first) == [D(25), D(25)]
    assert changes(wire) == []
    for order, frame in zip(orders[2:], first, strict=True):
        wire.acknowledge(order, terms=frame.terms)
    assert quantities(changes(wire)) == [D(75), D(75)]


def test_an_exit_does_not_grow_where_the_broker_left_the_other_large(wire: Wire) -> None:
    orders = exits_of_a_hundred(wire)
    commands = reshape(wire, orders[0], legs=sizes(orders, "75", "75", "25", "25"))
    changes(wire)
    BrokerCommand.objects.filter(pk__in=[command.pk for command in commands[2:]]).update(state=CommandState.REFUSED.value)
    assert changes(wire) == []
    grown = BrokerCommand.objects.filter(pk__in=[command.pk for command in commands[:2]])
    assert {(command.state, command.code) for command in grown} == {(CommandState.REFUSED, "EXCEEDS_POSITION")}


def test_an_entry_shrinks_while_one_of_its_exits_grows(wire: Wire) -> None:
    entry, *exits = bracket(wire)
    legs = {**sizes(exits, "55", "55", "15", "15", "10", "10"), entry.client_order_id: {"quantity": D(80)}}
    reshape(wire, entry, legs=legs)
    first = changes(wire)
    assert quantities(first) == [D(15), D(15), D(10), D(10)]
    for order, frame in zip(exits[2:], first, strict=True):
        wire.acknowledge(order, terms=frame.terms)
    assert quantities(changes(wire)) == [D(80), D(55), D(55)]


def test_an_exit_counts_the_smaller_entry_that_is_asked_for(wire: Wire) -> None:
    """The entry is on its way to eighty: exits of a hundred would not fit it any more."""
    entry, stop, target, *_ = bracket(wire)
    reshape(wire, entry, legs={**sizes([stop, target], "30", "30"), entry.client_order_id: {"quantity": D(80)}})
    sent = changes(wire)
    for order, frame in zip((stop, target), sent, strict=True):
        wire.acknowledge(order, terms=frame.terms)
    assert quantities(changes(wire)) == [D(80)]
    command = wire.manager.modify_order(stop, key=a_key(), quantity=D(50))
    assert command is not None and changes(wire) == []
    command.refresh_from_db()
    assert (command.state, command.code) == (CommandState.REFUSED, "EXCEEDS_POSITION")


def test_an_exit_does_not_grow_into_what_a_younger_order_closes(wire: Wire) -> None:
    make_position(wire.account, wire.contract, "100", "100")
    [stop] = wire.manager.place_exits(wire.account, wire.contract, [ExitPair(D(50), stop_price=D(97))], key=a_key())
    wire.sent(stop)
    wire.sell("50")  # not sent yet
    with pytest.raises(Refused) as refused:
        wire.manager.modify_order(stop, key=a_key(), quantity=D(100))
    assert refused.value.code == "EXCEEDS_POSITION"


def test_a_leg_whose_pair_fills_while_it_is_changed_is_not_made_as_large_as_it_was(wire: Wire) -> None:
    """OCA types 2 and 3 make it smaller at the broker; the change names the size from before."""
    make_position(wire.account, wire.contract, "100", "100")
    pair = ExitPair(D(100), target_price=D(103), stop_price=D(97))
    stop, target = wire.manager.place_exits(wire.account, wire.contract, [pair], oca_type=OcaType.REDUCE_WITH_BLOCK, key=a_key())
    wire.sent(stop, target)
    command = wire.manager.modify_order(stop, key=a_key(), stop_price=D(98))
    wire.pass_time(0.1)
    wire.fill(target, "40", "103")
    assert changes(wire) == [] and command is not None
    command.refresh_from_db()
    assert (command.state, command.code) == (CommandState.REFUSED, "PAIR_FILLED")
    with pytest.raises(Refused) as refused:  # the broker has not said yet how large it is
        wire.manager.modify_order(stop, key=a_key(), stop_price=D(98))
    assert refused.value.code == "PAIR_FILLED"
    wire.pass_time(0.1)
    wire.acknowledge(stop, terms=replace(stop.terms, quantity=D(60)))
    wire.pass_time(0.1)
    make_position(wire.account, wire.contract, "60", "100", at=wire.now)
    wire.manager.modify_order(stop, key=a_key(), stop_price=D(98))
    assert quantities(changes(wire)) == [D(60)]


@pytest.mark.parametrize("grows", [True, False])
def test_what_an_exit_has_taken_of_its_entry_is_not_given_again(wire: Wire, grows: bool) -> None:
    """Fifty were bought and sold again; the entry still buys fifty, for which there are exits of fifty."""
    entry, _, target, *others = bracket(wire)
    wire.fill(entry, 50)
    make_position(wire.account, wire.contract, "50", at=wire.now)
    wire.fill(target, 50, "103")
    wire.gone(orders_of(entry)[0])
    make_position(wire.account, wire.contract, "0", at=wire.now)
    for order in others:
        order.refresh_from_db()
    if grows:
        wire.pass_time(10)
        with pytest.raises(Refused) as refused:
            reshape(wire, others[0], legs=sizes(others[:2], "50", "50"))
        assert refused.value.code == "EXCEEDS_POSITION"
    else:
        wire.pass_time(10)
        with pytest.raises(Refused) as refused:
            wire.manager.modify_order(entry, key=a_key(), quantity=D(60))
        assert refused.value.code == "EXITS_EXCEED"


def orders_of(entry: OrderRecord) -> list[OrderRecord]:
    return list(OrderRecord.objects.filter(parent=entry).order_by("pk"))


@pytest.mark.parametrize("rule", ["TRADING_STATE", "MAX_QUANTITY", "ORDER_RATE"])
def test_an_order_is_made_smaller_whatever_the_limits_say(wire: Wire, rule: str) -> None:
    [order] = wire.sent(wire.buy("100"))
    make_limit(rule, "1", account=wire.account)
    assert wire.manager.modify_order(order, key=a_key(), quantity=D(50)) is not None
    assert quantities(changes(wire)) == [D(50)]
    wire.acknowledge(order, terms=replace(order.terms, quantity=D(50)))
    for wanted in ({"quantity": D(51)}, {"quantity": D(40), "limit_price": D("99.60")}):
        with pytest.raises(Refused) as refused:
            wire.manager.modify_order(order, key=a_key(), **wanted)
        assert refused.value.code == rule
