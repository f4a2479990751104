"""Tells the right clients what the exchange did: order news to the owner, positions, values, P&L and quotes to whoever subscribed.

Foreign orders are pushed to the master client alone, where the gateway has one (a setting of TWS); other clients see them through
reqAllOpenOrders, under the owner's client id.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from broker.simulator.answering import accounts, market
from broker.simulator.answering.orders import as_told, fill_as_told, order_status
from broker.simulator.messages.answers import CommissionReport, ExecutionDetails, OrderError
from broker.simulator.messages.order_frames import OpenOrder
from broker.simulator.model import (
    CommissionCharged,
    Corrected,
    Event,
    Executed,
    Fill,
    OrderChanged,
    PositionChanged,
    QuoteChanged,
    Refused,
    Warned,
)
from broker.simulator.session import Session

if TYPE_CHECKING:
    from broker.simulator.exchange import Exchange

LIVE_EXECUTION = -1


def publish(events: Iterable[Event], sessions: list[Session], exchange: Exchange, now: datetime, master: int | None) -> None:
    """Queues the messages that these events mean on the sessions they concern."""
    by_client = {session.client_id: session for session in sessions}
    touched: set[str] = set()
    fills: dict[str, Fill] = {}
    for event in events:
        if isinstance(event, Executed | Corrected):
            fills[event.fill.exec_id] = event.fill
        if isinstance(event, QuoteChanged):
            for session in sessions:
                market.push_quote(session, exchange, event)
        elif isinstance(event, PositionChanged):
            touched.add(event.account)
            for session in sessions:
                _push_position(session, exchange, event)
        else:
            owner = _owner(event)
            for client_id in dict.fromkeys((owner, owner if isinstance(event, Refused | Warned) or master is None else master)):
                if client_id in by_client:
                    _tell(by_client[client_id], event, exchange, now, fills)
    if touched:
        push_accounts(sessions, exchange, now, touched)


def _owner(event: Event) -> int | None:
    """The client whose order it is about."""
    if isinstance(event, OrderChanged):
        return event.order.request.client_id
    if isinstance(event, Executed | Corrected):
        return event.fill.client_id
    return event.client_id if isinstance(event, CommissionCharged | Refused | Warned) else None


def _tell(session: Session, event: Event, exchange: Exchange, now: datetime, fills: dict[str, Fill]) -> None:
    """`fills` are the executions told of so far, by their id: a commission names no order."""
    if isinstance(event, OrderChanged):
        order = as_told(event.order, session.client_id)
        if event.echo:
            session.say(OpenOrder(order, exchange.instruments[order.request.con_id], live=True))
        session.say(order_status(order, live=True))
    elif isinstance(event, Executed | Corrected):
        fill = fill_as_told(event.fill, session.client_id)
        session.say(ExecutionDetails(LIVE_EXECUTION, fill, exchange.instruments[fill.con_id], ""))
    elif isinstance(event, CommissionCharged):
        about = fills.get(event.exec_id)
        session.say(CommissionReport(event, about.order_id if about else 0, about.order_ref if about else ""))
    elif isinstance(event, Refused | Warned):
        known = exchange.book.orders.get((event.client_id, event.order_id))
        session.say(OrderError(event.order_id, event.code, event.text, now, order_ref=known.request.order_ref if known else ""))


def _push_position(session: Session, exchange: Exchange, event: PositionChanged) -> None:
    table = session.subscriptions
    if table.positions:
        session.say(accounts.position_answer(exchange, event))
    for req_id, account in table.positions_multi.items():
        if account in ("", event.account):
            session.say(accounts.position_multi_answer(exchange, req_id, event))


def push_accounts(sessions: list[Session], exchange: Exchange, now: datetime, touched: set[str]) -> None:
    """Changed values of the touched accounts, to every subscription that covers them."""
    for session in sessions:
        table = session.subscriptions
        if table.account is not None and table.account.account in touched:
            accounts.push_account(session, exchange, table.account, now)
        for req_id, line in table.account_multi.items():
            if line.account in touched:
                accounts.push_account_multi(session, exchange, req_id, line)
        for req_id, summary in table.summaries.items():
            if touched.intersection(summary.accounts):
                accounts.push_summary(session, exchange, req_id, summary)
        accounts.push_pnl(session, exchange)
