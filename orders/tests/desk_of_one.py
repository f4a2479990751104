"""A desk for tests of the book: one trader, one account, one contract with a quote of 99.99 to 100.01, and a worker's side of it.

`Wire` plays the worker without a gateway: it claims, says that frames were written, and hands the broker's answers to the intake.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal as D
from itertools import count
from typing import Any

from orders import intake, lease, outbox
from orders.manager import OrderManager
from orders.models import BrokerId, OrderRecord
from orders.rules.commands import Unit
from orders.rules.reports import ContractFacts, ExecutionReported, OpenOrderReported, OrderKey, OrderStatusReported, Report
from orders.rules.terms import GatewayState, OrderTerms, Side
from orders.tests.factories import NOW, a_key, make_account, make_book, make_contract, make_quote, make_trader

CLIENT = 17
HOLDER = "here:1:a"

_perm_ids = count(700001)
_executions = count(1)


class Desk:
    """What the user's side of a test needs. `now` is what the manager's clock says."""

    def __init__(self) -> None:
        make_book()
        self.now: datetime = NOW
        self.account = make_account()
        self.user = make_trader(self.account)
        self.contract = make_contract()
        make_quote(self.contract)
        self.manager = OrderManager(self.user, clock=lambda: self.now)

    def buy(self, quantity: Any = "100", price: Any = "99.50", **options: Any) -> OrderRecord:
        options = {"key": a_key(), "confirm_duplicate": True, **options}
        return self.manager.place_limit_order(self.account, self.contract, Side.BUY, D(quantity), D(price), **options)

    def sell(self, quantity: Any = "100", price: Any = "110", **options: Any) -> OrderRecord:
        options = {"key": a_key(), "confirm_duplicate": True, **options}
        return self.manager.place_limit_order(self.account, self.contract, Side.SELL, D(quantity), D(price), **options)

    def bracket(self, quantity: Any = "100", **options: Any) -> list[OrderRecord]:
        """Buys at 99.50, takes profit at 107, stops at 97."""
        prices = {"limit_price": D("99.50"), "take_profit_price": D("107.00"), "stop_loss_price": D("97.00")}
        options = {"key": a_key(), "confirm_duplicate": True, **prices, **options}
        return self.manager.place_bracket(self.account, self.contract, Side.BUY, D(quantity), **options)

    def protect(self, **options: Any) -> list[OrderRecord]:
        return self.manager.place_oca_group(self.account, self.contract, **{"key": a_key(), **options})


class Wire(Desk):
    """A desk whose worker holds the lease."""

    def __init__(self) -> None:
        super().__init__()
        fence = lease.acquire(HOLDER, NOW)
        assert fence is not None
        self.fence = fence

    def pass_time(self, seconds: float) -> None:
        """Lets time pass for everybody; the worker renews its lease and the quote stays fresh."""
        self.now += timedelta(seconds=seconds)
        assert lease.renew(HOLDER, self.fence, self.now)
        make_quote(self.contract, at=self.now)

    def claim(self, *, state: GatewayState = GatewayState.READY, room: int = 45) -> list[Unit]:
        lease.renew(HOLDER, self.fence, self.now)
        return outbox.claim(fence=self.fence, client_id=CLIENT, state=state, room=room, now=self.now)

    def send(self) -> list[Unit]:
        """Claims what may go and says that it was written."""
        units = self.claim()
        for unit in units:
            outbox.written(unit, self.now)
        return units

    def housekeeping(self, *, link_lost: bool = False) -> list[Report]:
        return outbox.housekeeping(fence=self.fence, now=self.now, link_lost=link_lost)

    def hear(self, *reports: Report) -> None:
        intake.apply(reports, now=self.now, client_id=CLIENT, fence=self.fence)

    def key_of(self, order: OrderRecord) -> OrderKey:
        """The names the broker gives the order; the perm_id is made up at the first time of asking."""
        name = BrokerId.objects.get(order=order, client_id=CLIENT)
        return OrderKey(
            client_id=CLIENT,
            ib_order_id=name.ib_order_id or 0,
            perm_id=name.perm_id or next(_perm_ids),
            client_order_id=order.client_order_id,
        )

    def facts(self) -> ContractFacts:
        contract = self.contract
        return ContractFacts(
            con_id=contract.con_id,
            symbol=contract.symbol,
            sec_type=contract.sec_type,
            currency=contract.currency,
            exchange=contract.exchange,
            primary_exchange=contract.primary_exchange,
            local_symbol=contract.local_symbol,
        )

    def acknowledge(self, *orders: OrderRecord, word: str = "Submitted", terms: OrderTerms | None = None) -> None:
        """The broker's openOrder for each."""
        for order in orders:
            report = OpenOrderReported(
                key=self.key_of(order),
                account=self.account.code,
                contract=self.facts(),
                terms=terms or order.terms,
                word=word,
            )
            self.hear(report)
            order.refresh_from_db()

    def sent(self, *orders: OrderRecord) -> Sequence[OrderRecord]:
        """Sends what waits and lets the broker acknowledge these orders."""
        self.send()
        self.acknowledge(*orders)
        return orders

    def gone(self, *orders: OrderRecord) -> None:
        """The broker confirms that each is cancelled."""
        for order in orders:
            key = self.key_of(order)
            order.refresh_from_db()
            left = order.quantity - order.filled_quantity
            self.hear(OrderStatusReported(key=key, word="Cancelled", filled=order.filled_quantity, remaining=left))
            order.refresh_from_db()

    def fill(self, order: OrderRecord, quantity: Any, price: Any = "100") -> None:
        """An execution of the order."""
        self.hear(
            ExecutionReported(
                key=self.key_of(order),
                exec_id=f"0000e0d5.{next(_executions):08x}.01.01",
                account=self.account.code,
                contract=self.facts(),
                side=Side(order.side),
                quantity=D(quantity),
                price=D(price),
                executed_at=self.now,
            )
        )
        order.refresh_from_db()
