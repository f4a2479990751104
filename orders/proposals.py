"""From an order that is asked for to what the controls judge: whether it reduces, whether it waits, and the facts that bear on it.

The rule it keeps: a reduction is proven, with all exits before it counted, or it is none; of orders that are changed together each is
judged beside all the others as they would be. The groups of one entry add up, and of each group only one order can fill.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Q

from orders.exposure import OPEN_COMMAND_STATES, closing_side, exited
from orders.grounds import Grounds, seconds
from orders.models import BrokerCommand, Contract, Execution, OrderRecord
from orders.rules.hours import Hours, hours_at
from orders.rules.lifecycle import OPEN, OrderStatus
from orders.rules.limits import (
    Facts,
    Market,
    Open,
    Proposal,
    Risk,
    Rule,
    Traffic,
    fresh_market,
    is_for_later,
    may_trade,
    stop_risk,
    trades_now,
)
from orders.rules.terms import CommandKind, CommandState, OrderTerms, OrderType, Role, only_smaller, terms_from_json

EXITS = frozenset({Role.STOP_LOSS, Role.TAKE_PROFIT, Role.TIME_STOP, Role.CLOSE, Role.LIQUIDATION})
MINUTE = timedelta(minutes=1)
ZERO = Decimal(0)
Group = tuple[str, int]


@dataclass(frozen=True)
class Draft:
    """An order as it would stand: a new one (`order` not saved yet) or one that is there, with the terms asked for."""

    order: OrderRecord
    terms: OrderTerms
    is_change: bool = False
    pair: int = 0  # the number of its pair of exits within the ticket, from one; 0: it belongs to none
    asked_at: datetime | None = None  # when it was asked for, where it is judged again later

    @property
    def remaining(self) -> Decimal:
        return self.terms.quantity - self.order.filled_quantity

    @property
    def shrinks(self) -> bool:
        return self.is_change and only_smaller(self.order.terms, self.terms)

    @property
    def stands(self) -> OrderTerms:
        """The terms, of an order that trails with its stop where that stands now."""
        return self.order.from_where_it_stands(self.terms) if self.is_change else self.terms


@dataclass(frozen=True)
class Asked:
    """A unit as it is judged. `leaving`: open orders that will be gone before these go. `at_claim`: they were accepted before."""

    drafts: Sequence[Draft]
    leaving: frozenset[int] = frozenset()
    at_claim: bool = False
    confirm_duplicate: bool = False

    @property
    def apart(self) -> frozenset[int]:
        return self.leaving | {draft.order.pk for draft in self.drafts if draft.order.pk}

    def beside(self, draft: Draft) -> Sequence[Draft]:
        """What of the unit counts before the draft: the new orders ahead of it; all the others, where orders are changed together."""
        if draft.is_change:
            return [other for other in self.drafts if other is not draft]
        return self.drafts[: self.drafts.index(draft)]

    @property
    def newest(self) -> int | None:
        """The last order of a unit that is judged again: what was asked for later, and waits, does not stand in its way. When it is asked
        for, all that is there is earlier, though a change may be of an order that is older."""
        return max((draft.order.pk for draft in self.drafts if draft.order.pk), default=None) if self.at_claim else None

    def is_later(self, order: Open) -> bool:
        """Whether the order waits behind this unit: nothing of it has been sent."""
        return self.newest is not None and order.status is OrderStatus.PENDING and order.pk > self.newest


def as_of(terms: OrderTerms, now: datetime) -> OrderTerms:
    """The terms without a moment to go live that has passed."""
    return replace(terms, good_after=None) if terms.good_after is not None and terms.good_after <= now else terms


# --- the proposal -----------------------------------------------------------------------------------------------------------------------


def propose(grounds: Grounds, asked: Asked, draft: Draft) -> Proposal:
    order, parent, terms = draft.order, draft.order.parent, as_of(draft.stands, grounds.now)
    market = _fresh(grounds)
    proposal = Proposal(
        terms=terms,
        role=Role(order.role),
        waits=is_for_later(terms, grounds.now),
        is_change=draft.is_change,
        accepted=asked.at_claim,
        confirm_duplicate=asked.confirm_duplicate,
        filled=order.filled_quantity,
        before=order.from_where_it_stands(order.terms) if draft.is_change else None,
    )
    if draft.shrinks:
        return replace(proposal, reduces=True, shrinks=True, waits=True)
    # Moving the price of an exit that the position has shrunk below takes nothing more from it.
    grows = not draft.is_change or draft.terms.quantity > order.quantity
    if parent is None:
        reduces = _is_reduction(grounds, asked, draft)
        return replace(proposal, reduces=reduces, exceeds=proposal.role in EXITS and grows and not reduces)
    entry = next((other.terms for other in asked.drafts if other.order == parent), None) or parent.terms
    waits = parent.is_open and parent.filled_quantity == 0 and not trades_now(as_of(entry, grounds.now), market)
    # An entry that is over gives its exits what it filled, and of that what is still held.
    reduces = not grows or (_family(grounds, asked, draft) <= entry.quantity if parent.is_open else _is_reduction(grounds, asked, draft))
    return replace(proposal, reduces=reduces, exceeds=not reduces, waits=proposal.waits or waits)


def _fresh(grounds: Grounds) -> Market | None:
    return fresh_market(
        Facts(multiplier=ZERO, exchange_rate=None, market=grounds.market, is_live_book=grounds.is_live_book), grounds.limits
    )


def group_of(draft: Draft) -> Group:
    """The orders of which only one can fill: a pair, or all that are asked for together without saying which is one's pair. Exits of one
    entry that name no group are linked by the broker, all of them."""
    order = draft.order
    if order.oca_group_id is not None:
        return ("oca", order.oca_group_id)
    if draft.pair:
        return ("pair", draft.pair)
    if order.parent is not None:
        return ("entry", 0)
    return ("order", order.pk) if order.pk else ("unit", 0)


def _open_group(order: Open) -> Group:
    if order.group is not None:
        return ("oca", order.group)
    return ("entry", 0) if order.parent is not None else ("order", order.pk)


def _sum(groups: dict[Group, Decimal]) -> Decimal:
    return sum(groups.values(), ZERO)


def _family(grounds: Grounds, asked: Asked, draft: Draft) -> Decimal:
    """What the exits of the draft's entry have taken and may take yet, this one and those of the unit that count before it as asked for."""
    parent = draft.order.parent
    assert parent is not None
    groups: dict[Group, Decimal] = {}
    for order in grounds.open:
        if parent.pk is not None and order.parent == parent.pk and order.pk not in asked.apart:
            key = _open_group(order)
            groups[key] = max(groups.get(key, ZERO), order.remaining)
    for other in (*asked.beside(draft), draft):
        if other.order.parent == parent or other is draft:
            key = group_of(other)
            groups[key] = max(groups.get(key, ZERO), other.remaining)
    return _sum(groups) + (exited(parent) if parent.pk is not None else ZERO)


def _is_reduction(grounds: Grounds, asked: Asked, draft: Draft) -> bool:
    """Proven to only reduce the position: with all exits before it, it takes no more than is there. Those of its group are no others."""
    side = draft.terms.side
    # A closing order takes its quantity from the position when it is sent, once that has settled.
    held = grounds.position if draft.order.role in (Role.CLOSE, Role.LIQUIDATION) else grounds.surely_held
    if held == 0 or closing_side(held) is not side:
        return False
    mine = group_of(draft)
    before = [order for order in grounds.others(side, asked.apart) if not asked.is_later(order) and _counts(order, draft, mine)]
    unit: dict[Group, Decimal] = {}
    for other in asked.beside(draft):
        key = group_of(other)
        if key != mine and other.terms.side is side:
            unit[key] = max(unit.get(key, ZERO), other.remaining)
    return draft.remaining <= max(abs(held) - may_trade(before) - _sum(unit), ZERO)


def _counts(order: Open, draft: Draft, mine: Group) -> bool:
    """Whether an open order takes from the position beside the draft, and is none of those of which only one can fill."""
    if mine[0] == "entry":
        return not (order.group is None and order.parent == draft.order.parent_id)
    return _open_group(order) != mine


# --- the facts --------------------------------------------------------------------------------------------------------------------------


def standing(grounds: Grounds, traffic: Traffic) -> Facts:
    """How the account and the user stand, without an order."""
    money = grounds.money
    return Facts(
        multiplier=Decimal(1),
        exchange_rate=Decimal(1),
        market=None,
        user_orders=grounds.users_own(()),
        daily_pnl=money.daily_pnl,
        is_live_book=grounds.is_live_book,
        purse=money.purse(),
        rest=grounds.rest,
        traffic=traffic,
    )


def shared(grounds: Grounds, asked: Asked, *, exact: bool = False) -> Facts:
    """What the orders of one unit have in common: they are of one contract and account."""
    contract, money = asked.drafts[0].order.contract, grounds.money
    return replace(
        standing(grounds, count_traffic(grounds, asked, exact=exact)),
        multiplier=contract.multiplier,
        exchange_rate=money.rate(contract.currency),
        market=grounds.market,
        position=grounds.position,
        user_orders=grounds.users_own(asked.apart),
        symbol=contract.symbol,
        sec_type=contract.sec_type,
        strike=contract.strike,
        purse=money.purse(grounds.worth(_unsent(grounds, asked))),
        instruments=grounds.instruments,
    )


def facts_of(grounds: Grounds, asked: Asked, index: int, common: Facts) -> Facts:
    draft = asked.drafts[index]
    side, contract = draft.terms.side, draft.order.contract
    others = grounds.others(side, asked.apart)
    return replace(
        common,
        position=grounds.furthest(side),
        working=may_trade(others),
        opposite=may_trade(grounds.others(side.opposite, asked.apart)),
        open_orders=len(others) + sum(1 for other in asked.drafts[:index] if other.terms.side is side),
        duplicate_age_seconds=_duplicate_age(draft, grounds) if index == 0 and not draft.order.pk else None,
        resting=_resting(grounds, asked, draft),
        risk=_risk(grounds, asked, draft),
        traffic=replace(common.traffic, judged=len(asked.drafts)),
        hours=_hours(contract, draft.terms, grounds.now),
    )


def _unsent(grounds: Grounds, asked: Asked) -> list[Open]:
    """Orders of the account that open something and that its buying power does not count yet, as far as they are before these."""
    return [
        order
        for order in grounds.open
        if order.account == grounds.account.pk
        and order.pk not in asked.apart
        and grounds.money.is_uncounted(order)
        and order.parent is None
        and order.role not in EXITS
        and not asked.is_later(order)
    ]


def _resting(grounds: Grounds, asked: Asked, draft: Draft) -> Decimal | None:
    """The best price of the desk's own live limit orders on the other side, whatever account they are for."""
    order, side = draft.order, draft.terms.side
    prices = [
        other.limit_price
        for other in grounds.open
        if other.contract == order.contract_id
        and other.side is not side
        and other.order_type == OrderType.LIMIT
        and other.limit_price is not None
        and other.pk not in asked.apart
        and other.pk != order.parent_id
        and not other.waits_for_entry
        and (order.pk is None or other.parent != order.pk)
    ]
    return (min if side.sign > 0 else max)(prices, default=None)


def _risk(grounds: Grounds, asked: Asked, draft: Draft) -> Risk:
    """Of an entry: what its stops lose. Of a stop whose entry has not filled: the same of the whole, as it would be."""
    order, market = draft.order, _fresh(grounds)
    if not draft.is_change:
        stops = [other.terms for other in asked.drafts if other.order.parent == order and other.terms.order_type.is_stop]
        return Risk(bool(stops), stop_risk(draft.terms, market, stops)) if stops and order.parent is None else Risk()
    entry = order.parent if order.parent is not None else order
    if not entry.is_open or entry.filled_quantity or (entry is not order and not draft.terms.order_type.is_stop):
        return Risk()
    rows = OrderRecord.objects.filter(parent=entry, status__in=[status.value for status in OPEN]).select_related("trailing").order_by("pk")
    stops = {row.pk: row.from_where_it_stands(row.terms) for row in rows if row.order_type in _STOPS}
    if not stops:
        return Risk()
    wanted = {**_asked_for([entry, *rows]), **{one.order.pk: one.stands for one in asked.drafts if one.is_change}}
    return Risk(
        True,
        stop_risk(wanted.get(entry.pk, entry.terms), market, [wanted.get(pk, terms) for pk, terms in stops.items()]),
        stop_risk(entry.terms, market, list(stops.values())),
    )


def _asked_for(orders: Sequence[OrderRecord]) -> dict[int, OrderTerms]:
    """The terms that changes under way ask for: a bracket is moved leg by leg, and is judged by where it goes."""
    by_key = {order.pk: order for order in orders}
    rows = BrokerCommand.objects.filter(order__in=by_key, kind=CommandKind.MODIFY.value, state__in=OPEN_COMMAND_STATES).order_by()
    return {pk: by_key[pk].from_where_it_stands(terms_from_json(terms)) for pk, terms in rows.values_list("order", "terms")}


_STOPS = frozenset(kind.value for kind in OrderType if kind.is_stop)


def _hours(contract: Contract, terms: OrderTerms, now: datetime) -> Hours | None:
    return hours_at(contract.trading_hours if terms.outside_rth else contract.liquid_hours, contract.time_zone, now)


def _duplicate_age(draft: Draft, grounds: Grounds) -> Decimal | None:
    """Seconds since this user placed the same order; one that was refused or withdrawn is not the same."""
    order, terms, now = draft.order, draft.terms, grounds.now
    longest = float(grounds.limits[Rule.DUPLICATE_SECONDS])
    recent = OrderRecord.objects.filter(
        account=order.account,
        contract=order.contract,
        created_by=grounds.user,
        parent=None,
        created_at__gt=now - timedelta(seconds=longest),
    ).exclude(status__in=[OrderStatus.CANCELLED.value, OrderStatus.REJECTED.value])
    names = ("side", "order_type", "quantity", "limit_price", "stop_price", "trail_amount", "trail_percent")
    wanted = tuple(getattr(terms, name) for name in names)
    for *same, created_at in recent.order_by("-pk").values_list(*names, "created_at"):
        if tuple(same) == wanted:
            return max(seconds(now - created_at), ZERO)
    return None


# --- messages ---------------------------------------------------------------------------------------------------------------------------

_COUNTED = (CommandKind.PLACE.value, CommandKind.MODIFY.value)


def count_traffic(grounds: Grounds, asked: Asked, *, exact: bool = False) -> Traffic:
    """Messages of the user within a minute, and of the account today, without those of the unit. What is judged again is counted as when it
    was asked for: what came after it does not stand in its way.

    The account's are only counted where the whole desk has sent so many that its ratio may matter, or where `exact`.
    """
    rows = BrokerCommand.objects.order_by()
    if asked.at_claim:
        rows = rows.exclude(kind__in=_COUNTED, state=CommandState.PENDING.value, order__in=[draft.order.pk for draft in asked.drafts])
    at = next((draft.asked_at for draft in asked.drafts if draft.asked_at is not None), grounds.now)
    recent = 0
    if grounds.user is not None:
        recent = rows.filter(actor=grounds.user, kind__in=_COUNTED, created_at__gt=at - MINUTE, created_at__lte=at).count()
    day = grounds.money.day
    if day is None:
        return Traffic(recent)
    of_the_desk = BrokerCommand.objects.filter(created_at__gte=day.start).count() + len(asked.drafts) if not exact else None
    if of_the_desk is not None and of_the_desk < grounds.limits[Rule.ORDER_RATIO_FROM]:
        return Traffic(recent)
    is_meant = Q(claimed_at__isnull=False) | Q(state=CommandState.PENDING.value)
    sent = rows.filter(is_meant, created_at__gte=day.start, created_at__lte=at)
    messages = sent.filter(order__account=grounds.account).count()
    executions = Execution.objects.filter(account=grounds.account, executed_at__gte=day.start, counts=True).count()
    return Traffic(recent, messages, executions)
