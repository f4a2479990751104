"""The maps between our words and IB's, on ib_async's own classes: floats and unset numbers end here."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ib_async import BarData, CommissionReport, Contract, ContractDetails, Execution, Order, OrderState, PriceIncrement
from ib_async.util import UNSET_DOUBLE, UNSET_INTEGER

from broker import figures, translate
from orders.rules.commands import ContractSpec, PlaceOrder
from orders.rules.echo import as_asked, trailing_price
from orders.rules.faults import TicketError
from orders.rules.offering import TIMES, check_terms
from orders.rules.reports import OrderKey
from orders.rules.terms import (
    AdaptivePriority,
    OrderTerms,
    OrderType,
    Side,
    TimeInForce,
    TriggerMethod,
    significant_digits,
    terms_from_json,
    terms_to_json,
)

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
AAPL = ContractSpec(265598, "SMART", "AAPL", "STK", "USD")
TERMS = OrderTerms(Side.BUY, OrderType.LIMIT, D(100), limit_price=D("233.33"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, D(0)),
        (-0.0, D(0)),
        (233.33333333333334, D("233.33333333")),
        (0.1 + 0.2, D("0.3")),
        (1e-05, D("0.00001")),
        (123456789.12345678, D("123456789.123457")),
        ("1234.50", D("1234.5")),
        (UNSET_DOUBLE, None),
        (-UNSET_DOUBLE, None),
        ("1.7976931348623157E308", None),
        (UNSET_INTEGER, None),
        (float("nan"), None),
        (float("inf"), None),
        ("", None),
        (None, None),
    ],
)
def test_a_number_is_exact_or_absent(value: float | str | None, expected: D | None) -> None:
    assert translate.number(value) == expected


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12))
def test_every_number_fits_into_the_book(value: float) -> None:
    number = translate.number(value)
    assert number is not None
    assert significant_digits(number) <= 15
    assert abs(number - D(repr(value))) <= max(abs(D(repr(value))) * D("1e-14"), D("1e-8"))


def test_what_is_no_number_is_not_decoded() -> None:
    with pytest.raises(ValueError, match="not a number"):
        translate.number("abc")


@given(st.decimals(min_value="0.00000001", max_value="99999999", allow_nan=False, places=6).filter(lambda d: d > 0))
def test_prices_go_out_as_plain_text_without_an_exponent(price: D) -> None:
    order = translate.ib_terms(OrderTerms(Side.SELL, OrderType.STOP_LIMIT, price, limit_price=price, stop_price=price), "DU1")
    for text in (order.totalQuantity, order.lmtPrice, order.auxPrice):
        assert isinstance(text, str)
        assert "E" not in text.upper()
        assert D(text) == price


@pytest.mark.parametrize(
    ("order_type", "limit", "stop"),
    [(OrderType.MARKET, None, None), (OrderType.LIMIT, "5", None), (OrderType.STOP, None, "4"), (OrderType.STOP_LIMIT, "5", "4")],
)
def test_an_order_carries_exactly_the_prices_of_its_type(order_type: OrderType, limit: str | None, stop: str | None) -> None:
    order = translate.ib_terms(OrderTerms(Side.BUY, order_type, D(1), limit_price=limit and D(limit), stop_price=stop and D(stop)), "DU1")
    assert (order.orderType, order.lmtPrice, order.auxPrice) == (order_type.value, limit or UNSET_DOUBLE, stop or UNSET_DOUBLE)


PRICE = st.decimals(min_value="0.01", max_value="99999", allow_nan=False, places=2)
WHEN = st.integers(0, 4 * 365 * 86_400).map(lambda seconds: NOW + timedelta(seconds=seconds))


@st.composite
def every_terms(draw: st.DrawFn) -> OrderTerms:
    """Any terms that make sense, by the tables of offering."""
    order_type = draw(st.sampled_from(OrderType))
    time_in_force = draw(st.sampled_from(sorted(TIMES[order_type])))
    trails = order_type.trails
    by_percent = trails and draw(st.booleans())
    begins = order_type.has_trigger or order_type is OrderType.TRAIL_LIMIT or (trails and draw(st.booleans()))
    plain_terms = OrderTerms(
        side=draw(st.sampled_from(Side)),
        order_type=order_type,
        quantity=draw(st.integers(2, 100_000).map(D)),
        limit_price=draw(PRICE) if order_type.has_limit else None,
        stop_price=draw(PRICE) if begins else None,
        trail_amount=draw(PRICE) if trails and not by_percent else None,
        trail_percent=draw(st.decimals("0.01", "99", places=2)) if by_percent else None,
        limit_offset=draw(st.decimals("0", "99", places=2)) if order_type is OrderType.TRAIL_LIMIT else None,
        time_in_force=time_in_force,
        good_till=draw(WHEN) if time_in_force is TimeInForce.GTD else None,
    )
    attributes = {
        "outside_rth": st.just(True),
        "good_after": WHEN,
        "all_or_none": st.just(True),
        "hidden": st.just(True),
        "display_size": st.just(D(1)),
        "trigger_method": st.sampled_from(TriggerMethod),
        "adaptive": st.sampled_from(AdaptivePriority),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(attributes))))
    terms = replace(plain_terms, **{name: draw(attributes[name]) for name in sorted(chosen)})
    try:
        check_terms(terms)
    except TicketError:
        return plain_terms
    return terms


@settings(max_examples=300)
@given(every_terms())
def test_terms_come_back_as_they_went_out(terms: OrderTerms) -> None:
    assert translate.order_terms(translate.ib_terms(terms, "DU1")) == terms
    assert terms_from_json(terms_to_json(terms)) == terms


@settings(max_examples=300)
@given(every_terms())
def test_terms_come_back_from_an_echo_that_fills_in_what_was_not_said(terms: OrderTerms) -> None:
    """As a gateway echoes: floats, its own spelling of times, zeros and unset numbers, a trailing stop that has moved."""
    order = translate.ib_terms(terms, "DU1")
    order.totalQuantity, order.displaySize = float(order.totalQuantity), order.displaySize or UNSET_INTEGER
    for name in ("lmtPrice", "auxPrice", "trailStopPrice", "trailingPercent", "lmtPriceOffset"):
        value = getattr(order, name)
        setattr(order, name, value if value == UNSET_DOUBLE else float(value))
    order.lmtPrice = 0.0 if order.lmtPrice == UNSET_DOUBLE else order.lmtPrice
    if terms.order_type.trails:
        order.lmtPrice, order.trailStopPrice = 123.45, 130.05
        order.auxPrice = 2.47 if terms.trail_percent is not None else order.auxPrice
    else:
        order.auxPrice = 0.0 if order.auxPrice == UNSET_DOUBLE else order.auxPrice
    for name in ("goodTillDate", "goodAfterTime"):
        if moment := getattr(terms, {"goodTillDate": "good_till", "goodAfterTime": "good_after"}[name]):
            setattr(order, name, f"{moment.astimezone(ZoneInfo('US/Eastern')):%Y%m%d %H:%M:%S} US/Eastern")
    told = translate.order_terms(order)
    assert told is not None
    assert as_asked(told, terms, NOW) == terms
    assert trailing_price(told) == (D("130.05") if terms.order_type.trails else None)


def test_a_trail_limit_that_was_given_a_limit_has_the_offset_of_its_prices() -> None:
    order = echo(action="SELL", orderType="TRAIL LIMIT", auxPrice=2.0, trailStopPrice=98.0, lmtPrice=97.5)
    told = translate.order_terms(order)
    assert told is not None
    assert (told.limit_offset, told.limit_price) == (D("0.5"), None)


def test_a_frame_names_everything_that_ib_would_fill_in_by_itself() -> None:
    frame = PlaceOrder(
        command_id=1,
        client_order_id="DBX-1",
        ib_order_id=7,
        account="DU1",
        contract=AAPL,
        terms=OrderTerms(Side.SELL, OrderType.LIMIT, D(10), limit_price=D("240"), time_in_force=TimeInForce.GTC, outside_rth=True),
        parent_ib_order_id=6,
        oca_group="g",
        oca_type=2,
        transmit=False,
    )
    order = translate.ib_order(frame)
    assert (order.orderId, order.orderRef, order.account, order.tif) == (7, "DBX-1", "DU1", "GTC")
    assert (order.parentId, order.ocaGroup, order.ocaType, order.transmit, order.outsideRth) == (6, "g", 2, False, True)
    contract = translate.ib_contract(AAPL)
    assert (contract.conId, contract.exchange, contract.symbol) == (265598, "SMART", "")


def test_an_order_without_its_price_is_not_written() -> None:
    with pytest.raises(ValueError, match="limit price"):
        translate.ib_terms(OrderTerms(Side.BUY, OrderType.LIMIT, D(1)), "DU1")


def echo(**fields: object) -> Order:
    """An order as the gateway echoes it, with the fields it fills in by itself."""
    order = Order(action="BUY", orderType="LMT", totalQuantity=100.0, lmtPrice=233.33, auxPrice=0.0, tif="DAY", account="DU1")
    order.clientId, order.permId, order.orderRef, order.ocaType, order.displaySize = 17, 99, "DBX-1", 3, UNSET_INTEGER
    for name, value in fields.items():
        setattr(order, name, value)
    return order


def test_an_open_order_comes_back_in_our_words() -> None:
    state = OrderState(status="Submitted", warningText="Your order was capped.<br>Twice.")
    contract = Contract(conId=265598, symbol="AAPL", secType="STK", exchange="SMART", currency="USD", right="?", multiplier="")
    report = translate.open_order(7, contract, echo(), state)
    assert report.key == OrderKey(17, 7, 99, "DBX-1")
    assert report.terms == TERMS
    assert (report.word, report.warning_text, report.oca_type) == ("Submitted", "Your order was capped. Twice.", 0)
    assert (report.contract.right, report.contract.multiplier) == ("", 1)


@pytest.mark.parametrize(
    "fields",
    [
        {"orderType": "REL"},
        {"tif": "AUC"},
        {"orderType": "TRAIL"},
        {"action": "SSHORT"},
        {"totalQuantity": UNSET_DOUBLE},
        {"lmtPrice": UNSET_DOUBLE},
    ],
)
def test_terms_that_we_have_no_word_for_are_none(fields: dict[str, object]) -> None:
    report = translate.open_order(7, Contract(conId=1), echo(**fields), OrderState(status="Submitted"))
    assert report.terms is None
    assert report.side is (Side.SELL if "action" in fields else Side.BUY)
    assert report.type_word == f"{fields.get('orderType', 'LMT')} {fields.get('tif', 'DAY')}"


def test_a_completed_order_has_no_order_id_and_maybe_no_quantity() -> None:
    state = OrderState(status="Filled", completedTime="20260413 15:27:04 US/Eastern", completedStatus="Filled Size: 100")
    report = translate.completed_order(Contract(conId=1), echo(totalQuantity=0.0, filledQuantity=100.0), state)
    assert (report.key, report.terms, report.filled_quantity) == (OrderKey(None, 0, 99, "DBX-1"), None, 100)
    assert report.completed_at == datetime(2026, 4, 13, 19, 27, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20260413 15:27:04 US/Eastern", datetime(2026, 4, 13, 19, 27, 4, tzinfo=UTC)),
        ("20260413-15:27:04", datetime(2026, 4, 13, 15, 27, 4, tzinfo=UTC)),
        ("1776094024", datetime(2026, 4, 13, 15, 27, 4, tzinfo=UTC)),
        ("20260413 15:27:04 Mars/Olympus", None),
        ("soon", None),
        ("", None),
    ],
)
def test_times_are_in_utc_or_absent(text: str, expected: datetime | None) -> None:
    assert translate.moment(text) == expected


def fill(**fields: object) -> Execution:
    execution = Execution(execId="0001.02.01", time=datetime(2026, 4, 13, tzinfo=UTC), acctNumber="DU1", side="BOT", shares=10.0, price=5.5)
    for name, value in fields.items():
        setattr(execution, name, value)
    return execution


def test_the_execution_of_a_manual_order_names_no_order_id() -> None:
    report = translate.execution(Contract(conId=1), fill(orderId=UNSET_INTEGER, permId=5), live=False)
    assert (report.key.ib_order_id, report.key.perm_id, report.side, report.quantity, report.price, report.live) == (
        0,
        5,
        Side.BUY,
        10,
        D("5.5"),
        False,
    )


@pytest.mark.parametrize("fields", [{"side": "???"}, {"shares": UNSET_DOUBLE}, {"price": UNSET_DOUBLE}])
def test_an_execution_that_makes_no_sense_is_not_decoded(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="execution"):
        translate.execution(Contract(conId=1), fill(**fields), live=True)


def test_a_commission_that_is_not_known_yet_is_not_reported() -> None:
    assert translate.commission(CommissionReport("x", -1.0, "USD", UNSET_DOUBLE)) is None
    rebate = translate.commission(CommissionReport("x", -0.35, "USD", UNSET_DOUBLE))
    assert rebate is not None
    assert (rebate.amount, rebate.realized_pnl) == (D("-0.35"), None)


def test_the_broker_filled_word_is_kept_with_its_numbers_as_hints() -> None:
    report = translate.order_status(7, "Filled", 100.0, 0.0, 236.41, 99, 17, "")
    assert (report.word, report.filled, report.remaining, report.average_price) == ("Filled", 100, 0, D("236.41"))
    assert translate.order_status(7, "Submitted", 0.0, 100.0, 0.0, 99, 17, "").average_price is None


def test_messages_are_plain_text() -> None:
    assert translate.readable("Z\\u00fcrich<br/>line\0 two") == "Zürich line two"


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("margin \\ud83d\\ude00 missing", "margin \U0001f600 missing"),  # one letter in two halves
        ("half \\ud83d of it", "half \ufffd of it"),
    ],
)
def test_letters_beyond_sixteen_bits_can_be_stored_and_hashed(words: str, shown: str) -> None:
    assert translate.readable(words) == shown
    assert translate.readable(words).encode()


# --- figures --------------------------------------------------------------------------------------------------------------------------


def test_a_side_without_size_has_no_price() -> None:
    line = figures.Line(1)
    assert line.price(1, 99.5, 300.0)
    assert line.price(2, 100.5, 200.0)
    assert line.price(4, 100.0, 100.0)
    quote = line.quote(datetime(2026, 1, 1, tzinfo=UTC))
    assert (quote.bid, quote.bid_size, quote.ask, quote.last, quote.delayed) == (D("99.5"), 300, D("100.5"), 100, False)
    line.price(1, -1.0, 0.0)
    line.size(3, 0.0)
    quote = line.quote(datetime(2026, 1, 1, tzinfo=UTC))
    assert (quote.bid, quote.bid_size, quote.ask, quote.last) == (None, None, None, 100)


def test_a_delayed_tick_marks_the_quote() -> None:
    line = figures.Line(1)
    line.price(66, 99.5, 300.0)
    assert line.quote(datetime(2026, 1, 1, tzinfo=UTC)).delayed


def test_details_need_a_tick_and_name_their_rules() -> None:
    details = ContractDetails(
        contract=Contract(conId=1, symbol="X"), minTick=0.01, validExchanges="SMART,NYSE", marketRuleIds="26,32", orderTypes="LMT,MKT,"
    )
    told = figures.detailed(details)
    assert (told.valid_exchanges, told.market_rule_ids, told.order_types) == (("SMART", "NYSE"), (26, 32), ("LMT", "MKT"))
    assert (told.min_size, told.size_increment) == (1, 1)
    with pytest.raises(ValueError, match="tick"):
        figures.detailed(ContractDetails(contract=Contract(conId=1)))


def test_a_price_ladder_ascends() -> None:
    rule = figures.market_rule(26, [PriceIncrement(1.0, 0.01), PriceIncrement(0.0, 0.0001)])
    assert rule.increments == ((D(0), D("0.0001")), (D(1), D("0.01")))
    with pytest.raises(ValueError, match="ticks"):
        figures.market_rule(26, [])


def test_a_preview_leaves_unset_figures_out() -> None:
    told = figures.preview(OrderState(initMarginChange="5910.25", commission=1.0, commissionCurrency="USD"))
    assert (told["initial_margin_change"], told["commission"], told["most_commission"]) == ("5910.25", "1", None)


@pytest.mark.parametrize(("when", "shown"), [("1776094024", "2026-04-13T15:27:04+00:00"), ("20260413", "2026-04-13")])
def test_bars_carry_text(when: str, shown: str) -> None:
    assert figures.bar_row(BarData(date=when, open=1.0, high=2.5, low=0.5, close=2.0, volume=300.0)) == [
        shown,
        "1",
        "2.5",
        "0.5",
        "2",
        "300",
    ]
