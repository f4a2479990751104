"""What the recovery pages show: the state of the gateway, the last certificate, what is open between book and broker, and what was.

The rule it keeps: the figures of a certificate are the desk's; the orders, fills and incidents behind them are named only to those who may
see their accounts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from orders.models import Account, Certificate, Incident, OrderRecord
from orders.queries.access import tradable_ids, visible_accounts
from orders.queries.desk import GatewayPill, Todo, gateway, unknown_orders
from orders.queries.incidents import gravest_first, incident_title
from orders.queries.marks import STATUS_MARKS, Mark
from orders.queries.orders import terms_words
from orders.queries.show import Moment, Ticks, age, signed
from orders.rules.breaks import BREAKS, POSITION_DIFFERS
from orders.rules.lifecycle import OrderStatus

PAGE = 25
MOST_INCIDENTS = 100

_RELATIONS = ("account", "contract", "order__account", "order__contract", "owner")  # what a row of an incident names
_WHAT = {
    "order": gettext_lazy("the order"),
    "change": gettext_lazy("a change of it"),
    "cancel": gettext_lazy("a cancel of it"),
}


@dataclass(frozen=True)
class CertificateFigure:
    """One figure of a certificate: `css` is red or amber where somebody must look."""

    label: str
    value: int
    css: str
    title: str


@dataclass(frozen=True)
class CertificateRow:
    """One certificate, spelled out."""

    pk: int
    reason: str
    ended: Moment
    age: str
    took: str
    is_complete: bool
    figures: tuple[CertificateFigure, ...]
    summary: str
    is_clean: bool
    is_bad: bool  # an order was unknown at its end, or was sent twice


@dataclass(frozen=True)
class IncidentRow:
    """One open incident with who looks after it. `can_act`: this user may take and close it."""

    pk: int
    title: str
    text: str
    account: str
    order: str
    opened: Moment
    age: str
    owner: str
    is_mine: bool
    is_break: bool
    can_act: bool
    difference: str  # of a position, with its sign


@dataclass(frozen=True)
class Recovery:
    gateway: GatewayPill
    since: Moment | None
    last: CertificateRow | None
    unknown: tuple[Todo, ...]
    incidents: tuple[IncidentRow, ...]

    @property
    def open(self) -> int:
        return len(self.unknown) + len(self.incidents)

    @property
    def agrees(self) -> bool:
        """Whether it may be said that book and broker agree: compared whole, and nobody has lost sight of the broker since."""
        return self.gateway.may_place and self.last is not None and self.last.is_complete


@dataclass(frozen=True)
class CertificatePage:
    rows: tuple[CertificateRow, ...]
    number: int
    has_next: bool


@dataclass(frozen=True)
class Settled:
    """What was in flight, and what became of it."""

    order: str
    words: str  # the order in a trader's words
    what: str
    before: Mark | str
    after: Mark | str
    is_settled: bool


@dataclass(frozen=True)
class CertificateDetail:
    row: CertificateRow
    began: Moment
    fence: int
    in_flight: tuple[Settled, ...]
    fills: tuple[tuple[str, str, str], ...]  # exec id, client_order_id, the order in words
    external: tuple[tuple[str, str], ...]  # client_order_id, the order in words
    incidents: tuple[IncidentRow, ...]  # of the breaks that were open then
    hidden: int  # of accounts that the user may not see


def recovery(user: Any, now: datetime | None = None) -> Recovery | None:
    """Where the desk stands with the broker; None for nobody."""
    if not user.is_authenticated or not user.is_active:
        return None
    now = now or timezone.now()
    zone = _zone(user)
    pill = gateway(now, zone)
    last = Certificate.objects.first()
    rows = seen_incidents(user).filter(closed_at=None)
    incidents = incident_rows(user, gravest_first(rows.select_related(*_RELATIONS))[:MOST_INCIDENTS], now)
    return Recovery(
        gateway=pill,
        since=pill.since,
        last=certificate_row(last, zone, now, breaks=rows.filter(kind__in=BREAKS).count()) if last else None,
        unknown=tuple(unknown_orders(user, now)),
        incidents=tuple(incidents),
    )


def certificates(user: Any, page: str = "", now: datetime | None = None) -> CertificatePage | None:
    """A page of certificates, the newest first; None for nobody. `page` is what an address says, so it may be anything."""
    if not user.is_authenticated or not user.is_active:
        return None
    now, zone = now or timezone.now(), _zone(user)
    number = max(int(page), 1) if page.isdecimal() and len(page) < 7 else 1
    start = (number - 1) * PAGE
    rows = list(Certificate.objects.all()[start : start + PAGE + 1])
    return CertificatePage(tuple(certificate_row(row, zone, now) for row in rows[:PAGE]), number, len(rows) > PAGE)


def certificate(user: Any, pk: int, now: datetime | None = None) -> CertificateDetail | None:
    """One certificate with its orders; None where there is none of that number."""
    row = Certificate.objects.filter(pk=pk).first()
    if row is None:
        return None
    now, zone = now or timezone.now(), _zone(user)
    seen = frozenset(visible_accounts(user).values_list("pk", flat=True))
    named = {name: row.data.get(name, []) for name in ("in_flight", "fills", "external")}
    mine = {name: [one for one in items if one["account"] in seen] for name, items in named.items()}
    names = {one["order"] for items in mine.values() for one in items if one["order"]}
    rows = OrderRecord.objects.filter(client_order_id__in=names).select_related("contract", "account")
    words = {order.client_order_id: f"{order.side} {terms_words(order, Ticks.load())} · {order.account.short}" for order in rows}
    breaks = seen_incidents(user).filter(pk__in=row.data.get("breaks", []))
    return CertificateDetail(
        row=certificate_row(row, zone, now),
        began=Moment(row.began_at, zone),
        fence=row.fence,
        in_flight=tuple(
            Settled(
                one["order"],
                words.get(one["order"], ""),
                str(_WHAT[one["what"]]),
                _mark(one["before"]),
                _mark(one["after"]),
                one["settled"],
            )
            for one in mine["in_flight"]
        ),
        fills=tuple((one["exec_id"], one["order"], words.get(one["order"], "")) for one in mine["fills"]),
        external=tuple((one["order"], words.get(one["order"], "")) for one in mine["external"]),
        incidents=tuple(incident_rows(user, breaks.select_related(*_RELATIONS), now)),
        hidden=sum(len(named[name]) - len(mine[name]) for name in named),
    )


def seen_incidents(user: Any) -> QuerySet[Incident]:
    """The incidents of the accounts that `user` may see; those of no account are for superusers."""
    seen = visible_accounts(user)
    shown = Q(account__in=seen) | Q(account=None, order__account__in=seen)
    if user.is_superuser:
        shown |= Q(account=None, order=None)
    return Incident.objects.filter(shown)


def incident_rows(user: Any, incidents: Iterable[Incident], now: datetime) -> list[IncidentRow]:
    tradable = tradable_ids(user)
    found = []
    for row in incidents:
        account = row.account or (row.order.account if row.order else None)
        contract = row.contract or (row.order.contract if row.order else None)
        found.append(
            IncidentRow(
                pk=row.pk,
                title=" · ".join(part for part in (contract.label if contract else "", incident_title(row.kind)) if part),
                text=row.text,
                account=account.short if account else "",
                order=row.order.client_order_id if row.order else "",
                opened=Moment(row.opened_at, account.time_zone if account else "UTC"),
                age=age(row.opened_at, now),
                owner=(row.owner.get_full_name() or row.owner.get_username()) if row.owner else "",
                is_mine=row.owner_id is not None and row.owner_id == user.pk,
                is_break=row.kind in BREAKS,
                can_act=row.closed_at is None and (user.is_superuser or (account is not None and account.pk in tradable)),
                difference=signed(difference(row)),
            )
        )
    return found


def difference(incident: Incident) -> Decimal | None:
    """By how much a position differed when the incident was last kept up to date; None of any other kind."""
    if incident.kind != POSITION_DIFFERS:
        return None
    try:
        return Decimal(incident.data["reported"]) - Decimal(incident.data["explained"])
    except (KeyError, InvalidOperation):
        return None


def certificate_row(row: Certificate, zone: str, now: datetime, breaks: int | None = None) -> CertificateRow:
    """The figures of a certificate. `breaks`: those open now, where the row stands for the present."""
    breaks = row.breaks_open if breaks is None else breaks
    figures = (
        CertificateFigure(_("In flight"), row.in_flight, "", _("Orders, changes and cancels that may or may not have arrived")),
        CertificateFigure(_("Matched"), row.matched, "", _("Those that the broker's lists settled")),
        CertificateFigure(_("Unknown"), row.unknown, "bad" if row.unknown else "", _("Orders of which nobody knows what became")),
        CertificateFigure(_("Sent again"), row.resent, "bad" if row.resent else "", _("Orders sent twice by the desk itself")),
        CertificateFigure(_("Fills recovered"), row.fills_recovered, "", _("Executions learnt from the broker's lists")),
        CertificateFigure(_("External seen"), row.external_seen, "", _("Orders placed elsewhere, seen for the first time")),
        CertificateFigure(
            _("Breaks open"), breaks, "warn" if breaks else "", _("Differences between book and broker that nobody has closed")
        ),
    )
    words = [
        ngettext("%s in flight", "%s in flight", row.in_flight) % row.in_flight,
        _("%s matched") % row.matched,
        *([_("%s unknown") % row.unknown] if row.unknown else []),
        _("sent again %s") % row.resent,
        *([ngettext("%s fill recovered", "%s fills recovered", row.fills_recovered) % row.fills_recovered] if row.fills_recovered else []),
        *([_("%s external") % row.external_seen] if row.external_seen else []),
        *([ngettext("%s break open", "%s breaks open", breaks) % breaks] if breaks else []),
    ]
    seconds = (row.ended_at - row.began_at).total_seconds()
    return CertificateRow(
        pk=row.pk,
        reason=row.reason,
        ended=Moment(row.ended_at, zone),
        age=age(row.ended_at, now),
        took=_("%s ms") % round(seconds * 1000) if seconds < 1 else _("%s s") % round(seconds),
        is_complete=row.is_complete,
        figures=figures,
        summary=" · ".join(words),
        is_clean=not (row.unknown or row.resent or breaks) and row.is_complete,
        is_bad=bool(row.unknown or row.resent),
    )


def _zone(user: Any) -> str:
    """The zone of the first account that the user may see."""
    account: Account | None = visible_accounts(user).first()
    return account.time_zone if account else "UTC"


def _mark(word: str) -> Mark | str:
    """The mark of an order's status; a command's state is its own word."""
    return STATUS_MARKS[OrderStatus(word)] if word in OrderStatus.__members__ else word
