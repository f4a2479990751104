"""Tickets of the less plain kinds for tests of the simulated exchange, and where a trailing stop stands."""

from __future__ import annotations

from decimal import Decimal

from broker.simulator.exchange import Exchange
from broker.simulator.model import Event, OrderChanged, OrderRequest
from broker.tests.simulator.trading import AAPL, NOON, ticket

SEPARATOR = "\0"


def trail(order_id: int, action: str = "SELL", amount: str | None = "1.00", *, quantity: int = 100, **more: str) -> OrderRequest:
    """A trailing stop; further fields by IB's names (trailingPercent, trailStopPrice ...)."""
    return ticket(order_id, action, quantity, "TRAIL", None, amount, wire=more)


def trail_limit(order_id: int, action: str = "SELL", amount: str | None = "1.00", limit: str | None = None, **more: str) -> OrderRequest:
    return ticket(order_id, action, 100, "TRAIL LIMIT", limit, amount, wire=more)


def touched(order_id: int, action: str, trigger: str, limit: str | None = None) -> OrderRequest:
    return ticket(order_id, action, 100, "MIT" if limit is None else "LIT", limit, trigger)


def adaptive(order_id: int, priority: str = "Normal", order_type: str = "LMT", limit: str | None = "99.00", **more: object) -> OrderRequest:
    return ticket(order_id, "BUY", 100, order_type, limit, wire=algorithm("Adaptive", adaptivePriority=priority), **more)  # type: ignore[arg-type]


def algorithm(strategy: str, **parameters: str) -> dict[str, str]:
    pairs = [word for pair in parameters.items() for word in pair]
    return {"algoStrategy": strategy, "algoParams": SEPARATOR.join((str(len(parameters)), *pairs))}


def stop_of(exchange: Exchange, order_id: int = 1) -> Decimal:
    """Where the trailing stop of an open order stands, as it is told."""
    (found,) = [one for one in exchange.open_orders() if one.request.order_id == order_id]
    return Decimal(found.request.wire["trailStopPrice"])


def told_stops(events: list[Event]) -> list[str]:
    """The stops that events tell of, in their order."""
    return [one.order.request.wire.get("trailStopPrice", "") for one in events if isinstance(one, OrderChanged)]


def at(exchange: Exchange, price: str, con_id: int = AAPL) -> list[Event]:
    """The market stands at this price: bid, ask and last."""
    return exchange.set_quote(con_id, Decimal(price), Decimal(price), NOON)
