"""What a trader asks for, checked for sense before anything else looks at it: single order, bracket, OCA exit, modification.

A ticket that makes no sense raises `TicketError` naming the field and the rule. Whether it is *allowed* is for `limits`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from orders.rules.faults import TicketError, check_number
from orders.rules.offering import check_attached, check_terms
from orders.rules.terms import OcaType, OrderTerms, OrderType, Side, TimeInForce

__all__ = [
    "BracketTicket",
    "OcaExitTicket",
    "OrderTicket",
    "TicketError",
    "check_bracket",
    "check_exits",
    "check_number",
    "check_oca_exit",
    "check_terms",
]


@dataclass(frozen=True)
class OrderTicket:
    terms: OrderTerms


@dataclass(frozen=True)
class BracketTicket:
    """An entry with a take profit and a stop loss that live from the entry's fill; the children are GTC unless said otherwise."""

    entry: OrderTerms
    take_profit_price: Decimal
    stop_loss_price: Decimal
    exits_time_in_force: TimeInForce = TimeInForce.GTC


@dataclass(frozen=True)
class OcaExitTicket:
    """Stop and target on an existing position, in one OCA group. `side` is the exit's own side (SELL for a long position)."""

    side: Side
    quantity: Decimal
    entry_price: Decimal
    stop_price: Decimal
    target_price: Decimal
    oca_type: OcaType = OcaType.CANCEL_WITH_BLOCK
    time_in_force: TimeInForce = TimeInForce.GTC


def check_bracket(ticket: BracketTicket) -> None:
    """Entry MKT or LMT; target and stop on the right sides of each other and, for a limit entry, of the entry's price."""
    check_terms(ticket.entry)
    check_attached(ticket.entry)
    if ticket.entry.order_type not in (OrderType.MARKET, OrderType.LIMIT):
        raise TicketError("order_type", "the entry of a bracket is MKT or LMT")
    check_number("take_profit_price", ticket.take_profit_price)
    check_number("stop_loss_price", ticket.stop_loss_price)
    check_exits(ticket.entry.side, ticket.entry.limit_price, ticket.take_profit_price, ticket.stop_loss_price)


def check_exits(entry_side: Side, entry_price: Decimal | None, take_profit_price: Decimal | None, stop_loss_price: Decimal | None) -> None:
    """Target and stop on the right sides of each other and of the entry's price; what is None is not compared.

    A target on the wrong side of its entry would trade the moment the entry fills.
    """
    sign = entry_side.sign
    if take_profit_price is not None and stop_loss_price is not None and (take_profit_price - stop_loss_price) * sign <= 0:
        raise TicketError("stop_loss_price", "must be below the take profit of a buy, above it for a sell")
    if entry_price is None:
        return
    if take_profit_price is not None and (take_profit_price - entry_price) * sign <= 0:
        raise TicketError("take_profit_price", "must lie on the profit side of the entry's limit price")
    if stop_loss_price is not None and (entry_price - stop_loss_price) * sign <= 0:
        raise TicketError("stop_loss_price", "must lie on the loss side of the entry's limit price")


def check_oca_exit(ticket: OcaExitTicket) -> None:
    """Target on the profit side of the stop, seen from the position that is left."""
    check_number("quantity", ticket.quantity)
    check_number("entry_price", ticket.entry_price)
    check_number("stop_price", ticket.stop_price)
    check_number("target_price", ticket.target_price)
    position_sign = -ticket.side.sign
    if (ticket.target_price - ticket.stop_price) * position_sign <= 0:
        raise TicketError("stop_price", "must be below the target of a long position, above it for a short one")
