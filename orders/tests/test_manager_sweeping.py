"""The kill switch and flattening: everything in scope is halted, cancelled, closed, in parts; a crash between two of them loses nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal as D
from typing import Any

import pytest
from django.contrib.auth.models import Permission

from orders import crashpoints, replay
from orders.errors import Refused
from orders.manager import OrderManager
from orders.models import BrokerCommand, Event, Limit, OrderRecord, Sweep
from orders.rules.commands import CancelOrder, PlaceOrder
from orders.rules.lifecycle import OrderStatus
from orders.rules.terms import AccessLevel, CommandKind, OrderTerms, OrderType, Role, Side
from orders.rules.tickets import BracketTicket, ExitPair
from orders.tests.desk_of_one import CLIENT, Wire
from orders.tests.factories import (
    a_key,
    grant,
    make_account,
    make_contract,
    make_limit,
    make_position,
    make_quote,
    make_trader,
    make_user,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def wire() -> Iterator[Wire]:
    desk = Wire()
    for rule in ("MAX_OPEN_ORDERS", "MAX_USER_ORDERS", "ORDER_RATE", "ORDER_RATIO"):
        make_limit(rule, "1000")
    yield desk
    assert replay.differences() == []
    assert replay.verify_chain() is None


def permit(user: Any, *names: str) -> Any:
    user.user_permissions.add(*Permission.objects.filter(codename__in=names))
    return type(user).objects.get(pk=user.pk)


def officer(wire: Wire, *names: str) -> OrderManager:
    return OrderManager(permit(make_user(), *(names or ("halt_desk", "release_trading"))), clock=lambda: wire.now)


def kill(manager: OrderManager, **options: Any) -> Sweep:
    return manager.kill(**{"key": a_key(), "scope": "account", "reason": "Fat finger", **options})


def frames(wire: Wire, kind: type) -> list[Any]:
    found: list[Any] = []
    while units := wire.send():
        found += [frame for unit in units for frame in unit.frames]
    return [frame for frame in found if isinstance(frame, kind)]


def refusal(act: Callable[[], Any]) -> str:
    with pytest.raises(Refused) as refused:
        act()
    return refused.value.code


def as_the_events_have_it(elsewhere: OrderRecord) -> None:
    OrderRecord.objects.filter(pk=elsewhere.pk).update(is_external=False)
    elsewhere.broker_ids.update(client_id=CLIENT)


def hold(wire: Wire, symbol: str, quantity: str) -> Any:
    """A position in a contract of its own, with a quote."""
    contract = make_contract(symbol)
    make_quote(contract, at=wire.now)
    make_position(wire.account, contract, quantity, "100", at=wire.now)
    return contract


# --- the kill switch ----------------------------------------------------------------------------------------------------------------------


def test_it_halts_withdraws_what_was_not_sent_and_cancels_what_works_entries_first(wire: Wire) -> None:
    make_position(wire.account, wire.contract, "100", "100")
    stop, target = wire.sent(*wire.protect())
    entry, take, lose = wire.sent(*wire.bracket("30"))
    unsent = wire.buy("7")
    sweep = kill(wire.manager, account=wire.account)
    unsent.refresh_from_db()
    assert (unsent.status, unsent.status_code) == (OrderStatus.CANCELLED, "WITHDRAWN")
    names = [frame.client_order_id for frame in frames(wire, CancelOrder)]
    assert names == [order.client_order_id for order in (entry, stop, target, lose, take)]
    assert Limit.objects.get(rule="TRADING_STATE", account=wire.account).value == 2
    assert set(sweep.data["cancelled"]) == {order.pk for order in (entry, stop, target, take, lose, unsent)}
    assert (sweep.data["open"], sweep.data["left"], sweep.data["placed"]) == (False, [], [])
    assert refusal(lambda: wire.buy()) == "TRADING_STATE"
    halted = Event.objects.get(kind="trading.halted")
    assert (halted.actor_id, halted.account_id) == (wire.user.pk, wire.account.pk)
    assert "Fat finger" in halted.text and wire.user.username in halted.text


def test_what_waits_in_the_outbox_goes_out_as_nothing(wire: Wire) -> None:
    for n in range(3):
        wire.buy(str(n + 1))
    kill(wire.manager, account=wire.account)
    assert wire.send() == []
    assert not OrderRecord.objects.exclude(status=OrderStatus.CANCELLED).exists()


def test_more_orders_than_one_part_takes_are_all_cancelled(wire: Wire) -> None:
    orders = [wire.buy(str(n + 1)) for n in range(120)]
    assert len(frames(wire, PlaceOrder)) == 120
    wire.acknowledge(*orders)
    sweep = kill(wire.manager, account=wire.account)
    assert len(frames(wire, CancelOrder)) == 120
    assert Event.objects.filter(kind="sweep.part").count() == 3
    assert len(sweep.data["cancelled"]) == 120


def test_it_liquidates_although_trading_is_halted(wire: Wire) -> None:
    make_position(wire.account, wire.contract, "100", "100")
    short = hold(wire, "MSFT", "-30")
    stop, target = wire.sent(*wire.protect())
    sweep = kill(wire.manager, account=wire.account, flatten=True)
    closes = {order.contract_id: order for order in OrderRecord.objects.filter(pk__in=sweep.data["placed"])}
    assert {order.role for order in closes.values()} == {Role.LIQUIDATION}
    sent = wire.send()
    assert {type(frame) for unit in sent for frame in unit.frames} == {CancelOrder, PlaceOrder}, "the short has no exits to wait for"
    wire.gone(stop, target)
    [frame] = frames(wire, PlaceOrder)
    assert (frame.client_order_id, frame.terms.quantity) == (closes[wire.contract.pk].client_order_id, D(100))
    assert closes[short.pk].side == Side.BUY
    assert BrokerCommand.objects.get(order=closes[short.pk]).state == "SENT"


def test_exits_of_an_entry_that_is_gone_without_a_fill_leave_the_whole_position_to_be_liquidated(wire: Wire) -> None:
    """The broker says of an entry and its exits one by one that they are cancelled: in between nothing of the position is kept for them."""
    make_position(wire.account, wire.contract, "100", "100")
    stop, target = wire.sent(*wire.protect())
    entry, *_ = wire.sent(*wire.bracket("30"))
    kill(wire.manager, account=wire.account, flatten=True)
    assert frames(wire, PlaceOrder) == []
    wire.gone(entry)
    wire.gone(stop, target)
    [frame] = frames(wire, PlaceOrder)
    assert frame.terms.quantity == D(100)


def test_a_position_is_liquidated_however_many_orders_are_being_cancelled(wire: Wire) -> None:
    make_position(wire.account, wire.contract, "100", "100")
    pairs = tuple(ExitPair(D(10), target_price=D(103) + n, stop_price=D(97) - n) for n in range(7))
    entry = OrderTerms(Side.BUY, OrderType.LIMIT, D(70), limit_price=D("99.50"))
    wire.sent(*wire.manager.place_bracket_ticket(wire.account, wire.contract, BracketTicket(entry, pairs), key=a_key()))
    wire.sent(wire.sell("1", "120"))
    make_limit("MAX_OPEN_ORDERS", "14")
    assert kill(wire.manager, account=wire.account, flatten=True).data["left"] == []
    assert frames(wire, PlaceOrder) == []  # it waits for the sale to be gone, and for nothing else
    wire.gone(OrderRecord.objects.get(quantity=1))
    [sold] = frames(wire, PlaceOrder)
    assert sold.terms.quantity == D(100)


def test_what_is_held_is_closed_although_the_contract_was_never_looked_up(wire: Wire) -> None:
    """A market order needs no tick; a new one waits for the details all the same."""
    unseen = make_contract("TSLA", detailed_at=None, min_tick=None, market_rule_ids=[], order_types=[])
    make_position(wire.account, unseen, "5", "100")
    assert kill(wire.manager, account=wire.account, flatten=True).data["left"] == []
    [frame] = frames(wire, PlaceOrder)
    assert (frame.contract.con_id, frame.terms.quantity) == (unseen.con_id, D(5))


def test_a_close_under_way_is_cancelled_and_then_the_rest_is_liquidated(wire: Wire) -> None:
    make_position(wire.account, wire.contract, "100", "100")
    under_way = wire.manager.close_position(wire.account, wire.contract, key=a_key())
    wire.sent(under_way)
    sweep = kill(wire.manager, account=wire.account, flatten=True)
    assert under_way.pk in sweep.data["cancelled"]
    wire.send()
    wire.fill(under_way, 60)
    wire.gone(under_way)
    wire.pass_time(1)
    make_position(wire.account, wire.contract, "40", "100", at=wire.now)
    [frame] = frames(wire, PlaceOrder)
    assert frame.terms.quantity == D(40)


def test_a_second_kill_leaves_the_liquidation_of_the_first_and_says_so(wire: Wire) -> None:
    make_position(wire.account, wire.contract, "100", "100")
    first = kill(wire.manager, account=wire.account, flatten=True)
    wire.send()
    second = kill(wire.manager, account=wire.account, flatten=True)
    assert [left["code"] for left in second.data["left"]] == ["LIQUIDATION", "CLOSE_OPEN"]
    assert second.data["placed"] == []
    assert OrderRecord.objects.get(pk=first.data["placed"][0]).is_open


def test_orders_that_only_another_client_can_cancel_are_named(wire: Wire) -> None:
    [elsewhere] = wire.sent(wire.sell("40"))
    OrderRecord.objects.filter(pk=elsewhere.pk).update(is_external=True)
    [ours] = wire.sent(wire.buy("5"))
    elsewhere.broker_ids.update(client_id=99)
    sweep = kill(wire.manager, account=wire.account)
    as_the_events_have_it(elsewhere)
    assert [(left["order"], left["code"]) for left in sweep.data["left"]] == [(elsewhere.pk, "EXTERNAL")]
    assert sweep.data["cancelled"] == [ours.pk]


def test_the_scope_of_a_user_takes_his_orders_only(wire: Wire) -> None:
    other = make_trader(wire.account)
    theirs = OrderManager(other, clock=lambda: wire.now).place_limit_order(
        wire.account, wire.contract, Side.BUY, D(3), D("99"), key=a_key()
    )
    mine = wire.buy("4")
    wire.sent(theirs, mine)
    sweep = kill(wire.manager, scope="user")
    assert (sweep.data["cancelled"], sweep.user) == ([mine.pk], wire.user)
    assert refusal(lambda: wire.buy()) == "TRADING_STATE"
    OrderManager(other, clock=lambda: wire.now).place_limit_order(wire.account, wire.contract, Side.BUY, D(9), D("99"), key=a_key())


def test_the_desk_is_halted_by_who_may_and_in_accounts_he_does_not_trade(wire: Wire) -> None:
    assert refusal(lambda: kill(wire.manager, scope="desk")) == "NO_PERMISSION"
    [order] = wire.sent(wire.buy())
    boss = officer(wire)
    make_position(wire.account, wire.contract, "100", "100")
    sweep = kill(boss, scope="desk", flatten=True)
    assert sweep.data["cancelled"] == [order.pk]
    assert sweep.data["placed"] == [], "he may halt everybody, and trades only what he was given"
    assert refusal(lambda: wire.buy()) == "TRADING_STATE"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"reason": " "}, "REASON"),
        ({"reason": "x" * 301}, "REASON"),
        ({"scope": "world"}, "SCOPE"),
        ({"scope": "account", "account": None}, "SCOPE"),
        ({"scope": "desk"}, "SCOPE"),
    ],
)
def test_what_is_refused_halts_nothing(wire: Wire, options: dict[str, Any], code: str) -> None:
    wire.buy()
    assert refusal(lambda: kill(wire.manager, **{"account": wire.account, **options})) == code
    assert not Limit.objects.filter(rule="TRADING_STATE").exists()
    assert not Sweep.objects.exists()


def test_who_may_only_look_halts_nothing(wire: Wire) -> None:
    grant(wire.user, wire.account, AccessLevel.VIEW)
    assert refusal(lambda: kill(wire.manager, account=wire.account)) == "NO_PERMISSION"
    assert refusal(lambda: kill(wire.manager, scope="user")) == "NO_PERMISSION"


def test_an_account_that_is_switched_off_can_be_killed(wire: Wire) -> None:
    [order] = wire.sent(wire.buy())
    type(wire.account).objects.filter(pk=wire.account.pk).update(is_active=False)
    assert kill(wire.manager, account=wire.account).data["cancelled"] == [order.pk]
    type(wire.account).objects.filter(pk=wire.account.pk).update(is_active=True)


# --- crashes ------------------------------------------------------------------------------------------------------------------------------


class PowerCut(BaseException):
    """This process is gone."""


def cut(_name: str) -> None:
    raise PowerCut


@pytest.mark.parametrize("place", ["submit.before_write", *(f"sweep.before_part:{time}" for time in range(1, 4))])
def test_a_crash_between_any_two_parts_is_finished_by_the_same_key(wire: Wire, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = [wire.buy(str(n + 1)) for n in range(110)]
    frames(wire, PlaceOrder)
    wire.acknowledge(*orders)
    positions = [hold(wire, f"S{n}", "10") for n in range(3)]
    asked = {"account": wire.account, "flatten": True, "key": "the-switch", "scope": "account", "reason": "Out"}
    monkeypatch.setattr(crashpoints, "action", cut)
    crashpoints.arm(place)
    try:
        with pytest.raises(PowerCut):
            wire.manager.kill(**asked)
    finally:
        crashpoints.arm("")
    halted = Limit.objects.filter(rule="TRADING_STATE", value=2).exists()
    assert halted == (place != "submit.before_write"), "the halt is in the first transaction"
    sweep = wire.manager.kill(**asked)
    assert Sweep.objects.count() == 1
    assert len(frames(wire, CancelOrder)) == 110
    assert BrokerCommand.objects.filter(kind=CommandKind.CANCEL).count() == 110
    assert len(sweep.data["placed"]) == len(positions) == OrderRecord.objects.filter(role=Role.LIQUIDATION).count()
    assert wire.manager.kill(**asked) == sweep


def test_what_nobody_comes_back_for_the_worker_finishes(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = [wire.buy(str(n + 1)) for n in range(60)]
    frames(wire, PlaceOrder)
    wire.acknowledge(*orders)
    monkeypatch.setattr(crashpoints, "action", cut)
    crashpoints.arm("sweep.before_part")
    try:
        with pytest.raises(PowerCut):
            kill(wire.manager, account=wire.account)
    finally:
        crashpoints.arm("")
    wire.housekeeping()
    assert not BrokerCommand.objects.filter(kind=CommandKind.CANCEL).exists(), "who asked for it may still be at it"
    wire.pass_time(6)
    wire.housekeeping()
    wire.housekeeping()
    assert len(frames(wire, CancelOrder)) == 60
    assert not Sweep.objects.get().data["open"]


# --- flatten ------------------------------------------------------------------------------------------------------------------------------


def flatten(wire: Wire, **options: Any) -> Sweep:
    return wire.manager.flatten(**{"key": a_key(), **options})


def test_every_position_that_the_user_may_trade_is_closed(wire: Wire) -> None:
    long, short = hold(wire, "AAPL", "100"), hold(wire, "MSFT", "-30")
    foreign = make_account()
    make_position(foreign, long, "55", "100")
    sweep = flatten(wire)
    sent = {frame.contract.con_id: frame.terms for frame in frames(wire, PlaceOrder)}
    assert {con_id: (terms.side, terms.quantity) for con_id, terms in sent.items()} == {
        long.con_id: (Side.SELL, D(100)),
        short.con_id: (Side.BUY, D(30)),
    }
    assert (sweep.kind, sweep.scope, sweep.user, sweep.data["left"]) == ("flatten", "user", wire.user, [])


@pytest.mark.parametrize(
    ("options", "symbols"),
    [
        ({"side": "LONG"}, ["AAPL", "ES"]),
        ({"side": "short"}, ["MSFT"]),
        ({"sec_type": "FUT"}, ["ES"]),
        ({"sec_type": "STK", "side": "LONG"}, ["AAPL"]),
        ({}, ["AAPL", "MSFT", "ES"]),
    ],
)
def test_filters_leave_the_others(wire: Wire, options: dict[str, Any], symbols: list[str]) -> None:
    hold(wire, "AAPL", "100"), hold(wire, "MSFT", "-30")
    future = make_contract("ES", sec_type="FUT", multiplier=D(50))
    make_position(wire.account, future, "2", "5000")
    sweep = flatten(wire, **options)
    closed = OrderRecord.objects.filter(pk__in=sweep.data["placed"]).select_related("contract")
    assert {order.contract.symbol for order in closed} == set(symbols)


def test_a_percentage_is_of_each_position(wire: Wire) -> None:
    hold(wire, "AAPL", "100"), hold(wire, "MSFT", "-31")
    flatten(wire, percent=D(50))
    assert sorted(frame.terms.quantity for frame in frames(wire, PlaceOrder)) == [D(15), D(50)]


def test_what_cannot_be_closed_is_named_and_the_rest_goes_on(wire: Wire) -> None:
    make_position(wire.account, wire.contract, "100", "100")
    [elsewhere] = wire.sent(wire.sell("100"))
    OrderRecord.objects.filter(pk=elsewhere.pk).update(is_external=True)
    elsewhere.broker_ids.update(client_id=99)
    hold(wire, "MSFT", "10")
    bag = make_contract("BAG", sec_type="BAG")
    make_position(wire.account, bag, "1", "1")
    sweep = flatten(wire)
    as_the_events_have_it(elsewhere)
    assert {(left["contract"], left["code"]) for left in sweep.data["left"]} == {
        (wire.contract.pk, "EXTERNAL_EXITS"),
        (bag.pk, "NOT_TRADEABLE"),
    }
    assert len(sweep.data["placed"]) == 1


def test_a_right_that_is_lost_between_two_parts_is_named(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(wire, "AAPL", "100")
    monkeypatch.setattr(crashpoints, "action", cut)
    crashpoints.arm("sweep.before_part")
    try:
        with pytest.raises(PowerCut):
            wire.manager.flatten(key="once")
    finally:
        crashpoints.arm("")
    grant(wire.user, wire.account, AccessLevel.VIEW)
    sweep = wire.manager.flatten(key="once")
    assert [left["code"] for left in sweep.data["left"]] == ["NO_PERMISSION"]


def test_a_halted_account_is_not_flattened_by_the_ordinary_verb(wire: Wire) -> None:
    hold(wire, "AAPL", "100")
    make_limit("TRADING_STATE", "2")
    assert [left["code"] for left in flatten(wire).data["left"]] == ["TRADING_STATE"]


def test_reduce_only_lets_it_through(wire: Wire) -> None:
    hold(wire, "AAPL", "100")
    make_limit("TRADING_STATE", "1")
    assert len(flatten(wire).data["placed"]) == 1


@pytest.mark.parametrize(
    ("options", "code"), [({"percent": D(0)}, "PERCENT"), ({"side": "UP"}, "SIDE"), ({"sec_type": "OPT"}, "NO_POSITION")]
)
def test_what_is_asked_wrongly_closes_nothing(wire: Wire, options: dict[str, Any], code: str) -> None:
    hold(wire, "AAPL", "100")
    assert refusal(lambda: flatten(wire, **options)) == code
    assert not OrderRecord.objects.exists()


def test_an_account_of_somebody_else_is_refused(wire: Wire) -> None:
    other = make_account()
    make_position(other, wire.contract, "10", "100")
    assert refusal(lambda: flatten(wire, account=other)) == "NO_PERMISSION"


# --- states and release -------------------------------------------------------------------------------------------------------------------


def test_a_state_is_set_with_a_reason_and_taken_back_by_who_may(wire: Wire) -> None:
    whose = {"scope": "account", "account": wire.account}
    wire.manager.set_trading_state(key=a_key(), state=1, reason="Earnings tonight", **whose)
    assert refusal(lambda: wire.buy()) == "TRADING_STATE"
    assert refusal(lambda: wire.manager.set_trading_state(key=a_key(), state=1, reason="again", **whose)) == "NOTHING_CHANGES"
    assert refusal(lambda: wire.manager.set_trading_state(key=a_key(), state=0, reason="done", **whose)) == "NO_PERMISSION"
    assert refusal(lambda: wire.manager.release(key=a_key(), reason="done", **whose)) == "NO_PERMISSION"
    assert refusal(lambda: wire.manager.set_trading_state(key=a_key(), state=2, reason="", **whose)) == "REASON"
    boss = officer(wire)
    assert refusal(lambda: boss.release(key=a_key(), reason=" ", **whose)) == "REASON"
    boss.release(key=a_key(), reason="Numbers are out", **whose)
    wire.buy()
    assert refusal(lambda: boss.release(key=a_key(), reason="twice", **whose)) == "NOT_HELD_BACK"
    released = Event.objects.get(kind="trading.released")
    assert (released.actor_id, released.data["reason"]) == (boss.actor.pk, "Numbers are out")


def test_a_release_stands_on_the_kill_switch_that_it_ends(wire: Wire) -> None:
    sweep = kill(wire.manager, account=wire.account)
    other = kill(wire.manager, scope="user")
    boss = officer(wire)
    boss.release(key=a_key(), scope="account", account=wire.account, reason="Looked at it")
    sweep.refresh_from_db()
    assert (sweep.released_by, sweep.release_reason, sweep.released_at) == (boss.actor, "Looked at it", wire.now)
    other.refresh_from_db()
    assert other.released_at is None
    assert refusal(lambda: wire.buy()) == "TRADING_STATE", "his own trading is still halted"
    boss.release(key=a_key(), scope="user", user=wire.user, reason="Him too")
    wire.buy()


def test_what_the_book_set_by_itself_is_released_in_the_same_way(wire: Wire) -> None:
    make_limit("TRADING_STATE", "2", account=wire.account)
    officer(wire).release(key=a_key(), scope="account", account=wire.account, reason="All orders are there")
    wire.buy()


def test_the_right_to_release_alone_does_not_reach_accounts_one_may_not_see(wire: Wire) -> None:
    make_limit("TRADING_STATE", "2", account=wire.account)
    stranger = officer(wire, "release_trading")
    assert refusal(lambda: stranger.release(key=a_key(), scope="account", account=wire.account, reason="x")) == "NO_PERMISSION"
