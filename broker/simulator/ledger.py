"""A running account of what clients asked and what the exchange did, one JSON object a line, for checks that trust neither side's own
books.

Every line is flushed when it is written, so that a process that is killed leaves all it had written; a process that starts again appends.
Each line has `time` and `kind`:

    started     next_order_id           a process began; what it kept from before holds on
    wiped                               orders, executions, ids and positions are forgotten; what is kept of positions is said anew
    client      client, event           "connected" or "gone"
    in          client, message, fields a frame as it came in
    order       perm_id ... remaining   an order's new state; a trailing stop's with `stop`, where it stands
    execution   exec_id, side ...       an execution
    correction  as execution, replaces  an execution stands in another's place; shares "0" is a bust
    position    account, con_id, quantity, previous     set by hand: no execution explains it
    auction     con_id, which, price    orders on open or on close were executed or ended at this price
    refused     client, order_id, code, text            an error about an order
    warned      client, order_id, code, text            a message about an order that was taken all the same
    injected    what, details           a rehearsed fault really happened

`read` gives the lines back; `broker.simulator.truth` works out from them what stands at the exchange.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from broker.simulator.model import AuctionHeld, Corrected, Event, Executed, Fill, OrderChanged, OrderRequest, PositionMoved, Refused, Warned
from broker.simulator.session import Received

Line = dict[str, Any]


class Ledger:
    """Appends to a file or to a list; with neither it does nothing."""

    def __init__(self, destination: Path | list[Line] | None) -> None:
        self._lines = destination if isinstance(destination, list) else None
        self._file = destination.open("a", encoding="utf-8", buffering=1) if isinstance(destination, Path) else None

    def started(self, next_order_id: int, at: datetime) -> None:
        self._write(at, "started", next_order_id=next_order_id)

    def wiped(self, at: datetime) -> None:
        self._write(at, "wiped")

    def client(self, client_id: int, event: str, at: datetime) -> None:
        """A client has introduced itself ("connected") or its connection is no more ("gone")."""
        self._write(at, "client", client=client_id, event=event)

    def injected(self, what: str, at: datetime, **details: Any) -> None:
        """A rehearsed fault happened: one line each time it really bit."""
        self._write(at, "injected", what=what, **details)

    def received(self, client_id: int, frame: Received, at: datetime) -> None:
        """A frame as it came in: IB's message name and its raw fields."""
        self._write(at, "in", client=client_id, message=frame.name, fields=frame.fields)

    def happened(self, event: Event, at: datetime) -> None:
        """An order's new state, an execution or its correction, a position set by hand or a refusal; other events leave no line."""
        if isinstance(event, OrderChanged):
            order, request = event.order, event.order.request
            state = {"status": order.status, "filled": str(order.filled), "remaining": str(order.remaining)}
            terms = {"action": request.action, "quantity": str(request.quantity), "type": request.order_type, "tif": request.tif}
            if stop := request.wire.get("trailStopPrice"):
                terms["stop"] = stop
            self._write(at, "order", perm_id=order.perm_id, **_identity(request), **terms, **state)
        elif isinstance(event, Executed):
            self._write(at, "execution", **_trade(event.fill))
        elif isinstance(event, Corrected):
            self._write(at, "correction", **_trade(event.fill), replaces=event.replaces)
        elif isinstance(event, PositionMoved):
            numbers = {"quantity": str(event.quantity), "previous": str(event.previous)}
            self._write(at, "position", account=event.account, con_id=event.con_id, **numbers)
        elif isinstance(event, AuctionHeld):
            self._write(at, "auction", con_id=event.con_id, which=event.which, price=str(event.price))
        elif isinstance(event, Refused | Warned):
            kind = "refused" if isinstance(event, Refused) else "warned"
            self._write(at, kind, client=event.client_id, order_id=event.order_id, code=event.code, text=event.text)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, at: datetime, kind: str, **values: Any) -> None:
        line = {"time": at.isoformat(), "kind": kind, **values}
        if self._lines is not None:
            self._lines.append(line)
        if self._file is not None:
            self._file.write(json.dumps(line) + "\n")


def read(path: Path) -> list[Line]:
    """The lines of a ledger, oldest first. A last line that a power cut left half written is left out."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1] if line]


def _trade(fill: Fill) -> dict[str, Any]:
    trade = {"exec_id": fill.exec_id, "side": fill.side, "shares": str(fill.shares), "price": str(fill.price)}
    return {"perm_id": fill.perm_id, **_identity(fill), **trade}


def _identity(one: OrderRequest | Fill) -> dict[str, Any]:
    """What an order and its executions have in common."""
    return {"client": one.client_id, "order_id": one.order_id, "order_ref": one.order_ref, "account": one.account, "con_id": one.con_id}
