"""What the risk page reads besides the limits: trading states, changes of the rules, today's refusals, and the record of closed trades.

The rule it keeps: nobody reads of an account that he may not see, and of other people's own limits only who looks after limits.
"""

from orders.queries.risk.changes import ChangeFilters, changes
from orders.queries.risk.record import record
from orders.queries.risk.refusals import refusals
from orders.queries.risk.states import states

__all__ = ["ChangeFilters", "changes", "record", "refusals", "states"]
