"""The real client libraries, connected to a simulated gateway, and waiting for what they hear without sleeping."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from ib_async import IB, Order, Stock, Trade

PATIENCE = 10
FIRST, SECOND = "DU1000417", "DU1000902"
AAPL = Stock("AAPL", "SMART", "USD", conId=265598)


@asynccontextmanager
async def connected(port: int, client_id: int = 17, *, highest: int | None = None) -> AsyncIterator[IB]:
    """A connected IB whose start-up requests were all answered; `highest` caps the server version it negotiates."""
    ib = IB()
    if highest is not None:
        ib.client.MaxClientVersion = highest
    await ib.connectAsync("127.0.0.1", port, clientId=client_id, timeout=PATIENCE, raiseSyncErrors=True)
    try:
        yield ib
    finally:
        with suppress(OSError):  # the gateway may have been killed, and ib_async shuts down a socket that is gone
            ib.disconnect()


async def until(ib: IB, condition: Callable[[], bool]) -> None:
    """Returns once `condition` holds, looked at after every packet."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await ib.updateEvent


async def place(ib: IB, order: Order, contract: Stock = AAPL) -> Trade:
    """Places an order and waits until the gateway has said all that it says at once."""
    trade = ib.placeOrder(contract, order)
    await until(ib, lambda: bool(trade.order.permId) or len(trade.log) > 1)
    await ib.reqCurrentTimeAsync()
    return trade


def errors_of(ib: IB) -> list[tuple[int, int]]:
    """A list that fills with (request id, code) as errors arrive."""
    heard: list[tuple[int, int]] = []
    ib.errorEvent += lambda req_id, code, text, contract: heard.append((req_id, code))
    return heard
