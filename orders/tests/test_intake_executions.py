"""Executions and commissions: counted once, in any order of arrival, corrected, busted, late, too many, and of nobody here."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import permutations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders.book import book
from orders.intake.executions import costs_are_due, split
from orders.models import CommissionReport, Event, Execution, Feed, Incident, OcaGroup, OrderRecord
from orders.models.book import Source
from orders.rules.lifecycle import OrderStatus
from orders.rules.reports import CommissionReported, OrderKey, Question
from orders.rules.terms import CommandState, Side
from orders.signals import order_filled
from orders.tests.factories import make_contract
from orders.tests.told import Desk, a_desk, a_limit, facts, incidents, new_events, proven

pytestmark = pytest.mark.django_db
S = OrderStatus


@pytest.fixture
def desk() -> Iterator[Desk]:
    with proven():
        yield a_desk()


@pytest.mark.parametrize(
    ("exec_id", "root", "revision"),
    [
        ("0000e0d5.6596fc51.01.01", "0000e0d5.6596fc51.01", 1),
        ("0000e0d5.6596fc51.01.02", "0000e0d5.6596fc51.01", 2),
        ("0000e0d5.6596fc51.01.10", "0000e0d5.6596fc51.01", 10),
        ("0000e0d5.6596fc51.01.01.03", "0000e0d5.6596fc51.01.01", 3),
        ("U+2.", "U+2.", 1),
        ("no-dots", "no-dots", 1),
        ("a.b", "a.b", 1),
        ("a.٣", "a.٣", 1),
    ],
)
def test_root_and_revision_of_an_execution(exec_id: str, root: str, revision: int) -> None:
    assert split(exec_id) == (root, revision)


def test_fills_add_up_to_filled_at_the_average_price(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    desk.tell(desk.fill(order, "a.1.01", "33", "10.01"))
    part = desk.fresh(order)
    assert (part.state, part.filled_quantity, part.average_price) == (S.WORKING, 33, Decimal("10.01"))
    desk.tell(desk.fill(order, "a.2.01", "67", "10.02"))
    after = desk.fresh(order)
    assert (after.state, after.status_basis, after.filled_quantity) == (S.FILLED, "execution", 100)
    assert after.average_price == Decimal("10.0167")


def test_an_average_that_never_ends_is_kept_to_eight_places(desk: Desk) -> None:
    order = desk.order(S.WORKING, terms=a_limit("3"))
    desk.tell(desk.fill(order, "a.1.01", "1", "10"), desk.fill(order, "a.2.01", "2", "11"))
    assert desk.fresh(order).average_price == Decimal("10.66666667")


def test_each_counted_execution_is_signalled_and_the_last_says_complete(desk: Desk) -> None:
    told: list[bool] = []

    def listen(complete: bool, **_: object) -> None:
        told.append(complete)

    order_filled.connect(listen)
    try:
        order = desk.order(S.WORKING)
        desk.tell(desk.fill(order, "a.1.01", "40"), desk.fill(order, "a.1.01", "40"), desk.fill(order, "a.2.01", "60"))
    finally:
        order_filled.disconnect(listen)
    assert told == [False, True]


def test_an_execution_may_be_the_first_that_is_heard(desk: Desk) -> None:
    order = desk.order()
    desk.tell(desk.fill(order, "a.1.01", "40"))
    after = desk.fresh(order)
    assert (after.state, after.filled_quantity) == (S.WORKING, 40)
    assert desk.place_of(order) is CommandState.CONFIRMED


def test_a_recovered_partial_fill_does_not_say_that_the_rest_works(desk: Desk) -> None:
    order = desk.order(S.UNKNOWN)
    desk.tell(desk.fill(order, "a.1.01", "40", live=False))
    assert desk.fresh(order).state is S.UNKNOWN


def test_the_same_execution_live_and_in_a_snapshot_counts_once(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    with new_events() as events:
        desk.tell(desk.fill(order, "a.1.01", "40"), desk.fill(order, "a.1.01", "40", live=False))
    assert len(events) == 1
    assert desk.fresh(order).filled_quantity == 40


def test_the_same_id_with_other_figures_is_told_and_not_counted(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    desk.tell(desk.fill(order, "a.1.01", "40"), desk.fill(order, "a.1.01", "41"))
    assert desk.fresh(order).filled_quantity == 40
    assert incidents() == ["execution_differs"]


def test_a_correction_replaces_and_both_stay_on_record(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    desk.tell(desk.fill(order, "a.1.01", "40", "10"), desk.fill(order, "a.1.02", "30", "11"))
    after = desk.fresh(order)
    assert (after.filled_quantity, after.average_price) == (30, 11)
    assert dict(Execution.objects.values_list("exec_id", "counts")) == {"a.1.01": False, "a.1.02": True}
    assert Event.objects.last().kind == "execution.corrected"
    assert not incidents()


def test_every_order_of_arrival_comes_to_the_same(desk: Desk) -> None:
    reports = [("x.1.01", "40", "10"), ("x.1.02", "50", "11"), ("x.1.03", "45", "12"), ("x.2.01", "10", "9")]
    found = set()
    for number, arrival in enumerate(permutations(reports)):
        order = desk.order(S.WORKING)
        desk.tell(*[desk.fill(order, f"{number}{exec_id}", quantity, price) for exec_id, quantity, price in arrival])
        after = desk.fresh(order)
        found.add((after.filled_quantity, after.average_price, after.state))
        assert Execution.objects.filter(order=order, counts=True).count() == 2
    assert found == {(Decimal(55), Decimal("11.45454545"), S.WORKING)}


def test_a_bust_of_a_filled_order_leaves_it_unknown_with_an_incident(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    desk.tell(desk.fill(order, "a.1.01", "100"))
    outcome = desk.tell(desk.fill(order, "a.1.02", "0"))
    after = desk.fresh(order)
    assert (after.state, after.filled_quantity, after.average_price, after.closed_at) == (S.UNKNOWN, 0, None, None)
    assert incidents() == ["busted"]
    assert {Question.OPEN_ORDERS, Question.COMPLETED_ORDERS} <= outcome.ask
    desk.tell(desk.says(order, "Submitted"))
    assert desk.fresh(order).state is S.WORKING


def test_a_corrected_price_of_a_filled_order_leaves_it_filled(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    desk.tell(desk.fill(order, "a.1.01", "100", "10"), desk.fill(order, "a.1.02", "100", "10.5"))
    after = desk.fresh(order)
    assert (after.state, after.average_price) == (S.FILLED, Decimal("10.5"))
    assert not incidents()


@pytest.mark.parametrize("status", [S.CANCELLED, S.REJECTED])
def test_a_late_fill_counts_and_is_told(desk: Desk, status: OrderStatus) -> None:
    order = desk.order(status)
    desk.tell(desk.fill(order, "a.1.01", "40"))
    part = desk.fresh(order)
    assert (part.state, part.filled_quantity, part.needs_attention) == (status, 40, True)
    assert incidents() == ["late_fill"]
    desk.tell(desk.fill(order, "a.2.01", "60"))
    assert desk.fresh(order).state is S.FILLED
    assert incidents() == ["late_fill", "late_fill"]


def test_more_than_was_ordered_is_filled_and_told(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    desk.tell(desk.fill(order, "a.1.01", "100"), desk.fill(order, "a.2.01", "20"))
    after = desk.fresh(order)
    assert (after.state, after.filled_quantity) == (S.FILLED, 120)
    assert incidents() == ["overfill"]


def a_pair(desk: Desk, oca_type: int) -> list[OrderRecord]:
    """Two exits of 100 in one group."""
    with book(at=desk.now) as b, b.event("test.group", source=Source.USER) as fact:
        group = fact.add(OcaGroup(name="pair-1", oca_type=oca_type))
    return [desk.order(S.WORKING, terms=a_limit(side=Side.SELL), oca_group=group) for _ in range(2)]


def test_both_legs_of_an_oca_pair_filling_is_told(desk: Desk) -> None:
    stop, target = a_pair(desk, 1)
    desk.tell(desk.fill(stop, "a.1.01", "60"), desk.fill(target, "b.1.01", "40"))
    assert incidents() == []
    desk.tell(desk.fill(target, "b.2.01", "60"))
    assert incidents() == ["exits_overfilled"]
    assert desk.fresh(target).state is S.FILLED  # what happened is kept; nothing is traded to make up for it


def test_a_pair_that_reduces_its_siblings_is_measured_by_what_it_was_placed_with(desk: Desk) -> None:
    stop, target = a_pair(desk, 2)
    desk.tell(desk.fill(stop, "a.1.01", "60"), desk.opened(target, terms=a_limit("40", side=Side.SELL)))
    desk.tell(desk.fill(target, "b.1.01", "10"), desk.opened(stop, terms=a_limit("90", side=Side.SELL)))
    desk.tell(desk.fill(stop, "a.2.01", "30"), desk.says(target, "Cancelled"))
    assert desk.fresh(stop).state is S.FILLED
    assert incidents() == []
    desk.tell(desk.fill(target, "b.2.01", "1"))
    assert "exits_overfilled" in incidents()


def test_children_that_exit_more_than_their_entry_filled_are_told(desk: Desk) -> None:
    entry = desk.order(S.WORKING)
    child = desk.order(S.HELD, terms=a_limit(side=Side.SELL), parent=entry)
    desk.tell(desk.fill(entry, "a.1.01", "40"), desk.fill(child, "b.1.01", "40"))
    assert incidents() == []
    desk.tell(desk.fill(child, "b.2.01", "1"))
    assert incidents() == ["exits_overfilled"]


def test_an_execution_in_an_account_that_is_not_ours_is_kept_from_everybody(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    report = desk.fill(order, "a.1.01", "40", account="U7654321")
    desk.tell(report, report)
    assert not Execution.objects.exists()
    row = Incident.objects.get()
    assert (row.kind, row.account, row.order) == ("foreign_account", None, None)
    event = Event.objects.get(kind="incident.opened")
    assert event.account is None
    assert event.data["report"]["exec_id"] == "a.1.01"
    assert set(Feed.objects.filter(seq=event.seq).values_list("topic", "account")) == {("incident", None)}
    assert desk.fresh(order).filled_quantity == 0


def test_an_execution_of_nobody_here_is_kept_in_its_account(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    desk.tell(desk.fill(order, "a.1.01", "5", key=OrderKey(4, 12, 4242, "another-desk")))
    row = Execution.objects.get()
    assert (row.order, row.account, row.client_order_id) == (None, desk.account, "another-desk")
    assert desk.fresh(order).filled_quantity == 0


def test_an_execution_that_contradicts_the_order_it_names_is_not_its_own(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    desk.tell(
        desk.fill(order, "a.1.01", "40", side=Side.SELL),
        desk.fill(order, "a.2.01", "40", contract=facts(make_contract("MSFT"))),
    )
    assert desk.fresh(order).filled_quantity == 0
    assert incidents() == ["execution_contradicts", "execution_contradicts"]
    assert Execution.objects.filter(order=None).count() == 2


def test_legs_of_a_combination_are_not_corrections_of_each_other(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    leg = make_contract("MSFT")
    desk.tell(
        desk.fill(order, "c.1.01.01", "1", key=OrderKey(3, 0, 888)),
        desk.fill(order, "c.1.01.02", "1", key=OrderKey(3, 0, 888), contract=facts(leg)),
    )
    assert Execution.objects.filter(counts=True).count() == 2


# --- commissions --------------------------------------------------------------------------------------------------------------------------


def test_a_commission_joins_its_execution_and_touches_its_row_on_the_screens(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    desk.tell(desk.fill(order, "a.1.01", "40"))
    with new_events() as events:
        desk.tell(*[CommissionReported("a.1.01", Decimal("1.05"), "USD", Decimal("-3.5"))] * 2)
    row = CommissionReport.objects.get()
    assert (row.amount, row.currency, row.realized_pnl) == (Decimal("1.05"), "USD", Decimal("-3.5"))
    assert len(events) == 1
    execution = Execution.objects.get()
    assert ("execution", execution.pk, desk.account.pk) in set(
        Feed.objects.filter(seq=events[0].seq).values_list("topic", "row_id", "account")
    )


def test_a_commission_may_come_first_and_may_be_revised(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    desk.tell(CommissionReported("a.1.01", Decimal("1"), "USD"), desk.fill(order, "a.1.01", "40"))
    desk.tell(CommissionReported("a.1.01", Decimal("1.25"), "USD", Decimal("7")))
    row = CommissionReport.objects.get()
    assert (row.amount, row.realized_pnl) == (Decimal("1.25"), 7)


def test_costs_that_were_never_told_are_due_half_a_minute_later(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    desk.tell(desk.fill(order, "a.1.01", "40"), desk.fill(order, "a.2.01", "60"))
    desk.tell(CommissionReported("a.1.01", Decimal("1.25"), "USD"))
    assert not costs_are_due(desk.now)
    assert costs_are_due(desk.later(31))
    with CaptureQueriesContext(connection) as asked:
        desk.tell(CommissionReported("a.2.01", Decimal("1.25"), "USD"))
        assert not costs_are_due(desk.now)
    [query] = [one["sql"] for one in asked if "received_at" in one["sql"] and "EXISTS" in one["sql"]]
    assert "NOT IN" not in query, "PostgreSQL reads every commission for each execution then, which no time limit allows"
    assert "executed_at" in query, "by its index, or years of executions are read"


def test_a_commission_of_an_unknown_execution_belongs_to_no_account(desk: Desk) -> None:
    desk.tell(CommissionReported("never.heard.01", Decimal("1"), "USD"))
    assert Event.objects.last().account is None


# --- any history ----------------------------------------------------------------------------------------------------------------------

_fills = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(0, 60), st.integers(900, 1100)), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fills=_fills)
def test_filled_is_always_the_sum_of_what_counts(desk: Desk, fills: list[tuple[int, int, int, int]]) -> None:
    """However executions, corrections and repeats mix: filled is the sum over roots of the highest revision's first report."""
    order = desk.order(S.WORKING)
    first: dict[tuple[int, int], tuple[int, int]] = {}
    for root, revision, quantity, cents in fills:
        first.setdefault((root, revision), (quantity, cents))
        desk.tell(desk.fill(order, f"{order.pk}.{root}.0{revision}", str(quantity), str(Decimal(cents) / 100)))
    highest = {root: max(r for other, r in first if other == root) for root, _ in first}
    counting = [first[root, revision] for root, revision in highest.items()]
    after = OrderRecord.objects.get(pk=order.pk)
    total = sum(quantity for quantity, _ in counting)
    assert after.filled_quantity == total
    if total:
        assert after.average_price == round(Decimal(sum(q * c for q, c in counting)) / 100 / total, 8)
    assert (after.state is S.FILLED) is (total >= 100)
