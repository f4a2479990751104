"""Who was allowed to, and what the limits allowed: asked again of the events, as access, limits and positions stood at each moment.

The rule it keeps: a breach is only told where it is certain. What also hangs on quotes and account values, which leave no event, is taken
at its lowest, so that nothing is called a breach that the desk had reason to let through.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from orders.invariants.evidence import Evidence, name
from orders.invariants.finding import Finding
from orders.invariants.past import Claim
from orders.models import Limit, OrderRecord, Sweep
from orders.rules.limits import HALTED, REDUCE_ONLY, Rule
from orders.rules.terms import CommandKind, Role, Side, plain


def actor_was_permitted(seen: Evidence) -> Finding:
    """I9: whoever asked could trade the account, when asking and when it was sent."""
    found, taken_back = [], set(_taken_back(seen))
    for request in seen.past.requests:
        order = seen.orders.get(request.order)
        is_cancel = request.kind == CommandKind.CANCEL
        if order is None or (is_cancel and request.actor is None):
            continue  # a cancel of the desk's own only takes away
        if is_cancel and (request.actor, request.order) in taken_back:
            continue
        if not request.is_permitted:
            found.append(f"event {request.seq}: user {request.actor} asked to {request.kind} {name(order)} without permission")
        elif not is_cancel and not request.account_is_active:
            found.append(f"event {request.seq}: {request.kind} of {name(order)} in an account that was switched off")
    for claim in seen.past.claims:
        if claim.kind == CommandKind.CANCEL or claim.order not in seen.orders:
            continue
        if not claim.is_permitted:
            found.append(
                f"event {claim.seq}: {claim.kind} of {name(seen.orders[claim.order])} was sent after its user had lost the permission"
            )
        elif not claim.account_is_active:
            found.append(
                f"event {claim.seq}: {claim.kind} of {name(seen.orders[claim.order])} was sent in an account that was switched off"
            )
    why = "pages and switched-off users leave no event: the tests of the hub and of access show that nothing went to a stranger"
    title = "whoever asked held the permission, when asking and when it was sent"
    return Finding("I9", title, len(seen.past.requests) + len(seen.past.claims), "requests and claims", found, why)


def _taken_back(seen: Evidence) -> Iterator[tuple[int, int]]:
    """(who pressed, order) of each kill switch of the desk or of a person: a right of its own, over accounts one may not trade, too."""
    for sweep in seen.tables[Sweep].values():
        if sweep.kind == Sweep.Kind.KILL and sweep.scope != Limit.Scope.ACCOUNT:
            yield from ((sweep.actor_id, order) for order in sweep.data["cancelled"])


def within_limits(seen: Evidence) -> Finding:
    """I10: nothing was sent after a halt or beyond a limit."""
    claims = [claim for claim in seen.past.claims if claim.kind != CommandKind.CANCEL and claim.order in seen.orders]
    found = [
        f"event {claim.seq}: {claim.kind} of {name(seen.orders[claim.order])} {words}"
        for claim in claims
        for words in _breaches(seen, claim)
    ]
    why = "collars, daily loss and market orders' worth hang on quotes and values of the moment, and are shown by the tests of the limits"
    return Finding("I10", "nothing was sent after a halt or beyond a limit", len(claims), "claims", found, why)


def _breaches(seen: Evidence, claim: Claim) -> Iterator[str]:
    order = seen.orders[claim.order]
    state = claim.limits[Rule.TRADING_STATE]
    reduces = claim.shrinks or _may_reduce(order, claim)
    if state >= HALTED and not (reduces and order.role == Role.LIQUIDATION):
        yield "was claimed while trading was halted"
        return
    if reduces:
        return
    if state >= REDUCE_ONLY:
        yield f"was claimed while positions might only be reduced, at a position of {plain(claim.position)}"
    quantity = Decimal(claim.terms["quantity"])
    if quantity > claim.limits[Rule.MAX_QUANTITY]:
        yield f"was claimed for {plain(quantity)}, above the limit of {plain(claim.limits[Rule.MAX_QUANTITY])}"
    worth = _worth(seen, order, claim)
    if worth is not None and worth > claim.limits[Rule.MAX_NOTIONAL]:
        yield f"was claimed for a worth of {plain(worth)} at the least, above the limit of {plain(claim.limits[Rule.MAX_NOTIONAL])}"
    could_be = claim.position * Side(order.side).sign + claim.working + quantity - claim.filled
    if could_be > claim.limits[Rule.MAX_POSITION]:
        yield f"was claimed where the position could become {plain(could_be)}, above the limit of {plain(claim.limits[Rule.MAX_POSITION])}"


def _may_reduce(order: OrderRecord, claim: Claim) -> bool:
    """Whether it can have been a reduction: an exit of an entry, or no more than the position on the other side of it."""
    if order.parent_id is not None:
        return True
    held = -claim.position * Side(order.side).sign
    return held > 0 and Decimal(claim.terms["quantity"]) - claim.filled <= held


def _worth(seen: Evidence, order: OrderRecord, claim: Claim) -> Decimal | None:
    """What it was worth at the least, in the account's currency; None for market orders and where an exchange rate would be needed."""
    account, contract = seen.accounts[order.account_id], seen.contracts[order.contract_id]
    price = claim.terms["limit_price"] if claim.terms["limit_price"] is not None else claim.terms["stop_price"]
    if price is None or contract.currency != account.base_currency:
        return None
    return Decimal(price) * Decimal(claim.terms["quantity"]) * contract.multiplier
