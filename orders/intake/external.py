"""Orders placed elsewhere: in TWS, on the phone, by another client. They are shown, and count, under the name `ext-<perm_id>`.

The rule it keeps: they belong to nobody here until a person adopts them, and one in an account that is not the book's is told of, not
shown.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from orders.intake import executions, names, said
from orders.intake.work import Change, Work, clip, stored
from orders.models import Account, Execution, OrderRecord
from orders.models.reading import the_one
from orders.rules.lifecycle import OrderStatus
from orders.rules.reports import OpenOrderReported, OrderCompleted, Question
from orders.rules.terms import Role


def take_open_order(work: Work, report: OpenOrderReported) -> None:
    """An openOrder of an order that the book does not know."""
    change = _begin(work, report)
    if change is None:
        return
    said.hear(change, report)
    if report.warning_text:
        change.fields["status_text"] = clip(report.warning_text, 500)
    _finish(work, change)
    if report.terms is not None:
        said.keep_trailing_stop(change, report.terms)


def take_completed(work: Work, report: OrderCompleted) -> None:
    """A completedOrder of an order that the book does not know. Filled without its executions it waits for them: nothing is made up."""
    change = _begin(work, report)
    if change is None:
        return
    said.end(change, report)
    if change.status is OrderStatus.UNKNOWN:
        work.ask.add(Question.EXECUTIONS)
        return
    _finish(work, change)


def _begin(work: Work, report: OpenOrderReported | OrderCompleted) -> Change | None:
    """The order as it would be added, with the executions that came before it; None where it cannot be shown."""
    key = report.key
    if key.client_order_id.startswith(work.prefix) and not OrderRecord.objects.filter(client_order_id=key.client_order_id).exists():
        names.unknown_reference(work, key.client_order_id, report.account)
    if not key.perm_id:
        work.ask.add(Question.OPEN_ORDERS)  # IB has not named it yet
        return None
    if OrderRecord.objects.filter(client_order_id=f"ext-{key.perm_id}").exists():
        return None  # known, and contradicted by this message: a person has been told
    account = the_one(Account.objects.filter(code=report.account))
    if account is None:
        named = f"is in account {clip(report.account, 40)}, which is not one of this book's" if report.account else "names no account"
        work.incident("foreign_account", f"Order {key.perm_id} {named}. It is not shown.")
        return None
    terms = _terms(report)
    if terms is None:
        text = f"Order {key.perm_id} in {report.account} was placed elsewhere and names no side, so it cannot be shown."
        work.incident("external_unreadable", text, account=account, type_word=report.type_word)
        return None
    name = f"ext-{key.perm_id}"
    order = OrderRecord(
        client_order_id=name,
        unit_id=name,
        account=account,
        contract=names.contract_row(report.contract),
        role=Role.EXTERNAL.value,
        is_external=True,
        status=OrderStatus.UNKNOWN.value,
        created_at=work.now,
        note=clip(key.client_order_id, 80),
        **terms,
    )
    change = Change(work, order, text="Placed elsewhere.", evidence={"perm_id": key.perm_id, "word": report.word})
    _link(change, key.perm_id)
    return change


def _terms(report: OpenOrderReported | OrderCompleted) -> dict[str, Any] | None:
    """Columns of an order whose type may be none of ours; None where not even its side is known."""
    if report.terms is not None:
        return said.term_values(report.terms)
    if report.side is None:
        return None
    type_word, _, time_in_force = report.type_word.rpartition(" ")
    if not type_word:
        type_word, time_in_force = report.type_word, ""
    return {
        "side": report.side.value,
        "order_type": type_word[:12],
        "time_in_force": time_in_force[:8],
        "quantity": stored(report.quantity or getattr(report, "filled_quantity", None) or Decimal(0)),
    }


def _link(change: Change, perm_id: int) -> None:
    """Executions that came before the order are its own."""
    rows = list(Execution.objects.filter(order=None, perm_id=perm_id, account=change.order.account).select_related("contract"))
    for row in rows:
        change.sets.append((row, {"order": change.order}))
    executions.count(change, [row for row in rows if row.counts])


def _finish(work: Work, change: Change) -> None:
    change.kind = "order.external"
    change.write()
    work.external += 1
