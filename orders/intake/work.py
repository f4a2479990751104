"""One batch of reports at work: the open book, who speaks, what is worth asking again, and `Change`, which collects what one report does.

The rule it keeps: a report makes one event that carries every row it touched, or none at all where it says nothing new. So a message
that comes three times leaves one event.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import cached_property
from typing import Any

from django.db.models import Model
from django.dispatch import Signal

from orders.book import Fact, OpenBook
from orders.models import Account, BrokerCommand, BrokerId, CommissionReport, Execution, Incident, Limit, OrderRecord
from orders.models.book import Source
from orders.models.reading import the_one
from orders.recovery import BY_THE_CHECK
from orders.rules.lifecycle import Evidence, OrderStatus
from orders.rules.limits import Rule
from orders.rules.reports import Question
from orders.rules.terms import MAX_SIGNIFICANT_DIGITS, OPEN_COMMANDS, CommandKind, CommandState
from orders.signals import tell

log = logging.getLogger(__name__)

_EXACT = Context(prec=MAX_SIGNIFICANT_DIGITS, rounding=ROUND_HALF_UP)
_WIDE = Context(prec=40, rounding=ROUND_HALF_UP)
_PLACES = Decimal("0.00000001")
_LARGEST = Decimal(10) ** 16
OPEN_WORDS = sorted(state.value for state in OPEN_COMMANDS)
CLAIMED = frozenset({CommandState.SENDING, CommandState.SENT, CommandState.UNKNOWN})
"""The states of a command that may have reached the broker."""


def stored(value: Decimal) -> Decimal:
    """The number as every database gives it back: 15 significant digits, 8 places. Raises ValueError for what no column holds."""
    if not value.is_finite() or abs(value) >= _LARGEST:
        raise ValueError(f"{value} is not an amount")
    return _EXACT.plus(value).quantize(_PLACES, context=_WIDE) + 0


def clip(text: str, length: int) -> str:
    """The text without NUL, which PostgreSQL refuses, and no longer than its column."""
    text = text.replace("\0", "")
    return text if len(text) <= length else text[: length - 1] + "…"


@dataclass
class Work:
    """What the handlers of one batch share."""

    b: OpenBook
    client_id: int
    source: Source
    ask: set[Question] = field(default_factory=set)
    known_executions: dict[str, Execution] = field(default_factory=dict)  # those of the batch that were in the book before it
    known_commissions: dict[str, CommissionReport] = field(default_factory=dict)
    some_order_closed: bool = False
    acknowledged: set[CommandKind] = field(default_factory=set)  # kinds of the commands that the batch confirmed
    executions: int = 0
    external: int = 0

    @property
    def now(self) -> datetime:
        return self.b.now

    @property
    def prefix(self) -> str:
        """How the client_order_ids of this book begin."""
        return f"DB{self.b.row.install}-"

    def incident(self, kind: str, text: str, *, account: Account | None = None, **data: Any) -> bool:
        """Opens an incident that belongs to no order, in an event of its own; False where the same one is open already."""
        text = clip(text, 500)
        if _is_open(kind, text, None):
            return False
        log.warning("%s: %s", kind, text)
        with self.b.event("incident.opened", source=self.source, account=account, text=text, **data) as fact:
            fact.add(Incident(kind=kind, account=account, text=text, opened_at=self.now))
        return True


def _is_open(kind: str, text: str, order: OrderRecord | None) -> bool:
    return Incident.objects.filter(kind=kind, text=text, order=order, closed_at=None).exists()


def restrict(fact: Fact, account: Account, state: Decimal, why: str) -> None:
    """Puts an account into a stricter trading state (limits.Rule.TRADING_STATE), which a person takes back in the administration.

    What the position check restricts ends with its break. Where something else asks for the same, its reason takes over, and stays.
    """
    row = the_one(Limit.objects.filter(scope=Limit.Scope.ACCOUNT, account=account, rule=Rule.TRADING_STATE.value))
    if row is None:
        fact.add(Limit(scope=Limit.Scope.ACCOUNT, account=account, rule=Rule.TRADING_STATE.value, value=state, note=clip(why, 200)))
    elif row.value < state or (row.value == state and row.note.startswith(BY_THE_CHECK) and not why.startswith(BY_THE_CHECK)):
        fact.set(row, value=state, note=clip(why, 200))


LATE = frozenset({"late_fill", "reopened", "overfill"})
"""Incidents by which an order that was taken for gone shows that it is not."""


@dataclass
class Change:
    """What one report does to one order, collected first and then written as one event."""

    work: Work
    order: OrderRecord
    kind: str = "order.heard"
    text: str = ""
    broker_time: datetime | None = None
    heard: bool = True  # False where it is our own conclusion, not a word of the broker
    told: bool = False  # True where the event is written though no row changes: a text worth keeping
    evidence: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    added: list[Model] = field(default_factory=list)
    sets: list[tuple[Model, dict[str, Any]]] = field(default_factory=list)
    signals: list[tuple[Signal, dict[str, Any]]] = field(default_factory=list)
    restricts: Decimal | None = None  # the trading state that the account is put into with this change

    @property
    def now(self) -> datetime:
        return self.work.now

    def value(self, name: str) -> Any:
        """A field of the order as it will be."""
        return self.fields.get(name, getattr(self.order, name))

    @property
    def status(self) -> OrderStatus:
        return OrderStatus(self.value("status"))

    @property
    def basis(self) -> Evidence | None:
        basis = self.value("status_basis")
        return Evidence(basis) if basis else None

    @cached_property
    def names(self) -> list[BrokerId]:
        return list(self.order.broker_ids.order_by("pk")) if self.order.pk else []

    @cached_property
    def commands(self) -> dict[CommandKind, BrokerCommand]:
        """The open commands of the order; the database keeps them to one of a kind."""
        if not self.order.pk:
            return {}
        return {CommandKind(row.kind): row for row in self.order.commands.filter(state__in=OPEN_WORDS)}

    def claimed(self, kind: CommandKind) -> BrokerCommand | None:
        """The open command of the kind, where the broker may have it."""
        command = self.commands.get(kind)
        return command if command is not None and CommandState(command.state) in CLAIMED else None

    def settle(self, command: BrokerCommand, state: CommandState, code: str = "", text: str = "") -> None:
        """Ends a command (or marks it UNKNOWN); it is out of `commands` from here on."""
        values: dict[str, Any] = {"state": state.value, "code": clip(code, 40), "text": clip(text, 500)}
        if state not in OPEN_COMMANDS:
            values["settled_at"] = self.now
        self.sets.append((command, values))
        if state is CommandState.CONFIRMED:
            self.work.acknowledged.add(CommandKind(command.kind))
        self.commands.pop(CommandKind(command.kind), None)

    def attention(self, text: str) -> None:
        """A person must look at the order."""
        self.fields.update(needs_attention=True, attention_text=clip(text, 300))

    def incident(self, kind: str, text: str, *, restricts: Decimal | None = None, **data: Any) -> None:
        """An incident of the order, and the order flagged; nothing where the same one is open already.

        `restricts`: the trading state that the account is put into until a person has looked.
        """
        text = clip(text, 500)
        if self.order.pk and _is_open(kind, text, self.order):
            return
        log.warning("%s: %s (%s)", kind, text, self.order.client_order_id)
        self.restricts = restricts or self.restricts
        self.attention(text)
        self.added.append(Incident(kind=kind, order=self.order, account=self.order.account, text=text, data=data, opened_at=self.now))
        if self.order.pk and kind in LATE:
            self._tell_the_resent()

    def _tell_the_resent(self) -> None:
        """Late evidence of an order that a person sent again is an incident of the new one too: both may trade."""
        for other in OrderRecord.objects.filter(resend_of=self.order).select_related("account"):
            text = f"{self.order.client_order_id}, which this was sent again for, is not gone after all: both may trade."
            if not _is_open("first_lives", text, other):
                self.added.append(Incident(kind="first_lives", order=other, account=other.account, text=text, opened_at=self.now))
                self.sets.append((other, {"needs_attention": True, "attention_text": clip(text, 300)}))

    def write(self) -> bool:
        """Writes the event; False where there was nothing to write."""
        order = self.order
        changed = {name: value for name, value in self.fields.items() if getattr(order, name) != value}
        sets = [(row, values) for row, values in self.sets if any(getattr(row, name) != value for name, value in values.items())]
        if order.pk and not (changed or self.added or sets or self.told):
            return False
        if self.heard:
            changed["heard_at"] = self.now
        account = order.account
        with self.work.b.event(
            self.kind, source=self.work.source, account=account, order=order, broker_time=self.broker_time, text=self.text, **self.evidence
        ) as fact:
            self._write_order(fact, changed)
            for row, values in sets:
                fact.set(row, **values)
            for row in self.added:
                fact.add(row)
            if self.restricts is not None:
                restrict(fact, account, self.restricts, self.value("attention_text"))
        for signal, facts in self.signals:
            tell(self.work.b, signal, sender=OrderRecord, order=order, **facts)
        return True

    def _write_order(self, fact: Fact, changed: dict[str, Any]) -> None:
        if self.order.pk:
            # The seq too, so that the order's version on screen rises even where only its commands changed.
            fact.set(self.order, **{**changed, "seq": fact.seq})
            return
        for name, value in changed.items():
            setattr(self.order, name, value)
        fact.add(self.order)
