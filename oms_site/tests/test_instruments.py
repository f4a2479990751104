"""Finding what is no stock, at a whole desk: futures by expiry, pairs, options by expiry, strike and right; typed out or picked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from oms_site.tests.desk import Desk, Visitor, copied_data
from oms_site.tests.hands import come_in

pytestmark = pytest.mark.xdist_group("instruments")


@pytest.fixture(scope="module")
def desk(desk_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(copied_data(desk_template, tmp_path_factory.mktemp("instruments") / "data"))
    desk.start()
    yield desk
    desk.close()


@pytest.fixture(scope="module")
def trader(desk: Desk) -> Visitor:
    return desk.visitor("trader1")


def looked_for(trader: Visitor, typed: str) -> str:
    return trader.get(f"/ticket/search/?{urlencode({'far': '1', 'symbol': typed})}", HX_Request="true").text


def picked(trader: Visitor, **parts: str) -> str:
    return trader.get(f"/ticket/pick/?{urlencode(parts)}", HX_Request="true").text


def futures(trader: Visitor) -> list[str]:
    """The listed expiries of ES, oldest first."""
    listed = re.findall(r"FUT · (\d+ \w{3} \d{4}) ·", picked(trader, kind="FUT", symbol="ES"))
    return sorted(f"{datetime.strptime(day, '%d %b %Y').replace(tzinfo=UTC):%Y%m%d}" for day in listed)


def test_futures_are_listed_by_expiry_with_exchange_currency_and_multiplier(trader: Visitor) -> None:
    shown = picked(trader, kind="FUT", symbol="es")
    assert len(futures(trader)) >= 2
    assert "CME" in shown and "USD" in shown and "× 50" in shown


def test_a_future_is_found_by_its_month(trader: Visitor) -> None:
    expiry = futures(trader)[0]
    found = looked_for(trader, f"ES {expiry[:6]}")
    assert len(re.findall(r"/ticket/contract/\d+/", found)) == 1 and "FUT" in found


def test_a_pair_is_found_however_it_is_spelled(trader: Visitor) -> None:
    ids = {tuple(re.findall(r"/ticket/contract/(\d+)/", looked_for(trader, typed))) for typed in ("EUR.USD", "EUR/USD", "EURUSD")}
    assert len(ids) == 1 and len(ids.pop()) == 1


def test_the_pairs_of_a_currency_are_listed(trader: Visitor) -> None:
    assert "EUR.USD" in picked(trader, kind="CASH", symbol="EUR")


def test_a_product_that_nobody_lists_is_said_so(trader: Visitor) -> None:
    assert "security definition" in picked(trader, kind="FUT", symbol="NOPE")


def test_an_option_needs_its_parts(trader: Visitor) -> None:
    answer = trader.get("/ticket/option/?underlying=AAPL&expiry=20261218&strike=x&right=C", HX_Request="true").text
    assert "An option has an expiry, a strike and a right." in answer


def test_an_option_is_picked_by_expiry_strike_and_right(page: Page, desk: Desk) -> None:
    come_in(page, desk, "trader1")
    page.locator("#ticket-find").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Options", exact=True).click()
    dialog.locator("#id_pick_symbol").fill("AAPL")
    dialog.get_by_role("button", name="List").click()
    expiries = dialog.locator("#id_pick_expiry")
    expect(expiries).to_be_visible()
    expiries.select_option(index=1)
    row = dialog.locator(".strikes tbody tr").first
    expect(row).to_be_visible()
    row.get_by_role("link", name="Call").click()
    expect(dialog).to_be_hidden()
    expect(page.locator("#id_symbol")).to_have_value(re.compile(r"^AAPL .*C"))
    expect(page.locator("#ticket-panel")).to_contain_text("100")


def test_without_scripts_the_search_is_a_page(trader: Visitor) -> None:
    page = trader.get(f"/ticket/pick/?{urlencode({'kind': 'FUT', 'symbol': 'ES'})}").text
    assert "<title>" in page and re.search(r"\?con_id=\d+#ticket", page)
