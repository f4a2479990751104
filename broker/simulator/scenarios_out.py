"""Scenarios that change what clients are told: held back, left out, doubled, in another order, corrected."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from broker.simulator.messages import answers as say
from broker.simulator.messages import requests as ask
from broker.simulator.messages.answers import Answer
from broker.simulator.messages.order_frames import OpenOrder
from broker.simulator.scenario import ORDER_REQUESTS, Scenario, Verdict, is_order_news
from broker.simulator.session import Session


@dataclass
class HoldAcknowledgements(Scenario):
    """News of orders is held back until released, while everything else is answered."""

    name = "hold"
    held: dict[int, list[Answer]] = field(default_factory=dict)

    def outgoing(self, session: Session, answers: list[Answer]) -> list[Answer]:
        news = [answer for answer in answers if is_order_news(answer)]
        if news:
            self.held.setdefault(session.client_id, []).extend(news)
        return [answer for answer in answers if not is_order_news(answer)]


@dataclass
class ConnectionLost(HoldAcknowledgements):
    """The gateway has lost IB (1100): the socket stays up, order requests wait, news of orders waits."""

    name = "connectivity"
    requests: list[tuple[Session, ask.Request]] = field(default_factory=list)

    def incoming(self, session: Session, request: ask.Request, now: datetime) -> Verdict:
        if not isinstance(request, ORDER_REQUESTS):
            return Verdict(request)
        self.requests.append((session, request))
        return Verdict(None)


@dataclass
class Mute(Scenario):
    """Answers of one kind are left out (real gateways leave out execDetailsEnd when there are no executions)."""

    name = "mute"
    kind: type

    def outgoing(self, session: Session, answers: list[Answer]) -> list[Answer]:
        return [answer for answer in answers if not isinstance(answer, self.kind)]


@dataclass
class DuplicateStatuses(Scenario):
    """Every orderStatus comes twice, as it often does."""

    name = "duplicate-statuses"

    def outgoing(self, session: Session, answers: list[Answer]) -> list[Answer]:
        return [copy for answer in answers for copy in ((answer, answer) if isinstance(answer, say.OrderStatus) else (answer,))]


@dataclass
class DuplicateExecutions(Scenario):
    """Every live execution and commission report comes twice."""

    name = "duplicate-executions"

    def outgoing(self, session: Session, answers: list[Answer]) -> list[Answer]:
        twice = (say.ExecutionDetails, say.CommissionReport)
        return [copy for answer in answers for copy in ((answer, answer) if isinstance(answer, twice) else (answer,))]


@dataclass
class StatusBeforeExecution(Scenario):
    """The order's state after a fill comes before the execution that made it so."""

    name = "status-before-execution"

    def outgoing(self, session: Session, answers: list[Answer]) -> list[Answer]:
        late = [answer for answer in answers if isinstance(answer, say.ExecutionDetails) and answer.req_id < 0]
        others = [answer for answer in answers if answer not in late]
        last_state = max((i for i, answer in enumerate(others) if isinstance(answer, OpenOrder | say.OrderStatus)), default=-1)
        return [*others[: last_state + 1], *late, *others[last_state + 1 :]]


@dataclass
class CommissionFirst(Scenario):
    """The commission report comes before its execution."""

    name = "commission-first"

    def outgoing(self, session: Session, answers: list[Answer]) -> list[Answer]:
        first = [answer for answer in answers if isinstance(answer, say.CommissionReport)]
        return [*first, *(answer for answer in answers if not isinstance(answer, say.CommissionReport))]


@dataclass
class SkipPreSubmitted(Scenario):
    """Orders start at Submitted: the PreSubmitted of an order that is not held is left out."""

    name = "skip-presubmitted"

    def outgoing(self, session: Session, answers: list[Answer]) -> list[Answer]:
        return [answer for answer in answers if not _is_passing_presubmitted(answer)]


def _is_passing_presubmitted(answer: Answer) -> bool:
    if isinstance(answer, OpenOrder) and answer.live:
        return answer.order.status == "PreSubmitted" and not answer.order.why_held
    return isinstance(answer, say.OrderStatus) and answer.live and answer.status == "PreSubmitted" and not answer.why_held


@dataclass
class ForgetFills(Scenario):
    """The word Filled and every execution are lost on the way, as around a lost connection; the exchange has them on record."""

    name = "forget-fills"

    def outgoing(self, session: Session, answers: list[Answer]) -> list[Answer]:
        return [answer for answer in answers if not _tells_of_a_fill(answer)]


def _tells_of_a_fill(answer: Answer) -> bool:
    if not is_order_news(answer):
        return False
    if isinstance(answer, OpenOrder):
        return answer.order.status == "Filled"
    return answer.status == "Filled" if isinstance(answer, say.OrderStatus) else not isinstance(answer, say.OrderError)


@dataclass
class CorrectExecution(Scenario):
    """An execution is followed, wherever it is reported, by a correction: the same but for the last digits of its id, shares and price."""

    name = "correct-execution"
    exec_id: str
    shares: Decimal
    price: Decimal

    def outgoing(self, session: Session, answers: list[Answer]) -> list[Answer]:
        out: list[Answer] = []
        for answer in answers:
            out.append(answer)
            if isinstance(answer, say.ExecutionDetails) and answer.fill.exec_id == self.exec_id:
                out.append(self.correction(answer))
        return out

    def correction(self, original: say.ExecutionDetails) -> say.ExecutionDetails:
        """The corrected execution; its id has the next revision after the last dot."""
        root, _, revision = original.fill.exec_id.rpartition(".")
        fill = dataclasses.replace(original.fill, exec_id=f"{root}.{int(revision) + 1:02d}", shares=self.shares, price=self.price)
        return dataclasses.replace(original, fill=fill)
