"""What the book's tests share: nobody listens for its bells, but where a test says so."""

from __future__ import annotations

from typing import Any

import pytest

LISTENING = ("test_consumers", "test_hub")


@pytest.fixture(autouse=True)
def nobody_listens(request: pytest.FixtureRequest, settings: Any) -> None:
    """No channel layer. Outside a server each bell would start a loop and a thread of its own: a tenth of the time of these tests."""
    if request.module.__name__.rpartition(".")[2] not in LISTENING:
        settings.CHANNEL_LAYERS = {}
