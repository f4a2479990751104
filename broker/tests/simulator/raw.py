"""A hand-made API client for tests: it speaks any server version and judges nothing, so it can say what no library would."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterable
from typing import Any, Self

PATIENCE = 10
Fields = list[str]


def frame(fields: Iterable[object]) -> bytes:
    """One frame: each field as text and NUL, behind the length."""
    payload = "".join(f"{field}\0" for field in fields).encode()
    return struct.pack(">I", len(payload)) + payload


class RawClient:
    """One connection; `connect` shakes hands as `v<lowest>..<highest>` and starts the API."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.version = 0
        self.greeting: list[Fields] = []

    @classmethod
    async def open(cls, port: int) -> Self:
        """A bare TCP connection, nothing said yet."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    @classmethod
    async def connect(cls, port: int, *, client_id: int = 1, highest: int = 200, lowest: int = 100) -> Self:
        """Shakes hands, starts the API and reads the greeting up to the last farm notice."""
        client = await cls.open(port)
        await client.hello(f"v{lowest}..{highest}")
        client.send(71, 2, client_id, "")
        client.greeting = await client.until(lambda fields: fields[0] == "4" and "2158" in fields)
        return client

    async def hello(self, text: str) -> Fields:
        self._writer.write(b"API\0" + struct.pack(">I", len(text)) + text.encode())
        fields = await self.read()
        self.version = int(fields[0])
        return fields

    def send(self, *fields: object) -> None:
        self._writer.write(frame(fields))

    def send_bytes(self, data: bytes) -> None:
        self._writer.write(data)

    async def read(self) -> Fields:
        """The next frame's fields. Raises IncompleteReadError when the gateway has closed."""
        async with asyncio.timeout(PATIENCE):
            (length,) = struct.unpack(">I", await self._reader.readexactly(4))
            payload = (await self._reader.readexactly(length)).decode()
        assert payload.endswith("\0")
        return payload.split("\0")[:-1]

    async def until(self, wanted: Callable[[Fields], bool]) -> list[Fields]:
        """Frames up to and including the first that is wanted."""
        frames = [await self.read()]
        while not wanted(frames[-1]):
            frames.append(await self.read())
        return frames

    async def answer(self, message_id: int) -> Fields:
        """The next frame with this message id; others before it are passed over."""
        return (await self.until(lambda fields: fields[0] == str(message_id)))[-1]

    async def closed(self) -> bool:
        """True when the gateway closes without another complete frame being of interest."""
        async with asyncio.timeout(PATIENCE):
            try:
                while await self._reader.read(65536):
                    pass
            except ConnectionError:
                pass
        return True

    def close(self) -> None:
        self._writer.close()


CONTRACT = (265598, "AAPL", "STK", "", "0.0", "", "", "SMART", "", "USD", "", "")


def place_order(
    version: int, order_id: int, *, action: str = "BUY", quantity: object = 100, kind: str = "LMT", limit: object = "100.0",
    account: str = "DU1000417", ref: str = "", what_if: int = 0, transmit: int = 1, unset: str = "", contract: tuple[Any, ...] = CONTRACT,
) -> list[object]:  # fmt: skip
    """The fields of a placeOrder for a plain stock order, laid out by hand from the protocol's description for `version`."""
    blank = ""
    fields: list[object] = [3, order_id, *contract, blank, blank, action, quantity, kind, limit, unset, "", "", account, "O", 0, ref]
    fields += [transmit, 0, 0, 0, 0, 0, 0, 0]
    fields += [blank, 0, blank, blank, blank, blank, blank]  # shares allocation to faPercentage
    fields += [blank] if version < 177 else []
    fields += [blank, 0, blank, -1, 0, blank, blank, 0, unset, unset, 0, 0, unset, 0, unset, unset, unset, unset, unset, 0, unset, unset]
    fields += [blank, unset]  # delta neutral order type and price
    fields += [0, unset, unset, unset, unset, unset, unset, blank, blank, blank, blank]  # continuous update to hedge type
    fields += [0, blank, blank, 0, 0, blank, blank, what_if, blank, 0, 0, 0, 0]  # optOut ... number of conditions
    fields += [blank, unset, unset, unset, unset, unset, 0, blank, blank, blank, unset, blank, blank, blank, blank, 0, 0, 0, unset]
    for since, value in ((158, unset), (160, unset), (162, 0), (166, blank), (169, blank), (183, blank), (184, 0)):
        fields += [value] if version >= since else []
    fields += ["", 2147483647] if 187 <= version <= 189 else []
    for since, value in ((189, 0), (192, 2147483647), (199, 0)):
        fields += [value] if version >= since else []
    return fields


def cancel_order(version: int, order_id: int) -> list[object]:
    """The fields of a cancelOrder for `version`."""
    fields: list[object] = [4, 1, order_id] if version < 192 else [4, order_id]
    fields += [""] if version >= 169 else []
    fields += ["", "", 2147483647] if 187 <= version <= 189 else []
    return fields + (["", 2147483647] if version >= 192 else [])
