"""Brackets of several pairs, and exits of a position in pairs: which orders they become, in which order, in which groups."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from orders.errors import Refused
from orders.models import OcaGroup, OrderRecord
from orders.rules.commands import PlaceOrder
from orders.rules.reports import OrderAbsent, OrderDoubtful
from orders.rules.terms import OcaType, OrderTerms, OrderType, Role, Side, TimeInForce
from orders.rules.tickets import BracketTicket, ExitPair
from orders.tests.desk_of_one import Wire
from orders.tests.factories import a_key, make_limit, make_position

pytestmark = pytest.mark.django_db

ENTRY = OrderTerms(Side.BUY, OrderType.LIMIT, D(100), limit_price=D("99.50"))
MARKET = OrderTerms(Side.BUY, OrderType.MARKET, D(100))
SCALE_OUT = (
    ExitPair(D(50), target_price=D(103), stop_price=D(97)),
    ExitPair(D(30), target_price=D(107), stop_price=D(97), stop_limit_price=D("96.50")),
    ExitPair(D(20), target_price=D(112), trail_percent=D(2)),
)


@pytest.fixture
def wire() -> Wire:
    wire = Wire()
    wire.contract.order_types = []  # not known: the broker has the last word
    wire.contract.save()
    return wire


def place(wire: Wire, ticket: BracketTicket, **options: Any) -> list[OrderRecord]:
    options = {"key": a_key(), "confirm_duplicate": True, **options}
    return wire.manager.place_bracket_ticket(wire.account, wire.contract, ticket, **options)


def exits(wire: Wire, *pairs: ExitPair, **options: Any) -> list[OrderRecord]:
    return wire.manager.place_exits(wire.account, wire.contract, pairs, **{"key": a_key(), **options})


def frames(wire: Wire) -> list[PlaceOrder]:
    [unit] = wire.send()
    return [frame for frame in unit.frames if isinstance(frame, PlaceOrder)]


def field_of(wire: Wire, ticket: BracketTicket) -> tuple[str, str]:
    with pytest.raises(Refused) as refused:
        place(wire, ticket)
    assert not OrderRecord.objects.exists()
    return refused.value.code, refused.value.field


# --- brackets -------------------------------------------------------------------------------------------------------------------------


def test_a_stop_that_is_required_is_required_for_all_of_the_entry(wire: Wire) -> None:
    make_limit("REQUIRE_STOP", "1", account=wire.account)
    one, rest = ExitPair(D(1), target_price=D(103), stop_price=D(97)), ExitPair(D(99), target_price=D(107))
    with pytest.raises(Refused) as refused:
        place(wire, BracketTicket(ENTRY, (one, rest)))
    assert refused.value.code == "REQUIRE_STOP"
    assert len(place(wire, BracketTicket(ENTRY, (one, replace(rest, stop_price=D(96)))))) == 5
    assert len(frames(wire)) == 5  # nor is it held against them before they are sent


@pytest.mark.parametrize("oca_type", list(OcaType))
def test_each_pair_is_a_group_of_its_own_under_one_entry(wire: Wire, oca_type: OcaType) -> None:
    entry, *legs = place(wire, BracketTicket(ENTRY, SCALE_OUT, oca_type=oca_type))
    assert [(leg.role, leg.order_type, leg.quantity) for leg in legs] == [
        (Role.STOP_LOSS, "STP", D(50)),
        (Role.TAKE_PROFIT, "LMT", D(50)),
        (Role.STOP_LOSS, "STP LMT", D(30)),
        (Role.TAKE_PROFIT, "LMT", D(30)),
        (Role.STOP_LOSS, "TRAIL", D(20)),
        (Role.TAKE_PROFIT, "LMT", D(20)),
    ]
    assert {leg.parent_id for leg in legs} == {entry.pk}
    assert {leg.time_in_force for leg in legs} == {"GTC"}
    groups = [leg.oca_group_id for leg in legs]
    assert groups[0::2] == groups[1::2]
    assert len(set(groups)) == 3
    assert {group.oca_type for group in OcaGroup.objects.all()} == {int(oca_type)}
    sent = frames(wire)
    assert [frame.transmit for frame in sent] == [False] * 6 + [True]
    assert [frame.parent_ib_order_id for frame in sent] == [0] + [sent[0].ib_order_id] * 6
    assert [frame.oca_type for frame in sent] == [0] + [int(oca_type)] * 6


def test_the_old_bracket_names_no_group_and_the_broker_links_its_exits(wire: Wire) -> None:
    _entry, target, stop = wire.bracket()
    assert (target.role, stop.role) == (Role.TAKE_PROFIT, Role.STOP_LOSS)
    assert not OcaGroup.objects.exists()
    assert [frame.terms.order_type for frame in frames(wire)] == ["LMT", "STP", "LMT"]


def test_stops_alone_have_groups_too_or_the_broker_would_link_them_all(wire: Wire) -> None:
    pairs = tuple(replace(pair, target_price=None) for pair in SCALE_OUT)
    _, *legs = place(wire, BracketTicket(ENTRY, pairs))
    assert len({leg.oca_group_id for leg in legs} - {None}) == 3


def test_a_time_stop_is_the_third_of_its_pair(wire: Wire) -> None:
    pair = ExitPair(D(100), target_price=D(107), stop_price=D(97), time_stop=timedelta(minutes=90))
    _, stop, target, late = place(wire, BracketTicket(MARKET, (pair,)))
    assert (late.role, late.order_type, late.good_after) == (Role.TIME_STOP, "MKT", wire.now + timedelta(minutes=90))
    assert stop.oca_group == target.oca_group == late.oca_group is not None


@pytest.mark.parametrize(("session", "opens"), [("0930-1600", True), ("1200-1600", False)])
def test_a_time_stop_does_not_count_while_the_entry_waits_for_the_opening(wire: Wire, session: str, opens: bool) -> None:
    wire.contract.liquid_hours = f"20260302:{session}"  # it is 10:00 there
    wire.contract.save()
    ticket = BracketTicket(MARKET, (ExitPair(D(100), stop_price=D(97), time_stop=timedelta(hours=1)),))
    if opens:
        assert len(place(wire, ticket)) == 3
    else:
        assert field_of(wire, ticket) == ("TICKET", "pair_1_time_stop")


def test_a_short_bracket_is_mirrored(wire: Wire) -> None:
    entry = OrderTerms(Side.SELL, OrderType.STOP, D(100), stop_price=D(99))
    _, stop, target = place(wire, BracketTicket(entry, (ExitPair(D(100), target_price=D(95), stop_price=D(101)),)))
    assert (stop.side, target.side, stop.stop_price, target.limit_price) == ("BUY", "BUY", D(101), D(95))


def test_exits_have_times_and_hours_of_their_own(wire: Wire) -> None:
    ticket = BracketTicket(ENTRY, SCALE_OUT, exits_time_in_force=TimeInForce.DAY, exits_outside_rth=True)
    entry, *legs = place(wire, ticket)
    assert (entry.time_in_force, entry.outside_rth) == ("DAY", False)
    assert {(leg.time_in_force, leg.outside_rth) for leg in legs} == {("DAY", True)}


def test_what_is_refused_names_the_pair(wire: Wire) -> None:
    def with_second(**values: Any) -> BracketTicket:
        first, second, third = SCALE_OUT
        return BracketTicket(ENTRY, (first, replace(second, **values), third))

    assert field_of(wire, with_second(stop_price=D("97.005"))) == ("OFF_TICK", "pair_2_stop_price")
    assert field_of(wire, with_second(target_price=D("107.005"))) == ("OFF_TICK", "pair_2_target_price")
    assert field_of(wire, with_second(stop_limit_price=D("96.505"))) == ("OFF_TICK", "pair_2_stop_limit_price")
    assert field_of(wire, with_second(target_price=D("99.50"))) == ("TICKET", "pair_2_target_price")
    assert field_of(wire, with_second(quantity=D(31))) == ("TICKET", "pairs")
    assert field_of(wire, with_second(quantity=0.5)) == ("TICKET", "pair_2_quantity")
    first, second, third = SCALE_OUT
    pairs = (first, replace(second, stop_price=D(101), stop_limit_price=None), replace(third, trail_percent=None))
    market = BracketTicket(MARKET, pairs)
    assert field_of(wire, market) == ("STOP_THROUGH_MARKET", "pair_2_stop_price")


def test_ten_pairs_go_out_as_one_unit(wire: Wire) -> None:
    make_limit("MAX_OPEN_ORDERS", "50")
    pair = ExitPair(D(10), target_price=D(107), stop_price=D(97), time_stop=timedelta(hours=1))
    other = wire.buy("1")
    place(wire, BracketTicket(MARKET, (pair,) * 10))
    first, *rest = wire.send()
    assert [frame.client_order_id for frame in first.frames] == [other.client_order_id]
    if not rest:
        rest = wire.send()
    assert [len(unit.frames) for unit in rest] == [31]


def test_one_key_is_one_bracket(wire: Wire) -> None:
    ticket = BracketTicket(ENTRY, SCALE_OUT)
    assert place(wire, ticket, key="k") == place(wire, ticket, key="k")
    spelled = replace(ticket, pairs=(replace(SCALE_OUT[0], stop_price=D("97.00")), *SCALE_OUT[1:]))
    assert place(wire, spelled, key="k") == place(wire, ticket, key="k")
    with pytest.raises(Refused) as refused:
        place(wire, BracketTicket(ENTRY, SCALE_OUT, oca_type=OcaType.REDUCE_WITH_BLOCK), key="k")
    assert refused.value.code == "KEY_REUSED"


def test_a_lost_bracket_goes_again_in_the_same_pairs(wire: Wire) -> None:
    lost = place(wire, BracketTicket(ENTRY, SCALE_OUT, oca_type=OcaType.REDUCE_WITH_BLOCK))
    lose(wire, lost)
    new = wire.manager.send_again(lost[3], key=a_key(), reason="Not in TWS.")
    assert [order.terms for order in new] == [order.terms for order in lost]
    assert [order.resend_of_id for order in new] == [order.pk for order in lost]
    groups = [order.oca_group_id for order in new[1:]]
    assert groups[0::2] == groups[1::2]
    assert len(set(groups)) == 3
    assert not set(groups) & {order.oca_group_id for order in lost}
    assert {order.oca_group.oca_type for order in new[1:]} == {2}
    assert len(frames(wire)) == 7


def test_a_lost_time_stop_whose_time_has_passed_is_not_sent_again(wire: Wire) -> None:
    pair = ExitPair(D(100), stop_price=D(97), time_stop=timedelta(seconds=10))
    lost = place(wire, BracketTicket(MARKET, (pair,)))
    lose(wire, lost)
    with pytest.raises(Refused) as refused:
        wire.manager.send_again(lost[0], key=a_key(), reason="Not in TWS.")
    assert refused.value.code == "TIME_PASSED"


def lose(wire: Wire, orders: list[OrderRecord]) -> None:
    """Sent, and two complete lists of the broker lacked them."""
    wire.send()
    wire.hear(*(OrderDoubtful(order.client_order_id, "The link was lost.") for order in orders))
    for _ in range(2):
        wire.pass_time(11)
        wire.hear(*(OrderAbsent(order.client_order_id, wire.now) for order in orders))


# --- exits of a position ----------------------------------------------------------------------------------------------------------------


def test_a_position_is_left_in_pairs(wire: Wire) -> None:
    make_position(wire.account, wire.contract, "100", "100")
    orders = exits(wire, *SCALE_OUT, oca_type=OcaType.REDUCE_WITHOUT_BLOCK)
    assert [(order.role, order.quantity) for order in orders] == [
        (role, quantity) for quantity in (D(50), D(30), D(20)) for role in (Role.STOP_LOSS, Role.TAKE_PROFIT)
    ]
    assert len({order.oca_group_id for order in orders}) == 3
    assert {order.parent_id for order in orders} == {None}
    sent = frames(wire)
    assert {(frame.oca_type, frame.transmit) for frame in sent} == {(3, True)}
    with pytest.raises(Refused) as refused:
        exits(wire, ExitPair(D(1), stop_price=D(97)))
    assert refused.value.code == "EXCEEDS_POSITION"


def test_exits_take_what_is_not_covered_and_no_more(wire: Wire) -> None:
    make_position(wire.account, wire.contract, "100", "100")
    exits(wire, ExitPair(D(60), stop_price=D(97)))
    with pytest.raises(Refused) as refused:
        exits(wire, ExitPair(D(20), stop_price=D(97)), ExitPair(D(21), stop_price=D(96)))
    assert (refused.value.code, refused.value.field, refused.value.limit) == ("EXCEEDS_POSITION", "pairs", "40")
    assert len(exits(wire, ExitPair(D(20), stop_price=D(97)), ExitPair(D(20), stop_price=D(96)))) == 2


def test_the_pairs_of_an_entry_that_filled_cover_their_sum(wire: Wire) -> None:
    entry, *legs = place(wire, BracketTicket(ENTRY, SCALE_OUT, oca_type=OcaType.REDUCE_WITH_BLOCK))
    wire.sent(entry, *legs)
    wire.fill(entry, 100)
    make_position(wire.account, wire.contract, "120", "99.50", at=wire.now)
    stop, _ = wire.protect()
    assert stop.quantity == D(20)
    with pytest.raises(Refused) as refused:
        exits(wire, ExitPair(D(1), stop_price=D(97)))
    assert refused.value.code == "EXCEEDS_POSITION"


def test_a_stop_alone_needs_no_group(wire: Wire) -> None:
    make_position(wire.account, wire.contract, "-100", "100")
    [stop] = exits(wire, ExitPair(D(100), trail_amount=D("1.50")))
    assert (stop.side, stop.order_type, stop.trail_amount, stop.oca_group) == ("BUY", "TRAIL", D("1.50"), None)


def test_a_time_stop_on_a_position_counts_from_now(wire: Wire) -> None:
    make_position(wire.account, wire.contract, "100", "100")
    stop, late = exits(wire, ExitPair(D(100), stop_price=D(97), time_stop=timedelta(hours=1)))
    assert (late.role, late.good_after, late.oca_group_id) == (Role.TIME_STOP, wire.now + timedelta(hours=1), stop.oca_group_id)


@pytest.mark.parametrize(
    ("pair", "code", "field"),
    [
        (ExitPair(D(100), stop_price=D(101)), "STOP_THROUGH_MARKET", "pair_1_stop_price"),
        (ExitPair(D(100), target_price=D(99)), "TARGET_THROUGH_MARKET", "pair_1_target_price"),
        (ExitPair(D(100)), "TICKET", "pair_1_stop_price"),
        (ExitPair(D(100), target_price=D(97), stop_price=D(98)), "TICKET", "pair_1_stop_price"),
        (ExitPair(D(101), stop_price=D(97)), "EXCEEDS_POSITION", "quantity"),
    ],
)
def test_exits_that_would_not_protect_are_refused(wire: Wire, pair: ExitPair, code: str, field: str) -> None:
    make_position(wire.account, wire.contract, "100", "100")
    with pytest.raises(Refused) as refused:
        exits(wire, pair)
    assert (refused.value.code, refused.value.field) == (code, field)


def test_a_position_that_shrank_before_its_pairs_were_sent_gets_none(wire: Wire) -> None:
    make_position(wire.account, wire.contract, "100", "100")
    orders = exits(wire, *SCALE_OUT)
    make_position(wire.account, wire.contract, "90", "100")
    assert wire.claim() == []
    orders[0].refresh_from_db()
    assert orders[0].status_code == "EXCEEDS_POSITION"
