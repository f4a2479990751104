"""The risk page in a browser: it moves with what happens elsewhere, its dialogs act on it, and it fits a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from oms_site.tests.desk import Desk, copied_data, manage
from oms_site.tests.hands import Hands, come_in

ACCOUNT = "DU1000417"


@pytest.fixture(scope="module")
def desk(desk_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(copied_data(desk_template, tmp_path_factory.mktemp("risk") / "data"))
    desk.start()
    assert desk.control("quote AAPL 99.99 100.01").startswith("ok")
    yield desk
    desk.close()


@pytest.fixture
def trader(page: Page, desk: Desk) -> Hands:
    hands = come_in(page, desk, "trader1")
    page.goto(f"{desk.url}/risk/?account={ACCOUNT}")
    hands.mark()
    return hands


def test_refusals_states_and_limits_move_by_themselves(trader: Hands, desk: Desk, browser: Browser) -> None:
    page = trader.page
    expect(page.locator("body.is-stale")).to_have_count(0)
    done = manage(desk.data, "desk", "buy", "AAPL", "20000", "--limit", "99", "--user", "trader1", "--account", ACCOUNT)
    assert done.returncode != 0
    expect(page.locator("#panel-risk_refusals")).to_contain_text("The quantity 20000 is above the limit of 10000.")

    states = page.locator("#panel-risk_states")
    states.get_by_role("link", name=f"Trading state of {ACCOUNT}…").click()
    page.fill("dialog [name=reason]", "Waiting for the figures")
    page.get_by_role("button", name="Hold it back").click()
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(states).to_contain_text("Waiting for the figures")
    expect(trader.toast(f"Recorded: the trading of account {ACCOUNT} is REDUCE ONLY.")).to_be_visible()

    context = browser.new_context()
    admin = come_in(context.new_page(), desk, "admin").page
    admin.goto(f"{desk.url}/risk/?account={ACCOUNT}")
    admin.locator("#set-MAX_QUANTITY").click()
    admin.fill("dialog [name=value]", "500")
    admin.fill("dialog [name=note]", "Thin books this week")
    admin.get_by_role("button", name="Set it").click()
    expect(admin.locator("dialog[open]")).to_have_count(0)
    context.close()
    expect(page.locator("#limit-MAX_QUANTITY")).to_contain_text("Thin books this week")
    expect(page.locator("#panel-risk_changes")).to_contain_text("Thin books this week")
    assert not trader.reloaded


def test_a_size_is_worked_out_in_place_and_kept_while_the_page_moves(trader: Hands) -> None:
    page = trader.page
    for name, text in (("symbol", "AAPL"), ("entry", "100"), ("stop", "98"), ("value", "0.5")):
        page.fill(f"#size-form [name={name}]", text)
    page.get_by_role("button", name="Work it out").click()
    expect(page.locator("#risk-size")).to_contain_text("Distance to the stop")
    assert not trader.reloaded and page.input_value("#size-form [name=stop]") == "98"


def test_it_fits_a_phone_and_is_found_under_more(trader: Hands, desk: Desk) -> None:
    page = trader.page
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{desk.url}/positions/?account={ACCOUNT}")
    more = page.get_by_role("navigation", name="Sections")
    more.get_by_text("More").click()
    more.get_by_role("link", name="Risk").click()
    expect(page.locator("#panel-risk_limits")).to_be_visible()
    assert page.evaluate("document.querySelector('#content').scrollWidth <= 390")
