"""The reports' way into the book: the single writer of what the broker says.

The rule kept here: reports enter in the order of hearing. Those that wait together go in one transaction; a change of state and a snapshot
keep their place among them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from broker.engine.situation import Own, Posted, Situation
from orders import intake
from orders.holdings import Sums
from orders.models import Position
from orders.models.book import Source
from orders.rules.reports import GatewayChanged, PositionReported, Question, Report, Snapshot

log = logging.getLogger(__name__)

RENEWAL_SECONDS = 2.5
MOST_AT_ONCE = 25  # reports in one transaction: while they are written nobody else can write, and the lease is not renewed


class Hearing:
    """The task that empties the inbox."""

    def __init__(self, situation: Situation) -> None:
        self._here = situation
        self._sums = Sums()

    async def run(self) -> None:
        """Applies what arrives, until the engine ends."""
        inbox = self._here.connector.inbox
        while True:
            await inbox.arrived()
            for kind, items in groupby(inbox.take(MOST_AT_ONCE), key=_kind):
                await self._enter(kind, list(items))
            inbox.done()
            if inbox.overflowed:
                inbox.overflowed = False
                log.error("More reports came than fit into the inbox; everything is asked for again.")
                self._here.ask(Question)

    async def _enter(self, kind: type, items: list[Any]) -> None:
        here = self._here
        if kind is GatewayChanged:
            # Only the newest matters: a state that has passed already is of no use to anybody.
            await here.book(intake.gateway, items[-1], here.now, here.connector.address, here.connector.client_id)
        elif kind is Posted:
            for item in items:
                await self._settle(item)
        elif kind is Own:
            await self._apply([report for item in items for report in item.reports], Source.SYSTEM)
        else:
            await self._apply(items, Source.BROKER)

    async def _apply(self, reports: Sequence[Report], source: Source) -> None:
        here = self._here
        if not reports:
            return
        self._hold(reports)
        outcome = await here.book(intake.apply, reports, now=here.now, client_id=here.connector.client_id, fence=here.fence, source=source)
        here.ask(Question(question) for question in outcome.ask)
        here.bell.set()  # what waited for an order's end may go now

    async def _settle(self, posted: Posted) -> None:
        here = self._here
        self._hold(posted.snapshot.reports)
        named = {"now": here.now, "fence": here.fence, "before_each": self._keep_lease, "sums": self._sums}
        result = await here.book(_settle, posted.snapshot, **named)
        here.bell.set()
        if not posted.settled.done():
            posted.settled.set_result(result)

    def _keep_lease(self) -> None:
        """Renews an ageing lease between two parts of a snapshot, in the book's thread: nobody else gets at it meanwhile."""
        here = self._here
        if here.monotonic() - here.renewed_at > RENEWAL_SECONDS:
            here.renewed(here.renew())

    def _hold(self, reports: Iterable[Report]) -> None:
        """Keeps in mind what is held, for the profit and loss lines."""
        for report in reports:
            if isinstance(report, PositionReported):
                name = (report.account, report.contract.con_id)
                if report.quantity:
                    self._here.held[name] = True
                else:
                    self._here.held.pop(name, None)


def _kind(item: Any) -> type:
    return type(item) if isinstance(item, GatewayChanged | Posted | Own) else object


def _settle(snapshot: Snapshot, **named: Any) -> tuple[Any, bool]:
    """Reconciles the book with a snapshot; with the result, whether the positions were the same before."""
    agree = _positions_agree(snapshot)
    return intake.reconcile(snapshot, **named), agree


def _positions_agree(snapshot: Snapshot) -> bool:
    """Whether the book holds exactly what the broker says is held."""
    if Question.POSITIONS not in snapshot.complete:
        return False
    told = {
        (report.account, report.contract.con_id): report.quantity
        for report in snapshot.reports
        if isinstance(report, PositionReported) and report.quantity
    }
    rows = Position.objects.filter(account__code__in=snapshot.accounts).exclude(quantity=0)
    rows = rows.values_list("account__code", "contract__con_id", "quantity")
    return told == {(account, con_id): quantity for account, con_id, quantity in rows}
