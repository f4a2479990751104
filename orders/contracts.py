"""Contracts as orders and quotes name them: where they are routed, and which prices and sizes they take."""

from __future__ import annotations

from decimal import Decimal

from orders.models import Contract, MarketRule
from orders.rules.commands import ContractSpec
from orders.rules.pricing import PriceRule, price_rule
from orders.rules.terms import OrderType

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


def offers(contract: Contract, order_type: OrderType) -> bool:
    """Whether the broker lists the order type for the contract (ContractDetails.orderTypes spells "STPLMT"); True where it lists none."""
    return not contract.order_types or order_type.value.replace(" ", "") in contract.order_types
