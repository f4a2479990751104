"""Which incidents are breaks: places where the book and the broker do not say the same, or where what the broker did contradicts itself.

The rule it keeps: a break is open until evidence or a person closes it. An incident that only tells of something unusual (a message of an
order that nobody knows, a report that could not be read) is none: nothing is left to reconcile once it has been read.
"""

from __future__ import annotations

POSITION_DIFFERS = "position_differs"
ORDERS_MISSING = "orders_missing"
TWO_WORKING = "two_working"
RESTRICTING = (POSITION_DIFFERS, ORDERS_MISSING, TWO_WORKING)
"""Those for which an account is restricted: they are shown before all others."""

BREAKS: dict[str, str] = {
    # kind of incident -> what does not agree
    POSITION_DIFFERS: "the broker holds another quantity than the executions explain",
    ORDERS_MISSING: "many open orders of the book are not at the broker",
    "unknown_own_order": "the broker has an order with a name of this book that the book never gave",
    "order_contradicts": "an order at the broker carries a name of ours and is another order",
    "execution_contradicts": "an execution carries a name of ours and belongs to another order",
    "execution_differs": "one execution was told with two different figures",
    TWO_WORKING: "one order of the book works twice at the broker",
    "order_id_reused": "an order id of ours came back for another order",
    "perm_id_taken": "two orders of the book were given one number by the broker",
    "overfill": "more filled than was ordered",
    "exits_overfilled": "the exits of a position filled more than there was to exit",
    "busted": "executions of a filled order were taken back",
    "late_fill": "an order filled after its end was known",
    "reopened": "an order that had ended works again",
    "found_again": "an order that was not at the broker is there again",
    "illegal_step": "the broker reports a step that no order can take",
    "foreign_account": "the broker reports something of an account that is not this book's",
    "external_unreadable": "an order placed elsewhere could not be entered",
    "bad_report": "a report could not be entered, so the book lacks what it said",
}
