"""Many at once: clicks, users, workers. Real threads with connections of their own, on the embedded database and on PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal as D
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection

from orders import book as book_module
from orders import lease, outbox
from orders.errors import Refused
from orders.manager import OrderManager
from orders.models import Book, BrokerCommand, BrokerId, Event, OrderRecord, Submission
from orders.rules.commands import PlaceOrder, Unit
from orders.rules.lifecycle import OrderStatus
from orders.rules.terms import CommandKind, CommandState, GatewayState, Side
from orders.tests.desk_of_one import CLIENT, Desk, Wire
from orders.tests.factories import NOW, a_key, make_book, make_limit, make_trader, make_values

pytestmark = pytest.mark.django_db(transaction=True)

THREADS = 8


def at_once(acts: Sequence[Callable[[], Any]], threads: int = THREADS) -> list[Any]:
    """What each act gave, or the exception it raised; they are spread over threads that start together."""
    gate = threading.Barrier(threads)

    def run(mine: Sequence[Callable[[], Any]]) -> list[Any]:
        gate.wait(timeout=30)
        try:
            return [_outcome(act) for act in mine]
        finally:
            connection.close()

    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(run, [acts[n::threads] for n in range(threads)]))
    return [parts[n % threads][n // threads] for n in range(len(acts))]


def _outcome(act: Callable[[], Any]) -> Any:
    try:
        return act()
    except Exception as error:  # noqa: BLE001 - what it raised is what it came to
        return error


def in_threads(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """Each work in a thread of its own, all at the same time."""
    return at_once(works, threads=len(works))


def claim_all(wire: Wire) -> list[Unit]:
    units: list[Unit] = []
    while some := wire.claim():
        units.extend(some)
    return units


def test_a_thousand_clicks_are_one_order() -> None:
    desk = Desk()
    answers = at_once([lambda: desk.buy(key="the-ticket")] * 1000)
    assert {answer.pk for answer in answers} == {OrderRecord.objects.get().pk}
    assert (BrokerCommand.objects.count(), Submission.objects.count(), Event.objects.filter(kind="order.placed").count()) == (1, 1, 1)


def test_a_thousand_clicks_on_something_forbidden_are_one_refusal() -> None:
    desk = Desk()
    answers = at_once([lambda: desk.buy("20000", "1.00", key="the-ticket")] * 200)
    assert {(type(answer), answer.code, answer.message) for answer in answers} == {(Refused, "MAX_QUANTITY", answers[0].message)}
    assert Event.objects.filter(kind="order.refused").count() == 1


def test_two_users_together_do_not_get_beyond_the_accounts_limit() -> None:
    desk = Desk()
    other = OrderManager(make_trader(desk.account), clock=lambda: NOW)
    make_limit("MAX_POSITION", "200", account=desk.account)
    make_limit("MAX_OPEN_ORDERS", "100")
    managers = [desk.manager, other] * 25

    def buy(manager: OrderManager, price: D) -> OrderRecord:
        return manager.place_limit_order(desk.account, desk.contract, Side.BUY, D(10), price, key=a_key(), confirm_duplicate=True)

    answers = at_once([lambda manager=manager, n=n: buy(manager, D("99") + D(n) / 100) for n, manager in enumerate(managers)])
    accepted = [answer for answer in answers if isinstance(answer, OrderRecord)]
    assert Counter(getattr(answer, "code", "accepted") for answer in answers) == {"accepted": 20, "MAX_POSITION": 30}
    assert sum(order.quantity for order in accepted) == 200


@pytest.mark.parametrize(
    ("rule", "limit"), [("GROSS_EXPOSURE", "2"), ("NET_EXPOSURE", "2"), ("NAME_EXPOSURE", "2"), ("BUYING_POWER", "0.5")]
)
def test_two_users_do_not_both_get_the_last_of_a_limit(rule: str, limit: str) -> None:
    """Twenty thousand in all are allowed, by net liquidation or by buying power; each order is for a thousand."""
    desk = Desk()
    make_values(desk.account, net="10000", power="40000")
    other = OrderManager(make_trader(desk.account), clock=lambda: NOW)
    for other_rule in ("MAX_OPEN_ORDERS", "GROSS_EXPOSURE", "NET_EXPOSURE", "NAME_EXPOSURE"):
        make_limit(other_rule, "100", account=desk.account)
    make_limit(rule, limit, account=desk.account)
    managers = [desk.manager, other] * 15

    def buy(manager: OrderManager) -> OrderRecord:
        return manager.place_limit_order(desk.account, desk.contract, Side.BUY, D(10), D("100.00"), key=a_key(), confirm_duplicate=True)

    answers = at_once([lambda manager=manager: buy(manager) for manager in managers])
    assert Counter(getattr(answer, "code", "accepted") for answer in answers) == {"accepted": 20, rule: 10}


def test_nothing_is_sent_after_a_limit_was_lowered() -> None:
    """One thread claims, another lowers the limit in between: the order of the events says what each claim had to keep to."""
    wire = Wire()
    make_limit("MAX_OPEN_ORDERS", "100")
    orders = [wire.buy("100", D("90") + n) for n in range(9)] + [wire.buy("60", D("80") + n) for n in range(9)]
    make_limit("MAX_QUANTITY", "100", account=wire.account)

    def work() -> None:
        while wire.claim(room=2):
            pass

    assert in_threads([work, lambda: make_limit("MAX_QUANTITY", "60", account=wire.account) and None]) == [None, None]
    lowered = Event.objects.filter(kind="limit.set").latest("seq").seq
    claimed = Event.objects.filter(kind="order.claimed").select_related("order")
    assert all(event.order is not None and (event.seq < lowered or event.order.quantity == 60) for event in claimed)
    left = OrderRecord.objects.exclude(pk__in=[event.order_id for event in claimed])
    assert {order.status_code for order in left} <= {"MAX_QUANTITY"}
    assert left.count() + claimed.count() == len(orders)


def test_twenty_cancels_at_once_are_one() -> None:
    wire = Wire()
    [order] = wire.sent(wire.buy())
    answers = at_once([lambda: wire.manager.cancel_order(order, key=a_key())] * 20)
    assert {answer.pk for answer in answers} == {order.pk}
    assert BrokerCommand.objects.filter(kind=CommandKind.CANCEL).count() == 1


def test_a_cancel_against_the_claim_either_withdraws_the_order_or_is_sent_after_it() -> None:
    wire = Wire()
    for rule in ("MAX_OPEN_ORDERS", "ORDER_RATIO"):
        make_limit(rule, "100")
    orders = [wire.buy(n) for n in range(1, 31)]
    units: list[Unit] = []

    def work() -> None:
        for _ in range(30):
            units.extend(wire.claim(room=3))

    def cancel() -> None:
        for order in orders:
            wire.manager.cancel_order(order, key=a_key())

    assert in_threads([work, cancel]) == [None, None]
    units.extend(claim_all(wire))
    frames = [frame for unit in units for frame in unit.frames]
    placed = [frame.client_order_id for frame in frames if isinstance(frame, PlaceOrder)]
    cancelled = [frame.client_order_id for frame in frames if not isinstance(frame, PlaceOrder)]
    withdrawn = set(OrderRecord.objects.filter(status=OrderStatus.CANCELLED).values_list("client_order_id", flat=True))
    assert len(placed) == len(set(placed))
    assert set(placed) == set(cancelled)
    assert withdrawn == {order.client_order_id for order in orders} - set(placed)
    names = [frame.client_order_id for frame in frames]
    assert all(names.index(name) < len(names) - 1 - names[::-1].index(name) for name in placed)  # the place before its cancel


def test_submits_and_claims_at_once_lose_nothing_and_double_nothing() -> None:
    wire = Wire()
    for rule in ("MAX_OPEN_ORDERS", "ORDER_RATE", "ORDER_RATIO"):
        make_limit(rule, "1000")
    done = threading.Event()
    units: list[Unit] = []

    def submit(first: int) -> None:
        for n in range(first, first + 25):
            wire.buy(n)

    def work() -> None:
        while not done.is_set():
            units.extend(wire.claim(room=45))

    def submit_all() -> None:
        try:
            at_once([lambda first=first: submit(first) for first in (1, 101, 201, 301)], threads=4)
        finally:
            done.set()

    assert in_threads([work, submit_all]) == [None, None]
    units.extend(claim_all(wire))
    frames = [frame for unit in units for frame in unit.frames]
    assert sorted(frame.client_order_id for frame in frames) == sorted(OrderRecord.objects.values_list("client_order_id", flat=True))
    assert len(frames) == 100
    ids = [frame.ib_order_id for frame in frames]
    assert ids == sorted(set(ids))
    assert set(BrokerId.objects.filter(client_id=CLIENT).values_list("ib_order_id", flat=True)) == set(ids)
    assert not BrokerCommand.objects.exclude(state=CommandState.SENDING).exists()
    seqs = list(Event.objects.order_by("seq").values_list("seq", flat=True))
    assert seqs == list(range(seqs[0], Book.objects.get().seq + 1))


def test_of_many_workers_one_gets_the_lease() -> None:
    make_book()
    answers = at_once([lambda n=n: lease.acquire(f"elsewhere:{n}:x", NOW) for n in range(THREADS)])
    assert sorted(answers, key=lambda fence: fence or 0) == [*[None] * (THREADS - 1), 1]


def test_a_worker_that_lost_its_lease_claims_nothing_beside_the_new_one() -> None:
    wire = Wire()
    for n in range(1, 11):
        wire.buy(n)
    lease.release("here:1:a", wire.fence)
    fence = lease.acquire("there:2:b", NOW)
    assert fence is not None

    def claim(by: int) -> list[Unit]:
        return outbox.claim(fence=by, client_id=CLIENT, state=GatewayState.READY, room=4, now=NOW + timedelta(seconds=1))

    answers = at_once([lambda: claim(wire.fence), lambda: claim(fence)] * 4)
    assert all(isinstance(answer, lease.LeaseLost) for answer in answers[::2])
    claimed = [unit for answer in answers[1::2] for unit in answer]
    assert len({unit.unit_id for unit in claimed}) == len(claimed) == 10
    assert {unit.fence for unit in claimed} == {fence}


@pytest.mark.postgres
@pytest.mark.on_sqlite
@pytest.mark.django_db(transaction=False)
def test_the_same_on_postgresql() -> None:
    here = os.path.dirname(__file__)
    tests = [os.path.join(here, name) for name in ("test_races.py", "test_stopping_races.py", "test_lease.py", "test_outbox_claim.py")]
    # A run of its own: nobody's helper, and on nobody's data (pytest-django reads the settings before conftest.py can say which).
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "DJANGO_SETTINGS", "DESKBOOK_DATA"))}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:xdist", "-p", "no:cacheprovider", *tests],
        cwd=os.path.dirname(os.path.dirname(here)),
        env={**own, "DESKBOOK_TEST_DATABASE": "postgres"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
    assert "deselected" in run.stdout  # what holds on the embedded database only was left out: it was PostgreSQL indeed


def test_a_long_wait_for_the_book_shortens_no_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("only the embedded database has a patience of its own for each connection")
    make_book()
    patience = []
    for waited in (4.0, 0.0):
        moments = count(100.0, waited)
        monkeypatch.setattr(book_module, "clocks", SimpleNamespace(monotonic=lambda moments=moments: next(moments)))
        with book_module.book(at=NOW), connection.cursor() as cursor:
            patience.append(cursor.execute("PRAGMA busy_timeout").fetchone()[0])
    assert patience == [1000, 5000]
