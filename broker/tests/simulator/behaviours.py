"""What any exchange behind the gateway must do, as checks that take the exchange's class: run on the real one and on broken ones."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

from broker.simulator.exchange import Exchange
from broker.tests.simulator.trading import CLIENT, NOON, bracket, fills, held, limit, order_lines, quiet, quote, stop, ticket

Check = Callable[[type[Exchange]], None]


def executions_add_up_to_the_order(kind: type[Exchange]) -> None:
    exchange = quiet(kind)
    events = exchange.submit(ticket(1, quantity=100), NOON)
    assert sum(fill.shares for fill in fills(events)) == 100
    assert sum(fill.shares for fill, _ in exchange.fills(NOON)) == held(exchange) == 100


def a_limit_is_never_filled_at_a_worse_price(kind: type[Exchange]) -> None:
    exchange = quiet(kind)
    exchange.submit(limit(1, "BUY", 100, "99.50"), NOON)
    exchange.submit(limit(2, "SELL", 100, "100.00"), NOON)
    quote(exchange, "99.40", "99.50")
    bought, sold = (next(fill for fill, _ in exchange.fills(NOON) if fill.order_id == order_id) for order_id in (1, 2))
    assert bought.price <= Decimal("99.50")
    assert sold.price >= Decimal("100.00")


def a_cancel_is_confirmed_by_status_and_code(kind: type[Exchange]) -> None:
    exchange = quiet(kind)
    exchange.submit(limit(1, "BUY", 100, "99.00"), NOON)
    assert order_lines(exchange.cancel(CLIENT, 1, NOON)) == ["1 Cancelled 0/100", "1 refused 202"]


def a_cancelled_order_never_fills(kind: type[Exchange]) -> None:
    exchange = quiet(kind)
    exchange.submit(limit(1, "BUY", 100, "99.00"), NOON)
    exchange.cancel(CLIENT, 1, NOON)
    assert fills(quote(exchange, "98.00", "98.02")) == []


def a_change_is_echoed_and_in_force(kind: type[Exchange]) -> None:
    exchange = quiet(kind)
    exchange.submit(limit(1, "BUY", 100, "99.00"), NOON)
    assert order_lines(exchange.submit(limit(1, "BUY", 60, "98.00"), NOON)) == ["1 Submitted 0/60"]
    assert fills(quote(exchange, "98.48", "98.50")) == []
    assert [fill.shares for fill in fills(quote(exchange, "97.98", "98.00"))] == [60]


def a_filled_group_member_cancels_the_rest(kind: type[Exchange]) -> None:
    exchange = quiet(kind)
    exchange.submit(stop(1, "SELL", 100, "98.00", oca_group="g", oca_type=1), NOON)
    exchange.submit(limit(2, "SELL", 100, "104.00", oca_group="g", oca_type=1), NOON)
    quote(exchange, "104.00", "104.02")
    quote(exchange, "97.00", "97.02")
    assert held(exchange) == -100
    assert exchange.open_orders() == []


def a_partly_filled_group_member_reduces_the_rest(kind: type[Exchange]) -> None:
    exchange = quiet(kind)
    exchange.submit(stop(1, "SELL", 100, "98.00", oca_group="g", oca_type=2), NOON)
    exchange.submit(limit(2, "SELL", 100, "104.00", oca_group="g", oca_type=2), NOON)
    quote(exchange, "104.00", "104.02", size=40)
    quote(exchange, "97.00", "97.02")
    assert held(exchange) == -100


def children_wait_for_their_parent(kind: type[Exchange]) -> None:
    exchange = quiet(kind)
    bracket(exchange)
    assert fills(quote(exchange, "108.00", "108.02")) == []


def children_protect_the_position_of_a_filled_parent(kind: type[Exchange]) -> None:
    exchange = quiet(kind)
    bracket(exchange)
    quote(exchange, "98.98", "99.00")
    quote(exchange, "96.00", "96.02")
    assert held(exchange) == 0


def a_trailing_stop_stays_when_the_market_turns(kind: type[Exchange]) -> None:
    exchange = quiet(kind)
    exchange.submit(ticket(1, "SELL", 100, "TRAIL", None, "2.00"), NOON)
    for price in ("104.00", "103.00", "102.50", "102.00"):
        quote(exchange, price, price)
    assert held(exchange) == -100


def an_immediate_order_does_not_rest(kind: type[Exchange]) -> None:
    exchange = quiet(kind)
    exchange.submit(limit(1, "BUY", 100, "99.00", tif="IOC"), NOON)
    assert fills(quote(exchange, "98.00", "98.02")) == []


def a_whole_order_never_partly_fills(kind: type[Exchange]) -> None:
    exchange = quiet(kind)
    quote(exchange, "100.00", "100.02", size=60)
    assert fills(exchange.submit(limit(1, "BUY", 100, "100.02", wire={"allOrNone": "1"}), NOON)) == []
    assert fills(exchange.submit(limit(2, "BUY", 100, "100.02", tif="FOK"), NOON)) == []


def an_order_on_close_trades_at_the_close(kind: type[Exchange]) -> None:
    exchange = quiet(kind)
    assert fills(exchange.submit(ticket(1, order_type="MOC"), NOON)) == []
    exchange.tick(NOON + timedelta(hours=5))
    assert held(exchange) == 100


def an_order_good_after_a_moment_waits_for_it(kind: type[Exchange]) -> None:
    exchange = quiet(kind)
    assert fills(exchange.submit(ticket(1, wire={"goodAfterTime": "20261118-18:00:00"}), NOON)) == []
    exchange.tick(NOON + timedelta(hours=1))
    assert held(exchange) == 100


BEHAVIOURS: tuple[Check, ...] = (
    executions_add_up_to_the_order,
    a_limit_is_never_filled_at_a_worse_price,
    a_cancel_is_confirmed_by_status_and_code,
    a_cancelled_order_never_fills,
    a_change_is_echoed_and_in_force,
    a_filled_group_member_cancels_the_rest,
    a_partly_filled_group_member_reduces_the_rest,
    children_wait_for_their_parent,
    children_protect_the_position_of_a_filled_parent,
    a_trailing_stop_stays_when_the_market_turns,
    an_immediate_order_does_not_rest,
    a_whole_order_never_partly_fills,
    an_order_on_close_trades_at_the_close,
    an_order_good_after_a_moment_waits_for_it,
)

# The check that must fail on each broken exchange; others may fail as well.
CAUGHT_BY: dict[str, Check] = {
    "OcaSiblingsSurvive": a_filled_group_member_cancels_the_rest,
    "ModifyIgnored": a_change_is_echoed_and_in_force,
    "CancelNotConfirmed": a_cancel_is_confirmed_by_status_and_code,
    "CancelOnlyConfirmed": a_cancelled_order_never_fills,
    "FillsTwice": executions_add_up_to_the_order,
    "ChildrenNotHeld": children_wait_for_their_parent,
    "ChildrenStayHeld": children_protect_the_position_of_a_filled_parent,
    "FillsBeyondTheLimit": a_limit_is_never_filled_at_a_worse_price,
    "ReducesNothing": a_partly_filled_group_member_reduces_the_rest,
    "TrailsBothWays": a_trailing_stop_stays_when_the_market_turns,
    "ImmediateOrdersRest": an_immediate_order_does_not_rest,
    "PartlyFillsTheWhole": a_whole_order_never_partly_fills,
    "ForgetsTheClose": an_order_on_close_trades_at_the_close,
    "NotGoodAfter": an_order_good_after_a_moment_waits_for_it,
}
