"""IB's figures in our words: contract details, price ladders, quotes, profit and loss, previews, bars. Pure, like `translate`.

The rule kept here: an unset figure is None, never zero; a price of -1 or of no size is no price.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from ib_async import BarData, ContractDescription, ContractDetails, OrderState, PriceIncrement

from broker.translate import contract_facts, number, readable
from orders.rules.reports import ContractDetailed, MarketRuleReported, QuoteReported
from orders.rules.terms import plain

# Tick types (docs: "Available Tick Types"): live, then the same figure delayed by 10 to 20 minutes.
_PRICES = {1: "bid", 66: "bid", 2: "ask", 67: "ask", 4: "last", 68: "last", 9: "close", 75: "close"}
_SIZES = {0: "bid_size", 69: "bid_size", 3: "ask_size", 70: "ask_size", 5: "last_size", 71: "last_size", 8: "volume", 74: "volume"}
_SIZE_OF = {"bid": "bid_size", "ask": "ask_size"}
FIRST_DELAYED_TICK = 66
DELAYED_TYPES = frozenset({3, 4})  # reqMarketDataType: 1 live, 2 frozen, 3 delayed, 4 delayed and frozen


@dataclass
class Line:
    """The newest figures of one market data line; each tick changes one of them."""

    con_id: int
    figures: dict[str, Decimal | None] = field(default_factory=dict)
    delayed: bool = False

    def price(self, tick_type: int, price: float, size: float) -> bool:
        """Takes a price tick; True where it is one that we show. Size 0 or price -1 say that nobody quotes (docs: "-1: no data")."""
        name = _PRICES.get(tick_type)
        if name is None:
            return False
        self.delayed = self.delayed or tick_type >= FIRST_DELAYED_TICK
        absent = price == -1 or (name in _SIZE_OF and size == 0)
        self.figures[name] = None if absent else number(price)
        if name in _SIZE_OF:
            self.figures[_SIZE_OF[name]] = None if absent else number(size)
        elif name == "last" and size:
            self.figures["last_size"] = number(size)
        return True

    def size(self, tick_type: int, size: float) -> bool:
        """Takes a size tick; True where it is one that we show. A side whose size has gone to 0 has no price either."""
        name = _SIZES.get(tick_type)
        if name is None:
            return False
        self.delayed = self.delayed or tick_type >= FIRST_DELAYED_TICK
        self.figures[name] = number(size)
        if name in ("bid_size", "ask_size") and size == 0:
            self.figures[name.removesuffix("_size")] = None
        return True

    def quote(self, at: datetime) -> QuoteReported:
        return QuoteReported(con_id=self.con_id, at=at, delayed=self.delayed, **self.figures)  # type: ignore[arg-type]


def detailed(details: ContractDetails) -> ContractDetailed:
    """Contract details; raises ValueError where they name no contract or no tick."""
    contract, min_tick = details.contract, number(details.minTick)
    if contract is None or not contract.conId or not min_tick:
        raise ValueError("contract details without a contract or a tick")
    exchanges = _words(details.validExchanges)
    rules = tuple(int(rule) for rule in _words(details.marketRuleIds))
    return ContractDetailed(
        contract=contract_facts(contract),
        long_name=readable(details.longName),
        min_tick=min_tick,
        order_types=_words(details.orderTypes),
        valid_exchanges=exchanges,
        market_rule_ids=rules,
        min_size=number(details.minSize) or Decimal(1),
        size_increment=number(details.sizeIncrement) or Decimal(1),
        time_zone=details.timeZoneId,
        trading_hours=details.tradingHours,
        liquid_hours=details.liquidHours,
        contract_month=details.contractMonth,
        stock_type=details.stockType,
    )


def market_rule(rule_id: int, increments: list[PriceIncrement]) -> MarketRuleReported:
    """A price ladder, ascending by the low edge of its bands."""
    steps = [(number(step.lowEdge) or Decimal(0), number(step.increment)) for step in increments]
    if not steps or any(not tick for _, tick in steps):
        raise ValueError(f"market rule {rule_id} has no ticks")
    return MarketRuleReported(rule_id=rule_id, increments=tuple(sorted((edge, tick) for edge, tick in steps if tick)))


def found(description: ContractDescription) -> dict[str, Any] | None:
    """One answer to a symbol search, as Inquiry.answer keeps it; None for what cannot be ordered by its id (an issuer's bonds)."""
    contract = description.contract
    if contract is None or not contract.conId:
        return None
    return {
        "con_id": contract.conId,
        "symbol": contract.symbol,
        "sec_type": contract.secType,
        "primary_exchange": contract.primaryExchange,
        "currency": contract.currency,
        "description": readable(contract.description),
    }


def chains(rows: Iterable[tuple[str, int, str, str, Iterable[str], Iterable[float]]]) -> list[dict[str, Any]]:
    """Option chains as Inquiry.answer keeps them: those of one exchange, trading class and multiplier together, SMART first.

    IB tells them in as many parts as it likes. Expirations are days (20261218), strikes decimals in text, both ascending.
    """
    found: dict[tuple[str, str, str], tuple[set[str], set[Decimal]]] = {}
    for exchange, _underlying, trading_class, multiplier, expirations, strikes in rows:
        days, prices = found.setdefault((exchange, trading_class, multiplier), (set(), set()))
        days.update(expirations)
        prices.update(price for strike in strikes if (price := number(strike)) is not None)
    return [
        {
            "exchange": exchange,
            "trading_class": trading_class,
            "multiplier": multiplier,
            "expirations": sorted(days),
            "strikes": [plain(price) for price in sorted(prices)],
        }
        for (exchange, trading_class, multiplier), (days, prices) in sorted(found.items(), key=lambda one: (one[0][0] != "SMART", one[0]))
    ]


def preview(state: OrderState, notices: Sequence[str] = ()) -> dict[str, Any]:
    """The answer to a what-if: margins and commission as decimals in text, None where IB left them unset. `warning`: all that was said."""
    figures = {
        "initial_margin_before": state.initMarginBefore,
        "initial_margin_change": state.initMarginChange,
        "initial_margin_after": state.initMarginAfter,
        "maintenance_margin_before": state.maintMarginBefore,
        "maintenance_margin_change": state.maintMarginChange,
        "maintenance_margin_after": state.maintMarginAfter,
        "equity_with_loan_before": state.equityWithLoanBefore,
        "equity_with_loan_change": state.equityWithLoanChange,
        "equity_with_loan_after": state.equityWithLoanAfter,
        "commission": state.commission,
        "least_commission": state.minCommission,
        "most_commission": state.maxCommission,
    }
    answer: dict[str, Any] = {name: _text(value) for name, value in figures.items()}
    warning = " ".join(text for text in (readable(state.warningText), *notices) if text)
    return {**answer, "commission_currency": state.commissionCurrency, "warning": warning}


def bar_row(bar: BarData) -> list[str | None]:
    """[time, open, high, low, close, volume]: the time in ISO 8601 (a date for daily bars), the rest decimals in text."""
    when = bar.date
    if isinstance(when, str) and len(when) == 8:
        shown = date(int(when[:4]), int(when[4:6]), int(when[6:])).isoformat()
    else:
        shown = datetime.fromtimestamp(int(str(when)), UTC).isoformat()
    return [shown, *(_text(value) for value in (bar.open, bar.high, bar.low, bar.close, bar.volume))]


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _text(value: float | str) -> str | None:
    decimal = number(value)
    return None if decimal is None else plain(decimal)
