"""OrderManager: the verbs of a user, for pages, the command line and the shell alike.

The rule it keeps: one verb is one transaction that writes the orders, their events, their commands and the answer to the request's key.
Nothing is sent from here, and nothing here waits for the broker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Unpack

from django.utils import timezone

from orders import bell
from orders.book import OpenBook, book
from orders.exposure import OPEN_STATUSES
from orders.manager import asked, changing, incidents, placing, repairing, resending, reshaping, templates, tending
from orders.manager.asked import Changes, Options
from orders.manager.limiting import LimitVerbs
from orders.manager.placing import OcaExit, Placing
from orders.manager.stopping import StoppingVerbs
from orders.manager.submissions import Answer, submit
from orders.models import Account, BrokerCommand, Contract, ExitTemplate, Incident, OrderRecord, Position
from orders.preview.redeeming import redeem
from orders.preview.request import PlaceRequest
from orders.queries.access import visible_accounts
from orders.rules.exit_template import Template
from orders.rules.guardian import Kind
from orders.rules.terms import OcaType, OrderTerms, OrderType, Side, TimeInForce, terms_to_json
from orders.rules.tickets import BracketTicket, ExitPair, ExitsTicket, request_to_json

Work = Callable[[OpenBook, Placing], Sequence[OrderRecord]]


class OrderManager(StoppingVerbs, LimitVerbs):
    """What `actor` asks of the desk. Each changing verb takes a `key`: the same key and request get the stored answer, never a new order.

    Verbs raise `orders.errors.Refused` with a coded reason. Quantities are in units, prices in the contract's currency per unit; numbers
    are Decimal, int or text, never float. Every placing verb takes `asked.Options` too: `note`, `confirm_duplicate` (with a fresh key: a
    second order like the one just placed is meant), and, but for `place_order`, the terms besides type and prices, like `time_in_force`.
    """

    def __init__(self, actor: Any, *, clock: Callable[[], datetime] = timezone.now) -> None:
        self.actor = actor
        self._clock = clock

    # --- placing ----------------------------------------------------------------------------------------------------------------------

    def place_order(self, account: Account, contract: Contract, terms: OrderTerms, *, key: str, **options: Unpack[Options]) -> OrderRecord:
        """One order of any type. What else it may carry stands in its terms; of the options those about the request are left."""
        return self._place_single("place_order", account, contract, asked.complete(terms), key, asked.about_the_request(options))

    def place_market_order(
        self, account: Account, contract: Contract, side: Side, quantity: Decimal, *, key: str, **options: Unpack[Options]
    ) -> OrderRecord:
        """One MKT order. Needs a fresh quote, unless it is proven to reduce the position."""
        options = asked.with_defaults(options)
        terms = asked.terms(OrderType.MARKET, side, quantity, options)
        return self._place_single("place_market_order", account, contract, terms, key, options)

    def place_limit_order(
        self,
        account: Account,
        contract: Contract,
        side: Side,
        quantity: Decimal,
        limit_price: Decimal,
        *,
        key: str,
        **options: Unpack[Options],
    ) -> OrderRecord:
        """One LMT order at `limit_price` or better."""
        options = asked.with_defaults(options)
        terms = asked.terms(OrderType.LIMIT, side, quantity, options, limit_price=limit_price)
        return self._place_single("place_limit_order", account, contract, terms, key, options)

    def place_stop_order(
        self,
        account: Account,
        contract: Contract,
        side: Side,
        quantity: Decimal,
        stop_price: Decimal,
        *,
        key: str,
        **options: Unpack[Options],
    ) -> OrderRecord:
        """One STP order: a market order from the moment the market reaches `stop_price` (IB's auxPrice)."""
        options = asked.with_defaults(options)
        terms = asked.terms(OrderType.STOP, side, quantity, options, stop_price=stop_price)
        return self._place_single("place_stop_order", account, contract, terms, key, options)

    def place_stop_limit_order(
        self,
        account: Account,
        contract: Contract,
        side: Side,
        quantity: Decimal,
        stop_price: Decimal,
        limit_price: Decimal,
        *,
        key: str,
        **options: Unpack[Options],
    ) -> OrderRecord:
        """One STP LMT order: a limit order at `limit_price` from the moment the market reaches `stop_price`."""
        options = asked.with_defaults(options)
        terms = asked.terms(OrderType.STOP_LIMIT, side, quantity, options, stop_price=stop_price, limit_price=limit_price)
        return self._place_single("place_stop_limit_order", account, contract, terms, key, options)

    def place_bracket(
        self,
        account: Account,
        contract: Contract,
        side: Side,
        quantity: Decimal,
        *,
        limit_price: Decimal | None = None,
        take_profit_price: Decimal,
        stop_loss_price: Decimal,
        key: str,
        exits_time_in_force: TimeInForce = TimeInForce.GTC,
        **options: Unpack[Options],
    ) -> list[OrderRecord]:
        """[entry, take profit, stop loss], sent together. The entry is a limit order, or a market order without `limit_price`."""
        options = asked.with_defaults(options)
        order_type = OrderType.MARKET if limit_price is None else OrderType.LIMIT
        pair = ExitPair(
            quantity=asked.number("quantity", quantity),
            target_price=asked.number("take_profit_price", take_profit_price),
            stop_price=asked.number("stop_loss_price", stop_loss_price),
        )
        ticket = BracketTicket(
            entry=asked.terms(order_type, side, quantity, options, limit_price=limit_price),
            pairs=(pair,),
            oca_type=None,
            exits_time_in_force=asked.word(TimeInForce, "exits_time_in_force", exits_time_in_force),
            exits_outside_rth=bool(options["outside_rth"]),
        )

        def work(b: OpenBook, who: Placing) -> list[OrderRecord]:
            names = {"target_price": "take_profit_price", "stop_price": "stop_loss_price", "quantity": "quantity"}
            with placing.fields_of_one_pair(names):
                entry, stop, target = placing.place_bracket(b, who, ticket)
            return [entry, target, stop]

        return self._place("place_bracket", account, contract, request_to_json(ticket), key, options, work, request=ticket)

    def place_bracket_ticket(
        self, account: Account, contract: Contract, ticket: BracketTicket, *, key: str, **options: Unpack[Options]
    ) -> list[OrderRecord]:
        """The entry, then of each pair [stop, target, time stop] as far as it has them, sent together.

        Each pair is an OCA group of the ticket's type, and all exits are children of the entry: the broker holds them until it fills. What
        is refused of a pair names its field by its number ("pair_2_stop_price"). Times in force and hours are the ticket's own.
        """
        options = asked.about_the_request(options)
        ticket = replace(ticket, entry=asked.complete(ticket.entry), pairs=asked.pairs(ticket.pairs))

        def work(b: OpenBook, who: Placing) -> list[OrderRecord]:
            return placing.place_bracket(b, who, ticket)

        return self._place("place_bracket_ticket", account, contract, request_to_json(ticket), key, options, work, request=ticket)

    def place_exits(
        self,
        account: Account,
        contract: Contract,
        pairs: Sequence[ExitPair],
        *,
        key: str,
        side: Side | None = None,
        oca_type: OcaType = OcaType.CANCEL_WITH_BLOCK,
        **options: Unpack[Options],
    ) -> list[OrderRecord]:
        """Ways out of the position, of each pair [stop, target, time stop] as far as it has them; each pair is an OCA group of its own.

        The pairs sum to at most what no other order works to close. GTC by default. `side` is the exits' own: with it they are refused
        where the position has turned.
        """
        options = asked.without_attributes({"time_in_force": TimeInForce.GTC, **options})
        wanted = ExitsTicket(
            pairs=asked.pairs(pairs),
            side=None if side is None else asked.word(Side, "side", side),
            oca_type=asked.word(OcaType, "oca_type", oca_type),
            time_in_force=asked.word(TimeInForce, "time_in_force", options["time_in_force"]),
            outside_rth=bool(options["outside_rth"]),
        )

        def work(b: OpenBook, who: Placing) -> list[OrderRecord]:
            return placing.place_exits(b, who, wanted)

        return self._place("place_exits", account, contract, request_to_json(wanted), key, options, work, request=wanted)

    def place_oca_group(
        self,
        account: Account,
        contract: Contract,
        quantity: Decimal | None = None,
        entry_price: Decimal | None = None,
        stop_loss: Decimal = Decimal("0.02"),
        profit_target: Decimal = Decimal("0.08"),
        *,
        key: str,
        oca_type: OcaType = OcaType.CANCEL_WITH_BLOCK,
        stop_price: Decimal | None = None,
        target_price: Decimal | None = None,
        **options: Unpack[Options],
    ) -> list[OrderRecord]:
        """[stop, target] of the position in one OCA group: whichever fills first cancels the other, at the broker. GTC by default.

        Direction, default quantity (what no other order works to close yet) and default entry (the average cost as a price) come from the
        position. `stop_loss` and `profit_target` are fractions of the entry and give prices on the nearest tick; `stop_price` and
        `target_price`, where given, are taken as they are.
        """
        options = asked.without_attributes({"time_in_force": TimeInForce.GTC, **options})
        wanted = OcaExit(
            quantity=asked.optional("quantity", quantity),
            entry_price=asked.optional("entry_price", entry_price),
            stop_loss=asked.number("stop_loss", stop_loss),
            profit_target=asked.number("profit_target", profit_target),
            oca_type=asked.word(OcaType, "oca_type", oca_type),
            time_in_force=asked.word(TimeInForce, "time_in_force", options["time_in_force"]),
            outside_rth=bool(options["outside_rth"]),
            stop_price=asked.optional("stop_price", stop_price),
            target_price=asked.optional("target_price", target_price),
        )
        return self._place(
            "place_oca_group", account, contract, asdict(wanted), key, options, lambda b, who: placing.place_oca_exit(b, who, wanted)
        )

    # --- changing and cancelling --------------------------------------------------------------------------------------------------------

    def modify_order(self, order: OrderRecord, *, key: str, **changes: Unpack[Changes]) -> BrokerCommand | None:
        """Asks for other terms; what is not named stays. Gives the MODIFY, or None where the order was not sent yet and is changed at once.

        The order keeps its acknowledged terms until the broker confirms the new ones. What may be changed is what IB changes: sizes,
        prices, distances, and the time in force between DAY, GTC and GTD.
        """
        wanted = asked.changes(changes)

        def once(b: OpenBook, user: Any) -> Answer:
            command = changing.modify(b, user, changing.load(order.pk), **wanted)
            return {"command": None if command is None else command.pk}

        answer = self._submit("modify_order", key, {"order": order.client_order_id, **wanted}, once, order.account)
        return None if answer["command"] is None else BrokerCommand.objects.select_related("order").get(pk=answer["command"])

    def modify_bracket(
        self,
        order: OrderRecord,
        *,
        key: str,
        move: Decimal | None = None,
        move_ticks: Decimal | None = None,
        legs: Mapping[str, Changes] | None = None,
        quantity: Decimal | None = None,
    ) -> list[BrokerCommand]:
        """Changes the open orders of a bracket, or of the exits of a position, together; `order` is any of them.

        `move` shifts every price by an amount, `move_ticks` by ticks; `legs` gives changes by `client_order_id`; `quantity` is for an entry
        that has not filled, and resizes its exits in proportion, the rest on the last pair. All of it is judged together and asked for or
        refused whole. The broker answers each leg by itself: the commands given, one a leg, say how. None where nothing was sent yet.
        """
        wanted = reshaping.Wanted(
            move=asked.optional("move", move),
            move_ticks=asked.optional("move_ticks", move_ticks),
            legs={name: asked.changes(changes) for name, changes in (legs or {}).items()},
            quantity=asked.optional("quantity", quantity),
        )

        def once(b: OpenBook, user: Any) -> Answer:
            return {"commands": [command.pk for command in reshaping.reshape(b, user, changing.load(order.pk), wanted)]}

        answer = self._submit("modify_bracket", key, {"order": order.client_order_id, **asdict(wanted)}, once, order.account)
        found = BrokerCommand.objects.select_related("order").in_bulk(answer["commands"])
        return [found[pk] for pk in answer["commands"]]

    def cancel_order(self, order: OrderRecord, *, key: str) -> OrderRecord:
        """Asks the broker to cancel the order, which is gone only when it says so. What was never sent is withdrawn with its whole unit."""

        def once(b: OpenBook, user: Any) -> Answer:
            return {"orders": [changing.cancel(b, user, changing.load(order.pk)).pk]}

        return self._orders(self._submit("cancel_order", key, {"order": order.client_order_id}, once, order.account))[0]

    def cancel_all_orders(self, *, key: str, account: Account | None = None, contract: Contract | None = None) -> list[OrderRecord]:
        """Asks for a cancel of every open order in the accounts the actor may trade, or in one account, or of one contract.

        Never IB's global cancel: that one takes the orders of everybody. Goes in parts of fifty; the same key again finishes what a crash
        left undone. Orders that only another client can cancel are left out.
        """
        scope = {"account": account and account.code, "con_id": contract and contract.con_id}

        def once(b: OpenBook, user: Any) -> Answer:
            if account is not None:
                changing.refuse_stranger(b, user, account)
            return {"orders": changing.in_scope(user, account, contract)}

        answer = self._submit("cancel_all_orders", key, scope, once, account)
        for start in range(0, len(answer["orders"]), changing.CHUNK):
            with book(at=self._clock()) as b:
                changing.cancel_those_open(b, self.actor.pk, answer["orders"][start : start + changing.CHUNK])
        return self._orders(answer)

    # --- exit templates ---------------------------------------------------------------------------------------------------------------

    def set_exit_template(
        self,
        symbol: str = "",
        *,
        key: str,
        stop_loss: Decimal = Decimal("0.02"),
        profit_target: Decimal = Decimal("0.08"),
        trail_percent: Decimal | None = None,
        time_stop: timedelta | None = None,
        oca_type: OcaType = OcaType.CANCEL_WITH_BLOCK,
        time_in_force: TimeInForce = TimeInForce.GTC,
    ) -> ExitTemplate:
        """The actor's own exits for a symbol, or for all that have none of their own. Fractions of the entry: 0.02 is 2 %."""
        wanted = Template(
            stop_loss=asked.number("stop_loss", stop_loss),
            profit_target=asked.number("profit_target", profit_target),
            trail_percent=asked.optional("trail_percent", trail_percent),
            time_stop=time_stop,
            oca_type=asked.word(OcaType, "oca_type", oca_type),
            time_in_force=asked.word(TimeInForce, "time_in_force", time_in_force),
            symbol=symbol.strip().upper(),
        )
        payload = {**asdict(wanted), "time_stop": None if time_stop is None else time_stop.total_seconds()}

        def once(b: OpenBook, user: Any) -> Answer:
            return {"template": templates.put(b, user, wanted).pk}

        return ExitTemplate.objects.get(pk=self._submit("set_exit_template", key, payload, once, None)["template"])

    def remove_exit_template(self, symbol: str = "", *, key: str) -> None:
        """Takes the actor's exits for the symbol away; those for all, or the desk's 2 % and 8 %, hold again."""
        symbol = symbol.strip().upper()

        def once(b: OpenBook, user: Any) -> Answer:
            templates.remove(b, user, symbol)
            return {}

        self._submit("remove_exit_template", key, {"symbol": symbol}, once, None)

    # --- mending ----------------------------------------------------------------------------------------------------------------------

    def repair_protection(
        self,
        account: Account,
        contract: Contract,
        *,
        key: str,
        kind: Kind | None = None,
        plan: str = "",
        stop_price: Decimal | None = None,
        target_price: Decimal | None = None,
        with_target: bool = True,
    ) -> list[OrderRecord]:
        """Does what mends the guardian's finding of this kind, or the gravest: places, cancels or changes exits. Gives those concerned.

        `plan` is what was shown (`mending.spell` of its steps): where it is not the plan any more, nothing is done. The prices of a new
        pair are those that stood before, or the actor's template, unless they are given, which goes for a single pair only; `with_target`
        False: stops alone.
        """
        wanted = repairing.Wanted(
            kind, plan, asked.optional("stop_price", stop_price), asked.optional("target_price", target_price), with_target
        )
        options = asked.with_defaults({"confirm_duplicate": True})
        payload = {**asdict(wanted), "kind": kind and kind.name}
        return self._place("repair_protection", account, contract, payload, key, options, lambda b, who: repairing.repair(b, who, wanted))

    def send_again(self, order: OrderRecord, *, key: str, reason: str) -> list[OrderRecord]:
        """A new order with the terms of one that is not at the broker, which ends by this; of a bracket or pair the whole unit.

        `reason` says what was seen at the broker. The new orders are linked to the old ones (`resend_of`).
        """

        def once(b: OpenBook, user: Any) -> Answer:
            return {"orders": [made.pk for made in resending.send_again(b, user, changing.load(order.pk), reason)]}

        return self._orders(self._submit("send_again", key, {"order": order.client_order_id, "reason": reason}, once, order.account))

    def ask_again(self, order: OrderRecord, *, key: str) -> OrderRecord:
        """Asks the broker for its lists now, because of an order of unknown fate. Nothing is sent but questions; the bell may be lost."""

        def once(b: OpenBook, user: Any) -> Answer:
            asked_of = tending.ask_again(b, user, changing.load(order.pk))
            b.after_commit(bell.ring_check)
            return {"orders": [asked_of.pk]}

        return self._orders(self._submit("ask_again", key, {"order": order.client_order_id}, once, order.account))[0]

    # --- what a person concludes ------------------------------------------------------------------------------------------------------

    def conclude_cancelled(self, order: OrderRecord, reason: str, *, key: str) -> OrderRecord:
        """Ends an order of UNKNOWN fate that is not at the broker, as a person saw there; `reason` says what was seen."""
        return self._tend("conclude_cancelled", order, key, tending.conclude_cancelled, reason=reason)

    def clear_attention(self, order: OrderRecord, *, key: str) -> OrderRecord:
        """Takes the flag off an order that a person has looked at."""
        return self._tend("clear_attention", order, key, tending.clear_attention)

    def adopt_order(self, order: OrderRecord, *, key: str) -> OrderRecord:
        """Attributes an order placed elsewhere to the actor, in the book only."""
        return self._tend("adopt_order", order, key, tending.adopt)

    # --- breaks -----------------------------------------------------------------------------------------------------------------------

    def own_incident(self, incident: Incident, *, key: str) -> Incident:
        """Says that the actor looks after an open incident of an account he may trade."""

        def once(b: OpenBook, user: Any) -> Answer:
            return {"incident": incidents.own(b, user, incidents.load(incident.pk)).pk}

        return self._of_incident("own_incident", incident, key, {}, once)

    def close_incident(self, incident: Incident, reason: str, *, key: str, adjust: Decimal | None = None) -> Incident:
        """Explains and ends an incident. A position that differs is ended by recording `adjust`, the difference as it was looked at."""
        adjust = asked.optional("adjust", adjust)

        def once(b: OpenBook, user: Any) -> Answer:
            return {"incident": incidents.close(b, user, incidents.load(incident.pk), reason, adjust).pk}

        return self._of_incident("close_incident", incident, key, {"reason": reason, "adjust": adjust}, once)

    def _of_incident(
        self, verb: str, incident: Incident, key: str, facts: dict[str, Any], once: Callable[[OpenBook, Any], Answer]
    ) -> Incident:
        answer = self._submit(verb, key, {"incident": incident.pk, **facts}, once, incidents.account_of(incident))
        return incidents.load(answer["incident"])

    # --- how ----------------------------------------------------------------------------------------------------------------------------

    def _submit(
        self, verb: str, key: str, payload: dict[str, Any], work: Callable[[OpenBook, Any], Answer], account: Account | None
    ) -> Answer:
        return submit(self.actor, key, verb, payload, work, now=self._clock(), account=account)

    def _tend(self, verb: str, order: OrderRecord, key: str, act: Callable[..., OrderRecord], **facts: str) -> OrderRecord:
        def once(b: OpenBook, user: Any) -> Answer:
            return {"orders": [act(b, user, changing.load(order.pk), **facts).pk]}

        return self._orders(self._submit(verb, key, {"order": order.client_order_id, **facts}, once, order.account))[0]

    def _place_single(self, verb: str, account: Account, contract: Contract, terms: OrderTerms, key: str, options: Options) -> OrderRecord:
        payload = terms_to_json(terms)
        return self._place(
            verb, account, contract, payload, key, options, lambda b, who: placing.place_single(b, who, terms), request=terms
        )[0]

    def _place(
        self,
        verb: str,
        account: Account,
        contract: Contract,
        payload: dict[str, Any],
        key: str,
        options: Options,
        work: Work,
        request: PlaceRequest | None = None,
    ) -> list[OrderRecord]:
        # How somebody looked at it is no part of what he asked for: the same key under another seal is the same order.
        said = {name: value for name, value in options.items() if name not in ("seal", "armed")}
        asked_for = {"account": account.code, "con_id": contract.con_id, **said, **payload}

        def once(b: OpenBook, user: Any) -> Answer:
            who = Placing(
                user=user,
                account=Account.objects.get(pk=account.pk),
                contract=Contract.objects.get(pk=contract.pk),
                note=options["note"],
                confirm_duplicate=options["confirm_duplicate"],
                seal=options["seal"],
                armed=options["armed"],
            )
            if who.seal:
                redeem(b, user, who.account, who.contract, request, who.seal)
            return {"orders": [order.pk for order in work(b, who)]}

        return self._orders(self._submit(verb, key, asked_for, once, account))

    @staticmethod
    def _orders(answer: Answer) -> list[OrderRecord]:
        """The orders of an answer, as they are now, in the order they were given."""
        rows = OrderRecord.objects.select_related("account", "contract", "parent", "oca_group").in_bulk(answer["orders"])
        return [rows[pk] for pk in answer["orders"]]

    # --- reading ----------------------------------------------------------------------------------------------------------------------

    def accounts(self) -> list[Account]:
        """The accounts the actor may see, by code."""
        return list(visible_accounts(self.actor))

    def get_positions(self, account: Account | None = None) -> list[Position]:
        """Positions that are not flat, in accounts the actor may see."""
        rows = Position.objects.filter(account__in=visible_accounts(self.actor)).exclude(quantity=0)
        if account is not None:
            rows = rows.filter(account=account)
        return list(rows.select_related("account", "contract").order_by("account__code", "contract__symbol", "pk"))

    def get_open_orders(self, account: Account | None = None) -> list[OrderRecord]:
        """Orders that are not terminal, UNKNOWN included, in accounts the actor may see; the newest first."""
        rows = OrderRecord.objects.filter(account__in=visible_accounts(self.actor), status__in=OPEN_STATUSES)
        if account is not None:
            rows = rows.filter(account=account)
        return list(rows.select_related("account", "contract", "parent", "oca_group"))
