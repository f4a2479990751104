"""Position sizing: each method by hand, what shrinks a size, what a size of nothing says, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from orders.rules.pricing import PriceRule
from orders.rules.roundtrips import Statistics
from orders.rules.sizing import AmountIn, Bar, Basis, Caps, Method, Note, Sizing, SizingError, SizingFacts, SizingRequest, size
from orders.rules.terms import Side
from orders.rules.tickets import TicketError

STOCK = PriceRule(((D(0), D("0.0001")), (D(1), D("0.01"))))
ES = PriceRule(((D(0), D("0.25")),))
US = SizingFacts("USD", "USD", rate=D(1), net_liquidation=D(100_000), ticks=STOCK)
EU = replace(US, currency="EUR", rate=D("1.10"))
FUTURE = replace(US, multiplier=D(50), ticks=ES)
LOTS = replace(US, size_increment=D(100), min_size=D(100))
CRYPTO = replace(US, size_increment=D("0.0001"), min_size=D("0.001"))


def days(high: str, low: str, close: str, number: int = 15) -> tuple[Bar, ...]:
    """Days that are all alike: each true range is high − low where the close lies between."""
    return tuple(Bar(date(2026, 1, 1) + timedelta(days=day), D(high), D(low), D(close)) for day in range(number))


def request(method: Method, price: str | None = "50", stop: str | None = None, side: Side = Side.BUY, **fields: Any) -> SizingRequest:
    """Numbers as text; a stop makes it a request to a stop."""
    numbers = {name: D(value) if type(value) is str else value for name, value in fields.items()}
    return SizingRequest(method, side, D(price) if price else None, D(stop) if stop else None, **numbers)


def steps(sizing: Sizing) -> dict[str, tuple[str, str]]:
    return {line.label: (line.expression, line.result) for line in sizing.lines}


def codes(sizing: Sizing) -> list[str]:
    return [note.code for note in sizing.warnings]


# --- by hand --------------------------------------------------------------------------------------------------------------------------

IN_EUR = {"amount_in": AmountIn.CONTRACT}


@pytest.mark.parametrize(
    ("asked", "facts", "quantity"),
    [
        (request(Method.QUANTITY, quantity="150"), US, "150"),
        (request(Method.QUANTITY, quantity="150"), LOTS, "100"),
        (request(Method.CASH, amount="10000"), US, "200"),
        (request(Method.CASH, price="233.33", amount="10000"), US, "42"),  # 42.857
        # a sale below the market trades at the market, a purchase above it pays its limit at most
        (request(Method.CASH, price="46", amount="10000", side=Side.SELL), replace(US, market_price=D(50)), "200"),
        (request(Method.CASH, price="54", amount="10000", side=Side.SELL), replace(US, market_price=D(50)), "185"),
        (request(Method.CASH, price="54", amount="10000"), replace(US, market_price=D(50)), "185"),
        (
            request(Method.QUANTITY, price="46", quantity="900", side=Side.SELL),
            replace(US, market_price=D(50), caps=Caps(max_notional=D(5000))),
            "100",
        ),
        (request(Method.CASH, amount="10000"), EU, "181"),  # 10000 / (50 × 1.10) = 181.8
        (request(Method.CASH, amount="10000", **IN_EUR), EU, "200"),
        (request(Method.CASH, price="6000", amount="700000"), FUTURE, "2"),  # 700000 / 300000
        (request(Method.CASH, price="60000", amount="100"), CRYPTO, "0.0016"),  # 0.001666
        (request(Method.CASH, amount="19999"), LOTS, "300"),  # 399.98
        (request(Method.NET_LIQUIDATION, percent="10"), US, "200"),
        (request(Method.NET_LIQUIDATION, percent="10"), EU, "181"),
        (request(Method.NET_LIQUIDATION, price="6000", percent="650"), FUTURE, "2"),
        (request(Method.RISK, stop="48", percent="1"), US, "500"),
        (request(Method.RISK, stop="52", side=Side.SELL, percent="1"), US, "500"),
        (request(Method.RISK, stop="48", percent="1"), EU, "454"),  # 1000 / 2.20
        (request(Method.RISK, stop="48", amount="300"), US, "150"),
        (request(Method.RISK, stop="48", amount="300"), EU, "136"),  # 300 / 2.20
        (request(Method.RISK, stop="48", amount="300", **IN_EUR), EU, "150"),
        (request(Method.RISK, price="6000", stop="5990", percent="1.2"), FUTURE, "2"),  # 1200 / 500
        (request(Method.RISK, price="6000", stop="5990", percent="1"), FUTURE, "2"),  # exactly 1000 / 500
        (request(Method.ATR, percent="1"), replace(US, bars=days("51", "49", "50")), "250"),  # 1000 / (2 × 2)
        (request(Method.ATR, percent="1", atr_multiple="3"), replace(US, bars=days("51", "49", "50")), "166"),  # 1000 / 6
        (request(Method.ATR, percent="1"), replace(EU, bars=days("51", "49", "50")), "227"),  # 1000 / 4.40
        (request(Method.ATR, price="6000", percent="2"), replace(FUTURE, bars=days("6005", "5995", "6000")), "2"),  # 2000 / (20 × 50)
    ],
)
def test_the_size_by_hand(asked: SizingRequest, facts: SizingFacts, quantity: str) -> None:
    found = size(asked, facts)
    assert (found.quantity, found.why_zero, found.method) == (D(quantity), "", asked.method)


def test_the_arithmetic_is_shown() -> None:
    found = size(request(Method.RISK, price="6000", stop="5990", percent="1.7"), replace(FUTURE, currency="EUR", rate=D("1.10")))
    assert steps(found) == {
        "Budget": ("1.7 % of 100,000.00 USD", "1,700.00 USD"),
        "Distance to the stop": ("6,000 − 5,990", "10"),
        "Risk of one": ("10 × 50 (multiplier) × 1.1 (USD for 1 EUR)", "550.00 USD"),
        "Quantity": ("1,700.00 USD / 550.00 USD", "3.09090909"),
        "Rounded down": ("in multiples of 1", "3"),
        "Worth": ("3 × 6,000 × 50 (multiplier) × 1.1 (USD for 1 EUR)", "990,000.00 USD"),
        "Lost at the stop": ("3 × 10 × 50 (multiplier) × 1.1 (USD for 1 EUR)", "1,650.00 USD (1.65 % of net liquidation)"),
    }
    assert (found.notional, found.notional_base, found.risk, found.risk_base) == (900_000, 990_000, 1500, 1650)
    assert (found.price, found.stop_price, found.suggests_stop) == (6000, 5990, False)
    assert found.risk_percent == D("1.65")


def test_the_market_stands_in_for_a_price_that_was_not_given() -> None:
    assert size(request(Method.CASH, price=None, amount="1000"), replace(US, market_price=D(100))).quantity == 10


def test_a_typed_quantity_needs_no_price_and_is_weighed_where_there_is_one() -> None:
    bare = size(request(Method.QUANTITY, price=None, quantity="7"), US)
    assert (bare.quantity, bare.notional_base, bare.risk_base) == (7, None, None)
    weighed = size(request(Method.QUANTITY, stop="48", quantity="7"), US)
    assert (weighed.notional_base, weighed.risk_base, weighed.risk_percent) == (350, 14, D("0.014"))


def test_a_typed_quantity_that_is_rounded_is_told() -> None:
    found = size(request(Method.QUANTITY, quantity="150"), LOTS)
    assert found.warnings == (Note("ROUNDED", "150 is rounded down to 100: sizes are in multiples of 100."),)


def test_the_suggested_stop_is_on_the_tick_and_the_size_is_counted_to_it() -> None:
    bars = days("52.34567", "50.00", "51")  # 2.34567: twice that is 4.69134
    long = size(request(Method.ATR, percent="1", stop="49"), replace(US, bars=bars))
    assert (long.stop_price, long.suggests_stop) == (D("45.30"), True)  # 50 − 4.69134 = 45.30866, one tick of room more
    assert long.quantity == 212 and long.risk_base == D("996.4")  # 1000 / 4.70 = 212.77
    assert codes(long) == ["OTHER_STOP"] and "45.3" in long.warnings[0].text and "49" in long.warnings[0].text
    short = size(request(Method.ATR, percent="1", side=Side.SELL), replace(US, bars=bars))
    assert (short.stop_price, short.quantity) == (D("54.70"), 212)
    assert steps(long)["Suggested stop"] == ("50 − 2 × 2.34567 = 45.30866, on the tick", "45.3")


@pytest.mark.parametrize(("price", "stop"), [("2.50", "2.90"), ("2.597", "3.00"), ("2.62", "3.05")])
def test_a_suggested_stop_that_rises_into_a_coarser_band_is_on_its_tick(price: str, stop: str) -> None:
    options = replace(US, multiplier=D(100), ticks=PriceRule(((D(0), D("0.01")), (D(3), D("0.05")))), bars=days("1.1", "0.9", "1"))
    found = size(request(Method.ATR, price=price, side=Side.SELL, percent="1"), options)
    assert found.stop_price == D(stop)  # 0.4 away


# --- Kelly ----------------------------------------------------------------------------------------------------------------------------

GOOD = Statistics(number=40, wins=22, losses=18, won=D(2200), lost=D(1800))  # W 0.55, R 1: f = 0.1
KELLY = replace(US, trades=GOOD, trades_of="AAPL in all accounts")


def test_a_quarter_of_kelly_is_lost_at_the_stop() -> None:
    found = size(request(Method.KELLY, stop="48"), KELLY)  # 0.25 × 0.1 = 2.5 % of 100,000 = 2,500; / 2
    assert (found.quantity, found.risk_base, codes(found)) == (1250, 2500, [])
    assert steps(found)["Win rate W"] == ("22 of 40 trades", "0.55")
    assert steps(found)["Payoff R"] == ("average win 100.00 USD / average loss 100.00 USD", "1")
    assert steps(found)["Kelly f = W − (1 − W) / R"] == ("0.55 − (1 − 0.55) / 1", "0.1")
    assert steps(found)["Part of it"] == ("0.25 × 0.1", "2.5 %")


def test_kelly_as_notional_needs_no_stop() -> None:
    assert size(request(Method.KELLY, kelly_of=Basis.NOTIONAL), KELLY).quantity == 50  # 2,500 / 50


def test_kelly_is_held_to_its_cap() -> None:
    found = size(request(Method.KELLY, stop="48", kelly_fraction="1"), KELLY)
    assert (found.quantity, found.risk_percent, codes(found)) == (2500, 5, ["KELLY_CAPPED"])
    assert found.warnings[0].text == "Kelly's 10 % is held to 5 % of net liquidation."
    assert size(request(Method.KELLY, stop="48", kelly_cap="0.5"), KELLY).risk_percent == D("0.5")


@pytest.mark.parametrize(
    ("trades", "words"),
    [
        (Statistics(40, 20, 20, D(2000), D(2000)), "Nothing: the 40 closed trades have no edge, Kelly's f is 0."),
        (Statistics(40, 10, 30, D(2000), D(3000)), "Nothing: the 40 closed trades have no edge, Kelly's f is −0.125."),
        (Statistics(40, 0, 40, D(0), D(3000)), "Nothing: the 40 closed trades have no edge, none of them won."),
    ],
)
def test_kelly_without_an_edge_is_nothing_and_says_so(trades: Statistics, words: str) -> None:
    found = size(request(Method.KELLY, stop="48"), replace(KELLY, trades=trades))
    assert (found.quantity, found.why_zero) == (0, words)


def test_kelly_counts_the_trades_first() -> None:
    few = replace(KELLY, trades=Statistics(29, 20, 9, D(2000), D(900)))
    with pytest.raises(SizingError, match=r"needs 30 closed trades: there are 29 \(AAPL in all accounts\)"):
        size(request(Method.KELLY, stop="48"), few)
    assert size(request(Method.KELLY, stop="48", kelly_trades=29), few).quantity > 0
    with pytest.raises(SizingError, match="there are 0"):
        size(request(Method.KELLY, stop="48"), US)


# --- nothing, and less ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "facts", "words"),
    [
        (request(Method.CASH, amount="49.99"), US, "Nothing: the smallest size of 1 costs 50.00 USD, and the budget is 49.99 USD."),
        (
            request(Method.CASH, amount="4999"),
            LOTS,
            "Nothing: the smallest size of 100 costs 5,000.00 USD, and the budget is 4,999.00 USD.",
        ),
        (
            request(Method.RISK, price="6000", stop="5990", percent="0.4"),
            FUTURE,
            "Nothing: the smallest size of 1 risks 500.00 USD, and the budget is 400.00 USD. It would take 0.5 % of net liquidation.",
        ),
        (
            request(Method.NET_LIQUIDATION, price="70000", percent="7"),
            replace(US, net_liquidation=D(99_999), size_increment=D("0.1"), min_size=D("0.1"), multiplier=D("1.003")),
            "Nothing: the smallest size of 0.1 costs 7,021.00 USD, and the budget is 6,999.93 USD. "
            "It would take 7.0211 % of net liquidation.",
        ),
        (request(Method.QUANTITY, quantity="99"), LOTS, "Nothing: 99 is less than the smallest size of 100."),
        (
            request(Method.CASH, amount="5000"),
            replace(US, caps=Caps(buying_power=D("49.99"))),
            "Nothing: the buying power of 49.99 USD allows less than the smallest size of 1, which is worth 50.00 USD.",
        ),
        (
            request(Method.CASH, amount="5000"),
            replace(US, caps=Caps(max_quantity=D("0.5"))),
            "Nothing: the limit of 0.5 allows less than the smallest size of 1.",
        ),
    ],
)
def test_a_size_of_nothing_says_what_it_would_take(asked: SizingRequest, facts: SizingFacts, words: str) -> None:
    found = size(asked, facts)
    assert (found.quantity, found.why_zero, found.notional or 0) == (0, words, 0)


def test_what_it_would_take_is_enough() -> None:
    asked = request(Method.RISK, price="6000", stop="5990.75", percent="0.01")
    facts = replace(FUTURE, net_liquidation=D("98765.43"))
    words = size(asked, facts).why_zero
    percent = words.split("take ")[1].split(" %")[0]
    assert size(replace(asked, percent=D(percent)), facts).quantity == 1


@pytest.mark.parametrize(
    ("caps", "quantity", "note"),
    [
        (Caps(max_quantity=D(150)), "150", "200 is held to 150 by the limit of 150."),
        (Caps(max_notional=D(6000)), "120", "200 is held to 120 by the limit of 6,000.00 USD for one order."),
        (Caps(buying_power=D("2549.99")), "50", "200 is held to 50 by the buying power of 2,549.99 USD."),
        (Caps(D(200), D(10_000), D(10_000)), "200", ""),
    ],
)
def test_caps_shrink_the_size_and_say_so(caps: Caps, quantity: str, note: str) -> None:
    found = size(request(Method.CASH, amount="10000"), replace(US, caps=caps))
    assert found.quantity == D(quantity)
    assert [one.text for one in found.warnings] == ([note] if note else [])
    assert found.notional_base == found.quantity * 50


def test_every_cap_that_shrinks_is_told_and_lots_stay_whole() -> None:
    found = size(request(Method.CASH, amount="50000"), replace(LOTS, caps=Caps(D(750), D(27_000))))
    assert (found.quantity, codes(found)) == (500, ["MAX_QUANTITY", "MAX_NOTIONAL"])
    assert steps(found)["Largest worth"] == ("27,000.00 USD / 50.00 USD", "500")


# --- what is refused ------------------------------------------------------------------------------------------------------------------

RISK = request(Method.RISK, stop="48", percent="1")
BARS = replace(US, bars=days("51", "49", "50"))


@pytest.mark.parametrize(
    ("asked", "facts", "field", "rule"),
    [
        (request(Method.QUANTITY), US, "quantity", "NUMBER"),
        (request(Method.QUANTITY, quantity="0"), US, "quantity", "NUMBER"),
        (request(Method.QUANTITY, quantity="NaN"), US, "quantity", "NUMBER"),
        (request(Method.QUANTITY, quantity="5", stop="51"), US, "stop_price", "STOP_WRONG_SIDE"),
        (request(Method.CASH), US, "amount", "NUMBER"),
        (request(Method.CASH, amount="-5"), US, "amount", "NUMBER"),
        (request(Method.CASH, amount="1234567890.1234567"), US, "amount", "NUMBER"),
        (request(Method.CASH, price="0.0007", amount="123456789012345"), CRYPTO, "quantity", "NUMBER"),
        (request(Method.CASH, price=None, amount="5"), US, "entry_price", "PRICE_UNKNOWN"),
        (request(Method.CASH, price="-1", amount="5"), US, "entry_price", "NUMBER"),
        (request(Method.CASH, amount="500"), replace(US, rate=None), "contract", "RATE_UNKNOWN"),
        (request(Method.CASH, amount="500"), replace(US, rate=D(0)), "contract", "RATE_UNKNOWN"),
        (request(Method.CASH, amount="500"), replace(US, multiplier=D(0)), "contract", "CONTRACT"),
        (request(Method.CASH, amount="500", **IN_EUR), replace(EU, rate=None, caps=Caps(max_notional=D(1))), "contract", "RATE_UNKNOWN"),
        (request(Method.NET_LIQUIDATION), US, "percent", "NUMBER"),
        (request(Method.NET_LIQUIDATION, percent="5"), replace(US, net_liquidation=None), "method", "NET_LIQUIDATION_UNKNOWN"),
        (request(Method.NET_LIQUIDATION, percent="5"), replace(US, net_liquidation=D(-1)), "method", "NET_LIQUIDATION_UNKNOWN"),
        (request(Method.RISK, percent="1"), US, "stop_price", "STOP_REQUIRED"),
        (request(Method.RISK, stop="50", percent="1"), US, "stop_price", "STOP_AT_ENTRY"),
        (request(Method.RISK, stop="50.01", percent="1"), US, "stop_price", "STOP_WRONG_SIDE"),
        (request(Method.RISK, stop="49.99", side=Side.SELL, percent="1"), US, "stop_price", "STOP_WRONG_SIDE"),
        (request(Method.RISK, stop="48"), US, "percent", "NUMBER"),
        (request(Method.RISK, stop="48", percent="101"), US, "percent", "NUMBER"),
        (request(Method.RISK, stop="48", percent="1", amount="5"), US, "amount", "ONE_BUDGET"),
        (RISK, replace(US, rate=None), "contract", "RATE_UNKNOWN"),
        (RISK, replace(US, net_liquidation=None), "method", "NET_LIQUIDATION_UNKNOWN"),
        (request(Method.ATR, percent="1"), US, "method", "ATR_UNKNOWN"),
        (request(Method.ATR, percent="1"), replace(US, bars=days("51", "49", "50", 14)), "method", "ATR_UNKNOWN"),
        (request(Method.ATR, percent="1", atr_bars=0), BARS, "atr_bars", "ATR_UNKNOWN"),
        (request(Method.ATR, percent="1", atr_multiple="0"), BARS, "atr_multiple", "NUMBER"),
        (request(Method.ATR, percent="1", atr_multiple="25"), BARS, "atr_multiple", "STOP_BELOW_ZERO"),
        (request(Method.ATR, percent="1"), replace(BARS, ticks=None), "method", "TICK_UNKNOWN"),
        (request(Method.KELLY, stop="48", kelly_fraction="1.01"), KELLY, "kelly_fraction", "NUMBER"),
        (request(Method.KELLY, stop="48", kelly_cap="0"), KELLY, "kelly_cap", "NUMBER"),
        (request(Method.KELLY, stop="48", kelly_trades=0), KELLY, "kelly_trades", "NUMBER"),
        (request(Method.KELLY), KELLY, "stop_price", "STOP_REQUIRED"),
        (request(Method.KELLY, stop="48"), replace(KELLY, trades=Statistics(40, 40, 0, D(9))), "method", "NO_LOSS"),
        (request(Method.KELLY, stop="48"), replace(KELLY, net_liquidation=None), "method", "NET_LIQUIDATION_UNKNOWN"),
    ],
)
def test_what_is_missing_or_makes_no_sense_is_refused_by_field_and_rule(
    asked: SizingRequest, facts: SizingFacts, field: str, rule: str
) -> None:
    with pytest.raises(SizingError) as refused:
        size(asked, facts)
    assert isinstance(refused.value, TicketError)
    assert (refused.value.field, refused.value.rule) == (field, rule)
    assert refused.value.message


def test_a_contract_amount_without_a_rate_is_sized_and_the_rate_is_missed() -> None:
    found = size(request(Method.RISK, stop="48", amount="300", **IN_EUR), replace(EU, rate=None))
    assert (found.quantity, found.risk, found.risk_base, codes(found)) == (150, 300, None, ["RATE_UNKNOWN"])
    assert steps(found)["Lost at the stop"] == ("150 × 2", "300.00 EUR")


def test_an_old_net_liquidation_value_is_told() -> None:
    old = replace(US, net_liquidation_age=timedelta(minutes=26, seconds=19))
    assert size(RISK, old).warnings == (Note("NET_LIQUIDATION_OLD", "The net liquidation value is 26 minutes old."),)
    assert size(RISK, replace(US, net_liquidation_age=timedelta(minutes=10))).warnings == ()
    assert size(RISK, replace(US, notes=(Note("X", "y"),))).warnings == (Note("X", "y"),)
