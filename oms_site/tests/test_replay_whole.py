"""A rich day at a real desk, through its doors: the command line, the administration, the exchange, another client, and a power cut. Then
the events alone give every audited row, the chain of hashes holds, and the book says what the exchange does.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ib_async import LimitOrder

from broker.tests.simulator.clients import connected, place
from oms_site.tests.agreement import agree, disagreements
from oms_site.tests.desk import Desk, copied_data, wait_until
from oms_site.tests.inside import Said, inside, say
from oms_site.tests.pages import form_of
from orders import replay
from orders.manager import OrderManager
from orders.models import AccountAccess, Book, Event, ExitTemplate, Feed, Incident, InstrumentRule, Limit, OrderRecord, Position
from orders.rules.terms import OPEN_COMMANDS

pytestmark = pytest.mark.xdist_group("replay whole")

ACCOUNT, OTHER = "DU1000417", "DU1000902"


@pytest.fixture(scope="module")
def desk(desk_template: Path, tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Iterator[Desk]:
    """The desk, after the day, with its book as ours."""
    desk = Desk(copied_data(desk_template, tmp_path_factory.mktemp("day") / "data"), arguments=("--no-migrate", "--tick-seconds", "0"))
    try:
        desk.start()
        with django_db_blocker.unblock(), inside(desk.data):
            a_day(desk)
            yield desk
    finally:
        desk.close()


def a_day(desk: Desk) -> None:
    market(desk, "AAPL MSFT AMD")
    done("buy", "AAPL", "100")
    bracket = done("bracket", "buy", "MSFT", "20", "--limit", "99", "--target", "108", "--stop", "95")
    market(desk, "MSFT", "98.90 98.95 7 7")  # the entry fills, of which the first part by 7
    exits = done("protect", "AAPL", "--entry", "100")
    done("modify", exits.rows[1][0], "--limit", "109.5")
    cancelled = done("buy", "AMD", "5", "--limit", "90")
    done("cancel", cancelled.order)
    assert say("buy", "AMD", "5", "--limit", "200").code == 1  # refused by us
    desk.control("reject-next 201 'Order rejected - reason:Margin'")
    assert say("buy", "AMD", "6", "--limit", "90").code == 1  # refused by the broker
    administered(desk)
    own_exits()
    assert say("buy", "AMD", "50", "--limit", "90").code == 1  # by the new limit
    done("buy", "AMD", "9", "--limit", "90", user="trader2")
    asyncio.run(another_client(desk))
    market(desk, "MSFT", "98.90 98.95 50 50")
    wait_until(lambda: row(bracket).status == "FILLED", "the entry has filled")
    done("buy", "AMD", "2", "--limit", "91", "--wait", "0")
    desk.kill()
    desk.start()
    done("flatten", "--account", ACCOUNT, "--symbol", "AAPL", "--wait", "20")
    wait_until(lambda: OrderRecord.objects.filter(is_external=True).exists(), "the order of another client is in the book")
    done("cancel-all", "--account", ACCOUNT, "--wait", "20")
    agree(desk.control, desk.ledger)


def market(desk: Desk, symbols: str, quote: str = "100.00 100.02 500 500") -> None:
    for symbol in symbols.split():
        assert desk.control(f"quote {symbol} {quote}").startswith("ok")


def done(*words: str, user: str = "trader1") -> Said:
    said = say(*words, user=user)
    assert said.code == 0, f"{words}: {said.text}"
    return said


def row(said: Said) -> OrderRecord:
    return OrderRecord.objects.get(client_order_id=said.order)


def administered(desk: Desk) -> None:
    """In the administration: a limit for the account, and trader2 may look at it."""
    admin = desk.visitor("admin")
    account = OrderRecord.objects.latest("pk").account
    limit = form_of(admin.get("/admin/orders/limit/add/").text, "limit_form")
    admin.post(
        "/admin/orders/limit/add/", **limit | {"scope": "account", "account": str(account.pk), "rule": "MAX_QUANTITY", "value": "30"}
    )
    added = Limit.objects.get(account=account, rule="MAX_QUANTITY")
    path = f"/admin/orders/limit/{added.pk}/change/"
    admin.post(path, **form_of(admin.get(path).text, "limit_form") | {"value": "40", "note": "More room"})
    access = form_of(admin.get("/admin/orders/accountaccess/add/").text, "accountaccess_form")
    rule = form_of(admin.get("/admin/orders/instrumentrule/add/").text, "instrumentrule_form")
    admin.post(
        "/admin/orders/instrumentrule/add/",
        **rule | {"kind": "restricted", "scope": "account", "account": str(account.pk), "symbol": "TSLA"},
    )
    assert InstrumentRule.objects.filter(account=account, symbol="TSLA").exists()
    user = AccountAccess.objects.get(account__code=OTHER, user__username="trader2").user
    admin.post("/admin/orders/accountaccess/add/", **access | {"user": str(user.pk), "account": str(account.pk), "level": "view"})
    assert AccountAccess.objects.filter(user=user, account=account, level="view").exists()


def own_exits() -> None:
    """From a shell beside the desk: trader1 has exits of his own."""
    trader = AccountAccess.objects.filter(user__username="trader1").select_related("user")[0].user
    OrderManager(trader).set_exit_template("AAPL", key="own exits", stop_loss=Decimal("0.03"))
    assert ExitTemplate.objects.filter(user=trader, symbol="AAPL").exists()


async def another_client(desk: Desk) -> None:
    """TWS, say: an order that is not ours."""
    port = int(re.findall(r"Gateway 127\.0\.0\.1:(\d+): READY", desk.log)[-1])
    async with connected(port, client_id=5) as ib:
        await place(ib, LimitOrder("BUY", 3, 90, account=OTHER, tif="GTC"))


# --- what the day must leave behind ---------------------------------------------------------------------------------------------------


def test_the_day_had_all_that_it_should(desk: Desk) -> None:
    statuses = set(OrderRecord.objects.values_list("status", flat=True))
    assert {"FILLED", "CANCELLED", "REJECTED", "WORKING"} <= statuses
    kinds = set(Event.objects.values_list("kind", flat=True))
    assert {"order.placed", "order.refused", "modify.asked", "cancel.asked", "limit.set", "access.granted"} <= kinds
    assert Limit.objects.get(rule="MAX_QUANTITY").value == Decimal(40)
    positions = {p.contract.symbol: p.quantity for p in Position.objects.exclude(quantity=0).select_related("contract")}
    assert positions == {"MSFT": 20}
    assert not OrderRecord.objects.filter(commands__state__in=OPEN_COMMANDS).exists()
    assert not OrderRecord.objects.filter(status="UNKNOWN").exists() and not Incident.objects.exists()


def test_folding_the_events_gives_every_audited_row(desk: Desk) -> None:
    assert replay.differences() == []
    folded = replay.fold(replay.all_events())
    counts = {model: sum(label == model._meta.label for label, _ in folded) for model in replay.AUDITED}
    assert counts == {model: model._default_manager.count() for model in replay.AUDITED}
    assert all(counts[model] for model in replay.AUDITED if model is not Incident), counts


def test_the_chain_holds_and_seq_has_no_holes(desk: Desk) -> None:
    assert replay.verify_chain() is None
    book = Book.objects.get()
    assert list(Event.objects.order_by("seq").values_list("seq", flat=True)) == list(range(1, book.seq + 1))
    assert set(Feed.objects.values_list("seq", flat=True)) <= set(range(1, book.seq + 1))


def test_the_book_says_what_the_exchange_does(desk: Desk) -> None:
    assert disagreements(desk.control, desk.ledger()) == []


def test_a_row_written_past_the_book_is_found(desk: Desk, tmp_path: Path) -> None:
    """The same questions, asked of a copy that somebody has touched, have other answers."""
    touched = tmp_path / "touched"
    touched.mkdir()
    with (
        closing(sqlite3.connect(desk.data / "deskbook.sqlite3")) as source,
        closing(sqlite3.connect(touched / "deskbook.sqlite3")) as copy,
    ):
        source.backup(copy)
        copy.execute("UPDATE orders_orderrecord SET filled_quantity = filled_quantity + 1 WHERE status = 'CANCELLED'")
        copy.execute("UPDATE orders_execution SET price = price + 1")
        copy.commit()
    with inside(touched):
        assert {one.field for one in replay.differences()} == {"filled_quantity", "price"}
        told = disagreements(desk.control, desk.ledger())
        assert any("filled" in words for words in told) and any("execution" in words for words in told)
