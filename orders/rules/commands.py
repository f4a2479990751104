"""What we ask of the broker: claimed units, ready to be written.

A unit (single order, bracket, OCA pair, one modify, one cancel) is written whole, in one burst, or not at all. Only the outbox makes
units, and only from rows it has claimed; the connector writes nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from orders.rules.terms import OrderTerms


@dataclass(frozen=True)
class ContractSpec:
    """The contract an order names: con_id and exchange decide, the rest is for people (stale copies of other fields cause code 478)."""

    con_id: int
    exchange: str
    symbol: str
    sec_type: str
    currency: str


@dataclass(frozen=True)
class _OrderFrame:
    """A whole order as IB's placeOrder takes it, new or changed."""

    command_id: int
    client_order_id: str
    ib_order_id: int
    account: str
    contract: ContractSpec
    terms: OrderTerms
    parent_ib_order_id: int = 0
    oca_group: str = ""
    oca_type: int = 0
    transmit: bool = True


class PlaceOrder(_OrderFrame):
    """One openable order. `transmit` is False only inside a parent's family, on all but its last member."""


class ModifyOrder(_OrderFrame):
    """The same IB order id with new terms; every other field equals the order's (IB refuses a change of account, contract or OCA)."""


@dataclass(frozen=True)
class CancelOrder:
    command_id: int
    client_order_id: str
    ib_order_id: int


Frame = PlaceOrder | ModifyOrder | CancelOrder


@dataclass(frozen=True)
class Unit:
    """Frames to write in this order without an await between, under the lease's fencing number."""

    unit_id: str
    fence: int
    frames: tuple[Frame, ...]
