"""Whatever is sent in whatever order, the simulated exchange conserves: quantities, positions, cash, groups, and its own future."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.simulator.contingency import OcaType, group_of
from broker.simulator.exchange import Exchange
from broker.simulator.model import CommissionCharged, Event, Executed, OrderChanged, OrderRequest, PositionChanged
from broker.simulator.order_types import IMMEDIATE, fills_whole_or_not
from broker.tests.simulator.trading import AAPL, CLIENT, MSFT, NOON, SECOND, fills, ticket

CASH = Decimal(1_000_000)
TERMINAL = {"Filled", "Cancelled", "Inactive"}
Act = Callable[[Exchange], list[Event]]
prices = st.integers(9_000, 11_000).map(lambda cents: Decimal(cents) / 100)
sizes = st.integers(1, 300)


PRICED = {"LMT", "STP LMT", "LIT", "LOC"}
TRIGGERED = {"STP", "STP LMT", "MIT", "LIT"}
types = st.sampled_from(["MKT", "LMT", "LMT", "STP", "STP LMT", "TRAIL", "TRAIL LIMIT", "MIT", "LIT", "MOC", "LOC"])
good_after = st.integers(-30, 600).map(lambda seconds: f"{NOON + seconds * SECOND:%Y%m%d-%H:%M:%S}")


@st.composite
def tickets(draw: st.DrawFn) -> OrderRequest:
    """A ticket of any type, with a time in force and attributes that go with it more often than not."""
    order_type, wire = draw(types), {}
    limit = str(draw(prices)) if order_type in PRICED else None
    stop = str(draw(prices)) if order_type in TRIGGERED else None
    if order_type.startswith("TRAIL"):
        stop = str(Decimal(draw(st.integers(1, 300))) / 100)
        wire["trailStopPrice"] = str(draw(prices))
    if order_type == "TRAIL LIMIT":
        wire["lmtPriceOffset"] = "0.25"
    if draw(st.sampled_from([False, False, True])):
        wire["goodAfterTime"] = draw(good_after)
    if draw(st.sampled_from([False, False, True])):
        wire["allOrNone"] = "1"
    tif = draw(st.sampled_from(["DAY", "GTC", "IOC", "FOK", "OPG"] if order_type in ("MKT", "LMT") else ["DAY", "GTC"]))
    group, oca_type = draw(st.sampled_from([("", 0), ("", 0), ("a", 1), ("b", 2), ("c", 3)]))
    action, con_id = draw(st.sampled_from(["BUY", "SELL"])), draw(st.sampled_from([AAPL, AAPL, MSFT]))
    terms = ticket(1, action, draw(sizes), order_type, limit, stop, con_id=con_id, tif=tif, oca_group=group, oca_type=oca_type, wire=wire)
    return replace(terms, transmit=draw(st.sampled_from([True, True, True, False])))


@st.composite
def submissions(draw: st.DrawFn) -> Act:
    """A new order under the next id, perhaps as a child of the one before it."""
    request = draw(tickets())
    is_child = draw(st.sampled_from([False, False, True]))

    def submit(exchange: Exchange) -> list[Event]:
        order_id = exchange.next_order_id_floor(CLIENT)
        parent_id = order_id - 1 if is_child else 0
        return exchange.submit(replace(request, order_id=order_id, parent_id=parent_id), exchange.market.stepped_at)

    return submit


@st.composite
def changes(draw: st.DrawFn) -> Act:
    """New size and prices for one of the open orders; the other terms as they are."""
    place, quantity, price, trigger = draw(st.integers(0, 9)), Decimal(draw(sizes)), draw(prices), draw(prices)

    def change(exchange: Exchange) -> list[Event]:
        open_orders = list(exchange.book.open.values())
        if not open_orders:
            return []
        held = open_orders[place % len(open_orders)].request
        changed = replace(
            held,
            quantity=quantity,
            limit_price=None if held.limit_price is None else price,
            aux_price=None if held.aux_price is None else trigger,
            transmit=True,
        )
        return exchange.submit(changed, exchange.market.stepped_at)

    return change


def _quote(con_id: int, bid: Decimal, width: int, size: int) -> Act:
    return lambda one: one.set_quote(con_id, bid, bid + Decimal(width) / 100, one.market.stepped_at, Decimal(size), Decimal(size))


def _tick(seconds: int) -> Act:
    return lambda one: one.tick(one.market.stepped_at + seconds * SECOND)


def _cancel_all_sometimes(chance: int) -> Act:
    return lambda one: [] if chance else one.cancel_all(one.market.stepped_at)


acts: st.SearchStrategy[Act] = st.one_of(
    submissions(),
    submissions(),
    changes(),
    st.builds(_quote, st.sampled_from([AAPL, MSFT]), prices, st.integers(0, 20), st.integers(0, 200)),
    st.builds(_tick, st.sampled_from([1, 1, 2, 2, 30_000])),
    st.integers(1, 12).map(lambda order_id: lambda one: one.cancel(CLIENT, order_id, one.market.stepped_at)),
    st.integers(0, 9).map(_cancel_all_sometimes),
)


def fresh(delay: int) -> Exchange:
    exchange = Exchange(seed=11, now=NOON, cash=CASH)
    exchange.cancel_delay_steps = delay
    for con_id in (AAPL, MSFT):
        exchange.set_quote(con_id, Decimal("100.00"), Decimal("100.02"), NOON, Decimal(150), Decimal(150))
    return exchange


def check_orders(events: list[Event]) -> None:
    """Per order: what filled never passes the quantity, is what the statuses say, never shrinks, and stops at the end."""
    filled: dict[int, Decimal] = defaultdict(Decimal)
    ended: set[int] = set()
    for event in events:
        if isinstance(event, Executed):
            assert event.fill.perm_id not in ended, "a fill after the end"
            filled[event.fill.perm_id] += event.fill.shares
            assert filled[event.fill.perm_id] == event.fill.cum_quantity
        if isinstance(event, OrderChanged):
            order = event.order
            assert order.perm_id not in ended, "a status after the end"
            assert filled[order.perm_id] == order.filled == order.request.quantity - order.remaining
            assert order.remaining >= 0
            assert (order.status == "Filled") == (order.remaining == 0)
            if order.status in TERMINAL:
                ended.add(order.perm_id)


def check_prices(events: list[Event], limits: dict[tuple[int, str], Decimal]) -> None:
    for fill in fills(events):
        bound = limits.get((fill.perm_id, fill.side))
        if bound is not None:
            assert fill.price <= bound if fill.side == "BOT" else fill.price >= bound


def check_money(exchange: Exchange, events: list[Event]) -> None:
    """Positions are the sum of the fills, cash is what they cost, and the results add up to what the account gained."""
    executed = fills(events)
    charged = sum((event.commission for event in events if isinstance(event, CommissionCharged)), Decimal(0))
    for con_id in (AAPL, MSFT):
        net = sum((one.shares if one.side == "BOT" else -one.shares for one in executed if one.con_id == con_id), Decimal(0))
        assert exchange.ledger.quantity("DU1000417", con_id) == net
        told = [event.quantity for event in events if isinstance(event, PositionChanged) and event.con_id == con_id]
        assert (told or [Decimal(0)])[-1] == net
    spent = sum((one.shares * one.price * (1 if one.side == "BOT" else -1) for one in executed), Decimal(0))
    assert exchange.ledger.by_name["DU1000417"].cash["USD"] == CASH - spent - charged
    assert exchange.ledger.equity("DU1000902") == CASH


def check_groups(exchange: Exchange) -> None:
    """After a fill nobody else of a type 1 group is open; the open rest of a bracket or type 2 group never exceeds what is left."""
    named = defaultdict(list)
    for order in exchange.book.orders.values():
        group = group_of(order)
        if group is not None and order.transmitted:
            named[group].append(order)
    for group, members in named.items():
        working = [one for one in members if one.is_open]
        if group.type is OcaType.CANCEL_WITH_BLOCK and any(one.filled for one in members):
            assert len(working) <= 1
        if not group.family and any(one.status == "Filled" for one in members):
            assert working == []


def check_whole(exchange: Exchange, events: list[Event]) -> None:
    """No immediate order rests while it is live; a fill of an order that fills whole or not at all is its end."""
    for order in exchange.book.open.values():
        assert not (order.is_live and order.request.tif in IMMEDIATE)
    for fill in fills(events):
        order = exchange.book.by_perm_id(fill.perm_id)
        assert order.status == "Filled" or not fills_whole_or_not(order.request)


@settings(max_examples=100, deadline=None)
@given(script=st.lists(acts, max_size=40), delay=st.sampled_from([0, 0, 3]))
def test_whatever_happens_quantities_money_and_groups_agree(script: list[Act], delay: int) -> None:
    exchange = fresh(delay)
    events: list[Event] = []
    for act in script:
        new = act(exchange)
        limits = {
            (one.perm_id, "BOT" if one.request.action == "BUY" else "SLD"): one.limit
            for one in exchange.book.orders.values()
            if one.limit is not None
        }
        check_prices(new, limits)
        check_groups(exchange)
        check_whole(exchange, new)
        events += new
    check_orders(events)
    check_money(exchange, events)
    assert len({one.exec_id for one in fills(events)}) == len(fills(events))


@settings(max_examples=40, deadline=None)
@given(before=st.lists(acts, max_size=20), after=st.lists(acts, max_size=20), delay=st.sampled_from([0, 3]))
def test_restored_at_any_moment_it_goes_on_the_same(before: list[Act], after: list[Act], delay: int) -> None:
    saved = fresh(delay)
    for act in before:
        act(saved)
    restored = Exchange.restore(json.loads(json.dumps(saved.snapshot())))
    for act in after:
        assert act(restored) == act(saved)
    tomorrow = saved.market.stepped_at + timedelta(days=1)
    assert restored.tick(tomorrow) == saved.tick(tomorrow)
    assert restored.snapshot() == saved.snapshot()


exits = st.one_of(
    st.integers(10_003, 11_000).map(lambda cents: ("limit", f"{cents / 100:.2f}")),
    st.integers(9_000, 9_999).map(lambda cents: ("stop", f"{cents / 100:.2f}")),
)


@settings(max_examples=150, deadline=None)
@given(
    oca_type=st.sampled_from([1, 2]),
    quantity=sizes,
    members=st.lists(exits, min_size=2, max_size=4),
    quotes=st.lists(st.tuples(prices, sizes), min_size=1, max_size=12),
)
def test_equal_members_of_a_group_with_block_together_fill_no_more_than_one(
    oca_type: int, quantity: int, members: list[tuple[str, str]], quotes: list[tuple[Decimal, int]]
) -> None:
    exchange = fresh(0)
    for order_id, (kind, price) in enumerate(members, 1):
        order_type = "LMT" if kind == "limit" else "STP"
        exchange.submit(ticket(order_id, "SELL", quantity, order_type, **{kind: price}, oca_group="g", oca_type=oca_type), NOON)
    for bid, size in quotes:
        now = exchange.market.stepped_at
        exchange.set_quote(AAPL, bid, bid + Decimal("0.02"), now, Decimal(size), Decimal(size))
        exchange.tick(now + 2 * SECOND)
        assert -quantity <= exchange.ledger.quantity("DU1000417", AAPL) <= 0
