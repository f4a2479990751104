"""The exchange as plain JSON data and back: what a simulated gateway keeps while it is down.

A restored exchange gives the same events for the same future input as the saved one would have. Decimals and times are text; the
instruments are not saved but built again from the days they were listed on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

from broker.simulator.accounts import Account
from broker.simulator.model import CommissionCharged, Fill
from broker.simulator.orderbook import BookedOrder
from broker.simulator.universe import build_universe

if TYPE_CHECKING:
    from broker.simulator.exchange import Exchange

VERSION, BEFORE_TICKETS = 2, 1
# What a line holds besides its instrument, in the order it is saved.
LINE_NUMBERS = (
    *("middle", "anchor", "bid", "ask", "last", "bid_size", "ask_size", "last_size", "volume"),
    *("before_bid", "before_ask", "before_last"),
)
T = TypeVar("T")


def save(exchange: Exchange) -> dict[str, Any]:
    """The whole state of an exchange as JSON-able data."""
    lines = exchange.market.lines
    return pack(
        {
            "version": VERSION,
            "seed": exchange.seed,
            "born": exchange.born,
            "day": exchange.day,
            "steps": exchange.market.steps,
            "stepped_at": exchange.market.stepped_at,
            "lines": {con_id: [getattr(line, name) for name in LINE_NUMBERS] for con_id, line in lines.items()},
            "quoted_at": {con_id: line.at for con_id, line in lines.items()},
            "pinned": {con_id: line.pinned_sizes for con_id, line in lines.items() if line.pinned_sizes},
            "accounts": exchange.ledger.by_name,
            "orders": list(exchange.book.orders.values()),
            "used_ids": exchange.book.used_ids,
            "seen_ids": exchange.book.seen_ids,
            "finished_groups": sorted(exchange.contingencies.finished),
            "executions": exchange.executions,
            "exec_count": exchange.exec_count,
            "exec_prefix": exchange.exec_prefix,
            "next_perm_id": exchange.next_perm_id,
            "cancel_delay_steps": exchange.cancel_delay_steps,
            "kills_as_inactive": exchange.kills_as_inactive,
        }
    )


def check_version(state: dict[str, Any]) -> None:
    """Raises ValueError where the state was saved by a version of this module that this one cannot take up."""
    if state.get("version") not in (VERSION, BEFORE_TICKETS):
        raise ValueError(f"exchange state of version {state.get('version')}, this is version {VERSION}")


def _as_of_now(state: dict[str, Any]) -> dict[str, Any]:
    """A state from before there were complete tickets as this version would have saved it: the quote before each is the quote itself."""
    if state["version"] == VERSION:
        return state
    bid, last = LINE_NUMBERS.index("bid"), LINE_NUMBERS.index("last")
    lines = {con_id: [*numbers, *numbers[bid : last + 1]] for con_id, numbers in state["lines"].items()}
    return {**state, "lines": lines, "kills_as_inactive": False}


def load(exchange: Exchange, state: dict[str, Any]) -> None:
    """Put a saved state into a freshly made exchange with the same seed and accounts."""
    state = _as_of_now(state)
    exchange.born, exchange.day = unpack(date, state["born"]), unpack(date, state["day"])
    exchange.ledger.by_name = unpack(dict[str, Account], state["accounts"])
    for order in unpack(list[BookedOrder], state["orders"]):
        exchange.book.orders[order.key] = order
        if order.is_open:
            exchange.book.open[order.key] = order
    exchange.book.used_ids = unpack(dict[int, int], state["used_ids"])
    exchange.book.seen_ids = unpack(dict[int, int], state["seen_ids"])
    exchange.contingencies.finished = set(unpack(list[tuple[str, str]], state["finished_groups"]))
    exchange.executions = unpack(list[tuple[Fill, CommissionCharged]], state["executions"])
    for name in ("exec_count", "exec_prefix", "next_perm_id", "cancel_delay_steps", "kills_as_inactive"):
        setattr(exchange, name, state[name])
    _load_market(exchange, state)


def _load_market(exchange: Exchange, state: dict[str, Any]) -> None:
    market = exchange.market
    exchange.instruments = build_universe(exchange.born, exchange.day)
    market.steps, market.lines = state["steps"], {}
    market.list_instruments(exchange.instruments, market.stepped_at)
    for con_id, line in market.lines.items():
        if str(con_id) not in state["lines"]:  # this version lists more expiries than the one that saved
            continue
        for name, number in zip(LINE_NUMBERS, state["lines"][str(con_id)], strict=True):
            setattr(line, name, Decimal(number))
        line.at = datetime.fromisoformat(state["quoted_at"][str(con_id)])
        sizes = state["pinned"].get(str(con_id))
        line.pinned_sizes = unpack(tuple[Decimal, Decimal], sizes) if sizes else None


def pack(value: Any) -> Any:
    """A value of the simulator as JSON-able data."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, date):  # datetime is one
        return value.isoformat()
    if is_dataclass(value):
        return {one.name: pack(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, dict):
        return {str(key): pack(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [pack(one) for one in value]
    return value


def unpack(kind: type[T], data: Any) -> T:
    """The value of type `kind` that `pack` turned into `data`. Raises KeyError or ValueError where the data is something else."""
    return _reader(kind)(data)


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Decimal:
        return Decimal
    if kind in (date, datetime):
        return kind.fromisoformat
    if origin is UnionType:
        read = _reader(next(one for one in arguments if one is not type(None)))
        return lambda data: None if data is None else read(data)
    if origin is dict:
        read_key, read_value = arguments[0], _reader(arguments[1])
        return lambda data: {read_key(key): read_value(one) for key, one in data.items()}
    if origin is list:
        read = _reader(arguments[0])
        return lambda data: [read(one) for one in data]
    if origin is tuple:
        readers = [_reader(one) for one in arguments]
        return lambda data: tuple(read(one) for read, one in zip(readers, data, strict=True))
    if is_dataclass(kind):
        hints = {name: _reader(one) for name, one in get_type_hints(kind).items()}
        return lambda data: kind(**{name: hints[name](one) for name, one in data.items()})
    return lambda data: data
