"""A trader's hands in a browser: what he does at a desk, each act in one call, on a large screen and on a phone alike.

The rule it keeps: it uses the pages as people do, by what is written on them, and waits for what the page shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from playwright.sync_api import Locator, Page, expect

from oms_site.tests.desk import Answer, Desk, Visitor, wait_until
from oms_site.tests.pages import form_of

expect.set_options(timeout=20_000)


_cookies: dict[tuple[str, str], list[Any]] = {}


def come_in(page: Page, desk: Desk, user: str) -> Hands:
    """Somebody at the desk, with the session that he has since his first coming in: a login takes its time on purpose."""
    if (desk.url, user) not in _cookies:
        visitor = desk.visitor(user)
        _cookies[desk.url, user] = [{"name": cookie.name, "value": cookie.value, "url": desk.url} for cookie in visitor.cookies]
    page.context.add_cookies(_cookies[desk.url, user])
    return Hands(page, desk).at_desk()


@dataclass
class Hands:
    """Somebody signed in at a desk. The desk page is open."""

    page: Page
    desk: Desk

    def at_desk(self, query: str = "") -> Hands:
        """Opens the desk and waits until it is live; from here on a reload shows in `reloaded`."""
        self.page.goto(f"{self.desk.url}/{query}")
        self.mark()
        return self

    def mark(self) -> None:
        self.page.evaluate("document.documentElement.dataset.loaded = 'once'")

    @property
    def reloaded(self) -> bool:
        """Whether the page was loaded again since it was marked."""
        return self.page.evaluate("document.documentElement.dataset.loaded") != "once"

    # --- the ticket ---------------------------------------------------------------------------------------------------------------------

    def ticket(self, symbol: str) -> Locator:
        """The ticket with this symbol's contract and quote."""
        page = self.page
        if not page.locator("#id_symbol").is_visible():
            page.get_by_role("navigation", name="Sections").get_by_role("link", name="Ticket").click()
        if page.input_value("#id_symbol") != symbol:
            page.fill("#id_symbol", symbol)
            page.locator("#symbol-matches a").filter(has=page.get_by_text(symbol, exact=True)).first.click()
        expect(page.locator("#panel-quote [data-price]").first).to_be_enabled()
        expect(page.locator("#id_symbol")).to_have_value(symbol)
        return page.locator("#ticket-form")

    def order(self, side: str, quantity: str, symbol: str, order_type: str = "MKT", price: str = "", bracket: bool = False) -> Locator:
        """Fills the ticket in; gives its button, which shows the preview and is not pressed yet."""
        page, form = self.page, self.ticket(symbol)
        form.locator(f"label:has(#{side.lower()})").click()
        form.locator("[name=quantity]").fill(quantity)
        form.locator("[name=order_type]").select_option(order_type)
        if price:
            form.locator("[name=stop_price]" if order_type == "STP" else "[name=limit_price]").fill(price)
        if bracket:
            form.locator("[name=bracket]").check()
        button = page.locator("#ticket-send")
        expect(button).to_contain_text(f"{side} {quantity} {symbol} {order_type}")
        return button

    def preview(self, side: str, quantity: str, symbol: str, order_type: str = "MKT", price: str = "", bracket: bool = False) -> Locator:
        """Has the ticket previewed; gives the button that sends what is shown, which is not pressed yet."""
        self.order(side, quantity, symbol, order_type, price, bracket).click()
        return self.shown()

    def shown(self) -> Locator:
        """The button of the preview that is on the page, once it may be pressed."""
        button = self.page.locator("#preview-send")
        expect(button).to_be_enabled()
        return button

    def send(self, side: str, quantity: str, symbol: str, order_type: str = "MKT", price: str = "", bracket: bool = False) -> None:
        """Sends an order and waits until the desk has accepted it."""
        self.preview(side, quantity, symbol, order_type, price, bracket).click()
        expect(self.toast(f"{side} {quantity} {symbol}")).to_be_visible()

    def protect(self, symbol: str, held: str) -> None:
        """Puts the desk's own exits around the position (`held` as it is written: +10), as their preview shows them."""
        self.position(symbol).get_by_role("link", name=f"Protect {symbol}").click()
        self.dialog(f"Protect {held} {symbol}").get_by_role("button", name="Preview").click()
        send = self.page.locator("#exits-send")
        expect(send).to_be_enabled()
        send.click()
        expect(self.page.get_by_role("dialog")).to_have_count(0)

    # --- what the page shows ------------------------------------------------------------------------------------------------------------

    def toast(self, text: str) -> Locator:
        return self.page.locator("#toasts .toast").filter(has_text=text).first

    def families(self, symbol: str) -> Locator:
        whole = self.page.locator(".k-sym").get_by_text(symbol, exact=True)  # C is part of BAC
        return self.page.locator("#orders-rows > tbody").filter(has=whole)

    def position(self, symbol: str) -> Locator:
        return self.page.locator("#positions-rows > tr").filter(has_text=symbol)

    def fills(self, symbol: str, side: str) -> Locator:
        return self.page.locator(f"#executions-rows > tr[data-side={side}]").filter(has_text=symbol)

    def dialog(self, heading: str) -> Locator:
        dialog = self.page.get_by_role("dialog").filter(has=self.page.get_by_role("heading", name=heading))
        expect(dialog).to_be_visible()
        return dialog

    def scope(self, name: str) -> None:
        """Working or Today."""
        self.page.locator("#panel-orders").get_by_role("link", name=name, exact=True).click()
        expect(self.page.locator("#panel-orders").get_by_role("link", name=name, exact=True)).to_have_attribute("aria-current", "true")


def quote(desk: Desk, visitor: Visitor, symbol: str, con_id: int, bid: str, ask: str) -> None:
    """Moves the market, and waits until the desk has heard it: a price that stands still grows too old to weigh an order by."""
    visitor.get(f"/ticket/contract/{con_id}/", HX_Request="true")  # somebody's ticket is open: the quote is wanted
    assert desk.control(f"quote {symbol} {bid} {ask}").startswith("ok")
    heard = "select q.bid from orders_quote q join orders_contract c on c.id = q.contract_id where c.con_id = ?"
    wait_until(lambda: [Decimal(str(row[0])) for row in desk.query(heard, con_id)] == [Decimal(bid)], f"{symbol} is quoted at {bid}")


def previewed(visitor: Visitor, **fields: str) -> Answer:
    """What a ticket with these fields shows before it is sent, without a browser."""
    return visitor.post("/ticket/preview/", {"HX-Request": "true"}, **fields)


def send_ticket(visitor: Visitor, headers: dict[str, str] | None = None, **fields: str) -> Answer:
    """Previews a ticket and sends it as it was shown; gives the preview where it cannot be sent. `confirm_duplicate` goes along."""
    looked = previewed(visitor, **fields)
    if 'name="seal"' not in looked.text:
        return looked
    sure = {"confirm_duplicate": fields["confirm_duplicate"]} if "confirm_duplicate" in fields else {}
    answer = visitor.post("/ticket/", headers, **form_of(looked.text, "preview-form"), **sure)
    if answer.status == 422 and "has changed since the preview" in answer.text:  # a position that was just heard of, say
        answer = visitor.post("/ticket/", headers, **form_of(answer.text, "preview-form"), **sure)
    return answer


def post_order(visitor: Visitor, account: str, con_id: int, quantity: str, side: str = "BUY", order_type: str = "MKT") -> Answer:
    """Sends an order from the ticket without a browser. AssertionError where it is refused."""
    fields = form_of(visitor.get(f"/ticket/contract/{con_id}/?account={account}", HX_Request="true").text, "ticket-form")
    order = {"side": side, "quantity": quantity, "order_type": order_type, "time_in_force": "DAY"}
    answer = send_ticket(visitor, {"HX-Request": "true"}, **fields | order)
    assert answer.status == 200, answer.text
    return answer
