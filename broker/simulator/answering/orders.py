"""Orders: placing, changing, cancelling, previewing, and the lists of open orders, completed orders and executions.

Source of the scopes: reqOpenOrders shows the asking client's orders, reqAllOpenOrders everyone's under their owner's client id. An
execution filter with client id 0 or none is taken as "every client", which is how clients that send 0 by default expect it.
"""

from __future__ import annotations

import dataclasses
from decimal import Decimal

from broker.simulator.answering.turn import Turn
from broker.simulator.elsewhere import BY_HAND, MOBILE, PLACED_BY
from broker.simulator.messages import requests as ask
from broker.simulator.messages.answers import (
    CommissionReport,
    CompletedOrdersEnd,
    ExecutionDetails,
    ExecutionDetailsEnd,
    NextValidId,
    OpenOrderEnd,
    OrderError,
    OrderStatus,
)
from broker.simulator.messages.order_frames import CompletedOrder, OpenOrder
from broker.simulator.messages.place_order import PlaceOrder
from broker.simulator.messages.values import ValueProblem, parse_timestamp
from broker.simulator.model import Fill, OrderRequest, OrderState, Refused
from broker.simulator.recorded import order_to_json

INVALID_ORDER_ID = 10149
UNSUPPORTED_ORDER = 387
NO_ORDER_ID = 2**31 - 1
_SIDES = {"BUY": "BOT", "SELL": "SLD", "BOT": "BOT", "SLD": "SLD"}


def place_order(turn: Turn, request: PlaceOrder) -> None:
    """A new order, a modification or a what-if. What the exchange says comes back as events; a what-if is answered here."""
    order = _order_request(turn, request)
    if order is None:
        return
    if request.what_if:
        _preview(turn, order)
    else:
        turn.change("submit", request=order_to_json(order))


def _order_request(turn: Turn, request: PlaceOrder) -> OrderRequest | None:
    """The order in the exchange's words, or None after an error about its id or contract."""
    if request.order_id <= 0:
        turn.session.say(OrderError(request.order_id, INVALID_ORDER_ID, "Invalid order id", turn.now))
        return None
    if request.contract.sec_type == "BAG":
        turn.session.say(
            OrderError(request.order_id, UNSUPPORTED_ORDER, "Unsupported order type for this exchange and security type.BAG", turn.now)
        )
        return None
    instrument = turn.resolve(request.order_id, request.contract)
    if instrument is None:
        return None
    return OrderRequest(
        client_id=turn.session.client_id,
        order_id=request.order_id,
        con_id=instrument.con_id,
        account=request.account,
        action=request.action,
        quantity=request.quantity if request.quantity is not None else Decimal(0),
        order_type=request.order_type,
        limit_price=request.limit_price,
        aux_price=request.aux_price,
        tif=request.tif or "DAY",
        order_ref=request.order_ref,
        oca_group=request.oca_group,
        oca_type=request.oca_type,
        parent_id=request.parent_id,
        transmit=request.transmit,
        outside_rth=request.outside_rth,
        wire={**request.wire, "exchange": request.contract.exchange},
    )


def _preview(turn: Turn, order: OrderRequest) -> None:
    preview = turn.exchange.what_if(order)
    if isinstance(preview, Refused):
        turn.session.say(OrderError(order.order_id, preview.code, preview.text, turn.now))
        return
    zero = Decimal(0)
    state = OrderState(order, 0, "PreSubmitted", zero, order.quantity, zero, zero, "", turn.now)
    turn.session.say(OpenOrder(state, turn.exchange.instruments[order.con_id], preview))


def cancel_order(turn: Turn, request: ask.CancelOrder) -> None:
    turn.change("cancel", client_id=turn.session.client_id, order_id=request.order_id)


def global_cancel(turn: Turn, request: ask.GlobalCancel) -> None:
    turn.change("cancel_all")


def next_ids(turn: Turn, request: ask.RequestIds) -> None:
    turn.session.say(NextValidId(next_order_id(turn)))


def next_order_id(turn: Turn) -> int:
    """The id to announce to this client: above every id it has used, less what an operator rolled back to rehearse that fault."""
    return max(1, turn.exchange.next_order_id_floor(turn.session.client_id) - turn.id_rollback)


def as_told(order: OrderState, client_id: int) -> OrderState:
    """An order in the words for this client. Those entered by hand have order id 0 for all but client 0, to which they are bound; those
    of a telephone for everybody."""
    request = order.request
    if request.order_id > 0 or (client_id == BY_HAND and request.wire.get(PLACED_BY) != MOBILE):
        return order
    return dataclasses.replace(order, request=dataclasses.replace(request, order_id=0))


def fill_as_told(fill: Fill, client_id: int) -> Fill:
    """An execution in the words for this client: that of an order entered by hand carries the greatest id there is."""
    return fill if fill.order_id > 0 or client_id == BY_HAND else dataclasses.replace(fill, order_id=NO_ORDER_ID)


def order_status(order: OrderState, *, live: bool = False) -> OrderStatus:
    request = order.request
    return OrderStatus(
        request.order_id, order.status, order.filled, order.remaining, order.average_price, order.perm_id, request.parent_id,
        order.last_price,
        request.client_id, order.why_held, live, request.order_ref,
    )  # fmt: skip


def own_open_orders(turn: Turn, request: ask.RequestOpenOrders) -> None:
    _say_open_orders(turn, turn.exchange.open_orders(turn.session.client_id))


def all_open_orders(turn: Turn, request: ask.RequestAllOpenOrders) -> None:
    _say_open_orders(turn, turn.exchange.open_orders())


def _say_open_orders(turn: Turn, orders: list[OrderState]) -> None:
    for order in (as_told(one, turn.session.client_id) for one in orders):
        turn.session.say(OpenOrder(order, turn.exchange.instruments[order.request.con_id]), order_status(order))
    turn.session.say(OpenOrderEnd())


def auto_open_orders(turn: Turn, request: ask.RequestAutoOpenOrders) -> None:
    """Binding needs client 0 (IB error 327). Here client 0 is bound to every order entered by hand whether it asks or not, and IB does
    not answer."""
    if turn.session.client_id != 0:
        turn.error(-1, 327, "Only the default client (i.e 0) can auto bind orders")


def completed_orders(turn: Turn, request: ask.RequestCompletedOrders) -> None:
    for order in (as_told(one, turn.session.client_id) for one in turn.exchange.completed_orders(turn.now)):
        turn.session.say(CompletedOrder(order, turn.exchange.instruments[order.request.con_id]))
    turn.session.say(CompletedOrdersEnd())


def executions(turn: Turn, request: ask.RequestExecutions) -> None:
    """The day's executions that pass the filter, each followed by its commission report."""
    try:
        since = parse_timestamp(request.time)
    except ValueProblem as problem:
        turn.invalid(request.req_id, str(problem))
        return
    for fill, charge in turn.exchange.fills(turn.now):
        instrument = turn.exchange.instruments[fill.con_id]
        wanted = (
            _wanted(fill, request)
            and (since is None or fill.time >= since)
            and request.symbol.upper() in ("", instrument.symbol)
            and request.sec_type.upper() in ("", instrument.sec_type)
            and request.exchange.upper() in ("", fill.exchange, instrument.exchange)
        )
        if wanted:
            told = fill_as_told(fill, turn.session.client_id)
            turn.session.say(
                ExecutionDetails(request.req_id, told, instrument, ""), CommissionReport(charge, fill.order_id, fill.order_ref)
            )
    turn.session.say(ExecutionDetailsEnd(request.req_id))


def _wanted(fill: Fill, request: ask.RequestExecutions) -> bool:
    days = {day for day in request.dates.fields[1:] if day}
    return (
        (not request.client_id or fill.client_id == request.client_id)
        and request.account in ("", fill.account)
        and (not request.side or _SIDES.get(request.side.upper()) == fill.side)
        and (not days or f"{fill.time:%Y%m%d}" in days)
    )
