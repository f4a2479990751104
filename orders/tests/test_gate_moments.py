"""What the gate rests on from one moment to the next: executions that the position does not show yet, buying power that was told before an
order, trailing stops that have moved, contracts whose details came anew.
"""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from django.db.models import Q

from orders import checks
from orders.errors import Refused
from orders.exposure import read_open
from orders.models import Account, MarketRule, OrderRecord, TrailingStop
from orders.rules.terms import OrderTerms, OrderType, Side
from orders.rules.tickets import BracketTicket, ExitPair
from orders.tests.desk_of_one import Wire
from orders.tests.factories import NOW, a_key, make_limit, make_position, make_values

pytestmark = pytest.mark.django_db


# --- executions that the position does not show yet -----------------------------------------------------------------------------------


def bought(wire: Wire, quantity: str) -> None:
    """Bought through the book, and reported; nothing was held before."""
    Account.objects.filter(pk=wire.account.pk).update(positions_known_at=NOW)
    wire.account.refresh_from_db()
    [order] = wire.sent(wire.buy(quantity, "100.01"))
    wire.fill(order, quantity)
    make_position(wire.account, wire.contract, quantity, at=wire.now)
    wire.pass_time(10)


def test_what_was_sold_a_moment_ago_is_not_sold_again_as_a_reduction() -> None:
    wire = Wire()
    bought(wire, "100")
    make_limit("TRADING_STATE", "1", account=wire.account)
    [order] = wire.sent(wire.sell("100", "99.99"))
    wire.fill(order, "100")
    for report in (None, "late", "0"):
        if report == "late":
            wire.pass_time(10)
        elif report is not None:
            make_position(wire.account, wire.contract, report, at=wire.now)
        with pytest.raises(Refused) as refused:
            wire.sell("100", "99.99")
        assert refused.value.code == "TRADING_STATE"


def test_what_is_left_of_a_position_may_be_sold_whichever_message_comes_first() -> None:
    wire = Wire()
    bought(wire, "100")
    make_limit("TRADING_STATE", "1", account=wire.account)
    make_limit("SHORT_SALES", "0", account=wire.account)
    first, second = wire.sent(wire.sell("40", "99.99"), wire.sell("30", "99.98"))
    wire.fill(first, "40")
    wire.sell("30", "99.97")  # sixty are left, of which thirty are being sold
    make_position(wire.account, wire.contract, "30", at=wire.now)  # the report of the second sale, before its execution
    wire.fill(second, "30")
    with pytest.raises(Refused):
        wire.sell("1", "99.96")


def test_what_was_bought_a_moment_ago_counts_against_the_limit_of_the_position() -> None:
    wire = Wire()
    bought(wire, "100")
    make_limit("MAX_POSITION", "200", account=wire.account)
    [order] = wire.sent(wire.buy("100", "100.01"))
    wire.fill(order, "100")
    with pytest.raises(Refused) as refused:
        wire.buy("1")
    assert (refused.value.code, refused.value.actual) == ("MAX_POSITION", "201")


def test_a_close_takes_what_is_left_although_it_was_asked_for_in_the_middle_of_a_fill() -> None:
    wire = Wire()
    bought(wire, "100")
    [order] = wire.sent(wire.sell("40", "99.99"))
    wire.fill(order, "40")
    close = wire.manager.close_position(wire.account, wire.contract, key=a_key())
    assert wire.send() == []
    make_position(wire.account, wire.contract, "60", at=wire.now)
    [unit] = wire.send()
    assert [frame.terms.quantity for frame in unit.frames] == [D(60)] and unit.frames[0].client_order_id == close.client_order_id


# --- what the contract takes ------------------------------------------------------------------------------------------------------------


def test_ticks_sizes_and_types_are_looked_at_again_before_the_sending() -> None:
    wire = Wire()
    [working] = wire.sent(wire.buy())
    order = wire.buy("100", "99.55")
    change = wire.manager.modify_order(working, key=a_key(), limit_price=D("99.45"))
    MarketRule.objects.update(increments=[["0", "0.1"]])
    assert wire.send() == [] and change is not None
    order.refresh_from_db()
    change.refresh_from_db()
    assert (order.status_code, change.code) == ("OFF_TICK", "OFF_TICK")
    make_position(wire.account, wire.contract, "150")
    close = wire.manager.close_position(wire.account, wire.contract, key=a_key())
    wire.contract.size_increment = D(100)
    wire.contract.save()
    sent = [frame.client_order_id for unit in wire.send() for frame in unit.frames]
    assert sent == [close.client_order_id]  # what is held is closed, an odd lot too


# --- buying power -----------------------------------------------------------------------------------------------------------------------


def test_buying_power_that_was_told_before_an_order_was_sent_does_not_count_it() -> None:
    wire = Wire()
    make_values(wire.account, power="15000")
    wire.pass_time(10)
    wire.sent(wire.buy("100", "99.50"))
    assert {line.rule: line.actual for line in checks.usage([], wire.user, wire.now, account=wire.account)}["MAX_USER_ORDERS"] == 1
    with pytest.raises(Refused) as refused:
        wire.buy("100", "99.40")
    assert (refused.value.code, refused.value.limit) == ("BUYING_POWER", "1")
    wire.pass_time(10)
    make_values(wire.account, power="15000", at=wire.now)  # told anew: what it leaves aside is the broker's to know
    assert wire.buy("100", "99.40")


# --- trailing stops ---------------------------------------------------------------------------------------------------------------------


def a_trail(wire: Wire, quantity: str) -> OrderRecord:
    """A purchase whose stop began at 103 and has come down to 101 with the market."""
    terms = OrderTerms(Side.BUY, OrderType.TRAIL, D(quantity), stop_price=D(103), trail_amount=D(1))
    order = wire.manager.place_order(wire.account, wire.contract, terms, key=a_key())
    wire.sent(order)
    TrailingStop.objects.update_or_create(order=order, defaults={"price": D(101), "at": NOW})
    return order


def test_a_trailing_stop_is_weighed_where_it_stands_and_not_where_it_began() -> None:
    wire = Wire()
    order = a_trail(wire, "50")
    [seen] = read_open(Q(pk=order.pk))
    assert seen.stop_price == 101
    make_limit("MAX_NOTIONAL", "10100")
    command = wire.manager.modify_order(order, key=a_key(), quantity=D(100))  # at 103 it would be worth 10,300
    assert command is not None and wire.send()
    with pytest.raises(Refused) as refused:
        wire.manager.modify_order(a_trail(wire, "40"), key=a_key(), quantity=D(100), stop_price=D(102))
    assert (refused.value.code, refused.value.actual) == ("MAX_NOTIONAL", "10200")


def test_what_an_entry_may_lose_is_counted_to_where_its_trailing_stop_stands() -> None:
    wire = Wire()
    make_values(wire.account, net="10000")
    ticket = BracketTicket(
        OrderTerms(Side.BUY, OrderType.LIMIT, D(50), limit_price=D("99.50")), (ExitPair(D(50), stop_price=D("95.50"), trail_amount=D(4)),)
    )
    entry, stop = wire.manager.place_bracket_ticket(wire.account, wire.contract, ticket, key=a_key())
    wire.sent(entry, stop)
    TrailingStop.objects.update_or_create(order=stop, defaults={"price": D("97.50"), "at": NOW})
    make_limit("RISK_PER_TRADE", "0.02")
    legs = {order.client_order_id: {"quantity": D(100)} for order in (entry, stop)}
    assert wire.manager.modify_bracket(entry, legs=legs, key=a_key())  # two a unit: counted to 95.50 it would be four
