"""The account strip, the gateway's pill and what needs a person.

The rule it keeps: a figure that the broker has not given is –, never zero; a gateway whose worker has gone silent is not READY, whatever it
said last.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from orders.models import Account, AccountValue, Gateway, Incident, Lease, OrderRecord
from orders.queries.access import tradable_ids, visible_accounts
from orders.queries.guard import Guard, guard_of, verdicts
from orders.queries.holdings import loose_exits
from orders.queries.incidents import gravest_first, incident_title
from orders.queries.marks import STATUS_MARKS
from orders.queries.orders import terms_words
from orders.queries.positions import positions
from orders.queries.show import NOTHING, Figure, Moment, Ticks, age, figure, number, signed
from orders.queries.unknown import evidence, is_lost
from orders.rules.guardian import Kind
from orders.rules.lifecycle import OrderStatus
from orders.rules.terms import BookKind, GatewayState

LINK_OF_THE_GATEWAY = (1100, 2110)
"""IB's codes for a gateway that has lost its own connection."""
MOST = 50  # of a kind that are named
SILENT = timedelta(seconds=30)
"""How long what the gateway's row says may be believed where no worker holds the lease."""


# --- the account strip ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AccountStrip:
    """The figures of one account, as IB says them, in its base currency."""

    account: Account
    currency: str
    net_liquidation: str
    buying_power: str
    excess_liquidity: str
    daily: Figure
    daily_percent: str
    unrealised: Figure
    realised: Figure
    heard: Moment | None
    age: str


def account_strip(user: Any, account: Account | None, now: datetime | None = None) -> AccountStrip | None:
    """The strip of an account that `user` may see; None where he may not."""
    now = now or timezone.now()
    if account is None or not visible_accounts(user).filter(pk=account.pk).exists():
        return None
    values = list(AccountValue.objects.filter(account=account))
    net, currency = _value(values, "NetLiquidation", account.base_currency)
    daily = _value(values, "DailyPnL", "")[0]
    percent = daily / (net - daily) * 100 if daily is not None and net and net - daily > 0 else None
    heard = max((value.at for value in values), default=None)
    return AccountStrip(
        account=account,
        currency=currency or account.base_currency,
        net_liquidation=number(net),
        buying_power=number(_value(values, "BuyingPower", currency)[0]),
        excess_liquidity=number(_value(values, "ExcessLiquidity", currency)[0]),
        daily=figure(daily),
        daily_percent=signed(percent, 2) + "%" if percent is not None else "",
        unrealised=figure(_value(values, "UnrealizedPnL", "")[0]),
        realised=figure(_value(values, "RealizedPnL", "")[0]),
        heard=Moment(heard, account.time_zone) if heard else None,
        age=age(heard, now),
    )


def _value(values: Iterable[AccountValue], name: str, currency: str) -> tuple[Decimal | None, str]:
    """The value of that name, in that currency where there is one, with the currency it is in."""
    found = [value for value in values if value.name == name and value.currency != "BASE"]
    found.sort(key=lambda value: (value.currency != currency, value.currency))
    for value in found:
        try:
            amount = Decimal(value.value)
        except InvalidOperation:
            continue
        if amount.is_finite():
            return amount, value.currency
    return None, ""


# --- the gateway ----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GatewayPill:
    """The gateway in one pill. `may_place` is what the ticket obeys; `reason` says in words why not."""

    word: str
    css: str
    detail: str
    title: str
    may_place: bool
    may_cancel: bool
    reason: str
    since: Moment | None
    age: str

    @property
    def words(self) -> str:
        """The state in words, for whoever has no pointer to hold over the pill."""
        return self.reason or self.title

    @property
    def since_words(self) -> str:
        return f"{self.since.clock} {self.since.local:%Z}" if self.since is not None else ""


def gateway(now: datetime | None = None, zone: str = "UTC") -> GatewayPill:
    """The gateway as the worker last saw it, with times in `zone`."""
    now = now or timezone.now()
    row = Gateway.objects.filter(pk=1).first()
    state = GatewayState(row.state) if row is not None else GatewayState.DOWN
    silent = not _is_somebody_there(row, now)
    if silent and state is not GatewayState.DOWN:
        state, reason = GatewayState.DOWN, _("The worker that holds the connection has not been heard of.")
    else:
        reason = _reason(state, row.reason if row is not None else "")
    since = row.heard_at if row is not None and silent and row.heard_at else row.since if row is not None else None
    css = {GatewayState.READY: "pill-ready", GatewayState.DOWN: "pill-down"}.get(state, "pill-wait")
    latency = row.latency_ms if row is not None and state is GatewayState.READY else None
    return GatewayPill(
        word=str(state),
        css=css,
        detail=_("%s ms") % latency if latency is not None else "",
        title=reason or (row.address if row is not None else ""),
        may_place=state.may_place,
        may_cancel=state.may_cancel,
        reason="" if state.may_place else reason,
        since=Moment(since, zone) if since is not None else None,
        age=age(since, now),
    )


def _is_somebody_there(row: Gateway | None, now: datetime) -> bool:
    """Whether a worker holds the connection: its lease is alive, or it has just been heard of."""
    if row is not None and row.heard_at is not None and now - row.heard_at <= SILENT:
        return True
    return Lease.objects.filter(expires_at__gt=now).exclude(holder="").exists()


def book_kind(kind: str) -> tuple[str, str, str]:
    """The mark of the book on every page: its word, its colour role and the sentence behind it."""
    return {
        BookKind.SIMULATED.value: ("SIMULATED", "", _("This book is bound to the simulated gateway: no order leaves this machine")),
        BookKind.PAPER.value: ("PAPER", "kind-paper", _("This book is bound to a paper trading account of IB")),
        BookKind.LIVE.value: ("LIVE", "kind-live", _("This book is bound to a live account: orders trade real money")),
    }.get(kind, ("UNBOUND", "kind-none", _("This book has not met a gateway yet")))


def _reason(state: GatewayState, said: str) -> str:
    """The state in a sentence, and what the worker said of it."""
    if state is GatewayState.DEGRADED and said and not any(f"(code {code})" in said for code in LINK_OF_THE_GATEWAY):
        return _sentence(said)  # it is connected to IB, as far as is known, and something else is the matter
    words = {
        GatewayState.READY: "",
        GatewayState.DOWN: _("The gateway is down."),
        GatewayState.CONNECTING: _("Connecting to the gateway."),
        GatewayState.RECONCILING: _("Comparing the book with the broker."),
        GatewayState.DEGRADED: _("The gateway has lost its own connection to IB."),
    }[state]
    return f"{words} {_sentence(said)}".strip()


def _sentence(said: str) -> str:
    """What was said with a capital and a full stop, also behind the code that stands at its end."""
    words, bracket, code = said.strip().partition(" (code ")
    if bracket and code.endswith(")"):
        words, code = words.rstrip("."), f"{bracket}{code}."
        return words[:1].upper() + words[1:] + code
    said = said.strip()
    return said[:1].upper() + said[1:] + ("" if not said or said[-1] in ".!?" else ".")


# --- what needs a person --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Todo:
    """One thing a person must look at. `css` is its colour role; `order` or `position` is what it is about."""

    key: str
    css: str
    glyph: str
    title: str
    detail: str
    order: str = ""
    place: str = ""  # what it is worth and where, on a line of its own
    incident: int | None = None  # on the page of recovery, where it is explained
    protect: tuple[str, int] | None = None  # (account code, con_id): a new pair is all that it takes
    repair: tuple[str, int, str, str] | None = None  # the same, with the kind of finding and the word on the button
    is_guard: bool = False
    rank: int = 0  # among what the guardian finds
    evidence: tuple[str, ...] = ()
    can_ask: bool = False
    can_send_again: bool = False
    since: Moment | None = None
    age: str = ""


@dataclass(frozen=True)
class Attention:
    """Everything that needs a person, the gravest first. `unknown` counts the orders of which nobody knows what became."""

    items: tuple[Todo, ...]
    unknown: int = 0

    @property
    def gravest(self) -> Todo | None:
        return self.items[0] if self.items else None

    @property
    def alert(self) -> str:
        """What is said aloud: the gravest of the unknown orders and of what the guardian finds."""
        return next((item.title for item in self.items if item.is_guard or item.css == "red"), "")


def attention(user: Any, account: Account | None = None, now: datetime | None = None) -> Attention:
    """Across every account `user` may see, whichever one he looks at: an unknown order elsewhere must not hide."""
    now = now or timezone.now()
    seen = visible_accounts(user)
    flagged = OrderRecord.objects.filter(Q(needs_attention=True) | Q(status=OrderStatus.UNKNOWN.value), account__in=seen)
    unknown = Q(status=OrderStatus.UNKNOWN.value)
    rows = flagged.select_related("account", "contract", "trailing").order_by("-id")
    orders = [*rows.filter(unknown)[:MOST], *rows.exclude(unknown)[:MOST]]
    shown = Q(account__in=seen) | Q(order__account__in=seen)
    if user.is_superuser:
        shown |= Q(account=None, order=None)  # of no account here, such as another account's execution: for administrators only
    incidents = Incident.objects.filter(shown, closed_at=None)
    ticks = Ticks.load()
    known, tradable = evidence(orders), tradable_ids(user)
    lost = [_lost_todo(order, known[order.pk], tradable, ticks, now) for order in orders if order.state is OrderStatus.UNKNOWN]
    asking = [_order_todo(order, ticks, now) for order in orders if order.state is not OrderStatus.UNKNOWN]
    told = [
        _incident_todo(incident, now) for incident in gravest_first(incidents.select_related("order", "order__account", "account"))[:MOST]
    ]
    return Attention(items=(*lost, *_guarded(user, tradable, now), *asking, *told), unknown=rows.filter(unknown).count())


def unknown_orders(user: Any, now: datetime) -> list[Todo]:
    """The orders of which nobody knows what became, as `attention` tells of them."""
    rows = OrderRecord.objects.filter(status=OrderStatus.UNKNOWN.value, account__in=visible_accounts(user))
    orders = list(rows.select_related("account", "contract", "trailing").order_by("-id")[:MOST])
    if not orders:
        return []
    ticks, known, tradable = Ticks.load(), evidence(orders), tradable_ids(user)
    return [_lost_todo(order, known[order.pk], tradable, ticks, now) for order in orders]


def _lost_todo(order: OrderRecord, told: tuple[str, ...], tradable: Collection[int], ticks: Ticks, now: datetime) -> Todo:
    may_act = order.account_id in tradable
    return replace(_order_todo(order, ticks, now), evidence=told, can_ask=may_act, can_send_again=may_act and is_lost(order))


def _order_todo(order: OrderRecord, ticks: Ticks, now: datetime) -> Todo:
    unknown = order.state is OrderStatus.UNKNOWN
    since = order.sent_at or order.created_at
    words = f"{order.side} {terms_words(order, ticks)}"
    return Todo(
        key=f"order-{order.pk}",
        css="red" if unknown else "amber",
        glyph="s-unknown" if unknown else "i-warn",
        title=_("%s order unknown") % order.contract.label if unknown else f"{order.contract.label} {STATUS_MARKS[order.state].word}",
        detail=" · ".join(
            part for part in ("" if unknown else order.attention_text or order.status_text, words, order.account.short) if part
        ),
        order=order.client_order_id,
        since=Moment(since, order.account.time_zone) if unknown else None,
        age=age(since, now) if unknown else "",
    )


def _incident_todo(incident: Incident, now: datetime) -> Todo:
    account = incident.account or (incident.order.account if incident.order else None)
    return Todo(
        key=f"incident-{incident.pk}",
        css="amber",
        glyph="i-warn",
        title=incident_title(incident.kind),
        detail=incident.text,
        incident=incident.pk,
        since=Moment(incident.opened_at, account.time_zone if account else "UTC"),
        age=age(incident.opened_at, now),
    )


def _guarded(user: Any, tradable: Collection[int], now: datetime) -> list[Todo]:
    """What the guardian finds wrong, position by position, and exits where there never was a position."""
    found: list[Todo] = []
    for row in positions(user, now=now):
        if row.guard is not None:
            worth = _value_words(row.value, row.currency) if row.quantity != "0" else ""
            of = _About(f"{row.id}", row.symbol, row.account, row.account_code, row.con_id, worth)
            found += _alarms(row.guard, of, row.may_trade)
    loose = loose_exits(visible_accounts(user))
    judged = verdicts(loose, now)
    for exit_order in {(order.account_id, order.contract_id): order for order in loose}.values():
        guard, account, contract = guard_of(exit_order, judged), exit_order.account, exit_order.contract
        if guard is not None:
            of = _About(f"loose-{exit_order.pk}", contract.label, account.short, account.code, contract.con_id)
            found += _alarms(guard, of, account.pk in tradable)
    return sorted(found, key=lambda item: item.rank)


@dataclass(frozen=True)
class _About:
    """The position that a finding is about, in the words of its row."""

    key: str
    symbol: str
    account: str
    account_code: str
    con_id: int
    worth: str = ""


def _alarms(guard: Guard, of: _About, may_trade: bool) -> Iterable[Todo]:
    for finding in guard.findings:
        if not finding.alarms:
            continue
        place = (of.account_code, of.con_id)
        yield Todo(
            key=f"{finding.kind}-{of.key}",
            css="pink" if finding.css == "badge-orphan" else "amber",
            glyph=finding.glyph,
            title=f"{of.symbol} {finding.text}",
            detail=finding.sentence,
            place=" · ".join(part for part in (of.worth, of.account) if part),
            protect=place if may_trade and guard.is_plain and finding is guard.mends else None,
            repair=(*place, finding.kind, finding.act) if may_trade else None,
            is_guard=True,
            rank=Kind[finding.kind.upper()],
        )


def _value_words(value: str, currency: str) -> str:
    return "" if value == NOTHING else _("worth %(value)s %(currency)s") % {"value": value, "currency": currency}
