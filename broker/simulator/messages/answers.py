"""What the gateway says: one frozen dataclass per message, which writes its own fields for a given server version.

Most messages are an id, sometimes a literal version, and their values in order; those differ from each other only in a table. The rule
kept: field counts are exact for every server version, because clients unpack by count and drop or misread a message of another length.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import ClassVar

from broker.simulator.messages.values import UNSET_DOUBLE, escaped, flag, number, size, timestamp
from broker.simulator.model import CommissionCharged, Fill, Instrument
from broker.simulator.wire import encode_frame


@dataclass(frozen=True)
class Answer:
    """A message to a client. ID and VERSION are the literal leading fields; VERSION None means that there is none."""

    ID: ClassVar[int]
    VERSION: ClassVar[int | None] = None

    def fields(self, version: int) -> list[str]:
        """The fields of the message, id first, for a client that negotiated `version`."""
        return [*self.head(), *(text_of(getattr(self, name)) for name in _names(type(self)))]

    def encoded(self, version: int) -> bytes:
        """The message as it goes on the socket."""
        return encode_frame(self.fields(version))

    def head(self) -> list[str]:
        return [str(self.ID)] if self.VERSION is None else [str(self.ID), str(self.VERSION)]


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(item.name for item in dataclasses.fields(kind))


def text_of(value: object) -> str:
    """A plain value as wire text; None is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return flag(value)
    return number(value) if isinstance(value, (int, Decimal)) else str(value)


def contract_block(instrument: Instrument, exchange: str, *, unset_right: str = "") -> list[str]:
    """The eleven contract fields of openOrder, execDetails and position; `unset_right` is what stands for "no right"."""
    return [
        str(instrument.con_id),
        instrument.symbol,
        instrument.sec_type,
        instrument.expiry,
        number(instrument.strike),
        instrument.right or unset_right,
        multiplier_text(instrument),
        exchange,
        instrument.currency,
        instrument.local_symbol,
        instrument.trading_class,
    ]


def multiplier_text(instrument: Instrument) -> str:
    """IB leaves the multiplier empty where a unit of the contract is one unit of the underlying."""
    return "" if instrument.multiplier == 1 else number(instrument.multiplier)


# --- session ----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ErrorMessage(Answer):
    ID = 4
    req_id: int
    code: int
    text: str
    at: datetime
    advanced_reject: str = ""

    def fields(self, version: int) -> list[str]:
        head = ["4"] if version >= 194 else ["4", "2"]
        out = [*head, str(self.req_id), str(self.code), escaped(self.text)]
        if version >= 166:
            out.append(escaped(self.advanced_reject))
        if version >= 194:
            out.append(str(int(self.at.timestamp() * 1000)))
        return out


@dataclass(frozen=True)
class OrderError(ErrorMessage):
    """An error about an order (refused, cancelled, not found); the same frame, told apart so that it can be held back with the order's
    other messages. The order's reference is not sent."""

    order_ref: str = ""


@dataclass(frozen=True)
class NextValidId(Answer):
    ID, VERSION = 9, 1
    order_id: int


@dataclass(frozen=True)
class ManagedAccounts(Answer):
    ID, VERSION = 15, 1
    accounts: str


@dataclass(frozen=True)
class CurrentTime(Answer):
    ID, VERSION = 49, 1
    seconds: int


@dataclass(frozen=True)
class CurrentTimeMillis(Answer):
    ID = 109
    milliseconds: int


# --- orders (openOrder and completedOrder are in order_frames) -------------------------------------------------------------------------


@dataclass(frozen=True)
class OrderStatus(Answer):
    ID = 3
    order_id: int
    status: str
    filled: Decimal
    remaining: Decimal
    average_price: Decimal
    perm_id: int
    parent_id: int
    last_price: Decimal
    client_id: int
    why_held: str
    live: bool = False  # news of an order, not the answer to a request for open orders
    order_ref: str = ""  # not sent

    def fields(self, version: int) -> list[str]:
        return [
            "3", str(self.order_id), self.status, size(self.filled, version), size(self.remaining, version), number(self.average_price),
            str(self.perm_id), str(self.parent_id), number(self.last_price), str(self.client_id), self.why_held, "0",
        ]  # fmt: skip


@dataclass(frozen=True)
class OpenOrderEnd(Answer):
    ID, VERSION = 53, 1


@dataclass(frozen=True)
class CompletedOrdersEnd(Answer):
    ID = 102


@dataclass(frozen=True)
class ExecutionDetails(Answer):
    """execDetails; the request id is -1 for a live execution."""

    ID = 11
    req_id: int
    fill: Fill
    instrument: Instrument
    submitter: str

    def fields(self, version: int) -> list[str]:
        fill = self.fill
        out = [
            "11", str(self.req_id), str(fill.order_id), *contract_block(self.instrument, fill.exchange), fill.exec_id, timestamp(fill.time),
            fill.account, fill.exchange, fill.side, size(fill.shares, version), number(fill.price), str(fill.perm_id),
            str(fill.client_id), "0",
            size(fill.cum_quantity, version), number(fill.average_price), fill.order_ref, "", "", "", str(fill.liquidity),
        ]  # fmt: skip
        if version >= 178:
            out.append("0")
        if version >= 198:
            out.append(self.submitter)
        return out


@dataclass(frozen=True)
class ExecutionDetailsEnd(Answer):
    ID, VERSION = 55, 1
    req_id: int


@dataclass(frozen=True)
class CommissionReport(Answer):
    ID = 59
    charge: CommissionCharged
    order_id: int = 0  # whose it is: not sent
    order_ref: str = ""

    def fields(self, version: int) -> list[str]:
        charge = self.charge
        realized = number(charge.realized_pnl, UNSET_DOUBLE)
        return ["59", "1", charge.exec_id, number(charge.commission), charge.currency, realized, UNSET_DOUBLE, ""]


# --- accounts ---------------------------------------------------------------------------------------------------------------------


def _position_exchange(instrument: Instrument) -> str:
    """IB names the listing exchange in position messages, and none at all for futures."""
    return "" if instrument.sec_type == "FUT" else instrument.primary_exchange or instrument.exchange


@dataclass(frozen=True)
class Position(Answer):
    ID = 61
    account: str
    instrument: Instrument
    quantity: Decimal
    average_cost: Decimal

    def fields(self, version: int) -> list[str]:
        block = contract_block(self.instrument, _position_exchange(self.instrument))
        return ["61", "3", self.account, *block, number(self.quantity), number(self.average_cost)]


@dataclass(frozen=True)
class PositionEnd(Answer):
    ID, VERSION = 62, 1


@dataclass(frozen=True)
class PositionMulti(Answer):
    ID = 71
    req_id: int
    account: str
    instrument: Instrument
    quantity: Decimal
    average_cost: Decimal

    def fields(self, version: int) -> list[str]:
        block = contract_block(self.instrument, _position_exchange(self.instrument))
        return ["71", "1", str(self.req_id), self.account, *block, number(self.quantity), number(self.average_cost), ""]


@dataclass(frozen=True)
class PositionMultiEnd(Answer):
    ID, VERSION = 72, 1
    req_id: int


@dataclass(frozen=True)
class AccountValue(Answer):
    ID, VERSION = 6, 2
    key: str
    value: str
    currency: str
    account: str


@dataclass(frozen=True)
class Portfolio(Answer):
    """updatePortfolio. Unlike the other contract blocks it has the primary exchange, and `0` for "no right"."""

    ID = 7
    instrument: Instrument
    quantity: Decimal
    market_price: Decimal
    market_value: Decimal
    average_cost: Decimal
    unrealized_pnl: Decimal
    realized_pnl: Decimal
    account: str

    def fields(self, version: int) -> list[str]:
        block = contract_block(self.instrument, self.instrument.primary_exchange or self.instrument.exchange, unset_right="0")
        money = (self.quantity, self.market_price, self.market_value, self.average_cost, self.unrealized_pnl, self.realized_pnl)
        return ["7", "8", *block, *(number(value) for value in money), self.account]


@dataclass(frozen=True)
class AccountTime(Answer):
    ID, VERSION = 8, 1
    hours_and_minutes: str


@dataclass(frozen=True)
class AccountDownloadEnd(Answer):
    ID, VERSION = 54, 1
    account: str


@dataclass(frozen=True)
class AccountSummary(Answer):
    ID, VERSION = 63, 1
    req_id: int
    account: str
    tag: str
    value: str
    currency: str


@dataclass(frozen=True)
class AccountSummaryEnd(Answer):
    ID, VERSION = 64, 1
    req_id: int


@dataclass(frozen=True)
class AccountUpdateMulti(Answer):
    ID, VERSION = 73, 1
    req_id: int
    account: str
    model_code: str
    key: str
    value: str
    currency: str


@dataclass(frozen=True)
class AccountUpdateMultiEnd(Answer):
    ID, VERSION = 74, 1
    req_id: int


@dataclass(frozen=True)
class PnL(Answer):
    ID = 94
    req_id: int
    daily: Decimal
    unrealized: Decimal
    realized: Decimal


@dataclass(frozen=True)
class PnLSingle(Answer):
    ID = 95
    req_id: int
    quantity: Decimal
    daily: Decimal
    unrealized: Decimal
    realized: Decimal
    value: Decimal

    def fields(self, version: int) -> list[str]:
        money = (self.daily, self.unrealized, self.realized, self.value)
        return ["95", str(self.req_id), size(self.quantity, version), *(number(value) for value in money)]


@dataclass(frozen=True)
class UserInfo(Answer):
    ID = 107
    req_id: int
    branding: str


# --- lists of groups ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GroupList(Answer):
    """Messages that are a leading part, a count, and that many equal groups: rules, families, exchanges, news providers, tiers."""

    message_id: int
    leading: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]

    def fields(self, version: int) -> list[str]:
        flat = [text for group in self.groups for text in group]
        return [str(self.message_id), *self.leading, str(len(self.groups)), *flat]


def market_rule(rule_id: int, steps: tuple[tuple[Decimal, Decimal], ...]) -> GroupList:
    """marketRule: price increments by lower edge."""
    return GroupList(93, (str(rule_id),), tuple((number(edge), number(increment)) for edge, increment in steps))


def family_codes(accounts: tuple[str, ...]) -> GroupList:
    return GroupList(78, (), tuple((account, "") for account in accounts))


def depth_exchanges() -> GroupList:
    return GroupList(80, (), ())


def news_providers() -> GroupList:
    return GroupList(85, (), ())


def soft_dollar_tiers(req_id: int) -> GroupList:
    return GroupList(77, (str(req_id),), ())


def smart_components(req_id: int, exchanges: tuple[str, ...]) -> GroupList:
    groups = tuple((str(bit), name, name[:1]) for bit, name in enumerate(exchanges))
    return GroupList(82, (str(req_id),), groups)
