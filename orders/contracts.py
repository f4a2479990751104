"""Contracts as orders and quotes name them: where they are routed, and which prices and sizes they take."""

from __future__ import annotations

from decimal import Decimal

from orders.models import Contract, MarketRule, Quote
from orders.rules.commands import ContractSpec
from orders.rules.offering import Offer, offered
from orders.rules.pricing import PriceRule, price_rule
from orders.rules.terms import OrderTerms, OrderType

# Indices are only quoted, combinations need legs, and a continuous future is data (IB: order the real one).
NOT_TRADEABLE = frozenset({"IND", "BAG", "CONTFUT", "NEWS"})


def route(contract: Contract) -> str:
    """The exchange orders go to. A contract known from a message only may name none: stocks go to SMART, others to their listing."""
    if contract.exchange:
        return contract.exchange
    return "SMART" if contract.sec_type in ("STK", "OPT", "CFD") or not contract.primary_exchange else contract.primary_exchange


def spec(contract: Contract) -> ContractSpec:
    """The contract as a command names it."""
    return ContractSpec(
        con_id=contract.con_id,
        exchange=route(contract),
        symbol=contract.symbol,
        sec_type=contract.sec_type,
        currency=contract.currency,
    )


def ticks(contract: Contract) -> PriceRule | None:
    """The price ticks of the contract on its route; None where neither its market rule nor its smallest tick is known."""
    ids = [int(rule_id) for rule_id in contract.market_rule_ids]
    rules = {
        row.rule_id: tuple((Decimal(low), Decimal(tick)) for low, tick in row.increments)
        for row in MarketRule.objects.filter(rule_id__in=set(ids))
    }
    return price_rule(route(contract), contract.valid_exchanges, ids, rules, contract.min_tick)


def offer(contract: Contract) -> Offer:
    """Which types, times in force and attributes the broker lists for the contract; everything where it lists none."""
    return offered(contract.order_types)


def offers(contract: Contract, order_type: OrderType) -> bool:
    """Whether the broker lists the order type for the contract; True where it lists none."""
    return not offer(contract).order_types[order_type]


def price_level(contract: Contract, terms: OrderTerms) -> Decimal | None:
    """About where the order's prices lie, to know the tick there: its own, or the newest the contract was quoted at; None where unknown."""
    own = terms.stop_price if terms.stop_price is not None else terms.limit_price
    if own is not None:
        return own
    row = Quote.objects.filter(contract=contract).values_list("last", "bid", "ask", "close").first()
    return next((price for price in row or () if price is not None and price > 0), None)
