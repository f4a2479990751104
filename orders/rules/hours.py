"""When sessions begin and end, from the hours that IB gives a contract ("20261125:0930-20261125:1600;20261126:CLOSED").

The rule it keeps: hours that cannot be read are None, never a guess; the clocks of the contract's zone decide, daylight saving included.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def session_end(hours: str, zone: str, now: datetime) -> datetime | None:
    """The end of the session that is open at `now`, else of the next one: when a DAY order ends. A lunch break does not end a session."""
    days = _days(hours, zone)
    return next((end for day in days or () if (end := max(last for _, last in day)) > now), None)


@dataclass(frozen=True)
class Hours:
    """Where a moment lies: in a session that ends in so long, or outside of one, where the next begins in so long."""

    is_open: bool
    until: timedelta


def hours_at(hours: str, zone: str, now: datetime) -> Hours | None:
    """None where the hours cannot be read, or say nothing of now any more because the newest of them have passed."""
    for first, last in sorted(interval for day in _days(hours, zone) or () for interval in day):
        if now < first:
            return Hours(False, first - now)
        if now < last:
            return Hours(True, last - now)
    return None


def _days(hours: str, zone: str) -> list[list[tuple[datetime, datetime]]] | None:
    """The sessions of each day that has one."""
    try:
        place = ZoneInfo(zone)
        days = [day for day in hours.split(";") if day and "CLOSED" not in day]
        return [[_interval(day, interval, place) for interval in day.split(",")] for day in days]
    except (ValueError, ZoneInfoNotFoundError):
        return None


def _interval(day: str, interval: str, place: ZoneInfo) -> tuple[datetime, datetime]:
    """Both ends of "20261125:0930-20261125:1600", or of "0930-1600", which older gateways send."""
    first, _, last = interval.partition("-")
    begin, end = (_moment(day, stamp, place) for stamp in (first, last))
    return begin, end


def _moment(day: str, stamp: str, place: ZoneInfo) -> datetime:
    return datetime.strptime(stamp if ":" in stamp else f"{day[:8]}:{stamp}", "%Y%m%d:%H%M").replace(tzinfo=place)
