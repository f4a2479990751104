"""Quotes as the screens show them: the watchlist, and the bid and ask beside the ticket.

The rule it keeps: a quote always says how old it is and whether it is delayed; an old one looks old.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from orders.models import Account, Contract, OrderRecord, Position, Quote, Watch
from orders.queries.access import tradable_ids, visible_accounts
from orders.queries.guard import Guard, guard_for
from orders.queries.orders import terms_words
from orders.queries.show import NOTHING, Figure, Moment, Ticks, age, expiry_words, figure, number, quantity, signed
from orders.rules.lifecycle import OPEN
from orders.rules.terms import OrderTerms, Side, plain

OLD = timedelta(seconds=30)
"""A quote not heard of for this long is shown as old."""


@dataclass(frozen=True)
class WatchRow:
    """One line of a watchlist."""

    contract_id: int
    con_id: int
    symbol: str
    name: str
    bid: str
    ask: str
    last: str
    change: Figure
    age: str
    at: Moment | None
    delayed: bool
    is_old: bool

    @property
    def unit_id(self) -> str:
        return f"watch-{self.contract_id}"


def quote_of(contract: Contract) -> Quote | None:
    """The newest quote of a contract loaded with `select_related("quote")`."""
    return getattr(contract, "quote", None)


def entry_price(terms: OrderTerms, contract: Contract) -> Decimal | None:
    """The price that the distances of a ticket's exits count from: the order's own, else what the market would give now."""
    if terms.limit_price is not None:
        return terms.limit_price
    return terms.stop_price if terms.stop_price is not None else reference_price(contract, terms.side)


def reference_price(contract: Contract, side: Side) -> Decimal | None:
    """What a market order of this side would pay or get now: the ask or the bid, else the last price."""
    quote = quote_of(contract)
    if quote is None:
        return None
    touch = quote.ask if side is Side.BUY else quote.bid
    return touch if touch is not None and touch > 0 else quote.last


def is_old(quote: Quote | None, now: datetime) -> bool:
    return quote is not None and now - quote.at > OLD


def change_percent(quote: Quote | None) -> Decimal | None:
    """The last price against yesterday's close, in percent."""
    if quote is None or quote.last is None or not quote.close:
        return None
    return (quote.last - quote.close) / quote.close * 100


def watchlist(user: Any, contract_ids: Collection[int] | None = None, now: datetime | None = None) -> list[WatchRow]:
    """What `user` watches for good, by symbol; `contract_ids` (primary keys) narrows it."""
    now = now or timezone.now()
    found = Watch.objects.filter(user=user, until=None).select_related("contract", "contract__quote")
    if contract_ids is not None:
        found = found.filter(contract__in=contract_ids)
    ticks = Ticks.load()
    rows = [_watch_row(watch.contract, ticks, now) for watch in found]
    return sorted(rows, key=lambda row: row.symbol)


def _watch_row(contract: Contract, ticks: Ticks, now: datetime) -> WatchRow:
    quote = quote_of(contract)
    return WatchRow(
        contract_id=contract.pk,
        con_id=contract.con_id,
        symbol=contract.label,
        name=contract.long_name,
        bid=ticks.price(contract, quote.bid if quote else None),
        ask=ticks.price(contract, quote.ask if quote else None),
        last=ticks.price(contract, quote.last if quote else None),
        change=figure(change_percent(quote)),
        age=age(quote.at, now) if quote else NOTHING,
        at=Moment(quote.at, "UTC") if quote else None,
        delayed=bool(quote and quote.delayed),
        is_old=is_old(quote, now),
    )


@dataclass(frozen=True)
class Chip:
    """One price of a quote that can be taken into the ticket."""

    name: str
    label: str
    price: str
    value: str


@dataclass(frozen=True)
class TicketOrder:
    """One order that is open in the ticket's contract: what it says, and how much of it has filled."""

    client_order_id: str
    side: str
    side_css: str
    words: str
    filled: str
    can_change: bool


@dataclass(frozen=True)
class TicketQuote:
    """What a trader looks at while writing an order: contract, quote, position, what works already."""

    contract_id: int
    con_id: int
    symbol: str
    description: str
    chips: tuple[Chip, ...]
    bid: str
    ask: str
    last: str
    change: Figure
    ladder: str
    multiplier: str
    currency: str
    at: Moment | None
    age: str
    delayed: bool
    is_old: bool
    position: str
    average: str
    guard: Guard | None
    orders: tuple[TicketOrder, ...]

    @property
    def working(self) -> int:
        return len(self.orders)


def quote(user: Any, account: Account | None, contract_pk: int | str, now: datetime | None = None) -> TicketQuote | None:
    """The quote of a contract with the position and the open orders of `account`; None where there is no such contract."""
    now = now or timezone.now()
    if not str(contract_pk).isdecimal():
        return None
    contract = Contract.objects.select_related("quote").filter(pk=int(contract_pk)).first()
    if contract is None:
        return None
    ticks = Ticks.load()
    position, orders = None, []
    if account is not None:
        seen = visible_accounts(user).filter(pk=account.pk)
        position = Position.objects.filter(account__in=seen, contract=contract).select_related("account").first()
        is_open = OrderRecord.objects.filter(account__in=seen, contract=contract, status__in=[status.value for status in OPEN])
        orders = list(is_open.select_related("contract", "trailing").order_by("pk"))
    held = position if position and position.quantity else None
    if held is not None:
        held.contract = contract
    may_trade = account is not None and account.pk in tradable_ids(user)
    shown = tuple(_ticket_order(order, ticks, may_trade) for order in orders)
    return _ticket_quote(contract, quote_of(contract), held, shown, ticks, now)


def _ticket_order(order: OrderRecord, ticks: Ticks, may_trade: bool) -> TicketOrder:
    return TicketOrder(
        client_order_id=order.client_order_id,
        side=order.side,
        side_css=order.side.lower(),
        words=terms_words(order, ticks),
        filled=quantity(order.filled_quantity) if order.filled_quantity else "",
        can_change=may_trade and not order.is_external and order.is_working,
    )


def _ticket_quote(
    contract: Contract, quote: Quote | None, held: Position | None, orders: tuple[TicketOrder, ...], ticks: Ticks, now: datetime
) -> TicketQuote:
    rule = ticks.rule(contract)
    return TicketQuote(
        contract_id=contract.pk,
        con_id=contract.con_id,
        symbol=contract.label,
        description=describe(contract, ticks),
        chips=_chips(contract, quote, ticks),
        bid=_value(quote and quote.bid),
        ask=_value(quote and quote.ask),
        last=_value(quote and quote.last),
        change=figure(change_percent(quote)),
        ladder=json.dumps([[plain(low), plain(tick)] for low, tick in rule.increments] if rule else []),
        multiplier=plain(contract.multiplier),
        currency=contract.currency,
        at=Moment(quote.at, "UTC") if quote else None,
        age=age(quote.at, now) if quote else NOTHING,
        delayed=bool(quote and quote.delayed),
        is_old=is_old(quote, now),
        position=signed(held.quantity) if held else "0",
        average=ticks.average(contract, held.entry_price) if held else NOTHING,
        guard=guard_for(held, now) if held else None,
        orders=orders,
    )


def describe(contract: Contract, ticks: Ticks) -> str:
    """ "Apple Inc · NASDAQ · USD · tick 0.01", of a derivative with its expiry, of an option with what it is a right to."""
    rule = ticks.rule(contract)
    tick = _("tick %s") % plain(rule.increments[-1][1]) if rule else ""
    kind = contract.sec_type if contract.sec_type != "STK" else ""
    multiplier = f"× {plain(contract.multiplier)}" if contract.multiplier != 1 else ""
    right = {"C": _("call"), "P": _("put")}.get(contract.right[:1], "") if contract.sec_type in ("OPT", "FOP") else ""
    what = f"{plain(contract.strike)} {right}" if right else ""
    parts = [contract.long_name, kind, expiry_words(contract.expiry), what]
    parts += [contract.primary_exchange or contract.exchange, contract.currency, multiplier, tick]
    return " · ".join(part for part in parts if part)


def _value(price: Decimal | None) -> str:
    return plain(price) if price is not None else ""


def _chips(contract: Contract, quote: Quote | None, ticks: Ticks) -> tuple[Chip, ...]:
    bid, ask, last = (quote.bid, quote.ask, quote.last) if quote else (None, None, None)
    middle = (bid + ask) / 2 if bid is not None and ask is not None else None
    sizes = (quote.bid_size, quote.ask_size) if quote else (None, None)
    return (
        Chip("bid", _("Bid") + _sized(sizes[0]), ticks.price(contract, bid), _value(bid)),
        Chip("mid", _("Mid"), number(middle, ticks.places(contract, middle)), _on_tick(middle, ticks, contract)),
        Chip("ask", _("Ask") + _sized(sizes[1]), ticks.price(contract, ask), _value(ask)),
        Chip("last", _("Last"), ticks.price(contract, last), _value(last)),
    )


def _sized(size: Decimal | None) -> str:
    """ " × 300", of a large size " × 900K" or " × 1.1M": a chip is narrow."""
    if not size:
        return ""
    for unit, word in ((Decimal(1_000_000), "M"), (Decimal(1_000), "K")):
        if size >= 10_000 and size >= unit:
            return f" × {quantity(round(size / unit, 1))}{word}"
    return f" × {quantity(size)}"


def _on_tick(price: Decimal | None, ticks: Ticks, contract: Contract) -> str:
    """The middle of bid and ask, put on the price ladder, so that it can be a limit price."""
    rule = ticks.rule(contract)
    if price is None or rule is None:
        return _value(price)
    return plain(rule.nearest(price))
