"""Who may see and who may trade which account.

The rule it keeps: `AccountAccess` rows decide. A superuser sees every account, and still trades only those he was given to trade.
"""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from orders.models import Account, AccountAccess
from orders.rules.terms import AccessLevel


def visible_accounts(user: Any) -> QuerySet[Account]:
    """The accounts whose orders and positions `user` may see, by code. Not evaluated: it nests in other queries."""
    if not user.is_authenticated or not user.is_active:
        return Account.objects.none()
    if user.is_superuser:
        return Account.objects.all()
    return Account.objects.filter(pk__in=AccountAccess.objects.filter(user=user).values("account"))


def tradable_accounts(user: Any) -> QuerySet[Account]:
    """The accounts in which `user` may place, change and cancel orders, by code."""
    if not user.is_authenticated or not user.is_active:
        return Account.objects.none()
    return Account.objects.filter(pk__in=AccountAccess.objects.filter(user=user, level=AccessLevel.TRADE).values("account"))


def tradable_ids(user: Any) -> frozenset[int]:
    """The primary keys of the accounts `user` may trade: one query, for marking many rows."""
    return frozenset(tradable_accounts(user).values_list("pk", flat=True))
