"""How the gateway reads the moments that orders carry, and when an order's day ends.

Pure. A moment is `yyyymmdd-hh:mm:ss` in UTC or `yyyymmdd hh:mm:ss zone`, New York where no zone is named.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from broker.simulator.model import OrderRequest
from broker.simulator.order_types import trades_at_auction

GATEWAY_ZONE = ZoneInfo("America/New_York")
DAY_END = time(20, 0)  # the end of the extended session of US stocks; the simulated markets are open at any hour
ZONE_ALIASES = {"US/Eastern": "America/New_York", "EST": "America/New_York", "US/Central": "America/Chicago", "UTC": "UTC", "GMT": "UTC"}


def moment_of(text: str) -> datetime | None:
    """A goodTillDate or goodAfterTime as IB takes it; None where it is neither form."""
    date_part, _, rest = text.partition(" ")
    try:
        if not rest:
            return datetime.strptime(text, "%Y%m%d-%H:%M:%S").replace(tzinfo=UTC)
        clock, _, zone = rest.partition(" ")
        local_zone = ZoneInfo(ZONE_ALIASES.get(zone, zone)) if zone else GATEWAY_ZONE
        return datetime.strptime(f"{date_part} {clock}", "%Y%m%d %H:%M:%S").replace(tzinfo=local_zone).astimezone(UTC)
    except (ValueError, OverflowError, OSError, KeyError):  # ZoneInfo: KeyError for an unknown zone, OSError for a directory
        return None


def end_of_order(request: OrderRequest, now: datetime) -> datetime | None:
    """When an order that is good from `now` on expires: the next 20:00 in New York for DAY, its own date for GTD. Never for GTC, nor
    for an order that its auction ends."""
    if request.tif == "GTD":
        return moment_of(request.wire.get("goodTillDate", ""))
    if request.tif == "GTC" or trades_at_auction(request):
        return None
    local = now.astimezone(GATEWAY_ZONE)
    day = local.date() if local.time() < DAY_END else local.date() + timedelta(days=1)
    return datetime.combine(day, DAY_END, GATEWAY_ZONE).astimezone(UTC)


def start_of_order(request: OrderRequest, now: datetime) -> datetime | None:
    """When an order placed at `now` goes live, where that is later: its goodAfterTime."""
    after = moment_of(request.wire.get("goodAfterTime", ""))
    return after if after is not None and after > now else None
