"""Holdings for the guardian, read from the book: positions with the orders around them, all of a page in a handful of queries.

The rule it keeps: a position is what IB reports, and for the few seconds until it reports anew, what the newest executions make of it: a
fill must neither raise a false alarm nor hide a true one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from orders.models import Account, BrokerCommand, BrokerId, Contract, Event, Execution, Gateway, OrderRecord, Position, Quote
from orders.rules.holding import Entry, Holding, Standing
from orders.rules.hours import session_end
from orders.rules.lifecycle import OPEN, TERMINAL, WORKING, OrderStatus
from orders.rules.limits import Market
from orders.rules.terms import EXITS, OPEN_COMMANDS, CommandKind, CommandState, OrderTerms, Role, Side, terms_from_json
from orders.trading_day import trading_day

Key = tuple[int, int]
"""(account, contract) by primary key."""

POSITION_SETTLES = timedelta(seconds=5)
RECENT = timedelta(seconds=60)  # an execution that a list brought is older, and IB's position knows of it
FRESH_QUOTE = timedelta(seconds=30)
_OPEN = [status.value for status in OPEN]


def loose_exits(seen: Any) -> list[OrderRecord]:
    """Open exits in these accounts where the broker never reported a position: the entry was refused and its exits were not."""
    position = Position.objects.filter(account=OuterRef("account"), contract=OuterRef("contract"))
    found = OrderRecord.objects.filter(~Exists(position), account__in=seen, status__in=_OPEN, role__in=[role.value for role in EXITS])
    return list(found.select_related("account", "contract", "contract__quote"))


def guarded(account: Account, contract: Contract) -> Position | OrderRecord | None:
    """What there is to guard of the contract: its position, or an exit where there never was one."""
    position = Position.objects.filter(account=account, contract=contract).select_related("account", "contract", "contract__quote").first()
    return position or next((order for order in loose_exits([account]) if order.contract_id == contract.pk), None)


def holdings(rows: Iterable[Position | OrderRecord], now: datetime) -> dict[Key, Holding]:
    """The holding of each position, or of each loose exit; account, contract and its quote are loaded already."""
    places = {(row.account_id, row.contract_id): row for row in rows}
    if not places:
        return {}
    orders = list(_around(places).filter(status__in=_OPEN).select_related("parent", "oca_group", "trailing"))
    ended = _ended(orders)
    reader = _Reader(orders)
    standing: dict[Key, list[Standing]] = defaultdict(list)
    gone: dict[Key, list[Standing]] = defaultdict(list)
    for order in orders:
        standing[order.account_id, order.contract_id].append(reader.standing(order))
    for order in ended:
        gone[order.account_id, order.contract_id].append(reader.standing(order))
    moved = _unreported(places, now)
    return {key: _holding(row, standing[key], gone[key], moved.get(key, Decimal(0)), now) for key, row in places.items()}


def _around(places: Collection[Key]) -> QuerySet[OrderRecord]:
    return OrderRecord.objects.filter(account__in={account for account, _ in places}, contract__in={contract for _, contract in places})


def _holding(row: Position | OrderRecord, orders: list[Standing], ended: list[Standing], moved: Decimal, now: datetime) -> Holding:
    contract, account = row.contract, row.account
    day_ends = trading_day(account, now).end
    reported = row.quantity if isinstance(row, Position) else Decimal(0)
    return Holding(
        quantity=reported + moved,
        orders=tuple(orders),
        ended=tuple(ended),
        market=market_price(contract, now),
        session_end=session_end(contract.liquid_hours, contract.time_zone, now) or day_ends,
        late_end=session_end(contract.trading_hours, contract.time_zone, now) or day_ends,
    )


def market_price(contract: Contract, now: datetime) -> Decimal | None:
    """Where the market is, by a quote that is fresh; None where there is none."""
    quote: Quote | None = getattr(contract, "quote", None)
    if quote is None or now - quote.at > FRESH_QUOTE:
        return None
    bid, ask, last = (price if price is not None and price > 0 else None for price in (quote.bid, quote.ask, quote.last))
    market = Market(bid=bid, ask=ask, last=last, age_seconds=Decimal(0))
    return market.price if market.is_sound else None


def _ended(orders: Collection[OrderRecord]) -> list[OrderRecord]:
    """Members that have ended of the groups of these orders."""
    parents = {order.parent_id for order in orders if order.parent_id}
    groups = {order.oca_group_id for order in orders if order.oca_group_id and not order.parent_id}
    if not parents and not groups:
        return []
    found = OrderRecord.objects.filter(Q(parent__in=parents) | Q(oca_group__in=groups), status__in=[status.value for status in TERMINAL])
    return list(found.select_related("parent", "oca_group", "trailing").order_by("pk"))


def _unreported(places: Mapping[Key, Position | OrderRecord], now: datetime) -> dict[Key, Decimal]:
    """What executions that are younger than the position's report have made of it."""
    newest = Execution.objects.filter(
        account__in={account for account, _ in places},
        contract__in={contract for _, contract in places},
        counts=True,
        revision=1,
        executed_at__gte=now - RECENT,
        received_at__gte=now - POSITION_SETTLES,
    )
    moved: dict[Key, Decimal] = defaultdict(Decimal)
    for account, contract, side, quantity, seq in newest.values_list("account", "contract", "side", "quantity", "seq"):
        row = places.get((account, contract))
        if row is not None and seq > (row.seq if isinstance(row, Position) else 0):
            moved[account, contract] += Side(side).sign * quantity
    return moved


class _Reader:
    """Makes `Standing`s of order rows, with their commands and what was last asked of them."""

    def __init__(self, orders: Collection[OrderRecord]) -> None:
        ids = [order.pk for order in orders]
        self._cancels: set[int] = set()
        self._changes: dict[int, OrderTerms] = {}
        self._confirmed: dict[int, OrderTerms] = {}
        for command in _commands(ids):
            if command.kind == CommandKind.CANCEL:
                self._cancels.add(command.order_id)
            elif (terms := _terms(command.terms or {})) is not None:
                kept = self._confirmed if command.state == CommandState.CONFIRMED else self._changes
                kept[command.order_id] = terms
        unchanged = [order.pk for order in orders if order.pk not in self._confirmed and _is_ours(order) and order.state in WORKING]
        self._placed = _placed_terms(unchanged) if unchanged else {}
        self._cancellable = _cancellable([order.pk for order in orders if order.is_external])

    def standing(self, order: OrderRecord) -> Standing:
        parent = order.parent
        group = f"oca-{order.oca_group_id}" if order.oca_group_id else f"entry-{order.parent_id}" if parent is not None else ""
        return Standing(
            name=order.client_order_id,
            side=Side(order.side),
            order_type=order.order_type,
            quantity=order.quantity,
            status=order.state,
            filled=order.filled_quantity,
            role=Role(order.role),
            time_in_force=order.time_in_force,
            stop_price=order.present_stop,
            limit_price=order.limit_price,
            outside_rth=order.outside_rth,
            good_till=order.good_till,
            good_after=order.good_after,
            trail_amount=order.trail_amount,
            trail_percent=order.trail_percent,
            entry=Entry(parent.client_order_id, OrderStatus(parent.status), parent.filled_quantity) if parent is not None else None,
            group=group,
            oca_type=order.oca_group.oca_type if order.oca_group is not None else 0,
            cancel_asked=order.pk in self._cancels,
            asked=self._changes.get(order.pk),
            requested=self._confirmed.get(order.pk) or self._placed.get(order.pk),
            broker_word=order.broker_status,
            why_held=order.why_held,
            words=order.status_text,
            is_external=order.is_external,
            may_cancel=not order.is_external or order.pk in self._cancellable,
        )


def _is_ours(order: OrderRecord) -> bool:
    return not order.is_external and order.role in EXITS


def _commands(orders: Collection[int]) -> Iterable[BrokerCommand]:
    """Open cancels and changes, and the changes that the broker confirmed; the newest last."""
    is_open = Q(state__in=[state.value for state in OPEN_COMMANDS], kind__in=[CommandKind.CANCEL.value, CommandKind.MODIFY.value])
    confirmed = Q(state=CommandState.CONFIRMED.value, kind=CommandKind.MODIFY.value)
    return BrokerCommand.objects.filter(is_open | confirmed, order__in=orders).order_by("pk") if orders else ()


def _placed_terms(orders: Collection[int]) -> dict[int, OrderTerms]:
    """The terms that orders were placed with, from their events: what a row holds now is what the broker made of them."""
    label = OrderRecord._meta.label
    values: dict[int, dict[str, Any]] = defaultdict(dict)
    events = Event.objects.filter(order__in=orders, kind__in=["order.placed", "order.changed"]).order_by("seq")
    for order, data in events.values_list("order", "data"):
        for named, pk, fields in data.get("rows", ()):
            if (named, pk) == (label, order) and fields:
                values[order].update(fields)
    found = {order: _terms(fields) for order, fields in values.items()}
    return {order: terms for order, terms in found.items() if terms is not None}


def _terms(fields: Mapping[str, Any]) -> OrderTerms | None:
    """The terms among an order's columns; None where they are of a kind that is not ours."""
    try:
        return terms_from_json(fields)
    except (KeyError, ValueError, ArithmeticError):
        return None


def _cancellable(external: Collection[int]) -> set[int]:
    """Of orders placed elsewhere those that went through our own client id: IB lets only that client cancel them (10147)."""
    if not external:
        return set()
    client_id = Gateway.objects.values_list("client_id", flat=True).first()
    return set(BrokerId.objects.filter(order__in=external, client_id=client_id, ib_order_id__gt=0).values_list("order", flat=True))
