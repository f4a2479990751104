"""Limits that people set: one verb, for whoever has the right to change them, and always with the reason.

The rule it keeps: a limit names a rule that exists and whom it is for; the event has what it was, what it is, who and why. Trading states
have verbs of their own, because holding back and releasing need different rights.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from orders.book import OpenBook
from orders.errors import Refused
from orders.manager import asked, halting
from orders.manager.halting import Target, reason_of, refuse_unless
from orders.manager.submissions import Answer
from orders.models import Account, Limit
from orders.models.book import Source
from orders.queries.access import visible_accounts
from orders.rules.limits import RULES, Rule
from orders.rules.terms import plain

CHANGE_LIMIT = "orders.change_limit"
LONGEST_NOTE = 200


def may_set(user: Any, whose: Target) -> bool:
    """Whoever may change limits, in accounts that he may see."""
    if not user.is_active or not user.has_perm(CHANGE_LIMIT):
        return False
    return whose.account is None or visible_accounts(user).filter(pk=whose.account.pk).exists()


def set_limit(b: OpenBook, actor: Any, whose: Target, rule: Rule, value: Decimal | None, note: str) -> int:
    """Sets the limit of one scope, or takes it away where `value` is None; the row's key. Raises `Refused`."""
    note = reason_of(note)
    if len(note) > LONGEST_NOTE:
        raise Refused("REASON", f"The reason may have at most {LONGEST_NOTE} characters.", field="note")
    refuse_unless(may_set(actor, whose), "change the limits of", whose)
    row = Limit.objects.filter(scope=whose.scope, account=whose.account, user=whose.user, rule=rule.value).first()
    before = row.value if row is not None else None
    if before == value:
        raise Refused("NOTHING_CHANGES", f"{rule.value} of {whose.words} is {_spell(value)} already.", field="value")
    text = f"{rule.value} of {whose.words}: {_spell(before)} → {_spell(value)}, by {actor.get_username()}: {note}"[:500]
    kind = "limit.set" if value is not None else "limit.removed"
    evidence = {"rule": rule.value, "before": {"value": before}, "reason": note}
    with b.event(kind, source=Source.USER, actor=actor, account=whose.account, text=text, **evidence) as fact:
        if row is None:
            named = {"scope": whose.scope, "account": whose.account, "user": whose.user}
            return int(fact.add(Limit(**named, rule=rule.value, value=value, note=note)).pk)
        pk = row.pk
        if value is None:
            fact.remove(row)
        else:
            fact.set(row, value=value, note=note)
    return int(pk)


def _spell(value: Decimal | None) -> str:
    return "not set" if value is None else plain(value)


def rule_of(word: str) -> Rule:
    """Raises `Refused` RULE for what is no limit, and for the trading state, which is set by verbs of its own."""
    if word not in Rule.__members__ or Rule(word) not in RULES:
        raise Refused("RULE", f"There is no limit called {word}.", field="rule")
    if Rule(word) is Rule.TRADING_STATE:
        raise Refused("RULE", "A trading state is set and released, not limited.", field="rule")
    return Rule(word)


class LimitVerbs:
    """What the manager that mixes it in has of its own: `actor`, `_submit`."""

    actor: Any
    _submit: Callable[..., Answer]

    def set_limit(
        self, rule: str, value: Decimal | None, *, key: str, scope: str, account: Account | None = None, user: Any = None, note: str
    ) -> Limit | None:
        """Sets a limit of the desk, an account or a user; None as value takes it away, so that the others or the default decide. Gives the
        row, or None where it is gone. Raises `Refused`: RULE, SCOPE, NUMBER, REASON, NO_PERMISSION, NOTHING_CHANGES."""
        chosen, whose = rule_of(str(rule)), halting.target(scope, account, user, self.actor)
        number = None if value is None else asked.number("value", value)
        if number is not None and number < 0:
            raise Refused("NUMBER", "A limit is not below zero.", field="value")

        def once(b: OpenBook, actor: Any) -> Answer:
            return {"limit": set_limit(b, actor, whose, chosen, number, note)}

        facts = {"scope": str(whose.scope), "account": whose.account and whose.account.code, "user": whose.user and whose.user.pk}
        payload = {**facts, "rule": chosen.value, "value": number, "note": note}
        return Limit.objects.filter(pk=self._submit("set_limit", key, payload, once, account)["limit"]).first()
