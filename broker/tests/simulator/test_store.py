"""What survives a crash: everything a client was told about orders, executions, positions and ids; and nothing else is claimed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from ib_async import LimitOrder, MarketOrder

from broker.simulator.exchange import Exchange
from broker.simulator.model import OrderRequest
from broker.simulator.recorded import COMPACT_AFTER, RecordedExchange, order_from_json, order_to_json
from broker.simulator.store import Store, StoreProblem
from broker.tests.simulator.clients import FIRST, SECOND, connected, errors_of, place
from broker.tests.simulator.running import GatewayProcess, running_gateway

AT = datetime(2026, 4, 13, 15, 0, tzinfo=UTC)


def order(order_id: int, *, kind: str = "LMT", limit: str | None = "100.00", quantity: str = "10") -> OrderRequest:
    price = Decimal(limit) if limit is not None else None
    return OrderRequest(1, order_id, 265598, FIRST, "BUY", Decimal(quantity), kind, price, None, "GTC", wire={"exchange": "SMART"})


def opened(path: Path | None) -> tuple[Store, RecordedExchange]:
    store = Store(path)
    return store, RecordedExchange(store, lambda now: Exchange(seed=5, now=now), Exchange.restore, AT)


def place_order(recorded: RecordedExchange, request: OrderRequest) -> None:
    recorded.apply("submit", AT, request=order_to_json(request))


async def test_orders_executions_positions_and_ids_survive_kill_9(tmp_path: Path) -> None:
    with GatewayProcess(store=tmp_path / "gateway.db", tick_seconds=0.05) as gateway:
        async with connected(gateway.port) as ib:
            bought = await place(ib, MarketOrder("BUY", 100, account=FIRST, orderRef="bought"))
            resting = await place(ib, LimitOrder("SELL", 100, 900, account=FIRST, tif="GTC", orderRef="resting"))
            cancelled = await place(ib, LimitOrder("SELL", 100, 901, account=SECOND, tif="GTC"))
            unsent = LimitOrder("SELL", 100, 902, account=FIRST, transmit=False)
            ib.placeOrder(bought.contract, unsent)
            ib.cancelOrder(cancelled.order)
            await ib.reqCurrentTimeAsync()
            assert cancelled.orderStatus.status == "Cancelled"
            before = {name: gateway.listed(name) for name in ("orders", "executions", "positions")}
            gateway.kill()
        gateway.restart()
        assert {name: gateway.listed(name) for name in before} == before
        async with connected(gateway.port) as ib:
            [known] = ib.openTrades()
            assert (known.order.orderRef, known.order.permId, known.order.orderId) == (
                "resting",
                resting.order.permId,
                resting.order.orderId,
            )
            [fill] = ib.fills()
            assert fill.execution.execId == bought.fills[0].execution.execId and fill.commissionReport.commission > 0
            assert [(one.account, one.position) for one in ib.positions()] == [(FIRST, 100)]
            assert ib.client.getReqId() > unsent.orderId
            heard = errors_of(ib)
            again = await place(ib, LimitOrder("SELL", 100, 903, account=FIRST, orderId=bought.order.orderId))
            assert heard == [(again.order.orderId, 104)]


async def test_a_killed_gateway_never_forgets_what_it_acknowledged(tmp_path: Path) -> None:
    """Kill at five points in a stream of orders: each order that was acknowledged is there afterwards, under the same permanent id."""
    acknowledged: dict[str, int] = {}
    with GatewayProcess(store=tmp_path / "gateway.db") as gateway:
        for round_number in range(5):
            async with connected(gateway.port) as ib:
                for number in range(3 + round_number):
                    ref = f"{round_number}-{number}"
                    trade = await place(ib, LimitOrder("BUY", 1, 1 + number, account=FIRST, tif="GTC", orderRef=ref))
                    acknowledged[ref] = trade.order.permId
                ib.placeOrder(trade.contract, LimitOrder("BUY", 1, 50, account=FIRST, tif="GTC", orderRef=f"{round_number}-in-flight"))
                gateway.kill()
            gateway.restart()
            orders = {one["request"]["order_ref"]: one["perm_id"] for one in gateway.listed("orders")}
            assert acknowledged.items() <= orders.items()
            assert len(set(orders.values())) == len(orders)


async def test_a_clean_end_keeps_everything_and_leaves_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    with GatewayProcess(store=path) as gateway:
        async with connected(gateway.port) as ib:
            await place(ib, LimitOrder("BUY", 1, 50, account=FIRST, tif="GTC"))
        before = gateway.listed("orders")
        assert gateway.terminate() == 0
        with closing(sqlite3.connect(path)) as database, database:
            assert database.execute("SELECT count(*) FROM journal").fetchone() == (0,)
        gateway.restart()
        assert gateway.listed("orders") == before
    assert path.stat().st_mode & 0o077 == 0


def test_replaying_the_journal_gives_the_same_exchange(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    store, recorded = opened(path)
    for number in range(1, 60):
        moment = AT + timedelta(seconds=number)
        place_order(recorded, order(number, kind="MKT" if number % 3 else "LMT", limit=None if number % 3 else "200.00"))
        recorded.apply("tick", moment)
        if number % 7 == 0:
            recorded.apply("cancel", moment, client_id=1, order_id=number)
        if number == 20:
            recorded.apply("set_quote", moment, instrument=265598, bid="199.00", ask="199.02", bid_size=None, ask_size="300")
        if number == 40:
            recorded.apply("release_quote", moment, instrument=265598)
            recorded.apply("set_position", moment, account=FIRST, con_id=265598, quantity="7", average_cost="3.5")
    recorded.commit()
    state = recorded.exchange.snapshot()
    assert recorded.exchange.fills(AT)
    store.close()  # no compaction: the journal is all that tells what happened
    again_store, again = opened(path)
    assert again.exchange.snapshot() == state
    again_store.close()


def test_ticks_alone_are_not_written_but_go_with_the_next_order(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    store, recorded = opened(path)
    for number in range(5):
        recorded.apply("tick", AT + timedelta(seconds=number))
        recorded.commit()
    assert store.load()[1] == []
    place_order(recorded, order(1))
    recorded.commit()
    assert [entry["do"] for entry in store.load()[1]] == ["tick"] * 5 + ["submit"]
    store.close()


def test_a_tick_that_fills_an_order_is_written(tmp_path: Path) -> None:
    store, recorded = opened(tmp_path / "gateway.db")
    recorded.apply("set_quote", AT, instrument=265598, bid="200.00", ask="200.02", bid_size=None, ask_size="4")
    place_order(recorded, order(1, kind="MKT", limit=None))
    recorded.commit()
    written = len(store.load()[1])
    recorded.apply("tick", AT + timedelta(seconds=1))
    recorded.commit()
    assert len(recorded.exchange.fills(AT)) == 2 and len(store.load()[1]) == written + 1
    store.close()


def test_a_journal_that_replays_otherwise_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    store, recorded = opened(path)
    place_order(recorded, order(1))
    recorded.commit()
    store.close()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE journal SET entry = replace(entry, '100.00', '100.01')")
    with pytest.raises(StoreProblem, match="does not replay"):
        opened(path)


def test_a_store_of_another_make_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    store = Store(path)
    store.set_meta({"schema": "0"})
    store.close()
    with pytest.raises(StoreProblem, match="another version"):
        Store(path)


def test_an_exchange_that_failed_half_way_is_saved_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    store, recorded = opened(path)
    place_order(recorded, order(1))
    recorded.commit()
    with pytest.raises(ValueError, match="not a quote"):
        recorded.apply("set_quote", AT, instrument=265598, bid="3", ask="2", bid_size=None, ask_size=None)
    recorded.commit()
    assert store.load()[1] == []
    state = recorded.exchange.snapshot()
    store.close()
    again_store, again = opened(path)
    assert again.exchange.snapshot() == state
    again_store.close()


def test_a_long_journal_is_compacted_when_idle(tmp_path: Path) -> None:
    store, recorded = opened(tmp_path / "gateway.db")
    place_order(recorded, order(1))
    for number in range(COMPACT_AFTER):
        recorded.apply("tick", AT + timedelta(milliseconds=number))
    recorded.commit()
    recorded.compact_if_due(idle=False)
    assert len(store.load()[1]) == COMPACT_AFTER + 1
    recorded.compact_if_due(idle=True)
    assert store.load()[1] == []
    store.close()


def test_orders_pass_through_json_unchanged() -> None:
    for one in (order(1), order(2, kind="MKT", limit=None, quantity="0.50")):
        assert order_from_json(order_to_json(one)) == one
        assert str(order_from_json(order_to_json(one)).quantity) == str(one.quantity)


async def test_time_that_was_skipped_stays_skipped_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    async with running_gateway(store=path, clock=lambda: AT) as gateway:
        await gateway.command("tick 3600")
        assert gateway.core.now() == AT + timedelta(hours=1)
    async with running_gateway(store=path, clock=lambda: AT) as gateway:
        assert gateway.core.now() == AT + timedelta(hours=1)


async def test_a_clock_that_falls_back_does_not_take_the_gateway_with_it() -> None:
    times = [AT + timedelta(minutes=1), AT]
    async with running_gateway(clock=lambda: times[0]) as gateway:
        await gateway.command("tick 0")
        times.pop(0)
        assert gateway.core.now() == AT + timedelta(minutes=1)


def test_a_store_belongs_to_one_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.simulator.store.LOCK_SECONDS", 0.05)
    first = Store(tmp_path / "gateway.db")
    with pytest.raises(StoreProblem, match="in use by another simulated gateway"):
        Store(tmp_path / "gateway.db")
    first.close()
    Store(tmp_path / "gateway.db").close()
