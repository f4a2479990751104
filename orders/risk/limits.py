"""Every limit that bears on a user in an account: what is in force, what stands against it, whose it is, who set it when and why.

The rule it keeps: a figure that is not known is said to be not known, and that it blocks; nearness is told in numbers and words, and by
colour only besides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Q
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orders.checks import limits_for
from orders.models import Account, Event, InstrumentRule, Limit
from orders.queries.access import visible_accounts
from orders.queries.risk.changes import CHANGE_LIMIT
from orders.queries.risk.words import SWITCHES, by_itself, person, rule_label, unit_words, value_words
from orders.queries.show import Moment
from orders.risk.figures import Actual, figures
from orders.rules.limits import DEFAULT, HALTED, REDUCE_ONLY, RULES, Limits, Rule

NEAR, FULL = Decimal("0.75"), Decimal(1)
GROUPS: tuple[tuple[str, str | Promise, tuple[Rule, ...]], ...] = (
    ("state", gettext_lazy("Trading state"), (Rule.TRADING_STATE, Rule.LOSS_STATE_LIFTS)),
    (
        "losses",
        gettext_lazy("Losses"),
        (Rule.DAILY_LOSS_REDUCE, Rule.DAILY_LOSS_HALT, Rule.WEEKLY_LOSS_HALT, Rule.MAX_DAILY_LOSS),
    ),
    ("exposure", gettext_lazy("Exposure"), (Rule.GROSS_EXPOSURE, Rule.NET_EXPOSURE, Rule.NAME_EXPOSURE, Rule.BUYING_POWER)),
    (
        "size",
        gettext_lazy("Size and price"),
        (
            Rule.MAX_QUANTITY,
            Rule.MAX_NOTIONAL,
            Rule.MAX_POSITION,
            Rule.RISK_PER_TRADE,
            Rule.REQUIRE_STOP,
            Rule.PRICE_COLLAR,
            Rule.MAX_SPREAD,
            Rule.SHORT_SALES,
            Rule.SELF_CROSS,
            Rule.TRADING_HOURS,
        ),
    ),
    (
        "activity",
        gettext_lazy("Activity"),
        (
            Rule.MAX_OPEN_ORDERS,
            Rule.MAX_USER_ORDERS,
            Rule.ORDER_RATE,
            Rule.ORDER_RATIO,
            Rule.ORDER_RATIO_FROM,
            Rule.DUPLICATE_SECONDS,
        ),
    ),
    ("data", gettext_lazy("Data"), (Rule.QUOTE_SECONDS, Rule.VALUE_SECONDS, Rule.DELAYED_QUOTES, Rule.PREVIEW_DRIFT)),
)
_INFORMS = frozenset({Rule.ORDER_RATIO_FROM})
"""Beyond its value nothing is refused."""


@dataclass(frozen=True)
class Source:
    """Where a value comes from: `whose` in words, and of a row who set it, when and why. `pk`: the row, None for the default."""

    whose: str
    value: str
    by: str = ""
    at: Moment | None = None
    why: str = ""
    pk: int | None = None


@dataclass(frozen=True)
class LimitRow:
    """One rule. `share` in percent of the limit, None where it has none; `level` is "", "warn", "bad" or "unknown", `state` its words."""

    code: str
    label: str
    meaning: str
    limit: str
    unit: str
    actual: str
    more: str
    share: int | None
    share_words: str
    level: str
    state: str
    source: Source
    others: tuple[Source, ...]

    @property
    def meter(self) -> int:
        return min(self.share or 0, 100)


@dataclass(frozen=True)
class InstrumentRow:
    is_allowed: bool
    what: str
    source: Source


@dataclass(frozen=True)
class Group:
    key: str
    title: str
    rows: tuple[LimitRow, ...]


@dataclass(frozen=True)
class LimitsView:
    account: Account
    groups: tuple[Group, ...]
    instruments: tuple[InstrumentRow, ...]
    may_set: bool
    may_administer: bool

    @property
    def rows(self) -> list[LimitRow]:
        return [row for group in self.groups for row in group.rows]

    @property
    def first(self) -> str:
        """The code of the first that asks for a look; empty where none does."""
        return next((row.code for level in ("bad", "unknown", "warn") for row in self.rows if row.level == level), "")

    @property
    def reached(self) -> int:
        return sum(row.level == "bad" for row in self.rows)

    @property
    def near(self) -> int:
        return sum(row.level == "warn" for row in self.rows)

    @property
    def unknown(self) -> int:
        return sum(row.level == "unknown" for row in self.rows)


def limits(user: Any, account: Account | None, now: datetime) -> LimitsView | None:
    """Those that decide for `user` in `account`; None for an account that he may not see."""
    if account is None or not visible_accounts(user).filter(pk=account.pk).exists():
        return None
    told = _Telling.of(user, account, now)
    return LimitsView(
        account=account,
        groups=tuple(Group(key, str(title), tuple(told.row(rule) for rule in rules)) for key, title, rules in GROUPS),
        instruments=told.instruments(),
        may_set=user.has_perm(CHANGE_LIMIT),
        may_administer=user.is_staff and user.has_perm(CHANGE_LIMIT),
    )


@dataclass(frozen=True)
class _Telling:
    account: Account
    limits: Limits
    actuals: Mapping[Rule, Actual]
    rows: Mapping[str, list[Limit]]
    words: list[InstrumentRule]
    events: Mapping[int, Event]

    @classmethod
    def of(cls, user: Any, account: Account, now: datetime) -> _Telling:
        mine = Q(scope=Limit.Scope.DESK) | Q(scope=Limit.Scope.ACCOUNT, account=account) | Q(scope=Limit.Scope.USER, user=user)
        rows: defaultdict[str, list[Limit]] = defaultdict(list)
        for row in Limit.objects.filter(mine).order_by("pk"):
            rows[row.rule].append(row)
        words = list(InstrumentRule.objects.filter(mine).order_by("kind", "symbol", "sec_type", "pk"))
        seqs = [row.seq for found in rows.values() for row in found] + [row.seq for row in words]
        events = Event.objects.select_related("actor").in_bulk(seqs)
        return cls(account, limits_for(account, user), figures(user, account, now), rows, words, events)

    def row(self, rule: Rule) -> LimitRow:
        setting, code = RULES[rule], rule.value
        limit, actual = self.limits.get(code), self.actuals.get(rule)
        share = _share(rule, limit, actual)
        level, state = _level(rule, limit, actual, share)
        deciding, others = self._sources(rule)
        known = actual is not None and actual.value is not None
        return LimitRow(
            code=code,
            label=rule_label(code),
            meaning=_(setting.meaning),
            limit=value_words(code, limit) if limit is not None else _("not set"),
            unit=unit_words(code, self.account.base_currency) if limit is not None else "",
            actual=value_words(code, actual.value) if actual and known and rule not in SWITCHES else "",
            more=(actual.more or actual.why) if actual is not None and limit is not None else "",
            share=None if share is None else int(share * 100),
            share_words="" if share is None else f"{int(share * 100):,} %",
            level=level,
            state=state,
            source=deciding,
            others=others,
        )

    def _sources(self, rule: Rule) -> tuple[Source, tuple[Source, ...]]:
        """The one that decides, and those that apply too and are less strict."""
        rows = self.rows.get(rule.value, [])
        if self.limits.scopes.get(rule.value, DEFAULT) == DEFAULT:
            return Source(_("built-in default"), ""), ()
        value, scope = self.limits[rule.value], self.limits.scopes[rule.value]
        first = next(row for row in rows if row.value == value and row.scope == scope)
        return self._source(first), tuple(self._source(row) for row in rows if row is not first)

    def _source(self, row: Limit | InstrumentRule) -> Source:
        whose = {"desk": _("the desk"), "account": _("account %s") % self.account.short, "user": _("you")}[row.scope]
        event = self.events.get(row.seq)
        return Source(
            whose=whose,
            value=value_words(row.rule, row.value) if isinstance(row, Limit) else "",
            by=(person(event.actor) or by_itself(event)) if event is not None else "",
            at=Moment(event.at, self.account.time_zone) if event is not None else None,
            why=str((event.data.get("reason") if event is not None else "") or row.note),
            pk=row.pk,
        )

    def instruments(self) -> tuple[InstrumentRow, ...]:
        return tuple(
            InstrumentRow(
                row.kind == InstrumentRule.Kind.ALLOWED,
                " ".join(part for part in (row.symbol or _("every"), row.sec_type) if part),
                self._source(row),
            )
            for row in self.words
        )


def _share(rule: Rule, limit: Decimal | None, actual: Actual | None) -> Decimal | None:
    """How much of the limit is used; None for switches, for what only an order can be judged by, and for what is not known."""
    if limit is None or actual is None or actual.value is None or rule in SWITCHES or rule in _INFORMS:
        return None
    if limit == 0:
        return FULL if actual.value > 0 else Decimal(0)
    return max(actual.value / limit, Decimal(0))


def _level(rule: Rule, limit: Decimal | None, actual: Actual | None, share: Decimal | None) -> tuple[str, str]:
    if limit is None:
        return "", _("not applied")
    if rule is Rule.TRADING_STATE:
        return ("bad", "") if limit >= HALTED else ("warn", "") if limit >= REDUCE_ONLY else ("", "")
    if rule in SWITCHES:
        return "", _("a switch") if rule in (Rule.DELAYED_QUOTES, Rule.LOSS_STATE_LIFTS) else _("judged with each order")
    if actual is not None and actual.value is None:
        return "unknown", _("not known: new risk is refused")
    if share is None:
        return "", _("nothing to judge now") if rule is Rule.QUOTE_SECONDS else _("judged with each order")
    if share >= FULL:
        if rule is Rule.QUOTE_SECONDS or rule is Rule.VALUE_SECONDS:
            return "bad", _("too old: counts as not known")
        return "bad", _("reached") if share == FULL else _("over the limit")
    return ("warn", _("near")) if share >= NEAR else ("", _("free"))
