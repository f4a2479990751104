"""Positions as IB reports them, with their moving figures and how well they are protected.

The rule it keeps: quantity and average cost are the broker's; nothing here is summed from our own executions.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from orders.models import Account, OrderRecord, Position, PositionValue
from orders.queries.access import tradable_ids, visible_accounts
from orders.queries.guard import Guard, Verdicts, guard_of, verdicts
from orders.queries.quotes import is_old, quote_of
from orders.queries.show import NOTHING, Figure, Moment, Ticks, age, figure, number, signed
from orders.rules.lifecycle import OPEN
from orders.rules.terms import EXITS


@dataclass(frozen=True)
class PositionRow:
    """One position, spelled out for a table."""

    id: int
    account: str
    account_code: str
    con_id: int
    symbol: str
    name: str
    quantity: str
    average: str
    last: str
    last_at: Moment | None
    last_age: str
    last_is_old: bool
    value: str
    currency: str
    unrealised: Figure
    realised: Figure
    daily: Figure
    guard: Guard | None
    reported: Moment
    can_protect: bool
    can_repair: bool
    can_close: bool
    may_trade: bool

    @property
    def unit_id(self) -> str:
        return f"position-{self.id}"


def positions(
    user: Any, account: Account | None = None, ids: Collection[int] | None = None, now: datetime | None = None
) -> list[PositionRow]:
    """Positions that are held, and flat ones whose exits are still open, by symbol."""
    now = now or timezone.now()
    found = Position.objects.filter(account__in=visible_accounts(user))
    if account is not None:
        found = found.filter(account=account)
    if ids is not None:
        found = found.filter(pk__in=ids)
    # A flat position matters only while exits of it are open: those few are found by their orders.
    left_over = OrderRecord.objects.filter(
        account=OuterRef("account"),
        contract=OuterRef("contract"),
        status__in=[status.value for status in OPEN],
        role__in=[role.value for role in EXITS],
    )
    found = found.filter(~Q(quantity=0) | Exists(left_over))
    held = list(found.select_related("account", "contract", "contract__quote", "values"))
    found_out, ticks, tradable = verdicts(held, now), Ticks.load(), tradable_ids(user)
    rows = [position_row(position, found_out, ticks, position.account_id in tradable, now) for position in held]
    return sorted((row for row in rows if row is not None), key=lambda row: (row.symbol, row.account_code))


def position_row(position: Position, found_out: Verdicts, ticks: Ticks, may_trade: bool, now: datetime) -> PositionRow | None:
    """Spells out one position; None where nothing is held and nothing is left over."""
    guard = guard_of(position, found_out)
    if not position.quantity and guard is None:
        return None
    contract, account = position.contract, position.account
    quote = quote_of(contract)
    values: PositionValue | None = getattr(position, "values", None)
    return PositionRow(
        id=position.pk,
        account=account.short,
        account_code=account.code,
        con_id=contract.con_id,
        symbol=contract.label,
        name=contract.long_name,
        quantity=signed(position.quantity),
        average=ticks.average(contract, position.entry_price) if position.quantity else NOTHING,
        last=ticks.price(contract, quote.last if quote else None),
        last_at=Moment(quote.at, account.time_zone) if quote else None,
        last_age=age(quote.at, now) if quote else NOTHING,
        last_is_old=is_old(quote, now),
        value=number(values.market_value if values else None),
        currency=contract.currency,
        unrealised=figure(values.unrealized_pnl if values else None),
        realised=figure(values.realized_pnl if values else None),
        daily=figure(values.daily_pnl if values else None),
        guard=guard,
        reported=Moment(position.reported_at, account.time_zone),
        can_protect=may_trade and guard is not None and bool(guard.bare) and not guard.under_way,
        can_repair=may_trade and guard is not None and guard.mends is not None,
        can_close=may_trade and bool(position.quantity) and not (guard is not None and guard.closing),
        may_trade=may_trade,
    )
