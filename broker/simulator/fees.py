"""What the simulated broker charges and asks as margin: commissions per order, initial and maintenance rates per kind of instrument.

The figures are plausible, not IB's tariff: shares 0.005 each, at least 1.00 and at most 1 % of the trade; margin 25 % / 15 % of a stock.
Everything is in the instrument's currency.
"""

from __future__ import annotations

from decimal import Decimal

from broker.simulator.model import Instrument

PER_SHARE, SHARE_MINIMUM, SHARE_CAP = Decimal("0.005"), Decimal(1), Decimal("0.01")
PER_CONTRACT = {"FUT": Decimal("2.25"), "OPT": Decimal("0.65")}
OPTION_MINIMUM = Decimal(1)
FX_RATE, FX_MINIMUM = Decimal("0.00002"), {"JPY": Decimal(300)}  # 0.2 basis points, at least 2 of the currency paid
FX_USUAL_MINIMUM = Decimal(2)
INITIAL = {"STK": Decimal("0.25"), "FUT": Decimal("0.07"), "CASH": Decimal("0.03"), "OPT": Decimal(1)}
MAINTENANCE = {"STK": Decimal("0.15"), "FUT": Decimal("0.06"), "CASH": Decimal("0.025"), "OPT": Decimal(1)}
SHORT_OPTION = (Decimal("0.20"), Decimal("0.15"))  # of the underlying's value, on top of the premium: initial, maintenance


def order_commission(instrument: Instrument, quantity: Decimal, notional: Decimal) -> Decimal:
    """Commission of an order that has filled `quantity` for `notional` (price times quantity) so far.

    It never falls as an order fills on: an execution is charged the difference to what was charged before it, so the minimum is
    paid once an order and not once an execution.
    """
    value = notional * instrument.multiplier
    if instrument.sec_type == "STK":
        return min(max(quantity * PER_SHARE, SHARE_MINIMUM), value * SHARE_CAP)
    if instrument.sec_type == "CASH":
        return max(value * FX_RATE, FX_MINIMUM.get(instrument.currency, FX_USUAL_MINIMUM))
    charge = quantity * PER_CONTRACT[instrument.sec_type]
    return max(charge, OPTION_MINIMUM) if instrument.sec_type == "OPT" else charge


def margin(instrument: Instrument, quantity: Decimal, price: Decimal, under_price: Decimal) -> tuple[Decimal, Decimal]:
    """(initial, maintenance) margin of holding `quantity` (negative: short) at `price`; a long option is paid in full."""
    units = abs(quantity) * instrument.multiplier
    value = units * price
    if instrument.sec_type == "OPT" and quantity < 0:
        return tuple(value + units * under_price * rate for rate in SHORT_OPTION)  # type: ignore[return-value]
    return value * INITIAL[instrument.sec_type], value * MAINTENANCE[instrument.sec_type]
