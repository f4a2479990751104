"""Account values as numbers: what IB says an account is worth, can buy, and what its currencies are worth.

The rule it keeps: a value that is absent, or no number, is None and never zero; who weighs by it must refuse.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation

from orders.models import Account, AccountValue
from orders.models.reading import the_one


@dataclass(frozen=True)
class Amount:
    """One account value and when it was heard."""

    value: Decimal
    at: datetime


def amount_of(account: Account, name: str, currency: str) -> Amount | None:
    """The value of that name in that currency ("" for those that have none, such as "DailyPnL")."""
    row = the_one(AccountValue.objects.filter(account=account, name=name, currency=currency))
    number = _number(row.value) if row is not None else None
    return Amount(number, row.at) if row is not None and number is not None else None


def exchange_rate(account: Account, currency: str) -> Decimal | None:
    """How much of the account's base currency one unit of `currency` is worth, by the account's own values; None where it is not known."""
    if currency and currency == account.base_currency:
        return Decimal(1)
    rate = amount_of(account, "ExchangeRate", currency)
    return rate.value if rate is not None and rate.value > 0 else None


def exchange_rates(accounts: Collection[Account]) -> dict[tuple[int, str], Decimal]:
    """The same for every currency of many accounts, by (account, currency), in one query; what is not known is not in it."""
    rows = AccountValue.objects.filter(account__in=accounts, name="ExchangeRate").values_list("account_id", "currency", "value")
    told = {(account_id, currency): _number(text) for account_id, currency, text in rows}
    rates = {key: rate for key, rate in told.items() if rate is not None and rate > 0}
    return rates | {(account.pk, account.base_currency): Decimal(1) for account in accounts if account.base_currency}


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
