"""A person takes, explains and closes an incident: who may, what is refused, and what an adjustment does."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal as D
from typing import Any

import pytest

from orders import holdings, intake
from orders.book import book
from orders.errors import Refused
from orders.manager import OrderManager
from orders.models import BrokerId, Event, Incident, Limit, Position
from orders.models.book import Source
from orders.rules.lifecycle import OrderStatus as S
from orders.rules.limits import REDUCE_ONLY
from orders.rules.reports import PositionReported, Question
from orders.rules.terms import AccessLevel
from orders.tests.factories import a_key, grant, make_trader, make_user
from orders.tests.told import Desk, a_desk, facts, proven

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk() -> Iterator[Desk]:
    with proven():
        yield a_desk()


def manager(desk: Desk, user: Any = None) -> OrderManager:
    return OrderManager(user or make_trader(desk.account), clock=lambda: desk.now)


def incident(desk: Desk, kind: str = "overfill", **fields: Any) -> Incident:
    with book(at=desk.now) as b, b.event("test.incident", source=Source.SYSTEM) as fact:
        return fact.add(Incident(kind=kind, text="words", opened_at=desk.now, **{"account": desk.account, **fields}))


def a_break(desk: Desk) -> Incident:
    """100 held and explained, then 150 reported, three checks long."""
    sums = holdings.Sums()
    for quantity in (100, 150, 150, 150):
        desk.later(30)
        told = PositionReported(desk.account.code, facts(desk.contract), D(quantity), D(10))
        intake.reconcile(desk.snapshot(told, complete=frozenset({Question.POSITIONS})), now=desk.now, sums=sums)
    return Incident.objects.get(kind="position_differs")


def refusal(act: Any, *args: Any, **named: Any) -> str:
    with pytest.raises(Refused) as caught:
        act(*args, key=a_key(), **named)
    return caught.value.code


def test_an_incident_is_taken_and_closed_with_what_explains_it(desk: Desk) -> None:
    mine, row = manager(desk), incident(desk)
    assert mine.own_incident(row, key=a_key()).owner == mine.actor
    assert refusal(mine.close_incident, row, "  ") == "REASON"
    closed = mine.close_incident(row, "two clicks in TWS", key="once")
    assert (closed.closed_by, closed.explanation, closed.closed_at) == (mine.actor, "two clicks in TWS", desk.now)
    assert mine.close_incident(row, "two clicks in TWS", key="once").pk == row.pk, "the same key gets the same answer"
    assert refusal(mine.close_incident, row, "again") == "NOT_OPEN"
    assert list(Event.objects.filter(kind__startswith="incident.").values_list("kind", flat=True)) == ["incident.owned", "incident.closed"]


def test_who_may_not_trade_the_account_may_only_look(desk: Desk) -> None:
    viewer = make_user()
    grant(viewer, desk.account, AccessLevel.VIEW)
    for act, words in ((manager(desk, viewer).own_incident, ()), (manager(desk, viewer).close_incident, ("x",))):
        assert refusal(act, incident(desk), *words) == "NO_PERMISSION"
    nobodys = incident(desk, "foreign_account", account=None)
    assert refusal(manager(desk).close_incident, nobodys, "x") == "NO_PERMISSION"
    assert manager(desk, make_user(is_superuser=True)).close_incident(nobodys, "x", key=a_key()).closed_at


def test_a_position_that_differs_is_closed_by_recording_the_whole_difference(desk: Desk) -> None:
    row, mine = a_break(desk), manager(desk)
    assert refusal(mine.close_incident, row, "a transfer") == "STILL_DIFFERS"
    assert refusal(mine.close_incident, row, "a transfer", adjust=D(40)) == "DIFFERENCE_CHANGED"
    mine.close_incident(row, "a transfer", adjust=D(50), key=a_key())
    position = Position.objects.get()
    assert (position.opening, position.differs_since, position.differs_checks) == (150, None, 0)
    assert holdings.explained(position) == position.quantity
    assert Event.objects.get(kind="incident.closed").data["adjustment"] == "50"
    assert Limit.objects.get(rule="TRADING_STATE").value == 0


def test_a_restriction_that_a_person_set_or_another_break_needs_stays(desk: Desk) -> None:
    row, mine = a_break(desk), manager(desk)
    other = incident(desk, "position_differs")
    mine.close_incident(row, "a transfer", adjust=D(50), key=a_key())
    assert Limit.objects.get(rule="TRADING_STATE").value == 1
    limit = Limit.objects.get(rule="TRADING_STATE")
    with book(at=desk.now) as b, b.event("limit.set", source=Source.USER) as fact:
        fact.set(limit, note="by hand")
    mine.close_incident(other, "gone", key=a_key())
    assert Limit.objects.get(rule="TRADING_STATE").value == 1


def test_what_still_differs_is_not_closed_by_words(desk: Desk) -> None:
    mine = manager(desk)
    lost = desk.order(S.UNKNOWN, status_text="not at the broker")
    missing = incident(desk, "orders_missing")
    assert refusal(mine.close_incident, missing, "all well") == "STILL_DIFFERS"
    mine.conclude_cancelled(lost, "not in TWS", key=a_key())
    assert mine.close_incident(missing, "ended by hand", key=a_key()).closed_at
    twice = desk.order(S.WORKING, perm_id=1)
    with book(at=desk.now) as b, b.event("test.names", source=Source.SYSTEM) as fact:
        fact.set(twice.broker_ids.get(), word="Submitted")
        fact.add(BrokerId(order=twice, perm_id=2, word="Submitted"))
    both = incident(desk, "two_working", order=twice)
    assert refusal(mine.close_incident, both, "all well") == "STILL_DIFFERS"


def test_the_end_of_another_incident_frees_no_account(desk: Desk) -> None:
    a_break(desk)
    manager(desk).close_incident(incident(desk, "late_fill"), "seen", key=a_key())
    assert Limit.objects.get(rule="TRADING_STATE").value == REDUCE_ONLY, "the position differs as before"


def test_a_restriction_that_something_else_asks_for_too_outlives_the_break(desk: Desk) -> None:
    row, order = a_break(desk), desk.order(S.WORKING, perm_id=501)
    desk.tell(desk.opened(order, perm_id=501), desk.opened(order, perm_id=502))
    assert Incident.objects.filter(kind="two_working", closed_at=None).exists()
    manager(desk).close_incident(row, "a transfer", key=a_key(), adjust=D(50))
    assert Limit.objects.get(rule="TRADING_STATE").value == REDUCE_ONLY, "two orders work under one name"
