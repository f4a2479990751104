"""Mending what the guardian finds: the right orders, in the right order, once, and nothing where things have moved on."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from orders import replay
from orders.errors import Refused
from orders.models import Event, OrderRecord
from orders.queries.guard import verdicts
from orders.queries.holdings import guarded
from orders.queries.templates import exits_for
from orders.rules.commands import CancelOrder, ModifyOrder, PlaceOrder
from orders.rules.exit_template import BUILT_IN
from orders.rules.guardian import Finding, Kind
from orders.rules.lifecycle import OrderStatus
from orders.rules.mending import spell
from orders.rules.terms import AccessLevel, OcaType, OrderTerms, OrderType, Role, Side, TimeInForce
from orders.rules.tickets import BracketTicket, ExitPair
from orders.tests.desk_of_one import Wire
from orders.tests.factories import a_key, grant, make_position, make_quote, make_user

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


# --- several pairs, and templates ---------------------------------------------------------------------------------------------------------


def scale_out(wire: Wire, oca_type: OcaType) -> list[OrderRecord]:
    """Three pairs on a position of 100, working at the broker."""
    hold(wire)
    pairs = [ExitPair(D(size), target_price=D(price), stop_price=D(97)) for size, price in ((50, 103), (30, 107), (20, 112))]
    orders = wire.manager.place_exits(wire.account, wire.contract, pairs, key=a_key(), oca_type=oca_type)
    wire.send()
    for order in orders:
        wire.acknowledge(order, word="PreSubmitted" if order.role == Role.STOP_LOSS else "Submitted")
    return orders


def test_pairs_that_lost_their_stops_are_mended_as_pairs(wire: Wire) -> None:
    one_stop, one, two_stop, two, *_ = scale_out(wire, OcaType.CANCEL_WITH_BLOCK)
    for target, stop, filled in ((one, one_stop, 10), (two, two_stop, 5)):
        wire.fill(target, filled, price=target.limit_price)
        wire.gone(stop)
    hold(wire, "85")
    [finding, _] = findings(wire)
    assert (finding.kind, finding.quantity) == (Kind.UNDER_PROTECTED, D(65))
    orders = repair(wire, plan=spell(finding.steps))
    assert [(order.role, order.quantity, order.stop_price or order.limit_price) for order in orders[2:]] == [
        (Role.STOP_LOSS, D(40), D(97)),
        (Role.TAKE_PROFIT, D(40), D(103)),
        (Role.STOP_LOSS, D(25), D(97)),
        (Role.TAKE_PROFIT, D(25), D(107)),
    ]
    assert len({order.oca_group_id for order in orders[2:]}) == 2
    wire.send()
    wire.gone(one, two)
    wire.housekeeping()
    [unit] = wire.send()
    assert [frame.terms.quantity for frame in unit.frames] == [D(40), D(40), D(25), D(25)]


def test_what_is_left_then_is_shared_out_pair_by_pair(wire: Wire) -> None:
    one_stop, one, two_stop, two, *_ = scale_out(wire, OcaType.CANCEL_WITH_BLOCK)
    for target, stop, filled in ((one, one_stop, 10), (two, two_stop, 5)):
        wire.fill(target, filled, price=target.limit_price)
        wire.gone(stop)
    hold(wire, "85")
    orders = repair(wire)
    wire.send()
    wire.fill(one, 25, price=D(103))  # before its cancel: of 85 there are 60, of which the third pair exits 20
    hold(wire, "60")
    wire.gone(one, two)
    wire.pass_time(6)
    wire.housekeeping()
    [unit] = wire.send()
    assert [frame.terms.quantity for frame in unit.frames] == [D(40), D(40)]
    for order in orders[4:]:
        order.refresh_from_db()
    assert {(order.status, order.status_code) for order in orders[4:]} == {("CANCELLED", "NOTHING_TO_CLOSE")}


def test_one_price_is_not_taken_for_several_pairs(wire: Wire) -> None:
    one_stop, one, two_stop, two, *_ = scale_out(wire, OcaType.CANCEL_WITH_BLOCK)
    for target, stop in ((one, one_stop), (two, two_stop)):
        wire.fill(target, 5, price=target.limit_price)
        wire.gone(stop)
    hold(wire, "90")
    with pytest.raises(Refused) as refused:
        repair(wire, stop_price=D(96))
    assert refused.value.code == "SEVERAL_PAIRS"


def test_an_entry_cut_short_leaves_pairs_that_are_made_smaller(wire: Wire) -> None:
    entry_terms = OrderTerms(Side.BUY, OrderType.LIMIT, D(100), limit_price=D("99.50"))
    pairs = tuple(ExitPair(D(size), target_price=D(107), stop_price=D(97)) for size in (50, 30, 20))
    ticket = BracketTicket(entry_terms, pairs, oca_type=OcaType.REDUCE_WITH_BLOCK)
    entry, *legs = wire.manager.place_bracket_ticket(wire.account, wire.contract, ticket, key=a_key())
    wire.sent(entry, *legs)
    wire.fill(entry, 60)
    hold(wire, "60")
    wire.gone(entry)
    [finding, _] = findings(wire)
    assert (finding.kind, finding.quantity) == (Kind.ORPHAN, D(40))
    repair(wire)
    sent = frames(wire)
    assert {(type(frame), frame.client_order_id) for frame in sent} == {
        (ModifyOrder, legs[2].client_order_id),
        (ModifyOrder, legs[3].client_order_id),
        (CancelOrder, legs[4].client_order_id),
        (CancelOrder, legs[5].client_order_id),
    }
    assert [frame.terms.quantity for frame in sent[2:]] == [D(10), D(10)]


def test_a_new_pair_is_of_the_users_template(wire: Wire) -> None:
    wire.manager.set_exit_template(key=a_key(), stop_loss=D("0.03"), profit_target=D("0.05"))
    hold(wire)
    stop, target = repair(wire)
    assert (stop.stop_price, target.limit_price) == (D(97), D(105))


def test_a_template_of_the_symbol_comes_first_and_may_trail(wire: Wire) -> None:
    wire.contract.order_types = []
    wire.contract.save()
    wire.manager.set_exit_template(key=a_key(), stop_loss=D("0.03"))
    wire.manager.set_exit_template(
        wire.contract.symbol.lower(), key=a_key(), trail_percent=D(4), time_stop=timedelta(hours=2), oca_type=OcaType.REDUCE_WITH_BLOCK
    )
    found = exits_for(wire.user, wire.contract)
    assert (found.symbol, found.trail_percent, found.is_built_in) == (wire.contract.symbol, D(4), False)
    hold(wire)
    stop, target, late = repair(wire)
    assert (stop.order_type, stop.trail_percent, target.limit_price) == ("TRAIL", D(4), D(108))
    assert (late.role, late.good_after, late.oca_group.oca_type) == (Role.TIME_STOP, wire.now + timedelta(hours=2), 2)


def test_templates_are_set_in_place_and_removed(wire: Wire) -> None:
    first = wire.manager.set_exit_template(key=a_key(), stop_loss=D("0.03"))
    assert wire.manager.set_exit_template(key=a_key(), stop_loss=D("0.04")).pk == first.pk
    assert exits_for(wire.user, wire.contract).stop_loss == D("0.04")
    assert exits_for(make_user(), wire.contract).is_built_in
    wire.manager.remove_exit_template(key=a_key())
    assert exits_for(wire.user, wire.contract) == BUILT_IN
    with pytest.raises(Refused) as refused:
        wire.manager.remove_exit_template(key=a_key())
    assert refused.value.code == "NO_TEMPLATE"
    assert list(Event.objects.filter(kind__startswith="exit_template").values_list("kind", flat=True)) == [
        "exit_template.set",
        "exit_template.set",
        "exit_template.removed",
    ]
    assert replay.differences() == []


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"stop_loss": D(1)}, "stop_loss"),
        ({"profit_target": D(0)}, "profit_target"),
        ({"trail_percent": D(100)}, "trail_percent"),
        ({"time_stop": timedelta(0)}, "time_stop"),
        ({"time_in_force": TimeInForce.IOC}, "time_in_force"),
        ({"stop_loss": 0.02}, "stop_loss"),
    ],
)
def test_a_template_that_gives_no_exits_is_refused(wire: Wire, values: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as refused:
        wire.manager.set_exit_template(key=a_key(), **values)
    assert (refused.value.code, refused.value.field) == ("TICKET", field)
