"""Rows that tests of the book start from, each made in one call, with values that a trader would find plausible.

What is audited goes in through `book()`, so that folding the events of a test gives its rows. Values (quotes, account values, contracts)
are plain rows, as in life. Call `make_book()` first; the others take the book as it is.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User

from orders.book import book
from orders.models import Account, AccountAccess, AccountValue, Book, Contract, Gateway, Limit, MarketRule, Position, Quote
from orders.models.book import Source
from orders.rules.terms import AccessLevel, BookKind, GatewayState

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
"""A Monday, 10:00 in New York: the moment at which tests begin unless they say otherwise."""

STOCK_RULE = 26
STOCK_TICKS = [["0", "0.0001"], ["1", "0.01"]]
ORDER_TYPES = (
    "ACTIVETIM ADJUST ALERT ALGO ALLOC AON AVGCOST BASKET COND DAY FOK GAT GTC GTD GTT HID ICE IOC LIT LMT LOC MIT MKT MOC MTL OCA OPG "
    "REL SCALE STP STPLMT TRAIL TRAILLIT TRAILLMT TRAILMIT WHATIF"
)
"""What a stock's details list, in the broker's words, as far as the desk uses it and a few more."""

_numbers = count(1)


def make_book(kind: BookKind | str = BookKind.SIMULATED, accounts: tuple[str, ...] = (), at: datetime = NOW) -> Book:
    """The book and the gateway's row, bound to a simulated gateway that is READY unless said otherwise."""
    Book.objects.get_or_create(pk=1, defaults={"install": "TEST", "created_at": at})
    gateway, _ = Gateway.objects.get_or_create(pk=1, defaults={"since": at})
    with book(at=at) as b, b.event("book.bound", source=Source.BROKER) as fact:
        fact.set(b.row, kind=str(kind), bound_accounts=list(accounts))
        fact.set(gateway, state=GatewayState.READY.value, since=at, heard_at=at, client_id=17)
    return Book.objects.get(pk=1)


def make_user(username: str = "", **fields: Any) -> User:
    """A user without a usable password: `client.force_login(user)` signs one in."""
    return get_user_model().objects.create(username=username or f"user{next(_numbers)}", password="!", **fields)


def make_account(code: str = "", *, rates: dict[str, str] | None = None, at: datetime = NOW, **fields: Any) -> Account:
    """An account in USD with the values that IB sends: what it is worth and can buy, the day's result, and how much of the base currency
    one unit of another is worth."""
    code = code or f"DU{next(_numbers):07d}"
    with book(at=at) as b, b.event("account.added", source=Source.BROKER) as fact:
        account = fact.add(Account(code=code, **{"base_currency": "USD", **fields}))
    for currency, rate in (rates or {"USD": "1.00", "EUR": "1.10"}).items():
        AccountValue.objects.create(account=account, name="ExchangeRate", currency=currency, value=rate, at=at)
    make_values(account, at=at)
    return account


def make_values(
    account: Account,
    *,
    net: str | None = "10000000",
    power: str | None = "40000000",
    pnl: str | None = "0",
    at: datetime = NOW,
) -> None:
    """What the account is worth, can buy and has made today, heard at `at`; None: it was never said."""
    base = account.base_currency
    for name, currency, value in (("NetLiquidation", base, net), ("BuyingPower", base, power), ("DailyPnL", "", pnl)):
        rows = AccountValue.objects.filter(account=account, name=name, currency=currency)
        if value is None:
            rows.delete()
        elif not rows.update(value=value, at=at):
            AccountValue.objects.create(account=account, name=name, currency=currency, value=value, at=at)


def grant(user: User, account: Account, level: AccessLevel = AccessLevel.TRADE, at: datetime = NOW) -> AccountAccess:
    """Lets the user view or trade the account; replaces the level that was there."""
    with book(at=at) as b, b.event("access.granted", source=Source.USER, account=account) as fact:
        row = AccountAccess.objects.filter(user=user, account=account).first()
        if row is None:
            return fact.add(AccountAccess(user=user, account=account, level=level.value))
        fact.set(row, level=level.value)
        return row


def make_trader(account: Account, username: str = "", **fields: Any) -> User:
    """A user who may trade the account."""
    user = make_user(username, **fields)
    grant(user, account)
    return user


def make_contract(symbol: str = "AAPL", **fields: Any) -> Contract:
    """A stock routed by SMART on the ladder of US stocks, qualified and detailed."""
    MarketRule.objects.get_or_create(rule_id=STOCK_RULE, defaults={"increments": STOCK_TICKS})
    number = next(_numbers)
    values: dict[str, Any] = {
        "con_id": 200000 + number,
        "symbol": symbol,
        "sec_type": "STK",
        "exchange": "SMART",
        "primary_exchange": "NASDAQ",
        "currency": "USD",
        "local_symbol": symbol,
        "long_name": f"{symbol} INC",
        "min_tick": Decimal("0.0001"),
        "order_types": ORDER_TYPES.split(),
        "valid_exchanges": ["SMART", "NASDAQ"],
        "market_rule_ids": [STOCK_RULE, STOCK_RULE],
        "time_zone": "America/New_York",
        "detailed_at": NOW,
    }
    return Contract.objects.create(**{**values, **fields})


def make_quote(
    contract: Contract,
    bid: str | None = "99.99",
    ask: str | None = "100.01",
    last: str | None = "100.00",
    *,
    at: datetime = NOW,
    **fields: Any,
) -> Quote:
    """The newest quote of the contract, heard at `at`; replaces the one before."""
    prices = {name: None if price is None else Decimal(price) for name, price in (("bid", bid), ("ask", ask), ("last", last))}
    row, _ = Quote.objects.update_or_create(contract=contract, defaults={**prices, "at": at, **fields})
    return row


def make_position(account: Account, contract: Contract, quantity: str = "100", average_cost: str = "100", at: datetime = NOW) -> Position:
    """What IB reports the account to hold, reported at `at`; replaces the report before."""
    values = {"quantity": Decimal(quantity), "average_cost": Decimal(average_cost), "reported_at": at}
    with book(at=at) as b, b.event("position.reported", source=Source.BROKER, account=account) as fact:
        row = Position.objects.filter(account=account, contract=contract).first()
        if row is None:
            return fact.add(Position(account=account, contract=contract, **values))
        fact.set(row, **values)
        return row


def make_limit(rule: str, value: str, *, account: Account | None = None, user: User | None = None, at: datetime = NOW) -> Limit:
    """A limit for the account, for the user, or, with neither, for the desk; replaces the one before."""
    scope = Limit.Scope.ACCOUNT if account else Limit.Scope.USER if user else Limit.Scope.DESK
    with book(at=at) as b, b.event("limit.set", source=Source.USER, account=account) as fact:
        row = Limit.objects.filter(scope=scope, rule=rule, account=account, user=user).first()
        if row is None:
            return fact.add(Limit(scope=scope, rule=rule, account=account, user=user, value=Decimal(value)))
        fact.set(row, value=Decimal(value))
        return row


def a_key() -> str:
    """A fresh submission key, as a form carries one."""
    return f"key-{next(_numbers)}"
