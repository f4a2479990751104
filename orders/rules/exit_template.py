"""An exit template: how far from its entry a position's exits go when nobody says otherwise, and what kinds of exits they are.

The rule it keeps: a template gives prices on the tick, and never ones that would trade at once where the market is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from orders.rules.faults import TicketError, check_number
from orders.rules.pricing import ExitPrices, PriceRule, exit_prices
from orders.rules.terms import OcaType, TimeInForce
from orders.rules.tickets import LONGEST_TIME_STOP, SHORTEST_TIME_STOP, ExitPair


@dataclass(frozen=True)
class Template:
    """Fractions of the entry (0.02 is 2 %); with `trail_percent` (2 is 2 %) the stop trails. Made for `symbol`, or for all where empty."""

    stop_loss: Decimal = Decimal("0.02")
    profit_target: Decimal = Decimal("0.08")
    trail_percent: Decimal | None = None
    time_stop: timedelta | None = None
    oca_type: OcaType = OcaType.CANCEL_WITH_BLOCK
    time_in_force: TimeInForce = TimeInForce.GTC
    symbol: str = ""
    is_built_in: bool = False

    def prices(self, entry: Decimal, market: Decimal | None, *, is_long: bool, rule: PriceRule) -> ExitPrices:
        return exit_prices(entry, market, is_long=is_long, stop_loss=self.stop_loss, profit_target=self.profit_target, rule=rule)

    def pair(self, quantity: Decimal, stop: Decimal, target: Decimal | None) -> ExitPair:
        """A pair at these prices with the template's kinds of exits. A trailing stop begins where IB puts it, at its distance."""
        trails = self.trail_percent is not None
        return ExitPair(
            quantity, target, None if trails else stop, trail_percent=self.trail_percent if trails else None, time_stop=self.time_stop
        )


BUILT_IN = Template(is_built_in=True)
"""The desk's own: a stop 2 % and a target 8 % away."""


def check_template(template: Template) -> None:
    """Raises `TicketError` for a template that could give no exits."""
    for name in ("stop_loss", "profit_target"):
        check_number(name, getattr(template, name))
    if template.stop_loss >= 1:
        raise TicketError("stop_loss", "must be below 1 (0.02 is 2 %)")
    if template.profit_target >= 10:
        raise TicketError("profit_target", "must be below 10 (0.08 is 8 %)")
    check_number("trail_percent", template.trail_percent, required=False)
    if template.trail_percent is not None and template.trail_percent >= 100:
        raise TicketError("trail_percent", "must be below 100 (2 is 2 %)")
    if template.time_stop is not None and not SHORTEST_TIME_STOP <= template.time_stop <= LONGEST_TIME_STOP:
        raise TicketError("time_stop", "must be between one second and 90 days")
    if template.time_in_force not in (TimeInForce.DAY, TimeInForce.GTC):
        raise TicketError("time_in_force", "must be DAY or GTC: an exit waits until it is needed")
