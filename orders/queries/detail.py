"""One order with everything known of it: its family, executions, names at the broker, commands, incidents and the timeline of its events.

The rule it keeps: what the broker said, what executions add up to, and what was asked for are shown apart.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orders.models import BrokerCommand, BrokerId, Event, Incident, OrderRecord
from orders.models.book import Source
from orders.queries.access import visible_accounts
from orders.queries.attributes import OCA_WORDS, attributes, moment
from orders.queries.executions import ExecutionRow, execution_rows
from orders.queries.incidents import incident_title
from orders.queries.legs import has_legs
from orders.queries.marks import STATUS_MARKS
from orders.queries.orders import ROW_RELATIONS, Context, Family, OrderRow, family, family_roots, order_row, terms_words
from orders.queries.show import Moment, age, quantity
from orders.rules.lifecycle import OrderStatus
from orders.rules.terms import CommandKind, plain


@dataclass(frozen=True)
class TimelineEntry:
    """One event, as a line of the timeline."""

    seq: int
    at: Moment
    css: str
    glyph: str
    title: str
    text: str
    step: str
    source: str
    evidence: str
    is_person: bool


@dataclass(frozen=True)
class CommandRow:
    """One row of the outbox that is about this order."""

    kind: str
    state: str
    is_open: bool
    asked: Moment
    sent: Moment | None
    by: str
    text: str


@dataclass(frozen=True)
class IncidentRow:
    pk: int
    kind: str
    text: str
    opened: Moment
    closed: Moment | None


@dataclass(frozen=True)
class OrderDetail:
    row: OrderRow
    words: str
    contract: str
    account: str
    zone: str
    heard: Moment | None
    heard_age: str
    basis: str
    status_code: str
    intents: tuple[str, ...]
    remaining: str
    attributes: tuple[tuple[str | Promise, str | Promise], ...]
    family: Family | None
    oca: str
    timeline: tuple[TimelineEntry, ...]
    executions: tuple[ExecutionRow, ...]
    may_tend: bool
    can_adopt: bool
    can_change_legs: bool
    broker_ids: tuple[str, ...]
    perm_ids: tuple[str, ...]
    commands: tuple[CommandRow, ...]
    incidents: tuple[IncidentRow, ...]
    again_for: str  # the lost order that this one was sent again for
    again_as: tuple[str, ...]


def order_detail(user: Any, client_order_id: str, now: datetime | None = None) -> OrderDetail | None:
    """Everything about an order in an account `user` may see; None where there is none."""
    now = now or timezone.now()
    found = OrderRecord.objects.filter(account__in=visible_accounts(user), client_order_id=client_order_id)
    order = found.select_related(*ROW_RELATIONS, "parent", "resend_of").first()
    if order is None:
        return None
    context = Context.load(user, [order], now)
    zone = order.account.time_zone
    commands = context.commands.get(order.pk, ())
    ids = list(BrokerId.objects.filter(order=order).order_by("pk"))
    kin = order_kin(user, order, now)
    kin = kin if kin is not None and len(kin.rows) > 1 else None
    return OrderDetail(
        row=order_row(order, context),
        words=terms_words(order, context.ticks),
        contract=" · ".join(
            part
            for part in (order.contract.label, order.contract.primary_exchange, order.contract.currency, order.contract.sec_type)
            if part
        ),
        account=str(order.account),
        zone=zone,
        heard=Moment(order.heard_at, zone) if order.heard_at else None,
        heard_age=age(order.heard_at, now) if order.heard_at else "",
        basis=order.status_basis,
        status_code=order.status_code,
        intents=_intents(order, commands, context),
        remaining=quantity(order.remaining_quantity),
        attributes=attributes(order, context.ticks),
        family=kin,
        oca=_oca(order),
        timeline=timeline(order),
        executions=tuple(execution_rows(order.executions.filter(counts=True))),
        may_tend=order.account_id in context.tradable,
        can_adopt=order.account_id in context.tradable and order.is_external and order.created_by_id is None,
        can_change_legs=kin is not None and order.account_id in context.tradable and not order.is_external and has_legs(order),
        broker_ids=tuple(f"{row.client_id} / {row.ib_order_id}" for row in ids if row.ib_order_id is not None),
        perm_ids=tuple(str(row.perm_id) for row in ids if row.perm_id),
        commands=tuple(_command(command, zone) for command in _with_actor(order)),
        incidents=tuple(_incident(incident, zone) for incident in Incident.objects.filter(order=order)),
        again_for=order.resend_of.client_order_id if order.resend_of is not None else "",
        again_as=tuple(order.resends.order_by("pk").values_list("client_order_id", flat=True)),
    )


def order_kin(user: Any, order: OrderRecord, now: datetime) -> Family | None:
    """The whole family of an order, whatever the state of its members."""
    root = next(iter(family_roots([order.pk])), order.pk)
    seen = OrderRecord.objects.filter(account__in=visible_accounts(user))
    members = list(_members(seen, root).select_related(*ROW_RELATIONS))
    return family(root, members, Context.load(user, members, now)) if members else None


def _members(seen: Any, root: int) -> Any:
    head = seen.filter(pk=root).values_list("oca_group", "parent").first()
    wanted = seen.filter(pk=root) | seen.filter(parent=root)
    if head is not None and head[0]:
        wanted = wanted | seen.filter(oca_group=head[0])
    return wanted


def _intents(order: OrderRecord, commands: Sequence[BrokerCommand], context: Context) -> tuple[str, ...]:
    """What was asked for and is not yet confirmed, one sentence each."""
    words = []
    for command in commands:
        if not command.is_open:
            continue
        if command.kind == CommandKind.CANCEL:
            words.append(_("Cancel asked"))
        elif command.kind == CommandKind.MODIFY:
            words.append(_("Change asked: %s") % change_words(order, command, context))
        elif order.state in (OrderStatus.PENDING, OrderStatus.SENT):
            words.append(_("Waits for %s") % ", ".join(command.after) if command.after and not command.claimable_at else _("To be placed"))
    return tuple(words)


def change_words(order: OrderRecord, command: BrokerCommand, context: Context) -> str:
    """ "limit 512.40 → 512.45"."""
    asked = command.terms or {}
    names = {
        "quantity": _("quantity"),
        "limit_price": _("limit"),
        "stop_price": _("stop"),
        "trail_amount": _("trail"),
        "trail_percent": _("trail in percent"),
        "limit_offset": _("limit offset"),
        "good_till": _("ends"),
        "time_in_force": _("in force"),
        "outside_rth": _("outside RTH"),
    }
    parts = []
    for name, label in names.items():
        old, new = getattr(order, name), asked.get(name)
        if new is None or _same(old, new):
            continue
        parts.append(f"{label} {_shown(order, name, old, context)} → {_shown(order, name, new, context)}")
    return ", ".join(parts) or _("the same terms")


def _same(old: Any, new: Any) -> bool:
    """Whether a column and the value asked for it, as a command keeps it, say the same."""
    return old == datetime.fromisoformat(new) if isinstance(old, datetime) else _plain(old) == _plain(new)


def _shown(order: OrderRecord, name: str, value: Any, context: Context) -> str:
    """A term of the order, from its column or as a command keeps it."""
    if value is None:
        return _("none")
    if name.endswith("_price"):
        return context.ticks.price(order.contract, Decimal(str(value)))
    if name == "good_till":
        return moment(value if isinstance(value, datetime) else datetime.fromisoformat(value), order.account.time_zone)
    return _plain(value)


def _plain(value: Any) -> str:
    return "" if value is None else plain(value) if isinstance(value, Decimal) else str(value)


def _oca(order: OrderRecord) -> str:
    return "" if order.oca_group is None else str(OCA_WORDS[order.oca_group.oca_type])


def _with_actor(order: OrderRecord) -> Any:
    return BrokerCommand.objects.filter(order=order).select_related("actor").order_by("-id")


def _command(command: BrokerCommand, zone: str) -> CommandRow:
    return CommandRow(
        kind=command.kind,
        state=command.state,
        is_open=command.is_open,
        asked=Moment(command.created_at, zone),
        sent=Moment(command.sent_at, zone) if command.sent_at else None,
        by=(command.actor.get_full_name() or command.actor.username) if command.actor else "",
        text=" ".join(part for part in (command.code, command.text) if part),
    )


def _incident(incident: Incident, zone: str) -> IncidentRow:
    return IncidentRow(
        pk=incident.pk,
        kind=incident_title(incident.kind),
        text=incident.text,
        opened=Moment(incident.opened_at, zone),
        closed=Moment(incident.closed_at, zone) if incident.closed_at else None,
    )


# --- the timeline ---------------------------------------------------------------------------------------------------------------------

_SOURCES: dict[str, str | Promise] = {Source.BROKER: "broker", Source.RECONCILE: "reconcile", Source.SYSTEM: "engine"}


_KINDS: dict[str, str | Promise] = {
    "order.placed": gettext_lazy("Placed"),
    "order.claimed": gettext_lazy("Taken up for sending"),
    "order.released": gettext_lazy("Released"),
    "order.sized": gettext_lazy("Quantity worked out"),
    "unit.written": gettext_lazy("Written to the gateway"),
    "order.changed": gettext_lazy("Changed"),
    "order.withdrawn": gettext_lazy("Withdrawn"),
    "order.rejected": gettext_lazy("Rejected"),
    "order.doubtful": gettext_lazy("Became doubtful"),
    "order.absent": gettext_lazy("Not found at the broker"),
    "order.message": gettext_lazy("Message from the broker"),
    "order.concluded": gettext_lazy("Ended by a person"),
    "order.inquired": gettext_lazy("Asked for again"),
    "order.seen": gettext_lazy("Looked at by a person"),
    "order.adopted": gettext_lazy("Adopted"),
    "modify.asked": gettext_lazy("Change asked"),
    "modify.claimed": gettext_lazy("Change taken up for sending"),
    "order.change_refused": gettext_lazy("Change refused"),
    "cancel.asked": gettext_lazy("Cancel asked"),
    "cancel.claimed": gettext_lazy("Cancel taken up for sending"),
    "cancel.repeated": gettext_lazy("Cancel repeated"),
    "command.doubtful": gettext_lazy("Not known whether it arrived"),
    "incident.opened": gettext_lazy("Incident"),
}


def timeline(order: OrderRecord) -> tuple[TimelineEntry, ...]:
    """The events of an order, newest first."""
    zone = order.account.time_zone
    events = Event.objects.filter(order=order).select_related("actor").order_by("-seq")
    return tuple(_entry(event, zone) for event in events)


def _entry(event: Event, zone: str) -> TimelineEntry:
    status = event.status_after or event.status_before
    mark = STATUS_MARKS[OrderStatus(status)] if status in OrderStatus.__members__ else STATUS_MARKS[OrderStatus.PENDING]
    stepped = event.status_before and event.status_after and event.status_before != event.status_after
    evidence = {name: value for name, value in event.data.items() if name != "rows"}
    person = event.actor is not None
    return TimelineEntry(
        seq=event.seq,
        at=Moment(event.at, zone),
        css=mark.css,
        glyph="s-asked" if "cancel" in event.kind and not stepped else mark.glyph,
        title=str(_KINDS.get(event.kind) or event.kind.replace(".", " ").replace("_", " ").capitalize()),
        text=event.text,
        step=f"{event.status_before} → {event.status_after}" if stepped else "",
        source=(event.actor.get_full_name() or event.actor.username) if person else str(_SOURCES.get(event.source, event.source)),
        evidence=json.dumps(evidence, indent=1, ensure_ascii=False) if evidence else "",
        is_person=person,
    )
