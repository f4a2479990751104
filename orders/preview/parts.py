"""The orders of a request, one by one, each with everything that decides how it trades.

The rule it keeps: whatever is set on an order is said of it before it is sent, of an exit as of its entry. What a form adds to an order and
this file does not know is found by a test.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orders.models import Contract
from orders.queries.attributes import OCA_WORDS, Attribute, attributes_of_terms, moment, said
from orders.queries.marks import LEGS
from orders.queries.show import Ticks, quantity
from orders.rules.terms import OrderTerms, Role, TimeInForce, plain
from orders.rules.tickets import BracketTicket, PlaceRequest, legs

IN_FORCE: dict[TimeInForce, str | Promise] = {
    TimeInForce.DAY: gettext_lazy("DAY, ends with the session"),
    TimeInForce.GTC: gettext_lazy("GTC, until it fills or is cancelled"),
    TimeInForce.GTD: gettext_lazy("GTD, ends at its moment"),
    TimeInForce.IOC: gettext_lazy("IOC, what does not trade at once is cancelled"),
    TimeInForce.FOK: gettext_lazy("FOK, all of it at once or none"),
    TimeInForce.OPG: gettext_lazy("OPG, at the opening only"),
}


@dataclass(frozen=True)
class Part:
    """One exit that goes along with the entry: "SELL 100 AAPL STP 97.50 GTC", and in one line what these words do not say."""

    label: str
    words: str
    more: str


@dataclass(frozen=True)
class Spelling:
    """What numbers and moments of one contract and account are spelled with."""

    contract: Contract
    zone: str
    ticks: Ticks

    def price(self, value: Decimal | None) -> str:
        return self.ticks.price(self.contract, value)

    def distance(self, value: Decimal | None) -> str:
        return self.ticks.distance(self.contract, value)


def terms_words(terms: OrderTerms, spelling: Spelling) -> str:
    """ "BUY 100 AAPL LMT 233.33 DAY": every price it has, of a trailing one where it begins and its distance, and its last moment."""
    words = [terms.side, quantity(terms.quantity), spelling.contract.label, terms.order_type, prices(terms, spelling), terms.time_in_force]
    if terms.good_till is not None:
        words.append(moment(terms.good_till, spelling.zone))
    return " ".join(filter(None, words))


def prices(terms: OrderTerms, spelling: Spelling) -> str:
    """ "228.66", "158.00 / 157.50" (stop, then limit), "158.00 (2 %)", "2 % / 0.10 off" for the limit of a TRAIL LIMIT."""
    shown = [spelling.price(value) for value in (terms.stop_price, terms.limit_price) if value is not None]
    if distance := trail(terms, spelling):
        shown[:1] = [f"{shown[0]} ({distance})" if terms.stop_price is not None else distance]
    if terms.limit_offset is not None:
        shown.append(_("%s off") % spelling.distance(terms.limit_offset))
    return " / ".join(shown)


def trail(terms: OrderTerms, spelling: Spelling) -> str:
    """How far a trailing stop stays behind the market, "" of any other order."""
    if terms.trail_percent is not None:
        return f"{plain(terms.trail_percent)} %"
    return spelling.distance(terms.trail_amount) if terms.trail_amount is not None else ""


def how_it_trades(terms: OrderTerms, spelling: Spelling) -> tuple[Attribute, ...]:
    """(name, value): until when, in which hours, and every attribute that is set."""
    return ((_("In force"), IN_FORCE[terms.time_in_force]), (_("Hours"), hours(terms)), *_used(terms, spelling))


def hours(terms: OrderTerms) -> str:
    return _("also outside regular hours") if terms.outside_rth else _("regular hours only")


def _used(terms: OrderTerms, spelling: Spelling) -> tuple[Attribute, ...]:
    return attributes_of_terms(terms, spelling.contract, spelling.zone, spelling.ticks)


def exits(request: PlaceRequest, spelling: Spelling, now: datetime) -> Iterator[Part]:
    """The exits of a bracket or of a position in the order in which they are sent; none of a single order."""
    if isinstance(request, OrderTerms):
        return
    if isinstance(request, BracketTicket):
        side, times, outside_rth = request.entry.side.opposite, request.exits_time_in_force, request.exits_outside_rth
    else:
        assert request.side is not None, "exits are previewed for a position that was seen"
        side, times, outside_rth = request.side, request.time_in_force, request.outside_rth
    for number, pair in enumerate(request.pairs, 1):
        for role, terms in legs(pair, side, time_in_force=times, outside_rth=outside_rth, now=now):
            label = str(LEGS[role]) if len(request.pairs) == 1 else f"{number}. {LEGS[role]}"
            waits: tuple[Attribute, ...] = ()
            if role is Role.TIME_STOP and pair.time_stop is not None:
                # Its moment is not known yet: the time counts from the sending.
                terms, waits = replace(terms, good_after=None), ((_("Goes live"), _("%s after the sending") % span(pair.time_stop)),)
            yield Part(label, terms_words(terms, spelling), said(((hours(terms), ""), *_used(terms, spelling), *waits)))


def what_a_fill_does(request: PlaceRequest) -> str:
    """What the fill of one exit of a pair does to the others, "" where there are none."""
    if isinstance(request, OrderTerms):
        return ""
    if request.oca_type is None:
        return _("IB cancels the entry's other exits in its own way; no group is named")
    return str(OCA_WORDS[request.oca_type])


def span(time: timedelta) -> str:
    """ "90 min", "1 min 30 s", "45 s"."""
    minutes, seconds = divmod(round(time.total_seconds()), 60)
    return " ".join(part for part in (f"{minutes} min" if minutes else "", f"{seconds} s" if seconds or not minutes else "") if part)
