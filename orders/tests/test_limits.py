"""Pre-trade checks, one rule at a time: each breach with its code, its limit and what was asked; what cannot be evaluated blocks."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.rules.limits import RULES, Facts, Market, Proposal, Purse, Rule, Traffic, check, effective
from orders.rules.terms import OrderTerms, OrderType, Role, Side

MARKET = Market(bid=D("99.99"), ask=D("100.01"), last=D("100.00"), age_seconds=D(1))
PURSE = Purse(net_liquidation=D(10_000_000), buying_power=D(40_000_000), week_pnl=D(0))
FACTS = Facts(multiplier=D(1), exchange_rate=D(1), market=MARKET, daily_pnl=D(0), purse=PURSE)
LIMITS = effective([])


def order(
    order_type: OrderType = OrderType.LIMIT,
    side: Side = Side.BUY,
    quantity: str = "100",
    limit: str | None = None,
    stop: str | None = None,
    **fields,
) -> Proposal:
    if order_type.has_limit and limit is None:
        limit = "100.00"
    terms = OrderTerms(side, order_type, D(quantity), None if limit is None else D(limit), None if stop is None else D(stop))
    return Proposal(terms=terms, **fields)


def codes(request: Proposal, facts: Facts = FACTS, **limits: str) -> list[str]:
    return [breach.code for breach in check(request, facts, LIMITS | {rule: D(value) for rule, value in limits.items()})]


def test_an_ordinary_order_passes() -> None:
    assert codes(order()) == []
    assert codes(order(OrderType.MARKET)) == []


# --- which limit decides --------------------------------------------------------------------------------------------------------------


def test_the_strictest_of_all_that_apply_decides() -> None:
    limits = effective([("MAX_QUANTITY", D(500)), ("MAX_QUANTITY", D(80)), ("DUPLICATE_SECONDS", D(1)), ("DUPLICATE_SECONDS", D(9))])
    assert (limits["MAX_QUANTITY"], limits["DUPLICATE_SECONDS"]) == (D(80), D(9))


def test_defaults_stand_only_where_nobody_set_anything() -> None:
    assert effective([])["MAX_QUANTITY"] == D(10000)
    assert effective([("MAX_QUANTITY", D(20000))])["MAX_QUANTITY"] == D(20000)
    assert "MAX_DAILY_LOSS" not in effective([])
    assert effective([("MAX_DAILY_LOSS", D(1000))])["MAX_DAILY_LOSS"] == D(1000)


def test_the_order_ratio_is_judged_from_two_hundred_messages_of_a_day() -> None:
    for messages, found in ((198, []), (199, ["ORDER_RATIO"])):  # the order itself is one more
        assert codes(order(), replace(FACTS, traffic=Traffic(messages=messages))) == found


@given(values=st.lists(st.decimals(0, 10**6, places=2), min_size=1), rule=st.sampled_from(list(RULES)))
def test_one_more_row_never_loosens_a_limit(values: list[D], rule: Rule) -> None:
    before = effective([(rule.value, value) for value in values])[rule.value]
    after = effective([(rule.value, value) for value in [*values, D(7)]])[rule.value]
    assert after <= before if RULES[rule].strictest == "min" else after >= before


# --- size -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("quantity", "expected"), [("100", []), ("100.5", ["MAX_QUANTITY"])])
def test_quantity(quantity: str, expected: list[str]) -> None:
    assert codes(order(quantity=quantity), MAX_QUANTITY="100") == expected


def test_a_breach_says_the_limit_and_what_was_asked() -> None:
    [breach] = check(order(quantity="101"), FACTS, LIMITS | {"MAX_QUANTITY": D(100)})
    assert (breach.code, breach.limit, breach.actual, breach.field) == ("MAX_QUANTITY", D(100), D(101), "quantity")
    assert "101" in breach.message
    assert "100" in breach.message


@pytest.mark.parametrize(
    ("request_", "facts", "worth"),
    [
        (order(limit="90"), FACTS, "9000"),
        (order(OrderType.MARKET), FACTS, "10001"),  # a market buy at the ask
        (order(OrderType.MARKET, Side.SELL), FACTS, "9999"),
        (order(side=Side.SELL, limit="95"), FACTS, "9999"),  # a sell below the market trades at the bid
        (order(OrderType.STOP, stop="104"), FACTS, "10400"),
        (order(OrderType.STOP_LIMIT, stop="104", limit="105"), FACTS, "10500"),
        (order(limit="90"), replace(FACTS, multiplier=D(50)), "450000"),
        (order(limit="90"), replace(FACTS, exchange_rate=D("1.1")), "9900"),
    ],
)
def test_notional_counts_price_multiplier_and_exchange_rate(request_: Proposal, facts: Facts, worth: str) -> None:
    assert codes(request_, facts, MAX_NOTIONAL=worth) == []
    assert codes(request_, facts, MAX_NOTIONAL=str(D(worth) - D("0.01"))) == ["MAX_NOTIONAL"]


def test_an_unknown_exchange_rate_blocks_new_risk_and_no_reduction() -> None:
    facts = replace(FACTS, exchange_rate=None)
    assert codes(order(), facts) == ["MAX_NOTIONAL", "GROSS_EXPOSURE", "NET_EXPOSURE", "NAME_EXPOSURE", "BUYING_POWER"]
    assert codes(order(side=Side.SELL, reduces=True), facts) == []


@pytest.mark.parametrize(
    ("side", "position", "working", "quantity", "expected"),
    [
        (Side.BUY, "500", "300", "200", []),
        (Side.BUY, "500", "300", "201", ["MAX_POSITION"]),
        (Side.SELL, "500", "300", "1200", []),
        (Side.SELL, "500", "300", "1201", ["MAX_POSITION"]),
        (Side.SELL, "-900", "0", "101", ["MAX_POSITION"]),
    ],
)
def test_the_position_that_may_come_of_it(side: Side, position: str, working: str, quantity: str, expected: list[str]) -> None:
    facts = replace(FACTS, position=D(position), working=D(working))
    assert codes(order(side=side, quantity=quantity), facts, MAX_POSITION="1000") == expected


@pytest.mark.parametrize(("pnl", "expected"), [("-999", []), ("-1000", ["MAX_DAILY_LOSS"]), ("50", []), (None, ["MAX_DAILY_LOSS"])])
def test_after_the_days_loss_positions_are_only_reduced(pnl: str | None, expected: list[str]) -> None:
    facts = replace(FACTS, daily_pnl=None if pnl is None else D(pnl))
    unknown = ["DAILY_LOSS_REDUCE", "DAILY_LOSS_HALT"] if pnl is None else []
    assert codes(order(), facts, MAX_DAILY_LOSS="1000") == expected + unknown
    assert codes(order(reduces=True), facts, MAX_DAILY_LOSS="1000") == []


def test_a_reduction_is_not_stopped_by_size() -> None:
    tiny = {"MAX_QUANTITY": "1", "MAX_NOTIONAL": "1", "MAX_POSITION": "1"}
    assert codes(order(side=Side.SELL, reduces=True), **tiny) == []
    assert codes(order(side=Side.SELL), **tiny) == ["MAX_QUANTITY", "MAX_NOTIONAL", "MAX_POSITION"]


# --- state, open orders, duplicates ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "new", "reducing"), [("0", [], []), ("1", ["TRADING_STATE"], []), ("2", ["TRADING_STATE"], ["TRADING_STATE"])]
)
def test_the_trading_state(state: str, new: list[str], reducing: list[str]) -> None:
    assert codes(order(), TRADING_STATE=state) == new
    assert codes(order(reduces=True), TRADING_STATE=state) == reducing


def test_open_orders_are_counted_and_a_change_adds_none() -> None:
    assert codes(order(), replace(FACTS, open_orders=14)) == []
    assert codes(order(), replace(FACTS, open_orders=15)) == ["MAX_OPEN_ORDERS"]
    assert codes(order(reduces=True), replace(FACTS, open_orders=15)) == ["MAX_OPEN_ORDERS"]
    assert codes(order(is_change=True), replace(FACTS, open_orders=15)) == []


@pytest.mark.parametrize(("age", "expected"), [(None, []), ("0", ["DUPLICATE_SECONDS"]), ("2.9", ["DUPLICATE_SECONDS"]), ("3", [])])
def test_the_same_order_again_asks_back(age: str | None, expected: list[str]) -> None:
    facts = replace(FACTS, duplicate_age_seconds=None if age is None else D(age))
    assert codes(order(), facts) == expected
    assert codes(order(confirm_duplicate=True), facts) == []
    assert codes(order(accepted=True), facts) == []


# --- price ----------------------------------------------------------------------------------------------------------------------------

UNUSABLE = {
    "none": None,
    "stale": replace(MARKET, age_seconds=D(61)),
    "crossed": replace(MARKET, bid=D("100.02")),
    "no other side": replace(MARKET, ask=None, bid=None),
}


@pytest.mark.parametrize("market", UNUSABLE.values(), ids=UNUSABLE)
@pytest.mark.parametrize(
    "request_", [order(OrderType.MARKET), order(OrderType.STOP, stop="104"), order(OrderType.STOP_LIMIT, stop="104", limit="105")]
)
def test_without_a_usable_quote_market_and_stop_orders_are_blocked(market: Market | None, request_: Proposal) -> None:
    facts = replace(FACTS, market=market)
    assert "PRICE_COLLAR" in codes(request_, facts)
    assert codes(replace(request_, reduces=True), facts) == []


@pytest.mark.parametrize("market", UNUSABLE.values(), ids=UNUSABLE)
def test_without_a_usable_quote_a_limit_order_is_judged_by_its_own_price(market: Market | None) -> None:
    assert codes(order(limit="500"), replace(FACTS, market=market)) == []


def test_a_quote_is_fresh_for_sixty_seconds() -> None:
    assert codes(order(OrderType.MARKET), replace(FACTS, market=replace(MARKET, age_seconds=D(60)))) == []
    assert codes(order(OrderType.MARKET), replace(FACTS, market=replace(MARKET, age_seconds=D("60.001")))) == [
        "MAX_NOTIONAL",
        "BUYING_POWER",
        "PRICE_COLLAR",
        "MAX_SPREAD",
    ]


def test_delayed_quotes_do_on_simulated_books_and_on_live_ones_only_if_allowed() -> None:
    facts = replace(FACTS, market=replace(MARKET, delayed=True))
    assert codes(order(OrderType.MARKET), facts) == []
    live = replace(facts, is_live_book=True)
    assert "PRICE_COLLAR" in codes(order(OrderType.MARKET), live)
    assert codes(order(OrderType.MARKET), live, DELAYED_QUOTES="1") == []


@pytest.mark.parametrize(
    ("side", "limit", "expected"),
    [
        (Side.BUY, "110.01", []),
        (Side.BUY, "110.02", ["PRICE_COLLAR"]),
        (Side.BUY, "1.00", []),  # far away from the market is nobody's mistake
        (Side.SELL, "90.00", []),
        (Side.SELL, "89.99", ["PRICE_COLLAR"]),
        (Side.SELL, "900.00", []),
    ],
)
def test_a_limit_may_lie_ten_percent_through_the_market(side: Side, limit: str, expected: list[str]) -> None:
    assert codes(order(side=side, limit=limit, quantity="1")) == expected


def test_a_market_order_into_an_empty_book_is_stopped() -> None:
    wide = Market(bid=D(80), ask=D(120), last=D(100), age_seconds=D(0))
    assert codes(order(OrderType.MARKET), replace(FACTS, market=wide)) == ["PRICE_COLLAR", "MAX_SPREAD"]
    assert codes(order(OrderType.MARKET, Side.SELL), replace(FACTS, market=wide)) == ["PRICE_COLLAR", "MAX_SPREAD"]
    assert codes(order(OrderType.MARKET, Side.SELL, reduces=True), replace(FACTS, market=wide)) == []


def test_a_stop_limit_is_judged_from_its_stop() -> None:
    assert codes(order(OrderType.STOP_LIMIT, stop="120", limit="125")) == []
    assert codes(order(OrderType.STOP_LIMIT, stop="120", limit="133")) == ["PRICE_COLLAR"]


@pytest.mark.parametrize(
    ("side", "stop", "expected"),
    [
        (Side.BUY, "100.01", []),
        (Side.BUY, "100.00", ["STOP_THROUGH_MARKET"]),
        (Side.SELL, "99.99", []),
        (Side.SELL, "100.00", ["STOP_THROUGH_MARKET"]),
        (Side.SELL, "70.00", []),
    ],
)
@pytest.mark.parametrize("reduces", [False, True])
def test_a_stop_that_the_market_has_passed_is_refused(side: Side, stop: str, expected: list[str], reduces: bool) -> None:
    assert codes(order(OrderType.STOP, side, stop=stop, reduces=reduces)) == expected


def test_a_protective_stop_that_was_accepted_goes_even_if_the_market_has_passed_it_since() -> None:
    stop = order(OrderType.STOP, Side.SELL, stop="101", accepted=True)
    assert codes(stop) == ["STOP_THROUGH_MARKET"]
    assert codes(replace(stop, reduces=True)) == []


def test_an_exit_of_more_than_the_position_is_refused() -> None:
    assert codes(order(side=Side.SELL, role=Role.STOP_LOSS, exceeds=True)) == ["EXCEEDS_POSITION"]


def test_the_market_is_the_last_price_held_between_bid_and_ask() -> None:
    fallen = Market(bid=D("95.00"), ask=D("95.05"), last=D(100), age_seconds=D(0))
    assert fallen.price == D("95.05")
    assert codes(order(OrderType.STOP, Side.SELL, stop="97"), replace(FACTS, market=fallen)) == ["STOP_THROUGH_MARKET"]
    wide = Market(bid=D(90), ask=D(110), last=D(100), age_seconds=D(0))
    assert codes(order(OrderType.STOP, Side.SELL, stop="97"), replace(FACTS, market=wide)) == []


def test_a_target_that_the_market_has_reached_is_refused() -> None:
    assert codes(order(side=Side.SELL, limit="99.99", role=Role.TAKE_PROFIT, reduces=True)) == ["TARGET_THROUGH_MARKET"]
    assert codes(order(side=Side.SELL, limit="100.00", role=Role.TAKE_PROFIT, reduces=True)) == []


def test_the_exits_of_an_entry_that_waits_are_not_judged_by_todays_market() -> None:
    assert codes(order(OrderType.STOP, Side.SELL, stop="120", waits=True, reduces=True)) == []
    assert codes(order(side=Side.SELL, limit="50", role=Role.TAKE_PROFIT, waits=True, reduces=True)) == []
