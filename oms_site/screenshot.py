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

from oms_site.tests.desk import ROOT, Desk, manage, wait_until

PICTURES = ROOT / "docs"
ACCOUNT = "DU1000417"

# What happened before the picture is taken, in this order. Lines that begin with "desk" are its commands, the others the exchange's.
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
# What happens before the page of recovery is photographed: the link breaks behind an order, and while nobody listens an order of the desk
# fills and somebody places one elsewhere. Before that shares have come in that no execution explains.
TROUBLE = (
    "position DU1000417 KO 100 60.15",
    "break",
    "client-id-taken 17 12",
    "drop-after-order",
    "desk sell MSFT 40 --limit 530.00 --wait 0",
    "lost",
    "quote AMD 158.00 158.10 900 900",
    "place mobile DU1000417 SPY SELL 20 limit=700",
)
# What happened before the risk page is photographed: round trips, an order that a limit refuses, limits that were set.
RISKS = (
    "desk buy KO 100",
    "quote KO 60.90 60.92 900 900",
    "desk sell KO 100",
    "desk buy KO 100",
    "quote KO 60.60 60.62 900 900",
    "desk sell KO 100",
    "refused desk buy NVDA 20000 --limit 190",
    "refused desk buy AMD 3000 --limit 161",
    "limit NAME_EXPOSURE 0.2 Concentration: at most a fifth in one name",
    "limit MAX_QUANTITY 2000 Thin books this week",
)
RECOVERED = "select count(*) from orders_certificate where matched > 0 and fills_recovered > 0 and external_seen > 0"
BREAKS = "select count(*) from orders_incident where kind = 'position_differs' and closed_at is null"
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
            _tell(desk, browser, STORY)
            for name, width, height, scheme in PICTURED:
                _photograph(desk, browser, PICTURES / f"{name}.png", width, height, scheme)
            _tell(desk, browser, RISKS)
            _photograph_risk(desk, browser, PICTURES / "risk.png", 1440, 1000, "light")
            _tell(desk, browser, TROUBLE)
            _photograph_recovery(desk, browser, PICTURES / "recovery.png")
            browser.close()
        finally:
            desk.close()
    return 0


def _tell(desk: Desk, browser: Browser, story: tuple[str, ...]) -> None:
    for line in story:
        if line == "watch":
            _watch(desk, browser)
        elif line == "break":
            wait_until(lambda: desk.query(BREAKS)[0][0], "the shares that nothing explains are a break", seconds=120)
        elif line == "lost":
            wait_until(lambda: desk.query("select state from orders_gateway") == [("DOWN",)], "the link is down")
        elif line.startswith("limit "):
            _limit(desk, browser, *line.split(" ", 3)[1:])
        elif line.startswith(("desk ", "refused desk ")):
            words = line.removeprefix("refused ").split()[1:]
            done = manage(desk.data, "desk", words[0], *words[1:], "--user", "trader1", "--account", ACCOUNT)
            if bool(done.returncode) != line.startswith("refused"):
                raise SystemExit(f"{line}: {done.stderr or done.stdout}")
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


def _limit(desk: Desk, browser: Browser, rule: str, value: str, note: str) -> None:
    """An administrator sets a limit of the account."""
    page = _signed_in(desk, browser, 1440, 900, "light", "admin")
    page.goto(f"{desk.url}/risk/?account={ACCOUNT}")
    page.locator(f"#set-{rule}").click()
    page.fill("dialog [name=value]", value)
    page.fill("dialog [name=note]", note)
    page.get_by_role("button", name="Set it").click()
    expect(page.locator("dialog[open]")).to_have_count(0)
    page.context.close()


def _signed_in(desk: Desk, browser: Browser, width: int, height: int, scheme: str, user: str = "trader1") -> Page:
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, locale="en-US", device_scale_factor=1)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{desk.url}/login/")
    page.fill("input[name=username]", user)
    page.fill("input[name=password]", desk.password(user))
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


def _photograph_risk(desk: Desk, browser: Browser, path: Path, width: int, height: int, scheme: str) -> None:
    """What is used of the limits, and a size worked out."""
    page = _signed_in(desk, browser, width, height, scheme)
    page.goto(f"{desk.url}/risk/?account={ACCOUNT}")
    page.fill("#size-form [name=symbol]", "NVDA")
    page.fill("#size-form [name=entry]", "190")
    page.fill("#size-form [name=stop]", "186.20")
    page.fill("#size-form [name=value]", "0.5")
    page.get_by_role("button", name="Work it out").click()
    expect(page.locator("#risk-size dl")).to_be_visible()
    page.evaluate("document.activeElement.blur()")
    page.screenshot(path=path, full_page=width < 720)
    page.context.close()


def _photograph_recovery(desk: Desk, browser: Browser, path: Path) -> None:
    """What came of the trouble: the certificate of the reconciliation, and the break that somebody looks after."""
    wait_until(lambda: desk.query(RECOVERED)[0][0], "the orders and fills of the broken link are found again")
    page = _signed_in(desk, browser, 1440, 620, "light")
    page.goto(f"{desk.url}/recovery/?account={ACCOUNT}")
    page.locator("#panel-recovery").get_by_role("link", name="Take").click()
    page.get_by_role("button", name="I look after it").click()
    expect(page.locator("#panel-recovery")).to_contain_text("you look after it")
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(page.locator("#toasts > *")).to_have_count(0, timeout=20_000)
    page.screenshot(path=path)
    page.context.close()


if __name__ == "__main__":
    sys.exit(main())
