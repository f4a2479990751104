"""Who may enter the simulated market: the checks that need the book, the groups and the accounts, for new orders and for changes.

A new order that fails here was taken by the gateway and is rejected by the broker; a change that fails leaves the order as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from broker.simulator.accounts import Accounts
from broker.simulator.attributes import NO_ALGORITHM_HERE, algorithm_of
from broker.simulator.contingency import Contingencies, Group, group_of
from broker.simulator.model import Instrument, OrderRequest, Refused
from broker.simulator.order_types import Refusal, Wait, kind_of
from broker.simulator.orderbook import BookedOrder, OrderBook
from broker.simulator.validation import refusal

ZERO = Decimal(0)
MAY_HAVE_TRAILING_CHILD = ("LMT", "STP LMT")


class Wish(NamedTuple):
    """What a working order may still do to a position."""

    con_id: int
    action: str
    quantity: Decimal
    group: Group | None


class Admission:
    """The checks over one exchange's book and accounts. (code, text) is a reason, None is consent."""

    instruments: Mapping[int, Instrument]
    book: OrderBook
    ledger: Accounts
    contingencies: Contingencies
    max_active_orders = 20  # per contract, side and account (order_limitations.html)
    # A gateway was seen to answer 135, for the parent's id, to a change of a child that still names its filled parent; off by default.
    refuses_child_naming_gone_parent = False

    @property
    def accounts(self) -> tuple[str, ...]:
        return tuple(self.ledger.by_name)

    def _is_held_by_parent(self, order: BookedOrder) -> bool:
        """Children wait until their parent has filled completely (modelling choice: IB does not say what a partial fill does)."""
        parent = self.book.parent_of(order.request)
        return parent is not None and parent.status != "Filled"

    def _parent_refusal(self, request: OrderRequest) -> Refusal | None:
        if not request.parent_id:
            return None
        parent = self.book.parent_of(request)
        if parent is None or not parent.is_open:
            return 10006, "Missing parent order."
        if algorithm_of(parent.request):
            return NO_ALGORITHM_HERE
        if kind_of(request).waits_for is Wait.TRAIL and parent.request.order_type not in MAY_HAVE_TRAILING_CHILD:
            return 328, "Trailing stop orders can be attached to limit or stop-limit orders only."
        return None

    def _rejection(self, order: BookedOrder) -> Refusal | None:
        """Why the exchange or the broker refuses an order that the gateway took: (code, text), or None."""
        request = order.request
        reason = self.contingencies.refusal(request)
        if reason:
            return reason
        rivals = [one for one in self._active(request.account, request.con_id) if one is not order]
        if sum(one.request.action == request.action for one in rivals) >= self.max_active_orders:
            return 201, f"Order rejected - reason:The limit of {self.max_active_orders} active orders per contract and side is reached."
        opposite = [one for one in rivals if one.request.action != request.action and not self._are_family(one, order)]
        if self.instruments[request.con_id].sec_type == "OPT" and opposite:
            return 201, "Order rejected - reason:Cannot have open orders on both sides of the same US Option contract."
        return None if self._is_held_by_parent(order) else self._credit_refusal(request, group_of(order))

    def _credit_refusal(self, request: OrderRequest, group: Group | None) -> Refusal | None:
        """Code 201 where an order for the request's quantity asks for more initial margin than the account has equity, with all working
        orders filled. Of a group (that of the order, and every other) only the largest member counts on each side."""
        working = [
            Wish(one.request.con_id, one.request.action, one.remaining, group_of(one))
            for one in self.book.open.values()
            if one.request.account == request.account and one.in_market and one.ids != (request.client_id, request.order_id)
        ]
        wish = Wish(request.con_id, request.action, request.quantity, group)
        before, _ = self.ledger.margins(request.account, self._outcomes(request.account, working))
        after, _ = self.ledger.margins(request.account, self._outcomes(request.account, [*working, wish]))
        equity = self.ledger.equity(request.account)
        if after <= before or after <= equity:
            return None
        return 201, (
            "Order rejected - reason:YOUR ORDER IS NOT ACCEPTED. IN ORDER TO OBTAIN THE DESIRED POSITION YOUR EQUITY WITH LOAN VALUE "
            f"[{equity:.2f} USD] MUST EXCEED THE INITIAL MARGIN [{after:.2f} USD]"
        )

    def _outcomes(self, account: str, wishes: Sequence[Wish]) -> dict[int, tuple[Decimal, Decimal]]:
        """By contract, the positions if all buys fill and if all sells fill."""
        exposure = _exposure(wishes)
        held = {con_id: self.ledger.quantity(account, con_id) for con_id in exposure}
        return {con_id: (held[con_id] + bought, held[con_id] - sold) for con_id, (bought, sold) in exposure.items()}

    def _active(self, account: str, con_id: int) -> list[BookedOrder]:
        return [
            one for one in self.book.open.values() if one.transmitted and (one.request.account, one.request.con_id) == (account, con_id)
        ]

    def _are_family(self, one: BookedOrder, other: BookedOrder) -> bool:
        parents = {one.parent_perm_id or one.perm_id, other.parent_perm_id or other.perm_id}
        return len(parents) == 1

    def _modify_refusal(self, order: BookedOrder, request: OrderRequest, now: datetime) -> Refused | None:
        held = order.request
        if order.status == "PendingCancel":
            return Refused(*order.ids, 2102, "Unable to modify this order as it is still being processed.")
        if self.refuses_child_naming_gone_parent and request.parent_id and self._parent_refusal(request):
            return Refused(request.client_id, request.parent_id, 135, f"Can't find order with id ={request.parent_id}")
        reason = self._mismatch(held, request) or refusal(request, self.instruments.get(request.con_id), self.accounts, now, held)
        if reason is None and request.quantity <= order.filled:
            reason = (134, "Modify order failed.")
        if reason is None and order.in_market and request.quantity > held.quantity:
            reason = self._credit_refusal(replace(request, quantity=request.quantity - order.filled), group_of(order))
        return Refused(*order.ids, *reason) if reason else None

    def _mismatch(self, held: OrderRequest, request: OrderRequest) -> Refusal | None:
        if (request.account, request.con_id, request.action) != (held.account, held.con_id, held.action):
            return 105, "Order being modified does not match original order."
        if request.order_type != held.order_type:
            return 329, "Order modify failed. Cannot change to the new order type."
        if algorithm_of(request) != algorithm_of(held):
            return 440, "Order modify failed. Algorithm cannot be modified."
        if request.oca_group and request.oca_group != held.oca_group:
            return 10326, "OCA group revision is not allowed."
        if request.oca_group and (request.oca_type or 3) != (held.oca_type or 3):
            return 10327, "OCA group type revision is not allowed."
        if request.parent_id and request.parent_id != held.parent_id:
            return 10341, "The parent order may not be changed."
        return None


def _exposure(wishes: Sequence[Wish]) -> dict[int, tuple[Decimal, Decimal]]:
    """(to buy, to sell) by contract; members of one group overlap, so the largest stands for all of them."""
    exposure: dict[int, tuple[Decimal, Decimal]] = {}
    counted: dict[tuple[Group, int, str], Decimal] = {}
    for con_id, action, quantity, group in wishes:
        if group is not None:
            place = (group, con_id, action)
            already = counted.get(place, ZERO)
            counted[place] = max(already, quantity)
            quantity = counted[place] - already
        bought, sold = exposure.get(con_id, (ZERO, ZERO))
        exposure[con_id] = (bought + quantity, sold) if action == "BUY" else (bought, sold + quantity)
    return exposure
