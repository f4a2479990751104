"""Designs that are known to be wrong, put in the place of ours for one run: a harness that does not catch them proves nothing.

The rule it keeps: they are patched on from here; the product has no switch that could be left on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from typing import Any

from broker.engine import checking, connection
from broker.simulator.exchange import Exchange
from broker.tests.simulator import broken
from oms_site.simulation.world import Parts
from orders import outbox
from orders.intake import executions, names
from orders.models import BrokerCommand, OrderRecord
from orders.rules.lifecycle import OrderStatus
from orders.rules.reports import ExecutionReported, OrderKey, Question
from orders.rules.terms import CommandKind, CommandState, GatewayState

Patch = tuple[Any, str, Any]
_again = count(1)


def _resend() -> list[Patch]:
    """What was sent and not acknowledged is sent again after a connection was lost."""
    ours = outbox.recover

    def recover(now: datetime, fence: int) -> Any:
        in_flight = [CommandState.SENDING.value, CommandState.SENT.value, CommandState.UNKNOWN.value]
        for command in BrokerCommand.objects.filter(kind=CommandKind.PLACE.value, state__in=in_flight, order__heard_at=None):
            OrderRecord.objects.filter(pk=command.order_id).update(status=OrderStatus.PENDING.value)
            BrokerCommand.objects.filter(pk=command.pk).update(state=CommandState.PENDING.value, claimable_at=now)
        return ours(now, fence)

    return [(outbox, "recover", recover)]


def _by_order_id() -> list[Patch]:
    """A message belongs to the order that has its order id, and the gateway says which id comes next."""

    def find(work: Any, key: OrderKey) -> OrderRecord | None:
        rows = OrderRecord.objects.select_related("account", "contract")
        return rows.filter(broker_ids__ib_order_id=key.ib_order_id).order_by("-pk").first() if key.ib_order_id else None

    return [(names, "find", find)]


def _only_at_connect() -> list[Patch]:
    """The broker is asked once, when the connection is made, and never again."""
    ours = checking.Checking._due

    def due(self: Any) -> frozenset[Question]:
        return ours(self) if self._here.state is GatewayState.RECONCILING else frozenset()

    def restored(self: Any, text: str) -> None:
        here = self._here
        here._broken.clear()
        if here.state is GatewayState.DEGRADED:
            here.change(GatewayState.READY)

    return [(checking.Checking, "_due", due), (connection.Connection, "_restored", restored)]


def _no_dedupe() -> list[Patch]:
    """Every execution that is heard counts."""
    ours = executions.take_execution

    def take(work: Any, report: ExecutionReported) -> None:
        if report.exec_id in work.known_executions or executions.Execution.objects.filter(exec_id=report.exec_id).exists():
            report = dataclasses.replace(report, exec_id=f"{report.exec_id}.again{next(_again)}")
        ours(work, report)

    from orders import intake

    handlers = {**intake._HANDLERS, ExecutionReported: take}
    return [(intake, "_HANDLERS", handlers)]


def _nothing() -> list[Patch]:
    return []


DESIGNS: dict[str, tuple[Callable[[], list[Patch]], Callable[..., Exchange]]] = {
    "resend": (_resend, Exchange),
    "by-order-id": (_by_order_id, Exchange),
    "only-at-connect": (_only_at_connect, Exchange),
    "no-dedupe": (_no_dedupe, Exchange),
    "exchange-fills-twice": (_nothing, broken.FillsTwice),
    "exchange-keeps-cancelled": (_nothing, broken.CancelOnlyConfirmed),
}


def described() -> list[tuple[str, str]]:
    """Each design with what is wrong about it."""
    return [(name, (patches.__doc__ or exchange.__doc__ or "").strip()) for name, (patches, exchange) in DESIGNS.items()]


@contextmanager
def design(name: str) -> Iterator[Parts]:
    """Puts a wrong design in place of ours for a while."""
    patches, exchange = DESIGNS[name]
    kept = []
    for owner, attribute, wrong in patches():
        kept.append((owner, attribute, getattr(owner, attribute)))
        setattr(owner, attribute, wrong)
    try:
        yield Parts(exchange=exchange)
    finally:
        for owner, attribute, right in kept:
            setattr(owner, attribute, right)
