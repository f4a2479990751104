"""What the gateway keeps telling us without being asked again: account values, profit and loss, and quotes of the contracts somebody looks
at.

The rule kept here: at most 100 market data lines, live data first, and delayed data only where live is refused. Figures go into the
conflated tray; nothing here can hold an order back.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import ib_async

from broker import errors
from broker.figures import DELAYED_TYPES, Line
from broker.inbox import Figures
from broker.requests import Requests
from broker.translate import ib_contract, number
from orders.rules.commands import ContractSpec
from orders.rules.reports import PnlReported, PositionPnlReported

log = logging.getLogger(__name__)

MOST_MARKET_LINES = 100
MOST_PNL_LINES = 200
VALUES_SECONDS = 240.0  # after this the values of an account are asked for anew
LIVE, DELAYED = 1, 3
REFUSED_FOR_SECONDS = 300.0  # a contract whose data was refused both ways is asked for again after this

Paced = Callable[[], Awaitable[None]]


@dataclass
class Lines:
    """The subscriptions of one connection. `client` writes; `paced` waits until a question has room."""

    requests: Requests
    figures: Figures
    paced: Paced
    clock: Callable[[], datetime]
    monotonic: Callable[[], float]
    client: ib_async.Client | None = None
    _market: dict[int, Line] = field(default_factory=dict)  # by request id
    _request_of: dict[int, int] = field(default_factory=dict)  # con_id -> request id
    _delayed: set[int] = field(default_factory=set)  # con_ids whose live data was refused
    _refused: dict[int, float] = field(default_factory=dict)
    _data_type: int = LIVE
    _pnl: dict[int, str] = field(default_factory=dict)
    _pnl_single: dict[int, tuple[str, int]] = field(default_factory=dict)
    _accounts: dict[str, tuple[int, float]] = field(default_factory=dict)  # account: the request for its values, and when it was made

    def callbacks(self) -> dict[str, Callable[..., None]]:
        """The wrapper methods that belong to lines; ticks that the desk does not show are let go."""
        ignored = dict.fromkeys(("tickString", "tickGeneric", "tickReqParams", "tickOptionComputation", "tickEFP", "tickNews"), _ignore)
        return ignored | {
            "priceSizeTick": self._price,
            "tickSize": self._size,
            "marketDataType": self._type,
            "pnl": self._pnl_heard,
            "pnlSingle": self._pnl_single_heard,
        }

    # --- asking -----------------------------------------------------------------------------------------------------------------------

    async def follow_accounts(self, accounts: Iterable[str]) -> None:
        """Subscribes to the values and the profit and loss of accounts that are not followed yet.

        The values are asked for anew every four minutes: the gateway tells only what changes, and limits need to know that what was told
        long ago still holds.
        """
        for account in accounts:
            asked, at = self._accounts.get(account, (None, float("-inf")))
            if self.monotonic() - at < VALUES_SECONDS:
                continue
            if asked is not None:
                await self.paced()
                self._write.cancelAccountUpdatesMulti(asked)
            await self.paced()
            request_id = self.requests.new_id()
            self._accounts[account] = (request_id, self.monotonic())
            self._write.reqAccountUpdatesMulti(request_id, account, "", False)
            if asked is None:
                await self.paced()
                request_id = self.requests.new_id()
                self._pnl[request_id] = account
                self._write.reqPnL(request_id, account, "")

    async def follow_positions(self, positions: set[tuple[str, int]]) -> None:
        """Subscribes to the profit and loss of these (account, con_id), and ends it for the others."""
        followed = {position: request_id for request_id, position in self._pnl_single.items()}
        for position in sorted(followed.keys() - positions):
            await self.paced()
            del self._pnl_single[followed[position]]
            self._write.cancelPnLSingle(followed[position])
        for account, con_id in sorted(positions - followed.keys())[: MOST_PNL_LINES - len(self._pnl_single)]:
            await self.paced()
            request_id = self.requests.new_id()
            self._pnl_single[request_id] = (account, con_id)
            self._write.reqPnLSingle(request_id, account, "", con_id)

    async def watch(self, wanted: Mapping[int, ContractSpec]) -> None:
        """Keeps a market data line for each of these contracts, as many as the lines last, and ends the others."""
        for con_id in self._request_of.keys() - wanted.keys():
            await self._unwatch(con_id)
        now = self.monotonic()
        for con_id, spec in wanted.items():
            if con_id in self._request_of or now - self._refused.get(con_id, -REFUSED_FOR_SECONDS) < REFUSED_FOR_SECONDS:
                continue
            if len(self._request_of) >= MOST_MARKET_LINES:
                return
            await self._watch(spec)

    async def _watch(self, spec: ContractSpec) -> None:
        data_type = DELAYED if spec.con_id in self._delayed else LIVE
        if data_type != self._data_type:  # it holds for all later requests of the connection
            await self.paced()
            self._data_type = data_type
            self._write.reqMarketDataType(data_type)
        await self.paced()
        request_id = self.requests.new_id()
        self._market[request_id] = Line(spec.con_id, delayed=data_type == DELAYED)
        self._request_of[spec.con_id] = request_id
        self._write.reqMktData(request_id, ib_contract(spec), "", False, False, [])

    async def _unwatch(self, con_id: int) -> None:
        await self.paced()
        request_id = self._request_of.pop(con_id, None)
        if request_id is not None:
            del self._market[request_id]
            self._write.cancelMktData(request_id)

    def forget(self) -> None:
        """The gateway has lost our subscriptions (1101): all of them are to be made anew."""
        for table in (self._market, self._request_of, self._pnl, self._pnl_single, self._accounts):
            table.clear()

    @property
    def _write(self) -> ib_async.Client:
        if self.client is None:
            raise ConnectionError("not connected")
        return self.client

    # --- hearing ----------------------------------------------------------------------------------------------------------------------

    def refused(self, request_id: int, code: int, text: str) -> bool:
        """An error for one of our lines: asks for delayed data next, or gives the line up for a while. False: it is not a line's."""
        line = self._market.get(request_id)
        if line is None:
            return request_id in self._pnl or request_id in self._pnl_single
        if code == errors.DELAYED_DATA_FOLLOWS:
            line.delayed = True
        if errors.is_notice(code):
            return True
        del self._market[request_id], self._request_of[line.con_id]
        if code in errors.LIVE_DATA_REFUSED and line.con_id not in self._delayed:
            self._delayed.add(line.con_id)
        else:
            self._refused[line.con_id] = self.monotonic()
            log.warning("no market data for contract %s: %s (code %s)", line.con_id, text, code)
        return True

    def _price(self, request_id: int, tick_type: int, price: float, size: float) -> None:
        line = self._market.get(request_id)
        if line is not None and line.price(tick_type, price, size):
            self.figures.put(("quote", line.con_id), line.quote(self.clock()))

    def _size(self, request_id: int, tick_type: int, size: float) -> None:
        line = self._market.get(request_id)
        if line is not None and line.size(tick_type, size):
            self.figures.put(("quote", line.con_id), line.quote(self.clock()))

    def _type(self, request_id: int, data_type: int) -> None:
        line = self._market.get(request_id)
        if line is not None:
            line.delayed = data_type in DELAYED_TYPES

    def _pnl_heard(self, request_id: int, daily: float, unrealized: float, realized: float) -> None:
        account = self._pnl.get(request_id)
        if account is not None:
            figures = PnlReported(account=account, daily=number(daily), unrealized=number(unrealized), realized=number(realized))
            self.figures.put(("pnl", account), figures)

    def _pnl_single_heard(self, request_id: int, _quantity: float, daily: float, unrealized: float, realized: float, value: float) -> None:
        position = self._pnl_single.get(request_id)
        if position is not None:
            account, con_id = position
            figures = PositionPnlReported(
                account, con_id, daily=number(daily), unrealized=number(unrealized), realized=number(realized), value=number(value)
            )
            self.figures.put(("pnl", account, con_id), figures)


def _ignore(*_: Any) -> None:
    """A message that the desk has no use for."""
