"""Which handler answers which request, and the short answers that need no module of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from broker.simulator.answering import accounts, contracts, market, orders
from broker.simulator.answering.turn import PROCESSING, SERVER_ERROR_READING, Turn
from broker.simulator.messages import answers as say
from broker.simulator.messages import requests as ask
from broker.simulator.messages.place_order import PlaceOrder


def _managed_accounts(turn: Turn, request: ask.RequestManagedAccounts) -> None:
    turn.session.say(say.ManagedAccounts(",".join(turn.exchange.accounts)))


def _current_time(turn: Turn, request: ask.RequestCurrentTime) -> None:
    turn.session.say(say.CurrentTime(int(turn.now.timestamp())))


def _current_time_millis(turn: Turn, request: ask.RequestCurrentTimeMillis) -> None:
    turn.session.say(say.CurrentTimeMillis(int(turn.now.timestamp() * 1000)))


def _log_level(turn: Turn, request: ask.SetServerLogLevel) -> None:
    """IB does not answer this one either."""


def _family_codes(turn: Turn, request: ask.RequestFamilyCodes) -> None:
    turn.session.say(say.family_codes(tuple(turn.exchange.accounts)))


def _user_info(turn: Turn, request: ask.RequestUserInfo) -> None:
    turn.session.say(say.UserInfo(request.req_id, ""))


def _depth_exchanges(turn: Turn, request: ask.RequestDepthExchanges) -> None:
    turn.session.say(say.depth_exchanges())


def _news_providers(turn: Turn, request: ask.RequestNewsProviders) -> None:
    turn.session.say(say.news_providers())


def _soft_dollar_tiers(turn: Turn, request: ask.RequestSoftDollarTiers) -> None:
    turn.session.say(say.soft_dollar_tiers(request.req_id))


def _smart_components(turn: Turn, request: ask.RequestSmartComponents) -> None:
    listings = sorted({one.primary_exchange for one in turn.exchange.instruments.values() if one.sec_type == "STK"})
    turn.session.say(say.smart_components(request.req_id, tuple(listings)))


def _malformed(turn: Turn, request: ask.Malformed) -> None:
    turn.error(request.req_id, SERVER_ERROR_READING, request.text)


def _not_simulated(turn: Turn, request: ask.NotSimulated) -> None:
    text = f"Error processing request.-'bW' : cause - {request.name} is not offered by the simulated gateway"
    turn.error(request.req_id, PROCESSING, text)


HANDLERS: dict[type, Callable[[Turn, Any], None]] = {
    ask.Malformed: _malformed,
    ask.NotSimulated: _not_simulated,
    ask.RequestManagedAccounts: _managed_accounts,
    ask.RequestCurrentTime: _current_time,
    ask.RequestCurrentTimeMillis: _current_time_millis,
    ask.SetServerLogLevel: _log_level,
    ask.RequestFamilyCodes: _family_codes,
    ask.RequestUserInfo: _user_info,
    ask.RequestDepthExchanges: _depth_exchanges,
    ask.RequestNewsProviders: _news_providers,
    ask.RequestSoftDollarTiers: _soft_dollar_tiers,
    ask.RequestSmartComponents: _smart_components,
    PlaceOrder: orders.place_order,
    ask.CancelOrder: orders.cancel_order,
    ask.GlobalCancel: orders.global_cancel,
    ask.RequestIds: orders.next_ids,
    ask.RequestOpenOrders: orders.own_open_orders,
    ask.RequestAllOpenOrders: orders.all_open_orders,
    ask.RequestAutoOpenOrders: orders.auto_open_orders,
    ask.RequestCompletedOrders: orders.completed_orders,
    ask.RequestExecutions: orders.executions,
    ask.RequestPositions: accounts.positions,
    ask.CancelPositions: accounts.cancel_positions,
    ask.RequestPositionsMulti: accounts.positions_multi,
    ask.CancelPositionsMulti: accounts.cancel_line,
    ask.RequestAccountUpdates: accounts.account_updates,
    ask.RequestAccountUpdatesMulti: accounts.account_updates_multi,
    ask.CancelAccountUpdatesMulti: accounts.cancel_line,
    ask.RequestAccountSummary: accounts.account_summary,
    ask.CancelAccountSummary: accounts.cancel_line,
    ask.RequestPnL: accounts.pnl,
    ask.CancelPnL: accounts.cancel_line,
    ask.RequestPnLSingle: accounts.pnl_single,
    ask.CancelPnLSingle: accounts.cancel_line,
    ask.RequestContractDetails: contracts.contract_details,
    ask.RequestMatchingSymbols: contracts.matching_symbols,
    ask.RequestMarketRule: contracts.market_rule,
    ask.RequestOptionParameters: contracts.option_parameters,
    ask.RequestMarketData: market.market_data,
    ask.CancelMarketData: market.cancel_market_data,
    ask.RequestMarketDataType: market.market_data_type,
    ask.RequestHistoricalData: market.historical_data,
    ask.CancelHistoricalData: market.cancel_historical_data,
}
