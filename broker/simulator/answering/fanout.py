"""Tells the right clients what the exchange did: order news to the owner, positions, values, P&L and quotes to whoever subscribed.

Foreign orders are not pushed; other clients see them through reqAllOpenOrders, under the owner's client id.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from broker.simulator.answering import accounts, market
from broker.simulator.answering.orders import order_status
from broker.simulator.messages.answers import CommissionReport, ExecutionDetails, OrderError
from broker.simulator.messages.order_frames import OpenOrder
from broker.simulator.model import CommissionCharged, Corrected, Event, Executed, Fill, OrderChanged, PositionChanged, QuoteChanged, Refused
from broker.simulator.session import Session

if TYPE_CHECKING:
    from broker.simulator.exchange import Exchange

LIVE_EXECUTION = -1


def publish(events: Iterable[Event], sessions: list[Session], exchange: Exchange, now: datetime) -> None:
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
            _tell_owner(event, by_client, exchange, now, fills)
    if touched:
        push_accounts(sessions, exchange, now, touched)


def _tell_owner(event: Event, by_client: dict[int, Session], exchange: Exchange, now: datetime, fills: dict[str, Fill]) -> None:
    """`fills` are the executions told of so far, by their id: a commission names no order."""
    if isinstance(event, OrderChanged):
        owner = by_client.get(event.order.request.client_id)
        if owner is not None:
            if event.echo:
                owner.say(OpenOrder(event.order, exchange.instruments[event.order.request.con_id], live=True))
            owner.say(order_status(event.order, live=True))
    elif isinstance(event, Executed | Corrected):
        owner = by_client.get(event.fill.client_id)
        if owner is not None:
            owner.say(ExecutionDetails(LIVE_EXECUTION, event.fill, exchange.instruments[event.fill.con_id], ""))
    elif isinstance(event, CommissionCharged):
        owner = by_client.get(event.client_id)
        if owner is not None:
            fill = fills.get(event.exec_id)
            owner.say(CommissionReport(event, fill.order_id if fill else 0, fill.order_ref if fill else ""))
    elif isinstance(event, Refused):
        owner = by_client.get(event.client_id)
        if owner is not None:
            known = exchange.book.orders.get((event.client_id, event.order_id))
            owner.say(OrderError(event.order_id, event.code, event.text, now, order_ref=known.request.order_ref if known else ""))


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
