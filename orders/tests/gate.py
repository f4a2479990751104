"""One control, one door, one desk: what tests of the risk gate arrange, ask for and look at.

A `Scene` is a desk at which an order is asked for through one of the doors, refused there or at the claim. `ROWS` says for each control how
it is arranged and which values of its limit let the same order pass and which do not.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from orders.errors import Refused
from orders.manager import OrderManager
from orders.models import AccountDay, AccountValue, Book, BrokerCommand, Contract, OrderRecord, Quote
from orders.rules.limits import Rule
from orders.rules.terms import CommandState, Side
from orders.tests.desk_of_one import Wire
from orders.tests.factories import NOW, a_key, make_limit, make_quote, make_values

DOORS = ("new", "modify", "bracket", "command line")
OPEN_HOURS, CLOSED_HOURS = "20260302:0930-20260302:1600", "20260302:1100-20260302:1600"


class Scene(Wire):
    """A desk with one door. `asks`: a limit order to buy or to sell, or a market order."""

    def __init__(self, door: str, asks: str = "buy") -> None:
        super().__init__()
        self.door, self.asks = door, asks
        self.base: OrderRecord | None = None
        Contract.objects.filter(pk=self.contract.pk).update(liquid_hours=OPEN_HOURS, trading_hours=OPEN_HOURS)
        self.contract.refresh_from_db()
        if door == "modify":
            self.base = self.order("50")
            self.sent(self.base)

    @property
    def price(self) -> D | None:
        return {"buy": D("99.50"), "sell": D("110"), "market": None}[self.asks]

    @property
    def side(self) -> Side:
        return Side.SELL if self.asks == "sell" else Side.BUY

    def order(self, quantity: str) -> OrderRecord:
        """A single order."""
        options: dict[str, Any] = {"key": a_key(), "confirm_duplicate": True}
        if self.price is None:
            return self.manager.place_market_order(self.account, self.contract, self.side, D(quantity), **options)
        return self.manager.place_limit_order(self.account, self.contract, self.side, D(quantity), self.price, **options)

    def ask(self) -> OrderRecord:
        """Asks for a hundred through the door. Raises `Refused`."""
        if self.door == "new":
            return self.order("100")
        if self.door == "modify":
            assert self.base is not None
            self.manager.modify_order(self.base, key=a_key(), quantity=D(100))
            return self.base
        if self.door == "bracket":
            return self.bracket(limit_price=self.price)[0]
        return self._say()

    def _say(self) -> OrderRecord:
        words = [self.side.value.lower(), str(self.contract.con_id), "100", *([] if self.price is None else ["--limit", str(self.price)])]
        try:
            call_command(
                "desk", *words, "--account", self.account.code, "--user", self.user.username, "--again", "--wait", "0", stdout=io.StringIO()
            )
        except CommandError as error:
            code, _, words = str(error).removeprefix("Refused (").partition("): ")
            raise Refused(code, words) from error
        return OrderRecord.objects.latest("pk")

    def fate(self, order: OrderRecord) -> str:
        """Claims: "sent", or the code with which it was refused then."""
        names = [frame.client_order_id for unit in self.claim() for frame in unit.frames]
        command = BrokerCommand.objects.filter(order=order).latest("pk")
        assert (order.client_order_id in names) == (command.state == CommandState.SENDING), (names, command.state)
        return "sent" if command.state == CommandState.SENDING else command.code


@contextmanager
def at_the_desks_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command line looks at the clock itself: here it is the tests'."""
    with monkeypatch.context() as patch:
        patch.setattr("django.utils.timezone.now", lambda: NOW)
        patch.setitem(OrderManager.__init__.__kwdefaults__, "clock", lambda: NOW)
        yield


# --- the rows ---------------------------------------------------------------------------------------------------------------------------

Values = tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """How a control is tried. `passing` and `refusing`: values of its limit with which the order of the scene passes, or does not.

    `arrange` makes what the order is held against. `lose` takes away what the control needs to know: then it is refused with the code
    `lost`, because an earlier control may need the same.
    """

    passing: Values
    refusing: Values
    arrange: Callable[[Scene], Any] = lambda scene: None
    lose: Callable[[Scene], Any] | None = None
    lost: str = ""
    doors: tuple[str, ...] = DOORS
    asks: str = "buy"
    code: str = ""
    others: dict[str, str] = field(default_factory=dict)  # limits that must not come first
    of_bracket: tuple[Values, Values] | None = None  # the values, where all three of a bracket count

    def at(self, door: str) -> Row:
        if door != "bracket" or self.of_bracket is None:
            return self
        return replace(self, passing=self.of_bracket[0], refusing=self.of_bracket[1])


def around(actual: str, *, equal_passes: bool = True) -> dict[str, Values]:
    """Limits just above, at, and just below what the order comes to."""
    at, little = D(actual), D(actual) / 100
    above, below = str(at + little), str(at - little)
    return {"passing": (above, actual), "refusing": (below,)} if equal_passes else {"passing": (above,), "refusing": (actual, below)}


def values(**given: str | None) -> Callable[[Scene], Any]:
    return lambda scene: make_values(scene.account, **given)


def others_open(scene: Scene) -> None:
    for price in ("98.00", "98.01"):
        scene.sent(scene.buy("1", price))


def two_messages(scene: Scene) -> None:
    """Together with what the door has sent already there are two."""
    for price in ("98.00", "98.01")[BrokerCommand.objects.filter(order__account=scene.account).count() :]:
        scene.sent(scene.buy("1", price))


def a_sale_rests(scene: Scene) -> None:
    make_limit("SELF_CROSS", "1", account=scene.account)
    scene.sent(scene.sell("1", "99.50"))


def spread_of(bid: str, ask: str) -> Callable[[Scene], Any]:
    return lambda scene: make_quote(scene.contract, bid, ask, "100")


def no_quote(scene: Scene) -> None:
    Quote.objects.all().delete()


def unknown_currency(scene: Scene) -> None:
    Contract.objects.filter(pk=scene.contract.pk).update(currency="JPY")
    scene.contract.refresh_from_db()


def hours(text: str) -> Callable[[Scene], Any]:
    def arrange(scene: Scene) -> None:
        Contract.objects.filter(pk=scene.contract.pk).update(liquid_hours=text)
        scene.contract.refresh_from_db()

    return arrange


def quote_of_age(seconds: int) -> Callable[[Scene], Any]:
    return lambda scene: make_quote(scene.contract, at=NOW - timedelta(seconds=seconds))


def values_of_age(seconds: int) -> Callable[[Scene], Any]:
    return lambda scene: AccountValue.objects.update(at=NOW - timedelta(seconds=seconds))


def delayed_and_live(scene: Scene) -> None:
    Book.objects.update(kind="live")
    make_quote(scene.contract, delayed=True)


def lost_on_tuesday(scene: Scene) -> None:
    """Two percent of before and one of today, a Tuesday; what was lost the Sunday before is of another week."""
    for day, pnl in ((1, -9_000_000), (2, -200_000)):
        AccountDay.objects.create(account=scene.account, date=date(2026, 3, day), pnl=D(pnl), at=NOW)
    scene.pass_time(86400)
    make_values(scene.account, net="9700000", pnl="-100000", at=scene.now)


LESS = values(net="9700000", pnl="-300000")
NO_PNL, NO_NET, NO_POWER = values(pnl=None), values(net=None), values(power=None)
LATER = {"DAILY_LOSS_REDUCE": "1", "DAILY_LOSS_HALT": "1", "WEEKLY_LOSS_HALT": "1"}
NEW = ("new", "bracket", "command line")
SINGLE = ("new", "command line")

ROWS: dict[Rule, Row] = {
    Rule.TRADING_STATE: Row(("0",), ("1", "2")),
    Rule.MAX_QUANTITY: Row(**around("100")),
    Rule.MAX_NOTIONAL: Row(**around("9950"), lose=unknown_currency, lost="MAX_NOTIONAL"),
    Rule.MAX_POSITION: Row(**around("100")),
    Rule.MAX_DAILY_LOSS: Row(**around("300000", equal_passes=False), arrange=LESS, lose=NO_PNL, lost="MAX_DAILY_LOSS", others=LATER),
    Rule.DAILY_LOSS_REDUCE: Row(**around("0.03", equal_passes=False), arrange=LESS, lose=NO_PNL, lost="DAILY_LOSS_REDUCE"),
    Rule.DAILY_LOSS_HALT: Row(
        **around("0.03", equal_passes=False), arrange=LESS, lose=NO_NET, lost="DAILY_LOSS_REDUCE", others={"DAILY_LOSS_REDUCE": "1"}
    ),
    Rule.WEEKLY_LOSS_HALT: Row(
        **around("0.03", equal_passes=False),
        arrange=lost_on_tuesday,
        lose=NO_PNL,
        lost="DAILY_LOSS_REDUCE",
        others={"DAILY_LOSS_REDUCE": "1", "DAILY_LOSS_HALT": "1"},
        doors=("new", "modify", "bracket"),
    ),
    Rule.GROSS_EXPOSURE: Row(**around("1"), arrange=values(net="10000"), lose=NO_NET, lost="DAILY_LOSS_REDUCE"),
    Rule.NET_EXPOSURE: Row(**around("1"), arrange=values(net="10000"), lose=NO_NET, lost="DAILY_LOSS_REDUCE"),
    Rule.NAME_EXPOSURE: Row(**around("1"), arrange=values(net="10000"), lose=NO_NET, lost="DAILY_LOSS_REDUCE"),
    Rule.RISK_PER_TRADE: Row(**around("0.025"), arrange=values(net="10000"), lose=NO_NET, lost="DAILY_LOSS_REDUCE", doors=("bracket",)),
    Rule.REQUIRE_STOP: Row(("0",), ("1",), doors=SINGLE),
    Rule.BUYING_POWER: Row(**around("1"), arrange=values(power="9950"), lose=NO_POWER, lost="BUYING_POWER", doors=NEW),
    Rule.MAX_OPEN_ORDERS: Row(("4", "3"), ("2",), arrange=others_open, doors=NEW),
    Rule.MAX_USER_ORDERS: Row(("4", "3"), ("2",), arrange=others_open, doors=NEW, of_bracket=(("6", "5"), ("4",))),
    Rule.ORDER_RATE: Row(("4", "3"), ("2",), arrange=two_messages, of_bracket=(("6", "5"), ("4",))),
    Rule.ORDER_RATIO: Row(("4", "3"), ("2",), arrange=two_messages, of_bracket=(("6", "5"), ("4",)), others={"ORDER_RATIO_FROM": "1"}),
    Rule.ORDER_RATIO_FROM: Row(("6",), ("3",), arrange=two_messages, code="ORDER_RATIO", others={"ORDER_RATIO": "2"}),
    Rule.SHORT_SALES: Row(("1",), ("0",), asks="sell", doors=("new", "modify", "command line")),
    Rule.SELF_CROSS: Row(("1",), ("0",), arrange=a_sale_rests),
    Rule.PRICE_COLLAR: Row(**around("0.05"), asks="market", arrange=spread_of("95", "105"), lose=no_quote, lost="MAX_NOTIONAL", doors=NEW),
    Rule.MAX_SPREAD: Row(**around("0.10"), asks="market", arrange=spread_of("95", "105"), lose=no_quote, lost="MAX_NOTIONAL", doors=NEW),
    Rule.TRADING_HOURS: Row(
        ("0", "1"), ("2",), asks="market", arrange=hours(CLOSED_HOURS), lose=hours("?"), lost="", doors=("new", "bracket")
    ),
    Rule.QUOTE_SECONDS: Row(("61", "60"), ("59",), asks="market", arrange=quote_of_age(60), code="MAX_NOTIONAL", doors=("new", "bracket")),
    Rule.VALUE_SECONDS: Row(("301", "300"), ("299",), arrange=values_of_age(300), code="DAILY_LOSS_REDUCE"),
    Rule.DELAYED_QUOTES: Row(("1",), ("0",), asks="market", arrange=delayed_and_live, code="MAX_NOTIONAL", doors=("new", "bracket")),
}
ELSEWHERE = {
    Rule.DUPLICATE_SECONDS: "hangs on the order before, and on nothing at the claim",
    Rule.LOSS_STATE_LIFTS: "judges no order",
    Rule.PREVIEW_DRIFT: "is asked where a preview is redeemed",
}


def scene_of(rule: Rule, door: str, limit: str) -> Scene:
    """A desk as the row has it, with this limit on the account."""
    row = ROWS[rule]
    scene = Scene(door, row.asks)
    row.arrange(scene)
    for other, value in row.others.items():
        make_limit(other, value, account=scene.account)
    make_limit(rule.value, limit, account=scene.account)
    return scene
