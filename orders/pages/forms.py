"""What people fill in, read strictly: the ticket, a change, an exit, the blotter's filters.

The rule it keeps: a number is digits and one point, nothing is guessed from a comma; a form checks its own sense, the manager decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orders.models import Account, Contract, OrderRecord
from orders.queries.blotter import HistoryFilters
from orders.queries.quotes import quote_of
from orders.queries.show import Ticks
from orders.rules.lifecycle import OrderStatus
from orders.rules.pricing import PriceRule, stop_and_target
from orders.rules.terms import OcaType, OrderType, Side, TimeInForce, plain
from orders.rules.tickets import TicketError, check_number

TOO_OLD = timedelta(seconds=60)
"""A ticket or preview older than this asks again before anything is sent."""

HUNDRED = Decimal(100)


@dataclass(frozen=True)
class Stamp:
    """What every form carries: a fresh key, under which its request happens once, and when it was made."""

    key: str
    rendered_at: str

    @classmethod
    def fresh(cls, now: datetime) -> Stamp:
        return cls(uuid4().hex, now.isoformat())


def is_too_old(rendered_at: str, now: datetime) -> bool:
    """Whether what the user looked at is older than a minute; a time that cannot be read counts as old."""
    try:
        at = datetime.fromisoformat(rendered_at)
    except ValueError:
        return True
    return at.tzinfo is None or not timedelta(seconds=-5) <= now - at <= TOO_OLD


class Number(forms.CharField):
    """A decimal as a trader types it: digits, at most one point. "1,5" and "1e5" are refused, because they may be meant in two ways."""

    default_error_messages = {"invalid": gettext_lazy("Use digits and a point, as in 1234.5.")}

    def __init__(self, *, positive: bool = True, **options: Any) -> None:
        self.positive = positive
        super().__init__(**{"strip": True, "max_length": 32, **options})

    def clean(self, value: Any) -> Decimal | None:
        text = super().clean(value)
        if not text:
            return None
        if not re.fullmatch(r"[-−]?(\d+\.?|\d*\.\d{1,8})", text, re.ASCII):
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        number = Decimal(text.replace("−", "-"))
        try:
            check_number("number", number, positive=self.positive)
        except TicketError as error:
            raise forms.ValidationError(_sentence(error.message), code="invalid") from error
        return number


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + ("" if words.endswith(".") else ".")


def add_refusal(form: forms.Form, message: str, field: str, rule: str) -> None:
    """Puts a refusal beside the field it names, with its rule; in the summary where it names none of the form's."""
    words = f"{_sentence(message)} ({rule})" if rule else _sentence(message)
    field = {"contract": "symbol"}.get(field, field)
    form.add_error(field if field in form.fields else None, forms.ValidationError(words, code=rule or "refused"))


SIDES = [(side.value, side.value) for side in Side]
ORDER_TYPES = [
    (OrderType.LIMIT.value, gettext_lazy("LMT limit")),
    (OrderType.MARKET.value, gettext_lazy("MKT market")),
    (OrderType.STOP.value, gettext_lazy("STP stop")),
    (OrderType.STOP_LIMIT.value, gettext_lazy("STP LMT stop limit")),
]
TIMES_IN_FORCE = [
    (TimeInForce.DAY.value, gettext_lazy("DAY")),
    (TimeInForce.GTC.value, gettext_lazy("GTC until cancelled")),
]
OCA_TYPES = [
    (
        str(OcaType.CANCEL_WITH_BLOCK.value),
        gettext_lazy("Cancel the other"),
        gettext_lazy("The first fill, even of a part, cancels the other exit. IB works one at a time, so both can never fill."),
    ),
    (
        str(OcaType.REDUCE_WITH_BLOCK.value),
        gettext_lazy("Reduce the other"),
        gettext_lazy("A fill takes its quantity off the other exit, which goes on. IB works one at a time, so they never close too much."),
    ),
    (
        str(OcaType.REDUCE_WITHOUT_BLOCK.value),
        gettext_lazy("Reduce, and work both"),
        gettext_lazy("Both work at once and a fill reduces the other. In a fast market both can fill and turn the position around."),
    ),
]


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
            self.add_error(name, _sentence(error.message))
            return None
        return (take_profit if take_profit is not None else target, stop_loss if stop_loss is not None else stop)


def reference_price(contract: Contract, side: Side) -> Decimal | None:
    """What a market order of this side would pay or get now: the ask or the bid, else the last price."""
    quote = quote_of(contract)
    if quote is None:
        return None
    touch = quote.ask if side is Side.BUY else quote.bid
    return touch if touch is not None and touch > 0 else quote.last


class ChangeForm(forms.Form):
    """New terms of a working order; what is left as it is, is not changed."""

    quantity = Number(error_messages={"required": gettext_lazy("Give a quantity.")})
    limit_price = Number(required=False)
    stop_price = Number(required=False)
    time_in_force = forms.ChoiceField(choices=TIMES_IN_FORCE)

    def __init__(self, *args: Any, order: OrderRecord, **options: Any) -> None:
        self.order = order
        ticks = Ticks.load()
        initial = {
            "quantity": plain(order.quantity),
            "limit_price": ticks.typed(order.contract, order.limit_price),
            "stop_price": ticks.typed(order.contract, order.stop_price),
            "time_in_force": order.time_in_force,
        }
        super().__init__(*args, initial=initial, **options)
        for name in ("limit_price", "stop_price"):
            if getattr(order, name) is None:
                del self.fields[name]
            else:
                self.fields[name].required = True

    def changes(self) -> dict[str, Any]:
        """Only what differs from the acknowledged terms."""
        data = self.cleaned_data
        changed = {
            name: data[name]
            for name in ("quantity", "limit_price", "stop_price")
            if name in data and data[name] != getattr(self.order, name)
        }
        if data["time_in_force"] != self.order.time_in_force:
            changed["time_in_force"] = TimeInForce(data["time_in_force"])
        return changed


class ProtectForm(forms.Form):
    """Stop and target on a position, as one OCA group. A price that is given counts, else the percentage of the entry."""

    quantity = Number(error_messages={"required": gettext_lazy("Give a quantity.")})
    entry_price = Number(error_messages={"required": gettext_lazy("Give the price the percentages count from.")})
    stop_percent = Number(required=False, initial="2")
    stop_price = Number(required=False)
    target_percent = Number(required=False, initial="8")
    target_price = Number(required=False)
    oca_type = forms.ChoiceField(choices=[(value, label) for value, label, _words in OCA_TYPES], initial=OCA_TYPES[0][0])
    time_in_force = forms.ChoiceField(choices=TIMES_IN_FORCE, initial=TimeInForce.GTC.value)
    outside_rth = forms.BooleanField(required=False)
    confirm_duplicate = forms.BooleanField(required=False)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for exit_name in ("stop", "target"):
            if data.get(f"{exit_name}_price") is None and data.get(f"{exit_name}_percent") is None:
                self.add_error(f"{exit_name}_percent", _("Give a percentage or a price."))
        return data


class HistoryForm(forms.Form):
    """The blotter's filters, as the address carries them. What is not understood is said, and filters nothing out."""

    begin = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}))
    end = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}))
    account = forms.ChoiceField(required=False)
    symbol = forms.CharField(required=False, max_length=64, strip=True)
    side = forms.ChoiceField(required=False, choices=[("", gettext_lazy("Any")), *SIDES])
    status = forms.ChoiceField(
        required=False,
        choices=[
            ("", gettext_lazy("Any status")),
            ("open", gettext_lazy("Open")),
            *[(status.value, status.value) for status in OrderStatus],
        ],
    )
    by = forms.ChoiceField(required=False)
    text = forms.CharField(required=False, max_length=100, strip=True)

    def __init__(self, *args: Any, accounts: Iterable[Account], people: Iterable[str], **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["account"].choices = [("", _("All"))] + [(account.code, str(account)) for account in accounts]  # type: ignore[attr-defined]
        self.fields["by"].choices = [("", _("Anyone"))] + [(name, name) for name in people]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        begin, end = data.get("begin"), data.get("end")
        if begin and end and begin > end:
            self.add_error("end", _("Lies before the first day."))
        return data

    def filters(self, zone: str) -> HistoryFilters:
        """The filters that were understood."""
        data = self.cleaned_data if self.is_valid() else getattr(self, "cleaned_data", {})

        def text(name: str) -> str:
            return data.get(name) or ""

        def day(name: str) -> date | None:
            return data.get(name)

        return HistoryFilters(
            account=text("account"), symbol=text("symbol"), side=text("side"), status=text("status"), by=text("by"), text=text("text"),
            begin=day("begin"), end=day("end"), zone=zone,
        )  # fmt: skip
