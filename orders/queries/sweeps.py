"""Sweeps as reports: what became of each order that a kill switch or a flattening cancelled, changed or placed.

The rule it keeps: the report is read from the orders as they are now, never from what was meant; it is over when the broker has confirmed
all of them, and what did not go as meant is counted apart. Orders of accounts that the user may not see are counted, not shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from orders.models import Account, BrokerCommand, Contract, OrderRecord, Sweep
from orders.queries.access import visible_accounts
from orders.queries.desk import GatewayPill, gateway
from orders.queries.marks import Mark, order_mark
from orders.queries.orders import terms_words
from orders.queries.show import Moment, Ticks, moment, quantity
from orders.rules.lifecycle import OrderStatus
from orders.rules.terms import OPEN_COMMANDS, CommandKind, CommandState

HALT_DESK = "orders.halt_desk"
_OPEN = frozenset(state.value for state in OPEN_COMMANDS)
Commands = Mapping[tuple[int, str], BrokerCommand]
"""The newest command of each kind, by order."""


@dataclass(frozen=True)
class Line:
    """One order of a sweep. `waits`: the broker's word on it is still open; `is_bad`: it did not go as meant."""

    client_order_id: str
    words: str
    account: str
    mark: Mark
    outcome: str
    waits: bool = False
    is_bad: bool = False


@dataclass(frozen=True)
class Left:
    """What was left alone, and why. `link`: the order it is about, if it is about one."""

    words: str
    account: str
    why: str
    link: str = ""


@dataclass(frozen=True)
class Report:
    """A sweep as its page shows it. `todo`: orders and positions that no part has reached yet."""

    pk: int
    is_kill: bool
    title: str
    by: str
    at: Moment
    reason: str
    cancelled: tuple[Line, ...]
    changed: tuple[Line, ...]
    placed: tuple[Line, ...]
    left: tuple[Left, ...]
    hidden: int
    todo: int
    gateway: GatewayPill
    released: Moment | None
    released_by: str
    release_reason: str

    @property
    def lines(self) -> tuple[Line, ...]:
        return (*self.cancelled, *self.changed, *self.placed)

    @property
    def waiting(self) -> int:
        return sum(line.waits for line in self.lines)

    @property
    def bad(self) -> int:
        return sum(line.is_bad for line in self.lines)

    @property
    def settled(self) -> int:
        return len(self.lines) - self.waiting

    @property
    def is_over(self) -> bool:
        return not self.waiting and not self.todo

    @property
    def word(self) -> str:
        if not self.is_over:
            return _("UNDER WAY")
        return _("LOOK AT IT") if self.bad or self.left else _("DONE")

    @property
    def css(self) -> str:
        if not self.is_over:
            return "pill-wait"
        return "pill-down" if self.bad or self.left else "pill-ready"

    @property
    def summary(self) -> str:
        """One sentence: how far it is, or how it ended."""
        if self.todo:
            return _("%(todo)s orders and positions are still to be reached.") % {"todo": self.todo}
        if self.waiting:
            return _("The broker has confirmed %(settled)s of %(all)s.") % {"settled": self.settled, "all": len(self.lines)}
        if not self.lines and not self.left:
            return _("There was nothing to cancel and nothing to close.")
        if self.bad or self.left:
            return _("Over, and not all went as meant: look at what is marked.")
        return _("The broker has confirmed all of it.")

    @property
    def gateway_words(self) -> str:
        """What waits here while the gateway is away, and what will not be sent any more."""
        if self.is_over or self.gateway.may_place:
            return ""
        words = _("Cancels wait here and go out as soon as the gateway is back; they never grow too old.")
        if self.placed:
            words += " " + _("Closing orders that wait too long are not sent: then close what is left again.")
        return words


def sweep(user: Any, pk: int, now: datetime | None = None) -> Report | None:
    """The report, or None where the user may not see it."""
    row = _seen(user).filter(pk=pk).select_related("account", "user", "actor", "released_by").first()
    return _report(user, row, now or timezone.now()) if row is not None else None


def sweeps(user: Any, limit: int = 20, now: datetime | None = None) -> list[Report]:
    """The newest ones that the user may see."""
    rows = _seen(user).select_related("account", "user", "actor", "released_by").order_by("-pk")[:limit]
    return [_report(user, row, now or timezone.now()) for row in rows]


def _seen(user: Any) -> QuerySet[Sweep]:
    """The desk's are everybody's business, an account's whoever sees the account, a user's his own and who asked for it."""
    if not user.is_authenticated or not user.is_active:
        return Sweep.objects.none()
    if user.is_superuser or user.has_perm(HALT_DESK):
        return Sweep.objects.all()
    accounts = visible_accounts(user)
    mine = Q(actor=user) | Q(user=user) | Q(account__in=accounts)
    return Sweep.objects.filter(mine | Q(scope="desk")) if accounts.exists() else Sweep.objects.filter(actor=user)


def _report(user: Any, row: Sweep, now: datetime) -> Report:
    data = row.data
    seen = frozenset(visible_accounts(user).values_list("pk", flat=True))
    keys = [*data["cancelled"], *data["changed"], *data["placed"]]
    orders = OrderRecord.objects.select_related("account", "contract").in_bulk(keys)
    commands = _commands(keys)
    shown = {pk for pk in keys if orders[pk].account_id in seen}
    ticks = Ticks.load()
    told = _Telling(orders, commands, ticks, data["open"])
    left, hidden_left = _left(data["left"], seen, ticks)
    return Report(
        pk=row.pk,
        is_kill=row.kind == Sweep.Kind.KILL,
        title=_title(row),
        by=row.actor.get_username() if row.actor else "",
        at=Moment(row.at, row.account.time_zone if row.account else "UTC"),
        reason=row.reason,
        cancelled=tuple(told.cancelled(pk) for pk in data["cancelled"] if pk in shown),
        changed=tuple(told.changed(pk) for pk in data["changed"] if pk in shown),
        placed=tuple(told.placed(pk) for pk in data["placed"] if pk in shown),
        left=left,
        hidden=len(set(keys)) - len(shown) + hidden_left,
        todo=len(data["orders"]) - data["orders_done"] + len(data["positions"]) - data["positions_done"],
        gateway=gateway(now),
        released=moment(row.released_at, row.account.time_zone if row.account else "UTC"),
        released_by=row.released_by.get_username() if row.released_by else "",
        release_reason=row.release_reason,
    )


def _title(row: Sweep) -> str:
    if row.kind == Sweep.Kind.KILL:
        whose = row.account.code if row.account else row.user.get_username() if row.user else ""
        if not whose:
            return _("Kill switch for the whole desk")
        return _("Kill switch for account %s") % whose if row.account else _("Kill switch for user %s") % whose
    asked = row.data["asked"]
    what = [asked.get("side", ""), asked.get("sec_type", ""), asked.get("symbol", "")]
    words = " ".join(part for part in what if part) or _("all positions")
    share = "" if row.percent == 100 else f" {quantity(row.percent)} %"
    where = _("in %s") % row.account.code if row.account else _("in every account")
    return _("Flatten%(share)s: %(what)s %(where)s") % {"share": share, "what": words, "where": where}


def _commands(keys: list[int]) -> Commands:
    newest: dict[tuple[int, str], BrokerCommand] = {}
    for command in BrokerCommand.objects.filter(order__in=keys).order_by("pk"):
        newest[command.order_id, command.kind] = command
    return newest


class _Telling:
    """What became of each order, in words."""

    def __init__(self, orders: Mapping[int, OrderRecord], commands: Commands, ticks: Ticks, is_open: bool) -> None:
        self._orders, self._commands, self._ticks = orders, commands, ticks
        self._open: dict[int, set[str]] = defaultdict(set)
        for (pk, kind), command in commands.items():
            if command.state in _OPEN:
                self._open[pk].add(kind)

    def _line(self, order: OrderRecord, outcome: str, *, waits: bool = False, is_bad: bool = False) -> Line:
        place = self._commands.get((order.pk, CommandKind.PLACE.value))
        held = place is not None and place.state == CommandState.PENDING and place.claimable_at is None
        return Line(
            client_order_id=order.client_order_id,
            words=f"{order.side} {terms_words(order, self._ticks)}",
            account=order.account.short,
            mark=order_mark(order, self._open[order.pk], waits=held),
            outcome=outcome,
            waits=waits,
            is_bad=is_bad,
        )

    def _filled(self, order: OrderRecord) -> str:
        if not order.filled_quantity:
            return ""
        price = self._ticks.average(order.contract, order.average_price)
        return _("%(filled)s of %(all)s filled at %(price)s.") % {
            "filled": quantity(order.filled_quantity),
            "all": quantity(order.quantity),
            "price": price,
        }

    def cancelled(self, pk: int) -> Line:
        order, filled = self._orders[pk], self._filled(self._orders[pk])
        command = self._commands.get((pk, CommandKind.CANCEL.value))
        if order.state is OrderStatus.FILLED:
            return self._line(order, _("It filled before the cancel arrived. %s") % filled, is_bad=True)
        if order.state is OrderStatus.CANCELLED and order.status_code == "WITHDRAWN":
            return self._line(order, _("Taken back before it was sent."))
        if not order.is_open:
            gone = _("Gone.") if order.state is OrderStatus.CANCELLED else order.status_text
            return self._line(order, f"{gone} {filled}".strip())
        if command is not None and command.state in (CommandState.REFUSED, CommandState.WITHDRAWN):
            return self._line(order, _("The cancel was refused: %s") % command.text, is_bad=True)
        if command is None or command.state == CommandState.PENDING:
            return self._line(order, f"{_('The cancel waits to be sent.')} {filled}".strip(), waits=True)
        if order.state is OrderStatus.UNKNOWN:
            return self._line(order, _("What became of it is not known; it is asked to be cancelled."), waits=True)
        return self._line(order, f"{_('Asked; the broker has not confirmed it yet.')} {filled}".strip(), waits=True)

    def changed(self, pk: int) -> Line:
        order, command = self._orders[pk], self._commands.get((pk, CommandKind.MODIFY.value))
        if command is not None and command.state in _OPEN:
            return self._line(order, _("To be made smaller; the broker has not confirmed it yet."), waits=True)
        if not order.is_open:
            return self._line(order, f"{_('It has ended.')} {self._filled(order)}".strip())
        if command is not None and command.state != CommandState.CONFIRMED:
            return self._line(order, _("It was not made smaller: %s") % command.text, is_bad=True)
        return self._line(order, _("Works for %s now.") % quantity(order.quantity))

    def placed(self, pk: int) -> Line:
        order, filled = self._orders[pk], self._filled(self._orders[pk])
        if order.state is OrderStatus.FILLED:
            return self._line(order, filled)
        if order.state is OrderStatus.CANCELLED and order.status_code == "NOTHING_TO_CLOSE" and not order.needs_attention:
            return self._line(order, order.status_text)  # somebody else's order was quicker
        if not order.is_open:
            return self._line(order, f"{order.status_text} {filled}".strip(), is_bad=True)
        place = self._commands.get((pk, CommandKind.PLACE.value))
        if place is not None and place.state == CommandState.PENDING:
            words = _("Waits until its exits are out of the way.") if place.claimable_at is None else _("Waits to be sent.")
            return self._line(order, words, waits=True)
        return self._line(order, filled or _("On its way."), waits=True)


def _left(rows: list[dict[str, Any]], seen: frozenset[int], ticks: Ticks) -> tuple[tuple[Left, ...], int]:
    """What was left alone in accounts the user may see, and how much elsewhere."""
    accounts = Account.objects.in_bulk([row["account"] for row in rows])
    contracts = Contract.objects.in_bulk([row["contract"] for row in rows])
    orders = OrderRecord.objects.select_related("contract").in_bulk([row["order"] for row in rows if row["order"]])
    found = []
    for row in rows:
        if row["account"] not in seen:
            continue
        order = orders.get(row["order"])
        words = f"{order.side} {terms_words(order, ticks)}" if order else contracts[row["contract"]].label
        found.append(Left(words, accounts[row["account"]].short, row["text"], order.client_order_id if order else ""))
    return tuple(found), len(rows) - len(found)
