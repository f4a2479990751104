"""The trading day of an account: its date, its first moment and the first moment of the next.

The rule it keeps: days follow one another without a gap or an overlap, whatever the clocks of the account's zone do; everything is in UTC.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from orders.models import Account


class TradingDay(NamedTuple):
    date: date
    start: datetime
    end: datetime  # not part of the day


def trading_day(account: Account, now: datetime) -> TradingDay:
    """The trading day that `now` lies in, counted from the account's session start in its time zone.

    It bears the date of its middle: a session that begins at 18:00 on Sunday is Monday's. Raises `ZoneInfoNotFoundError` for a zone that
    nobody knows.
    """
    day = now.astimezone(ZoneInfo(account.time_zone)).date()
    while _begin(account, day) > now:
        day -= timedelta(days=1)
    while _begin(account, day + timedelta(days=1)) <= now:
        day += timedelta(days=1)
    named = day + timedelta(days=1) if account.session_start.hour >= 12 else day
    return TradingDay(named, _begin(account, day), _begin(account, day + timedelta(days=1)))


def _begin(account: Account, day: date) -> datetime:
    """The session's start on a calendar day. A start in the hour that a clock change skips is the moment of the skip's end or after it."""
    return datetime.combine(day, account.session_start, ZoneInfo(account.time_zone)).astimezone(UTC)
