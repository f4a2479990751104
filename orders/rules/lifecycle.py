"""The life of an order: one enum, one table, nothing else.

Rules of this file. (1) Status is what the broker last said, or what we did before anything was sent; quantity and intent live elsewhere.
(2) A step is looked up by (status now, status next, evidence); a missing cell is illegal, and an illegal step changes nothing.
(3) This file does not know who asks: the caller raises (our own verbs) or records an anomaly (the broker's reports).
(4) A late fill is legal. A timeout is not a rejection: it is UNKNOWN, which only evidence or a person ends.
"""

from __future__ import annotations

from enum import StrEnum


class OrderStatus(StrEnum):
    PENDING = "PENDING"  # in our book, not sent
    SENT = "SENT"  # written or being written to the socket, nothing heard
    HELD = "HELD"  # accepted and waiting at IB: untriggered stop, child of a bracket, market closed, short locate
    WORKING = "WORKING"  # live in the market
    FILLED = "FILLED"  # executions reached the quantity; never from the word "Filled" alone
    CANCELLED = "CANCELLED"  # gone, with whatever had filled
    REJECTED = "REJECTED"  # refused by IB (code) or by us (coded reason)
    UNKNOWN = "UNKNOWN"  # sent, and what became of it is not known


IN_FLIGHT = frozenset({OrderStatus.SENT})
WORKING = frozenset({OrderStatus.HELD, OrderStatus.WORKING})
TERMINAL = frozenset({OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED})
OPEN = frozenset(OrderStatus) - TERMINAL


class Evidence(StrEnum):
    """What a step rests on. For a terminal status it is kept as the status's basis."""

    LOCAL = "local"  # our own act before anything was sent
    BROKER = "broker"  # a status word of the broker: orderStatus, openOrder, completedOrder
    CODE = "code"  # an error code of the broker that names the order
    EXECUTION = "execution"  # executions add up to the quantity
    CORRECTION = "correction"  # a corrected or busted execution
    DOUBT = "doubt"  # time passed, the link was lost, or a snapshot lacks the order
    INFERRED = "inferred"  # the order's time in force ended and two complete snapshots lack it
    PERSON = "person"  # somebody looked at the broker and said so


class Verdict(StrEnum):
    LEGAL = "legal"
    INCIDENT = "incident"  # legal, and a person must hear of it
    IGNORED = "ignored"  # known to happen, means nothing
    ILLEGAL = "illegal"


S, E, V = OrderStatus, Evidence, Verdict

_LIVE_STEPS = {
    (S.FILLED, E.EXECUTION): V.LEGAL,
    (S.CANCELLED, E.BROKER): V.LEGAL,
    (S.CANCELLED, E.CODE): V.LEGAL,  # 202 may come before, after or instead of the status word
    (S.REJECTED, E.BROKER): V.LEGAL,  # completedOrder with a reject text
    (S.UNKNOWN, E.DOUBT): V.LEGAL,
}

TRANSITIONS: dict[OrderStatus, dict[tuple[OrderStatus, Evidence], Verdict]] = {
    S.PENDING: {
        (S.SENT, E.LOCAL): V.LEGAL,  # claimed
        (S.CANCELLED, E.LOCAL): V.LEGAL,  # withdrawn
        (S.REJECTED, E.LOCAL): V.LEGAL,  # refused at the claim
    },
    S.SENT: {
        **_LIVE_STEPS,
        (S.HELD, E.BROKER): V.LEGAL,
        (S.WORKING, E.BROKER): V.LEGAL,
        (S.REJECTED, E.CODE): V.LEGAL,
    },
    S.HELD: {
        **_LIVE_STEPS,
        (S.WORKING, E.BROKER): V.LEGAL,
        (S.REJECTED, E.CODE): V.LEGAL,  # Inactive first, then 201
        (S.CANCELLED, E.INFERRED): V.LEGAL,
    },
    S.WORKING: {
        **_LIVE_STEPS,
        (S.HELD, E.BROKER): V.LEGAL,  # a modified order may go back to PreSubmitted
        (S.CANCELLED, E.INFERRED): V.LEGAL,
    },
    S.UNKNOWN: {
        (S.HELD, E.BROKER): V.LEGAL,
        (S.WORKING, E.BROKER): V.LEGAL,
        (S.FILLED, E.EXECUTION): V.LEGAL,
        (S.CANCELLED, E.BROKER): V.LEGAL,
        (S.CANCELLED, E.CODE): V.LEGAL,
        (S.CANCELLED, E.INFERRED): V.LEGAL,
        (S.CANCELLED, E.PERSON): V.LEGAL,
        (S.REJECTED, E.BROKER): V.LEGAL,
        (S.REJECTED, E.CODE): V.LEGAL,
    },
    S.FILLED: {
        (S.UNKNOWN, E.CORRECTION): V.INCIDENT,  # busted: whether the rest works again is for the broker to say
        (S.WORKING, E.BROKER): V.IGNORED,
        (S.HELD, E.BROKER): V.IGNORED,
        (S.CANCELLED, E.BROKER): V.IGNORED,
        (S.CANCELLED, E.CODE): V.IGNORED,
        (S.REJECTED, E.BROKER): V.IGNORED,
        (S.REJECTED, E.CODE): V.IGNORED,
    },
    S.CANCELLED: {
        (S.FILLED, E.EXECUTION): V.INCIDENT,
        (S.REJECTED, E.BROKER): V.LEGAL,  # the word Cancelled came before the code or the list that says why: nobody had asked for a cancel
        (S.REJECTED, E.CODE): V.LEGAL,
    },
    S.REJECTED: {
        (S.FILLED, E.EXECUTION): V.INCIDENT,
        (S.CANCELLED, E.BROKER): V.IGNORED,  # a 201 is often followed by the word Cancelled
        (S.CANCELLED, E.CODE): V.IGNORED,
    },
}

REOPENED_BY: dict[tuple[Evidence, OrderStatus], Verdict] = {
    # (basis of a CANCELLED or REJECTED order, live status the broker now reports)
    (E.BROKER, S.WORKING): V.IGNORED,  # late repeat of an old message
    (E.BROKER, S.HELD): V.IGNORED,
    (E.CODE, S.WORKING): V.INCIDENT,  # the code did not kill it (10349 and its kind)
    (E.CODE, S.HELD): V.IGNORED,  # 201, then Inactive
    (E.PERSON, S.WORKING): V.INCIDENT,
    (E.PERSON, S.HELD): V.INCIDENT,
    (E.INFERRED, S.WORKING): V.INCIDENT,
    (E.INFERRED, S.HELD): V.INCIDENT,
}


def judge(status: OrderStatus, basis: Evidence | None, next_status: OrderStatus, evidence: Evidence) -> Verdict:
    """Whether an order in `status` (reached on `basis`, where terminal) may go to `next_status` on `evidence`.

    The same status again is LEGAL only where it strengthens the basis of a terminal status, else IGNORED.
    """
    if next_status is status:
        stronger = status in TERMINAL and basis is not E.BROKER and evidence is E.BROKER and basis is not E.EXECUTION
        return V.LEGAL if stronger else V.IGNORED
    if status in (S.CANCELLED, S.REJECTED) and next_status in WORKING and evidence is E.BROKER and basis is not None:
        return REOPENED_BY.get((basis, next_status), V.ILLEGAL)
    return TRANSITIONS[status].get((next_status, evidence), V.ILLEGAL)
