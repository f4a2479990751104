"""The accounts of the simulated exchange: positions at average cost, cash by currency, profit and loss, margins.

Every change comes from an execution booked by `Accounts.book`; values are worked out from the market when they are asked for. As at IB,
an average cost is that of one unit times the multiplier, with commissions, and a realized result has the commissions of both ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from broker.simulator.fees import margin
from broker.simulator.market import Market
from broker.simulator.model import Fill, Instrument, PositionChanged

BASE = "USD"
ZERO = Decimal(0)
COST_GRAIN = Decimal("0.00000001")
CENT = Decimal("0.01")
LEVERAGE = 4  # buying power per dollar of available funds, as a margin account at 25 % shows it
# What one unit of a currency is worth in the base: the pair that tells it, and whether the pair is quoted the other way round.
RATE_PAIRS = {"EUR": ("EUR.USD", False), "GBP": ("GBP.USD", False), "JPY": ("USD.JPY", True)}


@dataclass(slots=True)
class Trade:
    """What one execution, by the root of its id, did to a holding: units with their sign, price of one (multiplier included), cost."""

    root: str
    signed: Decimal
    unit_price: Decimal
    commission: Decimal


@dataclass(slots=True)
class Holding:
    """One account's position in one instrument, with what its day's result is worked out from."""

    quantity: Decimal = ZERO
    average_cost: Decimal = ZERO
    realized: Decimal = ZERO  # today's, in the instrument's currency
    day_flow: Decimal = ZERO  # minus the value at the day's start, minus what was paid today, plus what was received
    before: tuple[Decimal, Decimal, Decimal, Decimal] = (ZERO, ZERO, ZERO, ZERO)  # the four above, ahead of the first of `trades`
    trades: list[Trade] = field(default_factory=list)  # today's, or those since the position was set by hand

    def book(self, trade: Trade) -> Decimal | None:
        """Add an execution; the realized result, None where nothing was closed."""
        if not self.trades:
            self.before = (self.quantity, self.average_cost, self.realized, self.day_flow)
        self.trades.append(trade)
        return self._take(trade)

    def rebook(self, trade: Trade, replaced: Trade) -> Decimal | None:
        """Put a corrected execution in the place of the one booked before, as if it had been so from the start; its realized result.

        Where the position was set by hand after it, what was set stands, and the difference is booked on it.
        """
        place = next((number for number, one in enumerate(self.trades) if one.root == trade.root), None)
        if place is None:
            moved = trade.signed - replaced.signed
            return self.book(Trade(trade.root, moved, trade.unit_price, trade.commission - replaced.commission)) if moved else None
        self.trades[place] = trade
        self.quantity, self.average_cost, self.realized, self.day_flow = self.before
        results = [self._take(one) for one in self.trades]
        return results[place]

    def _take(self, trade: Trade) -> Decimal | None:
        signed, unit_price, commission = trade.signed, trade.unit_price, trade.commission
        if not signed:  # busted
            return None
        self.day_flow -= unit_price * signed + commission
        closed = min(abs(self.quantity), abs(signed)) if self.quantity * signed < 0 else ZERO
        closing_commission = commission * closed / abs(signed)
        result = None
        if closed:
            direction = 1 if self.quantity > 0 else -1
            result = (unit_price - self.average_cost) * closed * direction - closing_commission
            self.realized += result
            self.quantity -= closed * direction
        opened = signed + closed if signed < 0 else signed - closed
        if opened:
            basis = self.average_cost * self.quantity + unit_price * opened + commission - closing_commission
            self.quantity += opened
            self.average_cost = (basis / self.quantity).quantize(COST_GRAIN)
        elif not self.quantity:
            self.average_cost = ZERO
        return result


@dataclass(slots=True)
class Account:
    cash: dict[str, Decimal]
    holdings: dict[int, Holding] = field(default_factory=dict)


def trade_of(fill: Fill, instrument: Instrument, commission: Decimal) -> Trade:
    signed = fill.shares if fill.side == "BOT" else -fill.shares
    return Trade(fill.exec_id.rpartition(".")[0], signed, fill.price * instrument.multiplier, commission)


class Accounts:
    """All accounts, valued with the marks of one market."""

    def __init__(self, names: Sequence[str], cash: Decimal, market: Market) -> None:
        self.market = market
        self.by_name = {name: Account({BASE: cash}) for name in names}

    def book(self, fill: Fill, instrument: Instrument, commission: Decimal) -> tuple[PositionChanged, Decimal | None]:
        """Book one execution; the position after it and the realized result (None where it only opened)."""
        account = self.by_name[fill.account]
        signed = fill.shares if fill.side == "BOT" else -fill.shares
        unit_price = fill.price * instrument.multiplier
        account.cash[instrument.currency] = account.cash.get(instrument.currency, ZERO) - unit_price * signed - commission
        if instrument.sec_type == "CASH":
            account.cash[instrument.symbol] = account.cash.get(instrument.symbol, ZERO) + signed
        holding = account.holdings.setdefault(fill.con_id, Holding())
        realized = holding.book(trade_of(fill, instrument, commission))
        return self._position(fill.account, fill.con_id, holding), realized

    def rebook(
        self, fill: Fill, commission: Decimal, replaced: Fill, replaced_commission: Decimal, instrument: Instrument
    ) -> tuple[PositionChanged, Decimal | None]:
        """Put a corrected execution in the place of the one that was booked: cash by the difference, the position as if it had been so
        from the start."""
        account = self.by_name[fill.account]
        new, old = trade_of(fill, instrument, commission), trade_of(replaced, instrument, replaced_commission)
        paid = new.unit_price * new.signed + commission - old.unit_price * old.signed - replaced_commission
        account.cash[instrument.currency] = account.cash.get(instrument.currency, ZERO) - paid
        if instrument.sec_type == "CASH":
            account.cash[instrument.symbol] = account.cash.get(instrument.symbol, ZERO) + new.signed - old.signed
        holding = account.holdings.setdefault(fill.con_id, Holding())
        realized = holding.rebook(new, old)
        return self._position(fill.account, fill.con_id, holding), realized

    def positions(self) -> list[PositionChanged]:
        """Every position that is not flat, by account and contract."""
        return [
            self._position(name, con_id, holding)
            for name, account in self.by_name.items()
            for con_id, holding in account.holdings.items()
            if holding.quantity
        ]

    def quantity(self, account: str, con_id: int) -> Decimal:
        holding = self.by_name[account].holdings.get(con_id)
        return holding.quantity if holding else ZERO

    def start_day(self) -> None:
        """Begin the day's results anew: realized results at zero, daily results from the present marks; flat positions are forgotten."""
        for account in self.by_name.values():
            account.holdings = {con_id: one for con_id, one in account.holdings.items() if one.quantity}
            for con_id, holding in account.holdings.items():
                holding.realized = ZERO
                holding.trades = []
                holding.day_flow = -self._value(con_id, holding)

    # --- values in the base currency --------------------------------------------------------------------------------------------------

    def rate(self, currency: str) -> Decimal:
        """What one unit of `currency` is worth in dollars, by the middle of its pair."""
        if currency == BASE:
            return Decimal(1)
        pair, reverse = RATE_PAIRS[currency]
        mark = next(line.mark for line in self.market.lines.values() if line.instrument.local_symbol == pair)
        return 1 / mark if reverse else mark

    def equity(self, account: str) -> Decimal:
        """Net liquidation value. A pair bought is already in the cash of its two currencies and has no value of its own."""
        return self.total_cash(account) + self._worth(account, "STK") + self._worth(account, "OPT")

    def total_cash(self, account: str) -> Decimal:
        """Cash of all currencies; futures settle into it, so it has their whole result and not their nominal value."""
        held = self.by_name[account].cash
        return sum((amount * self.rate(currency) for currency, amount in held.items()), ZERO) + self._worth(account, "FUT")

    def margins(self, account: str, outcomes: Mapping[int, Sequence[Decimal]]) -> tuple[Decimal, Decimal]:
        """(initial, maintenance) margin of an account. `outcomes` says, by contract, which positions are thought of instead of the one
        held; of several, the one that asks for most counts."""
        initial = maintenance = ZERO
        for con_id in {**self.by_name[account].holdings, **outcomes}:
            thought_of = outcomes.get(con_id) or (self.quantity(account, con_id),)
            asked = max(self._margin(con_id, quantity) for quantity in thought_of)
            initial += asked[0]
            maintenance += asked[1]
        return initial, maintenance

    def profit(self, account: str) -> tuple[Decimal, Decimal, Decimal]:
        """(daily, unrealized, realized) result of an account, in dollars."""
        singles = [self.profit_single(account, con_id) for con_id in self.by_name[account].holdings]
        daily, unrealized, realized = (sum((one[place] for one in singles), ZERO) for place in (1, 2, 3))
        return daily, unrealized, realized

    def profit_single(self, account: str, con_id: int) -> tuple[Decimal, Decimal, Decimal, Decimal, Decimal]:
        """(position, daily, unrealized, realized, value) of one contract in an account, in dollars; zeros where it holds none."""
        holding = self.by_name[account].holdings.get(con_id)
        if holding is None:
            return ZERO, ZERO, ZERO, ZERO, ZERO
        rate = self.rate(self.market.lines[con_id].instrument.currency)
        value = self._value(con_id, holding)
        unrealized = value - holding.average_cost * holding.quantity
        return holding.quantity, (value + holding.day_flow) * rate, unrealized * rate, holding.realized * rate, value * rate

    def values(self, account: str) -> list[tuple[str, str, str]]:
        """(key, value, currency) rows as reqAccountUpdates sends them; amounts in dollars with cents, rates in full."""
        cash, equity = self.total_cash(account), self.equity(account)
        initial, maintenance = self.margins(account, {})
        _, unrealized, realized = self.profit(account)
        gross = self._worth(account, "STK", absolute=True) + self._worth(account, "OPT", absolute=True)
        available = equity - initial
        amounts = {
            "NetLiquidation": equity,
            "TotalCashValue": cash,
            "SettledCash": cash,
            "BuyingPower": max(available, ZERO) * LEVERAGE,
            "EquityWithLoanValue": equity,
            "GrossPositionValue": gross,
            "InitMarginReq": initial,
            "MaintMarginReq": maintenance,
            "AvailableFunds": available,
            "ExcessLiquidity": equity - maintenance,
            "UnrealizedPnL": unrealized,
            "RealizedPnL": realized,
        }
        cushion = (equity - maintenance) / equity if equity else ZERO
        rows = [("AccountCode", account, ""), ("AccountType", "INDIVIDUAL", ""), ("AccountReady", "true", "")]
        rows += [(key, str(amount.quantize(CENT)), BASE) for key, amount in amounts.items()]
        rows.append(("Cushion", str(cushion.quantize(Decimal("0.000001"))), ""))
        rows.append(("CashBalance", str(cash.quantize(CENT)), "BASE"))
        for currency, amount in sorted(self.by_name[account].cash.items()):
            rows.append(("CashBalance", str(amount.quantize(CENT)), currency))
            rows.append(("ExchangeRate", str(self.rate(currency).quantize(COST_GRAIN)), currency))
        return rows

    def _position(self, account: str, con_id: int, holding: Holding) -> PositionChanged:
        return PositionChanged(account, con_id, holding.quantity, holding.average_cost, holding.realized)

    def _value(self, con_id: int, holding: Holding) -> Decimal:
        line = self.market.lines[con_id]
        return holding.quantity * line.mark * line.instrument.multiplier

    def _worth(self, account: str, sec_type: str, *, absolute: bool = False) -> Decimal:
        total = ZERO
        for con_id, holding in self.by_name[account].holdings.items():
            instrument = self.market.lines[con_id].instrument
            if instrument.sec_type == sec_type:
                value = self._value(con_id, holding) * self.rate(instrument.currency)
                total += abs(value) if absolute else value
        return total

    def _margin(self, con_id: int, quantity: Decimal) -> tuple[Decimal, Decimal]:
        line = self.market.lines[con_id]
        under = self.market.lines.get(line.instrument.under_con_id)
        initial, maintenance = margin(line.instrument, quantity, line.mark, under.mark if under else ZERO)
        rate = self.rate(line.instrument.currency)
        return initial * rate, maintenance * rate
