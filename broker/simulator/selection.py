"""Which messages a scenario means: a kind by IB's name, and conditions on what the message tells of an order.

`orderStatus status=Filled client=17 count=2` is the next two of them. The rule kept: a condition on something that a message does not
carry never fits, so nothing is hit by accident.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from broker.simulator.messages import answers as say
from broker.simulator.messages import market_answers as quotes
from broker.simulator.messages import requests as ask
from broker.simulator.messages.answers import Answer
from broker.simulator.messages.order_frames import CompletedOrder, OpenOrder
from broker.simulator.messages.place_order import PlaceOrder
from broker.simulator.scenario import ORDER_REQUESTS, ScenarioProblem, is_order_news
from broker.simulator.session import Session

REQUEST_KINDS: dict[str, type] = {name: ask.LAYOUTS[number].kind for number, name in ask.NAMES.items() if number in ask.LAYOUTS}
REQUEST_KINDS["placeOrder"] = PlaceOrder
ANSWER_KINDS: dict[str, type] = {
    "openOrder": OpenOrder, "orderStatus": say.OrderStatus, "openOrderEnd": say.OpenOrderEnd, "execDetails": say.ExecutionDetails,
    "execDetailsEnd": say.ExecutionDetailsEnd, "commissionReport": say.CommissionReport, "completedOrder": CompletedOrder,
    "completedOrdersEnd": say.CompletedOrdersEnd, "position": say.Position, "positionEnd": say.PositionEnd,
    "orderError": say.OrderError, "error": say.ErrorMessage, "managedAccounts": say.ManagedAccounts,
    "updateAccountValue": say.AccountValue, "updatePortfolio": say.Portfolio, "accountDownloadEnd": say.AccountDownloadEnd,
    "accountUpdateMultiEnd": say.AccountUpdateMultiEnd, "nextValidId": say.NextValidId, "currentTime": say.CurrentTime, "pnl": say.PnL,
    "contractDetails": quotes.ContractDetails, "contractDetailsEnd": quotes.ContractDetailsEnd, "symbolSamples": quotes.SymbolSamples,
    "tickPrice": quotes.TickPrice, "tickSize": quotes.TickSize,
}  # fmt: skip
Fits = Callable[[Any], bool]


def _is_fill_news(answer: Answer) -> bool:
    return is_order_news(answer) and isinstance(answer, say.ExecutionDetails | say.CommissionReport)


def _tells_of_a_fill(answer: Answer) -> bool:
    if not is_order_news(answer):
        return False
    if isinstance(answer, OpenOrder):
        return answer.order.status == "Filled"
    return answer.status == "Filled" if isinstance(answer, say.OrderStatus) else not isinstance(answer, say.OrderError)


# Kinds that are more than one message: order news unasked (two words for it); executions and commissions unasked; those and the word
# Filled; executions and commissions asked for or not; everything.
ANSWER_GROUPS: dict[str, Fits] = {
    "news": is_order_news,
    "acks": is_order_news,
    "fills": _is_fill_news,
    "filled": _tells_of_a_fill,
    "executions-told": lambda answer: isinstance(answer, say.ExecutionDetails | say.CommissionReport),
    "any": lambda answer: True,
}
REQUEST_GROUPS: dict[str, Fits] = {"orders": lambda request: isinstance(request, ORDER_REQUESTS)}
WHERE = "[ref=R] [id=N] [perm=N] [client=N] [status=S] [code=N] [live=yes|no] [count=N]"


def message_name(message: Any) -> str:
    """IB's name of an answer or a request, or that of its class."""
    for kinds in (ANSWER_KINDS, REQUEST_KINDS):
        for name, kind in kinds.items():
            if type(message) is kind:
                return name
    return type(message).__name__


def facts(session: Session, message: Any) -> dict[str, str]:
    """What a message tells of an order, by the names of the conditions."""
    told: dict[str, Any] = {"client": session.client_id}
    if isinstance(message, OpenOrder | CompletedOrder):
        order = message.order
        told |= {"ref": order.request.order_ref, "id": order.request.order_id, "perm": order.perm_id, "status": order.status}
    elif isinstance(message, say.OrderStatus):
        told |= {"ref": message.order_ref, "id": message.order_id, "perm": message.perm_id, "status": message.status}
    elif isinstance(message, say.ExecutionDetails):
        told |= {"ref": message.fill.order_ref, "id": message.fill.order_id, "perm": message.fill.perm_id}
    elif isinstance(message, say.CommissionReport):
        told |= {"ref": message.order_ref, "id": message.order_id}
    elif isinstance(message, say.ErrorMessage):
        told |= {"id": message.req_id, "code": message.code}
        told |= {"ref": message.order_ref} if isinstance(message, say.OrderError) else {}
    elif isinstance(message, PlaceOrder):
        told |= {"ref": message.order_ref, "id": message.order_id}
    elif isinstance(message, ask.CancelOrder):
        told |= {"id": message.order_id}
    if isinstance(message, Answer):
        told["live"] = "yes" if is_order_news(message) else "no"
    return {name: str(value) for name, value in told.items()}


@dataclass
class Selection:
    """A kind of message and the conditions on it. `remaining` None is without end."""

    word: str
    fits: Fits
    of_requests: bool
    conditions: dict[str, str] = field(default_factory=dict)
    remaining: int | None = None

    @property
    def used_up(self) -> bool:
        return self.remaining == 0

    def takes(self, session: Session, message: Any) -> bool:
        """Whether this message is meant; counts it if so."""
        if self.used_up or not self.fits(message):
            return False
        if self.conditions:
            told = facts(session, message)
            if any(told.get(name) != value for name, value in self.conditions.items()):
                return False
        if self.remaining is not None:
            self.remaining -= 1
        return True


def select(words: list[str], *, default: str = "", requests: bool = True, answers: bool = True) -> tuple[Selection, list[str]]:
    """The selection that `KIND name=value ...` describes, and the words that belong to neither. Raises ScenarioProblem."""
    named = dict(word.split("=", 1) for word in words if "=" in word)
    others = [word for word in words if "=" not in word]
    if not others and not default:
        raise ScenarioProblem("which message? usage: KIND " + WHERE)
    selection = _selection(others.pop(0) if others else default, requests=requests, answers=answers)
    count = named.pop("count", None)
    unknown = named.keys() - {"ref", "id", "perm", "client", "status", "code", "live"}
    if unknown:
        raise ScenarioProblem(f"unknown condition {', '.join(sorted(unknown))}; known: {WHERE}")
    selection.conditions = named
    if count is not None:
        selection.remaining = int(count)
        if selection.remaining < 1:
            raise ScenarioProblem("count must be at least 1")
    return selection, others


def _selection(word: str, *, requests: bool = True, answers: bool = True) -> Selection:
    """The kind a person means: IB's name, with or without a leading `req`, in any case, or one of the groups."""
    found = [(REQUEST_KINDS, REQUEST_GROUPS, True)] * requests + [(ANSWER_KINDS, ANSWER_GROUPS, False)] * answers
    for whole in (True, False):  # `position` is the answer, `positions` the question: what is written in full comes first
        for kinds, groups, of_requests in found:
            for name, kind in kinds.items():
                if word.lower() == (name.lower() if whole else name.lower().removeprefix("req")):
                    return Selection(name, _instance_of(kind), of_requests)
            for name, fits in groups.items():
                if whole and word.lower() == name:
                    return Selection(name, fits, of_requests)
    known = sorted({name for kinds, groups, _ in found for name in (*kinds, *groups)})
    raise ScenarioProblem(f"unknown message {word}; known: {' '.join(known)}")


def _instance_of(kind: type) -> Fits:
    return lambda message: isinstance(message, kind)
