"""Scenarios that change what clients are told of a fill: another order of arrival, the way to a fill left out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from broker.simulator.messages import answers as say
from broker.simulator.messages.answers import Answer
from broker.simulator.messages.order_frames import OpenOrder
from broker.simulator.scenario import Scenario
from broker.simulator.session import Session


@dataclass
class StatusBeforeExecution(Scenario):
    """The order's state after a fill comes before the execution that made it so."""

    name = "status-before-execution"

    def outgoing(self, session: Session, answers: list[Answer], now: datetime) -> list[Answer]:
        late = [answer for answer in answers if isinstance(answer, say.ExecutionDetails) and answer.req_id < 0]
        others = [answer for answer in answers if answer not in late]
        last_state = max((i for i, answer in enumerate(others) if isinstance(answer, OpenOrder | say.OrderStatus)), default=-1)
        return [*others[: last_state + 1], *late, *others[last_state + 1 :]]


@dataclass
class CommissionFirst(Scenario):
    """The commission report comes before its execution."""

    name = "commission-first"

    def outgoing(self, session: Session, answers: list[Answer], now: datetime) -> list[Answer]:
        first = [answer for answer in answers if isinstance(answer, say.CommissionReport)]
        return [*first, *(answer for answer in answers if not isinstance(answer, say.CommissionReport))]


@dataclass
class SkipPreSubmitted(Scenario):
    """Orders start at Submitted: the PreSubmitted of an order that is not held is left out."""

    name = "skip-presubmitted"

    def outgoing(self, session: Session, answers: list[Answer], now: datetime) -> list[Answer]:
        return [answer for answer in answers if not _is_passing_presubmitted(answer)]


def _is_passing_presubmitted(answer: Answer) -> bool:
    if isinstance(answer, OpenOrder) and answer.live:
        return answer.order.status == "PreSubmitted" and not answer.order.why_held
    return isinstance(answer, say.OrderStatus) and answer.live and answer.status == "PreSubmitted" and not answer.why_held
