"""The record of a day at the desk: whatever the manager and the outbox did, folding the events gives the rows."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal as D

import pytest

from orders import outbox, replay
from orders.errors import Refused
from orders.models import BrokerCommand, Event, OrderRecord
from orders.rules.lifecycle import OrderStatus
from orders.rules.terms import CommandState, GatewayState
from orders.tests.desk_of_one import Wire
from orders.tests.factories import a_key, make_position

pytestmark = pytest.mark.django_db


def test_folding_the_events_of_a_day_gives_its_rows() -> None:
    wire = Wire()
    first, second, third = wire.sent(wire.buy("1"), wire.buy("2"), wire.buy("3"))
    wire.manager.modify_order(first, key=a_key(), limit_price=D("99.40"))
    wire.manager.cancel_order(second, key=a_key())
    wire.send()
    outbox.recover(wire.now, wire.fence)
    wire.gone(second)
    with suppress(Refused):
        wire.buy("20000")
    wire.manager.cancel_order(wire.bracket()[1], key=a_key())
    make_position(wire.account, wire.contract, "50", at=wire.now)
    stop, target = wire.sent(*wire.protect())
    wire.manager.close_position(wire.account, wire.contract, key=a_key())
    wire.send()
    wire.fill(target, 20)
    wire.gone(stop, target)
    wire.pass_time(6)
    wire.send()
    wire.fill(third, 3)
    late, lost = wire.buy("4"), wire.buy("5")
    wire.manager.modify_order(late, key=a_key(), quantity=D(6))
    [unit] = wire.claim(room=1)
    outbox.unwritten(unit, "the link broke", wire.now)
    wire.manager.conclude_cancelled(OrderRecord.objects.get(pk=late.pk), "not in TWS", key=a_key())
    wire.pass_time(61)
    assert wire.claim(state=GatewayState.DOWN) == []
    wire.housekeeping(link_lost=True)
    lost.refresh_from_db()
    assert lost.status == OrderStatus.REJECTED

    assert replay.differences() == []
    assert replay.verify_chain() is None
    kinds = set(Event.objects.values_list("kind", flat=True))
    assert {"order.placed", "order.claimed", "order.refused", "order.withdrawn", "order.sized", "order.released", "order.doubtful"} <= kinds
    assert set(BrokerCommand.objects.values_list("state", flat=True)) >= {
        CommandState.REFUSED,
        CommandState.CONFIRMED,
        CommandState.WITHDRAWN,
    }


def test_what_a_field_was_is_told_by_the_event_that_changed_it() -> None:
    wire = Wire()
    order = wire.buy()
    wire.claim()
    claimed = Event.objects.get(kind="order.claimed")
    assert (claimed.order, claimed.status_before, claimed.status_after, claimed.source) == (order, "PENDING", "SENT", "system")
    withdrawn = wire.manager.cancel_order(wire.buy("7"), key=a_key())
    told = Event.objects.get(kind="order.withdrawn")
    assert (told.order, told.actor, told.source, told.status_after) == (withdrawn, wire.user, "user", "CANCELLED")
