"""The lease: one worker trades, and a fence that is not the newest is worth nothing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import datetime, timedelta

import pytest

from orders import lease
from orders.book import book
from orders.lease import LeaseLost
from orders.models import Lease
from orders.tests.factories import NOW, make_book

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("a_book"),
]
by_callers_time = pytest.mark.on_sqlite  # on PostgreSQL the time is the database's


@pytest.fixture
def a_book() -> None:
    make_book()


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def check(fence: int, seconds: float | None = None) -> None:
    with book(at=NOW):
        lease.check(fence, None if seconds is None else at(seconds))


def test_the_first_takes_it_and_the_second_waits() -> None:
    first = lease.acquire("a:1:x", NOW)
    assert first == 1
    assert lease.acquire("b:2:y", at(9.9)) is None
    check(first)


@by_callers_time
def test_it_runs_out_after_ten_seconds_and_the_fence_rises() -> None:
    first = lease.acquire("a:1:x", NOW)
    assert first is not None
    check(first, 9.9)
    with pytest.raises(LeaseLost):
        check(first, 10)
    second = lease.acquire("b:2:y", at(10))
    assert second == first + 1
    with pytest.raises(LeaseLost):
        check(first)
    check(second, 11)


@by_callers_time
def test_renewing_keeps_it() -> None:
    fence = lease.acquire("a:1:x", NOW)
    assert fence is not None
    assert lease.renew("a:1:x", fence, at(8))
    assert lease.acquire("b:2:y", at(17.9)) is None
    assert lease.acquire("b:2:y", at(18)) == fence + 1


def test_what_was_taken_over_cannot_be_renewed_or_given_back() -> None:
    first = lease.acquire("a:1:x", NOW)
    assert first is not None
    Lease.objects.update(expires_at=at(-1_000_000))
    second = lease.acquire("b:2:y", NOW)
    assert second is not None
    assert not lease.renew("a:1:x", first, NOW)
    lease.release("a:1:x", first)
    check(second)


def test_what_is_given_back_is_free_at_once_and_worth_nothing_any_more() -> None:
    first = lease.acquire("a:1:x", NOW)
    assert first is not None
    lease.release("a:1:x", first)
    with pytest.raises(LeaseLost):
        check(first)
    assert lease.acquire("b:2:y", NOW) == first + 1


def test_nobody_holds_it_before_the_first() -> None:
    with pytest.raises(LeaseLost):
        check(0)


def _host() -> str:
    return lease.holder_name().partition(":")[0]


def test_a_dead_process_of_this_host_is_not_waited_for() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    first = lease.acquire(f"{_host()}:{process.pid}:x", NOW)
    assert first is not None
    assert lease.acquire("b:2:y", NOW) == first + 1


@pytest.mark.parametrize(
    "holder",
    [f"{{host}}:{os.getpid()}:x", "elsewhere:999999:x", "{host}:nonsense", f"{socket.gethostname()}"],
    ids=["here and alive", "elsewhere", "no process id", "no name"],  # the same in every process that collects the tests
)
def test_what_may_be_alive_is_waited_for(holder: str) -> None:
    assert lease.acquire(holder.format(host=_host()), NOW) is not None
    assert lease.acquire("b:2:y", NOW) is None


@pytest.mark.on_postgresql
def test_the_database_tells_the_time_on_postgresql() -> None:
    assert lease.acquire("a:1:x", at(-100_000)) is not None
    assert lease.acquire("b:2:y", at(100_000)) is None
