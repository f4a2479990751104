"""`make screenshot`: takes the README's pictures from a running desk, so that they show what the desk is now.

The rule it keeps: nothing is painted. A desk of its own is started on the simulated gateway, orders go out and fill through the command
line, and a browser photographs the pages.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from oms_site.tests.desk import ROOT, Desk, manage

PICTURES = ROOT / "docs"
ACCOUNT = "DU1000417"

# What happened before the picture is taken, in this order. Lines that begin with a verb are the desk's, the others the exchange's.
STORY = (
    "watch",
    "desk buy XOM 300",
    "desk protect XOM",
    "desk bracket buy NVDA 100 --target 200 --stop 180",
    "quote MSFT 511.98 512.00 100 40",
    "desk buy MSFT 100 --limit 512.00",
    "desk sell XOM 50 --limit 124.50",
    "quote AMD 161.40 161.44 900 900",
    "desk buy AMD 150 --limit 158.20 --gtc",
    "desk buy AAPL 200",
    "desk protect AAPL",
)
PICTURED = (("desk", 1440, 900, "light"), ("desk-dark", 1440, 900, "dark"), ("desk-phone", 390, 844, "light"))
WATCHED = ("AAPL", "MSFT", "NVDA", "AMD", "TSLA", "AMZN", "XOM", "SPY", "KO")


def main() -> int:
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    if browser_path is None:
        sys.stderr.write("No Chromium here; .ci/run installs it.\n")
        return 1
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="deskbook-picture-") as folder, sync_playwright() as playwright:
        desk = Desk(Path(folder), arguments=()).start()
        try:
            browser = playwright.chromium.launch(executable_path=browser_path)
            _tell(desk, browser)
            for name, width, height, scheme in PICTURED:
                _photograph(desk, browser, PICTURES / f"{name}.png", width, height, scheme)
            browser.close()
        finally:
            desk.close()
    return 0


def _tell(desk: Desk, browser: Browser) -> None:
    for line in STORY:
        if line == "watch":
            _watch(desk, browser)
        elif line.startswith("desk "):
            words = line.split()[1:]
            done = manage(desk.data, "desk", words[0], *words[1:], "--user", "trader1", "--account", ACCOUNT)
            if done.returncode:
                raise SystemExit(f"{line}: {done.stderr}")
        else:
            answer = desk.control(line)
            if not answer.startswith("ok"):
                raise SystemExit(f"{line}: {answer}")


def _watch(desk: Desk, browser: Browser) -> None:
    page = _signed_in(desk, browser, 1440, 900, "light")
    page.goto(f"{desk.url}/watchlist/")
    for symbol in WATCHED:
        page.fill("#content [name=symbol]", symbol)
        page.press("#content [name=symbol]", "Enter")
        expect(page.get_by_role("button", name=f"Take {symbol} off")).to_be_visible()
    page.context.close()


def _signed_in(desk: Desk, browser: Browser, width: int, height: int, scheme: str) -> Page:
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, locale="en-US", device_scale_factor=1)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{desk.url}/login/")
    page.fill("input[name=username]", "trader1")
    page.fill("input[name=password]", desk.password("trader1"))
    page.press("input[name=password]", "Enter")
    page.wait_for_url(lambda url: "/login/" not in url)
    return page


def _photograph(desk: Desk, browser: Browser, path: Path, width: int, height: int, scheme: str) -> None:
    """The desk, with a ticket filled in where the screen is wide enough to show it beside the rows."""
    page = _signed_in(desk, browser, width, height, scheme)
    page.goto(f"{desk.url}/?account={ACCOUNT}")
    if width > 720:
        page.fill("#id_symbol", "TSLA")
        page.locator("#symbol-matches a").filter(has=page.get_by_text("TSLA", exact=True)).first.click()
        expect(page.locator("#panel-quote [data-price]").first).to_be_enabled()
        page.locator("label:has(#buy)").click()
        page.fill("#ticket-form [name=quantity]", "50")
        page.locator("#panel-quote [data-price]").first.click()
        page.locator("#ticket-form [name=bracket]").check()
    expect(page.locator("#orders-rows > tbody").first).to_be_visible()
    page.screenshot(path=path)
    page.context.close()


if __name__ == "__main__":
    sys.exit(main())
