"""One walk through the events, from the first to the last: the rows they add up to, and what must be judged as it was at its moment.

The rule it keeps: who may do what, which limits hold and where the gateway stands are taken from the events before, never from the rows of
today. It reads each event once and keeps only what the checks ask about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from orders.models import Account, AccountAccess, BrokerCommand, BrokerId, Event, Execution, Gateway, Incident, Limit, OrderRecord, Position
from orders.replay import Chain
from orders.rules.lifecycle import OPEN
from orders.rules.limit_table import effective
from orders.rules.terms import AccessLevel, CommandKind, CommandState, GatewayState, only_smaller, terms_from_json

Values = dict[str, Any]
_ORDER, _COMMAND, _EXECUTION = OrderRecord._meta.label, BrokerCommand._meta.label, Execution._meta.label
_OPEN = frozenset(status.value for status in OPEN)
_SENDING = CommandState.SENDING.value


@dataclass(frozen=True)
class Step:
    """An order's status went from one to another (`before` "": it was written first). `told`: an incident about it was open then."""

    seq: int
    at: datetime
    order: int
    before: str
    basis_before: str
    after: str
    basis: str
    told: bool
    kind: str


@dataclass(frozen=True)
class Count:
    """An order's filled quantity went from one to another. `corrected`: by an execution that replaced another."""

    seq: int
    order: int
    before: Decimal
    after: Decimal
    corrected: bool


@dataclass(frozen=True)
class Claim:
    """A command was taken out to be sent, with what held at that moment."""

    seq: int
    at: datetime
    command: int
    kind: str
    order: int
    fence: int
    terms: Values  # as they were to be sent: the order's, or those a change asked for
    gateway: str
    is_permitted: bool
    account_is_active: bool
    limits: dict[str, Decimal]
    filled: Decimal
    position: Decimal
    working: Decimal  # what other plain orders of its side could still trade, at the least
    shrinks: bool = False  # a change that only made the order smaller


@dataclass(frozen=True)
class Request:
    """Somebody asked for something to be sent."""

    seq: int
    kind: str
    order: int
    actor: int | None
    is_permitted: bool
    account_is_active: bool


@dataclass
class Past:
    """What the walk found. `rows`: (table, primary key) -> field -> value as events spell it."""

    rows: dict[tuple[str, Any], Values] = field(default_factory=dict)
    chain: Chain = field(default_factory=Chain)
    holes: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)  # status changes that their event does not name, or names wrongly
    steps: list[Step] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    gateway: list[tuple[int, datetime, str]] = field(default_factory=list)  # (seq, when, state) of every change of its state
    order_ids: dict[tuple[int, int], set[int]] = field(default_factory=lambda: defaultdict(set))  # (client, order id) -> orders
    largest: dict[int, Decimal] = field(default_factory=dict)  # order -> the largest quantity it ever had
    clients: set[int] = field(default_factory=set)  # the client ids that the desk has used

    @classmethod
    def walk(cls, events: Iterable[Event], each: Callable[[Event], None] = lambda event: None) -> Past:
        """Walks through the events in order of seq; `each` sees every one of them."""
        walk = _Walk(cls())
        for event in events:
            walk.take(event)
            each(event)
        return walk.past


@dataclass
class _Walk:
    """The walk's present: what holds after the events so far, in the forms that are asked for often."""

    past: Past
    open_orders: dict[tuple[int, int, str], set[int]] = field(default_factory=lambda: defaultdict(set))  # (account, contract, side)
    positions: dict[tuple[int, int], Values] = field(default_factory=dict)
    limits: dict[int, Values] = field(default_factory=dict)
    access: dict[int, Values] = field(default_factory=dict)
    incidents: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))  # order -> its open incidents
    state: str = ""

    def take(self, event: Event) -> None:
        chain = self.past.chain
        if event.seq != chain.last + 1:
            self.past.holes.append(f"seq {chain.last + 1} is not there; after {chain.last} comes {event.seq}")
        chain.take(event)
        changed = self._fold(event)
        corrected = any(
            label == _EXECUTION and values.get("counts") is False and before is not None for label, _, before, values in changed
        )
        named = False
        for label, pk, before, values in changed:
            if label == _ORDER:
                named |= pk == event.order_id
                self._order(event, pk, before, corrected)
            elif label == _COMMAND:
                self._command(event, pk, before, values)
        self._compare(event, named)

    def _fold(self, event: Event) -> list[tuple[str, Any, Values | None, Values]]:
        """Takes the event's rows in; gives for each (table, key, the row before, the fields that were set). Removed rows are not given."""
        changed = []
        rows = self.past.rows
        for label, pk, values in event.data.get("rows", ()):
            before = rows.get((label, pk))
            if values is None:
                rows.pop((label, pk), None)
            else:
                rows[label, pk] = {**before, **values} if before else dict(values)
                changed.append((label, pk, before, values))
            if label in _INDEXED:
                _INDEXED[label](self, event, pk, before, rows.get((label, pk)))
        return changed

    # --- what holds -------------------------------------------------------------------------------------------------------------------

    def _index_order(self, _: Event, pk: int, before: Values | None, now: Values | None) -> None:
        for row, act in ((before, set.discard), (now, set.add)):
            if row and row["status"] in _OPEN:
                act(self.open_orders[row["account_id"], row["contract_id"], row["side"]], pk)

    def _index_position(self, _: Event, pk: int, before: Values | None, now: Values | None) -> None:
        row = now or before
        if row is not None:
            self.positions[row["account_id"], row["contract_id"]] = now or {"quantity": "0"}

    def _index_limit(self, _: Event, pk: int, before: Values | None, now: Values | None) -> None:
        _keep(self.limits, pk, now)

    def _index_access(self, _: Event, pk: int, before: Values | None, now: Values | None) -> None:
        _keep(self.access, pk, now)

    def _index_incident(self, _: Event, pk: int, before: Values | None, now: Values | None) -> None:
        if before and before["order_id"] is not None:
            self.incidents[before["order_id"]].discard(pk)
        if now and now["order_id"] is not None and now["closed_at"] is None:
            self.incidents[now["order_id"]].add(pk)

    def _index_gateway(self, event: Event, pk: int, before: Values | None, now: Values | None) -> None:
        if now is None:
            return
        if now.get("client_id") is not None:
            self.past.clients.add(now["client_id"])
        if now["state"] != self.state:
            self.state = now["state"]
            self.past.gateway.append((event.seq, event.at, self.state))

    def _index_name(self, _: Event, pk: int, before: Values | None, now: Values | None) -> None:
        if now and now["client_id"] is not None and now["ib_order_id"]:
            self.past.order_ids[now["client_id"], now["ib_order_id"]].add(now["order_id"])

    # --- what happened ----------------------------------------------------------------------------------------------------------------

    def _order(self, event: Event, pk: int, before: Values | None, corrected: bool) -> None:
        now = self.past.rows[_ORDER, pk]
        was = before or {}
        if was.get("quantity") != now["quantity"]:
            quantity = Decimal(now["quantity"])
            self.past.largest[pk] = max(quantity, self.past.largest.get(pk, quantity))
        if was.get("status", "") != now["status"]:
            step = Step(
                seq=event.seq,
                at=event.at,
                order=pk,
                before=was.get("status", ""),
                basis_before=was.get("status_basis", ""),
                after=now["status"],
                basis=now["status_basis"],
                told=bool(self.incidents[pk]),
                kind=event.kind,
            )
            self.past.steps.append(step)
            if event.order_id != pk:
                self.past.unnamed.append(f"event {event.seq} ({event.kind}) changes the status of order {pk} and is not about it")
            elif (event.status_before, event.status_after) != (step.before, step.after):
                said = f"{event.status_before or 'nothing'} to {event.status_after}"
                self.past.unnamed.append(
                    f"event {event.seq} ({event.kind}) says {said}; order {pk} went from {step.before} to {step.after}"
                )
        if before is not None and before["filled_quantity"] != now["filled_quantity"]:
            filled = Decimal(before["filled_quantity"]), Decimal(now["filled_quantity"])
            self.past.counts.append(Count(event.seq, pk, *filled, corrected))

    def _compare(self, event: Event, named: bool) -> None:
        """An event that says of a status change and carries none."""
        if event.order_id is not None and not named and event.status_before != event.status_after:
            self.past.unnamed.append(
                f"event {event.seq} ({event.kind}) says {event.status_before} to {event.status_after} and changes nothing"
            )

    def _command(self, event: Event, pk: int, before: Values | None, values: Values) -> None:
        row = self.past.rows[_COMMAND, pk]
        order = self.past.rows.get((_ORDER, row["order_id"]))
        if order is None:
            return
        if before is None:
            permitted, active = self._may(row["actor_id"], order["account_id"])
            self.past.requests.append(Request(event.seq, row["kind"], row["order_id"], row["actor_id"], permitted, active))
        if values.get("state") == _SENDING:
            self.past.claims.append(self._claim(event, pk, row, order))

    def _claim(self, event: Event, pk: int, row: Values, order: Values) -> Claim:
        permitted, active = self._may(row["actor_id"], order["account_id"])
        position = self.positions.get((order["account_id"], order["contract_id"]))
        return Claim(
            seq=event.seq,
            at=event.at,
            command=pk,
            kind=row["kind"],
            order=row["order_id"],
            fence=row["fence"] or 0,
            terms=row["terms"] if row["kind"] == CommandKind.MODIFY and row["terms"] else order,
            gateway=self.state,
            is_permitted=permitted,
            account_is_active=active,
            limits=self._limits(order["account_id"], row["actor_id"]),
            filled=Decimal(order["filled_quantity"]),
            position=Decimal(position["quantity"]) if position else Decimal(0),
            working=self._working(order),
            shrinks=row["kind"] == CommandKind.MODIFY and _only_smaller(order, row["terms"]),
        )

    def _may(self, user: int | None, account: int) -> tuple[bool, bool]:
        """(whether the user may trade the account, whether the account takes new orders)."""
        trade = AccessLevel.TRADE.value
        permitted = any(row["user_id"] == user and row["account_id"] == account and row["level"] == trade for row in self.access.values())
        row = self.past.rows.get((Account._meta.label, account))
        return permitted, row is None or bool(row["is_active"])

    def _limits(self, account: int, user: int | None) -> dict[str, Decimal]:
        applying = (
            row
            for row in self.limits.values()
            if row["scope"] == Limit.Scope.DESK
            or (row["scope"] == Limit.Scope.ACCOUNT and row["account_id"] == account)
            or (row["scope"] == Limit.Scope.USER and row["user_id"] == user)
        )
        return effective((row["rule"], Decimal(row["value"])) for row in applying)

    def _working(self, order: Values) -> Decimal:
        """Remaining quantities of the other open orders of its side that stand alone: exits and groups count once or not at all."""
        total = Decimal(0)
        for pk in self.open_orders[order["account_id"], order["contract_id"], order["side"]]:
            other = self.past.rows[_ORDER, pk]
            if other["unit_id"] != order["unit_id"] and other["parent_id"] is None and other["oca_group_id"] is None:
                total += max(Decimal(other["quantity"]) - Decimal(other["filled_quantity"]), Decimal(0))
        return total


def _only_smaller(before: Values, after: Values | None) -> bool:
    try:
        return after is not None and only_smaller(terms_from_json(before), terms_from_json(after))
    except (KeyError, ValueError, ArithmeticError):
        return False  # terms that we have no word for


def _keep(index: dict[int, Values], pk: int, row: Values | None) -> None:
    if row is None:
        index.pop(pk, None)
    else:
        index[pk] = row


_INDEXED: dict[str, Callable[[_Walk, Event, Any, Values | None, Values | None], None]] = {
    _ORDER: _Walk._index_order,
    Position._meta.label: _Walk._index_position,
    Limit._meta.label: _Walk._index_limit,
    AccountAccess._meta.label: _Walk._index_access,
    Incident._meta.label: _Walk._index_incident,
    Gateway._meta.label: _Walk._index_gateway,
    BrokerId._meta.label: _Walk._index_name,
}

READY = GatewayState.READY.value
