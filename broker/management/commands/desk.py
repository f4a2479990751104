"""The verbs of the desk on the command line, for when the web is down: `manage.py desk buy AAPL 100 --limit 233.33 --user trader1`.

The same door as the pages (OrderManager), the same limits, the same record. It writes to the book; the worker sends. Exit code 0: done, or
on its way when the wait was over; 1: refused by us or by the broker (the rule or code is named), or not found; 2: the words are wrong.
"""

from __future__ import annotations

import threading
import time
import uuid
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from functools import reduce
from operator import or_
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q
from django.utils import timezone

from broker.management import exits, ordering, stopping
from orders import inquiries
from orders.errors import IllegalTransition, Refused
from orders.manager import OrderManager
from orders.manager.incidents import account_of
from orders.models import Account, BrokerCommand, Contract, Incident, Inquiry, OrderRecord, Position, Quote
from orders.queries.access import tradable_accounts
from orders.queries.guard import verdicts, words_of
from orders.queries.holdings import loose_exits
from orders.queries.recovery import seen_incidents
from orders.rules.guardian import ALARMING, Kind
from orders.rules.lifecycle import OrderStatus
from orders.rules.terms import OPEN_COMMANDS, CommandKind, CommandState, Side, plain
from orders.trading_day import trading_day

POLL_SECONDS = 0.1
QUOTE_SECONDS = 5.0
FRESH = timedelta(seconds=10)


class Command(exits.ExitWords, stopping.StoppingWords, BaseCommand):
    help = "List, place, protect, change and cancel orders from the command line, as a user of the desk."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")

        def verb(name: str, help_text: str) -> ArgumentParser:
            child = verbs.add_parser(name, help=help_text)
            child.add_argument("--user", required=True, help="the user of the desk who acts; limits and access are this user's")
            child.add_argument("--account", help="account code; needed where the user may trade several")
            return child

        def writing(name: str, help_text: str) -> ArgumentParser:
            child = verb(name, help_text)
            child.add_argument("--key", default="", help="the request's own name; a second run with the same key is the same request")
            child.add_argument(
                "--wait", type=float, default=5.0, metavar="SECONDS", help="how long to wait for the broker's word (0: not at all)"
            )
            return child

        def placing(name: str, help_text: str) -> ArgumentParser:
            child = writing(name, help_text)
            child.add_argument("--outside-rth", action="store_true", help="also outside regular trading hours")
            child.add_argument("--again", action="store_true", help="a second order like the one just placed is meant")
            return child

        verb("list", "open orders").add_argument("--all", action="store_true", help="today's finished orders too")
        verb("positions", "positions as the broker reports them")
        for name in ("buy", "sell"):
            child = placing(name, f"{name} a contract: at the market unless a price or a type is given")
            _instrument(child)
            child.add_argument("quantity", type=_number)
            ordering.add_terms(child, _number)
        exits.add_verbs(placing, writing, _instrument, _number)
        writing("cancel", "cancel one order").add_argument("order", help="client order id, or its last characters")
        writing("cancel-all", "cancel every open order that the user may cancel (of --account, where given)")
        verb("guard", "every position against the protection that works for it")
        child = writing("repair", "do what mends the guardian's finding on a position")
        _instrument(child)
        child.add_argument("--kind", choices=[kind.name.lower() for kind in Kind if kind in ALARMING], help="which finding (the gravest)")
        child.add_argument("--stop-only", action="store_true", help="of a new pair the stop alone")
        child = writing("send-again", "a new order for one that is not at the broker, which ends by this")
        child.add_argument("order", help="client order id, or its last characters")
        child.add_argument("--reason", required=True, help="what was seen at the broker")
        child = writing("conclude", "end an order that is not at the broker; nothing is sent")
        child.add_argument("order", help="client order id, or its last characters")
        child.add_argument("--reason", required=True, help="what was seen at the broker")
        verb("incidents", "what a person must look at, with its owner, the oldest first")
        child = verb("take-incident", "look after an incident from now on")
        child.add_argument("incident", type=int, help="its number")
        child = verb("close-incident", "explain an incident and close it")
        child.add_argument("incident", type=int, help="its number")
        child.add_argument("--reason", required=True, help="what explains it")
        child.add_argument("--adjust", type=_number, metavar="QUANTITY", help="the difference of a position, recorded as held besides")
        stopping.add_verbs(writing, _instrument, _number)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            user = get_user_model().objects.get(username=options["user"], is_active=True)
        except get_user_model().DoesNotExist:
            raise CommandError(f"--user {options['user']}: there is no active user of this name.") from None
        run: Callable[..., None] = getattr(self, "do_" + options["verb"].replace("-", "_"))
        try:
            run(OrderManager(user), **options)
        except Refused as refused:
            raise CommandError(f"Refused ({refused.code}): {refused.message}") from None
        except IllegalTransition as illegal:
            raise CommandError(f"Refused: {illegal}.") from None

    # --- the verbs ----------------------------------------------------------------------------------------------------------------

    def do_list(self, manager: OrderManager, **options: Any) -> None:
        account = self._account(manager, options["account"], required=False)
        found = manager.get_open_orders(account)
        if options["all"]:
            now, accounts = timezone.now(), [account] if account else manager.accounts()
            today = [Q(account=one, created_at__gte=trading_day(one, now).start) for one in accounts]
            seen = Q(pk__in=[order.pk for order in found])
            found = OrderRecord.objects.filter(reduce(or_, today, seen)).select_related("account", "contract")
        self._orders(found)

    def do_positions(self, manager: OrderManager, **options: Any) -> None:
        rows = manager.get_positions(self._account(manager, options["account"], required=False))
        self._table(
            ("ACCOUNT", "SYMBOL", "QUANTITY", "AVERAGE COST"),
            [(p.account.code, p.contract.label, plain(p.quantity), plain(p.average_cost)) for p in rows],
        )

    def do_buy(self, manager: OrderManager, **options: Any) -> None:
        self._single(manager, Side.BUY, **options)

    def do_sell(self, manager: OrderManager, **options: Any) -> None:
        self._single(manager, Side.SELL, **options)

    def _single(self, manager: OrderManager, side: Side, **options: Any) -> None:
        account, contract = self._account(manager, options["account"]), self._quoted(manager, options)
        terms = ordering.terms_of(side, options, account.time_zone)
        order = manager.place_order(account, contract, terms, key=_key(options), confirm_duplicate=options["again"])
        self._report([order], options["wait"])

    def do_cancel(self, manager: OrderManager, **options: Any) -> None:
        order = self._order(manager, options["order"])
        manager.cancel_order(order, key=_key(options))
        self._report([order], options["wait"], CommandKind.CANCEL)

    def do_cancel_all(self, manager: OrderManager, **options: Any) -> None:
        orders = manager.cancel_all_orders(key=_key(options), account=self._account(manager, options["account"], required=False))
        self._report(orders, options["wait"], CommandKind.CANCEL)

    def do_guard(self, manager: OrderManager, **options: Any) -> None:
        account = self._account(manager, options["account"], required=False)
        accounts = [account] if account is not None else manager.accounts()
        now = timezone.now()
        rows = [
            *Position.objects.filter(account__in=accounts).select_related("account", "contract", "contract__quote"),
            *loose_exits(accounts),
        ]
        found = verdicts(rows, now)
        self._table(
            ("ACCOUNT", "SYMBOL", "VERDICT", "WHY"),
            [
                (row.account.code, row.contract.label, badge, sentence)
                for row in {(row.account_id, row.contract_id): row for row in rows}.values()
                for badge, sentence in words_of(row, found[row.account_id, row.contract_id])
            ],
        )

    def do_repair(self, manager: OrderManager, **options: Any) -> None:
        account, contract = self._account(manager, options["account"]), self._quoted(manager, options)
        kind = Kind[options["kind"].upper()] if options["kind"] else None
        with_target = not options["stop_only"]
        orders = manager.repair_protection(account, contract, key=_key(options), kind=kind, with_target=with_target)
        self._report(orders, options["wait"])

    def do_send_again(self, manager: OrderManager, **options: Any) -> None:
        orders = manager.send_again(self._order(manager, options["order"]), key=_key(options), reason=options["reason"])
        self._report(orders, options["wait"])

    def do_conclude(self, manager: OrderManager, **options: Any) -> None:
        order = manager.conclude_cancelled(self._order(manager, options["order"]), options["reason"], key=_key(options))
        self._report([order], options["wait"])

    def do_incidents(self, manager: OrderManager, **options: Any) -> None:
        account = self._account(manager, options["account"], required=False)
        rows = seen_incidents(manager.actor).filter(closed_at=None).select_related("account", "order__account", "owner").order_by("pk")
        shown = [row for row in rows if account is None or account_of(row) == account]
        self._table(
            ("NUMBER", "OPENED", "ACCOUNT", "ORDER", "OWNER", "WHAT"),
            [
                (
                    str(row.pk),
                    f"{row.opened_at:%Y-%m-%d %H:%M:%SZ}",
                    found.code if (found := account_of(row)) else "",
                    row.order.client_order_id if row.order else "",
                    str(row.owner or ""),
                    f"{row.kind}: {row.text}",
                )
                for row in shown
            ],
        )

    def do_take_incident(self, manager: OrderManager, **options: Any) -> None:
        incident = manager.own_incident(self._incident(manager, options["incident"]), key=uuid.uuid4().hex)
        self.stdout.write(f"{incident.pk}: {incident.owner} looks after it.")

    def do_close_incident(self, manager: OrderManager, **options: Any) -> None:
        incident = self._incident(manager, options["incident"])
        incident = manager.close_incident(incident, options["reason"], key=uuid.uuid4().hex, adjust=options["adjust"])
        self.stdout.write(f"{incident.pk}: closed.")

    # --- finding what a word means ------------------------------------------------------------------------------------------------

    def _account(self, manager: OrderManager, code: str | None, *, required: bool = True) -> Account | None:
        accounts = {account.code: account for account in manager.accounts()}
        if code:
            if code not in accounts:
                raise CommandError(f"--account {code}: not an account that this user may see.")
            return accounts[code]
        if not required:
            return None
        mine = list(tradable_accounts(manager.actor))
        if len(mine) != 1:
            raise CommandError(f"--account is needed: this user may trade {', '.join(one.code for one in mine) or 'no account'}.")
        return mine[0]

    def _order(self, manager: OrderManager, name: str) -> OrderRecord:
        """By its whole name, whatever has become of it since, so that a repeated request gets its answer; else by how an open one ends."""
        whole = OrderRecord.objects.filter(account__in=manager.accounts(), client_order_id=name.upper())
        if order := whole.select_related("account", "contract").first():
            return order
        found = [order for order in manager.get_open_orders() if order.client_order_id.upper().endswith(name.upper())]
        if len(found) != 1:
            raise CommandError(f"{name}: {'no open order' if not found else f'{len(found)} open orders'} of this user's end so.")
        return found[0]

    def _incident(self, manager: OrderManager, number: int) -> Incident:
        if (found := seen_incidents(manager.actor).filter(pk=number).first()) is None:
            raise CommandError(f"{number}: there is no such incident of this user's accounts; `desk incidents` lists them.")
        return found

    def _quoted(self, manager: OrderManager, options: dict[str, Any]) -> Contract:
        """The contract, once there is a quote, which the limits weigh orders by. Without a worker it goes on, to be refused in words."""
        contract = self._contract(manager, options)
        asked_at = timezone.now()
        inquiries.watch_ticket(manager.actor, contract, asked_at)
        _until(Quote.objects.filter(contract=contract, at__gte=asked_at - FRESH).exists, QUOTE_SECONDS)
        return contract

    def _contract(self, manager: OrderManager, options: dict[str, Any]) -> Contract:
        """By conId, or by symbol and type: from the book where that names one contract, else asked of the broker."""
        wanted = str(options["symbol"]).upper()
        arguments: dict[str, Any] = {"con_id": int(wanted)} if wanted.isdecimal() else {"symbol": wanted, "sec_type": options["sec_type"]}
        known = list(Contract.objects.filter(detailed_at__isnull=False, **arguments)[:2])
        if len(known) == 1:
            return known[0]
        asked = inquiries.ask(Inquiry.Kind.CONTRACT, arguments, manager.actor, timezone.now())
        answered = inquiries.wait_for(asked.pk, 5.0)
        if answered.state != Inquiry.State.ANSWERED:
            raise CommandError(f"{wanted}: {answered.error or 'the broker did not answer; is the worker running?'}")
        found = list(Contract.objects.filter(con_id__in=[row["con_id"] for row in answered.answer]))
        if len(found) != 1:
            choices = ", ".join(f"{c.con_id} ({c.label} {c.primary_exchange} {c.currency})" for c in found)
            raise CommandError(f"{wanted} names {len(found)} contracts; say which by its conId: {choices}")
        return found[0]

    # --- saying what came of it ---------------------------------------------------------------------------------------------------

    def _report(self, orders: Sequence[OrderRecord], wait: float, kind: CommandKind = CommandKind.PLACE) -> None:
        """Prints the orders as the broker left them, or as they are when the wait is over. CommandError where it was refused."""
        keys = [order.pk for order in orders]
        unsettled = OrderRecord.objects.filter(pk__in=keys, status__in=[OrderStatus.PENDING, OrderStatus.SENT])
        asked = BrokerCommand.objects.filter(order__in=keys, state__in=OPEN_COMMANDS)
        if not _until(lambda: not unsettled.exists() and not asked.exists(), wait):
            self.stderr.write(f"The broker's word did not come within {wait:g} s; what was asked stands.")
        self._orders(OrderRecord.objects.filter(pk__in=keys).select_related("account", "contract").order_by("pk"))
        newest = {command.order_id: command for command in BrokerCommand.objects.filter(order__in=keys, kind=kind).order_by("pk")}
        for command in newest.values():
            if command.state in (CommandState.REFUSED, CommandState.WITHDRAWN):
                raise CommandError(f"{command.state.capitalize()} ({command.code}): {command.text}")

    def _orders(self, orders: Iterable[OrderRecord]) -> None:
        self._table(
            ("ORDER", "ACCOUNT", "SYMBOL", "SIDE", "QUANTITY", "TYPE", "LIMIT", "STOP", "TRAIL", "TIF", "FILLED", "STATUS", ""),
            [
                (
                    order.client_order_id,
                    order.account.code,
                    order.contract.label,
                    order.side,
                    plain(order.quantity),
                    order.order_type,
                    _price(order.limit_price),
                    _price(order.present_stop),
                    _trail(order),
                    order.time_in_force,
                    plain(order.filled_quantity),
                    order.status,
                    order.status_text,
                )
                for order in orders
            ],
        )

    def _key(self, options: dict[str, Any]) -> str:
        return _key(options)

    def _until(self, condition: Callable[[], bool], seconds: float) -> bool:
        return _until(condition, seconds)

    def _table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        if not rows:
            self.stdout.write("none")
            return
        widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
        for row in (head, *rows):
            self.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _until(condition: Callable[[], bool], seconds: float) -> bool:
    """Asks until the condition holds (True) or the time is over (False)."""
    deadline, never = time.monotonic() + seconds, threading.Event()
    while not condition():
        if time.monotonic() >= deadline:
            return False
        never.wait(POLL_SECONDS)
    return True


def _instrument(parser: ArgumentParser) -> None:
    parser.add_argument("symbol", help="symbol (AAPL), or a conId")
    parser.add_argument("--sec-type", default="STK", choices=["STK", "FUT", "CASH", "OPT"])


def _number(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ArgumentTypeError(f"{text} is not a number") from None
    if not value.is_finite():
        raise ArgumentTypeError(f"{text} is not a number")
    return value


def _key(options: dict[str, Any]) -> str:
    return options["key"] or uuid.uuid4().hex


def _trail(order: OrderRecord) -> str:
    return f"{plain(order.trail_percent)} %" if order.trail_percent is not None else _price(order.trail_amount)


def _price(value: Decimal | None) -> str:
    return "" if value is None else plain(value)
