"""The order ticket as it is filled in, read into what the manager is asked for: one order of any type, or an entry with its exits.

The rule it keeps: the form checks its own sense and nothing else; whether the order is allowed is for the manager. A price that the chosen
type does not have is left out, because its field was not shown; what was shown and is not taken is refused beside its field.
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
from orders.pages.forms.exits import ExitsForm, default_exits
from orders.pages.forms.moments import LocalMoment
from orders.pages.forms.reading import Number, add_refusal
from orders.pages.forms.sizing import size_fields
from orders.pages.forms.words import (
    ADAPTIVE,
    ALL_TIMES_IN_FORCE,
    ON_OPEN,
    ORDER_TYPES,
    SIDES,
    TRAIL_UNITS,
    TRIGGER_METHODS,
)
from orders.queries.quotes import entry_price
from orders.rules.exit_rows import Basis, read_pairs
from orders.rules.terms import AdaptivePriority, OrderTerms, OrderType, Side, TimeInForce, TriggerMethod
from orders.rules.tickets import ENTRY_TYPES, BracketTicket, PlaceRequest, TicketError

HUNDRED = Decimal(100)
SELDOM = ("good_after", "display_size", "trigger_method", "adaptive", "all_or_none", "hidden", "note")
"""Fields that are folded away until somebody wants them."""


class TicketForm(ExitsForm):
    """One order, or an entry with up to five pairs of exits. Prices its type does not have are left out of `cleaned_data`."""

    account = forms.ChoiceField(error_messages={"invalid_choice": gettext_lazy("Choose an account that you may trade.")})
    symbol = forms.CharField(max_length=64, strip=True, error_messages={"required": gettext_lazy("Type a symbol.")})
    con_id = forms.IntegerField(required=False, min_value=1)
    side = forms.ChoiceField(choices=SIDES, error_messages={"required": gettext_lazy("Choose Buy or Sell.")})
    quantity = Number(error_messages={"required": gettext_lazy("Give a quantity.")})
    order_type = forms.ChoiceField(choices=ORDER_TYPES, initial=OrderType.LIMIT.value)
    limit_price = Number(required=False)
    stop_price = Number(required=False)
    trail = Number(required=False)
    trail_unit = forms.ChoiceField(choices=TRAIL_UNITS, required=False)
    limit_offset = Number(required=False, positive=False)
    time_in_force = forms.ChoiceField(choices=ALL_TIMES_IN_FORCE, initial=TimeInForce.DAY.value)
    good_till = LocalMoment(required=False)
    good_after = LocalMoment(required=False)
    outside_rth = forms.BooleanField(required=False)
    all_or_none = forms.BooleanField(required=False)
    hidden = forms.BooleanField(required=False)
    display_size = Number(required=False)
    trigger_method = forms.ChoiceField(choices=TRIGGER_METHODS, required=False)
    adaptive = forms.ChoiceField(choices=ADAPTIVE, required=False)
    bracket = forms.BooleanField(required=False)
    note = forms.CharField(required=False, max_length=80, strip=True)
    confirm_duplicate = forms.BooleanField(required=False)

    def __init__(self, *args: Any, accounts: Iterable[Account], initial: dict[str, Any] | None = None, **options: Any) -> None:
        initial = {**default_initial(), **(initial or {})}
        super().__init__(*args, initial=initial, **options)
        known = list(accounts)
        self.fields["account"].choices = [(account.code, str(account)) for account in known]  # type: ignore[attr-defined]
        self.fields.update(size_fields())
        code = self["account"].value()
        self.zone = next((account.time_zone for account in known if account.code == code), "UTC")
        for name in ("good_till", "good_after"):
            self.fields[name].zone = self.zone  # type: ignore[attr-defined]

    @property
    def more_says(self) -> str:
        """What is set among the seldom used fields, in a few words; empty where nothing is."""
        shown = [
            (self["good_after"].value(), _("good after")),
            (self["display_size"].value(), _("iceberg")),
            (self["trigger_method"].value() not in (None, "", "0", 0), _("trigger")),
            (self["adaptive"].value(), _("Adaptive")),
            (self["all_or_none"].value(), _("all or none")),
            (self["hidden"].value(), _("hidden")),
            (self["note"].value(), _("note")),
        ]
        return " · ".join(words for is_set, words in shown if is_set)

    @property
    def more_has_errors(self) -> bool:
        return any(name in self.errors for name in SELDOM)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        self.leave_out_pairs(data, (data.get("pair_count") or 1) if data.get("bracket") else 0)
        if "order_type" not in data:
            return data
        if data["order_type"] in ON_OPEN:
            data["order_type"], data["time_in_force"] = ON_OPEN[data["order_type"]].value, TimeInForce.OPG.value
        order_type = OrderType(data["order_type"])
        for name, has, needs in _prices(order_type):
            self._price(data, name, has, needs)
        if data.get("time_in_force") != TimeInForce.GTD:
            self.leave_out(data, "good_till")
        elif data.get("good_till") is None and "good_till" not in self.errors:
            self.add_error("good_till", _("Say until when the order is good."))
        if data.get("bracket") and order_type not in ENTRY_TYPES:
            self.add_error("order_type", _("The entry of a bracket is MKT, LMT, STP or STP LMT."))
        return data

    def _price(self, data: dict[str, Any], name: str, has: bool, needs: bool) -> None:
        if not has:
            self.leave_out(data, name)
        elif needs and data.get(name) is None and name not in self.errors:
            words = {"trail": _("A %s order needs the distance it keeps."), "limit_offset": _("A %s order needs its limit's distance.")}
            self.add_error(name, words.get(name, _("A %s order needs this price.")) % data["order_type"])

    def request(self, contract: Contract) -> PlaceRequest | None:
        """What the manager is asked to place. None, with the reasons beside the fields, where it cannot be known."""
        if self.errors:
            return None
        terms = self._terms()
        if not self.cleaned_data["bracket"]:
            return terms
        try:
            return self._bracket(contract, terms)
        except TicketError as error:
            add_refusal(self, error.message, error.field, "")
            return None

    def _terms(self) -> OrderTerms:
        data = self.cleaned_data
        in_percent = data["trail_unit"] != "amount"
        return OrderTerms(
            side=Side(data["side"]),
            order_type=OrderType(data["order_type"]),
            quantity=data["quantity"],
            limit_price=data["limit_price"],
            stop_price=data["stop_price"],
            time_in_force=TimeInForce(data["time_in_force"]),
            outside_rth=data["outside_rth"],
            trail_amount=None if in_percent else data["trail"],
            trail_percent=data["trail"] if in_percent else None,
            limit_offset=data["limit_offset"],
            good_till=data["good_till"],
            good_after=data["good_after"],
            all_or_none=data["all_or_none"],
            hidden=data["hidden"],
            display_size=data["display_size"],
            trigger_method=TriggerMethod(int(data["trigger_method"] or 0)),
            adaptive=AdaptivePriority(data["adaptive"]),
        )

    def _bracket(self, contract: Contract, terms: OrderTerms) -> BracketTicket:
        data = self.cleaned_data
        basis = Basis(entry_price(terms, contract), terms.side.sign, ticks(contract))
        pairs = read_pairs(data, data["pair_count"] or 1, terms.quantity, contract.size_increment, basis)
        exits = self.behaviour
        return BracketTicket(
            entry=terms,
            pairs=pairs,
            oca_type=exits["oca_type"],
            exits_time_in_force=exits["time_in_force"],
            exits_outside_rth=exits["outside_rth"],
        )


def _prices(order_type: OrderType) -> list[tuple[str, bool, bool]]:
    """Each price-like field with whether the type has it and needs it: a TRAIL may leave to the broker where its stop begins."""
    trails = order_type.trails
    return [
        ("limit_price", order_type.has_limit, True),
        ("stop_price", order_type.has_trigger or trails, order_type is not OrderType.TRAIL),
        ("trail", trails, True),
        ("limit_offset", order_type is OrderType.TRAIL_LIMIT, True),
    ]


def default_initial() -> dict[str, Any]:
    """What a ticket says before anybody has filled it in; no side, no quantity, no price."""
    return {
        "order_type": OrderType.LIMIT.value,
        "time_in_force": TimeInForce.DAY.value,
        "trail_unit": "%",
        **default_exits(),
    }
