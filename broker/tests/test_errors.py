"""What codes mean: a code list never ends an order that the broker has acknowledged."""

from __future__ import annotations

import pytest

from broker import errors
from broker.errors import Link, Standing
from orders.rules.reports import Meaning

EVERY_CODE = range(1, 20_001)


@pytest.mark.parametrize(
    ("code", "new", "changing", "known"),
    [
        (201, Meaning.REJECTED, Meaning.NOT_CHANGED, Meaning.REJECTED),
        (110, Meaning.REJECTED, Meaning.NOT_CHANGED, Meaning.UNCLEAR),
        (321, Meaning.REJECTED, Meaning.NOT_CHANGED, Meaning.UNCLEAR),
        (103, Meaning.REJECTED, Meaning.NOT_CHANGED, Meaning.UNCLEAR),
        (104, Meaning.UNCLEAR, Meaning.NOT_CHANGED, Meaning.NOT_CHANGED),
        (2102, Meaning.UNCLEAR, Meaning.NOT_CHANGED, Meaning.NOT_CHANGED),
        (202, Meaning.CANCELLED, Meaning.CANCELLED, Meaning.CANCELLED),
        (404, Meaning.HELD, Meaning.HELD, Meaning.HELD),
        (161, Meaning.NOT_CANCELLABLE, Meaning.NOT_CANCELLABLE, Meaning.NOT_CANCELLABLE),
        (10148, Meaning.NOT_CANCELLABLE, Meaning.NOT_CANCELLABLE, Meaning.NOT_CANCELLABLE),
        (10147, Meaning.NOT_FOUND, Meaning.NOT_FOUND, Meaning.NOT_FOUND),
        (135, Meaning.NOT_FOUND, Meaning.NOT_FOUND, Meaning.NOT_FOUND),
        (10349, Meaning.WARNING, Meaning.WARNING, Meaning.WARNING),
        (399, Meaning.WARNING, Meaning.WARNING, Meaning.WARNING),
        (2109, Meaning.WARNING, Meaning.WARNING, Meaning.WARNING),
        (10328, Meaning.UNCLEAR, Meaning.UNCLEAR, Meaning.UNCLEAR),
        (12345, Meaning.UNCLEAR, Meaning.UNCLEAR, Meaning.UNCLEAR),
    ],
)
def test_a_code_means_what_the_orders_standing_lets_it_mean(code: int, new: Meaning, changing: Meaning, known: Meaning) -> None:
    assert [errors.meaning(code, standing) for standing in Standing] == [new, changing, known]


def test_while_a_change_is_under_way_only_the_word_cancelled_can_end_the_order() -> None:
    ending = {code for code in EVERY_CODE if errors.meaning(code, Standing.CHANGING) in (Meaning.REJECTED, Meaning.CANCELLED)}
    assert ending == {202}


def test_an_acknowledged_order_is_ended_by_three_codes_alone() -> None:
    ending = {code for code in EVERY_CODE if errors.meaning(code, Standing.KNOWN) in (Meaning.REJECTED, Meaning.CANCELLED)}
    assert ending == {201, 202, 203}


def test_codes_about_market_data_are_never_about_the_order() -> None:
    for code in errors.LIVE_DATA_REFUSED | {errors.DELAYED_DATA_FOLLOWS}:
        assert {errors.meaning(code, standing) for standing in Standing} == {Meaning.WARNING}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (1100, Link.LOST),
        (2110, Link.LOST),
        (1101, Link.RESTORED_WITHOUT_DATA),
        (1102, Link.RESTORED),
        (326, Link.CLIENT_ID_TAKEN),
        (1300, Link.RESET),
        (2104, Link.FARM_OK),
        (2103, Link.FARM_BROKEN),
        (2108, Link.OTHER),
    ],
)
def test_what_a_code_means_for_the_connection(code: int, expected: Link) -> None:
    assert errors.link(code) is expected
