"""The record itself: a whole chain, rows that are what the events say, status changes that are named once and that the lifecycle has.

The rule it keeps: the lifecycle's own table is asked; what it does not have is an offence, whoever took the step.
"""

from __future__ import annotations

from orders import replay
from orders.invariants.evidence import Evidence, name
from orders.invariants.finding import Finding
from orders.invariants.past import Step
from orders.rules.lifecycle import TERMINAL, WORKING, OrderStatus, Verdict, judge
from orders.rules.lifecycle import Evidence as Basis


def record_is_whole(seen: Evidence) -> Finding:
    """I6: the chain holds, seq has no holes, folding gives the rows, a status change has one event."""
    past, book = seen.past, seen.book
    found = []
    if past.first_bad is not None:
        found.append(f"the first bad event is seq {past.first_bad}: changed, deleted, inserted or moved")
    found += past.holes
    if book is not None and past.first_bad is None and (book.seq, book.head_hash) != (past.last, past.head):
        found.append(
            f"the events end with seq {past.last}, the book gave out seq {book.seq}: the end was cut off, added to or written anew"
        )
    found += past.unnamed
    found += [str(difference) for difference in replay.compare(past.rows, seen.audited())]
    title = "the chain is whole, seq has no holes, events give the rows, every status change is named once"
    return Finding("I6", title, past.events, "events", found)


def legal_steps(seen: Evidence) -> Finding:
    """I7: only steps of the lifecycle; back from an end only with an incident."""
    found = []
    for step in seen.past.steps:
        order = seen.orders.get(step.order)
        if words := _illegal(step, is_external=order is None or order.is_external):
            what = name(order) if order else f"order {step.order}"
            found.append(f"event {step.seq} ({step.kind}): {what} went from {step.before or 'nothing'} to {step.after}{words}")
    return Finding("I7", "only legal steps; back from an end only with an incident", len(seen.past.steps), "steps", found)


def _illegal(step: Step, *, is_external: bool) -> str:
    """What is wrong with the step; "" where nothing is."""
    after = OrderStatus(step.after)
    if not step.before:
        return "" if is_external or after is OrderStatus.PENDING else ", and orders begin PENDING"
    before = OrderStatus(step.before)
    if before in TERMINAL and after not in TERMINAL:
        # What an order rested on that lives under a second perm id is the intake's to know: here it must have been told.
        possible = after in WORKING or (before is OrderStatus.FILLED and after is OrderStatus.UNKNOWN)
        return "" if possible and step.told else ", and no incident says so" if possible else ", which the lifecycle does not have"
    basis = Basis(step.basis_before) if step.basis_before else None
    verdict = judge(before, basis, after, _evidence(before, after, step.basis))
    if verdict is Verdict.INCIDENT and not step.told:
        return ", and no incident says so"
    return "" if verdict in (Verdict.LEGAL, Verdict.INCIDENT) else ", which the lifecycle does not have"


def _evidence(before: OrderStatus, after: OrderStatus, basis: str) -> Basis:
    """What the step rested on: terminal orders keep it; to each of the other statuses one kind of evidence leads."""
    if basis:
        return Basis(basis)
    if after is OrderStatus.UNKNOWN:
        return Basis.CORRECTION if before is OrderStatus.FILLED else Basis.DOUBT
    return Basis.LOCAL if after in (OrderStatus.SENT, OrderStatus.PENDING) else Basis.BROKER
