"""What would mend a holding, step by step: place exits, cancel some, change some. The page says these steps, and the manager does them.

The rule it keeps: no step leaves more exits than there is to exit, and none touches what only another client, or the broker's answer, can
settle. Then there is no step, and a sentence says what to do instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from orders.rules.holding import NONE, Holding, Standing
from orders.rules.lifecycle import OrderStatus
from orders.rules.terms import Role, TimeInForce, plain


@dataclass(frozen=True)
class Protect:
    """A stop and a target for the quantity, as one pair. Prices that are None come from the desk's template."""

    quantity: Decimal
    stop_price: Decimal | None = None
    target_price: Decimal | None = None


@dataclass(frozen=True)
class Cancel:
    order: str


@dataclass(frozen=True)
class Change:
    """Other terms for an order; what is None stays."""

    order: str
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_amount: Decimal | None = None
    trail_percent: Decimal | None = None
    time_in_force: TimeInForce | None = None


Step = Protect | Cancel | Change
Plan = tuple[tuple[Step, ...], str]
"""The steps, or none and what to do instead."""


def spell(steps: Sequence[Step]) -> str:
    """The steps in one line: what a person was shown, and what must still hold when he says yes."""
    words = []
    for step in steps:
        values = {name: value for name, value in vars(step).items() if value is not None}
        words.append(type(step).__name__.lower() + "".join(f" {name}={_spell(value)}" for name, value in values.items()))
    return "; ".join(words)


def _spell(value: Any) -> str:
    return plain(value) if isinstance(value, Decimal) else str(value)


ELSEWHERE = "An order placed elsewhere is in the way; change or cancel it where it was placed."
UNANSWERED = "An order that the broker has not answered for is in the way; settle it first."
UNEVEN = "The larger exit of a pair leaves no room for another stop. Make the exits of the pair equal first, then protect what is left."
OTHERS = "Other orders that close it work; cancel them first."


def protect(holding: Holding, naked: Decimal, stops: Sequence[Standing]) -> Plan:
    """Pairs for what is naked. Exits without a stop that take its place are cancelled first; each keeps its size and prices in a new pair.

    After the first fill of an OCA group of type 1 such a target is left over: no stop can be added to it, and a second pair beside it could
    close more than is held.
    """
    safe = {order.kin for order in stops}
    in_the_way = [order for order in holding.leaving if order.kin not in safe and not order.waits_for_entry]
    ours = [order for order in in_the_way if _is_spare(order) and holding.reach(order, at_most=True)]
    staying, given_up = list(holding.leaving), list[Standing]()
    free = holding.size - holding.total(staying, at_most=True)
    for order in sorted(ours, key=lambda order: (order.role is not Role.TAKE_PROFIT, order.name)):
        if free >= naked:
            break
        # Of a group only the largest counts: room is made when that one goes.
        staying.remove(order)
        given_up.append(order)
        free = holding.size - holding.total(staying, at_most=True)
    if free < naked:
        blockers = [order for order in holding.leaving if order.status in (OrderStatus.UNKNOWN, OrderStatus.SENT)]
        if blockers:
            return (), UNANSWERED
        if any(order.is_external for order in in_the_way):
            return (), ELSEWHERE
        pairs = holding.groups(order for order in holding.leaving if order.kin in safe).values()
        uneven_pair = any(holding.total(pair) > holding.total([order for order in pair if order.is_stop]) for pair in pairs)
        return (), UNEVEN if uneven_pair else OTHERS
    steps = [Cancel(order.name) for order in given_up]
    return (*steps, *_new_pairs(holding, naked, given_up)), ""


def _new_pairs(holding: Holding, naked: Decimal, given_up: Sequence[Standing]) -> list[Step]:
    """A pair for each target that made room, as it stood, and one for what is left; a single one where there was none, or only one."""
    targets = [order for order in given_up if order.role is Role.TAKE_PROFIT]
    apart = len({order.kin for order in targets}) == len(given_up) > 1
    if not apart:
        target = given_up[0].limit_price if len(given_up) == 1 else None
        return [Protect(naked, _lost_stop(holding, given_up[0]) if len(given_up) == 1 else None, target)]
    steps: list[Step] = []
    for order in targets:
        size = min(naked, holding.reach(order))
        naked -= size
        if size:
            steps.append(Protect(size, _lost_stop(holding, order), order.limit_price))
    return [*steps, Protect(naked)] if naked else steps


def _is_spare(order: Standing) -> bool:
    """An exit of ours that may be cancelled to make room: a target, or a plain order on the way out. An entry is somebody's other plan."""
    known = order.status not in (OrderStatus.UNKNOWN, OrderStatus.SENT)
    return known and order.may_cancel and not order.is_close and order.role is not Role.ENTRY


def _lost_stop(holding: Holding, target: Standing) -> Decimal | None:
    """The price of the stop that stood beside the exit that makes room."""
    lost = [order.stop_price for order in holding.members(target) if order.is_stop and order.order_type == "STP"]
    return lost[-1] if lost else None


def cancel(orders: Sequence[Standing]) -> Plan:
    """Cancels all of these that may be cancelled from here."""
    steps = tuple(Cancel(order.name) for order in orders if order.may_cancel and not order.cancel_asked)
    if steps:
        return steps, ""
    return (), "A cancel is on its way; wait for the broker." if all(order.cancel_asked for order in orders) else ELSEWHERE


def fit(holding: Holding, exits: Sequence[Standing]) -> Plan:
    """Makes the exits no larger than the position: closing orders come first, then groups with a stop, by age; what is left over goes."""
    left, steps = holding.size, list[Step]()
    groups = holding.groups(exits)

    def rank(kin: str) -> tuple[bool, bool, bool, str]:
        group = groups[kin]
        mine = all(order.may_cancel and not order.is_external for order in group)
        return mine, not any(order.is_close for order in group), not any(order.is_stop for order in group), min(o.name for o in group)

    for kin in sorted(groups, key=rank):
        given = min(left, max(holding.reach(order, at_most=True) for order in groups[kin]))
        left -= given
        for order in groups[kin]:
            if order.is_external or order.is_close or holding.reach(order, at_most=True) <= given:
                continue
            if order.status is OrderStatus.UNKNOWN:
                return (), UNANSWERED
            steps.append(Cancel(order.name) if not given else Change(order.name, quantity=order.filled + given))
    return tuple(steps), "" if steps else ELSEWHERE


def extend(holding: Holding, day: Sequence[Standing]) -> Plan:
    """Day orders become good till cancelled, with the exits that they shut out: a pair lives and dies together."""
    kin = {order.kin for order in day}
    members = [order for order in holding.leaving if order.kin in kin and order.time_in_force == TimeInForce.DAY]
    steps = tuple(Change(order.name, time_in_force=TimeInForce.GTC) for order in members if not order.is_external and order.asked is None)
    if steps:
        return steps, ""
    return (), ELSEWHERE if any(order.is_external for order in members) else "A change is on its way; wait for the broker."


def differences(holding: Holding, order: Standing, *, reduces: bool) -> dict[str, Any]:
    """The terms that are not those last asked for, as they were asked.

    `reduces`: it may be smaller, because a sibling filled. It may also be smaller where as much as was asked would be more than is held.
    """
    wanted = order.requested
    if wanted is None or order.is_external:
        return {}
    found: dict[str, Any] = {}
    smaller_rightly = order.quantity < wanted.quantity and (reduces or not _fits(holding, replace(order, quantity=wanted.quantity)))
    if order.quantity != wanted.quantity and not smaller_rightly and wanted.quantity > order.filled:
        found["quantity"] = wanted.quantity
    names = ("limit_price", "stop_price")
    if order.trails:  # where it stands, nobody asked for; its distance somebody did
        names = ("trail_amount", "trail_percent")
    for name in names:
        if getattr(order, name) != getattr(wanted, name) and getattr(wanted, name) is not None:
            found[name] = getattr(wanted, name)
    if order.time_in_force != wanted.time_in_force.value:
        found["time_in_force"] = wanted.time_in_force
    return found


def _fits(holding: Holding, order: Standing) -> bool:
    """Whether the order, with what works beside it, could close no more than is held."""
    beside = [other for other in holding.leaving if other.kin != order.kin]
    return holding.reach(order, at_most=True) + holding.total(beside, at_most=True) <= holding.size


def uneven(pair: Sequence[Standing], planned: Sequence[Step], *, reduces: bool) -> list[Step]:
    """The changes that make a pair's other exits as large as its stop; none where they are, or where other steps touch the pair already."""
    stop = next((order for order in pair if order.is_stop), None)
    touched = {step.order for step in planned if isinstance(step, Change)}
    if stop is None or len(pair) < 2 or reduces or any(order.name in touched or order.is_external for order in pair):
        return []
    size = stop.remaining(at_most=False)
    if size == NONE:
        return []
    others = [order for order in pair if order is not stop and order.remaining(at_most=False) != size]
    return [Change(order.name, quantity=order.filled + size) for order in others]
