"""The check beside each position: quantity = opening + executions, and what becomes of a difference."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from orders import holdings, intake
from orders.models import Account, Contract, Event, Incident, Limit, Position
from orders.rules.lifecycle import OrderStatus as S
from orders.rules.limits import REDUCE_ONLY
from orders.rules.reports import PositionReported, Question, Report
from orders.rules.terms import Side
from orders.tests.factories import make_contract
from orders.tests.told import Desk, a_desk, a_limit, facts, new_events, proven

pytestmark = pytest.mark.django_db

POSITIONS = frozenset({Question.POSITIONS})


@pytest.fixture
def desk() -> Iterator[Desk]:
    with proven():
        yield a_desk()


@pytest.fixture
def sums() -> holdings.Sums:
    return holdings.Sums()


def held(desk: Desk, quantity: str, contract: Contract | None = None) -> PositionReported:
    return PositionReported(desk.account.code, facts(contract or desk.contract), Decimal(quantity), Decimal(10))


def listed(
    desk: Desk, sums: holdings.Sums, *reports: Report, after: float = 30, complete: frozenset[Question] = POSITIONS
) -> Position | None:
    """A complete list of positions, some seconds later; gives the row of the contract."""
    desk.later(after)
    intake.reconcile(desk.snapshot(*reports, complete=complete), now=desk.now, sums=sums)
    return Position.objects.filter(contract=desk.contract).first()


def trading_state(desk: Desk) -> Decimal:
    row = Limit.objects.filter(account=desk.account, rule="TRADING_STATE").first()
    return row.value if row else Decimal(0)


def breaks() -> list[Incident]:
    return list(Incident.objects.filter(kind="position_differs", closed_at=None))


def test_what_was_held_before_the_book_is_its_opening(desk: Desk, sums: holdings.Sums) -> None:
    sold = desk.order(S.WORKING, terms=a_limit("30", side=Side.SELL))
    desk.tell(desk.fill(sold, "a.1.01", "30"))
    row = listed(desk, sums, held(desk, "70"))
    assert (row.opening, holdings.explained(row)) == (100, 70)
    assert Account.objects.get().positions_known_at == desk.now
    other = make_contract("MSFT")
    listed(desk, sums, held(desk, "70"), held(desk, "5", other))
    assert Position.objects.get(contract=other).opening == 0, "known already: what comes now must be explained"


def test_what_was_traded_and_is_flat_already_has_an_opening_too(desk: Desk, sums: holdings.Sums) -> None:
    sold = desk.order(S.WORKING, terms=a_limit("30", side=Side.SELL))
    desk.tell(desk.fill(sold, "a.1.01", "30"))
    row = listed(desk, sums)
    assert (row.quantity, row.opening) == (0, 30)


@pytest.mark.parametrize("complete", [frozenset({Question.EXECUTIONS}), frozenset({Question.OPEN_ORDERS, Question.POSITIONS})])
def test_nothing_is_known_before_positions_and_executions_were_told(desk: Desk, sums: holdings.Sums, complete: frozenset[Question]) -> None:
    listed(desk, sums, held(desk, "70"), complete=complete)
    assert Account.objects.get().positions_known_at is None


def test_a_difference_that_lasts_is_a_break_and_its_account_may_only_reduce(desk: Desk, sums: holdings.Sums) -> None:
    listed(desk, sums, held(desk, "100"))
    checks = [listed(desk, sums, held(desk, "150"), after=seconds).differs_checks for seconds in (30, 2, 2)]
    assert (checks, breaks(), trading_state(desk)) == ([1, 2, 3], [], 0), "three checks in four seconds prove nothing"
    listed(desk, sums, held(desk, "150"))
    [incident] = breaks()
    assert (incident.account, incident.contract) == (desk.account, desk.contract)
    assert incident.data == {"contract": "AAPL", "reported": "150", "explained": "100"}
    assert trading_state(desk) == REDUCE_ONLY
    with new_events() as events:
        listed(desk, sums, held(desk, "150"))
    assert events == [], "the same again is no news"
    listed(desk, sums, held(desk, "160"))
    assert [one.data["reported"] for one in breaks()] == ["160"], "one break, kept up to date"


def test_a_difference_that_goes_away_is_none(desk: Desk, sums: holdings.Sums) -> None:
    listed(desk, sums, held(desk, "100"))
    listed(desk, sums, held(desk, "150"))
    row = listed(desk, sums, held(desk, "100"))
    assert (row.differs_since, row.differs_checks, breaks()) == (None, 0, [])


def test_an_execution_that_comes_late_closes_the_break_by_evidence(desk: Desk, sums: holdings.Sums) -> None:
    order = desk.order(S.WORKING, terms=a_limit("50"))
    listed(desk, sums, held(desk, "100"))
    for _ in range(3):
        listed(desk, sums, held(desk, "150"))
    assert trading_state(desk) == REDUCE_ONLY
    desk.tell(desk.fill(order, "a.1.01", "50"))
    listed(desk, sums, held(desk, "150"))
    incident = Incident.objects.get(kind="position_differs")
    assert incident.closed_at and not incident.closed_by
    assert "evidence" in incident.explanation
    assert trading_state(desk) == 0, "what the break had restricted is free again"


def test_corrections_busts_and_executions_of_nobodys_order_count(desk: Desk, sums: holdings.Sums) -> None:
    order = desk.order(S.WORKING, terms=a_limit("50"))
    listed(desk, sums)
    desk.tell(desk.fill(order, "a.1.01", "50"), held(desk, "50"))
    assert listed(desk, sums, held(desk, "50")).differs_checks == 0
    desk.tell(desk.fill(order, "a.1.02", "40"))
    assert listed(desk, sums, held(desk, "40")).differs_checks == 0
    desk.tell(desk.fill(order, "a.1.03", "0"))
    assert listed(desk, sums).differs_checks == 0
    elsewhere = desk.fill(order, "b.1.01", "7", key=desk.elsewhere(777).key, side=Side.SELL)
    desk.tell(elsewhere)
    assert listed(desk, sums, held(desk, "-7")).differs_checks == 0


def test_a_contract_that_traded_a_moment_ago_is_judged_later(desk: Desk, sums: holdings.Sums) -> None:
    order = desk.order(S.WORKING, terms=a_limit("50"))
    listed(desk, sums)
    desk.later(30)
    desk.tell(desk.fill(order, "a.1.01", "50"))
    assert listed(desk, sums, after=2) is None, "the list may be a moment behind the execution"
    assert listed(desk, sums, after=5).differs_checks == 1, "held nowhere, and executed: a row for what differs"


def test_the_accounts_of_another_login_are_left_alone(desk: Desk, sums: holdings.Sums) -> None:
    listed(desk, sums, held(desk, "100"))
    desk.later(30)
    other = intake.Snapshot(desk.now, 17, POSITIONS, (), ("DU7777777",))
    intake.reconcile(other, now=desk.now, sums=sums)
    row = Position.objects.get()
    assert (row.quantity, row.differs_checks) == (100, 0)


def test_the_legs_of_a_combination_count_and_the_whole_does_not(desk: Desk, sums: holdings.Sums) -> None:
    order = desk.order(S.WORKING, terms=a_limit("1"))
    combo = make_contract("AAPL", sec_type="BAG")
    listed(desk, sums)
    whole = desk.fill(order, "c.1.01", "1", key=desk.elsewhere(777).key, contract=facts(combo))
    leg = desk.fill(order, "c.2.01", "1", key=desk.elsewhere(777).key)
    desk.tell(whole, leg, held(desk, "1"))
    listed(desk, sums, held(desk, "1"))
    assert not Position.objects.filter(differs_checks__gt=0).exists()
    assert not Event.objects.filter(kind="position.differs").exists()
