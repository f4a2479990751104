"""The one WebSocket of a page: `/live/?seq=<oldest data-seq>&account=<code>&panel=<name>~<scope>&panel=...`.

The rule it keeps: it only tells. What a browser sends is how much it has read, a number, and nothing else is understood. It does no
database work after the connect and has no mailbox in the channel layer: the hub writes to it.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs

from channels.consumer import AsyncConsumer
from channels.exceptions import StopConsumer
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ObjectDoesNotExist

from orders.pages.hub import hub
from orders.pages.sockets import CHANGED_RIGHTS, UNKNOWN_PERSON, Socket

MOST_PANELS = 16
LONGEST_SCOPE = 64


class LiveConsumer(AsyncConsumer):
    channel_layer_alias = ""  # no layer has this name

    _socket: Socket | None = None
    _writer: asyncio.Task[None] | None = None

    async def dispatch(self, message: dict[str, Any]) -> None:
        """As Channels does it, without its visit to the database's thread before every message: one slow query would stop all sockets."""
        if message["type"] == "websocket.connect":
            await self._connect()
        elif message["type"] == "websocket.receive":
            self._receive(message.get("text") or "")
        elif message["type"] == "websocket.disconnect":
            self._disconnect()
            raise StopConsumer

    async def _connect(self) -> None:
        """Accepts before it refuses: a browser learns the reason only from the code of a close."""
        await self.send({"type": "websocket.accept"})
        user, session = self.scope["user"], self.scope["session"]
        if not user.is_authenticated:
            await self.send({"type": "websocket.close", "code": UNKNOWN_PERSON})
            return
        try:
            seq, account, panels, language = _asked(self.scope["query_string"])
            socket = await hub().admit(user.pk, session.session_key, account, panels, language)
        except get_user_model().DoesNotExist:  # shut out since the handshake
            await self.send({"type": "websocket.close", "code": UNKNOWN_PERSON})
            return
        except (ObjectDoesNotExist, KeyError, ValueError):
            await self.send({"type": "websocket.close", "code": CHANGED_RIGHTS})
            return
        self._socket = socket
        self._writer = asyncio.create_task(self._write(socket))
        hub().join(socket, seq)

    def _receive(self, text: str) -> None:
        if self._socket is not None and text.isascii() and text.isdecimal() and len(text) < 16:
            self._socket.receipt(int(text))

    def _disconnect(self) -> None:
        if self._socket is not None and self._writer is not None:
            hub().leave(self._socket)
            self._writer.cancel()

    async def _write(self, socket: Socket) -> None:
        """Takes the socket's frames to the browser; a server that waits for a slow reader waits here, for this one only."""
        while True:
            item = await socket.outbox.get()
            if isinstance(item, int):
                await self.send({"type": "websocket.close", "code": item})
                hub().leave(socket)
                return
            await self.send({"type": "websocket.send", "text": item})


def _asked(query_string: bytes) -> tuple[int, str, list[tuple[str, str]], str]:
    """(seq, account code, panels with their scopes, language) of the address. Raises ValueError for one that no page of ours has."""
    query = parse_qs(query_string.decode(), max_num_fields=MOST_PANELS + 8)
    panels = [(name, scope[:LONGEST_SCOPE]) for name, _, scope in (value.partition("~") for value in query.get("panel", []))]
    language = query.get("language", [""])[0]
    if language not in dict(settings.LANGUAGES):
        language = settings.LANGUAGE_CODE
    return int(query.get("seq", ["0"])[0]), query.get("account", [""])[0], panels[:MOST_PANELS], language
