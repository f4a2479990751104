"""Sweeps: a kill switch or a flattening of many orders and positions, done in parts, each a transaction of its own.

The rule it keeps: a halt stands before the first cancel, so nothing new comes in between; what is to be done is written down at once, and
each part notes in its own transaction how far it got, so that a crash loses nothing and nothing is done twice. What is left alone is named,
with the reason. Never IB's global cancel: it takes the orders of everybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet

from orders import lease
from orders.book import OpenBook, book
from orders.errors import IllegalTransition, Refused
from orders.exposure import OPEN_STATUSES
from orders.manager import changing, closing, halting
from orders.manager.changing import CHUNK
from orders.manager.closing import ALL
from orders.manager.halting import Scope, Target, TradingState
from orders.manager.placing import Placing
from orders.models import Account, Contract, OrderRecord, Position, Sweep
from orders.models.book import Source
from orders.queries.access import tradable_accounts
from orders.rules.terms import Role
from orders.rules.tickets import TicketError

LEFT_BEHIND = timedelta(seconds=5)
"""After this the worker does the next part of a sweep too. Each part begins where the book says that the last one ended."""

_EXITS = (Role.TAKE_PROFIT, Role.STOP_LOSS, Role.TIME_STOP)


@dataclass(frozen=True)
class Filter:
    """Which positions a flattening is about; what is empty does not narrow it. `side` is LONG or SHORT."""

    account: Account | None = None
    contract: Contract | None = None
    sec_type: str = ""
    side: str = ""
    percent: Decimal = ALL

    @classmethod
    def of(cls, account: Account | None, contract: Contract | None, sec_type: str, side: str, percent: Decimal) -> Filter:
        """Raises `Refused` PERCENT or SIDE."""
        if not 0 < percent <= ALL:
            raise Refused("PERCENT", "The percentage must be above 0 and at most 100.", field="percent", limit=ALL, actual=percent)
        if side.upper() not in ("", "LONG", "SHORT"):
            raise Refused("SIDE", "The side must be LONG or SHORT.", field="side")
        return cls(account, contract, sec_type.upper(), side.upper(), percent)

    @property
    def facts(self) -> dict[str, Any]:
        """As a sweep and its event keep it."""
        return {
            "account": self.account and self.account.code,
            "con_id": self.contract and self.contract.con_id,
            "symbol": self.contract.label if self.contract else "",
            "sec_type": self.sec_type,
            "side": self.side,
            "percent": self.percent,
        }


# --- what it is about -------------------------------------------------------------------------------------------------------------------


def positions_of(user: Any, which: Filter) -> list[Position]:
    """The positions, in accounts the user may trade, the largest accounts' names first by code."""
    rows = Position.objects.filter(account__in=tradable_accounts(user)).exclude(quantity=0)
    if which.account is not None:
        rows = rows.filter(account=which.account)
    if which.contract is not None:
        rows = rows.filter(contract=which.contract)
    if which.sec_type:
        rows = rows.filter(contract__sec_type=which.sec_type)
    if which.side:
        rows = rows.filter(quantity__gt=0) if which.side == "LONG" else rows.filter(quantity__lt=0)
    return list(rows.select_related("account", "contract").order_by("account__code", "contract__symbol", "pk"))


def orders_of(actor: Any, whose: Target) -> list[OrderRecord]:
    """Every open order of the scope: entries before exits, so that none is left to fill without them; each group by age.

    A user's are those he placed; his own without the right to halt everybody's only where he may still trade.
    """
    rows: QuerySet[OrderRecord] = OrderRecord.objects.filter(status__in=OPEN_STATUSES)
    if whose.scope is Scope.ACCOUNT:
        rows = rows.filter(account=whose.account)
    elif whose.scope is Scope.USER:
        rows = rows.filter(created_by=whose.user)
        if not actor.has_perm(halting.HALT_DESK):
            rows = rows.filter(account__in=tradable_accounts(actor))
    return sorted(rows.select_related("account", "contract", "parent"), key=lambda order: (order.role in _EXITS, order.pk))


def liquidated(actor: Any, whose: Target) -> list[Position]:
    """The positions that a kill switch closes where it is asked to: of the account, else of every account that the actor, or the user, may
    trade. A position belongs to its account, whoever opened it."""
    user = whose.user if whose.user is not None else actor
    return positions_of(user, Filter(account=whose.account))


# --- writing it down --------------------------------------------------------------------------------------------------------------------


def begin_flatten(b: OpenBook, actor: Any, which: Filter) -> Sweep:
    """Writes down which positions are to be closed. Raises `Refused` NO_PERMISSION or NO_POSITION."""
    if which.account is not None:
        changing.refuse_stranger(b, actor, which.account)
    found = positions_of(actor, which)
    if not found:
        raise Refused("NO_POSITION", "There is no position of this kind to close in the accounts you may trade.")
    scope = {"scope": Scope.ACCOUNT, "account": which.account} if which.account is not None else {"scope": Scope.USER, "user": actor}
    sweep = Sweep(kind=Sweep.Kind.FLATTEN, actor=actor, flattens=True, percent=which.percent, at=b.now, **scope)
    words = f"Flattening of {len(found)} positions, {which.percent.normalize():f} %."
    return _write_down(b, sweep, "flatten.asked", words, [], found, which.facts)


def begin_kill(b: OpenBook, actor: Any, whose: Target, reason: str, *, flatten: bool) -> Sweep:
    """Sets HALTED, and writes down what is to be cancelled and closed. Raises `Refused` REASON or NO_PERMISSION."""
    reason = halting.reason_of(reason)
    halting.refuse_unless(halting.may_hold_back(actor, whose), "halt the trading of", whose)
    halting.write(b, actor, whose, TradingState.HALTED, reason)
    orders = orders_of(actor, whose)
    positions = liquidated(actor, whose) if flatten else []
    sweep = Sweep(
        kind=Sweep.Kind.KILL,
        scope=whose.scope,
        account=whose.account,
        user=whose.user,
        actor=actor,
        reason=reason,
        flattens=flatten,
        at=b.now,
    )
    return _write_down(b, sweep, "kill.asked", f"Kill switch for {whose.words}: {reason}"[:500], orders, positions, {})


def _write_down(
    b: OpenBook, sweep: Sweep, kind: str, words: str, orders: Sequence[OrderRecord], positions: Sequence[Position], facts: dict[str, Any]
) -> Sweep:
    sweep.data = {
        "open": bool(orders or positions),  # parts are to be done
        "asked": {name: str(value) if isinstance(value, Decimal) else value for name, value in facts.items()},
        "orders": [order.pk for order in orders],
        "positions": [[position.account_id, position.contract_id] for position in positions],
        "orders_done": 0,
        "positions_done": 0,
        "cancelled": [],
        "changed": [],
        "placed": [],
        "left": [],
    }
    with b.event(kind, source=Source.USER, actor=sweep.actor, account=sweep.account, text=words) as fact:
        return fact.add(sweep)


# --- doing it, part by part -------------------------------------------------------------------------------------------------------------


def unfinished(before: datetime | None = None) -> list[int]:
    """Sweeps of which parts are still to be done, by age."""
    rows = Sweep.objects.filter(data__open=True)
    if before is not None:
        rows = rows.filter(at__lt=before)
    return list(rows.order_by("pk").values_list("pk", flat=True))


def finish_left_behind(*, fence: int, now: datetime) -> None:
    """The next part of each sweep that whoever asked for it has left undone: for the worker, which is always there."""
    for pk in unfinished(now - LEFT_BEHIND):
        with book(at=now) as b:
            lease.check(fence)
            go_on(b, pk)


def go_on(b: OpenBook, pk: int) -> bool:
    """Does the next part of a sweep: at most fifty orders. True while there are more."""
    sweep = Sweep.objects.select_related("actor", "account", "user").get(pk=pk)
    if not sweep.data["open"]:
        return False
    part = _Part(b, sweep)
    room = part.cancel(CHUNK)
    if part.all_cancelled:
        part.close(room)
    data = {**part.data, "open": not part.is_over}
    words = f"{len(data['cancelled'])} cancels, {len(data['placed'])} closing orders so far, {len(data['left'])} left alone."
    with b.event("sweep.part", source=Source.USER, actor=sweep.actor, account=sweep.account, text=words) as fact:
        fact.set(sweep, data=data)
    return bool(data["open"])


class _Part:
    """One part of a sweep: takes up where the last one ended."""

    def __init__(self, b: OpenBook, sweep: Sweep) -> None:
        self.b, self.sweep = b, sweep
        self.data: dict[str, Any] = {name: list(value) if isinstance(value, list) else value for name, value in sweep.data.items()}

    @property
    def all_cancelled(self) -> bool:
        return self.data["orders_done"] >= len(self.data["orders"])

    @property
    def is_over(self) -> bool:
        return self.all_cancelled and self.data["positions_done"] >= len(self.data["positions"])

    def cancel(self, room: int) -> int:
        """Cancels or withdraws the next orders; gives the room that is left."""
        first = self.data["orders_done"]
        for pk in self.data["orders"][first : first + room]:
            self._cancel(changing.load(pk))  # read one by one: a unit is withdrawn whole
            self.data["orders_done"] += 1
            room -= 1
        return room

    def _cancel(self, order: OrderRecord) -> None:
        if order.is_open and order.role == Role.LIQUIDATION:
            self._leave(order.account, order.contract, "LIQUIDATION", "It closes a position for an earlier kill switch.", order)
        elif order.is_open and not changing.is_cancellable(order):
            words = "It was placed elsewhere; the broker lets only that client cancel it."
            self._leave(order.account, order.contract, "EXTERNAL", words, order)
        else:
            self.data["cancelled"].append(order.pk)
            if order.is_open:
                changing.ask_cancel(self.b, self.sweep.actor, order)

    def close(self, room: int) -> None:
        """Closes the next positions, as long as there is room for all that each touches; one in any case where nothing else was done."""
        begun = room < CHUNK
        for account, contract in self.data["positions"][self.data["positions_done"] :]:
            if begun and room <= 0:
                return
            position = Position.objects.select_related("account", "contract").get(account=account, contract=contract)
            try:
                room -= self._close(position, room, begun)
            except _NoRoom:
                return
            begun = True
            self.data["positions_done"] += 1

    def _close(self, position: Position, room: int, begun: bool) -> int:
        role = Role.LIQUIDATION if self.sweep.kind == Sweep.Kind.KILL else Role.CLOSE
        account, contract = position.account, position.contract
        placing = Placing(self.sweep.actor, account, contract, confirm_duplicate=True)
        try:
            if position.quantity == 0:
                raise Refused("NO_POSITION", "It was flat when its turn came.")
            closing.permit(self.b, placing)
            plan = closing.plan_close(account, contract, self.sweep.percent, self.b.now, role=role)
            if begun and plan.size > room:
                raise _NoRoom
            with self.b.savepoint():
                order = closing.carry_out(self.b, placing, plan)
        except Refused as refused:
            self._leave(account, contract, refused.code, refused.message)
            return 1
        except TicketError as error:
            self._leave(account, contract, "TICKET", f"{error.field.replace('_', ' ').capitalize()} {error.message}.")
            return 1
        except IllegalTransition as illegal:
            self._leave(account, contract, "ILLEGAL", str(illegal))
            return 1
        self.data["cancelled"] += [exit_.pk for exit_ in plan.cancels if exit_.pk not in self.data["cancelled"]]
        self.data["changed"] += [exit_.pk for exit_, _ in plan.changes]
        self.data["placed"].append(order.pk)
        return plan.size

    def _leave(self, account: Account, contract: Contract, code: str, text: str, order: OrderRecord | None = None) -> None:
        told = {"account": account.pk, "contract": contract.pk, "code": code, "text": text, "order": order and order.pk}
        self.data["left"].append(told)


class _NoRoom(Exception):
    """The next position touches more orders than this part may; the next part takes it."""
