"""A desk of several processes on PostgreSQL and Redis: what is placed at one web process is seen at the other, and exactly one worker
trades, whoever is killed, stopped or frozen meanwhile. What was sent is looked up in the exchange's own ledger.

The processes are shared by the tests of this module; each test leaves one worker that trades.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command

from oms_site.tests.agreement import agree
from oms_site.tests.desk import wait_until
from oms_site.tests.hands import send_ticket
from oms_site.tests.inside import inside, say
from oms_site.tests.pages import LivePage, form_of
from oms_site.tests.servers import PostgresServer, RedisServer
from oms_site.tests.spread import PASSWORD, TRADES, Spread
from orders.models import BrokerCommand, Contract, Lease, OrderRecord, Quote
from orders.rules.terms import CommandKind

pytestmark = [pytest.mark.postgres, pytest.mark.redis, pytest.mark.xdist_group("several processes")]

AAPL = 265598


@pytest.fixture(scope="module")
def shared(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any, django_db_setup: None
) -> Iterator[Spread]:
    """The desk, with its demonstration users, and its book as ours."""
    folder = tmp_path_factory.mktemp("spread")
    redis = RedisServer(folder)
    redis.start()
    with postgres_server.database() as database, django_db_blocker.unblock(), inside(database):
        spread = Spread(folder, database, redis)
        try:
            call_command("migrate", interactive=False, verbosity=0)
            spread.start()
            call_command("demo_users", verbosity=0)
            for user in get_user_model().objects.all():
                user.set_password(PASSWORD)
                user.save()
            yield spread
        finally:
            spread.close()
            redis.stop()


@pytest.fixture
def spread(shared: Spread) -> Iterator[Spread]:
    """The shared desk; after each test no order was placed twice, the book agrees with the exchange, and one worker runs."""
    shared.settle()
    yield shared
    counts = shared.placed()
    assert counts["not ours"] == 0 and set(counts.values()) == {1}, counts
    agree(shared.control, lambda: shared.ledger)
    assert [one.runs for one in shared.workers].count(True) == 1


def is_now(name: str, status: str) -> None:
    wait_until(lambda: OrderRecord.objects.filter(client_order_id=name, status=status).exists(), f"{name} is {status}")


def test_what_is_placed_at_one_web_process_is_seen_live_at_the_other(spread: Spread) -> None:
    trader = spread.visitor(web=0)
    with LivePage(spread.elsewhere(trader, web=1), "/?scope=today") as page:
        name = place_on_the_page(trader, quantity="100")
        page.until("the fill", name, "FILLED", "100/100", within="family-")
        page.until("the position", "AAPL", "100", within="position-")


def place_on_the_page(trader: Any, quantity: str) -> str:
    """A market order by the ticket's form; its client order id."""
    trader.get(f"/ticket/contract/{AAPL}/")
    wait_until(lambda: Quote.objects.filter(contract__con_id=AAPL, bid__gt=0).exists(), "a quote")
    fields = form_of(trader.get(f"/ticket/contract/{AAPL}/").text, "ticket-form")
    answer = send_ticket(trader, **fields | {"side": "BUY", "quantity": quantity, "order_type": "MKT"})
    assert "Accepted, on its way" in answer.text, answer.text
    return OrderRecord.objects.filter(quantity=quantity, contract=Contract.objects.get(con_id=AAPL)).latest("pk").client_order_id


def test_a_worker_that_is_killed_is_followed_by_the_one_that_waits(spread: Spread) -> None:
    """What it had sent without an answer is found at the broker by asking, never sent again; what it had not taken the next one sends."""
    leader, standby = spread.leader, spread.standby()
    spread.control("hold")
    doubtful = [spread.order("buy", "AAPL", str(quantity), "--limit", "200") for quantity in (1, 2)]
    wait_until(lambda: all(spread.placed()[name] for name in doubtful), "both are at the exchange")
    assert set(OrderRecord.objects.filter(client_order_id__in=doubtful).values_list("status", flat=True)) == {"SENT"}
    leader.kill()
    spread.control("off hold")
    waiting = spread.order("buy", "AAPL", "3", "--limit", "200")
    started = time.monotonic()
    spread.takes_over(standby)
    for name in (*doubtful, waiting):
        is_now(name, "WORKING")
    assert time.monotonic() - started < 30
    assert BrokerCommand.objects.get(order__client_order_id=waiting, kind=CommandKind.PLACE).fence == Lease.objects.get().fence
    assert say("cancel-all", "--wait", "20").code == 0


def test_a_worker_that_is_asked_to_end_hands_over(spread: Spread) -> None:
    leader, standby = spread.leader, spread.standby()
    before = Lease.objects.get().fence
    assert leader.stop() == 0, leader.log
    spread.takes_over(standby)
    assert Lease.objects.get().fence == before + 1
    is_now(spread.order("buy", "AAPL", "4"), "FILLED")


def test_a_worker_that_was_frozen_wakes_up_and_sends_nothing(spread: Spread) -> None:
    """Its connection to the gateway lives on while it sleeps, and an order waits for it: the lease is what keeps it from sending."""
    frozen, standby = spread.leader, spread.standby()
    before = Lease.objects.get().fence
    frozen.signal(signal.SIGSTOP)
    name = spread.order("buy", "AAPL", "5", "--limit", "245")
    wait_until(lambda: TRADES in standby.log, "the lease has run out and is taken over")
    assert spread.placed()[name] == 0
    frozen.signal(signal.SIGCONT)
    assert frozen.ended() not in (0, None), frozen.log
    spread.takes_over(standby)
    is_now(name, "FILLED")
    command = BrokerCommand.objects.get(order__client_order_id=name, kind=CommandKind.PLACE)
    assert (command.fence, Lease.objects.get().fence) == (before + 1, before + 1)


def test_without_redis_trading_goes_on_and_pages_catch_up(spread: Spread) -> None:
    trader = spread.visitor(web=0)
    with LivePage(spread.elsewhere(trader, web=1), "/?scope=today") as page:
        spread.redis.stop()
        name = place_on_the_page(trader, quantity="6")
        page.until("the fill, by looking every second", name, "FILLED", "6/6", within="family-")
        spread.redis.start()
        name = place_on_the_page(trader, quantity="7")
        page.until("the fill, with Redis again", name, "FILLED", "7/7", within="family-")
    assert all(web.runs for web in spread.webs)
