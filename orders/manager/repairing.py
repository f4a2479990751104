"""Mending what the guardian found: the steps of one finding, in one transaction, through the same checks as everything else.

The rule it keeps: nothing is mended by itself. What is done is what the person was shown; where the position or its orders have moved on
since, nothing is, and he looks again. What must be cancelled first is gone before the new exits are sent, and they take what is left then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from orders import checks, contracts
from orders.book import OpenBook
from orders.errors import Refused
from orders.manager import changing
from orders.manager.placing import OWN_FIELDS, Placing, check_unit, draft_orders, exit_members, fields_of_one_pair, write_unit
from orders.manager.submissions import refuse
from orders.models import BrokerCommand, OrderRecord, Position
from orders.queries.guard import verdicts
from orders.queries.holdings import guarded, market_price
from orders.queries.templates import exits_for
from orders.rules.exit_template import Template
from orders.rules.guardian import Finding, Kind
from orders.rules.mending import Cancel, Change, Protect, spell
from orders.rules.pricing import ExitPrices, kept
from orders.rules.terms import Side
from orders.rules.tickets import ExitPair, check_pairs


@dataclass(frozen=True)
class Wanted:
    """What was asked for: of which kind (the gravest where None), the steps that were shown, and what may be chosen of a new pair."""

    kind: Kind | None = None
    plan: str = ""
    stop_price: Decimal | None = None
    target_price: Decimal | None = None
    with_target: bool = True


def repair(b: OpenBook, placing: Placing, wanted: Wanted) -> list[OrderRecord]:
    """Does the steps of the finding; gives the orders concerned, new ones last.

    Raises `Refused`: NO_PERMISSION, NOTHING_TO_REPAIR, CANNOT_REPAIR with what to do instead, PLAN_CHANGED where it is not what was shown,
    or what any order, change or cancel would be refused for.
    """
    changing.refuse_stranger(b, placing.user, placing.account)
    finding = _finding(b, placing, wanted)
    steps = finding.steps
    if wanted.plan and wanted.plan != spell(steps):
        raise Refused("PLAN_CHANGED", "The position or its orders have moved on since this was shown. Nothing was done; look again.")
    touched = [changing.load(_pk(step.order)) for step in steps if isinstance(step, Cancel)]
    pairs = [step for step in steps if isinstance(step, Protect)]
    if pairs:
        return [*touched, *_place(b, placing, wanted, pairs, touched)]
    for order in touched:
        order.refresh_from_db()  # a withdrawn unit takes several with it
        if order.is_open:
            changing.ask_cancel(b, placing.user, order)
    return [*touched, *(_change(b, placing, step) for step in steps if isinstance(step, Change))]


def _finding(b: OpenBook, placing: Placing, wanted: Wanted) -> Finding:
    row = guarded(placing.account, placing.contract)
    found = verdicts([row], b.now).get((placing.account.pk, placing.contract.pk)) if row is not None else None
    findings = [finding for finding in (found.findings if found else ()) if finding.alarms]
    finding = next((one for one in findings if wanted.kind in (None, one.kind)), None)
    if finding is None:
        raise Refused("NOTHING_TO_REPAIR", f"There is nothing to repair in {placing.contract.label} any more.")
    if not finding.steps:
        raise Refused("CANNOT_REPAIR", finding.wait)
    return finding


def _pk(client_order_id: str) -> int:
    return OrderRecord.objects.values_list("pk", flat=True).get(client_order_id=client_order_id)


def _change(b: OpenBook, placing: Placing, step: Change) -> OrderRecord:
    """Asks for other terms, in place."""
    order = changing.load(_pk(step.order))
    changing.modify(b, placing.user, order, **{name: value for name, value in vars(step).items() if name != "order"})
    return order


# --- a new pair ---------------------------------------------------------------------------------------------------------------------------


def prices_for(position: Position, step: Protect, market: Decimal | None, template: Template) -> ExitPrices:
    """The prices of a new pair: as they stood before, where that is known and the market has not left them behind; else the template's."""
    rule = contracts.ticks(position.contract)
    if rule is None:
        raise Refused("TICK_UNKNOWN", f"The price ticks of {position.contract.label} are not known yet; look the contract up first.")
    is_long = position.quantity > 0
    found = template.prices(kept(position.entry_price), market, is_long=is_long, rule=rule)
    sign = 1 if is_long else -1
    stop, target = found.stop, found.target
    if step.stop_price is not None and (market is None or step.stop_price * sign < market * sign):
        stop = step.stop_price
    if step.target_price is not None and (market is None or step.target_price * sign > market * sign):
        target = step.target_price
    return ExitPrices(found.base, stop, target, found.from_market)


def pair_for(position: Position, step: Protect, wanted: Wanted, template: Template, market: Decimal | None) -> ExitPair:
    """The pair that a step places. A stop that stood before, or that was asked for, is a fixed one; else it is the template's kind."""
    found = prices_for(position, step, market, template)
    target = (wanted.target_price or found.target) if wanted.with_target else None
    if wanted.stop_price is not None or found.stop == step.stop_price:
        return ExitPair(step.quantity, target, wanted.stop_price or found.stop, time_stop=template.time_stop)
    return template.pair(step.quantity, found.stop, target)


def _place(b: OpenBook, placing: Placing, wanted: Wanted, steps: Sequence[Protect], leaving: list[OrderRecord]) -> list[OrderRecord]:
    """A stop and a target for each bare quantity, or the stop alone, after what makes room for them is gone."""
    refuse(checks.permission(b, placing.user, placing.account))
    position = guarded(placing.account, placing.contract)
    if not isinstance(position, Position) or position.quantity == 0:
        raise Refused("NO_POSITION", f"There is no position in {placing.contract.label} to protect yet.", field="contract")
    if len(steps) > 1 and (wanted.stop_price is not None or wanted.target_price is not None):
        raise Refused("SEVERAL_PAIRS", "Several pairs are placed as they stood before; one price cannot be given for all of them.")
    template, market = exits_for(placing.user, placing.contract), market_price(position.contract, b.now)
    pairs = [pair_for(position, step, wanted, template, market) for step in steps]
    side = Side.SELL if position.quantity > 0 else Side.BUY
    with fields_of_one_pair(OWN_FIELDS if len(pairs) == 1 else {}):
        check_pairs(pairs, side.opposite, template.time_in_force)
        members = exit_members(pairs, side, time_in_force=template.time_in_force, outside_rth=False, now=b.now)
        drafts = draft_orders(b, placing, members)
        check_unit(b, placing, drafts, leaving=leaving)
    for order in leaving:
        order.refresh_from_db()
        if order.is_open:
            changing.ask_cancel(b, placing.user, order)
    after = [order.client_order_id for order in leaving if OrderRecord.objects.get(pk=order.pk).is_open]
    if not after:
        return write_unit(b, placing, drafts, oca_type=template.oca_type)
    rule = BrokerCommand.QuantityRule.POSITION
    return write_unit(b, placing, drafts, oca_type=template.oca_type, after=after, quantity_rule=rule, claimable_at=None)
