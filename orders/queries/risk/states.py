"""The trading states of the desk, of each account and of users: since when, who set them and why, and who may change them.

The rule it keeps: what set itself is told from what a person set. A button is shown to whoever the verbs would let do it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth import get_user_model
from django.db.models import Q
from django.utils.translation import gettext as _

from orders.models import Account, Event, Limit, Sweep
from orders.queries.access import tradable_ids, visible_accounts
from orders.queries.restraints import RELEASE
from orders.queries.risk.words import by_itself, person, state_word
from orders.queries.show import Moment, moment
from orders.queries.sweeps import HALT_DESK, Report, sweep
from orders.rules.limits import HALTED, REDUCE_ONLY, TRADES, Rule
from orders.rules.terms import AccessLevel

MOST_USERS = 50
MOST_SWEEPS = 3
RECENT = timedelta(hours=12)


@dataclass(frozen=True)
class StateRow:
    """One of them. `ask`: how its dialog is asked for, where the user may do anything with it; `sweep`: the report of its kill switch."""

    whose: str
    more: str
    word: str
    css: str
    consequence: str
    since: Moment | None
    by: str
    why: str
    automatic: str
    ask: str
    is_held: bool
    sweep: int | None = None


@dataclass(frozen=True)
class States:
    rows: tuple[StateRow, ...]
    sweeps: tuple[Report, ...]
    hidden_users: int = 0

    @property
    def held(self) -> int:
        return sum(row.is_held for row in self.rows)


@dataclass(frozen=True)
class _Powers:
    user: Any
    halts: bool
    releases: bool
    tradable: frozenset[int]

    def may_change(self, scope: str, account: Account | None, owner: Any, row: Limit | None) -> bool:
        """As the verbs have it: hold back what is his, release with a right of its own."""
        value = row.value if row is not None else TRADES
        if scope == Limit.Scope.ACCOUNT:
            may_hold = account is not None and account.pk in self.tradable
        else:
            may_hold = scope == Limit.Scope.USER and owner.pk == self.user.pk and bool(self.tradable)
        return (value < HALTED and (self.halts or may_hold)) or (value > TRADES and self.releases)


def states(user: Any, now: datetime) -> States:
    """The desk's, those of the accounts that `user` may see, his own, and for whoever may halt the desk everybody's."""
    if not user.is_authenticated or not user.is_active:
        return States((), ())
    accounts = list(visible_accounts(user))
    powers = _Powers(user, user.has_perm(HALT_DESK), user.has_perm(RELEASE), tradable_ids(user))
    people, hidden = _people(user, powers)
    limits = Limit.objects.filter(rule=Rule.TRADING_STATE.value).filter(
        Q(scope=Limit.Scope.DESK) | Q(account__in=accounts) | Q(user__in=people)
    )
    rows = {(row.scope, row.account_id, row.user_id): row for row in limits}
    events = Event.objects.select_related("actor").in_bulk([row.seq for row in rows.values()])
    kills = _kills()
    zone = accounts[0].time_zone if accounts else "UTC"
    telling = _Telling(rows, events, kills, powers)
    found = [telling.row(Limit.Scope.DESK, None, None, zone)]
    found += [telling.row(Limit.Scope.ACCOUNT, account, None, account.time_zone) for account in accounts]
    found += [telling.row(Limit.Scope.USER, None, one, zone) for one in people]
    return States(tuple(found), _sweeps(user, now), hidden)


def _people(user: Any, powers: _Powers) -> tuple[list[Any], int]:
    """Himself first; all who may trade something for whoever may halt the desk, and how many more there are."""
    if not powers.halts:
        return [user], 0
    held = Limit.objects.filter(rule=Rule.TRADING_STATE.value, value__gte=REDUCE_ONLY).exclude(user=None).values("user")
    others = get_user_model().objects.filter(Q(account_access__level=AccessLevel.TRADE) | Q(pk__in=held), is_active=True)
    others = others.exclude(pk=user.pk).distinct().order_by("username")
    shown = list(others[: MOST_USERS + 1])
    hidden = others.count() - MOST_USERS if len(shown) > MOST_USERS else 0
    return [user, *shown[:MOST_USERS]], hidden


def _kills() -> dict[tuple[str, int | None, int | None], int]:
    """The newest kill switch of each scope that is not released."""
    rows = Sweep.objects.filter(kind=Sweep.Kind.KILL, released_at=None).order_by("pk").values_list("scope", "account_id", "user_id", "pk")
    return {(scope, account, user): pk for scope, account, user, pk in rows}


@dataclass(frozen=True)
class _Telling:
    rows: dict[tuple[str, int | None, int | None], Limit]
    events: dict[int, Event]
    kills: dict[tuple[str, int | None, int | None], int]
    powers: _Powers

    def row(self, scope: str, account: Account | None, owner: Any, zone: str) -> StateRow:
        key = (str(scope), account.pk if account else None, owner.pk if owner else None)
        limit = self.rows.get(key)
        value = limit.value if limit is not None else TRADES
        event = self.events.get(limit.seq) if limit is not None else None
        held = value >= REDUCE_ONLY
        return StateRow(
            whose=self._whose(account, owner),
            more=account.alias if account is not None else "",
            word=state_word(value),
            css="pill-down" if value >= HALTED else "pill-wait" if held else "pill-ready",
            consequence=_consequence(value),
            since=moment(event.at, zone) if event is not None else None,
            by=person(event.actor) if event is not None else "",
            why=self._why(limit, event),
            automatic=by_itself(event) if event is not None else "",
            ask=self._ask(scope, account, owner, limit),
            is_held=held,
            sweep=self.kills.get(key) if value >= HALTED else None,
        )

    def _whose(self, account: Account | None, owner: Any) -> str:
        if account is not None:
            return account.code
        if owner is None:
            return _("The whole desk")
        return _("You") if owner.pk == self.powers.user.pk else str(owner.get_username())

    def _ask(self, scope: str, account: Account | None, owner: Any, limit: Limit | None) -> str:
        if not self.powers.may_change(scope, account, owner, limit):
            return ""
        named = {"scope": str(scope)}
        if account is not None:
            named["account"] = account.code
        if owner is not None and owner.pk != self.powers.user.pk:
            named["user"] = owner.get_username()
        return urlencode(named)

    @staticmethod
    def _why(limit: Limit | None, event: Event | None) -> str:
        """The reason as it was given; the note bears the name too, which stands beside it."""
        if event is not None and event.data.get("reason"):
            return str(event.data["reason"])
        return limit.note if limit is not None else ""


def _consequence(value: Any) -> str:
    if value >= HALTED:
        return _("Nothing but cancels goes out.")
    return _("Orders that open or add to a position are refused.") if value >= REDUCE_ONLY else _("Orders go out.")


def _sweeps(user: Any, now: datetime) -> tuple[Report, ...]:
    """Kill switches and flattenings of the last hours, and kill switches that were not released, the newest few."""
    rows = Sweep.objects.filter(Q(at__gte=now - RECENT) | Q(kind=Sweep.Kind.KILL, released_at=None)).order_by("-pk")
    found = (sweep(user, pk, now) for pk in rows.values_list("pk", flat=True)[: MOST_SWEEPS * 2])
    return tuple(report for report in found if report is not None)[:MOST_SWEEPS]
