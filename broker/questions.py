"""What we ask the gateway: snapshots, the time, contracts, symbols, previews, bars. Answers come in our words.

The rule kept here: every question is paced, has a limit of patience, and its silence is "unknown", never "empty". Questions of one kind
that share one answer without an id are asked one after the other. A snapshot says which of its parts came whole; a message that could not
be read while a part was being told makes that part incomplete.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import ib_async

from broker import figures
from broker.listening import Collection, Listener
from broker.pacing import Kept, Pacer
from broker.requests import Key, RequestFailed, Requests, Unanswered
from broker.translate import ib_contract, ib_terms
from orders.rules.commands import ContractSpec
from orders.rules.reports import ContractDetailed, MarketRuleReported, Question, Snapshot
from orders.rules.terms import OrderTerms

log = logging.getLogger(__name__)

PATIENCE = 5.0  # seconds without a word of the answer
ANSWER_PATIENCE = 10.0  # for questions of people
SEARCH_SPACING = 1.0  # IB: at least a second between two symbol searches
EVERYTHING = frozenset(Question)


@dataclass
class Questions:
    """The questions of one connection."""

    client: ib_async.Client
    requests: Requests
    pacer: Pacer
    client_id: int
    clock: Callable[[], datetime]
    patience: float = PATIENCE
    listener: Listener = field(init=False)
    _taking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _searching: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def paced(self) -> None:
        """Waits until a question has room, and counts it."""
        while (delay := self.pacer.seconds_until(1, Kept.QUESTION)) > 0:  # noqa: ASYNC110 - time is all it waits for
            await asyncio.sleep(delay)
        self.pacer.wrote()

    async def _ask(self, key: Key, write: Callable[[], None], patience: float) -> Any:
        await self.paced()
        with self.requests.asked(key) as waiting:
            write()
            return await waiting.answer(patience)

    # --- the connection itself --------------------------------------------------------------------------------------------------------

    async def current_time(self, patience: float) -> int:
        """The gateway's time, in epoch seconds: the probe of a connection. Unpaced beyond its own reserve, so that it always goes out."""
        async with self.requests.turn("current time"):
            self.pacer.wrote()
            with self.requests.asked("current time") as waiting:
                self.client.reqCurrentTime()
                return await waiting.answer(patience)

    # --- snapshots --------------------------------------------------------------------------------------------------------------------

    async def snapshot(self, questions: frozenset[Question] = EVERYTHING) -> Snapshot:
        """Asks for everything, or for these parts. Raises ConnectionError where the connection is lost meanwhile."""
        async with self._taking:
            taken_at = self.clock()
            collection = self.listener.collection = Collection()
            complete = set()
            try:
                for question, ask in self._parts().items():
                    if question in questions and await self._whole(question, ask):
                        complete.add(question)
            finally:
                self.listener.collection = None
            return Snapshot(taken_at=taken_at, client_id=self.client_id, complete=frozenset(complete), reports=collection.reports)

    def _parts(self) -> Mapping[Question, Callable[[], Awaitable[None]]]:
        """In the order that leaves no gap: what is working, then what is done, then what was executed, then what is held."""
        return {
            Question.OPEN_ORDERS: self._open_orders,
            Question.COMPLETED_ORDERS: self._completed_orders,
            Question.EXECUTIONS: self._executions,
            Question.POSITIONS: self._positions,
        }

    async def _whole(self, question: Question, ask: Callable[[], Awaitable[None]]) -> bool:
        troubles = self.listener.troubles
        try:
            await ask()
        except Unanswered:
            log.warning("The gateway did not answer when asked for its %s.", question)
            return False
        except RequestFailed as error:
            log.warning("The gateway refused to tell its %s: %s", question, error)
            return False
        return self.listener.troubles == troubles

    async def _open_orders(self) -> None:
        """Our own, then everybody's: the two share one answer, and asked together the first would never end."""
        async with self.requests.turn("open orders"):
            await self._ask("open orders", self.client.reqOpenOrders, self.patience)
            await self._ask("open orders", self.client.reqAllOpenOrders, self.patience)

    async def _completed_orders(self) -> None:
        async with self.requests.turn("completed orders"):
            await self._ask("completed orders", lambda: self.client.reqCompletedOrders(False), self.patience)

    async def _executions(self) -> None:
        """With an empty filter and with our own client id: which of them tells all differs between gateways. Joined by exec_id."""
        unanswered = False
        for client_id in dict.fromkeys((0, self.client_id)):
            request_id = self.requests.new_id()
            asked_for = ib_async.ExecutionFilter(clientId=client_id)
            try:
                await self._ask(request_id, lambda i=request_id, f=asked_for: self.client.reqExecutions(i, f), self.patience)
            except Unanswered:
                unanswered = True
        if unanswered:
            raise Unanswered

    async def _positions(self) -> None:
        async with self.requests.turn("positions"):
            await self._ask("positions", self.client.reqPositions, self.patience)

    # --- contracts --------------------------------------------------------------------------------------------------------------------

    async def _contract_details(self, contract: ib_async.Contract) -> list[ContractDetailed]:
        """All contracts that fit. Raises RequestFailed (200: none), Unanswered."""
        request_id = self.requests.new_id()
        rows = await self._ask(request_id, lambda: self.client.reqContractDetails(request_id, contract), ANSWER_PATIENCE)
        return [figures.detailed(row) for row in rows]

    async def details_of(self, spec: ContractSpec) -> list[ContractDetailed]:
        """The details of a contract that is known by its id; where it is routed may be unknown."""
        return await self._contract_details(ib_async.Contract(conId=spec.con_id, exchange=spec.exchange))

    async def contracts(self, **named: str | int) -> list[ContractDetailed]:
        """The contracts that fit a con_id, or a symbol with the other fields as far as given: what is not given may be anything.

        A future's or option's expiry may be a day or a month (20261218, 202612). Raises RequestFailed (200) where none fits.
        """
        if "con_id" in named:
            return await self._contract_details(ib_async.Contract(conId=int(named["con_id"])))
        contract = ib_async.Contract(
            symbol=str(named.get("symbol", "")),
            secType=str(named.get("sec_type", "STK")),
            exchange=str(named.get("exchange", "")),
            primaryExchange=str(named.get("primary_exchange", "")),
            currency=str(named.get("currency", "")),
            localSymbol=str(named.get("local_symbol", "")),
            tradingClass=str(named.get("trading_class", "")),
            multiplier=str(named.get("multiplier", "")),
            lastTradeDateOrContractMonth=str(named.get("expiry", "")),
            strike=float(named.get("strike", 0)),
            right=str(named.get("right", "")),
        )
        return await self._contract_details(contract)

    async def chain(self, spec: ContractSpec) -> list[dict[str, Any]]:
        """The options on an underlying, one entry for each exchange and trading class; none where there are none.

        Those on a future are asked for at its own exchange; for shares and indices IB wants no exchange and names all.
        """
        request_id = self.requests.new_id()
        exchange = spec.exchange if spec.sec_type == "FUT" else ""
        rows = await self._ask(
            request_id,
            lambda: self.client.reqSecDefOptParams(request_id, spec.symbol, exchange, spec.sec_type, spec.con_id),
            ANSWER_PATIENCE,
        )
        return figures.chains(rows)

    async def market_rule(self, rule_id: int) -> MarketRuleReported:
        """The price ladder of a rule. Raises Unanswered: a rule that does not exist has no answer."""
        kind = f"market rule {rule_id}"
        async with self.requests.turn(kind):
            increments = await self._ask(kind, lambda: self.client.reqMarketRule(rule_id), self.patience)
        return figures.market_rule(rule_id, increments)

    async def search(self, pattern: str) -> list[dict[str, Any]]:
        """Stocks whose symbol or name fits, at most 16; searches are asked a second apart."""
        async with self._searching:
            request_id = self.requests.new_id()
            try:
                rows = await self._ask(request_id, lambda: self.client.reqMatchingSymbols(request_id, pattern), ANSWER_PATIENCE)
            finally:
                await asyncio.sleep(SEARCH_SPACING)
        return [row for row in map(figures.found, rows) if row is not None]

    # --- previews and bars ------------------------------------------------------------------------------------------------------------

    async def what_if(self, order_id: int, spec: ContractSpec, terms: OrderTerms, account: str) -> dict[str, Any]:
        """Margins and commission of an order that is not placed. Takes an order id of the book: IB counts it like any other.

        What the gateway says beside the answer (399, 2100 to 2199) is part of its warning. Raises Unanswered, or RequestFailed, also where
        nothing but such a word came in time.
        """
        order = ib_terms(terms, account)
        order.orderId, order.whatIf, order.transmit = order_id, True, True  # 413: a preview must be transmitted
        await self.paced()
        self.listener.previews.add(order_id)
        with self.requests.asked(order_id) as waiting:
            self.client.placeOrder(order_id, ib_contract(spec), order)
            try:
                state = await waiting.answer(ANSWER_PATIENCE)
            except Unanswered:
                if waiting.notices:
                    raise RequestFailed(0, " ".join(waiting.notices)) from None
                raise
        return figures.preview(state, waiting.notices)

    async def bars(self, spec: ContractSpec, bar: str, duration: str) -> list[list[str | None]]:
        """Historical bars, size and duration in IB's words ("5 mins", "1 D"); of currency pairs the midpoint: they have no trades."""
        request_id = self.requests.new_id()
        shown = "MIDPOINT" if spec.sec_type in ("CASH", "CMDTY") else "TRADES"
        write = self.client.reqHistoricalData
        rows = await self._ask(
            request_id, lambda: write(request_id, ib_contract(spec), "", duration, bar, shown, 1, 2, False, []), ANSWER_PATIENCE
        )
        return [figures.bar_row(row) for row in rows]
