"""A whole worker for tests: the real engine and ib_async against the simulated gateway over TCP, and a trader who uses OrderManager.

The rule kept here: the book's functions run in a thread of their own, as in life, but on the connection of the test, so that all of it is
undone afterwards. A test talks to the book through `desk.do`, and waits with `desk.until` for what it expects.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal as D
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import connections
from django.utils import timezone

from broker.connector import IBKRConnector
from broker.engine import Engine
from broker.simulator.server import SimulatedGateway
from orders import lease, replay
from orders.manager import OrderManager
from orders.models import Account, AccountValue, Contract, Gateway, OrderRecord
from orders.rules.terms import GatewayState, Side
from orders.tests.factories import a_key, grant, make_book, make_contract, make_quote, make_user

PATIENCE = 20.0
AAPL = 265598
ACCOUNTS = ("DU1000417", "DU1000902")

T = TypeVar("T")


class BookThread:
    """`run_in_book` of tests: one thread, in the order of asking, on the connection of the test."""

    def __init__(self) -> None:
        """Made outside a loop: inside one, Django would give it a connection of its own."""
        self.broken: Exception | None = None
        shared = connections["default"]
        shared.inc_thread_sharing()
        self._shared = shared
        self._executor = ThreadPoolExecutor(1, initializer=lambda: connections.__setitem__("default", shared))

    async def __call__(self, function: Callable[..., T], *args: Any, **named: Any) -> T:
        if self.broken is not None:
            raise self.broken
        return await sync_to_async(function, thread_sensitive=False, executor=self._executor)(*args, **named)

    def close(self) -> None:
        self._executor.shutdown(wait=True)
        self._shared.dec_thread_sharing()


class Skewed:
    """The time of day and the monotonic clock, which a test can push forward together."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> datetime:
        return timezone.now() + timedelta(seconds=self.ahead)

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@dataclass
class Desk:
    """One trader with one account and one contract, and the worker behind them."""

    gateway: SimulatedGateway
    do: BookThread
    time: Skewed = field(default_factory=Skewed)
    client_id: int = 17
    port: int | None = None  # where the worker connects, if not to the gateway itself
    engine: Engine = field(init=False)
    connector: IBKRConnector = field(init=False)
    running: asyncio.Task[None] = field(init=False)
    account: Account = field(init=False)
    contract: Contract = field(init=False)
    manager: OrderManager = field(init=False)

    async def open(self) -> None:
        """The book, empty and unbound, and a trader who will be given the account when the gateway names it."""
        await self.do(make_book, "", (), timezone.now())
        await self.do(self._forget_gateway)
        self.contract = await self.do(lambda: Contract.objects.filter(con_id=AAPL).first() or make_contract("AAPL", con_id=AAPL))

    @staticmethod
    def _forget_gateway() -> None:
        Gateway.objects.update(state=GatewayState.DOWN.value)

    def start(self, *, patience: float = 5.0, **options: Any) -> Engine:
        """Starts a worker; the one before, if any, must have ended."""
        clocks: dict[str, Any] = {"clock": self.time.now, "monotonic": self.time.monotonic}
        self.connector = IBKRConnector("127.0.0.1", self.port or self.gateway.port, self.client_id, patience=patience, **clocks)
        self.engine = Engine(self.connector, run_in_book=self.do, **clocks, **options)
        self.running = asyncio.create_task(self.engine.run())
        return self.engine

    async def stop(self) -> None:
        """Ends the worker in order; raises what it died of."""
        self.engine.stop()
        await self.running

    async def end(self) -> None:
        """Ends the worker at once, as a killed process ends."""
        if hasattr(self, "running"):
            self.running.cancel()
            await asyncio.wait({self.running})

    async def pass_time(self, seconds: float) -> None:
        """Lets time pass on both clocks; the lease is kept meanwhile, as the worker does that is busy or waits."""
        here = self.engine.situation
        for step in [2.0] * int(seconds // 2) + [seconds % 2]:
            self.time.ahead += step
            assert await self.do(lease.renew, here.holder, here.fence, self.time.now())
            here.renewed(self.time.monotonic())

    async def ready(self) -> None:
        """Waits for READY, and lets the trader trade."""
        await self.until(lambda: self.engine.situation.state is GatewayState.READY)
        await self.until(self._accounts_known)
        await self.do(self._let_trade)

    def _accounts_known(self) -> bool:
        known = AccountValue.objects.filter(account__code=ACCOUNTS[0], name="ExchangeRate").exists()
        return known and Gateway.objects.get().state == GatewayState.READY.value

    def _let_trade(self) -> None:
        if hasattr(self, "manager"):
            return
        self.account = Account.objects.get(code=ACCOUNTS[0])
        user = make_user("trader")
        grant(user, self.account, at=timezone.now())
        self.manager = OrderManager(user, clock=self.time.now)

    async def until(self, question: Callable[[], T], seconds: float = PATIENCE) -> T:
        """Waits until the question, asked of the book, has a true answer, and gives it. Raises AssertionError with the state of things."""
        ends = time.monotonic() + seconds
        while not (answer := await self.do(question)):
            if self.running.done() and not self.running.cancelled() and self.running.exception() is not None:
                raise AssertionError("the engine died") from self.running.exception()
            if time.monotonic() > ends:
                here = self.engine.situation
                orders = await self.do(lambda: [f"{o} {o.status} {o.filled_quantity} {o.status_text}" for o in OrderRecord.objects.all()])
                raise AssertionError(f"it did not come; gateway {here.state} {here.reason!r}, orders {orders}")
            await asyncio.sleep(0.01)
        return answer

    async def place(
        self,
        verb: str = "place_market_order",
        side: Side = Side.BUY,
        quantity: str = "100",
        contract: Contract | None = None,
        **options: Any,
    ) -> Any:
        """Asks the manager for an order, with a fresh quote behind it."""
        what = contract or self.contract

        def place() -> Any:
            quote = self.gateway.exchange.quote(what.con_id)
            make_quote(what, str(quote.bid), str(quote.ask), str(quote.bid), at=self.time.now())
            return getattr(self.manager, verb)(self.account, what, side, D(quantity), **{"key": a_key(), **options})

        order = await self.do(place)
        self.engine.wake()
        return order

    async def act(self, verb: str, *args: Any, **options: Any) -> Any:
        """Asks the manager for anything else, and rings the bell."""
        answer = await self.do(lambda: getattr(self.manager, verb)(*args, **{"key": a_key(), **options}))
        self.engine.wake()
        return answer

    async def command(self, line: str) -> str:
        """A control command of the simulated gateway; it must succeed."""
        answer = await self.gateway.command(line)
        assert answer.startswith("ok"), answer
        return answer.removeprefix("ok").strip()

    async def broker_orders(self) -> list[dict[str, Any]]:
        """The orders as the exchange has them: the truth that the book is compared with."""
        return [{**one.pop("request"), **one} for one in json.loads(await self.command("orders"))]

    async def order_is(self, order: OrderRecord, status: str, seconds: float = PATIENCE) -> OrderRecord:
        """Waits until the order has the status, and gives it fresh."""
        return await self.until(lambda: OrderRecord.objects.filter(pk=order.pk, status=status).first(), seconds)


@asynccontextmanager
async def running_desk(gateway: SimulatedGateway, do: BookThread, *, start: bool = True, **options: Any) -> AsyncIterator[Desk]:
    """A desk at this gateway, READY unless `start` is False; its worker ends with it, and its record is proved: events give the rows."""
    desk = Desk(gateway, do)
    try:
        await desk.open()
        if start:
            desk.start(**options)
            await desk.ready()
        yield desk
        await desk.end()
        assert await do(replay.differences) == []
        assert await do(replay.verify_chain) is None
    finally:
        await desk.end()
