"""Whether a person may place these orders now: permission, contract, ticks and limits, read under the book's lock.

Manager and outbox both ask here, so that an order is judged by the same rules when it is placed and again when it is claimed. The first
breach decides.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import Q

from orders import contracts
from orders.book import OpenBook
from orders.exposure import may_trade, open_orders, position_of, unprotected
from orders.models import Account, Contract, Limit, OrderRecord, Quote
from orders.models.reading import the_one
from orders.queries.access import tradable_accounts
from orders.queries.values import amount_of, exchange_rate
from orders.rules.lifecycle import OrderStatus
from orders.rules.limits import Breach, Facts, Market, Proposal, Rule, check, effective, fresh_market, trades_now
from orders.rules.offering import distances
from orders.rules.pricing import check_distance, check_price, check_quantity
from orders.rules.terms import BookKind, OrderTerms, Role
from orders.rules.tickets import TicketError, pair_field

_EXITS = (Role.STOP_LOSS, Role.TAKE_PROFIT, Role.CLOSE, Role.LIQUIDATION)


@dataclass(frozen=True)
class Draft:
    """An order as it would stand: a new one (`order` not saved yet) or one that is there, with the terms asked for."""

    order: OrderRecord
    terms: OrderTerms
    is_change: bool = False
    pair: int = 0  # the number of its pair of exits within the ticket, from one; 0: it belongs to none


def permission(b: OpenBook, user: Any, account: Account) -> Breach | None:
    """Whether `user` may place and change orders in `account` now. Rows are read again: who asks may hold old ones."""
    if user is None or not user.is_active:
        return Breach("USER_INACTIVE", "This user may not trade any more.")
    if not tradable_accounts(user).filter(pk=account.pk).exists():
        return Breach("NO_PERMISSION", "You may not trade this account.", field="account")
    if not account.is_active:
        return Breach("ACCOUNT_INACTIVE", f"No new orders for {account.code}: it is switched off.", field="account")
    if b.row.kind == BookKind.LIVE.value and account.code not in settings.DESKBOOK_ALLOW_LIVE:
        return Breach("LIVE_NOT_ALLOWED", f"{account.code} is a live account that DESKBOOK_ALLOW_LIVE does not name.", field="account")
    return None


def fits_contract(contract: Contract, terms: OrderTerms, *, resized: bool = True) -> Breach | None:
    """Whether the broker can take these terms for the contract: type, ticks, sizes. `resized`: the quantity is part of what is asked."""
    if contract.sec_type in contracts.NOT_TRADEABLE:
        return Breach("NOT_TRADEABLE", f"{contract.label} ({contract.sec_type}) cannot be ordered.", field="contract")
    if (refused := _not_offered(contract, terms)) is not None:
        return refused
    rule = contracts.ticks(contract)
    if rule is None:
        words = f"The price ticks of {contract.label} are not known yet; look the contract up first."
        return Breach("TICK_UNKNOWN", words, field="contract")
    try:
        check_price("limit_price", terms.limit_price, rule)
        check_price("stop_price", terms.stop_price, rule)
        for name, distance in distances(terms).items():
            check_distance(name, distance, rule, contracts.price_level(contract, terms))
    except TicketError as error:
        typed = getattr(terms, error.field)
        return Breach("OFF_TICK", sentence(error), rule.tick_at(typed), typed, error.field)
    try:
        if resized:
            check_quantity(terms.quantity, min_size=contract.min_size, size_increment=contract.size_increment)
    except TicketError as error:
        return Breach("OFF_SIZE", sentence(error), contract.size_increment, terms.quantity, "quantity")
    return None


_NOT_OFFERED = {"order_type": "ORDER_TYPE", "time_in_force": "TIME_IN_FORCE"}


def _not_offered(contract: Contract, terms: OrderTerms) -> Breach | None:
    """Whether the broker lists the type, the time in force and the attributes for the contract."""
    if not contracts.offers(contract, terms.order_type):
        return Breach("ORDER_TYPE", f"{contract.label} takes no {terms.order_type.value} orders.", field="order_type")
    try:
        contracts.offer(contract).check(terms)
    except TicketError as error:
        return Breach(_NOT_OFFERED.get(error.field, "NOT_OFFERED"), f"{contract.label}: {sentence(error)}", field=error.field)
    return None


def sentence(error: TicketError) -> str:
    """A ticket's error as a sentence that stands alone: "Limit price must be above zero."."""
    return f"{error.field.replace('_', ' ').capitalize()} {error.message}."


def limits_for(account: Account, user: Any) -> dict[str, Decimal]:
    """The limits that decide for this user in this account."""
    scopes = Q(scope=Limit.Scope.DESK) | Q(scope=Limit.Scope.ACCOUNT, account=account) | Q(scope=Limit.Scope.USER, user=user)
    return effective(Limit.objects.filter(scopes).values_list("rule", "value"))


def breaches(
    b: OpenBook,
    drafts: Sequence[Draft],
    user: Any,
    *,
    confirm_duplicate: bool = False,
    at_claim: bool = False,
    leaving: Collection[int] = (),
) -> list[Breach]:
    """Every breach of a limit by the orders of one unit, judged together.

    `at_claim`: they were accepted before. `leaving`: open orders that will be gone before these go.
    """
    first = drafts[0].order
    limits = limits_for(first.account, user)
    apart = {draft.order.pk for draft in drafts if draft.order.pk} | set(leaving)
    found: list[Breach] = []
    for index, draft in enumerate(drafts):
        earlier = sum(1 for other in drafts[:index] if other.terms.side is draft.terms.side)
        facts = _facts(b, draft, apart, earlier)
        if index == 0 and not draft.order.pk:
            facts = replace(facts, duplicate_age_seconds=_duplicate_age(draft, user, b.now, limits[Rule.DUPLICATE_SECONDS]))
        market = fresh_market(facts, limits)
        proposal = replace(
            _proposal(draft, drafts, facts.position, market, leaving), confirm_duplicate=confirm_duplicate, accepted=at_claim
        )
        breached = check(proposal, facts, limits)
        found += breached if draft.is_change else [in_ticket(draft, breach) for breach in breached]
    return found


def in_ticket(draft: Draft, breach: Breach) -> Breach:
    """The breach with the name that its field has in the ticket, where exits are asked for in pairs."""
    if not draft.pair or not breach.field:
        return breach
    names = {Role.TAKE_PROFIT: {"limit_price": "target_price"}, Role.STOP_LOSS: {"limit_price": "stop_limit_price"}}
    field = names.get(Role(draft.order.role), {}).get(breach.field, breach.field)
    return replace(breach, field=pair_field(draft.pair, field))


def _proposal(draft: Draft, drafts: Sequence[Draft], position: Decimal, market: Market | None, leaving: Collection[int]) -> Proposal:
    order, parent = draft.order, draft.order.parent
    plain = Proposal(terms=draft.terms, role=Role(order.role), is_change=draft.is_change)
    # Moving the price of an exit that the position has shrunk below takes nothing more from it.
    grows = not draft.is_change or draft.terms.quantity > order.quantity
    if parent is None:
        reduces = position != 0 and _is_reduction(draft, leaving)
        return replace(plain, reduces=reduces, exceeds=plain.role in _EXITS and grows and not reduces)
    entry = next((other.terms for other in drafts if other.order is parent), None) or parent.terms
    waits = parent.is_open and parent.filled_quantity == 0 and not trades_now(entry, market)
    # An entry that is over gives its exits what it filled, and of that what is still held.
    reduces = not grows or (draft.terms.quantity <= entry.quantity if parent.is_open else _is_reduction(draft, leaving))
    return replace(plain, reduces=reduces, exceeds=not reduces, waits=waits)


def _is_reduction(draft: Draft, leaving: Collection[int]) -> bool:
    """Proven to only reduce the position: with all exits before it, it takes no more than is there. Those of its group are no others."""
    order = draft.order
    apart = set(leaving)
    if order.pk:
        same = OrderRecord.objects.filter(account=order.account, contract=order.contract, status=OrderStatus.PENDING.value)
        apart |= {order.pk, *same.filter(pk__gt=order.pk).values_list("pk", flat=True)}
    if order.parent_id is not None:
        apart |= set(OrderRecord.objects.filter(parent_id=order.parent_id).values_list("pk", flat=True))
    if order.oca_group_id is not None:
        apart |= set(OrderRecord.objects.filter(oca_group_id=order.oca_group_id).values_list("pk", flat=True))
    left = unprotected(order.account, order.contract, draft.terms.side, without=apart)
    return draft.terms.quantity - order.filled_quantity <= left


def _facts(b: OpenBook, draft: Draft, apart: Collection[int], earlier: int) -> Facts:
    order, side = draft.order, draft.terms.side
    others = open_orders(order.account, order.contract, side, without=apart)
    position = position_of(order.account, order.contract)
    return Facts(
        multiplier=order.contract.multiplier,
        exchange_rate=exchange_rate(order.account, order.contract.currency),
        market=market_of(order.contract, b.now),
        position=position.quantity if position else Decimal(0),
        working=may_trade(others),
        open_orders=len(others) + earlier,
        daily_pnl=daily_pnl(order.account),
        is_live_book=b.row.kind == BookKind.LIVE.value,
    )


def daily_pnl(account: Account) -> Decimal | None:
    return _value(account, "DailyPnL", "")


def _value(account: Account, name: str, currency: str) -> Decimal | None:
    told = amount_of(account, name, currency)
    return told.value if told is not None else None


def market_of(contract: Contract, now: datetime) -> Market | None:
    """The newest quote with its age; a side that is absent, zero or negative is None."""
    quote = the_one(Quote.objects.filter(contract=contract))
    if quote is None:
        return None
    bid, ask, last = (price if price is not None and price > 0 else None for price in (quote.bid, quote.ask, quote.last))
    return Market(bid=bid, ask=ask, last=last, age_seconds=_seconds(now - quote.at), delayed=quote.delayed)


def _duplicate_age(draft: Draft, user: Any, now: datetime, longest: Decimal) -> Decimal | None:
    """Seconds since this user placed the same order; one that was refused or withdrawn is not the same."""
    order, terms = draft.order, draft.terms
    recent = OrderRecord.objects.filter(
        account=order.account,
        contract=order.contract,
        created_by=user,
        parent=None,
        created_at__gt=now - timedelta(seconds=float(longest)),
    ).exclude(status__in=[OrderStatus.CANCELLED.value, OrderStatus.REJECTED.value])
    asked = (terms.side.value, terms.order_type.value, terms.quantity, terms.limit_price, terms.stop_price)
    for other in recent.order_by("-pk"):
        if (other.side, other.order_type, other.quantity, other.limit_price, other.stop_price) == asked:
            return max(_seconds(now - other.created_at), Decimal(0))
    return None


def _seconds(length: timedelta) -> Decimal:
    return Decimal(length // timedelta(microseconds=1)) / 1_000_000
