"""What the desk's own closed trades come to, by account and symbol: number, win rate, payoff, expectancy, Kelly's fraction.

The rule it keeps: what was left out is said beside the figures, with the reason; a figure that cannot be had is a dash and never zero.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from orders.models import Account
from orders.queries.show import NOTHING, Figure, figure, number
from orders.queries.sizing import left_out
from orders.queries.trades import ClosedTrade, closed_trades
from orders.rules.roundtrips import Statistics, statistics
from orders.rules.sizing import ENOUGH_TRADES

MOST_SYMBOLS = 30


@dataclass(frozen=True)
class RecordRow:
    """One account, or one symbol in it. Amounts in the account's base currency."""

    account: str
    symbol: str
    number: int
    win_rate: str
    payoff: str
    expectancy: Figure
    total: Figure
    kelly: str
    kelly_why: str
    currency: str


@dataclass(frozen=True)
class Record:
    rows: tuple[RecordRow, ...]
    notes: tuple[str, ...]
    more: int


def record(user: Any) -> Record:
    """Of the accounts that `user` may see: each account, and below it its symbols by the number of their trades."""
    found = closed_trades(user)
    by_account: defaultdict[Account, defaultdict[str, list[ClosedTrade]]] = defaultdict(lambda: defaultdict(list))
    for trade in found.trades:
        by_account[trade.account][trade.symbol].append(trade)
    rows: list[RecordRow] = []
    more = 0
    for account, symbols in sorted(by_account.items(), key=lambda pair: pair[0].code):
        rows.append(_row(account, "", [trade for trades in symbols.values() for trade in trades]))
        ranked = sorted(symbols.items(), key=lambda pair: (-len(pair[1]), pair[0]))
        rows += [_row(account, symbol, trades) for symbol, trades in ranked[:MOST_SYMBOLS]]
        more += max(len(ranked) - MOST_SYMBOLS, 0)
    return Record(tuple(rows), tuple(note.text for note in left_out(found)), more)


def _row(account: Account, symbol: str, trades: list[ClosedTrade]) -> RecordRow:
    told = statistics([trade.net_base for trade in trades])
    kelly = told.kelly
    return RecordRow(
        account=account.short,
        symbol=symbol,
        number=told.number,
        win_rate=f"{number(told.win_rate * 100, 1)} %" if told.win_rate is not None else NOTHING,
        payoff=number(told.payoff) if told.payoff is not None else NOTHING,
        expectancy=figure(told.expectancy),
        total=figure(told.total),
        kelly=f"{number(kelly * 100, 1)} %" if kelly is not None else NOTHING,
        kelly_why=_why(told, kelly),
        currency=account.base_currency,
    )


def _why(told: Statistics, kelly: Decimal | None) -> str:
    """What a sizing by it would say; empty where it would take it."""
    if told.number < ENOUGH_TRADES:
        return _("sizing asks for %s trades") % ENOUGH_TRADES
    if not told.losses:
        return _("none of them lost")
    return _("no edge: nothing would be bet") if kelly is None or kelly <= 0 else ""
