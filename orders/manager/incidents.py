"""What a person does with an incident: takes it, and explains and closes it.

The rule it keeps: what still differs between book and broker is not closed by words. A position that executions do not explain is closed
by recording the difference as an adjustment, which its person explains; nothing is traded for it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from orders import checks
from orders.book import OpenBook
from orders.errors import Refused
from orders.holdings import explained
from orders.intake.status import LIVE_WORDS, NOT_AT_THE_BROKER
from orders.manager.submissions import refuse
from orders.models import Account, BrokerId, Incident, OrderRecord, Position
from orders.models.book import Source
from orders.recovery import lift
from orders.rules.breaks import ORDERS_MISSING, POSITION_DIFFERS, TWO_WORKING
from orders.rules.lifecycle import TERMINAL, OrderStatus
from orders.rules.terms import plain

LONGEST = 500


def load(pk: int) -> Incident:
    """Raises `Refused` NOT_FOUND."""
    row = Incident.objects.select_related("account", "contract", "order__account", "owner").filter(pk=pk).first()
    if row is None:
        raise Refused("NOT_FOUND", "There is no such incident.")
    return row


def account_of(incident: Incident) -> Account | None:
    return incident.account or (incident.order.account if incident.order else None)


def own(b: OpenBook, user: Any, incident: Incident) -> Incident:
    """Says that `user` looks after it, whoever did before. Raises `Refused` NO_PERMISSION, NOT_OPEN."""
    _refuse_stranger(b, user, incident)
    _refuse_closed(incident)
    if incident.owner_id != user.pk:
        text = f"{user} looks after this: {incident.text}" + (f" (before: {incident.owner})" if incident.owner else "")
        with b.event(
            "incident.owned", source=Source.USER, actor=user, account=account_of(incident), order=incident.order, text=text
        ) as fact:
            fact.set(incident, owner=user)
    return incident


def close(b: OpenBook, user: Any, incident: Incident, reason: str, adjust: Decimal | None) -> Incident:
    """Ends it with an explanation. `adjust`: the difference of a position as the person saw it, recorded as held beside the executions.

    Raises `Refused` NO_PERMISSION, NOT_OPEN, REASON, STILL_DIFFERS, DIFFERENCE_CHANGED.
    """
    _refuse_stranger(b, user, incident)
    _refuse_closed(incident)
    reason = reason.strip()
    if not reason:
        raise Refused("REASON", "Say what explains it.", field="reason")
    if len(reason) > LONGEST:
        raise Refused("REASON", f"The explanation is longer than {LONGEST} characters.", field="reason", limit=LONGEST)
    row, difference = _adjustment(incident, adjust)
    _refuse_unsettled(incident)
    data = {"adjustment": plain(difference)} if difference else {}
    text = f"Closed by {user}: {reason}" + (f" Recorded as an adjustment: {plain(difference)}." if difference else "")
    with b.event(
        "incident.closed", source=Source.USER, actor=user, account=account_of(incident), order=incident.order, text=text, **data
    ) as fact:
        fact.set(incident, closed_at=b.now, closed_by=user, explanation=reason, owner=incident.owner or user)
        if row is not None:
            fact.set(row, opening=row.opening + difference, differs_since=None, differs_checks=0)
        lift(fact, incident)
    return incident


def _refuse_stranger(b: OpenBook, user: Any, incident: Incident) -> None:
    """Whoever may trade the account, and superusers; what belongs to no account is theirs alone."""
    account = account_of(incident)
    if user.is_active and user.is_superuser:
        return
    if account is None:
        raise Refused("NO_PERMISSION", "This belongs to no account; an administrator looks after it.")
    breach = checks.permission(b, user, account)
    if breach is not None and breach.code in ("USER_INACTIVE", "NO_PERMISSION"):
        refuse(breach)


def _refuse_closed(incident: Incident) -> None:
    if incident.closed_at is not None:
        raise Refused("NOT_OPEN", f"It is closed already{f': {incident.explanation}' if incident.explanation else '.'}")


def _adjustment(incident: Incident, adjust: Decimal | None) -> tuple[Position | None, Decimal]:
    """The position that a break is about and what is to be added to its opening, which is the whole difference as it is now."""
    if incident.kind != POSITION_DIFFERS:
        return None, Decimal(0)
    row = Position.objects.filter(account=incident.account, contract=incident.contract).first()
    difference = row.quantity - explained(row) if row is not None else Decimal(0)
    if difference and adjust is None:
        words = (
            f"The position still differs by {plain(difference)}. Record it as an adjustment, or wait for the execution that explains it."
        )
        raise Refused("STILL_DIFFERS", words, field="adjust", actual=difference)
    if adjust is not None and adjust != difference:
        words = f"The position differs by {plain(difference)} now, not by {plain(adjust)}. Look again."
        raise Refused("DIFFERENCE_CHANGED", words, field="adjust", limit=adjust, actual=difference)
    return row, difference


def _refuse_unsettled(incident: Incident) -> None:
    """Breaks of which the book itself can tell that they are not over."""
    if incident.kind == ORDERS_MISSING:
        missing = OrderRecord.objects.filter(
            account=incident.account, status=OrderStatus.UNKNOWN.value, status_text=NOT_AT_THE_BROKER, sent_at__lte=incident.opened_at
        ).count()
        if missing:
            words = f"{missing} of the orders are still not at the broker: end each of them, or send it again, first."
            raise Refused("STILL_DIFFERS", words, actual=missing)
    if incident.kind == TWO_WORKING and incident.order is not None and incident.order.state not in TERMINAL:
        live = BrokerId.objects.filter(order=incident.order, perm_id__isnull=False, word__in=sorted(LIVE_WORDS)).count()
        if live > 1:
            raise Refused("STILL_DIFFERS", f"The order still works {live} times at the broker: cancel it first.", actual=live)
