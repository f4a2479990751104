"""What the engine's tasks share: the way into the book, the state of the gateway, the lease, and what is to be asked.

The rule kept here: the state changes at once in memory, where the next write looks, and reaches the book in order with the reports. Every
step into a state in which nothing may be written starts a new epoch; what was claimed in an older one is not written.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError

from broker.connector import IBKRConnector
from orders import lease
from orders.rules.reports import GatewayChanged, Question, Report, Snapshot
from orders.rules.terms import GatewayState

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
SELF_FENCE_SECONDS = 7.0  # of the lease's ten: after this we do not trust it without a renewal that was committed

T = TypeVar("T")
RunInBook = Callable[..., Awaitable[Any]]


@dataclass(frozen=True)
class Own:
    """Reports that are our own conclusions, not words of the broker."""

    reports: tuple[Report, ...]


@dataclass(frozen=True)
class Posted:
    """A snapshot on its way into the book, at its place among the reports; `settled` has what became of it."""

    snapshot: Snapshot
    settled: asyncio.Future[Any]


@dataclass
class Situation:
    """One engine's present. `run_in_book` runs a whole synchronous function against the database, one at a time, in the order of asking."""

    connector: IBKRConnector
    clock: Callable[[], datetime]
    run_in_book: RunInBook
    holder: str
    allow_live: frozenset[str] = frozenset()
    monotonic: Callable[[], float] = time.monotonic
    fence: int = 0
    renewed_at: float = float("-inf")
    state: GatewayState = GatewayState.DOWN
    reason: str = ""
    way_back: str = ""  # why the reconciliation under way, or the last one, was begun
    epoch: int = 0
    server_version: int | None = None
    latency_ms: int | None = None
    accounts: tuple[str, ...] = ()
    held: dict[tuple[str, int], bool] = field(default_factory=dict)  # (account, con_id) of every position that is not flat
    stopping: bool = False
    bell: asyncio.Event = field(default_factory=asyncio.Event)
    inquiry_bell: asyncio.Event = field(default_factory=asyncio.Event)
    lines_bell: asyncio.Event = field(default_factory=asyncio.Event)
    to_check: set[Question] = field(default_factory=set)
    check_bell: asyncio.Event = field(default_factory=asyncio.Event)
    _broken: dict[str, str] = field(default_factory=dict)
    _book_fails: bool = False

    @property
    def now(self) -> datetime:
        return self.clock()

    async def book(self, function: Callable[..., T], *args: Any, **named: Any) -> T:
        """Runs a function against the book, and again where the database failed: what is entered by this door may be entered twice.

        Meanwhile nothing is claimed or written, because the lease cannot be renewed; when the database is back, the lease decides.
        """
        while True:
            try:
                result: T = await self.run_in_book(function, *args, **named)
            except (OperationalError, InterfaceError):
                if not self._book_fails:
                    log.exception("The book cannot be written; what was heard waits, and nothing is sent.")
                self._book_fails = True
                await asyncio.sleep(RETRY_SECONDS)
            else:
                if self._book_fails:
                    log.warning("The book can be written again.")
                self._book_fails = False
                return result

    # --- the state of the gateway -----------------------------------------------------------------------------------------------------

    def change(self, state: GatewayState, reason: str = "") -> None:
        """Steps into a state, at once for the next write and in order for the book."""
        if not state.may_cancel and self.state.may_cancel:
            self.epoch += 1
        if state in (GatewayState.DOWN, GatewayState.CONNECTING):
            self._broken.clear()
        if (state, reason) != (self.state, self.reason):
            log.info("Gateway %s: %s%s", self.connector.address, state, f", {reason}" if reason else "")
        self.state, self.reason = state, reason
        self.tell()
        self.bell.set()
        self.lines_bell.set()

    def tell(self) -> None:
        """Puts the present state on its way into the book; also the sign of life that the screens go by."""
        changed = GatewayChanged(self.state, self.reason, self.server_version, self.latency_ms)
        self.connector.inbox.put(changed, must_fit=True)

    def break_off(self, what: str, reason: str) -> None:
        """Something between us and IB does not work: nothing is sent until it is mended."""
        self._broken[what] = reason
        if self.state in (GatewayState.READY, GatewayState.RECONCILING):
            self.change(GatewayState.DEGRADED, reason)

    def mend(self, *what: str, way_back: str) -> None:
        """It works again; once all of it does, the way back is a reconciliation, as after a new connection."""
        for name in what:
            self._broken.pop(name, None)
        if self.state is GatewayState.DEGRADED and not self._broken:
            self.reconcile("the connection is back", way_back)

    def reconcile(self, reason: str, way_back: str) -> None:
        """The one way back: asks for everything, and nothing new goes out until the answers are in the book.

        `way_back` says why, for the certificate.
        """
        if self.state is GatewayState.DOWN:
            return
        if self._broken:  # said while we were connecting
            self.change(GatewayState.DEGRADED, next(iter(self._broken.values())))
            return
        if self.state.may_place:
            self.epoch += 1
        self.way_back = way_back
        self.change(GatewayState.RECONCILING, reason)
        self.ask(Question)

    def ask(self, questions: Iterable[Question]) -> None:
        """These parts are worth asking again, soon."""
        self.to_check |= set(questions)
        if self.to_check:
            self.check_bell.set()

    # --- the lease --------------------------------------------------------------------------------------------------------------------

    def may_send(self, fence: int) -> bool:
        """The last look before a write: this fence is ours, and the lease was renewed a moment ago by a clock that nobody can set."""
        return fence == self.fence and self.monotonic() - self.renewed_at < SELF_FENCE_SECONDS

    def renewed(self, at: float) -> None:
        """A renewal that reached the database after this moment is committed: the lease is at least this young."""
        self.renewed_at = max(self.renewed_at, at)

    def renew(self) -> float:
        """Renews the lease; to be run in the book. Gives the moment, taken there: before it, the call may have waited for its turn.

        Raises LeaseLost where another has the lease.
        """
        at = self.monotonic()
        if not lease.renew(self.holder, self.fence, self.now):
            raise lease.LeaseLost("another worker holds the lease")
        return at


async def rung(bell: asyncio.Event, seconds: float) -> bool:
    """Waits for a bell, at most so long; True where it rang. Whoever waits also polls, because bells may be lost."""
    try:
        async with asyncio.timeout(seconds):
            await bell.wait()
    except TimeoutError:
        return False
    finally:
        bell.clear()
    return True
