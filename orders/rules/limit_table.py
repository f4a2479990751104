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
    """The coded reasons. Those of `RULES` have a value that people set; the others follow from market, position or instrument."""

    TRADING_STATE = "TRADING_STATE"
    INSTRUMENT_RESTRICTED = "INSTRUMENT_RESTRICTED"
    INSTRUMENT_NOT_ALLOWED = "INSTRUMENT_NOT_ALLOWED"
    EXCEEDS_POSITION = "EXCEEDS_POSITION"
    SHORT_SALES = "SHORT_SALES"
    SELF_CROSS = "SELF_CROSS"
    MAX_OPEN_ORDERS = "MAX_OPEN_ORDERS"
    MAX_USER_ORDERS = "MAX_USER_ORDERS"
    ORDER_RATE = "ORDER_RATE"
    ORDER_RATIO = "ORDER_RATIO"
    ORDER_RATIO_FROM = "ORDER_RATIO_FROM"
    DUPLICATE_SECONDS = "DUPLICATE_SECONDS"
    PREVIEW_DRIFT = "PREVIEW_DRIFT"
    MAX_QUANTITY = "MAX_QUANTITY"
    MAX_NOTIONAL = "MAX_NOTIONAL"
    MAX_POSITION = "MAX_POSITION"
    BUYING_POWER = "BUYING_POWER"
    RISK_PER_TRADE = "RISK_PER_TRADE"
    REQUIRE_STOP = "REQUIRE_STOP"
    MAX_DAILY_LOSS = "MAX_DAILY_LOSS"
    DAILY_LOSS_REDUCE = "DAILY_LOSS_REDUCE"
    DAILY_LOSS_HALT = "DAILY_LOSS_HALT"
    WEEKLY_LOSS_HALT = "WEEKLY_LOSS_HALT"
    LOSS_STATE_LIFTS = "LOSS_STATE_LIFTS"
    GROSS_EXPOSURE = "GROSS_EXPOSURE"
    NET_EXPOSURE = "NET_EXPOSURE"
    NAME_EXPOSURE = "NAME_EXPOSURE"
    PRICE_COLLAR = "PRICE_COLLAR"
    MAX_SPREAD = "MAX_SPREAD"
    STOP_THROUGH_MARKET = "STOP_THROUGH_MARKET"
    TOUCH_THROUGH_MARKET = "TOUCH_THROUGH_MARKET"
    TARGET_THROUGH_MARKET = "TARGET_THROUGH_MARKET"
    TRADING_HOURS = "TRADING_HOURS"
    QUOTE_SECONDS = "QUOTE_SECONDS"
    VALUE_SECONDS = "VALUE_SECONDS"
    DELAYED_QUOTES = "DELAYED_QUOTES"
    RULE_FAILED = "RULE_FAILED"


@dataclass(frozen=True)
class RuleSetting:
    """One rule's default and words. `default` None: not applied until somebody sets it. `strictest` picks among several rows."""

    default: Decimal | None
    strictest: str  # "min" or "max"
    unit: str
    meaning: str
    label: str


def _setting(default: str | None, strictest: str, unit: str, label: str, meaning: str) -> RuleSetting:
    return RuleSetting(None if default is None else Decimal(default), strictest, unit, meaning, label)


NET = "of net liquidation"

# Rows of the desk, the account and the user apply together, and the strictest decides. The default stands only where no row applies.
RULES: dict[Rule, RuleSetting] = {
    Rule.TRADING_STATE: _setting("0", "max", "state", "Trading state", "0 trades, 1 only reduces positions, 2 is halted: cancels only"),
    Rule.MAX_QUANTITY: _setting("10000", "min", "units", "Order quantity", "largest quantity of one order"),
    Rule.MAX_NOTIONAL: _setting(
        "250000", "min", "base currency", "Order worth", "largest worth of one order: price x quantity x multiplier"
    ),
    Rule.MAX_POSITION: _setting(
        "50000", "min", "units", "Position", "largest position in one contract, working orders of that side counted as filled"
    ),
    Rule.BUYING_POWER: _setting(
        "1",
        "min",
        "of buying power",
        "Buying power",
        "worth of an order, with those that it does not count yet, as a share of it",
    ),
    Rule.GROSS_EXPOSURE: _setting(
        "4", "min", NET, "Gross exposure", "worth of all positions, long and short added up, open orders counted as filled"
    ),
    Rule.NET_EXPOSURE: _setting("4", "min", NET, "Net exposure", "worth of long less short positions, open orders counted as filled"),
    Rule.NAME_EXPOSURE: _setting(
        "2", "min", NET, "Single name", "worth of all positions with one symbol or underlying, open orders counted as filled"
    ),
    Rule.RISK_PER_TRADE: _setting(
        "0.05", "min", NET, "Risk per trade", "loss of an entry that is stopped out; orders without a stop are not judged by it"
    ),
    Rule.REQUIRE_STOP: _setting("0", "max", "0 or 1", "Stop required", "1: whatever opens a position must bring a stop"),
    Rule.MAX_DAILY_LOSS: _setting(
        None, "min", "base currency", "Day's loss, amount", "loss of the day from which on positions may only be reduced"
    ),
    Rule.DAILY_LOSS_REDUCE: _setting(
        "0.03", "min", NET, "Day's loss", "loss of the day, of what the account was worth when it began, from which on it only reduces"
    ),
    Rule.DAILY_LOSS_HALT: _setting("0.05", "min", NET, "Day's loss, halt", "loss of the day at which the account is halted"),
    Rule.WEEKLY_LOSS_HALT: _setting("0.10", "min", NET, "Week's loss, halt", "loss of the week at which the account is halted"),
    Rule.LOSS_STATE_LIFTS: _setting(
        "0", "min", "0 or 1", "Day's state lifts", "1: a state that the day's loss set ends by itself on the next trading day"
    ),
    # IB refuses the 16th active order per contract, side and account (its knowledge base; older pages say 20).
    Rule.MAX_OPEN_ORDERS: _setting("15", "min", "orders", "Open orders of a side", "open orders per contract, side and account"),
    Rule.MAX_USER_ORDERS: _setting("200", "min", "orders", "Open orders of a user", "open orders of one user, all accounts together"),
    Rule.ORDER_RATE: _setting("60", "min", "a minute", "Order rate", "orders and changes of one user in a minute, cancels not counted"),
    # IB's Order Efficiency Ratio, which it calls excessive above 20.
    Rule.ORDER_RATIO: _setting(
        "20",
        "min",
        "messages per execution",
        "Order ratio",
        "(orders + changes + cancels) / (executions + 1) of an account and day",
    ),
    Rule.ORDER_RATIO_FROM: _setting("200", "min", "messages", "Order ratio, from", "messages of a day below which it is not judged"),
    Rule.DUPLICATE_SECONDS: _setting(
        "3", "max", "seconds", "Same order again", "the same order again within this time needs a confirmation"
    ),
    Rule.PREVIEW_DRIFT: _setting(
        "0.005", "min", "fraction", "Preview drift", "how far the price may have moved between a preview and its sending"
    ),
    Rule.SHORT_SALES: _setting("1", "min", "0 or 1", "Short sales", "0: nothing may be sold that is not held, working sales counted"),
    Rule.SELF_CROSS: _setting("0", "min", "0 or 1", "Self-cross", "1: an order may trade with another one of the desk"),
    Rule.PRICE_COLLAR: _setting("0.10", "min", "fraction", "Price collar", "how far through the market an order may trade"),
    Rule.MAX_SPREAD: _setting(
        "0.10", "min", "of the middle", "Spread", "widest spread into which an order may go that takes whatever price there is"
    ),
    Rule.TRADING_HOURS: _setting(
        "1",
        "max",
        "0, 1 or 2",
        "Trading hours",
        "0 not looked at, 1 warns, 2 refuses what the hours would leave waiting; unknown hours too",
    ),
    Rule.QUOTE_SECONDS: _setting(
        "60", "min", "seconds", "Age of quotes", "how old the quote may be that market and stop orders are judged by"
    ),
    Rule.VALUE_SECONDS: _setting(
        "600", "min", "seconds", "Age of account values", "how old net liquidation and buying power may be before they count as unknown"
    ),
    Rule.DELAYED_QUOTES: _setting("0", "min", "0 or 1", "Delayed quotes", "1: on a live book delayed quotes may stand in for live ones"),
}

TRADES, REDUCE_ONLY, HALTED = Decimal(0), Decimal(1), Decimal(2)
HOURS_WARN, HOURS_BLOCK = Decimal(1), Decimal(2)
DEFAULT = "default"
"""The scope of a limit that nobody set."""


class Limits(dict[str, Decimal]):
    """The value that decides for each rule; `scopes` says whose it is: "desk", "account", "user", or "default"."""

    def __init__(self, values: Iterable[tuple[str, Decimal]] = (), scopes: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(values)
        self.scopes: dict[str, str] = dict(scopes)


def effective(rows: Iterable[tuple[str, Decimal] | tuple[str, Decimal, str]]) -> Limits:
    """The limits that decide: of the rows (rule, value, whose) that apply the strictest, else the default. Rules without either are out."""
    given: dict[str, list[tuple[Decimal, str]]] = {}
    for rule, value, *scope in rows:
        given.setdefault(rule, []).append((value, scope[0] if scope else ""))
    limits = Limits()
    for rule, setting in RULES.items():
        if rule in given:
            pick = min if setting.strictest == "min" else max
            limits[rule.value], limits.scopes[rule.value] = pick(given[rule], key=lambda one: one[0])
        elif setting.default is not None:
            limits[rule.value], limits.scopes[rule.value] = setting.default, DEFAULT
    return limits


def loosens(rule: Rule, before: Decimal | None, after: Decimal | None) -> bool:
    """Whether a limit lets more through than before; None: the rule is not applied."""
    if before == after or before is None:
        return False
    if after is None:
        return True
    return (after > before) == (RULES[rule].strictest == "min")
