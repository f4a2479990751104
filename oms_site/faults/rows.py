"""The catalogue: what is broken, how, and what must be seen of it before the common ending.

The rule it keeps: a row provokes its fault for certain. One that did not strike fails instead of passing.
"""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from oms_site.faults.rig import FILLS, Rig
from oms_site.tests.desk import wait_until
from orders.models import OrderRecord, Submission

SQLITE, POSTGRES = "sqlite", "postgres"
BOTH = (SQLITE, POSTGRES)
BRACKET = {"bracket": "on", "take_profit_price": "220", "stop_loss_price": "190"}


@dataclass(frozen=True)
class Row:
    """One fault. `provoke` breaks the desk and asserts what must be seen at once."""

    name: str
    what: str
    provoke: Callable[[Rig], None]
    databases: tuple[str, ...] = BOTH


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


def _gateway_killed(rig: Rig) -> None:
    request = rig.post()
    rig.order_is(request, "WORKING")
    rig.kill("gateway")
    rig.start_gateway()
    rig.ready()
    rig.order_is(request, "WORKING")


def _ids_rolled_back(rig: Rig) -> None:
    rig.order_is(rig.order(), "WORKING")
    rig.control("reset-ids 5")
    rig.control("drop")
    rig.faults += 1
    wait_until(lambda: not rig.is_ready(), "the loss is noticed")
    rig.order_is(rig.order(quantity=2), "WORKING")


@contextlib.contextmanager
def _locked(rig: Rig) -> Iterator[None]:
    """Another process holds the database for writing."""
    rig.faults += 1
    if rig.server is None:
        with contextlib.closing(sqlite3.connect(rig.folder / "deskbook.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")
        return
    import psycopg

    with psycopg.connect(str(rig.database)) as other:
        other.execute("LOCK TABLE orders_book IN ACCESS EXCLUSIVE MODE")
        yield
        other.rollback()


def _locked_a_second(rig: Rig) -> None:
    with ThreadPoolExecutor(1) as pool:
        with _locked(rig):
            sending = pool.submit(rig.post)
            threading.Event().wait(1.0)
        assert sending.result().status == 200


def _locked_for_long(rig: Rig) -> None:
    """Longer than a request waits and than the worker trusts its lease; a fill comes meanwhile."""
    request = rig.post(quantity=3)
    rig.order_is(request, "WORKING")
    with _locked(rig):
        started = time.monotonic()
        late = rig.post(quantity=2)
        assert late.status == 503 and time.monotonic() - started < 9, (late.status, time.monotonic() - started)
        answer = rig.send(late)
        assert answer is not None and answer.status == 503 and answer.headers["Retry-After"] == "5", answer
        assert "safe to send again" in answer.text and "HX-Trigger" in answer.headers
        rig.control("quote AAPL 199 199.5")
    assert not Submission.objects.filter(key=late.key).exists()
    rig.order_is(request, "FILLED")
    rig.control("release-quote AAPL")


def _killed_postgres(rig: Rig) -> None:
    """An immediate restart under a stream of orders."""
    assert rig.server is not None
    done = threading.Event()

    def stream() -> None:
        while not done.is_set():
            rig.post()

    with ThreadPoolExecutor(1) as pool:
        streaming = pool.submit(stream)
        wait_until(lambda: len(rig.requests) >= 5, "orders flow")
        rig.server.stop()
        rig.faults += 1
        rig.server.start()
        sent = len(rig.requests)
        wait_until(lambda: len(rig.requests) >= sent + 5, "orders flow again")
        done.set()
        streaming.result()


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


def _thousand_clicks(rig: Rig) -> None:
    request = rig.post(quantity=7)
    rig.faults += 1
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: rig.send(request), range(200)))
    assert {answer.status for answer in answers if answer is not None} == {200}
    assert OrderRecord.objects.filter(quantity=7).count() == 1


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
    Row("B6", "the gateway is killed and started again", _gateway_killed),
    Row("B8", "the gateway's order ids roll back", _ids_rolled_back),
    Row("D1a", "the database is locked for a second", _locked_a_second),
    Row("D1b", "the database is locked for longer than anybody waits", _locked_for_long),
    Row("D4", "PostgreSQL is restarted at once under a stream of orders", _killed_postgres, (POSTGRES,)),
    Row("F1", "the same ticket 200 times, 16 at once", _thousand_clicks),
)
