"""The seal: it covers everything, and what changed since is told where it matters and only there."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.rules.limits import RULES, effective
from orders.rules.seals import (
    LIFE,
    Basis,
    Code,
    Effect,
    Sealed,
    basis_from_json,
    basis_to_json,
    changes,
    effect,
    request_hash,
    seal_of,
)
from orders.rules.terms import OrderTerms, OrderType, Side, TimeInForce, terms_to_json

AT = datetime(2026, 3, 2, 15, 1, tzinfo=UTC)
LIMITS = effective([])
BASIS = Basis(bid=D("99.99"), ask=D("100.01"), last=D("100"), position=D(0), multiplier=D(1), rate=D(1), limits=LIMITS)
BUY = OrderTerms(Side.BUY, OrderType.LIMIT, D(100), D("99.50"))
SEALED = Sealed("n", 1, "DU1000417", 265598, terms_to_json(BUY), BASIS, AT)

prices = st.none() | st.decimals("0.0001", "99999", places=4)
bases = st.builds(
    Basis,
    bid=prices,
    ask=prices,
    last=prices,
    position=st.decimals(-(10**6), 10**6, places=2),
    multiplier=st.decimals("0.01", 1000, places=2),
    rate=prices,
    limits=st.dictionaries(st.sampled_from([rule.value for rule in RULES]), st.decimals(0, 10**7, places=4)),
)
requests = st.builds(
    OrderTerms,
    side=st.sampled_from(Side),
    order_type=st.sampled_from(OrderType),
    quantity=st.decimals(1, 10**6, places=2),
    limit_price=prices,
    stop_price=prices,
    time_in_force=st.sampled_from(TimeInForce),
    outside_rth=st.booleans(),
    trail_percent=prices,
    good_till=st.none() | st.datetimes(timezones=st.just(UTC)),
    hidden=st.booleans(),
).map(terms_to_json)
seals = st.builds(
    Sealed,
    nonce=st.text("0123456789abcdef", min_size=1, max_size=16),
    user=st.integers(1, 10**6),
    account=st.text("DU0123456789", min_size=1, max_size=12),
    con_id=st.integers(1, 10**9),
    request=requests,
    basis=bases,
    expires_at=st.datetimes(timezones=st.just(UTC)),
)


@given(one=seals, other=seals, name=st.sampled_from([field.name for field in fields(Sealed)]))
def test_any_field_that_changes_changes_the_seal(one: Sealed, other: Sealed, name: str) -> None:
    changed = replace(one, **{name: getattr(other, name)})
    assert (seal_of(changed) == seal_of(one)) == (changed == one)


@given(one=seals, other=bases, name=st.sampled_from([field.name for field in fields(Basis)]))
def test_any_part_of_the_basis_that_changes_changes_the_seal(one: Sealed, other: Basis, name: str) -> None:
    changed = replace(one, basis=replace(one.basis, **{name: getattr(other, name)}))
    assert (seal_of(changed) == seal_of(one)) == (changed.basis == one.basis)


@given(one=seals, other=requests, data=st.data())
def test_any_term_that_changes_changes_the_seal_and_the_hash_of_the_request(
    one: Sealed, other: dict[str, Any], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted({*one.request, *other})))
    request = {**one.request, name: other.get(name)}
    assert (seal_of(replace(one, request=request)) == seal_of(one)) == (request == one.request)
    assert (request_hash(request) == request_hash(one.request)) == (request == one.request)


@given(basis=bases)
def test_a_basis_comes_back_as_it_was_written(basis: Basis) -> None:
    assert basis_from_json(basis_to_json(basis)) == basis


def test_the_spelling_of_a_number_and_the_zone_of_a_time_are_no_change() -> None:
    paris = AT.astimezone(tz=datetime.now().astimezone().tzinfo)
    same = replace(
        SEALED, request=terms_to_json(replace(BUY, quantity=D("100.0"))), basis=replace(BASIS, last=D("100.00")), expires_at=paris
    )
    assert seal_of(same) == seal_of(SEALED)
    assert len(seal_of(SEALED)) == 64


# --- what changed since ---------------------------------------------------------------------------------------------------------------


def codes(then: Basis, now: Basis, terms: OrderTerms = BUY) -> list[Code]:
    return [change.code for change in changes(then, now, terms)]


def test_what_stands_still_changes_nothing() -> None:
    assert changes(BASIS, BASIS, BUY) == []


@pytest.mark.parametrize(
    ("now", "moved"),
    [("100.01", False), ("100.51", False), ("100.52", True), ("99.51", False), ("99.50", True), ("200", True)],
)
def test_the_side_that_it_trades_at_may_drift_by_half_a_percent(now: str, moved: bool) -> None:
    assert codes(BASIS, replace(BASIS, ask=D(now))) == ([Code.QUOTE] if moved else [])
    assert codes(BASIS, replace(BASIS, bid=D(now) / 2)) == []  # a buy does not trade at the bid


@given(old=st.decimals("0.01", 1000, places=2), new=st.decimals("0.01", 1000, places=2), drift=st.decimals(0, 1, places=3))
def test_the_limit_decides_how_far(old: D, new: D, drift: D) -> None:
    limits = LIMITS | {"PREVIEW_DRIFT": drift}
    found = codes(replace(BASIS, ask=old, limits=limits), replace(BASIS, ask=new, limits=limits))
    assert found == ([Code.QUOTE] if abs(new - old) > drift * old else [])


def test_a_move_is_told_with_both_prices_and_how_far_it_may_be() -> None:
    [change] = changes(BASIS, replace(BASIS, ask=D("103.01")), BUY)
    assert str(change) == "The ask moved by 3 %, more than the 0.5 % that a preview may drift: 100.01 → 103.01."
    assert (change.limit, change.old, change.new) == (D("0.005"), "100.01", "103.01")


def test_a_price_that_nobody_saw_counts_for_an_order_without_a_limit() -> None:
    blind = replace(BASIS, bid=None, ask=None, last=None)
    market = OrderTerms(Side.BUY, OrderType.MARKET, D(100))
    assert codes(blind, BASIS, market) == [Code.QUOTE]
    assert codes(blind, BASIS, BUY) == []
    assert codes(BASIS, blind, market) == []  # the checks refuse it: there is no quote


@given(rule=st.sampled_from([rule.value for rule in RULES]))
def test_any_limit_that_changes_is_told(rule: str) -> None:
    other = {**LIMITS, rule: LIMITS.get(rule, D(0)) + 1}
    found = changes(BASIS, replace(BASIS, limits=other), BUY)
    assert [change.code for change in found] == [Code.LIMITS]
    assert rule in found[0].what or found[0].new == "reduce only"


@pytest.mark.parametrize(
    ("position", "side", "quantity", "does"),
    [
        ("0", Side.BUY, "1", Effect.INCREASES),
        ("5", Side.BUY, "1", Effect.INCREASES),
        ("-5", Side.SELL, "1", Effect.INCREASES),
        ("5", Side.SELL, "5", Effect.REDUCES),
        ("-5", Side.BUY, "4", Effect.REDUCES),
        ("5", Side.SELL, "6", Effect.REVERSES),
        ("-5", Side.BUY, "6", Effect.REVERSES),
    ],
)
def test_what_an_order_does_to_a_position(position: str, side: Side, quantity: str, does: Effect) -> None:
    assert effect(D(position), OrderTerms(side, OrderType.MARKET, D(quantity))) is does


def test_a_position_counts_only_where_the_order_does_something_else_to_it() -> None:
    sell = OrderTerms(Side.SELL, OrderType.LIMIT, D(100), D(100))
    held = replace(BASIS, position=D(300))
    assert codes(held, replace(BASIS, position=D(100)), sell) == []
    assert codes(held, replace(BASIS, position=D(99)), sell) == [Code.POSITION]
    assert codes(held, BASIS, sell) == [Code.POSITION]
    assert codes(BASIS, held, BUY) == []


def test_rate_and_multiplier_are_told_too() -> None:
    assert codes(BASIS, replace(BASIS, rate=D("1.004"))) == []
    assert codes(BASIS, replace(BASIS, rate=D("1.006"))) == [Code.RATE]
    assert codes(BASIS, replace(BASIS, rate=None)) == [Code.RATE]
    assert codes(BASIS, replace(BASIS, multiplier=D(100))) == [Code.MULTIPLIER]


def test_all_that_changed_is_told_together() -> None:
    now = replace(BASIS, ask=D(120), position=D(-5), limits=LIMITS | {"MAX_QUANTITY": D(5), "TRADING_STATE": D(1)})
    assert codes(BASIS, now) == [Code.LIMITS, Code.LIMITS, Code.POSITION, Code.QUOTE]


def test_a_seal_lives_for_a_minute() -> None:
    assert timedelta(seconds=60) == LIFE
