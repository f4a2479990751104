"""The trading day of an account: counted in its own time zone, beginning at its session start."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from orders.models import Account
from orders.queries.show import zone_of


def trading_date(account: Account, now: datetime) -> date:
    """The date of the trading day that `now` falls in: before the session start it is still yesterday."""
    local = now.astimezone(zone_of(account.time_zone))
    return local.date() if local.time() >= account.session_start else local.date() - timedelta(days=1)


def day_start(account: Account, now: datetime) -> datetime:
    """When the trading day that `now` falls in began, in UTC."""
    return start_of(account, trading_date(account, now))


def start_of(account: Account, day: date) -> datetime:
    """When the trading day of that date begins, in UTC."""
    return datetime.combine(day, account.session_start, tzinfo=zone_of(account.time_zone)).astimezone(UTC)
