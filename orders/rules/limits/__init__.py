"""Pre-trade checks: whether an order that makes sense is also allowed. Pure: what is known comes in as `Facts`, breaches go out.

The rule it keeps: what cannot be evaluated blocks. A missing quote blocks market and stop orders, a missing exchange rate or account value
every new risk. Only proven reductions of a position pass without them; a cancel is never checked at all.
"""

from __future__ import annotations

from orders.rules.limit_table import DEFAULT, HALTED, REDUCE_ONLY, RULES, TRADES, Limits, Rule, RuleSetting, effective, loosens
from orders.rules.limits.controls import CONTROLS, Control, check, readings
from orders.rules.limits.exposed import Exposed, Line, Open, may_trade
from orders.rules.limits.facts import (
    Breach,
    Case,
    Facts,
    InstrumentWord,
    Market,
    Proposal,
    Purse,
    Reading,
    Risk,
    Traffic,
    fresh_market,
)
from orders.rules.limits.loss import Trigger, triggers
from orders.rules.limits.worth import is_elected, is_for_later, notional, stop_risk, takes_any_price, trades_now, worst_price

__all__ = [
    "CONTROLS",
    "DEFAULT",
    "HALTED",
    "REDUCE_ONLY",
    "RULES",
    "TRADES",
    "Breach",
    "Case",
    "Control",
    "Exposed",
    "Facts",
    "InstrumentWord",
    "Limits",
    "Line",
    "Market",
    "Open",
    "Proposal",
    "Purse",
    "Reading",
    "Risk",
    "Rule",
    "RuleSetting",
    "Traffic",
    "Trigger",
    "check",
    "effective",
    "fresh_market",
    "is_elected",
    "is_for_later",
    "loosens",
    "may_trade",
    "notional",
    "readings",
    "stop_risk",
    "takes_any_price",
    "trades_now",
    "triggers",
    "worst_price",
]
