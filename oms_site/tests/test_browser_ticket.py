"""The ticket in a real browser: fields that come with the type, offers with their reasons, rows of exits, sizes, the change of an order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from oms_site.tests.desk import Desk, copied_data, wait_until
from oms_site.tests.hands import Hands, come_in

SIZES = {"large": (1440, 900), "phone": (390, 844)}
SMALLEST = 24  # pixels of a target (WCAG 2.5.8)


@pytest.fixture(scope="module")
def desk(desk_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One desk for the module: each test trades a contract of its own, at prices that stand still."""
    desk = Desk(copied_data(desk_template, tmp_path_factory.mktemp("ticket") / "data"))
    desk.start()
    for symbol in ("AAPL", "AMD", "AMZN", "BA", "BAC", "C", "CAT", "COST", "CRM", "CSCO", "CVX", "DIS", "F", "GE"):
        assert desk.control(f"quote {symbol} 99.99 100.01").startswith("ok")
    yield desk
    desk.close()


@pytest.fixture
def hands(page: Page, desk: Desk) -> Callable[..., Hands]:
    def sit_down(size: str = "large", user: str = "trader1") -> Hands:
        page.set_viewport_size(dict(zip(("width", "height"), SIZES[size], strict=True)))
        return come_in(page, desk, user)

    return sit_down


def ticket(trader: Hands, symbol: str, side: str = "BUY", quantity: str = "100", order_type: str = "LMT") -> Locator:
    form = trader.ticket(symbol)
    form.locator(f"label:has(#{side.lower()})").click()
    form.locator("[name=quantity]").fill(quantity)
    form.locator("[name=order_type]").select_option(order_type)
    return form


def with_exits(trader: Hands, symbol: str, limit: str = "100.00", **more: str) -> Locator:
    form = ticket(trader, symbol, **more)
    form.locator("[name=limit_price]").fill(limit)
    form.locator("[name=bracket]").check()
    return form


def orders_of(desk: Desk, symbol: str) -> list[tuple[Any, ...]]:
    return desk.query(
        "select o.role, o.order_type, o.quantity, o.limit_price, o.stop_price, o.trail_percent, o.time_in_force, o.status "
        "from orders_orderrecord o join orders_contract c on c.id = o.contract_id where c.symbol = ? order by o.id",
        symbol,
    )


# --- the type ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order_type", "shown"),
    [
        ("MKT", ()),
        ("LMT", ("limit_price",)),
        ("STP", ("stop_price",)),
        ("STP LMT", ("stop_price", "limit_price")),
        ("TRAIL", ("trail", "stop_price")),
        ("TRAIL LIMIT", ("trail", "stop_price", "limit_offset")),
        ("MIT", ("stop_price",)),
        ("LIT", ("stop_price", "limit_price")),
        ("MOC", ()),
        ("LOC", ("limit_price",)),
        ("MOO", ()),
        ("LOO", ("limit_price",)),
    ],
)
def test_fields_come_and_go_with_the_type(hands: Any, order_type: str, shown: tuple[str, ...]) -> None:
    form = hands().page.locator("#ticket-form")
    form.locator("[name=order_type]").select_option(order_type)
    for name in ("limit_price", "stop_price", "trail", "limit_offset"):
        expect(form.locator(f"[name={name}]")).to_be_visible(visible=name in shown)
    expect(form.locator("[name=time_in_force]")).to_have_value("OPG" if order_type in ("MOO", "LOO") else "DAY")


def test_what_the_type_does_not_take_goes_off_with_its_reason_and_comes_back(hands: Any) -> None:
    form = hands().page.locator("#ticket-form")
    form.locator("[name=time_in_force]").select_option("IOC")
    form.locator("#tk-more > summary").click()
    hidden = form.locator("[name=hidden]")
    expect(hidden).to_be_disabled()
    expect(form.locator("#id_hidden-why")).to_contain_text("Hidden does not go with IOC")
    form.locator("[name=order_type]").select_option("STP")
    expect(form.locator("[name=time_in_force]")).to_have_value("DAY")  # a stop cannot be IOC
    expect(form.locator("[data-refused=time_in_force] summary")).to_contain_text("IOC, FOK, OPG")
    expect(form.locator("[name=trigger_method]")).to_be_enabled()
    form.locator("[name=order_type]").select_option("LMT")
    expect(hidden).to_be_enabled()
    hidden.check()
    expect(form.locator("[name=display_size]")).to_be_disabled()
    expect(form.locator("#id_display_size-why")).to_contain_text("of a hidden order nothing is shown")
    form.locator("#tk-more > summary").click()
    expect(form.locator("[data-more-says]")).to_have_text("hidden")


def test_a_trailing_stop_goes_out_and_says_where_it_begins(hands: Any, desk: Desk) -> None:
    trader = hands()
    form = ticket(trader, "AMD", "SELL", "10", "TRAIL")
    form.locator("[name=trail]").fill("2")
    expect(form.locator("[name=stop_price]")).to_have_attribute("placeholder", "97.99")
    expect(trader.page.locator("#ticket-send")).to_contain_text("SELL 10 AMD TRAIL 2%")
    trader.page.locator("#ticket-send").click()
    trader.shown().click()
    expect(trader.families("AMD")).to_contain_text("TRAIL")
    assert orders_of(desk, "AMD")[0][:6] == ("single", "TRAIL", 10, None, None, 2)


def test_enter_in_a_field_sends_nothing_and_presses_nothing(hands: Any, desk: Desk) -> None:
    trader = hands()
    form = with_exits(trader, "AMZN")
    form.locator("[data-add-pair]").click()
    for name in ("quantity", "limit_price", "pair_1_target", "pair_2_stop"):
        form.locator(f"[name={name}]").press("Enter")
    expect(form.locator("[name=pair_count]")).to_have_value("2")
    expect(trader.page.locator("#ticket-preview[data-seal]")).to_have_count(0)
    form.locator("[name=quantity]").press("Control+Enter")
    trader.shown()
    assert orders_of(desk, "AMZN") == []


# --- the exits --------------------------------------------------------------------------------------------------------------------------


def test_a_distance_can_be_given_in_every_unit_and_says_what_it_means(hands: Any) -> None:
    trader = hands()
    form = with_exits(trader, "BA")
    target, stop = form.locator("[name=pair_1_target]"), form.locator("[name=pair_1_stop]")
    price, says = form.locator("[name=pair_1_target_price]"), form.locator("[data-pair='1'] [data-leg-say=target]")
    expect(price).to_have_value("108.00")
    expect(says).to_contain_text("+8.00 % · +4.0 R · +800.00")
    form.locator("[name=pair_1_target_unit]").select_option("R")
    target.fill("3")
    expect(price).to_have_value("106.00")
    stop.fill("1")
    expect(price).to_have_value("103.00")  # R follows the stop
    form.locator("[name=pair_1_target_unit]").select_option("ticks")
    target.fill("25")
    expect(price).to_have_value("100.25")
    form.locator("[name=pair_1_target_unit]").select_option("amount")
    target.fill("4.5")
    expect(price).to_have_value("104.50")
    price.fill("105.00")  # what was typed last leads
    expect(target).to_have_value("5")
    form.locator("[name=limit_price]").fill("101.00")
    expect(price).to_have_value("105.00")
    expect(target).to_have_value("4")
    form.locator("label:has(#sell)").click()
    expect(form.locator("[name=pair_1_stop_price]")).to_have_value("102.01")


def test_three_pairs_are_written_divided_and_sent_as_one(hands: Any, desk: Desk) -> None:
    trader = hands()
    form = with_exits(trader, "BAC")
    form.locator("[data-add-pair]").click()
    form.locator("[data-add-pair]").click()
    parts = [form.locator(f"[name=pair_{number}_quantity]") for number in (1, 2, 3)]
    for part, size in zip(parts, ("33", "33", "34"), strict=True):
        expect(part).to_have_value(size)
    parts[0].fill("50")
    expect(parts[1]).to_have_value("25")
    form.locator("[name=pair_2_stop_kind]").select_option("STP LMT")
    form.locator("[name=pair_2_stop_offset]").fill("0.50")
    expect(form.locator("[data-pair='2'] [data-leg-limit]")).to_have_text("97.50")
    form.locator("[name=pair_3_stop_kind]").select_option("TRAIL")
    expect(form.locator("[name=pair_3_stop_price]")).to_have_attribute("placeholder", "98.00")
    expect(trader.page.locator("[data-sends]")).to_have_text("Sends 7 orders as one unit")
    trader.page.locator("#ticket-send").click()
    trader.shown().click()
    expect(trader.families("BAC").locator("tr")).to_have_count(7)
    wait_until(lambda: {row[-1] for row in orders_of(desk, "BAC")} <= {"WORKING", "HELD", "FILLED"}, "the broker has them all")
    found = orders_of(desk, "BAC")
    assert [(row[1], row[2]) for row in found if row[0] == "stop loss"] == [("STP", 50), ("STP LMT", 25), ("TRAIL", 25)]
    assert [row[2] for row in found if row[0] == "take profit"] == [50, 25, 25]


def test_a_pair_that_is_taken_away_leaves_the_others_as_they_were(hands: Any) -> None:
    trader = hands()
    form = with_exits(trader, "C")
    form.locator("[data-add-pair]").click()
    form.locator("[name=pair_2_target]").fill("5")
    form.locator("[data-pair='1'] [data-remove-pair]").click()
    expect(form.locator("[data-pair='2']")).to_be_hidden()
    expect(form.locator("[name=pair_1_target]")).to_have_value("5")
    expect(form.locator("[name=pair_1_target_price]")).to_have_value("105.00")
    expect(form.locator("[data-add-pair]")).to_be_focused()
    for _again in range(4):
        form.locator("[data-add-pair]").click()
    expect(form.locator("[data-add-pair]")).to_be_disabled()


def test_quantities_that_do_not_add_up_are_told_while_they_are_typed(hands: Any) -> None:
    trader = hands()
    form = with_exits(trader, "CAT")
    form.locator("[data-add-pair]").click()
    form.locator("[name=pair_1_quantity]").fill("70")
    expect(form.locator("[name=pair_2_quantity]")).to_have_value("30")
    form.locator("[name=pair_2_quantity]").fill("40")
    expect(form.locator("[data-exits-sum]")).to_have_text("not divided: -10")
    trader.page.locator("#ticket-send").click()
    expect(trader.page.locator("#ticket-errors")).to_be_focused()
    expect(form.locator(".tk-bracket")).to_contain_text("The parts sum to 110, not to the quantity of 100.")
    expect(form.locator("[name=pair_2_quantity]")).to_have_value("40")


def test_a_ticket_that_comes_back_keeps_prices_that_were_typed_and_counts_on_with_the_others(hands: Any) -> None:
    trader = hands()
    form = with_exits(trader, "COST", limit="100.005")  # not on the tick
    form.locator("[name=pair_1_stop_price]").fill("97.77")
    trader.page.locator("#ticket-send").click()
    expect(trader.page.locator("#ticket-errors")).to_be_visible()
    form.locator("[name=limit_price]").fill("101.00")
    expect(form.locator("[name=pair_1_stop_price]")).to_have_value("97.77")
    expect(form.locator("[name=pair_1_target_price]")).to_have_value("109.08")


def test_a_time_stop_goes_with_a_market_entry_only_and_says_so(hands: Any) -> None:
    trader = hands()
    form = with_exits(trader, "CRM")
    form.locator("#tk-exits-more > summary").click()
    expect(form.locator("[name=pair_1_time_stop]")).to_be_disabled()
    expect(form.locator("[data-time-stop-why]")).to_be_visible()
    form.locator("[name=order_type]").select_option("MKT")
    form.locator("[name=pair_1_time_stop]").fill("30")
    expect(form.locator("[data-time-stop-why]")).to_be_hidden()
    expect(trader.page.locator("[data-sends]")).to_have_text("Sends 4 orders as one unit")
    form.locator("[name=order_type]").select_option("MIT")
    expect(form.locator("[name=bracket]")).to_be_disabled()
    expect(trader.page.locator("[data-sends]")).to_have_text("Sends 1 order")


def test_the_exits_of_a_symbol_can_be_kept_as_one_s_own(hands: Any) -> None:
    trader = hands()
    form = with_exits(trader, "CSCO")
    form.locator("[name=pair_1_target]").fill("5")
    form.locator("[name=pair_1_stop]").fill("1")
    form.locator("#tk-exits-more > summary").click()
    form.get_by_role("button", name="Keep the first as my exits for CSCO").click()
    expect(trader.toast("Your exits for CSCO: target 5 %, stop 1 %.")).to_be_visible()
    expect(form.locator("[name=quantity]")).to_have_value("100")  # the ticket is as it was
    trader.at_desk()
    trader.ticket("CSCO")
    expect(form.locator("[name=pair_1_target]")).to_have_value("5")


# --- the size ---------------------------------------------------------------------------------------------------------------------------


def test_a_size_is_worked_out_while_it_is_typed_and_taken_by_a_press(hands: Any) -> None:
    trader = hands()
    form = ticket(trader, "CVX", quantity="7")
    form.locator("[name=limit_price]").fill("100.00")
    form.locator("[name=size_method]").select_option("risk amount")
    form.locator("[name=size_value]").fill("500")
    form.locator("[name=size_stop]").fill("98.00")
    take = form.locator("[data-take-size]")
    expect(take).to_have_text("Take 250")
    expect(form.locator("#ticket-size")).to_contain_text("Distance to the stop")
    expect(form.locator("[name=quantity]")).to_have_value("7")  # not by itself
    form.locator("[name=size_stop]").fill("95.00")
    expect(take).to_have_text("Take 100")
    take.click()
    expect(form.locator("[name=quantity]")).to_have_value("100")
    expect(trader.page.locator("#ticket-send")).to_contain_text("BUY 100 CVX LMT 100.00")


def test_a_size_by_volatility_waits_for_the_broker_s_bars_and_suggests_the_stop(hands: Any) -> None:
    trader = hands()
    form = ticket(trader, "DIS")
    form.locator("[name=limit_price]").fill("100.00")
    form.locator("[name=bracket]").check()
    form.locator("[name=size_method]").select_option("atr")
    form.locator("[name=size_value]").fill("0.5")
    take = form.locator("[data-take-size]")
    expect(take).to_contain_text("stop")
    size, stop = take.get_attribute("data-take-size"), take.get_attribute("data-take-stop")
    take.click()
    expect(form.locator("[name=quantity]")).to_have_value(size)
    expect(form.locator("[name=pair_1_stop_price]")).to_have_value(stop)


# --- the change -------------------------------------------------------------------------------------------------------------------------


def test_a_change_says_old_and_new_while_it_is_typed_and_when_it_was_asked_for(hands: Any, desk: Desk) -> None:
    trader = hands()
    trader.send("BUY", "10", "F", "LMT", "99.00")
    expect(trader.families("F")).to_contain_text("WORKING")
    trader.ticket("F").locator("#ticket-orders-open").click()
    trader.page.get_by_role("link", name="Change BUY 10 F LMT 99.00 DAY").click()
    dialog = trader.dialog("Change BUY 10 F")
    button = dialog.locator("button.primary")
    expect(button).to_be_disabled()
    expect(button).to_have_text("Nothing is changed yet")
    dialog.locator("[name=limit_price]").press("Shift+ArrowUp")
    expect(dialog.locator("[data-delta]").nth(1)).to_have_text("+0.1 (+0.10 %)")
    dialog.locator("[name=time_in_force]").select_option("GTC")
    expect(button).to_have_text("Send the change: limit price 99.00 → 99.10, in force DAY → GTC")
    button.click()
    expect(trader.toast("limit price 99.00 → 99.10, in force DAY → GTC")).to_be_visible()
    wait_until(lambda: orders_of(desk, "F")[0][3] == 99.1, "the broker carries the new price")


def test_an_order_that_fills_under_the_change_says_so(hands: Any, desk: Desk) -> None:
    trader = hands()
    trader.send("BUY", "10", "GE", "LMT", "99.00")
    row = trader.families("GE")
    expect(row).to_contain_text("WORKING")
    row.get_by_role("link", name="Change BUY GE").click()
    dialog = trader.dialog("Change BUY 10 GE")
    desk.control("quote GE 98.90 98.92")
    expect(trader.fills("GE", "BUY")).to_have_count(1)
    dialog.locator("[name=limit_price]").fill("98.50")
    dialog.locator("button.primary").click()
    expect(trader.page.get_by_role("dialog")).to_contain_text("This order is over: FILLED, with 10 of 10 filled.")


# --- reach ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["large", "phone"])
def test_everything_that_can_be_pressed_is_large_enough_named_and_not_under_the_send_bar(hands: Any, size: str) -> None:
    trader = hands(size)
    form = with_exits(trader, "AAPL")
    form.locator("[data-add-pair]").click()
    form.locator("#tk-more > summary").click()
    form.locator("#tk-exits-more > summary").click()
    small = trader.page.evaluate(
        f"""() => [...document.querySelectorAll("#ticket-form :is(button, input, select, summary, label.check)")]
            .filter((one) => one.offsetParent && !one.disabled && one.type !== "radio" && one.type !== "checkbox")
            .filter((one) => {{ const box = one.getBoundingClientRect(); return box.height < {SMALLEST} || box.width < {SMALLEST}; }})
            .map((one) => one.outerHTML.slice(0, 120))"""
    )
    assert small == []
    nameless = trader.page.evaluate(
        """() => [...document.querySelectorAll("#ticket-form :is(input, select)")]
            .filter((one) => one.offsetParent && !one.labels?.length && !one.getAttribute("aria-label"))
            .map((one) => one.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
    wide = trader.page.evaluate("() => document.querySelector('#ticket').scrollWidth - document.querySelector('#ticket').clientWidth")
    assert wide == 0
    form.locator("[name=pair_2_stop]").focus()
    covered = trader.page.evaluate(
        """() => document.activeElement.getBoundingClientRect().bottom
            > document.querySelector("#ticket-form .send").getBoundingClientRect().top"""
    )
    assert not covered
    send = trader.page.locator("#ticket-send").bounding_box()
    assert send is not None and send["y"] + send["height"] <= SIZES[size][1]


def test_without_javascript_a_bracket_of_two_pairs_is_written_and_sent(browser: Browser, desk: Desk) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(f"{desk.url}/login/")
    page.fill("input[name=username]", "trader1")
    page.fill("input[name=password]", desk.password("trader1"))
    page.press("input[name=password]", "Enter")
    con_id = desk.query("select con_id from orders_contract where symbol = 'AAPL'")[0][0]
    page.goto(f"{desk.url}/?con_id={con_id}&account=DU1000417")
    form = page.locator("#ticket-form")
    form.locator("label:has(#buy)").click()
    form.locator("[name=quantity]").fill("11")
    form.locator("[name=order_type]").select_option("STP LMT")
    expect(form.locator("[name=stop_price]")).to_be_visible()  # by the stylesheet alone
    form.locator("[name=order_type]").select_option("LMT")
    expect(form.locator("[name=stop_price]")).to_be_hidden()
    form.locator("[name=limit_price]").fill("99.00")
    form.locator("[name=bracket]").check()
    form.locator("[data-add-pair]").click()
    expect(form.locator("[name=pair_2_target]")).to_be_visible()
    expect(form.locator("[name=quantity]")).to_have_value("11")
    form.locator("#ticket-send").click()
    page.locator("#preview-send").click()
    expect(page.locator(".strips")).to_contain_text("Accepted, on its way")
    wait_until(lambda: len(orders_of(desk, "AAPL")) == 5, "an entry and two pairs")
    assert [row[2] for row in orders_of(desk, "AAPL") if row[0] == "take profit"] == [5, 6]
    assert re.search("WORKING|HELD|SENT|PENDING", str(orders_of(desk, "AAPL")))
    context.close()
