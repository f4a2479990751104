"""Accounts: values, positions, portfolio, summaries and profit and loss, asked once and then pushed as they change.

What was last sent is remembered per subscription. The rule kept: a push carries what changed and nothing else, a first answer carries
everything.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from broker.simulator.answering.turn import NO_SECURITY, PROCESSING, REQUEST_NOT_FOUND, Turn
from broker.simulator.messages import answers as say
from broker.simulator.messages import requests as ask
from broker.simulator.model import PositionChanged
from broker.simulator.session import AccountLine, Session, SummaryLine

if TYPE_CHECKING:
    from broker.simulator.exchange import Exchange

MOST_SUMMARIES = 2  # IB: at most two account summary subscriptions a client
LEDGER_KEYS = frozenset(
    {
        "CashBalance", "TotalCashBalance", "AccruedCash", "StockMarketValue", "OptionMarketValue", "FutureOptionValue", "FuturesPNL",
        "NetLiquidationByCurrency", "UnrealizedPnL", "RealizedPnL", "ExchangeRate", "FundValue", "NetDividend", "MutualFundValue",
        "MoneyMarketFundValue", "CorporateBondValue", "TBondValue", "TBillValue", "WarrantValue", "FxCashBalance", "AccountOrGroup",
        "RealCurrency", "IssuerOptionValue", "Cryptocurrency", "Currency",
    }
)  # fmt: skip
ALL = frozenset({"", "All"})


# --- positions --------------------------------------------------------------------------------------------------------------------


def held(exchange: Exchange, accounts: frozenset[str] | set[str] | None = None) -> list[PositionChanged]:
    """Positions that are not zero, of these accounts or of all."""
    return [one for one in exchange.positions() if one.quantity and (accounts is None or one.account in accounts)]


def positions(turn: Turn, request: ask.RequestPositions) -> None:
    turn.session.subscriptions.positions = True
    for one in held(turn.exchange):
        turn.session.say(position_answer(turn.exchange, one))
    turn.session.say(say.PositionEnd())


def position_answer(exchange: Exchange, one: PositionChanged) -> say.Position:
    return say.Position(one.account, exchange.instruments[one.con_id], one.quantity, one.average_cost if one.quantity else Decimal(0))


def cancel_positions(turn: Turn, request: ask.CancelPositions) -> None:
    turn.session.subscriptions.positions = False


def positions_multi(turn: Turn, request: ask.RequestPositionsMulti) -> None:
    if request.account not in ALL and not turn.known_account(request.req_id, request.account):
        return
    account = "" if request.account in ALL else request.account
    turn.session.subscriptions.positions_multi[request.req_id] = account
    for one in held(turn.exchange, {account} if account else None):
        turn.session.say(position_multi_answer(turn.exchange, request.req_id, one))
    turn.session.say(say.PositionMultiEnd(request.req_id))


def position_multi_answer(exchange: Exchange, req_id: int, one: PositionChanged) -> say.PositionMulti:
    cost = one.average_cost if one.quantity else Decimal(0)
    return say.PositionMulti(req_id, one.account, exchange.instruments[one.con_id], one.quantity, cost)


# --- account values ---------------------------------------------------------------------------------------------------------------


def account_updates(turn: Turn, request: ask.RequestAccountUpdates) -> None:
    """Values and portfolio of one account; an empty account is the first. One account at a time: a new one replaces the old."""
    account = request.account or turn.exchange.accounts[0]
    if not turn.known_account(-1, account):
        return
    if not request.subscribe:
        turn.session.subscriptions.account = None
        return
    line = AccountLine(account)
    turn.session.subscriptions.account = line
    push_account(turn.session, turn.exchange, line, turn.now)
    turn.session.say(say.AccountDownloadEnd(account))


def push_account(session: Session, exchange: Exchange, line: AccountLine, now: datetime) -> None:
    """What changed in the values and the portfolio of an account since the last push on this line, and then the time."""
    changed: list[say.Answer] = []
    for key, value, currency in exchange.account_values(line.account):
        if line.sent.get((key, currency)) != value:
            line.sent[key, currency] = value
            changed.append(say.AccountValue(key, value, currency, line.account))
    held_now = {one.con_id: one for one in held(exchange, {line.account})}
    for con_id in {**held_now, **line.sent_portfolio}:
        answer = portfolio(exchange, line.account, con_id, held_now.get(con_id))
        numbers = (
            answer.quantity,
            answer.market_price,
            answer.market_value,
            answer.average_cost,
            answer.unrealized_pnl,
            answer.realized_pnl,
        )
        if line.sent_portfolio.get(con_id) != numbers:
            line.sent_portfolio[con_id] = numbers
            changed.append(answer)
    if changed:
        session.say(*changed, say.AccountTime(now.astimezone(UTC).strftime("%H:%M")))


def portfolio(exchange: Exchange, account: str, con_id: int, position: PositionChanged | None) -> say.Portfolio:
    """One position valued at the middle of its quote, in the contract's currency; None is a position that has been closed."""
    instrument, quote, zero = exchange.instruments[con_id], exchange.quote(con_id), Decimal(0)
    price = (quote.bid + quote.ask) / 2
    if position is None:
        _, _, _, realized, _ = exchange.pnl_single(account, con_id)
        return say.Portfolio(instrument, zero, price, zero, zero, zero, realized, account)
    value = position.quantity * price * instrument.multiplier
    unrealized = value - position.quantity * position.average_cost
    return say.Portfolio(instrument, position.quantity, price, value, position.average_cost, unrealized, position.realized_pnl, account)


def account_updates_multi(turn: Turn, request: ask.RequestAccountUpdatesMulti) -> None:
    account = turn.exchange.accounts[0] if request.account in ALL else request.account
    if not turn.known_account(request.req_id, account):
        return
    line = AccountLine(account)
    turn.session.subscriptions.account_multi[request.req_id] = line
    push_account_multi(turn.session, turn.exchange, request.req_id, line)
    turn.session.say(say.AccountUpdateMultiEnd(request.req_id))


def push_account_multi(session: Session, exchange: Exchange, req_id: int, line: AccountLine) -> None:
    for key, value, currency in exchange.account_values(line.account):
        if line.sent.get((key, currency)) != value:
            line.sent[key, currency] = value
            session.say(say.AccountUpdateMulti(req_id, line.account, "", key, value, currency))


def account_summary(turn: Turn, request: ask.RequestAccountSummary) -> None:
    """Chosen values of every account of a group; the only group here is All."""
    subscriptions = turn.session.subscriptions
    if len(subscriptions.summaries.keys() - {request.req_id}) >= MOST_SUMMARIES:
        turn.error(
            request.req_id, PROCESSING, "Error processing request.-'bW' : cause - Maximum number of account summary requests exceeded"
        )
        return
    if request.group not in ALL:
        turn.invalid(request.req_id, f"Group '{request.group}' does not exist")
        return
    line = SummaryLine(tuple(turn.exchange.accounts), tuple(tag.strip() for tag in request.tags.split(",") if tag.strip()))
    subscriptions.summaries[request.req_id] = line
    push_summary(turn.session, turn.exchange, request.req_id, line)
    turn.session.say(say.AccountSummaryEnd(request.req_id))


def push_summary(session: Session, exchange: Exchange, req_id: int, line: SummaryLine) -> None:
    for account in line.accounts:
        for key, value, currency in exchange.account_values(account):
            if _in_summary(line.tags, key, currency) and line.sent.get((account, key, currency)) != value:
                line.sent[account, key, currency] = value
                session.say(say.AccountSummary(req_id, account, key, value, currency))


def _in_summary(tags: tuple[str, ...], key: str, currency: str) -> bool:
    """A tag names a value; `$LEDGER` the cash ledger in base currency, `$LEDGER:CUR` in one currency, `$LEDGER:ALL` in every one."""
    if key in tags:
        return True
    if key not in LEDGER_KEYS:
        return False
    return "$LEDGER:ALL" in tags or f"$LEDGER:{currency}" in tags or ("$LEDGER" in tags and currency == "BASE")


# --- profit and loss --------------------------------------------------------------------------------------------------------------


def pnl(turn: Turn, request: ask.RequestPnL) -> None:
    if turn.known_account(request.req_id, request.account):
        turn.session.subscriptions.pnl[request.req_id] = request.account
        push_pnl(turn.session, turn.exchange)


def pnl_single(turn: Turn, request: ask.RequestPnLSingle) -> None:
    if not turn.known_account(request.req_id, request.account):
        return
    if request.con_id not in turn.exchange.instruments:
        turn.error(request.req_id, NO_SECURITY, "No security definition has been found for the request")
        return
    turn.session.subscriptions.pnl_single[request.req_id] = (request.account, request.con_id)
    push_pnl(turn.session, turn.exchange)


def push_pnl(session: Session, exchange: Exchange) -> None:
    """Every P&L line of the session whose numbers changed since they were last sent."""
    table = session.subscriptions
    for req_id, account in table.pnl.items():
        numbers = exchange.pnl(account)
        if table.pnl_sent.get(req_id) != numbers:
            table.pnl_sent[req_id] = numbers
            session.say(say.PnL(req_id, *numbers))
    for req_id, (account, con_id) in table.pnl_single.items():
        single = exchange.pnl_single(account, con_id)
        if table.pnl_sent.get(req_id) != single:
            table.pnl_sent[req_id] = single
            session.say(say.PnLSingle(req_id, *single))


def cancel_line(turn: Turn, request: ask.CancelPnL) -> None:
    """Ends a subscription that has a request id; an unknown one is answered with error 300."""
    table = turn.session.subscriptions
    lines = {
        ask.CancelPnL: table.pnl,
        ask.CancelPnLSingle: table.pnl_single,
        ask.CancelPositionsMulti: table.positions_multi,
        ask.CancelAccountUpdatesMulti: table.account_multi,
        ask.CancelAccountSummary: table.summaries,
    }[type(request)]
    table.pnl_sent.pop(request.req_id, None)
    if lines.pop(request.req_id, None) is None:
        turn.error(request.req_id, REQUEST_NOT_FOUND, f"Can't find EId with tickerId:{request.req_id}")
