"""Traders who place, bracket, protect, change, cancel and close through OrderManager, and ask again with the same key until answered.

The rule it keeps: a trader knows only what he was told. What he was told is the history that the checker holds the desk to.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal as D
from random import Random
from typing import Any

from django.contrib.auth import get_user_model
from django.db import OperationalError, connection

from oms_site.simulation.loop import Killed
from oms_site.simulation.story import BEGINNING
from oms_site.simulation.world import ACCOUNTS, World
from orders.errors import IllegalTransition, Refused
from orders.manager import OrderManager
from orders.models import Account, Contract, Gateway, OrderRecord
from orders.rules.terms import BookKind, GatewayState, OcaType, OrderTerms, OrderType, Side
from orders.rules.tickets import BracketTicket, ExitPair
from orders.tests.factories import grant, make_account, make_book, make_contract, make_quote, make_user

SYMBOLS = {"AAPL": 265598, "MSFT": 272093}
NAME = "trader"
PATIENCE = 60.0  # seconds for which a trader goes on asking


def fill_book() -> None:
    """The book before anything happens: accounts, contracts, and a trader who may trade."""
    make_book(BookKind.SIMULATED, ACCOUNTS, at=BEGINNING)
    Gateway.objects.update(state=GatewayState.DOWN.value)
    user = make_user(NAME)
    for code in ACCOUNTS:
        grant(user, make_account(code, at=BEGINNING), at=BEGINNING)
    for symbol, con_id in SYMBOLS.items():
        make_contract(symbol, con_id=con_id, order_types=[])


@dataclass
class Asked:
    """One request of a trader: `answer` has the orders he was told, `refusal` the code he was refused with; neither: he never heard."""

    key: str
    verb: str
    answer: list[str] = field(default_factory=list)
    refusal: str = ""
    tries: int = 0


class Trader:
    """One person at a page. Where his web process dies under a request (the crash points of submit), he is not answered and asks again."""

    def __init__(self, world: World, name: str, rng: Random) -> None:
        self._world, self._name, self._rng = world, name, rng
        self.asked: list[Asked] = []

    async def trade(self, acts: int, seconds: float) -> None:
        """So many acts, spread over that time."""
        self._manager = OrderManager(get_user_model().objects.get(username=NAME), clock=self._world.now)
        for _ in range(acts):
            await asyncio.sleep(self._rng.expovariate(1.0) * seconds / acts)
            await self._act()

    # --- what he wants ----------------------------------------------------------------------------------------------------------------

    async def _act(self) -> None:
        wishes = (
            (self._market, 3), (self._limit, 3), (self._bracket, 3), (self._protect, 2), (self._modify, 3), (self._cancel, 3),
            (self._close, 2), (self._cancel_all, 0.3), (self._scale_out, 3), (self._exits, 2), (self._reshape, 2),
        )  # fmt: skip
        wish = self._rng.choices([wish for wish, _ in wishes], [weight for _, weight in wishes])[0]
        request = wish()
        if request is not None:
            await self._ask(*request)

    def _where(self) -> tuple[Account, Contract]:
        account = Account.objects.get(code=self._rng.choice(ACCOUNTS))
        return account, Contract.objects.get(con_id=SYMBOLS[self._rng.choice(list(SYMBOLS))])

    def _price(self, contract: Contract, away: float = 0.0) -> D:
        """The market's price, moved away by a fraction, on the tick."""
        exchange = self._world.exchange
        middle = exchange.quote(contract.con_id).bid if exchange is not None else D(100)
        return (middle * D(1 + away)).quantize(D("0.01"))

    def _quote(self, contract: Contract) -> None:
        price = self._price(contract)
        make_quote(contract, str(price), str(price + D("0.02")), str(price), at=self._world.now())

    def _quantity(self) -> D:
        return D(self._rng.choice([1, 5, 10, 50, 100, 300]))

    def _market(self) -> Any:
        account, contract = self._where()
        side, quantity = self._rng.choice([Side.BUY, Side.BUY, Side.SELL]), self._quantity()
        return "place_market_order", contract, (account, contract, side, quantity), {"confirm_duplicate": True}

    def _limit(self) -> Any:
        account, contract = self._where()
        side = self._rng.choice(list(Side))
        away = self._rng.choice([0.004, -0.004, -0.01]) * (1 if side is Side.BUY else -1)
        quantity, price = self._quantity(), self._price(contract, away)
        return "place_limit_order", contract, (account, contract, side, quantity, price), {"confirm_duplicate": True}

    def _bracket(self) -> Any:
        account, contract = self._where()
        price = self._price(contract, self._rng.choice([0.002, -0.004]))
        exits = {"take_profit_price": (price * D("1.01")).quantize(D("0.01")), "stop_loss_price": (price * D("0.99")).quantize(D("0.01"))}
        limit = self._rng.choice([price, None])
        options = {"limit_price": limit, **exits, "confirm_duplicate": True}
        return "place_bracket", contract, (account, contract, Side.BUY, self._quantity()), options

    def _held(self) -> tuple[Account, Contract] | None:
        positions = self._manager.get_positions()
        if not positions:
            return None
        position = self._rng.choice(positions)
        return position.account, position.contract

    def _protect(self) -> Any:
        held = self._held()
        return held and ("place_oca_group", held[1], held, {})

    def _scale_out(self) -> Any:
        """A bracket of one to three pairs: any entry, any type of group, trails where IB attaches them, time stops where they can count."""
        account, contract = self._where()
        order_type = self._rng.choice([OrderType.MARKET, OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT])
        price = self._price(contract, self._rng.choice([0.002, -0.004]) if order_type is OrderType.LIMIT else 0.003)
        prices = {"limit_price": price} if order_type.has_limit else {}
        prices |= {"stop_price": price} if order_type.has_trigger else {}
        count = self._rng.choice([1, 2, 3])
        pairs = [self._pair(price, trails=order_type.has_limit, in_time=order_type is OrderType.MARKET) for _ in range(count)]
        entry = OrderTerms(Side.BUY, order_type, sum((pair.quantity for pair in pairs), D(0)), **prices)
        ticket = BracketTicket(entry, tuple(pairs), oca_type=self._rng.choice(list(OcaType)))
        return "place_bracket_ticket", contract, (account, contract, ticket), {"confirm_duplicate": True}

    def _pair(self, price: D, *, trails: bool, in_time: bool, sign: int = 1) -> ExitPair:
        away = D(self._rng.choice(["0.006", "0.010", "0.015"])) * sign
        target, stop = (price * (1 + away)).quantize(D("0.01")), (price * (1 - away)).quantize(D("0.01"))
        pair = ExitPair(self._quantity(), target_price=target, stop_price=stop)
        kind = self._rng.choice(["both", "both", "stop", "target", "trail", "time"])
        if kind == "stop":
            return replace(pair, target_price=None)
        if kind == "target":
            return replace(pair, stop_price=None)
        if kind == "trail" and trails:
            return replace(pair, stop_price=None, trail_percent=D(1))
        if kind == "time" and in_time:
            return replace(pair, time_stop=timedelta(seconds=self._rng.choice([5, 20, 60])))
        return pair

    def _exits(self) -> Any:
        """One or two pairs on what is held; more than is free is refused."""
        held = self._held()
        if held is None:
            return None
        account, contract = held
        position = next((one for one in self._manager.get_positions(account) if one.contract_id == contract.pk), None)
        sign = -1 if position is not None and position.quantity < 0 else 1
        count = self._rng.choice([1, 2])
        pairs = [self._pair(self._price(contract), trails=True, in_time=True, sign=sign) for _ in range(count)]
        return "place_exits", contract, (account, contract, pairs), {"oca_type": self._rng.choice(list(OcaType))}

    def _reshape(self) -> Any:
        """Moves the legs of a bracket together, or resizes its entry."""
        order = self._open()
        if order is None:
            return None
        change = {"move_ticks": D(self._rng.choice([-5, 5]))} if self._rng.random() < 0.7 else {"quantity": self._quantity()}
        return "modify_bracket", order.contract, (order,), change

    def _close(self) -> Any:
        held = self._held()
        return held and ("close_position", held[1], held, {})

    def _open(self) -> OrderRecord | None:
        orders = [order for order in self._manager.get_open_orders() if not order.is_external]
        return self._rng.choice(orders) if orders else None

    def _modify(self) -> Any:
        order = self._open()
        if order is None:
            return None
        change: dict[str, Any] = {"quantity": order.quantity + self._rng.choice([-1, 1, 7])}
        if order.limit_price is not None and self._rng.random() < 0.6:
            change = {"limit_price": order.limit_price + D("0.05")}
        return "modify_order", order.contract, (order,), change

    def _cancel(self) -> Any:
        order = self._open()
        return order and ("cancel_order", order.contract, (order,), {})

    def _cancel_all(self) -> Any:
        return "cancel_all_orders", None, (), {}

    # --- how he asks ------------------------------------------------------------------------------------------------------------------

    async def _ask(self, verb: str, contract: Contract | None, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        """Asks, and asks again with the same key and the same words while he is not answered."""
        asked = Asked(f"{self._name}-{len(self.asked) + 1}", verb)
        self.asked.append(asked)
        ends = self._world.loop.time() + PATIENCE
        while not asked.answer and not asked.refusal and self._world.loop.time() < ends:
            asked.tries += 1
            try:
                if contract is not None and asked.tries == 1:
                    self._quote(contract)
                self._try(asked, arguments, options)
            except OperationalError as error:
                self._world.story.say(self._name, f"{verb} {asked.key}: no answer ({error})")
                await asyncio.sleep(self._rng.uniform(0.2, 2.0))
        if asked.answer and self._rng.random() < 0.1:  # a second click on the same button
            with suppress(OperationalError):
                self._try(asked, arguments, options, again=True)

    def _try(self, asked: Asked, arguments: tuple[Any, ...], options: dict[str, Any], *, again: bool = False) -> None:
        world = self._world
        if world.failures.until > world.loop.time():
            raise OperationalError("database is locked")
        try:
            with connection.execute_wrapper(world.failures.watch):
                answer = getattr(self._manager, asked.verb)(*arguments, key=asked.key, **options)
        except Killed:
            raise OperationalError("the web process died") from None
        except Refused as refused:
            asked.refusal = refused.code
        except IllegalTransition as error:
            asked.refusal = f"ILLEGAL {error}"
        else:
            told = _names(answer)
            if again and told != asked.answer:
                raise AssertionError(f"the same key was answered {told} after {asked.answer}")
            asked.answer = told
        finally:
            world.story.book_moved()
        world.story.say(self._name, f"{asked.verb} {asked.key}: {' '.join(name[-6:] for name in asked.answer) or asked.refusal}")
        if self._rng.random() < 0.8:
            world.ring()  # else the bell is lost, and the worker polls


def _names(answer: Any) -> list[str]:
    """What an answer names: orders by their names, a change by its number."""
    rows = answer if isinstance(answer, list) else [answer]
    return [row.client_order_id if isinstance(row, OrderRecord) else f"command {getattr(row, 'pk', 'none')}" for row in rows] or ["nothing"]
