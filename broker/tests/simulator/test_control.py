"""The control port: every command does what it says, and a wrong one is an `error` line that leaves the gateway running."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from ib_async import LimitOrder, MarketOrder

from broker.simulator.control import COMMANDS
from broker.simulator.scenarios import BUILDERS
from broker.simulator.server import SimulatedGateway
from broker.tests.simulator.clients import AAPL, FIRST, connected, errors_of, place, until
from broker.tests.simulator.raw import RawClient
from broker.tests.simulator.running import PROJECT, GatewayProcess, running_gateway


@pytest.fixture
async def gateway():
    async with running_gateway() as running:
        yield running


async def listed(gateway: SimulatedGateway, line: str) -> list[dict]:
    return json.loads((await gateway.command(line)).removeprefix("ok "))


async def test_help_names_every_command_and_scenario(gateway: SimulatedGateway) -> None:
    answer = await gateway.command("help")
    assert answer.startswith("ok ") and "\n" not in answer
    assert all(name in answer for name in (*COMMANDS, *BUILDERS))


@pytest.mark.parametrize(
    "line",
    ["", "nonsense", "quote", "quote AAPL", "quote AAPL x 2", "quote AAPL 3 2", "quote AAPL nan nan", "quote NOSUCH 1 2", "tick", "tick -1",
     "tick 1e99", "tick inf", "error 1 2", "error 99 -1 1100 text", "position NOBODY AAPL 1 1", "position DU1000417 NOSUCH 1 1",
     "position DU1000417 AAPL Infinity 1", "reset-ids", "reset-ids many", "connectivity", "connectivity maybe", "drop x", "silence",
     "silence nonsense", "mute nonsense", "reject-next", "reject-next x", "pacing x",
     "drop-before-order now", "'unclosed", "cancel-delay soon", "release-quote NOSUCH"],
)  # fmt: skip
async def test_wrong_commands_are_errors_in_words(gateway: SimulatedGateway, line: str) -> None:
    answer = await gateway.command(line)
    assert answer.startswith("error ") and "internal" not in answer and "\n" not in answer and len(answer) > len("error ")
    assert await gateway.command("scenarios") == "ok"
    assert (await gateway.command("orders")) == "ok []"


async def test_quotes_positions_and_lists(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        assert await gateway.command("quote AAPL 10 10.02 300 400") == "ok AAPL 10 10.02"
        assert await gateway.command(f"position {FIRST} AAPL -50 9.5") == f"ok {FIRST} AAPL -50 9.5"
        await until(ib, lambda: [one.position for one in ib.positions()] == [-50])
        await place(ib, MarketOrder("BUY", 20, account=FIRST, orderRef="mine"))
        [order] = await listed(gateway, "orders")
        [execution] = await listed(gateway, "executions")
        [position] = await listed(gateway, "positions")
        assert (order["status"], order["request"]["order_ref"], execution["price"], position["quantity"]) == (
            "Filled",
            "mine",
            "10.02",
            "-30",
        )
        assert await listed(gateway, "clients") == [{"client_id": 17, "server_version": 178}]
        await gateway.command(f"position {FIRST} AAPL 0 0")
        await until(ib, lambda: ib.positions() == [])


async def test_tick_moves_the_clock_and_the_market(gateway: SimulatedGateway) -> None:
    before = gateway.core.now()
    quote = gateway.exchange.quote(265598)
    assert (await gateway.command("tick 30")).startswith("ok 20")
    assert (gateway.core.now() - before).total_seconds() >= 30
    assert gateway.exchange.quote(265598) != quote


async def test_partial_fills_come_with_displayed_sizes(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        await gateway.command("quote AAPL 100 100.02 10 10")
        trade = await place(ib, LimitOrder("BUY", 25, 100.02, account=FIRST))
        assert (trade.orderStatus.filled, trade.orderStatus.remaining, trade.orderStatus.status) == (10, 15, "Submitted")
        await gateway.command("tick 1")
        await gateway.command("tick 1")
        await until(ib, lambda: trade.orderStatus.status == "Filled")
        assert [fill.execution.shares for fill in trade.fills] == [10, 10, 5]


async def test_error_reaches_one_client(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port, 1) as one, connected(gateway.port, 2) as two:
        heard, other = errors_of(one), errors_of(two)
        assert await gateway.command("error 1 -1 2110 'Connectivity is broken'") == "ok 1 -1 2110"
        await until(one, lambda: (-1, 2110) in heard)
        await two.reqCurrentTimeAsync()
        assert (-1, 2110) not in other


async def test_drop_breaks_one_connection_or_all(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port, 1) as one, connected(gateway.port, 2) as two, asyncio.timeout(10):
        first, second = asyncio.Event(), asyncio.Event()
        one.disconnectedEvent += first.set
        two.disconnectedEvent += second.set
        assert await gateway.command("drop 1") == "ok 1"
        await first.wait()
        assert two.isConnected() and await gateway.command("drop 1") == "ok 0"
        assert await gateway.command("drop") == "ok 1"
        await second.wait()
    async with connected(gateway.port, 1) as again:
        assert again.isConnected()


async def test_a_paused_gateway_answers_nothing_until_it_resumes(gateway: SimulatedGateway) -> None:
    client = await RawClient.connect(gateway.port, client_id=1)
    assert await gateway.command("pause") == "ok"
    client.send(49, 1)
    late = await RawClient.open(gateway.port)
    hello = asyncio.create_task(late.hello("v157..178"))
    answer = asyncio.create_task(client.answer(49))
    _, waiting = await asyncio.wait([answer, hello], timeout=0.3)
    assert waiting == {answer, hello}
    assert await gateway.command("resume") == "ok"
    assert (await answer)[0] == "49" and (await hello)[0] == "178"
    client.close()
    late.close()


async def test_connectivity_lost_holds_orders_and_restored_lets_them_go(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        heard = errors_of(ib)
        resting = await place(ib, LimitOrder("BUY", 10, 100, account=FIRST))
        assert await gateway.command("connectivity lost") == "ok 1100"
        waiting = ib.placeOrder(resting.contract, LimitOrder("BUY", 10, 101, account=FIRST))
        await gateway.command("quote AAPL 99 99.5")
        await ib.reqCurrentTimeAsync()
        assert (waiting.orderStatus.status, resting.orderStatus.status) == ("PendingSubmit", "Submitted")
        assert len(await listed(gateway, "executions")) == 1  # the exchange filled it all the same
        assert await gateway.command("connectivity restored") == "ok 1102"
        await until(ib, lambda: resting.orderStatus.status == "Filled" and waiting.orderStatus.status == "Filled")
        assert [code for _, code in heard if code in (1100, 1101, 1102)] == [1100, 1102]


async def test_orders_kept_during_an_outage_are_sent_even_for_a_client_that_left(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        await gateway.command("connectivity lost")
        ib.placeOrder(AAPL, LimitOrder("BUY", 10, 101, account=FIRST, orderRef="kept"))
        await ib.reqCurrentTimeAsync()
    assert gateway.exchange.open_orders() == []
    await gateway.command("connectivity restored")
    assert [order.request.order_ref for order in gateway.exchange.open_orders()] == ["kept"]


async def test_connectivity_restored_with_loss_forgets_the_news(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        resting = await place(ib, LimitOrder("BUY", 10, 100, account=FIRST))
        await gateway.command("connectivity lost")
        await gateway.command("quote AAPL 99 99.5")
        assert await gateway.command("connectivity restored-lost") == "ok 1101"
        await ib.reqCurrentTimeAsync()
        assert resting.orderStatus.status == "Submitted" and resting.fills == []
        assert [fill.execution.permId for fill in await ib.reqExecutionsAsync()] == [resting.order.permId]


async def test_reset_forgets_orders_ids_and_scenarios(gateway: SimulatedGateway) -> None:
    await gateway.command("duplicate-statuses")
    async with connected(gateway.port) as ib:
        await place(ib, LimitOrder("BUY", 1, 50, account=FIRST))
        await place(ib, MarketOrder("BUY", 1, account=FIRST))
    assert await gateway.command("reset") == "ok"
    assert [await gateway.command(line) for line in ("orders", "executions", "positions", "scenarios")] == ["ok []", "ok []", "ok []", "ok"]
    client = await RawClient.connect(gateway.port, client_id=17)
    assert ["9", "1", "1"] in client.greeting
    client.close()


async def test_ids_that_are_rolled_back_lead_into_refusals(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port, 6) as ib:
        await place(ib, LimitOrder("BUY", 1, 50, orderId=40, account=FIRST))
    assert await gateway.command("reset-ids 4") == "ok 4"
    async with connected(gateway.port, 6) as ib:
        heard = errors_of(ib)
        [known] = ib.openTrades()
        ib.cancelOrder(known.order)
        await until(ib, lambda: known.orderStatus.status == "Cancelled")
        used = await place(ib, LimitOrder("BUY", 1, 50, orderId=38, account=FIRST))
        assert (used.order.orderId, 103) in heard
    client = await RawClient.connect(gateway.port, client_id=6)
    assert ["9", "1", "37"] in client.greeting
    await gateway.command("reset-ids 0")
    client.send(8, 1, 1)
    assert await client.answer(9) == ["9", "1", "41"]
    client.close()


# --- the port and the process -----------------------------------------------------------------------------------------------------


def test_manage_py_runs_the_same_gateway_and_ends_cleanly(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    with GatewayProcess(program=("manage.py", "run_simulator"), ledger=ledger, store=tmp_path / "gateway.db") as gateway:
        assert gateway.command("quote AAPL 1 2") == "ok AAPL 1 2"
        with socket.create_connection(("127.0.0.1", gateway.control_port), timeout=10) as control:
            control.sendall(b"now\n" + b"\xff\xfe\n" + b"clients\n")
            answers = control.makefile("r", encoding="utf-8")
            assert [answers.readline().split()[0] for _ in range(3)] == ["ok", "error", "ok"]
        assert gateway.terminate() == 0


def test_a_port_that_is_taken_is_said_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "manage.py", "run_simulator", f"--port={port}"]
        ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0 and "in use" in ended.stderr and "Traceback" not in ended.stderr


async def test_the_ledger_tells_frames_orders_and_executions_in_order(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    async with running_gateway(ledger=ledger) as gateway, connected(gateway.port) as ib:
        await place(ib, MarketOrder("BUY", 10, account=FIRST, orderRef="mine"))
        ib.client.cancelOrder(12345)
        await ib.reqCurrentTimeAsync()
        lines = [json.loads(line) for line in ledger.read_text().splitlines()]  # read while the gateway runs: flushed per line
    kinds = [(line["kind"], line.get("message") or line.get("status") or line.get("code")) for line in lines]
    placed = kinds.index(("in", "placeOrder"))
    assert (
        kinds[:3] == [("started", None), ("in", "startApi"), ("client", None)]
        and ("execution", None) in kinds[placed:]
        and ("order", "Filled") in kinds[placed:]
    )
    assert ("refused", 10147) in kinds
    [execution] = [line for line in lines if line["kind"] == "execution"]
    assert (execution["order_ref"], execution["shares"], execution["client"], execution["account"]) == ("mine", "10", 17, FIRST)
    [frame] = [line for line in lines if line.get("message") == "placeOrder"]
    assert frame["fields"][0] == "3" and "mine" in frame["fields"] and frame["client"] == 17
