"""openOrder and completedOrder: the two messages that echo a whole order.

They carry nearly the same fields in different orders. What the exchange trades on comes from the order's state; everything else the
client sent comes back under its IB name, or as the default a real gateway fills in. The rule kept: the layout follows the server
version exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from broker.simulator.messages.answers import Answer, contract_block
from broker.simulator.messages.place_order import BLOCK_SEPARATOR, PEG_BENCH
from broker.simulator.messages.values import UNSET_DOUBLE, UNSET_INTEGER, UNSET_LONG, escaped, flag, number, size, timestamp
from broker.simulator.model import Instrument, OrderState, WhatIf

_SCALE_SIZES = ("scaleInitLevelSize", "scaleSubsLevelSize")
_GATEWAY_DEFAULTS = {
    "openClose": "O", "origin": "0", "hidden": "0", "discretionaryAmt": "0", "exemptCode": "-1", "shortSaleSlot": "0",
    "auctionStrategy": "0",
    "displaySize": UNSET_INTEGER, "blockOrder": "0", "sweepToFill": "0", "allOrNone": "0", "triggerMethod": "0", "volatilityType": "0",
    "deltaNeutralOrderType": "None", "continuousUpdate": "0", "referencePriceType": "0", "scaleInitLevelSize": UNSET_INTEGER,
    "scaleSubsLevelSize": UNSET_INTEGER, "optOutSmartRouting": "0", "clearingIntent": "IB", "notHeld": "0", "solicited": "0",
    "randomizeSize": "0", "randomizePrice": "0", "adjustedOrderType": "None", "adjustableTrailingUnit": "0",
    "dontUseAutoPriceForHedge": "1",
    "isOmsContainer": "0", "discretionaryUpToLimitPrice": "0", "usePriceMgmtAlgo": "0", "autoCancelParent": "0",
    "professionalCustomer": "0",
    "includeOvernight": "0", "manualOrderIndicator": UNSET_INTEGER, "imbalanceOnly": "0", "triggerPrice": UNSET_DOUBLE,
    "lmtPriceOffset": UNSET_DOUBLE, "adjustedStopPrice": UNSET_DOUBLE, "adjustedStopLimitPrice": UNSET_DOUBLE,
    "adjustedTrailingAmount": UNSET_DOUBLE, "rule80A": "0",
}  # fmt: skip
_NO_DELTA_NEUTRAL_OPEN = ("0", "", "", "", "?", "0", "0", "")
_NO_DELTA_NEUTRAL_COMPLETED = ("0", "0", "0", "")
_DELTA_NEUTRAL_COMPLETED_PICK = (0, 5, 6, 7)  # of the eight delta-neutral fields, those that completedOrder repeats
GATEWAY_OCA_TYPE = 3  # what a real gateway reports for an order that was sent with ocaType 0


@dataclass(frozen=True)
class _Echo:
    """The client's own fields of one order, with the gateway's defaults behind them."""

    order: OrderState
    instrument: Instrument
    version: int

    def get(self, *names: str) -> list[str]:
        wire = self.order.request.wire
        return [wire.get(name) or _GATEWAY_DEFAULTS.get(name, "") for name in names]

    def block(self, name: str) -> list[str]:
        """A counted block as it was sent; a lone zero where the client sent none."""
        value = self.order.request.wire.get(name)
        return value.split(BLOCK_SEPARATOR) if value else ["0"]

    def raw(self, name: str) -> list[str]:
        value = self.order.request.wire.get(name)
        return value.split(BLOCK_SEPARATOR) if value else []

    def contract(self) -> list[str]:
        exchange = self.order.request.wire.get("exchange") or self.instrument.exchange
        return contract_block(self.instrument, exchange, unset_right="?")

    def terms(self) -> list[str]:
        request = self.order.request
        return [
            request.action, size(request.quantity, self.version), request.order_type, number(request.limit_price or Decimal(0)),
            number(request.aux_price or Decimal(0)), request.tif, request.oca_group, request.account, *self.get("openClose", "origin"),
            request.order_ref,
        ]  # fmt: skip

    def advisor(self) -> list[str]:
        names = ("faGroup", "faMethod", "faPercentage", *(("faProfile",) if self.version < 177 else ()))
        return self.get(*names)

    def scale(self) -> list[str]:
        return [*self.get(*_SCALE_SIZES, "scalePriceIncrement"), *self.raw("scale")]

    def hedge(self) -> list[str]:
        kind = self.get("hedgeType")
        return [*kind, *self.get("hedgeParam")] if kind[0] else kind

    def delta_neutral_contract(self) -> list[str]:
        block = self.raw("deltaNeutralContract")
        return ["1", *block] if block else ["0"]

    def algorithm(self) -> list[str]:
        strategy = self.get("algoStrategy")
        return [*strategy, *self.block("algoParams")] if strategy[0] else strategy

    def pegged_bench(self) -> list[str]:
        return self.raw("pegBench") if self.order.request.order_type in PEG_BENCH else []

    def pegged(self) -> list[str]:
        return self.get("minTradeQty", "minCompeteSize", "competeAgainstBestOffset", "midOffsetAtWhole", "midOffsetAtHalf")

    def oca_type(self) -> str:
        return str(self.order.request.oca_type or GATEWAY_OCA_TYPE)


@dataclass(frozen=True)
class OpenOrder(Answer):
    """openOrder: an order's full terms and its OrderState. With `preview` it is the answer to a what-if and nothing else is sent."""

    ID = 5
    order: OrderState
    instrument: Instrument
    preview: WhatIf | None = None
    submitter: str = ""
    live: bool = False  # news of an order, not the answer to a request for open orders

    def fields(self, version: int) -> list[str]:
        echo = _Echo(self.order, self.instrument, version)
        return [*self._identity(echo), *self._attributes(echo), *self._strategy(echo), *self._state(echo), *self._tail(echo)]

    def _identity(self, echo: _Echo) -> list[str]:
        request = self.order.request
        return [
            "5", str(request.order_id), *echo.contract(), *echo.terms(), str(request.client_id), str(self.order.perm_id),
            flag(request.outside_rth), *echo.get("hidden", "discretionaryAmt", "goodAfterTime"), "", *echo.advisor(),
        ]  # fmt: skip

    def _attributes(self, echo: _Echo) -> list[str]:
        delta_neutral = echo.raw("deltaNeutral") or list(_NO_DELTA_NEUTRAL_OPEN)
        return [
            *echo.get("modelCode", "goodTillDate"), echo.order.request.wire.get("rule80A", ""), *echo.get(
                "percentOffset", "settlingFirm", "shortSaleSlot", "designatedLocation", "exemptCode", "auctionStrategy", "startingPrice",
                "stockRefPrice", "delta", "stockRangeLower", "stockRangeUpper", "displaySize", "blockOrder", "sweepToFill", "allOrNone",
                "minQty",
            ), echo.oca_type(), "0", "0", "", str(self.order.request.parent_id),
            *echo.get("triggerMethod", "volatility", "volatilityType", "deltaNeutralOrderType", "deltaNeutralAuxPrice"), *delta_neutral,
        ]  # fmt: skip

    def _strategy(self, echo: _Echo) -> list[str]:
        return [
            *echo.get("continuousUpdate", "referencePriceType", "trailStopPrice", "trailingPercent"), "", "", "",
            *echo.block("comboLegs"), *echo.block("orderComboLegs"), *echo.block("smartComboRoutingParams"), *echo.scale(), *echo.hedge(),
            *echo.get("optOutSmartRouting", "clearingAccount", "clearingIntent", "notHeld"), *echo.delta_neutral_contract(),
            *echo.algorithm(), *echo.get("solicited"), flag(self.preview is not None),
        ]  # fmt: skip

    def _state(self, echo: _Echo) -> list[str]:
        preview = self.preview
        if preview is None:
            margins = [UNSET_DOUBLE] * 9
            commission, currency, warning = self.order.commission, self.instrument.currency, ""
        else:
            margins = [
                number(value)
                for value in (
                    preview.init_before, preview.maint_before, preview.equity_before, preview.init_change, preview.maint_change,
                    preview.equity_change, preview.init_after, preview.maint_after, preview.equity_after,
                )
            ]  # fmt: skip
            commission, currency, warning = preview.commission, preview.currency, preview.warning
        charged = number(commission, UNSET_DOUBLE)
        known = currency if commission is not None else ""
        out = [self.order.status, *margins, charged, UNSET_DOUBLE, UNSET_DOUBLE, known]
        if echo.version >= 195:
            out += [known, *[UNSET_DOUBLE] * 9, UNSET_LONG, "", "0"]
        return [*out, escaped(warning)]

    def _tail(self, echo: _Echo) -> list[str]:
        version = echo.version
        out = [*echo.get("randomizeSize", "randomizePrice"), *echo.pegged_bench(), *echo.block("conditions")]
        out += echo.get(
            "adjustedOrderType", "triggerPrice", "trailStopPrice", "lmtPriceOffset", "adjustedStopPrice", "adjustedStopLimitPrice",
            "adjustedTrailingAmount", "adjustableTrailingUnit", "softDollarTierName", "softDollarTierValue", "softDollarTierDisplayName",
            "cashQty", "dontUseAutoPriceForHedge", "isOmsContainer", "discretionaryUpToLimitPrice", "usePriceMgmtAlgo",
        )  # fmt: skip
        for since, name in ((158, "duration"), (160, "postToAts"), (162, "autoCancelParent")):
            out += echo.get(name) if version >= since else []
        out += echo.pegged() if version >= 170 else []
        for since, name in (
            (183, "customerAccount"),
            (184, "professionalCustomer"),
            (185, "bondAccruedInterest"),
            (189, "includeOvernight"),
        ):
            out += echo.get(name) if version >= since else []
        out += echo.get("extOperator", "manualOrderIndicator") if version >= 193 else []
        out += [self.submitter] if version >= 198 else []
        out += echo.get("imbalanceOnly") if version >= 199 else []
        return out


@dataclass(frozen=True)
class CompletedOrder(Answer):
    """completedOrder: an order of today that is no longer open. It has no order id and no client id; the permanent id identifies it."""

    ID = 101
    order: OrderState
    instrument: Instrument
    submitter: str = ""

    def fields(self, version: int) -> list[str]:
        echo = _Echo(self.order, self.instrument, version)
        return [*self._identity(echo), *self._attributes(echo), *self._strategy(echo), *self._outcome(echo)]

    def _identity(self, echo: _Echo) -> list[str]:
        request = self.order.request
        return [
            "101", *echo.contract(), *echo.terms(), str(self.order.perm_id), flag(request.outside_rth),
            *echo.get("hidden", "discretionaryAmt", "goodAfterTime"), *echo.advisor(),
        ]  # fmt: skip

    def _attributes(self, echo: _Echo) -> list[str]:
        block = echo.raw("deltaNeutral")
        delta_neutral = [block[i] for i in _DELTA_NEUTRAL_COMPLETED_PICK] if block else list(_NO_DELTA_NEUTRAL_COMPLETED)
        return [
            *echo.get(
                "modelCode", "goodTillDate", "rule80A", "percentOffset", "settlingFirm", "shortSaleSlot", "designatedLocation",
                "exemptCode",
                "startingPrice", "stockRefPrice", "delta", "stockRangeLower", "stockRangeUpper", "displaySize", "sweepToFill",
                "allOrNone", "minQty",
            ), echo.oca_type(),
            *echo.get("triggerMethod", "volatility", "volatilityType", "deltaNeutralOrderType", "deltaNeutralAuxPrice"), *delta_neutral,
        ]  # fmt: skip

    def _strategy(self, echo: _Echo) -> list[str]:
        return [
            *echo.get("continuousUpdate", "referencePriceType", "trailStopPrice", "trailingPercent"), "",
            *echo.block("comboLegs"), *echo.block("orderComboLegs"), *echo.block("smartComboRoutingParams"), *echo.scale(), *echo.hedge(),
            *echo.get("clearingAccount", "clearingIntent", "notHeld"), *echo.delta_neutral_contract(), *echo.algorithm(),
            *echo.get("solicited"),
            self.order.status, *echo.get("randomizeSize", "randomizePrice"), *echo.pegged_bench(), *echo.block("conditions"),
        ]  # fmt: skip

    def _outcome(self, echo: _Echo) -> list[str]:
        order, version = self.order, echo.version
        out = [
            *echo.get("trailStopPrice", "lmtPriceOffset", "cashQty", "dontUseAutoPriceForHedge", "isOmsContainer"), "",
            size(order.filled, version), UNSET_INTEGER, *echo.get("autoCancelParent"), "Not an insider or substantial shareholder",
            *echo.get("imbalanceOnly"), "0", str(order.parent_perm_id), timestamp(order.completed_at) if order.completed_at else "",
            escaped(order.completed_status),
        ]  # fmt: skip
        out += echo.pegged() if version >= 170 else []
        for since, name in ((183, "customerAccount"), (184, "professionalCustomer")):
            out += echo.get(name) if version >= since else []
        return [*out, self.submitter] if version >= 198 else out
