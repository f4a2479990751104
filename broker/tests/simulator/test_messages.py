"""The vocabulary by server version: field counts as documented and captured, values in IB's words, orders read to the last field."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.simulator.messages import answers as say
from broker.simulator.messages import requests as ask
from broker.simulator.messages.market_answers import ContractDetails, HistoricalData
from broker.simulator.messages.order_frames import CompletedOrder, OpenOrder
from broker.simulator.messages.place_order import PlaceOrder
from broker.simulator.messages.reading import NOT_SIMULATED, read_request
from broker.simulator.messages.values import ValueProblem, escaped, number, parse_integer, parse_number, parse_timestamp, size
from broker.simulator.model import CommissionCharged, Fill, Instrument, OrderRequest, OrderState
from broker.tests.simulator.raw import cancel_order, place_order

AT = datetime(2026, 4, 13, 15, 27, 4, tzinfo=UTC)
ONE = Decimal(1)
AAPL = Instrument(265598, "AAPL", "STK", "SMART", "NASDAQ", "USD", "AAPL", "NMS", "APPLE INC", "NMS", Decimal(236), 26)
REQUEST = OrderRequest(17, 5, 265598, "DU1", "BUY", Decimal(100), "LMT", Decimal("99.5"), None, "DAY", order_ref="ref")
ORDER = OrderState(REQUEST, 900, "Submitted", Decimal(0), Decimal(100), Decimal(0), Decimal(0), "", AT)
FILL = Fill("1.2.3.01", AT, 17, 5, 900, 265598, "DU1", "NASDAQ", "BOT", ONE, ONE, ONE, ONE, "ref", 2)
VERSIONS = range(157, 201)


@pytest.mark.parametrize(("version", "count"), [(164, 131), (176, 136), (178, 135), (193, 141), (195, 154), (200, 156)])
def test_open_order_has_the_captured_number_of_fields(version: int, count: int) -> None:
    assert len(OpenOrder(ORDER, AAPL).fields(version)) == count


@pytest.mark.parametrize(("version", "count"), [(157, 96), (178, 100), (200, 103)])
def test_completed_order_has_the_captured_number_of_fields(version: int, count: int) -> None:
    done = replace(ORDER, status="Filled", completed_at=AT, completed_status="Filled Size: 100")
    assert len(CompletedOrder(done, AAPL).fields(version)) == count


@pytest.mark.parametrize(("version", "count"), [(157, 31), (177, 31), (178, 32), (197, 32), (198, 33)])
def test_execution_details_grow_with_the_version(version: int, count: int) -> None:
    assert len(say.ExecutionDetails(-1, FILL, AAPL, "").fields(version)) == count


def test_error_changes_its_layout_twice() -> None:
    error = say.ErrorMessage(5, 201, "rejected", AT)
    assert error.fields(165) == ["4", "2", "5", "201", "rejected"]
    assert error.fields(166) == ["4", "2", "5", "201", "rejected", ""]
    assert error.fields(194) == ["4", "5", "201", "rejected", "", str(int(AT.timestamp() * 1000))]


@pytest.mark.parametrize(("version", "count"), [(157, 39), (163, 40), (164, 40), (178, 40), (182, 41), (186, 42), (200, 42)])
def test_contract_details_count(version: int, count: int) -> None:
    """44 fields were captured at 200 for a contract with one secId pair, which is two fields."""
    assert len(ContractDetails(1, AAPL, Decimal("0.01"), "").fields(version)) == count


def test_historical_data_loses_its_ends_at_196() -> None:
    assert HistoricalData(7, "a", "b", ()).fields(195) == ["17", "7", "a", "b", "0"]
    assert HistoricalData(7, "a", "b", ()).fields(196) == ["17", "7", "0"]


def test_open_order_says_what_a_real_gateway_fills_in() -> None:
    fields = OpenOrder(ORDER, AAPL).fields(178)
    assert fields[7] == "?"  # no right
    assert fields[13:19] == ["BUY", "100", "LMT", "99.5", "0", "DAY"]
    assert "None" in fields and "2147483647" in fields and "1.7976931348623157E308" in fields


def test_execution_and_commission_are_in_ibs_words() -> None:
    fields = say.ExecutionDetails(-1, FILL, AAPL, "").fields(178)
    assert fields[15] == "20260413 15:27:04 UTC" and fields[18] == "BOT"
    charge = CommissionCharged("1.2.3.01", 17, "DU1", Decimal("1.00"), "USD", None)
    assert say.CommissionReport(charge).fields(178) == [
        "59", "1", "1.2.3.01", "1", "USD", "1.7976931348623157E308", "1.7976931348623157E308", "",
    ]  # fmt: skip


# --- what comes in ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("unset", ["", "1.7976931348623157e+308", "1.7976931348623157E308", "2147483647"])
def test_a_plain_order_is_read_to_its_last_field(version: int, unset: str) -> None:
    order = read_request([str(field) for field in place_order(version, 9, ref="mine", unset=unset)], version)
    assert isinstance(order, PlaceOrder), order
    assert (order.order_id, order.quantity, order.limit_price, order.aux_price) == (9, Decimal(100), Decimal(100), None)
    assert (order.order_ref, order.account, order.transmit, order.what_if) == ("mine", "DU1000417", True, False)


@pytest.mark.parametrize(("version", "count"), [(157, 110), (176, 115), (178, 114)])
def test_the_hand_made_order_has_the_counts_of_real_clients(version: int, count: int) -> None:
    assert len(place_order(version, 9)) == count


@pytest.mark.parametrize("version", [157, 178, 200])
def test_a_field_too_many_or_too_few_in_an_order_is_error_320_for_that_order(version: int) -> None:
    fields = [str(field) for field in place_order(version, 9)]
    for wrong in ([*fields, "0"], fields[:-1], fields[:20]):
        answer = read_request(wrong, version)
        assert isinstance(answer, ask.Malformed) and answer.req_id == 9


@pytest.mark.parametrize("version", VERSIONS)
def test_cancel_finds_the_order_id_on_both_sides_of_192(version: int) -> None:
    request = read_request([str(field) for field in cancel_order(version, 77)], version)
    assert isinstance(request, ask.CancelOrder) and request.order_id == 77


def test_a_version_field_that_is_dropped_at_192_would_have_been_read_as_the_order_id() -> None:
    request = read_request([str(field) for field in cancel_order(178, 77)], 200)
    assert not isinstance(request, ask.CancelOrder) or request.order_id != 77


def test_requests_that_are_not_simulated_are_named_with_their_request_id() -> None:
    for message_id, (name, index) in NOT_SIMULATED.items():
        fields = [str(message_id), "1", "2", "3"]
        request = read_request(fields, 178)
        assert isinstance(request, ask.NotSimulated) and request.name == name
        assert request.req_id == (-1 if index is None else int(fields[index]))


@pytest.mark.parametrize("fields", [[], [""], ["x"], ["999"], ["9", "8"], ["9", "8", "abc"], ["61"], ["99999999999999999999", "1"]])
def test_what_cannot_be_read_is_malformed_and_never_raises(fields: list[str]) -> None:
    request = read_request(fields, 178)
    assert isinstance(request, ask.Malformed) and request.text


@given(st.lists(st.text(max_size=8), max_size=30), st.sampled_from([157, 178, 200]), st.sampled_from([1, 3, 4, 7, 9, 20, 62, 71]))
def test_reading_never_raises(fields: list[str], version: int, message_id: int) -> None:
    read_request([str(message_id), *fields], version)


# --- values -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.5", Decimal("1.5")),
        ("0.0", Decimal(0)),
        ("1E3", Decimal(1000)),
        ("", None),
        ("1.7976931348623157e+308", None),
        ("2147483647", None),
    ],
)
def test_numbers_and_their_absence(text: str, value: Decimal | None) -> None:
    assert parse_number(text) == value


@pytest.mark.parametrize("text", ["nan", "NaN", "Infinity", "1e400", "1e-99", "1_0", "１", " 1", "0x1", "1.2.3", "9" * 41])
def test_what_is_no_honest_number_is_refused(text: str) -> None:
    with pytest.raises(ValueProblem):
        parse_number(text)


@pytest.mark.parametrize("text", ["2147483648", "-2147483649", "1.0", "", "1_0", "１"])
def test_integers_are_javas(text: str) -> None:
    with pytest.raises(ValueProblem):
        parse_integer(text)


def test_numbers_go_out_plain() -> None:
    assert [number(Decimal(text)) for text in ("1E+2", "0.10", "-0", "1.7E-7", "100")] == ["100", "0.1", "0", "0.00000017", "100"]
    assert (size(Decimal("10.5"), 162), size(Decimal("10.5"), 163)) == ("10", "10.5")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\n\r\t"), max_size=30))
def test_text_survives_the_escaping_that_clients_undo(text: str) -> None:
    sent = escaped(text)
    assert sent.isascii()
    assert sent.encode().decode("unicode-escape").encode("utf-16-le", "surrogatepass").decode("utf-16-le") == text


@pytest.mark.parametrize("text", ["20260413 15:27:04", "20260413-15:27:04", "20260413 15:27:04 UTC", "20260413  15:27:04"])
def test_filter_times_are_read_as_utc(text: str) -> None:
    assert parse_timestamp(text) == AT


def test_filter_times_of_other_zones_are_refused_and_none_is_none() -> None:
    assert parse_timestamp("") is None
    with pytest.raises(ValueProblem):
        parse_timestamp("20260413 15:27:04 Mars/Olympus")
