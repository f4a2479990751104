"""What a browser shows when the line breaks, the desk restarts, rights change or nothing is heard: an old picture always says so."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from oms_site.tests.desk import Desk, copied_data, wait_until
from oms_site.tests.hands import Hands, come_in, post_order, quote

AAPL = 265598
Login = Callable[[Page, Desk, str], None]


@pytest.fixture(scope="module")
def desk(desk_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One desk for the module; it is up and READY when a test begins."""
    desk = Desk(copied_data(desk_template, tmp_path_factory.mktemp("live") / "data"))
    desk.start()
    pin(desk)
    yield desk
    desk.close()


def pin(desk: Desk) -> None:
    """Prices that stand still."""
    for symbol in ("AAPL", "AMD", "AMZN", "BA", "C", "CAT", "GE"):
        assert desk.control(f"quote {symbol} 99.99 100.01").startswith("ok")


@pytest.fixture
def trader(page: Page, desk: Desk) -> Hands:
    return come_in(page, desk, "trader1")


def frames_of(page: Page) -> list[dict[str, Any]]:
    """Every frame that the page's sockets receive from here on."""
    frames: list[dict[str, Any]] = []

    def listen(socket: Any) -> None:
        socket.on("framereceived", lambda text: frames.append(json.loads(text)))

    page.on("websocket", listen)
    return frames


def test_after_a_restart_the_page_is_live_again_and_has_missed_nothing(trader: Hands, desk: Desk) -> None:
    trader.send("BUY", "10", "AAPL", "LMT", "99.00")
    row = trader.families("AAPL")
    expect(row).to_contain_text("WORKING")
    assert desk.stop() == 0
    expect(trader.page.locator("body.is-stale")).to_have_count(1)
    expect(trader.page.locator("#stale")).to_be_visible()
    desk.start()
    expect(trader.page.locator("body.is-stale")).to_have_count(0)
    expect(trader.page.locator("#panel-gateway")).to_contain_text("READY")
    expect(row).to_contain_text("WORKING")
    assert not trader.reloaded
    pin(desk)
    desk.control("quote AAPL 98.90 98.92")
    expect(trader.fills("AAPL", "BUY")).to_have_count(1)
    assert not trader.reloaded


def test_a_frozen_desk_greys_says_since_when_and_sends_nothing(trader: Hands, desk: Desk) -> None:
    button = trader.preview("BUY", "10", "AMD", "LMT", "99.00")
    desk.freeze()
    try:
        expect(trader.page.locator("body.is-stale")).to_have_count(1)
        expect(trader.page.locator("#stale time")).to_contain_text(" s")
        expect(button).to_be_disabled()
    finally:
        desk.thaw()
    expect(trader.page.locator("body.is-stale")).to_have_count(0)
    expect(trader.page.locator("#stale")).to_be_hidden()
    expect(button).to_be_enabled()
    button.click()
    expect(trader.families("AMD")).to_contain_text("WORKING")


def test_a_broken_line_while_sending_is_looked_up_and_never_a_second_order(trader: Hands, desk: Desk) -> None:
    """The answer to a request is lost after the desk has taken it; then a request is lost before it gets there."""
    page = trader.page

    def answer_lost(route: Any) -> None:
        route.fetch()
        route.abort()

    button = trader.preview("BUY", "10", "AMZN", "LMT", "99.00")
    page.route("**/ticket/", answer_lost, times=1)
    button.click()
    expect(trader.families("AMZN")).to_contain_text("WORKING")
    expect(page.locator("html")).not_to_have_attribute("data-loaded", "once")  # the key was found: a fresh ticket
    trader.mark()
    button = trader.preview("BUY", "11", "AMZN", "LMT", "99.00")
    key = page.input_value("#preview-form [name=key]")
    page.route("**/ticket/", lambda route: route.abort(), times=1)
    button.click()
    expect(page.locator("[data-fate]")).to_contain_text("not received")
    expect(button).to_be_enabled()
    assert page.input_value("#preview-form [name=key]") == key == page.input_value("#ticket-form [name=key]")
    button.click()
    expect(trader.families("AMZN")).to_have_count(2)
    quantities = desk.query(
        "select o.quantity from orders_orderrecord o join orders_contract c on c.id = o.contract_id where c.symbol = 'AMZN' order by o.id"
    )
    assert [int(row[0]) for row in quantities] == [10, 11]


def test_another_users_account_is_on_no_frame_and_no_page(page: Page, desk: Desk) -> None:
    frames = frames_of(page)
    hands = come_in(page, desk, "trader2")  # trades the second account, sees nothing of the first
    hidden, mine = (row[0] for row in desk.query("select code from orders_account order by code"))
    for path in ("/panels/orders/", "/panels/positions/", "/panels/executions/", "/panels/account/"):
        assert page.request.get(f"{desk.url}{path}?account={hidden}").status == 404
    colleague = desk.visitor("trader1")
    quote(desk, colleague, "AAPL", AAPL, "97.70", "97.72")
    post_order(colleague, hidden, con_id=AAPL, quantity="77")
    wait_until(lambda: desk.query("select 1 from orders_execution where quantity = 77"), "the colleague's order fills")
    hands.send("BUY", "10", "C")
    expect(hands.fills("C", "BUY")).to_have_count(1)
    told = json.dumps(frames)
    assert mine in told
    assert hidden not in told
    assert hidden not in page.content()
    refused = page.request.post(f"{desk.url}/orders/cancel-all/{hidden}/", headers={"Origin": desk.url})
    assert refused.status in (403, 404)


def test_signing_out_elsewhere_leads_every_page_of_that_session_to_the_login(page: Page, desk: Desk, login: Login) -> None:
    login(page, desk, "viewer1")
    other = page.context.new_page()
    other.goto(desk.url)
    other.locator("details.menu").last.click()
    other.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login/**")
    other.close()


def test_a_frame_that_is_lost_is_noticed_and_asked_for(page: Page, desk: Desk) -> None:
    lost: list[str] = []

    def lossy(socket: Any) -> None:
        server = socket.connect_to_server()

        def pass_on(text: str) -> None:
            if not lost and '"panel":"orders"' in text:
                lost.append(text)
            else:
                socket.send(text)

        server.on_message(pass_on)

    page.route_web_socket(re.compile("/live/"), lossy)
    trader = come_in(page, desk, "trader1")
    expect(trader.page.locator("#panel-gateway")).to_contain_text("READY")
    trader.send("BUY", "10", "GE", "LMT", "99.00")
    expect(trader.families("GE")).to_contain_text("WORKING")
    assert len(lost) == 1
    assert not trader.reloaded


def test_where_no_socket_gets_through_the_page_asks_every_few_seconds(page: Page, desk: Desk) -> None:
    closed: list[str] = []

    def closing(socket: Any) -> None:
        closed.append(socket.url)
        socket.close()

    page.route_web_socket(re.compile("/live/"), closing)
    trader = come_in(page, desk, "trader1")
    colleague, account = desk.visitor("trader1"), desk.query("select code from orders_account order by code")[0][0]
    quote(desk, colleague, "AAPL", AAPL, "97.80", "97.82")
    post_order(colleague, account, con_id=AAPL, quantity="78")
    expect(trader.fills("AAPL", "BUY").filter(has_text="78")).to_have_count(1)
    wait_for(page, lambda: len(closed) > 3)
    expect(trader.page.locator("body.is-stale")).to_have_count(0)
    assert not trader.reloaded


def test_the_pause_button_stops_the_rows_and_catches_up(trader: Hands, desk: Desk) -> None:
    trader.send("BUY", "10", "CAT", "LMT", "99.00")
    row = trader.families("CAT")
    expect(row).to_contain_text("WORKING")
    seq = desk.query("select seq from orders_book")[0][0]
    frames = frames_of(trader.page)
    trader.page.evaluate("location.reload()")
    expect(row).to_contain_text("WORKING")
    trader.page.locator("#pause").click()
    expect(trader.page.locator("#pause")).to_have_attribute("aria-pressed", "true")
    desk.control("quote CAT 98.90 98.92")
    wait_until(lambda: desk.query("select seq from orders_book")[0][0] > seq, "the order fills")
    wait_for(trader.page, lambda: any(unit["panel"] == "executions" for frame in frames for unit in frame.get("units", ())))
    expect(row).to_contain_text("WORKING")
    trader.page.locator("#pause").click()
    expect(row).to_have_count(0)
    expect(trader.fills("CAT", "BUY")).to_have_count(1)


def wait_for(page: Page, condition: Callable[[], bool]) -> None:
    """Waits for something the page's events bring about; they are handed over while Playwright runs."""
    wait_until(lambda: page.evaluate("1") and condition(), "the page has heard it")
