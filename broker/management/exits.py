"""The words of `manage.py desk` about ways out: bracket, protect, modify. A part of the command.

The rule it keeps: exits are said in one way, and nothing that was said is left out; what is not said comes from the user's own exits.
"""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from broker.management import ordering, pairs
from orders import contracts
from orders.exposure import closing_side, unprotected
from orders.manager import OrderManager
from orders.models import Account, Contract, OrderRecord, Position
from orders.queries.quotes import entry_price, quote_of, reference_price
from orders.queries.templates import exits_for
from orders.rules.exit_rows import Basis, row_of
from orders.rules.exit_template import Template
from orders.rules.pricing import kept
from orders.rules.terms import CommandKind, OcaType, OrderTerms, OrderType, Side, TimeInForce
from orders.rules.tickets import BracketTicket

Verb = Callable[[str, str], ArgumentParser]
Number = Callable[[str], Decimal]
OLDEST_QUOTE = timedelta(seconds=60)


def add_verbs(placing: Verb, writing: Verb, instrument: Callable[[ArgumentParser], None], number: Number) -> None:
    """Adds the verbs to the command's parser."""
    child = placing("bracket", "an entry with its exits")
    child.formatter_class = RawDescriptionHelpFormatter
    child.add_argument("side", choices=["buy", "sell"])
    instrument(child)
    child.add_argument("quantity", type=number)
    child.add_argument("--limit", type=number, metavar="PRICE", help="limit price of the entry; market where missing")
    child.add_argument("--entry-stop", type=number, metavar="PRICE", help="the trigger of a stop entry, or with --limit of a stop limit")
    child.add_argument("--target", type=number, metavar="PRICE", help="with --stop: a plain take profit and stop loss for all of it")
    child.add_argument("--stop", type=number, metavar="PRICE")
    pairs.add_pairs(child)
    child = placing("protect", "exits on a position, with the user's own exits where none are said")
    child.formatter_class = RawDescriptionHelpFormatter
    instrument(child)
    child.add_argument("--quantity", type=number, help="how much of the position (all that is not protected yet)")
    child.add_argument("--entry", type=number, metavar="PRICE", help="the price the distances count from (average cost)")
    child.add_argument("--stop-loss", type=number, metavar="FRACTION", help="a plain stop so far away: 0.02 is 2 %%")
    child.add_argument("--profit-target", type=number, metavar="FRACTION", help="a plain target so far away: 0.08 is 8 %%")
    pairs.add_pairs(child)
    child = writing("modify", "change sizes, prices, distances or time in force of an open order")
    child.add_argument("order", help="client order id, or its last characters")
    child.add_argument("--quantity", type=number)
    child.add_argument("--limit", type=number, metavar="PRICE")
    child.add_argument("--stop", type=number, metavar="PRICE", help="the trigger; of a trailing stop where it stands")
    child.add_argument("--trail", type=number, metavar="AMOUNT", help="of a trailing stop: the amount that it keeps away")
    child.add_argument("--trail-percent", type=number, metavar="PERCENT", help="the same of one that trails in percent: 2 is 2 %%")
    child.add_argument("--limit-offset", type=number, metavar="AMOUNT", help="of a TRAIL LIMIT: how far its limit lies behind its stop")
    child.add_argument("--tif", choices=[TimeInForce.DAY.value, TimeInForce.GTC.value, TimeInForce.GTD.value])
    child.add_argument("--gtc", action="store_true", help="the same as --tif GTC")
    child.add_argument("--good-till", type=ordering.moment, metavar="WHEN", help="its end, as 2026-11-25T15:30; makes it GTD")


class ExitWords:
    """What the command that mixes it in has of its own: `_account`, `_quoted`, `_order`, `_report`, `_key`."""

    _account: Callable[..., Account]
    _quoted: Callable[..., Contract]
    _order: Callable[..., OrderRecord]
    _report: Callable[..., None]
    _key: Callable[..., str]

    # --- an entry with its exits ----------------------------------------------------------------------------------------------------

    def do_bracket(self, manager: OrderManager, **options: Any) -> None:
        plain = options["target"] is not None or options["stop"] is not None
        if plain and options["pair"]:
            raise CommandError("--pair and --target or --stop: say the exits in one way.")
        if options["pair"]:
            orders = self._bracket(manager, options)
        elif options["target"] is None or options["stop"] is None:
            raise CommandError("--target and --stop are needed, or --pair.")
        elif said := [name for name in ("oca_type", "exits_tif", "entry_stop") if options[name] is not None]:
            raise CommandError(f"--{said[0].replace('_', '-')} goes with --pair.")
        else:
            orders = manager.place_bracket(
                self._account(manager, options["account"]),
                self._quoted(manager, options),
                Side(options["side"].upper()),
                options["quantity"],
                limit_price=options["limit"],
                take_profit_price=options["target"],
                stop_loss_price=options["stop"],
                **self._about(options),
                outside_rth=options["outside_rth"],
            )
        self._report(orders, options["wait"])

    def _bracket(self, manager: OrderManager, options: dict[str, Any]) -> Sequence[OrderRecord]:
        account, contract = self._account(manager, options["account"]), self._quoted(manager, options)
        limit, stop = options["limit"], options["entry_stop"]
        at_limit = OrderType.MARKET if limit is None else OrderType.LIMIT
        at_stop = OrderType.STOP if limit is None else OrderType.STOP_LIMIT
        entry = OrderTerms(
            side=Side(options["side"].upper()),
            order_type=at_limit if stop is None else at_stop,
            quantity=options["quantity"],
            limit_price=limit,
            stop_price=stop,
            outside_rth=options["outside_rth"],
        )
        basis = Basis(entry_price(entry, contract), entry.side.sign, contracts.ticks(contract))
        said = pairs.behaviour_of(options)
        ticket = BracketTicket(
            entry=entry,
            pairs=pairs.pairs_of(options["pair"], entry.quantity, contract.size_increment, basis),
            oca_type=said.get("oca_type", OcaType.CANCEL_WITH_BLOCK),
            exits_time_in_force=said.get("time_in_force", TimeInForce.GTC),
            exits_outside_rth=options["outside_rth"],
        )
        return manager.place_bracket_ticket(account, contract, ticket, **self._about(options))

    # --- exits of a position --------------------------------------------------------------------------------------------------------

    def do_protect(self, manager: OrderManager, **options: Any) -> None:
        account, contract = self._account(manager, options["account"]), self._quoted(manager, options)
        fractions = {name: options[name] for name in ("stop_loss", "profit_target") if options[name] is not None}
        if fractions and options["pair"]:
            raise CommandError("--pair and --stop-loss or --profit-target: say the exits in one way.")
        own = exits_for(manager.actor, contract)
        said = pairs.behaviour_of(options)
        if options["pair"]:
            orders = self._protect(manager, account, contract, options["pair"], said, options)
        elif fractions or own.is_built_in:
            orders = manager.place_oca_group(
                account,
                contract,
                options["quantity"],
                options["entry"],
                **fractions,
                **said,
                **self._about(options),
                outside_rth=options["outside_rth"],
            )
        else:
            said = {"oca_type": own.oca_type, "time_in_force": own.time_in_force, **said}
            orders = self._protect(manager, account, contract, [_row(own)], said, options)
        self._report(orders, options["wait"])

    def _protect(
        self,
        manager: OrderManager,
        account: Account,
        contract: Contract,
        rows: Sequence[dict[str, Any]],
        said: dict[str, Any],
        options: dict[str, Any],
    ) -> Sequence[OrderRecord]:
        position = next((one for one in manager.get_positions(account) if one.contract_id == contract.pk), None)
        if position is None:
            raise CommandError(f"Refused (NO_POSITION): There is no position in {contract.label} to protect.")
        side = closing_side(position.quantity)
        left = options["quantity"] if options["quantity"] is not None else unprotected(account, contract, side)
        if not left:
            raise CommandError(f"Refused (EXCEEDS_POSITION): Orders that work already may close all of the position in {contract.label}.")
        entry = _counted_from(position, options["entry"], timezone.now())
        market = reference_price(contract, side)
        basis = Basis(entry, side.opposite.sign, contracts.ticks(contract), held=True, market=market)
        return manager.place_exits(
            account,
            contract,
            pairs.pairs_of(rows, left, contract.size_increment, basis),
            side=side,
            **said,
            **self._about(options),
            outside_rth=options["outside_rth"],
        )

    # --- changing -------------------------------------------------------------------------------------------------------------------

    def do_modify(self, manager: OrderManager, **options: Any) -> None:
        order = self._order(manager, options["order"])
        if options["gtc"] and options["tif"] not in (None, TimeInForce.GTC.value):
            raise CommandError(f"--gtc and --tif {options['tif']} contradict each other.")
        lasts = TimeInForce.GTC if options["gtc"] else TimeInForce(options["tif"]) if options["tif"] else None
        manager.modify_order(
            order,
            key=self._key(options),
            quantity=options["quantity"],
            limit_price=options["limit"],
            stop_price=options["stop"],
            trail_amount=options["trail"],
            trail_percent=options["trail_percent"],
            limit_offset=options["limit_offset"],
            time_in_force=lasts,
            good_till=ordering.in_zone(options["good_till"], order.account.time_zone),
        )
        self._report([order], options["wait"], CommandKind.MODIFY)

    def _about(self, options: dict[str, Any]) -> dict[str, Any]:
        """What every placing verb takes about the request itself."""
        return {"key": self._key(options), "confirm_duplicate": options["again"]}


def _counted_from(position: Position, said: Decimal | None, now: datetime) -> Decimal:
    """The price that the distances count from. The cost of a derivative needs a quote beside it, as some are quoted in cents (IB)."""
    if said is not None:
        return said
    contract, quote = position.contract, quote_of(position.contract)
    if contract.multiplier != 1 and (
        quote is None or now - quote.at > OLDEST_QUOTE or reference_price(contract, closing_side(position.quantity)) is None
    ):
        raise CommandError(f"There is no fresh quote of {contract.label} to compare its average cost with; give --entry.")
    return kept(position.entry_price)


def _row(template: Template) -> dict[str, Any]:
    """The user's own exits as a row that was read."""
    numbers = ("target", "stop", "time_stop")
    return {name: Decimal(value) if name in numbers and value else value or None for name, value in row_of(template).items()}
