"""Named places in the code where a drill may kill the process: what follows shows whether anything was lost or done twice.

The rule it keeps: nothing happens unless DESKBOOK_CRASH_AT names the place, as `name` or `name:N` for the N-th time it is reached, and
nothing ever happens where the book belongs to a gateway of real money.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable

from django.core.exceptions import ImproperlyConfigured

log = logging.getLogger(__name__)

NAMES = frozenset(
    {
        # A request of a user (any verb), in the process that serves it
        "submit.before_write",  # nothing is in the book
        "submit.before_commit",  # everything is written, and will be rolled back
        "submit.after_commit",  # it stands, and nobody was told
        "sweep.before_part",  # a kill switch or flattening is in the book, and so are its earlier parts
        "after_commit_before_publish",  # any change of the book, in any process: it stands, and no bell was rung
        # A new order, in the worker
        "worker.start",
        "worker.before_claim",  # there is work in the outbox
        "worker.after_commit_before_send",  # claimed and committed; not a byte was written
        "worker.after_place",  # the write of a whole unit returned; its note is not in the book
        "worker.after_ack_before_commit",  # the broker's first answer to it is read, and will be rolled back
        "bracket.after_parent",  # within the burst of a family: the entry is written, its exits are not
        "bracket.after_first_child",
        "exec.before_commit",  # an execution is read, and will be rolled back
        # A cancel and a change, in the worker
        "cancel.before_send",
        "cancel.after_send",
        "cancel.after_ack",  # the broker's answer is read, and will be rolled back
        "modify.before_send",
        "modify.after_send",
        "modify.after_ack",
        # What the worker does besides
        "snapshot.between_parts",  # before each transaction of a reconciliation
        "lease.after_acquire",
        "lease.after_renew",
    }
)


def die(name: str) -> None:
    """Ends this process as a power cut would (SIGKILL), unless the book is one of real money or cannot be asked."""
    if (held_back := _held_back()) is not None:
        log.error("The crash point %s is held back: %s.", name, held_back)
        return
    log.critical("The crash point %s is reached: this process is killed.", name)
    for handler in logging.getLogger().handlers:
        handler.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGKILL)


action: Callable[[str], None] = die
"""What is done at the place; a simulation of several lives in one process raises an exception of its own instead."""

_lock = threading.Lock()
_armed: str | None = None
_left = 0


def arm(where: str) -> None:
    """Arms the place that `name` or `name:N` names; "" disarms. Raises ImproperlyConfigured for what names none."""
    global _armed, _left
    name, colon, count = where.partition(":")
    if where and name not in NAMES:
        raise ImproperlyConfigured(f"DESKBOOK_CRASH_AT={where}: there is no such place. Use one of {', '.join(sorted(NAMES))}.")
    if colon and not re.fullmatch(r"[1-9]\d{0,5}", count, re.ASCII):
        raise ImproperlyConfigured(f"DESKBOOK_CRASH_AT={where}: after the colon goes which time it is reached, 1 or more, as in {name}:2.")
    with _lock:
        _armed, _left = name or None, int(count or 1)
    if name:
        log.warning("This process will be killed at %s (DESKBOOK_CRASH_AT); it is a drill, for simulated and paper books only.", where)


def armed() -> str | None:
    """The name of the armed place, or None."""
    return _armed


def reach(name: str) -> None:
    """Says that this place is reached: does nothing, unless it is the armed one and this is the time."""
    if _armed is None:
        return
    global _left
    assert name in NAMES, f"{name} is not one of the places"
    with _lock:
        if name != _armed:
            return
        _left -= 1
        due = _left == 0
    if due:
        action(name)


def _held_back() -> str | None:
    """Why this book allows no drill, or None. Asked in a thread of its own: the place may be in an event loop or in a transaction."""
    answers: list[str | None] = []
    thread = threading.Thread(target=lambda: answers.append(_reason()), name="crash point")
    thread.start()
    thread.join()
    return answers[0]


def _reason() -> str | None:
    from django.db import connection

    from orders.models import Book
    from orders.rules.terms import BookKind

    try:
        kind = Book.objects.values_list("kind", flat=True).get(pk=1)
    except Exception as error:  # noqa: BLE001 - whatever the reason: without the book's word nothing is killed
        return f"the book cannot be asked whose it is ({error})"
    finally:
        connection.close()
    return "the book belongs to a live gateway" if kind == BookKind.LIVE else None
