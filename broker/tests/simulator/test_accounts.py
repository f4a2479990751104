"""Positions, cash, results and margins of the simulated broker, worked out by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from broker.simulator.exchange import Exchange
from broker.simulator.model import CommissionCharged, PositionChanged, Refused, WhatIf
from broker.tests.simulator.trading import (
    AAPL,
    ACCOUNT,
    EURUSD,
    NOON,
    OTHER_ACCOUNT,
    SECOND,
    USDJPY,
    errors,
    limit,
    quiet,
    quote,
    ticket,
)


def value(exchange: Exchange, key: str, currency: str = "USD", account: str = ACCOUNT) -> Decimal:
    (found,) = [Decimal(text) for name, text, unit in exchange.account_values(account) if (name, unit) == (key, currency)]
    return found


def trade(exchange: Exchange, order_id: int, action: str, quantity: int, price: str, con_id: int | str = AAPL) -> list[object]:
    """Buy or sell all of it at exactly this price; the events."""
    quote(exchange, price, price, con_id=con_id)
    instrument = next(one for one in exchange.instruments.values() if con_id in (one.con_id, one.local_symbol))
    return list(exchange.submit(ticket(order_id, action, quantity, con_id=instrument.con_id), NOON))


def test_position_is_at_average_cost_with_commissions_and_result_has_both_ends() -> None:
    exchange = quiet()
    trade(exchange, 1, "BUY", 100, "100.00")
    trade(exchange, 2, "BUY", 300, "102.00")  # commission 1.50
    (position,) = exchange.positions()
    cost = (Decimal(100) * 100 + 1 + Decimal(102) * 300 + Decimal("1.50")) / 400
    assert (position.quantity, position.average_cost) == (400, cost)
    events = trade(exchange, 3, "SELL", 200, "110.00")
    (charged,) = [one for one in events if isinstance(one, CommissionCharged)]
    assert charged.realized_pnl == (110 - cost) * 200 - 1
    assert exchange.positions()[0].average_cost == cost, "selling leaves the average cost"
    assert exchange.pnl(ACCOUNT)[2] == charged.realized_pnl


def test_opening_fill_has_no_realized_result() -> None:
    (charged,) = [one for one in trade(quiet(), 1, "SELL", 100, "100.00") if isinstance(one, CommissionCharged)]
    assert charged.realized_pnl is None


def test_short_position_gains_when_the_price_falls() -> None:
    exchange = quiet()
    trade(exchange, 1, "SELL", 100, "100.00")
    (position,) = exchange.positions()
    assert (position.quantity, position.average_cost) == (-100, Decimal("99.99"))
    quote(exchange, "90.00", "90.00")
    assert exchange.pnl_single(ACCOUNT, AAPL) == (-100, Decimal(999), Decimal(999), 0, -9000)
    (charged,) = [one for one in trade(exchange, 2, "BUY", 100, "90.00") if isinstance(one, CommissionCharged)]
    assert charged.realized_pnl == 1000 - 2


def test_fill_through_zero_closes_one_position_and_opens_the_other() -> None:
    exchange = quiet()
    trade(exchange, 1, "BUY", 100, "100.00")
    events = trade(exchange, 2, "SELL", 400, "110.00")  # commission 2.00, a quarter of it for the closing part
    (charged,) = [one for one in events if isinstance(one, CommissionCharged)]
    assert charged.realized_pnl == 1000 - 1 - Decimal("0.5")
    (position,) = exchange.positions()
    assert (position.quantity, position.average_cost) == (-300, 110 - Decimal("1.5") / 300)


def test_flat_position_is_told_once_and_then_gone() -> None:
    exchange = quiet()
    trade(exchange, 1, "BUY", 100, "100.00")
    (told,) = [one for one in trade(exchange, 2, "SELL", 100, "101.00") if isinstance(one, PositionChanged)]
    assert (told.quantity, told.average_cost, told.realized_pnl) == (0, 0, 98)
    assert exchange.positions() == []
    assert exchange.pnl_single(ACCOUNT, AAPL) == (0, 98, 0, 98, 0)


def test_cash_and_net_liquidation_of_a_share_position() -> None:
    exchange = quiet()
    trade(exchange, 1, "BUY", 100, "100.00")
    quote(exchange, "105.00", "105.02")
    assert value(exchange, "TotalCashValue") == Decimal("989999.00")
    assert value(exchange, "GrossPositionValue") == Decimal("10501.00")
    assert value(exchange, "NetLiquidation") == Decimal("1000500.00")
    assert value(exchange, "UnrealizedPnL") == Decimal("500.00")
    assert value(exchange, "InitMarginReq") == Decimal("2625.25")
    assert value(exchange, "MaintMarginReq") == Decimal("1575.15")
    assert value(exchange, "AvailableFunds") == Decimal("1000500.00") - Decimal("2625.25")
    assert value(exchange, "BuyingPower") == 4 * value(exchange, "AvailableFunds")
    assert value(exchange, "NetLiquidation", account=OTHER_ACCOUNT) == 1_000_000
    assert ("AccountReady", "true", "") in exchange.account_values(ACCOUNT)
    assert ("AccountCode", ACCOUNT, "") in exchange.account_values(ACCOUNT)


def test_future_settles_its_result_into_cash_and_costs_times_its_multiplier() -> None:
    exchange = quiet()
    trade(exchange, 1, "BUY", 2, "6700.00", "ESZ6")
    (position,) = exchange.positions()
    assert position.average_cost == 6700 * 50 + Decimal("2.25")
    quote(exchange, "6710.00", "6710.00", con_id="ESZ6")
    assert value(exchange, "TotalCashValue") == value(exchange, "NetLiquidation") == 1_000_000 + 10 * 50 * 2 - Decimal("4.50")
    assert value(exchange, "GrossPositionValue") == 0
    assert value(exchange, "InitMarginReq") == Decimal("0.07") * 6710 * 50 * 2


def test_option_costs_times_one_hundred_and_its_premium_is_value() -> None:
    exchange = quiet()
    (call,) = exchange.find(symbol="AAPL", sec_type="OPT", expiry="20261218", strike=Decimal(240), right="C")
    trade(exchange, 1, "BUY", 10, "5.00", call.con_id)
    (position,) = exchange.positions()
    assert position.average_cost == 500 + Decimal("0.65")
    assert value(exchange, "NetLiquidation") == 1_000_000 - Decimal("6.50")
    assert value(exchange, "InitMarginReq") == 5000
    quote(exchange, "100.00", "100.00")
    trade(exchange, 2, "SELL", 20, "5.00", call.con_id)
    assert value(exchange, "InitMarginReq") == 5000 + 10 * 100 * 100 * Decimal("0.20"), "a short option asks for its underlying's risk"


def test_pair_moves_cash_between_currencies_and_is_no_value_of_its_own() -> None:
    exchange = quiet()
    trade(exchange, 1, "BUY", 100_000, "1.16500", EURUSD)
    commission = Decimal("116500") * Decimal("0.00002")
    assert value(exchange, "CashBalance", "EUR") == 100_000
    assert value(exchange, "CashBalance", "USD") == (1_000_000 - 116_500 - commission).quantize(Decimal("0.01"))
    assert value(exchange, "ExchangeRate", "EUR") == Decimal("1.165")
    quote(exchange, "1.17500", "1.17500", con_id=EURUSD)
    assert value(exchange, "NetLiquidation") == (1_001_000 - commission).quantize(Decimal("0.01"))
    assert exchange.pnl_single(ACCOUNT, EURUSD)[2] == 1000 - commission


def test_yen_are_worth_the_reverse_of_their_pair() -> None:
    exchange = quiet()
    trade(exchange, 1, "BUY", 10_000, "150.000", USDJPY)
    assert value(exchange, "CashBalance", "JPY") == -1_500_300
    assert value(exchange, "ExchangeRate", "JPY") == (1 / Decimal(150)).quantize(Decimal("0.00000001"))
    assert abs(value(exchange, "NetLiquidation") - (1_000_000 - 2)) < 1
    assert abs(exchange.pnl(ACCOUNT)[0] + 2) < 1


def test_commission_of_cheap_shares_is_at_most_a_percent() -> None:
    exchange = quiet(bid="0.5000", ask="0.5000")
    (charged,) = [one for one in exchange.submit(ticket(1, quantity=100), NOON) if isinstance(one, CommissionCharged)]
    assert charged.commission == Decimal("0.5")


def test_new_day_starts_daily_and_realized_results_at_zero() -> None:
    exchange = quiet()
    trade(exchange, 1, "BUY", 200, "100.00")
    trade(exchange, 2, "SELL", 100, "110.00")
    assert exchange.pnl(ACCOUNT) == (1998, Decimal("999.5"), Decimal("998.5"))
    exchange.tick(NOON + 13 * 3600 * SECOND)
    assert exchange.pnl(ACCOUNT)[0] == exchange.pnl(ACCOUNT)[2] == 0
    quote(exchange, "112.00", "112.00")
    assert exchange.pnl_single(ACCOUNT, AAPL)[1] == 200


def test_what_if_places_nothing_and_tells_margins_and_commission() -> None:
    exchange = quiet()
    trade(exchange, 1, "BUY", 100, "100.00")
    quote(exchange, "100.00", "100.00")
    answer = exchange.what_if(limit(2, "BUY", 300, "90.00"))
    assert isinstance(answer, WhatIf)
    assert (answer.init_before, answer.init_change, answer.init_after) == (2500, 7500, 10_000)
    assert (answer.maint_before, answer.maint_change, answer.maint_after) == (1500, 4500, 6000)
    assert answer.commission == Decimal("1.5")
    assert answer.equity_after == answer.equity_before + answer.equity_change == 1_000_000 - 1 - Decimal("1.5")
    assert exchange.open_orders() == []
    assert exchange.next_order_id_floor(17) == 2


def test_what_if_of_a_closing_order_frees_margin() -> None:
    exchange = quiet()
    trade(exchange, 1, "BUY", 100, "100.00")
    answer = exchange.what_if(ticket(2, "SELL", 100))
    assert isinstance(answer, WhatIf)
    assert (answer.init_change, answer.init_after) == (-answer.init_before, 0)


@pytest.mark.parametrize(
    ("order", "code"), [(ticket(1, quantity=100_000), 201), (ticket(1, quantity=0), 434), (ticket(1, transmit=False), 413)]
)
def test_what_if_is_refused_as_the_order_would_be(order: object, code: int) -> None:
    answer = quiet().what_if(order)  # type: ignore[arg-type]
    assert isinstance(answer, Refused)
    assert answer.code == code


def test_unknown_account_is_an_error_of_the_caller() -> None:
    exchange = quiet()
    with pytest.raises(KeyError):
        exchange.account_values("DU9")
    assert errors(exchange.submit(ticket(1, account="DU9"), NOON)) == [(1, 321)]
