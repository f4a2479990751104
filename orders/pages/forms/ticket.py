"""The order ticket as it is filled in, read into what the manager is asked for.

The rule it keeps: the form checks its own sense and nothing else; whether the order is allowed is for the manager.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orders.contracts import ticks
from orders.models import Account, Contract
from orders.pages.forms.reading import Number, sentence
from orders.pages.forms.words import ORDER_TYPES, SIDES, TIMES_IN_FORCE
from orders.queries.quotes import quote_of
from orders.rules.pricing import PriceRule, stop_and_target
from orders.rules.terms import OrderTerms, OrderType, Side, TimeInForce
from orders.rules.tickets import BracketTicket, TicketError

HUNDRED = Decimal(100)

PlaceRequest = OrderTerms | BracketTicket


class TicketForm(forms.Form):
    """One order, or a bracket of three. Prices its type does not have are left out of `cleaned_data`."""

    account = forms.ChoiceField(error_messages={"invalid_choice": gettext_lazy("Choose an account that you may trade.")})
    symbol = forms.CharField(max_length=64, strip=True, error_messages={"required": gettext_lazy("Type a symbol.")})
    con_id = forms.IntegerField(required=False, min_value=1)
    side = forms.ChoiceField(choices=SIDES, error_messages={"required": gettext_lazy("Choose Buy or Sell.")})
    quantity = Number(error_messages={"required": gettext_lazy("Give a quantity.")})
    order_type = forms.ChoiceField(choices=ORDER_TYPES, initial=OrderType.LIMIT.value)
    limit_price = Number(required=False)
    stop_price = Number(required=False)
    time_in_force = forms.ChoiceField(choices=TIMES_IN_FORCE, initial=TimeInForce.DAY.value)
    outside_rth = forms.BooleanField(required=False)
    bracket = forms.BooleanField(required=False)
    take_profit_percent = Number(required=False, initial="8")
    take_profit_price = Number(required=False)
    stop_loss_percent = Number(required=False, initial="2")
    stop_loss_price = Number(required=False)
    note = forms.CharField(required=False, max_length=80, strip=True)
    confirm_duplicate = forms.BooleanField(required=False)

    def __init__(self, *args: Any, accounts: Iterable[Account], **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["account"].choices = [(account.code, str(account)) for account in accounts]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if "order_type" not in data:
            return data
        order_type = OrderType(data["order_type"])
        for name, wanted in (("limit_price", order_type.has_limit), ("stop_price", order_type.has_trigger)):
            if not wanted:
                data[name] = None
                self.errors.pop(name, None)
            elif data.get(name) is None and name not in self.errors:
                self.add_error(name, _("A %s order needs this price.") % order_type.value)
        if data.get("bracket") and order_type not in (OrderType.MARKET, OrderType.LIMIT):
            self.add_error("order_type", _("The entry of a bracket is LMT or MKT."))
        return data

    def request(self, contract: Contract) -> PlaceRequest | None:
        """What the manager is asked to place. None, with the reasons beside the fields, where it cannot be known."""
        if self.errors:
            return None
        terms = self._terms()
        if not self.cleaned_data["bracket"]:
            return terms
        exits = self.exits(contract, ticks(contract))
        return None if exits is None else BracketTicket(entry=terms, take_profit_price=exits[0], stop_loss_price=exits[1])

    def _terms(self) -> OrderTerms:
        data = self.cleaned_data
        return OrderTerms(
            side=Side(data["side"]),
            order_type=OrderType(data["order_type"]),
            quantity=data["quantity"],
            limit_price=data["limit_price"],
            stop_price=data["stop_price"],
            time_in_force=TimeInForce(data["time_in_force"]),
            outside_rth=data["outside_rth"],
        )

    def exits(self, contract: Contract, rule: PriceRule | None) -> tuple[Decimal, Decimal] | None:
        """(take profit, stop loss) of the bracket: a price as it was typed, else from the percentage of the entry, on the nearest tick.

        None, with the reason beside the field, where they cannot be known.
        """
        data = self.cleaned_data
        take_profit, stop_loss = data.get("take_profit_price"), data.get("stop_loss_price")
        for price, percent, name in (
            (take_profit, data.get("take_profit_percent"), "take_profit_percent"),
            (stop_loss, data.get("stop_loss_percent"), "stop_loss_percent"),
        ):
            if price is None and percent is None:
                self.add_error(name, _("Give a percentage or a price."))
        if self.errors:
            return None
        if take_profit is not None and stop_loss is not None:
            return take_profit, stop_loss
        side = Side(data["side"])
        entry = data["limit_price"] or reference_price(contract, side)
        if entry is None or rule is None:
            self.add_error(None, _("There is no quote to work out the exits from: give the prices of target and stop."))
            return None
        stop_percent, target_percent = data.get("stop_loss_percent") or Decimal(1), data.get("take_profit_percent") or Decimal(1)
        try:
            stop, target = stop_and_target(
                entry, is_long=side is Side.BUY, stop_loss=stop_percent / HUNDRED, profit_target=target_percent / HUNDRED, rule=rule
            )
        except TicketError as error:
            name = {"stop_loss": "stop_loss_percent", "profit_target": "take_profit_percent"}.get(error.field)
            self.add_error(name, sentence(error.message))
            return None
        return (take_profit if take_profit is not None else target, stop_loss if stop_loss is not None else stop)


def reference_price(contract: Contract, side: Side) -> Decimal | None:
    """What a market order of this side would pay or get now: the ask or the bid, else the last price."""
    quote = quote_of(contract)
    if quote is None:
        return None
    touch = quote.ask if side is Side.BUY else quote.bid
    return touch if touch is not None and touch > 0 else quote.last
