"""The check beside each position: what IB reports against what the book can explain.

The rule it keeps: a difference is never mended silently and never traded away. One that lasts through three complete lists of positions, at
least half a minute apart from first to last, is a break, and its account may only reduce until a person has explained it or the missing
execution has come.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from orders import lease
from orders.book import OpenBook, book
from orders.holdings import NOT_HELD, Key, Sums
from orders.intake.work import clip, restrict
from orders.models import Account, Execution, Incident, Position
from orders.models.book import Source
from orders.recovery import BY_THE_CHECK, lift
from orders.rules.breaks import POSITION_DIFFERS
from orders.rules.limits import REDUCE_ONLY
from orders.rules.reports import Question, Snapshot
from orders.rules.terms import plain

FRESH = timedelta(seconds=5)
"""After an execution a position list may be a moment behind it, or before it: the contract is not judged so soon."""

CHECKS, LASTING = 3, timedelta(seconds=30)
MOST_COUNTED = 1000

BY_EVIDENCE = "Closed by evidence: executions account for the whole position now."


@dataclass(frozen=True)
class Checked:
    """What a list of positions came to. `differing`: positions that their executions do not explain now."""

    differing: int = 0
    opened: int = 0  # breaks
    closed: int = 0


def check(taken: Snapshot, sums: Sums, *, now: datetime, fence: int | None = None) -> Checked:
    """Compares every position with its executions, after the reports of `taken` are in the book. Nothing where its list has no end."""
    if Question.POSITIONS not in taken.complete:
        return Checked()
    told = Account.objects.filter(code__in=taken.accounts) if taken.accounts else Account.objects.all()
    by_key = sums.now()
    known = []
    for account in told:
        if account.positions_known_at is not None:
            known.append(account.pk)
        elif _tells_of_executions(taken, account, now):
            _begin(account, by_key, taken, now, fence)
    rows = {(row.account_id, row.contract_id): row for row in _positions(known)}
    keys = rows.keys() | {key for key in by_key if key[0] in known}
    suspects = sorted(key for key in keys if _is_suspect(rows.get(key), by_key.get(key, Decimal(0))))
    suspects = [key for key in suspects if not _is_fresh(key, now)]
    return _judge(suspects, by_key, now, fence) if suspects else Checked()


def _positions(accounts: list[int]) -> list[Position]:
    return list(Position.objects.filter(account__in=accounts).exclude(contract__sec_type__in=NOT_HELD))


def _tells_of_executions(taken: Snapshot, account: Account, now: datetime) -> bool:
    """Whether the executions behind this list of positions are in the book.

    They are where they were told to their end beside it, or where only positions were asked for, which happens in READY alone.
    """
    if Question.EXECUTIONS in taken.complete:
        return True
    recent = Execution.objects.filter(account=account, received_at__gt=now - FRESH)
    return taken.complete == {Question.POSITIONS} and not recent.exists()


def _begin(account: Account, sums: dict[Key, Decimal], taken: Snapshot, now: datetime, fence: int | None) -> None:
    """The first complete list of an account: what is held and was not executed under the eyes of the book is its opening."""
    with _fenced(now, fence) as b:
        rows = {row.contract_id: row for row in _positions([account.pk])}
        text = f"The positions of {account.code} are known: what no execution explains was there before this book."
        with b.event("positions.known", source=Source.RECONCILE, account=account, text=text) as fact:
            fact.set(account, positions_known_at=taken.taken_at)
            for row in rows.values():
                fact.set(row, opening=row.quantity - sums.get((account.pk, row.contract_id), Decimal(0)))
            for (account_id, contract_id), executed in sums.items():
                if account_id == account.pk and contract_id not in rows and executed:
                    fact.add(_flat(account_id, contract_id, now, opening=-executed))


def _flat(account_id: int, contract_id: int, now: datetime, opening: Decimal = Decimal(0)) -> Position:
    """A row for what is not held: the executions say something of it all the same."""
    zero = Decimal(0)
    return Position(account_id=account_id, contract_id=contract_id, quantity=zero, average_cost=zero, opening=opening, reported_at=now)


def _is_suspect(row: Position | None, executed: Decimal) -> bool:
    """Whether the position is not explained, or was not at the check before."""
    return executed != 0 if row is None else row.quantity != row.opening + executed or row.differs_checks > 0


def _is_fresh(key: Key, now: datetime) -> bool:
    return Execution.objects.filter(account=key[0], contract=key[1], received_at__gt=now - FRESH).exists()


def _judge(suspects: list[Key], sums: dict[Key, Decimal], now: datetime, fence: int | None) -> Checked:
    """Each under the lock, from the row as it is there: a person may just have recorded an adjustment."""
    differing = opened = closed = 0
    with _fenced(now, fence) as b:
        rows = Position.objects.filter(account__in={key[0] for key in suspects}).select_related("account", "contract")
        by_key = {(row.account_id, row.contract_id): row for row in rows}
        for key in suspects:
            row = by_key.get(key) or _flat(*key, now)
            difference = row.quantity - row.opening - sums.get(key, Decimal(0))
            if difference:
                differing += 1
                opened += _differs(b, row, difference)
            elif row.pk is not None:
                closed += _agrees(b, row)
    return Checked(differing, opened, closed)


@contextmanager
def _fenced(now: datetime, fence: int | None) -> Iterator[OpenBook]:
    with book(at=now) as b:
        if fence is not None:
            lease.check(fence)
        yield b


def _open_break(row: Position) -> Incident | None:
    return Incident.objects.filter(kind=POSITION_DIFFERS, account=row.account, contract=row.contract, closed_at=None).first()


def _differs(b: OpenBook, row: Position, difference: Decimal) -> bool:
    """Counts the check, or opens the break, or keeps an open one up to date. True where a break was opened."""
    figures = {"contract": row.contract.label, "reported": plain(row.quantity), "explained": plain(row.quantity - difference)}
    text = _words(row, difference)
    incident = _open_break(row)
    if incident is not None:
        if incident.data != figures:
            with b.event("position.differs", source=Source.RECONCILE, account=row.account, text=text) as fact:
                fact.set(incident, text=text, data=figures)
        return False
    since, checks = row.differs_since or b.now, row.differs_checks + 1
    breaks = checks >= CHECKS and b.now - since >= LASTING
    kind = "position.break" if breaks else "position.differs"
    with b.event(kind, source=Source.RECONCILE, account=row.account, text=text, **figures) as fact:
        if row.pk is None:
            row.differs_since, row.differs_checks = since, checks
            fact.add(row)
        else:
            fact.note(row, differs_since=since, differs_checks=min(checks, MOST_COUNTED))  # the report is as old as it was
        if breaks:
            restrict(fact, row.account, REDUCE_ONLY, BY_THE_CHECK + text)
            named = {"kind": POSITION_DIFFERS, "account": row.account, "contract": row.contract}
            fact.add(Incident(text=text, data=figures, opened_at=b.now, **named))
    return breaks


def _words(row: Position, difference: Decimal) -> str:
    return clip(
        f"{row.contract.label} in {row.account.short}: the broker reports {plain(row.quantity)}, the book explains "
        f"{plain(row.quantity - difference)}. No execution accounts for {plain(difference)}: an assignment, a split, a transfer, or a fill "
        "that never came. Look in the broker's statement. Until it is explained the account may only reduce; nothing was traded for it.",
        500,
    )


def _agrees(b: OpenBook, row: Position) -> bool:
    """The executions explain the position again. True where that closed a break."""
    incident = _open_break(row)
    if incident is None and not row.differs_checks:
        return False
    text = f"{row.contract.label} in {row.account.short}: executions account for all of {plain(row.quantity)}."
    with b.event("position.explained", source=Source.RECONCILE, account=row.account, text=text) as fact:
        fact.set(row, differs_since=None, differs_checks=0)
        if incident is not None:
            fact.set(incident, closed_at=b.now, explanation=BY_EVIDENCE)
            lift(fact, incident)
    return incident is not None
