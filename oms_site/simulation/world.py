"""The simulated world: a book, a gateway, workers and traders, on one loop, with one seed.

The rule it keeps: everything in it is the desk's own code and ib_async's; only time, the wires, the threads and the processes are played.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from broker.connector import IBKRConnector
from broker.engine import Engine, EngineFailed
from broker.simulator import control
from broker.simulator.exchange import Exchange
from broker.simulator.server import SimulatedGateway
from oms_site.simulation.database import Door, Failures
from oms_site.simulation.loop import PROCESS, Killed, Process, VirtualLoop
from oms_site.simulation.network import Network
from oms_site.simulation.story import BEGINNING, MemoryLedger, Story, as_words
from orders import crashpoints, lease
from orders.models import Gateway
from orders.rules.commands import CancelOrder, ModifyOrder, Unit
from orders.rules.terms import GatewayState

PORT, CLIENT_ID = 4002, 17
SEEDS_UNTIL_CLEARED = 8  # it costs as much as a tenth of a seed
ACCOUNTS = ("DU1000417", "DU1000902")


@dataclass(frozen=True)
class Sent:
    """A unit at the moment at which it was written."""

    at: float
    fence: int
    newest_fence: int
    state: GatewayState
    kinds: tuple[str, ...]


class WatchedConnector(IBKRConnector):
    """The connector, with a look at every unit as it is written."""

    watch: Callable[[Unit], None]

    def _send(self, unit: Unit) -> None:
        super()._send(unit)
        self.watch(unit)


@dataclass
class Parts:
    """What a naive design would do otherwise; the desk's own parts unless the harness is to be tested."""

    connector: type[WatchedConnector] = WatchedConnector
    exchange: Callable[..., Exchange] = Exchange


class World:
    """One run. `read` is given every line of the story."""

    def __init__(self, seed: int, read: Callable[[str], None] | None = None, parts: Parts | None = None) -> None:
        self.seed, self.parts = seed, parts or Parts()
        self.loop = VirtualLoop()
        self.rng = Random(f"{seed} world")
        self.story = Story(self.loop.time, read)
        self.network = Network(self.loop, Random(f"{seed} network"))
        self.network.said = lambda text: self.story.say("network", text)
        self.failures = Failures()
        self.ledger = MemoryLedger(self._ledger_wrote)
        self.skew = timedelta()
        self.sent: list[Sent] = []
        self.cut_off = False  # the gateway has lost IB
        self.supervised = True  # a worker that ends is started again
        self.faults_since = 0.0
        self._hand_orders = 0
        self.gateway: SimulatedGateway | None = None
        self.gateway_process: Process | None = None
        self.workers: list[WorkerHost] = []
        self._folder: Path | None = None
        self._graves: list[Any] = []

    # --- time -------------------------------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The time of day, which may jump."""
        return BEGINNING + timedelta(seconds=self.loop.time()) + self.skew

    @contextmanager
    def running(self) -> Iterator[None]:
        """Makes chance and loop this world's own, and leaves nothing of it behind."""
        chance = Random(f"{self.seed} chance")
        kept = os.urandom, lease._is_dead, crashpoints.action
        crashpoints.action = self._crash
        random.seed(self.seed)
        os.urandom = lambda size: chance.randbytes(size)  # type: ignore[assignment] # names of orders
        lease._is_dead = lambda holder: not any(one.holder == holder and one.process.alive for one in self.workers)
        asyncio.set_event_loop(self.loop)
        try:
            yield
        finally:
            os.urandom, lease._is_dead, crashpoints.action = kept  # type: ignore[assignment]
            crashpoints.arm("")
            self._end()

    def _crash(self, point: str) -> None:
        """A crash point is reached: the process that runs dies here. A trader's web process is told by the exception."""
        self.story.fault(f"killed at {point}")
        crashpoints.arm("")
        process = PROCESS.get()
        if process is not None:
            process.kill()
        raise Killed

    def _end(self) -> None:
        for worker in self.workers:
            worker.process.alive = False
        if self.gateway_process is not None:
            self.gateway_process.alive = False
        for task in asyncio.all_tasks(self.loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined] # they are meant to end like this
        self._close_store()
        if self._folder is not None:
            for file in self._folder.iterdir():
                file.unlink()
            self._folder.rmdir()
        asyncio.set_event_loop(None)
        self._bury()

    def _bury(self) -> None:
        """Takes apart what will never go on. Its `finally` blocks complain that there is no world any more, to nobody."""
        complain, sys.unraisablehook = sys.unraisablehook, lambda _: None
        try:
            self.loop._ready.clear()  # type: ignore[attr-defined]
            self.loop._scheduled.clear()  # type: ignore[attr-defined]
            self.network.links.clear()
            self.workers.clear()
            self._graves.clear()
            self.gateway = self.gateway_process = None
            if self.seed % SEEDS_UNTIL_CLEARED == 0:
                gc.collect()
        finally:
            sys.unraisablehook = complain

    # --- the gateway ------------------------------------------------------------------------------------------------------------------

    async def start_gateway(self, *, keeps: bool = False) -> None:
        """Starts the gateway; `keeps`: on a store that survives it."""
        if keeps and self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="deskbook-world-"))
        self.gateway_process = self.loop.process("gateway")
        self.gateway = SimulatedGateway(
            port=PORT,
            control_port=None,
            seed=self.seed,
            store=self._folder / "store" if self._folder is not None else None,
            ledger=self.ledger,  # type: ignore[arg-type]
            clock=self.now,
            tick_seconds=2.0,
            exchange_factory=self.parts.exchange,
        )
        await self.gateway_process.spawn(self.gateway.start(), "gateway")

    def kill_gateway(self) -> None:
        """The gateway dies; what its store had committed is there for the next one."""
        assert self.gateway_process is not None and self.gateway is not None
        self.gateway_process.kill()
        self._close_store()
        self._graves.append(self.gateway)
        self.gateway = None

    def _close_store(self) -> None:
        """As the system closes the file of a dead process."""
        if self.gateway is not None and self.gateway._core is not None:
            self.gateway.core._store._database.close()

    @property
    def exchange(self) -> Exchange | None:
        """The exchange itself: the truth. None while the gateway is down."""
        return self.gateway.exchange if self.gateway is not None and self.gateway._core is not None else None

    async def command(self, line: str) -> str:
        """A control command, given to a gateway that runs; "" where it does not. A frozen one takes it when it goes on."""
        while self.gateway_process is not None and self.gateway_process.frozen:
            await asyncio.sleep(0.5)
        if self.gateway is None or self.gateway_process is None or not self.gateway_process.alive or self.exchange is None:
            return ""
        answer: str = self.gateway_process.run(control.execute, self.gateway, line)
        self.story.say("control", f"{line}: {answer[:60]}")
        return answer

    def hand_order_id(self) -> int:
        """The next order id of the clients that are not ours."""
        self._hand_orders += 1
        return self._hand_orders

    async def wipe(self) -> None:
        """The gateway forgets everything."""
        await self.command("reset")
        if self.exchange is not None and not any(line["kind"] == "wiped" for line in self.ledger[-20:]):
            self.ledger.append({"time": self.now().isoformat(), "kind": "wiped"})

    def _ledger_wrote(self, line: dict[str, Any]) -> None:
        words = as_words(line)
        if words is not None:
            self.story.say("gateway", words)

    # --- the workers ------------------------------------------------------------------------------------------------------------------

    def start_worker(self) -> WorkerHost:
        worker = WorkerHost(self, f"worker {len(self.workers) + 1}")
        self.workers.append(worker)
        worker.start()
        return worker

    def worker_ended(self) -> None:
        """The supervisor: a worker that has ended is followed by another."""
        if self.supervised and not self.living():
            self.loop.call_later(self.rng.uniform(0.5, 3.0), self._start_another, context=self.network.outside)

    def _start_another(self) -> None:
        if self.supervised and not self.living():
            self.start_worker()

    def living(self) -> list[WorkerHost]:
        return [worker for worker in self.workers if worker.process.alive and not worker.ended]

    def ring(self) -> None:
        """The bell after a commit: whoever lives hears of it."""
        for worker in self.living():
            if worker.engine is not None:
                worker.process.run(worker.engine.wake)

    # --- the book ---------------------------------------------------------------------------------------------------------------------

    def state(self) -> str:
        """The gateway's state as the book shows it."""
        return str(Gateway.objects.values_list("state", flat=True).get(pk=1))


class WorkerHost:
    """One worker process: the engine with its connector and its door to the book, as BrokerWorker puts them together."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.process = world.loop.process(name)
        self.holder = f"host:{len(world.workers) + 1}:{world.seed}"
        self.door = Door(world.loop, self.process, world.failures, Random(f"{world.seed} {name}"), world.story.book_moved)
        self.engine: Engine | None = None
        self.ended = False

    def start(self) -> None:
        self.world.story.say(self.name, "starts")
        self.process.on_death.append(self._died)
        self.process.spawn(self._main(), self.name)

    async def _main(self) -> None:
        world, loop = self.world, self.world.loop
        connector = world.parts.connector("127.0.0.1", PORT, CLIENT_ID, clock=world.now, monotonic=loop.time)
        connector.watch = self._watch
        self.engine = Engine(connector, world.now, self.door, holder=self.holder, monotonic=loop.time)
        try:
            await self.engine.run()
            why = "has stopped"
        except (lease.LeaseLost, EngineFailed) as error:
            why = f"ends: {error}"
        self.ended = True
        world.story.say(self.name, why)
        world.worker_ended()

    def _died(self) -> None:
        self.world.story.say(self.name, "is dead")
        self.world.worker_ended()

    def _watch(self, unit: Unit) -> None:
        assert self.engine is not None
        kinds = tuple("cancel" if isinstance(f, CancelOrder) else "modify" if isinstance(f, ModifyOrder) else "place" for f in unit.frames)
        newest = lease.Lease.objects.values_list("fence", flat=True).get(name=lease.NAME)
        self.world.sent.append(Sent(self.world.loop.time(), unit.fence, newest, self.engine.situation.state, kinds))
        names = " ".join(f"…{frame.client_order_id[-6:]}" for frame in unit.frames)
        self.world.story.say(self.name, f"writes {kinds[0]} {names}")
