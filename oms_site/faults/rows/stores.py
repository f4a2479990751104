"""The database and Redis: locked, full, restarted, gone, hanging."""

from __future__ import annotations

import contextlib
import io
import re
import resource
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from django.core.management import call_command
from django.db import connections

from oms_site.faults.rig import Rig
from oms_site.faults.rows.row import POSTGRES, Row
from oms_site.tests.desk import tied, wait_until
from oms_site.tests.pages import LivePage
from orders.models import BrokerCommand, Event, Submission


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
    late = rig.look(quantity=2)
    with _locked(rig):
        started = time.monotonic()
        rig.send(late)
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


def _locked_until_killed(rig: Rig) -> None:
    """Somebody holds the database and never lets go, until that process is killed: nothing needs to be started again."""
    request = rig.order(quantity=3)
    rig.order_is(request, "WORKING")
    words = [sys.executable, "-c", _HOLDS_SQLITE if rig.server is None else _HOLDS_POSTGRES]
    where = str(rig.folder / "deskbook.sqlite3") if rig.server is None else str(rig.database)
    with subprocess.Popen([*tied(), *words, where], stdout=subprocess.PIPE, text=True) as holder:  # noqa: S603
        try:
            assert holder.stdout is not None and holder.stdout.readline() == "held\n"
            rig.faults += 1
            late, started = rig.post(quantity=2), time.monotonic()
            assert late.status == 503
            rig.control("quote AAPL 199 199.5")
            while time.monotonic() - started < 13.0:  # longer than the lease lives
                assert rig.send(late) is not None and late.status == 503
        finally:
            holder.kill()
    rig.faults += 1
    assert rig.parts["worker"].runs
    rig.order_is(request, "FILLED")
    rig.control("release-quote AAPL")


_HOLDS_SQLITE = """
import sqlite3, sys, time
sqlite3.connect(sys.argv[1], isolation_level=None).execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(600)
"""
_HOLDS_POSTGRES = """
import psycopg, sys, time
held = psycopg.connect(sys.argv[1])
held.execute("LOCK TABLE orders_book IN ACCESS EXCLUSIVE MODE")
print("held", flush=True)
time.sleep(600)
"""


def _no_connection_left(rig: Rig) -> None:
    """Two hundred pages wait for a table and take every connection of the web: it says so, and the worker goes on."""
    import psycopg

    with psycopg.connect(str(rig.database)) as other, ThreadPoolExecutor(100) as pool:
        other.execute("LOCK TABLE django_session IN ACCESS EXCLUSIVE MODE")
        asked = [pool.submit(rig.visitor.get, "/") for _ in range(200)]
        rig.faults += 1
        name, started = rig.place("buy", "AAPL", "1", "--limit", "200"), time.monotonic()
        wait_until(lambda: rig.orders(client_order_id=name, status="WORKING").exists(), "the order works")
        rig.notes.append(f"an order worked {time.monotonic() - started:.1f} s after it was placed")
        assert sum(not one.done() for one in asked), "pages still wait"
        wait_until(lambda: sum(one.done() for one in asked) >= 100, "pages are answered")
        other.rollback()
        answers = [one.result() for one in asked]
    statuses = Counter(answer.status for answer in answers)
    rig.notes.append(f"200 pages were answered {dict(statuses)}")
    assert statuses[503] and set(statuses) <= {200, 503}, statuses
    assert all(answer.headers["Retry-After"] for answer in answers if answer.status == 503)


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


def _no_redis_at_the_start(rig: Rig) -> None:
    """The desk comes up without it, and pages are told by looking; when it is there, nothing needs to be started again."""
    assert rig.redis is not None
    for part in ("web", "worker"):
        assert rig.parts[part].stop() == 0, rig.parts[part].log
    rig.redis.stop()
    rig.faults += 1
    rig.start("worker")
    rig.start("web")
    rig.ready()
    rig.visitor = rig.somebody()
    with LivePage(rig.visitor, "/?scope=today") as page:
        for quantity in (1, 2):
            name = rig.name_of(rig.order(quantity))
            page.until("the order", name, "WORKING", within="family-", seconds=10)
            if quantity == 1:
                rig.redis.start()


def _no_bell(rig: Rig) -> None:
    """Nobody rings the worker: in one process because another one placed the order, over processes because Redis is gone."""
    if rig.redis is not None:
        rig.redis.stop()
    waits = []
    for quantity in range(1, 6):
        name = rig.place("buy", "AAPL", str(quantity), "--limit", "200")
        rig.faults += 1
        wait_until(lambda name=name: rig.orders(client_order_id=name, status="WORKING").exists(), "it works")
        command = BrokerCommand.objects.get(order__client_order_id=name)
        assert command.claimed_at is not None
        waits.append((command.claimed_at - command.created_at).total_seconds())
    rig.notes.append(f"taken after {', '.join(f'{seconds:.2f}' for seconds in waits)} s")
    assert max(waits) < 3.0, "the outbox is read every second"


def _bit_flipped(rig: Rig) -> None:
    """One bit of one event: the check names that event."""
    event = Event.objects.get(text="A drill's limits")
    for part in ("web", "worker"):
        if rig.parts[part].runs:
            assert rig.parts[part].stop() == 0, rig.parts[part].log
    _flip(rig, "A drill's limits", "A drill's limitr")
    rig.faults += 1
    out, code = io.StringIO(), 0
    try:
        call_command("verify", stdout=out)
    except SystemExit as end:
        code = int(str(end.code))
    finally:
        _flip(rig, "A drill's limitr", "A drill's limits")
    assert code == 1, f"nothing was found:\n{out.getvalue()}"
    assert re.search(rf"FAILED +chain.*\n.*\b{event.seq}\b", out.getvalue()), out.getvalue()
    rig.start("worker")
    rig.start("web")
    rig.ready()
    rig.order_is(rig.order(), "WORKING")


def _flip(rig: Rig, before: str, after: str) -> None:
    """In the file, or past the guard of the table."""
    connections["default"].close()
    if rig.server is None:
        path = rig.folder / "deskbook.sqlite3"
        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        data = path.read_bytes()
        assert data.count(before.encode()) == 1, data.count(before.encode())
        path.write_bytes(data.replace(before.encode(), after.encode()))
        return
    import psycopg

    with psycopg.connect(str(rig.database), autocommit=True) as other:
        other.execute("ALTER TABLE orders_event DISABLE TRIGGER USER")
        assert other.execute("UPDATE orders_event SET text = %s WHERE text = %s", (after, before)).rowcount == 1
        other.execute("ALTER TABLE orders_event ENABLE TRIGGER USER")


ROWS = (
    Row("A4", "the worker's bell is not rung", _no_bell),
    Row("D1a", "the database is locked for a second", _locked_a_second),
    Row("D1b", "the database is locked for longer than anybody waits", _locked_for_long),
    Row("D1c", "the database is locked until the holder is killed", _locked_until_killed),
    Row("D2", "the disk is full", _disk_full),
    Row("D4", "PostgreSQL is restarted at once under a stream of orders", _killed_postgres, (POSTGRES,)),
    Row("D5", "PostgreSQL is down while a fill comes", _stopped_postgres, (POSTGRES,)),
    Row("D6", "PostgreSQL hangs on a lock", _hung_postgres, (POSTGRES,)),
    Row("D9", "pages take every connection to the database", _no_connection_left, (POSTGRES,)),
    Row("D10a", "Redis is gone, and then hangs", _no_redis, (POSTGRES,)),
    Row("D10b", "Redis is not there at the start", _no_redis_at_the_start, (POSTGRES,)),
    Row("D13", "a bit of an event is flipped", _bit_flipped),
)
