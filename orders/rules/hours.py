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
