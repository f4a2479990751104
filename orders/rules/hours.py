"""When a session ends, from the hours that IB gives a contract ("20261125:0930-20261125:1600;20261126:CLOSED").

The rule it keeps: hours that cannot be read are None, never a guess; the clocks of the contract's zone decide, daylight saving included.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def session_end(hours: str, zone: str, now: datetime) -> datetime | None:
    """The end of the session that is open at `now`, else of the next one: when a DAY order ends. A lunch break does not end a session."""
    try:
        place = ZoneInfo(zone)
        for day in hours.split(";"):
            if not day or "CLOSED" in day:
                continue
            ends = [_end(day, interval, place) for interval in day.split(",")]
            if max(ends) > now:
                return max(ends)
    except (ValueError, ZoneInfoNotFoundError):
        return None
    return None


def _end(day: str, interval: str, place: ZoneInfo) -> datetime:
    """The end of "20261125:0930-20261125:1600", or of "0930-1600", which older gateways send."""
    last = interval.partition("-")[2]
    stamp = last if ":" in last else f"{day[:8]}:{last}"
    return datetime.strptime(stamp, "%Y%m%d:%H%M").replace(tzinfo=place)


def is_open(hours: str, zone: str, now: datetime) -> bool | None:
    """Whether `now` lies within one of the intervals; None where the hours cannot be read or say nothing of today."""
    try:
        place = ZoneInfo(zone)
        known = [day for day in hours.split(";") if day and "CLOSED" not in day]
        intervals = [(_begin(day, part, place), _end(day, part, place)) for day in known for part in day.split(",")]
    except (ValueError, ZoneInfoNotFoundError):
        return None
    if any(begin <= now < end for begin, end in intervals):
        return True
    today = f"{now.astimezone(place):%Y%m%d}"
    return False if any(day[:8] >= today for day in hours.split(";") if day) else None


def _begin(day: str, interval: str, place: ZoneInfo) -> datetime:
    first = interval.partition("-")[0]
    stamp = first if ":" in first else f"{day[:8]}:{first}"
    return datetime.strptime(stamp, "%Y%m%d:%H%M").replace(tzinfo=place)
