"""From the click to the fill on the page, through everything: a form posted over HTTP, the book, the wire, the exchange, and back over a
WebSocket into the HTML, the blotter, the administration and the CSV. What the exchange heard is looked up in its own ledger.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from oms_site.tests.agreement import agree
from oms_site.tests.desk import Answer, Desk, Visitor, copied_data, wait_until
from oms_site.tests.hands import previewed
from oms_site.tests.inside import inside, placed
from oms_site.tests.pages import LivePage, form_of
from orders.invariants.wire import order_frame

pytestmark = pytest.mark.xdist_group("whole path")

ACCOUNT = "DU1000417"
CONTRACTS = {"AAPL": 265598, "MSFT": 272093, "AMD": 4391, "KO": 8894}
TODAY = "/?scope=today"


@pytest.fixture(scope="module")
def desk(desk_template: Path, tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Iterator[Desk]:
    """One desk with a market that stands still; at last its book agrees with the exchange."""
    desk = Desk(copied_data(desk_template, tmp_path_factory.mktemp("path") / "data"), arguments=("--no-migrate", "--tick-seconds", "0"))
    try:
        yield desk.start()
        with django_db_blocker.unblock(), inside(desk.data):
            agree(desk.control, desk.ledger)
    finally:
        desk.close()


@pytest.fixture(scope="module")
def trader(desk: Desk) -> Visitor:
    return desk.visitor("trader1")


def ticket(desk: Desk, visitor: Visitor, symbol: str) -> dict[str, str]:
    """The ticket for a contract as the page has it, once its quote is there; what a browser would send of it."""
    con_id = CONTRACTS[symbol]
    visitor.get(f"/ticket/contract/{con_id}/?account={ACCOUNT}")
    quoted = "SELECT 1 FROM orders_quote q JOIN orders_contract c ON c.id = q.contract_id WHERE c.con_id = ? AND q.bid > 0"
    wait_until(lambda: desk.query(quoted, con_id), f"a quote of {symbol}")
    text = visitor.get(f"/ticket/contract/{con_id}/?account={ACCOUNT}").text
    fields = form_of(text, "ticket-form")
    assert (fields["con_id"], fields["symbol"]) == (str(con_id), symbol) and fields["key"]
    return fields


def look(trader: Visitor, fields: dict[str, str]) -> dict[str, str]:
    """Has the ticket previewed; what a browser would send of the preview."""
    return form_of(previewed(trader, **fields).text, "preview-form")


def order_named(desk: Desk, key: str, user: str = "trader1") -> str:
    """The client order id of the first order that the request under this key made."""
    [(result,)] = desk.query(
        "SELECT s.result FROM orders_submission s JOIN auth_user u ON u.id = s.user_id WHERE s.key = ? AND u.username = ?", key, user
    )
    [(name,)] = desk.query("SELECT client_order_id FROM orders_orderrecord WHERE id = ?", json.loads(result)["orders"][0])
    return str(name)


def places(desk: Desk) -> list[str]:
    """The orderRefs of all placeOrder frames the exchange heard."""
    known = {name for (name,) in desk.query("SELECT client_order_id FROM orders_orderrecord")}
    return [
        field
        for line in desk.ledger()
        if line["kind"] == "in" and line["message"] == "placeOrder"
        for field in line["fields"]
        if field in known
    ]


def test_a_click_comes_back_as_a_fill_everywhere(desk: Desk, trader: Visitor) -> None:
    fields = ticket(desk, trader, "AAPL") | {"side": "BUY", "quantity": "100", "order_type": "MKT"}
    other = desk.visitor("trader2")
    with LivePage(trader, TODAY) as page, LivePage(other, TODAY) as elsewhere:
        answer = trader.post("/ticket/", **look(trader, fields))
        assert answer.status == 200 and "Accepted, on its way: BUY 100 AAPL MKT" in answer.text
        name = order_named(desk, fields["key"])
        family = page.until("the order, filled", name, "FILLED", "100/100", within="family-")
        page.until("its execution", name, ">100<", within="execution-")
        position = page.until("the position", "AAPL", "100", within="position-")
        assert "BUY" in family and "AAPL" in position
        [(seq,)] = desk.query("SELECT seq FROM orders_book")
        elsewhere.until_seq(seq)
        assert not any(name in text or "AAPL" in text for text in elsewhere.shown.values())
    assert [placed(desk.ledger(), name)[0]["fields"].count(name), len(placed(desk.ledger(), name))] == [1, 1]
    executed = [line for line in desk.ledger() if line["kind"] == "execution" and line["order_ref"] == name]
    assert executed
    _is_shown_everywhere(desk, trader, name, {line["price"] for line in executed})


def _is_shown_everywhere(desk: Desk, trader: Visitor, name: str, prices: set[str]) -> None:
    """Page, order's page, blotter, CSV and administration, as they are asked for afterwards."""
    for path in (TODAY, f"/orders/{name}/", "/orders/", "/executions/"):
        assert name in trader.get(path).text, path
    assert all(price in trader.get(f"/orders/{name}/").text for price in prices)
    [row] = [row for row in csv.DictReader(io.StringIO(trader.get("/orders/csv/").text)) if name in row.values()]
    assert {"FILLED", "AAPL", "BUY", "100", ACCOUNT, "trader1"} <= set(row.values())
    admin = desk.visitor("admin")
    assert name in admin.get("/admin/orders/orderrecord/").text
    exported = _admin_csv(admin)
    [row] = [row for row in csv.DictReader(io.StringIO(exported.text)) if name in row.values()]
    assert "FILLED" in row.values()
    assert "/login/" in trader.get("/admin/orders/orderrecord/").url


def _admin_csv(admin: Visitor) -> Answer:
    answer = admin.post("/admin/orders/orderrecord/", action="export_csv", index="0", select_across="0")
    assert answer.status == 200 and "csv" in answer.headers["Content-Type"]
    return answer


def test_a_bracket_lives_on_the_page_from_the_click_to_the_cancel(desk: Desk, trader: Visitor) -> None:
    assert desk.control("quote MSFT 500.00 500.02").startswith("ok")
    exits = {"bracket": "on", "pair_1_target_price": "540", "pair_1_stop_price": "480"}
    fields = ticket(desk, trader, "MSFT") | {"side": "BUY", "quantity": "10", "order_type": "LMT", "limit_price": "495"} | exits
    with LivePage(trader, TODAY) as page:
        trader.post("/ticket/", **look(trader, fields))
        name = order_named(desk, fields["key"])
        family = page.until("the whole family is at the broker", name, "WORKING", "HELD", within="family-")
        assert family.count("<tr") == 3 and "540.00" in family and "480.00" in family
        change = form_of(trader.get(f"/orders/{name}/change/").text, f"/orders/{name}/change/") | {"limit_price": "496"}
        trader.post(f"/orders/{name}/change/", **change)
        page.until("the change, confirmed", name, "496.00", within="family-")
        cancel = form_of(trader.get(f"/orders/{name}/cancel/").text, f"/orders/{name}/cancel/")
        trader.post(f"/orders/{name}/cancel/", **cancel)
        wait_until(lambda: _statuses(desk, name) == {"CANCELLED"}, "all three are cancelled")
        [(seq,)] = desk.query("SELECT seq FROM orders_book")
        page.until_seq(seq)
        last = page.until("the end of the family", name, "CANCELLED", within="family-")
        assert last.count("CANCELLED") >= 3 and "WORKING" not in last
    assert len(placed(desk.ledger(), name)) == 2  # the order, and its change


def _statuses(desk: Desk, name: str) -> set[str]:
    rows = desk.query(
        "SELECT o.status FROM orders_orderrecord o LEFT JOIN orders_orderrecord p ON p.id = o.parent_id"
        " WHERE o.client_order_id = ? OR p.client_order_id = ?",
        name,
        name,
    )
    return {status for (status,) in rows}


def test_many_clicks_are_one_order(desk: Desk, trader: Visitor) -> None:
    fields = ticket(desk, trader, "AMD") | {"side": "BUY", "quantity": "5", "order_type": "MKT"}
    sealed = look(trader, fields)
    with ThreadPoolExecutor(6) as hands:
        answers = list(hands.map(lambda _: trader.post("/ticket/", **sealed), range(6)))
    assert all("Accepted, on its way" in answer.text for answer in answers), [answer.text[:300] for answer in answers]
    name = order_named(desk, fields["key"])
    wait_until(lambda: _statuses(desk, name) == {"FILLED"}, "the order is filled")
    assert places(desk).count(name) == 1
    assert len(desk.query("SELECT 1 FROM orders_orderrecord o JOIN orders_contract c ON c.id = o.contract_id WHERE c.symbol = 'AMD'")) == 1


def test_who_may_not_trade_reaches_nobody(desk: Desk, trader: Visitor) -> None:
    """No token, no right, no session: none of these posts leaves a trace in the book or at the exchange."""
    fields = look(trader, ticket(desk, trader, "KO") | {"side": "BUY", "quantity": "5", "order_type": "MKT"})
    before = desk.query("SELECT count(*) FROM orders_orderrecord")
    forged = trader.post("/ticket/", headers={"Origin": "https://evil.example"}, **fields)
    assert forged.status == 403
    viewer = desk.visitor("viewer1")
    viewer.get("/")
    assert viewer.post("/ticket/", **fields).status == 422
    assert desk.visitor("trader2").post("/ticket/", **fields | {"account": "DU1000902"}).status == 422
    stranger = Visitor(desk.url)
    stranger.get("/login/")
    assert "/login/" in stranger.post("/ticket/", **fields).url
    assert trader.post("/ticket/", **fields | {"account": "DU1000902"}).status == 422
    assert desk.query("SELECT count(*) FROM orders_orderrecord") == before
    heard = [line for line in desk.ledger() if line["kind"] == "in" and line["message"] == "placeOrder"]
    frames = [order_frame(line["time"], line["client"], line["fields"]) for line in heard if str(CONTRACTS["KO"]) in line["fields"]]
    assert all(frame is not None and frame.is_preview for frame in frames)  # IB was asked for the margin of it, and for nothing else
