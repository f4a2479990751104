"""Reads the fields of one received message into a dataclass, by the types the dataclass declares.

A message is declared once, as a frozen dataclass whose fields stand in wire order; `since` and `below` bound a field to the server
versions that carry it. The rule kept: a field that is missing or not of its type raises ValueProblem, it is never guessed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, get_type_hints

from broker.simulator.messages.values import ValueProblem, parse_flag, parse_integer, parse_number, parse_optional_integer

ALWAYS = 1 << 30


@dataclass(frozen=True)
class ContractFields:
    """The block of twelve fields by which a client names a contract."""

    con_id: int
    symbol: str
    sec_type: str
    expiry: str
    strike: Decimal | None
    right: str
    multiplier: str
    exchange: str
    primary_exchange: str
    currency: str
    local_symbol: str
    trading_class: str


@dataclass(frozen=True)
class ComboLegs:
    """Legs of a BAG contract in a data request, each (conId, ratio, action, exchange); no fields at all for other contracts."""

    legs: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class DeltaNeutral:
    """The delta-neutral block: a flag, and three fields where it is set."""

    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rest:
    """Every field that remains."""

    fields: tuple[str, ...] = ()


class Cursor:
    """Walks through the fields of one message and remembers the contract, on which later layout depends."""

    def __init__(self, fields: list[str], version: int) -> None:
        self._fields = fields
        self._position = 0
        self.version = version
        self.sec_type = ""

    @property
    def remaining(self) -> int:
        return len(self._fields) - self._position

    def text(self) -> str:
        if self._position >= len(self._fields):
            raise ValueProblem(f"The message ends after {len(self._fields)} fields, more were expected")
        value = self._fields[self._position]
        self._position += 1
        return value

    def integer(self) -> int:
        return parse_integer(self.text())

    def count(self) -> int:
        """How many groups follow; empty is none, and more than the fields left is refused before anything is built."""
        text = self.text()
        number = parse_integer(text) if text else 0
        if not 0 <= number <= self.remaining:
            raise ValueProblem(f"{number} repeated groups do not fit into {self.remaining} fields")
        return number

    def flag(self) -> bool:
        return parse_flag(self.text())

    def take(self, number: int) -> tuple[str, ...]:
        return tuple(self.text() for _ in range(number))

    def contract(self) -> ContractFields:
        con_id = parse_optional_integer(self.text()) or 0
        symbol, sec_type, expiry = self.take(3)
        strike = parse_number(self.text())
        contract = ContractFields(con_id, symbol, sec_type, expiry, strike, *self.take(7))
        self.sec_type = sec_type
        return contract

    def combo_legs(self) -> ComboLegs:
        if self.sec_type != "BAG":
            return ComboLegs()
        return ComboLegs(tuple(self.take(4) for _ in range(self.count())))

    def delta_neutral(self) -> DeltaNeutral:
        return DeltaNeutral(self.take(3)) if self.flag() else DeltaNeutral()

    def rest(self) -> Rest:
        return Rest(self.take(self.remaining))


_READERS: dict[Any, Callable[[Cursor], Any]] = {
    int: Cursor.integer,
    str: Cursor.text,
    bool: Cursor.flag,
    int | None: lambda cursor: parse_optional_integer(cursor.text()),
    Decimal | None: lambda cursor: parse_number(cursor.text()),
    ContractFields: Cursor.contract,
    ComboLegs: Cursor.combo_legs,
    DeltaNeutral: Cursor.delta_neutral,
    Rest: Cursor.rest,
}


NOTHING_MORE = Rest()


def versions(default: Any, *, since: int = 0, below: int = ALWAYS) -> Any:
    """A dataclass field that is on the wire only for since <= server version < below; elsewhere it has its default."""
    return dataclasses.field(default=default, metadata={"since": since, "below": below})


@dataclass(frozen=True)
class Layout:
    """How one message is read: its dataclass, and below which server version a literal version field leads it."""

    kind: type
    version_field_below: int
    readers: tuple[tuple[str, Callable[[Cursor], Any], int, int], ...]

    def read(self, cursor: Cursor) -> Any:
        """The dataclass of the message; raises ValueProblem where the fields do not fit."""
        if cursor.version < self.version_field_below:
            cursor.text()
        values = {name: read(cursor) for name, read, since, below in self.readers if since <= cursor.version < below}
        return self.kind(**values)


def layout_of(kind: type, version_field_below: int) -> Layout:
    """The layout that the dataclass `kind` declares."""
    hints = get_type_hints(kind)
    readers = tuple(
        (item.name, _READERS[hints[item.name]], item.metadata.get("since", 0), item.metadata.get("below", ALWAYS))
        for item in dataclasses.fields(kind)
    )
    return Layout(kind, version_field_below, readers)
