"""The limits that a desk has: each rule's code, its default, its unit, and how several values of it come together.

The rule it keeps: rows of the desk, the account and the user apply together and the strictest decides; a default stands only where nobody
set anything. What each rule does is in `limits`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Rule(StrEnum):
    """The coded reasons. Those of `RULES` have a value that people set; the others follow from the market."""

    TRADING_STATE = "TRADING_STATE"
    MAX_QUANTITY = "MAX_QUANTITY"
    MAX_NOTIONAL = "MAX_NOTIONAL"
    MAX_POSITION = "MAX_POSITION"
    MAX_DAILY_LOSS = "MAX_DAILY_LOSS"
    MAX_OPEN_ORDERS = "MAX_OPEN_ORDERS"
    PRICE_COLLAR = "PRICE_COLLAR"
    QUOTE_SECONDS = "QUOTE_SECONDS"
    DELAYED_QUOTES = "DELAYED_QUOTES"
    DUPLICATE_SECONDS = "DUPLICATE_SECONDS"
    PREVIEW_DRIFT = "PREVIEW_DRIFT"
    EXCEEDS_POSITION = "EXCEEDS_POSITION"
    STOP_THROUGH_MARKET = "STOP_THROUGH_MARKET"
    TARGET_THROUGH_MARKET = "TARGET_THROUGH_MARKET"


@dataclass(frozen=True)
class RuleSetting:
    """One rule's default and words. `default` None: not applied until somebody sets it. `strictest` picks among several rows."""

    default: Decimal | None
    strictest: str  # "min" or "max"
    unit: str
    meaning: str


def _setting(default: str | None, strictest: str, unit: str, meaning: str) -> RuleSetting:
    return RuleSetting(None if default is None else Decimal(default), strictest, unit, meaning)


# Rows of the desk, the account and the user apply together, and the strictest decides. The default stands only where no row applies.
RULES: dict[Rule, RuleSetting] = {
    Rule.TRADING_STATE: _setting("0", "max", "state", "0 trades, 1 only reduces positions, 2 is halted: cancels only"),
    Rule.MAX_QUANTITY: _setting("10000", "min", "units", "largest quantity of one order"),
    Rule.MAX_NOTIONAL: _setting("250000", "min", "base currency", "largest worth of one order: price x quantity x multiplier"),
    Rule.MAX_POSITION: _setting("50000", "min", "units", "largest position in one contract, working orders of that side counted as filled"),
    Rule.MAX_DAILY_LOSS: _setting(None, "min", "base currency", "loss of the day from which on positions may only be reduced"),
    # IB refuses the 16th active order per contract, side and account (its knowledge base; older pages say 20).
    Rule.MAX_OPEN_ORDERS: _setting("15", "min", "orders", "open orders per contract, side and account"),
    Rule.PRICE_COLLAR: _setting("0.10", "min", "fraction", "how far through the market an order may trade"),
    Rule.QUOTE_SECONDS: _setting("60", "min", "seconds", "how old the quote may be that market and stop orders are judged by"),
    Rule.DELAYED_QUOTES: _setting("0", "min", "0 or 1", "1: on a live book delayed quotes may stand in for live ones"),
    Rule.DUPLICATE_SECONDS: _setting("3", "max", "seconds", "the same order again within this time needs a confirmation"),
    Rule.PREVIEW_DRIFT: _setting("0.005", "min", "fraction", "how far the price may have moved between a preview and its sending"),
}

REDUCE_ONLY, HALTED = Decimal(1), Decimal(2)


def effective(rows: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    """The limits that decide: of the rows (rule, value) that apply the strictest, else the default. Rules without either are left out."""
    given: dict[str, list[Decimal]] = {}
    for rule, value in rows:
        given.setdefault(rule, []).append(value)
    limits = {}
    for rule, setting in RULES.items():
        values = given.get(rule.value) or ([] if setting.default is None else [setting.default])
        if values:
            limits[rule.value] = min(values) if setting.strictest == "min" else max(values)
    return limits
