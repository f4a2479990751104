"""One seed from beginning to end: a quiet start, a time of faults with trade in it, healing, and the judgement.

The rule it keeps: whatever befell it, within a few minutes of quiet the desk is READY and its queue is empty; if not, that is a violation
like any other.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from django.db.models import Q

from broker.engine import asking
from oms_site.simulation import (
    faults,
    rarer_faults,  # noqa: F401 - they put themselves among the faults
)
from oms_site.simulation.check import violations
from oms_site.simulation.database import Template
from oms_site.simulation.loop import Stalled
from oms_site.simulation.workload import Trader
from oms_site.simulation.world import Parts, World
from orders.models import BrokerCommand, OrderRecord
from orders.rules.lifecycle import WORKING, OrderStatus
from orders.rules.terms import OPEN_COMMANDS, CommandKind

START_SECONDS, FAULT_SECONDS = 2.0, 20.0
HEALING_SECONDS = 240.0  # the longest that healing may take
QUIET_SECONDS = 13.0  # so long the desk must have been at rest: a list of open orders comes every ten
LOOKS_AGAIN_SECONDS = 70.0  # what does not hold then must hold so much later: positions are compared every 30 s, doubts every 60 s
_AT_THE_BROKER = sorted(status.value for status in WORKING)
_TOLD = ("kind", "state", "order__client_order_id", "order__status")
SLOWER = {"LINES_SECONDS": 4.0, "FIGURES_SECONDS": 4.0, "DETAILS_SECONDS": 10.0, "POLL_SECONDS": 5.0}  # questions, not orders


@dataclass
class Outcome:
    """What became of a seed."""

    seed: int
    digest: str = ""
    orders: int = 0
    executions: int = 0
    frames: int = 0
    seconds: float = 0.0  # virtual
    faults: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


def simulate(
    seed: int,
    template: Template,
    *,
    read: Callable[[str], None] | None = None,
    parts: Parts | None = None,
    only: frozenset[str] = frozenset(),
) -> Outcome:
    """Runs one seed on a fresh book."""
    template.restore()
    for name, seconds in SLOWER.items():
        setattr(asking, name, seconds)
    world = World(seed, read, parts)
    run = _Run(world, only)
    with world.running():
        try:
            world.loop.run_until_complete(run.whole())
        except Stalled:
            run.found.append("I22: nothing would ever have happened again")
        lines = list(world.ledger)
        outcome = Outcome(
            seed=seed,
            orders=OrderRecord.objects.filter(is_external=False).count(),
            executions=sum(line["kind"] == "execution" for line in lines),
            frames=sum(line["kind"] == "in" and line["message"] == "placeOrder" for line in lines),
            seconds=world.loop.time(),
            faults=world.story.faults,
            violations=run.found,
        )
        for text in run.found:
            world.story.say("VIOLATION", text)
        outcome.digest = world.story.digest()
    return outcome


class _Run:
    def __init__(self, world: World, only: frozenset[str]) -> None:
        self._world, self._only = world, only
        self._rng = Random(f"{world.seed} run")
        self.found: list[str] = []

    async def whole(self) -> None:
        world, rng = self._world, self._rng
        await world.start_gateway(keeps=True)
        world.start_worker()
        if rng.random() < 0.2:
            world.start_worker()
        await asyncio.sleep(START_SECONDS)
        world.faults_since = world.loop.time()
        trader = Trader(world, "trader", Random(f"{world.seed} trader"))
        striking = asyncio.create_task(faults.strike(world, Random(f"{world.seed} faults"), rng.randint(3, 14), FAULT_SECONDS, self._only))
        trading = asyncio.create_task(trader.trade(rng.randint(4, 9), FAULT_SECONDS))
        done, _ = await asyncio.wait({striking, trading}, timeout=90)
        for task in done:
            task.result()
        striking.cancel()
        await asyncio.wait({striking})
        await faults.heal(world)
        await asyncio.wait({trading}, timeout=90)
        trading.result()
        await self._quiet()
        found = violations(world, trader.asked)
        if found:
            await asyncio.sleep(LOOKS_AGAIN_SECONDS)
            found = violations(world, trader.asked)
        self.found += found

    async def _quiet(self) -> None:
        """Waits until the desk is at rest, and for some time more; notes where it does not come to rest."""
        world = self._world
        ends, since = world.loop.time() + HEALING_SECONDS, None
        while world.loop.time() < ends:
            await asyncio.sleep(2.0)
            if unrest := _unrest(world):
                since = None
            elif since is None:
                since = world.loop.time()
            elif world.loop.time() - since >= QUIET_SECONDS:
                return
        self.found.append(f"I22: {HEALING_SECONDS:g} s after the faults: {unrest}")


def _unrest(world: World) -> str:
    """What is not at rest yet, or ""."""
    state = world.state()
    if state != "READY":
        return f"the gateway is {state}"
    open_states = [state.value for state in OPEN_COMMANDS]
    for command in BrokerCommand.objects.filter(state__in=open_states).select_related("order").only(*_TOLD):
        order = command.order
        if order.status == OrderStatus.UNKNOWN or (command.kind == CommandKind.PLACE and order.status != OrderStatus.PENDING):
            continue  # it waits for a person; or the PLACE of an order that works
        return f"a {command.kind} of {order.client_order_id} ({order.status}) is {command.state}"
    doubtful = Q(status=OrderStatus.SENT) | Q(absent_since__isnull=False, status__in=_AT_THE_BROKER)
    order = OrderRecord.objects.filter(doubtful).only("client_order_id", "status", "absent_since").first()
    return f"{order.client_order_id} is {order.status}{', and missed once' if order.absent_since else ''}" if order is not None else ""
