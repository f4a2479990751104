"""A fault of a ticket, and the check of one number that every ticket needs.

The rule it keeps: a fault names the ticket's field and says the rule in words for the person who filled it in.
"""

from __future__ import annotations

from decimal import Decimal

from orders.rules.terms import MAX_SIGNIFICANT_DIGITS, significant_digits


class TicketError(ValueError):
    """A field of a ticket breaks a rule. `field` is the ticket's field name, the message is for the person who filled it in."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def check_number(field: str, value: Decimal | None, *, required: bool = True, positive: bool = True) -> None:
    """Raises `TicketError` unless the number is there, finite, positive (if asked) and of at most 15 significant digits."""
    if value is None:
        if required:
            raise TicketError(field, "is required")
        return
    if not value.is_finite():
        raise TicketError(field, "must be a number")
    if positive and value <= 0:
        raise TicketError(field, "must be above zero")
    if significant_digits(value) > MAX_SIGNIFICANT_DIGITS:
        raise TicketError(field, f"may have at most {MAX_SIGNIFICANT_DIGITS} significant digits")
