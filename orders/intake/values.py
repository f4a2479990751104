"""Values: account figures, profit and loss, quotes, contract details, price rules. The newest wins; they make no event and no feed row.

The rule it keeps: they are written outside the book's lock and in few statements, so that a busy market never holds up an order. A value
that cannot be kept is left out and harms no other.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

from django.db import transaction

from orders.book import book
from orders.grounds import number
from orders.intake.work import clip, stored
from orders.models import Account, AccountDay, AccountValue, Contract, MarketRule, Position, PositionValue, Quote
from orders.models.book import Source
from orders.models.reading import the_one
from orders.rules.reports import (
    AccountValueReported,
    ContractDetailed,
    ContractFacts,
    MarketRuleReported,
    PnlReported,
    PositionPnlReported,
    QuoteReported,
    Value,
)
from orders.rules.terms import plain
from orders.trading_day import trading_day

log = logging.getLogger(__name__)

_QUOTED = ("bid", "ask", "last", "close", "bid_size", "ask_size", "last_size", "volume")
_POSITION_FIGURES = {"market_value": "value", "unrealized_pnl": "unrealized", "realized_pnl": "realized", "daily_pnl": "daily"}
_PNL = {"DailyPnL": "daily", "UnrealizedPnL": "unrealized", "RealizedPnL": "realized"}


def apply_values(values: Sequence[Value], *, now: datetime) -> None:
    """Keeps the newest of each; `now` is when they were heard, but for quotes, which say it themselves."""
    sorted_out: dict[type, list[Any]] = defaultdict(list)
    for value in values:
        sorted_out[type(value)].append(value)
    with transaction.atomic():
        for detailed in sorted_out[ContractDetailed]:
            _contract(detailed, now)
        for rule in sorted_out[MarketRuleReported]:
            _market_rule(rule)
        _account_values([*sorted_out[AccountValueReported], *_as_account_values(sorted_out[PnlReported])], now)
        _account_days(sorted_out[AccountValueReported], sorted_out[PnlReported], now)
        _position_values(sorted_out[PositionPnlReported], now)
        _quotes(sorted_out[QuoteReported])
    _base_currencies(sorted_out[AccountValueReported], now)


def _amount(value: Decimal | None) -> Decimal | None:
    """The number for its column; None where there is none, or none that a column holds."""
    try:
        return None if value is None else stored(value)
    except ValueError:
        log.warning("a value is left out: %s", value)
        return None


def _contract(report: ContractDetailed, now: datetime) -> None:
    facts = report.contract
    row = the_one(Contract.objects.filter(con_id=facts.con_id)) or Contract(con_id=facts.con_id)
    for name, value in _contract_columns(report, facts).items():
        setattr(row, name, value)
    row.exchange = clip(facts.exchange, 24) or row.exchange
    row.detailed_at = now
    row.save()


def _contract_columns(report: ContractDetailed, facts: ContractFacts) -> dict[str, Any]:
    return {
        "symbol": clip(facts.symbol, 32),
        "sec_type": clip(facts.sec_type, 8),
        "primary_exchange": clip(facts.primary_exchange, 24),
        "currency": clip(facts.currency, 8),
        "local_symbol": clip(facts.local_symbol, 64),
        "trading_class": clip(facts.trading_class, 32),
        "multiplier": stored(facts.multiplier),
        "expiry": clip(facts.expiry, 16),
        "strike": stored(facts.strike),
        "right": facts.right[:1],
        "long_name": clip(report.long_name, 200),
        "min_tick": stored(report.min_tick),
        "order_types": list(report.order_types),
        "valid_exchanges": list(report.valid_exchanges),
        "market_rule_ids": list(report.market_rule_ids),
        "min_size": stored(report.min_size),
        "size_increment": stored(report.size_increment),
        "time_zone": clip(report.time_zone, 64),
        "trading_hours": report.trading_hours,
        "liquid_hours": report.liquid_hours,
        "stock_type": clip(report.stock_type, 32),
    }


def _market_rule(report: MarketRuleReported) -> None:
    increments = [[plain(low), plain(tick)] for low, tick in report.increments]
    MarketRule.objects.update_or_create(rule_id=report.rule_id, defaults={"increments": increments})


def _as_account_values(reports: Iterable[PnlReported]) -> list[AccountValueReported]:
    return [
        AccountValueReported(report.account, name, plain(amount))
        for report in reports
        for name, attribute in _PNL.items()
        if (amount := getattr(report, attribute)) is not None
    ]


def _account_values(reports: Sequence[AccountValueReported], now: datetime) -> None:
    accounts = dict(Account.objects.values_list("code", "pk")) if reports else {}
    newest = {(accounts[r.account], clip(r.name, 60), clip(r.currency, 8)): clip(r.value, 60) for r in reports if r.account in accounts}
    AccountValue.objects.bulk_create(
        [
            AccountValue(account_id=account_id, name=name, currency=currency, value=value, at=now)
            for (account_id, name, currency), value in newest.items()
        ],
        update_conflicts=True,
        unique_fields=["account", "name", "currency"],
        update_fields=["value", "at"],
    )


def _account_days(values: Iterable[AccountValueReported], results: Iterable[PnlReported], now: datetime) -> None:
    """Writes down the day's result as it was last said, and what the account was worth when the day was first seen."""
    worth = {r.account: r.value for r in values if r.name == "NetLiquidation" and r.currency not in ("", "BASE")}
    pnl = {r.account: r.daily for r in results if r.daily is not None}
    for account in Account.objects.filter(code__in=worth.keys() | pnl.keys()):
        try:
            day = trading_day(account, now).date
        except (ZoneInfoNotFoundError, ValueError):
            log.warning("the days of %s cannot be told apart: its time zone %r is not known", account.code, account.time_zone)
            continue
        row = the_one(AccountDay.objects.filter(account=account, date=day)) or AccountDay(account=account, date=day)
        before = (row.net_liquidation, row.pnl)
        if row.net_liquidation is None and account.code in worth:
            row.net_liquidation = _amount(number(worth[account.code]))
        if account.code in pnl:
            row.pnl = _amount(pnl[account.code])
        if (row.net_liquidation, row.pnl) != before:
            row.at = now
            row.save()


def _position_values(reports: Sequence[PositionPnlReported], now: datetime) -> None:
    if not reports:
        return
    con_ids = {report.con_id for report in reports}
    rows = Position.objects.filter(contract__con_id__in=con_ids).values_list("account__code", "contract__con_id", "pk")
    positions = {(code, con_id): pk for code, con_id, pk in rows}
    newest = {positions[key]: report for report in reports if (key := (report.account, report.con_id)) in positions}
    PositionValue.objects.bulk_create(
        [
            PositionValue(position_id=pk, at=now, **{column: _amount(getattr(report, name)) for column, name in _POSITION_FIGURES.items()})
            for pk, report in newest.items()
        ],
        update_conflicts=True,
        unique_fields=["position"],
        update_fields=[*_POSITION_FIGURES, "at"],
    )


def _quotes(reports: Sequence[QuoteReported]) -> None:
    if not reports:
        return
    contracts = dict(Contract.objects.filter(con_id__in={r.con_id for r in reports}).values_list("con_id", "pk"))
    known = dict(Quote.objects.filter(contract_id__in=contracts.values()).values_list("contract_id", "at"))
    newest: dict[int, QuoteReported] = {}
    for report in reports:
        pk = contracts.get(report.con_id)
        if pk is not None and report.at >= max(known.get(pk, report.at), newest[pk].at if pk in newest else report.at):
            newest[pk] = report
    Quote.objects.bulk_create(
        [
            Quote(contract_id=pk, at=report.at, delayed=report.delayed, **{name: _amount(getattr(report, name)) for name in _QUOTED})
            for pk, report in newest.items()
        ],
        update_conflicts=True,
        unique_fields=["contract"],
        update_fields=[*_QUOTED, "delayed", "at"],
    )


def _base_currencies(reports: Iterable[AccountValueReported], now: datetime) -> None:
    """IB gives the net liquidation value in the account's base currency; which one that is, is of record (limits are counted in it)."""
    bases = {r.account: r.currency for r in reports if r.name == "NetLiquidation" and r.currency not in ("", "BASE")}
    differing = [row for row in Account.objects.filter(code__in=bases) if row.base_currency != bases[row.code][:8]]
    if not differing:
        return
    with book(at=now) as b:
        for row in differing:
            currency = bases[row.code][:8]
            with b.event("account.base_currency", source=Source.BROKER, account=row, text=f"{row.code} is kept in {currency}.") as fact:
                fact.set(row, base_currency=currency)
