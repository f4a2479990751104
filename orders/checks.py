"""Whether a person may place these orders now: permission, contract, ticks and limits, read under the book's lock.

Manager and outbox both ask here, so that an order is judged by the same rules when it is placed and again when it is claimed. The first
breach decides.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError

from orders import contracts
from orders.book import OpenBook
from orders.grounds import Grounds, limits_for, market_from
from orders.models import Account, Book, Contract, Quote
from orders.models.reading import the_one
from orders.proposals import Asked, Draft, count_traffic, facts_of, propose, shared, standing
from orders.queries.access import tradable_accounts
from orders.queries.values import exchange_rate
from orders.rules.limits import RULES, Breach, Limits, Market, Proposal, Reading, Rule, readings
from orders.rules.offering import distances
from orders.rules.pricing import check_distance, check_price, check_quantity
from orders.rules.terms import BookKind, OrderTerms, OrderType, Role, Side
from orders.rules.tickets import TicketError, pair_field

__all__ = [
    "Draft",
    "Usage",
    "breaches",
    "exchange_rate",
    "fits_contract",
    "in_ticket",
    "limits_for",
    "market_of",
    "permission",
    "sentence",
    "usage",
    "warnings",
]

log = logging.getLogger(__name__)


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


def fits_contract(contract: Contract, terms: OrderTerms, *, resized: bool = True, closes: bool = False) -> Breach | None:
    """Whether the broker can take these terms for the contract: type, ticks, sizes. `resized`: the quantity is part of what is asked.

    `closes`: a market order for what is held, which needs no tick, nor anything else that is only known of a contract that was looked up.
    """
    if contract.sec_type in contracts.NOT_TRADEABLE:
        return Breach("NOT_TRADEABLE", f"{contract.label} ({contract.sec_type}) cannot be ordered.", field="contract")
    if (refused := _not_offered(contract, terms)) is not None:
        return refused
    rule = contracts.ticks(contract)
    if rule is None and closes:
        return None
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


def breaches(
    b: OpenBook,
    drafts: Sequence[Draft],
    user: Any,
    *,
    confirm_duplicate: bool = False,
    at_claim: bool = False,
    leaving: Collection[int] = (),
) -> list[Breach]:
    """Every breach of a limit by the orders of one unit, judged together. What cannot be judged at all is a breach too.

    `at_claim`: they were accepted before. `leaving`: open orders that will be gone before these go.
    """
    asked = Asked(tuple(drafts), frozenset(leaving), at_claim, confirm_duplicate)
    found: list[Breach] = []
    try:
        grounds = _grounds(asked, user, b.now, b.row.kind)
        for draft, reading in _readings(grounds, asked):
            if (breach := reading.breach) is not None:
                found.append(breach if draft.is_change else in_ticket(draft, breach))
    except DatabaseError:
        raise
    except Exception:
        log.exception("the orders %s could not be judged", [str(draft.order) for draft in drafts])
        found.append(Breach(Rule.RULE_FAILED, "What the limits rest on could not be read, so nothing is let through; look at the log."))
    return found


def _grounds(asked: Asked, user: Any, now: datetime, kind: str) -> Grounds:
    first = asked.drafts[0].order
    return Grounds(first.account, first.contract, user, now, kind == BookKind.LIVE.value)


def _readings(grounds: Grounds, asked: Asked, *, exact: bool = False) -> Iterator[tuple[Draft, Reading]]:
    common = shared(grounds, asked, exact=exact)
    for index, draft in enumerate(asked.drafts):
        facts = facts_of(grounds, asked, index, common)
        for reading in readings(propose(grounds, asked, draft), facts, grounds.limits):
            yield draft, reading


def in_ticket(draft: Draft, breach: Breach) -> Breach:
    """The breach with the name that its field has in the ticket, where exits are asked for in pairs."""
    if not draft.pair or not breach.field:
        return breach
    names = {Role.TAKE_PROFIT: {"limit_price": "target_price"}, Role.STOP_LOSS: {"limit_price": "stop_limit_price"}}
    field = names.get(Role(draft.order.role), {}).get(breach.field, breach.field)
    return replace(breach, field=pair_field(draft.pair, field))


# --- how much of the limits is used -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Usage:
    """One limit and what stands against it. `actual` and `share` (1: used up) are None where it is not known; `scope` says whose limit it
    is: desk, account, user, or default. `broken`: the sentence of the refusal, where it is one."""

    rule: str
    label: str
    limit: Decimal
    actual: Decimal | None
    unit: str
    share: Decimal | None
    scope: str
    broken: str = ""


def usage(
    drafts: Sequence[Draft], user: Any, now: datetime, *, account: Account | None = None, leaving: Collection[int] = ()
) -> list[Usage]:
    """How much of each limit these orders would use; without any, how much of those of `account` and the user is used now.

    Reads without the book's lock: it shows, and decides nothing. Of several orders the one that uses most is told.
    """
    kind = Book.objects.values_list("kind", flat=True).first() or ""
    asked = Asked(tuple(drafts), frozenset(leaving), confirm_duplicate=True)
    if drafts:
        grounds = _grounds(asked, user, now, kind)
        found = [reading for _, reading in _readings(grounds, asked, exact=True)]
    else:
        assert account is not None, "without an order it must be said which account is meant"
        grounds = Grounds(account, None, user, now, kind == BookKind.LIVE.value)
        facts = standing(grounds, count_traffic(grounds, asked, exact=True))
        found = list(readings(NOTHING, facts, grounds.limits))
    return _most(found, grounds.limits)


NOTHING = Proposal(OrderTerms(Side.BUY, OrderType.LIMIT, Decimal(0)), is_nothing=True)
"""The order that is none: what is read of it is how things stand."""


def _most(found: Sequence[Reading], limits: Limits) -> list[Usage]:
    """One line for each limit that has a value, in the order of the controls."""
    lines: dict[str, Usage] = {}
    for reading in found:
        if (rule := Rule(reading.code)) not in RULES or reading.limit is None:
            continue
        line = _line(rule, reading, limits)
        other = lines.get(line.rule)
        if other is None or _weight(line) > _weight(other):
            lines[line.rule] = line
    return list(lines.values())


def _line(rule: Rule, reading: Reading, limits: Limits) -> Usage:
    setting, limit, actual = RULES[rule], reading.limit, reading.actual
    assert limit is not None
    if rule is Rule.TRADING_STATE:
        actual = limit
    share = None if actual is None else _share(rule, limit, actual)
    return Usage(rule.value, setting.label, limit, actual, setting.unit, share, limits.scopes.get(rule.value, ""), reading.broken)


def _share(rule: Rule, limit: Decimal, actual: Decimal) -> Decimal:
    if rule is Rule.TRADING_STATE:
        return min(actual, Decimal(1))
    if limit == 0:
        return Decimal(1) if actual > 0 else Decimal(0)
    return max(actual / limit, Decimal(0))


def _weight(line: Usage) -> tuple[bool, Decimal]:
    """What is broken before what is not; what is not known weighs most."""
    return bool(line.broken), line.share if line.share is not None else Decimal("Infinity")


def warnings(drafts: Sequence[Draft], user: Any, now: datetime) -> list[str]:
    """What a person should hear before he sends these, though nothing refuses them."""
    kind = Book.objects.values_list("kind", flat=True).first() or ""
    asked = Asked(tuple(drafts), confirm_duplicate=True)
    found = [reading.warns for _, reading in _readings(_grounds(asked, user, now, kind), asked) if reading.warns]
    return list(dict.fromkeys(found))


# --- single facts ------------------------------------------------------------------------------------------------------------------------


def market_of(contract: Contract, now: datetime) -> Market | None:
    """The newest quote with its age; a side that is absent, zero or negative is None."""
    quote = the_one(Quote.objects.filter(contract=contract))
    return None if quote is None else market_from(quote.bid, quote.ask, quote.last, quote.at, quote.delayed, now)
