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
from orders.tests.factories import a_key, make_position

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
