"""The controls, one after another: what each reads of an order, which of them a proven reduction is spared, and what one that fails means.

The rule it keeps: what cannot be evaluated blocks, a rule that raises an exception included. Only proven reductions of a position pass
without, because a desk must always be able to get out; a cancel is never checked at all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from orders.rules.limit_table import Rule
from orders.rules.limits import flow, loss, price, size, standing
from orders.rules.limits.facts import Breach, Case, Facts, Proposal, Reading

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Control:
    """`spares`: a proven reduction passes unread. `now`: it judges by today's market, so what is for later passes. `stands`: it says
    something of the account, the user or the desk without any order."""

    rule: Rule
    read: Callable[[Case], Reading | None]
    spares: bool = False
    now: bool = False
    stands: bool = False


# In this order; the first that is broken is what a person is told first.
CONTROLS: tuple[Control, ...] = (
    Control(Rule.TRADING_STATE, standing.trading_state, stands=True),
    Control(Rule.EXCEEDS_POSITION, standing.exceeds),
    Control(Rule.INSTRUMENT_RESTRICTED, standing.instrument_restricted, spares=True),
    Control(Rule.INSTRUMENT_NOT_ALLOWED, standing.instrument_not_allowed, spares=True),
    Control(Rule.SHORT_SALES, standing.short_sales, spares=True),
    Control(Rule.MAX_OPEN_ORDERS, flow.open_orders),
    Control(Rule.MAX_USER_ORDERS, flow.user_orders, spares=True, stands=True),
    Control(Rule.DUPLICATE_SECONDS, flow.duplicate),
    Control(Rule.MAX_QUANTITY, size.quantity, spares=True),
    Control(Rule.MAX_NOTIONAL, size.worth, spares=True),
    Control(Rule.MAX_POSITION, size.position, spares=True),
    Control(Rule.MAX_DAILY_LOSS, loss.daily_loss, spares=True, stands=True),
    Control(Rule.DAILY_LOSS_REDUCE, loss.daily_loss_reduce, spares=True, stands=True),
    Control(Rule.DAILY_LOSS_HALT, loss.daily_loss_halt, spares=True, stands=True),
    Control(Rule.WEEKLY_LOSS_HALT, loss.weekly_loss_halt, spares=True, stands=True),
    Control(Rule.REQUIRE_STOP, size.require_stop, spares=True),
    Control(Rule.RISK_PER_TRADE, size.risk_per_trade),
    Control(Rule.GROSS_EXPOSURE, size.gross_exposure, spares=True, stands=True),
    Control(Rule.NET_EXPOSURE, size.net_exposure, spares=True, stands=True),
    Control(Rule.NAME_EXPOSURE, size.name_exposure, spares=True),
    Control(Rule.BUYING_POWER, size.buying_power, spares=True),
    Control(Rule.STOP_THROUGH_MARKET, price.stop_through_market, now=True),
    Control(Rule.TOUCH_THROUGH_MARKET, price.touch_through_market, now=True),
    Control(Rule.TARGET_THROUGH_MARKET, price.target_through_market, now=True),
    Control(Rule.PRICE_COLLAR, price.collar, now=True),
    Control(Rule.MAX_SPREAD, price.spread, spares=True, now=True),
    Control(Rule.SELF_CROSS, standing.self_cross),
    Control(Rule.TRADING_HOURS, price.trading_hours, spares=True),
    Control(Rule.ORDER_RATE, flow.order_rate, stands=True),
    Control(Rule.ORDER_RATIO, flow.order_ratio, stands=True),
)


def check(request: Proposal, facts: Facts, limits: Mapping[str, Decimal]) -> list[Breach]:
    """Every breach of `limits`, in the order of the controls; empty when the order may go."""
    return [breach for reading in readings(request, facts, limits) if (breach := reading.breach) is not None]


def readings(request: Proposal, facts: Facts, limits: Mapping[str, Decimal]) -> Iterator[Reading]:
    """What each control that the order concerns reads of it."""
    case = Case(request, facts, limits)
    for control in CONTROLS:
        if (control.spares and request.reduces) or (control.now and request.waits) or (request.is_nothing and not control.stands):
            continue
        reading = _read(control, case)
        if reading is not None:
            yield reading


def _read(control: Control, case: Case) -> Reading | None:
    try:
        return control.read(case)
    except Exception:
        log.exception("the control %s could not be applied to %s", control.rule.value, case.terms)
        if case.request.reduces:
            return None
        return Reading(Rule.RULE_FAILED, broken=f"The control {control.rule.value} failed, so nothing new is let through; look at the log.")
