"""What is known of orders of which nobody knows what became: when and as what they were sent, what was lost, which lists lacked them.

The rule it keeps: it says what was seen, with its time, and concludes nothing. Read for all UNKNOWN orders of a page at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orders.models import BrokerId, Certificate, Event, OrderRecord
from orders.queries.show import Moment
from orders.rules.lifecycle import NOT_AT_THE_BROKER, OrderStatus

_KINDS = ("order.unknown", "order.absent", "order.inquired")


def is_lost(order: OrderRecord) -> bool:
    """UNKNOWN, and two complete snapshots lacked it: it may be sent again by a person."""
    return order.state is OrderStatus.UNKNOWN and order.status_text == NOT_AT_THE_BROKER and not order.is_external


def evidence(orders: Collection[OrderRecord]) -> dict[int, tuple[str, ...]]:
    """Sentences by order, for those that are UNKNOWN; nothing is read where none is."""
    unknown = [order for order in orders if order.state is OrderStatus.UNKNOWN]
    if not unknown:
        return {}
    events: dict[int, list[Event]] = defaultdict(list)
    for event in Event.objects.filter(order__in=[order.pk for order in unknown], kind__in=_KINDS).order_by("seq"):
        events[event.order_id].append(event)
    names: dict[int, str] = {}
    for name in BrokerId.objects.filter(order__in=[order.pk for order in unknown], ib_order_id__isnull=False).order_by("pk"):
        names[name.order_id] = f"{name.client_id} / {name.ib_order_id}"
    since = min(order.sent_at or order.created_at for order in unknown)
    compared = list(Certificate.objects.filter(is_complete=True, began_at__gt=since).values_list("began_at", flat=True)[:1000])
    return {order.pk: _sentences(order, events[order.pk], names, compared) for order in unknown}


def _sentences(order: OrderRecord, events: list[Event], names: Mapping[int, str], compared: Collection[datetime]) -> tuple[str, ...]:
    zone, sent = order.account.time_zone, order.sent_at or order.created_at

    def clock(at: datetime) -> str:
        return Moment(at, zone).clock

    words = []
    if order.pk in names:
        words.append(_("Sent %(time)s as IB order %(name)s.") % {"time": clock(sent), "name": names[order.pk]})
    else:
        words.append(_("Sent %s.") % clock(sent))
    heard = _("Last heard of at %(time)s (%(word)s).") if order.broker_status else _("Last heard of at %(time)s.")
    words.append(heard % {"time": clock(order.heard_at), "word": order.broker_status} if order.heard_at else _("Never heard of."))
    doubts = [event for event in events if event.kind == "order.unknown" and "taken_at" not in event.data]
    words += [f"{(doubt.text or order.status_text).rstrip('.')} ({clock(doubt.at)})." for doubt in doubts[-1:]]
    lacked = [at for event in events if (at := parse_datetime(str(event.data.get("taken_at", "")))) is not None]
    if lacked:
        times = _(" and ").join(clock(at) for at in lacked[-2:])
        words.append(_("Complete lists of the broker lacked it at %s.") % times)
    else:
        words.append(_("No complete list of the broker has been compared yet."))
    asked = sum(event.kind == "order.inquired" for event in events)
    times = len([at for at in compared if at > sent])
    if times > len(lacked):
        words.append(ngettext("Compared with the broker %s time since.", "Compared with the broker %s times since.", times) % times)
    if asked:
        words.append(ngettext("Asked again by hand %s time.", "Asked again by hand %s times.", asked) % asked)
    return tuple(words)
