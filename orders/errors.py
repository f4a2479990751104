"""The three exceptions of our own: refused, illegal transition, gateway unavailable."""

from __future__ import annotations

from typing import Any


class Refused(Exception):
    """A request breaks a rule. Shown to the user: `code` names the rule, `field` the ticket's field where there is one."""

    def __init__(self, code: str, message: str, *, field: str = "", limit: Any = None, actual: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.limit = limit
        self.actual = actual


class IllegalTransition(Exception):
    """Our own verb asked for a step the lifecycle does not have: a bug, or a race that the page explains."""


class GatewayUnavailable(Exception):
    """The broker cannot be asked now; try again."""
