"""The gateway without its sockets: sessions, exchange, store, ledger and scenarios put together, one turn after another.

A turn is one piece of received bytes, one tick of the timer or one control command. The rule kept: at its end what happened is first
committed, then written to the clients, so that no client ever heard of an order, execution or position that a crash could undo.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from broker.simulator.answering import accounts, fanout
from broker.simulator.answering.orders import next_order_id
from broker.simulator.answering.table import HANDLERS
from broker.simulator.answering.turn import PROCESSING, Turn
from broker.simulator.exchange import Exchange
from broker.simulator.ledger import Ledger, Line
from broker.simulator.messages import answers as say
from broker.simulator.messages import requests as ask
from broker.simulator.messages.values import timestamp
from broker.simulator.model import Event
from broker.simulator.recorded import RecordedExchange
from broker.simulator.scenario import CLIENT_ID_IN_USE, ORDER_REQUESTS, CloseConnection
from broker.simulator.scenarios import Scenarios
from broker.simulator.session import Session
from broker.simulator.store import Store

log = logging.getLogger(__name__)
MOST_CLIENTS = 32  # IB: at most 32 API clients on one gateway
ACCOUNT_UPDATE_INTERVAL = timedelta(minutes=3)  # IB: account values every three minutes unless a position changes
# No farm of IB's is called simfarm: a client can tell by it that no money hangs on this gateway.
FARMS_OK = (
    (2104, "Market data farm connection is OK:simfarm"),
    (2106, "HMDS data farm connection is OK:ushmds"),
    (2158, "Sec-def data farm connection is OK:secdefil"),
)


class Gateway:
    """Everything a gateway does but moving bytes. `write` is called with a session that has output or is to be closed."""

    def __init__(
        self,
        *,
        seed: int,
        store: Path | None,
        ledger: Path | list[Line] | None,
        clock: Callable[[], datetime],
        exchange_factory: Callable[..., Exchange],
        write: Callable[[Session], None],
        master_client: int | None = None,
    ) -> None:
        """Opens store and ledger and takes up what they hold. Raises StoreProblem for a store that cannot be used."""
        self._clock = clock
        self._write = write
        self._store = Store(store)
        self.ledger = Ledger(ledger)
        self._offset = timedelta(seconds=float(self._store.meta("offset") or 0))
        self.scenarios = Scenarios(lambda what, details: self.ledger.injected(what, self.now(), **details))
        self.id_rollback = 0
        self._master_client = master_client
        self.sessions: list[Session] = []
        self._happened: list[Event] = []
        self._orders_since_tick = False
        self._last_account_push = self._wall_clock()
        restore: Callable[[dict[str, Any]], Exchange] = getattr(exchange_factory, "restore", Exchange.restore)
        self.recorded = RecordedExchange(self._store, lambda now: exchange_factory(seed=seed, now=now), restore, self._wall_clock())
        self._say_started()

    @property
    def exchange(self) -> Exchange:
        return self.recorded.exchange

    def now(self) -> datetime:
        """The gateway's time: the given clock plus what was skipped by hand; it never runs backwards, not even over a restart."""
        return max(self._wall_clock(), self.recorded.last_moment)

    def close(self) -> None:
        """Writes a last snapshot and closes the files."""
        self.recorded.compact()
        self._store.close()
        self.ledger.close()

    # --- turns ------------------------------------------------------------------------------------------------------------------------

    def open_session(self) -> Session:
        session = Session(timestamp(self.now()))
        self.sessions.append(session)
        return session

    def forget_session(self, session: Session) -> None:
        if session in self.sessions:
            self.sessions.remove(session)
            if session.client_id >= 0:
                self.ledger.client(session.client_id, "gone", self.now())

    def receive(self, session: Session, data: bytes) -> None:
        """One piece of bytes from a client, and all that follows from it."""
        with self.turn():
            for frame in session.receive(data):
                now = self.now()
                self.ledger.received(session.client_id, frame, now)
                verdict = self.scenarios.incoming(session, frame.request, now)
                session.say(*verdict.answers)
                if verdict.request is not None:
                    self.answer(session, verdict.request)
                elif any(isinstance(answer, CloseConnection) for answer in verdict.answers):
                    break  # what came behind it in the same bytes is lost with the connection
        if session.closing or not session.ready:
            self._write(session)

    def tick(self) -> None:
        """The timer's turn: the market moves, account values go out every three minutes, the journal is kept short."""
        with self.turn():
            self.scenarios.passed_time(self.now())
            self.answer_kept_requests()
            self.change("tick")
            if self.now() - self._last_account_push >= ACCOUNT_UPDATE_INTERVAL:
                self._last_account_push = self.now()
                fanout.push_accounts(self.ready_sessions(), self.exchange, self.now(), set(self.exchange.accounts))
            for session in self.ready_sessions():
                accounts.push_pnl(session, self.exchange)
        self.recorded.compact_if_due(idle=not self._orders_since_tick)
        self._orders_since_tick = False

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Whatever is done inside is committed and then told, in that order, even if something in it went wrong."""
        try:
            yield
        finally:
            self.recorded.commit()
            for event in self._happened:
                self.ledger.happened(event, self.now())
            self._happened.clear()
            for session in list(self.sessions):
                self._flush(session)

    def answer(self, session: Session, request: ask.Request) -> None:
        """Answers one request. An error of ours in doing so becomes error 322 for this request and leaves the gateway running."""
        if isinstance(request, ask.StartApi):
            self._start_session(session, request)
            return
        events: list[Event] = []
        turn = Turn(self.recorded, session, self.now(), events, self.id_rollback)
        self._orders_since_tick |= isinstance(request, ORDER_REQUESTS)
        try:
            HANDLERS[type(request)](turn, request)
            self.publish(events)
        except Exception:
            log.exception("The request %s of client %s failed", request, session.client_id)
            req_id = getattr(request, "req_id", getattr(request, "order_id", -1))
            turn.error(req_id, PROCESSING, f"Error processing request.-'bW' : cause - internal error on {type(request).__name__}")

    def answer_kept_requests(self) -> None:
        """Answers the requests that a scenario kept back until now."""
        for session, request in self.scenarios.take_requests():
            self.answer(session, request)

    def change(self, verb: str, **values: Any) -> None:
        """Does something to the exchange that no client asked for, and tells everyone concerned."""
        self.publish(self.recorded.apply(verb, self.now(), **values))

    def publish(self, events: Iterable[Event]) -> None:
        """Queues events for the clients they concern, and for the ledger, which like them hears after the commit."""
        happened = list(events)
        self._happened += happened
        fanout.publish(happened, self.ready_sessions(), self.exchange, self.now(), self._master_client)

    def ready_sessions(self) -> list[Session]:
        return [session for session in self.sessions if session.ready]

    def broadcast(self, code: int, text: str) -> None:
        """A gateway-wide notice (request id -1) to every client."""
        for session in self.ready_sessions():
            session.say(say.ErrorMessage(-1, code, text, self.now()))

    # --- what the control port may do to the gateway itself -------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Moves the gateway's clock forward and lets the exchange catch up."""
        self._offset += timedelta(seconds=seconds)
        self._store.set_meta({"offset": str(self._offset.total_seconds())})
        self.tick()

    def reset(self) -> None:
        """Forgets every order, execution, position, scenario and rolled-back id. Clients stay connected and are told nothing."""
        self.scenarios.remove()
        self.id_rollback = 0
        self._offset = timedelta()
        self._store.clear()
        self.recorded.reset(self._wall_clock())
        self.ledger.wiped(self.now())
        self._last_account_push = self.now()

    def forget_untransmitted(self) -> None:
        """As a gateway that goes down does."""
        self.exchange.forget_untransmitted()
        self.recorded.compact()

    # --- inside -----------------------------------------------------------------------------------------------------------------------

    def _say_started(self) -> None:
        seen = self.exchange.book.seen_ids.values()
        self.ledger.started(max(seen, default=0) + 1, self.now())

    def _wall_clock(self) -> datetime:
        return self._clock().astimezone(UTC) + self._offset

    def _start_session(self, session: Session, request: ask.StartApi) -> None:
        """Greets a client as real gateways do: accounts, next order id, then the farm notices. A client id in use is refused (326)."""
        if session.ready:
            return
        if any(one.client_id == request.client_id for one in self.ready_sessions()):
            session.say(say.ErrorMessage(-1, *CLIENT_ID_IN_USE, self.now()), CloseConnection())
            return
        if len(self.ready_sessions()) >= MOST_CLIENTS:
            cause = f"at most {MOST_CLIENTS} API clients may be connected"
            session.say(
                say.ErrorMessage(-1, PROCESSING, f"Error processing request.-'bW' : cause - {cause}", self.now()), CloseConnection()
            )
            return
        session.start(request.client_id)
        self.ledger.client(request.client_id, "connected", self.now())
        turn = Turn(self.recorded, session, self.now(), [], self.id_rollback)
        session.say(say.ManagedAccounts(",".join(self.exchange.accounts)), say.NextValidId(next_order_id(turn)))
        session.say(*(say.ErrorMessage(-1, code, text, self.now()) for code, text in FARMS_OK))

    def _flush(self, session: Session) -> None:
        pending = session.take_pending()
        if not pending and not self.scenarios.is_due(session.client_id):
            return
        answers = self.scenarios.outgoing(session, pending, self.now())
        for position, answer in enumerate(answers):
            if isinstance(answer, CloseConnection):
                session.write(answers[:position])
                session.close()
                break
        else:
            session.write(answers)
        self._write(session)
