"""The outbox's way to the gateway: claim, commit, then write.

The rule kept here: nothing is written that was not claimed and committed first, and nothing that was claimed under another state of the
connection. What could not be written whole is not known, and is said so; nothing is ever written twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from django.db import InterfaceError, OperationalError

from broker.connector import HalfWritten, NotWritten
from broker.engine.situation import Own, Situation, rung
from broker.pacing import Kept
from orders import outbox
from orders.crashpoints import reach
from orders.rules.commands import CancelOrder, ModifyOrder, PlaceOrder, Unit
from orders.rules.reports import Question, Report
from orders.rules.terms import GatewayState

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
RENEWAL_SECONDS = 2.5
_CRASH_POINTS = {
    # before a unit of these is written, and after the write returned
    PlaceOrder: ("worker.after_commit_before_send", "worker.after_place"),
    ModifyOrder: ("modify.before_send", "modify.after_send"),
    CancelOrder: ("cancel.before_send", "cancel.after_send"),
}
QUIET_SECONDS = 5.0  # after so long without a byte from the gateway it is asked whether it lives, before it is sent an order


class Sending:
    """The task that empties the outbox. `alive` asks the gateway whether it answers."""

    def __init__(self, situation: Situation, alive: Callable[[], Awaitable[bool]]) -> None:
        self._here = situation
        self._alive = alive

    async def run(self) -> None:
        """Sends what may be sent, on the bell and every second, until the engine stops; then ends by itself, between two claims."""
        here = self._here
        while not here.stopping:
            await rung(here.bell, POLL_SECONDS)
            try:
                while not here.stopping and await self._send_some():
                    pass
            except (OperationalError, InterfaceError):
                # A claim may have been committed all the same; what it took is doubtful and is not written.
                log.exception("The outbox could not be read.")
                await asyncio.sleep(POLL_SECONDS)
                await self._recover()

    async def _send_some(self) -> bool:
        """One claim and what it took. True where there may be more."""
        here = self._here
        if not here.state.may_cancel or (here.connector.silence > QUIET_SECONDS and not await self._alive()):
            return False
        state, room = here.state, here.connector.room(Kept.ORDER)
        if room < 1:  # the rest of the window is kept for cancels
            state, room = GatewayState.RECONCILING, here.connector.room(Kept.CANCEL)
        if room < 1:
            await asyncio.sleep(max(here.connector.pacer.seconds_until(1, Kept.CANCEL), 0.01))
            return not here.stopping
        with here.connector.pacer.reserved(room):
            if await self._claim_and_write(state, room):
                return True
        if state is not here.state and here.state.may_place:  # only cancels were looked for
            await asyncio.sleep(here.connector.pacer.seconds_until(1, Kept.ORDER))
            return not here.stopping
        return False

    async def _claim_and_write(self, state: GatewayState, room: int) -> bool:
        here, epoch = self._here, self._here.epoch
        units, renewed_at = await here.run_in_book(self._claim, state, room)
        here.renewed(renewed_at)
        if units:
            await self._write(units, epoch)
        return bool(units)

    def _claim(self, state: GatewayState, room: int) -> tuple[list[Unit], float]:
        """Claims under a lease renewed just now, if there was no time to renew it for a while: what is claimed can then be written."""
        here = self._here
        old = here.monotonic() - here.renewed_at > RENEWAL_SECONDS
        renewed_at = here.renew() if old else here.renewed_at
        return outbox.claim(fence=here.fence, client_id=here.connector.client_id, state=state, room=room, now=here.now), renewed_at

    async def _write(self, units: Sequence[Unit], epoch: int) -> None:
        """Writes the units, each in one burst, and notes what became of them; the notes are in the book before any report about them."""
        here = self._here
        notes = [(unit, self._trouble(unit, epoch)) for unit in units]
        await here.book(_note, notes, here.now)
        if any(trouble for _, trouble in notes):
            here.ask(Question)

    def _trouble(self, unit: Unit, epoch: int) -> str:
        """Writes one unit; "" where all of it went out, else what kept it or broke it."""
        here = self._here
        cancels = all(isinstance(frame, CancelOrder) for frame in unit.frames)
        if here.epoch != epoch or not (here.state.may_cancel if cancels else here.state.may_place):
            return f"Not sent: the connection changed while it was prepared ({here.state}{here.reason and ', '}{here.reason})."
        before, after = _CRASH_POINTS[type(unit.frames[0])]
        reach(before)
        try:
            here.connector.send(unit)
        except NotWritten as error:
            return f"Not sent: {error}."
        except HalfWritten as error:
            return f"Not known whether it was sent: {error}."
        reach(after)
        return ""

    async def _recover(self) -> None:
        """Reports what a failed claim left in doubt. A lease that ran out meanwhile is renewed first, if nobody took it."""
        here = self._here

        def recover() -> tuple[list[Report], float]:
            renewed_at = here.renew()
            return outbox.recover(here.now, here.fence), renewed_at

        doubtful, renewed_at = await here.book(recover)
        here.renewed(renewed_at)
        here.connector.inbox.put(Own(tuple(doubtful)), must_fit=True)
        here.ask(Question)


def _note(notes: Sequence[tuple[Unit, str]], now: datetime) -> None:
    for unit, trouble in notes:
        if trouble:
            log.warning("%s %s", ", ".join(frame.client_order_id for frame in unit.frames), trouble)
            outbox.unwritten(unit, trouble, now)
        else:
            outbox.written(unit, now)
