"""The connection to one IB gateway: claimed units go out, what is heard goes into the inbox. The only module that builds an ib_async.IB.

The rule kept here: no claim, no send. The seven methods of the seed are the only writers of orders; behind each stands one `_send`, which
writes a claimed unit in one burst, without an await between its frames, or nothing of it. Nothing is ever queued in ib_async: its
throttle, which keeps what is above 45 messages a second in memory and loses it with the socket, is off, and our own pacer says what may be
written.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import ib_async

from broker.inbox import Figures, Inbox
from broker.lines import Lines
from broker.listening import Listener
from broker.pacing import Kept, Pacer
from broker.questions import PATIENCE, Questions
from broker.requests import FIRST_REQUEST_ID, Requests
from broker.translate import ib_contract, ib_order
from orders.crashpoints import reach
from orders.errors import GatewayUnavailable
from orders.rules.commands import CancelOrder, Frame, ModifyOrder, Unit
from orders.rules.reports import OpenOrderReported, PositionReported, Question
from orders.rules.terms import BookKind

log = logging.getLogger(__name__)

HANDSHAKE_SECONDS = 15.0
LARGEST_BACKLOG = 64 * 1024  # bytes that the gateway has not read; above it nothing more is claimed
_LENGTH = struct.Struct(">I")
LARGEST_MESSAGE = 16 * 1024 * 1024  # no message of IB's is near this; a longer one is a broken stream
LIVE_PORTS = frozenset({4001, 7496})


class ClientIdTaken(GatewayUnavailable):
    """Code 326: another connection uses our client id. Never taken as a reason to use another one: ids own their orders."""


class NotWritten(Exception):
    """Not a single frame of a unit was written; the text says why."""


class HalfWritten(Exception):
    """The connection broke under a unit: part of it may have left."""


@dataclass(frozen=True)
class Connected:
    """What a gateway says of itself at the start of a connection."""

    kind: BookKind
    accounts: tuple[str, ...]
    next_order_id: int
    server_version: int


@dataclass
class _Session:
    """One connection, from connect to its loss."""

    ib: ib_async.IB
    listener: Listener
    lines: Lines
    requests: Requests
    questions: Questions
    lost: asyncio.Event
    loss: str = ""
    heard_at: float = 0.0


class IBKRConnector:
    """One client of one gateway. `may_send` is asked last before every write: whether this fence still holds the lease."""

    def __init__(
        self,
        host: str,
        port: int,
        client_id: int,
        *,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
        patience: float = PATIENCE,
    ) -> None:
        """`patience`: seconds that a list may stand still before its question counts as unanswered."""
        self.host, self.port, self.client_id = host, port, client_id
        self._clock, self._monotonic, self._patience = clock, monotonic, patience
        self.inbox: Inbox[Any] = Inbox()
        self.figures = Figures()
        self.pacer = Pacer(monotonic)
        self.may_send: Callable[[int], bool] = lambda fence: False
        self.on_notice: Callable[[int, str], None] = lambda code, text: None
        self.on_trouble: Callable[[str], None] = lambda text: None
        self.on_read_only: Callable[[str], None] = lambda text: None
        self._session: _Session | None = None

    # --- the connection ---------------------------------------------------------------------------------------------------------------

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def is_connected(self) -> bool:
        return self._session is not None and not self._session.lost.is_set()

    @property
    def questions(self) -> Questions:
        """What may be asked. Raises GatewayUnavailable where nobody is connected."""
        return self._connected.questions

    @property
    def lines(self) -> Lines:
        return self._connected.lines

    @property
    def _connected(self) -> _Session:
        if self._session is None or self._session.lost.is_set():
            raise GatewayUnavailable("there is no connection to the gateway")
        return self._session

    @property
    def silence(self) -> float:
        """Seconds since anything at all was received; infinite where nobody is connected."""
        return self._monotonic() - self._session.heard_at if self._session is not None else float("inf")

    async def connect(self) -> Connected:
        """Connects and introduces ourselves. Raises ClientIdTaken, or GatewayUnavailable with the cause in words.

        Asks for the time once: what the gateway says at the start (its farms among it) has come before the answer.
        """
        await self.disconnect()
        session = self._session = self._new_session()
        try:
            await self._shake_hands(session)
            await session.questions.current_time(HANDSHAKE_SECONDS)
            if self.client_id == 0:  # the one id that may adopt the orders people enter in TWS
                await session.questions.paced()
                session.ib.client.reqAutoOpenOrders(True)
        except BaseException:
            await self.disconnect()
            raise
        listener = session.listener
        if listener.next_valid_id >= FIRST_REQUEST_ID:
            await self.disconnect()
            raise GatewayUnavailable(
                f"the gateway counts order ids from {listener.next_valid_id}, which runs into our request ids; "
                "reset them in its API settings (Reset API order ID sequence)"
            )
        return Connected(self._kind(listener), listener.accounts, listener.next_valid_id, session.ib.client.serverVersion())

    async def disconnect(self) -> None:
        """Closes the connection, if there is one."""
        session, self._session = self._session, None
        if session is None:
            return
        session.requests.abandon(ConnectionError("disconnected"))
        session.ib.client.disconnect()
        session.lines.client = None
        if session.ib.client.conn.isConnected():
            await asyncio.wait({asyncio.ensure_future(session.lost.wait())}, timeout=1.0)

    async def lost(self) -> str:
        """Returns when the connection is gone, with what is known of the cause."""
        session = self._session
        if session is None:
            return "disconnected"
        await session.lost.wait()
        return session.loss

    def _new_session(self) -> _Session:
        ib = ib_async.IB()
        ib.TimezoneTWS = "UTC"  # execution times without a zone: today's gateways send those in UTC, others name their zone
        ib.client.MaxRequests = 0  # no throttle, no queue in memory: the pacer decides before anything is written
        requests = Requests(self._monotonic)
        questions = Questions(ib.client, requests, self.pacer, self.client_id, self._clock, self._patience)
        lines = Lines(requests, self.figures, questions.paced, self._clock, self._monotonic, client=ib.client)
        listener = Listener(
            client_id=self.client_id,
            requests=requests,
            lines=lines,
            inbox=self.inbox,
            figures=self.figures,
            clock=self._clock,
            notice=lambda code, text: self.on_notice(code, text),
            broken=lambda text: self.on_trouble(text),
            read_only=lambda text: self.on_read_only(text),
        )
        questions.listener = listener
        session = _Session(ib, listener, lines, requests, questions, asyncio.Event(), heard_at=self._monotonic())
        listener.attach(ib)
        ib.client.conn.hasData.connect(lambda data: self._heard(session), keep_ref=True)
        ib.client.conn.hasData.error_event.connect(lambda event, error: self._drop(session, f"unreadable: {error!r}"), keep_ref=True)
        ib.client.conn.disconnected.connect(lambda text: self._gone(session, text), keep_ref=True)
        return session

    async def _shake_hands(self, session: _Session) -> None:
        client = session.ib.client
        connecting = asyncio.ensure_future(client.connectAsync(self.host, self.port, self.client_id, timeout=0))
        gone = asyncio.ensure_future(session.lost.wait())
        try:
            await asyncio.wait({connecting, gone}, timeout=HANDSHAKE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if connecting.done() and not gone.done():
                connecting.result()
                return
        except OSError as error:
            raise GatewayUnavailable(f"nothing answers at {self.address}: {error.strerror or error}") from error
        finally:
            for task in (connecting, gone):
                task.cancel()
            await asyncio.wait({connecting, gone})
        if session.listener.client_id_taken:
            raise ClientIdTaken(f"client id {self.client_id} is in use at {self.address}: is another worker alive? (code 326)")
        if session.lost.is_set():
            raise GatewayUnavailable(f"{self.address} closed the connection: {session.loss}")
        raise GatewayUnavailable(f"{self.address} took the connection and did not answer within {HANDSHAKE_SECONDS:g} s")

    def _kind(self, listener: Listener) -> BookKind:
        if listener.simulated:
            return BookKind.SIMULATED
        paper = self.port not in LIVE_PORTS and all(account.startswith("D") for account in listener.accounts)
        return BookKind.PAPER if paper else BookKind.LIVE

    def _heard(self, session: _Session) -> None:
        session.heard_at = self._monotonic()
        begun = session.ib.client._data  # from the length of a message on that is not whole yet
        if len(begun) >= _LENGTH.size and _LENGTH.unpack_from(begun)[0] > LARGEST_MESSAGE:
            self._drop(session, f"a message without an end, of {_LENGTH.unpack_from(begun)[0]} bytes")

    def _drop(self, session: _Session, cause: str) -> None:
        session.loss = session.loss or cause
        session.ib.client.disconnect()

    def _gone(self, session: _Session, text: str) -> None:
        session.loss = session.loss or text or "the gateway closed the connection"
        session.requests.abandon(ConnectionError(session.loss))
        session.lost.set()

    # --- sending: claimed units, nothing else -----------------------------------------------------------------------------------------

    def room(self, kept: int = Kept.ORDER) -> int:
        """How many order frames may be written now. 0 where the gateway does not read what it was sent."""
        return self.pacer.room(kept) if self._is_read() else 0

    def _is_read(self) -> bool:
        transport = self._session.ib.client.conn.transport if self.is_connected and self._session is not None else None
        return transport is not None and not transport.is_closing() and transport.get_write_buffer_size() <= LARGEST_BACKLOG

    def place_market_order(self, unit: Unit) -> None:
        """Writes an order that waits for no price (MKT, LMT, at the open or the close), with the children of its bracket if it has any."""
        self._send(unit)

    def place_stop_order(self, unit: Unit) -> None:
        """Writes an order that waits for a price: stops, touched orders, trailing stops."""
        self._send(unit)

    def place_oca_group(self, unit: Unit) -> None:
        """Writes the orders of a one-cancels-all group, the stop first, each transmitted."""
        self._send(unit)

    def modify_order(self, unit: Unit) -> None:
        """Writes new terms for a live order: placeOrder under the id it has."""
        self._send(unit)

    def cancel_order(self, unit: Unit) -> None:
        """Writes a cancel of one order."""
        self._send(unit)

    def cancel_all_orders(self, units: Iterable[Unit]) -> None:
        """Writes cancels of our own orders, one by one; IB's global cancel would end everybody's orders and is never sent."""
        for unit in units:
            self.cancel_order(unit)

    def send(self, unit: Unit) -> None:
        """Writes a claimed unit by the method made for it. Raises NotWritten (nothing left) or HalfWritten (something may have left)."""
        self._writer_of(unit)(unit)

    def _writer_of(self, unit: Unit) -> Callable[[Unit], None]:
        first = unit.frames[0]
        if isinstance(first, CancelOrder):
            return self.cancel_order
        if isinstance(first, ModifyOrder):
            return self.modify_order
        if first.oca_group and not first.parent_ib_order_id:
            return self.place_oca_group
        waits = first.terms.order_type.has_trigger or first.terms.order_type.trails
        return self.place_stop_order if waits else self.place_market_order

    def _send(self, unit: Unit) -> None:
        """The one writer. Everything that can fail is done before the first byte; then the frames go out in one burst."""
        session = self._session
        if session is None or session.lost.is_set():
            raise NotWritten("the connection was lost")
        try:
            writes = [self._write_of(session.ib.client, frame) for frame in unit.frames]
        except ValueError as error:
            raise NotWritten(f"it cannot be put into IB's words: {error}") from error
        if not self._is_read() or not self.pacer.fits(len(writes)):
            raise NotWritten("there was no room for it at the gateway")
        if not self.may_send(unit.fence):
            raise NotWritten("the lease is not certain any more")
        try:
            for frame, write, point in zip(unit.frames, writes, _crash_points(unit), strict=True):
                session.listener.note(frame, self._monotonic())
                write()
                self.pacer.wrote()
                if point:
                    reach(point)
        except ConnectionError as error:
            raise HalfWritten(str(error)) from error
        transport = session.ib.client.conn.transport
        if transport is None or transport.is_closing():  # a failed write closes the transport and says nothing
            raise HalfWritten("the connection broke while it was written")

    @staticmethod
    def _write_of(client: ib_async.Client, frame: Frame) -> Callable[[], None]:
        if isinstance(frame, CancelOrder):
            return lambda: client.cancelOrder(frame.ib_order_id)
        contract, order = ib_contract(frame.contract), ib_order(frame)
        return lambda: client.placeOrder(frame.ib_order_id, contract, order)

    def unanswered(self, seconds: float) -> bool:
        """Whether an order was written so long ago and nothing was heard of it; each order is told once."""
        late = [sent for sent in self._connected.listener.waiting_since(self._monotonic() - seconds) if not sent.asked_for]
        for sent in late:
            sent.asked_for = True
        return bool(late)

    # --- reading ----------------------------------------------------------------------------------------------------------------------

    async def get_positions(self) -> Sequence[PositionReported]:
        """All positions of all accounts. Raises GatewayUnavailable where the list did not come whole."""
        return [report for report in await self._read(Question.POSITIONS) if isinstance(report, PositionReported)]

    async def get_open_orders(self) -> Sequence[OpenOrderReported]:
        """All working orders of all clients. Raises GatewayUnavailable where the list did not come whole."""
        return [report for report in await self._read(Question.OPEN_ORDERS) if isinstance(report, OpenOrderReported)]

    async def _read(self, question: Question) -> Sequence[Any]:
        snapshot = await self.questions.snapshot(frozenset({question}))
        if question not in snapshot.complete:
            raise GatewayUnavailable(f"the gateway did not tell all {question}")
        return snapshot.reports


def _crash_points(unit: Unit) -> list[str]:
    """The crash point after each frame of the unit: within a family, after the entry and after its first exit."""
    points = ["", ""]
    if any(not isinstance(frame, CancelOrder) and frame.parent_ib_order_id for frame in unit.frames):
        points = ["bracket.after_parent", "bracket.after_first_child"]
    return [*points, *[""] * len(unit.frames)][: len(unit.frames)]
