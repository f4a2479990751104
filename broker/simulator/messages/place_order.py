"""Reads placeOrder, the longest message of the API, into the terms the exchange trades on and every other field by its IB name.

The layout depends on the server version and on the order itself (combination, delta-neutral, scale, hedge, algorithm, conditions). The rule
kept: after the last field nothing may remain. A field too many means that the layout was misread, and money would hang on the wrong number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from broker.simulator.messages.layout import ContractFields, Cursor
from broker.simulator.messages.values import ValueProblem, is_infinite, parse_number, without_unset

# Fields that pass through unread, in wire order; they come back in openOrder under the same names.
_AFTER_COMBO = ("discretionaryAmt", "goodAfterTime", "goodTillDate", "faGroup", "faMethod", "faPercentage")
_UP_TO_DELTA_NEUTRAL = (
    "rule80A", "settlingFirm", "allOrNone", "minQty", "percentOffset", "eTradeOnly", "firmQuoteOnly", "nbboPriceCap", "auctionStrategy",
    "startingPrice", "stockRefPrice", "delta", "stockRangeLower", "stockRangeUpper", "overridePercentageConstraints", "volatility",
    "volatilityType", "deltaNeutralOrderType", "deltaNeutralAuxPrice",
)  # fmt: skip
_SCALE = ("continuousUpdate", "referencePriceType", "trailStopPrice", "trailingPercent", "scaleInitLevelSize", "scaleSubsLevelSize")
_ADJUSTED = (
    "adjustedOrderType", "triggerPrice", "lmtPriceOffset", "adjustedStopPrice", "adjustedStopLimitPrice", "adjustedTrailingAmount",
    "adjustableTrailingUnit", "extOperator", "softDollarTierName", "softDollarTierValue", "cashQty", "mifid2DecisionMaker",
    "mifid2DecisionAlgo", "mifid2ExecutionTrader", "mifid2ExecutionAlgo", "dontUseAutoPriceForHedge", "isOmsContainer",
    "discretionaryUpToLimitPrice", "usePriceMgmtAlgo",
)  # fmt: skip
_CONDITION_FIELDS = {"1": 6, "3": 3, "4": 3, "5": 4, "6": 5, "7": 5}
PEG_BENCH = frozenset({"PEG BENCH", "PEGBENCH"})
PEG_BEST = frozenset({"PEG BEST", "PEGBEST"})
PEG_MID = frozenset({"PEG MID", "PEGMID"})
BLOCK_SEPARATOR = "\0"  # inside one echoed value that stands for several wire fields


@dataclass(frozen=True)
class PlaceOrder:
    """A new order, a modification (same client and order id), or a what-if check."""

    order_id: int
    contract: ContractFields
    action: str
    quantity: Decimal | None
    order_type: str
    limit_price: Decimal | None
    aux_price: Decimal | None
    tif: str
    oca_group: str
    oca_type: int
    account: str
    order_ref: str
    transmit: bool
    parent_id: int
    outside_rth: bool
    what_if: bool
    wire: dict[str, str] = field(default_factory=dict)


def read_place_order(cursor: Cursor) -> PlaceOrder:
    """The order in a placeOrder message (id 3), positioned after the message id; raises ValueProblem where the fields do not fit."""
    order_id = cursor.integer()
    contract = cursor.contract()
    wire: dict[str, str] = {}
    _take(cursor, wire, "secIdType", "secId")
    action, quantity, order_type = cursor.text().upper(), parse_number(cursor.text()), cursor.text().upper()
    limit_price, aux_price = parse_number(cursor.text()), parse_number(cursor.text())
    tif, oca_group, account = cursor.take(3)
    _take(cursor, wire, "openClose", "origin")
    order_ref, transmit = cursor.text(), cursor.flag()
    parent_id = int(parse_number(cursor.text()) or 0)
    _take(cursor, wire, "blockOrder", "sweepToFill", "displaySize", "triggerMethod")
    outside_rth = cursor.flag()
    _take(cursor, wire, "hidden")
    _read_combo(cursor, wire)
    _take(cursor, wire, "sharesAllocation", *_AFTER_COMBO)
    if cursor.version < 177:
        _take(cursor, wire, "faProfile")
    _take(cursor, wire, "modelCode", "shortSaleSlot", "designatedLocation", "exemptCode")
    oca_type = int(parse_number(cursor.text()) or 0)
    _read_middle(cursor, wire)
    what_if = _read_algorithm(cursor, wire)
    _take(cursor, wire, "orderMiscOptions", "solicited", "randomizeSize", "randomizePrice")
    _read_tail(cursor, wire, order_type, contract.exchange)
    if cursor.remaining:
        raise ValueProblem(f"{cursor.remaining} fields remain after the last one of the order")
    return PlaceOrder(
        order_id, contract, action, quantity, order_type, limit_price, aux_price, tif, oca_group, oca_type, account, order_ref, transmit,
        parent_id, outside_rth, what_if, {name: value for name, value in wire.items() if value},
    )  # fmt: skip


def _take(cursor: Cursor, wire: dict[str, str], *names: str) -> None:
    for name in names:
        wire[name] = without_unset(cursor.text())


def _block(cursor: Cursor, wire: dict[str, str], name: str, width: int) -> int:
    """A count and that many groups of `width` fields, kept as one value; returns the count."""
    count = cursor.count()
    if count:
        wire[name] = BLOCK_SEPARATOR.join((str(count), *cursor.take(count * width)))
    return count


def _read_combo(cursor: Cursor, wire: dict[str, str]) -> None:
    if cursor.sec_type == "BAG":
        _block(cursor, wire, "comboLegs", 8)
        _block(cursor, wire, "orderComboLegs", 1)
        _block(cursor, wire, "smartComboRoutingParams", 2)


def _read_middle(cursor: Cursor, wire: dict[str, str]) -> None:
    _take(cursor, wire, *_UP_TO_DELTA_NEUTRAL)
    if wire["deltaNeutralOrderType"]:
        wire["deltaNeutral"] = BLOCK_SEPARATOR.join(cursor.take(8))
    _take(cursor, wire, *_SCALE, "scalePriceIncrement")
    increment = parse_number(wire["scalePriceIncrement"])
    if increment is not None and increment > 0:
        wire["scale"] = BLOCK_SEPARATOR.join(cursor.take(7))
    _take(cursor, wire, "scaleTable", "activeStartTime", "activeStopTime", "hedgeType")
    if wire["hedgeType"]:
        _take(cursor, wire, "hedgeParam")
    _take(cursor, wire, "optOutSmartRouting", "clearingAccount", "clearingIntent", "notHeld")


def _read_algorithm(cursor: Cursor, wire: dict[str, str]) -> bool:
    """Delta-neutral contract, algorithm, its id; returns the what-if flag that follows them."""
    if cursor.flag():
        wire["deltaNeutralContract"] = BLOCK_SEPARATOR.join(cursor.take(3))
    _take(cursor, wire, "algoStrategy")
    if wire["algoStrategy"]:
        _block(cursor, wire, "algoParams", 2)
    _take(cursor, wire, "algoId")
    return cursor.flag()


def _read_conditions(cursor: Cursor, wire: dict[str, str]) -> None:
    count = cursor.count()
    if not count:
        return
    fields = [str(count)]
    for _ in range(count):
        kind = cursor.text()
        if kind not in _CONDITION_FIELDS:
            raise ValueProblem(f'Unknown order condition type "{kind[:40]}"')
        fields += [kind, *cursor.take(_CONDITION_FIELDS[kind])]
    wire["conditions"] = BLOCK_SEPARATOR.join((*fields, *cursor.take(2)))


def _read_tail(cursor: Cursor, wire: dict[str, str], order_type: str, exchange: str) -> None:
    version = cursor.version
    if order_type in PEG_BENCH:
        wire["pegBench"] = BLOCK_SEPARATOR.join(cursor.take(5))
    _read_conditions(cursor, wire)
    _take(cursor, wire, *_ADJUSTED)
    for since, name in (
        (158, "duration"),
        (160, "postToAts"),
        (162, "autoCancelParent"),
        (166, "advancedErrorOverride"),
        (169, "manualOrderTime"),
    ):
        if version >= since:
            _take(cursor, wire, name)
    if version >= 170:
        _read_pegged(cursor, wire, order_type, exchange)
    for since, name in ((183, "customerAccount"), (184, "professionalCustomer")):
        if version >= since:
            _take(cursor, wire, name)
    if 187 <= version <= 189:
        cursor.take(2)  # request-for-quote fields that lived for three versions and were never used
    for since, name in ((189, "includeOvernight"), (192, "manualOrderIndicator"), (199, "imbalanceOnly")):
        if version >= since:
            _take(cursor, wire, name)


def _read_pegged(cursor: Cursor, wire: dict[str, str], order_type: str, exchange: str) -> None:
    if exchange == "IBKRATS":
        _take(cursor, wire, "minTradeQty")
    if order_type in PEG_BEST:
        _take(cursor, wire, "minCompeteSize", "competeAgainstBestOffset")
        if is_infinite(wire["competeAgainstBestOffset"]):
            _take(cursor, wire, "midOffsetAtWhole", "midOffsetAtHalf")
    elif order_type in PEG_MID:
        _take(cursor, wire, "midOffsetAtWhole", "midOffsetAtHalf")
