"""The size of an order by what the book knows: account values, contract, quote, limits, answered bars and the desk's own trades."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from orders import checks, inquiries
from orders.book import book
from orders.models import Account, AccountValue, Contract, Inquiry
from orders.models.book import Source
from orders.queries.sizing import TradesOf, bars_question, sized, sizing_facts
from orders.rules.sizing import AmountIn, Basis, Caps, Method, Note, Sizing, SizingError, SizingRequest
from orders.rules.terms import AccessLevel, Side
from orders.tests import factories
from orders.tests.seats import Seats, take_seats

pytestmark = pytest.mark.django_db


@pytest.fixture
def seats() -> Seats:
    """An account worth 100,000 USD that can buy for 400,000."""
    seats = take_seats()
    for name, value in (("NetLiquidation", "100000"), ("BuyingPower", "400000"), ("AvailableFunds", "90000")):
        tell(seats.account, name, value, seats.now)
    with book(at=seats.now) as b, b.event("positions.known", source=Source.RECONCILE, account=seats.account) as fact:
        fact.set(seats.account, positions_known_at=seats.now)
    return seats


def tell(account: Account, name: str, value: str, at: datetime, currency: str = "USD") -> None:
    AccountValue.objects.update_or_create(account=account, name=name, currency=currency, defaults={"value": value, "at": at})


def ask(seats: Seats, method: Method, price: str | None = "100", stop: str | None = None, **options: Any) -> Sizing:
    """The size, of AAPL and bought unless said otherwise; `bars`, `limits` and `trades_of` beside the fields of the request."""
    known = {name: options.pop(name) for name in ("bars", "limits", "trades_of") if name in options}
    user, contract = options.pop("user", seats.trader), options.pop("contract", seats.contract)
    side = options.pop("side", Side.BUY)
    request = SizingRequest(method, side, D(price) if price else None, D(stop) if stop else None, **options)
    return sized(user, seats.account, contract, request, now=seats.now, **known)


def refused(seats: Seats, method: Method, **options: Any) -> tuple[str, str]:
    with pytest.raises(SizingError) as error:
        ask(seats, method, **options)
    return error.value.field, error.value.rule


def codes(sizing: Sizing) -> list[str]:
    return [note.code for note in sizing.warnings]


# --- account, contract, quote ---------------------------------------------------------------------------------------------------------


def test_the_facts_of_the_book(seats: Seats) -> None:
    facts = sizing_facts(seats.viewer, seats.account, seats.contract, Side.BUY, now=seats.now + timedelta(seconds=12))
    assert (facts.currency, facts.base_currency, facts.rate, facts.multiplier) == ("USD", "USD", 1, 1)
    assert (facts.net_liquidation, facts.net_liquidation_age) == (100_000, timedelta(seconds=12))
    assert (facts.min_size, facts.size_increment, facts.caps) == (1, 1, Caps(buying_power=D(400_000)))
    assert facts.ticks is not None and facts.ticks.tick_at(D(100)) == D("0.01")
    assert (facts.market_price, facts.bars, facts.trades, facts.notes) == (D("100.01"), None, None, ())


def test_risk_to_the_stop_by_the_accounts_own_values(seats: Seats) -> None:
    found = ask(seats, Method.RISK, stop="98", percent=D(1))
    assert (found.quantity, found.risk_base, found.warnings) == (500, 1000, ())


def test_an_amount_in_the_contracts_currency_and_in_the_accounts(seats: Seats) -> None:
    sap = factories.make_contract("SAP", currency="EUR")
    assert ask(seats, Method.CASH, contract=sap, amount=D(11_000)).quantity == 100
    assert ask(seats, Method.CASH, contract=sap, amount=D(11_000), amount_in=AmountIn.CONTRACT).quantity == 110


def test_what_nobody_may_see_is_not_sized(seats: Seats) -> None:
    assert refused(seats, Method.CASH, amount=D(1000), user=seats.stranger) == ("account", "NO_PERMISSION")
    assert ask(seats, Method.CASH, amount=D(1000), user=seats.viewer).quantity == 10


@pytest.mark.parametrize("value", [None, "", "n/a", "NaN", "Infinity"])
def test_a_value_that_is_missing_or_no_number_is_refused(seats: Seats, value: str | None) -> None:
    if value is None:
        AccountValue.objects.filter(name="NetLiquidation").delete()
    else:
        tell(seats.account, "NetLiquidation", value, seats.now)
    assert refused(seats, Method.NET_LIQUIDATION, percent=D(5)) == ("method", "NET_LIQUIDATION_UNKNOWN")


def test_a_value_in_another_currency_is_not_the_accounts(seats: Seats) -> None:
    AccountValue.objects.filter(name="NetLiquidation").delete()
    tell(seats.account, "NetLiquidation", "5000000", seats.now, "EUR")
    assert refused(seats, Method.NET_LIQUIDATION, percent=D(5)) == ("method", "NET_LIQUIDATION_UNKNOWN")


@pytest.mark.parametrize("rate", [None, "0", "-1", "words"])
def test_a_rate_that_is_not_known_is_refused(seats: Seats, rate: str | None) -> None:
    nikkei = factories.make_contract("7203", currency="JPY")
    if rate is not None:
        tell(seats.account, "ExchangeRate", rate, seats.now, "JPY")
    assert refused(seats, Method.CASH, contract=nikkei, amount=D(1000)) == ("contract", "RATE_UNKNOWN")


def test_an_old_value_is_told(seats: Seats) -> None:
    tell(seats.account, "NetLiquidation", "100000", seats.now - timedelta(minutes=11))
    assert codes(ask(seats, Method.NET_LIQUIDATION, percent=D(5))) == ["NET_LIQUIDATION_OLD"]


def test_a_fresh_quote_stands_in_for_the_price(seats: Seats) -> None:
    bought = ask(seats, Method.CASH, price=None, amount=D("100.01"))
    sold = ask(seats, Method.CASH, price=None, amount=D("100.01"), side=Side.SELL)
    assert (bought.price, bought.quantity, sold.price) == (D("100.01"), 1, D("99.99"))
    factories.make_quote(seats.contract, bid=None, ask=None, at=seats.now, delayed=True)
    delayed = ask(seats, Method.CASH, price=None, amount=D(1000))
    assert (delayed.price, codes(delayed)) == (100, ["DELAYED_QUOTE"])
    assert codes(ask(seats, Method.CASH, amount=D(1000))) == []


@pytest.mark.parametrize(("bid", "ask_", "seconds"), [("99.99", "100.01", 31), ("100.02", "100.01", 0), ("-1", None, 0)])
def test_a_quote_that_is_old_crossed_or_empty_is_none(seats: Seats, bid: str, ask_: str | None, seconds: int) -> None:
    factories.make_quote(seats.contract, bid=bid, ask=ask_, last=None, at=seats.now - timedelta(seconds=seconds))
    assert refused(seats, Method.CASH, price=None, amount=D(1000)) == ("entry_price", "PRICE_UNKNOWN")


# --- caps -----------------------------------------------------------------------------------------------------------------------------


def test_the_limits_that_decide_for_the_user_shrink_the_size(seats: Seats) -> None:
    factories.make_limit("MAX_QUANTITY", "300", account=seats.account)
    factories.make_limit("MAX_NOTIONAL", "25000", user=seats.trader)
    limits = checks.limits_for(seats.account, seats.trader)
    found = ask(seats, Method.CASH, amount=D(50_000), limits=limits)
    assert (found.quantity, codes(found)) == (250, ["MAX_QUANTITY", "MAX_NOTIONAL"])
    assert ask(seats, Method.CASH, amount=D(50_000)).quantity == 500


def test_the_buying_power_is_used_as_far_as_its_limit_allows(seats: Seats) -> None:
    facts = sizing_facts(seats.trader, seats.account, seats.contract, Side.BUY, now=seats.now, limits={"BUYING_POWER": D("0.25")})
    assert facts.caps.buying_power == D(100_000)


def test_stocks_are_held_to_the_buying_power(seats: Seats) -> None:
    tell(seats.account, "BuyingPower", "30000", seats.now)
    found = ask(seats, Method.CASH, amount=D(50_000))
    assert (found.quantity, codes(found)) == (300, ["BUYING_POWER"])
    AccountValue.objects.filter(name="BuyingPower").delete()
    unknown = ask(seats, Method.CASH, amount=D(50_000))
    assert (unknown.quantity, codes(unknown)) == (500, ["BUYING_POWER_UNKNOWN"])


def test_options_that_are_bought_are_held_to_what_is_available_and_futures_to_neither(seats: Seats) -> None:
    tell(seats.account, "AvailableFunds", "1500", seats.now)
    call = factories.make_contract("AAPL", sec_type="OPT", multiplier=D(100))
    future = factories.make_contract("ES", sec_type="FUT", multiplier=D(50))
    assert ask(seats, Method.CASH, price="5", contract=call, amount=D(5000)).quantity == 3
    assert ask(seats, Method.CASH, price="5", contract=call, amount=D(5000), side=Side.SELL).quantity == 10
    assert ask(seats, Method.CASH, price="6000", contract=future, amount=D(900_000)).quantity == 3


# --- bars -----------------------------------------------------------------------------------------------------------------------------


def answered(contract: Contract, now: datetime, days: int = 20, spread: str = "2", until: date | None = None, **fields: Any) -> Inquiry:
    """A question that was answered with days that are all alike, the last of them today."""
    last = until or now.astimezone(UTC).date()
    low, high = D(100) - D(spread) / 2, D(100) + D(spread) / 2
    rows = [[(last - timedelta(days=ago)).isoformat(), "100", str(high), str(low), "100", "5000"] for ago in reversed(range(days))]
    row = inquiries.ask(Inquiry.Kind.BARS, bars_question(contract), None, now)
    inquiries.take(now)
    inquiries.answer(row.pk, rows, now)
    return Inquiry.objects.get(pk=row.pk)


def test_the_average_true_range_of_answered_bars_suggests_a_stop(seats: Seats) -> None:
    found = ask(seats, Method.ATR, percent=D(1), bars=answered(seats.contract, seats.now))
    assert (found.quantity, found.stop_price, found.suggests_stop, found.risk_base) == (250, 96, True, 1000)
    short = ask(seats, Method.ATR, percent=D(1), side=Side.SELL, atr_multiple=D(3), bars=answered(seats.contract, seats.now))
    assert (short.quantity, short.stop_price) == (166, 106)


def test_a_day_that_is_not_over_does_not_count(seats: Seats) -> None:
    bars = answered(seats.contract, seats.now)
    bars.answer[-1][2:4] = ["150", "50"]  # today
    assert ask(seats, Method.ATR, percent=D(1), bars=bars).quantity == 250
    bars.answer[-3][2:4] = ["150", "50"]
    assert ask(seats, Method.ATR, percent=D(1), bars=bars).quantity < 250


def test_old_bars_are_told(seats: Seats) -> None:
    until = seats.now.date() - timedelta(days=9)
    found = ask(seats, Method.ATR, percent=D(1), bars=answered(seats.contract, seats.now, until=until))
    assert found.warnings == (Note("OLD_BARS", f"The newest daily bar is of {until.isoformat()}."),)


def test_bars_that_are_not_there_are_refused_with_the_reason(seats: Seats) -> None:
    other = factories.make_contract("MSFT")
    waiting = inquiries.ask(Inquiry.Kind.BARS, bars_question(seats.contract), None, seats.now)
    failed = inquiries.ask(Inquiry.Kind.BARS, bars_question(seats.contract), None, seats.now)
    inquiries.fail(failed.pk, "No data permissions.", seats.now)
    failed.refresh_from_db()
    broken = answered(seats.contract, seats.now)
    broken.answer[3][2] = None
    for bars, words in (
        (None, "nobody asked"),
        (waiting, "not been answered yet"),
        (failed, "No data permissions"),
        (answered(other, seats.now), "something else"),
        (answered(seats.contract, seats.now, days=15), "needs 15 daily bars for an average true range over 14: there are 14"),
        (broken, "that are whole"),
    ):
        with pytest.raises(SizingError, match=words) as error:
            ask(seats, Method.ATR, percent=D(1), bars=bars)
        assert (error.value.field, error.value.rule) == ("method", "ATR_UNKNOWN")
    assert ask(seats, Method.RISK, stop="98", percent=D(1), bars=failed).quantity == 500, "nobody else needs them"


# --- the desk's own trades ------------------------------------------------------------------------------------------------------------


def trade(seats: Seats, price: str, contract: Contract | None = None, account: Account | None = None) -> None:
    """Ten bought at 100 and sold at this price."""
    of = {"contract": contract or seats.contract, "account": account or seats.account}
    for side, at in (("BUY", "100"), ("SELL", price)):
        seats.execution(seats.order(side, quantity="10", **of), "10", at)


def record(seats: Seats, wins: int, losses: int, **of: Any) -> None:
    """Trades that won 20 and trades that lost 10."""
    for number in range(wins + losses):
        trade(seats, "102" if number < wins else "99", **of)


def test_kelly_by_the_trades_of_the_symbol(seats: Seats) -> None:
    record(seats, 3, 3)  # W 0.5, R 2: f = 0.25, a quarter of it 6.25 %
    found = ask(seats, Method.KELLY, stop="98", kelly_trades=6, kelly_cap=D(10))
    assert (found.risk_percent, found.quantity) == (D("6.25"), 3125)
    assert codes(found) == ["TRADES_WITHOUT_COSTS"]
    assert refused(seats, Method.KELLY, stop="98") == ("method", "TRADES_TOO_FEW")
    capped = ask(seats, Method.KELLY, kelly_trades=6, kelly_of=Basis.NOTIONAL)
    assert (capped.quantity, capped.notional_base) == (50, 5000)


def test_kelly_by_the_trades_of_the_account_or_of_all_that_may_be_seen(seats: Seats) -> None:
    other = factories.make_contract("MSFT")
    second, euro = factories.make_account("DU1000002", at=seats.now), factories.make_account("DU1000003", base_currency="EUR", at=seats.now)
    unseen = factories.make_account("DU1000004", at=seats.now)
    for account in (second, euro, unseen):
        with book(at=seats.now) as b, b.event("positions.known", source=Source.RECONCILE, account=account) as fact:
            fact.set(account, positions_known_at=seats.now)
        tell(account, "ExchangeRate", "0.9" if account is euro else "1", seats.now)
        record(seats, 1, 0, account=account)
    for account in (second, euro):
        factories.grant(seats.trader, account, AccessLevel.VIEW, at=seats.now)
    record(seats, 1, 1)
    record(seats, 1, 1, contract=other)

    def counted(trades_of: TradesOf) -> str:
        with pytest.raises(SizingError) as error:
            ask(seats, Method.KELLY, stop="98", trades_of=trades_of)
        return error.value.message

    assert counted(TradesOf.SYMBOL) == "needs 30 closed trades: there are 2 (AAPL in DU…417)"
    assert counted(TradesOf.ACCOUNT) == "needs 30 closed trades: there are 4 (all of DU…417)"
    assert counted(TradesOf.ALL) == "needs 30 closed trades: there are 5 (all that you may see)"
    found = ask(seats, Method.KELLY, stop="98", kelly_trades=5, trades_of=TradesOf.ALL)
    assert Note("TRADES_OTHER_BASE", "Trades in accounts with another base currency are not counted: 1.") in found.warnings


def test_what_is_left_out_of_the_trades_is_told(seats: Seats) -> None:
    position = factories.make_position(seats.account, seats.contract, "0", at=seats.now)
    with book(at=seats.now) as b, b.event("position.adjusted", source=Source.USER, account=seats.account) as fact:
        fact.set(position, opening=D(-10))
    record(seats, 2, 2)
    found = ask(seats, Method.KELLY, stop="98", kelly_trades=1)
    assert Note("TRADES_UNSEEN", "Closings of which this book did not see both ends are not counted: 1.") in found.warnings
