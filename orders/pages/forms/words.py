"""What can be chosen on the forms, in the words that people read beside each choice."""

from __future__ import annotations

from django.utils.translation import gettext_lazy

from orders.rules.distances import Unit
from orders.rules.terms import AdaptivePriority, OcaType, OrderType, Side, TimeInForce, TriggerMethod

SIDES = [(side.value, side.value) for side in Side]
ON_OPEN = {"MOO": OrderType.MARKET, "LOO": OrderType.LIMIT}
"""Market and limit on open: IB has them as MKT and LMT with time in force OPG, traders by names of their own."""

ORDER_TYPES = [
    (OrderType.LIMIT.value, gettext_lazy("LMT limit")),
    (OrderType.MARKET.value, gettext_lazy("MKT market")),
    (OrderType.STOP.value, gettext_lazy("STP stop")),
    (OrderType.STOP_LIMIT.value, gettext_lazy("STP LMT stop limit")),
    (OrderType.TRAIL.value, gettext_lazy("TRAIL trailing stop")),
    (OrderType.TRAIL_LIMIT.value, gettext_lazy("TRAIL LIMIT trailing stop limit")),
    (OrderType.MARKET_IF_TOUCHED.value, gettext_lazy("MIT market if touched")),
    (OrderType.LIMIT_IF_TOUCHED.value, gettext_lazy("LIT limit if touched")),
    (OrderType.MARKET_ON_CLOSE.value, gettext_lazy("MOC market on close")),
    (OrderType.LIMIT_ON_CLOSE.value, gettext_lazy("LOC limit on close")),
    ("MOO", gettext_lazy("MOO market on open")),
    ("LOO", gettext_lazy("LOO limit on open")),
]
TIMES_IN_FORCE = [
    (TimeInForce.DAY.value, gettext_lazy("DAY")),
    (TimeInForce.GTC.value, gettext_lazy("GTC until cancelled")),
]
ALL_TIMES_IN_FORCE = [
    *TIMES_IN_FORCE,
    (TimeInForce.GTD.value, gettext_lazy("GTD until a moment")),
    (TimeInForce.IOC.value, gettext_lazy("IOC at once or cancel")),
    (TimeInForce.FOK.value, gettext_lazy("FOK all at once or none")),
    (TimeInForce.OPG.value, gettext_lazy("OPG at the opening")),
]
TRIGGER_METHODS = [
    (str(TriggerMethod.DEFAULT.value), gettext_lazy("IB's default")),
    (str(TriggerMethod.LAST.value), gettext_lazy("last price")),
    (str(TriggerMethod.DOUBLE_LAST.value), gettext_lazy("last, twice")),
    (str(TriggerMethod.BID_ASK.value), gettext_lazy("bid or ask")),
    (str(TriggerMethod.DOUBLE_BID_ASK.value), gettext_lazy("bid or ask, twice")),
    (str(TriggerMethod.LAST_OR_BID_ASK.value), gettext_lazy("last, or bid and ask")),
    (str(TriggerMethod.MIDPOINT.value), gettext_lazy("midpoint")),
]
ADAPTIVE = [
    (AdaptivePriority.NONE.value, gettext_lazy("no algorithm")),
    (AdaptivePriority.URGENT.value, gettext_lazy("Adaptive, urgent")),
    (AdaptivePriority.NORMAL.value, gettext_lazy("Adaptive, normal")),
    (AdaptivePriority.PATIENT.value, gettext_lazy("Adaptive, patient")),
]
TRAIL_UNITS = [("%", "%"), ("amount", gettext_lazy("amount"))]
STOP_KINDS = [
    (OrderType.STOP.value, gettext_lazy("Stop")),
    (OrderType.STOP_LIMIT.value, gettext_lazy("Stop limit")),
    (OrderType.TRAIL.value, gettext_lazy("Trailing")),
    (OrderType.TRAIL_LIMIT.value, gettext_lazy("Trail limit")),
]
STOP_UNITS = [(Unit.PERCENT.value, "%"), (Unit.AMOUNT.value, gettext_lazy("amount")), (Unit.TICKS.value, gettext_lazy("ticks"))]
TARGET_UNITS = [*STOP_UNITS, (Unit.RISK.value, "R")]
OCA_TYPES = [
    (
        str(OcaType.CANCEL_WITH_BLOCK.value),
        gettext_lazy("Cancel the other"),
        gettext_lazy("The first fill, even of a part, cancels the other exit. IB works one at a time, so both can never fill."),
    ),
    (
        str(OcaType.REDUCE_WITH_BLOCK.value),
        gettext_lazy("Reduce the other"),
        gettext_lazy("A fill takes its quantity off the other exit, which goes on. IB works one at a time, so they never close too much."),
    ),
    (
        str(OcaType.REDUCE_WITHOUT_BLOCK.value),
        gettext_lazy("Reduce, and work both"),
        gettext_lazy("Both work at once and a fill reduces the other. In a fast market both can fill and turn the position around."),
    ),
]
