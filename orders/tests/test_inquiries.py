"""Questions to the broker and what quotes are wanted of."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orders import inquiries
from orders.models import Inquiry, Watch
from orders.tests.desk_of_one import Wire
from orders.tests.factories import NOW, make_contract, make_position, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def wire() -> Wire:
    return Wire()


def test_a_question_is_taken_once_and_answered(wire: Wire) -> None:
    asked = inquiries.ask(Inquiry.Kind.SEARCH, {"pattern": "AAP"}, wire.user, NOW)
    [taken] = inquiries.take(NOW)
    assert (taken.id, taken.kind, taken.arguments) == (asked.pk, "search", {"pattern": "AAP"})
    assert inquiries.take(NOW) == []
    inquiries.answer(taken.id, [{"con_id": 265598}], NOW)
    answered = inquiries.wait_for(asked.pk, 0)
    assert (answered.state, answered.answer) == (Inquiry.State.ANSWERED, [{"con_id": 265598}])


def test_questions_are_taken_oldest_first_and_not_too_many(wire: Wire) -> None:
    ids = [inquiries.ask(Inquiry.Kind.SEARCH, {"pattern": str(n)}, wire.user, NOW + timedelta(seconds=n)).pk for n in (2, 1, 0)]
    assert [taken.id for taken in inquiries.take(NOW, limit=2)] == [ids[2], ids[1]]


def test_an_expired_question_is_failed_and_not_asked(wire: Wire) -> None:
    asked = inquiries.ask(Inquiry.Kind.SEARCH, {"pattern": "A"}, wire.user, NOW, ttl=timedelta(seconds=10))
    assert inquiries.take(NOW + timedelta(seconds=10)) == []
    assert inquiries.wait_for(asked.pk, 0).state == Inquiry.State.FAILED


def test_a_failure_says_why_and_a_late_answer_changes_nothing(wire: Wire) -> None:
    asked = inquiries.ask(Inquiry.Kind.CONTRACT, {"con_id": 1}, wire.user, NOW)
    inquiries.take(NOW)
    inquiries.fail(asked.pk, "x" * 400, NOW)
    inquiries.answer(asked.pk, [], NOW)
    row = inquiries.wait_for(asked.pk, 0)
    assert (row.state, row.error, row.answer) == (Inquiry.State.FAILED, "x" * 300, None)


def test_waiting_ends_with_the_answer_or_with_the_time(wire: Wire) -> None:
    asked = inquiries.ask(Inquiry.Kind.SEARCH, {"pattern": "A"}, wire.user, NOW)
    clock = [0.0]
    looks = []

    def pause(seconds: float) -> None:
        looks.append(seconds)
        clock[0] += 1
        if len(looks) == 3:
            inquiries.answer(asked.pk, [], NOW)

    assert inquiries.wait_for(asked.pk, 100, monotonic=lambda: clock[0], pause=pause).state == Inquiry.State.ANSWERED
    assert len(looks) == 3
    other = inquiries.ask(Inquiry.Kind.SEARCH, {"pattern": "B"}, wire.user, NOW)
    clock[0], end = 0.0, 5
    assert inquiries.wait_for(other.pk, end, monotonic=lambda: clock[0], pause=pause).state == Inquiry.State.ASKED
    assert clock[0] == end


def test_old_questions_are_thrown_away(wire: Wire) -> None:
    old = inquiries.ask(Inquiry.Kind.SEARCH, {"pattern": "A"}, wire.user, NOW)
    inquiries.ask(Inquiry.Kind.SEARCH, {"pattern": "B"}, wire.user, NOW + timedelta(hours=2))
    assert not Inquiry.objects.filter(pk=old.pk).exists()


def test_quotes_are_wanted_of_what_is_held_ordered_watched_or_on_a_ticket(wire: Wire) -> None:
    held, watched, ticket, unwanted = (make_contract(symbol) for symbol in ("HELD", "WATCH", "TICKET", "NONE"))
    make_position(wire.account, held)
    make_position(wire.account, unwanted, "0")
    inquiries.add_to_watchlist(wire.user, watched, NOW)
    inquiries.add_to_watchlist(wire.user, watched, NOW)
    inquiries.watch_ticket(wire.user, ticket, NOW)
    wire.buy()
    found = inquiries.wanted(NOW)
    assert {spec.symbol for spec in found.values()} == {"HELD", "WATCH", "TICKET", wire.contract.symbol}
    assert (found[held.con_id].con_id, found[held.con_id].exchange) == (held.con_id, "SMART")
    inquiries.remove_from_watchlist(wire.user, watched)
    assert {spec.symbol for spec in inquiries.wanted(NOW + timedelta(seconds=60)).values()} == {"HELD", wire.contract.symbol}


def test_a_ticket_that_stays_open_keeps_its_quotes(wire: Wire) -> None:
    ticket = make_contract("TICKET")
    inquiries.watch_ticket(wire.user, ticket, NOW)
    inquiries.watch_ticket(wire.user, ticket, NOW + timedelta(seconds=50))
    assert ticket.con_id in inquiries.wanted(NOW + timedelta(seconds=100))
    assert Watch.objects.filter(contract=ticket).count() == 1


def test_nobody_watches_for_a_user_who_is_switched_off(wire: Wire) -> None:
    gone = make_user(is_active=False)
    contract = make_contract("GONE")
    inquiries.add_to_watchlist(gone, contract, NOW)
    assert contract.con_id not in inquiries.wanted(NOW)
