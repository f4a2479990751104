"""What was sent: once, under a claim and a fence, on a reconciled connection, in the order's own figures, under an id of its own.

The rule it keeps: the ledger's frames are compared with the claims of the events, one by one; a frame that no claim explains is an offence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from orders.invariants.evidence import Evidence, name
from orders.invariants.finding import Finding
from orders.invariants.ledger import FORGOTTEN
from orders.invariants.past import READY, Claim
from orders.invariants.wire import OrderFrame, has_control_bytes, order_fields
from orders.models import OrderRecord
from orders.rules.holding import TRAILING_TYPES
from orders.rules.lifecycle import TERMINAL, WORKING, OrderStatus
from orders.rules.pricing import check_price
from orders.rules.terms import CommandKind, OrderType, plain
from orders.rules.tickets import TicketError

IN_TIME = timedelta(seconds=90)
"""How old an order may be that is waiting to be sent or heard of: 60 s until it is too old to be sent, and some to say so."""

READY_ARRIVES = timedelta(seconds=5)
"""The engine is READY a moment before the book says so; a claim may come first, but not by more than this."""

NO_LEDGER = "without a ledger only the database was looked at"


def at_most_once(seen: Evidence) -> Finding:
    """I1: an order is placed once, a key is answered once."""
    found = list(_doubled_names(seen)) + list(_claimed_twice(seen)) + list(_placed_twice(seen))
    title = "at most once: no order is at the broker twice, no key has two answers"
    return Finding("I1", title, len(seen.ours), "orders", found, "" if seen.ledger else NO_LEDGER)


def _doubled_names(seen: Evidence) -> Iterator[str]:
    names = Counter(order.client_order_id for order in seen.orders.values())
    yield from (f"{times} orders bear the name {one}" for one, times in names.items() if times > 1)
    keys = Counter((row.user_id, row.key) for row in seen.submissions.values())
    yield from (f"key {key} of user {user} has {times} answers" for (user, key), times in keys.items() if times > 1)
    for pk, rows in seen.commands_of.items():
        if sum(row.kind == CommandKind.PLACE for row in rows) > 1 and pk in seen.orders:
            yield f"{name(seen.orders[pk])} has more than one PLACE"


def _claimed_twice(seen: Evidence) -> Iterator[str]:
    claimed = Counter(claim.order for claim in seen.past.claims if claim.kind == CommandKind.PLACE)
    for pk, times in claimed.items():
        if times > 1 and pk in seen.orders:
            yield f"{name(seen.orders[pk])} was claimed {times} times to be placed"


def _placed_twice(seen: Evidence) -> Iterator[str]:
    changes = Counter(claim.order for claim in seen.past.claims if claim.kind == CommandKind.MODIFY)
    for order in seen.ours:
        frames = seen.frames_of.get(order.client_order_id, [])
        ids = sorted({(frame.client, frame.order_id) for frame in frames})
        if len(ids) > 1:
            yield f"{name(order)} was placed under {len(ids)} order ids: {ids}"
        elif len(frames) > 1 + changes[order.pk]:
            yield f"{name(order)} was written {len(frames)} times, with {changes[order.pk]} changes"
        accepted = {one.perm_id for one in seen.at_the_broker(order) if one.was_live}
        # A change over a broken line makes a second order at the broker (one id, two perm ids); a person must have heard of it.
        if len(accepted) > 1 and not seen.has_incident(order, "two_working"):
            yield f"{name(order)} is {len(accepted)} orders at the broker: perm ids {sorted(accepted)}"


def nothing_lost(seen: Evidence) -> Finding:
    """I2: what was accepted is at the broker, or has ended, or is shown as unknown."""
    found = [
        f"submission {row.key} was answered with order {pk}, which is not there"
        for row in seen.submissions.values()
        for pk in row.result.get("orders", ())
        if pk not in seen.orders
    ]
    since = {step.order: step.at for step in seen.past.steps}
    for order in seen.ours:
        age = seen.now - since.get(order.pk, order.created_at)
        if words := _lost(seen, order, age):
            found.append(f"{name(order)} {words}")
    title = "nothing lost: every accepted order has ended, is at the broker, or is shown as unknown"
    return Finding("I2", title, len(seen.ours), "orders", found, "" if seen.ledger else NO_LEDGER)


def _lost(seen: Evidence, order: OrderRecord, age: timedelta) -> str:
    status = OrderStatus(order.status)
    is_old, seconds = age > IN_TIME, int(age.total_seconds())
    if status is OrderStatus.PENDING and is_old and not _waits(seen, order):
        return f"has waited {seconds} s to be sent, and nobody refused it"
    if status is OrderStatus.SENT and is_old:
        return f"was sent {seconds} s ago and nothing was heard, and it is not shown as unknown"
    if seen.ledger is None:
        return ""
    there = [one for one in seen.at_the_broker(order) if one.status != FORGOTTEN]
    live = [one for one in there if one.is_live]
    if status in TERMINAL and live and not seen.is_shown(order):
        return f"is {status} in the book and lives at the broker: {live[0]}"
    if status is OrderStatus.UNKNOWN and live and is_old:
        return f"has been UNKNOWN for {seconds} s and is at the broker: {live[0]}"
    ended = not live and not any(one.status == "Inactive" for one in there)
    is_missed = order.absent_since is not None
    if status in WORKING and ended and not is_missed and not seen.is_shown(order):
        return f"is {status} in the book and " + (f"has ended at the broker: {there[-1]}" if there else "is not at the broker")
    return ""


def _waits(seen: Evidence, order: OrderRecord) -> bool:
    """Whether its PLACE waits for other orders to be gone first."""
    return any(row.claimable_at is None for row in seen.commands_of.get(order.pk, ()) if row.kind == CommandKind.PLACE)


def fenced(seen: Evidence) -> Finding:
    """I11: fences only rise, and every frame was claimed."""
    found, highest = [], 0
    for claim in seen.past.claims:
        if claim.fence < highest or claim.fence < 1:
            found.append(f"event {claim.seq}: command {claim.command} was claimed under fence {claim.fence}, after fence {highest}")
        highest = max(highest, claim.fence)
    if highest > seen.fence:
        found.append(f"command fences go up to {highest}, the lease only to {seen.fence}")
    found += _unclaimed(seen)
    title = "one worker trades: fences of claims never go down, and every frame was claimed"
    return Finding("I11", title, len(seen.past.claims), "claims", found, "" if seen.ledger else NO_LEDGER)


def _unclaimed(seen: Evidence) -> Iterator[str]:
    claimed = Counter((claim.order, claim.kind) for claim in seen.past.claims)
    for reference, frames in seen.frames_of.items():
        order = seen.by_reference.get(reference)
        if order is None or not claimed[order.pk, CommandKind.PLACE]:
            yield f"{frames[0]} at {frames[0].time} was sent without a claim"
    for (client, order_id), times in Counter(seen.ledger.cancels if seen.ledger else ()).items():
        order = seen.by_order_id.get((client, order_id))
        if client in seen.clients and (order is None or times > claimed[order.pk, CommandKind.CANCEL]):
            of = name(order) if order else f"order id {order_id}, which the book does not know,"
            yield f"a cancel of {of} was sent {times} times, claimed {claimed[order.pk, CommandKind.CANCEL] if order else 0} times"


def one_name_one_order(seen: Evidence) -> Finding:
    """I12: an order id of a client never comes to mean another order."""
    names: dict[tuple[int, int], set[str]] = {}
    for key, orders in seen.past.order_ids.items():
        names[key] = {seen.orders[pk].client_order_id if pk in seen.orders else f"order {pk}" for pk in orders}
    for row in seen.names.values():
        if row.client_id is not None and row.ib_order_id and row.order_id in seen.orders:
            names.setdefault((row.client_id, row.ib_order_id), set()).add(seen.orders[row.order_id].client_order_id)
    for frame in seen.ledger.frames if seen.ledger else ():
        if frame.client in seen.clients and frame.reference in seen.by_reference:
            names.setdefault((frame.client, frame.order_id), set()).add(frame.reference)
    found = [
        f"order id {order_id} of client {client} has named {', '.join(sorted(orders))}"
        for (client, order_id), orders in names.items()
        if len(orders) > 1
    ]
    return Finding("I12", "an order id names one order for ever", len(names), "order ids", found, "" if seen.ledger else NO_LEDGER)


def only_when_ready(seen: Evidence) -> Finding:
    """I16: nothing new goes out before the connection was reconciled."""
    claims = [claim for claim in seen.past.claims if claim.kind != CommandKind.CANCEL]
    found = [
        f"event {claim.seq}: command {claim.command} was claimed while the gateway was {claim.gateway or 'never heard of'}"
        for claim in claims
        if claim.gateway != READY and not _ready_soon(seen, claim)
    ]
    if seen.ledger is not None:
        words = "was sent before the gateway had been asked for open orders, executions and positions"
        found += [f"{frame} at {frame.time} {words}" for frame in seen.ledger.early if frame.client in seen.clients]
    title = "no order goes out between connecting and READY"
    return Finding("I16", title, len(claims), "claims", found, "" if seen.ledger else NO_LEDGER)


def _ready_soon(seen: Evidence, claim: Claim) -> bool:
    later = next((change for change in seen.past.gateway if change[0] > claim.seq), None)
    return later is not None and later[2] == READY and later[1] - claim.at <= READY_ARRIVES


def true_figures(seen: Evidence) -> Finding:
    """I19: what was written is what was claimed, to the letter, and on the contract's ticks."""
    title = "frames carry the order's own figures, on tick"
    if seen.ledger is None:
        return Finding("I19", title, why="only frames show it: give a ledger")
    places = {claim.order: claim for claim in seen.past.claims if claim.kind == CommandKind.PLACE}
    changes: dict[int, list[Claim]] = {}
    for claim in seen.past.claims:
        if claim.kind == CommandKind.MODIFY:
            changes.setdefault(claim.order, []).append(claim)
    found, checked = [], 0
    for reference, frames in seen.frames_of.items():
        order = seen.by_reference.get(reference)
        for index, frame in enumerate(frames):
            candidates = [places[order.pk]] if order and not index and order.pk in places else changes.get(order.pk, []) if order else []
            if order is None or not candidates:
                continue  # no claim: the offence of another check
            checked += 1
            wrong = [_differs(seen, frame, order, claim) for claim in candidates]
            if all(wrong):
                found.append(f"{frame} at {frame.time}: {wrong[-1]}")
            elif words := _off_tick(seen, frame, order):
                found.append(f"{frame} at {frame.time}: {words}")
    return Finding("I19", title, checked, "frames", found)


def _differs(seen: Evidence, frame: OrderFrame, order: OrderRecord, claim: Claim) -> str:
    """How the frame differs from the terms that were claimed; "" where it does not."""
    account, contract, terms = seen.accounts[order.account_id], seen.contracts[order.contract_id], claim.terms
    trails = OrderType(terms["order_type"]).trails
    wanted: dict[str, Any] = {
        "account": account.code,
        "con_id": str(contract.con_id),
        "action": terms["side"],
        "quantity": _text(terms["quantity"]),
        "order_type": terms["order_type"],
        "limit": _text(terms["limit_price"]),
        "stop": _text(terms.get("trail_amount") if trails else terms["stop_price"]),
        "time_in_force": terms["time_in_force"],
        "outside_rth": _flag(terms.get("outside_rth")),
        "trail_percent": _text(terms.get("trail_percent")),
        "limit_offset": _text(terms.get("limit_offset")),
        "good_till": _moment(terms.get("good_till")),
        "good_after": _moment(terms.get("good_after")),
        "all_or_none": _flag(terms.get("all_or_none")),
        "hidden": _flag(terms.get("hidden")),
        "display_size": _text(terms.get("display_size")) or "0",
        "trigger_method": str(terms.get("trigger_method") or 0),
        "algorithm": ("Adaptive", "adaptivePriority", terms["adaptive"]) if terms.get("adaptive") else (),
    }
    if not trails or claim.kind == CommandKind.PLACE:
        wanted["trail_stop"] = _text(terms["stop_price"]) if trails else ""
    # The stop of a trailing order that works has moved with the market: its change is written with where it stands.
    wrong = [f"{field} {getattr(frame, field)!r} instead of {value!r}" for field, value in wanted.items() if getattr(frame, field) != value]
    return ", ".join(wrong)


def _text(number: str | None) -> str:
    return "" if number is None else plain(Decimal(number))


def _flag(value: bool | None) -> str:
    return "1" if value else "0"


def _moment(text: str | None) -> str:
    """As it is written on the wire: UTC, with a dash before the time."""
    return "" if text is None else f"{datetime.fromisoformat(text).astimezone(UTC):%Y%m%d-%H:%M:%S}"


def _off_tick(seen: Evidence, frame: OrderFrame, order: OrderRecord) -> str:
    rule = seen.ticks(order.contract_id)
    if rule is None:
        return ""
    trails = frame.order_type in TRAILING_TYPES  # its auxPrice is a distance
    try:
        for field, value in (("limit_price", frame.limit), ("stop_price", frame.trail_stop if trails else frame.stop)):
            check_price(field, Decimal(value) if value else None, rule)
    except TicketError as error:
        return f"{error.field} {error.message}"
    return ""


def well_formed(seen: Evidence) -> Finding:
    """I20: frames have the number of fields that the server version asks for, and no control bytes."""
    title = "placeOrder frames have the exact number of fields, and no control bytes"
    if seen.ledger is None:
        return Finding("I20", title, why="only frames show it: give a ledger")
    version = seen.gateway.server_version if seen.gateway else None
    frames = [frame for frame in seen.ledger.frames if frame.client in seen.clients]
    found = [words for client, words in seen.ledger.unread if client in seen.clients]
    for frame in frames:
        if version and len(frame.fields) != (right := order_fields(version, frame.algorithm)):
            found.append(f"{frame} at {frame.time} has {len(frame.fields)} fields; version {version} has {right}")
        elif bad := next((field for field in frame.fields if has_control_bytes(field)), None):
            found.append(f"{frame} at {frame.time} has control bytes: {bad!r}")
    why = "" if version else "the server version is not known, so fields were not counted"
    return Finding("I20", title, len(frames), "frames", found, why)
