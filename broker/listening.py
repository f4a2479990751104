"""The ears of one connection: every raw callback of ib_async is taken here, put into our words and passed on.

The rule kept here: it decides nothing and touches no database. It stands in the place of ib_async's own callbacks, because those invent
statuses (any error makes "Cancelled", any warning "ValidationError"), drop what came in an order they did not expect, and keep everything
for ever. An exception here is caught by the decoder and counts as a message that could not be read.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import ib_async

from broker import errors, translate
from broker.inbox import Figures, Inbox
from broker.lines import Lines
from broker.requests import FIRST_REQUEST_ID, RequestFailed, Requests
from orders.rules.commands import Frame, ModifyOrder, PlaceOrder
from orders.rules.echo import carries
from orders.rules.reports import (
    AccountValueReported,
    ExecutionReported,
    Meaning,
    OpenOrderReported,
    OrderCompleted,
    OrderKey,
    OrderMessage,
    OrderStatusReported,
    PositionReported,
    Report,
)
from orders.rules.terms import OrderTerms

log = logging.getLogger(__name__)

_ACCOUNT_CODE = re.compile(r"[A-Za-z0-9._-]{1,20}")

EXECUTION_DATA, EXECUTION_TIME = 11, 15  # the message, and its field with the time
TROUBLES_KEPT = 1000
_REQUEST_ID = re.compile(r"1\d{9}")
TROUBLES_LOGGED = 20  # of one connection in full; a flood of malformed frames must not fill the disk


@dataclass
class Sent:
    """What this connection wrote under an order id, to tell a refused order from a refused change."""

    client_order_id: str
    at: float
    acknowledged: bool = False
    asked_for: bool = False  # the gateway was asked what became of it
    asked: OrderTerms | None = None  # the terms of a change that is not answered

    @property
    def standing(self) -> errors.Standing:
        if not self.acknowledged:
            return errors.Standing.NEW
        return errors.Standing.CHANGING if self.asked is not None else errors.Standing.KNOWN


@dataclass
class Collection:
    """What came while a snapshot was being taken: the newest word on each order, position and execution."""

    open_orders: dict[tuple[int | None, int, int], OpenOrderReported] = field(default_factory=dict)
    statuses: dict[tuple[int | None, int, int], OrderStatusReported] = field(default_factory=dict)
    completed: dict[int, OrderCompleted] = field(default_factory=dict)
    executions: dict[str, ExecutionReported] = field(default_factory=dict)
    positions: dict[tuple[str, int], PositionReported] = field(default_factory=dict)

    def take(self, report: Report) -> None:
        if isinstance(report, OpenOrderReported):
            self.open_orders[_name(report.key)] = report
        elif isinstance(report, OrderStatusReported):
            self.statuses[_name(report.key)] = report
        elif isinstance(report, OrderCompleted):
            self.completed[report.key.perm_id] = report
        elif isinstance(report, ExecutionReported):
            self.executions[report.exec_id] = report
        elif isinstance(report, PositionReported):
            self.positions[(report.account, report.contract.con_id)] = report

    @property
    def reports(self) -> tuple[Report, ...]:
        kinds = (self.open_orders, self.statuses, self.completed, self.executions, self.positions)
        return tuple(report for kind in kinds for report in kind.values())


def _name(key: OrderKey) -> tuple[int | None, int, int]:
    """One order among the others of a snapshot: orders without an id of a client are told apart by their perm_id."""
    return (key.client_id, key.ib_order_id, 0) if key.ib_order_id else (None, 0, key.perm_id)


@dataclass
class Listener:
    """Takes the callbacks of one ib_async.IB. `notice` gets messages about the connection; `broken` what could not be read."""

    client_id: int
    requests: Requests
    lines: Lines
    inbox: Inbox[Any]
    figures: Figures
    clock: Callable[[], datetime]
    notice: Callable[[int, str], None]
    broken: Callable[[str], None]
    read_only: Callable[[str], None] = lambda text: None
    accounts: tuple[str, ...] = ()
    next_valid_id: int = 0
    simulated: bool = False
    client_id_taken: bool = False
    troubles: int = 0
    told: set[str] = field(default_factory=set)  # what could not be read, of this connection
    sent: dict[int, Sent] = field(default_factory=dict)
    previews: set[int] = field(default_factory=set)  # order ids that were spent on what-ifs
    silent: list[Sent] = field(default_factory=list)  # new orders of which nothing was heard when last looked at
    collection: Collection | None = None

    def attach(self, ib: ib_async.IB) -> None:
        """Stands in for the wrapper's methods: the decoder looks them up at every message."""
        requests, wrapper = self.requests, ib.wrapper
        callbacks: dict[str, Callable[..., None]] = {
            "orderStatus": self._order_status,
            "openOrder": self._open_order,
            "openOrderEnd": lambda: requests.end("open orders"),
            "completedOrder": lambda contract, order, state: self._report(translate.completed_order(contract, order, state)),
            "completedOrdersEnd": lambda: requests.end("completed orders"),
            "execDetails": self._execution,
            "execDetailsEnd": requests.end,
            "commissionReport": self._commission,
            "position": lambda *arguments: self._report(translate.position(*arguments)),
            "positionEnd": lambda: requests.end("positions"),
            "managedAccounts": self._accounts,
            "nextValidId": self._next_valid_id,
            "currentTime": lambda time: requests.end("current time", time),
            "error": self._error,
            "accountUpdateMulti": self._account_value,
            "accountUpdateMultiEnd": lambda request_id: None,
            "contractDetails": self._row,
            "bondContractDetails": self._row,
            "contractDetailsEnd": requests.end,
            "symbolSamples": requests.end,
            "securityDefinitionOptionParameter": lambda request_id, *chain: self._row(request_id, chain),
            "securityDefinitionOptionParameterEnd": requests.end,
            "marketRule": lambda rule_id, increments: requests.end(f"market rule {rule_id}", increments),
            "historicalData": self._row,
            "historicalDataEnd": lambda request_id, start, end: requests.end(request_id),
        } | self.lines.callbacks()
        for name, callback in callbacks.items():
            setattr(wrapper, name, callback)
        decoder = ib.client.decoder
        read_execution = decoder.handlers[EXECUTION_DATA]
        decoder.handlers[EXECUTION_DATA] = lambda fields: read_execution(self._with_time(fields))
        decoder.logger = _DecoderLog(logging.getLogger("ib_async.Decoder"), self._trouble)

    def waiting_since(self, moment: float) -> list[Sent]:
        """Orders that were written before this moment and of which nothing was heard."""
        self.silent = [sent for sent in self.silent if not sent.acknowledged]
        return [sent for sent in self.silent if sent.at < moment]

    def note(self, frame: Frame, now: float) -> None:
        """What is being done with an order id: the same code refuses a new order or only a change of it."""
        if isinstance(frame, PlaceOrder):
            self.sent[frame.ib_order_id] = sent = Sent(frame.client_order_id, now)
            self.silent.append(sent)
        elif isinstance(frame, ModifyOrder):
            sent = self.sent.setdefault(frame.ib_order_id, Sent(frame.client_order_id, now, acknowledged=True))
            sent.asked = frame.terms

    # --- orders -----------------------------------------------------------------------------------------------------------------------

    def _report(self, report: Report) -> None:
        """Live and collected alike: an answer to a question looks like any other message, and both are facts."""
        if self.collection is not None:
            self.collection.take(report)
            waiting = self.requests.waiting(_QUESTION_OF.get(type(report), ""))
            if waiting is not None:
                waiting.touch()
        if isinstance(report, OrderCompleted) and self.collection is not None:
            return  # it only ever comes as an answer, and the snapshot brings it
        self.inbox.put(report)

    def _order_status(self, order_id: int, word: str, filled: float, remaining: float, average: float, perm_id: int, *rest: Any) -> None:
        _parent_id, _last_price, client_id, why_held = rest[:4]
        self._acknowledged(client_id, order_id)
        self._report(translate.order_status(order_id, word, filled, remaining, average, perm_id, client_id, why_held))

    def _open_order(self, order_id: int, contract: ib_async.Contract, order: ib_async.Order, state: ib_async.OrderState) -> None:
        if order.whatIf:  # the answer to a preview; IB sends it once more, with unset figures, before it has them
            if translate.number(state.initMarginChange) is not None:
                self.requests.end(order_id, state)
            return
        report = translate.open_order(order_id, contract, order, state)
        self._acknowledged(order.clientId, order_id, report.terms)
        self._report(report)

    def _acknowledged(self, client_id: int, order_id: int, terms: OrderTerms | None = None) -> None:
        sent = self.sent.get(order_id) if client_id == self.client_id else None
        if sent is not None:
            sent.acknowledged = True
            if terms is not None and sent.asked is not None and carries(terms, sent.asked, self.clock()):
                sent.asked = None

    def _execution(self, request_id: int, contract: ib_async.Contract, fill: ib_async.Execution) -> None:
        live = request_id < FIRST_REQUEST_ID
        report = translate.execution(contract, fill, live=live)
        self._acknowledged(fill.clientId, fill.orderId)
        if live or self.collection is None:
            self.inbox.put(report)
            return
        self.collection.take(report)
        waiting = self.requests.waiting(request_id)
        if waiting is not None:
            waiting.touch()

    def _with_time(self, fields: list[str]) -> list[str]:
        if len(fields) > EXECUTION_TIME:
            fields[EXECUTION_TIME] = translate.execution_time(fields[EXECUTION_TIME], self.clock())
        return fields

    def _commission(self, report: ib_async.CommissionReport) -> None:
        commission = translate.commission(report)
        if commission is not None:
            self.inbox.put(commission)

    # --- messages ---------------------------------------------------------------------------------------------------------------------

    def _error(self, about: int, code: int, text: str, advanced: str = "") -> None:
        """An error, a warning or a notice: about an order, a question, a line, or (id -1) the connection."""
        text = translate.readable(f"{text} {advanced}".strip())
        if errors.is_read_only(code, text):  # said of whatever was asked: the first order, or a question that harms nobody
            self.read_only(text)
        if about >= FIRST_REQUEST_ID:
            if self.lines.refused(about, code, text) or errors.is_notice(code):
                return
            if not self.requests.fail(about, RequestFailed(code, text)):
                log.info("code %s for a question nobody waits for: %s", code, text)
            return
        if about > 0:
            preview = self.requests.waiting(about)  # it has an order id
            if preview is None and about not in self.previews:
                self._order_message(about, code, text)
            elif preview is None:
                log.info("code %s for a preview that is over: %s", code, text)
            elif errors.is_notice(code):
                preview.notices.append(text)
            else:
                preview.settle(error=RequestFailed(code, text))
            return
        if errors.link(code) is errors.Link.CLIENT_ID_TAKEN:
            self.client_id_taken = True
        if errors.link(code) is errors.Link.FARM_OK and text.endswith(f":{errors.SIMULATED_FARM}"):
            self.simulated = True
        self.notice(code, text)

    def _order_message(self, order_id: int, code: int, text: str) -> None:
        sent = self.sent.get(order_id)
        meaning = errors.meaning(code, sent.standing if sent is not None else errors.Standing.KNOWN)
        if sent is not None:
            sent.acknowledged = sent.acknowledged or meaning in (Meaning.REJECTED, Meaning.CANCELLED, Meaning.HELD)
            if meaning is Meaning.NOT_CHANGED:
                sent.asked = None
        key = OrderKey(client_id=self.client_id, ib_order_id=order_id, client_order_id=sent.client_order_id if sent is not None else "")
        self.inbox.put(OrderMessage(key=key, code=code, text=text, meaning=meaning))

    # --- accounts and answers ---------------------------------------------------------------------------------------------------------

    def _accounts(self, codes: str) -> None:
        named = tuple(code for code in codes.split(",") if code)
        self.accounts = tuple(code for code in named if _ACCOUNT_CODE.fullmatch(code))
        if len(self.accounts) < len(named):
            log.error(
                "%s of the accounts that the gateway names have no name that IB gives, and are left out.", len(named) - len(self.accounts)
            )

    def _next_valid_id(self, order_id: int) -> None:
        self.next_valid_id = max(self.next_valid_id, order_id)

    def _account_value(self, request_id: int, account: str, model: str, name: str, value: str, currency: str) -> None:
        if not model:  # of a model's share of an account we show nothing
            self.figures.put((account, name, currency), AccountValueReported(account=account, name=name, value=value, currency=currency))

    def _row(self, request_id: int, row: Any) -> None:
        waiting = self.requests.waiting(request_id)
        if waiting is not None:
            waiting.row(row)

    def _trouble(self, text: str) -> bool:
        """A message could not be read; True where it is still worth a full log entry.

        One that comes again in every list is asked about once: a question would only bring it back.
        """
        self.troubles += 1
        same = _REQUEST_ID.sub("", text)
        if same not in self.told:
            if len(self.told) >= TROUBLES_KEPT:
                self.told.clear()
            self.told.add(same)
            self.broken(text)
        return self.troubles <= TROUBLES_LOGGED


_QUESTION_OF: dict[type, str] = {
    OpenOrderReported: "open orders",
    OrderStatusReported: "open orders",
    OrderCompleted: "completed orders",
    PositionReported: "positions",
}


class _DecoderLog(logging.LoggerAdapter):  # type: ignore[type-arg]
    """The decoder's log of one connection: ib_async catches what fails in it, callbacks included, and tells only its log."""

    def __init__(self, logger: logging.Logger, trouble: Callable[[str], bool]) -> None:
        super().__init__(logger, {})
        self._trouble = trouble

    def exception(self, msg: object, *args: object, **kwargs: Any) -> None:
        text = str(msg)[:300]
        if self._trouble(text):
            super().exception(text.replace("%", "%%"), **kwargs)
