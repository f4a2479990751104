"""The book against a snapshot: the pure comparison as a table, and what the intake concludes from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from orders import intake
from orders.models import BrokerCommand, Event, Limit, OrderRecord, Position
from orders.rules.lifecycle import OrderStatus
from orders.rules.reconcile import BookView, KnownOrder, OpenChange, reconcile
from orders.rules.reports import (
    CommissionReported,
    ContractFacts,
    ExecutionReported,
    Meaning,
    OpenOrderReported,
    OrderAbsent,
    OrderCompleted,
    OrderDoubtful,
    OrderKey,
    OrderStatusReported,
    PositionAbsent,
    PositionReported,
    Question,
    Snapshot,
    TermsUnchanged,
)
from orders.rules.terms import CommandKind, CommandState, Side, TimeInForce
from orders.tests.told import CLIENT, EVERYTHING, Desk, a_desk, a_limit, facts, incidents, new_events, proven

S, C = OrderStatus, CommandState
AT = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
FACTS = ContractFacts(1, "AAPL", "STK", "USD")
KNOWN = KnownOrder("DBX-1", AT - timedelta(minutes=1), frozenset({501}), frozenset({(CLIENT, 5)}))


# --- the comparison -------------------------------------------------------------------------------------------------------------------


def opened(key: OrderKey, terms: Any = None) -> OpenOrderReported:
    return OpenOrderReported(key, "DU1", FACTS, terms or a_limit(), "Submitted")


def filled(key: OrderKey, exec_id: str = "a.1.01") -> ExecutionReported:
    return ExecutionReported(key, exec_id, "DU1", FACTS, Side.BUY, Decimal(1), Decimal(1), AT)


def done(key: OrderKey) -> OrderCompleted:
    return OrderCompleted(key, "DU1", FACTS, a_limit(), "Cancelled", "", AT, None)


def status(key: OrderKey) -> OrderStatusReported:
    return OrderStatusReported(key, "Submitted", Decimal(0), Decimal(1))


@pytest.mark.parametrize(
    ("report", "absent"),
    [
        (None, True),
        (opened(OrderKey(client_order_id="DBX-1")), False),
        (opened(OrderKey(CLIENT, 5, 0)), False),
        (opened(OrderKey(None, 5, 0)), False),  # a message of our own session
        (opened(OrderKey(99, 5, 0)), True),  # another client's order of the same number
        (opened(OrderKey(CLIENT, 5, 777, "somebody-elses")), True),  # a reissued number
        (status(OrderKey(CLIENT, 0, 501)), False),
        (done(OrderKey(perm_id=501)), False),
        (done(OrderKey(perm_id=777, client_order_id="DBX-1")), False),
        (filled(OrderKey(perm_id=501)), False),
        (filled(OrderKey(perm_id=501), "known.01"), True),  # no sign of life: the book has it already
        (CommissionReported("a.1.01", Decimal(1), "USD"), True),
    ],
)
def test_an_order_is_absent_when_no_list_names_it(report: Any, absent: bool) -> None:
    view = BookView((KNOWN,), executions=frozenset({"known.01"}))
    plan = reconcile(view, Snapshot(AT, CLIENT, EVERYTHING, (report,) if report else ()))
    assert plan.absent == (("DBX-1",) if absent else ())
    assert plan.reports == (*((report,) if report else ()), *([OrderAbsent("DBX-1", AT)] if absent else []))


@pytest.mark.parametrize("missing", [Question.OPEN_ORDERS, Question.COMPLETED_ORDERS, Question.EXECUTIONS])
def test_an_incomplete_snapshot_proves_no_order_absent(missing: Question) -> None:
    assert reconcile(BookView((KNOWN,)), Snapshot(AT, CLIENT, EVERYTHING - {missing})).reports == ()


def test_positions_are_not_needed_to_prove_an_order_absent() -> None:
    assert reconcile(BookView((KNOWN,)), Snapshot(AT, CLIENT, EVERYTHING - {Question.POSITIONS})).absent == ("DBX-1",)


def test_an_order_sent_after_the_snapshot_was_taken_is_not_absent() -> None:
    young = KnownOrder("DBX-1", AT)
    assert reconcile(BookView((young,)), Snapshot(AT, CLIENT, EVERYTHING)).absent == ()


def test_a_position_that_a_complete_list_lacks_is_flat() -> None:
    view = BookView(positions=frozenset({("DU1", 1), ("DU1", 2), ("DU2", 1)}))
    there = PositionReported("DU1", FACTS, Decimal(5), Decimal(1))
    plan = reconcile(view, Snapshot(AT, CLIENT, EVERYTHING, (there,)))
    assert plan.reports == (there, PositionAbsent("DU1", 2), PositionAbsent("DU2", 1))
    assert reconcile(view, Snapshot(AT, CLIENT, EVERYTHING - {Question.POSITIONS}, (there,))).reports == (there,)


@pytest.mark.parametrize(
    ("sent_seconds_ago", "listed", "complete", "unchanged"),
    [
        (30, [a_limit()], EVERYTHING, True),
        (30, [a_limit("120")], EVERYTHING, False),
        (30, [], EVERYTHING, False),  # not listed: its end settles the change
        (30, [a_limit(), a_limit("120")], EVERYTHING, False),
        (9, [a_limit()], EVERYTHING, False),  # lists can be stale
        (30, [a_limit()], EVERYTHING - {Question.OPEN_ORDERS}, False),
        (30, [a_limit()], frozenset({Question.OPEN_ORDERS}), True),
    ],
)
def test_a_change_that_a_list_does_not_show_is_settled(
    sent_seconds_ago: int, listed: list[Any], complete: frozenset[Question], unchanged: bool
) -> None:
    change = OpenChange(7, a_limit("120"), AT - timedelta(seconds=sent_seconds_ago))
    order = KnownOrder("DBX-1", AT - timedelta(minutes=1), change=change)
    reports = tuple(opened(OrderKey(client_order_id="DBX-1"), terms) for terms in listed)
    plan = reconcile(BookView((order,)), Snapshot(AT, CLIENT, complete, reports))
    assert (TermsUnchanged("DBX-1", 7, AT) in plan.reports) is unchanged


def test_executions_come_before_the_end_of_their_order_and_after_its_name() -> None:
    key = OrderKey(client_order_id="DBX-1")
    end, fill, name, cost = done(key), filled(key), opened(key), CommissionReported("a.1.01", Decimal(1), "USD")
    assert reconcile(BookView(), Snapshot(AT, CLIENT, EVERYTHING, (cost, end, fill, name))).reports == (name, fill, cost, end)


def test_executions_come_in_the_order_in_which_they_happened() -> None:
    later, earlier = filled(OrderKey(perm_id=1), "b"), replace(filled(OrderKey(perm_id=2), "a"), executed_at=AT - timedelta(seconds=1))
    assert reconcile(BookView(), Snapshot(AT, CLIENT, EVERYTHING, (later, earlier))).reports == (earlier, later)


# --- what the intake concludes ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def desk(db: None) -> Iterator[Desk]:
    with proven():
        yield a_desk()


def take(desk: Desk, *reports: Any, complete: frozenset[Question] = EVERYTHING) -> intake.Reconciled:
    return intake.reconcile(desk.snapshot(*reports, complete=complete), now=desk.now)


def test_a_doubtful_order_that_is_found_is_settled_with_its_command(desk: Desk) -> None:
    working, gone = desk.order(S.UNKNOWN), desk.order(S.UNKNOWN)
    desk.later(2)
    result = take(desk, desk.opened(working), desk.completed(gone, "Cancelled", "by trader"))
    assert (desk.fresh(working).state, desk.fresh(gone).state) == (S.WORKING, S.CANCELLED)
    assert (desk.place_of(working), desk.place_of(gone)) == (C.CONFIRMED, C.CONFIRMED)
    assert (result.settled, result.unknown, result.absent, result.complete) == (2, 0, 0, True)
    assert set(Event.objects.filter(kind__in=["order.working", "order.cancelled"]).values_list("source", flat=True)) == {"reconcile"}
    assert not incidents()


def test_a_fill_that_happened_while_nobody_listened_is_recovered(desk: Desk) -> None:
    order = desk.order(S.UNKNOWN)
    desk.later(2)
    end = desk.completed(order, "Filled", filled_quantity=Decimal(100))
    result = take(desk, end, desk.fill(order, "a.1.01", "100", live=False))
    assert desk.fresh(order).state is S.FILLED
    assert len(result.fills) == 1
    assert not desk.fresh(order).needs_attention
    assert take(desk, end, desk.fill(order, "a.1.01", "100", live=False)).fills == ()


def test_an_order_that_filled_and_whose_executions_stay_missing_needs_a_person(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    desk.later(2)
    result = take(desk, desk.completed(order, "Filled", filled_quantity=Decimal(100)))
    after = desk.fresh(order)
    assert (after.state, after.needs_attention) == (S.WORKING, True)
    assert result.ask == frozenset()  # it would only say the same again


def test_what_an_incomplete_snapshot_left_open_is_asked_again(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    desk.later(2)
    end = desk.completed(order, "Filled", filled_quantity=Decimal(100))
    assert take(desk, end, complete=EVERYTHING - {Question.EXECUTIONS}).ask == {Question.EXECUTIONS}


@pytest.mark.parametrize(("lost", "kept", "halted"), [(3, 11, True), (3, 12, False), (2, 0, False), (3, 0, True)])
def test_an_account_that_misses_many_orders_at_once_is_halted(desk: Desk, lost: int, kept: int, halted: bool) -> None:
    missing = [desk.order(S.WORKING) for _ in range(lost)]
    there = [desk.order(S.WORKING) for _ in range(kept)]
    for _ in range(3):
        desk.later(11)
        take(desk, *[desk.opened(order) for order in there])
    assert all(desk.fresh(order).state is S.UNKNOWN for order in missing)
    states = list(Limit.objects.filter(rule="TRADING_STATE", account=desk.account).values_list("value", flat=True))
    assert states == ([2] if halted else [])
    assert incidents() == (["orders_missing"] if halted else [])


@pytest.mark.parametrize("status", [S.SENT, S.HELD, S.WORKING, S.UNKNOWN])
def test_an_order_absent_twice_is_unknown_and_needs_a_person(desk: Desk, status: OrderStatus) -> None:
    order = desk.order(status)
    desk.later(2)
    assert take(desk).absent == 1
    assert desk.fresh(order).state is status
    assert desk.fresh(order).absent_since == desk.now
    desk.later(9)
    take(desk)  # too soon after the first
    assert desk.fresh(order).state is status
    desk.later(1)
    result = take(desk)
    after = desk.fresh(order)
    assert (after.state, after.status_text, after.needs_attention) == (S.UNKNOWN, "not at the broker", True)
    assert result.unknown == 1
    desk.later(60)
    with new_events() as events:
        take(desk)
    assert events == []  # said once
    assert BrokerCommand.objects.count() == 1  # and nothing is sent again
    assert desk.place_of(order) is (C.CONFIRMED if status in (S.HELD, S.WORKING) else C.UNKNOWN)


def test_a_snapshot_that_names_the_order_starts_the_count_again(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    desk.later(2)
    take(desk)
    desk.later(20)
    take(desk, desk.opened(order))
    assert desk.fresh(order).absent_since is None
    desk.later(20)
    take(desk)
    assert desk.fresh(order).state is S.WORKING


def test_an_incomplete_snapshot_between_two_complete_ones_changes_nothing(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    desk.later(2)
    take(desk)
    desk.later(5)
    assert take(desk, complete=EVERYTHING - {Question.EXECUTIONS}).complete is False
    desk.later(5)
    take(desk)
    assert desk.fresh(order).state is S.UNKNOWN


def test_an_order_found_again_after_that_is_taken_and_told(desk: Desk) -> None:
    order = desk.order(S.SENT)
    for _ in range(2):
        desk.later(11)
        take(desk)
    desk.later(5)
    desk.tell(desk.opened(order))
    after = desk.fresh(order)
    assert (after.state, after.absent_since) == (S.WORKING, None)
    assert incidents() == ["found_again"]
    assert desk.place_of(order) is C.CONFIRMED


@pytest.mark.parametrize("status", [S.HELD, S.WORKING, S.UNKNOWN])
@pytest.mark.parametrize(("time_in_force", "ended"), [(TimeInForce.DAY, S.CANCELLED), (TimeInForce.GTC, S.UNKNOWN)])
def test_a_day_order_whose_day_has_ended_is_cancelled(
    desk: Desk, status: OrderStatus, time_in_force: TimeInForce, ended: OrderStatus
) -> None:
    order = desk.order(status, time_in_force=time_in_force.value)
    desk.later(24 * 3600)
    take(desk)
    desk.later(10)
    take(desk)
    after = desk.fresh(order)
    assert after.state is ended
    assert after.status_basis == ("inferred" if ended is S.CANCELLED else "")
    if ended is S.CANCELLED:
        assert desk.place_of(order) is (C.REFUSED if status is S.UNKNOWN else C.CONFIRMED)
        desk.tell(desk.says(order, "Submitted"))
        assert desk.fresh(order).state is S.WORKING
        assert incidents() == ["reopened"]


def test_an_order_heard_of_while_the_snapshot_was_on_its_way_is_not_absent(desk: Desk) -> None:
    order = desk.order(S.SENT)
    desk.later(1)
    taken = desk.snapshot()
    desk.later(1)
    desk.tell(desk.says(order, "Submitted"))
    intake.reconcile(taken, now=desk.now)
    assert desk.fresh(order).absent_since is None


def test_pending_orders_are_nobody_elses_business(desk: Desk) -> None:
    order = desk.order(S.PENDING)
    for _ in range(2):
        desk.later(11)
        assert take(desk).absent == 0
    assert desk.fresh(order).state is S.PENDING


def test_an_unknown_change_is_settled_by_the_list_and_never_repeated(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    taken, not_taken = a_limit("120"), a_limit("130")
    change = desk.command(order, CommandKind.MODIFY, not_taken, state=C.UNKNOWN)
    desk.later(11)
    take(desk, desk.opened(order))
    assert (desk.state(change), change.code) == (C.REFUSED, "UNCHANGED")
    again = desk.command(order, CommandKind.MODIFY, taken, state=C.UNKNOWN)
    desk.later(11)
    take(desk, desk.opened(order, terms=taken))
    assert desk.state(again) is C.CONFIRMED
    assert desk.fresh(order).quantity == 120
    assert BrokerCommand.objects.filter(kind="MODIFY").count() == 2


def test_positions_are_made_flat_by_a_complete_list_only(desk: Desk) -> None:
    desk.tell(PositionReported(desk.account.code, facts(desk.contract), Decimal(5), Decimal(1)))
    take(desk, complete=EVERYTHING - {Question.POSITIONS})
    assert Position.objects.get().quantity == 5
    take(desk)
    assert Position.objects.get().quantity == 0


def test_orders_placed_elsewhere_are_counted_once(desk: Desk) -> None:
    assert len(take(desk, desk.elsewhere(888)).external) == 1
    assert take(desk, desk.elsewhere(888)).external == ()


def test_a_long_snapshot_is_applied_in_parts_and_loses_none(desk: Desk) -> None:
    take(desk, *[desk.elsewhere(1000 + number) for number in range(250)])
    assert OrderRecord.objects.filter(is_external=True).count() == 250


def test_doubt_then_two_absences_then_the_same_doubt_is_one_story(desk: Desk) -> None:
    order = desk.order(S.SENT)
    desk.tell(OrderDoubtful(order.client_order_id, "the link was lost"))
    for _ in range(2):
        desk.later(11)
        take(desk)
    kinds = list(Event.objects.filter(order=order).order_by("seq").values_list("kind", flat=True))
    assert kinds == ["test.order", "order.unknown", "order.absent", "order.absent"]


# --- an end that nobody told us of ------------------------------------------------------------------------------------------------------

OPEN_ONLY = frozenset({Question.OPEN_ORDERS})
ALL_LISTS = frozenset({Question.OPEN_ORDERS, Question.COMPLETED_ORDERS, Question.EXECUTIONS})


@pytest.mark.parametrize(
    ("known", "complete", "listed", "asks"),
    [
        (KNOWN, OPEN_ONLY, False, True),  # it may have filled or ended without a word
        (KNOWN, OPEN_ONLY, True, False),
        (KNOWN, frozenset({Question.POSITIONS}), False, False),  # that list says nothing about orders
        (KNOWN, ALL_LISTS, False, False),  # asked already: it is absent
        (replace(KNOWN, last_touched=AT - timedelta(seconds=5)), OPEN_ONLY, False, False),  # just sent: the list may be older
        (replace(KNOWN, is_missed=True), OPEN_ONLY, False, False),  # looked for already, ever less often
    ],
)
def test_a_list_of_open_orders_that_lacks_one_asks_for_the_other_lists(
    known: KnownOrder, complete: frozenset[Question], listed: bool, asks: bool
) -> None:
    reports = (opened(OrderKey(client_order_id="DBX-1")),) if listed else ()
    plan = reconcile(BookView((known,)), Snapshot(AT, CLIENT, complete, reports))
    assert plan.ask == (ALL_LISTS if asks else frozenset())


@pytest.mark.django_db
def test_the_periodic_check_alone_finds_that_an_order_is_gone_from_the_list() -> None:
    desk = a_desk()
    order = desk.order(S.WORKING)
    desk.later(60)
    asked = intake.reconcile(desk.snapshot(complete=OPEN_ONLY), now=desk.now).ask
    assert asked == ALL_LISTS
    intake.reconcile(desk.snapshot(desk.fill(order, "a.01.01", "100"), complete=asked), now=desk.later(2))
    assert desk.fresh(order).status == S.FILLED


# --- long lists -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_ends_that_are_told_again_cost_next_to_nothing(django_assert_max_num_queries: Any) -> None:
    desk = a_desk()
    gone = [desk.order(S.WORKING) for _ in range(20)]
    filled_ones = [desk.order(S.WORKING) for _ in range(20)]
    ends = [desk.completed(order, "Cancelled") for order in gone]
    fills = [desk.fill(order, f"x{order.pk}.01.01", "100") for order in filled_ones]
    ends += [desk.completed(order, "Filled", filled_quantity=Decimal(100)) for order in filled_ones]
    intake.reconcile(desk.snapshot(*ends, *fills), now=desk.later(30))
    assert {desk.fresh(order).status for order in gone} == {S.CANCELLED}
    assert {desk.fresh(order).status for order in filled_ones} == {S.FILLED}
    with new_events() as events, django_assert_max_num_queries(70):
        intake.reconcile(desk.snapshot(*ends, *fills), now=desk.later(30))
    assert events == []


@pytest.mark.django_db
@pytest.mark.parametrize("differs", ["word", "filled"])
def test_an_end_that_says_something_new_is_taken(differs: str) -> None:
    desk = a_desk()
    order = desk.order(S.WORKING)
    intake.reconcile(desk.snapshot(desk.completed(order, "Cancelled")), now=desk.later(30))
    again = desk.completed(order, "Filled" if differs == "word" else "Cancelled", filled_quantity=Decimal(40))
    asked = intake.reconcile(desk.snapshot(again, complete=frozenset({Question.COMPLETED_ORDERS})), now=desk.later(30)).ask
    assert Question.EXECUTIONS in asked


@pytest.mark.django_db
def test_a_long_snapshot_says_when_each_part_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "BATCH", 2)
    desk = a_desk()
    orders = [desk.order(S.WORKING) for _ in range(5)]
    begun: list[int] = []
    intake.reconcile(desk.snapshot(*map(desk.opened, orders)), now=desk.later(30), before_each=lambda: begun.append(Event.objects.count()))
    assert len(begun) == 4, "three parts, and what follows from all of them"
    assert begun == sorted(set(begun))  # with something entered in between


# --- a code that did not end its order --------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("word", "seconds", "status"),
    [("PreSubmitted", 30, S.HELD), ("PreSubmitted", 5, S.REJECTED), ("Inactive", 30, S.REJECTED)],
)
def test_a_waiting_order_that_a_code_ended_is_live_again_when_a_later_list_has_it(word: str, seconds: int, status: S) -> None:
    """A 201 for a change that was settled already reads like the end of a waiting stop."""
    desk = a_desk()
    order = desk.order(S.HELD)
    desk.tell(desk.message(order, 201, Meaning.REJECTED))
    assert desk.fresh(order).status == S.REJECTED
    with proven():
        intake.reconcile(desk.snapshot(desk.opened(order, word)), now=desk.later(seconds))
    assert desk.fresh(order).status == status
    assert incidents("reopened") == (["reopened"] if status is S.HELD else [])
