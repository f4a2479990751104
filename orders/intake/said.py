"""What a report says of an order, ours or placed elsewhere: its word under one of its perm ids, its terms, and how it ended.

The rule it keeps: the order's terms are those that the broker acknowledged; what was asked for lives in the open MODIFY until an openOrder
carries it. Where a trailing stop stands is no term: it moves with the market.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from orders.intake import executions, names, status
from orders.intake.work import Change, clip, stored
from orders.models import TrailingStop
from orders.models.book import Source
from orders.rules.echo import as_asked, carries, trailing_price
from orders.rules.lifecycle import TERMINAL, Evidence, OrderStatus
from orders.rules.reports import OpenOrderReported, OrderCompleted, OrderStatusReported, Question
from orders.rules.terms import CommandKind, CommandState, OrderTerms, plain, term_columns, terms_from_json

Told = OrderStatusReported | OpenOrderReported | OrderCompleted


def evidence(report: Told) -> dict[str, Any]:
    """What the event keeps beside the rows."""
    return {"word": report.word, "perm_id": report.key.perm_id}


def hear(change: Change, report: Told, why_held: str | None = None) -> None:
    """Takes the report's names and its word. The end of one perm id is not the end of an order that lives under another."""
    status.heard(change)
    row = names.record(change, report.key)
    if names.live_elsewhere(change, row) and status.WORDS.get(report.word) is OrderStatus.CANCELLED:
        change.text = f"Perm id {report.key.perm_id} is cancelled; another of the same order is live."
        taken = True
    else:
        taken = status.take_word(change, report.word, why_held, another_life=names.outlived(change, row))
    if row is not None and taken:
        names.keep_word(change, row, report.word)


def end(change: Change, report: OrderCompleted) -> None:
    """Takes a completedOrder: the last word of an order."""
    if report.word == "Filled" and change.status is not OrderStatus.FILLED and change.work.source == Source.RECONCILE:
        change.attention(status.EXECUTIONS_MISSING)  # the executions of this snapshot are in the book already
    if _is_rejection(report) and not status.was_cancelled(change):
        status.heard(change)
        names.record(change, report.key)
        status.become(change, OrderStatus.REJECTED, Evidence.BROKER, text=report.completed_status, at=report.completed_at)
        return
    hear(change, report)
    if change.status is OrderStatus.CANCELLED and change.order.status != OrderStatus.CANCELLED:
        change.fields["status_text"] = clip(report.completed_status, 500)
        change.fields["closed_at"] = report.completed_at or change.now
    if report.filled_quantity is not None and report.filled_quantity > change.value("filled_quantity"):
        change.work.ask.add(Question.EXECUTIONS)


def _is_rejection(report: OrderCompleted) -> bool:
    """Whether a completedOrder was refused: Inactive among the completed has no other meaning, and of Cancelled the text tells."""
    return report.word == "Inactive" or (report.word in ("Cancelled", "ApiCancelled") and "reject" in report.completed_status.lower())


def take_terms(change: Change, told: OrderTerms) -> None:
    """The broker's terms are the acknowledged ones. A MODIFY is confirmed by an echo that carries its own."""
    modify = change.claimed(CommandKind.MODIFY)
    asked = terms_from_json(modify.terms) if modify is not None else None
    if modify is not None and asked is not None and carries(told, asked, change.now):
        change.settle(modify, CommandState.CONFIRMED)
        change.text = "Changed: "
    else:
        asked = _known_terms(change)
    terms = as_asked(told, asked, change.now) if asked is not None else told
    values = term_values(terms)
    before = {name: change.value(name) for name in values}
    differing = [name for name in values if values[name] != before[name]]
    if not differing:
        return
    change.fields.update(values)
    if change.kind == "order.heard":
        change.kind = "order.terms"
    steps = ", ".join(f"{name.replace('_', ' ')} {_say(before[name])} → {_say(values[name])}" for name in differing)
    change.text = (change.text or "Changed at the broker, not from here (TWS or another client): ") + steps
    executions.judge_quantity(change)


def _known_terms(change: Change) -> OrderTerms | None:
    """The terms that the book holds; None where they are of a kind that we have no word for."""
    try:
        return change.order.terms
    except ValueError:
        return None


def keep_trailing_stop(change: Change, told: OrderTerms) -> None:
    """Where the stop of a trailing order stands now. A figure: it makes no event, and is written only where it moved."""
    price, order = trailing_price(told), change.order
    if price is None or order.pk is None or change.status in TERMINAL:
        return
    price = stored(price)
    if TrailingStop.objects.filter(order=order, price=price).exists():
        return
    TrailingStop.objects.update_or_create(order=order, defaults={"price": price, "at": change.now})


def term_values(terms: OrderTerms) -> dict[str, Any]:
    """The terms as columns of an order."""
    return {name: stored(value) if isinstance(value, Decimal) else value for name, value in term_columns(terms).items()}


def _say(value: Any) -> str:
    if value is None:
        return "none"
    return plain(value) if isinstance(value, Decimal) else str(value)
