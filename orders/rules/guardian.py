"""The guardian: a position against the protection that works for it at the broker, verdict by verdict, and what would mend each.

The rule it keeps: only what the broker has accepted, and what can trigger, protects. Pending, sent, unknown and leaving orders do not. The
norm of a stop is what was asked for, not the desk's template: a wide stop that somebody wanted is no drift, nor is one that was moved up
beyond the entry. Nothing here acts: a repair is a list of steps that a person looks at first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import IntEnum

from orders.rules import mending
from orders.rules.holding import NONE, ON_THE_WAY, Holding, Standing
from orders.rules.lifecycle import OPEN, WORKING, OrderStatus
from orders.rules.mending import Change, Step
from orders.rules.terms import OcaType, Role, Side, TimeInForce, plain


class Kind(IntEnum):
    """What is found, the gravest first."""

    UNPROTECTED = 0  # no working stop at all
    UNDER_PROTECTED = 1  # a part has none
    ORPHAN = 2  # exits that would open or turn a position
    HELD = 3  # there is a stop, and it may not trigger
    DRIFTED = 4  # a stop is not what was asked for
    EXPIRING = 5  # a stop ends with the session, the position does not
    PROTECTING = 6  # a stop is on its way
    CLOSING = 7
    PROTECTED = 8


ALARMING = frozenset(kind for kind in Kind if kind < Kind.PROTECTING)


@dataclass(frozen=True)
class Finding:
    """One verdict: the quantity concerned, a sentence, and the steps that would mend it. Without steps `wait` says what to do instead."""

    kind: Kind
    quantity: Decimal
    text: str
    steps: tuple[Step, ...] = ()
    wait: str = ""
    at: datetime | None = None
    under_way: bool = False  # what mends it has been asked for
    whole: Decimal | None = None  # what the quantity is a part of, where it is one

    @property
    def alarms(self) -> bool:
        return self.kind in ALARMING and not self.under_way


@dataclass(frozen=True)
class Verdict:
    """All that was found, the gravest first; nothing for a flat contract without exits. `bare` is what no working stop covers."""

    findings: tuple[Finding, ...] = field(default=())
    bare: Decimal = NONE

    @property
    def gravest(self) -> Finding | None:
        return self.findings[0] if self.findings else None

    def of(self, kind: Kind) -> Finding | None:
        return next((finding for finding in self.findings if finding.kind is kind), None)


def judge(holding: Holding) -> Verdict:
    """Every verdict on the holding."""
    found = [*_orphans(holding)]
    if not holding.quantity:
        return Verdict(tuple(found))
    stops = [order for order in holding.leaving if order.is_stop and not order.cancel_asked]
    working = [order for order in stops if order.status in WORKING and not order.waits_for_entry]
    able = [order for order in working if not order.holds_back]
    covered = min(holding.total(able), holding.size)
    found += _bare(holding, stops, working, covered)
    found += _held(holding, working, able)
    found += _drifted(holding, able)
    found += _expiring(holding, able)
    if covered:
        found.append(Finding(Kind.PROTECTED, covered, f"{_stops(able)} would close {plain(covered)} of {plain(holding.size)}."))
    found.sort(key=lambda finding: (finding.under_way, finding.kind))
    return Verdict(tuple(found), holding.size - covered)


# --- no stop ----------------------------------------------------------------------------------------------------------------------------


def _bare(holding: Holding, stops: list[Standing], working: list[Standing], covered: Decimal) -> list[Finding]:
    """What no stop covers, unless one, or a closing order, is on its way for all of it."""
    closes = [order for order in holding.leaving if order.is_close and order.status is not OrderStatus.UNKNOWN and not order.cancel_asked]
    coming = [order for order in stops if order.status in ON_THE_WAY]
    standing = min(holding.total(working), holding.size)
    stopped = min(holding.total([*working, *coming]), holding.size)
    closing = min(holding.total(closes), holding.size - stopped)
    naked = holding.size - stopped - closing
    found = []
    if closes:
        amount = min(holding.total(closes), holding.size)
        found.append(Finding(Kind.CLOSING, amount, _closing(closes, amount), wait="It is being closed; wait for the broker."))
    if naked:
        missing = holding.size - standing - closing
        kind = Kind.UNPROTECTED if not covered and not standing else Kind.UNDER_PROTECTED
        steps, wait = mending.protect(holding, naked, stops)
        whole = holding.size if missing < holding.size else None
        found.append(Finding(kind, missing, _why_bare(holding, missing, coming), steps, wait, whole=whole))
    elif stopped > standing:
        words = f"{_stops(coming)} is on its way; until the broker has accepted it, {plain(stopped - standing)} are without."
        found.append(Finding(Kind.PROTECTING, stopped - standing, words, wait="A stop is on its way; wait for the broker."))
    return found


def _why_bare(holding: Holding, missing: Decimal, coming: list[Standing]) -> str:
    """What is missing, and why where it can be told."""
    parts = [_end_of(holding, stop) for stop in _lost_stops(holding)]
    if missing < holding.size:
        parts.insert(0, f"{plain(missing)} of {plain(holding.size)} have no working stop.")
    elif not parts:
        parts.append("There is no working stop.")
    for order in holding.leaving:
        if order.is_stop and order.status is OrderStatus.UNKNOWN:
            parts.append(f"{_stop(order)} is UNKNOWN, so nobody knows whether it protects.")
        elif order.is_stop and order.cancel_asked:
            parts.append(f"{_stop(order)} is being cancelled.")
        elif order.is_stop and order.status in WORKING and order.waits_for_entry:
            parts.append(f"{_stop(order)} is held behind its entry, which has not filled.")
    if coming:
        parts.append(f"{_stops(coming)} is on its way.")
    if any(order.role is Role.TIME_STOP for order in holding.leaving):
        parts.append("A time stop closes at its time, and at any price: until then it protects from nothing.")
    return " ".join(parts)


def _lost_stops(holding: Holding) -> list[Standing]:
    """Stops that have ended while another exit of their group still works."""
    alive = {order.kin for order in holding.leaving}
    return [order for order in holding.ended if order.is_stop and order.side is holding.way_out and order.kin in alive]


def _end_of(holding: Holding, stop: Standing) -> str:
    """How a stop was lost, in plain words."""
    if stop.status is OrderStatus.REJECTED:
        return f"{_stop(stop)} was rejected{': ' + stop.words.rstrip('.') if stop.words else ''}."
    filled = next((order for order in holding.members(stop) if order.filled and order is not stop), None)
    if filled is None:
        return f"{_stop(stop)} was cancelled."
    name = "the target" if filled.role is Role.TAKE_PROFIT else "the other order"
    words = f"{_stop(stop)} is gone because {name} has filled {plain(filled.filled)} of {plain(filled.quantity)}: "
    if stop.oca_type not in (0, OcaType.CANCEL_WITH_BLOCK):
        return words + "IB cancelled it with that fill, although its group only reduces."
    words += "in a group of type 1 the first fill, even a partial one, makes IB cancel every other member at once."
    if filled.status in OPEN:
        words += f" To mend it, what is left of {name} is cancelled and a new pair is sent; a pair of type 2 or 3 is reduced instead."
    return words


def _closing(closes: Sequence[Standing], amount: Decimal) -> str:
    if any(order.status is OrderStatus.HELD for order in closes):
        return f"A closing order for {plain(amount)} is held at the broker, as when the market is closed."
    return f"An order that closes {plain(amount)} is on its way or working."


# --- exits that are too many ------------------------------------------------------------------------------------------------------------


def _orphans(holding: Holding) -> list[Finding]:
    """Exits that would open a position, add to one, or turn it around."""
    exits = [order for order in holding.orders if holding.is_exit(order)]
    wrong = [order for order in exits if not holding.quantity or order.side is not holding.way_out]
    wrong = [order for order in wrong if holding.reach(order, at_most=True)]
    right = [order for order in exits if order not in wrong and holding.quantity and order.side is holding.way_out]
    excess = max(holding.total(right, at_most=True) - holding.size, NONE) if right else NONE
    found = []
    if wrong:
        amount = holding.total(wrong, at_most=True)
        what = "no position is left to close" if not holding.quantity else "on the side of the position, not on its way out"
        steps, wait = mending.cancel(wrong)
        words = f"{_exits(wrong)}: {what}; a fill would {'open one' if not holding.quantity else 'add to it'}."
        found.append(Finding(Kind.ORPHAN, amount, words, steps, wait, under_way=all(order.cancel_asked for order in wrong)))
    if excess:
        staying = [order for order in right if not order.cancel_asked]
        steps, wait = mending.fit(holding, staying)
        words = f"The exits may close {plain(holding.size + excess)} of {plain(holding.size)} held: {plain(excess)} too many would turn it."
        if any(order.entry is not None and not order.entry.is_open for order in right):
            words += " Their entry ended before it had filled whole."
        under_way = holding.total(staying, at_most=True) <= holding.size
        found.append(Finding(Kind.ORPHAN, excess, words, steps, wait, under_way=under_way))
    return found


# --- stops that are there, but ------------------------------------------------------------------------------------------------------------


def _held(holding: Holding, working: list[Standing], able: list[Standing]) -> list[Finding]:
    """Stops that are accepted and may not trigger, as far as they are needed."""
    back = [order for order in working if order.holds_back]
    amount = min(holding.total(working), holding.size) - min(holding.total(able), holding.size)
    if not amount:
        return []
    reasons = {order.why_held or order.broker_word for order in back}
    words = f"{_stops(back)} is held at the broker ({', '.join(sorted(reasons))}) and may not trigger."
    wait = "The broker must release the stop; look at it there. If it does not, cancel it here and protect the position anew."
    return [Finding(Kind.HELD, amount, words, wait=wait)]


def _drifted(holding: Holding, able: list[Standing]) -> list[Finding]:
    """Exits that are not what was asked, pairs of unequal size, and stops that the market has passed."""
    texts: list[str] = []
    steps: list[Step] = []
    amount = NONE
    exits = [order for order in holding.leaving if order in able or (order.role is Role.TAKE_PROFIT and order.status in WORKING)]
    settled = [order for order in exits if not order.cancel_asked and order.asked is None]
    for order in settled:
        asked_for = mending.differences(holding, order, reduces=_reduces(holding, order))
        if asked_for:
            texts.append(f"{_name(order)} is not what was asked: " + ", ".join(_step_words(order, asked_for)) + ".")
            steps.append(Change(order.name, **asked_for))
            amount = max(amount, holding.reach(order))
    for pair in holding.groups(settled).values():
        if uneven := mending.uneven(pair, steps, reduces=_reduces(holding, pair[0])):
            sizes = " and ".join(plain(order.remaining(at_most=False)) for order in pair)
            texts.append(f"The exits of one pair differ in size: {sizes}.")
            steps += uneven
            amount = max(amount, *(holding.reach(order) for order in pair))
    passed = [order for order in able if _is_passed(order, holding.market)]
    if passed and holding.market is not None:
        texts.append(f"The market is at {plain(holding.market)}, through {_stops(passed).lower()}, and it has not gone off.")
        amount = max(amount, holding.total(passed))
    if not texts:
        return []
    wait = "" if steps else "Is the market closed, or does the stop work in regular hours only? Move it, or close the position."
    return [Finding(Kind.DRIFTED, min(amount, holding.size), " ".join(texts), tuple(steps), wait)]


def _reduces(holding: Holding, order: Standing) -> bool:
    """Whether a fill of another member explains a smaller order: in groups of the reducing types, and among exits that name no group."""
    linked_by_ib = order.entry is not None and not order.oca_type
    reducing = linked_by_ib or order.oca_type in (OcaType.REDUCE_WITH_BLOCK, OcaType.REDUCE_WITHOUT_BLOCK)
    return reducing and any(other.filled for other in holding.members(order))


def _is_passed(order: Standing, market: Decimal | None) -> bool:
    if market is None or order.stop_price is None or order.status is not OrderStatus.HELD:
        return False
    return market < order.stop_price if order.side is Side.SELL else market > order.stop_price


def _expiring(holding: Holding, able: list[Standing]) -> list[Finding]:
    """Stops that end with the session, as far as no lasting one covers the same."""
    day = [order for order in able if not _outlasts(holding, order)]
    lasting = [order for order in able if _outlasts(holding, order)]
    amount = min(holding.total(able), holding.size) - min(holding.total(lasting), holding.size)
    if not amount:
        return []
    ends = [holding.late_end if order.outside_rth else holding.session_end for order in day]
    steps, wait = mending.extend(holding, day)
    words = f"{_stops(day)} is {day[0].time_in_force}: it ends with the session, and {plain(amount)} stay without one."
    return [Finding(Kind.EXPIRING, amount, words, steps, wait, at=min((end for end in ends if end is not None), default=None))]


def _outlasts(holding: Holding, order: Standing) -> bool:
    """Whether the order is there after this session: good till cancelled, or till a date beyond it."""
    if order.time_in_force == TimeInForce.GTD and order.good_till is not None and holding.late_end is not None:
        return order.good_till > holding.late_end
    return order.time_in_force == TimeInForce.GTC


# --- words --------------------------------------------------------------------------------------------------------------------------------


def _stop(order: Standing) -> str:
    named = "The trailing stop" if order.trails else "The stop"
    return f"{named} at {plain(order.stop_price)}" if order.stop_price is not None else named


def _stops(orders: Sequence[Standing]) -> str:
    return _stop(orders[0]) if len(orders) == 1 else f"Each of {len(orders)} stops"


def _name(order: Standing) -> str:
    return _stop(order) if order.is_stop else "The time stop" if order.role is Role.TIME_STOP else "The target"


def _exits(orders: Sequence[Standing]) -> str:
    first = orders[0]
    words = f"{first.side.value} {plain(first.remaining(at_most=True))} {first.order_type}"
    return words if len(orders) == 1 else f"{words} and {len(orders) - 1} more"


def _step_words(order: Standing, asked_for: dict[str, object]) -> list[str]:
    shown = []
    for name, value in asked_for.items():
        now = getattr(order, name)
        spell = [plain(one) if isinstance(one, Decimal) else str(getattr(one, "value", one)) for one in (now, value)]
        shown.append(f"{name.replace('_', ' ')} {spell[0]} instead of {spell[1]}")
    return shown
