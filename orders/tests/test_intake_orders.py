"""Whose order it is and on which terms: attribution, acknowledged terms, changes, perm ids, and orders placed elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from orders.models import BrokerId, Execution, Incident, Limit, OrderRecord
from orders.rules.lifecycle import OrderStatus
from orders.rules.reports import ExecutionReported, OrderCompleted, OrderKey, OrderStatusReported, Question
from orders.rules.terms import CommandKind, CommandState, OrderTerms, OrderType, Side, TimeInForce
from orders.tests.factories import make_contract
from orders.tests.told import CLIENT, Desk, a_desk, a_limit, facts, incidents, new_events, proven

pytestmark = pytest.mark.django_db
S, C = OrderStatus, CommandState


@pytest.fixture
def desk() -> Iterator[Desk]:
    with proven():
        yield a_desk()


def status_of(key: OrderKey, word: str = "Submitted") -> OrderStatusReported:
    return OrderStatusReported(key, word, Decimal(0), Decimal(100))


# --- attribution ------------------------------------------------------------------------------------------------------------------------


def test_the_reference_comes_before_the_perm_id_and_the_order_id(desk: Desk) -> None:
    first, second = desk.order(perm_id=501), desk.order(perm_id=502)
    desk.tell(desk.opened(first, key=OrderKey(CLIENT, 2, 502, first.client_order_id)))
    assert desk.fresh(first).state is S.WORKING
    assert desk.fresh(second).state is S.SENT
    assert sorted(incidents()) == ["order_id_reused", "perm_id_taken"]


def test_the_perm_id_comes_before_the_order_id(desk: Desk) -> None:
    first, second = desk.order(perm_id=501), desk.order(perm_id=502)
    desk.tell(status_of(OrderKey(CLIENT, 1, 502)))
    assert desk.fresh(first).state is S.SENT
    assert desk.fresh(second).state is S.WORKING


def test_an_order_id_of_another_client_is_another_order(desk: Desk) -> None:
    order = desk.order()
    outcome = desk.tell(status_of(OrderKey(99, 1, 777)))
    assert desk.fresh(order).state is S.SENT
    assert outcome.ask == {Question.OPEN_ORDERS}


def test_an_order_id_without_any_other_name_is_ours_only_with_our_client(desk: Desk) -> None:
    order = desk.order()
    desk.tell(status_of(OrderKey(CLIENT, 1, 0)))
    assert desk.fresh(order).state is S.WORKING


def test_a_reissued_order_id_with_another_reference_is_not_our_order(desk: Desk) -> None:
    order = desk.order(S.WORKING, perm_id=501)
    desk.tell(desk.elsewhere(888, client_id=CLIENT, ib_order_id=1, reference="somebody-elses"))
    assert desk.fresh(order).seq < OrderRecord.objects.get(client_order_id="ext-888").seq
    assert not desk.fresh(order).needs_attention


def test_a_reference_of_this_book_that_it_does_not_know_is_told_and_shown(desk: Desk) -> None:
    reference = desk.order().client_order_id[:-1] + "X"
    desk.tell(desk.elsewhere(888, reference=reference))
    desk.tell(desk.elsewhere(888, reference=reference))
    assert incidents() == ["unknown_own_order"]
    assert OrderRecord.objects.get(client_order_id="ext-888").note == reference


@pytest.mark.parametrize("what", ["side", "contract", "account"])
def test_a_copied_reference_is_not_the_order(desk: Desk, what: str) -> None:
    """TWS copies the reference when somebody reverses an order there."""
    from orders import intake
    from orders.rules.terms import BookKind

    intake.bind(BookKind.SIMULATED, ["DU1000001", "DU1000002"], desk.now)
    order = desk.order(S.WORKING, perm_id=501)
    fields = {
        "side": {"terms": a_limit(side=Side.SELL)},
        "contract": {"contract": facts(make_contract("MSFT"))},
        "account": {"account": "DU1000002"},
    }[what]
    desk.tell(desk.opened(order, "PreSubmitted", key=OrderKey(0, 0, 888, order.client_order_id), **fields))
    after = desk.fresh(order)
    assert (after.state, after.needs_attention) == (S.WORKING, True)
    assert incidents() == ["order_contradicts"]
    assert OrderRecord.objects.get(client_order_id="ext-888").state is S.HELD


# --- terms and changes ------------------------------------------------------------------------------------------------------------------


def test_a_change_is_confirmed_by_an_open_order_that_carries_its_terms(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    change = desk.command(order, CommandKind.MODIFY, a_limit("120", "11.5"))
    desk.tell(desk.opened(order))  # stale: the old terms
    assert desk.state(change) is C.SENT
    assert desk.fresh(order).quantity == 100
    with new_events() as events:
        desk.tell(desk.opened(order, "PreSubmitted", a_limit("120", "11.5")))
    after = desk.fresh(order)
    assert (after.quantity, after.limit_price, after.state) == (120, Decimal("11.5"), S.HELD)
    assert desk.state(change) is C.CONFIRMED
    assert [event.text for event in events] == ["Changed: quantity 100 → 120, limit price 10 → 11.5"]


def test_terms_that_were_changed_elsewhere_are_taken_from_the_broker(desk: Desk) -> None:
    order = desk.order(S.WORKING, perm_id=501)
    with new_events() as events:
        desk.tell(*[desk.opened(order, terms=a_limit("80", "9"), perm_id=501)] * 2)
    assert [(event.kind, event.source, event.text) for event in events] == [
        ("order.terms", "broker", "Changed at the broker, not from here (TWS or another client): quantity 100 → 80, limit price 10 → 9")
    ]
    assert desk.fresh(order).quantity == 80


def test_third_terms_are_taken_and_leave_the_change_open(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    change = desk.command(order, CommandKind.MODIFY, a_limit("120", "11"))
    desk.tell(desk.opened(order, terms=a_limit("90", "10")))
    assert desk.fresh(order).quantity == 90
    assert desk.state(change) is C.SENT


def test_a_change_that_was_never_sent_is_not_confirmed(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    change = desk.command(order, CommandKind.MODIFY, a_limit("120"), state=C.PENDING)
    desk.tell(desk.opened(order, terms=a_limit("120")))
    assert desk.state(change) is C.PENDING


def test_a_quantity_reduced_to_what_has_filled_fills_the_order(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    desk.tell(desk.fill(order, "a.1.01", "40"))
    change = desk.command(order, CommandKind.MODIFY, a_limit("40"))
    desk.tell(desk.opened(order, terms=a_limit("40")))
    assert desk.fresh(order).state is S.FILLED
    assert desk.state(change) is C.CONFIRMED


def test_terms_of_an_order_that_is_over_stay(desk: Desk) -> None:
    order = desk.order(S.CANCELLED)
    desk.tell(desk.opened(order, "Cancelled", a_limit("1")))
    assert desk.fresh(order).quantity == 100


def test_a_price_with_more_digits_than_a_column_keeps_is_stored_as_it_is_compared(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    terms = a_limit(price="10.123456789")
    with new_events() as events:
        desk.tell(*[desk.opened(order, terms=terms)] * 3)
    assert len(events) == 1


# --- perm ids -----------------------------------------------------------------------------------------------------------------------------


def test_the_first_perm_id_joins_the_order_id(desk: Desk) -> None:
    order = desk.order()
    desk.tell(desk.opened(order, perm_id=501), desk.says(order, "Submitted", perm_id=501))
    row = BrokerId.objects.get(order=order)
    assert (row.client_id, row.ib_order_id, row.perm_id, row.word) == (CLIENT, 1, 501, "Submitted")


def test_two_perm_ids_that_work_at_once_are_an_incident_and_either_end_leaves_the_order_live(desk: Desk) -> None:
    order = desk.order()
    desk.tell(desk.opened(order, perm_id=501))
    desk.tell(desk.opened(order, perm_id=502))
    assert incidents() == ["two_working"]
    assert sorted(order.broker_ids.values_list("perm_id", flat=True)) == [501, 502]
    limit = Limit.objects.get(account=desk.account, rule="TRADING_STATE")
    assert (limit.value, limit.note) == (1, "Two orders work at the broker under one name: perm ids [501, 502].")
    desk.tell(desk.says(order, "Cancelled", perm_id=501))
    assert desk.fresh(order).state is S.WORKING
    desk.tell(desk.says(order, "Cancelled", perm_id=502))
    assert desk.fresh(order).state is S.CANCELLED


def test_another_perm_id_that_works_after_the_first_has_ended_is_no_late_repeat(desk: Desk) -> None:
    order = desk.order()
    desk.tell(desk.opened(order, perm_id=501), desk.says(order, "Cancelled", perm_id=501))
    desk.tell(desk.says(order, "Submitted", perm_id=501))
    assert desk.fresh(order).state is S.CANCELLED
    desk.tell(desk.opened(order, "PreSubmitted", perm_id=502))
    after = desk.fresh(order)
    assert (after.state, after.needs_attention) == (S.HELD, True)
    assert incidents() == ["reopened"]
    desk.tell(desk.says(order, "Cancelled", perm_id=502))
    assert desk.fresh(order).state is S.CANCELLED


# --- orders placed elsewhere ------------------------------------------------------------------------------------------------------------


def test_an_order_placed_elsewhere_is_shown_by_its_perm_id(desk: Desk) -> None:
    outcome = desk.tell(*[desk.elsewhere(888, "PreSubmitted")] * 2)
    row = OrderRecord.objects.get(client_order_id="ext-888")
    assert (row.state, row.is_external, row.role, row.account, row.quantity) == (S.HELD, True, "external", desk.account, 100)
    assert outcome.external == 1
    assert row.created_by is None
    assert not incidents()
    desk.tell(status_of(OrderKey(3, 7, 888), "Cancelled"))
    assert OrderRecord.objects.get(client_order_id="ext-888").state is S.CANCELLED


def test_an_order_of_a_type_that_we_do_not_offer_is_shown_in_the_words_of_ib(desk: Desk) -> None:
    desk.tell(desk.elsewhere(888, terms=None, side=Side.SELL, quantity=Decimal(7), type_word="TRAIL LIMIT GTC"))
    row = OrderRecord.objects.get(client_order_id="ext-888")
    assert (row.side, row.quantity, row.order_type, row.time_in_force) == ("SELL", 7, "TRAIL LIMIT", "GTC")


def test_an_order_in_an_account_that_is_not_ours_is_told_of_and_not_shown(desk: Desk) -> None:
    desk.tell(*[desk.elsewhere(888, account="U7654321")] * 2)
    assert incidents() == ["foreign_account"]
    assert Incident.objects.get().account is None
    assert not OrderRecord.objects.exists()


def test_an_order_that_ib_has_not_named_yet_is_asked_for_again(desk: Desk) -> None:
    assert desk.tell(desk.elsewhere(0)).ask == {Question.OPEN_ORDERS}
    assert not OrderRecord.objects.exists()


def elsewhere_fill(desk: Desk, exec_id: str, quantity: str) -> ExecutionReported:
    key = OrderKey(3, 0, 888)
    return ExecutionReported(key, exec_id, desk.account.code, facts(desk.contract), Side.BUY, Decimal(quantity), Decimal(10), desk.now)


def test_executions_that_came_before_the_order_are_its_own(desk: Desk) -> None:
    outcome = desk.tell(elsewhere_fill(desk, "a.1.01", "30"))
    assert Question.OPEN_ORDERS in outcome.ask
    assert Execution.objects.get().order is None
    desk.tell(desk.elsewhere(888))
    row = OrderRecord.objects.get(client_order_id="ext-888")
    assert (row.state, row.filled_quantity) == (S.WORKING, 30)
    desk.tell(elsewhere_fill(desk, "a.2.01", "70"))
    assert OrderRecord.objects.get(client_order_id="ext-888").state is S.FILLED


def done_elsewhere(desk: Desk, word: str, filled: str | None = None) -> OrderCompleted:
    return OrderCompleted(
        OrderKey(perm_id=888),
        desk.account.code,
        facts(desk.contract),
        OrderTerms(Side.BUY, OrderType.MARKET, Decimal(50), time_in_force=TimeInForce.DAY),
        word,
        "",
        desk.now,
        None if filled is None else Decimal(filled),
    )


def test_an_order_that_was_filled_elsewhere_waits_for_its_executions(desk: Desk) -> None:
    assert Question.EXECUTIONS in desk.tell(done_elsewhere(desk, "Filled", "50")).ask
    assert not OrderRecord.objects.exists()
    desk.tell(elsewhere_fill(desk, "a.1.01", "50"), done_elsewhere(desk, "Filled", "50"))
    row = OrderRecord.objects.get()
    assert (row.state, row.filled_quantity, row.average_price) == (S.FILLED, 50, 10)
    assert Execution.objects.get().order == row


def test_an_order_that_was_cancelled_elsewhere_is_kept(desk: Desk) -> None:
    desk.tell(done_elsewhere(desk, "Cancelled"))
    assert OrderRecord.objects.get().state is S.CANCELLED


# --- completed orders of ours -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "text", "status"),
    [
        ("Cancelled", "Cancelled by Trader", S.CANCELLED),
        ("Cancelled", "Rejected by System", S.REJECTED),
        ("Inactive", "", S.REJECTED),
        ("Filled", "Filled Size: 100", S.UNKNOWN),
    ],
)
def test_a_completed_order_ends_a_doubt(desk: Desk, word: str, text: str, status: OrderStatus) -> None:
    order = desk.order(S.UNKNOWN)
    desk.tell(desk.completed(order, word, text))
    after = desk.fresh(order)
    assert after.state is status
    if status is not S.UNKNOWN:
        assert (after.status_basis, after.status_text, after.closed_at) == ("broker", text, desk.now)
