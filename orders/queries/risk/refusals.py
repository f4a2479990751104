"""What was refused today: orders and changes, at entry or again just before they would have been sent, each with its rule and its numbers.

The rule it keeps: refusals of an account are for who may see it; those that belong to no account are for who was refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

from django.contrib.auth import get_user_model
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orders.models import Account, Contract, Event
from orders.queries.access import visible_accounts
from orders.queries.risk.words import person, rule_label, value_words
from orders.queries.show import Moment
from orders.trading_day import trading_day

SHOWN, MOST = 50, 2000
AT_ENTRY, BEFORE_SENDING = ("order.refused",), ("order.rejected", "modify.refused")
_VERBS: dict[str, str | Promise] = {
    "modify_order": gettext_lazy("change"),
    "modify_bracket": gettext_lazy("change"),
    "cancel_order": gettext_lazy("cancel"),
    "close_position": gettext_lazy("close"),
    "reverse_position": gettext_lazy("reverse"),
    "flatten": gettext_lazy("flatten"),
    "kill": gettext_lazy("kill switch"),
    "set_trading_state": gettext_lazy("trading state"),
    "release": gettext_lazy("release"),
    "set_limit": gettext_lazy("limit"),
}


@dataclass(frozen=True)
class Refusal:
    """One of them. `client_order_id`: the order, where one is in the book; `limit` and `actual` are empty where the rule has no numbers."""

    seq: int
    at: Moment
    by: str
    account: str
    symbol: str
    what: str
    when: str
    code: str
    rule: str
    words: str
    limit: str
    actual: str
    client_order_id: str


@dataclass(frozen=True)
class Refusals:
    """`counts`: (code, name, number), the most frequent first, of all of today's."""

    rows: tuple[Refusal, ...]
    counts: tuple[tuple[str, str, int], ...]
    total: int

    @property
    def more(self) -> int:
        return self.total - len(self.rows)


def refusals(user: Any, now: datetime) -> Refusals:
    """Those of the trading day of each account that `user` may see, and his own, the newest first."""
    if not user.is_authenticated or not user.is_active:
        return Refusals((), (), 0)
    accounts = {account.pk: account for account in visible_accounts(user)}
    begins = {pk: _begin(account, now) for pk, account in accounts.items()}
    first = min(begins.values(), default=now - timedelta(days=1))
    found = (event for event in _events(first) if _is_seen(event, user, accounts))
    # an account's day is its own
    events = list(islice((event for event in found if event.at >= begins.get(event.account_id or 0, first)), MOST))
    shown = events[:SHOWN]
    symbols, people = _symbols(shown), _people(shown)
    counts = Counter(str(event.data.get("code", "")) for event in events)
    return Refusals(
        rows=tuple(_row(event, accounts, symbols, people) for event in shown),
        counts=tuple((code, rule_label(code), number) for code, number in counts.most_common()),
        total=len(events),
    )


def _begin(account: Account, now: datetime) -> datetime:
    try:
        return trading_day(account, now).start
    except (ZoneInfoNotFoundError, ValueError):
        return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _events(first: datetime) -> Iterator[Event]:
    """Everybody's since then, the newest first. Whose they are is looked at afterwards: by their kind they are found quickly, while an
    account has nearly all events of the book."""
    rows = Event.objects.filter(kind__in=(*AT_ENTRY, *BEFORE_SENDING), at__gte=first)
    return rows.select_related("actor", "order__contract", "order__created_by").order_by("-seq").iterator(chunk_size=500)


def _is_seen(event: Event, user: Any, accounts: Mapping[int, Account]) -> bool:
    return event.account_id in accounts if event.account_id is not None else event.actor_id == user.pk


def _symbols(events: list[Event]) -> dict[int, str]:
    """What was asked for where no order came of it, by conId."""
    asked = {event.data.get("asked", {}).get("con_id") for event in events if event.order is None}
    rows = Contract.objects.filter(con_id__in=[one for one in asked if isinstance(one, int)])
    return {row.con_id: row.label for row in rows}


def _people(events: list[Event]) -> dict[int, Any]:
    """Who asked for the changes that were refused before they were sent: not always who placed the order."""
    return get_user_model().objects.in_bulk([asked_by for event in events if isinstance(asked_by := event.data.get("asked_by"), int)])


def _row(event: Event, accounts: Mapping[int, Account], symbols: Mapping[int, str], people: Mapping[int, Any]) -> Refusal:
    data, order = event.data, event.order
    account, code = accounts.get(event.account_id or 0), str(data.get("code", ""))
    verb, limit = str(data.get("verb", "")), _number(data.get("limit"))
    asked = data.get("asked", {})
    name = order.client_order_id if order is not None else str(asked.get("order", "") if isinstance(asked.get("order"), str) else "")
    return Refusal(
        seq=event.seq,
        at=Moment(event.at, account.time_zone if account else "UTC"),
        by=person(event.actor or people.get(data.get("asked_by") or 0) or (order.created_by if order is not None else None)),
        account=account.short if account else "",
        symbol=order.contract.label if order is not None else symbols.get(asked.get("con_id"), ""),
        what=_("change") if event.kind == "modify.refused" else str(_VERBS.get(verb, _("order"))),
        when=_("at entry") if event.kind in AT_ENTRY else _("just before sending"),
        code=code,
        rule=rule_label(code),
        words=event.text,
        limit=value_words(code, limit) if limit is not None else "",
        actual=value_words(code, actual) if (actual := _number(data.get("actual"))) is not None else "",
        client_order_id=name if name.startswith(("DB", "ext-")) else "",
    )


def _number(value: Any) -> Decimal | None:
    try:
        return None if value is None else Decimal(str(value))
    except InvalidOperation:
        return None
