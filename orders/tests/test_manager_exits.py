"""Brackets and OCA exits: directions, prices, quantities, and the limits that must not stand in the way of protection."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from orders.errors import Refused
from orders.models import OcaGroup, OrderRecord
from orders.rules.terms import OcaType, Role, Side, TimeInForce
from orders.tests.desk_of_one import Wire
from orders.tests.factories import a_key, make_contract, make_limit, make_position, make_quote

pytestmark = pytest.mark.django_db


@pytest.fixture
def wire() -> Wire:
    return Wire()


def hold(wire: Wire, quantity: str = "100", cost: str = "100") -> None:
    make_position(wire.account, wire.contract, quantity, cost, at=wire.now)


# --- OCA exits of a position ----------------------------------------------------------------------------------------------------------


def test_a_long_position_is_sold_two_percent_below_and_eight_above_its_cost(wire: Wire) -> None:
    hold(wire, "100", "100.005")
    stop, target = wire.protect()
    assert (stop.side, stop.order_type, stop.stop_price, stop.limit_price, stop.role) == ("SELL", "STP", D("98.00"), None, Role.STOP_LOSS)
    assert (target.side, target.order_type, target.limit_price, target.role) == ("SELL", "LMT", D("108.01"), Role.TAKE_PROFIT)
    assert {order.quantity for order in (stop, target)} == {D(100)}
    assert {order.time_in_force for order in (stop, target)} == {"GTC"}
    assert stop.oca_group == target.oca_group == OcaGroup.objects.get()
    assert OcaGroup.objects.get().oca_type == OcaType.CANCEL_WITH_BLOCK


def test_a_short_position_is_bought_back_mirrored(wire: Wire) -> None:
    hold(wire, "-50", "100")
    stop, target = wire.protect()
    assert (stop.side, stop.stop_price, stop.quantity) == ("BUY", D("102.00"), D(50))
    assert (target.side, target.limit_price, target.quantity) == ("BUY", D("92.00"), D(50))


def test_the_cost_of_a_future_is_divided_by_its_multiplier(wire: Wire) -> None:
    wire.contract = make_contract(
        "ES", sec_type="FUT", exchange="CME", multiplier=D(50), min_tick=D("0.25"), market_rule_ids=[], valid_exchanges=[]
    )
    make_quote(wire.contract, "6000.00", "6000.25", "6000.00")
    hold(wire, "1", "300012.60")  # 6000.252 a unit
    stop, target = wire.protect()
    assert (stop.stop_price, target.limit_price) == (D("5880.25"), D("6480.25"))


def test_the_cost_of_a_future_without_a_quote_is_no_entry_price(wire: Wire) -> None:
    wire.contract = make_contract(
        "ZC", sec_type="FUT", exchange="CBOT", multiplier=D(5000), min_tick=D("0.25"), market_rule_ids=[], valid_exchanges=[]
    )
    hold(wire, "1", "22500")  # quoted in cents: 450.00, and not 4.50
    with pytest.raises(Refused, match="give the entry price") as refused:
        wire.protect()
    assert (refused.value.code, refused.value.field) == ("ENTRY_UNCERTAIN", "entry_price")
    stop, target = wire.protect(entry_price=D(450))
    assert (stop.stop_price, target.limit_price) == (D(441), D(486))


def test_what_is_asked_for_replaces_what_the_position_says(wire: Wire) -> None:
    hold(wire)
    stop, target = wire.protect(
        quantity=D(40), entry_price=D("99.00"), stop_loss=D("0.01"), target_price=D("111.11"), oca_type=3, time_in_force="DAY"
    )
    assert (stop.quantity, stop.stop_price, target.limit_price, stop.time_in_force) == (D(40), D("98.01"), D("111.11"), TimeInForce.DAY)
    assert OcaGroup.objects.get().oca_type == OcaType.REDUCE_WITHOUT_BLOCK


def test_exits_never_add_up_to_more_than_the_position(wire: Wire) -> None:
    hold(wire)
    wire.protect(quantity=D(60))
    with pytest.raises(Refused) as refused:
        wire.protect(quantity=D(41))
    assert (refused.value.code, refused.value.limit) == ("EXCEEDS_POSITION", "40")
    stop, _ = wire.protect()
    assert stop.quantity == D(40)
    with pytest.raises(Refused) as refused:
        wire.protect()
    assert refused.value.code == "EXCEEDS_POSITION"


def test_the_exits_of_an_entry_that_has_not_filled_do_not_cover_the_position(wire: Wire) -> None:
    hold(wire)
    wire.sent(*wire.bracket("30"))
    stop, _ = wire.protect()
    assert stop.quantity == D(100)


def test_the_exits_of_an_entry_that_has_filled_cover_it(wire: Wire) -> None:
    entry, *exits = wire.bracket("30")
    wire.sent(entry, *exits)
    wire.fill(entry, 30)
    hold(wire, "100")
    stop, _ = wire.protect()
    assert stop.quantity == D(70)


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({"stop_price": D("98.005")}, "OFF_TICK", "stop_price"),
        ({"target_price": D("108.005")}, "OFF_TICK", "target_price"),
        ({"quantity": D(101)}, "EXCEEDS_POSITION", "quantity"),
        ({"quantity": D(0)}, "TICKET", "quantity"),
        ({"stop_loss": D("1.2")}, "TICKET", "stop_loss"),
        ({"stop_loss": 0.02}, "TICKET", "stop_loss"),
        ({"stop_price": D("109"), "target_price": D("108")}, "TICKET", "stop_price"),
        ({"stop_price": D("100.00")}, "STOP_THROUGH_MARKET", "stop_price"),
        ({"entry_price": D("80")}, "TARGET_THROUGH_MARKET", "target_price"),
    ],
)
def test_an_exit_that_would_not_protect_is_refused(wire: Wire, given: dict[str, Any], code: str, field: str) -> None:
    hold(wire)
    with pytest.raises(Refused) as refused:
        wire.protect(**given)
    assert (refused.value.code, refused.value.field) == (code, field)
    assert not OrderRecord.objects.exists()


def test_without_a_position_there_is_nothing_to_protect(wire: Wire) -> None:
    with pytest.raises(Refused) as refused:
        wire.protect()
    assert refused.value.code == "NO_POSITION"


def test_protection_needs_no_quote_and_is_not_stopped_by_size_limits(wire: Wire) -> None:
    hold(wire, "60000", "100")
    wire.contract.quote.delete()
    make_limit("MAX_QUANTITY", "10")
    make_limit("TRADING_STATE", "1")
    assert wire.protect()[0].quantity == D(60000)
    assert len(wire.claim()) == 1


def test_exits_of_a_position_that_is_gone_before_they_are_sent_are_refused(wire: Wire) -> None:
    hold(wire)
    exits = wire.protect()
    hold(wire, "60")
    assert wire.claim() == []
    for order in exits:
        order.refresh_from_db()
        assert (order.status, order.status_code) == ("REJECTED", "EXCEEDS_POSITION")


def test_a_stop_that_the_market_passed_on_the_way_is_sent_all_the_same(wire: Wire) -> None:
    hold(wire)
    wire.protect()
    make_quote(wire.contract, "96.99", "97.01", "97.00", at=wire.now)
    assert len(wire.claim()) == 1


def test_an_order_that_came_later_does_not_take_the_place_of_an_exit(wire: Wire) -> None:
    hold(wire)
    wire.protect()
    wire.sell("50")
    assert len(wire.claim()) == 2


def test_an_exit_cannot_be_made_larger_than_the_position_but_its_price_can_be_moved(wire: Wire) -> None:
    hold(wire)
    stop, _ = wire.sent(*wire.protect())
    with pytest.raises(Refused) as refused:
        wire.manager.modify_order(stop, key=a_key(), quantity=D(101))
    assert refused.value.code == "EXCEEDS_POSITION"
    hold(wire, "60")
    assert wire.manager.modify_order(stop, key=a_key(), stop_price=D("98.50")) is not None
    assert len(wire.send()) == 1


# --- brackets -------------------------------------------------------------------------------------------------------------------------


def test_a_bracket_is_an_entry_with_two_children(wire: Wire) -> None:
    entry, target, stop = wire.bracket(outside_rth=True)
    assert [order.role for order in (entry, target, stop)] == [Role.ENTRY, Role.TAKE_PROFIT, Role.STOP_LOSS]
    assert (entry.parent, target.parent, stop.parent) == (None, entry, entry)
    assert {order.unit_id for order in (entry, target, stop)} == {entry.unit_id}
    assert [order.side for order in (entry, target, stop)] == ["BUY", "SELL", "SELL"]
    assert [order.time_in_force for order in (entry, target, stop)] == ["DAY", "GTC", "GTC"]
    assert all(order.outside_rth for order in (entry, target, stop))


def test_a_bracket_without_a_limit_price_enters_at_the_market(wire: Wire) -> None:
    entry, _, _ = wire.bracket(limit_price=None)
    assert (entry.order_type, entry.limit_price) == ("MKT", None)


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({"take_profit_price": D("99.00")}, "TICKET", "take_profit_price"),
        ({"stop_loss_price": D("99.60")}, "TICKET", "stop_loss_price"),
        ({"stop_loss_price": D("97.001")}, "OFF_TICK", "stop_loss_price"),
        ({"limit_price": None, "stop_loss_price": D("100.50"), "take_profit_price": D("107")}, "STOP_THROUGH_MARKET", "stop_loss_price"),
        ({"limit_price": None, "take_profit_price": D("99.98")}, "TARGET_THROUGH_MARKET", "take_profit_price"),
    ],
)
def test_a_bracket_whose_exits_make_no_sense_is_refused_whole(wire: Wire, given: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(Refused) as refused:
        wire.bracket(**given)
    assert (refused.value.code, refused.value.field) == (code, field)
    assert not OrderRecord.objects.exists()


def test_a_deep_entry_is_not_judged_by_where_the_market_is_now(wire: Wire) -> None:
    entry, target, stop = wire.bracket(limit_price=D("80.00"), take_profit_price=D("90.00"), stop_loss_price=D("78.00"))
    assert (entry.limit_price, target.limit_price, stop.stop_price) == (D(80), D(90), D(78))


def test_children_count_as_open_orders(wire: Wire) -> None:
    make_limit("MAX_OPEN_ORDERS", "3")
    wire.bracket("1")
    wire.sell("1", "120")
    with pytest.raises(Refused) as refused:
        wire.sell("2", "120")
    assert refused.value.code == "MAX_OPEN_ORDERS"
    with pytest.raises(Refused):
        wire.bracket("2")
    assert OrderRecord.objects.count() == 4


def test_the_children_are_not_weighed_like_new_risk(wire: Wire) -> None:
    make_limit("MAX_NOTIONAL", "10000")
    assert len(wire.bracket("100")) == 3  # the target alone is worth 10,700


def test_the_same_bracket_twice_asks_back(wire: Wire) -> None:
    wire.bracket(confirm_duplicate=False)
    with pytest.raises(Refused) as refused:
        wire.bracket(confirm_duplicate=False)
    assert refused.value.code == "DUPLICATE_SECONDS"
    wire.bracket(confirm_duplicate=True)
    assert OrderRecord.objects.count() == 6


def test_a_short_bracket_is_mirrored(wire: Wire) -> None:
    entry, target, stop = wire.manager.place_bracket(
        wire.account,
        wire.contract,
        Side.SELL,
        D(10),
        limit_price=D("101.00"),
        take_profit_price=D("95.00"),
        stop_loss_price=D("103.00"),
        key=a_key(),
    )
    assert [order.side for order in (entry, target, stop)] == ["SELL", "BUY", "BUY"]
