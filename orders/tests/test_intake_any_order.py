"""Any order of arrival, any repetition: what the broker says of an order comes to the same book (I5), and its events fold to its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal as D

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders import intake
from orders.book import book
from orders.models import BrokerCommand, CommissionReport, Execution, Incident, OcaGroup, OrderRecord
from orders.models.book import Source
from orders.rules.lifecycle import OrderStatus
from orders.rules.reports import CommissionReported, Meaning, Question, Report
from orders.rules.terms import CommandKind, Side
from orders.tests.told import Desk, a_desk, a_limit, incidents, new_events, proven

pytestmark = pytest.mark.django_db
S = OrderStatus
Story = Callable[[Desk, OrderRecord], list[Report]]
Book = tuple[OrderStatus, D, D | None, dict[str, D]]


@pytest.fixture
def desk() -> Iterator[Desk]:
    with proven():
        yield a_desk()


def fills(desk: Desk, order: OrderRecord, *rows: tuple[str, str, str]) -> list[Report]:
    """Executions (id, quantity, price), each with its commission, which may come first."""
    reports: list[Report] = []
    for exec_id, quantity, price in rows:
        report = desk.fill(order, f"{order.pk}.{exec_id}", quantity, price)
        reports += [report, CommissionReported(report.exec_id, D(quantity) / 100 + 1, "USD", D(price))]
    return reports


def lived(desk: Desk, order: OrderRecord) -> list[Report]:
    return [desk.opened(order, "PreSubmitted"), desk.says(order, "PreSubmitted"), desk.opened(order), desk.says(order, "Submitted")]


def filled(desk: Desk, order: OrderRecord) -> list[Report]:
    """Two fills, the first of them corrected twice; warnings and a code that nobody knows on the way."""
    return [
        *lived(desk, order),
        *fills(desk, order, ("1.01", "40", "10"), ("1.02", "30", "11"), ("1.03", "40", "12"), ("2.01", "60", "9")),
        desk.says(order, "Filled", filled="100"),
        desk.completed(order, "Filled", filled_quantity=D(100)),
        desk.message(order, 399, Meaning.WARNING),
        desk.message(order, 15000, Meaning.UNCLEAR),
    ]


def cancelled(desk: Desk, order: OrderRecord) -> list[Report]:
    """Cancelled with a part filled; code, word and list each say so."""
    return [
        *lived(desk, order),
        *fills(desk, order, ("1.01", "40", "10")),
        desk.says(order, "PendingCancel", filled="40"),
        desk.message(order, 202, Meaning.CANCELLED, "Order Canceled - reason:"),
        desk.says(order, "Cancelled", filled="40"),
        desk.completed(order, "Cancelled", "Cancelled by Trader", filled_quantity=D(40)),
    ]


def refused(desk: Desk, order: OrderRecord) -> list[Report]:
    """Refused with a code, and Inactive afterwards, as IB tells of it."""
    return [
        desk.message(order, 201, Meaning.REJECTED, "Order rejected - reason: no money"),
        desk.opened(order, "Inactive"),
        desk.says(order, "Inactive"),
        desk.completed(order, "Inactive", "Rejected by System"),
    ]


def refused_late(desk: Desk, order: OrderRecord) -> list[Report]:
    """Taken as waiting, then refused; the word is Cancelled."""
    return [
        desk.opened(order, "PreSubmitted"),
        desk.says(order, "PreSubmitted"),
        desk.message(order, 201, Meaning.REJECTED, "Order rejected - reason: no money"),
        desk.says(order, "Cancelled"),
    ]


def filled_after_the_cancel(desk: Desk, order: OrderRecord) -> list[Report]:
    return [
        *lived(desk, order),
        desk.message(order, 202, Meaning.CANCELLED),
        desk.says(order, "Cancelled"),
        *fills(desk, order, ("1.01", "40", "10"), ("2.01", "60", "11")),
    ]


def overfilled(desk: Desk, order: OrderRecord) -> list[Report]:
    return [*lived(desk, order), *fills(desk, order, ("1.01", "60", "10"), ("2.01", "60", "11")), desk.says(order, "Filled", filled="120")]


STORIES: dict[Story, tuple[OrderStatus, str, str | None]] = {
    filled: (S.FILLED, "100", "10.2"),
    cancelled: (S.CANCELLED, "40", "10"),
    refused: (S.REJECTED, "0", None),
    refused_late: (S.REJECTED, "0", None),
    filled_after_the_cancel: (S.FILLED, "100", "10.6"),
    overfilled: (S.FILLED, "120", "10.5"),
}


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_however_the_story_of_an_order_is_told_it_ends_in_the_same_book(desk: Desk, story: Story, data: st.DataObject) -> None:
    order = desk.order()
    told = story(desk, order)
    repeated = data.draw(st.lists(st.integers(0, len(told) - 1), max_size=4), label="repeated")
    arrival = data.draw(st.permutations([*range(len(told)), *repeated]), label="arrival")
    cut = data.draw(st.integers(0, len(arrival)), label="cut")
    for part in (arrival[:cut], arrival[cut:]):  # of one batch or of two
        desk.tell(*[told[number] for number in part])
    status, quantity, average = STORIES[story]
    after = OrderRecord.objects.get(pk=order.pk)
    assert (after.state, after.filled_quantity, after.average_price) == (status, D(quantity), D(average) if average else None)
    costs = CommissionReport.objects.filter(exec_id__startswith=f"{order.pk}.").count()
    assert costs == Execution.objects.filter(order=order).count() == len({r.exec_id for r in told if isinstance(r, CommissionReported)})


def a_pair(desk: Desk) -> list[OrderRecord]:
    """Stop and target of 100 in one group; the other is cancelled by the first fill."""
    with book(at=desk.now) as b, b.event("test.group", source=Source.USER) as fact:
        group = fact.add(OcaGroup(name=f"pair-{b.row.seq}", oca_type=1))
    return [desk.order(S.WORKING, terms=a_limit(side=Side.SELL), oca_group=group) for _ in range(2)]


def a_bracket(desk: Desk) -> list[OrderRecord]:
    """An entry that filled 100, and its two exits."""
    entry = desk.order(S.WORKING)
    desk.tell(*fills(desk, entry, ("0.01", "100", "10")))
    return [desk.order(S.HELD, terms=a_limit(side=Side.SELL), parent=entry) for _ in range(2)]


@pytest.mark.parametrize("family", [a_pair, a_bracket], ids=lambda family: family.__name__)
@pytest.mark.parametrize("both", [False, True], ids=["one leg fills", "both legs fill"])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_however_the_story_of_two_exits_is_told_it_ends_in_the_same_book(
    desk: Desk, family: Callable[[Desk], list[OrderRecord]], both: bool, data: st.DataObject
) -> None:
    stop, target = family(desk)
    told = [
        *fills(desk, target, ("1.01", "30", "11"), ("1.02", "40", "11"), ("2.01", "60", "11")),
        desk.says(target, "Filled", filled="100"),
        desk.says(stop, "PendingCancel"),
        *(fills(desk, stop, ("1.01", "70", "9")) if both else []),
        desk.message(stop, 202, Meaning.CANCELLED),
        desk.says(stop, "Cancelled"),
    ]
    repeated = data.draw(st.lists(st.integers(0, len(told) - 1), max_size=3), label="repeated")
    for number in data.draw(st.permutations([*range(len(told)), *repeated]), label="arrival"):
        desk.tell(told[number])
    assert [(row.state, row.filled_quantity) for row in map(desk.fresh, (target, stop))] == [
        (S.FILLED, D(100)),
        (S.CANCELLED, D(70 if both else 0)),
    ]
    mine = Incident.objects.filter(order__in=[stop, target], kind="exits_overfilled")
    assert mine.exists() is both  # whichever leg is told last: at once, and nothing is traded to make up for it
    assert not BrokerCommand.objects.filter(order__in=[stop, target]).exclude(kind="PLACE").exists()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_bust_leaves_the_same_order_whenever_it_is_heard(desk: Desk, data: st.DataObject) -> None:
    order = desk.order()
    told = [
        *lived(desk, order),
        *fills(desk, order, ("1.01", "60", "10"), ("2.01", "40", "11"), ("2.02", "0", "11")),
        desk.says(order, "Filled"),
    ]
    desk.tell(*[told[number] for number in data.draw(st.permutations(range(len(told))), label="arrival")])
    after = desk.fresh(order)
    assert (after.filled_quantity, after.average_price) == (D(60), D(10))
    assert after.is_open
    intake.reconcile(desk.snapshot(desk.opened(order), desk.says(order, "Submitted", filled="60")), now=desk.later(1))
    assert desk.fresh(order).state is S.WORKING


# --- a refusal of what lives ----------------------------------------------------------------------------------------------------------


def test_a_code_does_not_end_a_stop_that_waits_until_the_broker_ends_it(desk: Desk) -> None:
    """C17: a waiting stop is a live order. Its refusal is shown and asked about; ended by the broker it was refused, with the reason."""
    stop = desk.order()
    desk.tell(desk.opened(stop, "PreSubmitted"))
    outcome = desk.tell(desk.message(stop, 201, Meaning.REJECTED, "Order rejected - reason: no money"))
    shown = desk.fresh(stop)
    assert (shown.state, shown.status_code) == (S.HELD, "201")
    assert Question.OPEN_ORDERS in outcome.ask
    desk.tell(desk.says(stop, "Cancelled"))
    after = desk.fresh(stop)
    assert (after.state, after.status_code, after.status_text) == (S.REJECTED, "201", "Order rejected - reason: no money")
    desk.tell(desk.says(stop, "PreSubmitted"), desk.says(stop, "Submitted"))
    assert desk.fresh(stop).state is S.REJECTED
    assert not incidents()


def test_a_refused_change_is_no_refusal_of_the_order(desk: Desk) -> None:
    """C17: the code answered our change; a later end of the order is a plain cancel."""
    order = desk.order(S.WORKING)
    desk.command(order, CommandKind.MODIFY, a_limit(price="11"))
    desk.tell(desk.message(order, 201, Meaning.NOT_CHANGED, "no money"), desk.says(order, "Cancelled"))
    assert desk.fresh(order).state is S.CANCELLED


def test_a_cancel_that_we_asked_for_stays_one_whatever_code_comes_late(desk: Desk) -> None:
    order = desk.order(S.WORKING)
    desk.command(order, CommandKind.CANCEL)
    desk.tell(desk.says(order, "Cancelled"), desk.message(order, 201, Meaning.REJECTED))
    assert desk.fresh(order).state is S.CANCELLED


def test_the_word_of_the_broker_ends_what_a_code_refused_for_good(desk: Desk) -> None:
    """C3, C15: 201, the word Cancelled, then a late Submitted: it means nothing, though a code alone can be outlived."""
    order = desk.order()
    desk.tell(desk.message(order, 201, Meaning.REJECTED, "no money"), desk.says(order, "Cancelled"), desk.says(order, "Submitted"))
    after = desk.fresh(order)
    assert (after.state, after.status_basis, after.status_text) == (S.REJECTED, "broker", "no money")
    assert not incidents()


@pytest.mark.parametrize(("text", "shown"), [("Order Canceled - reason:", ""), ("Order Canceled - reason:price is far away", "202")])
def test_the_reason_of_a_cancel_is_kept_where_the_word_came_first(desk: Desk, text: str, shown: str) -> None:
    """C11: one cancel, one event of it; the reason, if there is one, joins it."""
    order = desk.order(S.WORKING)
    with new_events() as events:
        desk.tell(desk.says(order, "Cancelled"), *[desk.message(order, 202, Meaning.CANCELLED, text)] * 2)
    assert [event.kind for event in events].count("order.cancelled") == 1
    assert desk.fresh(order).status_code == shown
