"""The tests of the tests, for the whole worker: the same short day at a sound exchange and at deliberately broken ones. What the book would
then show must be noticed, each time by the check that is meant for it.

Nothing here waits for time: the exchange acts at once, and a question that it has answered says that all before it has been heard.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal as D

import pytest

from broker.simulator.exchange import Exchange
from broker.tests.running import BookThread, Desk, running_desk
from broker.tests.simulator.broken import BROKEN
from broker.tests.simulator.running import running_gateway
from orders.models import BrokerCommand, Contract, Execution, OrderRecord, Position
from orders.rules.terms import CommandState, OcaType, Side
from orders.tests.factories import make_contract

pytestmark = pytest.mark.django_db

CON_IDS = {"IBM": 8314, "KO": 8894, "MSFT": 272093, "AMD": 4391}
BUY = Side.BUY

# The check that must notice each broken exchange; others may notice it as well.
NOTICED_BY = {
    "OcaSiblingsSurvive": "a filled exit cancels the other",
    "ModifyIgnored": "a change is confirmed",
    "CancelNotConfirmed": "a cancel is confirmed",
    "CancelOnlyConfirmed": "what was cancelled never fills",
    "FillsTwice": "executions add up to the position",
    "ChildrenNotHeld": "exits wait for their entry",
    "ChildrenStayHeld": "exits live once their entry has filled",
    "FillsBeyondTheLimit": "no fill is worse than the limit",
    "ReducesNothing": "a partly filled exit reduces the other",
}


@asynccontextmanager
async def a_desk(kind: type[Exchange], do: BookThread) -> AsyncIterator[Desk]:
    """A desk at an exchange of this kind."""
    async with running_gateway(exchange_factory=kind) as gateway, running_desk(gateway, do) as desk:
        yield desk


async def heard(desk: Desk) -> None:
    """All that was asked is sent, and all that the exchange did is in the book."""
    await desk.until(lambda: not BrokerCommand.objects.filter(state__in=[CommandState.PENDING, CommandState.SENDING]).exists())
    await desk.connector.questions.current_time(20)
    await desk.connector.inbox.emptied()


async def market(desk: Desk, symbol: str, bid: str, ask: str, size: int = 500) -> None:
    await desk.command(f"quote {symbol} {bid} {ask} {size} {size}")
    await heard(desk)


async def look(desk: Desk, *orders: OrderRecord) -> list[OrderRecord]:
    """The orders as the book has them now."""
    await heard(desk)
    return await desk.do(lambda: [OrderRecord.objects.get(pk=order.pk) for order in orders])


class Day:
    """A short day at a desk. `problems` are the names of the checks that failed."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.problems: set[str] = set()

    def check(self, name: str, holds: bool) -> None:
        assert name in NOTICED_BY.values()
        if not holds:
            self.problems.add(name)

    async def live(self) -> set[str]:
        await self.fill(await self.contract("IBM"))
        await self.change_and_cancel(await self.contract("KO"))
        await self.bracket(await self.contract("MSFT"))
        await self.protect(await self.contract("AMD"))
        return self.problems

    async def contract(self, symbol: str) -> Contract:
        """Each part of the day has a contract of its own, at 100.00 to 100.02."""
        await self.desk.command(f"quote {symbol} 100.00 100.02 500 500")
        return await self.desk.do(lambda: make_contract(symbol, con_id=CON_IDS[symbol]))

    async def fill(self, contract: Contract) -> None:
        order = await self.desk.place("place_limit_order", BUY, "100", contract, limit_price=D("100.02"))
        [order] = await look(self.desk, order)
        executed, held = await self.desk.do(
            lambda: (
                sum((one.quantity for one in Execution.objects.filter(order=order, counts=True)), D(0)),
                Position.objects.get(contract=contract).quantity,
            )
        )
        self.check("executions add up to the position", executed == held == order.filled_quantity == 100)
        self.check("no fill is worse than the limit", order.average_price is not None and order.average_price <= D("100.02"))

    async def change_and_cancel(self, contract: Contract) -> None:
        order = await self.desk.place("place_limit_order", BUY, "10", contract, limit_price=D("95.00"))
        await heard(self.desk)
        await self.desk.act("modify_order", order, limit_price=D("96.00"))
        [order] = await look(self.desk, order)
        self.check("a change is confirmed", order.limit_price == 96)
        other = await self.desk.place("place_limit_order", BUY, "20", contract, limit_price=D("95.00"))
        await heard(self.desk)
        await self.desk.act("cancel_order", other)
        [other] = await look(self.desk, other)
        self.check("a cancel is confirmed", other.status == "CANCELLED")
        await market(self.desk, "KO", "90.00", "90.02")
        [other] = await look(self.desk, other)
        self.check("what was cancelled never fills", other.filled_quantity == 0)

    async def bracket(self, contract: Contract) -> None:
        prices = {"limit_price": D("98.00"), "take_profit_price": D("110.00"), "stop_loss_price": D("95.00")}
        entry, target, stop = await look(self.desk, *await self.desk.place("place_bracket", BUY, "100", contract, **prices))
        self.check("exits wait for their entry", (entry.status, target.status, stop.status) == ("WORKING", "HELD", "HELD"))
        await market(self.desk, "MSFT", "97.98", "98.00")
        entry, target, stop = await look(self.desk, entry, target, stop)
        self.check("exits live once their entry has filled", (entry.status, target.status) == ("FILLED", "WORKING"))
        await market(self.desk, "MSFT", "94.00", "94.02")
        target, stop = await look(self.desk, target, stop)
        self.check("a filled exit cancels the other", (target.status, stop.status) == ("CANCELLED", "FILLED"))

    async def protect(self, contract: Contract) -> None:
        await self.desk.place("place_market_order", BUY, "100", contract)
        await heard(self.desk)
        prices = {"stop_price": D("95.00"), "target_price": D("105.00")}
        group = await self.desk.act("place_oca_group", self.desk.account, contract, oca_type=OcaType.REDUCE_WITH_BLOCK, **prices)
        await heard(self.desk)
        await market(self.desk, "AMD", "105.00", "105.02", size=40)
        stop, target = await look(self.desk, *group)
        self.check("a partly filled exit reduces the other", (target.filled_quantity, stop.quantity) == (40, 60))


async def test_the_sound_exchange_passes_every_check(book_thread: BookThread) -> None:
    async with a_desk(Exchange, book_thread) as desk:
        assert await Day(desk).live() == set()


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
async def test_a_broken_exchange_is_noticed(kind: type[Exchange], book_thread: BookThread) -> None:
    async with a_desk(kind, book_thread) as desk:
        assert NOTICED_BY[kind.__name__] in await Day(desk).live()


def test_every_broken_exchange_has_its_check() -> None:
    assert set(NOTICED_BY) == {kind.__name__ for kind in BROKEN}
    assert len(set(NOTICED_BY.values())) == len(NOTICED_BY)
