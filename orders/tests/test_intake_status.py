"""Status words and messages of the broker: which step each makes, which makes none, and what becomes of the commands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orders.models import Event, OrderRecord
from orders.rules.lifecycle import OrderStatus
from orders.rules.reports import Meaning, OrderDoubtful, OrderKey, OrderMessage, OrderStatusReported, Question
from orders.rules.terms import CommandKind, CommandState
from orders.signals import order_cancelled, order_error
from orders.tests.told import Desk, a_desk, a_limit, incidents, new_events, proven

pytestmark = pytest.mark.django_db
S, C = OrderStatus, CommandState


@pytest.fixture
def desk() -> Iterator[Desk]:
    with proven():
        yield a_desk()


# --- words ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("ApiPending", S.HELD),
        ("PendingSubmit", S.HELD),
        ("PreSubmitted", S.HELD),
        ("Inactive", S.HELD),
        ("Submitted", S.WORKING),
        ("ApiCancelled", S.CANCELLED),
        ("Cancelled", S.CANCELLED),
        ("PendingCancel", S.SENT),
        ("PreCancelled", S.SENT),
        ("Filled", S.SENT),
        ("WarnState", S.SENT),
    ],
)
def test_each_word_makes_its_step_and_confirms_that_the_order_arrived(desk: Desk, word: str, status: OrderStatus) -> None:
    order = desk.order()
    desk.tell(desk.says(order, word))
    after = desk.fresh(order)
    assert (after.state, after.broker_status) == (status, word)
    assert desk.place_of(order) is C.CONFIRMED
    assert after.heard_at == desk.now
    assert not incidents()


def test_a_message_that_comes_three_times_is_one_event(desk: Desk) -> None:
    order = desk.order()
    with new_events() as events:
        desk.tell(*[desk.says(order, "Submitted")] * 3)
        desk.tell(desk.says(order, "Submitted"))
    assert [event.kind for event in events] == ["order.working"]
    assert (events[0].status_before, events[0].status_after) == ("SENT", "WORKING")


def test_the_word_filled_alone_fills_nothing_and_asks_for_executions(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    outcome = desk.tell(desk.says(order, "Filled", filled="100"))
    after = desk.fresh(order)
    assert (after.state, after.filled_quantity) == (S.WORKING, 0)
    assert after.status_text == "The broker says filled; executions are missing."
    assert outcome.ask == {Question.EXECUTIONS}


def test_a_status_that_counts_more_than_the_book_asks_for_executions(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    assert Question.EXECUTIONS in desk.tell(desk.says(order, "Submitted", filled="40")).ask


def test_a_late_submitted_after_the_end_is_ignored(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    desk.tell(desk.says(order, "Cancelled"))
    with new_events() as events:
        desk.tell(desk.says(order, "Submitted"), desk.says(order, "PreSubmitted"))
    assert desk.fresh(order).state is S.CANCELLED
    assert desk.fresh(order).broker_status == "Cancelled"
    assert events == []
    assert not incidents()


def test_a_word_for_an_order_that_was_never_sent_is_an_anomaly_and_changes_nothing(desk: Desk) -> None:
    order = desk.order(S.PENDING)
    report = OrderStatusReported(OrderKey(client_order_id=order.client_order_id), "Submitted", order.filled_quantity, order.quantity)
    desk.tell(report)
    desk.tell(report)
    after = desk.fresh(order)
    assert after.state is S.PENDING
    assert after.needs_attention
    assert incidents() == ["illegal_step"]  # once, however often it comes
    assert desk.place_of(order) is C.PENDING


def test_a_held_order_keeps_why(desk: Desk) -> None:
    order = desk.order()
    desk.tell(desk.says(order, "Inactive", why_held="locate"))
    assert desk.fresh(order).why_held == "locate"
    desk.tell(desk.says(order, "Submitted"))
    assert desk.fresh(order).why_held == ""


def test_evidence_ends_a_doubt(desk: Desk) -> None:
    order = desk.order(S.UNKNOWN)
    desk.tell(desk.says(order, "Submitted"))
    assert desk.fresh(order).state is S.WORKING
    assert desk.place_of(order) is C.CONFIRMED


# --- the end of an order ----------------------------------------------------------------------------------------------------------------


def test_a_cancel_is_confirmed_by_the_word_and_signalled_once(desk: Desk) -> None:
    told: list[OrderRecord] = []

    def listen(order: OrderRecord, **_: object) -> None:
        told.append(order)

    order_cancelled.connect(listen)
    try:
        order = desk.order(S.WORKING)
        cancel = desk.command(order, CommandKind.CANCEL)
        desk.tell(desk.says(order, "Cancelled"), desk.message(order, 202, Meaning.CANCELLED))
    finally:
        order_cancelled.disconnect(listen)
    assert desk.state(cancel) is C.CONFIRMED
    assert [row.pk for row in told] == [order.pk]


@pytest.mark.parametrize("first_the_word", [True, False])
def test_202_before_or_after_the_word_is_one_cancel(desk: Desk, first_the_word: bool) -> None:
    order = desk.order(S.WORKING)
    reports = [desk.says(order, "Cancelled"), desk.message(order, 202, Meaning.CANCELLED, "Order Canceled - reason:")]
    with new_events() as events:
        desk.tell(*(reports if first_the_word else reversed(reports)))
    after = desk.fresh(order)
    assert (after.state, after.status_basis) == (S.CANCELLED, "broker")
    assert [event.kind for event in events].count("order.cancelled") == 1
    assert not incidents()


def test_202_instead_of_the_word_cancels_on_the_code(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    desk.tell(desk.message(order, 202, Meaning.CANCELLED, "Order Canceled - reason:"))
    after = desk.fresh(order)
    assert (after.state, after.status_basis, after.status_code) == (S.CANCELLED, "code", "202")
    assert after.closed_at == desk.now


def test_a_code_that_did_not_kill_the_order_is_told_when_it_works_again(desk: Desk) -> None:
    order = desk.order(S.CANCELLED, basis="code")
    desk.tell(desk.says(order, "Submitted"))
    after = desk.fresh(order)
    assert (after.state, after.status_basis, after.closed_at) == (S.WORKING, "", None)
    assert incidents() == ["reopened"]
    assert after.needs_attention


def test_the_end_settles_every_open_command(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    change = desk.command(order, CommandKind.MODIFY, a_limit(price="11"))
    cancel = desk.command(order, CommandKind.CANCEL, state=C.PENDING)
    desk.tell(desk.says(order, "Cancelled"))
    assert desk.state(change) is C.REFUSED
    assert desk.state(cancel) is C.WITHDRAWN  # it was never sent


def test_a_cancel_that_came_too_late_says_so(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    cancel = desk.command(order, CommandKind.CANCEL)
    desk.tell(desk.says(order, "PendingCancel"), desk.fill(order, "a.1.01", "100"))
    assert desk.fresh(order).state is S.FILLED
    assert desk.state(cancel) is C.REFUSED
    assert (cancel.code, cancel.text) == ("TOO_LATE", "Too late: the order is FILLED.")


# --- codes ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [S.SENT, S.HELD, S.UNKNOWN])
def test_a_refusing_code_rejects_an_order_that_does_not_work(desk: Desk, status: OrderStatus) -> None:
    told: list[tuple[str, str]] = []

    def listen(code: str, text: str, **_: object) -> None:
        told.append((code, text))

    order_error.connect(listen)
    try:
        order = desk.order(status, place=C.SENT)
        desk.tell(desk.message(order, 201, Meaning.REJECTED, "Order rejected - reason: margin"))
    finally:
        order_error.disconnect(listen)
    after = desk.fresh(order)
    assert (after.state, after.status_basis, after.status_code) == (S.REJECTED, "code", "201")
    assert after.status_text == "Order rejected - reason: margin"
    assert desk.place_of(order) is C.REFUSED
    assert told == [("201", "Order rejected - reason: margin")]


def test_inactive_after_201_does_not_reopen(desk: Desk) -> None:
    order = desk.order()
    desk.tell(desk.message(order, 201, Meaning.REJECTED), desk.opened(order, "Inactive"), desk.says(order, "Inactive"))
    assert desk.fresh(order).state is S.REJECTED
    assert not incidents()


def test_inactive_before_201_is_held_until_then(desk: Desk) -> None:
    order = desk.order()
    desk.tell(desk.says(order, "Inactive"))
    assert desk.fresh(order).state is S.HELD
    desk.tell(desk.message(order, 201, Meaning.REJECTED))
    assert desk.fresh(order).state is S.REJECTED


@pytest.mark.parametrize("status", [S.HELD, S.WORKING])
@pytest.mark.parametrize("meaning", [Meaning.REJECTED, Meaning.NOT_CHANGED])
def test_a_code_refuses_the_open_change_and_never_the_live_order(desk: Desk, status: OrderStatus, meaning: Meaning) -> None:
    order = desk.order(status)
    change = desk.command(order, CommandKind.MODIFY, a_limit(price="11"))
    desk.tell(desk.message(order, 110, meaning, "The price does not conform to the minimum price variation"))
    after = desk.fresh(order)
    assert (after.state, after.limit_price) == (status, 10)
    assert desk.state(change) is C.REFUSED
    assert change.code == "110"


def test_a_change_that_was_not_sent_yet_is_not_what_the_code_refuses(desk: Desk) -> None:
    order = desk.order(S.HELD)
    change = desk.command(order, CommandKind.MODIFY, a_limit(price="11"), state=C.PENDING)
    desk.tell(desk.message(order, 201, Meaning.REJECTED))
    assert desk.fresh(order).state is S.REJECTED
    assert desk.state(change) is C.WITHDRAWN


def test_a_refusing_code_for_a_working_order_is_shown_and_asked_about(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    outcome = desk.tell(desk.message(order, 201, Meaning.REJECTED, "strange"))
    after = desk.fresh(order)
    assert (after.state, after.status_text) == (S.WORKING, "strange")
    assert {Question.OPEN_ORDERS, Question.COMPLETED_ORDERS, Question.EXECUTIONS} == outcome.ask


@pytest.mark.parametrize(
    ("code", "meaning"), [(161, Meaning.NOT_CANCELLABLE), (10147, Meaning.NOT_FOUND), (10148, Meaning.NOT_CANCELLABLE)]
)
@pytest.mark.parametrize("status", [S.WORKING, S.FILLED])
def test_what_cannot_be_cancelled_refuses_the_cancel_and_concludes_nothing(
    desk: Desk, code: int, meaning: Meaning, status: OrderStatus
) -> None:
    fields = {"filled_quantity": 100} if status is S.FILLED else {}
    order = desk.order(status, **fields)
    cancel = desk.command(order, CommandKind.CANCEL)
    outcome = desk.tell(desk.message(order, code, meaning, "cannot be cancelled, state: Filled"))
    assert desk.fresh(order).state is status
    assert desk.state(cancel) is C.REFUSED
    assert cancel.text == "cannot be cancelled, state: Filled"
    assert Question.EXECUTIONS in outcome.ask


def test_135_of_a_change_refuses_the_change(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    change = desk.command(order, CommandKind.MODIFY, a_limit(price="11"))
    desk.tell(desk.message(order, 135, Meaning.NOT_FOUND))
    assert desk.state(change) is C.REFUSED


@pytest.mark.parametrize("status", [S.SENT, S.WORKING, S.FILLED, S.CANCELLED])
@pytest.mark.parametrize("meaning", [Meaning.WARNING, Meaning.UNCLEAR, Meaning.HELD])
def test_a_warning_or_an_unknown_code_changes_no_status(desk: Desk, status: OrderStatus, meaning: Meaning) -> None:
    order = desk.order(status, **({"filled_quantity": 100} if status is S.FILLED else {}))
    with new_events() as events:
        outcome = desk.tell(*[desk.message(order, 399, meaning, "will not be placed until 09:30")] * 3)
    after = desk.fresh(order)
    assert after.state is status
    assert [(event.kind, event.text, event.data["code"]) for event in events] == [("order.message", "will not be placed until 09:30", 399)]
    assert bool(outcome.ask) is (meaning is Meaning.UNCLEAR)
    assert (after.status_text == "will not be placed until 09:30") is after.is_open


def test_a_message_for_an_id_that_nobody_has_is_told_and_hits_no_order(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    desk.tell(OrderMessage(OrderKey(ib_order_id=4711), 201, "rejected", Meaning.REJECTED))
    assert incidents() == ["unknown_order_message"]
    assert desk.fresh(order).state is S.WORKING


# --- doubt ------------------------------------------------------------------------------------------------------------------------------


def test_silence_makes_a_sent_order_unknown_and_its_commands_too(desk: Desk) -> None:
    order = desk.order()
    cancel = desk.command(order, CommandKind.CANCEL)
    outcome = desk.tell(OrderDoubtful(order.client_order_id, "no answer within 5 s"))
    after = desk.fresh(order)
    assert (after.state, after.status_text, after.heard_at) == (S.UNKNOWN, "no answer within 5 s", None)
    assert desk.place_of(order) is C.UNKNOWN
    assert desk.state(cancel) is C.SENT
    assert Question.OPEN_ORDERS in outcome.ask


def test_doubt_about_a_change_does_not_touch_the_order(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    change = desk.command(order, CommandKind.MODIFY, a_limit(price="11"))
    desk.tell(OrderDoubtful(order.client_order_id, "the link was lost"))
    assert desk.fresh(order).state is S.WORKING
    assert desk.state(change) is C.UNKNOWN


# --- bad reports ------------------------------------------------------------------------------------------------------------------------


def test_a_bad_report_is_an_incident_and_harms_no_other(desk: Desk) -> None:
    first, second = desk.order(), desk.order()
    desk.tell(desk.says(first, "Submitted"), OrderDoubtful("never heard of", "?"), desk.says(second, "Submitted"), refused=1)
    assert desk.fresh(first).state is S.WORKING
    assert desk.fresh(second).state is S.WORKING
    assert incidents() == ["bad_report"]
    assert list(Event.objects.values_list("seq", flat=True)) == list(range(1, Event.objects.count() + 1))
