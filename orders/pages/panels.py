"""The panels: live parts of a page, each a name, a query and a template.

The rule it keeps: the page, the answer to a resync and the push over the socket show a row through the same query, for the user who asks,
and the same template. What is pushed is a *unit*: one element with an id of its own and `data-v`, the book's `seq` read before its rows.

Templates get `row` (a unit: a family, a position ...) or `rows` (the whole panel, which includes the unit's template for each `row`), and
`seq`, `account`, `scope`, `now`, `user`, `panel`. A panel's outermost element, `<section id="panel-orders" data-panel="orders"
data-scope="working" data-seq="{{ seq }}" data-into="<id of the element that new units are put into>" hx-get="/panels/orders/?..."
hx-trigger="oms:resync from:body" hx-swap="morph:outerHTML" hx-sync="this:replace">`, holds units `<tbody id="family-17" data-v="{{ seq }}"
data-sort="17">`; new ones are put in order of `data-sort`, the greatest first (data-order="asc" on the container: the least first).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Q
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from orders import queries, risk
from orders.models import Account, Book, OrderRecord, Position

# Values that move without an event; they are topics beside those of the feed.
VALUES = frozenset({"quote", "position_value", "account_value", "trailing"})
CLOCK = "clock"  # the topic of panels that look different as time goes by
# The changed rows of each topic. Of an account_value the row is the account, of a position_value the position, of a quote the contract,
# of a trailing stop the order.
Changes = Mapping[str, Collection[int]]
Rows = Callable[[AbstractBaseUser, Account | None, str, "set[int] | None", datetime], Iterable[Any]]
Touched = Callable[[AbstractBaseUser, Account | None, Changes], set[int]]
Farewell = Callable[[AbstractBaseUser, Account | None, set[int], datetime], dict[int, str]]

WHOLE = 0  # the key of a panel that is one unit


@dataclass(frozen=True)
class Panel:
    """One kind of panel. `rows` gives the units a user may see, all or those of some keys; `touched` the keys a change may show on."""

    name: str
    topics: frozenset[str]
    rows: Rows
    touched: Touched
    key: Callable[[Any], int] = lambda row: WHOLE
    unit: str = ""  # what the units are called; without a name the panel itself is the unit
    farewell: Farewell = lambda user, account, keys, now: {}  # what is said of units that leave
    quick: bool = False  # told before the others
    personal: bool = False  # shows what is the user's own, not only the accounts'
    every_account: bool = False  # whichever account the page is about

    @property
    def template(self) -> str:
        return f"panels/_{self.name}.html"

    @property
    def unit_template(self) -> str:
        return f"panels/_{self.unit}.html" if self.unit else self.template

    def unit_id(self, key: int) -> str:
        return f"{self.unit}-{key}" if self.unit else f"panel-{self.name}"


@dataclass(frozen=True)
class Unit:
    """One element as pushed; html None takes it off the screen, perhaps with a word about why."""

    panel: str
    id: str
    v: int
    html: str | None
    alert: str = ""


def render(
    panel: Panel,
    user: AbstractBaseUser,
    account: Account | None,
    scope: str,
    now: datetime,
    request: HttpRequest | None = None,
    seq: int | None = None,
) -> SafeString:
    """The whole panel, for a page or for a resync. `seq`: the book's, where it was read before."""
    if seq is None:
        seq = book_seq()  # before the rows: what changes meanwhile has a higher one and comes over the socket
    rows = list(panel.rows(user, account, scope, None, now))
    return render_to_string(panel.template, _context(panel, user, account, scope, now, seq, rows=rows), request)


def render_units(
    panel: Panel, user: AbstractBaseUser, account: Account | None, scope: str, changes: Changes | None, now: datetime, seq: int
) -> list[Unit]:
    """The units that a change shows on, for whoever has the rights of `user`; those that are not (any more) in the panel without html.

    Without `changes`: all units of the panel.
    """
    keys = panel.touched(user, account, changes) if changes is not None else None
    if keys == set():
        return []
    if not panel.unit:
        rows = list(panel.rows(user, account, scope, None, now))
        html = {WHOLE: render_to_string(panel.template, _context(panel, user, account, scope, now, seq, rows=rows))} if rows else {}
        return [Unit(panel.name, panel.unit_id(key), seq, html[key]) for key in html]
    html = {
        panel.key(row): render_to_string(panel.unit_template, _context(panel, user, account, scope, now, seq, row=row))
        for row in panel.rows(user, account, scope, keys, now)
    }
    # A price moves for every panel that might show it: only a change of the book takes a unit away.
    of_the_book = {topic: ids for topic, ids in (changes or {}).items() if topic not in VALUES}
    leaving = panel.touched(user, account, of_the_book) - html.keys()
    words = panel.farewell(user, account, leaving, now) if leaving else {}
    return [Unit(panel.name, panel.unit_id(key), seq, html.get(key), words.get(key, "")) for key in sorted(leaving | html.keys())]


def book_seq() -> int:
    """The last sequence number handed out."""
    return Book.objects.values_list("seq", flat=True).get(pk=1)


def _context(
    panel: Panel,
    user: AbstractBaseUser,
    account: Account | None,
    scope: str,
    now: datetime,
    seq: int,
    *,
    rows: list[Any] | None = None,
    row: Any = None,
) -> dict[str, Any]:
    """What a template sees; a panel that is one unit finds it as `row` too."""
    if rows and not panel.unit:
        row = rows[0]
    return {"panel": panel, "user": user, "account": account, "scope": scope, "now": now, "seq": seq, "rows": rows, "row": row}


def _ids(topic: str) -> Touched:
    """The changed rows of this topic are the units themselves."""
    return lambda user, account, changes: set(changes.get(topic, ()))


def _families(user: AbstractBaseUser, account: Account | None, changes: Changes) -> set[int]:
    return queries.family_roots(_orders(changes))


def _orders(changes: Changes) -> set[int]:
    """Orders that look different: they changed, or their stop moved with the market."""
    return {*changes.get("order", ()), *changes.get("trailing", ())}


def _refusals(user: AbstractBaseUser, account: Account | None, keys: set[int], now: datetime) -> dict[int, str]:
    """An order that was refused leaves the working ones, and must not do so in silence."""
    families = queries.order_families(user, account=account, scope="today", roots=keys, now=now)
    return {family.root_id: family.alert for family in families if family.alert}


def _positions(user: AbstractBaseUser, account: Account | None, changes: Changes) -> set[int]:
    """A position looks different when its orders (its protection) or its price do."""
    contracts = set(changes.get("quote", ()))
    if orders := _orders(changes):
        contracts |= set(OrderRecord.objects.filter(pk__in=orders).values_list("contract_id", flat=True))
    own = {*changes.get("position", ()), *changes.get("position_value", ())}
    if not own and not contracts:
        return set()
    shown = [account] if account is not None else queries.visible_accounts(user)
    found = Position.objects.filter(Q(pk__in=own) | Q(contract_id__in=contracts), account__in=shown)
    return set(found.values_list("pk", flat=True))


def _whole(name: str, topics: set[str], rows: Rows, **options: Any) -> Panel:
    """A panel that is one unit, which any change of its topics changes."""
    return Panel(name, frozenset(topics), rows, lambda user, account, changes: {WHOLE} if changes else set(), **options)


def _one(row: Any) -> list[Any]:
    """The row of a panel that is one unit: none where the user may not see it."""
    return [] if row is None else [row]


PANELS: dict[str, Panel] = {
    panel.name: panel
    for panel in (
        Panel(
            name="orders",  # scope: "working" or "today"
            topics=frozenset({"order", "trailing"}),
            rows=lambda user, account, scope, keys, now: queries.order_families(
                user, account=account, scope=scope or "working", roots=keys, now=now
            ),
            touched=_families,
            key=attrgetter("root_id"),
            unit="family",
            farewell=_refusals,
            quick=True,
        ),
        Panel(
            name="positions",
            topics=frozenset({"position", "position_value", "order", "trailing", "quote"}),
            rows=lambda user, account, scope, keys, now: queries.positions(user, account=account, ids=keys, now=now),
            touched=_positions,
            key=attrgetter("id"),
            unit="position",
        ),
        Panel(
            name="executions",
            topics=frozenset({"execution"}),
            rows=lambda user, account, scope, keys, now: queries.executions(user, account=account, ids=keys, now=now),
            touched=_ids("execution"),
            key=attrgetter("id"),
            unit="execution",
            quick=True,
        ),
        Panel(
            name="watchlist",
            topics=frozenset({"quote"}),
            rows=lambda user, account, scope, keys, now: queries.watchlist(user, contract_ids=keys, now=now),
            touched=_ids("quote"),
            key=attrgetter("contract_id"),
            unit="watch",
            personal=True,
        ),
        _whole(
            "account",
            {"account", "account_value", "position", "position_value", "order"},
            lambda user, account, scope, keys, now: _one(queries.account_strip(user, account, now=now)),
        ),
        _whole(
            "gateway",
            {"gateway", CLOCK},  # it also grows silent
            lambda user, account, scope, keys, now: _one(queries.gateway(now, account.time_zone if account is not None else "UTC")),
        ),
        _whole(
            "gate",  # why not, in words, where the pill is not READY
            {"gateway", CLOCK},
            lambda user, account, scope, keys, now: _one(queries.gateway(now, account.time_zone if account is not None else "UTC")),
        ),
        _whole(
            "restraints",  # why trading is held back in this account
            {"limit"},
            lambda user, account, scope, keys, now: [tuple(queries.restraints(user, account))],
            personal=True,  # one may be the user's own
        ),
        _whole(
            "state",  # the same as a pill, beside the gateway's
            {"limit"},
            lambda user, account, scope, keys, now: [tuple(queries.restraints(user, account))],
            personal=True,
        ),
        _whole(
            "held",  # the same in the ticket, which covers the page on a phone
            {"limit"},
            lambda user, account, scope, keys, now: [tuple(queries.restraints(user, account))],
            personal=True,
        ),
        _whole(
            "sweep",  # scope: its number
            {"sweep", "order", "limit", "gateway"},
            lambda user, account, scope, keys, now: _one(queries.sweep(user, int(scope), now) if scope.isdecimal() else None),
            every_account=True,  # it may be about several
            personal=True,
        ),
        _whole(
            "risk_limits",  # what of each limit is used now
            {"limit", "account", "order", "position", "execution", CLOCK},
            lambda user, account, scope, keys, now: _one(risk.limits(user, account, now)),
            personal=True,
        ),
        _whole(
            "risk_states",
            {"limit", "account", "sweep", CLOCK},  # how far a sweep is moves with its orders
            lambda user, account, scope, keys, now: [queries.trading_states(user, now)],
            every_account=True,  # a halt elsewhere must not hide
            personal=True,
        ),
        _whole(
            "risk_refusals",
            {"refusal", "order"},
            lambda user, account, scope, keys, now: [queries.risk_refusals(user, now)],
            every_account=True,
            personal=True,  # his own are of no account
        ),
        _whole(
            "risk_changes",  # scope: rule, person and page, as an address has them
            {"limit", "access", "account"},
            lambda user, account, scope, keys, now: [queries.risk_changes(user, queries.ChangeFilters.of(scope), now)],
            every_account=True,
            personal=True,
        ),
        _whole(
            "attention",
            {"order", "incident", "position", "execution", CLOCK},  # a stop also expires, and a fill settles, as time goes by
            lambda user, account, scope, keys, now: _one(queries.attention(user, now=now)),
            every_account=True,  # an unknown order elsewhere must not hide
        ),
        _whole(
            "recovery",
            {"gateway", "certificate", "incident", "order", CLOCK},
            lambda user, account, scope, keys, now: _one(queries.recovery(user, now=now)),
            every_account=True,  # a break elsewhere must not hide
            personal=True,  # whose each incident is
        ),
        _whole(
            "certificates",  # scope: the number of the page
            {"certificate"},
            lambda user, account, scope, keys, now: _one(queries.certificates(user, scope, now=now)),
            every_account=True,
        ),
        _whole(
            "alarms",  # the same as "attention", as a count in the frame of the other pages
            {"order", "incident", "position", "execution", CLOCK},
            lambda user, account, scope, keys, now: _one(queries.attention(user, now=now)),
            every_account=True,
        ),
        _whole(
            "order",  # scope: the client_order_id
            {"order", "trailing", "execution", "incident"},
            lambda user, account, scope, keys, now: _one(queries.order_detail(user, scope, now=now)),
        ),
        _whole(
            "quote",  # scope: the contract's pk; what the ticket shows beside its fields
            {"quote", "position", "order"},
            lambda user, account, scope, keys, now: _one(queries.quote(user, account, scope, now=now)),
        ),
    )
}
