"""The fields of a placeOrder frame that IB has and this exchange does not act on: refused where they say something, never ignored.

One table: field, code, text. Codes and words are IB's where it has any for the field (campus documentation 18.03, and what a paper account
was seen to answer), else 10340. A field is as good as not set where it is zero, or what a gateway fills in for it when it echoes an order,
so that an order read from openOrder may be sent again. Fields that only name or label something (references, MiFID, tiers, the operator)
and those that override precautions this gateway has not are taken and mean nothing here.
"""

from __future__ import annotations

from decimal import Decimal

from broker.simulator.model import OrderRequest
from broker.simulator.order_types import UNSUPPORTED, Refusal

# What a gateway echoes for a field that no client set; zeros need no entry.
DEFAULTS = {
    "openClose": "O", "exemptCode": "-1", "clearingIntent": "IB", "deltaNeutralOrderType": "NONE", "adjustedOrderType": "NONE",
}  # fmt: skip
_ADVISOR = (344, "The account logged into is not a financial advisor account.")
_SHORT_SALE = (348, "Order not a short sale - type must be SSHORT to specify short sale slot.")
_HEDGE = (429, "Delta neutral orders are only supported for combos (BAG security type).")
_RANGE = (373, "Can only set stock range attribute on VOL or RELATIVE TO STOCK order.")
REFUSED: dict[str, Refusal] = {
    "secIdType": (200, "No security definition has been found for the request"),
    "secId": (200, "No security definition has been found for the request"),
    "origin": (311, "The origin is invalid."),
    "minQty": (10256, "The minimum quantity attribute may not be specified for this order."),
    "sweepToFill": (10267, "The sweep-to-fill attribute may not be specified for this order."),
    "discretionaryAmt": (325, "Discretionary orders are not supported for this combination of exchange and order type."),
    "notHeld": (10297, "Not Held attribute is invalid for this order."),
    "cashQty": (10244, "Cash Quantity cannot be used for this order"),
    "conditions": (402, "Conditions are not allowed for this contract."),
    **dict.fromkeys(("faGroup", "faMethod", "faPercentage", "faProfile"), _ADVISOR),
    **dict.fromkeys(("shortSaleSlot", "designatedLocation"), _SHORT_SALE),
    **dict.fromkeys(("scaleInitLevelSize", "scaleSubsLevelSize", "scalePriceIncrement", "scaleTable", "hedgeType"), UNSUPPORTED),
    **dict.fromkeys(("deltaNeutralOrderType", "deltaNeutralAuxPrice", "deltaNeutralContract"), _HEDGE),
    **dict.fromkeys(("stockRangeLower", "stockRangeUpper"), _RANGE),
    "volatility": (371, "VOL order requires positive floating point value for volatility. Do not set it for other order types."),
    "volatilityType": (367, "Volatility type if set must be 1 or 2 for VOL orders. Do not set it for other order types."),
    "referencePriceType": (
        368,
        "Reference Price Type must be 1 or 2 for dynamic volatility management. Do not set it for non-VOL orders.",
    ),
    "continuousUpdate": (372, "Cannot set dynamic VOL attribute on non-VOL order."),
    "eTradeOnly": (10268, "The 'EtradeOnly' order attribute is not supported."),
    "firmQuoteOnly": (10269, "The 'FirmQuoteOnly' order attribute is not supported."),
    "nbboPriceCap": (10270, "The 'NbboPriceCap' order attribute is not supported."),
    "triggerPrice": (361, "Invalid trigger price."),
    "adjustedStopPrice": (362, "Invalid adjusted stop price."),
    "adjustedStopLimitPrice": (363, "Invalid adjusted stop limit price."),
    "adjustedTrailingAmount": (364, "Invalid adjusted trailing amount."),
    "postToAts": (10274, "The 'PostToAts' order attribute may not be specified for this order."),
    "imbalanceOnly": (10342, "The 'ImbalanceOnly' order attribute may not be specified for this order."),
    **{
        name: (10340, f"The following order attribute is not supported: {name}")
        for name in (
            "openClose", "blockOrder", "modelCode", "exemptCode", "rule80A", "settlingFirm", "percentOffset", "auctionStrategy",
            "startingPrice", "stockRefPrice", "delta", "activeStartTime", "activeStopTime", "optOutSmartRouting", "clearingAccount",
            "clearingIntent", "algoId", "orderMiscOptions", "solicited", "randomizeSize", "randomizePrice", "adjustedOrderType",
            "adjustableTrailingUnit", "isOmsContainer", "discretionaryUpToLimitPrice", "usePriceMgmtAlgo", "duration",
            "autoCancelParent", "minTradeQty", "minCompeteSize", "competeAgainstBestOffset", "midOffsetAtWhole", "midOffsetAtHalf",
            "includeOvernight",
        )
    },
}  # fmt: skip


def unmatched_refusal(request: OrderRequest) -> Refusal | None:
    """The refusal of the first field that asks for something this exchange does not do, or None."""
    for name, value in request.wire.items():
        if name in REFUSED and not says_nothing(name, value):
            return REFUSED[name]
    return None


def says_nothing(name: str, value: str) -> bool:
    """Whether a field holds zero, no, nothing, or what a gateway fills in."""
    if value.upper() in ("", "FALSE", DEFAULTS.get(name)):
        return True
    try:
        return Decimal(value) == 0
    except ArithmeticError:
        return False
