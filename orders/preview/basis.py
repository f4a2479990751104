"""What a request is judged by, read from the book: quote, limits, position, multiplier, exchange rate.

The rule it keeps: the preview and its redemption read it here, in the same way, under the book's lock.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from orders import checks
from orders.exposure import position_of
from orders.models import Account, Contract
from orders.rules.seals import Basis


def read(user: Any, account: Account, contract: Contract, now: datetime) -> Basis:
    """The basis as it stands now."""
    market = checks.market_of(contract, now)
    position = position_of(account, contract)
    return Basis(
        bid=market.bid if market else None,
        ask=market.ask if market else None,
        last=market.last if market else None,
        position=position.quantity if position else Decimal(0),
        multiplier=contract.multiplier,
        rate=checks.exchange_rate(account, contract.currency),
        limits=checks.limits_for(account, user),
    )
