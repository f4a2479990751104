"""A desk whose broker the test plays: an account, a contract, orders in any state, and the reports a broker would make of them.

Every row goes in through `book()`, so that a test can end by proving that its events fold to its rows (see `desk` in test_intake_*).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from orders import intake, replay
from orders.book import book
from orders.models import Account, BrokerCommand, BrokerId, Contract, Event, Incident, OrderRecord
from orders.models.book import Source
from orders.rules.lifecycle import TERMINAL, OrderStatus
from orders.rules.reports import (
    ContractFacts,
    ExecutionReported,
    Meaning,
    OpenOrderReported,
    OrderCompleted,
    OrderKey,
    OrderMessage,
    OrderStatusReported,
    Question,
    Report,
    Snapshot,
)
from orders.rules.terms import BookKind, CommandKind, CommandState, OrderTerms, OrderType, Side, terms_to_json
from orders.tests.factories import NOW, make_contract

CLIENT = 17
EVERYTHING = frozenset(Question)


def facts(contract: Contract) -> ContractFacts:
    """The contract as a message names it."""
    return ContractFacts(contract.con_id, contract.symbol, contract.sec_type, contract.currency)


def a_limit(quantity: str = "100", price: str = "10", side: Side = Side.BUY) -> OrderTerms:
    return OrderTerms(side, OrderType.LIMIT, Decimal(quantity), limit_price=Decimal(price))


@dataclass
class Desk:
    """One account of a simulated gateway, one contract, and the time, which the test moves."""

    account: Account
    contract: Contract
    now: datetime = NOW
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def later(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now

    def order(
        self,
        status: OrderStatus = OrderStatus.SENT,
        *,
        terms: OrderTerms | None = None,
        basis: str = "",
        place: CommandState | None = None,
        perm_id: int | None = None,
        account: Account | None = None,
        **fields: Any,
    ) -> OrderRecord:
        """An order with its name at the broker and its PLACE, as the book would hold them in that status."""
        number = next(self._numbers)
        terms = terms or a_limit()
        if place is None:
            place = {OrderStatus.PENDING: CommandState.PENDING, OrderStatus.SENT: CommandState.SENT}.get(status, CommandState.CONFIRMED)
        if status is OrderStatus.UNKNOWN:
            place = CommandState.UNKNOWN
        order = OrderRecord(
            unit_id=f"unit-{number}",
            account=account or self.account,
            contract=self.contract,
            status=status.value,
            status_basis=basis or ("broker" if status in TERMINAL else ""),
            created_at=self.now,
            sent_at=None if status is OrderStatus.PENDING else self.now,
            **{**vars(terms), **fields},
        )
        with book(at=self.now) as b, b.event("test.order", source=Source.USER, order=order) as fact:
            order.client_order_id = f"DB{b.row.install}-{number:026d}"
            fact.add(order)
            if status is not OrderStatus.PENDING:
                fact.add(BrokerId(order=order, client_id=CLIENT, ib_order_id=number, perm_id=perm_id))
            self._command(fact, order, CommandKind.PLACE, place)
        return self.fresh(order)

    def command(self, order: OrderRecord, kind: CommandKind, terms: OrderTerms | None = None, **fields: Any) -> BrokerCommand:
        """A command of the order that was sent and is not settled, unless said otherwise."""
        with book(at=self.now) as b, b.event("test.command", source=Source.USER, order=order) as fact:
            return self._command(fact, order, kind, fields.pop("state", CommandState.SENT), terms, **fields)

    def _command(
        self, fact: Any, order: OrderRecord, kind: CommandKind, state: CommandState, terms: OrderTerms | None = None, **fields: Any
    ) -> BrokerCommand:
        claimed = None if state is CommandState.PENDING else self.now
        return fact.add(
            BrokerCommand(
                order=order,
                kind=kind.value,
                state=state.value,
                unit_id=order.unit_id,
                terms=terms_to_json(terms) if terms else None,
                created_at=self.now,
                claimed_at=claimed,
                sent_at=claimed,
                **fields,
            )
        )

    # --- what the broker says ---------------------------------------------------------------------------------------------------------

    def key(self, order: OrderRecord, *, perm_id: int = 0, reference: bool = True) -> OrderKey:
        """The names a message gives an order of ours; an orderStatus carries no reference."""
        name = order.broker_ids.order_by("pk").first()
        number = name.ib_order_id if name and name.ib_order_id else 0
        return OrderKey(CLIENT if number else None, number, perm_id or 9000 + order.pk, order.client_order_id if reference else "")

    def says(self, order: OrderRecord, word: str, *, filled: str = "0", perm_id: int = 0, why_held: str = "") -> OrderStatusReported:
        done = Decimal(filled)
        return OrderStatusReported(self.key(order, perm_id=perm_id, reference=False), word, done, order.quantity - done, why_held=why_held)

    def opened(self, order: OrderRecord, word: str = "Submitted", terms: OrderTerms | None = None, **fields: Any) -> OpenOrderReported:
        return OpenOrderReported(
            fields.pop("key", None) or self.key(order, perm_id=fields.pop("perm_id", 0)),
            fields.pop("account", order.account.code),
            fields.pop("contract", None) or facts(order.contract),
            terms or order.terms,
            word,
            **fields,
        )

    def fill(self, order: OrderRecord, exec_id: str, quantity: str, price: str = "10", **fields: Any) -> ExecutionReported:
        return ExecutionReported(
            key=fields.pop("key", None) or self.key(order),
            exec_id=exec_id,
            account=fields.pop("account", order.account.code),
            contract=fields.pop("contract", None) or facts(order.contract),
            side=fields.pop("side", Side(order.side)),
            quantity=Decimal(quantity),
            price=Decimal(price),
            executed_at=self.now,
            **fields,
        )

    def completed(self, order: OrderRecord, word: str, text: str = "", **fields: Any) -> OrderCompleted:
        return OrderCompleted(
            OrderKey(perm_id=9000 + order.pk, client_order_id=order.client_order_id),
            order.account.code,
            facts(order.contract),
            order.terms,
            word,
            text,
            self.now,
            fields.pop("filled_quantity", None),
        )

    def message(self, order: OrderRecord, code: int, meaning: Meaning, text: str = "words of the broker") -> OrderMessage:
        return OrderMessage(OrderKey(ib_order_id=self.key(order).ib_order_id), code, text, meaning)

    def elsewhere(self, perm_id: int, word: str = "Submitted", **fields: Any) -> OpenOrderReported:
        """An openOrder of an order that was placed in TWS or by another client."""
        return OpenOrderReported(
            OrderKey(fields.pop("client_id", 3), fields.pop("ib_order_id", 0), perm_id, fields.pop("reference", "")),
            fields.pop("account", self.account.code),
            fields.pop("contract", None) or facts(self.contract),
            fields.pop("terms", a_limit()),
            word,
            **fields,
        )

    def snapshot(self, *reports: Report, complete: frozenset[Question] = EVERYTHING) -> Snapshot:
        return Snapshot(self.now, CLIENT, complete, reports)

    # --- what the book makes of it ----------------------------------------------------------------------------------------------------

    def tell(self, *reports: Report, source: Source = Source.BROKER, refused: int = 0) -> intake.Outcome:
        """Applies reports; fails where one could not be taken in, unless the test says how many."""
        outcome = intake.apply(reports, now=self.now, client_id=CLIENT, source=source)
        assert outcome.refused == refused, list(Incident.objects.values_list("text", flat=True))
        return outcome

    def fresh(self, order: OrderRecord) -> OrderRecord:
        return OrderRecord.objects.select_related("account", "contract").get(pk=order.pk)

    def state(self, command: BrokerCommand) -> CommandState:
        command.refresh_from_db()
        return CommandState(command.state)

    def place_of(self, order: OrderRecord) -> CommandState:
        return CommandState(order.commands.get(kind=CommandKind.PLACE.value).state)


def a_desk(code: str = "DU1000001") -> Desk:
    """A book bound to a simulated gateway with one account."""
    intake.bind(BookKind.SIMULATED, [code], NOW)
    return Desk(Account.objects.get(code=code), make_contract())


@contextmanager
def proven() -> Iterator[None]:
    """Whatever happened inside: the events fold to the rows, and the chain is whole."""
    yield
    assert [str(difference) for difference in replay.differences()] == []
    assert replay.verify_chain() is None


@contextmanager
def new_events() -> Iterator[list[Event]]:
    """The events written inside, filled in at the end."""
    before = Event.objects.count()
    found: list[Event] = []
    yield found
    found += Event.objects.order_by("seq")[before:]


def incidents(kind: str = "") -> list[str]:
    """Kinds of the open incidents, oldest first, or those of one kind."""
    rows = Incident.objects.filter(closed_at=None).order_by("pk")
    return list((rows.filter(kind=kind) if kind else rows).values_list("kind", flat=True))
