"""The exits of a position that is there already, as they are filled in: for how much of it, and the price that distances count from.

The rule it keeps: the rows are the ticket's own. Whether they fit the position is for the manager.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy

from orders.contracts import ticks
from orders.exposure import closing_side
from orders.models import Position
from orders.pages.forms.exits import ExitsForm
from orders.pages.forms.reading import Number, add_refusal
from orders.queries.quotes import reference_price
from orders.rules.exit_rows import Basis, read_pairs
from orders.rules.tickets import ExitsTicket, TicketError


class ProtectForm(ExitsForm):
    """Pairs of exits for a part of a position, or all of it."""

    quantity = Number(error_messages={"required": gettext_lazy("Give a quantity.")})
    entry_price = Number(error_messages={"required": gettext_lazy("Give the price that the distances count from.")})
    confirm_duplicate = forms.BooleanField(required=False)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        self.leave_out_pairs(data, data.get("pair_count") or 1)
        return data

    def request(self, position: Position) -> ExitsTicket | None:
        """What the manager is asked to place. None, with the reasons beside the fields, where it cannot be known."""
        if self.errors:
            return None
        data = self.cleaned_data
        try:
            pairs = read_pairs(
                data, data["pair_count"] or 1, data["quantity"], position.contract.size_increment, basis_of(position, data["entry_price"])
            )
        except TicketError as error:
            add_refusal(self, error.message, error.field, "")
            return None
        return ExitsTicket(pairs, closing_side(position.quantity), **self.behaviour)


def basis_of(position: Position, counted_from: Any) -> Basis:
    """What the distances of a position's exits are counted from."""
    side = closing_side(position.quantity)
    return Basis(counted_from, side.opposite.sign, ticks(position.contract), held=True, market=reference_price(position.contract, side))
