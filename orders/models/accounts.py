"""Accounts, who may see and trade them, what the broker says they hold, and the limits set on them."""

from __future__ import annotations

from datetime import time

from django.conf import settings
from django.db import models
from django.db.models import Q

from orders.models.fields import money, word
from orders.rules.terms import AccessLevel


class Account(models.Model):
    """A broker account. Rows appear when the gateway names them; what follows is ours to edit."""

    code = models.CharField(max_length=20, unique=True)
    alias = models.CharField(max_length=40, blank=True)
    base_currency = models.CharField(max_length=8, blank=True)
    time_zone = models.CharField(max_length=64, default="America/New_York", help_text="The trading day is counted in this zone.")
    session_start = models.TimeField(default=time(0), help_text="When the trading day begins, in the account's time zone.")
    is_active = models.BooleanField(default=True, help_text="New orders are refused for an inactive account.")
    positions_known_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="The first complete list of its positions: what was held then, executions need not explain.",
    )
    seq = models.BigIntegerField(default=0, editable=False)

    class Meta:
        ordering = ["code"]

    def __str__(self) -> str:
        return f"{self.code} {self.alias}".strip()

    @property
    def short(self) -> str:
        """Enough to tell accounts apart on a screen that others may see, as in "DU…417"."""
        return f"{self.code[:2]}…{self.code[-3:]}" if len(self.code) > 6 else self.code


class AccountAccess(models.Model):
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="account_access")
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="access")
    level = word(AccessLevel)
    seq = models.BigIntegerField(default=0, editable=False)

    class Meta:
        verbose_name_plural = "account access"
        constraints = [models.UniqueConstraint(fields=["user", "account"], name="access_once_per_account")]

    def __str__(self) -> str:
        return f"{self.user} may {self.level} {self.account}"


class AccountValue(models.Model):
    """One of IB's account values, newest wins. Daily P&L is kept here too, as "DailyPnL", "UnrealizedPnL", "RealizedPnL" of currency ""."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="values")
    name = models.CharField(max_length=60)
    currency = models.CharField(max_length=8, blank=True)
    value = models.CharField(max_length=60)
    at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "name", "currency"], name="account_value_once")]


class Position(models.Model):
    """What IB reports, never summed from our executions. Quantity is signed; the average cost is of one unit times the multiplier.

    `opening` is what no execution of the book explains: what was held when the book first saw it, and the adjustments that people have
    recorded since. The check beside the report is quantity = opening + executions.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="positions")
    contract = models.ForeignKey("orders.Contract", on_delete=models.PROTECT, related_name="positions")
    quantity = money()
    average_cost = money()
    opening = money(default=0)
    reported_at = models.DateTimeField()
    differs_since = models.DateTimeField(
        null=True, blank=True, help_text="The first check in a row that its executions did not explain it."
    )
    differs_checks = models.PositiveSmallIntegerField(default=0)
    seq = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "contract"], name="position_once_per_contract")]

    @property
    def entry_price(self):
        """Average cost as a price: IB's average cost of a derivative includes the multiplier."""
        return self.average_cost / self.contract.multiplier if self.contract.multiplier else self.average_cost


class PositionValue(models.Model):
    """The moving figures of a position, as IB's P&L says them; newest wins, no event."""

    position = models.OneToOneField(Position, on_delete=models.CASCADE, related_name="values")
    market_value = money(null=True)
    unrealized_pnl = money(null=True)
    realized_pnl = money(null=True)
    daily_pnl = money(null=True)
    at = models.DateTimeField(db_index=True)


class Limit(models.Model):
    """One limit of one rule, for the desk, an account or a user. All that apply are checked; the strictest decides."""

    class Scope(models.TextChoices):
        DESK = "desk"
        ACCOUNT = "account"
        USER = "user"

    scope = models.CharField(max_length=8, choices=Scope.choices)
    account = models.ForeignKey(Account, null=True, blank=True, on_delete=models.CASCADE, related_name="limits")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="limits")
    rule = models.CharField(max_length=40, help_text="The coded rule, e.g. MAX_QUANTITY.")
    value = money()
    note = models.CharField(max_length=200, blank=True, help_text="Why it is what it is.")
    seq = models.BigIntegerField(default=0, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["rule"], condition=Q(scope="desk"), name="limit_once_for_the_desk"),
            models.UniqueConstraint(fields=["account", "rule"], condition=Q(scope="account"), name="limit_once_per_account"),
            models.UniqueConstraint(fields=["user", "rule"], condition=Q(scope="user"), name="limit_once_per_user"),
            models.CheckConstraint(
                name="limit_names_its_scope",
                condition=Q(scope="desk", account=None, user=None)
                | Q(scope="account", account__isnull=False, user=None)
                | Q(scope="user", account=None, user__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rule} {self.scope} {self.account or self.user or ''}".strip()
