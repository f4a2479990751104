"""Trading states: ACTIVE, REDUCE_ONLY and HALTED of the desk, an account or a user, set and taken back by people.

The rule it keeps: to hold trading back is easy, to release it needs a right of its own; both need a reason, and the record has who and why.
A state is a limit like any other (TRADING_STATE), so the gate reads it where it reads the rest. What the book sets by itself is taken back
in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Any

from orders.book import OpenBook
from orders.errors import Refused
from orders.manager.submissions import refuse
from orders.models import Account, Limit, Sweep
from orders.models.book import Source
from orders.queries.access import tradable_accounts, visible_accounts
from orders.rules.limits import Breach, Rule

Scope = Limit.Scope

HALT_DESK = "orders.halt_desk"
RELEASE = "orders.release_trading"
LONGEST_REASON = 300


class TradingState(IntEnum):
    """As the limit has it: 0 trades, 1 only reduces positions, 2 lets nothing out but cancels."""

    ACTIVE = 0
    REDUCE_ONLY = 1
    HALTED = 2


@dataclass(frozen=True)
class Target:
    """Whose trading: the desk's, an account's, a user's."""

    scope: Scope
    account: Account | None = None
    user: Any = None

    @property
    def words(self) -> str:
        if self.account is not None:
            return f"account {self.account.code}"
        return f"user {self.user.get_username()}" if self.user is not None else "the desk"


def target(scope: Any, account: Account | None, user: Any, actor: Any) -> Target:
    """The scope as asked for; a user's without a user is the actor's own. Raises `Refused` SCOPE for what names nothing or too much."""
    try:
        scope = Scope(scope)
    except ValueError:
        raise Refused("SCOPE", "The scope must be desk, account or user.", field="scope") from None
    if scope is Scope.USER and user is None:
        user = actor
    named = {Scope.DESK: (None, None), Scope.ACCOUNT: (account, None), Scope.USER: (None, user)}[scope]
    if (account, user) != named or (scope is Scope.ACCOUNT and account is None):
        raise Refused("SCOPE", "The scope does not go with what is named: an account has an account, a user a user, the desk neither.")
    return Target(scope, *named)


def reason_of(text: str) -> str:
    """The reason, trimmed. Raises `Refused` REASON where there is none."""
    if not text or not text.strip():
        raise Refused("REASON", "Say why.", field="reason")
    if len(text.strip()) > LONGEST_REASON:
        raise Refused("REASON", f"The reason may have at most {LONGEST_REASON} characters.", field="reason")
    return text.strip()


# --- who may ----------------------------------------------------------------------------------------------------------------------------


def may_hold_back(user: Any, whose: Target) -> bool:
    """Everybody his own trading, whoever trades an account that account's, and who may halt the desk everybody's."""
    if not user.is_active:
        return False
    if user.has_perm(HALT_DESK):
        return True
    if whose.scope is Scope.ACCOUNT:
        return whose.account is not None and tradable_accounts(user).filter(pk=whose.account.pk).exists()
    return whose.scope is Scope.USER and whose.user.pk == user.pk and tradable_accounts(user).exists()


def may_release(user: Any, whose: Target) -> bool:
    if not user.is_active or not user.has_perm(RELEASE):
        return False
    return whose.account is None or user.has_perm(HALT_DESK) or visible_accounts(user).filter(pk=whose.account.pk).exists()


def refuse_unless(allowed: bool, what: str, whose: Target) -> None:
    refuse(None if allowed else Breach("NO_PERMISSION", f"You may not {what} {whose.words}.", field="scope"))


# --- setting it -------------------------------------------------------------------------------------------------------------------------


def row_of(whose: Target) -> Limit | None:
    """The state's own row, where it was ever set."""
    return Limit.objects.filter(scope=whose.scope, account=whose.account, user=whose.user, rule=Rule.TRADING_STATE.value).first()


def state_of(whose: Target) -> TradingState:
    """The state that was set for exactly this scope; others may hold it back further."""
    row = row_of(whose)
    return TradingState(int(row.value)) if row is not None else TradingState.ACTIVE


def set_state(b: OpenBook, actor: Any, whose: Target, state: TradingState, reason: str) -> Limit:
    """Sets the state of one scope. Raises `Refused`: REASON, NO_PERMISSION, NOTHING_CHANGES."""
    reason, before = reason_of(reason), state_of(whose)
    if state == before:
        raise Refused("NOTHING_CHANGES", f"Trading of {whose.words} is {state.name} already.")
    if state < before:
        refuse_unless(may_release(actor, whose), "release the trading of", whose)
    else:
        refuse_unless(may_hold_back(actor, whose), "hold back the trading of", whose)
    return write(b, actor, whose, state, reason)


def write(b: OpenBook, actor: Any, whose: Target, state: TradingState, reason: str) -> Limit:
    """The row and its event, and on a release the kill switches that end by it; who may was asked before."""
    kind = {TradingState.ACTIVE: "trading.released", TradingState.REDUCE_ONLY: "trading.reduce_only", TradingState.HALTED: "trading.halted"}
    text = f"Trading of {whose.words} is {state.name}, by {actor.get_username()}: {reason}"
    note = f"{actor.get_username()}: {reason}"[:200]
    row = row_of(whose)
    with b.event(kind[state], source=Source.USER, actor=actor, account=whose.account, text=text[:500], reason=reason) as fact:
        if row is None:
            rule = Rule.TRADING_STATE.value
            row = fact.add(Limit(scope=whose.scope, account=whose.account, user=whose.user, rule=rule, value=Decimal(state), note=note))
        else:
            fact.set(row, value=Decimal(state), note=note)
        if state is TradingState.ACTIVE:
            for sweep in unreleased(whose):
                fact.set(sweep, released_at=b.now, released_by=actor, release_reason=reason)
    return row


def unreleased(whose: Target) -> list[Sweep]:
    """The kill switches whose halt of this scope stands."""
    rows = Sweep.objects.filter(kind=Sweep.Kind.KILL, scope=whose.scope, account=whose.account, user=whose.user, released_at=None)
    return list(rows.order_by("pk"))


def release(b: OpenBook, actor: Any, whose: Target, reason: str) -> Limit:
    """Takes a state back to ACTIVE, whoever or whatever set it. Raises `Refused`: REASON, NO_PERMISSION, NOT_HELD_BACK."""
    reason = reason_of(reason)
    refuse_unless(may_release(actor, whose), "release the trading of", whose)
    if state_of(whose) is TradingState.ACTIVE:
        raise Refused("NOT_HELD_BACK", f"The trading of {whose.words} is not held back.")
    return write(b, actor, whose, TradingState.ACTIVE, reason)
