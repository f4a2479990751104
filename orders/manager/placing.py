"""Placing: from a checked ticket to the orders of one unit and their PLACE commands, all in the caller's transaction.

The rule it keeps: nothing is sent from here. The unit stands in the outbox, whole, or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from orders import checks, contracts
from orders.book import OpenBook
from orders.checks import Draft
from orders.errors import Refused
from orders.exposure import closing_side, position_of, unprotected
from orders.manager.submissions import refuse
from orders.models import Account, BrokerCommand, Contract, OcaGroup, OrderRecord
from orders.models.book import Source
from orders.rules.limits import Breach
from orders.rules.pricing import kept, stop_and_target
from orders.rules.terms import CommandKind, OcaType, OrderTerms, OrderType, Role, TimeInForce, plain, term_columns
from orders.rules.tickets import BracketTicket, OcaExitTicket, TicketError, check_bracket, check_number, check_oca_exit, check_terms
from orders.signals import order_placed, tell
from orders.steps import SCHEMA_VERSION, new_name

OLDEST_QUOTE_SECONDS = 60


@dataclass(frozen=True)
class Member:
    """One order of a unit that is to be placed."""

    terms: OrderTerms
    role: Role
    is_child: bool = False


@dataclass(frozen=True)
class Placing:
    """Who places what, where."""

    user: Any
    account: Account
    contract: Contract
    note: str = ""
    confirm_duplicate: bool = False
    seal: str = ""
    armed: bool = False


def drafted(b: OpenBook, placing: Placing, request: OrderTerms | BracketTicket) -> list[Draft]:
    """The orders of a request, weighed nowhere and written nowhere. Raises `TicketError`."""
    if isinstance(request, BracketTicket):
        return draft_orders(b, placing, bracket_members(request))
    check_terms(request)
    return draft_orders(b, placing, [Member(request, Role.SINGLE)])


def judge(b: OpenBook, placing: Placing, drafts: Sequence[Draft]) -> list[Breach]:
    """Every reason why these orders would be refused, in the order in which `check_unit` finds the first."""
    found = [checks.permission(b, placing.user, placing.account)]
    for draft in drafts:
        breach = checks.fits_contract(placing.contract, draft.terms)
        found.append(breach and checks.in_ticket(draft.order, breach))
    known = [breach for breach in found if breach is not None]
    if known:
        return known  # what the contract does not take cannot be weighed
    return checks.breaches(b, drafts, placing.user, confirm_duplicate=placing.confirm_duplicate)


def place_single(b: OpenBook, placing: Placing, terms: OrderTerms) -> list[OrderRecord]:
    """One order. Raises `TicketError` or `Refused`."""
    check_terms(terms, b.now)
    return place_unit(b, placing, [Member(terms, Role.SINGLE)])


def place_bracket(b: OpenBook, placing: Placing, ticket: BracketTicket) -> list[OrderRecord]:
    """Entry, take profit, stop loss: the exits are children of the entry, held by the broker until it fills (IB parentId)."""
    return place_unit(b, placing, bracket_members(ticket))


def bracket_members(ticket: BracketTicket) -> list[Member]:
    """The orders of a bracket. Raises `TicketError`."""
    check_bracket(ticket)
    entry = ticket.entry
    exits = {
        "side": entry.side.opposite,
        "quantity": entry.quantity,
        "time_in_force": ticket.exits_time_in_force,
        "outside_rth": entry.outside_rth,
    }
    return [
        Member(entry, Role.ENTRY),
        Member(OrderTerms(order_type=OrderType.LIMIT, limit_price=ticket.take_profit_price, **exits), Role.TAKE_PROFIT, is_child=True),
        Member(OrderTerms(order_type=OrderType.STOP, stop_price=ticket.stop_loss_price, **exits), Role.STOP_LOSS, is_child=True),
    ]


@dataclass(frozen=True)
class OcaExit:
    """What was asked of an OCA exit; what is None comes from the position."""

    quantity: Decimal | None
    entry_price: Decimal | None
    stop_loss: Decimal
    profit_target: Decimal
    oca_type: OcaType
    time_in_force: TimeInForce
    outside_rth: bool
    stop_price: Decimal | None
    target_price: Decimal | None


def place_oca_exit(b: OpenBook, placing: Placing, asked: OcaExit) -> list[OrderRecord]:
    """Stop and target of the position as it is: [stop, target], stop first (it is what protects)."""
    refuse(checks.permission(b, placing.user, placing.account))  # before anything of the position is told
    ticket = oca_ticket(placing.account, placing.contract, asked)
    check_oca_exit(ticket)
    _doubt_entry(b, placing.contract, asked)
    common = {"side": ticket.side, "quantity": ticket.quantity, "time_in_force": ticket.time_in_force, "outside_rth": asked.outside_rth}
    return place_unit(
        b,
        placing,
        [
            Member(OrderTerms(order_type=OrderType.STOP, stop_price=ticket.stop_price, **common), Role.STOP_LOSS),
            Member(OrderTerms(order_type=OrderType.LIMIT, limit_price=ticket.target_price, **common), Role.TAKE_PROFIT),
        ],
        oca_type=ticket.oca_type,
    )


def _doubt_entry(b: OpenBook, contract: Contract, asked: OcaExit) -> None:
    """A derivative's entry that was worked out from its average cost needs a quote beside it.

    Some are quoted in cents (IB priceMagnifier), and exits around a price that is a hundred times too small would trade at once; with a
    quote they are refused as through the market.
    """
    if asked.entry_price is not None or contract.multiplier == 1:
        return
    market = checks.market_of(contract, b.now)
    if market is None or market.age_seconds > OLDEST_QUOTE_SECONDS:
        words = f"There is no fresh quote of {contract.label} to compare its average cost with; give the entry price."
        raise Refused("ENTRY_UNCERTAIN", words, field="entry_price")


def oca_ticket(account: Account, contract: Contract, asked: OcaExit) -> OcaExitTicket:
    """The exit with everything worked out: direction, quantity and entry from the position, prices on the nearest tick.

    The quantity is by default what no other order works to close yet, and never more (the sum of exits must not exceed the position, or a
    late one opens the reverse of it). Raises `Refused` NO_POSITION, EXCEEDS_POSITION, TICK_UNKNOWN, or `TicketError`.
    """
    position = position_of(account, contract)
    if position is None:
        raise Refused("NO_POSITION", f"There is no position in {contract.label} to protect.", field="contract")
    rule = contracts.ticks(contract)
    if rule is None:
        words = f"The price ticks of {contract.label} are not known yet; look the contract up first."
        raise Refused("TICK_UNKNOWN", words, field="contract")
    side = closing_side(position.quantity)
    quantity = _exit_quantity(account, contract, abs(position.quantity), asked.quantity)
    entry = asked.entry_price if asked.entry_price is not None else kept(position.entry_price)
    check_number("entry_price", entry)
    stop, target = stop_and_target(
        entry, is_long=position.quantity > 0, stop_loss=asked.stop_loss, profit_target=asked.profit_target, rule=rule
    )
    return OcaExitTicket(
        side=side,
        quantity=quantity,
        entry_price=entry,
        stop_price=stop if asked.stop_price is None else asked.stop_price,
        target_price=target if asked.target_price is None else asked.target_price,
        oca_type=asked.oca_type,
        time_in_force=asked.time_in_force,
    )


def _exit_quantity(account: Account, contract: Contract, held: Decimal, asked: Decimal | None) -> Decimal:
    position = position_of(account, contract)
    assert position is not None
    left = unprotected(account, contract, closing_side(position.quantity))
    if left == 0:
        words = f"Working orders already cover the whole position of {plain(held)}."
        raise Refused("EXCEEDS_POSITION", words, field="quantity", limit=left, actual=asked)
    if asked is None:
        return left
    check_number("quantity", asked)
    if asked > left:
        words = f"Of the position of {plain(held)} only {plain(left)} is not covered by working orders."
        raise Refused("EXCEEDS_POSITION", words, field="quantity", limit=left, actual=asked)
    return asked


def place_unit(b: OpenBook, placing: Placing, members: Sequence[Member], *, oca_type: OcaType | None = None) -> list[OrderRecord]:
    """Checks the unit whole and writes it whole: its orders, their events, their commands. Raises `Refused` with the first breach."""
    drafts = draft_orders(b, placing, members)
    check_unit(b, placing, drafts)
    return write_unit(b, placing, drafts, oca_type=oca_type)


def check_unit(b: OpenBook, placing: Placing, drafts: Sequence[Draft], *, leaving: Sequence[OrderRecord] = ()) -> None:
    """Raises `Refused` with the first breach of the unit. `leaving`: orders that will be gone before it is sent."""
    refuse(checks.permission(b, placing.user, placing.account))
    if len(placing.note) > 80:
        raise TicketError("note", "may have at most 80 characters")
    for draft in drafts:
        breach = checks.fits_contract(placing.contract, draft.terms)
        refuse(breach and checks.in_ticket(draft.order, breach))
    gone = [order.pk for order in leaving]
    found = checks.breaches(b, drafts, placing.user, leaving=gone, confirm_duplicate=placing.confirm_duplicate)
    refuse(found[0] if found else None)


def write_unit(
    b: OpenBook, placing: Placing, drafts: Sequence[Draft], *, oca_type: OcaType | None = None, **command: Any
) -> list[OrderRecord]:
    """Writes a unit that was checked. `command` sets fields of its commands beyond the plain ones."""
    group = OcaGroup(name=f"OCA-{b.row.install}-{new_name(b.now)}", oca_type=int(oca_type)) if oca_type is not None else None
    for draft in drafts:
        write(b, draft.order, placing, group, **command)
    return [draft.order for draft in drafts]


def draft_orders(b: OpenBook, placing: Placing, members: Sequence[Member]) -> list[Draft]:
    """The orders of a unit, not saved yet. The first is the parent of those that are children."""
    unit_id = new_name(b.now)
    drafts: list[Draft] = []
    for member in members:
        terms = member.terms
        order = OrderRecord(
            client_order_id=f"DB{b.row.install}-{new_name(b.now)}",
            account=placing.account,
            contract=placing.contract,
            **term_columns(terms),
            role=member.role.value,
            unit_id=unit_id,
            parent=drafts[0].order if member.is_child else None,
            note=placing.note,
            created_by=placing.user,
            created_at=b.now,
        )
        drafts.append(Draft(order, terms))
    return drafts


def write(b: OpenBook, order: OrderRecord, placing: Placing, group: OcaGroup | None = None, **command: Any) -> BrokerCommand:
    """Puts one order and its PLACE into the book, with its event. `command` sets fields of the command beyond the plain ones."""
    looked_at = {name: value for name in ("seal", "armed") if (value := getattr(placing, name))}
    with b.event("order.placed", source=Source.USER, actor=placing.user, order=order, text=str(order), **looked_at) as fact:
        if group is not None:
            if group.pk is None:
                fact.add(group)
            order.oca_group = group
        if order.parent is not None:
            order.parent = order.parent  # takes over the key that the parent got when it was saved
        fact.add(order)
        row = fact.add(
            BrokerCommand(
                order=order,
                kind=CommandKind.PLACE.value,
                unit_id=order.unit_id,
                actor=placing.user,
                schema_version=SCHEMA_VERSION,
                created_at=b.now,
                **{"claimable_at": b.now, **command},
            )
        )
    b.wake_worker()
    tell(b, order_placed, sender=OrderRecord, order=order)
    return row
