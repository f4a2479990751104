"""What incidents are called on the screens, and in which order they are shown.

The rule it keeps: pages show so many and no more, and a flood of harmless ones never hides a break; a kind without a name of its own is
shown by its code, in words.
"""

from __future__ import annotations

from django.db.models import Case, IntegerField, QuerySet, When
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from orders.models import Incident
from orders.rules.breaks import BREAKS, RESTRICTING

_TITLES: dict[str, str | Promise] = {
    "position_differs": _("Position differs"),
    "orders_missing": _("Orders missing at the broker"),
    "unknown_own_order": _("Order of ours that the book lacks"),
    "unknown_order_message": _("Message about an unknown order"),
    "order_contradicts": _("Another order under a name of ours"),
    "execution_contradicts": _("Execution of another order under a name of ours"),
    "execution_differs": _("One execution, two sets of figures"),
    "two_working": _("One order works twice"),
    "order_id_reused": _("Order id used again"),
    "perm_id_taken": _("One broker number for two orders"),
    "overfill": _("More filled than ordered"),
    "exits_overfilled": _("Exits filled too much"),
    "busted": _("Executions taken back"),
    "late_fill": _("Late fill"),
    "reopened": _("Ended order works again"),
    "found_again": _("Order found again"),
    "first_lives": _("Sent again, and the first one lives"),
    "illegal_step": _("Impossible step"),
    "foreign_account": _("Report of a foreign account"),
    "external_unreadable": _("Order from elsewhere not readable"),
    "bad_report": _("Report not readable"),
}


def incident_title(kind: str) -> str:
    """The name of a kind, as in "Late fill"."""
    return str(_TITLES.get(kind) or kind.replace(".", " ").replace("_", " ").capitalize())


def gravest_first(incidents: QuerySet[Incident]) -> QuerySet[Incident]:
    """What restricts an account, then the other breaks, then the rest, each the newest first."""
    rank = Case(When(kind__in=RESTRICTING, then=0), When(kind__in=BREAKS, then=1), default=2, output_field=IntegerField())
    return incidents.order_by(rank, "-pk")
