"""The common ending of every row: answers that were lost are asked for by key, the desk comes to rest, and all its truths are compared.

The rule it keeps: an order is lost where somebody was told that it was accepted and neither the exchange nor a visible state of the book
has it; it is doubled where one request is more than one order there.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, field

from django.db import connection, transaction
from django.utils import timezone

from oms_site.faults.rig import SECONDS, Request, Rig
from oms_site.tests.agreement import disagreements
from oms_site.tests.desk import wait_until
from orders.invariants import check
from orders.models import BrokerCommand, OrderRecord, Submission

_OPEN = ("PENDING", "SENDING", "SENT", "UNKNOWN")


@dataclass
class Verdict:
    """What a row came to."""

    orders: int = 0
    faults: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what was measured

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.violations)

    def add(self, other: Verdict) -> None:
        self.orders += other.orders
        self.faults += other.faults
        self.lost += other.lost
        self.doubled += other.doubled
        self.violations += other.violations
        self.notes += other.notes


def end(rig: Rig) -> Verdict:
    """Heals, waits, compares. Raises AssertionError where the desk does not come to rest in time."""
    rig.heal()
    for request in rig.requests:
        if not request.is_accepted:
            with contextlib.suppress(AssertionError):  # what is still refused is told with the rest
                wait_until(lambda request=request: _is_accepted(rig, request), "the key is accepted", SECONDS)
    wait_until(lambda: rig.read(_at_rest), "the desk is at rest", SECONDS)
    found: list[str] = []

    def agrees() -> bool:
        found[:] = rig.read(lambda: _differences(rig))
        return not found

    with contextlib.suppress(AssertionError):  # what differs is told with the rest
        wait_until(agrees, "book and exchange agree", SECONDS)
    return _verdict(rig, found)


def _is_accepted(rig: Rig, request: Request) -> bool:
    rig.control("tick 0")  # the market stands still in a drill, and an order wants a fresh quote
    return rig.send(request) is not None and request.is_accepted


def _at_rest() -> bool:
    """Nothing is on its way; of what is in doubt two complete snapshots have told that the broker does not have it."""
    doubtful = OrderRecord.objects.filter(status="UNKNOWN")
    doubted = set(doubtful.values_list("pk", flat=True))
    moving = BrokerCommand.objects.filter(state__in=_OPEN).exclude(order_id__in=doubted)
    still = OrderRecord.objects.filter(status__in=("PENDING", "SENT"))
    return not moving.exists() and not still.exists() and not doubtful.exclude(status_text__contains="not at the broker").exists()


def _differences(rig: Rig) -> list[str]:
    """What differs, but for orders that are shown as UNKNOWN, not at the broker: that is what they are."""
    unknown = set(OrderRecord.objects.filter(status="UNKNOWN").values_list("client_order_id", flat=True))
    told = disagreements(lambda line: f"ok {rig.control(line)}", rig.ledger)
    return [one for one in told if not (one.partition(" ")[0] in unknown and one.endswith("not at the exchange"))]


def _verdict(rig: Rig, differences: list[str]) -> Verdict:
    verdict = Verdict(faults=rig.faults, violations=list(differences), notes=list(rig.notes))
    verdict.violations += [f"{one.key} was refused: {one.words}" for one in rig.requests if not one.is_accepted]
    ids: dict[str, set[str]] = {}
    names = set(rig.read(lambda: list(OrderRecord.objects.values_list("client_order_id", flat=True))))
    for line in rig.ledger:
        if line["kind"] == "in" and line["message"] == "placeOrder":
            for name in set(map(str, line["fields"])) & names:
                ids.setdefault(name, set()).add(str(line["fields"][1]))
    verdict.doubled = [f"{name} was placed under {sorted(several)}" for name, several in ids.items() if len(several) > 1]
    made: Counter[int] = Counter()
    for request in rig.requests:
        row = rig.read(lambda request=request: Submission.objects.filter(key=request.key).first())
        if row is None:
            if request.status == 200:
                verdict.lost.append(f"{request.key} was accepted and is not in the book")
            continue
        made.update(row.result.get("orders", ()))
    verdict.doubled += [f"order {pk} answers {times} requests" for pk, times in made.items() if times > 1]
    known = rig.read(lambda: dict(OrderRecord.objects.filter(client_order_id__in=rig.told).values_list("client_order_id", "pk")))
    verdict.lost += [f"{name} was accepted and is not in the book" for name in rig.told if name not in known]
    made.update(known.values())
    for order in rig.read(lambda: list(OrderRecord.objects.filter(pk__in=made))):
        if order.client_order_id not in ids and order.status not in ("UNKNOWN", "CANCELLED", "REJECTED"):
            verdict.lost.append(f"{order.client_order_id} is {order.status} and never reached the exchange")
    verdict.orders = len(made)
    verdict.violations += rig.read(lambda: _broken_invariants(rig))
    return verdict


def _broken_invariants(rig: Rig) -> list[str]:
    """What the invariants say, of one moment: the worker goes on writing its lease and its certificates meanwhile."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        return [f"{one.code}: {words}" for one in check(rig.ledger, timezone.now()) for words in one.violations]
