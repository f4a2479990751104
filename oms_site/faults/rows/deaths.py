"""Processes that die, are frozen or are asked to end on an order's way."""

from __future__ import annotations

import signal
from collections.abc import Callable

from oms_site.faults.rig import FILLS, Rig
from oms_site.faults.rows.row import BRACKET, POSTGRES, Row
from oms_site.tests.desk import wait_until
from orders.models import OrderRecord


def _web_dies(point: str, **ticket: str) -> Callable[[Rig], None]:
    def provoke(rig: Rig) -> None:
        rig.arm("web", point)
        answered = rig.post(**ticket).status
        assert answered == 0, f"answered {answered}"
        rig.died("web")

    return provoke


def _worker_dies(point: str, limit: str = "200", **ticket: str) -> Callable[[Rig], None]:
    def provoke(rig: Rig) -> None:
        rig.arm("worker", point)
        rig.post(limit=limit, **ticket)
        rig.died("worker")

    return provoke


def _dies_at_verb(verb: str, point: str, *words: str) -> Callable[[Rig], None]:
    def provoke(rig: Rig) -> None:
        request = rig.order()
        name = rig.order_is(request, "WORKING")
        rig.arm("worker", point)
        rig.say(verb, name, *words)
        rig.died("worker")
        if verb == "cancel":
            rig.heal()
            rig.order_is(request, "CANCELLED")

    return provoke


def _dies_unanswered(rig: Rig) -> None:
    rig.control("hold")
    before = rig.placed()
    request = rig.post()
    wait_until(lambda: rig.placed() > before, "the order is at the exchange")
    rig.kill("worker")
    rig.heal()
    rig.order_is(request, "WORKING")


def _never_half_a_bracket(point: str) -> Callable[[Rig], None]:
    def provoke(rig: Rig) -> None:
        rig.arm("worker", point)
        request = rig.post(**BRACKET)
        rig.died("worker")
        rig.heal()
        name = rig.name_of(request)
        live = [one["request"]["order_ref"] for one in rig.exchange_orders() if one["status"] in ("Submitted", "PreSubmitted")]
        assert name not in live, f"the entry {name} works at the exchange without its stop"

    return provoke


def _asked_to_end(rig: Rig) -> None:
    """SIGTERM while many intents wait: those that are not claimed stay PENDING."""
    worker = rig.parts["worker"]
    worker.signal(signal.SIGSTOP)
    for number in range(20):
        rig.say("buy", "AAPL", str(number + 1), "--limit", "200", "--again")
    worker.signal(signal.SIGTERM)
    worker.signal(signal.SIGCONT)
    rig.faults += 1
    assert worker.ended() == 0, worker.log
    assert set(OrderRecord.objects.values_list("status", flat=True)) <= {"PENDING", "WORKING", "HELD", "SENT", "CANCELLED", "FILLED"}


def _zombie(rig: Rig) -> None:
    """Frozen until another has the lease; an order waits for whoever wakes up first."""
    zombie = rig.parts["worker"]
    zombie.signal(signal.SIGSTOP)
    rig.faults += 1
    rig.say("buy", "AAPL", "4", "--limit", "200")
    rig.parts["worker"] = standby = rig.spare()
    wait_until(lambda: "This worker trades" in standby.log, "another has the lease", 40)
    assert rig.placed() == 0
    zombie.signal(signal.SIGCONT)
    assert zombie.ended() not in (0, None), zombie.log
    rig.ready()


def _two_workers(rig: Rig) -> None:
    others = [rig.spare(str(number)) for number in range(2)]
    rig.faults += 1
    wait_until(lambda: all("Another worker trades" in one.log for one in others), "they stand by")
    rig.order_is(rig.order(), "WORKING")
    assert rig.placed() == 1
    for one in others:
        assert "This worker trades" not in one.log
        assert one.stop() == 0, one.log


ROWS = (
    Row("A1", "the web dies before it writes", _web_dies("submit.before_write")),
    Row("A2", "the web dies inside the transaction of a bracket", _web_dies("submit.before_commit", **BRACKET)),
    Row("A3", "the web dies between commit and answer", _web_dies("submit.after_commit")),
    Row("A5", "the worker dies before the claim", _worker_dies("worker.before_claim")),
    Row("A6", "the worker dies between claim and write", _worker_dies("worker.after_commit_before_send")),
    Row("A7", "the worker dies after the write", _worker_dies("worker.after_place")),
    Row("A8", "the worker is killed before the broker's answer", _dies_unanswered),
    Row("A9", "the worker dies between the broker's answer and its commit", _worker_dies("worker.after_ack_before_commit")),
    Row("A10", "the worker dies between an execution and its commit", _worker_dies("exec.before_commit", FILLS)),
    Row("A13a", "the worker dies before a cancel is written", _dies_at_verb("cancel", "cancel.before_send")),
    Row("A13b", "the worker dies after a cancel is written", _dies_at_verb("cancel", "cancel.after_send")),
    Row("A13c", "the worker dies with a cancel's answer", _dies_at_verb("cancel", "cancel.after_ack")),
    Row("A14a", "the worker dies before a change is written", _dies_at_verb("modify", "modify.before_send", "--limit", "201")),
    Row("A14b", "the worker dies after a change is written", _dies_at_verb("modify", "modify.after_send", "--limit", "201")),
    Row("A14c", "the worker dies with a change's answer", _dies_at_verb("modify", "modify.after_ack", "--limit", "201")),
    Row("A15a", "the worker dies after the entry of a bracket", _never_half_a_bracket("bracket.after_parent")),
    Row("A15b", "the worker dies after the first exit of a bracket", _never_half_a_bracket("bracket.after_first_child")),
    Row("A17", "SIGTERM with 20 orders waiting", _asked_to_end),
    Row("A18", "a worker sleeps past its lease, and wakes up", _zombie, (POSTGRES,)),
    Row("E1", "three workers", _two_workers, (POSTGRES,)),
)
