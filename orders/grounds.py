"""What a judgement of orders rests on, read once for a whole unit under the book's lock: limits, open orders, positions, prices, values.

The rule it keeps: a few queries whatever the number of orders, and what is not there, or too old to be relied on, is None. No arithmetic on
money is left to the database.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

from django.db.models import Q

from orders.exposure import read_open
from orders.holdings import NOT_HELD, SETTLES, executed, explained
from orders.models import Account, AccountDay, AccountValue, Contract, Execution, InstrumentRule, Limit, Position
from orders.rules.lifecycle import OrderStatus
from orders.rules.limits import Exposed, InstrumentWord, Limits, Line, Market, Open, Purse, Rule, effective, may_trade
from orders.rules.terms import Side
from orders.trading_day import TradingDay, trading_day

ZERO = Decimal(0)
FLAT = (ZERO, ZERO)
_UNHEARD = frozenset({OrderStatus.PENDING, OrderStatus.SENT})
YOUNG = timedelta(minutes=1)  # an execution that a list brought later is older, and the report knows of it
NET, POWER, FUNDS, DAILY, RATE = "NetLiquidation", "BuyingPower", "AvailableFunds", "DailyPnL", "ExchangeRate"
_CONTRACT = ("pk", "symbol", "sec_type", "currency", "multiplier", "strike", "local_symbol")
_QUOTE = ("quote__bid", "quote__ask", "quote__last", "quote__at", "quote__delayed")


@dataclass(frozen=True)
class Thing:
    """A contract as far as it is weighed, with its newest quote."""

    symbol: str
    sec_type: str
    currency: str
    multiplier: Decimal
    strike: Decimal
    market: Market | None


def limits_for(account: Account | None, user: Any) -> Limits:
    """The limits that decide for this user in this account, each with whose it is (`scopes`)."""
    return effective(Limit.objects.filter(_scopes(account, user)).order_by().values_list("rule", "value", "scope"))


def instruments_for(account: Account, user: Any) -> tuple[InstrumentWord, ...]:
    """What may be traded, or not, by the desk, in the account, and by the user."""
    rows = InstrumentRule.objects.filter(_scopes(account, user)).order_by("pk")
    return tuple(
        InstrumentWord(kind == InstrumentRule.Kind.ALLOWED, scope, symbol, sec_type, note)
        for kind, scope, symbol, sec_type, note in rows.values_list("kind", "scope", "symbol", "sec_type", "note")
    )


def _scopes(account: Account | None, user: Any) -> Q:
    scopes = Q(scope=Limit.Scope.DESK)
    if account is not None:
        scopes |= Q(scope=Limit.Scope.ACCOUNT, account=account)
    if user is not None:
        scopes |= Q(scope=Limit.Scope.USER, user=user)
    return scopes


@dataclass
class Money:
    """An account's values and results, and what limits make of them."""

    account: Account
    now: datetime
    limits: Limits
    day: TradingDay | None = field(init=False)

    def __post_init__(self) -> None:
        try:
            self.day = trading_day(self.account, self.now)
        except (ZoneInfoNotFoundError, ValueError):
            self.day = None  # a zone that nobody knows has no day: what hangs on one is not known

    @cached_property
    def _values(self) -> dict[tuple[str, str], tuple[Decimal, datetime]]:
        rows = AccountValue.objects.filter(account=self.account, name__in=(NET, POWER, FUNDS, DAILY, RATE)).order_by()
        read = ((name, currency, number(text), at) for name, currency, text, at in rows.values_list("name", "currency", "value", "at"))
        return {(name, currency): (value, at) for name, currency, value, at in read if value is not None}

    @cached_property
    def _days(self) -> dict[date, tuple[Decimal | None, Decimal | None]]:
        """(worth when it was first seen, result) of the days of this week that were seen."""
        if self.day is None:
            return {}
        monday = self.day.date - timedelta(days=self.day.date.weekday())
        rows = AccountDay.objects.filter(account=self.account, date__gte=monday, date__lte=self.day.date).order_by()
        return {day: (net, pnl) for day, net, pnl in rows.values_list("date", "net_liquidation", "pnl")}

    def _fresh(self, name: str) -> Decimal | None:
        value, at = self._values.get((name, self.account.base_currency), (None, None))
        return value if at is not None and seconds(self.now - at) <= self.limits[Rule.VALUE_SECONDS] else None

    @property
    def net_liquidation(self) -> Decimal | None:
        return self._fresh(NET)

    @property
    def buying_power(self) -> Decimal | None:
        power = self._fresh(POWER)
        return power if power is not None else self._fresh(FUNDS)

    def is_uncounted(self, order: Open) -> bool:
        """Whether the buying power, as it was last told, cannot know of the order: IB tells it anew every three minutes."""
        if order.status in _UNHEARD:
            return True
        _, told = self._values.get((POWER if self._fresh(POWER) is not None else FUNDS, self.account.base_currency), (None, None))
        return order.sent_at is not None and told is not None and order.sent_at > told

    def rate(self, currency: str) -> Decimal | None:
        """How much of the base currency one unit of `currency` is worth, by the account's own values; None where it is not known."""
        if currency and currency == self.account.base_currency:
            return Decimal(1)
        value, _ = self._values.get((RATE, currency), (None, None))
        return value if value is not None and value > 0 else None

    @cached_property
    def daily_pnl(self) -> Decimal | None:
        """The day's result as the broker says it. Where it says nothing today: none, if nothing is held and nothing was traded; else the
        difference to what the account was worth when the day was first seen."""
        if self.day is None:
            return None
        value, at = self._values.get((DAILY, ""), (None, None))
        if at is not None and at >= self.day.start:
            return value
        if self.account.positions_known_at is not None and self._is_idle():
            return ZERO
        began, _ = self._days.get(self.day.date, (None, None))
        return None if began is None or self.net_liquidation is None else self.net_liquidation - began

    def _is_idle(self) -> bool:
        assert self.day is not None
        held = Position.objects.filter(account=self.account).exclude(quantity=0)
        return not held.exists() and not Execution.objects.filter(account=self.account, executed_at__gte=self.day.start).exists()

    @property
    def week_pnl(self) -> Decimal | None:
        if self.day is None or self.daily_pnl is None:
            return None
        before = (pnl for day, (_, pnl) in self._days.items() if day != self.day.date and pnl is not None)
        return sum(before, self.daily_pnl)

    def purse(self, unsent: Decimal | None = ZERO) -> Purse:
        return Purse(self.net_liquidation, self.buying_power, unsent, self.week_pnl)


@dataclass
class Grounds:
    """What is known of an account, of a contract in it, and of the user who asks. `contract` None: of the account as it stands."""

    account: Account
    contract: Contract | None
    user: Any
    now: datetime
    is_live_book: bool
    limits: Limits = field(init=False)
    money: Money = field(init=False)

    def __post_init__(self) -> None:
        self.limits = limits_for(self.account, self.user)
        self.money = Money(self.account, self.now, self.limits)

    @cached_property
    def instruments(self) -> tuple[InstrumentWord, ...]:
        return instruments_for(self.account, self.user)

    @cached_property
    def open(self) -> list[Open]:
        """The open orders of the account, those of the user, and the desk's in the contract, by age."""
        which = Q(account=self.account)
        if self.user is not None:
            which |= Q(created_by=self.user)
        if self.contract is not None:
            which |= Q(contract=self.contract)
        return read_open(which)

    @cached_property
    def held(self) -> dict[int, tuple[Decimal, Decimal]]:
        """What is held, by contract, with its average cost."""
        rows = Position.objects.filter(account=self.account).exclude(quantity=0).order_by()
        return {contract: (quantity, cost) for contract, quantity, cost in rows.values_list("contract_id", "quantity", "average_cost")}

    @cached_property
    def things(self) -> dict[int, Thing]:
        """The contracts that are held, worked in, or asked about."""
        keys = {*self.held, *(order.contract for order in self.open if order.account == self.account.pk)}
        if self.contract is not None:
            keys.add(self.contract.pk)
        rows = Contract.objects.filter(pk__in=keys).order_by().values_list(*_CONTRACT, *_QUOTE)
        return {row[0]: self._thing(row) for row in rows}

    def _thing(self, row: tuple[Any, ...]) -> Thing:
        _, symbol, sec_type, currency, multiplier, strike, _, bid, ask, last, at, delayed = row
        market = None if at is None else market_from(bid, ask, last, at, delayed, self.now)
        return Thing(symbol, sec_type, currency, multiplier, strike, market)

    @property
    def position(self) -> Decimal:
        return self.held.get(self.contract.pk, FLAT)[0] if self.contract is not None else ZERO

    @cached_property
    def explained(self) -> Decimal:
        """The position as its executions make it, while one of them is so young that the report may not show it yet; else as reported."""
        contract, account = self.contract, self.account
        if contract is None or account.positions_known_at is None or contract.sec_type in NOT_HELD:
            return self.position
        row = Position.objects.filter(account=account, contract=contract).first()
        unshown = Q(received_at__gt=self.now - SETTLES) | Q(seq__gt=row.seq if row is not None else 0)
        mine = Execution.objects.filter(account=account, contract=contract, executed_at__gt=self.now - YOUNG)
        if not mine.filter(unshown).exists() or (row is not None and row.differs_checks):
            return self.position  # of a break the report is all there is, until somebody has looked into it
        return explained(row) if row is not None else executed(account.pk, contract.pk)

    def furthest(self, side: Side) -> Decimal:
        """The position, by the one of both readings that leaves an order of this side less room."""
        return max(self.position, self.explained) if side is Side.BUY else min(self.position, self.explained)

    @property
    def surely_held(self) -> Decimal:
        """What both readings agree is held: an execution that the report does not show yet has closed its part already."""
        reported, told = self.position, self.explained
        return ZERO if reported * told <= 0 else min(reported, told, key=abs)

    @property
    def market(self) -> Market | None:
        return self.things[self.contract.pk].market if self.contract is not None else None

    def others(self, side: Side, without: Collection[int]) -> list[Open]:
        """The open orders of this side in the contract and account."""
        mine = self.contract.pk if self.contract is not None else None
        return [
            order
            for order in self.open
            if order.contract == mine and order.account == self.account.pk and order.side is side and order.pk not in without
        ]

    def users_own(self, without: Collection[int]) -> int:
        """How many open orders the user has."""
        return sum(1 for order in self.open if self.user is not None and order.user == self.user.pk and order.pk not in without)

    @cached_property
    def rest(self) -> Exposed:
        """What the account is exposed to in all other contracts."""
        mine = self.contract.pk if self.contract is not None else None
        sides: dict[tuple[int, Side], list[Open]] = {}
        for order in self.open:
            if order.account == self.account.pk and order.contract != mine:
                sides.setdefault((order.contract, order.side), []).append(order)
        found = Exposed()
        symbol = self.things[mine].symbol if mine is not None else None
        for key in {*self.held, *(contract for contract, _ in sides)} - {mine}:
            thing = self.things[key]
            buys, sells = (sides.get((key, side), []) for side in (Side.BUY, Side.SELL))
            line = self._line(thing, *self.held.get(key, FLAT), buys, sells)
            found = found.plus(line, thing.symbol, same_name=thing.symbol == symbol)
        return found

    def lines(self) -> list[tuple[Thing, Line]]:
        """Every contract of the account that is held or worked in, with what it may become."""
        sides: dict[tuple[int, Side], list[Open]] = {}
        for order in self.open:
            if order.account == self.account.pk:
                sides.setdefault((order.contract, order.side), []).append(order)
        keys = sorted({*self.held, *(contract for contract, _ in sides)})
        told = ((key, self.things[key], [sides.get((key, side), []) for side in (Side.BUY, Side.SELL)]) for key in keys)
        return [(thing, self._line(thing, *self.held.get(key, FLAT), *of_sides)) for key, thing, of_sides in told]

    def _line(self, thing: Thing, held: Decimal, cost: Decimal, buys: list[Open], sells: list[Open]) -> Line:
        price = thing.market.price if thing.market else None
        if price is None:  # never quoted: what was paid for it, and what the orders say themselves, are all there is to go by
            asked = [order.limit_price or order.stop_price for order in (*buys, *sells)]
            paid = [cost / thing.multiplier if cost > 0 and thing.multiplier else None] if held else []
            known = [one for one in (*asked, *paid) if one is not None]
            price = max(known) if known and len(known) == len(asked) + len(paid) else None
        rate = self.money.rate(thing.currency)
        unit = None if rate is None else thing.multiplier * rate
        return Line(
            position=held,
            buys=may_trade(buys),
            sells=may_trade(sells),
            worth=None if price is None or unit is None else price * unit,
            strike_worth=ZERO if unit is None else thing.strike * unit,
        )

    def worth(self, orders: Iterable[Open]) -> Decimal | None:
        """What these orders are worth in the base currency; None where one of them cannot be weighed."""
        total = ZERO
        for order in orders:
            thing = self.things[order.contract]
            rate = self.money.rate(thing.currency)
            price = order.limit_price or order.stop_price or (thing.market.price if thing.market else None)
            if price is None or rate is None:
                return None
            total += price * order.remaining * thing.multiplier * rate
        return total


def market_from(bid: Any, ask: Any, last: Any, at: datetime, delayed: bool, now: datetime) -> Market:
    """A quote with its age; a side that is absent, zero or negative is None."""
    bid, ask, last = (price if price is not None and price > 0 else None for price in (bid, ask, last))
    return Market(bid=bid, ask=ask, last=last, age_seconds=seconds(now - at), delayed=delayed)


def number(text: str | None) -> Decimal | None:
    """An account value as a number, or None where it is none."""
    try:
        found = Decimal(text) if text is not None else None
    except InvalidOperation:
        return None
    return found if found is not None and found.is_finite() else None


def seconds(length: timedelta) -> Decimal:
    return Decimal(length // timedelta(microseconds=1)) / 1_000_000
