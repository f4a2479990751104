"""The way to the gateway, and from there to IB: broken, silent, half told."""

from __future__ import annotations

import signal
import time

from oms_site.faults.rig import Rig
from oms_site.faults.rows.row import Row
from oms_site.tests.desk import wait_until
from orders.models import Gateway, OrderRecord


def _gateway_killed(rig: Rig) -> None:
    request = rig.post()
    rig.order_is(request, "WORKING")
    rig.kill("gateway")
    rig.start_gateway()
    rig.ready()
    rig.order_is(request, "WORKING")


def _ids_rolled_back(rig: Rig) -> None:
    rig.order_is(rig.order(), "WORKING")
    rig.control("reset-ids 5")
    rig.control("drop")
    rig.faults += 1
    wait_until(lambda: not rig.is_ready(), "the loss is noticed")
    rig.order_is(rig.order(quantity=2), "WORKING")


def _frozen_gateway(rig: Rig) -> None:
    """It looks connected and answers nothing: found within 10 s (and some for a busy machine), and no order enters the dead socket."""
    rig.order_is(rig.order(), "WORKING")
    rig.parts["gateway"].signal(signal.SIGSTOP)
    rig.faults += 1
    started = time.monotonic()
    wait_until(lambda: rig.read(lambda: Gateway.objects.get(pk=1)).state == "DEGRADED", "it is found", 15)
    assert time.monotonic() - started < 12
    late = rig.post(quantity=2)
    assert late.status != 200 or OrderRecord.objects.get(client_order_id=rig.name_of(late)).status == "PENDING"
    rig.parts["gateway"].signal(signal.SIGCONT)


ROWS = (
    Row("B3", "the gateway freezes", _frozen_gateway),
    Row("B6", "the gateway is killed and started again", _gateway_killed),
    Row("B8", "the gateway's order ids roll back", _ids_rolled_back),
)
