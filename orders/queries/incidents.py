"""What a kind of incident is called on the screens.

The rule it keeps: a kind without a name of its own is shown by its code, in words; nothing is left untold because nobody named it.
"""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

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
