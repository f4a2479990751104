"""Changing and cancelling: what is asked for, what is refused, and what happens to orders that were never sent."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D
from typing import Any

import pytest

from orders import outbox
from orders.errors import Refused
from orders.manager import OrderManager
from orders.models import BrokerCommand, OrderRecord
from orders.rules.commands import CancelOrder, ModifyOrder
from orders.rules.lifecycle import OrderStatus
from orders.rules.terms import CommandKind, CommandState, GatewayState, Side, TimeInForce
from orders.tests.desk_of_one import Wire
from orders.tests.factories import a_key, make_account, make_contract, make_limit, make_position, make_trader, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def wire() -> Wire:
    return Wire()


def modify(wire: Wire, order: OrderRecord, **changes: Any) -> BrokerCommand | None:
    return wire.manager.modify_order(order, key=a_key(), **changes)


def test_a_change_is_asked_for_and_the_order_keeps_its_acknowledged_terms(wire: Wire) -> None:
    [order] = wire.sent(wire.buy())
    command = modify(wire, order, limit_price=D("99.60"), quantity=D(90))
    assert command is not None
    assert (command.kind, command.state) == (CommandKind.MODIFY, CommandState.PENDING)
    order.refresh_from_db()
    assert (order.limit_price, order.quantity) == (D("99.50"), D(100))
    [unit] = wire.send()
    [frame] = unit.frames
    assert isinstance(frame, ModifyOrder)
    assert frame.ib_order_id == wire.key_of(order).ib_order_id
    assert (frame.terms.limit_price, frame.terms.quantity, frame.terms.time_in_force) == (D("99.60"), D(90), TimeInForce.DAY)
    wire.acknowledge(order, terms=frame.terms)
    command.refresh_from_db()
    assert (command.state, order.limit_price, order.quantity) == (CommandState.CONFIRMED, D("99.60"), D(90))


def test_a_change_of_nothing_is_refused(wire: Wire) -> None:
    [order] = wire.sent(wire.buy())
    with pytest.raises(Refused) as refused:
        modify(wire, order, limit_price=D("99.500"), quantity=D("100.0"), time_in_force=TimeInForce.DAY)
    assert refused.value.code == "NOTHING_CHANGES"


def test_a_second_change_waits_for_the_answer_to_the_first(wire: Wire) -> None:
    [order] = wire.sent(wire.buy())
    modify(wire, order, limit_price=D("99.60"))
    with pytest.raises(Refused) as refused:
        modify(wire, order, limit_price=D("99.70"))
    assert refused.value.code == "MODIFY_OPEN"


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"limit_price": D("99.605")}, "OFF_TICK", "limit_price"),
        ({"quantity": D("90.5")}, "OFF_SIZE", "quantity"),
        ({"quantity": D("20000")}, "MAX_QUANTITY", "quantity"),
        ({"limit_price": D("130")}, "PRICE_COLLAR", "limit_price"),
        ({"stop_price": D("98")}, "TICKET", "stop_price"),
        ({"quantity": D(40)}, "BELOW_FILLED", "quantity"),
    ],
)
def test_a_change_is_judged_like_a_new_order(wire: Wire, changes: dict[str, D], code: str, field: str) -> None:
    [order] = wire.sent(wire.buy())
    wire.fill(order, 40)
    with pytest.raises(Refused) as refused:
        modify(wire, order, **changes)
    assert (refused.value.code, refused.value.field) == (code, field)
    assert not BrokerCommand.objects.filter(kind=CommandKind.MODIFY).exists()


def test_an_order_that_the_broker_has_not_acknowledged_is_not_changed(wire: Wire) -> None:
    order = wire.buy()
    wire.send()
    with pytest.raises(Refused) as refused:
        modify(wire, order, limit_price=D("99.60"))
    assert refused.value.code == "NOT_ACKNOWLEDGED"


def test_an_order_that_was_not_sent_yet_is_changed_at_once(wire: Wire) -> None:
    order = wire.buy()
    assert modify(wire, order, limit_price=D("99.60")) is None
    order.refresh_from_db()
    assert order.limit_price == D("99.60")
    [unit] = wire.claim()
    assert unit.frames[0].terms.limit_price == D("99.60")  # type: ignore[union-attr]


def test_a_change_that_waited_more_than_a_minute_is_refused_and_the_order_lives_on(wire: Wire) -> None:
    [order] = wire.sent(wire.buy())
    command = modify(wire, order, limit_price=D("99.60"))
    assert command is not None
    wire.pass_time(61)
    assert wire.claim(state=GatewayState.DEGRADED) == []
    wire.housekeeping()
    command.refresh_from_db()
    order.refresh_from_db()
    assert (command.state, command.code, order.status) == (CommandState.REFUSED, "STALE", OrderStatus.WORKING)


def test_a_change_is_checked_again_when_it_is_claimed(wire: Wire) -> None:
    [order] = wire.sent(wire.buy())
    command = modify(wire, order, quantity=D(200))
    assert command is not None
    make_limit("MAX_QUANTITY", "150")
    assert wire.claim() == []
    command.refresh_from_db()
    order.refresh_from_db()
    assert (command.state, command.code, order.status) == (CommandState.REFUSED, "MAX_QUANTITY", OrderStatus.WORKING)


def test_a_changed_exit_does_not_name_an_entry_that_is_gone(wire: Wire) -> None:
    entry, target, stop = wire.bracket()
    wire.sent(entry, target, stop)
    modify(wire, stop, stop_price=D("98.00"))
    [unit] = wire.send()
    assert unit.frames[0].parent_ib_order_id == wire.key_of(entry).ib_order_id  # type: ignore[union-attr]
    wire.acknowledge(stop, terms=unit.frames[0].terms)  # type: ignore[union-attr]
    wire.fill(entry, 100)
    make_position(wire.account, wire.contract, "100", "99.50", at=wire.now)
    modify(wire, target, limit_price=D("106.00"))
    [unit] = wire.send()
    assert unit.frames[0].parent_ib_order_id == 0  # type: ignore[union-attr]


def test_an_entry_is_not_made_smaller_than_its_exits(wire: Wire) -> None:
    entry, target, stop = wire.bracket()
    with pytest.raises(Refused) as refused:
        modify(wire, entry, quantity=D(50))
    assert (refused.value.code, refused.value.field, refused.value.limit) == ("EXITS_EXCEED", "quantity", "100")
    for child in (target, stop):
        modify(wire, child, quantity=D(50))
    modify(wire, entry, quantity=D(50))
    [unit] = wire.send()
    assert [frame.terms.quantity for frame in unit.frames] == [50, 50, 50]  # type: ignore[union-attr]


@pytest.mark.parametrize("sent", [False, True])
def test_an_exit_is_not_made_larger_than_its_entry(wire: Wire, sent: bool) -> None:
    entry, target, stop = wire.bracket()
    if sent:
        wire.sent(entry, target, stop)
    with pytest.raises(Refused) as refused:
        modify(wire, stop, quantity=D(200))
    assert (refused.value.code, refused.value.field) == ("EXCEEDS_POSITION", "quantity")


def test_the_exits_of_an_entry_that_was_cut_short_do_not_grow_beyond_what_it_filled(wire: Wire) -> None:
    entry, target, stop = wire.bracket()
    wire.sent(entry, target, stop)
    wire.fill(entry, 40)
    make_position(wire.account, wire.contract, "40", "99.50", at=wire.now)
    wire.gone(entry)
    wire.acknowledge(stop, terms=replace(stop.terms, quantity=D(30)))
    with pytest.raises(Refused) as refused:
        modify(wire, stop, quantity=D(100))
    assert refused.value.code == "EXCEEDS_POSITION"
    assert modify(wire, stop, quantity=D(40)) is not None
    assert modify(wire, target, limit_price=D("106.00")) is not None  # a price moves whatever the size


@pytest.mark.parametrize("sent", [False, True])
@pytest.mark.parametrize(
    ("which", "price", "words"),
    [
        (0, {"limit_price": D("108")}, "The target must be above the entry's price"),
        (0, {"limit_price": D("96")}, "The stop must be below the entry's price"),
        (1, {"limit_price": D("99")}, "The target must be above the entry's price"),  # it would sell the moment the entry fills
        (1, {"limit_price": D("96")}, "The stop must be below the target"),
        (2, {"stop_price": D("99.50")}, "The stop must be below the entry's price"),
    ],
)
def test_a_change_keeps_the_prices_of_a_bracket_in_order(wire: Wire, sent: bool, which: int, price: dict[str, D], words: str) -> None:
    orders = wire.bracket()
    if sent:
        wire.sent(*orders)
    with pytest.raises(Refused, match=words) as refused:
        modify(wire, orders[which], **price)
    assert (refused.value.code, refused.value.field) == ("BRACKET", next(iter(price)))


def test_an_entry_whose_exits_the_broker_never_named_is_only_cancelled(wire: Wire) -> None:
    entry, _, _ = wire.bracket()
    wire.send()
    wire.acknowledge(entry, word="Inactive")  # torn while it was written: it waits there, untransmitted
    with pytest.raises(Refused) as refused:
        modify(wire, entry, limit_price=D("99.60"))
    assert refused.value.code == "NOT_WHOLE"
    wire.manager.cancel_order(entry, key=a_key())
    assert len(wire.send()) == 1


# --- cancelling -----------------------------------------------------------------------------------------------------------------------


def test_a_cancel_is_asked_for_and_the_order_lives_until_it_is_confirmed(wire: Wire) -> None:
    [order] = wire.sent(wire.buy())
    assert wire.manager.cancel_order(order, key=a_key()).status == OrderStatus.WORKING
    [unit] = wire.send()
    assert unit.frames == (CancelOrder(unit.frames[0].command_id, order.client_order_id, wire.key_of(order).ib_order_id),)
    wire.gone(order)
    assert (order.status, order.status_basis) == (OrderStatus.CANCELLED, "broker")
    assert BrokerCommand.objects.get(kind=CommandKind.CANCEL).state == CommandState.CONFIRMED


def test_an_order_that_was_never_claimed_is_withdrawn_and_nothing_is_sent(wire: Wire) -> None:
    order = wire.manager.cancel_order(wire.buy(), key=a_key())
    assert (order.status, order.status_basis) == (OrderStatus.CANCELLED, "local")
    assert BrokerCommand.objects.get().state == CommandState.WITHDRAWN
    assert wire.claim() == []


@pytest.mark.parametrize("member", [0, 1, 2])
def test_an_unsent_bracket_is_withdrawn_whole(wire: Wire, member: int) -> None:
    orders = wire.bracket()
    wire.manager.cancel_order(orders[member], key=a_key())
    assert {order.status for order in OrderRecord.objects.all()} == {OrderStatus.CANCELLED}
    assert wire.claim() == []


def test_asking_twice_sends_one_cancel(wire: Wire) -> None:
    [order] = wire.sent(wire.buy())
    wire.manager.cancel_order(order, key=a_key())
    wire.manager.cancel_order(order, key=a_key())
    assert len(wire.send()) == 1
    wire.manager.cancel_order(order, key=a_key())
    assert wire.send() == []


def test_a_cancel_overtakes_the_change_that_was_not_sent(wire: Wire) -> None:
    [order] = wire.sent(wire.buy())
    modify(wire, order, limit_price=D("99.60"))
    wire.manager.cancel_order(order, key=a_key())
    [unit] = wire.send()
    assert isinstance(unit.frames[0], CancelOrder)
    assert BrokerCommand.objects.get(kind=CommandKind.MODIFY).state == CommandState.WITHDRAWN


def test_cancels_go_before_orders_and_while_the_book_is_compared(wire: Wire) -> None:
    [order] = wire.sent(wire.buy())
    wire.buy("1")
    wire.manager.cancel_order(order, key=a_key())
    assert wire.claim(state=GatewayState.DEGRADED) == []
    [cancel] = wire.claim(state=GatewayState.RECONCILING)
    assert isinstance(cancel.frames[0], CancelOrder)
    assert len(wire.claim()) == 1


def test_a_cancel_never_grows_too_old(wire: Wire) -> None:
    [order] = wire.sent(wire.buy())
    wire.manager.cancel_order(order, key=a_key())
    wire.pass_time(4000)
    wire.housekeeping()
    assert len(wire.claim()) == 1


def test_a_cancel_goes_when_trading_is_halted_and_the_account_is_switched_off(wire: Wire) -> None:
    [order] = wire.sent(wire.buy())
    make_limit("TRADING_STATE", "2")
    type(wire.account).objects.update(is_active=False)
    wire.manager.cancel_order(order, key=a_key())
    assert len(wire.send()) == 1


def test_an_order_that_is_over_is_not_cancelled_or_changed(wire: Wire) -> None:
    [order] = wire.sent(wire.buy())
    wire.fill(order, 100)
    for act in (lambda: wire.manager.cancel_order(order, key=a_key()), lambda: modify(wire, order, quantity=D(200))):
        with pytest.raises(Refused) as refused:
            act()
        assert refused.value.code == "NOT_OPEN"


def test_a_stranger_changes_and_cancels_nothing(wire: Wire) -> None:
    [order] = wire.sent(wire.buy())
    stranger = OrderManager(make_user(is_superuser=True), clock=lambda: wire.now)
    for act in (lambda: stranger.cancel_order(order, key=a_key()), lambda: stranger.modify_order(order, key=a_key(), quantity=D(1))):
        with pytest.raises(Refused) as refused:
            act()
        assert refused.value.code == "NO_PERMISSION"


# --- cancel all -----------------------------------------------------------------------------------------------------------------------


def test_cancel_all_takes_the_orders_in_scope_and_no_others(wire: Wire) -> None:
    mine, other_contract = wire.buy(), wire.contract
    wire.contract = make_contract("MSFT")
    wire.pass_time(0)
    theirs = wire.buy("5")
    wire.contract = other_contract
    account = make_account()
    stranger = make_trader(account)
    foreign = OrderManager(stranger, clock=lambda: wire.now).place_limit_order(account, wire.contract, Side.BUY, D(1), D("99"), key=a_key())
    assert wire.manager.cancel_all_orders(key=a_key(), contract=wire.contract) == [mine]
    assert wire.manager.cancel_all_orders(key=a_key()) == [theirs]
    assert wire.manager.cancel_all_orders(key=a_key()) == []
    foreign.refresh_from_db()
    assert foreign.status == OrderStatus.PENDING
    with pytest.raises(Refused):
        wire.manager.cancel_all_orders(key=a_key(), account=account)


def test_cancel_all_sends_one_cancel_an_order_and_the_entry_first(wire: Wire) -> None:
    entry, target, stop = wire.bracket()
    wire.sent(entry, target, stop)
    unsent = wire.buy("1")
    asked = wire.manager.cancel_all_orders(key=a_key())
    assert asked == [entry, stop, target, unsent]
    names = [unit.frames[0].client_order_id for unit in wire.send()]
    assert names == [entry.client_order_id, stop.client_order_id, target.client_order_id]
    unsent.refresh_from_db()
    assert unsent.status == OrderStatus.CANCELLED


def test_cancel_all_goes_in_parts_and_the_same_key_finishes_it(wire: Wire) -> None:
    for rule in ("MAX_OPEN_ORDERS", "ORDER_RATIO"):
        make_limit(rule, "200")
    orders = [wire.buy(quantity) for quantity in range(1, 56)]
    key = a_key()
    assert wire.manager.cancel_all_orders(key=key) == orders
    assert not wire.manager.get_open_orders()
    # A crash after the first part: the rest is still open, and the same request comes again.
    OrderRecord.objects.filter(pk=orders[-1].pk).update(status="PENDING", status_basis="", closed_at=None)
    BrokerCommand.objects.filter(order=orders[-1]).update(state="PENDING")
    assert wire.manager.cancel_all_orders(key=key)[-1].status == OrderStatus.CANCELLED


# --- what a person concludes ----------------------------------------------------------------------------------------------------------


def test_only_an_order_of_unknown_fate_is_ended_by_hand(wire: Wire) -> None:
    [order] = wire.sent(wire.buy())
    with pytest.raises(Refused) as refused:
        wire.manager.conclude_cancelled(order, "not in TWS", key=a_key())
    assert refused.value.code == "NOT_UNKNOWN"


def test_a_person_ends_an_unknown_order_and_its_commands(wire: Wire) -> None:
    order = wire.buy()
    [unit] = wire.claim()

    outbox.unwritten(unit, "the link broke", wire.now)
    order.refresh_from_db()
    assert order.status == OrderStatus.UNKNOWN
    with pytest.raises(Refused, match="Say what you saw"):
        wire.manager.conclude_cancelled(order, " ", key=a_key())
    order = wire.manager.conclude_cancelled(order, "not in TWS", key=a_key())
    assert (order.status, order.status_basis) == (OrderStatus.CANCELLED, "person")
    assert BrokerCommand.objects.get().state == CommandState.WITHDRAWN
    wire.acknowledge(order)  # the broker has it after all
    assert order.status == OrderStatus.WORKING
    assert order.incidents.exists()
