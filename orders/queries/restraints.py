"""Where trading is held back: the desk, the account or the user may only reduce positions, or not trade at all.

The rule it keeps: what will be refused is said before anybody fills in a ticket, with who or what set it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _

from orders.models import Account, Limit
from orders.queries.access import visible_accounts
from orders.rules.limits import HALTED, REDUCE_ONLY, Rule


@dataclass(frozen=True)
class Restraint:
    """One of them in words. `is_halt`: nothing but cancels goes out. `whose`: the desk's, an account's, a user's."""

    word: str
    is_halt: bool
    whose: str
    consequence: str
    why: str


def restraints(user: Any, account: Account | None) -> list[Restraint]:
    """Those that bear on what `user` does in `account`, the strictest first."""
    if not user.is_authenticated or not user.is_active:
        return []
    mine = Q(scope=Limit.Scope.DESK) | Q(scope=Limit.Scope.USER, user=user)
    if account is not None:
        mine |= Q(scope=Limit.Scope.ACCOUNT, account=account, account__in=visible_accounts(user))
    rows = Limit.objects.filter(mine, rule=Rule.TRADING_STATE.value).select_related("account")
    return [_restraint(row) for row in sorted(rows, key=lambda row: (-row.value, row.pk)) if row.value >= REDUCE_ONLY]


def _restraint(row: Limit) -> Restraint:
    is_halt = row.value >= HALTED
    if row.account is not None:
        whose = _("in %s") % row.account.short
    else:
        whose = _("for the whole desk") if row.scope == Limit.Scope.DESK else _("for you")
    return Restraint(
        word=_("HALTED") if is_halt else _("REDUCE ONLY"),
        is_halt=is_halt,
        whose=whose,
        consequence=_("Nothing but cancels goes out.") if is_halt else _("Orders that open or add to a position are refused."),
        why=row.note.partition(". ")[0].rstrip(".…"),
    )
