"""The kill switch against everybody at once: whatever comes in between is refused, withdrawn or cancelled, and never goes out alone."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal as D
from typing import Any

import pytest

from orders.errors import Refused
from orders.manager import OrderManager
from orders.models import BrokerCommand, Limit, OrderRecord, Sweep
from orders.rules.commands import CancelOrder, PlaceOrder
from orders.rules.lifecycle import OrderStatus
from orders.rules.terms import CommandKind, Side
from orders.tests.desk_of_one import Wire
from orders.tests.factories import a_key, make_limit, make_trader
from orders.tests.test_races import at_once, in_threads

pytestmark = pytest.mark.django_db(transaction=True)


def no_rates() -> None:
    for rule in ("MAX_OPEN_ORDERS", "MAX_USER_ORDERS", "ORDER_RATE", "ORDER_RATIO"):
        make_limit(rule, "1000")


def everything(wire: Wire) -> list[Any]:
    frames: list[Any] = []
    while units := wire.claim():
        frames += [frame for unit in units for frame in unit.frames]
    return frames


def test_orders_placed_while_the_switch_is_pressed_are_refused_or_gone() -> None:
    wire = Wire()
    no_rates()
    other = OrderManager(make_trader(wire.account), clock=lambda: wire.now)
    sent: list[Any] = []

    def buy(manager: OrderManager, n: int) -> OrderRecord:
        return manager.place_limit_order(wire.account, wire.contract, Side.BUY, D(n), D(99), key=a_key(), confirm_duplicate=True)

    def press() -> Sweep:
        return wire.manager.kill(key="the-switch", scope="account", account=wire.account, reason="Out")

    acts: list[Callable[[], Any]] = [lambda n=n: buy([wire.manager, other][n % 2], n + 1) for n in range(60)]  # type: ignore[misc]
    acts.insert(24, press)
    acts.insert(25, lambda: sent.extend(everything(wire)))
    answers = at_once(acts)
    refused = [answer for answer in answers if isinstance(answer, Exception)]
    assert {(type(error), getattr(error, "code", str(error))) for error in refused} <= {(Refused, "TRADING_STATE")}
    assert refused, "some came too late"
    sent += everything(wire)
    placed = [frame.client_order_id for frame in sent if isinstance(frame, PlaceOrder)]
    cancelled = {frame.client_order_id for frame in sent if isinstance(frame, CancelOrder)}
    assert set(placed) <= cancelled, "what was sent is cancelled"
    ended = [OrderStatus.CANCELLED, OrderStatus.REJECTED]  # withdrawn by the switch, or refused by the claim because of the halt
    alive = OrderRecord.objects.exclude(status__in=ended)
    assert {order.client_order_id for order in alive} == set(placed), "what was not sent never will be"
    assert len(answers) - len(refused) - 2 == OrderRecord.objects.count()


def test_many_presses_of_one_switch_are_one() -> None:
    wire = Wire()
    no_rates()
    orders = [wire.buy(n + 1) for n in range(70)]
    while units := wire.send():
        assert units
    wire.acknowledge(*orders)

    def press() -> Sweep:
        return wire.manager.kill(key="the-switch", scope="account", account=wire.account, reason="Out")

    answers = in_threads([press] * 6)
    assert {answer.pk for answer in answers} == {Sweep.objects.get().pk}
    assert BrokerCommand.objects.filter(kind=CommandKind.CANCEL).count() == 70
    assert not Sweep.objects.get().data["open"]


def test_two_switches_at_once_cancel_each_order_once() -> None:
    wire = Wire()
    no_rates()
    orders = [wire.buy(n + 1) for n in range(20)]
    wire.send()
    wire.acknowledge(*orders)
    other = OrderManager(make_trader(wire.account), clock=lambda: wire.now)

    def press(manager: OrderManager) -> Sweep:
        return manager.kill(key=a_key(), scope="account", account=wire.account, reason="Out")

    answers = in_threads([lambda: press(wire.manager), lambda: press(other)])
    assert all(isinstance(answer, Sweep) for answer in answers), answers
    assert BrokerCommand.objects.filter(kind=CommandKind.CANCEL).count() == 20
    assert Limit.objects.filter(rule="TRADING_STATE", value=2).count() == 1
