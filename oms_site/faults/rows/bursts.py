"""Many orders at once: what is asked to end, cut or halted in the middle of them."""

from __future__ import annotations

import re
import signal
import time
from collections import Counter
from datetime import datetime

from django.utils import timezone

from oms_site.faults.rig import FILLS, Rig
from oms_site.faults.rows.links import CLIENT
from oms_site.faults.rows.row import BRACKET, Row
from oms_site.tests.desk import wait_until
from oms_site.tests.pages import form_of
from orders.models import Event, Limit
from orders.outbox.claim import AT_ONCE
from orders.rules.limits import HALTED

SENT_BEFORE_THE_CUT = 38


def _flow(rig: Rig, count: int, until: int, limit: str = "") -> list[str]:
    """Lets so many orders go at once, and waits until some of them are at the exchange."""
    before = rig.placed()
    names = rig.queue(count, limit)
    rig.control("connectivity restored")
    wait_until(lambda: rig.placed() >= before + until, f"{until} orders are at the exchange")
    return names


def _counts(rig: Rig, names: list[str]) -> Counter[str]:
    return Counter(rig.read(lambda: list(rig.orders(client_order_id__in=names).values_list("status", flat=True))))


def _asked_to_end(rig: Rig) -> None:
    """Those that are not claimed stay PENDING, the worker ends in order, and the next one sends them."""
    names = _flow(rig, 200, until=1)
    started = time.monotonic()
    rig.parts["worker"].signal(signal.SIGTERM)
    rig.faults += 1
    assert rig.parts["worker"].ended() == 0, rig.parts["worker"].log
    took, left = time.monotonic() - started, _counts(rig, names)["PENDING"]
    rig.notes.append(f"ended after {took:.1f} s, {left} of {len(names)} orders still waiting")
    assert left and took < 15, (left, took)


def _cut(rig: Rig) -> None:
    """The connection breaks in the middle: each order is at the exchange, or UNKNOWN and shown, or goes out later. None goes twice."""
    names = _flow(rig, 200, until=SENT_BEFORE_THE_CUT, limit=FILLS)
    rig.control(f"drop {CLIENT}")
    rig.faults += 1
    sent = rig.placed()
    assert sent < len(names), "the connection broke after the last of them"

    def settled() -> bool:
        counts = _counts(rig, names)
        return counts["FILLED"] + counts["UNKNOWN"] == len(names)

    wait_until(settled, "each is settled or in doubt", 60)
    rig.notes.append(f"cut after {sent} orders; in the end {dict(_counts(rig, names))}")


def _deployed_anew(rig: Rig) -> None:
    """The desk is ended and started again with 200 open orders and some in every other state."""
    filled, gone = rig.post(limit=FILLS), rig.order()
    rig.order_is(filled, "FILLED")
    rig.say("cancel", rig.order_is(gone, "WORKING"))
    rig.order_is(gone, "CANCELLED")
    bracket = rig.post(**BRACKET)
    rig.order_is(bracket, "WORKING")
    names = _flow(rig, 200, until=200)
    wait_until(lambda: _counts(rig, names)["WORKING"] == len(names), "all work", 40)
    began = time.monotonic()
    for part in ("web", "worker"):
        if rig.parts[part].runs:
            assert rig.parts[part].stop() == 0, rig.parts[part].log
    rig.faults += 1
    waiting = rig.place("buy", "AAPL", "7", "--limit", FILLS)
    started = time.monotonic()
    rig.start("worker")
    rig.start("web")
    rig.ready()
    rig.notes.append(f"ended in {started - began:.1f} s, READY {time.monotonic() - started:.1f} s after the start")
    assert _counts(rig, names) == Counter(WORKING=200)
    wait_until(lambda: rig.orders(client_order_id=waiting, status="FILLED").exists(), "what waited meanwhile goes out")
    assert rig.orders(status="HELD").count() == 2, "the exits of the bracket"
    assert rig.placed() == 200 + 2 + 3 + 1, "nothing was sent again"


def _kill_switch(rig: Rig) -> None:
    """Pressed in the middle of 200 orders: nothing is claimed after its commit, and everything in reach is cancelled."""
    admin = rig.somebody("admin")
    form = form_of(admin.get("/kill/").text, "kill-form")
    names = _flow(rig, 200, until=30)
    started = time.monotonic()
    pressed = admin.post("/kill/", **form | {"scope": "desk", "reason": "A drill"})
    answered = timezone.now()
    rig.faults += 1
    assert pressed.status == 200 and re.search(r"/sweeps/\d+/$", pressed.url), pressed.text[:2000]
    halt = Limit.objects.get(rule="TRADING_STATE")
    assert halt.value == HALTED
    wait_until(lambda: set(_counts(rig, names)) <= {"CANCELLED", "REJECTED"}, "everything is cancelled or taken back", 60)
    took = time.monotonic() - started
    late = Event.objects.filter(kind="order.claimed", seq__gt=halt.seq).count()
    assert not late, f"{late} orders were claimed after the commit"
    frames = [line for line in rig.ledger if line["kind"] == "in" and line["message"] == "placeOrder"]
    assert len(frames) < len(names), "it was pressed after the last of them"
    after = sum(datetime.fromisoformat(line["time"]) > answered for line in frames)
    assert after <= AT_ONCE, f"{after} frames after the answer"
    rig.notes.append(f"halted after {len(frames)} orders, {after} of them after the answer; all cancelled in {took:.1f} s")
    assert rig.refusal("buy", "AAPL", "9", "--limit", "200")


ROWS = (
    Row("A17", "SIGTERM in the middle of 200 orders", _asked_to_end),
    Row("B17", "the connection breaks in the middle of 200 orders", _cut),
    Row("E5", "the desk is started anew with 200 open orders", _deployed_anew),
    Row("F16", "the kill switch in the middle of 200 orders", _kill_switch),
)
