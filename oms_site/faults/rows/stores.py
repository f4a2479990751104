"""The database and Redis: locked, full, restarted, gone, hanging."""

from __future__ import annotations

import contextlib
import resource
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from oms_site.faults.rig import Rig
from oms_site.faults.rows.row import POSTGRES, Row
from oms_site.tests.desk import wait_until
from orders.models import Submission


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


ROWS = (
    Row("D1a", "the database is locked for a second", _locked_a_second),
    Row("D1b", "the database is locked for longer than anybody waits", _locked_for_long),
    Row("D2", "the disk is full", _disk_full),
    Row("D4", "PostgreSQL is restarted at once under a stream of orders", _killed_postgres, (POSTGRES,)),
    Row("D5", "PostgreSQL is down while a fill comes", _stopped_postgres, (POSTGRES,)),
    Row("D6", "PostgreSQL hangs on a lock", _hung_postgres, (POSTGRES,)),
    Row("D10", "Redis is gone, and then hangs", _no_redis, (POSTGRES,)),
)
