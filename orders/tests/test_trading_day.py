"""Trading days: one follows another without a gap or an overlap, through every change of the clocks."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.models import Account
from orders.trading_day import trading_day


def account(zone: str = "America/New_York", start: time = time(0)) -> Account:
    return Account(code="DU1", time_zone=zone, session_start=start)


def test_the_day_is_that_of_the_account_and_not_of_the_server() -> None:
    at = datetime(2026, 3, 3, 3, 30, tzinfo=UTC)  # 22:30 of the day before in New York
    assert trading_day(account(), at).date == date(2026, 3, 2)
    assert trading_day(account("Asia/Hong_Kong"), at).date == date(2026, 3, 3)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/New_York", date(2026, 3, 8), 23),
        ("America/New_York", date(2026, 11, 1), 25),
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("Asia/Hong_Kong", date(2026, 3, 29), 24),
    ],
)
def test_a_day_of_a_clock_change_is_shorter_or_longer(zone: str, day: date, hours: int) -> None:
    noon = datetime.combine(day, time(12), ZoneInfo(zone))
    found = trading_day(account(zone), noon)
    assert found.date == day
    assert found.end - found.start == timedelta(hours=hours)


def test_the_last_moment_belongs_to_the_day_and_the_next_to_the_next() -> None:
    first = trading_day(account(), datetime(2026, 3, 2, 15, tzinfo=UTC))
    assert trading_day(account(), first.end - timedelta(microseconds=1)) == first
    following = trading_day(account(), first.end)
    assert (following.date, following.start) == (date(2026, 3, 3), first.end)


def test_a_session_that_begins_in_the_evening_is_of_the_day_after() -> None:
    futures = account("America/Chicago", time(17))
    sunday_evening = datetime(2026, 3, 1, 18, tzinfo=ZoneInfo("America/Chicago"))
    assert trading_day(futures, sunday_evening).date == date(2026, 3, 2)
    assert trading_day(futures, sunday_evening - timedelta(hours=2)).date == date(2026, 3, 1)
    assert trading_day(account("America/Chicago", time(8, 30)), sunday_evening).date == date(2026, 3, 1)


def test_a_start_in_an_hour_that_a_clock_change_skips_or_repeats_still_begins_one_day() -> None:
    for day in (date(2026, 3, 8), date(2026, 11, 1)):
        found = trading_day(account(start=time(2, 30)), datetime.combine(day, time(12), ZoneInfo("America/New_York")))
        assert found.date == day
        assert timedelta(hours=23) <= found.end - found.start <= timedelta(hours=25)


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(ZoneInfoNotFoundError):
        trading_day(account("Mars/Olympus"), datetime(2026, 3, 2, tzinfo=UTC))


_zones = st.sampled_from(
    ["America/New_York", "Europe/Berlin", "Europe/London", "Asia/Hong_Kong", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia", "UTC"]
)


@given(
    zone=_zones,
    start=st.times().map(lambda at: at.replace(microsecond=0)),
    moment=st.integers(0, 6 * 365 * 86400).map(lambda seconds: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)),
)
def test_every_moment_lies_in_one_day_and_days_meet(zone: str, start: time, moment: datetime) -> None:
    where = account(zone, start)
    days = [trading_day(where, moment)]
    assert days[0].start <= moment < days[0].end
    for _ in range(3):
        days.append(trading_day(where, days[-1].end))
    for earlier, later in pairwise(days):
        assert earlier.end == later.start
        assert later.date == earlier.date + timedelta(days=1)
