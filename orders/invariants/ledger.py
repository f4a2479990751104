"""The simulated gateway's own account of a day, read once: what it was sent, which orders it had, what was traded, what is held.

The rule it keeps: it is the truth that the book is compared with, so nothing here knows the book. Lines are plain dicts; kinds that are
not known here are passed over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from orders.invariants.wire import OrderFrame, cancelled_id, order_frame

LIVE = frozenset({"ApiPending", "PendingSubmit", "PreSubmitted", "Submitted", "PendingCancel", "PreCancelled"})
FORGOTTEN = "forgotten"  # what a wiped gateway has of an order
_SIGNS = {"BOT": 1, "SLD": -1}
# Before an order may go out on a connection the gateway must have been asked for each of these (either list of open orders will do).
_OPEN_ORDERS = frozenset({"reqOpenOrders", "reqAllOpenOrders"})
_LISTS = frozenset({"reqPositions", "reqExecutions"})


@dataclass
class BrokerOrder:
    """An order as the exchange has it."""

    perm_id: int
    client: int
    order_id: int
    reference: str
    account: str
    con_id: int
    time: str
    status: str = ""
    was_live: bool = False

    @property
    def is_live(self) -> bool:
        return self.status in LIVE

    def __str__(self) -> str:
        return f"perm id {self.perm_id} ({self.status})"


@dataclass
class Trade:
    """One execution, or the newest correction of it (`shares` 0: taken back). `forgotten`: the gateway was wiped since."""

    exec_id: str
    revision: int
    perm_id: int
    client: int
    reference: str
    account: str
    con_id: int
    side: str
    shares: Decimal
    price: Decimal
    time: str
    forgotten: bool = False

    @property
    def signed(self) -> Decimal:
        return _SIGNS.get(self.side, 0) * self.shares


@dataclass
class Ledger:
    """What the lines add up to."""

    lines: int = 0
    last_time: str = ""
    frames: list[OrderFrame] = field(default_factory=list)  # every placeOrder but previews, in order of arrival
    unread: list[tuple[int, str]] = field(default_factory=list)  # (client, what came) of placeOrder frames that are no orders
    early: list[OrderFrame] = field(default_factory=list)  # those before the connection had been reconciled
    cancels: list[tuple[int, int]] = field(default_factory=list)  # (client, order id) of every cancelOrder
    orders: dict[int, BrokerOrder] = field(default_factory=dict)  # by perm id
    trades: dict[str, Trade] = field(default_factory=dict)  # by root of the exec id: the revision that counts
    exec_ids: dict[str, Trade] = field(default_factory=dict)  # every execution and correction
    positions: dict[tuple[str, int], Decimal] = field(default_factory=dict)  # by (account, con id)
    server_version: int | None = None
    _asked: dict[int, set[str]] = field(default_factory=dict)  # what each client has asked on its connection

    @classmethod
    def read(cls, lines: Iterable[dict[str, Any]], server_version: int | None = None) -> Ledger:
        """Reads the lines in their order. Frames are laid out by the server version."""
        ledger = cls(server_version=server_version)
        takers = {
            "in": ledger._in,
            "client": ledger._client,
            "order": ledger._order,
            "execution": ledger._execution,
            "correction": ledger._execution,
            "position": ledger._position,
            "wiped": ledger._wiped,
        }
        for line in lines:
            ledger.lines += 1
            ledger.last_time = line.get("time", ledger.last_time)
            taker = takers.get(line.get("kind", ""))
            if taker is not None:
                taker(line)
        return ledger

    def _in(self, line: dict[str, Any]) -> None:
        client, message, fields = line["client"], line["message"], line["fields"]
        if message == "placeOrder":
            self._placed(line["time"], client, fields)
        elif message == "cancelOrder" and (order_id := cancelled_id(fields)) is not None:
            self.cancels.append((client, order_id))
        elif client in self._asked:
            self._asked[client].add(message)

    def _client(self, line: dict[str, Any]) -> None:
        # A startApi alone begins nothing: a second one under a client id in use is refused (326), and the first connection lives on.
        if line["event"] == "connected":
            self._asked[line["client"]] = set()

    def _placed(self, time: str, client: int, fields: list[str]) -> None:
        frame = order_frame(time, client, fields, self.server_version)
        if frame is None:
            self.unread.append((client, f"a placeOrder of {len(fields)} fields at {time}"))
            return
        if frame.is_preview:
            return
        self.frames.append(frame)
        asked = self._asked.get(client)  # None: the ledger does not go back to its connection
        if asked is not None and not (asked & _OPEN_ORDERS and asked >= _LISTS):
            self.early.append(frame)

    def _order(self, line: dict[str, Any]) -> None:
        order = self.orders.get(line["perm_id"])
        if order is None:
            names = {name: line[name] for name in ("perm_id", "client", "order_id", "account", "con_id")}
            order = self.orders[line["perm_id"]] = BrokerOrder(**names, reference=line["order_ref"], time=line["time"])
        order.status = line["status"]
        order.was_live |= order.is_live or Decimal(line["filled"]) > 0

    def _execution(self, line: dict[str, Any]) -> None:
        root, revision = _split(line["exec_id"])
        trade = Trade(
            exec_id=line["exec_id"],
            revision=revision,
            perm_id=line["perm_id"],
            client=line["client"],
            reference=line["order_ref"],
            account=line["account"],
            con_id=line["con_id"],
            side=line["side"],
            shares=Decimal(line["shares"]),
            price=Decimal(line["price"]),
            time=line["time"],
        )
        before = self.trades.get(root)
        self.exec_ids[trade.exec_id] = trade
        if before is not None and before.revision >= revision:
            return
        self.trades[root] = trade
        key = (trade.account, trade.con_id)
        self.positions[key] = self.positions.get(key, Decimal(0)) + trade.signed - (before.signed if before else Decimal(0))

    def _position(self, line: dict[str, Any]) -> None:
        self.positions[line["account"], line["con_id"]] = Decimal(line["quantity"])

    def _wiped(self, _: dict[str, Any]) -> None:
        for order in self.orders.values():
            order.status = FORGOTTEN
        for trade in self.exec_ids.values():
            trade.forgotten = True
        self.positions = dict.fromkeys(self.positions, Decimal(0))


def _split(exec_id: str) -> tuple[str, int]:
    """Root and revision: a correction repeats the exec id but for the digits after its last dot (IB Execution.execId)."""
    root, _, digits = exec_id.rpartition(".")
    return (root, int(digits)) if root and digits.isascii() and digits.isdigit() else (exec_id, 1)
