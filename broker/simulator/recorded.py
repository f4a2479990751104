"""The exchange together with the record of everything done to it: the only way the gateway changes its exchange.

Each change is an input (a verb, its moment, its values) that is applied and noted. Replaying the noted inputs on the last snapshot
gives the same exchange again. The rule kept: an input carries a checksum of what it caused, so a replay that goes another way is
noticed and refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any
from zlib import crc32

from broker.simulator import elsewhere
from broker.simulator.accounts import Holding
from broker.simulator.exchange import Exchange
from broker.simulator.hours import CLOSE, OPEN
from broker.simulator.model import (
    CommissionCharged,
    Event,
    Executed,
    OrderChanged,
    OrderRequest,
    PositionChanged,
    PositionMoved,
    QuoteChanged,
)
from broker.simulator.store import Store, StoreProblem

COMPACT_AFTER = 1_000  # journal entries; ticks are the slow ones to replay, about a millisecond each
COMPACT_AT_ONCE_AFTER = 20_000  # even while orders are coming in
_WEIGHTY = (OrderChanged, Executed, CommissionCharged, PositionChanged)
_QUOTE_NUMBERS = ("bid", "ask", "bid_size", "ask_size")


Input = Callable[[Exchange, dict[str, Any], datetime], list[Event]]  # one verb with its values as they stand in the journal


def _submit(exchange: Exchange, values: dict[str, Any], now: datetime) -> list[Event]:
    return exchange.submit(order_from_json(values["request"]), now)


def _cancel(exchange: Exchange, values: dict[str, Any], now: datetime) -> list[Event]:
    return exchange.cancel(values["client_id"], values["order_id"], now)


def _cancel_all(exchange: Exchange, values: dict[str, Any], now: datetime) -> list[Event]:
    return exchange.cancel_all(now)


def _tick(exchange: Exchange, values: dict[str, Any], now: datetime) -> list[Event]:
    return exchange.tick(now)


def _set_quote(exchange: Exchange, values: dict[str, Any], now: datetime) -> list[Event]:
    sizes = [Decimal(values[name]) if values[name] is not None else None for name in ("bid_size", "ask_size")]
    return exchange.set_quote(values["instrument"], Decimal(values["bid"]), Decimal(values["ask"]), now, *sizes)


def _release_quote(exchange: Exchange, values: dict[str, Any], now: datetime) -> list[Event]:
    exchange.release_quote(values["instrument"])
    return []


def _set_cancel_delay(exchange: Exchange, values: dict[str, Any], now: datetime) -> list[Event]:
    exchange.cancel_delay_steps = values["steps"]
    return []


def _set_kill_answer(exchange: Exchange, values: dict[str, Any], now: datetime) -> list[Event]:
    exchange.kills_as_inactive = values["inactive"]
    return []


def _auction(exchange: Exchange, values: dict[str, Any], now: datetime) -> list[Event]:
    """An auction ahead of its hour: of one instrument, or of every one that has orders waiting for it."""
    if values["which"] not in (OPEN, CLOSE):
        raise ValueError(f"not an auction: {values['which']}")
    wanted = [values["instrument"]] if values["instrument"] else exchange.awaited_auctions(values["which"])
    return [event for con_id in wanted for event in exchange.hold_auction(values["which"], con_id, now)]


def _set_position(exchange: Exchange, values: dict[str, Any], now: datetime) -> list[Event]:
    """A position that came from elsewhere (transferred in, or traded before): no execution, no cash, no result of today."""
    account, con_id, quantity = values["account"], values["con_id"], Decimal(values["quantity"])
    line = exchange.market.lines[con_id]
    cost = Decimal(values["average_cost"]) if quantity else Decimal(0)
    day_flow = -quantity * line.mark * line.instrument.multiplier
    previous = exchange.ledger.quantity(account, con_id)
    exchange.ledger.by_name[account].holdings[con_id] = Holding(quantity, cost, day_flow=day_flow)
    return [PositionMoved(account, con_id, quantity, previous), PositionChanged(account, con_id, quantity, cost, Decimal(0))]


_INPUTS: dict[str, Input] = {
    "submit": _submit,
    "cancel": _cancel,
    "cancel_all": _cancel_all,
    "tick": _tick,
    "set_quote": _set_quote,
    "release_quote": _release_quote,
    "set_position": _set_position,
    "set_cancel_delay": _set_cancel_delay,
    "set_kill_answer": _set_kill_answer,
    "auction": _auction,
    **elsewhere.INPUTS,
}

_ORDER_FIELDS = tuple(item.name for item in dataclasses.fields(OrderRequest))


def order_to_json(request: OrderRequest) -> dict[str, Any]:
    """An order request as JSON values: decimals as text, everything else as it is."""
    values = {name: getattr(request, name) for name in _ORDER_FIELDS}
    return {name: str(value) if isinstance(value, Decimal) else value for name, value in values.items()}


def order_from_json(values: dict[str, Any]) -> OrderRequest:
    """The order request that `order_to_json` wrote."""
    prices = {name: Decimal(values[name]) if values[name] is not None else None for name in ("limit_price", "aux_price")}
    return OrderRequest(**{**values, "quantity": Decimal(values["quantity"]), **prices})


def _checksum(events: list[Event]) -> int:
    return crc32("\n".join(repr(event) for event in events if not isinstance(event, QuoteChanged)).encode())


class RecordedExchange:
    """Applies inputs to the exchange and keeps store and exchange in step. `exchange` may be read freely, never changed from outside."""

    def __init__(
        self,
        store: Store,
        new_exchange: Callable[[datetime], Exchange],
        restore: Callable[[dict[str, Any]], Exchange],
        now: datetime,
    ) -> None:
        """Takes up what the store holds, or opens a new exchange at `now`. Raises StoreProblem where the journal does not replay."""
        self._store = store
        self._new_exchange = new_exchange
        self._noted: list[dict[str, Any]] = []
        self._must_commit = False
        self._must_snapshot = False
        self._on_disk = 0
        snapshot, journal = store.load()
        self.last_moment = datetime.fromisoformat(snapshot["moment"]) if snapshot else now
        try:
            self.exchange = restore(snapshot["exchange"]) if snapshot else new_exchange(now)
        except ValueError as error:
            raise StoreProblem(f"The stored exchange cannot be taken up: {error}; remove the store to start afresh") from error
        for entry in journal:
            self._replay(entry)
        self.exchange.forget_untransmitted()
        self.compact()

    def apply(self, verb: str, now: datetime, **values: Any) -> list[Event]:
        """Does `verb` to the exchange and notes it; what it caused must not leave the gateway before `commit`."""
        self.last_moment = max(self.last_moment, now)
        try:
            events = _INPUTS[verb](self.exchange, values, now)
        except Exception:
            self._must_snapshot = True  # the exchange may have stopped half way; only its state as it is now can be trusted
            raise
        self._noted.append({"do": verb, "at": now.isoformat(), "values": values, "check": _checksum(events)})
        self._must_commit |= verb != "tick" or any(isinstance(event, _WEIGHTY) for event in events)
        return events

    def commit(self) -> None:
        """Puts everything noted on disk if any of it matters; ticks that changed nothing go on waiting."""
        if self._must_snapshot:
            self.compact()
        if not self._must_commit:
            return
        self._store.append(self._noted)
        self._on_disk += len(self._noted)
        self._noted.clear()
        self._must_commit = False

    def compact_if_due(self, *, idle: bool) -> None:
        """Writes a new snapshot when the journal has grown long and the gateway is idle, or when it has grown very long."""
        length = self._on_disk + len(self._noted)
        if length >= COMPACT_AT_ONCE_AFTER or (idle and length >= COMPACT_AFTER):
            self.compact()

    def compact(self) -> None:
        """Writes a snapshot of the exchange and empties the journal."""
        self._store.compact({"moment": self.last_moment.isoformat(), "exchange": self.exchange.snapshot()})
        self._noted.clear()
        self._must_commit = self._must_snapshot = False
        self._on_disk = 0

    def reset(self, now: datetime) -> None:
        """Forgets every order, execution and position and opens a new exchange at `now`."""
        self.exchange = self._new_exchange(now)
        self.last_moment = now
        self.compact()

    def _replay(self, entry: dict[str, Any]) -> None:
        moment = datetime.fromisoformat(entry["at"])
        try:
            outcome: int | str = _checksum(_INPUTS[entry["do"]](self.exchange, entry["values"], moment))
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            outcome = repr(error)
        self.last_moment = max(self.last_moment, moment)
        if outcome != entry["check"]:
            raise StoreProblem(
                f"The journal of the simulated exchange does not replay: {entry['do']} at {entry['at']} had another outcome when it was "
                "recorded. It was probably written by another version of the exchange; remove the store to start afresh"
            )
