"""Processes that die, are frozen or are asked to end on an order's way."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

from oms_site.faults.rig import FILLS, MOST_ACTIVE, Rig
from oms_site.faults.rows.row import BRACKET, POSTGRES, Row
from oms_site.tests.desk import wait_until
from oms_site.tests.pages import LivePage
from oms_site.tests.programs import Program
from orders.outbox.waiting import TOO_OLD


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


def _entry_refused(rig: Rig) -> None:
    """The broker refuses the entry of a bracket: its exits do not live on without it."""
    names = [rig.place("buy", "AAPL", "1", "--limit", "150") for _ in range(MOST_ACTIVE)]
    wait_until(lambda: rig.orders(client_order_id__in=names, status="WORKING").count() == MOST_ACTIVE, "the exchange takes no more")
    request = rig.post(**BRACKET)
    rig.faults += 1
    rig.order_is(request, "REJECTED")
    entry = rig.orders(client_order_id=rig.name_of(request)).get()
    exits = rig.orders(parent=entry)
    wait_until(lambda: exits.filter(status__in=("CANCELLED", "REJECTED")).count() == 2, "its exits are gone")
    live = {one["request"]["order_ref"] for one in rig.exchange_orders() if one["status"] in ("Submitted", "PreSubmitted")}
    assert live == set(names)


def _many_workers(rig: Rig) -> None:
    """Two more, then eight more at once: one trades, the others stand by and write nothing to the gateway."""
    others = [rig.spare(str(number)) for number in range(2)]
    wait_until(lambda: all("Another worker trades" in one.log for one in others), "they stand by")
    others += [rig.spare(str(number)) for number in range(2, 10)]
    rig.faults += len(others)
    wait_until(lambda: all("Another worker trades" in one.log for one in others), "they stand by")
    rig.order_is(rig.order(), "WORKING")
    assert rig.placed() == 1
    assert sum(line["kind"] == "client" and line["event"] == "connected" for line in rig.ledger) == 1, "nobody else came to the gateway"
    for one in others:
        assert "This worker trades" not in one.log
        one.signal(signal.SIGTERM)
    for one in others:
        assert one.ended() == 0, one.log


def _crash_loop(rig: Rig) -> None:
    """Nobody sends an order for more than a minute: the market it was meant for is gone, and it is refused, not sent."""
    assert rig.parts["worker"].stop() == 0
    started = time.monotonic()
    request = rig.post(limit=FILLS)
    name = rig.place("buy", "AAPL", "2", "--limit", FILLS)
    while time.monotonic() - started < TOO_OLD.total_seconds() + 1:
        rig.start("worker", "worker.start")
        rig.died("worker")
        threading.Event().wait(12.0)  # as a supervisor that is patient
    assert rig.orders(client_order_id=name, status="PENDING").exists()
    rig.start("worker")
    for one in (name, *([rig.name_of(request)] if request.is_accepted else [])):
        wait_until(lambda one=one: rig.orders(client_order_id=one, status="REJECTED").exists(), "it is refused")
        assert rig.orders(client_order_id=one).get().status_code == "STALE"
    assert rig.placed() == 0


def _dies_before_the_bell(rig: Rig) -> None:
    """The order stands, and nobody was told: pages and worker find it by looking."""
    words = ("desk", "buy", "AAPL", "3", "--limit", "200", "--user", "trader1", "--wait", "0")
    settings = rig.settings | {"DESKBOOK_CRASH_AT": "after_commit_before_publish"}
    with LivePage(rig.visitor, "/?scope=today") as page:
        rig.parts["person"] = Program.manage(*words, data=rig.folder, settings=settings, name="person").start()
        rig.died("person")
        died = time.monotonic()
        order = rig.orders(quantity=3).get()
        rig.told.append(order.client_order_id)
        page.until("the order", order.client_order_id, within="family-", seconds=10)
        rig.notes.append(f"the page showed it {time.monotonic() - died:.1f} s later")
        assert time.monotonic() - died < 8, "a page looks every second"
        page.until("the order works", order.client_order_id, "WORKING", within="family-")


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
    Row("A12", "who places an order dies between commit and bell", _dies_before_the_bell),
    Row("A13a", "the worker dies before a cancel is written", _dies_at_verb("cancel", "cancel.before_send")),
    Row("A13b", "the worker dies after a cancel is written", _dies_at_verb("cancel", "cancel.after_send")),
    Row("A13c", "the worker dies with a cancel's answer", _dies_at_verb("cancel", "cancel.after_ack")),
    Row("A14a", "the worker dies before a change is written", _dies_at_verb("modify", "modify.before_send", "--limit", "201")),
    Row("A14b", "the worker dies after a change is written", _dies_at_verb("modify", "modify.after_send", "--limit", "201")),
    Row("A14c", "the worker dies with a change's answer", _dies_at_verb("modify", "modify.after_ack", "--limit", "201")),
    Row("A15a", "the worker dies after the entry of a bracket", _never_half_a_bracket("bracket.after_parent")),
    Row("A15b", "the worker dies after the first exit of a bracket", _never_half_a_bracket("bracket.after_first_child")),
    Row("A15c", "the worker dies after the whole of a bracket", _worker_dies("worker.after_place", **BRACKET)),
    Row("A18", "a worker sleeps past its lease, and wakes up", _zombie, (POSTGRES,)),
    Row("A19", "the worker dies at every start", _crash_loop, (POSTGRES,)),
    Row("C25", "the broker refuses the entry of a bracket", _entry_refused),
    Row("E1", "eleven workers at once", _many_workers, (POSTGRES,)),
)
