"""More faults, drawn among those of `faults`: other hands in TWS, a transaction that breaks off, clocks, and words out of their order.

The rule it keeps: what an older seed once found is found again with the faults of its time alone (`--faults`), because more of them make
every seed another story.
"""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta
from decimal import Decimal
from random import Random

from broker.simulator.recorded import order_to_json
from broker.simulator.wire import encode_frame
from oms_site.simulation.faults import fault
from oms_site.simulation.world import CLIENT_ID, World

# --- the gateway --------------------------------------------------------------------------------------------------------------------------

TELLS_OTHERWISE = (
    "swap openOrder execDetails", "swap orderStatus execDetails", "reorder 5", "delay execDetails 4", "delay orderStatus 3",
    "delay openOrder 2", "delay commissionReport 6", "delay placeOrder 3", "delay cancelOrder 4", "delay position 5",
    "duplicate openOrder 3", "duplicate position 3", "duplicate commissionReport 2",
)  # fmt: skip


@fault(5)
async def tells_otherwise(world: World, rng: Random) -> None:
    """Late, again, or in another order."""
    scenario = rng.choice(TELLS_OTHERWISE)
    world.story.fault(f"gateway: {scenario}")
    await world.command(scenario)
    await asyncio.sleep(rng.uniform(1, 12))
    await world.command(f"off {scenario.split()[0]}")


@fault(3)
async def changed_elsewhere(world: World, rng: Random) -> None:
    """One of our orders is cancelled or changed in TWS."""
    if world.gateway is None or world.exchange is None:
        return
    core, ours = world.gateway.core, world.exchange.open_orders(CLIENT_ID)
    if not ours:
        return
    request = rng.choice(ours).request
    if rng.random() < 0.5:
        world.story.fault("an order of ours cancelled in TWS", request.order_ref[-6:])
        with core.turn():
            core.change("cancel", client_id=CLIENT_ID, order_id=request.order_id)
        return
    world.story.fault("an order of ours changed in TWS", request.order_ref[-6:])
    if request.limit_price is not None and rng.random() < 0.5:
        changed = dataclasses.replace(request, limit_price=request.limit_price + Decimal("0.03"))
    else:
        changed = dataclasses.replace(request, quantity=request.quantity + rng.choice([1, 4]))
    with core.turn():
        core.change("submit", request=order_to_json(changed))


@fault(1)
async def read_only(world: World, rng: Random) -> None:
    """Somebody ticks Read-Only API in the gateway; unticking it restarts the gateway's API."""
    world.story.fault("gateway: read-only API (321)")
    await world.command("refuse placeOrder 321 Error validating request: the API interface is currently in Read-Only mode.")
    await asyncio.sleep(rng.uniform(2, 10))
    await world.command("off refuse")
    await world.command("drop")


NOISE = (
    ("3", "not a number", "Submitted", "0", "5"), ("3", "1", "\udc80"), ("4", "2"), ("4", "2", "-1", "", ""), ("5",), ("5", "7", "265598"),
    ("11", "-1", "x", "y"), ("59", "1", "00001.01", "none", "USD"), ("61", "3", "DU1", "x"), ("101", "1"), ("9999", "1", "2"), ("",),
)  # fmt: skip


@fault(2)
async def noise(world: World, rng: Random) -> None:
    """A frame that no decoder understands, among the others."""
    if world.gateway is None or world.exchange is None:
        return
    links = [connection.transport for session, connection in world.gateway.connections.items() if session.client_id == CLIENT_ID]
    for transport in links:
        if transport is not None:
            world.story.fault("gateway: a frame that makes no sense")
            transport.write(encode_frame(rng.choice(NOISE)))


@fault(1)
async def gateway_clock_ahead(world: World, rng: Random) -> None:
    """The gateway's clock goes wrong by seconds, and stays so."""
    seconds = rng.choice([3, 9, 20])
    world.story.fault("gateway: its clock is ahead", f"{seconds} s")
    await world.command(f"tick {seconds}")


# --- workers, the database, the clock ---------------------------------------------------------------------------------------------------


@fault(1)
async def crash_loop(world: World, rng: Random) -> None:
    """Every worker that starts dies soon, for a while."""
    world.story.fault("crash loop")
    ends = world.loop.time() + rng.uniform(4, 15)
    while world.loop.time() < ends:
        for worker in world.living():
            worker.process.die_after(rng.randrange(1, 400))
        await asyncio.sleep(rng.uniform(0.5, 2))


@fault(3)
async def write_fails(world: World, rng: Random) -> None:
    """The disk is full in the middle of a transaction: after so many statements one is refused, and what was written is undone."""
    world.story.fault("a write fails within its transaction")
    world.failures.statements = rng.randrange(1, 80)


@fault(1)
async def machine_sleeps(world: World, rng: Random) -> None:
    """A laptop is closed: the time of day is another when it wakes, and nothing has run meanwhile."""
    seconds = rng.choice([45, 90, 900])
    world.story.fault("the machine sleeps", f"{seconds} s")
    world.skew += timedelta(seconds=seconds)
