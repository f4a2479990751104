"""The verbs that end things: close, reverse, flatten, the kill switch, and the trading states with their release. A part of OrderManager.

The rule it keeps: each has one key, and the same key finishes what a crash left undone, never does it twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from orders.book import OpenBook, book
from orders.crashpoints import reach
from orders.manager import asked, closing, halting, sweeping
from orders.manager.asked import Options
from orders.manager.halting import Scope, Target, TradingState
from orders.manager.placing import Placing
from orders.manager.submissions import Answer
from orders.models import Account, Contract, Limit, OrderRecord, Sweep


class StoppingVerbs:
    """What the manager that mixes it in has of its own: `actor`, `_clock`, `_submit`, `_place`."""

    actor: Any
    _clock: Callable[[], datetime]
    _submit: Callable[..., Answer]
    _place: Callable[..., list[OrderRecord]]

    def close_position(self, account: Account, contract: Contract, *, key: str, percent: Decimal = closing.ALL) -> OrderRecord:
        """A market order for `percent` of the position, sent once its exits are out of the way: cancelled where all of it is closed, made
        smaller where they would exceed what remains, and known to be so."""
        percent = asked.number("percent", percent)
        options = asked.with_defaults({})

        def work(b: OpenBook, who: Placing) -> Sequence[OrderRecord]:
            return [closing.close(b, who, percent)]

        # A close of all of it keeps the payload it always had, so that a key given before still answers.
        payload: dict[str, Any] = {} if percent == closing.ALL else {"percent": percent}
        return self._place("close_position", account, contract, payload, key, options, work)[0]

    def reverse_position(self, account: Account, contract: Contract, *, key: str, **options: Any) -> OrderRecord:
        """A market order for twice the position, sent once its exits are gone: the opposite position stands afterwards, without exits."""
        options = asked.with_defaults(Options(**options))

        def work(b: OpenBook, who: Placing) -> Sequence[OrderRecord]:
            return [closing.reverse(b, who)]

        return self._place("reverse_position", account, contract, {}, key, options, work)[0]

    def flatten(
        self,
        *,
        key: str,
        account: Account | None = None,
        contract: Contract | None = None,
        sec_type: str = "",
        side: str = "",
        percent: Decimal = closing.ALL,
    ) -> Sweep:
        """Closes positions, each as `close_position` does, in every account that the actor may trade, or in what the filters leave.

        What is left alone is named in the sweep with the reason. The same key again finishes what a crash left undone.
        """
        which = sweeping.Filter.of(account, contract, sec_type, side, asked.number("percent", percent))

        def once(b: OpenBook, user: Any) -> Answer:
            return {"sweep": sweeping.begin_flatten(b, user, which).pk}

        return self._finish(self._submit("flatten", key, which.facts, once, account))

    def kill(self, *, key: str, scope: str, account: Account | None = None, user: Any = None, reason: str, flatten: bool = False) -> Sweep:
        """Halts a scope (desk, account, user), withdraws what was not sent, cancels what works, and closes positions where `flatten`.

        The halt stands before the first cancel. What the broker confirms is read from the sweep's orders; while the gateway is down the
        cancels wait, and closing orders that wait too long are not sent. Raises `Refused`: SCOPE, REASON, NO_PERMISSION.
        """
        whose = halting.target(scope, account, user, self.actor)

        def once(b: OpenBook, actor: Any) -> Answer:
            return {"sweep": sweeping.begin_kill(b, actor, whose, reason, flatten=flatten).pk}

        payload = {**_facts(whose), "reason": reason, "flatten": flatten}
        return self._finish(self._submit("kill", key, payload, once, account))

    def finish_sweep(self, sweep: Sweep) -> Sweep:
        """Does what a crash left undone of it; doing it again does nothing."""
        return self._finish({"sweep": sweep.pk})

    def set_trading_state(
        self, *, key: str, scope: str, state: TradingState | int, account: Account | None = None, user: Any = None, reason: str
    ) -> Limit:
        """Sets ACTIVE, REDUCE_ONLY or HALTED for a scope. Raises `Refused`: SCOPE, STATE, REASON, NO_PERMISSION, NOTHING_CHANGES."""
        whose = halting.target(scope, account, user, self.actor)
        wanted = asked.word(TradingState, "state", state)

        def once(b: OpenBook, actor: Any) -> Answer:
            return {"limit": halting.set_state(b, actor, whose, wanted, reason).pk}

        payload = {**_facts(whose), "state": int(wanted), "reason": reason}
        return Limit.objects.get(pk=self._submit("set_trading_state", key, payload, once, account)["limit"])

    def release(self, *, key: str, scope: str, account: Account | None = None, user: Any = None, reason: str) -> Limit:
        """Takes a scope back to ACTIVE, whoever or whatever held it back. Raises `Refused`: SCOPE, REASON, NO_PERMISSION, NOT_HELD_BACK."""
        whose = halting.target(scope, account, user, self.actor)

        def once(b: OpenBook, actor: Any) -> Answer:
            return {"limit": halting.release(b, actor, whose, reason).pk}

        return Limit.objects.get(pk=self._submit("release", key, {**_facts(whose), "reason": reason}, once, account)["limit"])

    def _finish(self, answer: Answer) -> Sweep:
        pk = answer["sweep"]
        while Sweep.objects.get(pk=pk).data["open"]:
            reach("sweep.before_part")
            with book(at=self._clock()) as b:
                sweeping.go_on(b, pk)
        return Sweep.objects.select_related("account", "user", "actor").get(pk=pk)


def _facts(whose: Target) -> dict[str, Any]:
    return {"scope": str(whose.scope), "account": whose.account and whose.account.code, "user": whose.user and whose.user.pk}


__all__ = ["Scope", "StoppingVerbs", "TradingState"]
