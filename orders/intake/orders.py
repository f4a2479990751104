"""What the broker says of an order while it lives and when it ends: orderStatus, openOrder, completedOrder.

The rule it keeps: a message reaches exactly one order. One that carries an order's name and contradicts its account, contract or side is
not about that order: it was placed elsewhere, and a person hears of it.
"""

from __future__ import annotations

from orders.intake import external, names, said, status
from orders.intake.work import Change, Work, clip
from orders.models import OrderRecord
from orders.rules.lifecycle import TERMINAL
from orders.rules.reports import OpenOrderReported, OrderCompleted, OrderStatusReported, Question


def take_status(work: Work, report: OrderStatusReported) -> None:
    """An orderStatus: the word, and a hint that executions are missing where it counts more than we do."""
    order = names.find(work, report.key)
    if order is None:
        if report.word in status.LIVE_WORDS:
            work.ask.add(Question.OPEN_ORDERS)  # only an openOrder says whose it is
        return
    change = Change(work, order, evidence=said.evidence(report))
    said.hear(change, report, report.why_held)
    if report.filled > change.value("filled_quantity"):
        work.ask.add(Question.EXECUTIONS)
    change.write()


def take_open_order(work: Work, report: OpenOrderReported) -> None:
    """An openOrder: the word, the acknowledged terms, and the confirmation of an open MODIFY that asked for them."""
    order = _mine(work, report)
    if order is None:
        external.take_open_order(work, report)
        return
    change = Change(work, order, evidence=said.evidence(report))
    said.hear(change, report)
    if report.terms is not None and change.status not in TERMINAL:
        said.take_terms(change, report.terms)
    if report.warning_text and change.status not in TERMINAL:
        change.fields["status_text"] = clip(report.warning_text, 500)
    change.write()
    if report.terms is not None:
        said.keep_trailing_stop(change, report.terms)


def take_completed(work: Work, report: OrderCompleted) -> None:
    """A completedOrder: how it ended."""
    order = _mine(work, report)
    if order is None:
        external.take_completed(work, report)
        return
    change = Change(work, order, evidence=said.evidence(report))
    said.end(change, report)
    change.write()


def _mine(work: Work, report: OpenOrderReported | OrderCompleted) -> OrderRecord | None:
    """The order of the book that the report is about, or None where it was placed elsewhere."""
    order = names.find(work, report.key)
    if order is None:
        return None
    wrong = names.contradiction(order, report.account, report.contract, report.terms.side if report.terms else report.side)
    if not wrong:
        return order
    change = Change(work, order, kind="order.message")
    change.incident("order_contradicts", f"An order at the broker carries this order's name, but {wrong}.")
    change.write()
    return None
