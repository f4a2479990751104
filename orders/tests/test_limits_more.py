"""Controls of what a desk is exposed to, of types that wait or trail, of hours, instruments and the desk's own orders on the other side."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.rules.hours import Hours, hours_at
from orders.rules.lifecycle import OrderStatus
from orders.rules.limits import (
    Exposed,
    Facts,
    InstrumentWord,
    Line,
    Market,
    Open,
    Proposal,
    Purse,
    Risk,
    Rule,
    check,
    is_for_later,
    may_trade,
    notional,
    readings,
    stop_risk,
    trades_now,
    triggers,
)
from orders.rules.terms import OrderTerms, OrderType, Role, Side, TimeInForce
from orders.tests.test_limits import FACTS, LIMITS, MARKET, PURSE, codes

T, S = OrderType, Side
NOON = datetime(2026, 3, 2, 17, tzinfo=UTC)


def terms(order_type: OrderType, side: Side = Side.BUY, quantity: str = "100", **more: object) -> OrderTerms:
    found = {name: D(value) if isinstance(value, str) and name != "time_in_force" else value for name, value in more.items()}
    return OrderTerms(side, order_type, D(quantity), **found)


def of(order_type: OrderType, side: Side = Side.BUY, quantity: str = "100", *, role: Role = Role.SINGLE, **more: object) -> Proposal:
    flags = {name: more.pop(name) for name in ("reduces", "waits", "is_change", "accepted", "filled", "before") if name in more}
    return Proposal(terms=terms(order_type, side, quantity, **more), role=role, **flags)


# --- types that wait, trail, or are for later -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (terms(T.MARKET), True),
        (terms(T.MARKET, time_in_force=TimeInForce.OPG), False),
        (terms(T.MARKET, good_after=NOON), False),
        (terms(T.MARKET_ON_CLOSE), False),
        (terms(T.LIMIT_ON_CLOSE, limit_price="120"), False),
        (terms(T.STOP, stop_price="101"), False),
        (terms(T.STOP, stop_price="99"), True),
        (terms(T.STOP_LIMIT, stop_price="99", limit_price="99.5"), False),
        (terms(T.STOP_LIMIT, stop_price="99", limit_price="100.5"), True),
        (terms(T.TRAIL, trail_amount="1"), False),
        (terms(T.TRAIL, trail_amount="1", stop_price="99"), True),
        (terms(T.MARKET_IF_TOUCHED, stop_price="99"), False),
        (terms(T.MARKET_IF_TOUCHED, stop_price="101"), True),
        (terms(T.MARKET_IF_TOUCHED, S.SELL, stop_price="101"), False),
        (terms(T.MARKET_IF_TOUCHED, S.SELL, stop_price="99"), True),
        (terms(T.LIMIT_IF_TOUCHED, stop_price="101", limit_price="99.5"), False),
        (terms(T.LIMIT_IF_TOUCHED, stop_price="101", limit_price="100.5"), True),
    ],
)
def test_what_trades_at_once(asked: OrderTerms, expected: bool) -> None:
    assert trades_now(asked, MARKET) is expected


def test_what_goes_live_later_is_for_later_until_then() -> None:
    order = terms(T.MARKET, good_after=NOON)
    assert is_for_later(order) and is_for_later(order, NOON - timedelta(seconds=1))
    assert not is_for_later(order, NOON)
    assert is_for_later(terms(T.LIMIT, limit_price="1", time_in_force=TimeInForce.OPG), NOON)


@pytest.mark.parametrize(
    ("asked", "worth"),
    [
        (terms(T.TRAIL, trail_amount="2"), "10201"),  # its stop begins above the market
        (terms(T.TRAIL, trail_percent="2"), "10201.02"),
        (terms(T.TRAIL, trail_amount="2", stop_price="103"), "10300"),
        (terms(T.TRAIL, S.SELL, trail_amount="2"), "9999"),
        (terms(T.TRAIL_LIMIT, trail_amount="2", limit_offset="0.5"), "10251"),
        (terms(T.MARKET_IF_TOUCHED, stop_price="98"), "9800"),
        (terms(T.LIMIT_IF_TOUCHED, stop_price="98", limit_price="98.5"), "9850"),
        (terms(T.MARKET_IF_TOUCHED, S.SELL, stop_price="104"), "10400"),
        (terms(T.MARKET_ON_CLOSE), "10001"),
        (terms(T.LIMIT_ON_CLOSE, limit_price="90"), "9000"),
        (terms(T.LIMIT, limit_price="90", time_in_force=TimeInForce.OPG), "9000"),
    ],
)
def test_what_they_are_worth(asked: OrderTerms, worth: str) -> None:
    assert notional(asked, FACTS, MARKET) == D(worth)


@pytest.mark.parametrize("asked", [terms(T.LIMIT, S.SELL, limit_price="0.01"), terms(T.LIMIT_ON_CLOSE, S.SELL, limit_price="0.01")])
def test_a_sale_without_a_quote_cannot_be_weighed_by_its_own_price(asked: OrderTerms) -> None:
    """It would trade at the market, wherever that is; a purchase pays its limit at most."""
    blind = replace(FACTS, market=replace(MARKET, age_seconds=D(61)))
    assert notional(asked, FACTS, MARKET) == D(9999)
    assert codes(Proposal(asked), blind) == ["MAX_NOTIONAL", "BUYING_POWER"]
    assert codes(Proposal(asked, reduces=True), blind) == []
    assert codes(of(T.LIMIT, limit_price="0.01"), blind) == []


@pytest.mark.parametrize(
    ("side", "price", "expected"),
    [
        (S.BUY, "99.99", []),
        (S.BUY, "100.00", ["TOUCH_THROUGH_MARKET"]),
        (S.SELL, "100.01", []),
        (S.SELL, "100.00", ["TOUCH_THROUGH_MARKET"]),
    ],
)
def test_an_order_that_waits_for_a_price_the_market_has_touched_is_refused(side: Side, price: str, expected: list[str]) -> None:
    assert codes(of(T.MARKET_IF_TOUCHED, side, stop_price=price)) == expected
    assert codes(of(T.MARKET_IF_TOUCHED, side, stop_price=price, waits=True)) == []


def test_a_trailing_stop_that_begins_through_the_market_is_refused() -> None:
    assert codes(of(T.TRAIL, S.SELL, trail_amount="1", stop_price="99")) == []
    assert codes(of(T.TRAIL, S.SELL, trail_amount="1", stop_price="100")) == ["STOP_THROUGH_MARKET"]
    assert codes(of(T.TRAIL, S.SELL, trail_amount="1")) == []


@pytest.mark.parametrize("asked", [of(T.TRAIL, trail_amount="1"), of(T.MARKET_ON_CLOSE), of(T.MARKET_IF_TOUCHED, stop_price="90")])
def test_they_need_a_fresh_quote_like_market_orders(asked: Proposal) -> None:
    assert "PRICE_COLLAR" in codes(asked, replace(FACTS, market=None))
    assert codes(replace(asked, reduces=True), replace(FACTS, market=None)) == []


def test_limits_that_follow_are_judged_from_where_they_begin() -> None:
    assert codes(of(T.TRAIL_LIMIT, trail_amount="1", limit_offset="10")) == []
    assert codes(of(T.TRAIL_LIMIT, trail_amount="1", limit_offset="10.01")) == ["PRICE_COLLAR"]
    assert codes(of(T.LIMIT_IF_TOUCHED, stop_price="90", limit_price="99")) == []
    assert codes(of(T.LIMIT_IF_TOUCHED, stop_price="90", limit_price="99.1")) == ["PRICE_COLLAR"]
    assert codes(of(T.LIMIT_ON_CLOSE, limit_price="110.02")) == ["PRICE_COLLAR"]


# --- spread and hours -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bid", "ask", "expected"), [("96", "104", []), ("94", "106", ["MAX_SPREAD"]), (None, "100", ["MAX_SPREAD"])])
def test_a_market_order_does_not_go_into_a_wide_market(bid: str | None, ask: str, expected: list[str]) -> None:
    facts = replace(FACTS, market=Market(None if bid is None else D(bid), D(ask), D(100), D(0)))
    assert codes(of(T.MARKET), facts) == expected
    assert codes(of(T.MARKET, reduces=True), facts) == []
    assert codes(of(T.LIMIT, limit_price="100"), facts) == []
    assert codes(of(T.MARKET, waits=True), facts) == []


HOURS = "20260302:0930-20260302:1600;20260303:0930-20260303:1600"
ZONE = "America/New_York"


@pytest.mark.parametrize(
    ("hours", "now", "expected"),
    [
        (HOURS, datetime(2026, 3, 2, 13, tzinfo=UTC), Hours(False, timedelta(hours=1, minutes=30))),
        (HOURS, datetime(2026, 3, 2, 14, 30, tzinfo=UTC), Hours(True, timedelta(hours=6, minutes=30))),
        (HOURS, datetime(2026, 3, 2, 21, tzinfo=UTC), Hours(False, timedelta(hours=17, minutes=30))),
        ("20260302:CLOSED;20260303:0930-1200,1300-1600", datetime(2026, 3, 3, 17, 30, tzinfo=UTC), Hours(False, timedelta(minutes=30))),
        (HOURS, datetime(2026, 3, 9, tzinfo=UTC), None),  # told long ago
        ("nonsense", NOON, None),
        ("", NOON, None),
    ],
)
def test_where_a_moment_lies(hours: str, now: datetime, expected: Hours | None) -> None:
    assert hours_at(hours, ZONE, now) == expected


OPEN, SHUT = Hours(True, timedelta(hours=3)), Hours(False, timedelta(hours=3))


@pytest.mark.parametrize(
    ("asked", "hours", "warns"),
    [
        (of(T.MARKET), OPEN, False),
        (of(T.MARKET), SHUT, True),
        (of(T.MARKET, outside_rth=True), SHUT, False),
        (of(T.LIMIT, limit_price="100"), SHUT, False),
        (of(T.LIMIT, limit_price="100", time_in_force=TimeInForce.IOC), SHUT, True),
        (of(T.LIMIT, limit_price="100", time_in_force=TimeInForce.FOK), OPEN, False),
        (of(T.LIMIT, limit_price="100", time_in_force=TimeInForce.OPG), OPEN, True),
        (of(T.LIMIT, limit_price="100", time_in_force=TimeInForce.OPG), SHUT, False),
        (of(T.MARKET, time_in_force=TimeInForce.OPG, waits=True), Hours(False, timedelta(seconds=119)), True),
        (of(T.MARKET_ON_CLOSE), OPEN, False),
        (of(T.MARKET_ON_CLOSE), Hours(True, timedelta(minutes=9)), True),
        (of(T.LIMIT_ON_CLOSE, limit_price="100"), SHUT, True),
        (of(T.MARKET, good_after=NOON, waits=True), SHUT, False),
    ],
)
def test_what_the_hours_would_leave_waiting(asked: Proposal, hours: Hours, warns: bool) -> None:
    facts = replace(FACTS, hours=hours)
    assert [one.code for one in readings(asked, facts, LIMITS) if one.warns] == (["TRADING_HOURS"] if warns else [])
    assert codes(asked, facts) == []
    assert codes(asked, facts, TRADING_HOURS="2") == (["TRADING_HOURS"] if warns else [])
    assert [one.code for one in readings(asked, facts, LIMITS | {"TRADING_HOURS": D(0)}) if one.warns] == []


def test_hours_that_are_not_known_block_only_where_hours_do() -> None:
    assert codes(of(T.MARKET), FACTS, TRADING_HOURS="1") == []
    assert codes(of(T.MARKET), FACTS, TRADING_HOURS="2") == ["TRADING_HOURS"]
    assert codes(of(T.MARKET, reduces=True), FACTS, TRADING_HOURS="2") == []


# --- instruments, short sales, the desk's own orders --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], []),
        ([InstrumentWord(False, "desk", "AAPL")], ["INSTRUMENT_RESTRICTED"]),
        ([InstrumentWord(False, "user", "", "STK")], ["INSTRUMENT_RESTRICTED"]),
        ([InstrumentWord(False, "account", "AAPL", "OPT")], []),
        ([InstrumentWord(False, "desk", "MSFT")], []),
        ([InstrumentWord(True, "desk", "MSFT")], ["INSTRUMENT_NOT_ALLOWED"]),
        ([InstrumentWord(True, "desk", "MSFT"), InstrumentWord(True, "desk", "AAPL")], []),
        ([InstrumentWord(True, "desk", "", "STK"), InstrumentWord(True, "user", "MSFT")], ["INSTRUMENT_NOT_ALLOWED"]),
        ([InstrumentWord(True, "desk", "", "STK"), InstrumentWord(False, "account", "AAPL")], ["INSTRUMENT_RESTRICTED"]),
    ],
)
def test_instruments(rows: list[InstrumentWord], expected: list[str]) -> None:
    facts = replace(FACTS, symbol="AAPL", sec_type="STK", instruments=tuple(rows))
    assert codes(of(T.LIMIT, limit_price="100"), facts) == expected
    assert codes(of(T.LIMIT, S.SELL, limit_price="100", reduces=True), facts) == []  # closing is always allowed


@pytest.mark.parametrize(
    ("position", "working", "quantity", "expected"),
    [("100", "0", "100", []), ("100", "0", "101", ["SHORT_SALES"]), ("100", "60", "41", ["SHORT_SALES"]), ("0", "0", "1", ["SHORT_SALES"])],
)
def test_nothing_is_sold_that_is_not_held(position: str, working: str, quantity: str, expected: list[str]) -> None:
    facts = replace(FACTS, position=D(position), working=D(working))
    asked = of(T.LIMIT, S.SELL, quantity, limit_price="100")
    assert codes(asked, facts, SHORT_SALES="0") == expected
    assert codes(asked, facts) == []
    assert codes(of(T.LIMIT, limit_price="100"), facts, SHORT_SALES="0") == []


@pytest.mark.parametrize(
    ("asked", "resting", "expected"),
    [
        (of(T.LIMIT, limit_price="99"), "99.01", []),
        (of(T.LIMIT, limit_price="99.01"), "99.01", ["SELF_CROSS"]),
        (of(T.LIMIT, S.SELL, limit_price="101"), "100.99", []),
        (of(T.LIMIT, S.SELL, limit_price="101"), "101", ["SELF_CROSS"]),
        (of(T.MARKET), "100.02", []),  # it trades before it gets there
        (of(T.MARKET), "100.01", ["SELF_CROSS"]),
        (of(T.STOP, stop_price="101"), "100.01", []),
        (of(T.LIMIT, limit_price="100", waits=True), "99", []),
        (of(T.MARKET, S.SELL, role=Role.CLOSE, reduces=True), "99.99", []),  # a way out is not barred
        (of(T.LIMIT, S.SELL, limit_price="99", reduces=True), "99.99", ["SELF_CROSS"]),
    ],
)
def test_the_desk_does_not_trade_with_itself(asked: Proposal, resting: str, expected: list[str]) -> None:
    facts = replace(FACTS, resting=D(resting))
    assert codes(asked, facts) == expected
    assert codes(asked, facts, SELF_CROSS="1") == []


# --- exposure, buying power, risk ---------------------------------------------------------------------------------------------------------


def test_exposure_counts_everything_that_may_fill() -> None:
    line = Line(position=D(100), buys=D(50), sells=D(300), worth=D(10))
    assert (line.gross, line.longest, line.shortest) == (D(2000), D(150), D(-200))
    short_option = Line(position=D(-1), buys=D(0), sells=D(0), worth=D(50), strike_worth=D(10000))
    assert short_option.gross == D(10000)
    both = Exposed().plus(line, "A", same_name=True).plus(short_option, "B", same_name=False)
    assert (both.gross, both.name, both.net) == (D(12000), D(2000), D(2050))
    unknown = both.plus(Line(D(1), D(0), D(0), None), "C", same_name=False)
    assert unknown.unknown == "C"
    assert both.plus(Line(D(0), D(0), D(0), None), "C", same_name=False) == both


EXPOSURES = [("GROSS_EXPOSURE", "1.01", "1"), ("NET_EXPOSURE", "1.01", "1"), ("NAME_EXPOSURE", "0.51", "0.5")]


@pytest.mark.parametrize(("rule", "enough", "short"), EXPOSURES)
def test_exposure_is_a_fraction_of_net_liquidation(rule: str, enough: str, short: str) -> None:
    """Ten thousand elsewhere, and ten thousand and a bit here."""
    facts = replace(
        FACTS, purse=replace(PURSE, net_liquidation=D(20000)), rest=Exposed(gross=D(10000), longest=D(10000), shortest=D(10000))
    )
    asked = of(T.LIMIT, limit_price="100.1")
    assert codes(asked, facts, **{rule: enough}) == []
    assert codes(asked, facts, **{rule: short}) == [rule]
    assert codes(replace(asked, reduces=True), facts, **{rule: "0"}) == []


@pytest.mark.parametrize(("rule", "enough", "short"), EXPOSURES)
def test_what_does_not_add_to_it_is_not_refused_for_it(rule: str, enough: str, short: str) -> None:
    facts = replace(FACTS, position=D(100), symbol="AAPL")
    assert codes(of(T.LIMIT, S.SELL, "150", limit_price="100"), facts, **{rule: "0"}) == []
    assert codes(of(T.LIMIT, S.SELL, "201", limit_price="100"), facts, **{rule: "0"}) == [rule]
    change = of(T.LIMIT, quantity="100", limit_price="100", is_change=True, before=terms(T.LIMIT, quantity="100", limit_price="99"))
    assert codes(change, facts, **{rule: "0"}) == []


def test_a_price_that_is_not_known_anywhere_blocks() -> None:
    facts = replace(FACTS, rest=Exposed(unknown="ODD"))
    assert codes(of(T.LIMIT, limit_price="100"), facts) == ["GROSS_EXPOSURE", "NET_EXPOSURE", "NAME_EXPOSURE"]
    assert codes(of(T.LIMIT, S.SELL, limit_price="100", reduces=True), facts) == []


def test_buying_power_counts_what_the_broker_does_not_know_yet() -> None:
    facts = replace(FACTS, purse=replace(PURSE, buying_power=D(20000), unsent=D(10000)))
    assert codes(of(T.LIMIT, limit_price="100"), facts) == []
    assert codes(of(T.LIMIT, limit_price="100.01"), facts) == ["BUYING_POWER"]
    assert codes(of(T.LIMIT, limit_price="100"), facts, BUYING_POWER="0.9") == ["BUYING_POWER"]
    before = terms(T.LIMIT, quantity="100", limit_price="100")
    assert codes(of(T.LIMIT, quantity="200", limit_price="100", is_change=True, before=before), facts) == []
    assert codes(of(T.LIMIT, quantity="201", limit_price="100", is_change=True, before=before), facts) == ["BUYING_POWER"]


def test_a_partly_filled_order_that_grows_is_not_counted_twice() -> None:
    facts = replace(FACTS, position=D(40))
    change = of(T.LIMIT, quantity="100", limit_price="100", is_change=True, filled=D(40), before=terms(T.LIMIT, limit_price="99"))
    assert codes(change, facts, MAX_POSITION="100") == []
    assert codes(change, facts, MAX_POSITION="99") == ["MAX_POSITION"]


@pytest.mark.parametrize(("quantity", "held", "opens"), [("200", "100", "100"), ("400", "100", "300"), ("200", "50", "150")])
def test_an_order_that_turns_a_position_round_is_weighed_by_what_it_opens(quantity: str, held: str, opens: str) -> None:
    facts = replace(FACTS, position=D(held))
    turned = of(T.MARKET, S.SELL, quantity=quantity, role=Role.REVERSE)
    assert codes(turned, facts, MAX_QUANTITY=opens) == []
    assert codes(turned, facts, MAX_QUANTITY=str(D(opens) - 1)) == ["MAX_QUANTITY"]


def test_risk_is_the_way_to_the_stop() -> None:
    entry = terms(T.LIMIT, limit_price="100")
    fixed, wide = terms(T.STOP, S.SELL, "60", stop_price="98"), terms(T.TRAIL, S.SELL, "40", trail_percent="5")
    assert stop_risk(entry, MARKET, [fixed, wide]) == 60 * 2 + 40 * 5
    assert stop_risk(terms(T.MARKET, S.SELL), MARKET, [terms(T.STOP, stop_price="102")]) == D("201")
    assert stop_risk(terms(T.MARKET), None, [fixed]) is None
    # Once elected it may sell as low as its limit.
    assert stop_risk(terms(T.STOP_LIMIT, S.SELL, stop_price="98", limit_price="97"), MARKET, [terms(T.STOP, stop_price="100")]) == 300
    risk = replace(FACTS, purse=replace(PURSE, net_liquidation=D(20000)), risk=Risk(True, D(1000)))
    entry_order = of(T.LIMIT, limit_price="100", role=Role.ENTRY)
    assert codes(entry_order, risk) == []
    assert codes(entry_order, replace(risk, risk=Risk(True, D("1000.01")))) == ["RISK_PER_TRADE"]
    assert codes(replace(entry_order, is_change=True), replace(risk, risk=Risk(True, D(2000), D(2000)))) == []
    assert codes(entry_order, replace(risk, risk=Risk(True, None))) == ["RISK_PER_TRADE"]


def test_a_stop_can_be_asked_of_everything_that_opens() -> None:
    asked = of(T.LIMIT, limit_price="100")
    assert codes(asked, REQUIRE_STOP="1") == ["REQUIRE_STOP"]
    assert codes(asked, replace(FACTS, risk=Risk(True, D(1))), REQUIRE_STOP="1") == []
    assert codes(replace(asked, reduces=True), REQUIRE_STOP="1") == []


# --- states -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "reduces", "expected"), [("2", True, []), ("2", False, ["TRADING_STATE"]), ("1", False, ["TRADING_STATE"])]
)
def test_a_kill_switchs_own_flattening_goes_in_a_halt(state: str, reduces: bool, expected: list[str]) -> None:
    assert codes(of(T.MARKET, S.SELL, role=Role.LIQUIDATION, reduces=reduces), TRADING_STATE=state) == expected
    assert codes(of(T.MARKET, S.SELL, role=Role.CLOSE, reduces=True), TRADING_STATE="2") == ["TRADING_STATE"]


@pytest.mark.parametrize(
    ("pnl", "week", "expected"),
    [
        ("-29999", "-29999", []),
        ("-30000", "-30000", [("DAILY_LOSS_REDUCE", "1")]),
        ("-50000", "-50000", [("DAILY_LOSS_HALT", "2"), ("DAILY_LOSS_REDUCE", "1")]),
        ("0", "-100000", [("WEEKLY_LOSS_HALT", "2")]),
        (None, None, []),
    ],
)
def test_which_states_a_loss_asks_for(pnl: str | None, week: str | None, expected: list[tuple[str, str]]) -> None:
    """Of a million before the loss."""
    pnl_now, week_now = (None if one is None else D(one) for one in (pnl, week))
    purse = Purse(net_liquidation=1_000_000 + (week_now or D(0)), week_pnl=week_now)
    found = triggers(purse, pnl_now, LIMITS)
    assert [(one.rule.value, str(one.state)) for one in found] == expected


def test_a_control_that_fails_lets_a_reduction_go(caplog: pytest.LogCaptureFixture) -> None:
    broken = replace(FACTS, traffic=None)  # type: ignore[arg-type]
    assert "RULE_FAILED" in codes(of(T.LIMIT, limit_price="100"), broken)
    assert codes(of(T.LIMIT, S.SELL, limit_price="100", reduces=True), broken) == []
    assert Rule.ORDER_RATE in caplog.text


# --- what open orders may still do --------------------------------------------------------------------------------------------------------

_numbers = iter(range(1, 10**6))


def an_open(quantity: str, **more: object) -> Open:
    values = {"pk": next(_numbers), "account": 1, "contract": 1, "side": S.SELL, "filled": D(0), "status": OrderStatus.WORKING}
    return Open(quantity=D(quantity), **{**values, "role": Role.STOP_LOSS, "order_type": "STP", **more})  # type: ignore[arg-type]


def test_of_a_group_one_fills_and_the_groups_of_an_entry_add_up() -> None:
    pairs = [an_open(quantity, parent=7, group=group) for quantity, group in (("60", 1), ("60", 1), ("40", 2), ("40", 2))]
    assert may_trade(pairs) == 100
    assert may_trade([replace(one, parent_is_open=True, parent_filled=D(30)) for one in pairs]) == 30
    assert may_trade([replace(one, parent_is_open=True) for one in pairs]) == 0
    assert may_trade([an_open("60", parent=7), an_open("60", parent=7)]) == 60  # linked by the broker, all of them
    assert may_trade([an_open("60", group=5), an_open("60", group=5), an_open("10")]) == 70
    assert may_trade([]) == 0


@given(st.lists(st.tuples(st.integers(1, 100), st.sampled_from([None, 1, 2]), st.sampled_from([None, 7, 8])), max_size=12))
def test_one_more_order_never_makes_less_of_it(orders: list[tuple[int, int | None, int | None]]) -> None:
    made = [an_open(str(quantity), group=group, parent=parent) for quantity, group, parent in orders]
    sums = [may_trade(made[:count]) for count in range(len(made) + 1)]
    assert sums == sorted(sums)
    assert not made or sums[-1] <= sum(one.quantity for one in made)


def test_every_control_says_what_it_reads() -> None:
    found = {one.code for one in readings(of(T.LIMIT, limit_price="100"), FACTS, LIMITS)}
    assert {"MAX_QUANTITY", "MAX_NOTIONAL", "GROSS_EXPOSURE", "DAILY_LOSS_REDUCE", "ORDER_RATE"} <= found
    assert check(of(T.LIMIT, limit_price="100"), FACTS, LIMITS) == []
    assert isinstance(FACTS, Facts)
