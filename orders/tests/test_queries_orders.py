"""Orders as families: what belongs together, what is shown, and what stands beside the status."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from orders import queries
from orders.models import OcaGroup, TrailingStop
from orders.rules.lifecycle import OrderStatus
from orders.rules.terms import CommandKind, CommandState, Role, terms_to_json
from orders.tests import factories
from orders.tests.factories import NOW
from orders.tests.seats import Seats, take_seats

pytestmark = pytest.mark.django_db


@pytest.fixture
def seats() -> Seats:
    return take_seats()


def test_a_bracket_is_one_family_with_its_filled_parent(seats: Seats) -> None:
    entry, target, stop = seats.bracket(filled="100")
    (family,) = queries.order_families(seats.trader)
    assert family.unit_id == f"family-{entry.pk}"
    assert [row.pk for row in family.rows] == [entry.pk, target.pk, stop.pk]
    assert [row.kin for row in family.rows] == ["kin-head", "kin-mid", "kin-end"]
    assert [row.oca for row in family.rows] == ["", "a", "b"]
    assert family.rows[0].is_done


def test_a_family_leaves_the_working_scope_with_its_last_open_member(seats: Seats) -> None:
    entry, target, stop = seats.bracket(filled="100")
    for order in (target, stop):
        order.status, order.status_basis = OrderStatus.CANCELLED.value, "broker"
        order.save()
    assert queries.order_families(seats.trader) == []
    assert queries.order_families(seats.trader, roots={entry.pk}) == []
    assert [family.root_id for family in queries.order_families(seats.trader, scope="today")] == [entry.pk]


def test_an_oca_group_is_one_family_and_the_target_stands_above_the_stop(seats: Seats) -> None:
    stop, target = seats.oca_pair()
    (family,) = queries.order_families(seats.trader)
    assert family.root_id == stop.pk
    assert [row.pk for row in family.rows] == [target.pk, stop.pk]
    assert [row.oca for row in family.rows] == ["a", "b"]


def test_each_pair_of_a_bracket_has_a_bracket_of_its_own(seats: Seats) -> None:
    entry = seats.order(role=Role.ENTRY.value)
    pks = {}
    for pair in ("one", "two"):
        group = OcaGroup.objects.create(name=pair, oca_type=2)
        common = {"parent": entry, "oca_group": group, "status": OrderStatus.HELD}
        pks[pair, "stop"] = seats.order("SELL", "STP", role=Role.STOP_LOSS.value, stop_price=Decimal(98), **common).pk
        pks[pair, "target"] = seats.order("SELL", role=Role.TAKE_PROFIT.value, limit_price=Decimal(108), **common).pk
        if pair == "two":
            pks[pair, "late"] = seats.order("SELL", "MKT", role=Role.TIME_STOP.value, **common).pk
    (family,) = queries.order_families(seats.trader)
    expected = [("one", "target"), ("one", "stop"), ("two", "target"), ("two", "stop"), ("two", "late")]
    assert [row.pk for row in family.rows] == [entry.pk, *(pks[which] for which in expected)]
    assert [row.oca for row in family.rows] == ["", "a", "b", "a", "m", "b"]


def test_any_member_leads_to_its_family(seats: Seats) -> None:
    entry, target, stop = seats.bracket()
    first, second = seats.oca_pair()
    single = seats.order()
    assert queries.family_roots([stop.pk, target.pk]) == {entry.pk}
    assert queries.family_roots([second.pk]) == {first.pk}
    assert queries.family_roots([single.pk, stop.pk]) == {single.pk, entry.pk}


def test_the_newest_family_comes_first(seats: Seats) -> None:
    older, newer = seats.order(), seats.order()
    assert [family.root_id for family in queries.order_families(seats.trader)] == [newer.pk, older.pk]


def test_today_begins_with_the_trading_day_of_the_account(seats: Seats) -> None:
    old = seats.order(status=OrderStatus.FILLED, filled_quantity=Decimal(100))
    old.created_at = old.closed_at = seats.now - timedelta(days=3)
    old.save()
    new = seats.order(status=OrderStatus.REJECTED)
    assert [family.root_id for family in queries.order_families(seats.trader, scope="today")] == [new.pk]


def test_orders_of_accounts_one_may_not_see_do_not_exist(seats: Seats) -> None:
    seats.order()
    assert queries.order_families(seats.stranger) == []
    assert len(queries.order_families(seats.viewer)) == 1
    other = factories.make_account("DU2")
    assert queries.order_families(seats.trader, account=other) == []


def test_intent_stands_beside_the_status(seats: Seats) -> None:
    order = seats.order(filled_quantity=Decimal(40))
    seats.command(order, CommandKind.CANCEL)
    (row,) = queries.order_families(seats.trader)[0].rows
    assert (row.status, str(row.mark.word)) == ("WORKING", "CANCEL ASKED")
    assert (row.filled, row.quantity) == ("40", "100")
    assert not row.can_cancel
    assert not row.can_change


def test_a_change_shows_the_price_asked_for(seats: Seats) -> None:
    order = seats.order()
    seats.command(order, CommandKind.MODIFY, terms={**terms_to_json(order.terms), "limit_price": "99.60"})
    (row,) = queries.order_families(seats.trader)[0].rows
    assert (row.price, row.next_price, str(row.mark.word)) == ("99.50", "99.60", "CHANGE ASKED")
    assert row.can_cancel


def test_a_settled_command_is_no_intent(seats: Seats) -> None:
    order = seats.order()
    seats.command(order, CommandKind.CANCEL, CommandState.REFUSED)
    (row,) = queries.order_families(seats.trader)[0].rows
    assert str(row.mark.word) == "WORKING"
    assert row.can_cancel


def test_an_unknown_order_stays_unknown_whatever_is_asked(seats: Seats) -> None:
    order = seats.order(status=OrderStatus.UNKNOWN)
    seats.command(order, CommandKind.CANCEL)
    (family,) = queries.order_families(seats.trader)
    assert family.rows[0].is_unknown
    assert str(family.rows[0].mark.word) == "UNKNOWN"
    assert "AAPL UNKNOWN" in family.alert


def test_a_closing_order_that_waits_says_so(seats: Seats) -> None:
    order = seats.order("SELL", "MKT", status=OrderStatus.PENDING)
    seats.command(order, CommandKind.PLACE, CommandState.PENDING, after=["DBTEST-1"])
    (row,) = queries.order_families(seats.trader)[0].rows
    assert str(row.mark.word) == "WAITS"


def test_only_who_may_trade_is_offered_acts(seats: Seats) -> None:
    seats.order()
    assert queries.order_families(seats.trader)[0].rows[0].can_cancel
    viewed = queries.order_families(seats.viewer)[0].rows[0]
    assert not viewed.can_cancel
    assert not viewed.can_change


def test_the_number_of_queries_does_not_grow_with_the_orders(seats: Seats, django_assert_max_num_queries) -> None:
    for _number in range(12):
        seats.bracket()
    with django_assert_max_num_queries(6):
        assert len(queries.order_families(seats.trader)) == 12


def test_nothing_that_decides_how_an_order_trades_is_left_off_the_screen(seats: Seats) -> None:
    order = seats.order(
        order_type="TRAIL LIMIT",
        limit_price=None,
        stop_price=Decimal("98"),
        trail_percent=Decimal("2.50"),
        limit_offset=Decimal("0.10"),
        time_in_force="GTD",
        good_till=datetime(2026, 3, 6, 21, 0, tzinfo=UTC),
        good_after=datetime(2026, 3, 2, 20, 30, tzinfo=UTC),
        all_or_none=True,
        trigger_method=2,
    )
    TrailingStop.objects.create(order=order, price=Decimal("99.25"), at=NOW)
    (row,) = queries.order_families(seats.trader)[0].rows
    assert row.price == "99.25 (2.5 %)"
    assert row.attributes == (
        "Trails by: 2.5 %; Trail began at: 98.00; Limit off its stop: 0.10; Ends: 2026-03-06 16:00:00 EST; "
        "Goes live: 2026-03-02 15:30:00 EST; All or none; Triggered by: last trade"
    )
    detail = queries.order_detail(seats.trader, order.client_order_id)
    assert detail is not None
    assert ("Triggered by", "last trade") in detail.attributes
    assert detail.attributes[0] == ("Stop stands at", "99.25")
    plain = seats.order(display_size=Decimal(10), hidden=True, adaptive="Urgent")
    assert queries.order_detail(seats.trader, plain.client_order_id).row.attributes == (
        "The market sees: 10; Hidden; Algorithm: Adaptive, Urgent"
    )


def test_a_change_of_a_trail_is_told_with_its_distance(seats: Seats) -> None:
    order = seats.order(order_type="TRAIL", limit_price=None, trail_amount=Decimal("2"), time_in_force="GTC")
    TrailingStop.objects.create(order=order, price=Decimal("99.25"), at=NOW)
    terms = {**terms_to_json(order.terms), "trail_amount": "1.5", "time_in_force": "GTD", "good_till": "2026-03-06T21:00:00+00:00"}
    seats.command(order, CommandKind.MODIFY, terms=terms)
    (row,) = queries.order_families(seats.trader)[0].rows
    assert (row.price, row.next_price) == ("99.25 (2)", "99.25 (1.5)")
    detail = queries.order_detail(seats.trader, order.client_order_id)
    assert detail is not None
    assert detail.intents == ("Change asked: trail 2 → 1.5, ends none → 2026-03-06 16:00:00 EST, in force GTC → GTD",)
