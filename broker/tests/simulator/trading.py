"""Small words for tests of the simulated exchange: tickets, a quiet market, and events as short lines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from broker.simulator.exchange import Exchange
from broker.simulator.model import (
    CommissionCharged,
    Event,
    Executed,
    Fill,
    OrderChanged,
    OrderRequest,
    PositionChanged,
    QuoteChanged,
    Refused,
)

NOON = datetime(2026, 11, 18, 17, 0, tzinfo=UTC)  # noon in New York, a Wednesday
SECOND = timedelta(seconds=1)
AAPL, MSFT, SPY, EURUSD, USDJPY = 265598, 272093, 756733, 12087792, 15016059
ACCOUNT, OTHER_ACCOUNT = "DU1000417", "DU1000902"
CLIENT = 17


def ticket(
    order_id: int,
    action: str = "BUY",
    quantity: int | str = 100,
    order_type: str = "MKT",
    limit: str | None = None,
    stop: str | None = None,
    *,
    con_id: int = AAPL,
    account: str = ACCOUNT,
    client_id: int = CLIENT,
    tif: str = "DAY",
    oca_group: str = "",
    oca_type: int = 0,
    parent_id: int = 0,
    transmit: bool = True,
    order_ref: str = "",
    wire: dict[str, str] | None = None,
) -> OrderRequest:
    return OrderRequest(
        client_id=client_id,
        order_id=order_id,
        con_id=con_id,
        account=account,
        action=action,
        quantity=Decimal(quantity),
        order_type=order_type,
        limit_price=None if limit is None else Decimal(limit),
        aux_price=None if stop is None else Decimal(stop),
        tif=tif,
        order_ref=order_ref,
        oca_group=oca_group,
        oca_type=oca_type,
        parent_id=parent_id,
        transmit=transmit,
        wire=wire or {},
    )


def limit(order_id: int, action: str, quantity: int | str, price: str, **more: object) -> OrderRequest:
    return ticket(order_id, action, quantity, "LMT", price, **more)  # type: ignore[arg-type]


def stop(order_id: int, action: str, quantity: int | str, price: str, **more: object) -> OrderRequest:
    return ticket(order_id, action, quantity, "STP", None, price, **more)  # type: ignore[arg-type]


def quiet(kind: type[Exchange] = Exchange, *, seed: int = 7, bid: str = "100.00", ask: str = "100.02") -> Exchange:
    """An exchange whose AAPL stands still at 100.00 to 100.02, with plenty on both sides."""
    exchange = kind(seed=seed, now=NOON)
    exchange.set_quote(AAPL, Decimal(bid), Decimal(ask), NOON)
    return exchange


def quote(
    exchange: Exchange, bid: str, ask: str, *, con_id: int | str = AAPL, size: int | None = None, now: datetime = NOON
) -> list[Event]:
    sizes = (None, None) if size is None else (Decimal(size), Decimal(size))
    return exchange.set_quote(con_id, Decimal(bid), Decimal(ask), now, *sizes)


def bracket(exchange: Exchange, *, entry: str = "99.00", quantity: int = 100, first_id: int = 1) -> list[Event]:
    """Buy at a limit, with a target at 108 and a stop at 97, sent as a client sends it: the last one transmits."""
    parent, target, protection = first_id, first_id + 1, first_id + 2
    events = exchange.submit(limit(parent, "BUY", quantity, entry, transmit=False), NOON)
    events += exchange.submit(limit(target, "SELL", quantity, "108.00", parent_id=parent, transmit=False), NOON)
    return events + exchange.submit(stop(protection, "SELL", quantity, "97.00", parent_id=parent), NOON)


# --- events as short lines --------------------------------------------------------------------------------------------------------


def line(event: Event) -> str:
    """`2 Submitted 40/60` for an order (filled/remaining, and why it is held), `2 fill 40 @ 100.02`, `2 refused 202` ..."""
    if isinstance(event, OrderChanged):
        order = event.order
        held = f" {order.why_held}" if order.why_held else ""
        return f"{order.request.order_id} {order.status} {order.filled}/{order.remaining}{held}"
    if isinstance(event, Executed):
        return f"{event.fill.order_id} fill {event.fill.shares} @ {event.fill.price}"
    if isinstance(event, CommissionCharged):
        return f"commission {event.commission}"
    if isinstance(event, Refused):
        return f"{event.order_id} refused {event.code}"
    if isinstance(event, PositionChanged):
        return f"position {event.quantity}"
    assert isinstance(event, QuoteChanged)
    return f"quote {event.bid} {event.ask}"


def lines(events: Sequence[Event]) -> list[str]:
    return [line(event) for event in events if not isinstance(event, QuoteChanged)]


def order_lines(events: Sequence[Event]) -> list[str]:
    """Only what happened to orders: statuses, fills and errors."""
    return [line(event) for event in events if isinstance(event, OrderChanged | Executed | Refused)]


def fills(events: Sequence[Event]) -> list[Fill]:
    return [event.fill for event in events if isinstance(event, Executed)]


def errors(events: Sequence[Event]) -> list[tuple[int, int]]:
    """(order id, code) of every error."""
    return [(event.order_id, event.code) for event in events if isinstance(event, Refused)]


def error_text(events: Sequence[Event]) -> str:
    (refused,) = [event for event in events if isinstance(event, Refused)]
    return refused.text


def status(exchange: Exchange, order_id: int, client_id: int = CLIENT) -> str:
    """The status of an order, open or completed today."""
    states = exchange.open_orders() + exchange.completed_orders(NOON)
    (found,) = [one for one in states if (one.request.client_id, one.request.order_id) == (client_id, order_id)]
    return found.status


def remaining(exchange: Exchange, order_id: int) -> Decimal:
    (found,) = [one for one in exchange.open_orders() if one.request.order_id == order_id]
    return found.remaining


def held(exchange: Exchange, account: str = ACCOUNT, con_id: int = AAPL) -> Decimal:
    """The position of an account in a contract."""
    return sum((one.quantity for one in exchange.positions() if (one.account, one.con_id) == (account, con_id)), Decimal(0))
