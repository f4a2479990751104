"""What the broker said, and to whom it was said: each fact to one order or to none of ours, each request to an end.

The rule it keeps: an order's own name comes before any number, as on the way in; what carries our name and is not ours must have been told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from orders.invariants.counting import order_of
from orders.invariants.evidence import Evidence, name
from orders.invariants.finding import Finding
from orders.invariants.ledger import Ledger
from orders.invariants.sending import NO_LEDGER
from orders.rules.lifecycle import TERMINAL, OrderStatus
from orders.rules.terms import OPEN_COMMANDS, CommandKind, CommandState

ANSWERED_IN = timedelta(minutes=2)
"""How long a cancel or change may be open on a line that works before it counts as never answered."""


def one_owner(seen: Evidence) -> Finding:
    """I13: every execution and every order of the broker belongs to exactly one order, or was placed elsewhere."""
    found = [f"{times} orders bear perm id {one}" for one, times in Counter(_perm_ids(seen)).items() if times > 1]
    found += _misplaced(seen)
    if seen.ledger is not None:
        found += _attributed(seen, seen.ledger)
        found += _unseen(seen, seen.ledger)
    checked = len(seen.executions) + len(seen.names)
    title = "what the broker says belongs to exactly one order, or was placed elsewhere"
    return Finding("I13", title, checked, "executions and names", found, "" if seen.ledger else NO_LEDGER)


def _perm_ids(seen: Evidence) -> Iterator[int]:
    return (row.perm_id for row in seen.names.values() if row.perm_id)


def _misplaced(seen: Evidence) -> Iterator[str]:
    """Executions that lie with an order whose name, account or side is another, or with none although they carry a name of ours."""
    for row in seen.executions.values():
        named = seen.by_reference.get(row.client_order_id)
        if row.order_id is None:
            if named is not None and not seen.has_incident(named, "execution_contradicts"):
                yield f"execution {row.exec_id} carries the name of {name(named)} and belongs to none"
            continue
        order = seen.orders.get(row.order_id)
        if order is None:
            yield f"execution {row.exec_id} belongs to order {row.order_id}, which is not there"
        elif named is not None and named.pk != order.pk:
            yield f"execution {row.exec_id} carries the name of {name(named)} and belongs to {name(order)}"
        elif row.account_id != order.account_id:
            yield f"execution {row.exec_id} is in another account than {name(order)}"


def _attributed(seen: Evidence, ledger: Ledger) -> Iterator[str]:
    """What the ledger says of whose an execution or an order is, against what the book says."""
    rows = {row.exec_id: row for row in seen.executions.values()}
    for exec_id, trade in ledger.exec_ids.items():
        row = rows.get(exec_id)
        if row is None:
            continue
        mine, its = order_of(seen, trade), seen.orders.get(row.order_id)
        if mine is not None and (its is None or its.pk != mine.pk):
            whose = name(its) if its else "no order"
            yield f"execution {exec_id} is of {name(mine)} at the broker and of {whose} in the book"
        elif mine is None and its is not None and not its.is_external and trade.reference != its.client_order_id:
            yield f"execution {exec_id} was placed elsewhere ({trade.reference or 'no reference'}), and lies with {name(its)}"
    for perm_id, one in ledger.orders.items():
        mine, its = seen.by_reference.get(one.reference) if one.client in seen.clients else None, seen.by_perm_id.get(perm_id)
        if mine is not None and its is not None and its.pk != mine.pk:
            yield f"perm id {perm_id} names {name(mine)} at the broker and {name(its)} in the book"


def _unseen(seen: Evidence, ledger: Ledger) -> Iterator[str]:
    """Orders at the broker, in accounts of the book, that the book has under no name."""
    for perm_id, one in ledger.orders.items():
        known = perm_id in seen.by_perm_id or (one.client in seen.clients and one.reference in seen.by_reference)
        if one.is_live and one.account in seen.codes and not known:
            yield f"{one} of client {one.client} lives at the broker in {one.account}, and the book does not show it"


def requests_end(seen: Evidence) -> Finding:
    """I15: a cancel or a change ends, and none is open on an order that has ended."""
    commands = [row for row in seen.commands.values() if row.kind != CommandKind.PLACE]
    found = []
    for row in commands:
        order = seen.orders.get(row.order_id)
        if order is None or CommandState(row.state) not in OPEN_COMMANDS:
            continue
        age = seen.now - row.created_at
        if OrderStatus(order.status) in TERMINAL:
            found.append(f"a {row.kind} of {name(order)} is {row.state}, and the order is {order.status}")
        elif age > ANSWERED_IN and not seen.is_shown(order) and seen.gateway is not None and seen.gateway.state == "READY":
            found.append(f"a {row.kind} of {name(order)} has been {row.state} for {int(age.total_seconds())} s")
    return Finding("I15", "every cancel and every change comes to an end", len(commands), "requests", found)
