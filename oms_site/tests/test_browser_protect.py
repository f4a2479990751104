"""Protecting a position in a real browser: pairs with money, percent and R while they are typed, the preview, and what works at last."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from oms_site.tests.desk import Desk, copied_data, wait_until
from oms_site.tests.hands import Hands, come_in

SIZES = {"large": (1440, 900), "phone": (390, 844)}
SMALLEST = 24  # pixels of a target (WCAG 2.5.8)


@pytest.fixture(scope="module")
def desk(desk_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One desk for the module: each test trades a contract of its own, at prices that stand still."""
    desk = Desk(copied_data(desk_template, tmp_path_factory.mktemp("protect") / "data"))
    desk.start()
    for symbol in ("AAPL", "AMD", "AMZN", "BA", "BAC", "CSCO"):
        assert desk.control(f"quote {symbol} 99.99 100.01").startswith("ok")
    yield desk
    desk.close()


@pytest.fixture
def hands(page: Page, desk: Desk) -> Callable[..., Hands]:
    def sit_down(size: str = "large", user: str = "trader1") -> Hands:
        page.set_viewport_size(dict(zip(("width", "height"), SIZES[size], strict=True)))
        return come_in(page, desk, user)

    return sit_down


def exits_of(desk: Desk, symbol: str) -> list[tuple[Any, ...]]:
    return desk.query(
        "select o.role, o.order_type, o.quantity, o.limit_price, o.stop_price, o.trail_amount, o.oca_group_id, o.status "
        "from orders_orderrecord o join orders_contract c on c.id = o.contract_id "
        "where c.symbol = ? and o.role != 'single' order by o.id",
        symbol,
    )


def opened(trader: Hands, symbol: str, side: str = "BUY", quantity: str = "100") -> Any:
    """The question how the position is to be protected."""
    trader.send(side, quantity, symbol)
    trader.position(symbol).get_by_role("link", name=f"Protect {symbol}").click()
    return trader.dialog(f"Protect {'+' if side == 'BUY' else '−'}{quantity} {symbol}")


def test_two_pairs_one_of_them_trailing_are_typed_previewed_sent_and_work(hands: Any, desk: Desk) -> None:
    trader = hands()
    dialog = opened(trader, "AAPL")
    form = dialog.locator("#protect-form")
    form.locator("[name=entry_price]").fill("100.01")  # the average cost has the commission in it
    expect(form.locator("[name=pair_1_stop_price]")).to_have_value("98.01")
    expect(form.locator("[data-pair='1'] [data-leg-say=stop]")).to_have_text("−2.00 % · −1.0 R · −200.00")
    expect(form.locator("[data-pair='1'] [data-leg-say=target]")).to_have_text("+8.00 % · +4.0 R · +800.00")
    expect(form.locator("#exits-look")).to_have_text("Preview 2 orders")
    form.locator("[data-add-pair]").click()
    form.locator("[name=pair_1_quantity]").fill("60")
    expect(form.locator("[name=pair_2_quantity]")).to_have_value("40")
    form.locator("[name=pair_2_stop_kind]").select_option("TRAIL")
    form.locator("[name=pair_2_stop_unit]").select_option("amount")
    form.locator("[name=pair_2_stop]").fill("1.50")
    expect(form.locator("[name=pair_2_stop_price]")).to_have_attribute("placeholder", "98.49")  # from the bid, not from the cost
    expect(form.locator("[data-pair='2'] [data-leg-say=stop]")).to_contain_text("begins at 98.49")
    form.locator("[name=pair_2_target_unit]").select_option("R")
    form.locator("[name=pair_2_target]").fill("3")
    expect(form.locator("[name=pair_2_target_price]")).to_have_value("104.51")
    form.locator("#exits-look").click()
    shown = dialog.locator("#exits-preview")
    expect(shown).to_contain_text(
        "SELL 100 AAPL GTC as exits, account DU…417, stop 60 × 98.01, target 60 × 108.01, stop 40 × trailing by 1.50, target 40 × 104.51"
    )
    expect(shown).to_contain_text("+100 → 0")
    assert exits_of(desk, "AAPL") == []
    form.locator("[name=pair_1_target]").fill("5")  # what is changed has no preview any more
    expect(dialog.locator("#exits-preview[data-seal]")).to_have_count(0)
    form.locator("#exits-look").click()
    send = dialog.locator("#exits-send")
    expect(send).to_be_enabled()
    expect(send).to_contain_text("target 60 × 105.01")
    send.click()
    expect(trader.page.get_by_role("dialog")).to_have_count(0)
    expect(trader.position("AAPL")).to_contain_text("protected 100")
    expect(trader.families("AAPL").locator("tr")).to_have_count(4)
    wait_until(lambda: {row[-1] for row in exits_of(desk, "AAPL")} == {"WORKING", "HELD"}, "the broker holds all four")
    found = exits_of(desk, "AAPL")
    assert [row[:3] for row in found] == [
        ("stop loss", "STP", 60),
        ("take profit", "LMT", 60),
        ("stop loss", "TRAIL", 40),
        ("take profit", "LMT", 40),
    ]
    assert (found[0][4], found[1][3], found[2][5], found[3][3]) == (98.01, 105.01, 1.5, 104.51)
    assert found[0][6] == found[1][6] != found[2][6] == found[3][6]
    desk.control("quote AAPL 105.02 105.04")
    wait_until(lambda: [row[-1] for row in exits_of(desk, "AAPL")].count("FILLED") == 2, "both targets were reached")
    assert sorted(row[-1] for row in exits_of(desk, "AAPL")) == ["CANCELLED", "CANCELLED", "FILLED", "FILLED"]


def test_a_short_position_is_protected_on_its_other_side_from_the_keyboard(hands: Any, desk: Desk) -> None:
    trader = hands()
    dialog = opened(trader, "AMD", side="SELL", quantity="10")
    form = dialog.locator("#protect-form")
    form.locator("[data-count-from]").last.click()  # from the ask
    expect(form.locator("[name=entry_price]")).to_have_value("100.01")
    expect(form.locator("[name=pair_1_stop_price]")).to_have_value("102.01")
    form.locator("[name=pair_1_stop_price]").press("ArrowUp")
    expect(form.locator("[name=pair_1_stop_price]")).to_have_value("102.02")
    form.locator("[name=pair_1_stop_price]").press("Control+Enter")
    expect(dialog.locator("#exits-send")).to_be_focused()
    trader.page.keyboard.press("Control+Enter")
    wait_until(lambda: {row[-1] for row in exits_of(desk, "AMD")} == {"WORKING", "HELD"}, "the broker holds both")
    assert [(row[1], row[3] or row[4]) for row in exits_of(desk, "AMD")] == [("STP", 102.02), ("LMT", 92.01)]


def test_what_is_refused_stands_beside_its_field_and_what_was_typed_stays(hands: Any, desk: Desk) -> None:
    trader = hands()
    dialog = opened(trader, "BA", quantity="10")
    dialog.locator("#ask_pair_1_stop_price").fill("100.50")
    expect(dialog.locator("[data-pair='1'] [data-leg-say=stop]")).to_contain_text("+0.39 %")  # a stop may lie where the position gains
    dialog.locator("#exits-look").click()
    expect(dialog.locator("[data-pair='1'] .err")).to_contain_text("STOP_THROUGH_MARKET")
    expect(dialog.locator("#ask_pair_1_stop_price")).to_have_value("100.50")
    expect(dialog.locator("#exits-send")).to_be_disabled()
    dialog.locator("#ask_pair_1_stop_price").fill("99.50")
    dialog.locator("#exits-look").click()
    expect(dialog.locator("#exits-send")).to_be_enabled()
    assert exits_of(desk, "BA") == []


@pytest.mark.parametrize(("size", "symbol"), [("large", "AMZN"), ("phone", "BAC")])
def test_everything_in_it_is_large_enough_named_and_inside_the_dialog(hands: Any, size: str, symbol: str) -> None:
    trader = hands(size)
    dialog = opened(trader, symbol, quantity="10")
    dialog.locator("[data-add-pair]").click()
    dialog.locator("#ask-exits-more > summary").click()
    small = trader.page.evaluate(
        f"""() => [...document.querySelectorAll("#protect-form :is(button, input, select, summary, label.check)")]
            .filter((one) => one.offsetParent && !one.disabled && one.type !== "radio" && one.type !== "checkbox")
            .filter((one) => {{ const box = one.getBoundingClientRect(); return box.height < {SMALLEST} || box.width < {SMALLEST}; }})
            .map((one) => one.outerHTML.slice(0, 120))"""
    )
    assert small == []
    nameless = trader.page.evaluate(
        """() => [...document.querySelectorAll("#protect-form :is(input, select)")]
            .filter((one) => one.offsetParent && !one.labels?.length && !one.getAttribute("aria-label"))
            .map((one) => one.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
    dialog.locator("#exits-look").click()
    send = dialog.locator("#exits-send")
    expect(send).to_be_enabled()
    expect(send).to_be_in_viewport()
    wide = trader.page.evaluate("() => { const one = document.querySelector('dialog[open]'); return one.scrollWidth - one.clientWidth; }")
    assert wide == 0


def test_without_javascript_a_position_is_protected_with_two_pairs(browser: Browser, desk: Desk, hands: Any) -> None:
    trader = hands()
    trader.send("BUY", "11", "CSCO")
    con_id = desk.query("select con_id from orders_contract where symbol = 'CSCO'")[0][0]
    expect(trader.position("CSCO")).to_contain_text("unprotected")
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1440, "height": 900})
    context.add_cookies(trader.page.context.cookies())
    page = context.new_page()
    page.goto(f"{desk.url}/positions/DU1000417/{con_id}/protect/")
    page.locator("[data-add-pair]").click()
    expect(page.locator("[name=pair_2_target]")).to_be_visible()
    page.locator("[name=pair_2_stop]").fill("3")
    page.locator("#exits-look").click()
    page.locator("#exits-send").click()
    expect(page.locator(".strips")).to_contain_text("Accepted, on its way")
    assert [row[1:3] for row in exits_of(desk, "CSCO")] == [("STP", 5), ("LMT", 5), ("STP", 6), ("LMT", 6)]
    context.close()
