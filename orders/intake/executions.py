"""Executions and commission reports: what filled, at which price, and what it cost.

The rule it keeps: quantity is what the executions add up to. Of those with one root (the exec_id up to its last dot) the highest revision
counts, whatever the order of arrival; filled quantity and average price are computed anew, in Decimal, from those that count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Exists, OuterRef

from orders import signals
from orders.intake import names, status
from orders.intake.work import Change, Work, clip, stored
from orders.models import Account, CommissionReport, Event, Execution, OrderRecord
from orders.models.reading import the_one
from orders.rules.lifecycle import TERMINAL, Evidence, OrderStatus
from orders.rules.reports import CommissionReported, ExecutionReported, Question, Report
from orders.rules.terms import plain

SOUGHT_AFTER, SOUGHT_FOR = timedelta(seconds=30), timedelta(days=1)
LISTED_FOR = timedelta(days=8)
"""No list of executions reaches back further: IB's is of today, and of a week where TWS is set so."""

ONE_CHECK = timedelta(seconds=12)
"""A little more than from one check of the open orders to the next, which is when it is looked for."""


def split(exec_id: str) -> tuple[str, int]:
    """Root and revision: a correction repeats the exec_id but for the digits after the last dot (IB Execution.execId)."""
    root, dot, digits = exec_id.rpartition(".")
    if not dot or not digits.isascii() or not digits.isdigit() or len(digits) > 9:
        return exec_id, 1
    return root, int(digits)


def look_up(work: Work, reports: Sequence[Report]) -> None:
    """Finds what the book has of a batch already, in two queries: a snapshot repeats every execution of the day."""
    executions = [report.exec_id for report in reports if isinstance(report, ExecutionReported)]
    commissions = [report.exec_id for report in reports if isinstance(report, CommissionReported)]
    if executions:
        work.known_executions = {row.exec_id: row for row in Execution.objects.filter(exec_id__in=executions).select_related("account")}
    if commissions:
        work.known_commissions = {row.exec_id: row for row in CommissionReport.objects.filter(exec_id__in=commissions)}


def take_execution(work: Work, report: ExecutionReported) -> None:
    """Keeps an execution once, whoever the order belongs to, and counts it where it belongs to an order of the book."""
    known = work.known_executions.get(report.exec_id) or the_one(Execution.objects.filter(exec_id=report.exec_id))
    if known is not None:
        _compare(work, known, report)
        return
    account = the_one(Account.objects.filter(code=report.account))
    if account is None:
        text = f"Execution {report.exec_id} names account {report.account}, which is not one of this book's."
        work.incident("foreign_account", text, report=asdict(report))
        return
    order = _owner(work, report)
    row, replaced = _row(work, report, account, order)
    work.executions += 1
    if order is None:
        _write_alone(work, report, row, replaced)
        return
    _write_of_order(work, report, order, row, replaced)


def _compare(work: Work, known: Execution, report: ExecutionReported) -> None:
    if (known.quantity, known.price) != (stored(report.quantity), stored(report.price)):
        text = (
            f"Execution {report.exec_id} came again with other figures: {plain(known.quantity)} at {plain(known.price)}, "
            f"then {plain(report.quantity)} at {plain(report.price)}."
        )
        work.incident("execution_differs", text, account=known.account)


def _owner(work: Work, report: ExecutionReported) -> OrderRecord | None:
    """The order that the execution belongs to. One that carries a name of ours and contradicts the order is not its own."""
    order = names.find(work, report.key)
    if order is None:
        if report.key.client_order_id.startswith(work.prefix):
            names.unknown_reference(work, report.key.client_order_id, report.account)
        return None
    combo = order.contract.sec_type == "BAG"  # its legs fill under other contracts and on both sides
    wrong = names.contradiction(order, report.account, report.contract, report.side) if not combo else ""
    if not wrong:
        return order
    change = Change(work, order, kind="order.message")
    change.incident("execution_contradicts", f"Execution {report.exec_id} carries this order's name, but {wrong}.")
    change.write()
    return None


def _row(work: Work, report: ExecutionReported, account: Account, order: OrderRecord | None) -> tuple[Execution, Execution | None]:
    """The new row, and the one that it replaces as the one that counts."""
    contract = names.contract_row(report.contract)
    root, revision = split(report.exec_id)
    counting = the_one(Execution.objects.filter(root=root, counts=True))
    if counting is not None and (counting.contract_id, counting.side) != (contract.pk, report.side.value):
        # Fills inside a combination differ in the last part too; a correction repeats everything else.
        root, revision, counting = report.exec_id, 1, None
    counts = counting is None or revision > counting.revision
    row = Execution(
        exec_id=report.exec_id,
        root=root,
        revision=revision,
        counts=counts,
        order=order,
        account=account,
        contract=contract,
        side=report.side.value,
        quantity=stored(report.quantity),
        price=stored(report.price),
        exchange=clip(report.exchange, 24),
        liquidity=report.liquidity,
        perm_id=report.key.perm_id or None,
        client_order_id=clip(report.key.client_order_id, 40),
        executed_at=report.executed_at,
        received_at=work.now,
    )
    return row, counting if counts else None


def _words(row: Execution, replaced: Execution | None) -> tuple[str, str]:
    """Kind and sentence of the event."""
    what = f"{row.side} {plain(row.quantity)} {row.contract.label} at {plain(row.price)}"
    if replaced is not None:
        return "execution.corrected", f"Corrected: {what}, before {plain(replaced.quantity)} at {plain(replaced.price)}"
    return ("execution.reported", what) if row.counts else ("execution.outdated", f"Corrected already: {what}")


def _write_alone(work: Work, report: ExecutionReported, row: Execution, replaced: Execution | None) -> None:
    """An execution of an order that the book does not know (yet)."""
    kind, text = _words(row, replaced)
    with work.b.event(
        kind, source=work.source, account=row.account, broker_time=report.executed_at, text=text, exec_id=row.exec_id
    ) as fact:
        if replaced is not None:
            fact.set(replaced, counts=False)
        fact.add(row)
    if report.key.perm_id:
        work.ask.add(Question.OPEN_ORDERS)


def _write_of_order(work: Work, report: ExecutionReported, order: OrderRecord, row: Execution, replaced: Execution | None) -> None:
    kind, text = _words(row, replaced)
    change = Change(work, order, kind=kind, text=text, broker_time=report.executed_at, evidence={"exec_id": row.exec_id})
    before = change.status
    status.heard(change)
    names.record(change, report.key)
    if replaced is not None:  # before the new row: of one root only one may count
        change.sets.insert(0, (replaced, {"counts": False}))
    change.added.insert(0, row)
    filled_before = order.filled_quantity
    if row.counts:
        count(change, [*_counting(order, without=replaced), row], correction=replaced is not None)
        if before in (OrderStatus.CANCELLED, OrderStatus.REJECTED) and change.status is before and row.quantity > 0:
            change.incident("late_fill", f"Filled {plain(row.quantity)} after the order was {before}: {row.exec_id}.")
        if before is OrderStatus.SENT and change.status is before and report.live:
            status.become(change, OrderStatus.WORKING, Evidence.BROKER)  # it trades, so it is in the market
        judge_exits(change)
    change.kind = kind  # the execution is the fact; the status beside it follows from it
    if row.counts and replaced is None and row.quantity > 0:
        change.signals.append((signals.order_filled, {"execution": row, "complete": change.status is OrderStatus.FILLED}))
    if before in TERMINAL and change.value("filled_quantity") != filled_before:
        work.some_order_closed = True
    change.write()


def _counting(order: OrderRecord, without: Execution | None) -> list[Execution]:
    """The executions that count for the order's quantity: of a combination the fills of the whole, not those of its legs."""
    rows = order.executions.filter(counts=True, contract_id=order.contract_id)
    return [row for row in rows if without is None or row.pk != without.pk]


def count(change: Change, executions: Sequence[Execution], *, correction: bool = False) -> None:
    """Filled quantity and average price anew, and the step they mean: FILLED where reached, UNKNOWN where a correction took it back."""
    mine = [row for row in executions if row.contract_id == change.order.contract_id]
    filled = sum((row.quantity for row in mine), Decimal(0))
    worth = sum((row.quantity * row.price for row in mine), Decimal(0))
    fields: dict[str, Any] = {"filled_quantity": filled, "average_price": stored(worth / filled) if filled else None}
    change.fields.update(fields)
    judge_quantity(change, correction=correction)


def judge_quantity(change: Change, *, correction: bool = False) -> None:
    """Compares what filled with what was ordered: FILLED, overfilled, or no longer filled."""
    filled, quantity = change.value("filled_quantity"), change.value("quantity")
    if quantity <= 0:
        return  # placed elsewhere, and its quantity was never told
    if filled > quantity:
        change.incident("overfill", f"Filled {plain(filled)} of {plain(quantity)}.")
    if filled >= quantity and change.status is not OrderStatus.FILLED:
        status.become(change, OrderStatus.FILLED, Evidence.EXECUTION)
    elif filled < quantity and change.status is OrderStatus.FILLED and correction:
        status.become(change, OrderStatus.UNKNOWN, Evidence.CORRECTION, text="A correction took back executions.")
        change.work.ask |= {Question.OPEN_ORDERS, Question.COMPLETED_ORDERS}


def judge_exits(change: Change) -> None:
    """Exits that shut each other out and together filled more than there was to exit: both legs of a pair filled, and a position turned.

    An OCA group exits as much as its largest member, all exits of an entry together as much as it has filled. The broker cancels siblings,
    and does not promise that it is in time; nothing is traded here to make up for it.
    """
    order = change.order
    bounds: list[tuple[list[OrderRecord], Decimal]] = []
    if order.oca_group_id is not None:
        members = list(OrderRecord.objects.filter(oca_group_id=order.oca_group_id))
        bounds.append((members, max(max(row.quantity, _first_quantity(row)) for row in members)))
    if order.parent_id is not None and order.parent is not None:
        bounds.append((list(OrderRecord.objects.filter(parent_id=order.parent_id)), order.parent.filled_quantity))
    for members, most in bounds:
        exited = sum((row.filled_quantity for row in members if row.pk != order.pk), change.value("filled_quantity"))
        if exited > most:
            change.incident("exits_overfilled", f"Exits filled {plain(exited)} where there were {plain(most)} to exit.")
            return


def _first_quantity(order: OrderRecord) -> Decimal:
    """The quantity that the order was placed with: groups of the reducing types lower it with every fill of a sibling."""
    first = Event.objects.filter(order=order).order_by("seq").first()
    rows = first.data.get("rows", []) if first is not None else []
    said = [values["quantity"] for label, pk, values in rows if (label, pk) == (order._meta.label, order.pk) and "quantity" in values]
    return Decimal(said[0]) if said else Decimal(0)


def costs_are_due(now: datetime) -> bool:
    """Whether the list of executions is worth reading for a commission that was never told: half a minute after the fill was heard, and
    again when twice as much time has passed, for a day. Only the list brings it, and some brokers name no cost at all."""
    told = CommissionReport.objects.filter(exec_id=OuterRef("exec_id"))  # not NOT IN: PostgreSQL would read all of them for each execution
    listed = Execution.objects.filter(executed_at__gt=now - LISTED_FOR)  # which has an index, and leaves out the years before
    recent = listed.filter(counts=True, received_at__gt=now - SOUGHT_FOR, received_at__lte=now - SOUGHT_AFTER)
    heard = recent.exclude(quantity=0).exclude(Exists(told)).values_list("received_at", flat=True)
    return any(_is_turn(now - at) for at in heard)


def _is_turn(age: timedelta) -> bool:
    turns = age / SOUGHT_AFTER
    return turns - 2 ** math.floor(math.log2(turns)) < ONE_CHECK / SOUGHT_AFTER


def take_commission(work: Work, report: CommissionReported) -> None:
    """Keeps what an execution cost; it may come before its execution, and may be revised."""
    values = {
        "amount": stored(report.amount),
        "currency": clip(report.currency, 8),
        "realized_pnl": None if report.realized_pnl is None else stored(report.realized_pnl),
    }
    known = work.known_commissions.get(report.exec_id) or the_one(CommissionReport.objects.filter(exec_id=report.exec_id))
    if known is not None and all(getattr(known, name) == value for name, value in values.items()):
        return
    execution = the_one(Execution.objects.select_related("account", "order").filter(exec_id=report.exec_id))
    text = f"Commission {plain(values['amount'])} {values['currency']}"
    with work.b.event(
        "commission.reported",
        source=work.source,
        account=execution.account if execution else None,
        order=execution.order if execution else None,
        text=text,
        exec_id=report.exec_id,
    ) as fact:
        if known is None:
            fact.add(CommissionReport(exec_id=report.exec_id, received_at=work.now, **values))
        else:
            fact.set(known, **values)
        if execution is not None:
            fact.show("execution", execution.pk, account_id=execution.account_id)
