"""Claiming: what goes out, in which order and with which ids, and what may no longer go."""

from __future__ import annotations

import pytest

from orders import lease, outbox
from orders.book import book
from orders.lease import LeaseLost
from orders.models import Account, Book, BrokerCommand, BrokerId
from orders.models.book import Source
from orders.rules.commands import PlaceOrder, Unit
from orders.rules.lifecycle import OrderStatus
from orders.rules.terms import AccessLevel, CommandState, GatewayState
from orders.tests.desk_of_one import CLIENT, HOLDER, Wire
from orders.tests.factories import NOW, a_key, grant, make_limit, make_position

pytestmark = pytest.mark.django_db


@pytest.fixture
def wire() -> Wire:
    return Wire()


def places(units: list[Unit]) -> list[PlaceOrder]:
    frames = [frame for unit in units for frame in unit.frames]
    assert all(isinstance(frame, PlaceOrder) for frame in frames)
    return frames  # type: ignore[return-value]


def test_a_claimed_order_is_numbered_and_sent_in_one_commit(wire: Wire) -> None:
    order = wire.buy()
    mark = Book.objects.get().order_id_mark
    [unit] = wire.claim()
    [frame] = places([unit])
    assert unit.fence == wire.fence
    assert (frame.client_order_id, frame.ib_order_id, frame.account) == (order.client_order_id, mark + 1, wire.account.code)
    assert (frame.contract.con_id, frame.contract.exchange) == (wire.contract.con_id, "SMART")
    assert (frame.terms, frame.transmit, frame.parent_ib_order_id) == (order.terms, True, 0)
    order.refresh_from_db()
    command = BrokerCommand.objects.get()
    assert (order.status, order.sent_at, Book.objects.get().order_id_mark) == (OrderStatus.SENT, NOW, mark + 1)
    assert (command.state, command.fence, command.tries) == (CommandState.SENDING, wire.fence, 1)
    assert BrokerId.objects.filter(order=order, client_id=CLIENT, ib_order_id=mark + 1).count() == 1


def test_a_claimed_order_is_never_claimed_again(wire: Wire) -> None:
    wire.buy()
    assert len(wire.claim()) == 1
    assert wire.claim() == []
    wire.pass_time(100)
    assert wire.claim() == []


def test_a_bracket_goes_out_as_one_family_and_only_its_last_frame_transmits(wire: Wire) -> None:
    orders = wire.bracket()
    [unit] = wire.claim()
    entry, stop, target = places([unit])
    assert [frame.client_order_id for frame in (entry, target, stop)] == [order.client_order_id for order in orders]
    assert [frame.parent_ib_order_id for frame in (entry, target, stop)] == [0, entry.ib_order_id, entry.ib_order_id]
    assert [frame.transmit for frame in (entry, stop, target)] == [False, False, True]


def test_an_oca_pair_goes_stop_first_and_both_transmit(wire: Wire) -> None:
    make_position(wire.account, wire.contract, "100", "100")
    wire.manager.place_oca_group(wire.account, wire.contract, key=a_key())
    [unit] = wire.claim()
    stop, target = places([unit])
    assert (stop.terms.order_type, target.terms.order_type) == ("STP", "LMT")
    assert stop.oca_group == target.oca_group != ""
    assert (stop.oca_type, target.oca_type) == (1, 1)
    assert (stop.transmit, target.transmit) == (True, True)


def test_a_unit_that_does_not_fit_waits_whole_and_is_not_overtaken(wire: Wire) -> None:
    wire.buy("1")
    wire.bracket()
    wire.buy("2")
    first = wire.claim(room=3)
    assert [len(unit.frames) for unit in first] == [1]
    assert [len(unit.frames) for unit in wire.claim(room=4)] == [3, 1]


@pytest.mark.parametrize("state", [state for state in GatewayState if state is not GatewayState.READY])
def test_orders_go_only_when_the_gateway_is_ready(wire: Wire, state: GatewayState) -> None:
    wire.buy()
    assert wire.claim(state=state) == []
    assert len(wire.claim()) == 1


def test_an_order_that_waited_more_than_a_minute_is_refused(wire: Wire) -> None:
    order = wire.buy()
    wire.pass_time(60.5)
    assert wire.claim() == []
    order.refresh_from_db()
    assert (order.status, order.status_basis, order.status_code) == (OrderStatus.REJECTED, "local", "STALE")
    assert BrokerCommand.objects.get().state == CommandState.REFUSED


def test_a_minute_old_order_still_goes(wire: Wire) -> None:
    wire.buy()
    wire.pass_time(60)
    assert len(wire.claim()) == 1


def _take_permission(wire: Wire) -> None:
    grant(wire.user, wire.account, AccessLevel.VIEW)


def _switch_user_off(wire: Wire) -> None:
    wire.user.is_active = False
    wire.user.save()


def _switch_account_off(wire: Wire) -> None:
    with book(at=NOW) as b, b.event("account.changed", source=Source.USER) as fact:
        fact.set(Account.objects.get(), is_active=False)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_take_permission, "NO_PERMISSION"),
        (_switch_user_off, "USER_INACTIVE"),
        (_switch_account_off, "ACCOUNT_INACTIVE"),
        (lambda wire: make_limit("TRADING_STATE", "2"), "TRADING_STATE"),
        (lambda wire: make_limit("MAX_QUANTITY", "99", account=wire.account), "MAX_QUANTITY"),
        (lambda wire: make_limit("MAX_NOTIONAL", "5000", user=wire.user), "MAX_NOTIONAL"),
        (lambda wire: BrokerCommand.objects.update(schema_version=99), "SCHEMA"),
    ],
)
def test_what_changed_since_the_order_was_placed_stops_the_whole_unit(wire: Wire, change, code: str) -> None:
    orders = wire.bracket()
    change(wire)
    assert wire.claim() == []
    for order in orders:
        order.refresh_from_db()
        assert (order.status, order.status_basis, order.status_code) == (OrderStatus.REJECTED, "local", code)
    assert not BrokerId.objects.exists()


def test_a_fence_that_is_not_the_newest_claims_nothing(wire: Wire) -> None:
    order = wire.buy()
    lease.release(HOLDER, wire.fence)
    assert lease.acquire("there:2:b", NOW) == wire.fence + 1
    with pytest.raises(LeaseLost):
        wire.claim()
    order.refresh_from_db()
    assert order.status == OrderStatus.PENDING


def test_ids_go_on_above_whatever_the_gateway_has_used(wire: Wire) -> None:
    outbox.raise_order_id_mark(38102, NOW)
    outbox.raise_order_id_mark(38098, NOW)  # a restarted gateway goes back
    wire.buy("1")
    wire.buy("2")
    assert [frame.ib_order_id for frame in places(wire.claim())] == [38103, 38104]
