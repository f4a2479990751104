"""What must hold after healing: the invariants of the book, and what a simulation sees besides, the exchange and what traders were told.

The rule it keeps: the truth is the exchange and the traders' own memory; the desk's rows are what is judged. What `orders.invariants` says
is not said again here.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from broker.simulator.model import OrderState
from oms_site.simulation.workload import Asked
from oms_site.simulation.world import World
from orders import invariants
from orders.models import Execution, Incident, OrderRecord, Position
from orders.rules.lifecycle import TERMINAL, WORKING, OrderStatus

LIVE = frozenset({"PendingSubmit", "PreSubmitted", "Submitted", "PendingCancel"})


def violations(world: World, asked: list[Asked]) -> list[str]:
    """Everything that does not hold, one sentence each."""
    found = [f"{one.code}: {text}" for one in invariants.check(list(world.ledger), world.now()) for text in one.violations]
    return [*found, *_told(asked), *_fenced(world), *_agrees_with_the_exchange(world)]


def _told(asked: list[Asked]) -> Iterator[str]:
    """Every order that a trader was told of is in the book, and each of his requests was answered in the end."""
    names = set(OrderRecord.objects.values_list("client_order_id", flat=True))
    for one in asked:
        for name in one.answer:
            if name not in names and not name.startswith(("command", "nothing")):
                yield f"I2: {one.verb} {one.key} was answered with {name}, which is not in the book"
        if one.refusal.startswith("ILLEGAL"):
            yield f"I7: {one.verb} {one.key}: {one.refusal}"
        if not one.answer and not one.refusal:
            yield f"I22: {one.verb} {one.key} was never answered, in {one.tries} tries"


def _fenced(world: World) -> Iterator[str]:
    """As seen at the moment of writing, from outside the engine."""
    for sent in world.sent:
        if sent.fence != sent.newest_fence:
            yield f"I11: at {sent.at:.3f} {sent.kinds} left under fence {sent.fence}; the newest was {sent.newest_fence}"
        if not sent.state.may_place and set(sent.kinds) != {"cancel"}:
            yield f"I16: at {sent.at:.3f} {sent.kinds} left while the gateway was {sent.state}"


def _agrees_with_the_exchange(world: World) -> Iterator[str]:
    """What works there works here, what has ended there has ended here, and both have filled and hold the same."""
    exchange = world.exchange
    assert exchange is not None
    wiped = max((index for index, line in enumerate(world.ledger) if line["kind"] == "wiped"), default=-1)
    there = _by_reference([*exchange.completed_orders(world.now()), *exchange.open_orders()])
    known_since = {line["order_ref"] for line in world.ledger[wiped + 1 :] if line["kind"] == "order"}
    for order in OrderRecord.objects.filter(is_external=False):
        state = there.get(order.client_order_id)
        if state is None:
            if order.client_order_id in known_since and order.state in WORKING:
                yield f"I2: {order.client_order_id} is {order.status} here and not at the exchange"
            continue
        live = state.status in LIVE
        what = f"{order.client_order_id} is {order.status} ({order.status_basis}) here and {state.status} at the exchange"
        if live and order.state in TERMINAL and not _explained(order):
            yield f"I2: {what}"
        elif live and order.state is OrderStatus.UNKNOWN:
            yield f"I22: {what}"
        elif not live and order.state not in TERMINAL:
            yield f"I22: {what} ({state.completed_status})"
        if order.filled_quantity != state.filled and not _corrected(order):
            yield f"I3: {order.client_order_id} has filled {order.filled_quantity} here and {state.filled} at the exchange"
    held = {(one.account, one.con_id): one.quantity for one in exchange.positions() if one.quantity}
    shown = {
        (one.account.code, one.contract.con_id): one.quantity
        for one in Position.objects.exclude(quantity=0).select_related("account", "contract")
    }
    for key in sorted(held.keys() | shown.keys()):
        here, at_broker = shown.get(key, Decimal(0)), held.get(key, Decimal(0))
        if here != at_broker:
            yield f"I4: {key} is {here} here and {at_broker} at the exchange"


def _by_reference(states: list[OrderState]) -> dict[str, OrderState]:
    """Orders by our name; where several bear one, the one that lives, else the last."""
    found: dict[str, OrderState] = {}
    for state in states:
        name = state.request.order_ref
        if name and (name not in found or found[name].status not in LIVE):
            found[name] = state
    return found


def _explained(order: OrderRecord) -> bool:
    """Whether the desk itself says that something is wrong with this order."""
    return order.needs_attention or Incident.objects.filter(order=order, closed_at=None).exists()


def _corrected(order: OrderRecord) -> bool:
    """An execution that was corrected counts as corrected here; the exchange's own order keeps what it filled."""
    return Execution.objects.filter(order=order, counts=False).exists()
