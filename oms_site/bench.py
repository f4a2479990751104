"""`make bench`: how long an order takes from the click to its fill on the screen, beside ib_async alone on the same simulated gateway.

The rule it keeps: both ways run in one run, in turns, against one gateway in one process, so that a busy machine is busy for both. The
desk's time is from the first byte of the form to the frame that carries the execution's row; ib_async's from `placeOrder` to
`commissionReport`.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
import queue
import re
import socket
import statistics
import struct
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from ib_async import IB, MarketOrder, Stock

from oms_site.tests.desk import Desk, Visitor
from oms_site.tests.pages import form_of

ROUNDS, ORDERS, WARM_UP = 3, 10, 5
USER = "trader1"
SYMBOL, CON_ID = "AAPL", 265598
OTHER_CLIENT = 99
PATIENCE = 20.0


def main() -> None:
    """Prints medians, 99th percentiles and the ratio of the medians."""
    with tempfile.TemporaryDirectory(prefix="deskbook-bench-") as folder, running(Path(folder) / "data") as desk:
        account = desk.query("select code from orders_account order by code")[0][0]
        screen = Screen(desk, account)
        alone = Alone(desk, account)
        for order in (screen.order, alone.order):
            for _ in range(WARM_UP):
                order()
        times: dict[str, list[float]] = {"the desk, click to fill on the screen": [], "ib_async alone, order to commission": []}
        for _ in range(ROUNDS):
            for order, found in zip((screen.order, alone.order), times.values(), strict=True):
                found += [order() for _ in range(ORDERS)]
        alone.close()
    say(times)


def say(times: dict[str, list[float]]) -> None:
    """The table."""
    out = sys.stdout.write
    out(f"{ROUNDS * ORDERS} market orders each way, milliseconds{'':<10} median       p99\n")
    for name, found in times.items():
        out(f"{name:<52}{statistics.median(found):8.1f}  {statistics.quantiles(found, n=100)[98]:8.1f}\n")
    ours, theirs = (statistics.median(found) for found in times.values())
    out(f"the desk's median is {ours / theirs:.2f} times that of ib_async alone\n")


@contextmanager
def running(data: Path) -> Iterator[Desk]:
    """A desk on an empty folder, ready for orders."""
    data.mkdir(mode=0o700)
    desk = Desk(data, arguments=())
    try:
        yield desk.start()
    finally:
        desk.close()


class Screen:
    """A trader at the desk: his form, and the socket that brings what happens."""

    def __init__(self, desk: Desk, account: str) -> None:
        self._visitor = desk.visitor(USER)
        self._account = account
        page = self._visitor.get(f"/ticket/contract/{CON_ID}/?account={account}", HX_Request="true").text
        self._token = _shown(page, "csrfmiddlewaretoken")
        self._rendered_at = _shown(page, "rendered_at")
        self._address = urllib.parse.urlsplit(desk.url).netloc
        self._cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._visitor.cookies)
        self._fills: queue.Queue[float] = queue.Queue()
        self._http = http.client.HTTPConnection(self._address, timeout=PATIENCE)
        self._count = 0
        query = urllib.parse.urlencode({"account": account, "seq": _seq(self._visitor, account), "panel": "executions~"})
        self._socket = open_socket(self._address, f"/live/?{query}", self._cookies)
        threading.Thread(target=self._listen, daemon=True).start()

    def order(self) -> float:
        """Sends an order that was previewed; milliseconds from the sending until its fill is on the screen."""
        self._count += 1
        if self._count % 20 == 0:  # a ticket lives for a minute
            page = self._visitor.get(f"/ticket/contract/{CON_ID}/?account={self._account}", HX_Request="true").text
            self._rendered_at = _shown(page, "rendered_at")
        fields = {
            "csrfmiddlewaretoken": self._token, "rendered_at": self._rendered_at, "key": uuid4().hex, "account": self._account,
            "symbol": SYMBOL, "con_id": CON_ID, "side": "BUY" if self._count % 2 else "SELL", "quantity": 1 + self._count // 2,
            "order_type": "MKT", "time_in_force": "DAY", "confirm_duplicate": "on",
        }  # fmt: skip
        headers = {
            "Content-Type": "application/x-www-form-urlencoded", "Cookie": self._cookies, "HX-Request": "true",
            "Origin": f"http://{self._address}",
        }  # fmt: skip
        looked = self._post("/ticket/preview/", fields, headers)
        sealed = form_of(looked, "preview-form") | {"csrfmiddlewaretoken": self._token, "confirm_duplicate": "on"}
        start = time.perf_counter()
        self._post("/ticket/", sealed, headers)
        return (self._fills.get(timeout=PATIENCE) - start) * 1000

    def _post(self, path: str, fields: dict[str, Any], headers: dict[str, str]) -> str:
        self._http.request("POST", path, urllib.parse.urlencode(fields), headers)
        answer = self._http.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            raise SystemExit(f"the desk refused: {' '.join(re.sub('<[^>]+>', ' ', text).split())[:500]}")
        return text

    def _listen(self) -> None:
        """Notes when a frame brings an execution that was not there before."""
        seen: set[str] = set()
        for text in frames(self._socket):
            at = time.perf_counter()
            for unit in json.loads(text).get("units", ()):
                if unit["panel"] == "executions" and unit["id"] not in seen and USER in (unit["html"] or ""):  # not the other client's
                    seen.add(unit["id"])
                    self._fills.put(at)


class Alone:
    """ib_async itself, a second client of the same gateway."""

    def __init__(self, desk: Desk, account: str) -> None:
        port = re.findall(r"simulated, 127\.0\.0\.1:(\d+)", desk.log)[-1]
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        self._ib = IB()
        self._account = account
        self._loop.run_until_complete(self._ib.connectAsync("127.0.0.1", int(port), clientId=OTHER_CLIENT))
        self._contract = Stock(SYMBOL, "SMART", "USD")
        self._loop.run_until_complete(self._ib.qualifyContractsAsync(self._contract))
        self._count = 0

    def order(self) -> float:
        """Sends an order; milliseconds until its commission is reported."""
        return self._loop.run_until_complete(self._order())

    async def _order(self) -> float:
        self._count += 1
        order = MarketOrder("BUY" if self._count % 2 else "SELL", 1, account=self._account)
        reported = asyncio.Event()
        start = time.perf_counter()
        trade = self._ib.placeOrder(self._contract, order)
        trade.commissionReportEvent += lambda *about: reported.set()
        async with asyncio.timeout(PATIENCE):
            await reported.wait()
        return (time.perf_counter() - start) * 1000

    def close(self) -> None:
        self._ib.disconnect()
        self._loop.close()


# --- A WebSocket client, as small as RFC 6455 allows: text frames from the server, and its pings answered ---------------------------------


def open_socket(address: str, path: str, cookies: str) -> socket.socket:
    """The socket after the handshake."""
    host, _, port = address.partition(":")
    connection = socket.create_connection((host, int(port)), timeout=PATIENCE)
    key = base64.b64encode(os.urandom(16)).decode()
    lines = (
        f"GET {path} HTTP/1.1", f"Host: {address}", "Upgrade: websocket", "Connection: Upgrade", f"Origin: http://{address}",
        f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", f"Cookie: {cookies}", "", "",
    )  # fmt: skip
    connection.sendall("\r\n".join(lines).encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += connection.recv(1)
    if b" 101 " not in answer.split(b"\r\n")[0]:
        raise SystemExit(f"no socket: {answer.decode()}")
    connection.settimeout(None)
    return connection


def frames(connection: socket.socket) -> Iterator[str]:
    """The text of each frame, until the desk closes."""
    read = 0
    with connection.makefile("rb") as stream:
        while head := stream.read(2):
            kind, size = head[0] & 15, head[1] & 127
            if size > 125:
                size = struct.unpack(">H" if size == 126 else ">Q", stream.read(2 if size == 126 else 8))[0]
            data = stream.read(size)
            if kind == 1:
                yield data.decode()
                read += len(data)
                connection.sendall(_masked(1, str(read).encode()))  # the receipt that live.js gives
            elif kind == 9:
                connection.sendall(_masked(10, data))


def _masked(kind: int, data: bytes) -> bytes:
    return bytes([0x80 | kind, 0x80 | len(data), 0, 0, 0, 0]) + data  # a mask of zeros leaves it as it is


def _shown(page: str, name: str) -> str:
    found = re.search(rf'name="{name}"[^>]* value="([^"]*)"', page)
    if found is None:
        raise SystemExit(f"the ticket has no {name}")
    return found[1]


def _seq(visitor: Visitor, account: str) -> Any:
    found = re.search(r'data-seq="(\d+)"', visitor.get(f"/panels/executions/?account={account}").text)
    assert found is not None
    return found[1]


if __name__ == "__main__":
    main()
