"""What tests of the live panels share: orders written into the book, and browsers' ends of the socket without a browser."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from itertools import count
from typing import Any
from urllib.parse import urlencode

from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.test import Client

from oms_site.asgi import application
from orders.book import book
from orders.models import Account, Contract, OrderRecord
from orders.models.book import Source
from orders.pages.hub import hub
from orders.pages.panels import book_seq
from orders.rules.lifecycle import OrderStatus
from orders.tests.factories import NOW

PATIENCE = 20.0  # seconds a frame may take on a busy machine

_numbers = count(1)


def place(account: Account, contract: Contract, side: str = "BUY", quantity: str = "100", price: str = "99.00") -> OrderRecord:
    """A limit order that the broker holds in the market."""
    number = next(_numbers)
    with book(at=NOW) as b, b.event("order.placed", source=Source.USER, account=account) as fact:
        return fact.add(
            OrderRecord(
                client_order_id=f"DBTEST-{number:026d}",
                account=account,
                contract=contract,
                side=side,
                order_type="LMT",
                quantity=Decimal(quantity),
                limit_price=Decimal(price),
                time_in_force="DAY",
                unit_id=f"unit-{number}",
                status=OrderStatus.WORKING.value,
                created_at=NOW,
            )
        )


def change(order: OrderRecord, **fields: Any) -> None:
    """Sets fields of an order, as a report of the broker does."""
    with book(at=NOW) as b, b.event("order.changed", source=Source.BROKER, order=order) as fact:
        fact.set(order, **fields)


def cookie(user: User) -> str:
    """A session of the user, as the browser sends it."""
    client = Client()
    client.force_login(user)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


class Tab:
    """One page's socket. `async with Tab(user, "orders", account=...) as tab` is connected and greeted; `frames` keeps all it was sent."""

    def __init__(self, session: str, *panels: str, account: Account | None = None, seq: int | None = None, reads: bool = True) -> None:
        self._session = session
        self._query = {"account": account.code if account else "", "panel": [p if "~" in p else f"{p}~" for p in panels]}
        self._seq = seq
        self._reads = reads
        self.frames: list[dict[str, Any]] = []
        self.characters = 0

    async def open(self) -> Tab:
        """Connects, as a page does that was rendered just now."""
        seq = self._seq if self._seq is not None else await sync_to_async(_seq_now, thread_sensitive=False)()
        address = f"/live/?{urlencode({**self._query, 'seq': seq}, doseq=True)}"
        headers = [(b"host", b"127.0.0.1:8000"), (b"origin", b"http://127.0.0.1:8000")]
        if self._session:
            headers.append((b"cookie", f"{settings.SESSION_COOKIE_NAME}={self._session}".encode()))
        self._socket = WebsocketCommunicator(application, address, headers=headers)
        accepted, _ = await self._socket.connect(timeout=PATIENCE)
        assert accepted
        return self

    async def __aenter__(self) -> Tab:
        await self.open()
        await self.frame()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._socket.disconnect(timeout=PATIENCE)

    async def frame(self, wanted: Callable[[dict[str, Any]], Any] = lambda frame: True) -> dict[str, Any]:
        """The next frame that is wanted; those before it are kept in `frames` too."""
        end = asyncio.get_running_loop().time() + PATIENCE
        while True:
            left = end - asyncio.get_running_loop().time()
            assert left > 0, self.frames
            message = await self._socket.receive_output(timeout=left)
            assert message["type"] == "websocket.send", message
            self.characters += len(message["text"])
            self.frames.append(json.loads(message["text"]))
            if self._reads:
                await self.say(str(self.characters))
            if wanted(self.frames[-1]):
                return self.frames[-1]

    async def unit(self, unit_id: str, text: str | None = "") -> dict[str, Any]:
        """The unit of that id, once it shows the text; None waits until it is taken away."""

        def shows(unit: dict[str, Any]) -> bool:
            return unit["id"] == unit_id and (unit["html"] is None if text is None else text in (unit["html"] or ""))

        frame = await self.frame(lambda frame: any(shows(unit) for unit in frame.get("units", ())))
        return next(unit for unit in frame["units"] if shows(unit))

    async def closed(self) -> int:
        """The code it is closed with, whatever was sent before."""
        while (message := await self._socket.receive_output(timeout=PATIENCE))["type"] == "websocket.send":
            self.frames.append(json.loads(message["text"]))
        return int(message["code"])

    async def say(self, text: str) -> None:
        await self._socket.send_to(text_data=text)

    @property
    def units(self) -> list[dict[str, Any]]:
        return [unit for frame in self.frames for unit in frame.get("units", ())]


def _seq_now() -> int:
    """In whatever thread: its connection is given back, or a pool would miss it."""
    try:
        return book_seq()
    finally:
        connection.close()


async def nobody_looks() -> None:
    """Waits until the hub of this loop has given its connection back. Its thread outlives the loop, and would keep one of the pool's."""
    mine = hub()
    mine._bell.set()
    async with asyncio.timeout(PATIENCE):
        while mine._awake:
            await asyncio.sleep(0.01)


def end_session(session: str) -> None:
    """Signs out."""
    SessionStore(session).flush()
