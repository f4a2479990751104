"""Getting connected and staying so: connects, binds the book, takes the state through CONNECTING and RECONCILING, and probes for life.

The rule kept here: an account of real money is touched only where its number is on the list; a client id in use is waited for, never
evaded; and a gateway that looks connected but does not answer gets no order.
"""

from __future__ import annotations

import asyncio
import logging
import random

from broker import errors
from broker.connector import ClientIdTaken, Connected
from broker.engine.situation import Own, Situation
from broker.requests import Unanswered
from orders import intake, outbox
from orders.errors import GatewayUnavailable, Refused
from orders.rules.reports import AccountsReported, Question
from orders.rules.terms import BookKind, GatewayState

log = logging.getLogger(__name__)

SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
CLIENT_ID_PAUSE = 5.0  # TWS holds a dead connection's client id for some seconds
REFUSED_PAUSE = 30.0  # a wrong gateway stays wrong until a person changes it
PROBE_SECONDS, PROBE_PATIENCE = 10.0, 4.0
SILENCE_SECONDS = 4.0  # after so long without a byte the probe does not wait for its turn
MISSES_UNTIL_DROPPED = 5


class Connection:
    """The two tasks that keep the connection."""

    def __init__(self, situation: Situation) -> None:
        self._here = situation
        self._pause = SHORTEST_PAUSE
        self._way_back = "The desk was started"
        situation.connector.on_notice = self._noticed
        situation.connector.on_trouble = self._unreadable

    async def keep(self) -> None:
        """Connects, and connects again, until the engine ends."""
        here = self._here
        while True:
            try:
                here.change(GatewayState.CONNECTING, here.reason)
                await self._connect()
                cause = await here.connector.lost()
                self._way_back = f"A new connection, after: {cause}"
                if here.state is GatewayState.READY:
                    self._pause = SHORTEST_PAUSE
                pause = self._next_pause()
            except ClientIdTaken as error:
                cause, pause = str(error), CLIENT_ID_PAUSE
            except Refused as error:
                cause, pause = error.message, REFUSED_PAUSE
            except (GatewayUnavailable, ConnectionError) as error:
                cause, pause = str(error), self._next_pause()
            except Unanswered:
                cause, pause = "the gateway took the connection and does not answer", self._next_pause()
            here.change(GatewayState.DOWN, cause)
            await here.connector.disconnect()
            await asyncio.sleep(pause)

    def _next_pause(self) -> float:
        pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE)
        return pause * random.uniform(0.75, 1.25)  # noqa: S311 - so that several clients do not come back at the same moment

    async def _connect(self) -> None:
        here = self._here
        connected = await here.connector.connect()
        self._refuse_live(connected)
        await here.book(intake.bind, connected.kind, connected.accounts, here.now)
        await here.book(outbox.raise_order_id_mark, connected.next_order_id - 1, here.now)
        here.accounts, here.server_version = connected.accounts, connected.server_version
        here.held.clear()
        here.connector.inbox.put(AccountsReported(connected.accounts), must_fit=True)
        doubtful = await here.book(outbox.recover, here.now, here.fence)
        here.connector.inbox.put(Own(tuple(doubtful)), must_fit=True)
        if here.connector.is_connected:
            here.reconcile("", self._way_back)

    def _refuse_live(self, connected: Connected) -> None:
        """Raises Refused for real money unless every account of the login was listed by whoever runs the desk."""
        missing = sorted(set(connected.accounts) - self._here.allow_live)
        if connected.kind is BookKind.LIVE and missing:
            shown = ", ".join(f"{code[:2]}…{code[-3:]}" for code in missing)  # everybody who signs in sees this text
            raise Refused(
                "LIVE_ACCOUNT",
                f"This gateway trades real money (account {shown}). To allow it, list every account of the login in "
                "DESKBOOK_ALLOW_LIVE and start the desk again.",
            )

    # --- what the gateway says about itself -------------------------------------------------------------------------------------------

    def _noticed(self, code: int, text: str) -> None:
        """A message about the connection; the state follows at once, because the next write looks at it."""
        here = self._here
        match errors.link(code):
            case errors.Link.LOST:
                here.break_off(str(code), f"{text} (code {code})")
            case errors.Link.RESTORED_WITHOUT_DATA:
                if here.connector.is_connected:
                    here.connector.lines.forget()
                self._restored(code, text)
            case errors.Link.RESTORED:
                self._restored(code, text)
            case errors.Link.FARM_OK:
                here.mend("2110", way_back=_again(code))  # it ends without a 1101 or 1102: the farms come back
            case errors.Link.RESET:
                log.warning("The gateway resets its API port: %s", text)
            case errors.Link.TOO_FAST:
                log.error("The gateway was sent more messages than it takes: %s", text)
            case _:
                log.info("Gateway message %s: %s", code, text)

    def _restored(self, code: int, text: str) -> None:
        """1101 and 1102 alike: what happened in between may never be pushed."""
        here = self._here
        if here.state is GatewayState.DEGRADED:
            here.mend("1100", "2110", way_back=_again(code))
        elif here.state in (GatewayState.READY, GatewayState.RECONCILING):
            here.reconcile(text, _again(code))

    def _unreadable(self, text: str) -> None:
        """A message was lost to us: whatever it said is found by asking."""
        log.debug("A message of the gateway could not be read: %s", text)  # the decoder's log has the first of them in full
        self._here.ask(Question)

    # --- the probe --------------------------------------------------------------------------------------------------------------------

    async def probe(self) -> None:
        """Asks for the time every ten seconds, sooner where nothing is heard; the answer is the sign of life on the screens."""
        here, misses, asked_at = self._here, 0, float("-inf")
        while True:
            await asyncio.sleep(1.0)
            connected = here.connector.is_connected and here.state is not GatewayState.CONNECTING
            due = here.monotonic() - asked_at >= PROBE_SECONDS or here.connector.silence >= SILENCE_SECONDS
            if not connected:
                misses = 0
                if due:
                    asked_at = here.monotonic()
                    here.tell()
            elif due:
                asked_at = here.monotonic()
                misses = 0 if await self.alive() else misses + 1
                if misses >= MISSES_UNTIL_DROPPED:
                    log.error("The gateway has not answered %s times; the connection is made anew.", misses)
                    await here.connector.disconnect()

    async def alive(self) -> bool:
        """Whether the gateway answers now."""
        here = self._here
        started = here.monotonic()
        try:
            await here.connector.questions.current_time(PROBE_PATIENCE)
        except (Unanswered, GatewayUnavailable, ConnectionError):
            if here.connector.is_connected:
                here.break_off("probe", "the gateway does not answer")
            return False
        here.latency_ms = round((here.monotonic() - started) * 1000)
        here.mend("probe", way_back="The gateway answers again")
        here.tell()
        return True


def _again(code: int) -> str:
    return f"The gateway has its own connection to IB again ({code})"
