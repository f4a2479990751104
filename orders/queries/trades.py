"""Closed trades of the book's own executions, and what they come to.

The rule it keeps: a trade is only told where both its ends are in the book and its result can be counted in the account's base currency.
What is left out is counted as left out. Rates are those of now: the book keeps none of the past.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db.models import Min, QuerySet

from orders.models import Account, CommissionReport, Contract, Event, Execution, Position
from orders.queries.access import visible_accounts
from orders.queries.values import exchange_rates
from orders.rules.roundtrips import Fill, RoundTrip, Statistics, Unseen, round_trips, statistics
from orders.rules.terms import Side

Key = tuple[int, int]
"""(account, contract) by primary key."""

COMBINATION = "BAG"  # filled as its legs too, which count under their own contracts


@dataclass(frozen=True)
class ClosedTrade:
    """A round trip with whom and what it belongs to. Profit is in the contract's currency; `rate` turns it into the base currency."""

    account: Account
    contract: Contract
    trip: RoundTrip
    rate: Decimal

    @property
    def symbol(self) -> str:
        return self.contract.symbol

    @property
    def gross_base(self) -> Decimal:
        return self.trip.gross * self.rate

    @property
    def net_base(self) -> Decimal:
        return self.trip.net * self.rate


@dataclass(frozen=True)
class LeftOut:
    """What makes no trade although it closed something."""

    unseen: int = 0  # closings of which one end is not in the book: held before, or recorded by a person as an adjustment
    unlisted: int = 0  # trades in accounts whose positions were never told whole: what they held before is not known
    no_rate: int = 0  # trades in a currency whose rate is not known
    other_base: int = 0  # trades in accounts with another base currency than the one asked for

    def __bool__(self) -> bool:
        return bool(self.unseen or self.unlisted or self.no_rate or self.other_base)


@dataclass(frozen=True)
class ClosedTrades:
    """Closed trades, by the time of their exit."""

    trades: tuple[ClosedTrade, ...] = ()
    left_out: LeftOut = LeftOut()

    @property
    def without_costs(self) -> int:
        """Trades of which a commission was never told: their net profit is too high by that."""
        return sum(not trade.trip.costs_known for trade in self.trades)

    @property
    def statistics(self) -> Statistics:
        """Of all of them, net. In one currency where the accounts share their base currency."""
        return _statistics(self.trades)

    def in_base(self, currency: str) -> ClosedTrades:
        """Those of accounts with this base currency, whose results can be added up; the others are counted as left out."""
        same = tuple(trade for trade in self.trades if trade.account.base_currency == currency)
        return ClosedTrades(same, replace(self.left_out, other_base=self.left_out.other_base + len(self.trades) - len(same)))

    def by_account(self) -> dict[str, Statistics]:
        """By the account's code."""
        return self._by(lambda trade: trade.account.code)

    def by_symbol(self) -> dict[str, Statistics]:
        """By the symbol of the contract, which futures and options share with their underlying."""
        return self._by(lambda trade: trade.symbol)

    def _by(self, name: Callable[[ClosedTrade], str]) -> dict[str, Statistics]:
        found: defaultdict[str, list[ClosedTrade]] = defaultdict(list)
        for trade in self.trades:
            found[name(trade)].append(trade)
        return {key: _statistics(trades) for key, trades in sorted(found.items())}


def _statistics(trades: Iterable[ClosedTrade]) -> Statistics:
    return statistics([trade.net_base for trade in trades])


def closed_trades(user: Any, account: Account | None = None, symbol: str = "") -> ClosedTrades:
    """The closed trades of the accounts that `user` may see, or of one of them; of one symbol, or of all."""
    accounts = {one.pk: one for one in visible_accounts(user) if account is None or one.pk == account.pk}
    rows = Execution.objects.filter(account__in=list(accounts)).exclude(contract__sec_type=COMBINATION)
    if symbol:
        rows = rows.filter(contract__symbol=symbol)
    rates = exchange_rates(list(accounts.values()))
    fills = _fills(rows, rates)
    contracts = Contract.objects.in_bulk({contract_id for _, contract_id in fills})
    openings, adjustments = _unexplained(accounts)
    trades: list[ClosedTrade] = []
    unseen = unlisted = no_rate = 0
    for (account_id, contract_id), told in fills.items():
        owner, contract = accounts[account_id], contracts[contract_id]
        key = (account_id, contract_id)
        unexplained: Any = {"opening": openings.get(key, Decimal(0)), "adjustments": adjustments.get(key, ())}
        matched = round_trips(told, multiplier=contract.multiplier or Decimal(1), **unexplained)
        rate = rates.get((account_id, contract.currency))
        unseen += matched.left_out
        if owner.positions_known_at is None:
            unlisted += len(matched.trips)
        elif rate is None:
            no_rate += len(matched.trips)
        else:
            trades += [ClosedTrade(owner, contract, trip, rate) for trip in matched.trips]
    trades.sort(key=lambda trade: trade.trip.exit_at)
    return ClosedTrades(tuple(trades), LeftOut(unseen, unlisted, no_rate))


def _unexplained(accounts: Collection[int]) -> tuple[dict[Key, Decimal], dict[Key, list[Unseen]]]:
    """What no execution explains, signed: what was held before the book, and since then the adjustments of its openings, by time."""
    rows = Position.objects.filter(account__in=list(accounts)).values_list("pk", "account_id", "contract_id", "opening")
    openings: dict[Key, Decimal] = {}
    keys: dict[int, Key] = {}
    for pk, account_id, contract_id, opening in rows:
        keys[pk] = (account_id, contract_id)
        openings[account_id, contract_id] = opening
    recorded = Event.objects.filter(kind="incident.closed", account__in=list(accounts), data__has_key="adjustment").order_by("seq")
    adjustments: defaultdict[Key, list[Unseen]] = defaultdict(list)
    for at, data in recorded.values_list("at", "data"):
        for label, pk, values in data["rows"]:
            if label == Position._meta.label and "opening" in values and pk in keys:
                adjusted = Unseen(Decimal(data["adjustment"]), at)
                adjustments[keys[pk]].append(adjusted)
                openings[keys[pk]] -= adjusted.quantity
    return openings, adjustments


class _Row(NamedTuple):
    """The columns of an execution that a trade is made of, in the order in which they are read."""

    pk: int
    account_id: int
    contract_id: int
    contract__currency: str
    side: str
    quantity: Decimal
    price: Decimal
    executed_at: datetime
    exec_id: str
    root: str
    order_id: int | None
    perm_id: int | None

    @property
    def order(self) -> str:
        """A name for the order it belongs to, in the book or at the broker; its own where neither is known."""
        return f"order {self.order_id}" if self.order_id else f"perm {self.perm_id}" if self.perm_id else self.root


def _fills(rows: QuerySet[Execution], rates: Mapping[tuple[int, str], Decimal]) -> dict[Key, list[Fill]]:
    """The executions that count, by account and contract, in the order in which they happened.

    IB tells their times by the second; within one the order of arrival decides, and a correction stands where its first revision stood.
    """
    counting = [_Row(*row) for row in rows.filter(counts=True).order_by().values_list(*_Row._fields)]
    replaced = dict(rows.filter(counts=False).order_by().values_list("root").annotate(first=Min("pk")))
    costs = _costs(rows)
    fills: defaultdict[Key, list[Fill]] = defaultdict(list)
    for row in sorted(counting, key=lambda row: (row.executed_at, min(replaced.get(row.root, row.pk), row.pk))):
        paid = costs.get(row.exec_id)
        amount = None if paid is None else _in_currency(*paid, row, rates)
        fills[row.account_id, row.contract_id].append(Fill(Side(row.side), row.quantity, row.price, row.executed_at, row.order, amount))
    return fills


def _costs(rows: QuerySet[Execution]) -> dict[str, tuple[Decimal, str]]:
    """Commissions by exec_id: amount and currency."""
    told = CommissionReport.objects.filter(exec_id__in=rows.filter(counts=True).order_by().values("exec_id"))
    return {exec_id: (amount, currency) for exec_id, amount, currency in told.values_list("exec_id", "amount", "currency")}


def _in_currency(amount: Decimal, currency: str, row: _Row, rates: Mapping[tuple[int, str], Decimal]) -> Decimal | None:
    """A commission in the currency of its contract (of a currency pair it is paid in the base currency); None where that is not known."""
    if currency == row.contract__currency or not amount:
        return amount
    paid, wanted = rates.get((row.account_id, currency)), rates.get((row.account_id, row.contract__currency))
    return amount * paid / wanted if paid is not None and wanted is not None else None
