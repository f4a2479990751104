"""What one order's fill or end means for the others: one-cancels-all groups and bracket families.

Pure: it reads the book and answers what should happen; the exchange does it. The semantics of types 1, 2 and 3 are those of IB's order
guide ("cancel other orders", "reduce other orders", with and without overfill protection). Where IB's documents are silent, this model
chooses, and the choice is stated at the function that makes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

from broker.simulator.model import OrderRequest
from broker.simulator.orderbook import BookedOrder, OrderBook


class OcaType(Enum):
    CANCEL_WITH_BLOCK = 1
    REDUCE_WITH_BLOCK = 2
    REDUCE_WITHOUT_BLOCK = 3

    @property
    def blocks(self) -> bool:
        """Only one order of the group is routed at a time, so the group cannot be overfilled."""
        return self is not OcaType.REDUCE_WITHOUT_BLOCK


@dataclass(frozen=True)
class Group:
    """A one-cancels-all group: named by a client within its account, or the children of one parent (named by its permanent id)."""

    account: str
    name: str
    type: OcaType
    family: bool = False


@dataclass(frozen=True)
class Consequence:
    """What happens to `order`: it is reduced by `reduce_by` (cancelled if nothing is left), or cancelled where that is None."""

    order: BookedOrder
    reduce_by: Decimal | None


def group_of(order: BookedOrder) -> Group | None:
    """The group an order belongs to, if any.

    A type left at 0 is type 3, which is what a gateway echoes for it. Children of one parent are a group without being named one, as at
    IB; ours is of type 2 (modelling choice), so a partly filled target leaves a stop for the rest and the two cannot fill twice.
    """
    request = order.request
    if request.oca_group:
        return Group(request.account, request.oca_group, OcaType(request.oca_type or 3))
    if order.parent_perm_id:
        return Group(request.account, str(order.parent_perm_id), OcaType.REDUCE_WITH_BLOCK, family=True)
    return None


@dataclass
class Contingencies:
    """The rules over one book. `finished` remembers the named groups that are over: IB does not let their names be used again."""

    book: OrderBook
    finished: set[tuple[str, str]] = field(default_factory=set)

    def siblings(self, order: BookedOrder) -> list[BookedOrder]:
        """The other open members of an order's group that the exchange was told of, held children included."""
        group = group_of(order)
        if group is None:
            return []
        return [one for one in self.book.open.values() if one is not order and one.transmitted and group_of(one) == group]

    def refusal(self, request: OrderRequest) -> tuple[int, str] | None:
        """Why a new order may not join the group it names: (code, text), or None. Called when the order is transmitted."""
        if not request.oca_group:
            return None
        if (request.account, request.oca_group) in self.finished:
            return 201, "Order rejected - reason:OCA group already filled."
        for one in self.book.open.values():
            group = group_of(one) if one.transmitted else None
            if group is None or group.family or (group.account, group.name) != (request.account, request.oca_group):
                continue
            if group.type is not OcaType(request.oca_type or 3):
                return 10327, "OCA group type revision is not allowed."
        return None

    def after_fill(self, order: BookedOrder, shares: Decimal) -> list[Consequence]:
        """What a fill of `shares` means for the rest of the group.

        Type 1 cancels them on the first fill, partial or not. Types 2 and 3 reduce each by the filled quantity and cancel it when nothing
        is left; a complete fill cancels them.
        """
        group = group_of(order)
        if group is None:
            return []
        done = not order.is_open
        if group.type is OcaType.CANCEL_WITH_BLOCK or done:
            self._finish(group)
            return [Consequence(one, None) for one in self.siblings(order)]
        return [Consequence(one, shares) for one in self.siblings(order)]

    def after_cancel(self, order: BookedOrder) -> list[BookedOrder]:
        """Who goes with a cancelled order: its children, and the rest of its group.

        That a cancelled parent takes its children, and a cancelled child its sibling, is how IB's Client Portal documentation has it; that
        any cancelled member takes the rest of a named group has been seen at a gateway. The parent of a cancelled child stays.
        """
        group = group_of(order)
        if group is None or not order.transmitted:
            return self.book.children_of(order)
        self._finish(group)
        return self.book.children_of(order) + self.siblings(order)

    def close_if_empty(self, order: BookedOrder) -> None:
        """Mark a named group as over when its last member has ended some other way (rejected or expired)."""
        group = group_of(order)
        if group is not None and not self.siblings(order):
            self._finish(group)

    def _finish(self, group: Group) -> None:
        if not group.family:
            self.finished.add((group.account, group.name))
