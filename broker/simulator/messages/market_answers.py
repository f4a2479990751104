"""What the gateway says about contracts and prices: details, samples, option chains, ticks and bars.

The same rule as for the other answers holds: exact field counts per server version.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from broker.simulator.messages.answers import Answer, multiplier_text
from broker.simulator.messages.values import escaped, number, size
from broker.simulator.model import Bar, Instrument

BID_SIZE, BID, ASK, ASK_SIZE, LAST, LAST_SIZE, VOLUME, CLOSE, LAST_TIME = 0, 1, 2, 3, 4, 5, 8, 9, 45
DELAYED_TYPES = {BID: 66, ASK: 67, LAST: 68, BID_SIZE: 69, ASK_SIZE: 70, LAST_SIZE: 71, VOLUME: 74, CLOSE: 75, LAST_TIME: 88}
NO_FUND_FIELDS = 17


@dataclass(frozen=True)
class ContractDetails(Answer):
    """contractDetails; the hours are IB's texts for the coming days, `min_tick` the finest step of the market rule."""

    ID = 10
    req_id: int
    instrument: Instrument
    min_tick: Decimal
    trading_hours: str
    liquid_hours: str = ""

    def fields(self, version: int) -> list[str]:
        return ["10", *(["8"] if version < 164 else []), *self._contract(version), *self._description(), *self._tail(version)]

    def _contract(self, version: int) -> list[str]:
        item = self.instrument
        return [
            str(self.req_id), item.symbol, item.sec_type, item.expiry, *([item.expiry] if version >= 182 else []), number(item.strike),
            item.right, item.exchange, item.currency, item.local_symbol, item.market_name, item.trading_class, str(item.con_id),
            number(self.min_tick), *(["100"] if version < 164 else []), multiplier_text(item),
        ]  # fmt: skip

    def _description(self) -> list[str]:
        item = self.instrument
        month = item.expiry[:6]
        return [
            item.order_types, ",".join(self._exchanges()), "1", str(item.under_con_id), escaped(item.long_name), item.primary_exchange,
            month,
            item.industry, "", "", item.time_zone, self.trading_hours, self.liquid_hours, "", "0", "0",
        ]  # fmt: skip

    def _exchanges(self) -> list[str]:
        item = self.instrument
        return [item.exchange, *([item.primary_exchange] if item.primary_exchange not in ("", item.exchange) else [])]

    def _tail(self, version: int) -> list[str]:
        item = self.instrument
        rules = ",".join([str(item.market_rule_id)] * len(self._exchanges()))
        under_type = "" if not item.under_symbol else "STK" if item.sec_type == "OPT" else "IND"
        out = ["1", item.under_symbol, under_type, rules, item.expiry, item.stock_type]
        if version == 163:
            out.append(number(item.size_increment))
        if version >= 164:
            out += [number(item.min_size), number(item.size_increment), number(item.size_increment)]
        if version >= 179 and item.sec_type == "FUND":
            out += [""] * NO_FUND_FIELDS
        if version >= 186:
            out.append("0")
        return out


@dataclass(frozen=True)
class ContractDetailsEnd(Answer):
    ID, VERSION = 52, 1
    req_id: int


@dataclass(frozen=True)
class SymbolSamples(Answer):
    ID = 79
    req_id: int
    samples: tuple[tuple[Instrument, tuple[str, ...]], ...]  # each with the types of its derivatives

    def fields(self, version: int) -> list[str]:
        out = ["79", str(self.req_id), str(len(self.samples))]
        for item, derivatives in self.samples:
            out += [str(item.con_id), item.symbol, item.sec_type, item.primary_exchange, item.currency, str(len(derivatives)), *derivatives]
            if version >= 176:
                out += [escaped(item.long_name), ""]
        return out


@dataclass(frozen=True)
class OptionParameters(Answer):
    """securityDefinitionOptionParameter: one chain."""

    ID = 75
    req_id: int
    exchange: str
    underlying_con_id: int
    trading_class: str
    multiplier: Decimal
    expirations: tuple[str, ...]
    strikes: tuple[Decimal, ...]

    def fields(self, version: int) -> list[str]:
        return [
            "75", str(self.req_id), self.exchange, str(self.underlying_con_id), self.trading_class, number(self.multiplier),
            str(len(self.expirations)), *self.expirations, str(len(self.strikes)), *(number(strike) for strike in self.strikes),
        ]  # fmt: skip


@dataclass(frozen=True)
class OptionParametersEnd(Answer):
    ID = 76
    req_id: int


# --- ticks ------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MarketDataType(Answer):
    ID, VERSION = 58, 1
    req_id: int
    market_data_type: int


@dataclass(frozen=True)
class TickRequestParameters(Answer):
    ID = 81
    req_id: int
    min_tick: Decimal
    bbo_exchange: str
    snapshot_permissions: int


@dataclass(frozen=True)
class TickPrice(Answer):
    ID = 1
    req_id: int
    tick_type: int
    price: Decimal
    size: Decimal

    def fields(self, version: int) -> list[str]:
        return ["1", "6", str(self.req_id), str(self.tick_type), number(self.price), size(self.size, version), "1"]


@dataclass(frozen=True)
class TickSize(Answer):
    ID = 2
    req_id: int
    tick_type: int
    size: Decimal

    def fields(self, version: int) -> list[str]:
        return ["2", "6", str(self.req_id), str(self.tick_type), size(self.size, version)]


@dataclass(frozen=True)
class TickString(Answer):
    ID, VERSION = 46, 6
    req_id: int
    tick_type: int
    value: str


@dataclass(frozen=True)
class TickSnapshotEnd(Answer):
    ID, VERSION = 57, 1
    req_id: int


# --- bars -------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WireBar:
    """One bar with its date in the format the client asked for."""

    date: str
    bar: Bar


@dataclass(frozen=True)
class HistoricalData(Answer):
    """historicalData with its end; from server version 196 the end is a frame of its own (HistoricalDataEnd), sent by the caller."""

    ID = 17
    req_id: int
    start: str
    end: str
    bars: tuple[WireBar, ...]

    def fields(self, version: int) -> list[str]:
        out = ["17", str(self.req_id), *([self.start, self.end] if version < 196 else []), str(len(self.bars))]
        for one in self.bars:
            bar = one.bar
            prices = (number(price) for price in (bar.open, bar.high, bar.low, bar.close))
            out += [one.date, *prices, size(bar.volume, version), number(bar.average), str(bar.trades)]
        return out


@dataclass(frozen=True)
class HistoricalDataEnd(Answer):
    ID = 108
    req_id: int
    start: str
    end: str


@dataclass(frozen=True)
class HistoricalDataUpdate(Answer):
    """historicalDataUpdate; its fields stand in another order than those of historicalData."""

    ID = 90
    req_id: int
    wire_bar: WireBar

    def fields(self, version: int) -> list[str]:
        bar = self.wire_bar.bar
        prices = (number(price) for price in (bar.open, bar.close, bar.high, bar.low, bar.average))
        return ["90", str(self.req_id), str(bar.trades), self.wire_bar.date, *prices, size(bar.volume, version)]
