"""Position sizing with any numbers: no budget and no cap is ever exceeded, lots are whole, and more money never buys less."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orders.rules.roundtrips import Statistics
from orders.rules.sizing import Basis, Caps, Method, Sizing, SizingError, SizingFacts, SizingRequest
from orders.rules.sizing import size as size_of
from orders.rules.terms import Side
from orders.tests.test_sizing import STOCK, days


def size(request: SizingRequest, facts: SizingFacts) -> Sizing:
    """The size, of examples that have one: billions of ten-thousandths have more digits than the book keeps, and are refused by name."""
    try:
        return size_of(request, facts)
    except SizingError as error:
        assume((error.field, error.rule) != ("quantity", "NUMBER"))
        raise


def decimals(least: str, most: str, places: int = 4) -> st.SearchStrategy[D]:
    return st.decimals(D(least), D(most), places=places, allow_nan=False, allow_infinity=False)


facts_of = st.builds(
    lambda multiplier, rate, net, least, increment, caps: SizingFacts(
        "EUR", "USD", multiplier, rate, net, None, least, increment, STOCK, caps=caps
    ),
    st.sampled_from([D(1), D(50), D(100), D("0.1"), D("12.5")]),
    decimals("0.0001", "200", 8),
    decimals("1", "9999999", 2),
    st.sampled_from([D(1), D(100), D("0.001"), D(25)]),
    st.sampled_from([D(1), D(100), D("0.0001"), D(10)]),
    st.builds(Caps, *(st.none() | decimals("0", "999999", 2) for _ in range(3))),
)
prices = decimals("0.01", "99999")


def exact(*factors: D) -> Fraction:
    found = Fraction(1)
    for factor in factors:
        found *= Fraction(factor)
    return found


def check_lots(found: Sizing, facts: SizingFacts) -> None:
    """Whole lots or nothing, within every cap, and nothing without a word."""
    assert found.quantity == 0 or found.quantity >= facts.min_size
    assert found.quantity % facts.size_increment == 0
    assert bool(found.why_zero) == (found.quantity == 0)
    worth = exact(found.quantity, found.price or D(0), facts.multiplier, facts.rate or D(0))
    assert worth == Fraction(found.notional_base or D(0))
    caps = facts.caps
    assert caps.max_quantity is None or found.quantity <= caps.max_quantity
    assert all(cap is None or worth <= Fraction(cap) for cap in (caps.max_notional, caps.buying_power))


@settings(deadline=None)
@given(facts=facts_of, price=prices, amount=decimals("0.01", "9999999", 2))
def test_cash_never_costs_more_than_was_given(facts: SizingFacts, price: D, amount: D) -> None:
    found = size(SizingRequest(Method.CASH, Side.BUY, price, amount=amount), facts)
    check_lots(found, facts)
    assert exact(found.quantity, price, facts.multiplier, facts.rate or D(0)) <= Fraction(amount)


@settings(deadline=None)
@given(facts=facts_of, price=prices, stop=prices, percent=decimals("0.0001", "100"), more=decimals("0", "50"))
def test_the_loss_at_the_stop_is_never_above_what_was_asked(facts: SizingFacts, price: D, stop: D, percent: D, more: D) -> None:
    assume(price != stop)
    asked = SizingRequest(Method.RISK, Side.BUY if stop < price else Side.SELL, price, stop, percent=percent)
    found = size(asked, facts)
    check_lots(found, facts)
    risk, budget = Fraction(found.risk_base or D(0)), exact(facts.net_liquidation or D(0), percent) / 100
    assert risk == exact(found.quantity, abs(price - stop), facts.multiplier, facts.rate or D(0)) <= budget
    larger = size(replace(asked, percent=min(percent + more, D(100))), facts)
    assert larger.quantity >= found.quantity


@settings(deadline=None)
@given(facts=facts_of, price=prices, percent=decimals("0.0001", "500"))
def test_without_caps_one_lot_more_would_exceed_the_budget(facts: SizingFacts, price: D, percent: D) -> None:
    facts = replace(facts, caps=Caps())
    found = size(SizingRequest(Method.NET_LIQUIDATION, Side.SELL, price, percent=percent), facts)
    least = ceil(exact(facts.min_size) / exact(facts.size_increment)) * facts.size_increment
    lot = facts.size_increment if found.quantity else max(facts.size_increment, least)
    each = exact(price, facts.multiplier, facts.rate or D(0))
    assert exact(found.quantity) * each <= exact(facts.net_liquidation or D(0), percent) / 100 < exact(found.quantity + lot) * each


@settings(deadline=None)
@given(
    facts=facts_of,
    price=prices,
    side=st.sampled_from(Side),
    reach=decimals("0.0001", "50"),
    multiple=decimals("0.1", "9", 1),
    percent=decimals("0.0001", "100"),
)
def test_the_suggested_stop_leaves_the_room_and_the_risk_stays_within(
    facts: SizingFacts, price: D, side: Side, reach: D, multiple: D, percent: D
) -> None:
    bars = days(str(100 + reach), "100", "100")
    asked = SizingRequest(Method.ATR, side, price, percent=percent, atr_multiple=multiple)
    if side is Side.BUY and price - multiple * reach < D("0.0001"):
        with pytest.raises(SizingError, match="no price above zero"):
            size(asked, replace(facts, bars=bars))
        return
    found = size(asked, replace(facts, bars=bars))
    check_lots(found, facts)
    assert found.stop_price is not None and STOCK.is_on_tick(found.stop_price)
    room = (price - found.stop_price) * side.sign
    assert multiple * reach <= room < multiple * reach + D("0.01")
    assert Fraction(found.risk_base or D(0)) <= exact(facts.net_liquidation or D(0), percent) / 100


@settings(deadline=None)
@given(
    facts=facts_of,
    wins=st.integers(0, 60),
    losses=st.integers(1, 60),
    win=decimals("0.01", "5000", 2),
    loss=decimals("0.01", "5000", 2),
    fraction=decimals("0.01", "1", 2),
    cap=decimals("0.01", "100", 2),
    basis=st.sampled_from(Basis),
)
def test_kelly_lies_between_nothing_and_its_cap(
    facts: SizingFacts, wins: int, losses: int, win: D, loss: D, fraction: D, cap: D, basis: Basis
) -> None:
    trades = Statistics(wins + losses, wins, losses, win * wins, loss * losses)
    asked = SizingRequest(Method.KELLY, Side.BUY, D(50), D(48), kelly_fraction=fraction, kelly_cap=cap, kelly_trades=1, kelly_of=basis)
    found = size(asked, replace(facts, trades=trades))
    check_lots(found, facts)
    spent = Fraction((found.risk_base if basis is Basis.RISK else found.notional_base) or D(0))
    assert 0 <= spent <= exact(facts.net_liquidation or D(0), cap) / 100
    rate = Fraction(wins, wins + losses)
    edge = rate - (1 - rate) * Fraction(loss) / Fraction(win)
    if edge < Fraction(1, 10**90):
        assert found.quantity == 0
    assert spent <= max(edge, Fraction(0)) * Fraction(fraction) * Fraction(facts.net_liquidation or D(0)) + Fraction(1, 10**80)


@settings(deadline=None)
@given(facts=facts_of, quantity=decimals("0.0001", "99999"))
def test_a_typed_quantity_is_never_raised(facts: SizingFacts, quantity: D) -> None:
    found = size(SizingRequest(Method.QUANTITY, Side.BUY, D(50), quantity=quantity), facts)
    check_lots(found, facts)
    assert found.quantity <= quantity
