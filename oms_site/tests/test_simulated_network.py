"""The simulation's connections: what arrives is what was written, up to some byte, however a connection ends."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from oms_site.simulation.loop import VirtualLoop
from oms_site.simulation.network import Network

WRITTEN = [b"first,", b"second,", b"third,", b"fourth"]


class _Kept(asyncio.Protocol):
    """Keeps what arrives; `lost` once the connection is gone."""

    def __init__(self) -> None:
        self.heard = b""
        self.lost = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set_result(error)


async def _broken_off(network: Network, after: int) -> bytes:
    """What one side has heard of `WRITTEN` when the connection breaks after so many bytes."""
    loop, far = network.loop, _Kept()
    await loop.create_server(lambda: far, "127.0.0.1", 4002)
    near, _ = await loop.create_connection(_Kept, "127.0.0.1", 4002)
    near.link.reset_after = after
    for piece in WRITTEN:
        near.write(piece)
    await far.lost
    return far.heard


@pytest.mark.parametrize("slices", [False, True], ids=["whole", "in pieces"])
def test_a_connection_that_breaks_in_the_middle_has_no_hole_in_what_arrived(slices: bool) -> None:
    whole = b"".join(WRITTEN)
    for after in range(len(whole)):
        network = Network(VirtualLoop(), Random(f"{after}"))
        network.weather.slices = slices
        assert network.loop.run_until_complete(_broken_off(network, after)) == whole[:after]
