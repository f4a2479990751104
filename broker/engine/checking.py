"""The clock of the book: what has waited too long is refused or doubted, and book and broker are compared again and again.

The rule kept here: there is one way back. Whatever asked for it (a new connection, 1101, 1102, a doubtful order, the passing of time), the
gateway is asked, the answer is reconciled, and only a complete answer makes READY.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from broker.engine.situation import Own, Posted, Situation, rung
from orders import losses, outbox, recovery
from orders.errors import GatewayUnavailable
from orders.intake import Reconciled
from orders.recovery import Comparison
from orders.rules.reports import OpenOrderReported, Question, Report, Snapshot
from orders.rules.terms import GatewayState

log = logging.getLogger(__name__)

HOUSEKEEPING_SECONDS = 2.0
OPEN_ORDERS_SECONDS, POSITIONS_SECONDS = 10.0, 30.0
DIFFERING_SECONDS = 15.0  # between lists of positions while one of them is not explained
ASKED_AGAIN_SECONDS = 2.0  # at the least between two snapshots
ABSENCE_SECONDS = 10.5  # absence counts in two complete snapshots at least 10 s apart
LONGEST_DOUBT_SECONDS = 60.0  # between snapshots for the sake of orders that a person will have to settle
IN_FLIGHT_SECONDS = 2.0
LOSSES_SECONDS = 5.0
ALARM_SECONDS = 30.0
MOST_ORDER_ID = 1_000_000_000
EVERYTHING = frozenset(Question)


class Checking:
    """The task that keeps house and compares."""

    def __init__(self, situation: Situation) -> None:
        self._here = situation
        now = situation.monotonic()
        self._kept_house_at = self._watched_losses_at = float("-inf")
        self._asked_at = {Question.OPEN_ORDERS: now, Question.POSITIONS: now}
        self._last_snapshot_at = float("-inf")
        self._everything_at: float | None = None
        self._doubt_seconds = ABSENCE_SECONDS
        self._doubts = (0, 0)
        self._silent_executions = 0
        self._way = 0  # the number of the way back that was looked at last
        self._begun_at = now
        self._positions_seconds = POSITIONS_SECONDS
        self._way_back: Comparison | None = None
        self._is_told = False  # whether this way back has had all its answers
        self._warning = ""

    async def run(self) -> None:
        """Keeps house every two seconds, watches over losses, and compares when it is due or asked for, until the engine ends."""
        here = self._here
        while True:
            await rung(here.check_bell, 0.5)
            if here.monotonic() - self._kept_house_at >= HOUSEKEEPING_SECONDS:
                self._kept_house_at = here.monotonic()
                await self._keep_house()
            if here.monotonic() - self._watched_losses_at >= LOSSES_SECONDS:
                self._watched_losses_at = here.monotonic()
                await here.book(losses.watch, here.now, here.fence)
            if here.state.may_cancel and here.connector.is_connected:
                await self._compare()
                self._open()

    async def _keep_house(self) -> None:
        here = self._here
        link_lost = not here.state.may_cancel
        reports: Sequence[Report] = await here.book(outbox.housekeeping, fence=here.fence, now=here.now, link_lost=link_lost)
        if reports:
            here.connector.inbox.put(Own(tuple(reports)), must_fit=True)
            here.ask(Question)
        if here.connector.is_connected and here.connector.unanswered(IN_FLIGHT_SECONDS):
            here.ask({Question.OPEN_ORDERS, Question.EXECUTIONS})

    # --- comparing --------------------------------------------------------------------------------------------------------------------

    async def _compare(self) -> None:
        """Takes the snapshot that is due, if one is, and reconciles."""
        here = self._here
        if here.monotonic() - self._last_snapshot_at < ASKED_AGAIN_SECONDS and not self._just_connected():
            return
        questions = self._due()
        if not questions:
            return
        epoch = here.epoch
        here.to_check -= questions
        comparison = await self._begin(questions)
        try:
            snapshot = await here.connector.questions.snapshot(questions)
        except (ConnectionError, GatewayUnavailable):
            return  # the next connection begins with a reconciliation
        finally:
            self._last_snapshot_at = here.monotonic()
        self._asked_at.update(dict.fromkeys(snapshot.complete, self._last_snapshot_at))
        result, agree = await self._settled(snapshot)
        comparison.fills |= set(result.fills)
        comparison.external |= set(result.external)
        if here.epoch == epoch:
            self._judge(snapshot, agree)
            self._open()
            await self._certify(comparison, questions <= snapshot.complete, result)
        here.ask(result.ask)
        self._positions_seconds = DIFFERING_SECONDS if result.positions.differing else POSITIONS_SECONDS
        self._schedule_doubts(result, whole=questions == EVERYTHING)
        if questions - snapshot.complete:  # what was not told is asked again, patiently: some gateways never end a list
            self._everything_at = min(self._everything_at or float("inf"), self._last_snapshot_at + LONGEST_DOUBT_SECONDS)

    async def _begin(self, questions: frozenset[Question]) -> Comparison:
        """What is in doubt before the broker is asked. A way back is one comparison, however many snapshots it takes."""
        here = self._here
        if here.state is not GatewayState.RECONCILING or self._is_told:
            asked = "everything" if questions == EVERYTHING else ", ".join(sorted(questions))
            return await here.book(recovery.begin, f"A check of {asked}", here.now)
        if self._way_back is None:
            self._way_back = await here.book(recovery.begin, here.way_back, here.now, way_back=True)
        self._way_back.reason = here.way_back
        return self._way_back

    async def _certify(self, comparison: Comparison, complete: bool, result: Reconciled) -> None:
        """A certificate of every way back that led to READY, and of every other check that told the book something.

        `complete`: every list that was asked for was told to its end.
        """
        here = self._here
        is_way_back = comparison is self._way_back
        if self._is_told if is_way_back else result.found:
            await here.book(recovery.certify, comparison, complete=complete, now=here.now, fence=here.fence)
            if is_way_back:
                self._way_back = None

    def _just_connected(self) -> bool:
        return self._here.state is GatewayState.RECONCILING and self._way != self._here.ways_back

    def _due(self) -> frozenset[Question]:
        here, now = self._here, self._here.monotonic()
        if here.state is GatewayState.RECONCILING:
            if self._way != here.ways_back:
                self._way, self._begun_at, self._silent_executions, self._is_told = here.ways_back, now, 0, False
            if not self._is_told:
                return EVERYTHING
        if self._everything_at is not None and now >= self._everything_at:
            return EVERYTHING
        due = set(here.to_check)
        if now - self._asked_at[Question.OPEN_ORDERS] >= OPEN_ORDERS_SECONDS:
            due.add(Question.OPEN_ORDERS)
        if now - self._asked_at[Question.POSITIONS] >= self._positions_seconds:
            due.add(Question.POSITIONS)
        return frozenset(due)

    async def _settled(self, snapshot: Snapshot) -> tuple[Reconciled, bool]:
        """Sends the snapshot into the book at its place among the reports, and waits for what became of it.

        At once: whatever is heard after a list and entered before it would be undone by it.
        """
        here = self._here
        settled: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        here.connector.inbox.put(Posted(replace(snapshot, accounts=here.accounts), settled), must_fit=True)
        highest = max((r.key.ib_order_id for r in snapshot.reports if isinstance(r, OpenOrderReported)), default=0)
        if 0 < highest < MOST_ORDER_ID:  # an id of another client counts too, once we have seen it (IB: code 103)
            await here.book(outbox.raise_order_id_mark, highest, here.now)
        return await settled

    def _judge(self, snapshot: Snapshot, agree: bool) -> None:
        """The way back is done with open orders and positions told whole, and executions too, or left out twice while positions agree."""
        here = self._here
        if here.state is not GatewayState.RECONCILING or self._way != here.ways_back or self._is_told:
            return
        missing = EVERYTHING - snapshot.complete - {Question.COMPLETED_ORDERS}
        if missing == {Question.EXECUTIONS}:
            self._silent_executions += 1
            if self._silent_executions >= 2 and agree:
                self._is_told, self._warning = True, "The gateway does not answer for executions; the positions agree."
                return
        if not missing:
            self._is_told, self._warning = True, ""
            return
        words = f"The gateway has not told all of its {', '.join(sorted(missing))}."
        if here.monotonic() - self._begun_at >= ALARM_SECONDS:
            words = f"ALARM: {words} It has been asked for more than {ALARM_SECONDS:.0f} s; no order goes out."
            if here.reason != words:
                log.error(words)
        here.change(GatewayState.RECONCILING, words)

    def _open(self) -> None:
        """READY once the way back is done, unless something keeps new orders in: then that is shown, and cancels go all the same."""
        here = self._here
        if here.state is not GatewayState.RECONCILING or self._way != here.ways_back or not self._is_told:
            return
        if not here.denied:
            here.change(GatewayState.READY, self._warning)
        elif here.reason != (reason := " ".join(here.denied.values())):
            here.change(GatewayState.RECONCILING, reason)

    def _schedule_doubts(self, result: Reconciled, *, whole: bool) -> None:
        """Orders that the broker does not know are looked for again, ever less often while nothing changes."""
        now, doubts = self._here.monotonic(), (result.unknown, result.absent)
        if not any(doubts):
            if whole:  # a list of open orders alone tells nothing of absence: a second look that is due stays due
                self._everything_at, self._doubts = None, doubts
        elif whole:
            grow = doubts == self._doubts
            self._doubt_seconds = min(self._doubt_seconds * 1.5, LONGEST_DOUBT_SECONDS) if grow else ABSENCE_SECONDS
            self._everything_at, self._doubts = now + self._doubt_seconds, doubts
        elif self._everything_at is None:
            self._everything_at, self._doubt_seconds = now + ABSENCE_SECONDS, ABSENCE_SECONDS
