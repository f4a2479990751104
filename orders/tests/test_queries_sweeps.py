"""The reports of kill switches and flattenings: told to whom they concern, over when the broker has said so, honest about the rest."""

from __future__ import annotations

from typing import Any

import pytest

from orders.models import BrokerCommand, OrderRecord, Sweep
from orders.queries.sweeps import Report, sweep
from orders.rules.terms import CommandKind
from orders.tests.desk_of_one import Wire
from orders.tests.factories import a_key, make_position

pytestmark = pytest.mark.django_db


@pytest.fixture
def wire() -> Wire:
    return Wire()


def kill(wire: Wire, **options: Any) -> Sweep:
    return wire.manager.kill(key=a_key(), scope="account", account=wire.account, reason="Out", **options)


def report(wire: Wire, made: Sweep) -> Report:
    found = sweep(wire.user, made.pk, wire.now)
    assert found is not None
    return found


def test_it_goes_from_waiting_to_asked_to_gone(wire: Wire) -> None:
    [order] = wire.sent(wire.buy())
    made = kill(wire)
    [line] = report(wire, made).cancelled
    assert (line.outcome, line.waits) == ("The cancel waits to be sent.", True)
    wire.send()
    [line] = report(wire, made).cancelled
    assert (line.outcome, line.waits) == ("Asked; the broker has not confirmed it yet.", True)
    wire.gone(order)
    told = report(wire, made)
    assert ([line.outcome for line in told.cancelled], told.is_over, told.word) == (["Gone."], True, "DONE")


def test_an_order_that_filled_before_its_cancel_is_not_as_meant(wire: Wire) -> None:
    [order] = wire.sent(wire.buy("10"))
    made = kill(wire)
    wire.send()
    wire.fill(order, 10)
    told = report(wire, made)
    assert (told.bad, told.word) == (1, "LOOK AT IT")
    assert told.cancelled[0].outcome.startswith("It filled before the cancel arrived. 10 of 10 filled at 100")


def test_a_partial_fill_stands_beside_the_cancel(wire: Wire) -> None:
    [order] = wire.sent(wire.buy("10"))
    made = kill(wire)
    wire.send()
    wire.fill(order, 4)
    wire.gone(order)
    [line] = report(wire, made).cancelled
    assert line.outcome == "Gone. 4 of 10 filled at 100.00." and not line.is_bad


def test_a_refused_cancel_is_said_and_ends_the_waiting(wire: Wire) -> None:
    [order] = wire.sent(wire.buy())
    made = kill(wire)
    wire.send()
    BrokerCommand.objects.filter(order=order, kind=CommandKind.CANCEL).update(state="REFUSED", text="It is being executed.")
    told = report(wire, made)
    assert (told.waiting, told.bad) == (0, 1)
    assert told.cancelled[0].outcome == "The cancel was refused: It is being executed."


def test_a_liquidation_that_was_given_up_is_not_as_meant(wire: Wire) -> None:
    make_position(wire.account, wire.contract, "100", "100")
    exits = wire.sent(*wire.protect())
    made = kill(wire, flatten=True)
    assert report(wire, made).placed[0].outcome == "Waits until its exits are out of the way."
    wire.send()
    wire.pass_time(31)
    wire.housekeeping()
    wire.gone(*exits)
    told = report(wire, made)
    assert (told.is_over, told.word, told.placed[0].is_bad) == (True, "LOOK AT IT", True)
    assert "not confirmed gone within 30 seconds" in told.placed[0].outcome


def test_what_fills_first_leaves_nothing_to_close_and_that_is_fine(wire: Wire) -> None:
    make_position(wire.account, wire.contract, "100", "100")
    stop, target = wire.sent(*wire.protect())
    made = wire.manager.flatten(key=a_key())
    wire.send()
    wire.fill(target, 100)
    wire.gone(stop)
    wire.pass_time(1)
    make_position(wire.account, wire.contract, "0", "100", at=wire.now)
    wire.send()
    told = report(wire, made)
    assert told.placed[0].is_bad is False
    assert "Nothing is left to close" in told.placed[0].outcome


def test_an_empty_switch_says_so(wire: Wire) -> None:
    told = report(wire, kill(wire))
    assert (told.is_over, told.summary) == (True, "There was nothing to cancel and nothing to close.")
    assert not OrderRecord.objects.exists()
