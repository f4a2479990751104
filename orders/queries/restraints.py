"""Where trading is held back: the desk, the account or the user may only reduce positions, or not trade at all.

The rule it keeps: what will be refused is said before anybody fills in a ticket, with who or what set it, and where it is taken back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q
from django.utils.translation import gettext as _

from orders.models import Account, Limit, Sweep
from orders.queries.access import visible_accounts
from orders.rules.limits import HALTED, REDUCE_ONLY, Rule

RELEASE = "orders.release_trading"


@dataclass(frozen=True)
class Restraint:
    """One of them in words. `is_halt`: nothing but cancels goes out. `whose`: the desk's, an account's, a user's.

    `sweep`: the report of the kill switch that set it; `release`: how its release is asked for, where the user may.
    """

    word: str
    is_halt: bool
    whose: str
    consequence: str
    why: str
    sweep: int | None = None
    release: str = ""

    @property
    def css(self) -> str:
        return "pill-down" if self.is_halt else "pill-wait"


def restraints(user: Any, account: Account | None) -> list[Restraint]:
    """Those that bear on what `user` does in `account`, the strictest first."""
    if not user.is_authenticated or not user.is_active:
        return []
    mine = Q(scope=Limit.Scope.DESK) | Q(scope=Limit.Scope.USER, user=user)
    if account is not None:
        mine |= Q(scope=Limit.Scope.ACCOUNT, account=account, account__in=visible_accounts(user))
    rows = Limit.objects.filter(mine, rule=Rule.TRADING_STATE.value, value__gte=REDUCE_ONLY).select_related("account")
    found = sorted(rows, key=lambda row: (-row.value, row.pk))
    if not found:
        return []
    may_release = user.has_perm(RELEASE)
    return [_restraint(row, may_release) for row in found]


def _restraint(row: Limit, may_release: bool) -> Restraint:
    is_halt = row.value >= HALTED
    if row.account is not None:
        whose = _("in %s") % row.account.short
    else:
        whose = _("for the whole desk") if row.scope == Limit.Scope.DESK else _("for you")
    kills = Sweep.objects.filter(kind=Sweep.Kind.KILL, scope=row.scope, account=row.account_id, user=row.user_id, released_at=None)
    named = {"scope": row.scope, **({"account": row.account.code} if row.account is not None else {})}
    return Restraint(
        word=_("HALTED") if is_halt else _("REDUCE ONLY"),
        is_halt=is_halt,
        whose=whose,
        consequence=_("Nothing but cancels goes out.") if is_halt else _("Orders that open or add to a position are refused."),
        why=row.note.partition(". ")[0].rstrip(".…"),
        sweep=kills.order_by("-pk").values_list("pk", flat=True).first() if is_halt else None,
        release=urlencode(named) if may_release else "",
    )
