"""Claiming: what may go now is checked, numbered and marked SENDING in one transaction, and only then handed to the wire.

The rule it keeps: a unit (single order, bracket, OCA pair, one change, one cancel) is claimed whole or not at all. Cancels go first, but an
order whose PLACE was never claimed is withdrawn instead of cancelled.
"""

from __future__ import annotations

from datetime import datetime

from orders import checks, lease
from orders.book import OpenBook, book
from orders.checks import Draft
from orders.crashpoints import reach
from orders.models import BrokerCommand
from orders.models.book import Source
from orders.outbox import frames, legs, waiting
from orders.rules.commands import Frame, Unit
from orders.rules.lifecycle import WORKING, OrderStatus
from orders.rules.limits import Breach
from orders.rules.terms import CommandKind, CommandState, GatewayState, Role, terms_from_json
from orders.steps import KNOWN_SCHEMAS, end, move, reject, take

AT_ONCE = 24
"""Frames of one claim: a long burst goes out in parts, so that a trader's order never waits long for the lock."""

_PENDING = CommandState.PENDING.value
_RELATIONS = ("order__account", "order__contract", "order__parent", "order__oca_group", "actor")


def claim(*, fence: int, client_id: int, state: GatewayState, room: int, now: datetime) -> list[Unit]:
    """Takes out the units that may be written now, at most `room` and 24 frames together, in the order in which they must be written.

    Call it again until it gives none.

    What may no longer go (too old, permission or limit gone, unknown schema) is refused on the way. PLACE and MODIFY go only in READY,
    CANCEL in READY and RECONCILING. Raises `LeaseLost` for a fence that is not the newest.
    """
    if not BrokerCommand.objects.filter(state=_PENDING).exists():
        return []
    whole, room = room, min(room, AT_ONCE)
    reach("worker.before_claim")
    with book(at=now) as b:
        lease.check(fence, now)
        pending = waiting.Pending.now()
        if pending.for_others:
            waiting.release(b)
        units: list[Unit] = []
        if state.may_cancel and pending.cancels:
            units += _cancels(b, fence, client_id, room)
        if state.may_place and pending.others:
            units += _places_and_changes(b, fence, client_id, room - len(units), whole - len(units))
        return units


# --- cancels --------------------------------------------------------------------------------------------------------------------------


def _cancels(b: OpenBook, fence: int, client_id: int, room: int) -> list[Unit]:
    pending = BrokerCommand.objects.filter(state=_PENDING, kind=CommandKind.CANCEL.value).select_related(*_RELATIONS).order_by("pk")
    units: list[Unit] = []
    for command in pending:
        if len(units) >= room:
            break
        if (unit := _cancel(b, command, fence, client_id)) is not None:
            units.append(unit)
    return units


def _cancel(b: OpenBook, command: BrokerCommand, fence: int, client_id: int) -> Unit | None:
    order = command.order
    if not order.is_open:
        end(b, command, CommandState.WITHDRAWN, "NOT_OPEN", f"The order is {order.status} already.")
        return None
    if command.schema_version not in KNOWN_SCHEMAS:
        end(b, command, CommandState.REFUSED, "SCHEMA", _unknown_schema(command), attention=True)
        return None
    ib_order_id = frames.broker_id(order, client_id)
    if ib_order_id is None:
        words = "It was placed by another client of the gateway, which alone can cancel it."
        end(b, command, CommandState.REFUSED, "OTHER_CLIENT", words, attention=True)
        return None
    with b.event("cancel.claimed", source=Source.SYSTEM, order=order) as fact:
        take(fact, command, fence)
    return Unit(command.unit_id, fence, (frames.cancel_frame(command, ib_order_id),))


# --- places and changes -----------------------------------------------------------------------------------------------------------------


def _places_and_changes(b: OpenBook, fence: int, client_id: int, room: int, whole: int) -> list[Unit]:
    """`whole` is the room there is: a unit of more than 24 frames (ten pairs of exits) goes alone, as soon as it fits there."""
    pending = (
        BrokerCommand.objects.filter(state=_PENDING, kind__in=[CommandKind.PLACE.value, CommandKind.MODIFY.value])
        .exclude(claimable_at=None)
        .select_related(*_RELATIONS)
        .order_by("pk")
    )
    groups: dict[str, list[BrokerCommand]] = {}
    for command in pending:
        groups.setdefault(command.unit_id, []).append(command)
    units: list[Unit] = []
    for commands in groups.values():
        if len(commands) > (room if units or len(commands) <= AT_ONCE else whole):
            break  # it waits for room, and nothing younger overtakes it
        if commands[0].kind == CommandKind.MODIFY:
            unit = _change(b, commands[0], fence, client_id)
        else:
            unit = _place(b, commands, fence, client_id)
        if unit is not None:
            units.append(unit)
            room -= len(unit.frames)
    return units


def _place(b: OpenBook, commands: list[BrokerCommand], fence: int, client_id: int) -> Unit | None:
    _share_parents(commands)
    if not waiting.take_quantity(b, commands):
        return None
    breach = _may_not_place(b, commands)
    if breach is not None:
        for command in commands:
            reject(b, command, str(breach.code), breach.message, limit=breach.limit, actual=breach.actual)
        return None
    ids: dict[int, int] = {}
    written: list[Frame] = []
    is_family = any(command.order.parent_id is not None for command in commands)
    for command in commands:
        order = command.order
        with b.event("order.claimed", source=Source.SYSTEM, order=order) as fact:
            ids[order.pk] = frames.number(b, fact, order, client_id)
            move(fact, order, OrderStatus.SENT, sent_at=b.now)
            take(fact, command, fence)
        # Inside a family only the last transmits, so that the broker sees it whole; the members of an OCA pair each do.
        written.append(frames.place_frame(command, ids, transmit=not is_family or command is commands[-1]))
    return Unit(commands[0].unit_id, fence, tuple(written))


def _share_parents(commands: list[BrokerCommand]) -> None:
    """One object per order: the parent a child points to is the unit's own row, not a second copy of it."""
    orders = {command.order.pk: command.order for command in commands}
    for command in commands:
        if command.order.parent_id in orders:
            command.order.parent = orders[command.order.parent_id]


def _may_not_place(b: OpenBook, commands: list[BrokerCommand]) -> Breach | None:
    first = commands[0]
    if any(command.schema_version not in KNOWN_SCHEMAS for command in commands):
        return Breach("SCHEMA", _unknown_schema(first))
    if b.now - first.claimable_at > waiting.TOO_OLD:
        return Breach("STALE", waiting.STALE_PLACE)
    whole = {command.order.pk for command in commands}
    if any(command.order.parent_id is not None and command.order.parent_id not in whole for command in commands):
        return Breach("NOT_WHOLE", "Its entry is not there any more.")
    if not frames.has_ids_for(b, len(commands)):
        return Breach("ORDER_IDS", "The gateway's order ids have run into the range of requests: reset the API order ids in TWS.")
    drafts = [Draft(command.order, command.order.terms, asked_at=command.created_at) for command in commands]
    return _checked(b, drafts, first)


def _checked(b: OpenBook, drafts: list[Draft], first: BrokerCommand) -> Breach | None:
    account = first.order.account
    if (breach := checks.permission(b, first.actor, account)) is not None:
        return breach
    if (breach := _fits(drafts, first)) is not None:
        return breach
    found = checks.breaches(b, drafts, first.actor, at_claim=True)
    return found[0] if found else None


def _fits(drafts: list[Draft], first: BrokerCommand) -> Breach | None:
    """Whether the contract takes them as it is known now. A quantity that was taken from the position is not held against its increment."""
    is_sized = first.kind == CommandKind.PLACE and first.quantity_rule != BrokerCommand.QuantityRule.FIXED
    for draft in drafts:
        resized = draft.terms.quantity != draft.order.quantity if draft.is_change else not is_sized
        closes = draft.order.role in (Role.CLOSE, Role.LIQUIDATION)
        if (breach := checks.fits_contract(draft.order.contract, draft.terms, resized=resized, closes=closes)) is not None:
            return breach
    return None


def _change(b: OpenBook, command: BrokerCommand, fence: int, client_id: int) -> Unit | None:
    order = command.order
    breach: Breach | None = None
    ib_order_id = frames.broker_id(order, client_id)
    if command.schema_version not in KNOWN_SCHEMAS:
        breach = Breach("SCHEMA", _unknown_schema(command))
    elif b.now - command.claimable_at > waiting.TOO_OLD:
        breach = Breach("STALE", waiting.STALE_CHANGE)
    elif not order.is_open:
        breach = Breach("NOT_OPEN", f"The order is {order.status} already.")
    elif order.state not in WORKING:
        return None  # sent, and not heard of: the broker refuses a change before its first answer (2102)
    elif ib_order_id is None:
        breach = Breach("OTHER_CLIENT", "It was placed by another client of the gateway, which alone can change it.")
    elif legs.waits(command, terms_from_json(command.terms)):
        return None
    else:
        terms = terms_from_json(command.terms)
        draft = Draft(order, terms, is_change=True, asked_at=command.created_at)
        breach = legs.overtaken(command) or legs.exceeds(command, terms) or _checked(b, [draft], command)
    if breach is not None:
        told = {"limit": breach.limit, "actual": breach.actual, "asked_by": command.actor_id}
        end(b, command, CommandState.REFUSED, str(breach.code), breach.message, **told)
        return None
    assert ib_order_id is not None
    with b.event("modify.claimed", source=Source.SYSTEM, order=order) as fact:
        take(fact, command, fence)
    return Unit(command.unit_id, fence, (frames.modify_frame(command, ib_order_id, client_id),))


def _unknown_schema(command: BrokerCommand) -> str:
    return f"The command has shape {command.schema_version}, which this worker does not know; it was written by another version."
