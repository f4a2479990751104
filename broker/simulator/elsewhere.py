"""What happens to the exchange though no client asked for it: executions corrected, taken back or late, orders of other hands.

Each is an input like a client's: recorded, replayed, told to whom it concerns. The rule kept: afterwards orders, executions, positions and
cash agree with each other as if it had been so from the start. A correction keeps the execution's id but for the digits after its last
dot, which count up (IB: execDetails); of an order that had ended it says nothing, unless the exchange is told to let the rest work again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from broker.simulator.contingency import Consequence
from broker.simulator.matching import REMOVED
from broker.simulator.model import CommissionCharged, Corrected, Event, Fill, OrderChanged, OrderRequest
from broker.simulator.orderbook import BookedOrder
from broker.simulator.snapshot import unpack

if TYPE_CHECKING:
    from broker.simulator.exchange import Exchange

BY_HAND = 0  # the client id under which orders entered in TWS itself are told
MOBILE = "mobile"  # in `wire`: entered on a telephone, so that no API client can be bound to it
PLACED_BY = "placedBy"


def execution_of(exchange: Exchange, word: str) -> tuple[Fill, CommissionCharged]:
    """The execution a person means: its id, the root of it, or `last`. Raises KeyError."""
    for pair in reversed(exchange.executions):
        if word in ("last", pair[0].exec_id, root_of(pair[0].exec_id)):
            return pair
    raise KeyError(f"no execution {word} today")


def root_of(exec_id: str) -> str:
    return exec_id.rpartition(".")[0]


def next_hand_id(exchange: Exchange) -> int:
    """Order ids of orders entered by hand count downwards from -1, as those are that a client 0 is bound to."""
    return min((order_id for client_id, order_id in exchange.book.orders if client_id == BY_HAND), default=0) - 1


# --- executions -------------------------------------------------------------------------------------------------------------------


def _correct(exchange: Exchange, values: dict[str, Any], now: datetime) -> list[Event]:
    """Another quantity and price for an execution; quantity 0 is a bust. `reinstate`: an order that is filled no longer works again."""
    old, charge = execution_of(exchange, values["execution"])
    order = exchange.book.by_perm_id(old.perm_id)
    shares, price = Decimal(values["shares"]), Decimal(values["price"])
    cost = charge.commission if shares else Decimal(0)
    order.filled += shares - old.shares
    order.notional += shares * price - old.shares * old.price
    order.commission += cost - charge.commission
    order.last_price = price if shares else order.last_price
    events = _settle(exchange, order, shares - old.shares, now, reinstate=values["reinstate"])
    root, _, revision = old.exec_id.rpartition(".")
    numbers = {"cum_quantity": order.filled, "average_price": order.average_price}
    fill = replace(old, exec_id=f"{root}.{int(revision) + 1:02d}", shares=shares, price=price, **numbers)
    told = _replace(exchange, old, fill, replace(charge, exec_id=fill.exec_id, commission=cost))
    return [Corrected(fill, old.exec_id), *told, OrderChanged(order.state(), echo=order.is_open), *events]


def _settle(exchange: Exchange, order: BookedOrder, more: Decimal, now: datetime, *, reinstate: bool) -> list[Event]:
    """What a correction means for its order: filled by it, or working again."""
    if order.is_open and order.remaining <= 0:
        exchange.book.close(order, "Filled", f"Filled Size: {order.filled}", now)
        consequences = exchange.contingencies.after_fill(order, more)
        return [*exchange._release_children(order, now), *exchange._apply_consequences(consequences, now)]
    if reinstate and order.status == "Filled" and order.remaining > 0:
        order.status, order.completed_status, order.completed_at = "Submitted", "", None
        order.rested = True  # it comes back behind the market: what it gets from here on, it gets at its own limit
        exchange.book.open[order.key] = order
        exchange._go_live(order, now)
    return []


def _revise_commission(exchange: Exchange, values: dict[str, Any], now: datetime) -> list[Event]:
    """Another commission for an execution, under the same execution id."""
    fill, charge = execution_of(exchange, values["execution"])
    commission = Decimal(values["commission"])
    exchange.book.by_perm_id(fill.perm_id).commission += commission - charge.commission
    return _replace(exchange, fill, fill, replace(charge, commission=commission))


def _replace(exchange: Exchange, old: Fill, fill: Fill, charge: CommissionCharged) -> list[Event]:
    """Puts an execution and its commission in the place of what was booked and listed; commission and position to tell."""
    place = next(number for number, (one, _) in enumerate(exchange.executions) if one is old)
    replaced = exchange.executions[place][1]
    instrument = exchange.instruments[fill.con_id]
    position, realized = exchange.ledger.rebook(fill, charge.commission, old, replaced.commission, instrument)
    charge = replace(charge, realized_pnl=realized)
    exchange.executions[place] = (fill, charge)
    return [charge, position]


def _fill(exchange: Exchange, values: dict[str, Any], now: datetime) -> list[Event]:
    """An execution of an order whatever its state and quantity: late, too many, or simply now.

    `together`: every working order of its group fills completely in the same moment, before any hears of another.
    """
    order = exchange.book.by_perm_id(values["perm_id"])
    if values["together"]:
        group = [one for one in (order, *exchange.contingencies.siblings(order)) if one.in_market]
        return [event for one in group for event in _execute(exchange, one, one.remaining, None, now)[0]]
    price = None if values["price"] is None else Decimal(values["price"])
    events, consequences = _execute(exchange, order, Decimal(values["shares"]), price, now)
    return [*events, *exchange._apply_consequences(consequences, now)]


def _execute(
    exchange: Exchange, order: BookedOrder, shares: Decimal, price: Decimal | None, now: datetime
) -> tuple[list[Event], list[Consequence]]:
    was_open, line, request = order.is_open, exchange.market.lines[order.request.con_id], order.request
    order.elected = True
    price = price or order.limit or order.trigger or line.touch(request.action)[0]
    events, consequences = exchange._fill(order, line, shares, price, REMOVED, now)
    quiet = [replace(one, echo=False) if isinstance(one, OrderChanged) and not was_open else one for one in events]
    return quiet, consequences


# --- orders -----------------------------------------------------------------------------------------------------------------------


def _place_by_hand(exchange: Exchange, values: dict[str, Any], now: datetime) -> list[Event]:
    """An order entered in TWS or on a telephone: no client gave it an id."""
    request = unpack(OrderRequest, values["request"])
    return exchange._transmit(exchange._booked(exchange._completed(request), now), now)


def _change_by_hand(exchange: Exchange, values: dict[str, Any], now: datetime) -> list[Event]:
    """Other terms for an open order, entered by other hands than its client's."""
    order = exchange.book.by_perm_id(values["perm_id"])
    changes = {name: Decimal(values[name]) for name in ("quantity", "limit_price", "aux_price") if values[name] is not None}
    return exchange._modify(order, replace(order.request, **changes), now)


def _cancel_by_hand(exchange: Exchange, values: dict[str, Any], now: datetime) -> list[Event]:
    return exchange._ask_cancel(exchange.book.by_perm_id(values["perm_id"]), now)


def _reject(exchange: Exchange, values: dict[str, Any], now: datetime) -> list[Event]:
    """The exchange throws an order out after it had been accepted: the code, then Inactive; its children go with it."""
    return exchange._reject(exchange.book.by_perm_id(values["perm_id"]), values["code"], values["text"], now)


def _second_life(exchange: Exchange, values: dict[str, Any], now: datetime) -> list[Event]:
    """A copy of an open order under another permanent id, both live: what a change sent while the gateway had lost IB has led to."""
    first = exchange.book.by_perm_id(values["perm_id"])
    request = replace(first.request, quantity=first.remaining)
    second = BookedOrder(request, exchange.next_perm_id, now, first.good_until, first.parent_perm_id, first.status, True, second_life=True)
    for name in ("rested", "elected", "live_from", "auction_at", "trail_stop", "trail_limit", "limit_offset"):
        setattr(second, name, getattr(first, name))
    exchange.next_perm_id += 1
    exchange.book.add(second)
    return [OrderChanged(second.state())]


INPUTS: dict[str, Callable[[Exchange, dict[str, Any], datetime], list[Event]]] = {
    "correct": _correct,
    "revise_commission": _revise_commission,
    "fill": _fill,
    "place_by_hand": _place_by_hand,
    "change_by_hand": _change_by_hand,
    "cancel_by_hand": _cancel_by_hand,
    "reject": _reject,
    "second_life": _second_life,
}
