"""The simulated exchange and broker behind the simulated gateway: the doors, the queries and the memory around the order flow.

No IO, no clock, no chance but a seeded one: the same seed and the same calls give the same events. What it decides where IB's documents
are silent: markets are open at any hour, whatever hours the contracts state; orders on close and on open (MOC, LOC, OPG) trade once a
weekday, at 16:00 and 09:30 in New York; a DAY order ends at 20:00 New York time; children go live when their parent has filled completely;
cancelling one member of a group cancels the rest; "today" begins at midnight in New York.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Self

from broker.simulator.accounts import Accounts
from broker.simulator.bars import price_history
from broker.simulator.changing import Changing
from broker.simulator.contingency import Contingencies
from broker.simulator.fees import order_commission
from broker.simulator.market import Market
from broker.simulator.model import (
    Bar,
    CommissionCharged,
    Event,
    Fill,
    Instrument,
    OrderRequest,
    OrderState,
    PositionChanged,
    QuoteChanged,
    Refused,
    WhatIf,
)
from broker.simulator.moments import GATEWAY_ZONE
from broker.simulator.order_types import Refusal
from broker.simulator.orderbook import OrderBook
from broker.simulator.snapshot import check_version, load, save
from broker.simulator.universe import build_universe, find_instruments, market_rule, search_instruments
from broker.simulator.universe_tables import Ladder
from broker.simulator.validation import refusal

FIRST_PERM_ID = 100_000_000
PERM_ID_EPOCH = 1_700_000_000  # permanent ids count on from the second the exchange was made, so a new one does not repeat an old one's
PERM_ID_SPAN = 1_900_000_000  # below 2**31, which clients older than server version 191 need


class Exchange(Changing):
    """A broker with its accounts and a market, driven by calls alone."""

    def __init__(
        self, *, seed: int, now: datetime, accounts: Sequence[str] = ("DU1000417", "DU1000902"), cash: Decimal = Decimal(1_000_000)
    ) -> None:
        self.seed = seed
        self.born = self.day = _local_day(now)
        self.instruments: Mapping[int, Instrument] = build_universe(self.born, self.day)
        self.market = Market(seed, self.instruments, now)
        self.ledger = Accounts(accounts, cash, self.market)
        self.book = OrderBook()
        self.contingencies = Contingencies(self.book)
        self.executions: list[tuple[Fill, CommissionCharged]] = []
        self.exec_count = 0
        self.exec_prefix = f"{seed & 0xFFFFFFFF:08x}.{int(now.timestamp()):08x}"
        self.next_perm_id = FIRST_PERM_ID + (int(now.timestamp()) - PERM_ID_EPOCH) % PERM_ID_SPAN

    # --- doors: orders --------------------------------------------------------------------------------------------------------------

    def submit(self, request: OrderRequest, now: datetime) -> list[Event]:
        """A new order, or a change of the open order of that client with that id.

        Answers what the gateway sends: nothing for an order that is not transmitted, a `Refused` for one that was not taken.
        """
        request = self._completed(request)
        client_id, order_id = request.client_id, request.order_id
        if order_id <= 0:
            return [Refused(client_id, order_id, 10149, f"Invalid order id: {order_id}")]
        self.book.see(client_id, order_id)
        known = self.book.orders.get((client_id, order_id))
        if known is not None and known.is_open:
            return self._modify(known, request, now)
        if known is not None and known.status == "Filled":
            return [Refused(client_id, order_id, 104, "Cannot modify a filled order.")]
        if order_id <= self.book.used_ids.get(client_id, 0):
            return [Refused(client_id, order_id, 103, "Duplicate order id")]
        reason = refusal(request, self.instruments.get(request.con_id), self.accounts, now) or self._parent_refusal(request)
        if reason:
            return [Refused(client_id, order_id, *reason)]
        order = self._booked(request, now)
        return self._transmit(order, now) if request.transmit else []

    def cancel(self, client_id: int, order_id: int, now: datetime) -> list[Event]:
        """Cancel an order of this client. Another client's order, or none: 10147; one that has ended: 10148; one on its way out: 161."""
        order = self.book.orders.get((client_id, order_id))
        if order is None:
            return [Refused(client_id, order_id, 10147, f"OrderId {order_id} that needs to be cancelled is not found.")]
        if not order.is_open:
            text = f"OrderId {order_id} that needs to be cancelled cannot be cancelled, state: {order.status}."
            return [Refused(client_id, order_id, 10148, text)]
        if order.status == "PendingCancel":
            text = f"Cancel attempted when order is not in a cancellable state. Order permId = {order.perm_id}"
            return [Refused(client_id, order_id, 161, text)]
        return self._ask_cancel(order, now)

    def cancel_all(self, now: datetime) -> list[Event]:
        """reqGlobalCancel: every open order of every client and account."""
        events: list[Event] = []
        for order in list(self.book.open.values()):
            if order.is_open and order.status != "PendingCancel":
                events += self._ask_cancel(order, now)
        return events

    def forget_untransmitted(self) -> None:
        """Drop the orders never transmitted, silently: they do not outlive a gateway's session (campus documentation 27.07)."""
        for order in [one for one in self.book.open.values() if not one.transmitted]:
            del self.book.open[order.key], self.book.orders[order.key]

    def what_if(self, request: OrderRequest) -> WhatIf | Refused:
        """Margins and commission the order would mean, in dollars, without placing it; code 413 unless it is to be transmitted."""
        request = self._completed(request)
        reason: Refusal | None = refusal(request, self.instruments.get(request.con_id), self.accounts, self.market.stepped_at)
        if reason is None and not request.transmit:
            reason = (413, "What-if order should have the transmit flag set to true.")
        reason = reason or self._credit_refusal(request, None)
        if reason:
            return Refused(request.client_id, request.order_id, *reason)
        account, line = request.account, self.market.lines[request.con_id]
        before = self.ledger.margins(account, {})
        signed = request.quantity if request.action == "BUY" else -request.quantity
        after = self.ledger.margins(account, {request.con_id: [self.ledger.quantity(account, request.con_id) + signed]})
        price = request.limit_price or line.touch(request.action)[0]
        commission = order_commission(line.instrument, request.quantity, request.quantity * price)
        equity, cost = self.ledger.equity(account), commission * self.ledger.rate(line.instrument.currency)
        return WhatIf(
            init_before=before[0],
            init_change=after[0] - before[0],
            init_after=after[0],
            maint_before=before[1],
            maint_change=after[1] - before[1],
            maint_after=after[1],
            equity_before=equity,
            equity_change=-cost,
            equity_after=equity - cost,
            commission=commission,
            currency=line.instrument.currency,
        )

    # --- doors: time and prices -------------------------------------------------------------------------------------------------------

    def tick(self, now: datetime) -> list[Event]:
        """Advance to `now`: what became due by the clock, then one step of prices, due cancels and matching for each whole second since
        the last, at most 60.

        Quotes come first, one per instrument whose quote moved, then what happened to orders.
        """
        events = self._pass_time(now)
        quotes: dict[int, Event] = {}
        for _ in range(self.market.whole_steps_until(now)):
            quotes.update((quote.con_id, quote) for quote in self.market.step(now))
            events += self._due_cancels(now) + self._match(now)
        if _local_day(now) > self.day:
            self._start_day(now)
        return [*quotes.values(), *events]

    def set_quote(
        self,
        symbol_or_con_id: str | int,
        bid: Decimal,
        ask: Decimal,
        now: datetime,
        bid_size: Decimal | None = None,
        ask_size: Decimal | None = None,
    ) -> list[Event]:
        """Pin an instrument's quote until `release_quote` and let orders meet it. The sizes come back with every step; without them
        there is plenty. Raises KeyError for an unknown instrument, ValueError for a crossed or non-positive quote."""
        quote: Event = self.market.pin(self._con_id(symbol_or_con_id), bid, ask, now, bid_size, ask_size)
        return [quote, *self._match(now)]

    def release_quote(self, symbol_or_con_id: str | int) -> None:
        """Let a pinned quote walk again from where it is."""
        self.market.release(self._con_id(symbol_or_con_id))

    def quote(self, con_id: int) -> QuoteChanged:
        return self.market.lines[con_id].event()

    def bars(self, con_id: int, bar_seconds: int, count: int, end: datetime) -> list[Bar]:
        """`count` bars up to `end`, oldest first, the last one closing at the present last price."""
        line = self.market.lines[con_id]
        return price_history(self.seed, line.instrument, line.last, bar_seconds, count, end)

    # --- queries ----------------------------------------------------------------------------------------------------------------------

    def find(
        self,
        *,
        con_id: int = 0,
        symbol: str = "",
        sec_type: str = "",
        exchange: str = "",
        currency: str = "",
        expiry: str = "",
        strike: Decimal | None = None,
        right: str = "",
        local_symbol: str = "",
        trading_class: str = "",
    ) -> list[Instrument]:
        """The instruments a described contract may mean: none is code 200, several are ambiguous."""
        return find_instruments(
            self.instruments.values(),
            con_id=con_id,
            symbol=symbol,
            sec_type=sec_type,
            exchange=exchange,
            currency=currency,
            expiry=expiry,
            strike=strike,
            right=right,
            local_symbol=local_symbol,
            trading_class=trading_class,
        )

    def search(self, pattern: str) -> list[Instrument]:
        """At most 16 stocks and ETFs by symbol or name, as reqMatchingSymbols."""
        return search_instruments(self.instruments.values(), pattern)

    def market_rule(self, rule_id: int) -> Ladder | None:
        """(low edge, increment) steps of a market rule, or None."""
        return market_rule(rule_id)

    def open_orders(self, client_id: int | None = None) -> list[OrderState]:
        """Open, transmitted orders in the order of placing; of all clients for None."""
        return [one.state() for one in self.book.open.values() if one.transmitted and client_id in (None, one.request.client_id)]

    def completed_orders(self, now: datetime) -> list[OrderState]:
        """Today's filled, cancelled and rejected orders; those never transmitted are not among them."""
        midnight = _midnight(now)
        return [one.state() for one in self.book.orders.values() if one.transmitted and one.completed_at and one.completed_at >= midnight]

    def fills(self, now: datetime) -> list[tuple[Fill, CommissionCharged]]:
        """Executions since midnight in New York, each with its commission."""
        midnight = _midnight(now)
        return [pair for pair in self.executions if pair[0].time >= midnight]

    def positions(self) -> list[PositionChanged]:
        return self.ledger.positions()

    def account_values(self, account: str) -> list[tuple[str, str, str]]:
        """(key, value, currency) rows. Raises KeyError for an unknown account."""
        return self.ledger.values(account)

    def pnl(self, account: str) -> tuple[Decimal, Decimal, Decimal]:
        """(daily, unrealized, realized) in dollars."""
        return self.ledger.profit(account)

    def pnl_single(self, account: str, con_id: int) -> tuple[Decimal, Decimal, Decimal, Decimal, Decimal]:
        """(position, daily, unrealized, realized, value), amounts in dollars."""
        return self.ledger.profit_single(account, con_id)

    def next_order_id_floor(self, client_id: int) -> int:
        """The lowest order id this client has not sent yet."""
        return self.book.seen_ids.get(client_id, 0) + 1

    # --- memory -----------------------------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """The whole state as JSON-able data."""
        return save(self)

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Self:
        """The exchange that `snapshot` described. Raises ValueError for another version's state."""
        check_version(state)
        made_at, accounts = datetime.fromisoformat(state["stepped_at"]), tuple(state["accounts"])
        exchange = cls(seed=state["seed"], now=made_at, accounts=accounts)
        load(exchange, state)
        return exchange

    # --- inside -----------------------------------------------------------------------------------------------------------------------

    def _completed(self, request: OrderRequest) -> OrderRequest:
        """The request with what a gateway fills in: DAY, and the account where there is only one."""
        account = request.account or (self.accounts[0] if len(self.accounts) == 1 else "")
        return replace(request, account=account, tif=request.tif or "DAY")

    def _due_cancels(self, now: datetime) -> list[Event]:
        events: list[Event] = []
        for order in list(self.book.open.values()):
            if order.is_open and order.cancel_at_step is not None and order.cancel_at_step <= self.market.steps:
                events += self._end_by_cancel(order, "Cancelled by Trader", "", now)
        return events

    def _start_day(self, now: datetime) -> None:
        """A new day in New York: yesterday's ended orders and executions are forgotten, new contracts are listed, results start at zero."""
        self.day = _local_day(now)
        midnight = _midnight(now)
        self.book.forget_ended_before(midnight)
        self.executions = [pair for pair in self.executions if pair[0].time >= midnight]
        self.instruments = build_universe(self.born, self.day)
        self.market.list_instruments(self.instruments, now)
        self.ledger.start_day()

    def _con_id(self, symbol_or_con_id: str | int) -> int:
        """A contract id as it is, or that of the instrument with this local symbol ("AAPL", "EUR.USD", "ESZ6")."""
        for con_id, instrument in self.instruments.items():
            if symbol_or_con_id in (con_id, instrument.local_symbol):
                return con_id
        raise KeyError(f"no instrument {symbol_or_con_id!r}")


def _local_day(moment: datetime) -> date:
    return moment.astimezone(GATEWAY_ZONE).date()


def _midnight(moment: datetime) -> datetime:
    """The start of `moment`'s day in New York."""
    return datetime.combine(_local_day(moment), time(0), GATEWAY_ZONE).astimezone(UTC)
