"""Each invariant is broken on purpose, and exactly that one must be told; a healthy day breaks none.

What a bug of ours could do is done with the book's own pen, so that the record stays whole; what a stranger could do is done past it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal as D
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection, transaction

from orders import integrity, replay
from orders.book import book
from orders.invariants import check
from orders.manager import OrderManager
from orders.models import (
    AccountAccess,
    BrokerCommand,
    BrokerId,
    Event,
    Execution,
    Gateway,
    Incident,
    MarketRule,
    OrderRecord,
    Position,
    Submission,
)
from orders.models.book import Source
from orders.rules.terms import terms_to_json
from orders.tests.desk_of_one import CLIENT
from orders.tests.factories import a_key, make_limit, make_user
from orders.tests.judged import Day, a_day

pytestmark = pytest.mark.django_db


@pytest.fixture
def day() -> Day:
    return a_day()


@contextmanager
def spoilt(day: Day) -> Iterator[Day]:
    """The day, to be spoilt: what is written inside is undone. Playing the day again would take half a second each time."""
    block = transaction.atomic()
    block._from_testcase = True  # as a test's own block, in which the book's transactions may lie
    with block:
        yield replace(day, lines=deepcopy(day.lines))
        transaction.set_rollback(True)


def pen(day: Day, row: Any, about: OrderRecord | None = None, kind: str = "test.spoilt", **fields: Any) -> None:
    """Writes a row as the book writes, with its event: `about` an order, by default the row itself."""
    order = about or (row if isinstance(row, OrderRecord) else None)
    with book(at=day.wire.now) as b, b.event(kind, source=Source.SYSTEM, order=order, account=day.wire.account) as fact:
        if row.pk is None:
            fact.add(row)
        else:
            fact.set(row, **fields)


def past(sql: str) -> None:
    """Writes past the book and its triggers."""
    integrity.remove(connection)
    with connection.cursor() as cursor:
        cursor.execute(sql)
    integrity.install(connection)


def a_command(day: Day, name: str, kind: str, **fields: Any) -> BrokerCommand:
    values = {"unit_id": "spoilt", "actor": day.wire.user, "created_at": day.wire.now, "claimable_at": day.wire.now, **fields}
    if kind == "MODIFY":
        values = {"terms": terms_to_json(day[name].terms), **values}
    command = BrokerCommand(order=day[name], kind=kind, **values)
    pen(day, command, about=day[name])
    return command


def claimed(day: Day, **fields: Any) -> None:
    """A change of the working order is taken out to be sent, whatever forbids it, and confirmed."""
    command = a_command(day, "changed", "MODIFY")
    pen(day, command, about=day["changed"], state="SENDING", **{"fence": day.wire.fence, "claimed_at": day.wire.now, **fields})
    pen(day, command, about=day["changed"], state="CONFIRMED", settled_at=day.wire.now)


# --- the sabotage, by invariant -----------------------------------------------------------------------------------------------------------


def placed_under_two_ids(day: Day) -> None:
    frame = deepcopy(day.frames("cancelled")[0])
    frame["fields"][1] = "99"
    day.lines.append(frame)


def written_again(day: Day) -> None:
    day.lines.append(deepcopy(day.frames("cancelled")[0]))


def two_at_the_broker(day: Day) -> None:
    day.lines.append({**day.states("changed")[0], "perm_id": 4711})


def claimed_twice(day: Day) -> None:
    command = BrokerCommand.objects.get(order=day["filled"], kind="PLACE")
    pen(day, command, about=day["filled"], state="SENDING", fence=day.wire.fence)
    pen(day, command, about=day["filled"], state="CONFIRMED")


def answered_with_nothing(day: Day) -> None:
    Submission.objects.create(
        user=day.wire.user, key="lost", verb="place", payload_hash="x", result={"orders": [4711]}, created_at=day.wire.now
    )


def forgotten_in_the_queue(day: Day) -> None:
    day.wire.buy("1", "90")


def silent(day: Day) -> None:
    day.wire.buy("1", "90")
    day.wire.send()
    day.lines.clear()


def ended_unnoticed(day: Day) -> None:
    day.states("changed")[0]["status"] = "Cancelled"


def lives_on_unnoticed(day: Day) -> None:
    day.states("cancelled")[0]["status"] = "Submitted"


def wiped(day: Day) -> None:
    time = day.lines[-1]["time"]
    held = {"kind": "position", "account": day.wire.account.code, "con_id": day.wire.contract.con_id, "quantity": "100", "previous": "0"}
    day.lines += [{"time": time, "kind": "wiped"}, {"time": time, **held}]


def filled_without_execution(day: Day) -> None:
    pen(day, day["changed"], filled_quantity=D(3))


def execution_missed(day: Day) -> None:
    trade = {**_trade(day), "exec_id": "missed.01.01", "shares": "3"}
    trade |= {name: day.states("changed")[0][name] for name in ("perm_id", "order_id", "order_ref")}
    held = {"kind": "position", "account": day.wire.account.code, "con_id": day.wire.contract.con_id, "quantity": "100", "previous": "103"}
    day.lines += [trade, {"time": trade["time"], **held}]


def correction_missed(day: Day) -> None:
    trade = _trade(day)
    busted = {**trade, "kind": "correction", "exec_id": trade["exec_id"][:-2] + "02", "replaces": trade["exec_id"], "shares": "0"}
    held = {"kind": "position", "account": day.wire.account.code, "con_id": day.wire.contract.con_id, "quantity": "100", "previous": "40"}
    day.lines += [busted, {"time": trade["time"], **held}]


def _trade(day: Day) -> dict[str, Any]:
    return next(line for line in day.lines if line["kind"] == "execution")


def position_unexplained(day: Day) -> None:
    pen(day, Position.objects.get(), quantity=D(150))


def position_set_by_hand(day: Day) -> None:
    trade = _trade(day)
    day.lines.append({"kind": "position", "time": trade["time"], "account": trade["account"], "con_id": trade["con_id"], "quantity": "7"})


def counts_no_more(day: Day) -> None:
    execution = Execution.objects.filter(order=day["filled"]).first()
    pen(day, execution, about=day["filled"], counts=False)


def row_written_past_the_book(day: Day) -> None:
    OrderRecord.objects.filter(pk=day["filled"].pk).update(note="mine")


def event_changed(day: Day) -> None:
    past(f"UPDATE orders_event SET text = 'never' WHERE seq = {_some_event()}")


def event_deleted(day: Day) -> None:
    past(f"DELETE FROM orders_event WHERE seq = {_some_event()}")


def event_cut_off(day: Day) -> None:
    with book(at=day.wire.now) as b, b.event("test.said", source=Source.SYSTEM):
        pass
    past("DELETE FROM orders_event WHERE seq = (SELECT MAX(seq) FROM orders_event)")


def _some_event() -> int:
    """One that carries no rows: taking it away changes nothing but the record."""
    seq: int = Event.objects.get(kind="unit.said").seq
    return seq


def status_changed_by_the_way(day: Day) -> None:
    pen(day, day["changed"], about=day["filled"], status="HELD")


def named_wrongly(day: Day) -> None:
    order = day["changed"]
    with book(at=day.wire.now) as b, b.event("test.spoilt", source=Source.SYSTEM, order=order) as fact:
        fact.set(OrderRecord.objects.get(pk=order.pk), status="HELD")  # the event's own copy of the order knows nothing of it


def back_to_pending(day: Day) -> None:
    pen(day, day["changed"], status="PENDING")


def reopened_unheard(day: Day) -> None:
    pen(day, day["cancelled"], status="WORKING", status_basis="", closed_at=None)


def born_working(day: Day) -> None:
    order = day["changed"]
    order.pk, order.client_order_id = None, order.client_order_id[:-3] + "XXX"
    order.filled_quantity = D(0)
    with book(at=day.wire.now) as b, b.event("test.born", source=Source.SYSTEM, order=order) as fact:
        fact.add(order)
        order.needs_attention = False
    day.lines.append({**day.states("changed")[0], "perm_id": 4712, "order_ref": order.client_order_id})


def shrank(day: Day) -> None:
    pen(day, day["changed"], filled_quantity=D(3))
    pen(day, day["changed"], filled_quantity=D(0))


def overfilled(day: Day) -> None:
    pen(day, day["filled"], quantity=D(50))


def asked_by_a_stranger(day: Day) -> None:
    a_command(day, "changed", "CANCEL", actor=make_user(), state="REFUSED", settled_at=day.wire.now)


def sent_after_the_permission_was_gone(day: Day) -> None:
    command = a_command(day, "changed", "MODIFY")
    pen(day, AccountAccess.objects.get(), level="view")
    pen(day, command, about=day["changed"], state="SENDING", fence=day.wire.fence)
    pen(day, command, about=day["changed"], state="CONFIRMED", settled_at=day.wire.now)


def sent_in_an_account_switched_off(day: Day) -> None:
    command = a_command(day, "changed", "MODIFY")
    pen(day, day["changed"].account, is_active=False)
    pen(day, command, about=day["changed"], state="SENDING", fence=day.wire.fence)
    pen(day, command, about=day["changed"], state="CONFIRMED", settled_at=day.wire.now)


def beyond(rule: str, value: str) -> Callable[[Day], None]:
    def spoil(day: Day) -> None:
        make_limit(rule, value, account=day.wire.account)
        claimed(day)

    spoil.__name__ = f"{rule}_{value}"
    return spoil


def older_fence(day: Day) -> None:
    claimed(day, fence=day.wire.fence - 1)


def fence_of_nobody(day: Day) -> None:
    claimed(day, fence=day.wire.fence + 1)


def frame_without_a_claim(day: Day) -> None:
    frame = deepcopy(day.frames("cancelled")[0])
    frame["fields"][1], frame["fields"][26] = "99", frame["fields"][26][:-3] + "XXX"
    day.lines.append(frame)


def cancel_without_a_claim(day: Day) -> None:
    number = day.frames("filled")[0]["fields"][1]
    day.lines.append({**day.frames("filled")[0], "message": "cancelOrder", "fields": ["4", "1", number, ""]})


def order_id_used_again(day: Day) -> None:
    name = BrokerId(order=day["filled"], client_id=CLIENT, ib_order_id=900)
    pen(day, name, about=day["filled"])
    with book(at=day.wire.now) as b, b.event("test.spoilt", source=Source.SYSTEM, order=day["filled"]) as fact:
        fact.remove(name)
    pen(day, BrokerId(order=day["changed"], client_id=CLIENT, ib_order_id=900), about=day["changed"])


def execution_of_another(day: Day) -> None:
    execution = Execution.objects.filter(order=day["filled"]).first()
    pen(day, execution, about=day["filled"], client_order_id=day["changed"].client_order_id)


def external_unseen(day: Day) -> None:
    day.lines.append({**day.states("changed")[0], "perm_id": 4711, "client": 5, "order_ref": ""})


def perm_id_of_another(day: Day) -> None:
    day.states("filled")[0]["order_ref"] = day["cancelled"].client_order_id
    day.states("cancelled")[0]["status"] = "Inactive"


def cancel_left_open(day: Day) -> None:
    a_command(day, "cancelled", "CANCEL")


def cancel_never_answered(day: Day) -> None:
    a_command(day, "changed", "CANCEL", state="SENT")


def sent_while_reconciling(day: Day) -> None:
    pen(day, Gateway.objects.get(), state="RECONCILING")
    claimed(day)


def sent_before_anything_was_asked(day: Day) -> None:
    connected = {"time": day.lines[-1]["time"], "kind": "client", "client": CLIENT, "event": "connected"}
    day.lines.insert(day.lines.index(day.frames("refused")[0]), connected)


def both_exits_filled(day: Day) -> None:
    execution = Execution.objects.get(order=day["target"])
    execution.pk, execution.exec_id, execution.root = None, "both.01.01", "both.01"
    execution.order, execution.client_order_id = day["stop"], day["stop"].client_order_id
    stop = day["stop"]
    with book(at=day.wire.now) as b, b.event("execution.reported", source=Source.BROKER, order=stop) as fact:
        fact.add(execution)
        fact.set(stop, filled_quantity=D(100))
        fact.set(Position.objects.get(), quantity=D(0))


def spelled_otherwise(day: Day) -> None:
    assert day.frames("filled")[0]["fields"][19] == "99.5"
    day.frames("filled")[0]["fields"][19] = "99.50"


def change_with_other_terms(day: Day) -> None:
    day.frames("changed")[1]["fields"][17] = "11"


def off_tick(day: Day) -> None:
    MarketRule.objects.update(increments=[["0", "0.4"]])


def one_field_less(day: Day) -> None:
    day.frames("filled")[0]["fields"].pop()


def control_bytes(day: Day) -> None:
    day.frames("filled")[0]["fields"][24] = "O\x1b[31m"


def no_order_at_all(day: Day) -> None:
    day.lines.append({**day.frames("filled")[0], "fields": ["3", "99"]})


LATER = 600.0
NO_LEDGER = {"ledger": False}
SABOTAGE: list[tuple[str, Callable[[Day], None], dict[str, Any]]] = [
    ("I1", placed_under_two_ids, {}),
    ("I1", written_again, {}),
    ("I1", two_at_the_broker, {}),
    ("I1", claimed_twice, {}),
    ("I2", answered_with_nothing, {}),
    ("I2", forgotten_in_the_queue, {"later": LATER}),
    ("I2", silent, {"later": LATER, "ledger": False}),
    ("I2", ended_unnoticed, {}),
    ("I2", lives_on_unnoticed, {}),
    ("I2", wiped, {}),
    ("I3", filled_without_execution, {}),
    ("I3", execution_missed, {}),
    ("I3", correction_missed, {}),
    ("I4", position_unexplained, {}),
    ("I4", position_set_by_hand, {}),
    ("I5", counts_no_more, {}),
    ("I6", row_written_past_the_book, {}),
    ("I6", event_changed, {}),
    ("I6", event_deleted, {}),
    ("I6", event_cut_off, {}),
    ("I6", status_changed_by_the_way, {}),
    ("I6", named_wrongly, {}),
    ("I7", back_to_pending, {}),
    ("I7", reopened_unheard, NO_LEDGER),
    ("I7", born_working, {}),
    ("I8", shrank, {}),
    ("I8", overfilled, {}),
    ("I9", asked_by_a_stranger, {}),
    ("I9", sent_after_the_permission_was_gone, {}),
    ("I9", sent_in_an_account_switched_off, {}),
    ("I10", beyond("TRADING_STATE", "2"), {}),
    ("I10", beyond("TRADING_STATE", "1"), {}),
    ("I10", beyond("MAX_QUANTITY", "9"), {}),
    ("I10", beyond("MAX_NOTIONAL", "900"), {}),
    ("I10", beyond("MAX_POSITION", "105"), {}),
    ("I11", older_fence, {}),
    ("I11", fence_of_nobody, {}),
    ("I11", frame_without_a_claim, {}),
    ("I11", cancel_without_a_claim, {}),
    ("I12", order_id_used_again, {}),
    ("I13", execution_of_another, {}),
    ("I13", external_unseen, {}),
    ("I13", perm_id_of_another, {}),
    ("I15", cancel_left_open, {}),
    ("I15", cancel_never_answered, {"later": LATER}),
    ("I16", sent_while_reconciling, {}),
    ("I16", sent_before_anything_was_asked, {}),
    ("I17", both_exits_filled, NO_LEDGER),
    ("I19", spelled_otherwise, {}),
    ("I19", change_with_other_terms, {}),
    ("I19", off_tick, {}),
    ("I20", one_field_less, {}),
    ("I20", control_bytes, {}),
    ("I20", no_order_at_all, {}),
]


def test_a_healthy_day_breaks_nothing(day: Day) -> None:
    assert day.broken() == {}
    assert day.broken(ledger=False) == {}
    assert day.broken(later=LATER) == {}
    assert replay.differences() == []


def test_an_order_that_is_only_made_smaller_goes_in_every_state_but_a_halt(day: Day) -> None:
    make_limit("TRADING_STATE", "1", account=day.wire.account)
    day.wire.manager.modify_order(day["changed"], key=a_key(), quantity=D(4))
    assert day.wire.send() and day.broken(ledger=False) == {}


def test_the_kill_switch_of_the_desk_reaches_accounts_that_its_user_may_not_trade(day: Day) -> None:
    warden = make_user()
    warden.user_permissions.add(Permission.objects.get(codename="halt_desk"))
    OrderManager(warden, clock=lambda: day.wire.now).kill(key=a_key(), scope="desk", reason="Runaway")
    assert BrokerCommand.objects.filter(kind="CANCEL", actor=warden).exists()
    assert day.wire.send() and day.broken(ledger=False) == {}


def test_every_finding_says_what_it_looked_at_or_why_it_could_not(day: Day) -> None:
    found = check(day.lines, day.wire.now)
    assert [one.code for one in found] == [f"I{number}" for number in range(1, 23)]
    assert {one.code for one in found if not one.is_told} == {"I14", "I18", "I21", "I22"}
    assert [one.code for one in found if one.is_told and not one.checked] == []
    assert [one.code for one in found if not one.is_told and not one.why] == []


def test_every_invariant_that_can_be_told_is_broken_here() -> None:
    assert {code for code, _, _ in SABOTAGE} == {f"I{number}" for number in range(1, 23)} - {"I14", "I18", "I21", "I22"}


def test_exactly_the_broken_one_is_told(day: Day) -> None:
    with book(at=day.wire.now) as b, b.event("unit.said", source=Source.SYSTEM):
        pass
    wrong = []
    for code, spoil, how in SABOTAGE:
        with spoilt(day) as today:
            spoil(today)
            broken = today.broken(**how)
        if set(broken) != {code}:
            wrong.append(f"{code}, {spoil.__name__}: {broken}")
    assert wrong == []


def test_a_second_client_that_was_refused_begins_no_new_connection(day: Day) -> None:
    """Two workers meet, and the gateway refuses the one that came second (326): the other goes on under the client id of both."""
    introduces = {"time": day.lines[-1]["time"], "kind": "in", "client": -1, "message": "startApi", "fields": ["71", "2", str(CLIENT), ""]}
    day.lines.insert(day.lines.index(day.frames("refused")[0]), introduces)
    assert day.broken() == {}


# --- what is no violation, because a person can see it ------------------------------------------------------------------------------------


def an_incident(day: Day, kind: str, order: OrderRecord | None = None, **fields: Any) -> None:
    incident = Incident(kind=kind, order=order, account=day.wire.account, text="seen", opened_at=day.wire.now, **fields)
    pen(day, incident, about=order)


TOLD: list[tuple[Callable[[Day], None], Callable[[Day], None], dict[str, Any]]] = [
    (two_at_the_broker, lambda day: an_incident(day, "two_working", day["changed"]), {}),
    (ended_unnoticed, lambda day: pen(day, day["changed"], needs_attention=True), {}),
    (lives_on_unnoticed, lambda day: an_incident(day, "late_fill", day["cancelled"]), {}),
    (position_unexplained, lambda day: an_incident(day, "position_differs", contract=day.wire.contract), {}),
    (position_set_by_hand, lambda day: pen(day, Position.objects.get(), differs_since=day.wire.now), {}),
    (overfilled, lambda day: an_incident(day, "overfill", day["filled"]), {}),
    (both_exits_filled, lambda day: an_incident(day, "exits_overfilled", day["stop"]), NO_LEDGER),
    (reopened_unheard, lambda day: None, NO_LEDGER),  # its incident is open already
]


def test_what_a_person_was_told_of_is_no_violation(day: Day) -> None:
    an_incident(day, "reopened", day["cancelled"])
    for spoil, tell, how in TOLD:
        with spoilt(day) as today:
            spoil(today)
            tell(today)
            broken = today.broken(**how)
        assert broken == {}, spoil.__name__
