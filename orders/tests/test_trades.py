"""Closed trades from the executions that a broker reported, through the intake."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal as D
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders import holdings, intake
from orders.book import book
from orders.manager import OrderManager
from orders.models import Contract, Execution, Incident
from orders.models.book import Source
from orders.queries.trades import ClosedTrades, LeftOut, closed_trades
from orders.rules.lifecycle import OrderStatus as S
from orders.rules.reports import AccountValueReported, CommissionReported
from orders.rules.roundtrips import Statistics
from orders.rules.terms import AccessLevel, Side, plain
from orders.tests.factories import a_key, grant, make_account, make_contract, make_trader, make_user
from orders.tests.test_holdings import held, listed
from orders.tests.told import Desk, a_desk, a_limit, proven

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk() -> Iterator[Desk]:
    """An account in dollars whose positions are known: it holds nothing."""
    with proven():
        desk = a_desk()
        values = [AccountValueReported(desk.account.code, "NetLiquidation", "100000", "USD")]
        intake.apply_values([*values, AccountValueReported(desk.account.code, "ExchangeRate", "1.10", "EUR")], now=desk.now)
        listed(desk, holdings.Sums())
        yield desk


@pytest.fixture
def trader(desk: Desk) -> User:
    user = make_user()
    grant(user, desk.account, AccessLevel.VIEW)
    return user


def trade(desk: Desk, side: Side, *fills: str, contract: Contract | None = None, number: str = "") -> None:
    """One order, filled by these executions: "100 10.50 1.25" is a quantity, a price and a commission."""
    desk.later(60)
    before, desk.contract = desk.contract, contract or desk.contract
    order = desk.order(S.WORKING, terms=a_limit(str(sum(D(words.split()[0]) for words in fills)), side=side))
    desk.contract = before
    for part, words in enumerate(fills, 1):
        desk.later(1)
        quantity, price, *cost = words.split()
        exec_id = f"{number or order.pk}.{part}.01"
        desk.tell(desk.fill(order, exec_id, quantity, price))
        if cost:
            amount, currency = (*cost, order.contract.currency)[:2]
            desk.tell(CommissionReported(exec_id, D(amount), currency))


def shown(found: ClosedTrades) -> list[str]:
    return [
        f"{one.symbol} {one.trip.side} {plain(one.trip.quantity)} {plain(one.trip.entry_price)}->{plain(one.trip.exit_price)} "
        f"{plain(one.gross_base)} {plain(one.net_base)}"
        for one in found.trades
    ]


def test_orders_that_were_filled_in_parts_are_one_trade_with_its_costs(desk: Desk, trader: User) -> None:
    trade(desk, Side.BUY, "40 10 0.40", "60 11 0.60")
    entered = desk.now
    trade(desk, Side.SELL, "100 12 1")
    found = closed_trades(trader)
    assert shown(found) == ["AAPL BUY 100 10.6->12 140 138"]
    (one,) = found.trades
    assert (one.account, one.contract, one.trip.exit_at) == (desk.account, desk.contract, desk.now)
    assert one.trip.entry_at < entered
    assert (found.left_out, found.without_costs) == (LeftOut(), 0)
    assert not found.left_out


def test_a_turned_position_is_two_trades_and_an_open_one_none(desk: Desk, trader: User) -> None:
    trade(desk, Side.BUY, "100 10")
    trade(desk, Side.SELL, "300 11 3")
    trade(desk, Side.BUY, "150 10")
    assert shown(closed_trades(trader)) == ["AAPL BUY 100 10->11 100 99", "AAPL SELL 150 11->10 150 148.5"]
    assert closed_trades(trader).without_costs == 2


def test_only_the_newest_revision_of_an_execution_counts(desk: Desk, trader: User) -> None:
    trade(desk, Side.BUY, "100 10 1", number="a")
    trade(desk, Side.SELL, "100 12 1", number="b")
    order = Execution.objects.get(exec_id="a.1.01").order
    assert order is not None
    first = Execution.objects.get(exec_id="a.1.01").executed_at
    corrected = replace(desk.fill(order, "a.1.02", "100", "11"), executed_at=first)
    desk.tell(corrected, CommissionReported("a.1.02", D(1), "USD"))
    assert shown(closed_trades(trader)) == ["AAPL BUY 100 11->12 100 98"]


def test_a_correction_within_the_second_of_the_exit_stands_where_the_first_revision_stood(desk: Desk, trader: User) -> None:
    entry = desk.order(S.WORKING, terms=a_limit("100"))
    leaving = desk.order(S.WORKING, terms=a_limit("100", side=Side.SELL))
    desk.tell(desk.fill(entry, "a.1.01", "100", "10"), desk.fill(leaving, "b.1.01", "100", "12"))
    desk.tell(desk.fill(entry, "a.1.02", "100", "11"))
    assert shown(closed_trades(trader)) == ["AAPL BUY 100 11->12 100 100"]


def test_a_busted_execution_makes_no_trade(desk: Desk, trader: User) -> None:
    trade(desk, Side.BUY, "100 10")
    trade(desk, Side.SELL, "100 12", number="b")
    order = Execution.objects.get(exec_id="b.1.01").order
    assert order is not None
    desk.tell(desk.fill(order, "b.1.02", "0", "12"))
    assert closed_trades(trader) == ClosedTrades()


def test_what_was_held_before_the_book_is_left_out_and_counted() -> None:
    desk = a_desk()
    intake.apply_values([AccountValueReported(desk.account.code, "NetLiquidation", "100000", "USD")], now=desk.now)
    listed(desk, holdings.Sums(), held(desk, "100"))
    user = make_user()
    grant(user, desk.account)
    trade(desk, Side.SELL, "60 12")
    assert closed_trades(user) == ClosedTrades(left_out=LeftOut(unseen=1))
    trade(desk, Side.SELL, "60 12")
    trade(desk, Side.BUY, "20 11")
    found = closed_trades(user)
    assert (shown(found), found.left_out) == (["AAPL SELL 20 12->11 20 20"], LeftOut(unseen=2))


def explained_away(desk: Desk, quantity: str) -> None:
    """The broker lists what the book cannot explain until that is a break, and a person records the difference as an adjustment."""
    sums = holdings.Sums()
    for _ in range(3):
        row = listed(desk, sums, *([held(desk, quantity)] if D(quantity) else []))
    assert row is not None
    adjust = D(quantity) - holdings.explained(row)
    keeper = OrderManager(make_trader(desk.account), clock=lambda: desk.now)
    keeper.close_incident(Incident.objects.get(closed_at=None), "done elsewhere", adjust=adjust, key=a_key())


def test_a_sale_that_the_book_never_heard_of_makes_no_false_trade(desk: Desk, trader: User) -> None:
    trade(desk, Side.BUY, "100 10")
    explained_away(desk, "0")
    trade(desk, Side.BUY, "50 20")
    trade(desk, Side.SELL, "50 21")
    found = closed_trades(trader)
    assert (shown(found), found.left_out.unseen) == (["AAPL BUY 50 20->21 50 50"], 1)


def test_what_was_transferred_in_leaves_the_trades_before_it_alone(desk: Desk, trader: User) -> None:
    trade(desk, Side.BUY, "50 10")
    trade(desk, Side.SELL, "50 11")
    explained_away(desk, "100")
    trade(desk, Side.BUY, "50 20")
    trade(desk, Side.SELL, "120 21")
    found = closed_trades(trader)
    assert shown(found) == ["AAPL BUY 50 10->11 50 50", "AAPL BUY 20 20->21 20 20"]
    assert found.left_out.unseen == 1


def test_an_account_whose_positions_were_never_told_whole_has_no_trades() -> None:
    desk = a_desk()
    user = make_user()
    grant(user, desk.account)
    trade(desk, Side.BUY, "100 10")
    trade(desk, Side.SELL, "100 12")
    assert closed_trades(user) == ClosedTrades(left_out=LeftOut(unlisted=1))


def test_profit_in_another_currency_is_counted_by_its_rate_or_left_out(desk: Desk, trader: User) -> None:
    dax, nikkei = make_contract("SAP", currency="EUR"), make_contract("7203", currency="JPY")
    for contract in (dax, nikkei):
        trade(desk, Side.BUY, "10 100 2", contract=contract)
        trade(desk, Side.SELL, "10 110 2.20 USD", contract=contract)
    found = closed_trades(trader)
    assert shown(found) == ["SAP BUY 10 100->110 110 105.6"]  # 100 EUR less 2 EUR and 2.20 USD, which is 2 EUR
    assert found.left_out == LeftOut(no_rate=1)


def test_the_multiplier_counts(desk: Desk, trader: User) -> None:
    future = make_contract("ES", sec_type="FUT", multiplier=D(50))
    trade(desk, Side.SELL, "2 6000 4.50", contract=future)
    trade(desk, Side.BUY, "2 5990 4.50", contract=future)
    assert shown(closed_trades(trader)) == ["ES SELL 2 6000->5990 1000 991"]


def test_the_legs_of_a_combination_trade_and_the_whole_does_not(desk: Desk, trader: User) -> None:
    combo = make_contract("AAPL", sec_type="BAG")
    trade(desk, Side.BUY, "1 10", contract=combo)
    trade(desk, Side.SELL, "1 12", contract=combo)
    assert closed_trades(trader) == ClosedTrades()


def test_statistics_of_all_of_an_account_and_of_a_symbol(desk: Desk, trader: User) -> None:
    other = make_contract("MSFT")
    for price, contract in (("12", None), ("9", None), ("11", other), ("10", other)):
        trade(desk, Side.BUY, "10 10", contract=contract)
        trade(desk, Side.SELL, f"10 {price}", contract=contract)
    found = closed_trades(trader)
    assert found.statistics == Statistics(4, 2, 1, D(30), D(10))
    assert found.by_symbol() == {"AAPL": Statistics(2, 1, 1, D(20), D(10)), "MSFT": Statistics(2, 1, 0, D(10), D(0))}
    assert found.by_account() == {desk.account.code: found.statistics}
    assert closed_trades(trader, symbol="MSFT").statistics == found.by_symbol()["MSFT"]
    assert closed_trades(trader, account=desk.account) == found


def test_each_account_is_matched_for_itself_and_seen_by_those_who_may(desk: Desk, trader: User) -> None:
    other = make_account("DU1000002")
    with book(at=desk.now) as b, b.event("positions.known", source=Source.RECONCILE, account=other) as fact:
        fact.set(other, positions_known_at=desk.now)
    trade(desk, Side.BUY, "10 10")
    order = desk.order(S.WORKING, terms=a_limit("10", side=Side.SELL), account=other)
    desk.tell(desk.fill(order, "x.1.01", "10", "12"))
    everybody = make_user(is_superuser=True)
    assert closed_trades(everybody) == ClosedTrades(), "one bought and another one sold: neither closed anything"
    trade(desk, Side.SELL, "10 11")
    assert len(closed_trades(everybody).trades) == len(closed_trades(trader).trades) == 1
    assert closed_trades(trader, account=other) == closed_trades(make_user()) == ClosedTrades()


def test_reading_takes_as_many_queries_for_many_as_for_few(desk: Desk, trader: User) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            closed_trades(trader)
        return len(asked)

    trade(desk, Side.BUY, "10 10 1")
    trade(desk, Side.SELL, "10 11 1")
    few = queries()
    for _ in range(5):
        other: Any = make_contract("X")
        trade(desk, Side.BUY, "10 10 1", contract=other)
        trade(desk, Side.SELL, "10 11 1", contract=other)
    assert queries() == few <= 8
    assert len(closed_trades(trader).trades) == 6
