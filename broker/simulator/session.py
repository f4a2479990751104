"""One client of the simulated gateway, without sockets and without a clock: bytes in, requests out; answers in, bytes out.

It keeps the handshake, the negotiated server version and the table of what this client subscribed to. It decides nothing about orders.
The rule kept: every received frame becomes exactly one request object, a Malformed one included, so that no frame goes unanswered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

from broker.simulator.messages.answers import Answer
from broker.simulator.messages.reading import name_of, read_request
from broker.simulator.messages.requests import Malformed, Request, StartApi
from broker.simulator.wire import FrameError, FrameReader, encode_frame, split_fields

OLDEST_VERSION = 157
NEWEST_VERSION = 200  # the last that is text only; from 201 on message ids are binary and payloads protobuf
_HELLO = re.compile(r"v(\d{1,4})(?:\.\.(\d{1,4}))?(?: .*)?", re.ASCII | re.DOTALL)


class Handshake(Enum):
    HELLO = "waiting for the version range"
    START = "waiting for startApi"
    READY = "ready"
    CLOSING = "closing"


@dataclass(frozen=True)
class Received:
    """One frame: its fields as they came, IB's name for it, and the request it holds."""

    name: str
    fields: list[str]
    request: Request


@dataclass
class MarketLine:
    """One market data subscription and the values last sent, so that only changes go out."""

    con_id: int
    sent: dict[int, str] = field(default_factory=dict)


@dataclass
class BarLine:
    """One historical data request that is kept up to date."""

    con_id: int
    bar_seconds: int
    date_format: int


@dataclass
class AccountLine:
    """One subscription to the values of an account, with the values last sent."""

    account: str
    sent: dict[tuple[str, str], str] = field(default_factory=dict)
    sent_portfolio: dict[int, tuple[Decimal, ...]] = field(default_factory=dict)


@dataclass
class SummaryLine:
    accounts: tuple[str, ...]
    tags: tuple[str, ...]
    sent: dict[tuple[str, str, str], str] = field(default_factory=dict)


@dataclass
class Subscriptions:
    """The request table: what this client is to be told without asking again, by request id where there is one."""

    positions: bool = False
    account: AccountLine | None = None
    market_data_type: int = 1
    positions_multi: dict[int, str] = field(default_factory=dict)
    account_multi: dict[int, AccountLine] = field(default_factory=dict)
    summaries: dict[int, SummaryLine] = field(default_factory=dict)
    pnl: dict[int, str] = field(default_factory=dict)
    pnl_single: dict[int, tuple[str, int]] = field(default_factory=dict)
    pnl_sent: dict[int, tuple[Decimal, ...]] = field(default_factory=dict)
    market: dict[int, MarketLine] = field(default_factory=dict)
    bars: dict[int, BarLine] = field(default_factory=dict)


class Session:
    """One connection, from its first byte to its last. `client_id` is -1 until startApi."""

    def __init__(self, connection_time: str) -> None:
        self.handshake = Handshake.HELLO
        self.server_version = 0
        self.client_id = -1
        self.subscriptions = Subscriptions()
        self.pending: list[Answer] = []
        self.last_said: dict[type[Answer], bytes] = {}  # the last message of each kind, as it went out
        self._connection_time = connection_time
        self._reader = FrameReader()
        self._output = bytearray()

    @property
    def ready(self) -> bool:
        return self.handshake is Handshake.READY

    @property
    def closing(self) -> bool:
        """True once the connection is to be closed after what is still to be written."""
        return self.handshake is Handshake.CLOSING

    def close(self) -> None:
        """Accept nothing more; the owner of the socket closes it once the output is written."""
        self.handshake = Handshake.CLOSING

    def start(self, client_id: int) -> None:
        """The client has introduced itself with startApi."""
        self.client_id = client_id
        self.handshake = Handshake.READY

    def receive(self, data: bytes) -> list[Received]:
        """Reads received bytes; returns the frames they completed. A stream that is not the protocol ends in a Malformed and closing."""
        if self.closing:
            return []
        try:
            payloads = self._reader.feed(data)
        except FrameError as error:
            self.close()
            return [Received("unreadable", [], Malformed(-1, f"Error reading request. {error}."))]
        received = []
        for payload in payloads:
            fields = split_fields(payload)
            if self.handshake is Handshake.HELLO:
                self._negotiate(fields)
            elif not self.closing:
                received.append(self._read(fields))
        return received

    def say(self, *answers: Answer) -> None:
        """Queues answers; they are written together at the end of the turn."""
        self.pending += answers

    def take_pending(self) -> list[Answer]:
        pending, self.pending = self.pending, []
        return pending

    def write(self, answers: Iterable[Answer]) -> None:
        """Encodes answers for this client's version into the output; a client that never said its version can be told nothing."""
        if not self.server_version:
            return
        for answer in answers:
            data = answer.encoded(self.server_version)
            self._output += data
            self.last_said[type(answer)] = data

    def take_output(self) -> bytes:
        """The bytes to put on the socket now."""
        output = bytes(self._output)
        self._output.clear()
        return output

    def _negotiate(self, fields: list[str]) -> None:
        """Answers the version range with the highest version both sides speak as text, or closes where there is none."""
        match = _HELLO.fullmatch(fields[0]) if len(fields) == 1 else None
        lowest = int(match[1]) if match else 0
        version = min(int(match[2] or match[1]), NEWEST_VERSION) if match else 0
        if version < OLDEST_VERSION or lowest > NEWEST_VERSION:
            self.close()
            return
        self.server_version = version
        self.handshake = Handshake.START
        self._output += encode_frame((str(version), self._connection_time))

    def _read(self, fields: list[str]) -> Received:
        request = read_request(fields, self.server_version)
        if self.handshake is Handshake.START and not isinstance(request, StartApi | Malformed):
            request = Malformed(-1, f"Error reading request. {name_of(fields)} came before startApi.")
        return Received(name_of(fields), fields, request)
