"""Simulated gateways for tests: one in the test's own loop, one in a process of its own that can be killed.

The rule kept: free ports, a market that stands still unless a test moves it, and nothing left running when the block ends.
"""

from __future__ import annotations

import json
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from broker.simulator.server import SimulatedGateway

PROJECT = Path(__file__).resolve().parents[3]
START_SECONDS = 30
_READY = re.compile(r"API [^:]+:(\d+), control [^:]+:(\d+)")


@asynccontextmanager
async def running_gateway(**options: Any) -> AsyncIterator[SimulatedGateway]:
    """A gateway in this loop on free ports. Options are those of SimulatedGateway; by default the market does not move by itself."""
    gateway = SimulatedGateway(**{"tick_seconds": 0.0, **options})
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


class GatewayProcess:
    """A `broker.simulator` process: `with GatewayProcess(store=...) as gateway:`, then gateway.port and gateway.command("quote AAPL 1 2").

    `restart` starts it again with the same files and, so that clients find it, the same API port.
    """

    def __init__(
        self,
        *,
        store: Path | None = None,
        ledger: Path | None = None,
        seed: int = 1,
        tick_seconds: float = 0.0,
        port: int = 0,
        program: tuple[str, ...] = ("-m", "broker.simulator"),
    ) -> None:
        self.port, self.control_port = port, 0
        self._options = [f"--seed={seed}", f"--tick-seconds={tick_seconds}"]
        self._options += [f"--store={store}"] if store else []
        self._options += [f"--ledger={ledger}"] if ledger else []
        self._program = program
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> Self:
        """Starts the process and waits until it says that it listens."""
        command = [sys.executable, *self._program, f"--port={self.port}", "--control-port=0", *self._options]
        self._process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], START_SECONDS)
        line = self._process.stdout.readline() if readable else ""
        ready = _READY.search(line)
        if ready is None:
            self.kill()
            raise RuntimeError(f"the gateway process did not start; it said {line!r}")
        self.port, self.control_port = int(ready[1]), int(ready[2])
        return self

    def command(self, line: str) -> str:
        """One control command; the answer line."""
        with socket.create_connection(("127.0.0.1", self.control_port), timeout=START_SECONDS) as control:
            control.sendall(line.encode() + b"\n")
            with control.makefile("r", encoding="utf-8") as answers:
                return answers.readline().rstrip("\n")

    def listed(self, line: str) -> list[dict[str, Any]]:
        """The list that a control command (orders, executions, positions, clients) answers."""
        answer = self.command(line)
        assert answer.startswith("ok "), answer
        return json.loads(answer.removeprefix("ok "))

    def kill(self) -> None:
        """Ends the process as a power cut would (SIGKILL)."""
        self._end(signal.SIGKILL)

    def terminate(self) -> int:
        """Asks the process to end (SIGTERM); its exit code."""
        return self._end(signal.SIGTERM)

    def restart(self) -> Self:
        """Starts again after kill or terminate."""
        return self.start()

    def _end(self, number: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(number)
        try:
            return process.wait(START_SECONDS)
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()
