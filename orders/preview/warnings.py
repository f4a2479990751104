"""What a person should know of an order before he sends it, and what no rule forbids.

The rule it keeps: a warning is a fact and what follows from it; nothing here stops an order. What stops it are the checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.utils.translation import gettext as _

from orders.queries.show import number, quantity, signed
from orders.rules.hours import hours_at
from orders.rules.limits import Market
from orders.rules.terms import AdaptivePriority, OrderTerms, OrderType, Side, TimeInForce

SHARE_OF_VOLUME = Decimal("0.01")
"""Of the day's volume: an order above it moves the market, or takes long."""
OLD_SECONDS = 30


@dataclass(frozen=True)
class Scene:
    """What stands around an order when it is looked at."""

    now: datetime
    market: Market | None
    volume: Decimal | None
    position: Decimal
    liquid_hours: str
    trading_hours: str
    zone: str


def warnings(terms: OrderTerms, scene: Scene, *, has_exits: bool = False) -> list[str]:
    """All of them, the gravest first."""
    found = [_crosses_zero(terms, scene), *_hours(terms, scene), *_quote(terms, scene), _volume(terms, scene), *_type(terms)]
    if terms.time_in_force is TimeInForce.GTC or has_exits:
        found.append(_gtc())
    return [words for words in found if words]


def warnings_of_exits(legs: Sequence[OrderTerms], scene: Scene) -> list[str]:
    """The same of exits, which wait for their prices: what the market is now, and what each kind of them does when its time has come."""
    if not legs:
        return []
    found = [*_hours(legs[0], scene), *_quote(legs[0], scene), *_of_types(legs)]
    if legs[0].time_in_force is TimeInForce.GTC:
        found.append(_gtc())
    return [words for words in found if words]


def _of_types(legs: Sequence[OrderTerms]) -> list[str]:
    """The caveats of each type of order, each once; of which types, where there are several that have any."""
    types: dict[str, list[str]] = {}
    for terms in legs:
        for words in _type(terms):
            types.setdefault(words, [])
            if terms.order_type.value not in types[words]:
                types[words].append(terms.order_type.value)
    if len({name for names in types.values() for name in names}) == 1:
        return list(types)
    return [f"{', '.join(names)}: {words}" for words, names in types.items()]


def _gtc() -> str:
    return _("GTC ends at IB after 90 days without a login, at the end of the next quarter, and at corporate actions.")


def _crosses_zero(terms: OrderTerms, scene: Scene) -> str:
    after = scene.position + terms.quantity * terms.side.sign
    if scene.position * after >= 0:
        return ""
    return _("This crosses zero: it turns the position of %(before)s into %(after)s.") % {
        "before": signed(scene.position),
        "after": signed(after),
    }


def _hours(terms: OrderTerms, scene: Scene) -> list[str]:
    regular = hours_at(scene.liquid_hours, scene.zone, scene.now)
    if regular is None or regular.is_open:
        return []
    extended = hours_at(scene.trading_hours, scene.zone, scene.now)
    if extended is None or not extended.is_open:
        return [_("The market is closed: the order waits at IB for the next session, at a price that nobody knows yet.")]
    if terms.outside_rth:
        return [_("It is outside regular trading hours: fewer trade, and bid and ask lie apart.")]
    return [_("It is outside regular trading hours, and this order trades only within them: it waits for the next session.")]


def _quote(terms: OrderTerms, scene: Scene) -> list[str]:
    market = scene.market
    if market is None or market.touch(terms.side) is None:
        return [_("There is no quote on the side this would trade at.")]
    found = []
    if market.delayed:
        found.append(_("The quote is delayed by the exchange: the real price is another."))
    if market.age_seconds > OLD_SECONDS:
        found.append(_("The quote is %s seconds old.") % number(market.age_seconds, 0))
    if not market.is_sound:
        found.append(_("The quote is crossed: the bid is above the ask."))
    return [*found, _beyond(terms, market)]


def _beyond(terms: OrderTerms, market: Market) -> str:
    touch = market.touch(terms.side)
    if terms.order_type is not OrderType.LIMIT or terms.limit_price is None or touch is None:
        return ""
    if (terms.limit_price - touch) * terms.side.sign <= 0:
        return ""
    if terms.side is Side.BUY:
        return _("The limit lies above the best ask: it trades at once, at most at the limit.")
    return _("The limit lies below the best bid: it trades at once, at least at the limit.")


def _volume(terms: OrderTerms, scene: Scene) -> str:
    if not scene.volume or terms.quantity <= scene.volume * SHARE_OF_VOLUME:
        return ""
    share = number(terms.quantity / scene.volume * 100, 1)
    return _("This is %(share)s %% of the day's volume so far (%(volume)s).") % {"share": share, "volume": quantity(scene.volume)}


def _type(terms: OrderTerms) -> list[str]:
    """Caveats of the type, of the time in force and of the attributes."""
    kind, found = terms.order_type, []
    if kind is OrderType.MARKET:
        found.append(_("A market order takes whatever price there is."))
    elif kind in (OrderType.STOP, OrderType.MARKET_IF_TOUCHED):
        found.append(_("Once elected it is a market order: in a gap it trades far from its stop."))
    elif kind in (OrderType.STOP_LIMIT, OrderType.LIMIT_IF_TOUCHED, OrderType.TRAIL_LIMIT):
        found.append(_("Once elected it is a limit order: in a gap it may not trade at all."))
    elif kind is OrderType.TRAIL:
        found.append(_("The stop follows the market and is a market order once elected: in a gap it trades far from its stop."))
    elif kind.is_on_close:
        found.append(_("It trades in the closing auction; exchanges take such orders until some minutes before it."))
    if kind.is_stop and not terms.outside_rth:
        found.append(_("A stop is elected in regular trading hours only."))
    if kind.is_stop and terms.time_in_force is TimeInForce.GTC:
        found.append(_("A stop that is good till cancelled is not adjusted for dividends: one may elect it."))
    if terms.time_in_force is TimeInForce.OPG:
        found.append(_("It trades in the opening auction, or is cancelled."))
    if terms.time_in_force.is_immediate:
        found.append(_("What does not trade at once is cancelled."))
    if terms.all_or_none:
        found.append(_("All or none: it may be passed over at its own price."))
    if terms.hidden:
        found.append(_("A hidden order stands behind those that are shown at its price."))
    if terms.adaptive is not AdaptivePriority.NONE:
        found.append(_("IB's Adaptive algo chooses when to trade; its terms can hardly be changed afterwards."))
    return found
