"""Mending what the guardian finds: the right orders, in the right order, once, and nothing where things have moved on."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from orders.errors import Refused
from orders.models import OrderRecord
from orders.queries.guard import verdicts
from orders.queries.holdings import guarded
from orders.rules.commands import CancelOrder, ModifyOrder, PlaceOrder
from orders.rules.guardian import Finding, Kind
from orders.rules.lifecycle import OrderStatus
from orders.rules.mending import spell
from orders.rules.terms import AccessLevel, OrderTerms, OrderType, Role, Side, TimeInForce
from orders.tests.desk_of_one import Wire
from orders.tests.factories import a_key, grant, make_position, make_quote

pytestmark = pytest.mark.django_db


@pytest.fixture
def wire() -> Wire:
    return Wire()


def hold(wire: Wire, quantity: str = "100", cost: str = "100") -> None:
    make_position(wire.account, wire.contract, quantity, cost, at=wire.now)


def findings(wire: Wire) -> list[Finding]:
    row = guarded(wire.account, wire.contract)
    if row is None:
        return []
    return [*verdicts([row], wire.now)[wire.account.pk, wire.contract.pk].findings]


def repair(wire: Wire, **options: Any) -> list[OrderRecord]:
    return wire.manager.repair_protection(wire.account, wire.contract, **{"key": a_key(), **options})


def frames(wire: Wire) -> list[Any]:
    return [frame for unit in wire.send() for frame in unit.frames]


@pytest.mark.parametrize(("quantity", "stop", "target"), [("100", "98", "108"), ("-60", "102", "92")])
def test_a_bare_position_gets_a_stop_and_a_target_as_one_pair(wire: Wire, quantity: str, stop: str, target: str) -> None:
    hold(wire, quantity)
    orders = repair(wire)
    assert [(order.role, order.stop_price or order.limit_price) for order in orders] == [("stop loss", D(stop)), ("take profit", D(target))]
    assert orders[0].oca_group == orders[1].oca_group
    assert [(frame.terms.quantity, frame.oca_type) for frame in frames(wire)] == [(abs(D(quantity)), 1)] * 2
    wire.acknowledge(orders[0], word="PreSubmitted")
    wire.acknowledge(orders[1])
    assert [finding.kind for finding in findings(wire)] == [Kind.PROTECTED]


def test_a_stop_alone_is_placed_where_no_target_is_wanted(wire: Wire) -> None:
    hold(wire)
    [stop] = repair(wire, with_target=False)
    assert (stop.role, stop.oca_group, stop.time_in_force) == (Role.STOP_LOSS, None, "GTC")


def test_where_the_market_has_left_the_entry_the_prices_are_counted_from_it(wire: Wire) -> None:
    hold(wire, cost="120")
    stop, target = repair(wire)
    assert (stop.stop_price, target.limit_price) == (D("98"), D("108"))


def test_one_key_mends_once_and_a_viewer_never(wire: Wire) -> None:
    hold(wire)
    assert repair(wire, key="k") == repair(wire, key="k")
    assert OrderRecord.objects.count() == 2
    grant(wire.user, wire.account, AccessLevel.VIEW)
    with pytest.raises(Refused) as refused:
        repair(wire)
    assert refused.value.code == "NO_PERMISSION"


def test_after_a_partial_fill_the_target_goes_first_and_the_pair_is_as_it_was(wire: Wire) -> None:
    """C24, as far as a repair of it: OCA type 1, the target filled 40 of 100 and the stop is cancelled."""
    hold(wire)
    stop, target = wire.sent(*wire.protect())
    wire.fill(target, "40", "108")
    hold(wire, "60")
    wire.gone(stop)
    finding = findings(wire)[0]
    assert (finding.kind, finding.quantity) == (Kind.UNPROTECTED, D(60))
    assert "even a partial one" in finding.text
    _, new_stop, new_target = repair(wire, plan=spell(finding.steps))
    [cancel] = frames(wire)
    assert (type(cancel), cancel.client_order_id) == (CancelOrder, target.client_order_id)
    wire.fill(target, "10", "108")  # a little more on the way out
    hold(wire, "50")
    wire.gone(target)
    wire.pass_time(6)
    sent = frames(wire)
    assert [(type(frame), frame.terms.quantity) for frame in sent] == [(PlaceOrder, D(50))] * 2, "what is left then"
    assert (new_stop.stop_price, new_target.limit_price) == (D("98"), D("108"))


def test_exits_that_are_too_large_are_made_smaller_in_place(wire: Wire) -> None:
    """C26: the entry filled 40 of 100 and was cancelled, its exits were left."""
    entry, target, stop = wire.sent(*wire.bracket())
    wire.fill(entry, "40", "99.50")
    hold(wire, "40", "99.50")
    wire.gone(entry)
    [finding, _] = findings(wire)
    assert (finding.kind, finding.quantity) == (Kind.ORPHAN, D(60))
    repair(wire, kind=Kind.ORPHAN)
    assert {(type(frame), frame.client_order_id, frame.terms.quantity) for frame in frames(wire)} == {
        (ModifyOrder, order.client_order_id, D(40)) for order in (target, stop)
    }


def test_orphan_exits_are_cancelled(wire: Wire) -> None:
    """C25: the entry was rejected after its exits were accepted; the broker never reported a position."""
    entry, target, stop = wire.sent(*wire.bracket())
    OrderRecord.objects.filter(pk=entry.pk).update(status=OrderStatus.REJECTED.value, status_basis="code")
    [finding] = findings(wire)
    assert (finding.kind, finding.quantity) == (Kind.ORPHAN, D(100))
    repair(wire)
    assert {frame.client_order_id for frame in frames(wire)} == {target.client_order_id, stop.client_order_id}
    assert not any(finding.alarms for finding in findings(wire)), "under way"
    with pytest.raises(Refused) as refused:
        repair(wire)
    assert refused.value.code == "NOTHING_TO_REPAIR"


def test_a_day_pair_is_made_to_last(wire: Wire) -> None:
    hold(wire)
    orders = wire.sent(*wire.protect(time_in_force=TimeInForce.DAY))
    assert [finding.kind for finding in findings(wire)] == [Kind.EXPIRING, Kind.PROTECTED]
    repair(wire)
    sent = frames(wire)
    assert {(frame.client_order_id, frame.terms.time_in_force) for frame in sent} == {(order.client_order_id, "GTC") for order in orders}


def test_a_stop_that_was_moved_elsewhere_is_set_back(wire: Wire) -> None:
    """C32: somebody moved our stop in TWS."""
    hold(wire)
    stop, _target = wire.sent(*wire.protect())
    moved = OrderTerms(Side.SELL, OrderType.STOP, D(100), stop_price=D("70"), time_in_force=TimeInForce.GTC)
    wire.acknowledge(stop, terms=moved)
    finding = findings(wire)[0]
    assert (finding.kind, finding.text) == (Kind.DRIFTED, "The stop at 70 is not what was asked: stop price 70 instead of 98.")
    repair(wire, plan=spell(finding.steps))
    [frame] = frames(wire)
    assert (frame.client_order_id, frame.terms.stop_price) == (stop.client_order_id, D(98))


def test_nothing_is_done_where_it_is_not_what_was_shown_any_more(wire: Wire) -> None:
    hold(wire)
    shown = spell(findings(wire)[0].steps)
    hold(wire, "150")
    with pytest.raises(Refused) as refused:
        repair(wire, plan=shown)
    assert refused.value.code == "PLAN_CHANGED"
    assert OrderRecord.objects.count() == 0


def test_what_only_the_broker_can_settle_is_said_and_not_touched(wire: Wire) -> None:
    hold(wire)
    stop, _ = wire.sent(*wire.protect())
    wire.acknowledge(stop, word="Inactive")
    with pytest.raises(Refused) as refused:
        repair(wire)
    assert refused.value.code == "CANNOT_REPAIR"
    assert "must release" in refused.value.message


def test_a_fill_that_the_position_does_not_show_yet_raises_no_alarm_and_hides_none(wire: Wire) -> None:
    entry, _target, _stop = wire.sent(*wire.bracket())
    hold(wire, "0", "0")
    wire.fill(entry, "100", "99.50")
    assert [(finding.kind, finding.quantity) for finding in findings(wire)] == [(Kind.PROTECTED, D(100))], "reported flat, and filled"
    wire.pass_time(6)
    assert findings(wire)[0].kind is Kind.ORPHAN, "the report stands: what the broker says counts"


def test_a_repair_is_checked_like_any_order(wire: Wire) -> None:
    hold(wire)
    make_quote(wire.contract, at=wire.now)
    with pytest.raises(Refused) as refused:
        repair(wire, stop_price=D("97.005"))
    assert refused.value.code == "OFF_TICK"
    with pytest.raises(Refused) as refused:
        repair(wire, stop_price=D("101"))
    assert refused.value.code == "STOP_THROUGH_MARKET"
    assert OrderRecord.objects.count() == 0
