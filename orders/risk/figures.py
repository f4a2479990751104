"""What stands against each limit now, without an order: the figures that the gate would begin with.

The rule it keeps: what is not known is None with the reason, because the gate refuses by it. A rule that says nothing without an order has
no figure here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from orders import checks
from orders.grounds import Grounds, seconds
from orders.models import Account, AccountValue, Book
from orders.models.reading import the_one
from orders.proposals import Asked, count_traffic
from orders.queries.show import quantity
from orders.rules.limits import Line, Open, Rule
from orders.rules.terms import BookKind, Role

ZERO = Decimal(0)
_WAYS_OUT = (Role.STOP_LOSS, Role.TAKE_PROFIT, Role.TIME_STOP, Role.CLOSE, Role.LIQUIDATION)


@dataclass(frozen=True)
class Actual:
    """What stands against a limit. `value` None: not known, and `why` says what is missing. `more`: what it is made of."""

    value: Decimal | None
    more: str = ""
    why: str = ""


def figures(user: Any, account: Account, now: datetime) -> dict[Rule, Actual]:
    """By rule; those that are judged by an order alone are not in it."""
    is_live = Book.objects.filter(kind=BookKind.LIVE.value).exists()
    grounds = Grounds(account, None, user, now, is_live)
    found = {Rule(line.rule): _of_usage(line) for line in checks.usage([], user, now, account=account)}
    mine = [order for order in grounds.open if order.account == account.pk]
    lines = [(thing.symbol, line) for thing, line in grounds.lines() if not line.is_idle]
    found |= _sizes(grounds, mine, lines)
    found[Rule.NAME_EXPOSURE] = _name(grounds, lines)
    found |= _activity(grounds, mine)
    found |= _ages(grounds)
    return found


def _of_usage(line: checks.Usage) -> Actual:
    if line.actual is not None:
        return Actual(line.actual)
    return Actual(None, why=line.broken or _("The account's worth, or a price or rate that is needed, is not known."))


# --- size and exposure ----------------------------------------------------------------------------------------------------------------


def _sizes(grounds: Grounds, mine: list[Open], lines: list[tuple[str, Line]]) -> dict[Rule, Actual]:
    largest = max(mine, key=lambda order: order.remaining, default=None)
    held = max(lines, key=lambda pair: _size(pair[1]), default=None)
    return {
        Rule.MAX_QUANTITY: Actual(largest.remaining if largest else ZERO, _("largest open order") if largest else _("no open order")),
        Rule.MAX_NOTIONAL: _worth(grounds, mine),
        Rule.MAX_POSITION: Actual(_size(held[1]) if held else ZERO, held[0] if held else ""),
        Rule.BUYING_POWER: _power(grounds, mine),
    }


def _size(line: Line) -> Decimal:
    return max(abs(line.longest), abs(line.shortest))


def _worth(grounds: Grounds, mine: list[Open]) -> Actual:
    worths = [grounds.worth([order]) for order in mine]
    if None in worths:
        return Actual(None, why=_("The price or the exchange rate of an open order is not known."))
    return Actual(max((one for one in worths if one is not None), default=ZERO), _("largest open order") if mine else _("no open order"))


def _power(grounds: Grounds, mine: list[Open]) -> Actual:
    power = grounds.money.buying_power
    if power is None:
        return Actual(None, why=_("The account's buying power is not known, or not of late."))
    needed = grounds.worth(one for one in mine if grounds.money.is_uncounted(one) and one.parent is None and one.role not in _WAYS_OUT)
    if needed is None:
        return Actual(None, why=_("The worth of an order on its way is not known."))
    words = _("%(needed)s on its way of %(power)s") % {"needed": quantity(round(needed, 2)), "power": quantity(round(power, 2))}
    return Actual(needed / power if power > 0 else Decimal(1), words)


def _name(grounds: Grounds, lines: list[tuple[str, Line]]) -> Actual:
    net = grounds.money.net_liquidation
    if net is None or net <= 0:
        return Actual(None, why=_("The account's net liquidation is not known, or not of late."))
    names: Counter[str] = Counter()
    for symbol, line in lines:
        if line.worth is None:
            return Actual(None, why=_("What %s is worth is not known.") % symbol)
        names[symbol] += line.gross  # type: ignore[assignment]
    symbol, worth = max(names.items(), key=lambda pair: pair[1], default=("", ZERO))
    return Actual(Decimal(worth) / net, symbol)


# --- activity and data ----------------------------------------------------------------------------------------------------------------


def _activity(grounds: Grounds, mine: list[Open]) -> dict[Rule, Actual]:
    traffic = count_traffic(grounds, Asked(()), exact=True)
    sides = Counter((order.contract, order.side) for order in mine)
    (contract, side), most = max(sides.items(), key=lambda pair: pair[1], default=((0, None), 0))
    where = f"{side} {grounds.things[contract].symbol}" if side is not None else ""
    told = _("%(messages)s messages, %(executions)s executions today") % {
        "messages": traffic.messages,
        "executions": traffic.executions,
    }
    return {
        Rule.MAX_OPEN_ORDERS: Actual(Decimal(most), where),
        Rule.ORDER_RATE: Actual(Decimal(traffic.recent), _("in the last minute")),
        Rule.ORDER_RATIO: Actual(Decimal(traffic.messages) / (traffic.executions + 1), told),
        Rule.ORDER_RATIO_FROM: Actual(Decimal(traffic.messages), _("from then on the ratio is judged")),
    }


def _ages(grounds: Grounds) -> dict[Rule, Actual]:
    account = grounds.account
    rows = AccountValue.objects.filter(account=account, name="NetLiquidation", currency=account.base_currency)
    at = the_one(rows.values_list("at", flat=True))
    values = Actual(max(seconds(grounds.now - at), ZERO), _("net liquidation")) if at is not None else Actual(None, why=_never())
    ages = {thing.symbol: thing.market.age_seconds if thing.market else None for thing in grounds.things.values()}
    unquoted = sorted(symbol for symbol, age in ages.items() if age is None)
    if unquoted:
        return {Rule.VALUE_SECONDS: values, Rule.QUOTE_SECONDS: Actual(None, why=_("%s has no quote.") % unquoted[0])}
    symbol, age = max(((symbol, age) for symbol, age in ages.items() if age is not None), key=lambda pair: pair[1], default=("", None))
    quotes = {} if age is None else {Rule.QUOTE_SECONDS: Actual(max(age, ZERO), _("oldest in use: %s") % symbol)}
    return {Rule.VALUE_SECONDS: values, **quotes}


def _never() -> str:
    return _("The account's net liquidation was never told.")
