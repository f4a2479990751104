"""A preview spelled out for the page: every figure as text, every unknown one as what it is.

The rule it keeps: what is not known is called unknown and why; an estimate never looks like an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.utils.translation import gettext as _

from orders.checks import Usage
from orders.models import Account
from orders.preview.making import Previewed, Risk
from orders.preview.margin import Heard
from orders.preview.parts import Part, Spelling, exits, how_it_trades, what_a_fill_does
from orders.preview.request import entry_of
from orders.queries.show import MINUS, Moment, Ticks, number, quantity, signed
from orders.rules.limits import DEFAULT, Breach, Rule
from orders.rules.margins import Margin
from orders.rules.seals import Change
from orders.rules.terms import plain
from orders.rules.tickets import ExitsTicket

_NO_METER = frozenset({Rule.TRADING_STATE.value, Rule.TRADING_HOURS.value, Rule.SHORT_SALES.value, Rule.REQUIRE_STOP.value})
"""Limits that are a switch: nothing of them is used up."""

NEAREST = 4


@dataclass(frozen=True)
class Fact:
    label: str
    value: str
    more: str = ""
    css: str = ""


@dataclass(frozen=True)
class UsageRow:
    """One limit: how much of it is used with this order. `share` in whole percent, as a meter takes it."""

    rule: str
    label: str
    words: str
    unit: str
    share: int
    is_over: bool


@dataclass(frozen=True)
class Problem:
    """Why it would be refused: the rule, in words, with limit and actual where they are numbers."""

    rule: str
    message: str
    numbers: str


@dataclass(frozen=True)
class MarginRow:
    label: str
    before: str
    change: str
    after: str


@dataclass(frozen=True)
class MarginView:
    rows: Sequence[MarginRow]
    facts: Sequence[Fact]
    currency: str
    asking: bool
    is_estimate: bool
    why: str
    warning: str


@dataclass(frozen=True)
class PreviewView:
    seal: str
    side: str
    sentence: str
    terms: Sequence[Fact]  # how the order, of a bracket its entry, trades
    exits: Sequence[Part]
    facts: Sequence[Fact]
    usage: Sequence[UsageRow]
    warnings: Sequence[str]
    problems: Sequence[Problem]
    changed: Sequence[Change]
    margin: MarginView | None  # None where the order is none that IB's margin depends on
    expires: Moment
    life: int  # seconds
    asks_for_confirmation: bool
    may_send: bool

    @property
    def usage_most(self) -> Sequence[UsageRow]:
        """The limits that are nearest, and all that are broken."""
        ranked = sorted(self.usage, key=lambda one: (not one.is_over, -one.share))
        return [one for index, one in enumerate(ranked) if one.is_over or index < NEAREST]

    @property
    def usage_rest(self) -> Sequence[UsageRow]:
        near = {one.rule for one in self.usage_most}
        return [one for one in self.usage if one.rule not in near]


def preview_view(made: Previewed) -> PreviewView:
    """The preview as the page shows it."""
    account = made.row.account
    spelling = Spelling(made.row.contract, account.time_zone, Ticks.load())
    return PreviewView(
        seal=made.seal,
        side=entry_of(made.request).side.value,
        sentence=made.sentence,
        terms=_terms(made, spelling),
        exits=list(exits(made.request, spelling, made.row.created_at)),
        facts=_facts(made),
        usage=[_usage(one) for one in made.usage if one.rule not in _NO_METER],
        warnings=made.warnings,
        problems=[_problem(breach) for breach in made.breaches],
        changed=made.changed,
        margin=None if isinstance(made.request, ExitsTicket) else margin_view(made.margin, account),
        expires=Moment(made.expires_at, account.time_zone),
        life=int((made.expires_at - made.row.created_at).total_seconds()),
        asks_for_confirmation=made.asks_for_confirmation,
        may_send=not made.refusals,
    )


def _terms(made: Previewed, spelling: Spelling) -> list[Fact]:
    """Everything that decides how the order trades besides its sentence. What has no value of its own is simply so.

    Of exits each says it of itself.
    """
    own = () if isinstance(made.request, ExitsTicket) else how_it_trades(entry_of(made.request), spelling)
    found = [Fact(str(name), str(value) or _("yes")) for name, value in own]
    fills = what_a_fill_does(made.request)
    return [*found, Fact(_("When an exit fills"), fills)] if fills else found


def _facts(made: Previewed) -> list[Fact]:
    worth, base, own = made.worth, made.row.account.base_currency, made.row.contract.currency
    once = _("once they have filled") if isinstance(made.request, ExitsTicket) else ""
    found = [Fact(_("Position"), f"{signed(made.before)} → {signed(made.after)}", once)]
    if worth.own is None or worth.price is None:
        found.append(Fact(_("Worth"), _("unknown"), _("there is no fresh quote to weigh it by")))
    else:
        price = Ticks.load().price(made.row.contract, worth.price)
        multiplier = f" × {plain(worth.multiplier)}" if worth.multiplier != 1 else ""
        sum_ = f"{quantity(entry_of(made.request).quantity)} × {price}{multiplier}"
        found.append(Fact(_("Worth"), f"{number(worth.own)} {own}", sum_))
        if own != base:
            known = worth.base is not None and worth.rate is not None
            words = _("at %s") % plain(worth.rate) if known and worth.rate is not None else _("the exchange rate is not known")
            found.append(Fact(_("In %s") % base, number(worth.base) if known else _("unknown"), words))
    return [*found, *_risk(made, base)]


def _risk(made: Previewed, base: str) -> list[Fact]:
    risk = made.risk
    if risk is None:
        return []
    if isinstance(made.request, ExitsTicket):
        return _outcome(risk, base)
    share = f"{number(risk.share * 100)} %" if risk.share is not None else ""
    found = [Fact(_("Risk to the stop"), f"{MINUS if risk.loss > 0 else ''}{number(abs(risk.loss))} {base}", share, css="loss")]
    if risk.gain is not None:
        reward = f"{number(risk.reward, 1)} R" if risk.reward is not None else ""
        found.append(Fact(_("Gain to the target"), f"{signed(risk.gain, 2)} {base}", reward, css="gain"))
    return found


def _outcome(risk: Risk, base: str) -> list[Fact]:
    """What the exits of a position come to: a stop that was moved beyond what the position cost gains, too."""
    since = _("from the average cost")
    lines = [(_("At the stops"), -risk.loss), (_("At the targets"), risk.gain)]
    return [
        Fact(label, f"{signed(value, 2)} {base}", since, css="loss" if value < 0 else "gain") for label, value in lines if value is not None
    ]


def _usage(one: Usage) -> UsageRow:
    """One limit as a meter: shares of something in percent, amounts as they are."""
    limit, actual = _amount(one.limit, one.unit), _amount(one.actual, one.unit)
    percent = 100 if one.share is None else max(0, round(one.share * 100))
    whose = f" ({one.scope})" if one.scope not in ("", DEFAULT) else ""
    return UsageRow(one.rule, one.label, f"{actual} / {limit}{whose}", one.unit, min(percent, 100), bool(one.broken) or one.share is None)


def _amount(value: Decimal | None, unit: str) -> str:
    """Fractions of something in percent."""
    if value is None:
        return _("unknown")
    if unit == "fraction" or unit.startswith("of "):
        return f"{number(value * 100, 1)} %"
    return quantity(round(value, 2))


def _problem(breach: Breach) -> Problem:
    numbers = ""
    if breach.limit is not None and breach.actual is not None:
        limit, actual = quantity(_short(breach.limit)), quantity(_short(breach.actual))
        numbers = _("limit %(limit)s, this: %(actual)s") % {"limit": limit, "actual": actual}
    return Problem(str(breach.code), breach.message, numbers)


def _short(value: Decimal) -> Decimal:
    return round(value, 4)


# --- the margin -----------------------------------------------------------------------------------------------------------------------


def margin_view(heard: Heard, account: Account) -> MarginView:
    """What is known of the margin, in the account's base currency."""
    known = heard.margin
    return MarginView(
        rows=_margins(known) if known is not None else (),
        facts=_after(known, account.base_currency) if known is not None else (),
        currency=account.base_currency,
        asking=heard.asking,
        is_estimate=heard.is_estimate,
        why=heard.why,
        warning=known.warning if known is not None else "",
    )


def _margins(known: Margin) -> list[MarginRow]:
    lines = (
        (_("Initial"), known.initial_before, known.initial_change, known.initial_after),
        (_("Maintenance"), known.maintenance_before, known.maintenance_change, known.maintenance_after),
    )
    return [MarginRow(label, number(before), signed(change, 2), number(after)) for label, before, change, after in lines]


def _after(known: Margin, base: str) -> list[Fact]:
    found = [
        Fact(label, number(value), base, css="loss" if value < 0 else "")
        for label, value in ((_("Excess liquidity after"), known.excess_after), (_("Available funds after"), known.available_after))
        if value is not None
    ]
    return [*found, Fact(_("Commission"), _commission(known), known.commission_currency)]


def _commission(known: Margin) -> str:
    if known.commission is not None:
        return number(known.commission)
    if known.least_commission is not None and known.most_commission is not None:
        return f"{number(known.least_commission)} – {number(known.most_commission)}"
    return _("unknown")
