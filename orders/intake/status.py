"""From the broker's status word, code or silence to a step of the lifecycle, with the commands that the step settles.

The rule it keeps: `lifecycle.judge` decides every step. What it calls illegal opens an incident and leaves the status; what it ignores
leaves nothing. The word "Filled" is never a step: executions are asked for.
"""

from __future__ import annotations

import logging
from datetime import datetime

from orders import signals
from orders.intake.work import Change, clip
from orders.models import BrokerCommand, Event
from orders.models.book import Source
from orders.rules.lifecycle import NOT_AT_THE_BROKER, TERMINAL, WORKING, Evidence, OrderStatus, Verdict, judge
from orders.rules.reconcile import SETTLING
from orders.rules.reports import Meaning, Question
from orders.rules.terms import CommandKind, CommandState

log = logging.getLogger(__name__)

WORDS: dict[str, OrderStatus] = {
    # IB's word (orderStatus, openOrder, completedOrder) -> what it says
    "ApiPending": OrderStatus.HELD,  # waiting for a contract definition; rare
    "PendingSubmit": OrderStatus.HELD,  # transmitted, the destination has not accepted it: mostly a closed exchange
    "PreSubmitted": OrderStatus.HELD,
    "Inactive": OrderStatus.HELD,  # ambiguous by itself: shares to locate, a precaution, or a refusal whose code comes beside it
    "Submitted": OrderStatus.WORKING,
    "ApiCancelled": OrderStatus.CANCELLED,
    "Cancelled": OrderStatus.CANCELLED,
}
ON_THE_WAY_OUT = frozenset({"PendingCancel", "PreCancelled"})  # may still fill: no step
ENDED_WORDS = frozenset(word for word, status in WORDS.items() if status is OrderStatus.CANCELLED) | {"Filled"}
LIVE_WORDS = frozenset(word for word in WORDS if word not in ENDED_WORDS) | ON_THE_WAY_OUT

EXECUTIONS_MISSING = "The broker says filled; executions are missing."
EXECUTIONS_TO_FIND = "The broker says filled and tells no executions of it. Its statement has them; do not send the order again."

_INCIDENTS: dict[tuple[OrderStatus, OrderStatus], tuple[str, str]] = {
    # (a legal step that a person must hear of) -> kind and sentence of its incident
    (OrderStatus.FILLED, OrderStatus.UNKNOWN): ("busted", "A correction took back executions of a filled order."),
    (OrderStatus.CANCELLED, OrderStatus.FILLED): ("late_fill", "The order filled after it was reported cancelled."),
    (OrderStatus.REJECTED, OrderStatus.FILLED): ("late_fill", "The order filled after it was reported rejected."),
}


def take_word(change: Change, word: str, why_held: str | None = None, *, another_life: bool = False) -> bool:
    """Takes a status word of the broker: the step it means, and IB's word kept beside the status for people. False where it is stale.

    `why_held`: None from a message that does not say; then the reason stands as long as the word does. `another_life`: the word is of a
    perm id that did not end when the order did, so it is no late repeat.
    """
    status = WORDS.get(word)
    if word == "Filled":
        ask_for_fills(change)
    elif status is not None:
        # Of an order with two perm ids, that all was over was concluded from the other one.
        basis = Evidence.INFERRED if another_life or _outlived_its_code(change, word) else change.basis
        if _ends_the_refused(change, word):
            become(change, OrderStatus.REJECTED, Evidence.BROKER, code=change.order.status_code, text=change.order.status_text)
        elif change.status is OrderStatus.REJECTED and status is OrderStatus.CANCELLED:
            _confirm(change)
        elif become(change, status, Evidence.BROKER, basis=basis) is Verdict.IGNORED and change.status is not status:
            return False
        if change.status is OrderStatus.CANCELLED and change.order.state is not OrderStatus.CANCELLED and not change.text:
            asked = change.order.pk and change.order.commands.filter(kind=CommandKind.CANCEL.value).exists()
            change.text = "" if asked else "Cancelled at the broker; nobody had asked for it here."
        if why_held is not None or change.status in TERMINAL or change.value("broker_status") != clip(word, 24):
            change.fields["why_held"] = clip(why_held or "", 40) if change.status not in TERMINAL else ""
    elif not word or change.status in TERMINAL:
        return False
    elif word not in ON_THE_WAY_OUT:
        change.work.ask.add(Question.OPEN_ORDERS)
    change.fields["broker_status"] = clip(word, 24)
    return True


def _ends_the_refused(change: Change, word: str) -> bool:
    """Whether the word ends an order that a code had refused while it lived: the code alone was not believed.

    Not where a cancel of ours is open, or where the code answered a change of ours.
    """
    if word not in (*ENDED_WORDS, "Inactive") or change.status not in WORKING or not change.order.status_code:
        return False
    if change.commands.keys() & {CommandKind.CANCEL, CommandKind.MODIFY} or change.value("filled_quantity"):
        return False
    said = Event.objects.filter(order=change.order, kind="order.message").order_by("-seq").first()
    return said is not None and said.data.get("meaning") == Meaning.REJECTED and str(said.data.get("code")) == change.order.status_code


def was_cancelled(change: Change) -> bool:
    """Whether a cancelled order was no refused one: it had filled in part, or we had asked for its cancel."""
    if change.status is not OrderStatus.CANCELLED:
        return False
    return bool(change.value("filled_quantity")) or change.order.commands.filter(kind=CommandKind.CANCEL.value).exists()


def _confirm(change: Change) -> None:
    """The broker's own word that a refused order is over: from here on a late word of its life means nothing."""
    if change.basis is Evidence.CODE:
        change.kind = "order.confirmed"
        change.fields["status_basis"] = Evidence.BROKER.value


def _outlived_its_code(change: Change, word: str) -> bool:
    """Whether a list of open orders still has as PreSubmitted what a code ended a while ago: a waiting stop that lives, and may yet fill.

    Inactive says nothing of the kind, because it is also IB's word for a refused order; and a list can be some seconds stale.
    """
    closed_at = change.value("closed_at")
    is_late = closed_at is not None and change.now - closed_at > SETTLING
    return word == "PreSubmitted" and change.basis is Evidence.CODE and change.work.source == Source.RECONCILE and is_late


def said_filled(change: Change) -> bool:
    """Whether the broker said of the order that it filled, under any of its perm ids."""
    return change.order.broker_status == "Filled" or any(row.word == "Filled" for row in change.names)


def ask_for_fills(change: Change) -> None:
    """The broker says that it filled: executions decide, so they are asked for where they do not reach the quantity."""
    if change.status is OrderStatus.FILLED:
        return
    change.fields["status_text"] = EXECUTIONS_MISSING
    change.work.ask.add(Question.EXECUTIONS)


def become(
    change: Change,
    status: OrderStatus,
    evidence: Evidence,
    *,
    code: str = "",
    text: str = "",
    at: datetime | None = None,
    basis: Evidence | None = None,
) -> Verdict:
    """Tries a step and says what the lifecycle thinks of it; only a legal one changes the order and settles its commands."""
    before = change.status
    verdict = judge(before, basis or change.basis, status, evidence)
    if verdict is Verdict.IGNORED:
        log.log(
            logging.DEBUG if before is status else logging.INFO,
            "%s: %s on %s is ignored while %s",
            change.order.client_order_id,
            status,
            evidence,
            before,
        )
        return verdict
    if verdict is Verdict.ILLEGAL:
        change.incident("illegal_step", f"The broker reports {status} ({evidence}) of an order that is {before}.", code=code, words=text)
        return verdict
    if verdict is Verdict.INCIDENT:
        kind, sentence = _INCIDENTS.get((before, status), ("reopened", f"The order was {before} and the broker now reports {status}."))
        change.incident(kind, sentence)
    terminal = status in TERMINAL
    if (before, change.basis, evidence) == (OrderStatus.CANCELLED, Evidence.BROKER, Evidence.CODE):
        evidence = Evidence.BROKER  # the code adds the reason; that it is over the broker had said
    change.fields.update(
        status=status.value, status_basis=evidence.value if terminal else "", closed_at=(at or change.now) if terminal else None
    )
    if before is not status:
        change.kind = f"order.{status.lower()}"
        change.fields.update(status_code=clip(code, 40), status_text=clip(text, 500))
    else:
        change.kind = "order.confirmed"
        change.fields["closed_at"] = change.order.closed_at
    if terminal:
        _close(change, before, code, text)
    return verdict


def _close(change: Change, before: OrderStatus, code: str, text: str) -> None:
    """An order has ended: so have its commands, and what waited for it may go."""
    change.work.some_order_closed = True
    change.fields["absent_since"] = None
    change.fields["why_held"] = ""
    for command in list(change.commands.values()):
        _settle_for_good(change, command, code, text)
    if change.status is OrderStatus.CANCELLED and before is not OrderStatus.CANCELLED:
        change.signals.append((signals.order_cancelled, {}))
    elif change.status is OrderStatus.REJECTED:
        change.signals.append((signals.order_error, {"code": code, "text": text}))


def _settle_for_good(change: Change, command: BrokerCommand, code: str, text: str) -> None:
    status = change.status
    if command.state == CommandState.PENDING and command.claimed_at is None:
        change.settle(command, CommandState.WITHDRAWN, text=f"The order is {status} already.")
    elif command.kind == CommandKind.PLACE:
        lived = status is not OrderStatus.REJECTED and change.basis is not Evidence.INFERRED
        change.settle(command, CommandState.CONFIRMED if lived else CommandState.REFUSED, code, text)
    elif command.kind == CommandKind.CANCEL and status is OrderStatus.CANCELLED:
        change.settle(command, CommandState.CONFIRMED, code, text)
    else:
        change.settle(command, CommandState.REFUSED, "TOO_LATE", f"Too late: the order is {status}.")


def heard(change: Change) -> None:
    """Any word of the order at the broker: its PLACE arrived, and it is not absent."""
    place = change.claimed(CommandKind.PLACE)
    if place is not None:
        change.settle(place, CommandState.CONFIRMED)
    if change.order.absent_since is not None:
        change.fields["absent_since"] = None
        if change.order.status == OrderStatus.UNKNOWN and change.order.status_text == NOT_AT_THE_BROKER:
            change.fields["status_text"] = ""  # it is there, so it is not sent again, whatever its status is yet
            change.incident("found_again", "The broker knows the order again, after two complete snapshots without it.")
