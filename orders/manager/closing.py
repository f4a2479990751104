"""Closing a position, whole or in part, and turning it round: what works to close it goes first, then a market order, as one step that
survives a crash.

The rule it keeps: the quantity is settled at the claim, from the position as it is then. Nothing goes out until the exits that are in the
way are known to be gone, or known to be smaller, because an exit that fills meanwhile would make the close open the reverse position. What
is done is the plan that a person was shown: `plan_close` and `plan_reverse` write nothing, and the verbs do what they say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal

from orders import checks
from orders.book import OpenBook
from orders.checks import Draft
from orders.errors import Refused
from orders.exposure import closing_side, may_trade, open_orders, position_of
from orders.manager import changing
from orders.manager.changing import is_cancellable
from orders.manager.placing import Member, Placing, draft_orders, write
from orders.manager.submissions import refuse
from orders.models import Account, BrokerCommand, Contract, OrderRecord, Position
from orders.queries.holdings import holdings
from orders.rules.lifecycle import OrderStatus
from orders.rules.mending import Cancel, fit
from orders.rules.terms import CommandKind, OrderTerms, OrderType, Role, Side, plain

CLOSERS = (Role.CLOSE, Role.LIQUIDATION, Role.REVERSE)
ALL = Decimal(100)


@dataclass(frozen=True)
class Plan:
    """What closing or reversing would do now, in this order: `cancels`, `changes` (an exit and its smaller quantity), then the order.

    `stays` are the other open orders of the contract. `elsewhere` are exits that only another client can cancel: they count as closing.
    """

    position: Position
    side: Side
    quantity: Decimal
    role: Role
    rule: BrokerCommand.QuantityRule
    cancels: tuple[OrderRecord, ...] = ()
    changes: tuple[tuple[OrderRecord, Decimal], ...] = ()
    elsewhere: tuple[OrderRecord, ...] = ()
    stays: tuple[OrderRecord, ...] = ()

    @property
    def remains(self) -> Decimal:
        """The position after it, signed, as far as this order alone decides."""
        return self.position.quantity + self.side.sign * self.quantity

    @property
    def size(self) -> int:
        """How many orders it touches."""
        return len(self.cancels) + len(self.changes) + 1


# --- what it would do -------------------------------------------------------------------------------------------------------------------


def plan_close(account: Account, contract: Contract, percent: Decimal, now: datetime, *, role: Role = Role.CLOSE) -> Plan:
    """The plan for `percent` of the position, rounded down to the contract's size increment, at least one increment.

    Raises `Refused`: PERCENT, NO_POSITION, CLOSE_OPEN where a close is under way, EXTERNAL_EXITS where orders that only another client can
    cancel close it already, ENTRY_FILLING and EXITS_IN_THE_WAY where exits cannot be brought down to what remains.
    """
    if not 0 < percent <= ALL:
        raise Refused("PERCENT", "The percentage must be above 0 and at most 100.", field="percent", limit=ALL, actual=percent)
    position = _position(account, contract, "to close")
    exits = _exits(position)
    _one_at_a_time(exits)
    elsewhere = [order for order in exits if not is_cancellable(order)]
    free = abs(position.quantity) - may_trade(elsewhere)
    if free <= 0:
        words = f"Orders placed elsewhere already close the position of {plain(position.quantity)}; cancel them there first."
        raise Refused("EXTERNAL_EXITS", words)
    asked = share_of(abs(position.quantity), percent, contract)
    plan = Plan(position, closing_side(position.quantity), min(asked, free), role, BrokerCommand.QuantityRule.POSITION)
    if asked >= abs(position.quantity):
        ours = [order for order in exits if order not in elsewhere]
        return _whole(plan, _with_entries(ours), elsewhere)
    plan = replace(plan, rule=BrokerCommand.QuantityRule.AT_MOST)
    return _partly(plan, exits, elsewhere, now)


def plan_reverse(account: Account, contract: Contract) -> Plan:
    """The plan for turning the position round: its exits go, and an order of twice its size follows. Raises `Refused` as a close does."""
    position = _position(account, contract, "to reverse")
    exits = _exits(position)
    _one_at_a_time(exits)
    elsewhere = [order for order in exits if not is_cancellable(order)]
    if may_trade(elsewhere) > 0:
        raise Refused("EXTERNAL_EXITS", "Orders placed elsewhere close this position; cancel them there first.")
    twice = 2 * abs(position.quantity)
    plan = Plan(position, closing_side(position.quantity), twice, Role.REVERSE, BrokerCommand.QuantityRule.REVERSE)
    return _whole(plan, _with_entries(exits), [])


def share_of(held: Decimal, percent: Decimal, contract: Contract) -> Decimal:
    """`percent` of what is held, down to the size increment; at least one increment and the least size, never more than is held."""
    step = contract.size_increment if contract.size_increment > 0 else Decimal(1)
    wanted = (held * percent / ALL / step).to_integral_value(ROUND_FLOOR) * step
    return min(max(wanted, step, contract.min_size), held)


def _position(account: Account, contract: Contract, what: str) -> Position:
    position = position_of(account, contract)
    if position is None:
        raise Refused("NO_POSITION", f"There is no position in {contract.label} {what}.", field="contract")
    return position


def _exits(position: Position) -> list[OrderRecord]:
    """Open orders that may close the position. Exits of an entry that has not filled belong to that entry, not to the position."""
    side = closing_side(position.quantity)
    return [order for order in open_orders(position.account, position.contract, side) if not _waits_for_entry(order)]


def _waits_for_entry(order: OrderRecord) -> bool:
    parent = order.parent
    return parent is not None and parent.is_open and parent.filled_quantity == 0 and parent.state is not OrderStatus.UNKNOWN


def _one_at_a_time(exits: Sequence[OrderRecord]) -> None:
    """A close that is itself being cancelled is one more exit that must be gone first."""
    for order in exits:
        if order.role in CLOSERS and changing.open_command(order, CommandKind.CANCEL) is None:
            raise Refused("CLOSE_OPEN", "This position is being closed already.")


def _with_entries(exits: Sequence[OrderRecord]) -> list[OrderRecord]:
    """The exits, and before them the entries that are still filling: an entry must not go on without its exits."""
    entries = {order.parent.pk: order.parent for order in exits if order.parent is not None and order.parent.is_open}
    return [*entries.values(), *exits]


def _whole(plan: Plan, cancels: Sequence[OrderRecord], elsewhere: Sequence[OrderRecord]) -> Plan:
    gone = {order.pk for order in cancels}
    # The broker takes an entry's children away with it.
    stays = [order for order in _open(plan.position) if order.pk not in gone and order.parent_id not in gone and order not in elsewhere]
    return replace(plan, cancels=tuple(cancels), elsewhere=tuple(elsewhere), stays=tuple(stays))


def _partly(plan: Plan, exits: Sequence[OrderRecord], elsewhere: Sequence[OrderRecord], now: datetime) -> Plan:
    """Exits that together would exceed what remains are brought down, groups with a stop last; they are changed in place where they can be,
    so that what remains never stands bare."""
    position = plan.position
    remains = abs(plan.remains)
    cancels: list[OrderRecord] = []
    changes: list[tuple[OrderRecord, Decimal]] = []
    if may_trade(exits) > remains:
        by_name = {order.client_order_id: order for order in exits}
        holding = holdings([position], now)[position.account_id, position.contract_id]
        leaving = [order for order in holding.leaving if order.name in by_name]
        steps, words = fit(replace(holding, quantity=plan.remains), leaving)
        if words:
            raise Refused("EXITS_IN_THE_WAY", f"Its exits close more than would remain, and cannot be made smaller now. {words}")
        for step in steps:
            order = by_name[step.order]
            if order.parent is not None and order.parent.is_open:
                words = "The entry of this position is still filling: cancel it first, or close the whole position."
                raise Refused("ENTRY_FILLING", words)
            if isinstance(step, Cancel):
                cancels.append(order)
            else:
                changes.append((order, step.quantity))
    touched = {order.pk for order in (*cancels, *(order for order, _ in changes), *elsewhere)}
    stays = [order for order in _open(position) if order.pk not in touched]
    return replace(plan, cancels=tuple(cancels), changes=tuple(changes), elsewhere=tuple(elsewhere), stays=tuple(stays))


def _open(position: Position) -> list[OrderRecord]:
    both = [open_orders(position.account, position.contract, side) for side in Side]
    return sorted((order for orders in both for order in orders), key=lambda order: order.pk)


# --- doing it ---------------------------------------------------------------------------------------------------------------------------


def close(b: OpenBook, placing: Placing, percent: Decimal = ALL, *, role: Role = Role.CLOSE) -> OrderRecord:
    """A market order for `percent` of the position, after its exits are out of the way. Raises `Refused` for what `plan_close` refuses, or
    for what limits a reduction (permission, a halt)."""
    permit(b, placing)
    return carry_out(b, placing, plan_close(placing.account, placing.contract, percent, b.now, role=role))


def reverse(b: OpenBook, placing: Placing) -> OrderRecord:
    """A market order for twice the position, after its exits are gone. It opens a position, and is checked as what opens one."""
    permit(b, placing)
    return carry_out(b, placing, plan_reverse(placing.account, placing.contract))


def permit(b: OpenBook, placing: Placing) -> None:
    """Raises `Refused` where the user may not place orders in the account: before anything of the position is told."""
    refuse(checks.permission(b, placing.user, placing.account))


def carry_out(b: OpenBook, placing: Placing, plan: Plan) -> OrderRecord:
    """Does the plan: asks for the cancels and changes, and writes the order that waits for them."""
    terms = OrderTerms(side=plan.side, order_type=OrderType.MARKET, quantity=plan.quantity)
    [draft] = draft_orders(b, placing, [Member(terms, plan.role)])
    _check(b, placing, draft, [*plan.cancels, *(order for order, _ in plan.changes)])
    for order in plan.cancels:
        order.refresh_from_db()  # a withdrawn unit takes several with it
        if order.is_open:
            changing.ask_cancel(b, placing.user, order)
    asked = [_bring_down(b, placing, order, quantity) for order, quantity in plan.changes]
    after = [order.client_order_id for order in plan.cancels if OrderRecord.objects.get(pk=order.pk).is_open]
    waits = bool(after) or any(asked)
    write(b, draft.order, placing, after=after, quantity_rule=plan.rule, claimable_at=None if waits else b.now)
    return draft.order


def _bring_down(b: OpenBook, placing: Placing, order: OrderRecord, quantity: Decimal) -> bool:
    """True where the broker has to confirm it."""
    terms = {"limit_price": None, "stop_price": None, "time_in_force": None}
    return changing.modify(b, placing.user, changing.load(order.pk), quantity=quantity, **terms) is not None


def _check(b: OpenBook, placing: Placing, draft: Draft, leaving: Sequence[OrderRecord]) -> None:
    opens = draft.order.role == Role.REVERSE
    refuse(checks.fits_contract(placing.contract, draft.terms, resized=opens, closes=not opens))
    gone = [order.pk for order in leaving]
    found = checks.breaches(b, [draft], placing.user, leaving=gone, confirm_duplicate=placing.confirm_duplicate)
    refuse(found[0] if found else None)
