"""Changing the legs of a bracket together: moved, resized, leg by leg; judged as a whole, answered one by one, never overtaking."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from orders.errors import Refused
from orders.models import BrokerCommand, Event, OrderRecord
from orders.rules.commands import ModifyOrder
from orders.rules.terms import CommandState, OcaType, OrderTerms, OrderType, Side, TimeInForce
from orders.rules.tickets import BracketTicket, ExitPair
from orders.tests.desk_of_one import Wire
from orders.tests.factories import a_key, make_limit, make_position

pytestmark = pytest.mark.django_db

ENTRY = OrderTerms(Side.BUY, OrderType.LIMIT, D(100), limit_price=D("99.50"))
PAIRS = (
    ExitPair(D(50), target_price=D(103), stop_price=D(97)),
    ExitPair(D(30), target_price=D(107), trail_amount=D(2), stop_price=D(96)),
    ExitPair(D(20), target_price=D(112), stop_price=D(95), stop_limit_price=D("94.50")),
)


@pytest.fixture
def wire() -> Wire:
    wire = Wire()
    wire.contract.order_types = []
    wire.contract.save()
    return wire


def bracket(wire: Wire, *, sent: bool = True, **options: Any) -> list[OrderRecord]:
    ticket = BracketTicket(ENTRY, PAIRS, oca_type=OcaType.REDUCE_WITH_BLOCK)
    orders = wire.manager.place_bracket_ticket(wire.account, wire.contract, ticket, key=a_key(), confirm_duplicate=True)
    if sent:
        wire.sent(*orders)
    return orders


def reshape(wire: Wire, order: OrderRecord, **wanted: Any) -> list[BrokerCommand]:
    return wire.manager.modify_bracket(order, **{"key": a_key(), **wanted})


def refusal(wire: Wire, order: OrderRecord, **wanted: Any) -> tuple[str, str]:
    with pytest.raises(Refused) as refused:
        reshape(wire, order, **wanted)
    assert not BrokerCommand.objects.filter(kind="MODIFY").exists()
    return refused.value.code, refused.value.message


def changes(wire: Wire) -> list[ModifyOrder]:
    return [frame for unit in wire.send() for frame in unit.frames if isinstance(frame, ModifyOrder)]


def prices(orders: list[OrderRecord]) -> list[tuple[D | None, D | None]]:
    for order in orders:
        order.refresh_from_db()
    return [(order.limit_price, order.stop_price) for order in orders]


# --- moved ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", [{"move": D("0.50")}, {"move_ticks": D(50)}])
@pytest.mark.parametrize("which", [0, 1, 4])
def test_all_legs_move_together_whichever_is_named(wire: Wire, by: dict[str, D], which: int) -> None:
    orders = bracket(wire)
    commands = reshape(wire, orders[which], **by)
    assert [command.order_id for command in commands] == [order.pk for order in orders]
    sent = changes(wire)
    assert [(frame.terms.limit_price, frame.terms.stop_price) for frame in sent] == [
        (D("100.00"), None),
        (None, D("97.50")),
        (D("103.50"), None),
        (None, D("96.50")),  # a trail that waits for its entry begins elsewhere
        (D("107.50"), None),
        (D("95.00"), D("95.50")),
        (D("112.50"), None),
    ]
    assert {frame.terms.trail_amount for frame in sent} == {None, D(2)}
    for order, frame in zip(orders, sent, strict=True):
        wire.acknowledge(order, terms=frame.terms)
    assert {BrokerCommand.objects.get(pk=command.pk).state for command in commands} == {CommandState.CONFIRMED}
    assert prices(orders)[0] == (D("100.00"), None)


def test_an_unsent_bracket_is_changed_at_once(wire: Wire) -> None:
    orders = bracket(wire, sent=False)
    assert reshape(wire, orders[2], move=D("-0.50")) == []
    assert prices(orders)[:3] == [(D("99.00"), None), (None, D("96.50")), (D("102.50"), None)]
    event = Event.objects.filter(order=orders[0], kind="order.changed").get()
    assert event.text == "Changed before it was sent: limit price 99.5 → 99"


def test_the_exits_of_a_position_move_without_an_entry(wire: Wire) -> None:
    make_position(wire.account, wire.contract, "100", "100")
    orders = wire.manager.place_exits(wire.account, wire.contract, PAIRS, key=a_key())
    wire.sent(*orders)
    commands = reshape(wire, orders[1], move=D("0.25"))
    assert [command.order_id for command in commands] == [order.pk for index, order in enumerate(orders) if index != 2]  # a trail follows


def test_each_leg_is_answered_by_itself(wire: Wire) -> None:
    entry, stop, target, *_ = orders = bracket(wire)
    commands = reshape(wire, entry, move=D("0.10"))
    sent = changes(wire)
    wire.acknowledge(stop, terms=sent[1].terms)
    wire.gone(target)
    states = {command.order_id: BrokerCommand.objects.get(pk=command.pk).state for command in commands}
    assert states[stop.pk] == CommandState.CONFIRMED
    assert states[target.pk] != CommandState.CONFIRMED
    assert states[entry.pk] == CommandState.SENT
    assert prices(orders)[1] == (None, D("97.10"))


# --- leg by leg -----------------------------------------------------------------------------------------------------------------------


def test_legs_change_one_by_one_and_are_judged_together(wire: Wire) -> None:
    entry, stop, target, *_ = bracket(wire)
    # Alone each of these would be refused: the stop above the entry, the entry above its target.
    legs = {entry.client_order_id: {"limit_price": D("99.90")}, stop.client_order_id: {"stop_price": D("99.60")}}
    commands = reshape(wire, entry, legs=legs)
    assert [command.order_id for command in commands] == [entry.pk, stop.pk]
    assert target.pk not in [command.order_id for command in commands]


@pytest.mark.parametrize(
    ("which", "change", "code", "words"),
    [
        (1, {"stop_price": D("99.50")}, "BRACKET", "The stop must be below the entry"),
        (2, {"limit_price": D("99")}, "BRACKET", "The target must be above the entry"),
        (6, {"limit_price": D("94.80")}, "BRACKET", "The stop must be below the target"),
        (5, {"limit_price": D("95.10")}, "BRACKET", "The limit of the stop must not be above the stop"),
        (1, {"stop_price": D("97.005")}, "OFF_TICK", "Stop loss: "),
        (1, {"quantity": D(51)}, "EXCEEDS_POSITION", "The exits would be for 101"),
        (1, {"limit_price": D("97")}, "TICKET", "Stop loss: limit price is not used"),
        (3, {"trail_percent": D("2")}, "NOT_CHANGEABLE", "A trail keeps its kind"),
    ],
)
def test_what_would_not_hold_together_is_refused_whole(wire: Wire, which: int, change: dict[str, Any], code: str, words: str) -> None:
    orders = bracket(wire)
    legs = {orders[which].client_order_id: change, orders[0].client_order_id: {"time_in_force": TimeInForce.GTC}}
    refused, message = refusal(wire, orders[0], legs=legs)
    assert (refused, words in message) == (code, True), message


def test_only_legs_of_the_bracket_are_changed_by_it(wire: Wire) -> None:
    orders = bracket(wire)
    other = wire.buy("1")
    code, _ = refusal(wire, orders[0], legs={other.client_order_id: {"limit_price": D(99)}})
    assert code == "NOT_A_LEG"
    assert refusal(wire, orders[0])[0] == "NOTHING_CHANGES"


def test_a_leg_that_is_being_cancelled_holds_the_whole_back(wire: Wire) -> None:
    orders = bracket(wire)
    wire.manager.cancel_order(orders[6], key=a_key())
    assert refusal(wire, orders[0], move=D("0.10"))[0] == "CANCEL_OPEN"


# --- resized --------------------------------------------------------------------------------------------------------------------------


def quantities(frames: list[ModifyOrder]) -> list[D]:
    return [frame.terms.quantity for frame in frames]


def test_a_larger_entry_takes_its_exits_along_once_the_broker_has_made_it_larger(wire: Wire) -> None:
    entry, *_ = bracket(wire)
    reshape(wire, entry, quantity=D(133))
    [first] = changes(wire)
    assert first.terms.quantity == D(133)
    wire.acknowledge(entry, terms=first.terms)
    assert quantities(changes(wire)) == [D(66), D(66), D(39), D(39), D(28), D(28)]  # rounded down, the rest on the last pair


def test_a_smaller_entry_waits_until_its_exits_are_smaller(wire: Wire) -> None:
    entry, *exits = bracket(wire)
    reshape(wire, entry, quantity=D(10))
    sent = changes(wire)
    assert quantities(sent) == [D(5), D(5), D(3), D(3), D(2), D(2)]
    assert changes(wire) == []
    for order, frame in zip(exits, sent, strict=True):
        wire.acknowledge(order, terms=frame.terms)
    assert quantities(changes(wire)) == [D(10)]


def test_an_entry_stays_as_large_as_the_exits_that_the_broker_left_large(wire: Wire) -> None:
    entry, *exits = bracket(wire)
    commands = reshape(wire, entry, quantity=D(50))
    sent = changes(wire)
    for order, frame in zip(exits[1:], sent[1:], strict=True):
        wire.acknowledge(order, terms=frame.terms)
    refused = BrokerCommand.objects.get(order=exits[0], kind="MODIFY")
    BrokerCommand.objects.filter(pk=refused.pk).update(state=CommandState.REFUSED.value)
    assert changes(wire) == []
    command = BrokerCommand.objects.get(pk=commands[0].pk)
    assert (command.state, command.code) == (CommandState.REFUSED, "EXITS_EXCEED")


def test_exits_that_waited_for_an_entry_in_vain_are_refused(wire: Wire) -> None:
    entry, *_ = bracket(wire)
    commands = reshape(wire, entry, quantity=D(200))
    changes(wire)
    BrokerCommand.objects.filter(pk=commands[0].pk).update(state=CommandState.REFUSED.value)
    assert changes(wire) == []
    assert {BrokerCommand.objects.get(pk=command.pk).state for command in commands} == {CommandState.REFUSED}


def test_an_entry_that_filled_meanwhile_leaves_its_exits_as_they_are(wire: Wire) -> None:
    entry, *_ = bracket(wire)
    commands = reshape(wire, entry, quantity=D(200))
    changes(wire)
    wire.fill(entry, 100)
    make_position(wire.account, wire.contract, "100", "99.50", at=wire.now)
    assert changes(wire) == []
    states = {BrokerCommand.objects.get(pk=command.pk).state for command in commands[1:]}
    assert states == {CommandState.REFUSED}


def test_what_is_too_small_or_filling_is_not_resized(wire: Wire) -> None:
    entry, *_ = bracket(wire)
    assert refusal(wire, entry, quantity=D(2))[0] == "TOO_SMALL"
    wire.fill(entry, 10)
    assert refusal(wire, entry, quantity=D(50))[0] == "PARTLY_FILLED"


@pytest.mark.parametrize("sent", [False, True])
def test_an_entry_alone_is_not_made_smaller_than_the_sum_of_its_pairs(wire: Wire, sent: bool) -> None:
    entry, *_ = bracket(wire, sent=sent)
    with pytest.raises(Refused) as refused:
        wire.manager.modify_order(entry, key=a_key(), quantity=D(99))
    assert (refused.value.code, refused.value.limit) == ("EXITS_EXCEED", "100")


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


# --- single orders: what else may change --------------------------------------------------------------------------------------------------


def test_a_trail_and_an_end_may_be_changed(wire: Wire) -> None:
    make_position(wire.account, wire.contract, "100", "100")
    [trail] = wire.manager.place_exits(wire.account, wire.contract, [ExitPair(D(100), trail_amount=D(2))], key=a_key())
    wire.sent(trail)
    assert wire.manager.modify_order(trail, key=a_key(), trail_amount=D("1.5")) is not None
    [frame] = changes(wire)
    assert frame.terms.trail_amount == D("1.5")
    wire.acknowledge(trail, terms=replace(frame.terms, stop_price=D("98.40")))
    assert (trail.trail_amount, trail.stop_price) == (D("1.5"), None)
    with pytest.raises(Refused) as refused:
        wire.manager.modify_order(trail, key=a_key(), trail_percent=D(2))
    assert refused.value.code == "NOT_CHANGEABLE"


def test_an_order_that_has_gone_live_at_its_moment_may_be_given_an_end(wire: Wire) -> None:
    moment = wire.now + timedelta(minutes=1)
    [order] = wire.sent(wire.buy(good_after=moment))
    wire.pass_time(90)
    for end in (moment - timedelta(seconds=1), wire.now - timedelta(seconds=1)):
        with pytest.raises(Refused):
            wire.manager.modify_order(order, key=a_key(), good_till=end)
    assert wire.manager.modify_order(order, key=a_key(), good_till=wire.now + timedelta(days=1)) is not None


def test_the_time_in_force_goes_between_day_gtc_and_gtd_alone(wire: Wire) -> None:
    [order] = wire.sent(wire.buy())
    end = wire.now + timedelta(days=2)
    command = wire.manager.modify_order(order, key=a_key(), good_till=end)
    assert command is not None
    [frame] = changes(wire)
    assert (frame.terms.time_in_force, frame.terms.good_till) == (TimeInForce.GTD, end)
    event = Event.objects.get(order=order, kind="modify.asked")
    assert event.data["before"]["time_in_force"] == "DAY"
    assert event.text.startswith("time in force DAY → GTD, good till none → ")
    wire.acknowledge(order, terms=frame.terms)
    command = wire.manager.modify_order(order, key=a_key(), time_in_force=TimeInForce.DAY)
    [frame] = changes(wire)
    assert (frame.terms.time_in_force, frame.terms.good_till) == (TimeInForce.DAY, None)
    wire.acknowledge(order, terms=frame.terms)
    for changed, code in (
        ({"time_in_force": TimeInForce.IOC}, "NOT_CHANGEABLE"),
        ({"time_in_force": TimeInForce.GTD}, "TICKET"),
        ({"good_till": datetime(2020, 1, 1, tzinfo=UTC)}, "TICKET"),
    ):
        with pytest.raises(Refused) as refused:
            wire.manager.modify_order(order, key=a_key(), **changed)
        assert refused.value.code == code
