"""What a hub reads from the database, in whole synchronous functions for a thread of its own.

The rule it keeps: a change is given only to the views whose rights cover its account, and every unit is rendered once for all who have an
equal view.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.sessions.models import Session
from django.db.models import F, Max, Model
from django.utils import translation

from orders import queries
from orders.exposure import OPEN_STATUSES
from orders.models import Account, AccountValue, Feed, PositionValue, Quote, TrailingStop
from orders.pages.panels import PANELS, VALUES, Changes, Unit, book_seq, render_units

log = logging.getLogger(__name__)

FEED_AT_ONCE = 1000  # more changes than this in one read are answered by a resync
OVERLAP = timedelta(seconds=2)  # a value may be committed after a younger one


@dataclass(frozen=True)
class Rights:
    """What decides which rows and which buttons a user gets. Users with equal rights are shown equal bytes."""

    visible: frozenset[int]
    tradable: frozenset[int]
    superuser: bool


@dataclass(frozen=True)
class Person:
    """A user as the hub knows him: what he may see, and the mark that a change of password alters."""

    user: AbstractBaseUser
    rights: Rights
    mark: str


@dataclass(frozen=True)
class View:
    """One panel as somebody sees it. Equal views get equal bytes."""

    panel: str
    scope: str
    account: Account | None
    rights: Rights
    language: str
    user_id: int | None  # only where the panel shows what is the user's own


Views = Mapping[View, AbstractBaseUser]  # with somebody who has the view's rights
Rendered = dict[View, "list[Unit] | None"]


@dataclass(frozen=True)
class Change:
    topic: str
    row_id: int
    account_id: int | None = None
    user_id: int | None = None


@dataclass(frozen=True)
class News:
    """What was found since the last look: `changes` is None where it was too much to tell."""

    seq: int
    changes: tuple[Change, ...] | None

    @property
    def about_people(self) -> bool:
        return self.changes is None or any(change.topic in {"access", "account"} for change in self.changes)


@dataclass
class _Moving:
    """Rows of one model that moved, by their time; the times are the writer's, so no clock of ours is compared with them."""

    model: type[Model]
    topic: str
    row: str
    account: str | None
    seen: dict[int, datetime] = field(default_factory=dict)
    newest: datetime | None = None

    def start(self) -> None:
        self.newest = self.model.objects.aggregate(newest=Max("at"))["newest"]  # type: ignore[attr-defined]
        self.seen = {pk: at for pk, at, *_ in self._read()}

    def moved(self) -> list[Change]:
        rows = self._read()
        found = {Change(self.topic, row_id, account_id) for pk, at, row_id, account_id in rows if self.seen.get(pk) != at}
        self.seen = {pk: at for pk, at, *_ in rows}
        self.newest = max([at for _, at, *_ in rows], default=self.newest)
        return sorted(found, key=lambda change: change.row_id)

    def _read(self) -> list[tuple[int, datetime, int, int | None]]:
        rows = self.model.objects.annotate(row=F(self.row))  # type: ignore[attr-defined]
        if self.newest is not None:
            rows = rows.filter(at__gt=self.newest - OVERLAP)
        fields = ["pk", "at", "row", *([self.account] if self.account else [])]
        return [(pk, at, row, *(rest or [None])) for pk, at, row, *rest in rows.values_list(*fields)]  # type: ignore[misc]


class NewsReader:
    """Keeps how far the feed and the values were read. Its functions run one at a time."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._seq = 0
        self._moving = (
            _Moving(Quote, "quote", "contract_id", None),
            _Moving(AccountValue, "account_value", "account_id", "account_id"),
            _Moving(PositionValue, "position_value", "position_id", "position__account_id"),
            _Moving(TrailingStop, "trailing", "order_id", "order__account_id"),
        )

    def start(self) -> int:
        """Begins with what is in the book now; gives its seq."""
        self._seq = book_seq()
        for moving in self._moving:
            moving.start()
        return self._seq

    def look(self) -> News:
        """The feed beyond what was read last."""
        seq = book_seq()
        rows = []
        if seq > self._seq:
            feed = Feed.objects.filter(seq__gt=self._seq, seq__lte=seq).order_by("seq")
            rows = list(feed.values_list("topic", "row_id", "account_id", "user_id")[: FEED_AT_ONCE + 1])
        self._seq = seq
        return News(seq, None if len(rows) > FEED_AT_ONCE else tuple(dict.fromkeys(Change(*row) for row in rows)))

    def moved(self) -> list[Change]:
        """The values that moved since they were looked at last."""
        return [change for moving in self._moving for change in moving.moved()]

    def rendered(self, news: News, views: Views) -> Rendered:
        """The units of each view that the news shows on; None where they could not be rendered and the panel is to be asked again."""
        if news.changes is None:
            return dict.fromkeys(views)
        changed = ((view, user, _for_view(view, news.changes)) for view, user in views.items())
        return self._units(news.seq, ((view, user, changes) for view, user, changes in changed if changes))

    def values(self, seq: int, views: Views) -> Rendered:
        """The units of the views that show values: these may have moved since the page was made, and no seq tells.

        Of the orders, which are many, only those whose stop trails.
        """
        trailing = set(TrailingStop.objects.filter(order__status__in=OPEN_STATUSES).values_list("order_id", flat=True))
        moving = [(view, user, PANELS[view.panel]) for view, user in views.items() if PANELS[view.panel].topics & VALUES]
        return self._units(
            seq,
            ((view, user, {"trailing": trailing} if panel.quick else None) for view, user, panel in moving if trailing or not panel.quick),
        )

    def _units(self, seq: int, views: Iterable[tuple[View, AbstractBaseUser, Changes | None]]) -> Rendered:
        now = self._clock()
        found: Rendered = {}
        for view, user, changes in views:
            try:
                with translation.override(view.language):
                    found[view] = render_units(PANELS[view.panel], user, view.account, view.scope, changes, now, seq)
            except Exception:
                log.exception("panel %s could not be rendered at seq %s", view.panel, seq)
                found[view] = None
        return found

    def people(self, user_ids: Collection[int], session_keys: Collection[str]) -> tuple[dict[int, Person], set[str]]:
        """The users who may still come in, as they are now, and those of the sessions that still live."""
        users = get_user_model().objects.filter(pk__in=user_ids, is_active=True)
        alive = Session.objects.filter(session_key__in=session_keys, expire_date__gt=self._clock())
        return {user.pk: person(user) for user in users}, set(alive.values_list("session_key", flat=True))

    def admitted(
        self, user_id: int, account_code: str, panels: Iterable[tuple[str, str]], language: str
    ) -> tuple[Person, tuple[View, ...]]:
        """Who comes in and what he looks at. Account.DoesNotExist for an account he may not see, KeyError for a panel there is not."""
        who = person(get_user_model().objects.get(pk=user_id, is_active=True))
        account = queries.visible_accounts(who.user).get(code=account_code) if account_code else None
        views = (View(name, scope, account, who.rights, language, user_id if PANELS[name].personal else None) for name, scope in panels)
        return who, tuple(dict.fromkeys(views))


def person(user: AbstractBaseUser) -> Person:
    """What the user may see and do at this moment."""
    rights = Rights(
        visible=frozenset(account.pk for account in queries.visible_accounts(user)),
        tradable=frozenset(account.pk for account in queries.tradable_accounts(user)),
        superuser=user.is_superuser,  # type: ignore[attr-defined]
    )
    return Person(user, rights, user.get_session_auth_hash())


def _view(name: str, scope: str, account: Account | None, who: Person, language: str) -> View:
    panel = PANELS[name]
    shown = None if panel.every_account else account
    return View(name, scope, shown, who.rights, language, who.user.pk if panel.personal else None)


def _for_view(view: View, changes: Iterable[Change]) -> dict[str, set[int]]:
    """The changes that show on the view's panel and that it may know of."""
    topics = PANELS[view.panel].topics
    found: dict[str, set[int]] = {}
    for change in changes:
        if change.topic not in topics or change.user_id not in (None, view.user_id):
            continue
        if change.account_id is not None and change.account_id not in view.rights.visible:
            continue
        if view.account is not None and change.account_id not in (None, view.account.pk):
            continue
        found.setdefault(change.topic, set()).add(change.row_id)
    return found
