"""A trader's day in a real browser against a real desk: buying, protecting, brackets, cancelling, closing; with and without JavaScript."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from oms_site.tests.desk import Desk, copied_data, wait_until
from oms_site.tests.hands import Hands, come_in

SIZES = {"large": (1440, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def desk(desk_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One desk for the module: each test trades a contract of its own, at prices that stand still."""
    desk = Desk(copied_data(desk_template, tmp_path_factory.mktemp("browser") / "data"))
    desk.start()
    for symbol in ("AAPL", "AMD", "AMZN", "BA", "BAC", "C", "CAT", "COST", "CRM", "CSCO", "CVX", "DIS", "F", "GE", "HD"):
        assert desk.control(f"quote {symbol} 99.99 100.01").startswith("ok")
    yield desk
    desk.close()


@pytest.fixture
def hands(page: Page, desk: Desk) -> Callable[..., Hands]:
    """A trader at the desk, with a screen of the size that is asked for."""

    def sit_down(size: str = "large", user: str = "trader1") -> Hands:
        page.set_viewport_size(dict(zip(("width", "height"), SIZES[size], strict=True)))
        return come_in(page, desk, user)

    return sit_down


def statuses(desk: Desk, symbol: str) -> list[str]:
    rows = desk.query(
        "select o.status from orders_orderrecord o join orders_contract c on c.id = o.contract_id where c.symbol = ? order by o.id", symbol
    )
    return [row[0] for row in rows]


@pytest.mark.parametrize(("size", "symbol"), [("large", "AAPL"), ("phone", "AMD")])
def test_buy_protect_and_see_one_exit_fill_and_the_other_go(hands: Any, desk: Desk, size: str, symbol: str) -> None:
    trader = hands(size)
    trader.send("BUY", "10", symbol)
    expect(trader.fills(symbol, "BUY")).to_have_count(1)
    expect(trader.toast(f"Bought 10 {symbol} at 100.01")).to_be_visible()
    expect(trader.position(symbol)).to_contain_text("unprotected 10")
    trader.protect(symbol, "+10")
    expect(trader.position(symbol)).to_contain_text("protected 10")
    family = trader.families(symbol)
    expect(family.locator("tr")).to_have_count(2)
    expect(family).to_contain_text("OCA")
    desk.control(f"quote {symbol} 109.00 109.02")
    expect(trader.fills(symbol, "SELL")).to_have_count(1)
    expect(family).to_have_count(0)
    expect(trader.position(symbol)).to_have_count(0)
    trader.scope("Today")
    exits = trader.families(symbol).filter(has_text="OCA")
    expect(exits.get_by_text("FILLED", exact=True)).to_have_count(1)
    expect(exits.get_by_text("CANCELLED", exact=True)).to_have_count(1)
    assert not trader.reloaded
    assert sorted(statuses(desk, symbol)) == ["CANCELLED", "FILLED", "FILLED"]


def test_a_bracket_goes_out_as_one_and_its_stop_ends_it(hands: Any, desk: Desk) -> None:
    trader = hands()
    button = trader.order("BUY", "10", "AMZN", "LMT", "100.01", bracket=True)
    expect(button).to_contain_text("BUY 10 AMZN LMT 100.01 DAY")
    expect(button).to_contain_text("stop 98.01")
    expect(button).to_contain_text("target 108.01")
    button.click()
    expect(trader.page.locator("#ticket-preview .said")).to_contain_text(
        "BUY 10 AMZN LMT 100.01 DAY, account DU…417, stop 98.01, target 108.01"
    )
    trader.shown().click()
    family = trader.families("AMZN")
    expect(family.locator("tr")).to_have_count(3)
    expect(trader.fills("AMZN", "BUY")).to_have_count(1)
    expect(trader.position("AMZN")).to_contain_text("protected 10")
    desk.control("quote AMZN 97.00 97.02")
    expect(trader.fills("AMZN", "SELL")).to_have_count(1)
    expect(family).to_have_count(0)
    assert statuses(desk, "AMZN").count("FILLED") == 2
    assert statuses(desk, "AMZN").count("CANCELLED") == 1
    assert not trader.reloaded


def test_percent_and_price_of_an_exit_follow_each_other_on_ticks(hands: Any) -> None:
    trader = hands()
    trader.order("SELL", "10", "BA", "LMT", "100.01", bracket=True)
    form = trader.page.locator("#ticket-form")
    expect(form.locator("[name=pair_1_stop_price]")).to_have_value("102.01")
    expect(form.locator("[name=pair_1_target_price]")).to_have_value("92.01")
    form.locator("[name=pair_1_stop_price]").fill("105.01")
    expect(form.locator("[name=pair_1_stop]")).to_have_value("5.00")
    form.locator("[name=limit_price]").press("ArrowUp")
    expect(form.locator("[name=limit_price]")).to_have_value("100.02")
    form.locator("[name=limit_price]").press("Shift+ArrowDown")
    expect(form.locator("[name=limit_price]")).to_have_value("99.92")
    expect(form.locator("[name=pair_1_stop_price]")).to_have_value("105.01")
    expect(form.locator("[name=pair_1_target_price]")).to_have_value("91.93")
    form.locator("#panel-quote button").filter(has_text="Ask").click()
    expect(form.locator("[name=limit_price]")).to_have_value("100.01")
    expect(trader.page.locator("#ticket-send")).to_contain_text("SELL 10 BA LMT 100.01 DAY")


@pytest.mark.parametrize(("size", "symbol"), [("large", "BAC"), ("phone", "C")])
def test_an_order_is_changed_and_cancelled_by_asking_first(hands: Any, desk: Desk, size: str, symbol: str) -> None:
    trader = hands(size)
    trader.send("BUY", "10", symbol, "LMT", "99.00")
    row = trader.families(symbol)
    expect(row).to_contain_text("WORKING")
    if size == "large":
        row.get_by_role("link", name=f"Change BUY {symbol}").click()
        dialog = trader.dialog("Change BUY 10")
        dialog.locator("[name=limit_price]").fill("99.10")
        dialog.get_by_role("button", name="Send the change").click()
        expect(row).to_contain_text("99.10")
        row.get_by_role("link", name=f"Cancel BUY {symbol}").click()
    else:
        row.get_by_role("link", name=symbol).click()  # on a phone the row leads to its order
        trader.page.get_by_role("link", name="Cancel order").click()
    trader.dialog("Cancel BUY 10").get_by_role("button", name="Cancel the order").click()
    if size == "large":
        expect(row).to_have_count(0)
    else:
        expect(trader.page.locator("#panel-order .facts")).to_contain_text("CANCELLED")
    assert statuses(desk, symbol) == ["CANCELLED"]


def test_cancel_all_says_what_goes_and_leaves_nothing_open(hands: Any, desk: Desk) -> None:
    trader = hands()
    trader.send("BUY", "10", "CAT", "LMT", "99.00")
    trader.send("BUY", "11", "CAT", "LMT", "98.00")
    expect(trader.families("CAT").filter(has_text="WORKING")).to_have_count(2)
    trader.page.get_by_role("link", name="Cancel all").click()
    dialog = trader.page.get_by_role("dialog")
    expect(dialog).to_contain_text("BUY 10 CAT LMT 99.00")
    dialog.get_by_role("button", name="Cancel").last.click()
    expect(trader.families("CAT")).to_have_count(0)
    assert statuses(desk, "CAT") == ["CANCELLED", "CANCELLED"]


def test_a_protected_position_is_closed_after_its_exits_are_gone(hands: Any, desk: Desk) -> None:
    trader = hands()
    trader.send("BUY", "10", "COST")
    trader.protect("COST", "+10")
    expect(trader.position("COST")).to_contain_text("protected 10")
    trader.position("COST").get_by_role("link", name="Close COST").click()
    trader.dialog("Close +10 COST").get_by_role("button", name="Close COST").click()
    expect(trader.position("COST")).to_have_count(0)
    expect(trader.fills("COST", "SELL")).to_have_count(1)
    expect(trader.families("COST")).to_have_count(0)
    assert sorted(statuses(desk, "COST")) == ["CANCELLED", "CANCELLED", "FILLED", "FILLED"]


PRESS = """async () => {
    const options = { key: "Enter", ctrlKey: true, bubbles: true, cancelable: true };
    const press = (repeat) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { ...options, repeat }));
    [false, true, true, false].forEach(press);
}"""


def test_a_double_click_and_a_held_key_are_one_order(hands: Any, desk: Desk) -> None:
    trader = hands()
    trader.order("BUY", "10", "CRM", "LMT", "99.00").dblclick()  # a preview, and nothing more
    button = trader.shown()
    assert statuses(desk, "CRM") == []
    button.dblclick()
    expect(trader.families("CRM")).to_contain_text("WORKING")
    assert statuses(desk, "CRM") == ["WORKING"]
    trader.order("BUY", "12", "CRM", "LMT", "99.00")
    trader.page.locator("#ticket-form [name=quantity]").focus()
    trader.page.evaluate(PRESS)
    expect(trader.shown()).to_be_focused()
    assert len(statuses(desk, "CRM")) == 1
    trader.page.evaluate(PRESS)
    expect(trader.families("CRM")).to_have_count(2)
    assert len(statuses(desk, "CRM")) == 2


def test_what_the_broker_refuses_is_said_aloud(hands: Any, desk: Desk) -> None:
    trader = hands()
    assert desk.control("reject-next 201 Order rejected - reason:no margin").startswith("ok")
    trader.preview("BUY", "10", "CSCO", "LMT", "99.00").click()
    expect(trader.page.locator("#alerts")).to_contain_text("no margin")
    expect(trader.page.locator("#toasts .toast-bad")).to_contain_text("CSCO REJECTED")
    expect(trader.families("CSCO")).to_have_count(0)
    trader.scope("Today")
    expect(trader.families("CSCO")).to_contain_text("REJECTED")


def test_a_refusal_is_said_beside_the_field_and_nothing_goes_out(hands: Any, desk: Desk) -> None:
    trader = hands()
    button = trader.order("BUY", "9999999", "GE", "LMT", "99.00")
    button.click()
    expect(trader.page.locator("#ticket-errors")).to_be_visible()
    expect(trader.page.locator("#ticket-form [name=quantity]")).to_have_value("9999999")
    expect(trader.page.locator("#ticket-preview .problems")).to_contain_text("MAX_QUANTITY")
    expect(trader.page.locator("#preview-send")).to_be_disabled()
    assert statuses(desk, "GE") == []


def test_the_price_of_another_symbol_than_the_one_typed_is_no_offer(hands: Any) -> None:
    trader = hands()
    trader.order("BUY", "10", "GE", "LMT", "99.00")
    page = trader.page
    page.fill("#id_symbol", "CVX")
    expect(page.locator("#ticket-form.is-other")).to_have_count(1)
    page_chip(trader, "Ask").dispatch_event("click")
    expect(page.locator("#ticket-form [name=limit_price]")).to_have_value("99.00")
    page.locator("#symbol-matches a").filter(has=page.get_by_text("CVX", exact=True)).first.click()
    expect(page.locator("#ticket-form.is-other")).to_have_count(0)
    page_chip(trader, "Ask").click()
    expect(page.locator("#ticket-form [name=limit_price]")).to_have_value("100.01")


def test_keys_reach_the_ticket_and_can_be_turned_off(hands: Any) -> None:
    trader = hands()
    page = trader.page
    trader.ticket("CVX")
    page.locator("h1").evaluate("() => document.activeElement.blur()")
    page.keyboard.press("s")
    expect(page.locator("#sell")).to_be_checked()
    expect(page.locator("#ticket-form [name=quantity]")).to_be_focused()
    page.keyboard.type("b7")  # in a field a letter is a letter
    expect(page.locator("#sell")).to_be_checked()
    page.evaluate("() => document.activeElement.blur()")
    page.keyboard.press("?")
    page.locator("#keys-on").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    expect(page.locator("#sell")).to_be_checked()


def test_what_is_typed_stays_while_the_page_lives(hands: Any, desk: Desk) -> None:
    trader = hands()
    trader.send("BUY", "10", "DIS")
    form = trader.ticket("DIS")
    form.locator("[name=quantity]").fill("123")
    form.locator("#tk-more > summary").click()
    field = form.locator("[name=note]")
    field.fill("half a th")
    field.evaluate("input => input.setSelectionRange(4, 4)")
    for step in range(1, 4):
        desk.control(f"quote DIS {99 + step}.00 {99 + step}.02")
        expect(trader.position("DIS").locator(".p-last")).to_contain_text(f"{99 + step}.")
    expect(page_chip(trader, "Ask")).to_contain_text("102.02")
    trader.page.evaluate("htmx.trigger(document.body, 'oms:resync')")
    desk.control("quote DIS 104.00 104.02")
    expect(page_chip(trader, "Ask")).to_contain_text("104.02")
    expect(field).to_be_focused()
    expect(field).to_have_value("half a th")
    assert field.evaluate("input => input.selectionStart") == 4
    expect(form.locator("[name=quantity]")).to_have_value("123")


def test_back_reload_and_a_restored_tab_never_send_an_order_again(hands: Any, desk: Desk) -> None:
    trader = hands()
    page, key = trader.page, trader.page.locator("#ticket-form [name=key]")
    button = trader.order("BUY", "10", "HD", "LMT", "99.00")
    sent = key.input_value()
    button.click()
    trader.shown().click()
    expect(trader.families("HD")).to_contain_text("WORKING")
    expect(key).not_to_have_value(sent)
    seen = {sent, key.input_value()}

    def fresh() -> None:
        """The page stands, and its ticket has a key that none had before."""
        expect(trader.families("HD")).to_contain_text("WORKING")
        wait_until(lambda: key.input_value() not in seen, "a key of its own")
        seen.add(key.input_value())

    page.reload()
    fresh()
    page.goto(f"{desk.url}/positions/")
    page.go_back()
    fresh()
    page.go_forward()
    page.go_back()
    fresh()
    # A browser that restores a tab fills the fields in as they were, the hidden ones too.
    trader.order("BUY", "10", "HD", "LMT", "99.00")
    key.evaluate("(field, sent) => { field.value = sent }", sent)
    page.locator("#ticket-send").click()
    expect(page.locator("#ticket-preview")).to_contain_text("This ticket was sent before")
    assert statuses(desk, "HD") == ["WORKING"]


def page_chip(trader: Hands, label: str) -> Any:
    return trader.page.locator("#panel-quote button").filter(has_text=label)


def test_without_javascript_an_order_is_placed_and_cancelled(browser: Browser, desk: Desk) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{desk.url}/login/")
    page.fill("input[name=username]", "trader1")
    page.fill("input[name=password]", desk.password("trader1"))
    page.press("input[name=password]", "Enter")
    form = page.locator("#ticket-form")
    for attempt in range(2):  # a symbol that was only typed is shown first
        if attempt == 0:
            form.locator("[name=symbol]").fill("F")
        form.locator("label:has(#buy)").click()
        form.locator("[name=quantity]").fill("10")
        form.locator("[name=order_type]").select_option("LMT")
        form.locator("[name=limit_price]").fill("99.00")
        page.locator("#ticket-send").click()
    expect(page.locator("#ticket-preview .said")).to_contain_text("BUY 10 F LMT 99.00 DAY, account DU…417")
    page.locator("#preview-send").click()
    expect(page.locator(".strip").filter(has_text="BUY 10 F LMT 99.00")).to_be_visible()
    wait_until(lambda: statuses(desk, "F") == ["WORKING"], "the order works")
    page.goto(f"{desk.url}/")
    page.get_by_role("link", name="Cancel BUY F").click()
    page.get_by_role("button", name="Cancel the order").click()
    wait_until(lambda: statuses(desk, "F") == ["CANCELLED"], "the order is cancelled")
    context.close()
