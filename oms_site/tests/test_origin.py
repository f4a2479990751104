"""Who may open a WebSocket: pages of this very desk, port and scheme included."""

from typing import Any

import pytest
from channels.testing import WebsocketCommunicator

from oms_site.origin import SameOrigin, is_same_origin


def scope(origin: str | None, host: str = "127.0.0.1:8000", scheme: str = "ws") -> dict[str, Any]:
    """A handshake as Daphne hands it on."""
    headers = [(b"host", host.encode())] + ([(b"origin", origin.encode())] if origin is not None else [])
    return {"type": "websocket", "scheme": scheme, "headers": headers}


@pytest.fixture(autouse=True)
def public_address(settings: Any) -> None:
    settings.PUBLIC_ORIGINS = ["https://desk.example.com"]


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://localhost:8000", "localhost:8000"),
        ("http://localhost:9000", "localhost:9000"),  # a tunnel from another machine
        ("http://[::1]:8000", "[::1]:8000"),
        ("HTTP://LocalHost:8000", "localhost:8000"),
        ("https://desk.example.com", "desk.example.com"),
        ("https://desk.example.com", "127.0.0.1:8000"),  # a proxy that does not pass the name on
    ],
)
def test_pages_of_the_desk_come_in(origin: str, host: str) -> None:
    assert is_same_origin(scope(origin, host))


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "127.0.0.1:8000"),
        ("", "127.0.0.1:8000"),
        ("null", "127.0.0.1:8000"),
        ("http://127.0.0.1:9999", "127.0.0.1:8000"),  # another program on this machine
        ("http://localhost:8000", "127.0.0.1:8000"),
        ("https://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://desk.example.com", "desk.example.com"),  # without TLS
        ("https://desk.example.com:8443", "desk.example.com"),
        ("https://desk.example.com.evil.example", "desk.example.com"),
        ("http://evil.example:8000", "evil.example:8000"),  # a name that was made to point here
        ("http://127.0.0.1.evil.example:8000", "127.0.0.1.evil.example:8000"),
    ],
)
def test_others_stay_out(origin: str | None, host: str) -> None:
    assert not is_same_origin(scope(origin, host))


def test_two_origins_are_none() -> None:
    twice = scope("http://127.0.0.1:8000")
    twice["headers"].append((b"origin", b"http://127.0.0.1:8000"))
    assert not is_same_origin(twice)


@pytest.mark.parametrize(("origin", "comes_in"), [(b"http://127.0.0.1:8000", True), (b"http://127.0.0.1:9999", False)])
async def test_a_refused_handshake_never_reaches_the_consumer(origin: bytes, comes_in: bool) -> None:
    reached = []

    async def consumer(scope: dict[str, Any], receive: Any, send: Any) -> None:
        reached.append(scope["path"])
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    communicator = WebsocketCommunicator(SameOrigin(consumer), "/live/", headers=[(b"host", b"127.0.0.1:8000"), (b"origin", origin)])
    accepted, _ = await communicator.connect()
    assert (accepted, reached) == (comes_in, ["/live/"] if comes_in else [])
    await communicator.disconnect()
