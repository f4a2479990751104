"""What people and pages want to know: inquiries, contract details, market data lines, and the figures that come in.

The rule kept here: a question may be lost, a command may not. Whatever goes wrong with a question ends in words on its row; nothing here
can hold up an order or end the engine.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from broker.engine.situation import Situation, rung
from broker.requests import RequestFailed, Unanswered
from orders import inquiries, intake, outbox
from orders.contracts import spec
from orders.errors import GatewayUnavailable
from orders.models import Book, Contract, MarketRule
from orders.models.market import Inquiry
from orders.rules.commands import ContractSpec
from orders.rules.reports import ContractDetailed, QuoteReported, Value
from orders.rules.terms import GatewayState, terms_from_json

log = logging.getLogger(__name__)

FIGURES_SECONDS, LINES_SECONDS, DETAILS_SECONDS, POLL_SECONDS = 1.0, 1.0, 2.0, 1.0
MOST_AT_ONCE = 8
MOST_CONTRACTS = 500  # of one question: an option chain has thousands
DETAILS_AGAIN = timedelta(minutes=10)
DEAF = (GatewayUnavailable, ConnectionError, Unanswered)
_KINDS = Inquiry.Kind


class Asking:
    """The tasks around questions and figures. `quotes_moved` rings the hubs after quotes were written."""

    def __init__(self, situation: Situation, quotes_moved: Callable[[], Awaitable[None]]) -> None:
        self._here = situation
        self._quotes_moved = quotes_moved
        self._running: set[asyncio.Task[None]] = set()
        self._not_before: dict[int, float] = {}

    # --- figures ----------------------------------------------------------------------------------------------------------------------

    async def keep_figures(self) -> None:
        """Writes the newest figures, at most once a second."""
        here = self._here
        while True:
            await here.connector.figures.arrived()
            values = here.connector.figures.take()
            await self._store(values)
            if any(isinstance(value, QuoteReported) for value in values):
                await self._quotes_moved()
            await asyncio.sleep(FIGURES_SECONDS)

    async def keep_lines(self) -> None:
        """Follows what the book says is wanted: accounts, positions, and quotes of what somebody looks at."""
        here = self._here
        while True:
            await rung(here.lines_bell, LINES_SECONDS)
            if not here.state.may_cancel:
                continue
            try:
                wanted = await here.book(inquiries.wanted, here.now)
                lines = here.connector.lines
                await lines.follow_accounts(here.accounts)
                await lines.watch(wanted)
                await lines.follow_positions(set(here.held))
            except DEAF as error:
                log.info("Market data and account lines wait: %s", error)

    async def keep_details(self) -> None:
        """Asks for the details of contracts that are only known from a message."""
        here = self._here
        while True:
            await asyncio.sleep(DETAILS_SECONDS)
            if not here.state.may_cancel:
                continue
            for wanted in await here.book(_without_details):
                if self._not_before.get(wanted.con_id, float("-inf")) > here.monotonic():
                    continue
                self._not_before[wanted.con_id] = here.monotonic() + DETAILS_AGAIN.total_seconds()
                try:
                    await self._detail(await here.connector.questions.details_of(wanted))
                except (*DEAF, RequestFailed, ValueError) as error:
                    log.warning("No details of contract %s (%s): %s", wanted.con_id, wanted.symbol, error)

    async def _detail(self, details: list[ContractDetailed]) -> None:
        """Stores contracts with the price ladders they name, the ladders first: a contract with details can be priced."""
        here = self._here
        rule_ids = {rule_id for one in details for rule_id in one.market_rule_ids}
        known = await here.book(_known_rules, rule_ids)
        values: list[Value] = []
        for rule_id in sorted(rule_ids - known):
            try:
                values.append(await here.connector.questions.market_rule(rule_id))
            except (Unanswered, ValueError) as error:
                log.warning("Market rule %s is not known: %s", rule_id, error)
        await self._store([*values, *details])

    async def _store(self, values: list[Value]) -> None:
        await self._here.book(intake.apply_values, values, now=self._here.now)

    # --- inquiries --------------------------------------------------------------------------------------------------------------------

    async def answer(self) -> None:
        """Takes questions, on the bell and every second, and answers up to eight at a time."""
        here = self._here
        try:
            while True:
                await rung(here.inquiry_bell, POLL_SECONDS)
                if not here.state.may_cancel or len(self._running) >= MOST_AT_ONCE:
                    continue
                for asked in await here.book(inquiries.take, here.now, MOST_AT_ONCE - len(self._running)):
                    task = asyncio.create_task(self._answer(asked), name=f"inquiry {asked.id}")
                    self._running.add(task)
                    task.add_done_callback(self._ended)
        finally:
            for task in self._running:
                task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._here.inquiry_bell.set()
        if not task.cancelled() and task.exception() is not None:
            log.error("%s could not be answered.", task.get_name(), exc_info=task.exception())

    async def _answer(self, asked: Any) -> None:
        here = self._here
        try:
            answer = await self._ask(asked.kind, asked.arguments)
        except DEAF as error:
            await here.book(inquiries.fail, asked.id, str(error) or "The gateway did not answer.", here.now)
        except RequestFailed as error:
            await here.book(inquiries.fail, asked.id, error.text, here.now)
        except (ValueError, KeyError, ArithmeticError, Contract.DoesNotExist) as error:
            await here.book(inquiries.fail, asked.id, f"The question cannot be asked: {error}", here.now)
        else:
            await here.book(inquiries.answer, asked.id, answer, here.now)

    async def _ask(self, kind: str, arguments: dict[str, Any]) -> Any:
        questions = self._here.connector.questions
        if kind == _KINDS.SEARCH:
            return await questions.search(str(arguments["pattern"]))
        if kind == _KINDS.CONTRACT:
            details = await questions.contracts(**_contract_arguments(arguments))
            if len(details) > MOST_CONTRACTS:
                raise ValueError(f"{len(details)} contracts fit; name more of it ({_unnamed(arguments)})")
            await self._detail(details)
            return [{"con_id": one.contract.con_id} for one in details]
        contract = await self._here.book(_spec_of, int(arguments["con_id"]))
        if kind == _KINDS.CHAIN:
            return await questions.chain(contract)
        if kind == _KINDS.BARS:
            return await questions.bars(contract, str(arguments["bar"]), str(arguments["duration"]))
        if kind == _KINDS.WHAT_IF:
            return await self._what_if(contract, arguments)
        raise ValueError(f"there is no inquiry of kind {kind}")

    async def _what_if(self, contract: ContractSpec, arguments: dict[str, Any]) -> Any:
        """Takes the next order id of the book: the gateway counts a preview's id like any other, and a lower one later is refused (103)."""
        here = self._here
        if here.state is not GatewayState.READY:
            raise GatewayUnavailable(f"The gateway is {here.state}.")
        terms = terms_from_json(arguments["terms"])
        order_id = await here.book(_take_order_id, here.now)
        return await here.connector.questions.what_if(order_id, contract, terms, str(arguments["account"]))


_PARTS = (
    "symbol",
    "sec_type",
    "exchange",
    "primary_exchange",
    "currency",
    "local_symbol",
    "trading_class",
    "multiplier",
    "expiry",
    "strike",
    "right",
)


def _contract_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    if "con_id" in arguments:
        return {"con_id": int(arguments["con_id"])}
    parts = {name: str(arguments[name]) for name in _PARTS if arguments.get(name)}
    if not {"symbol", "local_symbol"} & parts.keys():
        raise ValueError("it names no symbol")
    return parts


def _unnamed(arguments: dict[str, Any]) -> str:
    """Of the parts that tell contracts of one symbol apart those that were not given."""
    telling = ("expiry", "strike", "right", "exchange", "trading_class", "currency")
    return ", ".join(name.replace("_", " ") for name in telling if not arguments.get(name))


def _without_details() -> list[ContractSpec]:
    return [spec(contract) for contract in Contract.objects.filter(detailed_at=None).order_by("pk")[:20]]


def _known_rules(rule_ids: set[int]) -> set[int]:
    return set(MarketRule.objects.filter(rule_id__in=rule_ids).values_list("rule_id", flat=True))


def _spec_of(con_id: int) -> ContractSpec:
    return spec(Contract.objects.get(con_id=con_id))


def _take_order_id(now: Any) -> int:
    """The next order id; claims run in the same thread, so that nobody takes the same one."""
    order_id = Book.objects.get(pk=1).order_id_mark + 1
    outbox.raise_order_id_mark(order_id, now)
    return order_id
