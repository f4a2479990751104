"""Kill switch, flatten, closing in part and reversing in a real browser against a real desk: by mouse, by key, on a phone, plainly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from oms_site.tests.desk import Desk, copied_data, wait_until
from oms_site.tests.hands import Hands, come_in

SIZES = {"large": (1440, 900), "phone": (390, 844)}
ACCOUNT = "DU1000417"


@pytest.fixture(scope="module")
def desk(desk_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One desk for the module; each test leaves the account flat and released."""
    desk = Desk(copied_data(desk_template, tmp_path_factory.mktemp("browser") / "data"))
    desk.start()
    for symbol in ("AAPL", "AMD", "AMZN", "BA", "BAC", "DIS"):
        assert desk.control(f"quote {symbol} 99.99 100.01 9000 9000").startswith("ok")
    yield desk
    desk.close()


@pytest.fixture
def hands(page: Page, desk: Desk) -> Callable[..., Hands]:
    """A trader at the desk, with a screen of the size that is asked for."""

    def sit_down(size: str = "large", user: str = "trader1") -> Hands:
        page.set_viewport_size(dict(zip(("width", "height"), SIZES[size], strict=True)))
        return come_in(page, desk, user)

    return sit_down


def press(page: Page, key: str) -> None:
    page.keyboard.press(f"Control+Shift+{key}")


def kill(trader: Hands, reason: str, *, flatten: bool = False) -> None:
    """Fills the open dialog in, presses its button, stays on the page, and waits for the report to be over."""
    dialog = trader.dialog("Kill switch")
    dialog.get_by_label("Why").fill(reason)
    if flatten:
        dialog.get_by_label("And close every position").check()
    dialog.get_by_role("button", name="Halt and cancel").click()
    expect(trader.page.locator("dialog[open]")).to_have_count(0)
    expect(trader.page.locator("#panel-restraints")).to_contain_text("HALTED")
    expect(trader.page.locator("#panel-orders")).to_be_visible()
    trader.page.locator("#panel-restraints").get_by_role("link", name="Report").click()
    expect(trader.page.locator("#panel-sweep .pill").first).to_have_text("DONE")


def release(browser: Browser, desk: Desk) -> None:
    """The administrator lets trading go on."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    try:
        boss = come_in(context.new_page(), desk, "admin").at_desk(f"?account={ACCOUNT}")
        boss.page.get_by_role("link", name="Release…").click()
        dialog = boss.dialog("Release the trading of account")
        dialog.get_by_label("Why").fill("Looked at it")
        dialog.get_by_role("button", name="Set it").click()
        expect(boss.page.get_by_text("HALTED", exact=True)).to_have_count(0)
    finally:
        context.close()


def state(desk: Desk) -> list[int]:
    return [int(float(row[0])) for row in desk.query("select value from orders_limit where rule = 'TRADING_STATE'")]


def positions(desk: Desk) -> dict[str, int]:
    rows = desk.query("select c.symbol, p.quantity from orders_position p join orders_contract c on c.id = p.contract_id")
    return {symbol: int(float(quantity)) for symbol, quantity in rows if float(quantity)}


@pytest.mark.parametrize("way", ["mouse", "key", "phone"])
def test_the_switch_halts_cancels_closes_and_reports_until_all_is_confirmed(hands: Any, desk: Desk, browser: Browser, way: str) -> None:
    symbol = {"mouse": "AAPL", "key": "AMD", "phone": "AMZN"}[way]
    trader = hands("phone" if way == "phone" else "large")
    page = trader.page
    trader.send("BUY", "10", symbol)
    trader.send("BUY", "10", symbol, "LMT", "90.00")
    expect(trader.families(symbol).filter(has_text="WORKING")).to_have_count(1)
    if way == "key":
        page.locator("#ticket-form [name=quantity]").focus()  # while typing too
        press(page, "K")
    elif way == "phone":
        page.get_by_role("navigation", name="Sections").get_by_role("link", name="Halt").click()
    else:
        page.locator("#kill").click()
    expect(trader.dialog("Kill switch")).to_contain_text("1 open order is cancelled.")
    kill(trader, "A drill", flatten=True)
    report = page.locator("#panel-sweep")
    expect(report).to_contain_text("The broker has confirmed all of it.")
    expect(report).to_contain_text("10 of 10 filled")
    expect(page.locator("#panel-restraints")).to_contain_text("HALTED")
    wait_until(lambda: symbol not in positions(desk), "the position is closed")
    assert state(desk) == [2]
    release(browser, desk)
    expect(report).to_contain_text("Released by admin: Looked at it")  # live
    expect(page.locator("#panel-restraints .strip")).to_have_count(0)


def test_the_keys_ask_first_do_not_repeat_and_are_of_this_account(hands: Any, desk: Desk) -> None:
    trader = hands()
    page = trader.page
    trader.send("BUY", "10", "BA")
    trader.send("BUY", "5", "BA", "LMT", "90.00")
    press(page, "X")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(f"account {ACCOUNT}")
    expect(dialog).to_contain_text("BUY 5 BA LMT 90.00")
    press(page, "F")  # over a dialog too
    expect(trader.dialog(f"Flatten account {ACCOUNT}")).to_contain_text("+10 BA")
    expect(page.locator("dialog[open]")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate(
        """() => { const options = { key: "K", code: "KeyK", ctrlKey: true, shiftKey: true, repeat: true, bubbles: true, cancelable: true };
            document.body.dispatchEvent(new KeyboardEvent("keydown", options)); }"""
    )
    press(page, "X")
    expect(page.get_by_role("dialog")).to_contain_text("Cancel 1 order")
    assert not [url for url in asked if "/kill/" in url], "a held key opens nothing"
    page.get_by_role("dialog").get_by_role("button", name="Cancel 1 order").click()
    expect(trader.families("BA")).to_have_count(0)
    press(page, "F")
    trader.dialog("Flatten account").get_by_role("button", name="Close 1 position at the market").click()
    page.wait_for_url("**/sweeps/*/")
    expect(page.locator("#panel-sweep .pill").first).to_have_text("DONE")
    wait_until(lambda: positions(desk) == {}, "the account is flat")


@pytest.mark.parametrize(("size", "symbol"), [("large", "BAC"), ("phone", "DIS")])
def test_a_part_is_closed_the_rest_stays_covered_and_is_then_reversed_and_flattened(hands: Any, desk: Desk, size: str, symbol: str) -> None:
    trader = hands(size)
    page = trader.page
    trader.send("BUY", "10", symbol)
    trader.protect(symbol, "+10")
    expect(trader.position(symbol)).to_contain_text("protected 10")
    trader.position(symbol).get_by_role("link", name=f"Close {symbol}").click()
    dialog = trader.dialog(f"Close +10 {symbol}")
    dialog.get_by_role("link", name="50 %").click()
    expect(trader.dialog(f"Close +10 {symbol}")).to_contain_text("Made smaller first, to 5")
    page.get_by_role("dialog").get_by_role("button", name=f"Close {symbol}: SELL 5 at the market").click()
    expect(trader.position(symbol)).to_contain_text("protected 5")
    wait_until(lambda: positions(desk).get(symbol) == 5, "half is sold")
    trader.position(symbol).get_by_role("link", name=f"Close {symbol}").click()
    trader.dialog(f"Close +5 {symbol}").get_by_role("link", name="Reverse…").click()
    trader.dialog(f"Reverse +5 {symbol}").get_by_role("button", name=f"Reverse {symbol}: SELL 10 at the market").click()
    expect(trader.position(symbol)).to_contain_text("unprotected 5")
    wait_until(lambda: positions(desk).get(symbol) == -5, "the position is turned round")
    page.locator("#flatten").click()
    dialog = trader.dialog("Flatten account")
    dialog.get_by_label("Side").select_option("LONG")
    expect(trader.dialog("Flatten account")).to_contain_text("There is no position of this kind.")
    trader.dialog("Flatten account").get_by_label("Side").select_option("SHORT")
    expect(trader.dialog("Flatten account")).to_contain_text("BUY 5")
    trader.dialog("Flatten account").get_by_role("button", name="Close 1 position at the market").click()
    page.wait_for_url("**/sweeps/*/")
    expect(page.locator("#panel-sweep .pill").first).to_have_text("DONE")
    wait_until(lambda: symbol not in positions(desk), "the position is closed")


def test_without_javascript_the_switch_and_the_report_work(browser: Browser, desk: Desk) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{desk.url}/login/")
    page.fill("input[name=username]", "trader1")
    page.fill("input[name=password]", desk.password("trader1"))
    page.press("input[name=password]", "Enter")
    page.locator("#kill").click()
    page.get_by_label("Why").fill("No scripts here")
    page.get_by_role("button", name="Halt and cancel").click()
    expect(page.get_by_role("heading", name=f"Kill switch for account {ACCOUNT}")).to_be_visible()
    expect(page.locator("#panel-restraints .strip").filter(has_text="HALTED")).to_be_visible()
    context.close()
    release(browser, desk)
