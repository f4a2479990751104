"""Who changed which limit, state, instrument rule or access: from what to what, when and why, the newest first.

The rule it keeps: it is read from the events and from nothing else, so that a row that is gone is told as well. What a value was before is
what the events before it made it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlencode

from django.contrib.auth import get_user_model
from django.db.models import Q
from django.utils.translation import gettext as _

from orders.models import Account, AccountAccess, Event, InstrumentRule, Limit
from orders.queries.access import visible_accounts
from orders.queries.risk.words import by_itself, person, rule_label, value_words
from orders.queries.show import NOTHING, Moment
from orders.rules.limits import RULES, Rule, loosens

PAST = timedelta(days=30)
PAGE = 20
MOST = 5000
"""So many events are folded at most; what is older is not looked at."""

CHANGE_LIMIT = "orders.change_limit"
ACCESS, INSTRUMENTS, ITSELF = "ACCESS", "INSTRUMENTS", "~"
"""Two words of the rule filter beside the rules' codes, and the one of the person filter for what happened by itself."""

KINDS = (
    "limit.set", "limit.removed", "trading.released", "trading.reduce_only", "trading.halted",
    "account.loss_limit", "account.loss_over", "account.halted", "position.break", "position.explained", "incident.closed",
    "instrument_rule.set", "instrument_rule.removed", "access.granted", "access_granted", "access.changed", "access.revoked",
)  # fmt: skip
_LIMIT, _INSTRUMENT, _ACCESS = (model._meta.label for model in (Limit, InstrumentRule, AccountAccess))
Values = Mapping[str, Any]


@dataclass(frozen=True)
class ChangeFilters:
    """What of the changes is wanted: a rule's code, a person's name, a page. As a panel's scope it is one word of text."""

    rule: str = ""
    by: str = ""
    page: int = 1

    @classmethod
    def of(cls, text: str) -> ChangeFilters:
        """From the text of an address or of a scope; what makes no sense there is no filter."""
        named = {name: values[-1] for name, values in parse_qs(text[:400]).items()}
        page = named.get("page", "")
        number = int(page) if page.isascii() and page.isdecimal() and len(page) < 5 else 1
        return cls(named.get("rule", "")[:30], named.get("by", "")[:30], max(number, 1))

    def text(self, page: int | None = None) -> str:
        values = {"rule": self.rule, "by": self.by, "page": str(page or self.page)}
        return urlencode({name: value for name, value in values.items() if value not in ("", "1")})


@dataclass(frozen=True)
class ChangeRow:
    """One change. `direction`: "looser" or "tighter" where a limit moved, else empty."""

    seq: int
    at: Moment
    code: str
    what: str
    whose: str
    before: str
    after: str
    direction: str
    why: str
    by: str
    actor: str
    automatic: str


@dataclass(frozen=True)
class Changes:
    rows: tuple[ChangeRow, ...]
    filters: ChangeFilters
    total: int
    rules: tuple[tuple[str, str], ...]
    people: tuple[tuple[str, str], ...]

    @property
    def newer(self) -> str | None:
        return self.filters.text(self.filters.page - 1) if self.filters.page > 1 else None

    @property
    def older(self) -> str | None:
        return self.filters.text(self.filters.page + 1) if self.filters.page * PAGE < self.total else None

    @property
    def is_filtered(self) -> bool:
        return bool(self.filters.rule or self.filters.by)


def changes(user: Any, filters: ChangeFilters, now: datetime) -> Changes:
    """Those of the last 30 days that `user` may know of."""
    if not user.is_authenticated or not user.is_active:
        return Changes((), filters, 0, (), ())
    told = [row for row in _Telling.for_(user).rows() if row.at.at >= now - PAST]
    told.reverse()
    rules = sorted({(row.code, row.what) for row in told}, key=lambda pair: pair[1])
    people = sorted({(row.actor or ITSELF, row.by or _("by itself")) for row in told}, key=lambda pair: pair[1])
    wanted = [row for row in told if filters.rule in ("", row.code) and filters.by in ("", row.actor or ITSELF)]
    begin = (filters.page - 1) * PAGE
    return Changes(tuple(wanted[begin : begin + PAGE]), filters, len(wanted), tuple(rules), tuple(people))


@dataclass
class _Telling:
    """Folds the events by age and tells what each did to the rows that are about rules."""

    user: Any
    oversees: bool
    accounts: dict[int, Account]
    names: dict[int, str]
    rows_by_key: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def for_(cls, user: Any) -> _Telling:
        """People's own limits are for themselves and for whoever sets limits."""
        accounts = {account.pk: account for account in visible_accounts(user)}
        names = dict(get_user_model().objects.values_list("pk", "username"))
        return cls(user, user.is_superuser or user.has_perm(CHANGE_LIMIT), accounts, names)

    def rows(self) -> Iterator[ChangeRow]:
        newest = list(Limit.objects.values_list("seq", flat=True))  # a state may also be set with an order's own event
        found = Event.objects.filter(Q(kind__in=KINDS) | Q(seq__in=newest)).select_related("actor").order_by("-seq")[:MOST]
        for event in reversed(found):
            for label, pk, values in event.data.get("rows", []):
                if label in (_LIMIT, _INSTRUMENT, _ACCESS):
                    before = self.rows_by_key.get((label, pk))
                    after = None if values is None else {**(before or {}), **values}
                    if after is None:
                        self.rows_by_key.pop((label, pk), None)
                    else:
                        self.rows_by_key[label, pk] = after
                    if (row := self._row(event, label, before, after)) is not None:
                        yield row

    def _row(self, event: Event, label: str, before: Values | None, after: Values | None) -> ChangeRow | None:
        known = after or before
        if known is None or not self._may_know(known):
            return None
        code, what, spell = _KINDS_OF_ROWS[label](known)
        account = self.accounts.get(known.get("account_id") or 0)
        return ChangeRow(
            seq=event.seq,
            at=Moment(event.at, account.time_zone if account else self._zone),
            code=code,
            what=what,
            whose=self._whose(label, known, account),
            before=spell(before) if before is not None else NOTHING,
            after=spell(after) if after is not None else NOTHING,
            direction=_direction(label, code, before, after),
            why=_why(event, before, after),
            by=person(event.actor),
            actor=event.actor.get_username() if event.actor is not None else "",
            automatic=by_itself(event) if event.actor is None else "",
        )

    @property
    def _zone(self) -> str:
        return next(iter(self.accounts.values())).time_zone if self.accounts else "UTC"

    def _may_know(self, row: Values) -> bool:
        account, owner = row.get("account_id"), row.get("user_id")
        if account is not None:
            return account in self.accounts
        return bool(self.accounts) or self.oversees if owner is None else self.oversees or owner == self.user.pk

    def _whose(self, label: str, row: Values, account: Account | None) -> str:
        owner = self.names.get(row.get("user_id") or 0, "")
        if label == _ACCESS:
            return _("%(user)s in %(account)s") % {"user": owner, "account": account.short if account else ""}
        if account is not None:
            return _("account %s") % account.short
        if not owner:
            return _("the desk")
        return _("you") if row.get("user_id") == self.user.pk else _("user %s") % owner


def _of_limit(row: Values) -> tuple[str, str, Any]:
    code = str(row.get("rule", ""))
    return code, rule_label(code), lambda values: value_words(code, _number(values))


def _of_instruments(row: Values) -> tuple[str, str, Any]:
    return INSTRUMENTS, _("Instruments"), _instrument_words


def _of_access(row: Values) -> tuple[str, str, Any]:
    words = {"VIEW": _("sees it"), "TRADE": _("trades it")}
    return ACCESS, _("Access"), lambda values: words.get(str(values.get("level", "")).upper(), str(values.get("level", "")))


_KINDS_OF_ROWS = {_LIMIT: _of_limit, _INSTRUMENT: _of_instruments, _ACCESS: _of_access}


def _instrument_words(row: Values) -> str:
    what = " ".join(str(row.get(name, "")) for name in ("symbol", "sec_type") if row.get(name))
    return (_("only %s") if row.get("kind") == InstrumentRule.Kind.ALLOWED else _("not %s")) % what


def _number(row: Values | None) -> Decimal | None:
    value = row.get("value") if row is not None else None
    return None if value is None else Decimal(str(value))


def _direction(label: str, code: str, before: Values | None, after: Values | None) -> str:
    """Whether the limit lets more or less through; a row that comes or goes stands for the default that it replaces."""
    if label != _LIMIT or code not in Rule.__members__ or (setting := RULES.get(Rule(code))) is None:
        return ""
    old, new = (setting.default if row is None else _number(row) for row in (before, after))
    if old == new:
        return ""
    return "looser" if loosens(Rule(code), old, new) else "tighter"


def _why(event: Event, before: Values | None, after: Values | None) -> str:
    if reason := event.data.get("reason"):
        return str(reason)
    note = str((after or {}).get("note") or "")
    return note or (event.text if event.actor is None else "")
