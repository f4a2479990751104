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

from orders import queries
from orders.models import Account, Book, OrderRecord, Position

# Values that move without an event; they are topics beside those of the feed.
VALUES = frozenset({"quote", "position_value", "account_value"})
# The changed rows of each topic. Of an account_value the row is the account, of a position_value the position, of a quote the contract.
Changes = Mapping[str, Collection[int]]
Rows = Callable[[AbstractBaseUser, Account | None, str, "set[int] | None"], Iterable[Any]]

WHOLE = 0  # the key of a panel that is one unit


@dataclass(frozen=True)
class Panel:
    """One kind of panel. `rows` gives the units a user may see, all of them or those of some keys; `touched` the keys a change may show on."""

    name: str
    topics: frozenset[str]
    rows: Rows
    touched: Callable[[Changes], set[int]]
    key: Callable[[Any], int] = lambda row: WHOLE
    unit: str = ""  # what the units are called; without a name the panel itself is the unit
    personal: bool = False  # shows what is the user's own, not only the accounts'

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
    """One element as pushed; html None takes it off the screen."""

    panel: str
    id: str
    v: int
    html: str | None


def render(
    panel: Panel, user: AbstractBaseUser, account: Account | None, scope: str, now: datetime, request: HttpRequest | None = None
) -> SafeString:
    """The whole panel, for a page or for a resync."""
    seq = book_seq()  # before the rows: what changes meanwhile has a higher one and comes over the socket
    rows = list(panel.rows(user, account, scope, None))
    return render_to_string(panel.template, _context(panel, user, account, scope, now, seq, rows=rows), request)


def render_units(
    panel: Panel, user: AbstractBaseUser, account: Account | None, scope: str, changes: Changes, now: datetime, seq: int
) -> list[Unit]:
    """The units that a change shows on, for whoever has the rights of `user`; those that are not (any more) in the panel without html."""
    keys = panel.touched(changes)
    if not keys:
        return []
    if not panel.unit:
        rows = list(panel.rows(user, account, scope, None))
        html = {WHOLE: render_to_string(panel.template, _context(panel, user, account, scope, now, seq, rows=rows))} if rows else {}
        return [Unit(panel.name, panel.unit_id(key), seq, html[key]) for key in html]
    html = {
        panel.key(row): render_to_string(panel.unit_template, _context(panel, user, account, scope, now, seq, row=row))
        for row in panel.rows(user, account, scope, keys)
    }
    # A price moves for every panel that might show it: only a change of the book takes a unit away.
    leaving = panel.touched({topic: ids for topic, ids in changes.items() if topic not in VALUES}) - html.keys()
    return [Unit(panel.name, panel.unit_id(key), seq, html.get(key)) for key in sorted(leaving | html.keys())]


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


def _ids(*topics: str) -> Callable[[Changes], set[int]]:
    """The changed rows of these topics are the units themselves."""
    return lambda changes: {row_id for topic in topics for row_id in changes.get(topic, ())}


def _whole(*topics: str) -> Callable[[Changes], set[int]]:
    """Any change of these topics changes the one unit."""
    return lambda changes: {WHOLE} if any(changes.get(topic) for topic in topics) else set()


def _families(changes: Changes) -> set[int]:
    return queries.family_roots(changes.get("order", ()))


def _positions(changes: Changes) -> set[int]:
    """A position looks different when its orders (its protection) or its price do."""
    contracts = set(changes.get("quote", ()))
    if orders := changes.get("order", ()):
        contracts |= set(OrderRecord.objects.filter(pk__in=orders).values_list("contract_id", flat=True))
    own = {*changes.get("position", ()), *changes.get("position_value", ())}
    if not own and not contracts:
        return set()
    return set(Position.objects.filter(Q(pk__in=own) | Q(contract_id__in=contracts)).values_list("pk", flat=True))


def _panel(name: str, rows: Rows, touched: Callable[..., Callable[[Changes], set[int]]], *topics: str, **options: Any) -> Panel:
    return Panel(name=name, topics=frozenset(topics), rows=rows, touched=touched(*topics), **options)


PANELS: dict[str, Panel] = {
    panel.name: panel
    for panel in (
        Panel(
            name="orders",  # scope: "working" or "today"
            topics=frozenset({"order"}),
            rows=lambda user, account, scope, keys: queries.order_families(user, account=account, scope=scope or "working", roots=keys),
            touched=_families,
            key=attrgetter("root_id"),
            unit="family",
        ),
        Panel(
            name="positions",
            topics=frozenset({"position", "position_value", "order", "quote"}),
            rows=lambda user, account, scope, keys: queries.positions(user, account=account, ids=keys),
            touched=_positions,
            key=attrgetter("id"),
            unit="position",
        ),
        _panel(
            "executions",
            lambda user, account, scope, keys: queries.executions(user, account=account, ids=keys),
            _ids,
            "execution",
            key=attrgetter("id"),
            unit="execution",
        ),
        _panel(
            "watchlist",
            lambda user, account, scope, keys: queries.watchlist(user, contract_ids=keys),
            _ids,
            "quote",
            key=attrgetter("contract_id"),
            unit="watch",
            personal=True,
        ),
        _panel(
            "account",
            lambda user, account, scope, keys: [queries.account_strip(user, account)],
            _whole,
            "account",
            "account_value",
            "position",
            "position_value",
            "order",
        ),
        _panel("gateway", lambda user, account, scope, keys: [queries.gateway()], _whole, "gateway"),
        _panel(
            "attention",
            lambda user, account, scope, keys: queries.attention(user, account),
            _whole,
            "order",
            "incident",
            "position",
            "execution",
        ),
        _panel(  # scope: the client_order_id
            "order", lambda user, account, scope, keys: [queries.order_detail(user, scope)], _whole, "order", "execution", "incident"
        ),
        _panel(  # scope: the contract's pk; the bid and ask beside the ticket
            "quote", lambda user, account, scope, keys: [queries.quote(user, account, scope)], _whole, "quote", "position", "order"
        ),
    )
}
