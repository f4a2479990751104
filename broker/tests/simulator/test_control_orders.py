"""Commands that change what is true of orders and executions: clients hear it, lists and positions have it, the ledger agrees with both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
from ib_async import IB, ExecutionFilter, LimitOrder, MarketOrder, StopOrder, Trade

from broker.tests.simulator.clients import AAPL, FIRST, SECOND, connected, errors_of, place, until
from broker.tests.simulator.rehearsing import Rehearsal, rehearsal


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Rehearsal]:
    async with rehearsal(tmp_path) as running:
        await running.do("quote AAPL 100 100.02")
        yield running


async def a_fill(ib: IB, quantity: int = 100) -> Trade:
    trade = await place(ib, MarketOrder("BUY", quantity, account=FIRST, orderRef="mine"))
    await until(ib, lambda: trade.orderStatus.status == "Filled")
    return trade


async def held(ib: IB) -> dict[str, tuple[float, float]]:
    """By account: the position in the one contract, and its average cost."""
    return {one.account: (one.position, one.avgCost) for one in await ib.reqPositionsAsync() if one.position}


async def cash(here: Rehearsal) -> Decimal:
    return here.gateway.exchange.ledger.total_cash(FIRST)


# --- executions -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "shares", "price"),
    [("price=99", 100, 99), ("price=101.5", 100, 101.5), ("qty=60", 60, 100.02), ("qty=130 price=98", 130, 98)],
)
async def test_a_correction_is_a_new_revision_of_the_same_execution(here: Rehearsal, changes: str, shares: float, price: float) -> None:
    async with connected(here.port) as ib:
        before = await cash(here)
        trade = await a_fill(ib)
        [original] = trade.fills
        told: list[tuple[str, float, float]] = []
        ib.execDetailsEvent += lambda _, fill: told.append((fill.execution.execId, fill.execution.shares, fill.execution.price))
        revision = await here.do(f"correct last {changes}")
        assert revision == original.execution.execId.removesuffix("01") + "02"
        await until(ib, lambda: told == [(revision, shares, price)])
        assert [(one.execution.execId, one.execution.shares) for one in await ib.reqExecutionsAsync()] == [(revision, shares)]
        assert await held(ib) == {FIRST: (shares, pytest.approx(price + 1 / shares))}  # as if it had been so from the start
        assert before - await cash(here) == Decimal(str(shares)) * Decimal(str(price)) + 1
        [line] = here.lines("correction")
        assert (line["exec_id"], line["replaces"], line["shares"]) == (revision, original.execution.execId, str(shares))
        assert await here.do(f"correct {revision} price=97") == revision.removesuffix("02") + "03"
        here.agrees()
    assert here.injected() == ["correct"]


async def test_a_correction_of_one_of_several_fills_leaves_the_others_as_they_were(here: Rehearsal) -> None:
    """Cost and realised profit are those of the day as it should have been, not of a trade back and forth."""
    async with connected(here.port) as ib:
        first = await a_fill(ib)
        await here.do("quote AAPL 110 110.02")
        sold = await place(ib, MarketOrder("SELL", 100, account=FIRST))
        await until(ib, lambda: bool(sold.fills) and sold.fills[0].commissionReport.realizedPNL != 0)
        assert sold.fills[0].commissionReport.realizedPNL == pytest.approx(1000 - 2 - 2)
        await here.do(f"correct {first.fills[0].execution.execId} price=90.02")
        assert await held(ib) == {}
        assert here.gateway.exchange.pnl(FIRST)[2] == Decimal(2000 - 2 - 2)
        await here.do("bust last")
        assert await held(ib) == {FIRST: (100, pytest.approx(90.03))}
        assert here.gateway.exchange.pnl(FIRST)[2] == 0
        here.agrees()


@pytest.mark.parametrize("reinstate", [False, True])
async def test_a_bust_takes_an_execution_back_and_may_put_the_order_to_work_again(here: Rehearsal, reinstate: bool) -> None:
    async with connected(here.port) as ib:
        trade = await place(ib, LimitOrder("BUY", 100, 100.02, account=FIRST))
        await until(ib, lambda: trade.orderStatus.status == "Filled")
        await here.do("quote AAPL 105 105.02")
        revision = await here.do(f"bust last{' reinstate' if reinstate else ''}")
        await until(ib, lambda: [fill.execution.shares for fill in ib.fills()] == [100, 0])
        assert [(one.execution.execId, one.execution.shares) for one in await ib.reqExecutionsAsync()][-1] == (revision, 0)
        assert await held(ib) == {}
        here.agrees()
        assert [one.order.permId for one in await ib.reqAllOpenOrdersAsync()] == ([trade.order.permId] if reinstate else [])
        if reinstate:
            await here.do("quote AAPL 99 99.5")
            assert await held(ib) == {FIRST: (100, pytest.approx(100.03))}
            here.agrees()
    assert here.injected() == ["bust"]


async def test_a_correction_outlives_a_restart(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    async with rehearsal(tmp_path, store=store) as here, connected(here.port) as ib:
        await here.do("quote AAPL 100 100.02")
        trade = await a_fill(ib)
        await here.do("correct last qty=40 price=99")
        await here.do("commission last 3.5")
        await here.do("place tws DU1000417 AAPL BUY 5 limit=50")
        await here.do("second-life last")
        kept = here.gateway.exchange.snapshot()
        journal = here.gateway.core.recorded
        assert journal._on_disk > 0  # a killed gateway replays these; they are not in a snapshot yet
        here.gateway.core.recorded.compact = lambda: None  # type: ignore[method-assign] - dies without its last snapshot
    async with rehearsal(tmp_path, store=store) as here:
        assert here.gateway.exchange.snapshot() == kept
        assert [fill.shares for fill, _ in here.gateway.exchange.fills(here.gateway.core.now())] == [40]
        here.agrees()
    assert trade.orderStatus.status == "Filled"


async def test_a_commission_is_revised_under_the_same_execution(here: Rehearsal) -> None:
    async with connected(here.port) as ib:
        trade = await a_fill(ib)
        before = await cash(here)
        told: list[float] = []
        ib.commissionReportEvent += lambda _, fill, report: told.append(report.commission)
        assert await here.do("commission last -0.25") == trade.fills[0].execution.execId
        await until(ib, lambda: told == [-0.25])
        await ib.reqExecutionsAsync()
        assert told == [-0.25, -0.25]  # the list of executions has it, too
        assert await cash(here) - before == Decimal("1.25")
        await here.do("mute commissionReport")  # and one that never comes
        late = await a_fill(ib, 10)
        assert late.fills[0].commissionReport.commission == 0
    assert here.injected() == ["commission", "mute"]


@pytest.mark.parametrize(("shares", "status"), [(40, "Cancelled"), (100, "Filled")])
async def test_a_cancelled_order_can_still_fill(here: Rehearsal, shares: int, status: str) -> None:
    async with connected(here.port) as ib:
        trade = await place(ib, LimitOrder("BUY", 100, 50, account=FIRST))
        ib.cancelOrder(trade.order)
        await until(ib, lambda: trade.orderStatus.status == "Cancelled")
        exec_id = await here.do(f"fill {trade.order.permId} {shares} 49.5")
        await until(ib, lambda: [fill.execution.execId for fill in trade.fills] == [exec_id])
        assert (await ib.reqExecutionsAsync())[0].execution.price == 49.5
        [ended] = await ib.reqCompletedOrdersAsync(False)
        assert (ended.orderStatus.status, await held(ib)) == (status, {FIRST: (shares, pytest.approx(49.5 + 1 / shares))})
        here.agrees()


async def test_an_order_can_fill_beyond_its_quantity(here: Rehearsal) -> None:
    async with connected(here.port) as ib:
        trade = await place(ib, LimitOrder("BUY", 100, 50, account=FIRST))
        await here.do("fill last 60")
        await here.do("fill last 60")
        await until(ib, lambda: trade.orderStatus.filled == 120)
        assert (trade.orderStatus.status, trade.orderStatus.remaining) == ("Filled", 0)
        assert "nothing is left" in await here.fails("fill last")
        here.agrees()


async def test_both_legs_of_a_group_fill_and_neither_hears_of_the_other_in_time(here: Rehearsal) -> None:
    async with connected(here.port) as ib:
        await a_fill(ib)
        legs = []
        for order in (StopOrder("SELL", 100, 95), LimitOrder("SELL", 100, 105)):
            order.account, order.ocaGroup, order.ocaType = FIRST, "pair", 1
            legs.append(await place(ib, order))
        assert await here.do("fill-group last") == "2"
        await until(ib, lambda: [leg.orderStatus.status for leg in legs] == ["Filled", "Filled"])
        assert [leg.fills[0].execution.price for leg in legs] == [95, 105]
        assert (await held(ib))[FIRST][0] == -100
        here.agrees()
    assert here.injected() == ["fill-group"]


# --- orders -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("who", "shown", "bound"), [("tws", (0, 0), (0, -1)), ("mobile", (0, 0), (0, 0)), ("9", (9, 1), (9, 1))])
async def test_orders_of_other_hands_are_listed_as_theirs(here: Rehearsal, who: str, shown: tuple, bound: tuple) -> None:
    perm_id = int(await here.do(f"place {who} {SECOND} AAPL SELL 30 limit=120 by-hand"))
    for client_id, ids in ((17, shown), (0, bound)):
        async with connected(here.port, client_id) as ib:
            await ib.reqAllOpenOrdersAsync()
            [trade] = [one for one in ib.openTrades() if one.order.permId == perm_id]
            order = trade.order
            assert (order.clientId, order.orderId, order.account, order.orderRef) == (*ids, SECOND, "by-hand")
            assert (order.action, order.totalQuantity, order.lmtPrice) == ("SELL", 30, 120)
    async with connected(here.port) as ib:
        await here.do("quote AAPL 121 121.02")
        [fill] = await ib.reqExecutionsAsync()
        assert (fill.execution.permId, fill.execution.clientId, fill.execution.orderId) == (perm_id, shown[0], 1 if who == "9" else 0)
        here.agrees()
    assert here.injected() == ["place"]


async def test_client_0_hears_of_an_order_entered_by_hand_and_can_cancel_it(here: Rehearsal) -> None:
    async with connected(here.port, 0) as ib:
        await here.do(f"place tws {FIRST} AAPL BUY 10 limit=90")
        await until(ib, lambda: bool(ib.openTrades()))
        [trade] = ib.openTrades()
        assert trade.order.orderId == -1
        ib.cancelOrder(trade.order)
        await until(ib, lambda: trade.orderStatus.status == "Cancelled")
        assert here.gateway.exchange.open_orders() == []


async def test_the_master_client_hears_of_everybody(tmp_path: Path) -> None:
    async with (
        rehearsal(tmp_path, master_client=5) as here,
        connected(here.port, 5) as master,
        connected(here.port, 7) as other,
        connected(here.port, 8) as third,
    ):
        await here.do("quote AAPL 100 100.02")
        trade = await place(other, MarketOrder("BUY", 10, account=FIRST, orderRef="of seven"))
        await here.do(f"place tws {FIRST} AAPL BUY 1 limit=90")
        await until(master, lambda: len(master.trades()) == 2 and len(master.fills()) == 1)
        assert {(one.order.clientId, one.order.orderRef) for one in master.trades()} == {(7, "of seven"), (0, "")}
        assert master.fills()[0].execution.permId == trade.order.permId
        await third.reqCurrentTimeAsync()
        assert third.trades() == [] and len(other.trades()) == 1


async def test_a_clients_order_is_changed_and_cancelled_by_other_hands(here: Rehearsal) -> None:
    async with connected(here.port) as ib:
        heard = errors_of(ib)
        trade = await place(ib, LimitOrder("BUY", 100, 90, account=FIRST, orderRef="mine"))
        await here.do("change mine qty=60 limit=91.5")
        await until(ib, lambda: (trade.order.totalQuantity, trade.order.lmtPrice) == (60, 91.5))
        assert "(110)" in await here.fails("change mine limit=91.505")
        await here.do("cancel mine")
        await until(ib, lambda: trade.orderStatus.status == "Cancelled" and (trade.order.orderId, 202) in heard)
        assert "has ended" in await here.fails("change mine qty=5")
        here.agrees()
    assert here.injected() == ["change", "cancel"]


async def test_an_accepted_order_is_thrown_out_and_its_children_with_it(here: Rehearsal) -> None:
    async with connected(here.port) as ib:
        heard = errors_of(ib)
        bracket = ib.bracketOrder("BUY", 10, 90, 120, 80, account=FIRST)
        trades = [ib.placeOrder(AAPL, order) for order in bracket]
        await until(ib, lambda: trades[2].orderStatus.status == "PreSubmitted")
        await here.do(f"reject {trades[0].order.permId} 201 'Order rejected - reason:too late'")
        await until(ib, lambda: [one.orderStatus.status for one in trades] == ["Inactive", "Cancelled", "Cancelled"])
        assert (trades[0].order.orderId, 201) in heard
        here.agrees()
    assert here.injected() == ["reject"]


async def test_a_second_life_works_beside_the_first(here: Rehearsal) -> None:
    async with connected(here.port) as ib:
        trade = await place(ib, LimitOrder("BUY", 100, 90, account=FIRST, orderRef="mine"))
        first, order_id = trade.order.permId, trade.order.orderId
        other = int(await here.do("second-life mine"))
        orders = await here.listed("orders")
        assert [(one["perm_id"], one["request"]["order_id"], one["request"]["order_ref"]) for one in orders] == [
            (perm_id, order_id, "mine") for perm_id in (first, other)
        ]
        await here.do("quote AAPL 89 89.5")
        fills = await ib.reqExecutionsAsync(ExecutionFilter())
        assert sorted(fill.execution.permId for fill in fills) == [first, other]
        assert (await held(ib))[FIRST][0] == 200
        here.agrees()


WRONG = ["correct", "correct last", "correct last size=4", "correct nothing qty=1", "correct last qty=-1", "correct last qty=x", "bust",
     "bust 7",
     "commission last", "commission last NaN", "fill", "fill nobody", "fill last 0", "fill last -4", "fill-group nobody", "place",
     "place tws",
     f"place me {FIRST} AAPL BUY 1", f"place -3 {FIRST} AAPL BUY 1", "place tws NOBODY AAPL BUY 1", f"place tws {FIRST} NOSUCH BUY 1",
     f"place tws {FIRST} AAPL HOLD 1", f"place tws {FIRST} AAPL BUY 0", f"place tws {FIRST} AAPL BUY 1 limit=90.001", "change last qty=0",
     "change last limit=-1", "change nobody qty=1", "cancel nobody", "reject last", "reject nobody 201", "second-life nobody"]  # fmt: skip


async def test_wrong_commands_are_errors_in_words_and_change_nothing(here: Rehearsal) -> None:
    async with connected(here.port) as ib:
        await place(ib, LimitOrder("BUY", 100, 90, account=FIRST))
        before = here.gateway.exchange.snapshot()
        for line in WRONG:
            assert await here.fails(line), line
        assert here.gateway.exchange.snapshot() == before
        assert here.injected() == []
