"""A running account of what clients asked and what the exchange did, one JSON object a line, for checks that trust neither side's own
books.

Every line is flushed when it is written, so that a process that is killed leaves all it had written.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from broker.simulator.model import Event, Executed, Fill, OrderChanged, OrderRequest, Refused
from broker.simulator.session import Received


class Ledger:
    """Appends to one file, or does nothing where there is none."""

    def __init__(self, path: Path | None) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1) if path else None

    def received(self, client_id: int, frame: Received, at: datetime) -> None:
        """A frame as it came in: IB's message name and its raw fields."""
        self._write(at, "in", client=client_id, message=frame.name, fields=frame.fields)

    def happened(self, event: Event, at: datetime) -> None:
        """An order's new state, an execution or a refusal; other events leave no line."""
        if isinstance(event, OrderChanged):
            order, request = event.order, event.order.request
            state = {"status": order.status, "filled": str(order.filled), "remaining": str(order.remaining)}
            terms = {"action": request.action, "quantity": str(request.quantity), "type": request.order_type}
            self._write(at, "order", perm_id=order.perm_id, **_identity(request), **terms, **state)
        elif isinstance(event, Executed):
            fill = event.fill
            trade = {"exec_id": fill.exec_id, "side": fill.side, "shares": str(fill.shares), "price": str(fill.price)}
            self._write(at, "execution", perm_id=fill.perm_id, **_identity(fill), **trade)
        elif isinstance(event, Refused):
            self._write(at, "refused", client=event.client_id, order_id=event.order_id, code=event.code, text=event.text)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _write(self, at: datetime, kind: str, **values: Any) -> None:
        if self._file is not None:
            self._file.write(json.dumps({"time": at.isoformat(), "kind": kind, **values}) + "\n")


def _identity(one: OrderRequest | Fill) -> dict[str, Any]:
    """What an order and its executions have in common."""
    return {"client": one.client_id, "order_id": one.order_id, "order_ref": one.order_ref, "account": one.account, "con_id": one.con_id}
