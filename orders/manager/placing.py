"""Placing: from a checked ticket to the orders of one unit and their PLACE commands, all in the caller's transaction.

The rule it keeps: nothing is sent from here. The unit stands in the outbox, whole, or not at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from orders import checks, contracts
from orders.book import OpenBook
from orders.checks import Draft
from orders.errors import Refused
from orders.exposure import closing_side, position_of, unprotected
from orders.manager.submissions import refuse
from orders.models import Account, BrokerCommand, Contract, OcaGroup, OrderRecord, Position
from orders.models.book import Source
from orders.rules.hours import hours_at
from orders.rules.limits import Breach
from orders.rules.pricing import kept, stop_and_target
from orders.rules.terms import CommandKind, OcaType, OrderTerms, Role, Side, TimeInForce, plain, term_columns
from orders.rules.tickets import (
    BracketTicket,
    ExitPair,
    ExitsTicket,
    PlaceRequest,
    TicketError,
    check_bracket,
    check_number,
    check_pairs,
    check_terms,
    legs,
    pair_field,
)
from orders.signals import order_placed, tell
from orders.steps import SCHEMA_VERSION, new_name

OLDEST_QUOTE_SECONDS = 60


@dataclass(frozen=True)
class Member:
    """One order of a unit that is to be placed."""

    terms: OrderTerms
    role: Role
    is_child: bool = False
    pair: int = 0  # its number among the unit's pairs of exits, from one: members of one pair share an OCA group


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


def drafted(b: OpenBook, placing: Placing, request: PlaceRequest) -> list[Draft]:
    """The orders of a request, weighed nowhere and written nowhere. Raises `TicketError`, or `Refused` for exits of nothing."""
    if isinstance(request, BracketTicket):
        return draft_orders(b, placing, bracket_members(request, placing.contract, b.now))
    if isinstance(request, ExitsTicket):
        side = request.side or closing_side(_held(placing.account, placing.contract).quantity)
        return draft_orders(b, placing, exits_members(request, side, b.now))
    check_terms(request, b.now)
    return draft_orders(b, placing, [Member(request, Role.SINGLE)])


def judge(b: OpenBook, placing: Placing, request: PlaceRequest, drafts: Sequence[Draft]) -> list[Breach]:
    """Every reason why the orders of this request would be refused, in the order in which placing them finds the first."""
    found = [checks.permission(b, placing.user, placing.account)]
    if found == [None] and isinstance(request, ExitsTicket):
        found.append(_misfit(placing, request))
    for draft in drafts:
        breach = checks.fits_contract(placing.contract, draft.terms)
        found.append(breach and checks.in_ticket(draft, breach))
    known = [breach for breach in found if breach is not None]
    if known:
        return known  # what the contract does not take cannot be weighed
    return checks.breaches(b, drafts, placing.user, confirm_duplicate=placing.confirm_duplicate)


def place_single(b: OpenBook, placing: Placing, terms: OrderTerms) -> list[OrderRecord]:
    """One order. Raises `TicketError` or `Refused`."""
    check_terms(terms, b.now)
    return place_unit(b, placing, [Member(terms, Role.SINGLE)])


def place_bracket(b: OpenBook, placing: Placing, ticket: BracketTicket) -> list[OrderRecord]:
    """The entry, then of each pair what protects first: all exits are children of the entry (parentId), held until it fills."""
    return place_unit(b, placing, bracket_members(ticket, placing.contract, b.now), oca_type=ticket.oca_type)


def bracket_members(ticket: BracketTicket, contract: Contract, now: datetime) -> list[Member]:
    """The orders of a bracket. Raises `TicketError`."""
    check_bracket(ticket, now)
    _entry_fills_now(ticket, contract, now)
    exits = exit_members(
        ticket.pairs,
        ticket.entry.side.opposite,
        time_in_force=ticket.exits_time_in_force,
        outside_rth=ticket.exits_outside_rth,
        now=now,
        are_children=True,
    )
    return [Member(ticket.entry, Role.ENTRY), *exits]


def _entry_fills_now(ticket: BracketTicket, contract: Contract, now: datetime) -> None:
    """A time stop counts from the sending. While the market is closed its entry would wait, and the time run out before it fills."""
    hours = hours_at(contract.liquid_hours, contract.time_zone, now)
    number = next((number for number, pair in enumerate(ticket.pairs, 1) if pair.time_stop is not None), None)
    if number is not None and hours is not None and not hours.is_open:
        words = "counts from the sending, and the market is closed; put it on the position once the entry has filled"
        raise TicketError(pair_field(number, "time_stop"), words)


def exit_members(
    pairs: Sequence[ExitPair], side: Side, *, time_in_force: TimeInForce, outside_rth: bool, now: datetime, are_children: bool = False
) -> list[Member]:
    """The orders of the pairs, pair by pair. `side` is the exits' own."""
    return [
        Member(terms, role, is_child=are_children, pair=number)
        for number, pair in enumerate(pairs, 1)
        for role, terms in legs(pair, side, time_in_force=time_in_force, outside_rth=outside_rth, now=now)
    ]


@contextmanager
def fields_of_one_pair(names: Mapping[str, str]) -> Iterator[None]:
    """For a verb that asks for a single pair: what is refused is named by the verb's own fields, as `names` has them."""
    known = {pair_field(1, name): own for name, own in names.items()}
    try:
        yield
    except TicketError as error:
        raise TicketError(known.get(error.field, error.field), error.message) from None
    except Refused as refused:
        refused.field = known.get(refused.field, refused.field)
        raise


def place_exits(b: OpenBook, placing: Placing, asked: ExitsTicket) -> list[OrderRecord]:
    """Ways out of the position as it is, each pair an OCA group of its own; of each pair what protects first.

    Raises `Refused` NO_POSITION, POSITION_TURNED, EXCEEDS_POSITION, or `TicketError`.
    """
    refuse(checks.permission(b, placing.user, placing.account))  # before anything of the position is told
    side = closing_side(_held(placing.account, placing.contract).quantity)
    members = exits_members(asked, asked.side or side, b.now)
    _fit(placing, asked)
    return place_unit(b, placing, members, oca_type=asked.oca_type)


def exits_members(asked: ExitsTicket, side: Side, now: datetime) -> list[Member]:
    """The orders of the exits of a position. Raises `TicketError`."""
    check_pairs(asked.pairs, side.opposite, asked.time_in_force)
    return exit_members(asked.pairs, side, time_in_force=asked.time_in_force, outside_rth=asked.outside_rth, now=now)


def _fit(placing: Placing, asked: ExitsTicket) -> None:
    """Raises `Refused` where the position is not what these exits are for: it is gone, has turned, or is smaller."""
    position = _held(placing.account, placing.contract)
    side = closing_side(position.quantity)
    if asked.side not in (None, side):
        words = f"The position in {placing.contract.label} is {plain(position.quantity)} now: {asked.side} orders would add to it."
        raise Refused("POSITION_TURNED", words, field="contract")
    _within_position(placing.account, placing.contract, position, asked.quantity, "quantity" if len(asked.pairs) == 1 else "pairs")


def _misfit(placing: Placing, asked: ExitsTicket) -> Breach | None:
    try:
        _fit(placing, asked)
    except Refused as refused:
        return Breach(refused.code, refused.message, refused.limit, refused.actual, refused.field)
    return None


def _held(account: Account, contract: Contract) -> Position:
    position = position_of(account, contract)
    if position is None:
        raise Refused("NO_POSITION", f"There is no position in {contract.label} to protect.", field="contract")
    return position


@dataclass(frozen=True)
class OcaExit:
    """What was asked of a pair of exits; what is None comes from the position."""

    quantity: Decimal | None
    entry_price: Decimal | None
    stop_loss: Decimal
    profit_target: Decimal
    oca_type: OcaType
    time_in_force: TimeInForce
    outside_rth: bool
    stop_price: Decimal | None
    target_price: Decimal | None


OWN_FIELDS = {name: name for name in ("quantity", "stop_price", "target_price")}


def place_oca_exit(b: OpenBook, placing: Placing, asked: OcaExit) -> list[OrderRecord]:
    """Stop and target of the position as it is: [stop, target], stop first (it is what protects)."""
    refuse(checks.permission(b, placing.user, placing.account))
    pair = oca_pair(placing.account, placing.contract, asked)
    with fields_of_one_pair(OWN_FIELDS):
        position = _held(placing.account, placing.contract)
        check_pairs([pair], closing_side(position.quantity).opposite, asked.time_in_force)
        _doubt_entry(b, placing.contract, asked)
        ticket = ExitsTicket((pair,), None, asked.oca_type, asked.time_in_force, asked.outside_rth)
        return place_exits(b, placing, ticket)


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


def oca_pair(account: Account, contract: Contract, asked: OcaExit) -> ExitPair:
    """The exits with everything worked out: quantity and entry from the position, prices on the nearest tick.

    The quantity is by default what no other order works to close yet, and never more (the sum of exits must not exceed the position, or a
    late one opens the reverse of it). Raises `Refused` NO_POSITION, EXCEEDS_POSITION, TICK_UNKNOWN, or `TicketError`.
    """
    position = _held(account, contract)
    rule = contracts.ticks(contract)
    if rule is None:
        words = f"The price ticks of {contract.label} are not known yet; look the contract up first."
        raise Refused("TICK_UNKNOWN", words, field="contract")
    quantity = _within_position(account, contract, position, asked.quantity, "quantity")
    entry = asked.entry_price if asked.entry_price is not None else kept(position.entry_price)
    check_number("entry_price", entry)
    stop, target = stop_and_target(
        entry, is_long=position.quantity > 0, stop_loss=asked.stop_loss, profit_target=asked.profit_target, rule=rule
    )
    return ExitPair(
        quantity,
        target_price=target if asked.target_price is None else asked.target_price,
        stop_price=stop if asked.stop_price is None else asked.stop_price,
    )


def _within_position(account: Account, contract: Contract, position: Position, asked: Decimal | None, field: str) -> Decimal:
    """The quantity asked for, or all that is not covered; more than that is refused."""
    left = unprotected(account, contract, closing_side(position.quantity))
    held = plain(abs(position.quantity))
    if left == 0:
        words = f"Working orders already cover the whole position of {held}."
        raise Refused("EXCEEDS_POSITION", words, field=field, limit=left, actual=asked)
    if asked is None:
        return left
    check_number(field, asked)
    if asked > left:
        words = f"Of the position of {held} only {plain(left)} is not covered by working orders."
        raise Refused("EXCEEDS_POSITION", words, field=field, limit=left, actual=asked)
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
        closes = draft.order.role in (Role.CLOSE, Role.LIQUIDATION)  # the quantity is what is held, an odd lot too
        breach = checks.fits_contract(placing.contract, draft.terms, resized=not closes, closes=closes)
        refuse(breach and checks.in_ticket(draft, breach))
    gone = [order.pk for order in leaving]
    found = checks.breaches(b, drafts, placing.user, leaving=gone, confirm_duplicate=placing.confirm_duplicate)
    refuse(found[0] if found else None)


def write_unit(
    b: OpenBook, placing: Placing, drafts: Sequence[Draft], *, oca_type: OcaType | None = None, **command: Any
) -> list[OrderRecord]:
    """Writes a unit that was checked; with a type, each of its pairs is an OCA group. `command` sets further fields of its commands."""
    groups = _groups(b, drafts, oca_type) if oca_type is not None else {}
    for draft in drafts:
        write(b, draft.order, placing, groups.get(draft.pair), **command)
    return [draft.order for draft in drafts]


def _groups(b: OpenBook, drafts: Sequence[Draft], oca_type: OcaType) -> dict[int, OcaGroup]:
    """A group for each pair of several orders, and for each of several pairs of one entry: IB links all its children that name none."""
    sizes = Counter(draft.pair for draft in drafts if draft.pair)
    are_children = any(draft.order.parent is not None for draft in drafts)
    return {
        pair: OcaGroup(name=f"OCA-{b.row.install}-{new_name(b.now)}", oca_type=int(oca_type))
        for pair, size in sizes.items()
        if size > 1 or (are_children and len(sizes) > 1)
    }


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
        drafts.append(Draft(order, terms, pair=member.pair))
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
