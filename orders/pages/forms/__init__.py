"""What people fill in, read strictly: the ticket, a change, exits of a position, the blotter's filters.

The rule it keeps: a number is digits and one point, nothing is guessed from a comma; a form checks its own sense, the manager decides.
"""

from orders.pages.forms.changes import ChangeForm
from orders.pages.forms.history import HistoryForm
from orders.pages.forms.protect import ProtectForm
from orders.pages.forms.reading import TOO_OLD, Number, Stamp, add_refusal, is_too_old
from orders.pages.forms.ticket import HUNDRED, TicketForm
from orders.pages.forms.words import OCA_TYPES, ON_OPEN, ORDER_TYPES, SIDES, TIMES_IN_FORCE
from orders.rules.tickets import PlaceRequest

__all__ = [
    "HUNDRED",
    "OCA_TYPES",
    "ON_OPEN",
    "ORDER_TYPES",
    "SIDES",
    "TIMES_IN_FORCE",
    "TOO_OLD",
    "ChangeForm",
    "HistoryForm",
    "Number",
    "PlaceRequest",
    "ProtectForm",
    "Stamp",
    "TicketForm",
    "add_refusal",
    "is_too_old",
]
