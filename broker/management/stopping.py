"""The words of `manage.py desk` that end things: close, reverse, flatten, kill, release. A part of the command.

The rule it keeps: they do what the pages do, through the same door, and wait for the broker's word; what was left alone is printed with the
reason.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError, OutputWrapper

from orders.manager import OrderManager
from orders.models import Account, BrokerCommand, Contract, OrderRecord, Sweep
from orders.queries import sweep as report_of
from orders.rules.lifecycle import OPEN
from orders.rules.terms import OPEN_COMMANDS

_ALL = Decimal(100)
Verb = Callable[[str, str], ArgumentParser]


def add_verbs(writing: Verb, instrument: Callable[[ArgumentParser], None], number: Callable[[str], Decimal]) -> None:
    """Adds the verbs to the command's parser."""

    def percent(child: ArgumentParser) -> None:
        child.add_argument("--percent", type=number, default=_ALL, help="how much of it; rounded down to the size increment (100)")

    child = writing("close", "take a position's exits out of the way, wait for that, then close it at the market")
    instrument(child)
    percent(child)
    instrument(writing("reverse", "cancel a position's exits, wait for that, then turn it round at the market"))
    child = writing("flatten", "close positions, each as close does: of --account, or of every account the user may trade")
    child.add_argument("--symbol", help="only this contract: a symbol, or a conId")
    child.add_argument("--sec-type", default="", choices=["", "STK", "FUT", "CASH", "OPT"], help="only this type (all)")
    child.add_argument("--side", default="", choices=["", "long", "short"], help="only this side (both)")
    percent(child)
    child = writing("kill", "halt trading, take back what was not sent, cancel everything that works")
    _whose(child)
    child.add_argument("--reason", required=True, help="why; it stands in the record")
    child.add_argument("--flatten", action="store_true", help="and close every position in reach at the market")
    child = writing("release", "let trading go on; needs the right to")
    _whose(child)
    child.add_argument("--reason", required=True, help="why; it stands in the record")
    child = writing("hold", "let positions only be reduced, or nothing but cancels out, without cancelling anything")
    _whose(child)
    child.add_argument("--state", choices=["reduce-only", "halted"], required=True)
    child.add_argument("--reason", required=True, help="why; it stands in the record")


def _whose(child: ArgumentParser) -> None:
    child.add_argument("--scope", choices=["desk", "account", "user"], required=True, help="whose trading; of an account: --account")
    child.add_argument("--whom", default="", metavar="USER", help="of a user: who, if not --user himself")


class StoppingWords:
    """What the command that mixes it in has of its own: `_account`, `_contract`, `_quoted`, `_report`, `_orders`, `_table`."""

    stdout: OutputWrapper
    stderr: OutputWrapper
    _account: Callable[..., Account | None]
    _contract: Callable[..., Contract]
    _quoted: Callable[..., Contract]
    _report: Callable[..., None]
    _orders: Callable[..., None]
    _table: Callable[..., None]
    _key: Callable[..., str]
    _until: Callable[..., bool]

    def do_close(self, manager: OrderManager, **options: Any) -> None:
        account, contract = self._account(manager, options["account"]), self._quoted(manager, options)
        assert account is not None
        order = manager.close_position(account, contract, key=self._key(options), percent=options["percent"])
        self._report([order], options["wait"])

    def do_reverse(self, manager: OrderManager, **options: Any) -> None:
        account, contract = self._account(manager, options["account"]), self._quoted(manager, options)
        assert account is not None
        self._report([manager.reverse_position(account, contract, key=self._key(options))], options["wait"])

    def do_flatten(self, manager: OrderManager, **options: Any) -> None:
        contract = None
        if options["symbol"]:
            contract = self._contract(manager, {**options, "sec_type": options["sec_type"] or "STK"})
        made = manager.flatten(
            key=self._key(options),
            account=self._account(manager, options["account"], required=False),
            contract=contract,
            sec_type=options["sec_type"],
            side=options["side"],
            percent=options["percent"],
        )
        self._swept(manager, made, options["wait"])

    def do_kill(self, manager: OrderManager, **options: Any) -> None:
        whose = self._named(manager, options)
        made = manager.kill(key=self._key(options), reason=options["reason"], flatten=options["flatten"], **whose)
        self._swept(manager, made, options["wait"])

    def do_release(self, manager: OrderManager, **options: Any) -> None:
        whose = self._named(manager, options)
        limit = manager.release(key=self._key(options), reason=options["reason"], **whose)
        self.stdout.write(f"{limit}: ACTIVE.")

    def do_hold(self, manager: OrderManager, **options: Any) -> None:
        state = {"reduce-only": 1, "halted": 2}[options["state"]]
        limit = manager.set_trading_state(key=self._key(options), state=state, reason=options["reason"], **self._named(manager, options))
        self.stdout.write(f"{limit}: {options['state'].upper()}.")

    def _named(self, manager: OrderManager, options: dict[str, Any]) -> dict[str, Any]:
        """Whose trading is meant. The account of a kill need not be guessed: it is asked for."""
        scope = options["scope"]
        account = self._account(manager, options["account"]) if scope == "account" else None
        user = None
        if scope == "user" and options["whom"]:
            user = get_user_model().objects.filter(username=options["whom"]).first()
            if user is None:
                raise CommandError(f"--whom {options['whom']}: there is no user of this name.")
        return {"scope": scope, "account": account, "user": user}

    def _swept(self, manager: OrderManager, made: Sweep, wait: float) -> None:
        """Prints what became of each order when the broker has confirmed all, or when the wait is over."""
        keys: Sequence[int] = [*made.data["cancelled"], *made.data["changed"], *made.data["placed"]]
        placed = OrderRecord.objects.filter(pk__in=[*made.data["cancelled"], *made.data["placed"]], status__in=[s.value for s in OPEN])
        asked = BrokerCommand.objects.filter(order__in=keys, state__in=OPEN_COMMANDS)
        self._until(lambda: not placed.exists() and not asked.exists(), wait)
        self._orders(OrderRecord.objects.filter(pk__in=keys).select_related("account", "contract").order_by("pk"))
        report = report_of(manager.actor, made.pk)
        assert report is not None, "who asked for it may see it"
        for one in report.left:
            self.stdout.write(f"Left alone: {one.words} in {one.account}: {one.why}")
        self.stdout.write(f"{report.title}, report {report.pk}: {report.word}. {report.summary}")
        if report.gateway_words:
            self.stderr.write(f"The gateway is {report.gateway.word}. {report.gateway_words}")
        if report.is_over and report.bad:
            raise CommandError("; ".join(f"{line.words}: {line.outcome}" for line in report.lines if line.is_bad))
