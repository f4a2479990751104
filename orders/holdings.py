"""What the executions of the book add up to, per account and contract: the sum that stands beside the position that IB reports.

The rule it keeps: the sum explains a position and never replaces it. It is exact: the database only counts executions of one size, and the
arithmetic is Decimal's.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, QuerySet

from orders.models import Execution, Position
from orders.rules.terms import Side

NOT_HELD = ("BAG", "CASH")
"""A combination is held as its legs, which fill under their own contracts; what IB shows of a currency pair is a virtual figure that it
resets by itself. Neither can be explained by executions, nor needs to be."""

SETTLES = timedelta(seconds=5)
"""IB reports a position apart from the execution that changed it, a little earlier or later."""

Key = tuple[int, int]  # (account, contract), by primary key


def explained(position: Position) -> Decimal:
    """What the book can account for: what was held or recorded beside the executions, and what these add up to."""
    return position.opening + executed(position.account_id, position.contract_id)


def executed(account_id: int, contract_id: int) -> Decimal:
    """The signed sum of the executions that count, in units."""
    rows = Execution.objects.filter(account_id=account_id, contract_id=contract_id)
    return _by_key(rows).get((account_id, contract_id), Decimal(0))


def _by_key(rows: QuerySet[Execution]) -> dict[Key, Decimal]:
    sums: defaultdict[Key, Decimal] = defaultdict(Decimal)
    sizes: Any = rows.filter(counts=True).exclude(contract__sec_type__in=NOT_HELD).order_by()
    for account_id, contract_id, side, quantity, count in sizes.values_list("account_id", "contract_id", "side", "quantity").annotate(
        count=Count("pk")
    ):
        sums[account_id, contract_id] += quantity * count * (1 if side == Side.BUY else -1)
    return dict(sums)


class Sums:
    """The sums of every account and contract, kept in memory: years of executions are added up once, and then only what is new is read."""

    def __init__(self) -> None:
        self._sums: dict[Key, Decimal] = {}
        self._last = 0

    def now(self) -> dict[Key, Decimal]:
        """The sums as the book has them; to be asked where nobody else enters executions meanwhile."""
        new = Execution.objects.filter(pk__gt=self._last)
        last = new.order_by("-pk").values_list("pk", flat=True).first()
        if last is None:
            return self._sums
        if not self._last:
            self._sums = _by_key(Execution.objects.all())
        else:
            for account_id, contract_id in set(new.order_by().values_list("account_id", "contract_id")):
                self._sums[account_id, contract_id] = executed(account_id, contract_id)  # a correction takes an older row out of the sum
        self._last = last
        return self._sums
