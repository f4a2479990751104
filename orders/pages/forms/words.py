"""What can be chosen on the forms, in the words that people read beside each choice."""

from __future__ import annotations

from django.utils.translation import gettext_lazy

from orders.rules.terms import OcaType, OrderType, Side, TimeInForce

SIDES = [(side.value, side.value) for side in Side]
ORDER_TYPES = [
    (OrderType.LIMIT.value, gettext_lazy("LMT limit")),
    (OrderType.MARKET.value, gettext_lazy("MKT market")),
    (OrderType.STOP.value, gettext_lazy("STP stop")),
    (OrderType.STOP_LIMIT.value, gettext_lazy("STP LMT stop limit")),
]
TIMES_IN_FORCE = [
    (TimeInForce.DAY.value, gettext_lazy("DAY")),
    (TimeInForce.GTC.value, gettext_lazy("GTC until cancelled")),
]
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
