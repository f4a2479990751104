"""The guardian at a real desk: what it finds is on every open page within two seconds of the fill, and one press mends it.

And an order that is not at the broker, sent again in a browser; and the state of the gateway, which every page says.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from oms_site.tests.desk import Desk, Visitor, copied_data, wait_until
from oms_site.tests.hands import come_in, post_order, quote
from oms_site.tests.pages import LivePage, form_of

ACCOUNT = "DU1000417"
AMD, MSFT, TSLA = 4391, 272093, 76792991
WITHIN = 2.0  # seconds, from the fill to the frame


@pytest.fixture(scope="module")
def desk(desk_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(copied_data(desk_template, tmp_path_factory.mktemp("guardian") / "data"))
    desk.start()
    yield desk
    desk.close()


@pytest.fixture(scope="module")
def trader(desk: Desk) -> Visitor:
    return desk.visitor("trader1")


def press(visitor: Visitor, address: str, **fields: str) -> Any:
    """Opens a question and says yes to what it shows."""
    action = address.partition("?")[0]
    answer = visitor.post(action, **{**form_of(visitor.get(address).text, action), **fields})
    assert answer.status == 200, answer.text
    return answer


def filled_at(desk: Desk, con_id: int, side: str) -> datetime:
    """When the newest execution happened, by the exchange's clock."""
    sql = "select e.executed_at from orders_execution e join orders_contract c on c.id = e.contract_id where c.con_id = ? and e.side = ?"
    [*_, (at,)] = desk.query(f"{sql} order by e.id", con_id, side)
    return datetime.fromisoformat(at).replace(tzinfo=UTC)


def seconds(desk: Desk, page: LivePage, unit: str, con_id: int, side: str) -> float:
    told = datetime.fromisoformat(page.told_at[unit].replace("Z", "+00:00"))
    return (told - filled_at(desk, con_id, side)).total_seconds()


def test_a_fill_that_leaves_a_position_bare_is_told_on_every_page_and_mended_by_one_press(desk: Desk, trader: Visitor) -> None:
    """An entry fills, is protected, its target fills in part, and OCA type 1 takes the stop away: C24."""
    quote(desk, trader, "AMD", AMD, "99.99", "100.01")
    with LivePage(trader, "/") as board, LivePage(trader, "/orders/") as elsewhere:
        post_order(trader, ACCOUNT, AMD, "500")
        board.until("the position is bare", "AMD unprotected 500", within="panel-attention")
        elsewhere.until("and counted there", "AMD unprotected 500", within="panel-alarms")
        assert seconds(desk, board, "panel-attention", AMD, "BUY") < WITHIN
        assert seconds(desk, elsewhere, "panel-alarms", AMD, "BUY") < WITHIN

        press(trader, f"/positions/{ACCOUNT}/{AMD}/repair/")
        board.until("the pair protects it", "AMD", "protected 500", within="position-")
        elsewhere.until_gone("AMD unprotected", within="panel-alarms")

        assert desk.control("quote AMD 108.10 108.20 40 1000").startswith("ok")
        board.until("the rest is bare", "even a partial one", within="panel-attention")
        assert desk.control("quote AMD 106.00 106.10 1000 1000").startswith("ok")
        elsewhere.until("and told there", "AMD unprotected", within="panel-alarms")
        assert seconds(desk, board, "panel-attention", AMD, "SELL") < WITHIN
        assert seconds(desk, elsewhere, "panel-alarms", AMD, "SELL") < WITHIN

        press(trader, f"/positions/{ACCOUNT}/{AMD}/repair/?kind=unprotected")
        board.until_gone("AMD unprotected", within="panel-attention")
        wait_until(lambda: working_stops(desk) == held(desk), "the stop is as large as what is held")


def working_stops(desk: Desk) -> float:
    """What the exchange holds of stops on AMD, by the book."""
    rows = desk.query("select quantity - filled_quantity from orders_orderrecord where order_type = 'STP' and status = 'HELD'")
    return sum(float(row[0]) for row in rows)


def held(desk: Desk) -> float:
    sql = "select p.quantity from orders_position p join orders_contract c on c.id = p.contract_id where c.con_id = ?"
    return float(desk.query(sql, AMD)[0][0])


@pytest.mark.chromium
def test_an_order_that_is_not_at_the_broker_is_sent_again_on_a_persons_word(desk: Desk, page: Page, trader: Visitor) -> None:
    hands = come_in(page, desk, "trader1")
    quote(desk, trader, "TSLA", TSLA, "99.99", "100.01")
    assert desk.control("drop-before-order").startswith("ok")
    hands.send("BUY", "30", "TSLA", "LMT", "99.50")
    row = hands.families("TSLA")
    expect(row).to_contain_text("UNKNOWN")
    expect(row).to_contain_text("Never heard of.")
    expect(row.get_by_text("Send again")).to_have_attribute("aria-disabled", "true")
    expect(page.locator("#panel-gateway")).to_contain_text("READY")
    row.get_by_role("link", name="Ask IB again").click()
    hands.dialog("Ask IB again").get_by_role("button", name="Ask now").click()
    expect(row).to_contain_text("Asked again by hand 1 time.")
    again = row.get_by_role("link", name="Send again")
    expect(again).to_be_visible(timeout=40_000)  # two complete lists, at least ten seconds apart
    again.click()
    quote(desk, trader, "TSLA", TSLA, "99.98", "100.01")
    dialog = hands.dialog("Send again: BUY 30 TSLA LMT 99.50 DAY")
    dialog.locator("[name=reason]").fill("Looked in TWS, not there.")
    dialog.get_by_role("button", name="Send it again as a new order").click()
    expect(row).to_have_count(1)
    expect(row).to_contain_text("WORKING")
    placed = [line for line in desk.ledger() if line.get("message") == "PlaceOrder" or line["kind"] == "order"]
    assert len({line["order_ref"] for line in placed if line.get("con_id") == TSLA and "order_ref" in line}) == 1
    row.get_by_role("link").first.click()
    expect(page.get_by_text("Sent again for")).to_be_visible()


@pytest.mark.chromium
def test_what_needs_a_ready_gateway_is_off_with_the_reason_and_comes_back(desk: Desk, page: Page, trader: Visitor) -> None:
    hands = come_in(page, desk, "trader1")
    quote(desk, trader, "MSFT", MSFT, "99.99", "100.01")
    post_order(trader, ACCOUNT, MSFT, "10")
    expect(hands.position("MSFT")).to_contain_text("unprotected 10")
    page.goto(f"{desk.url}/positions/{ACCOUNT}/{MSFT}/repair/")
    send = page.get_by_role("button", name="Send the exits")
    expect(send).to_be_enabled()
    assert desk.control("connectivity lost").startswith("ok")
    expect(send).to_be_disabled()
    expect(page.locator("[data-gate-why]")).to_contain_text("lost its own connection")
    expect(page.locator("#panel-gate")).to_contain_text("DEGRADED for 0:")
    plain = trader.get(f"/positions/{ACCOUNT}/{MSFT}/repair/").text  # without a script
    assert 'type="submit" disabled>Send the exits' in plain
    assert "Cannot be sent now." in plain
    for address in ("/", "/orders/", "/positions/", "/executions/", "/watchlist/"):
        text = trader.get(address).text
        assert "DEGRADED" in text, address
        assert "lost its own connection" in text, address
    assert desk.control("connectivity restored").startswith("ok")
    expect(send).to_be_enabled()
    send.click()
    expect(hands.position("MSFT")).to_contain_text("protected 10")


@pytest.mark.chromium
def test_the_page_of_recovery_lives_and_an_act_keeps_its_name_while_it_does(desk: Desk, page: Page) -> None:
    """The button that was pressed goes, and the one beside it neither takes its place nor its word."""
    come_in(page, desk, "admin")
    page.goto(f"{desk.url}/recovery/")
    seen = page.locator("#panel-certificates li").count()
    assert desk.control("error 17 4711 201 no such order").startswith("ok")
    incident = page.locator("#panel-recovery li").filter(has_text="no such order")
    take, close = incident.get_by_role("link", name="Take", exact=True), incident.get_by_role("link", name="Explain and close")
    expect(close).to_be_visible()
    take.click()
    page.get_by_role("button", name="I look after it").click()
    expect(incident).to_contain_text("you look after it")
    expect(take).to_have_count(0)
    close.click()
    page.get_by_label("What explains it").fill("An order of another desk.")
    page.get_by_role("button", name="Close it").click()
    expect(incident).to_have_count(0)
    assert desk.control("drop").startswith("ok")
    expect(page.locator("#panel-gateway")).to_contain_text("READY")
    expect(page.locator("#panel-certificates li")).to_have_count(seen + 1)
