"""Runs the simulated gateway as a process of its own: ports and files from the command line, one line when ready, a clean end on
signals."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from broker.simulator.server import LOOPBACK, SimulatedGateway
from broker.simulator.store import StoreProblem

PAPER_GATEWAY_PORT = 4002  # where IB Gateway listens in paper mode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options, shared by `manage.py run_simulator` and `python -m broker.simulator`."""
    parser.add_argument("--host", default=LOOPBACK, help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=PAPER_GATEWAY_PORT, help="port for API clients, 0 for any free one")
    parser.add_argument("--control-port", type=int, default=0, help="port for control commands on this machine, 0 for any free one")
    parser.add_argument("--seed", type=int, default=1, help="seed of the market's prices")
    parser.add_argument("--ledger", type=Path, help="file to append a JSON line to for every frame, order and execution")
    parser.add_argument("--store", type=Path, help="database that keeps orders over restarts; without it nothing is kept")
    parser.add_argument("--master-client", type=int, help="client id that is told of everybody's orders, as TWS may be set to do")
    parser.add_argument("--tick-seconds", type=float, default=1.0, help="how often the market moves by itself; 0 for never")


def run(options: argparse.Namespace) -> None:
    """Runs a gateway until SIGTERM or SIGINT. Raises StoreProblem or OSError where it cannot start."""
    asyncio.run(_run(options))


async def _run(options: argparse.Namespace) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    gateway = SimulatedGateway(
        host=options.host,
        port=options.port,
        control_port=options.control_port,
        seed=options.seed,
        store=options.store,
        ledger=options.ledger,
        tick_seconds=options.tick_seconds,
        master_client=options.master_client,
    )
    await gateway.start()
    sys.stdout.write(f"Simulated gateway: API {options.host}:{gateway.port}, control {LOOPBACK}:{gateway.control_port}\n")
    sys.stdout.flush()
    try:
        await ended.wait()
    finally:
        await gateway.stop()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m broker.simulator", description="A simulated IB gateway that speaks the TWS API protocol."
    )
    add_arguments(parser)
    try:
        run(parser.parse_args(arguments))
    except (StoreProblem, OSError) as problem:
        parser.exit(1, f"{problem}\n")
