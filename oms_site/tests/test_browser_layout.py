"""Long names, large quantities and a row of exits, on a large screen and on a phone, light and dark: nothing leaves its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from oms_site.tests.desk import Desk, copied_data, manage
from oms_site.tests.hands import Hands, come_in

pytestmark = pytest.mark.xdist_group("layout")

ACCOUNT = "DU1000417"
PAGES = ("/", "/orders/", "/positions/", "/executions/", "/risk/", "/recovery/", "/watchlist/")

# What sticks out of the window, and text that its box cuts off: an ellipsis is meant to cut only what a title or a page says whole.
OUT_OF_PLACE = """() => {
  const found = [], seen = (e) => e.offsetParent && !e.closest(".sr, .sprite, [hidden]");
  if (document.documentElement.scrollWidth > innerWidth) found.push(`the page is ${document.documentElement.scrollWidth} wide`);
  const held = (e) => { for (let up = e.parentElement; up && up !== document.body; up = up.parentElement) {
    if (getComputedStyle(up).overflowX !== "visible") return true; } return false; };
  for (const e of document.querySelectorAll("body *")) {
    if (!seen(e)) continue;
    const box = e.getBoundingClientRect();
    if (box.width && box.right > innerWidth + 1 && !held(e)) found.push(`out: ${e.className} ${e.textContent.trim().slice(0, 30)}`);
  }
  for (const e of document.querySelectorAll(".k-con, .k-sym, .o-qty, .p-qty, .e-qty, .o-px, .p-sym a, .quotes button")) {
    if (seen(e) && !e.closest("[class*=kin-]") && e.clientWidth > 1 && e.scrollWidth > e.clientWidth + 1)
      found.push(`cut: ${e.textContent}`);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def desk(desk_template: Path, tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Desk]:
    """A desk that holds an option with its exits, a stock with its own, and works 20,000 euros."""
    desk = Desk(copied_data(desk_template, tmp_path_factory.mktemp("layout") / "data"))
    desk.start()
    admin = desk.visitor("admin")
    admin.get("/admin/orders/limit/add/")
    limit = {"scope": "desk", "account": "", "user": "", "rule": "MAX_QUANTITY", "value": "1000000", "note": "Currencies"}
    assert admin.post("/admin/orders/limit/add/", **limit).url.endswith("/limit/")
    for words in (("buy", "XOM", "300"), ("protect", "XOM")):
        done = manage(desk.data, "desk", *words, "--user", "trader1", "--account", ACCOUNT)
        assert done.returncode == 0, done.stderr
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    trader = come_in(context.new_page(), desk, "trader1")
    _an_option(trader)
    trader.at_desk().preview("BUY", "20000", "EUR.USD", "LMT", "1.05000").click()
    expect(trader.families("EUR.USD")).to_contain_text("20,000")
    for symbol in ("EUR.USD", trader.page.locator(".p-sym.is-long a").inner_text().replace("\n", " ")):
        trader.page.goto(f"{desk.url}/watchlist/")
        trader.page.fill("#content [name=symbol]", symbol)
        trader.page.press("#content [name=symbol]", "Enter")
        expect(trader.page.get_by_role("button", name=f"Take {symbol} off")).to_be_visible()
        trader.at_desk()
    context.close()
    yield desk
    desk.close()


def _expiry(dialog: Locator) -> None:
    """Chooses one when the page listens to its choice, which is a moment after it shows it."""
    expect(dialog.locator("#id_pick_expiry")).to_be_visible()
    expect(dialog.locator(".htmx-added")).to_have_count(0)
    dialog.locator("#id_pick_expiry").select_option(index=2)
    expect(dialog.locator(".strikes tbody tr").first).to_be_visible()


def _an_option(trader: Hands) -> None:
    page = trader.page
    page.locator("#ticket-find").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Options", exact=True).click()
    dialog.locator("#id_pick_symbol").fill("AAPL")
    dialog.get_by_role("button", name="List").click()
    _expiry(dialog)
    dialog.locator(".strikes tbody tr").nth(2).get_by_role("link", name="Call").click()
    expect(page.locator("#panel-quote [data-price]").first).to_be_enabled()
    page.locator("#ticket-form label:has(#buy)").click()
    page.locator("#ticket-form [name=quantity]").fill("2")
    page.locator("#ticket-form [name=order_type]").select_option("MKT")
    page.locator("#ticket-form [name=bracket]").check()
    page.locator("#ticket-send").click()
    trader.shown().click()
    expect(trader.toast("Accepted, on its way: BUY 2 AAPL")).to_be_visible()
    expect(page.locator("#positions-rows .k-con")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_nothing_leaves_its_place(page: Page, desk: Desk, width: int, scheme: Any) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    come_in(page, desk, "trader1")
    for path in PAGES:
        page.goto(f"{desk.url}{path}?account={ACCOUNT}")
        assert page.evaluate(OUT_OF_PLACE) == [], path


def test_a_row_of_exits_is_as_high_as_any_other(page: Page, desk: Desk) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    trader = come_in(page, desk, "trader1")
    expect(trader.families("XOM").locator(".leg")).to_have_text(["target", "stop"])
    expect(trader.families("EUR.USD")).to_be_visible()
    heights = page.locator("#orders-rows > tbody > tr").evaluate_all(
        "rows => rows.map(row => Math.round(row.getBoundingClientRect().height))"
    )
    assert len(heights) >= 6
    assert set(heights) == {heights[-1]}


@pytest.mark.parametrize("width", [1440, 390])
def test_the_finder_and_the_ticket_of_an_option_fit(page: Page, desk: Desk, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    come_in(page, desk, "trader1")
    page.goto(f"{desk.url}/?account={ACCOUNT}#ticket")
    page.locator("#ticket-find").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("#id_pick_symbol").fill("NOPE")
    dialog.get_by_role("button", name="List").click()
    expect(dialog.locator("#id_pick_symbol")).to_have_accessible_description("No security definition has been found for the request")
    assert page.evaluate(OUT_OF_PLACE) == []
    dialog.get_by_text("Options", exact=True).click()
    expect(dialog.get_by_text("Underlying")).to_be_visible()
    dialog.locator("#id_pick_symbol").fill("AAPL")
    dialog.get_by_role("button", name="List").click()
    _expiry(dialog)
    assert page.evaluate(OUT_OF_PLACE) == []
    dialog.locator(".strikes tbody tr").first.get_by_role("link", name="Put").click()
    expect(page.locator(".inst")).to_contain_text("put")
    expect(page.locator("#panel-quote [data-price]").first).to_be_enabled()
    assert page.evaluate(OUT_OF_PLACE) == []
