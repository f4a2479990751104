"""Brackets and one-cancels-all groups: who waits, who goes, who is reduced, and that no group with block is ever overfilled."""

from __future__ import annotations

import pytest

from broker.simulator.exchange import Exchange
from broker.tests.simulator.trading import (
    ACCOUNT,
    CLIENT,
    NOON,
    OTHER_ACCOUNT,
    SECOND,
    bracket,
    errors,
    fills,
    held,
    limit,
    order_lines,
    quiet,
    quote,
    remaining,
    status,
    stop,
    ticket,
)


def oca_pair(exchange: Exchange, oca_type: int, quantity: int = 100, account: str = ACCOUNT) -> None:
    """A stop at 98 and a target at 104 for a long position, as one group."""
    exchange.submit(stop(1, "SELL", quantity, "98.00", oca_group="g", oca_type=oca_type, account=account), NOON)
    exchange.submit(limit(2, "SELL", quantity, "104.00", oca_group="g", oca_type=oca_type, account=account), NOON)


# --- brackets -----------------------------------------------------------------------------------------------------------------------


def test_bracket_is_silent_until_its_last_leg_then_goes_out_parent_first() -> None:
    exchange = quiet()
    assert order_lines(bracket(exchange)) == [
        "1 PreSubmitted 0/100",
        "2 PreSubmitted 0/100 child",
        "3 PreSubmitted 0/100 child",
        "1 Submitted 0/100",
    ]
    parent, target, _ = exchange.open_orders()
    assert (parent.parent_perm_id, target.parent_perm_id) == (0, parent.perm_id)


def test_children_wait_for_the_parent_even_when_the_market_is_at_their_price() -> None:
    exchange = quiet()
    bracket(exchange)
    assert fills(quote(exchange, "108.00", "108.02")) == []
    assert status(exchange, 2) == status(exchange, 3) == "PreSubmitted"


def test_children_go_live_when_the_parent_has_filled_completely() -> None:
    exchange = quiet()
    bracket(exchange)
    assert order_lines(quote(exchange, "98.98", "99.00", size=60)) == ["1 fill 60 @ 99.00", "1 Submitted 60/40"]
    assert order_lines(exchange.tick(NOON + SECOND)) == [
        "1 fill 40 @ 99.00",
        "1 Filled 100/0",
        "3 PreSubmitted 0/100 trigger",
        "2 Submitted 0/100",
    ]


def test_bracket_with_a_market_entry_is_protected_in_one_go() -> None:
    exchange = quiet()
    exchange.submit(ticket(1, transmit=False), NOON)
    exchange.submit(limit(2, "SELL", 100, "108.00", parent_id=1, transmit=False), NOON)
    assert order_lines(exchange.submit(stop(3, "SELL", 100, "97.00", parent_id=1), NOON)) == [
        "1 PreSubmitted 0/100",
        "2 PreSubmitted 0/100 child",
        "3 PreSubmitted 0/100 child",
        "1 fill 100 @ 100.02",
        "1 Filled 100/0",
        "3 PreSubmitted 0/100 trigger",
        "2 Submitted 0/100",
    ]


@pytest.mark.parametrize(("bid", "ask", "filled", "gone"), [("108.00", "108.02", 2, 3), ("96.98", "97.00", 3, 2)])
def test_one_exit_fills_and_the_other_goes(bid: str, ask: str, filled: int, gone: int) -> None:
    exchange = quiet()
    bracket(exchange)
    quote(exchange, "98.98", "99.00")
    events = order_lines(quote(exchange, bid, ask))
    assert events[-3:] == [f"{filled} Filled 100/0", f"{gone} Cancelled 0/100", f"{gone} refused 202"]
    assert held(exchange) == 0


def test_partly_filled_target_reduces_the_stop() -> None:
    exchange = quiet()
    bracket(exchange)
    quote(exchange, "98.98", "99.00")
    assert order_lines(quote(exchange, "108.00", "108.02", size=30))[-1] == "3 PreSubmitted 0/70 trigger"
    assert [fill.shares for fill in fills(quote(exchange, "96.00", "96.02"))] == [70]
    assert held(exchange) == 0


def test_cancelled_parent_takes_its_children() -> None:
    exchange = quiet()
    bracket(exchange)
    assert errors(exchange.cancel(CLIENT, 1, NOON)) == [(1, 202), (2, 202), (3, 202)]
    assert exchange.open_orders() == []


def test_partly_filled_then_cancelled_parent_takes_its_children() -> None:
    exchange = quiet()
    bracket(exchange)
    quote(exchange, "98.98", "99.00", size=60)
    assert errors(exchange.cancel(CLIENT, 1, NOON)) == [(1, 202), (2, 202), (3, 202)]
    assert held(exchange) == 60


def test_cancelled_child_takes_its_sibling_and_leaves_the_parent() -> None:
    exchange = quiet()
    bracket(exchange)
    assert errors(exchange.cancel(CLIENT, 2, NOON)) == [(2, 202), (3, 202)]
    assert status(exchange, 1) == "Submitted"


def test_rejected_parent_takes_its_children() -> None:
    exchange = quiet()
    assert order_lines(bracket(exchange, quantity=100_000)) == [
        "1 refused 201",
        "1 Inactive 0/100000",
        "2 Cancelled 0/100000",
        "2 refused 202",
        "3 Cancelled 0/100000",
        "3 refused 202",
    ]
    assert exchange.open_orders() == []


def test_child_of_a_refused_or_ended_parent_has_no_parent() -> None:
    exchange = quiet()
    exchange.submit(limit(1, "BUY", 100, "99.005", transmit=False), NOON)
    assert errors(exchange.submit(stop(2, "SELL", 100, "97.00", parent_id=1), NOON)) == [(2, 10006)]
    exchange.submit(ticket(5), NOON)
    assert errors(exchange.submit(stop(6, "SELL", 100, "97.00", parent_id=5), NOON)) == [(6, 10006)]


def test_child_sent_after_its_working_parent_joins_it() -> None:
    exchange = quiet()
    exchange.submit(limit(1, "BUY", 100, "99.00"), NOON)
    assert order_lines(exchange.submit(stop(2, "SELL", 100, "97.00", parent_id=1), NOON)) == ["2 PreSubmitted 0/100 child"]


def test_expired_parent_takes_its_children() -> None:
    exchange = quiet()
    exchange.submit(limit(1, "BUY", 100, "99.00", transmit=False), NOON)
    exchange.submit(stop(2, "SELL", 100, "97.00", parent_id=1, tif="GTC"), NOON)
    assert errors(exchange.tick(NOON + 8 * 3600 * SECOND)) == [(1, 202), (2, 202)]


# --- one-cancels-all groups -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("oca_type", [0, 1, 2, 3])
def test_complete_fill_cancels_the_rest_whatever_the_type(oca_type: int) -> None:
    exchange = quiet()
    oca_pair(exchange, oca_type)
    assert order_lines(quote(exchange, "104.00", "104.02"))[-3:] == ["2 Filled 100/0", "1 Cancelled 0/100", "1 refused 202"]
    assert errors(exchange.submit(limit(3, "SELL", 1, "105.00", oca_group="g", oca_type=oca_type), NOON)) == [(3, 201)]


def test_type_1_cancels_the_rest_on_the_first_partial_fill() -> None:
    exchange = quiet()
    oca_pair(exchange, 1)
    assert order_lines(quote(exchange, "104.00", "104.02", size=10)) == [
        "2 fill 10 @ 104.00",
        "2 Submitted 10/90",
        "1 Cancelled 0/100",
        "1 refused 202",
    ]
    assert remaining(exchange, 2) == 90


@pytest.mark.parametrize("oca_type", [2, 3])
def test_types_2_and_3_reduce_the_rest_by_what_filled(oca_type: int) -> None:
    exchange = quiet()
    oca_pair(exchange, oca_type)
    assert order_lines(quote(exchange, "104.00", "104.02", size=10))[-1] == "1 PreSubmitted 0/90 trigger"
    assert order_lines(exchange.tick(NOON + SECOND))[-1] == "1 PreSubmitted 0/80 trigger"


def two_at_the_market(oca_type: int, size: int) -> Exchange:
    """Two members of 100 that the market reaches in the same moment with `size` displayed."""
    exchange = quiet()
    for order_id in (1, 2):
        exchange.submit(limit(order_id, "SELL", 100, "104.00", oca_group="g", oca_type=oca_type), NOON)
    quote(exchange, "104.00", "104.02", size=size)
    return exchange


@pytest.mark.parametrize("oca_type", [1, 2])
def test_group_with_block_is_never_overfilled(oca_type: int) -> None:
    exchange = two_at_the_market(oca_type, 1000)
    assert held(exchange) == -100
    exchange = two_at_the_market(oca_type, 150)
    exchange.tick(NOON + 5 * SECOND)
    assert held(exchange) == -100
    assert exchange.open_orders() == []


def test_group_without_block_can_be_overfilled() -> None:
    assert held(two_at_the_market(3, 1000)) == -200


def test_reductions_of_one_round_add_up() -> None:
    exchange = quiet()
    for order_id, price in ((1, "104.00"), (2, "104.00"), (3, "110.00")):
        exchange.submit(limit(order_id, "SELL", 100, price, oca_group="g", oca_type=3), NOON)
    quote(exchange, "104.00", "104.02", size=130)
    assert (status(exchange, 1), status(exchange, 2)) == ("Filled", "Cancelled")
    assert held(exchange) == -130
    assert status(exchange, 3) == "Cancelled"


def test_cancelled_member_takes_the_rest_and_ends_the_group() -> None:
    exchange = quiet()
    oca_pair(exchange, 1)
    assert errors(exchange.cancel(CLIENT, 2, NOON)) == [(2, 202), (1, 202)]
    assert errors(exchange.submit(limit(3, "SELL", 1, "105.00", oca_group="g", oca_type=1), NOON)) == [(3, 201)]


def test_expired_member_leaves_the_rest() -> None:
    exchange = quiet()
    exchange.submit(stop(1, "SELL", 100, "98.00", oca_group="g", oca_type=1, tif="GTC"), NOON)
    exchange.submit(limit(2, "SELL", 100, "104.00", oca_group="g", oca_type=1), NOON)
    assert errors(exchange.tick(NOON + 8 * 3600 * SECOND)) == [(2, 202)]
    assert status(exchange, 1) == "PreSubmitted"


def test_group_name_belongs_to_its_account() -> None:
    exchange = quiet()
    oca_pair(exchange, 1)
    exchange.submit(limit(3, "SELL", 100, "104.00", oca_group="g", oca_type=2, account=OTHER_ACCOUNT), NOON)
    exchange.cancel(CLIENT, 1, NOON)
    assert status(exchange, 3) == "Submitted"


def test_group_spans_clients_and_each_owner_is_told() -> None:
    exchange = quiet()
    exchange.submit(limit(1, "SELL", 100, "104.00", oca_group="g", oca_type=1), NOON)
    exchange.submit(stop(8, "SELL", 100, "98.00", oca_group="g", oca_type=1, client_id=3), NOON)
    events = quote(exchange, "104.00", "104.02")
    assert order_lines(events)[-2:] == ["8 Cancelled 0/100", "8 refused 202"]
    assert events[-1].client_id == 3  # type: ignore[union-attr]


def test_untransmitted_member_is_not_yet_in_the_group() -> None:
    exchange = quiet()
    exchange.submit(stop(1, "SELL", 100, "98.00", oca_group="g", oca_type=1, transmit=False), NOON)
    exchange.submit(limit(2, "SELL", 100, "104.00", oca_group="g", oca_type=1), NOON)
    exchange.cancel(CLIENT, 1, NOON)
    assert status(exchange, 2) == "Submitted"
