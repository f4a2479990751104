"""The preview in a real browser against a real desk: what IB says of the margin, what changed before the sending, and one-click mode."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from oms_site.tests.desk import Desk, copied_data, wait_until
from oms_site.tests.hands import Hands, come_in, previewed
from oms_site.tests.pages import form_of

SYMBOLS = ("AAPL", "AMD", "AMZN", "BA", "BAC", "C", "CAT", "COST", "CRM")
Sit = Callable[..., Hands]


@pytest.fixture(scope="module")
def desk(desk_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One desk for the module: each test trades a contract of its own, at prices that stand still."""
    desk = Desk(copied_data(desk_template, tmp_path_factory.mktemp("preview") / "data"))
    desk.start()
    for symbol in SYMBOLS:
        assert desk.control(f"quote {symbol} 99.99 100.01").startswith("ok")
    yield desk
    desk.close()


@pytest.fixture
def hands(page: Page, desk: Desk) -> Sit:
    """Somebody at the desk, with a large screen or a phone."""

    def sit_down(user: str = "trader1", *, phone: bool = False) -> Hands:
        page.set_viewport_size({"width": 390, "height": 844} if phone else {"width": 1440, "height": 900})
        return come_in(page, desk, user)

    return sit_down


def quantities(desk: Desk, symbol: str) -> list[int]:
    sql = "select o.quantity from orders_orderrecord o join orders_contract c on c.id = o.contract_id where c.symbol = ? order by o.id"
    return [int(row[0]) for row in desk.query(sql, symbol)]


def test_the_preview_says_it_all_and_ib_says_the_margin(hands: Sit, desk: Desk) -> None:
    trader = hands()
    send = trader.preview("BUY", "100", "AAPL", "LMT", "100.01", bracket=True)
    shown = trader.page.locator("#ticket-preview")
    expect(shown.locator(".said")).to_contain_text("BUY 100 AAPL LMT 100.01 DAY, account DU…417, stop 98.01, target 108.01")
    for words in ("10,001.00 USD", "0 → +100", "−200.00 USD", "+800.00 USD", "4.0 R", "Order quantity"):
        expect(shown).to_contain_text(words)
    margin = shown.locator("#preview-margin")
    expect(margin).to_contain_text("as IB says")
    expect(margin).to_contain_text("Initial")
    expect(margin).to_contain_text("Commission")
    expect(margin).not_to_have_attribute("hx-get", "")
    send.click()
    expect(trader.families("AAPL").locator("tr")).to_have_count(3)
    assert quantities(desk, "AAPL") == [100, 100, 100]
    [(seal,)] = desk.query("select distinct json_extract(data, '$.seal') from orders_event where kind = 'order.placed'")
    assert desk.query("select used_at is not null from orders_preview where seal = ?", seal) == [(1,)]


def test_a_trail_limit_begins_where_the_market_puts_it_until_somebody_types(hands: Sit, desk: Desk) -> None:
    trader = hands()
    form, page = trader.ticket("AAPL"), trader.page
    form.locator("label:has(#sell)").click()
    form.locator("[name=quantity]").fill("7")
    form.locator("[name=order_type]").select_option("TRAIL LIMIT")
    form.locator("[name=trail]").fill("2")
    form.locator("[name=limit_offset]").fill("0.10")
    begins = form.locator("[name=stop_price]")
    expect(begins).to_have_value("97.99")
    form.locator("[name=trail]").fill("3")
    expect(begins).to_have_value("96.99")
    begins.fill("97.50")
    form.locator("[name=trail]").fill("2")
    expect(begins).to_have_value("97.50")
    page.locator("#ticket-send").click()
    expect(trader.shown()).to_contain_text("SELL 7 AAPL TRAIL LIMIT 97.50 (2 %) / 0.10 off DAY")
    form.locator("[name=order_type]").select_option("TRAIL")
    expect(begins).to_have_value("97.50")
    begins.fill("")
    expect(begins).to_have_attribute("placeholder", "97.99")


def test_ib_that_is_silent_delays_nothing(hands: Sit, desk: Desk) -> None:
    trader = hands("trader2")  # of an account that has asked nothing yet
    assert desk.control("silence placeOrder").startswith("ok")
    send = trader.preview("BUY", "10", "AMD", "LMT", "99.00")
    margin = trader.page.locator("#preview-margin")
    expect(margin).to_contain_text("asking IB")
    expect(margin).to_contain_text("Margin unknown. IB did not answer.")
    assert desk.control("off silence").startswith("ok")
    send.click()
    expect(trader.families("AMD")).to_contain_text("WORKING")
    trader.preview("BUY", "12", "AMD", "LMT", "99.00")
    expect(trader.page.locator("#preview-margin")).to_contain_text("IB asks for at most one what-if a minute; next possible at")


def test_a_change_takes_the_preview_away(hands: Sit, desk: Desk) -> None:
    trader = hands()
    trader.preview("BUY", "10", "AMZN", "LMT", "99.00")
    trader.page.locator("#ticket-form [name=quantity]").fill("11")
    expect(trader.page.locator("#preview-send")).to_have_count(0)
    expect(trader.page.locator("#ticket-send")).to_be_visible()
    assert quantities(desk, "AMZN") == []


@pytest.mark.parametrize("phone", [False, True])
def test_a_quote_that_moved_is_shown_old_and_new_and_sent_when_it_was_seen(hands: Sit, desk: Desk, phone: bool) -> None:
    symbol = "BAC" if phone else "BA"
    trader = hands(phone=phone)
    send = trader.preview("BUY", "10", symbol, "LMT", "99.00")
    desk.control(f"quote {symbol} 101.98 102.00")
    expect(trader.page.locator("#panel-quote button").filter(has_text="Ask")).to_contain_text("102.00")
    send.click()
    shown = trader.page.locator("#ticket-preview")
    expect(shown).to_contain_text("QUOTE_MOVED")
    expect(shown.locator(".moved s")).to_have_text("100.01")
    expect(shown.locator(".moved b")).to_have_text("102")
    assert quantities(desk, symbol) == []
    trader.shown().click()
    expect(trader.toast(f"BUY 10 {symbol}")).to_be_visible()
    assert quantities(desk, symbol) == [10]


def test_a_preview_that_has_expired_is_shown_again(hands: Sit, desk: Desk) -> None:
    trader = hands()
    send = trader.preview("BUY", "10", "C", "LMT", "99.00")
    with contextlib.closing(sqlite3.connect(desk.data / "deskbook.sqlite3", timeout=20)) as connection, connection:
        connection.execute("update orders_preview set expires_at = created_at where used_at is null")
    send.click()
    expect(trader.page.locator("#ticket-preview")).to_contain_text("SEAL_EXPIRED")
    assert quantities(desk, "C") == []
    trader.shown().click()
    expect(trader.families("C")).to_contain_text("WORKING")


def test_a_preview_that_is_over_says_so_by_itself_and_is_shown_again(hands: Sit, desk: Desk) -> None:
    trader = hands()
    page = trader.page
    page.clock.install()
    send = trader.preview("BUY", "15", "C", "LMT", "99.00")
    expect(send).to_contain_text("as shown, until")
    expect(send.locator("i")).to_have_text(re.compile(r"· \d\d s"))
    page.clock.fast_forward(52_000)
    expect(page.locator("#preview-form.is-ending")).to_be_visible()
    page.clock.fast_forward(9_000)
    expect(send).to_have_count(0)
    shown = page.locator("#ticket-preview")
    expect(shown.get_by_role("status")).to_have_text("This preview is over: the market may have moved since. Nothing was sent.")
    again = page.get_by_role("button", name="Preview again")
    expect(again).to_be_enabled()
    page.locator("#ticket-form [name=quantity]").press("Control+Enter")
    trader.shown().click()
    expect(trader.toast("BUY 15 C")).to_be_visible()
    assert quantities(desk, "C").count(15) == 1


def test_somebody_elses_preview_sends_nothing(hands: Sit, desk: Desk) -> None:
    colleague = desk.visitor("trader1")
    [(con_id,)] = desk.query("select con_id from orders_contract where symbol = 'C'")
    fields = form_of(colleague.get(f"/ticket/contract/{con_id}/", HX_Request="true").text, "ticket-form")
    looked = previewed(colleague, **fields | {"side": "BUY", "quantity": "13", "order_type": "LMT", "limit_price": "99"})
    trader = hands("trader2")
    send = trader.preview("BUY", "13", "C", "LMT", "99.00")
    foreign = form_of(looked.text, "preview-form")["seal"]
    trader.page.locator("#preview-form [name=seal]").evaluate("(field, seal) => { field.value = seal }", foreign)
    send.click()
    expect(trader.page.locator("#ticket-preview")).to_contain_text("SEAL_FOREIGN")
    assert 13 not in quantities(desk, "C")


def test_ctrl_enter_previews_and_ctrl_enter_sends(hands: Sit, desk: Desk) -> None:
    trader = hands()
    trader.order("BUY", "10", "CAT", "LMT", "99.00")
    trader.page.locator("#ticket-form [name=quantity]").press("Control+Enter")
    expect(trader.shown()).to_be_focused()
    assert quantities(desk, "CAT") == []
    trader.page.keyboard.press("Control+Enter")
    expect(trader.families("CAT")).to_contain_text("WORKING")
    assert quantities(desk, "CAT") == [10]


def arm(trader: Hands) -> None:
    page = trader.page
    page.get_by_role("button", name="Arm", exact=True).click()
    expect(page.locator("#ticket-armed")).to_contain_text("ARMED")
    expect(page.locator(".kind-armed")).to_be_visible()


def is_not_armed(page: Page) -> None:
    expect(page.locator("[name=arming]")).to_have_count(0)
    expect(page.locator(".kind-armed")).to_be_hidden()


def test_an_armed_page_sends_with_one_click_until_it_is_loaded_again(hands: Sit, desk: Desk) -> None:
    trader = hands()
    page = trader.page
    arm(trader)
    trader.order("BUY", "10", "COST", "LMT", "99.00").dblclick()
    expect(trader.families("COST")).to_contain_text("WORKING")
    expect(trader.toast("BUY 10 COST")).to_be_visible()  # with it the ticket has been put anew
    expect(page.locator("#ticket-armed")).to_contain_text("ARMED")
    trader.order("BUY", "11", "COST", "LMT", "99.00").click()  # another contract or order does not end it
    expect(trader.families("COST")).to_have_count(2)
    assert quantities(desk, "COST") == [10, 11]
    for again in (page.reload, lambda: page.goto(f"{desk.url}/"), lambda: (page.goto(f"{desk.url}/positions/"), page.go_back())):
        again()
        is_not_armed(page)
        trader.preview("BUY", "12", "COST", "LMT", "99.00")
        assert quantities(desk, "COST") == [10, 11]
        arm(trader)
    page.get_by_role("button", name="Disarm").click()
    is_not_armed(page)


def test_an_armed_request_that_was_lost_is_looked_up_by_its_key(hands: Sit, desk: Desk) -> None:
    trader = hands()
    page = trader.page
    arm(trader)

    def answer_lost(route: Any) -> None:
        route.fetch()
        route.abort()

    button = trader.order("BUY", "10", "CRM", "LMT", "99.00")
    page.route("**/ticket/", answer_lost, times=1)
    button.click()
    expect(trader.families("CRM")).to_contain_text("WORKING")
    is_not_armed(page)  # found by its key: the page was loaded again
    assert quantities(desk, "CRM") == [10]


def test_a_lost_preview_is_no_question_of_an_order(hands: Sit, desk: Desk) -> None:
    trader = hands()
    button = trader.order("BUY", "14", "CRM", "LMT", "99.00")
    trader.page.route("**/ticket/preview/", lambda route: route.abort(), times=1)
    button.click()
    expect(trader.toast("This could not be sent.")).to_be_visible()
    button.click()
    trader.shown()
    assert 14 not in quantities(desk, "CRM")


def test_without_javascript_a_change_after_the_preview_sends_what_was_shown(browser: Browser, desk: Desk) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{desk.url}/login/")
    page.fill("input[name=username]", "trader1")
    page.fill("input[name=password]", desk.password("trader1"))
    page.press("input[name=password]", "Enter")
    [(con_id,)] = desk.query("select con_id from orders_contract where symbol = 'CAT'")
    page.goto(f"{desk.url}/ticket/contract/{con_id}/")
    page.locator("label:has(#buy)").click()
    page.fill("#ticket-form [name=quantity]", "21")
    page.locator("#ticket-form [name=order_type]").select_option("LMT")
    page.fill("#ticket-form [name=limit_price]", "99.00")
    page.locator("#ticket-send").click()
    expect(page.locator("#preview-send")).to_contain_text("BUY 21 CAT LMT 99.00 DAY")
    page.fill("#ticket-form [name=quantity]", "22")  # what the button says is what goes
    page.locator("#preview-send").click()
    wait_until(lambda: 21 in quantities(desk, "CAT"), "the order that was shown")
    assert 22 not in quantities(desk, "CAT")
    context.close()


def test_one_click_mode_ends_where_trading_is_held_back(hands: Sit, desk: Desk) -> None:
    trader = hands()
    arm(trader)
    admin = desk.visitor("admin")
    held = form_of(admin.get("/trading/?scope=user&user=trader1").text, "trading-form") | {"state": "REDUCE_ONLY", "reason": "A test"}
    assert admin.post("/trading/", **held).status == 200
    expect(trader.page.locator("#panel-restraints")).to_contain_text("REDUCE ONLY")
    is_not_armed(trader.page)
    trader.page.get_by_role("button", name="Arm", exact=True).click()
    expect(trader.toast("There is no one-click mode while trading is held back.")).to_be_visible()
    is_not_armed(trader.page)
