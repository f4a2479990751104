"""What goes wrong in a run: a weighted choice of faults, each at its moment, drawn from the seed.

The rule it keeps: a fault begins and ends by itself within the time of faults, is counted under one name, and `heal` undoes whatever of it
is left. Nothing here knows what the desk would do about it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from random import Random

from broker.simulator.model import OrderRequest
from broker.simulator.recorded import order_to_json
from oms_site.simulation.network import Weather
from oms_site.simulation.workload import SYMBOLS
from oms_site.simulation.world import ACCOUNTS, CLIENT_ID, World
from orders import crashpoints

Fault = Callable[[World, Random], Awaitable[None]]
FAULTS: list[tuple[Fault, float]] = []
WORKER_POINTS = sorted(name for name in crashpoints.NAMES if not name.startswith("submit"))
WEB_POINTS = sorted(name for name in crashpoints.NAMES if name.startswith("submit"))


def fault(weight: float) -> Callable[[Fault], Fault]:
    """Puts a fault among those that may strike; of two, that with the greater weight is the more frequent."""

    def register(strike: Fault) -> Fault:
        FAULTS.append((strike, weight))
        return strike

    return register


async def strike(world: World, rng: Random, count: int, seconds: float, only: frozenset[str] = frozenset()) -> None:
    """So many faults over that time, some at once. `only`: names of functions here, where not all are wanted."""
    chosen = [(one, weight) for one, weight in FAULTS if not only or one.__name__ in only]
    names, weights = [one for one, _ in chosen], [weight for _, weight in chosen]
    moments = sorted(rng.uniform(0, seconds) for _ in range(count))
    running = []
    for moment in moments:
        await asyncio.sleep(max(moment - (world.loop.time() - world.faults_since), 0.0))
        one = rng.choices(names, weights)[0]
        running.append(asyncio.create_task(one(world, Random(rng.random()))))
    for task in running:
        await task


async def heal(world: World) -> None:
    """Every fault is over: the network is good, the database answers, and a gateway and a worker run."""
    world.story.say("FAULTS", "are over")
    crashpoints.arm("")
    world.failures.until, world.failures.doubtful, world.failures.statements = 0.0, 0, 0
    world.network.clear()
    for worker in world.workers:
        worker.door.dies_in = worker.process.steps_left = None
        worker.process.thaw()
    if world.gateway is None:
        await world.start_gateway()
    assert world.gateway_process is not None
    world.gateway_process.thaw()
    await world.command("release")
    if world.cut_off:
        world.cut_off = False
        await world.command("connectivity restored")
    await world.command("off")
    await world.command("cancel-delay 0")
    world.supervised = True
    if not world.living():
        world.start_worker()


# --- the network --------------------------------------------------------------------------------------------------------------------------


@fault(3)
async def slow_network(world: World, rng: Random) -> None:
    latency, jitter = rng.choice([(0.1, 0.2), (0.5, 1.0), (2.0, 3.0)])
    slices = rng.random() < 0.5
    world.story.fault("slow network" + (", messages in pieces" if slices else ""), f"{latency} to {latency + jitter} s")
    world.network.weather = Weather(latency=latency, jitter=jitter, slices=slices)
    await asyncio.sleep(rng.uniform(1, 8))
    world.network.weather = Weather(black_hole=world.network.weather.black_hole)


@fault(2)
async def black_hole(world: World, rng: Random) -> None:
    world.story.fault("black hole")
    world.network.weather.black_hole = True
    await asyncio.sleep(rng.uniform(0.5, 15))
    world.network.clear()


@fault(3)
async def reset(world: World, rng: Random) -> None:
    if world.network.break_all():
        world.story.fault("connection reset")


@fault(3)
async def reset_in_the_middle(world: World, rng: Random) -> None:
    """The connection breaks after so many bytes more, wherever in a message that is."""
    links = [link for link in world.network.links if link.is_open]
    if links:
        links[-1].reset_after = rng.randrange(1, rng.choice([100, 1000, 4000]))
        world.story.fault("reset in the middle", f"after {links[-1].reset_after} bytes")


@fault(1)
async def broken_again_and_again(world: World, rng: Random) -> None:
    world.story.fault("reconnect storm")
    for _ in range(rng.randint(3, 6)):
        await asyncio.sleep(rng.uniform(0.2, 1.5))
        world.network.break_all()


# --- workers ------------------------------------------------------------------------------------------------------------------------------


@fault(3)
async def killed(world: World, rng: Random) -> None:
    """At any await: after so many steps of the process, so that it dies in the midst of what it does."""
    living = world.living()
    if living:
        worker = rng.choice(living)
        worker.process.die_after(rng.randrange(1, 120))
        world.story.fault("worker killed at any await", f"{worker.name} in {worker.process.steps_left} steps")


@fault(3)
async def killed_around_a_commit(world: World, rng: Random) -> None:
    living = world.living()
    if living:
        door = rng.choice(living).door
        door.dies_in, door.dies_after_commit = rng.randint(1, 12), rng.random() < 0.6
        world.story.fault(f"worker killed {'after' if door.dies_after_commit else 'before'} a commit", f"in {door.dies_in} calls")


@fault(5)
async def crash_point(world: World, rng: Random) -> None:
    if crashpoints.armed() is None:
        crashpoints.arm(f"{rng.choice(WORKER_POINTS)}:{rng.choice([1, 1, 2])}")
        await asyncio.sleep(rng.uniform(5, 15))
        crashpoints.arm("")


@fault(2)
async def web_dies(world: World, rng: Random) -> None:
    if crashpoints.armed() is None:
        crashpoints.arm(rng.choice(WEB_POINTS))
        await asyncio.sleep(rng.uniform(3, 10))
        crashpoints.arm("")


@fault(2)
async def zombie(world: World, rng: Random) -> None:
    """SIGSTOP, and SIGCONT when another may have taken over."""
    living = world.living()
    if living:
        worker = rng.choice(living)
        seconds = rng.choice([1.0, 3.0, 8.0, 14.0])
        world.story.fault("worker frozen", f"{worker.name} for {seconds:g} s")
        worker.process.freeze()
        if seconds > 5 and len(living) < 2:
            world.start_worker()
        await asyncio.sleep(seconds)
        worker.process.thaw()


@fault(1)
async def second_worker(world: World, rng: Random) -> None:
    if len(world.living()) < 3:
        world.story.fault("a second worker")
        world.start_worker()


@fault(1)
async def stopped_in_order(world: World, rng: Random) -> None:
    living = world.living()
    if living and living[0].engine is not None:
        world.story.fault("worker stopped in order", living[0].name)
        living[0].process.run(living[0].engine.stop)


# --- the gateway --------------------------------------------------------------------------------------------------------------------------


@fault(2)
async def gateway_restarts(world: World, rng: Random) -> None:
    if world.gateway is None or world.exchange is None:
        return
    world.story.fault("gateway killed and started again")
    world.kill_gateway()
    await asyncio.sleep(rng.uniform(0.1, 5))
    if world.gateway is None:
        await world.start_gateway()
        world.cut_off = False
        if rng.random() < 0.5:
            world.story.fault("order ids rolled back")
            await world.command(f"reset-ids {rng.randint(1, 20)}")


@fault(0.7)
async def gateway_restarts_empty(world: World, rng: Random) -> None:
    if world.gateway is None or world.exchange is None:
        return
    world.story.fault("gateway restarted empty")
    await world.wipe()
    await world.command("drop")


@fault(2)
async def gateway_freezes(world: World, rng: Random) -> None:
    process = world.gateway_process
    if process is not None and process.alive:
        world.story.fault("gateway frozen")
        process.freeze()
        await asyncio.sleep(rng.choice([1.0, 4.0, 12.0, 30.0]))
        process.thaw()


@fault(4)
async def connectivity(world: World, rng: Random) -> None:
    if world.cut_off or world.exchange is None:
        return
    back = rng.choice(["restored", "restored-lost"])
    world.story.fault(f"1100, then {'1102' if back == 'restored' else '1101'}")
    world.cut_off = True
    await world.command("connectivity lost")
    await asyncio.sleep(rng.uniform(0.3, 8))
    if world.cut_off and await world.command(f"connectivity {back}"):
        world.cut_off = False


TELLS_BADLY = (
    "duplicate-statuses", "duplicate-executions", "status-before-execution", "commission-first", "skip-presubmitted", "forget-fills",
    "hold", "mute openOrderEnd", "mute execDetailsEnd", "mute positionEnd", "mute completedOrdersEnd", "mute orderStatus", "mute openOrder",
    "mute execDetails", "mute commissionReport", "silence reqAllOpenOrders", "silence reqExecutions", "silence reqPositions",
    "silence placeOrder", "silence cancelOrder", "delayed-data",
)  # fmt: skip


@fault(8)
async def tells_badly(world: World, rng: Random) -> None:
    scenario = rng.choice(TELLS_BADLY)
    world.story.fault(f"gateway: {scenario}")
    await world.command(scenario)
    await asyncio.sleep(rng.uniform(1, 12))
    name = scenario.split()[0]
    await world.command("release" if name == "hold" and rng.random() < 0.7 else f"off {name}")


@fault(4)
async def breaks_around_an_order(world: World, rng: Random) -> None:
    scenario = rng.choice(["drop-before-order", "drop-after-order"])
    world.story.fault(f"gateway: {scenario}")
    await world.command(scenario)


@fault(2)
async def rejects(world: World, rng: Random) -> None:
    code = rng.choice([201, 201, 203, 110, 10289])
    world.story.fault("gateway: reject-next", str(code))
    await world.command(f"reject-next {code} Order rejected - reason:rehearsed")


@fault(1)
async def client_id_taken(world: World, rng: Random) -> None:
    world.story.fault("gateway: client id taken (326)")
    await world.command(f"client-id-taken {CLIENT_ID}")
    await world.command("drop")
    await asyncio.sleep(rng.uniform(1, 8))
    await world.command("off client-id-taken")


@fault(2)
async def slow_cancels(world: World, rng: Random) -> None:
    world.story.fault("gateway: cancels take their time")
    await world.command(f"cancel-delay {rng.randint(1, 4)}")


@fault(3)
async def order_by_another_hand(world: World, rng: Random) -> None:
    """Somebody trades in TWS or with another client, whose order ids run beside ours."""
    if world.gateway is None or world.exchange is None:
        return
    core = world.gateway.core
    world.story.fault("an order by another hand")
    con_id = rng.choice(list(SYMBOLS.values()))
    price = (world.exchange.quote(con_id).bid * Decimal(rng.choice(["0.99", "1.01"]))).quantize(Decimal("0.01"))
    request = OrderRequest(
        client_id=rng.choice([0, 99]), order_id=world.hand_order_id(), con_id=con_id, account=rng.choice(ACCOUNTS),
        action=rng.choice(["BUY", "SELL"]), quantity=Decimal(rng.choice([1, 20])), order_type="LMT", limit_price=price, aux_price=None,
        tif="DAY",
    )  # fmt: skip
    with core.turn():
        core.change("submit", request=order_to_json(request))


@fault(2)
async def strange_error(world: World, rng: Random) -> None:
    """An error about an order id that may be ours, with a code that may mean anything."""
    code = rng.choice([rng.randrange(1, 20000), 202, 201, 399, 404, 10147, 10148, 161, 2109, 10349])
    world.story.fault("gateway: an error out of nowhere")
    await world.command(f"error {CLIENT_ID} {rng.randint(1, 12)} {code} rehearsed")


# --- the market, the database, the clock ----------------------------------------------------------------------------------------------


@fault(6)
async def market_moves(world: World, rng: Random) -> None:
    """Not a fault, but what fills and elects orders in the midst of them."""
    symbol = rng.choice(list(SYMBOLS))
    if world.exchange is None:
        return
    bid = float(world.exchange.quote(SYMBOLS[symbol]).bid) * rng.choice([0.98, 0.995, 1.005, 1.02])
    world.story.fault("the market moves")
    await world.command(f"quote {symbol} {bid:.2f} {bid + 0.02:.2f} {rng.choice([20, 100, 5000])} {rng.choice([20, 100, 5000])}")
    await asyncio.sleep(rng.uniform(1, 6))
    await world.command(f"release-quote {symbol}")


@fault(2)
async def database_fails(world: World, rng: Random) -> None:
    world.story.fault("database locked")
    world.failures.until = world.loop.time() + rng.choice([0.5, 2.0, 9.0])


@fault(2)
async def commit_in_doubt(world: World, rng: Random) -> None:
    world.story.fault("commit in doubt")
    world.failures.doubtful = rng.randint(1, 3)


@fault(1)
async def clock_jumps(world: World, rng: Random) -> None:
    seconds = rng.choice([-20, -3, 2, 9, 30])
    world.story.fault("clock jumps", f"{seconds} s")
    world.skew += timedelta(seconds=seconds)


@fault(1)
async def position_by_hand(world: World, rng: Random) -> None:
    world.story.fault("a position that no execution explains")
    await world.command(f"position {rng.choice(ACCOUNTS)} {rng.choice(list(SYMBOLS))} {rng.choice([-50, 0, 25, 100])} 100")
