"""The catalogue: what is broken, how, and what must be seen of it before the common ending.

The rule it keeps: a row provokes its fault for certain. One that did not strike fails instead of passing.
"""

from __future__ import annotations

import contextlib
import resource
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from oms_site.faults.rig import FILLS, Rig
from oms_site.tests.desk import wait_until
from orders.models import Gateway, OrderRecord, Submission

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


@contextlib.contextmanager
def _full(rig: Rig) -> Iterator[None]:
    """No room: files may not grow (SQLite), or every write of the book's tables raises 53100 (PostgreSQL)."""
    rig.faults += 1
    if rig.server is None:
        process = rig.parts["worker"].process
        assert process is not None
        before = resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        yield
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, before)
        return
    import psycopg

    body = "BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END"
    with psycopg.connect(str(rig.database), autocommit=True) as other:
        other.execute(f"CREATE FUNCTION is_full() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$")
        names = other.execute("SELECT tablename FROM pg_tables WHERE tablename LIKE 'orders\\_%'").fetchall()
        for (name,) in names:
            other.execute(f"CREATE TRIGGER is_full BEFORE INSERT OR UPDATE ON {name} EXECUTE FUNCTION is_full()")
        yield
        other.execute("DROP FUNCTION is_full() CASCADE")


def _disk_full(rig: Rig) -> None:
    """Nothing is sent without a committed claim; a fill that comes meanwhile is counted later."""
    request = rig.order(quantity=3)
    rig.order_is(request, "WORKING")
    before = rig.placed()
    with _full(rig):
        late = rig.post(quantity=2)
        assert late.status == 503, (late.status, late.words)
        rig.control("quote AAPL 199 199.5")
        wait_until(lambda: any(line["kind"] == "execution" for line in rig.ledger), "it filled at the exchange")
        threading.Event().wait(3.0)  # time enough for the worker to send what it may not
        assert rig.placed() == before
    rig.order_is(request, "FILLED")
    rig.control("release-quote AAPL")


def _stopped_postgres(rig: Rig) -> None:
    """Down for a while; a fill comes meanwhile."""
    assert rig.server is not None
    request = rig.order(quantity=3)
    rig.order_is(request, "WORKING")
    rig.server.stop()
    rig.faults += 1
    assert rig.post(quantity=2).status == 503
    rig.control("quote AAPL 199 199.5")
    threading.Event().wait(12.0)  # longer than the lease lives
    rig.server.start()
    rig.order_is(request, "FILLED")
    rig.control("release-quote AAPL")


def _hung_postgres(rig: Rig) -> None:
    """The book's row is locked by somebody: the event loop goes on, so the gateway is still asked for the time."""
    asked = _probes(rig)
    with _locked(rig):
        assert rig.post().status == 503
        wait_until(lambda: _probes(rig) > asked + 1, "the probe goes on")


def _probes(rig: Rig) -> int:
    return sum(line["kind"] == "in" and line["message"] == "reqCurrentTime" for line in rig.ledger)


def _frozen_gateway(rig: Rig) -> None:
    """It looks connected and answers nothing: found within 10 s (and some for a busy machine), and no order enters the dead socket."""
    rig.order_is(rig.order(), "WORKING")
    rig.parts["gateway"].signal(signal.SIGSTOP)
    rig.faults += 1
    started = time.monotonic()
    wait_until(lambda: rig.read(lambda: Gateway.objects.get(pk=1)).state == "DEGRADED", "it is found", 15)
    assert time.monotonic() - started < 12
    late = rig.post(quantity=2)
    assert late.status != 200 or OrderRecord.objects.get(client_order_id=rig.name_of(late)).status == "PENDING"
    rig.parts["gateway"].signal(signal.SIGCONT)


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


def _no_redis(rig: Rig) -> None:
    """Stopped, then frozen: orders go out all the same, people can sign in."""
    assert rig.redis is not None
    rig.redis.stop()
    rig.faults += 1
    rig.order_is(rig.order(), "WORKING")
    assert rig.visitor.get("/").status == 200
    rig.redis.start()
    rig.redis.freeze()
    rig.faults += 1
    started = time.monotonic()
    rig.order_is(rig.order(quantity=2), "WORKING")
    assert time.monotonic() - started < 30
    rig.redis.thaw()


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
    Row("A18", "a worker sleeps past its lease, and wakes up", _zombie, (POSTGRES,)),
    Row("B3", "the gateway freezes", _frozen_gateway),
    Row("B6", "the gateway is killed and started again", _gateway_killed),
    Row("B8", "the gateway's order ids roll back", _ids_rolled_back),
    Row("D1a", "the database is locked for a second", _locked_a_second),
    Row("D1b", "the database is locked for longer than anybody waits", _locked_for_long),
    Row("D2", "the disk is full", _disk_full),
    Row("D4", "PostgreSQL is restarted at once under a stream of orders", _killed_postgres, (POSTGRES,)),
    Row("D5", "PostgreSQL is down while a fill comes", _stopped_postgres, (POSTGRES,)),
    Row("D6", "PostgreSQL hangs on a lock", _hung_postgres, (POSTGRES,)),
    Row("D10", "Redis is gone, and then hangs", _no_redis, (POSTGRES,)),
    Row("E1", "three workers", _two_workers, (POSTGRES,)),
    Row("F1", "the same ticket 200 times, 16 at once", _thousand_clicks),
)
