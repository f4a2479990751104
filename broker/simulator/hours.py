"""The hours that the instruments of the simulated exchange state, and the moments of its auctions.

What is stated is what IB states for such a contract: weekdays, the regular and the extended session, no holidays. The market itself moves
and trades at any hour, so that a desk can be tried at any hour; only auctions are bound to the clock. They are those of shares: the
opening at 09:30 and the close at 16:00 in New York, the two ends of the regular session.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from broker.simulator.model import Instrument

DAYS_OF_HOURS = 6
DAY = timedelta(days=1)
SATURDAY = 5
OPEN, CLOSE = "open", "close"


@dataclass(frozen=True)
class Session:
    """A trading day from `begins` to `ends`; one that begins later than it ends began on the evening before."""

    begins: time
    ends: time

    @property
    def overnight(self) -> bool:
        return self.begins > self.ends


@dataclass(frozen=True)
class Hours:
    trading: Session
    liquid: Session


REGULAR = Session(time(9, 30), time(16))
_BY_TYPE = {
    "STK": Hours(Session(time(4), time(20)), REGULAR),
    "OPT": Hours(REGULAR, REGULAR),
    "CASH": Hours(Session(time(17, 15), time(17)), Session(time(17, 15), time(17))),
}
_BY_EXCHANGE = {
    "CME": Hours(Session(time(17), time(16)), Session(time(8, 30), time(16))),
    "NYMEX": Hours(Session(time(18), time(17)), Session(time(9, 30), time(17))),
    "COMEX": Hours(Session(time(18), time(17)), Session(time(9, 30), time(17))),
}
AUCTIONS = {OPEN: REGULAR.begins, CLOSE: REGULAR.ends}


def hours_of(instrument: Instrument) -> Hours:
    return _BY_TYPE.get(instrument.sec_type) or _BY_EXCHANGE[instrument.exchange]


def hours_text(session: Session, zone: str, now: datetime) -> str:
    """IB's text of the coming sessions, from today on in the instrument's zone: `20261125:0930-20261125:1600;20261128:CLOSED;...`."""
    today = now.astimezone(ZoneInfo(zone)).date()
    days = [today + number * DAY for number in range(DAYS_OF_HOURS + 1)]
    if session.overnight:  # what begins on a Sunday evening is Monday's; IB has no line for a Sunday
        days = [day for day in days if day.weekday() != SATURDAY + 1]
    return ";".join(_day_text(session, day) for day in days[:DAYS_OF_HOURS])


def next_auction(which: str, zone: str, after: datetime) -> datetime:
    """The first auction of this kind after a moment: on weekdays, at its hour in the instrument's zone."""
    place = ZoneInfo(zone)
    day = after.astimezone(place).date()
    while day.weekday() >= SATURDAY or (moment := datetime.combine(day, AUCTIONS[which], place).astimezone(UTC)) <= after:
        day += DAY
    return moment


def _day_text(session: Session, day: date) -> str:
    if day.weekday() >= SATURDAY:
        return f"{day:%Y%m%d}:CLOSED"
    first = day - DAY if session.overnight else day
    return f"{first:%Y%m%d}:{session.begins:%H%M}-{day:%Y%m%d}:{session.ends:%H%M}"
