"""What clients may ask: one frozen dataclass per message, fields in wire order, and the table from message id to layout.

Source of ids and field orders: IB's TWS API messages between server versions 157 and 200. placeOrder has a module of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from broker.simulator.messages.layout import (
    ALWAYS,
    NOTHING_MORE,
    ComboLegs,
    ContractFields,
    DeltaNeutral,
    Layout,
    Rest,
    layout_of,
    versions,
)

Kind = TypeVar("Kind", bound=type)
LAYOUTS: dict[int, Layout] = {}
NAMES: dict[int, str] = {3: "placeOrder"}


def message(message_id: int, name: str, *, version_field_below: int = 0) -> Callable[[Kind], Kind]:
    """Declares a dataclass as the layout of a message id; `name` is IB's."""

    def register(kind: Kind) -> Kind:
        NAMES[message_id] = name
        LAYOUTS[message_id] = layout_of(kind, version_field_below)
        return kind

    return register


# --- session ----------------------------------------------------------------------------------------------------------------------


@message(71, "startApi", version_field_below=ALWAYS)
@dataclass(frozen=True)
class StartApi:
    client_id: int
    rest: Rest


@message(8, "reqIds", version_field_below=ALWAYS)
@dataclass(frozen=True)
class RequestIds:
    rest: Rest


@message(17, "reqManagedAccts", version_field_below=ALWAYS)
@dataclass(frozen=True)
class RequestManagedAccounts:
    pass


@message(49, "reqCurrentTime", version_field_below=ALWAYS)
@dataclass(frozen=True)
class RequestCurrentTime:
    pass


@message(105, "reqCurrentTimeInMillis")
@dataclass(frozen=True)
class RequestCurrentTimeMillis:
    pass


@message(14, "setServerLogLevel", version_field_below=ALWAYS)
@dataclass(frozen=True)
class SetServerLogLevel:
    level: int


# --- orders -----------------------------------------------------------------------------------------------------------------------


@message(4, "cancelOrder", version_field_below=192)
@dataclass(frozen=True)
class CancelOrder:
    order_id: int
    manual_cancel_time: str = versions("", since=169)
    rest: Rest = NOTHING_MORE


@message(58, "reqGlobalCancel", version_field_below=192)
@dataclass(frozen=True)
class GlobalCancel:
    rest: Rest


@message(5, "reqOpenOrders", version_field_below=ALWAYS)
@dataclass(frozen=True)
class RequestOpenOrders:
    pass


@message(16, "reqAllOpenOrders", version_field_below=ALWAYS)
@dataclass(frozen=True)
class RequestAllOpenOrders:
    pass


@message(15, "reqAutoOpenOrders", version_field_below=ALWAYS)
@dataclass(frozen=True)
class RequestAutoOpenOrders:
    bind: bool


@message(99, "reqCompletedOrders")
@dataclass(frozen=True)
class RequestCompletedOrders:
    api_only: bool


@message(7, "reqExecutions", version_field_below=ALWAYS)
@dataclass(frozen=True)
class RequestExecutions:
    req_id: int
    client_id: int | None
    account: str
    time: str
    symbol: str
    sec_type: str
    exchange: str
    side: str
    last_days: int | None = versions(None, since=200)
    dates: Rest = versions(NOTHING_MORE, since=200)  # noqa: RUF009


# --- accounts ---------------------------------------------------------------------------------------------------------------------


@message(61, "reqPositions", version_field_below=ALWAYS)
@dataclass(frozen=True)
class RequestPositions:
    pass


@message(64, "cancelPositions", version_field_below=ALWAYS)
@dataclass(frozen=True)
class CancelPositions:
    pass


@message(74, "reqPositionsMulti", version_field_below=ALWAYS)
@dataclass(frozen=True)
class RequestPositionsMulti:
    req_id: int
    account: str
    model_code: str


@message(75, "cancelPositionsMulti", version_field_below=ALWAYS)
@dataclass(frozen=True)
class CancelPositionsMulti:
    req_id: int


@message(6, "reqAccountUpdates", version_field_below=ALWAYS)
@dataclass(frozen=True)
class RequestAccountUpdates:
    subscribe: bool
    account: str


@message(62, "reqAccountSummary", version_field_below=ALWAYS)
@dataclass(frozen=True)
class RequestAccountSummary:
    req_id: int
    group: str
    tags: str


@message(63, "cancelAccountSummary", version_field_below=ALWAYS)
@dataclass(frozen=True)
class CancelAccountSummary:
    req_id: int


@message(76, "reqAccountUpdatesMulti", version_field_below=ALWAYS)
@dataclass(frozen=True)
class RequestAccountUpdatesMulti:
    req_id: int
    account: str
    model_code: str
    ledger_and_net_liquidation: bool


@message(77, "cancelAccountUpdatesMulti", version_field_below=ALWAYS)
@dataclass(frozen=True)
class CancelAccountUpdatesMulti:
    req_id: int


@message(92, "reqPnL")
@dataclass(frozen=True)
class RequestPnL:
    req_id: int
    account: str
    model_code: str


@message(93, "cancelPnL")
@dataclass(frozen=True)
class CancelPnL:
    req_id: int


@message(94, "reqPnLSingle")
@dataclass(frozen=True)
class RequestPnLSingle:
    req_id: int
    account: str
    model_code: str
    con_id: int


@message(95, "cancelPnLSingle")
@dataclass(frozen=True)
class CancelPnLSingle:
    req_id: int


@message(80, "reqFamilyCodes")
@dataclass(frozen=True)
class RequestFamilyCodes:
    pass


@message(104, "reqUserInfo")
@dataclass(frozen=True)
class RequestUserInfo:
    req_id: int


# --- contracts --------------------------------------------------------------------------------------------------------------------


@message(9, "reqContractDetails", version_field_below=ALWAYS)
@dataclass(frozen=True)
class RequestContractDetails:
    req_id: int
    contract: ContractFields
    include_expired: bool
    sec_id_type: str
    sec_id: str
    issuer_id: str = versions("", since=176)


@message(81, "reqMatchingSymbols")
@dataclass(frozen=True)
class RequestMatchingSymbols:
    req_id: int
    pattern: str


@message(91, "reqMarketRule")
@dataclass(frozen=True)
class RequestMarketRule:
    market_rule_id: int


@message(78, "reqSecDefOptParams")
@dataclass(frozen=True)
class RequestOptionParameters:
    req_id: int
    underlying_symbol: str
    exchange: str
    underlying_sec_type: str
    underlying_con_id: int


@message(82, "reqMktDepthExchanges")
@dataclass(frozen=True)
class RequestDepthExchanges:
    pass


@message(85, "reqNewsProviders")
@dataclass(frozen=True)
class RequestNewsProviders:
    pass


@message(79, "reqSoftDollarTiers")
@dataclass(frozen=True)
class RequestSoftDollarTiers:
    req_id: int


@message(83, "reqSmartComponents")
@dataclass(frozen=True)
class RequestSmartComponents:
    req_id: int
    bbo_exchange: str


# --- market data ------------------------------------------------------------------------------------------------------------------


@message(1, "reqMktData", version_field_below=ALWAYS)
@dataclass(frozen=True)
class RequestMarketData:
    req_id: int
    contract: ContractFields
    legs: ComboLegs
    delta_neutral: DeltaNeutral
    generic_ticks: str
    snapshot: bool
    regulatory_snapshot: bool
    options: str


@message(2, "cancelMktData", version_field_below=ALWAYS)
@dataclass(frozen=True)
class CancelMarketData:
    req_id: int


@message(59, "reqMarketDataType", version_field_below=ALWAYS)
@dataclass(frozen=True)
class RequestMarketDataType:
    market_data_type: int


@message(20, "reqHistoricalData")
@dataclass(frozen=True)
class RequestHistoricalData:
    req_id: int
    contract: ContractFields
    include_expired: bool
    end: str
    bar_size: str
    duration: str
    regular_hours: bool
    what_to_show: str
    date_format: int
    legs: ComboLegs
    keep_up_to_date: bool
    options: str


@message(25, "cancelHistoricalData", version_field_below=ALWAYS)
@dataclass(frozen=True)
class CancelHistoricalData:
    req_id: int


# --- frames that ask nothing that can be served ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NotSimulated:
    """A request of the API that this gateway does not offer."""

    name: str
    req_id: int


@dataclass(frozen=True)
class Malformed:
    """A frame that could not be read: IB answers error 320."""

    req_id: int
    text: str


Request = Any  # one of the dataclasses above, or place_order.PlaceOrder
