"""A gateway whose faults are rehearsed from outside: commands over the real control port, the account of them from the real ledger file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from broker.simulator import ledger, truth
from broker.simulator.server import SimulatedGateway
from broker.tests.simulator.running import running_gateway


async def over_port(gateway: SimulatedGateway, line: str) -> str:
    """One control command as another program gives it; the answer line."""
    assert gateway.control_port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.control_port)
    writer.write(line.encode() + b"\n")
    answer = (await reader.readline()).decode().rstrip("\n")
    writer.close()
    return answer


@dataclass
class Rehearsal:
    """A gateway, and where its ledger is written."""

    gateway: SimulatedGateway
    path: Path

    @property
    def port(self) -> int:
        return self.gateway.port

    async def do(self, line: str) -> str:
        """A control command that must succeed, and what it answers. One that injects must leave a line in the ledger."""
        answer = await over_port(self.gateway, line)
        assert answer.startswith("ok"), answer
        return answer.removeprefix("ok").strip()

    async def fails(self, line: str) -> str:
        """A control command that must fail, in words."""
        answer = await over_port(self.gateway, line)
        assert answer.startswith("error ") and "internal" not in answer, answer
        return answer.removeprefix("error ")

    async def listed(self, line: str) -> list[dict[str, Any]]:
        return json.loads(await self.do(line))

    def lines(self, kind: str) -> list[dict[str, Any]]:
        """The lines of a kind that the ledger has, oldest first."""
        return [line for line in ledger.read(self.path) if line["kind"] == kind]

    def injected(self) -> list[str]:
        """What was injected, in order, without repeats of the same one behind another."""
        what = [line["what"] for line in self.lines("injected")]
        return [one for number, one in enumerate(what) if number == 0 or one != what[number - 1]]

    def truth(self) -> truth.Truth:
        """What the ledger alone says stands at the exchange."""
        return truth.derive(ledger.read(self.path))

    def agrees(self) -> None:
        """The exchange holds what its ledger adds up to: executions that count, filled quantities, positions."""
        exchange, told = self.gateway.exchange, self.truth()
        counted = {one["exec_id"]: Decimal(one["shares"]) for one in told.executions.values()}
        assert {fill.exec_id: fill.shares for fill, _ in exchange.fills(self.gateway.core.now())} == counted
        assert {key: quantity for key, quantity in told.positions.items() if quantity} == {
            (one.account, one.con_id): one.quantity for one in exchange.positions()
        }
        for order in exchange.book.orders.values():
            if order.transmitted:
                assert (order.filled, order.status) == (told.filled(order.perm_id), told.orders[order.perm_id]["status"])


@asynccontextmanager
async def rehearsal(folder: Path, **options: Any) -> AsyncIterator[Rehearsal]:
    path = folder / "ledger.jsonl"
    async with running_gateway(ledger=path, **options) as gateway:
        yield Rehearsal(gateway, path)
