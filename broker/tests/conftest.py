"""Fixtures for tests of the wire: a thread for the book, a simulated gateway, a desk that trades there.

Imports of the product stand inside the fixtures: this file is read before Django is ready.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from broker.simulator.server import SimulatedGateway
    from broker.tests.running import BookThread, Desk


@pytest.fixture
def book_thread(db: None) -> Iterator[BookThread]:
    """A thread that works on the test's own connection; made outside the loop, where that connection is the one in use."""
    from broker.tests.running import BookThread

    thread = BookThread()
    yield thread
    thread.close()


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[SimulatedGateway]:
    from broker.tests.simulator.running import running_gateway

    async with running_gateway() as running:
        yield running


@pytest_asyncio.fixture
async def desk(gateway: SimulatedGateway, book_thread: BookThread) -> AsyncIterator[Desk]:
    """A desk that is READY."""
    from broker.tests.running import running_desk

    async with running_desk(gateway, book_thread) as running:
        yield running


@pytest_asyncio.fixture
async def closed_desk(gateway: SimulatedGateway, book_thread: BookThread) -> AsyncIterator[Desk]:
    """A desk whose worker has not been started."""
    from broker.tests.running import running_desk

    async with running_desk(gateway, book_thread, start=False) as running:
        yield running
