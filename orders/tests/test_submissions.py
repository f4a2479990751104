"""One answer per key: repeated requests, refused requests, and keys used twice for different things."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from django.contrib.auth.models import AnonymousUser

from orders import signals
from orders.errors import Refused
from orders.manager import OrderManager
from orders.models import Event, OrderRecord, Submission
from orders.rules.terms import Side
from orders.tests.desk_of_one import Desk
from orders.tests.factories import make_position, make_trader

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_the_same_key_gives_the_same_order(desk: Desk) -> None:
    first = desk.buy(key="k")
    for spelling in ("100", "100.0", "1E+2"):
        assert desk.buy(spelling, key="k") == first
    assert OrderRecord.objects.count() == 1
    assert Event.objects.filter(kind="order.placed").count() == 1


def test_the_stored_answer_shows_the_order_as_it_is_now(desk: Desk) -> None:
    first = desk.buy(key="k")
    desk.manager.cancel_order(first, key="c")
    assert desk.buy(key="k").status == "CANCELLED"
    assert desk.manager.cancel_order(first, key="c") == first


@pytest.mark.parametrize(
    "other",
    [
        lambda desk: desk.buy("101", key="k"),
        lambda desk: desk.buy(price="99.51", key="k"),
        lambda desk: desk.buy(note="other", key="k"),
        lambda desk: desk.sell(key="k"),
        lambda desk: desk.manager.place_market_order(desk.account, desk.contract, Side.BUY, D(100), key="k"),
        lambda desk: desk.manager.cancel_all_orders(key="k"),
    ],
)
def test_the_same_key_for_another_request_is_a_conflict(desk: Desk, other) -> None:
    desk.buy(key="k")
    with pytest.raises(Refused) as refused:
        other(desk)
    assert refused.value.code == "KEY_REUSED"
    assert OrderRecord.objects.count() == 1


def test_two_users_may_use_the_same_key(desk: Desk) -> None:
    other = OrderManager(make_trader(desk.account), clock=lambda: desk.now)
    desk.buy(key="k")
    other.place_limit_order(desk.account, desk.contract, Side.BUY, D(1), D("99"), key="k")
    assert OrderRecord.objects.count() == 2


def test_a_refusal_is_recorded_and_refused_in_the_same_words_again(desk: Desk) -> None:
    with pytest.raises(Refused) as first:
        desk.buy("20000", "1.00", key="k")
    event = Event.objects.get(kind="order.refused")
    assert (event.actor, event.account, event.text) == (desk.user, desk.account, first.value.message)
    told = {name: event.data[name] for name in ("code", "limit", "actual", "field", "verb")}
    assert told == {"code": "MAX_QUANTITY", "limit": "10000", "actual": "20000", "field": "quantity", "verb": "place_limit_order"}
    with pytest.raises(Refused) as second:
        desk.buy("20000", "1.00", key="k")
    for name in ("code", "message", "field", "limit", "actual"):
        assert getattr(second.value, name) == getattr(first.value, name)
    assert Event.objects.filter(kind="order.refused").count() == 1


@pytest.mark.parametrize("key", ["", "x" * 65, None])
def test_every_request_needs_a_key(desk: Desk, key: str) -> None:
    with pytest.raises(Refused) as refused:
        desk.buy(key=key)
    assert refused.value.code == "KEY"
    assert not Submission.objects.exists()


def test_nobody_without_a_name_gets_in(desk: Desk) -> None:
    desk.manager = OrderManager(AnonymousUser(), clock=lambda: desk.now)
    with pytest.raises(Refused) as refused:
        desk.buy()
    assert refused.value.code == "USER_INACTIVE"


def test_a_bracket_that_is_refused_at_its_last_leg_leaves_nothing(desk: Desk) -> None:
    with pytest.raises(Refused):
        desk.bracket(stop_loss_price=D("97.001"))
    assert not OrderRecord.objects.exists()
    assert list(Event.objects.filter(order__isnull=False)) == []


def test_lists_come_back_in_the_order_they_were_given(desk: Desk) -> None:
    first = desk.bracket(key="k")
    assert desk.bracket(key="k") == first
    make_position(desk.account, desk.contract)
    exits = desk.protect(key="p")
    assert desk.protect(key="p") == exits


def test_a_modify_gives_its_command_again(desk: Desk) -> None:
    order = desk.buy()
    assert desk.manager.modify_order(order, key="m", quantity=D(50)) is None
    assert desk.manager.modify_order(order, key="m", quantity=D(50)) is None
    assert Event.objects.filter(kind="order.changed").count() == 1


def test_listeners_hear_of_an_order_once_and_after_it_stands(desk: Desk) -> None:
    heard = []

    def listen(sender: type, order: OrderRecord, **_: object) -> None:
        heard.append((order.pk, OrderRecord.objects.filter(pk=order.pk).exists()))

    def fail(**_: object) -> None:
        raise RuntimeError("a listener of somebody else")

    signals.order_placed.connect(fail)
    signals.order_placed.connect(listen)
    try:
        order = desk.buy(key="k")
        desk.buy(key="k")
        with pytest.raises(Refused):
            desk.buy("0")
    finally:
        signals.order_placed.disconnect(listen)
        signals.order_placed.disconnect(fail)
    assert heard == [(order.pk, True)]
