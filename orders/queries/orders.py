"""Orders as families: an entry with its children, the members of an OCA group, or a single order. A family is the unit the screens show.

The rule it keeps: status, quantity and intent stand side by side and are never mixed; a filled parent stays on the screen as long as
a child lives.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.functional import Promise

from orders.models import Account, BrokerCommand, OrderRecord
from orders.queries.access import tradable_ids, visible_accounts
from orders.queries.attributes import in_words
from orders.queries.marks import LEGS, SIDE_CSS, Mark, order_mark
from orders.queries.show import NOTHING, Moment, Ticks, age, initials, quantity
from orders.queries.unknown import evidence, is_lost
from orders.rules.holding import STOP_TYPES
from orders.rules.lifecycle import OPEN, WORKING, OrderStatus
from orders.rules.terms import CommandKind, Role, Side, plain
from orders.trading_day import trading_day


@dataclass(frozen=True)
class OrderRow:
    """One order, spelled out for a table."""

    pk: int
    client_order_id: str
    account: str
    account_code: str
    con_id: int
    symbol: str
    leg: str | Promise
    side: str
    side_css: str
    quantity: str
    order_type: str
    price: str
    next_price: str  # what an open change asks for, where it changes a price
    filled: str
    filled_value: str
    quantity_value: str
    progress_css: str
    average: str
    time_in_force: str
    outside_rth: bool
    attributes: str
    by: str
    by_name: str
    note: str
    mark: Mark
    status: str
    broker_status: str
    message: str
    created: Moment
    since: Moment
    age: str
    is_done: bool
    is_unknown: bool
    is_external: bool
    needs_attention: bool
    can_change: bool
    can_cancel: bool
    may_tend: bool
    can_send_again: bool
    evidence: tuple[str, ...]
    kin: str = ""
    oca: str = ""


@dataclass(frozen=True)
class Family:
    root_id: int
    rows: tuple[OrderRow, ...]

    @property
    def unit_id(self) -> str:
        return f"family-{self.root_id}"

    @property
    def alert(self) -> str:
        """What must be said aloud: a member was rejected, is unknown or needs a person."""
        told = [row for row in self.rows if row.is_unknown or row.needs_attention or row.status == OrderStatus.REJECTED]
        return "; ".join(f"{row.symbol} {row.mark.word} {row.message}".strip() for row in told)


@dataclass
class Context:
    """What the rows of one query share: when it was asked, the ladders, who may trade what, and the commands of the orders."""

    now: datetime
    tradable: frozenset[int]
    ticks: Ticks
    commands: Mapping[int, Sequence[BrokerCommand]] = field(default_factory=dict)
    evidence: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def load(cls, user: Any, orders: Collection[OrderRecord], now: datetime) -> Context:
        found: dict[int, list[BrokerCommand]] = defaultdict(list)
        for command in BrokerCommand.objects.filter(order__in=[order.pk for order in orders]).order_by("id"):
            found[command.order_id].append(command)
        return cls(now, tradable_ids(user), Ticks.load(), found, evidence(orders))

    def open_commands(self, order: OrderRecord) -> dict[str, BrokerCommand]:
        return {command.kind: command for command in self.commands.get(order.pk, ()) if command.is_open}


ROW_RELATIONS = ("account", "contract", "created_by", "oca_group", "trailing")


def order_row(order: OrderRecord, context: Context, *, kin: str = "", oca: str = "") -> OrderRow:
    """Spells out one order; its relations (`ROW_RELATIONS`) and the context are loaded already."""
    commands = context.open_commands(order)
    change = commands.get(CommandKind.MODIFY)
    place = commands.get(CommandKind.PLACE)
    tradable = order.account_id in context.tradable
    since = order.created_at
    if order.state is OrderStatus.UNKNOWN or order.status in WORKING:
        since = order.sent_at or order.created_at
    name = (order.created_by.get_full_name() or order.created_by.username) if order.created_by else ""
    return OrderRow(
        pk=order.pk,
        client_order_id=order.client_order_id,
        account=order.account.short,
        account_code=order.account.code,
        con_id=order.contract.con_id,
        symbol=order.contract.label,
        leg=LEGS.get(order.role, ""),
        side=order.side,
        side_css=SIDE_CSS[Side(order.side)],
        quantity=quantity(order.quantity),
        order_type=order.order_type,
        price=terms_price(order, context.ticks),
        next_price=_next_price(order, change, context.ticks),
        filled=quantity(order.filled_quantity),
        filled_value=plain(min(order.filled_quantity, order.quantity)),
        quantity_value=plain(order.quantity),
        progress_css=f"p-{SIDE_CSS[Side(order.side)]}" if order.filled_quantity else "p-none",
        average=context.ticks.average(order.contract, order.average_price),
        time_in_force=order.time_in_force,
        outside_rth=order.outside_rth,
        attributes=in_words(order, context.ticks),
        by=initials(name) if name else ("ext" if order.is_external else NOTHING),
        by_name=name,
        note=order.note,
        mark=order_mark(order, commands, waits=bool(place and place.after and place.claimable_at is None)),
        status=order.status,
        broker_status=order.broker_status,
        message=order.attention_text or order.status_text,
        created=Moment(order.created_at, order.account.time_zone),
        since=Moment(since, order.account.time_zone),
        age=age(since, context.now),
        is_done=not order.is_open,
        is_unknown=order.state is OrderStatus.UNKNOWN,
        is_external=order.is_external,
        needs_attention=order.needs_attention,
        can_change=tradable and not order.is_external and _may_change(order) and CommandKind.CANCEL not in commands and change is None,
        # Of an order placed elsewhere too: whether this client may cancel it, the manager knows and says.
        can_cancel=tradable and order.is_open and CommandKind.CANCEL not in commands,
        may_tend=tradable,
        can_send_again=tradable and is_lost(order),
        evidence=context.evidence.get(order.pk, ()),
        kin=kin,
        oca=oca,
    )


def _may_change(order: OrderRecord) -> bool:
    """What was not sent yet is changed here; what works, at the broker. In between nobody knows what it would change."""
    return order.state is OrderStatus.PENDING or order.state in WORKING


def terms_price(order: OrderRecord, ticks: Ticks) -> str:
    """The price or prices its type has: "512.40", "158.00 / 157.50" (stop, then limit), "–" for a market order.

    Of a trailing order where its stop stands now and at what distance it follows: "158.00 (2 %)".
    """
    return _prices(order, order.present_stop, order, ticks)


def _prices(order: OrderRecord, stop: Decimal | None, terms: Any, ticks: Ticks) -> str:
    """The prices of these terms (an order's, or those asked of it), with the stop at `stop`."""
    given = [ticks.price(order.contract, value) for value in (stop, terms.limit_price) if value is not None]
    distance = _distance(terms)
    if distance:
        given[:1] = [f"{given[0]} ({distance})" if given else distance]
    return " / ".join(given) or NOTHING


def _distance(terms: Any) -> str:
    """How far a trailing stop stays behind the market: "1.5", "2 %"; "" for any other order."""
    if terms.trail_percent is not None:
        return f"{plain(terms.trail_percent)} %"
    return plain(terms.trail_amount) if terms.trail_amount is not None else ""


def terms_words(order: OrderRecord, ticks: Ticks) -> str:
    """The order as one says it: "100 MSFT LMT 512.40 DAY"."""
    shown = terms_price(order, ticks)
    words = [quantity(order.quantity), order.contract.label, order.order_type]
    return " ".join([*words, *([] if shown == NOTHING else [shown]), order.time_in_force])


def _next_price(order: OrderRecord, change: BrokerCommand | None, ticks: Ticks) -> str:
    if change is None or not change.terms:
        return ""
    names = ("limit_price", "stop_price", "trail_amount", "trail_percent")
    asked = SimpleNamespace(**{name: None if (value := change.terms.get(name)) is None else Decimal(str(value)) for name in names})
    stays = _distance(asked) and asked.stop_price == order.stop_price
    stop = order.present_stop if stays else asked.stop_price
    text = _prices(order, stop, asked, ticks)
    return text if text != terms_price(order, ticks) else ""


# --- families -------------------------------------------------------------------------------------------------------------------------


def _seen(user: Any, account: Account | None) -> QuerySet[OrderRecord]:
    found = OrderRecord.objects.filter(account__in=visible_accounts(user))
    return found.filter(account=account) if account is not None else found


def _kin(orders: QuerySet[OrderRecord], anchors: Iterable[tuple[int, int | None, int | None]]) -> QuerySet[OrderRecord]:
    """Of `orders` those that belong to a family of the anchors (pk, parent, OCA group)."""
    roots: set[int] = set()
    groups: set[int] = set()
    for pk, parent, group in anchors:
        roots.add(parent or pk)
        if group:
            groups.add(group)
    return orders.filter(Q(pk__in=roots) | Q(parent__in=roots) | Q(oca_group__in=groups))


def _group(orders: Sequence[OrderRecord]) -> dict[int, list[OrderRecord]]:
    """Families by root: the parent, else the first member of the OCA group, else the order itself. Roots first, then by age."""
    first: dict[int, int] = {}
    for order in orders:
        if order.oca_group_id and not order.parent_id:
            first[order.oca_group_id] = min(order.pk, first.get(order.oca_group_id, order.pk))
    families: dict[int, list[OrderRecord]] = defaultdict(list)
    for order in sorted(orders, key=lambda order: order.pk):
        root = order.parent_id or (first[order.oca_group_id] if order.oca_group_id else order.pk)
        families[root].append(order)
    return families


def family_roots(order_ids: Iterable[int]) -> set[int]:
    """The roots of the families these orders belong to. Asked by the screens, which are told of orders."""
    wanted = set(order_ids)
    anchors = OrderRecord.objects.filter(pk__in=wanted).values_list("pk", "parent", "oca_group")
    members = list(_kin(OrderRecord.objects.all(), anchors).only("pk", "parent_id", "oca_group_id"))
    return {root for root, orders in _group(members).items() if any(order.pk in wanted for order in orders)}


def order_families(
    user: Any,
    *,
    account: Account | None = None,
    scope: str = "working",
    roots: set[int] | None = None,
    now: datetime | None = None,
) -> list[Family]:
    """Families of the accounts `user` may see, newest first.

    `scope` "working": at least one member is open. "today": also those made or ended since the trading day of their account began.
    `roots` narrows it to these families, as far as they are still in the scope.
    """
    now = now or timezone.now()
    seen = _seen(user, account)
    if roots is not None:
        anchors = seen.filter(pk__in=roots)
    else:
        anchors = seen.filter(_in_scope(user, account, scope, now))
    members = list(_kin(seen, anchors.values_list("pk", "parent", "oca_group")).select_related(*ROW_RELATIONS))
    context = Context.load(user, members, now)
    starts = {} if scope == "working" else {row.pk: trading_day(row, now).start for row in {order.account for order in members}}
    families = [
        family(root, orders, context) for root, orders in _group(members).items() if any(_counts(order, starts) for order in orders)
    ]
    return sorted(families, key=lambda family: -family.root_id)


def _in_scope(user: Any, account: Account | None, scope: str, now: datetime) -> Q:
    is_open = Q(status__in=[status.value for status in OPEN])
    if scope == "working":
        return is_open
    accounts = [account] if account is not None else list(visible_accounts(user))
    for row in accounts:
        start = trading_day(row, now).start
        is_open |= Q(account=row) & (Q(created_at__gte=start) | Q(closed_at__gte=start))
    return is_open


def _counts(order: OrderRecord, starts: Mapping[int, datetime]) -> bool:
    if order.is_open:
        return True
    start = starts.get(order.account_id)
    return start is not None and max(order.created_at, order.closed_at or order.created_at) >= start


def family(root: int, orders: Sequence[OrderRecord], context: Context) -> Family:
    """The rows of a family with their tree lines: children hang on the parent, exits that cancel one another share a bracket."""
    parent = next((order for order in orders if order.pk == root and any(child.parent_id == root for child in orders)), None)
    first: dict[int | None, int] = {}
    for order in sorted(orders, key=lambda order: order.pk):
        first.setdefault(order.oca_group_id, order.pk)
    ordered = sorted(orders, key=lambda order: (order is not parent, first[order.oca_group_id], _exit_rank(order), order.pk))
    children = [order for order in ordered if order is not parent]
    pairs: dict[int | None, list[OrderRecord]] = defaultdict(list)
    for order in children:
        if order.oca_group_id is not None or parent is not None:
            pairs[order.oca_group_id].append(order)
    rows = []
    for order in ordered:
        kin = oca = ""
        if parent is not None:
            kin = "kin-head" if order is parent else "kin-end" if order is children[-1] else "kin-mid"
        pair = pairs.get(order.oca_group_id, [])
        if len(pair) > 1 and order is not parent:
            oca = "a" if order is pair[0] else "b" if order is pair[-1] else "m"
        rows.append(order_row(order, context, kin=kin, oca=oca))
    return Family(root_id=root, rows=tuple(rows))


def _exit_rank(order: OrderRecord) -> int:
    """Target above stop, as on a price ladder of a long position; what ends them at a time below both."""
    if order.role == Role.TIME_STOP:
        return 2
    return 1 if order.role == Role.STOP_LOSS or order.order_type in STOP_TYPES else 0


__all__ = [
    "ROW_RELATIONS",
    "Context",
    "Family",
    "OrderRow",
    "family",
    "family_roots",
    "order_families",
    "order_row",
    "terms_price",
    "terms_words",
]
