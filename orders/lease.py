"""Who may trade: one worker at a time, by a lease of ten seconds with a fencing number that rises at every change of hands.

The rule it keeps: whoever writes for the broker names its fence, and a fence that is not the newest writes nothing. On PostgreSQL the time
is the database's, because the hosts of a desk may disagree; the embedded database has one host, and takes the caller's time.
"""

from __future__ import annotations

import os
import secrets
import socket
from contextlib import suppress
from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

from orders.book import book
from orders.crashpoints import reach
from orders.models import Lease
from orders.models.reading import the_one

NAME = "broker"
LIFE = timedelta(seconds=10)


class LeaseLost(Exception):
    """Another worker trades, or the lease ran out: send nothing, write nothing, start again from the beginning."""


def holder_name() -> str:
    """This process as a holder: "host:pid:chance". The host is told with its process namespace, where a pid means something."""
    host = socket.gethostname().replace(":", "-")
    with suppress(OSError):
        host += f"@{os.stat('/proc/self/ns/pid').st_ino}"
    return f"{host}:{os.getpid()}:{secrets.token_hex(4)}"


def acquire(holder: str, now: datetime) -> int | None:
    """Takes the lease for `holder` and gives its fence; None while another holds it.

    A lease that has run out, was released, or belongs to a dead process of this host is taken over at once.
    """
    with book(at=now):
        moment = _moment(now)
        row, _ = Lease.objects.select_for_update().get_or_create(name=NAME)
        held = row.holder and row.expires_at is not None and row.expires_at > moment
        if held and row.holder != holder and not _is_dead(row.holder):
            return None
        row.holder, row.fence = holder, row.fence + 1
        row.renewed_at, row.expires_at = moment, moment + LIFE
        row.save()
    reach("lease.after_acquire")
    fence: int = row.fence
    return fence


def renew(holder: str, fence: int, now: datetime) -> bool:
    """Extends the lease; False where it is lost. One that ran out is renewed if nobody took it meanwhile."""
    with book(at=now):
        moment = _moment(now)
        mine = Lease.objects.filter(name=NAME, holder=holder, fence=fence)
        renewed = mine.update(renewed_at=moment, expires_at=moment + LIFE) == 1
    reach("lease.after_renew")
    return renewed


def release(holder: str, fence: int) -> None:
    """Gives the lease back, so that the next worker need not wait for its end. Does nothing where it is lost already."""
    with book(at=timezone.now()):
        Lease.objects.filter(name=NAME, holder=holder, fence=fence).update(holder="", expires_at=None)


def check(fence: int, now: datetime | None = None) -> None:
    """Raises `LeaseLost` unless `fence` is the newest and held; with `now`, also where it has run out. Call it inside `book()`."""
    row = the_one(Lease.objects.select_for_update().filter(name=NAME))
    if row is None or row.fence != fence or not row.holder:
        raise LeaseLost(f"fence {fence} is not the one that trades")
    if now is not None and (row.expires_at is None or row.expires_at <= _moment(now)):
        raise LeaseLost(f"the lease of fence {fence} has run out")


def _moment(now: datetime) -> datetime:
    if connection.vendor != "postgresql":
        return now
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
        return moment


def _is_dead(holder: str) -> bool:
    """Whether the holder was a process of this host that is gone. Anything that cannot be told counts as alive: its lease runs out."""
    host, _, rest = holder.partition(":")
    pid = rest.partition(":")[0]
    if host != holder_name().partition(":")[0] or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False
