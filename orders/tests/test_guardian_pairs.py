"""The guardian on exits in several pairs: groups add up, a pair without a stop is bare, a trail protects, a time stop does not."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orders.rules.guardian import Kind, judge
from orders.rules.holding import Entry, Holding, Standing
from orders.rules.lifecycle import OrderStatus
from orders.rules.mending import Cancel, Change, Protect
from orders.rules.terms import OrderTerms, OrderType, Role, Side, TimeInForce

S = OrderStatus
SIZES = (("one", "50"), ("two", "30"), ("three", "20"))
TARGETS = {"one": D(103), "two": D(107), "three": D(112)}


def stop(pair: str, quantity: str, **fields: object) -> Standing:
    own = {"name": f"{pair}-stop", "order_type": "STP", "status": S.HELD, "role": Role.STOP_LOSS, "stop_price": D(97)}
    return Standing(**{"side": Side.SELL, "quantity": D(quantity), "group": pair, "oca_type": 1, **own, **fields})


def target(pair: str, quantity: str, **fields: object) -> Standing:
    own = {"name": f"{pair}-target", "order_type": "LMT", "status": S.WORKING, "role": Role.TAKE_PROFIT, "limit_price": TARGETS[pair]}
    return Standing(**{"side": Side.SELL, "quantity": D(quantity), "group": pair, "oca_type": 1, **own, **fields})


def late(pair: str, quantity: str, **fields: object) -> Standing:
    own = {"name": f"{pair}-late", "order_type": "MKT", "status": S.HELD, "role": Role.TIME_STOP}
    return Standing(**{"side": Side.SELL, "quantity": D(quantity), "group": pair, "oca_type": 1, **own, **fields})


def pairs(**fields: object) -> list[Standing]:
    return [leg(name, size, **fields) for name, size in SIZES for leg in (stop, target)]


def kinds(held: str, *orders: Standing, **facts: object) -> list[tuple[Kind, D]]:
    return [(finding.kind, finding.quantity) for finding in judge(Holding(D(held), orders, **facts)).findings]


def test_what_is_protected_is_the_sum_over_the_groups() -> None:
    assert kinds("100", *pairs()) == [(Kind.PROTECTED, D(100))]
    assert kinds("130", *pairs()) == [(Kind.UNDER_PROTECTED, D(30)), (Kind.PROTECTED, D(100))]


def test_a_pair_without_a_stop_is_bare_and_gets_a_new_pair_at_its_own_target() -> None:
    orders = [order for order in pairs() if order.name != "two-stop"]
    found = judge(Holding(D(100), tuple(orders)))
    bare = found.of(Kind.UNDER_PROTECTED)
    assert bare is not None
    assert (bare.quantity, found.bare) == (D(30), D(30))
    assert bare.steps == (Cancel("two-target"), Protect(D(30), None, D(107)))


def test_several_pairs_without_stops_are_mended_as_several_pairs() -> None:
    """After the first fills of their targets in groups of type 1: each target is left with what it has not filled."""
    fills = {"one": "10", "two": "5"}
    left = [target(name, size, filled=D(fills[name])) for name, size in SIZES if name in fills]
    gone = [stop(name, size, status=S.CANCELLED) for name, size in SIZES if name in fills]
    whole = [leg("three", "20") for leg in (stop, target)]
    [bare, covered] = judge(Holding(D(85), (*left, *whole), tuple(gone))).findings
    assert (bare.kind, bare.quantity, covered.quantity) == (Kind.UNDER_PROTECTED, D(65), D(20))
    assert bare.steps == (
        Cancel("one-target"),
        Cancel("two-target"),
        Protect(D(40), D(97), D(103)),
        Protect(D(25), D(97), D(107)),
    )


def test_a_trailing_stop_protects_from_where_it_stands() -> None:
    trail = stop("one", "100", order_type="TRAIL", trail_percent=D(2), stop_price=D("98.40"))
    assert kinds("100", trail, target("one", "100"), market=D(99)) == [(Kind.PROTECTED, D(100))]
    assert kinds("100", trail, market=D("98.39"))[0] == (Kind.DRIFTED, D(100))


def test_a_trail_of_another_distance_than_was_asked_is_drift() -> None:
    asked = OrderTerms(Side.SELL, OrderType.TRAIL, D(100), time_in_force=TimeInForce.GTC, trail_percent=D(2))
    trail = stop("one", "100", order_type="TRAIL", trail_percent=D(3), stop_price=D("98.40"), requested=asked)
    [drift, _] = judge(Holding(D(100), (trail,))).findings
    assert (drift.kind, drift.steps) == (Kind.DRIFTED, (Change("one-stop", trail_percent=D(2)),))
    assert kinds("100", replace(trail, trail_percent=D(2))) == [(Kind.PROTECTED, D(100))]


def test_a_time_stop_alone_is_no_protection() -> None:
    [bare] = judge(Holding(D(100), (late("one", "100"),))).findings
    assert (bare.kind, bare.quantity) == (Kind.UNPROTECTED, D(100))
    assert "until then it protects from nothing" in bare.text
    assert kinds("100", stop("one", "100"), late("one", "100")) == [(Kind.PROTECTED, D(100))]


def test_exits_of_a_position_that_is_gone_are_orphans_time_stops_too() -> None:
    orders = [*pairs(), late("one", "50")]
    [orphan] = judge(Holding(D(0), tuple(orders))).findings
    assert (orphan.kind, orphan.quantity) == (Kind.ORPHAN, D(100))
    assert set(orphan.steps) == {Cancel(order.name) for order in orders}


def children(entry: OrderStatus, filled: str, **fields: object) -> list[Standing]:
    return pairs(entry=Entry("entry", entry, D(filled)), **fields)


def test_exits_of_an_entry_that_is_filling_take_together_what_it_has_filled() -> None:
    filling = children(S.WORKING, "60")
    assert kinds("60", *filling) == [(Kind.PROTECTED, D(60))]
    assert kinds("70", *filling) == [(Kind.UNDER_PROTECTED, D(10)), (Kind.PROTECTED, D(60))]
    assert kinds("0", *children(S.WORKING, "0")) == []


def test_an_entry_cut_short_leaves_pairs_for_more_than_is_held_and_they_are_made_smaller() -> None:
    """C26: whole pairs stay as long as there is something left for them; the pair in between shrinks, the rest goes."""
    found = judge(Holding(D(60), tuple(children(S.CANCELLED, "60"))))
    orphan = found.of(Kind.ORPHAN)
    assert orphan is not None
    assert orphan.quantity == D(40)
    assert "Their entry ended before it had filled whole." in orphan.text
    assert set(orphan.steps) == {  # by name, as by age
        Change("three-stop", quantity=D(10)),
        Change("three-target", quantity=D(10)),
        Cancel("two-stop"),
        Cancel("two-target"),
    }
    assert kinds("60", *after(orphan.steps, children(S.CANCELLED, "60"), D(60)).orders) == [(Kind.PROTECTED, D(60))]


def after(steps: object, orders: list[Standing], held: D) -> Holding:
    """The holding once the steps were done by the broker."""
    found = {order.name: order for order in orders}
    for step in steps:  # type: ignore[attr-defined]
        if isinstance(step, Cancel):
            del found[step.order]
        elif isinstance(step, Change):
            found[step.order] = replace(found[step.order], quantity=step.quantity or found[step.order].quantity)
    return Holding(held, tuple(found.values()))


def test_a_member_reduced_by_a_fill_of_its_sibling_is_no_drift_in_groups_that_reduce() -> None:
    asked = OrderTerms(Side.SELL, OrderType.STOP, D(50), stop_price=D(97), time_in_force=TimeInForce.GTC)
    for oca_type, drifted in ((1, True), (2, False), (3, False)):
        reduced = stop("one", "30", oca_type=oca_type, requested=asked)
        filled = target("one", "50", filled=D(20), oca_type=oca_type)
        others = [leg(name, size) for name, size in SIZES[1:] for leg in (stop, target)]
        found = [kind for kind, _ in kinds("80", reduced, filled, *others)]
        assert (Kind.DRIFTED in found) is False or drifted, oca_type


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(1, 100), min_size=1, max_size=6),
    held=st.integers(1, 400),
    entry=st.sampled_from([None, S.WORKING, S.CANCELLED, S.FILLED]),
    filled=st.integers(0, 400),
)
def test_what_mends_too_many_exits_leaves_no_more_than_is_held(sizes: list[int], held: int, entry: OrderStatus | None, filled: int) -> None:
    parent = None if entry is None else Entry("entry", entry, D(filled))
    orders = [
        replace(leg("one", str(size)), name=f"{number:02}-{leg.__name__}", group=f"g{number}", entry=parent)
        for number, size in enumerate(sizes)
        for leg in (stop, target)
    ]
    holding = Holding(D(held), tuple(orders))
    orphan = judge(holding).of(Kind.ORPHAN)
    if orphan is None:
        assert holding.total(holding.leaving, at_most=True) <= held
        return
    mended = after(orphan.steps, orders, D(held))
    assert mended.total(mended.leaving, at_most=True) <= held
    assert judge(mended).of(Kind.ORPHAN) is None


@pytest.mark.parametrize("market", [None, D(100)])
def test_cover_is_never_more_than_is_held(market: D | None) -> None:
    found = judge(Holding(D(40), tuple(pairs()), market=market))
    covered = found.of(Kind.PROTECTED)
    assert covered is not None
    assert covered.quantity == D(40)
