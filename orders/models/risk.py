"""What the risk manager keeps: instruments that may be traded, results of days, kill switches, flattenings, previews, exit templates.

Limits and trading states stand in `accounts.Limit`. Previews and day results carry no event: nothing of record depends on them.
"""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import Q

from orders.models.accounts import Account, Limit
from orders.models.fields import money


class InstrumentRule(models.Model):
    """One instrument, or all of a kind, that the desk, an account or a user may not open positions in, or the only ones it may.

    Where any row of a scope allows something, only what such rows name is allowed there; what is restricted anywhere is restricted.
    """

    class Kind(models.TextChoices):
        ALLOWED = "allowed"
        RESTRICTED = "restricted"

    kind = models.CharField(max_length=10, choices=Kind.choices)
    scope = models.CharField(max_length=8, choices=Limit.Scope.choices)
    account = models.ForeignKey(Account, null=True, blank=True, on_delete=models.CASCADE, related_name="instrument_rules")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="instrument_rules")
    symbol = models.CharField(max_length=32, blank=True, help_text="Of the contract or its underlying; empty: any.")
    sec_type = models.CharField(max_length=8, blank=True, help_text="IB's word, e.g. STK, OPT, FUT, CASH; empty: any.")
    note = models.CharField(max_length=200, blank=True, help_text="Why.")
    seq = models.BigIntegerField(default=0, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="instrument_rule_names_its_scope",
                condition=Q(scope="desk", account=None, user=None)
                | Q(scope="account", account__isnull=False, user=None)
                | Q(scope="user", account=None, user__isnull=False),
            ),
            models.CheckConstraint(name="instrument_rule_names_something", condition=~Q(symbol="", sec_type="")),
        ]

    def __str__(self) -> str:
        return " ".join(part for part in (self.kind, self.symbol, self.sec_type, self.scope, str(self.account or self.user or "")) if part)


class AccountDay(models.Model):
    """An account's result of one trading day, as IB's daily P&L last said it, and its worth when the day was first seen."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="days")
    date = models.DateField()
    net_liquidation = money(null=True)
    pnl = money(null=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["account", "date"]
        constraints = [models.UniqueConstraint(fields=["account", "date"], name="account_day_once")]


class Sweep(models.Model):
    """A kill switch or a flattening: what it was about, the orders it cancelled and those it placed. How they fared is read from them."""

    class Kind(models.TextChoices):
        KILL = "kill"
        FLATTEN = "flatten"

    kind = models.CharField(max_length=8, choices=Kind.choices)
    scope = models.CharField(max_length=8, choices=Limit.Scope.choices)
    account = models.ForeignKey(Account, null=True, blank=True, on_delete=models.PROTECT, related_name="sweeps")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="sweeps")
    reason = models.CharField(max_length=300, blank=True)
    flattens = models.BooleanField(default=False)
    percent = money(default=Decimal(100))
    data = models.JSONField(default=dict, help_text="Keys of the orders cancelled and placed, and what was left alone and why.")
    at = models.DateTimeField()
    released_at = models.DateTimeField(null=True, blank=True)
    released_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    release_reason = models.CharField(max_length=300, blank=True)
    seq = models.BigIntegerField(default=0, editable=False)

    class Meta:
        ordering = ["-id"]
        permissions = [
            ("halt_desk", "May halt the trading of everybody"),
            ("release_trading", "May release a halt"),
            ("trade_armed", "May send orders with one click, without a preview"),
        ]


class Preview(models.Model):
    """A ticket as it was shown before it is sent, sealed: what would be sent, on what basis, until when. May be lost; it expires."""

    seal = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    contract = models.ForeignKey("orders.Contract", on_delete=models.CASCADE, related_name="+")
    verb = models.CharField(max_length=40)
    payload_hash = models.CharField(max_length=64, help_text="Of the request it was made for.")
    basis = models.JSONField(help_text="What it was judged by: quote, limits, position.")
    inquiry = models.ForeignKey("orders.Inquiry", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)


class ExitTemplate(models.Model):
    """A user's exits for a symbol, or for all that have none of their own. Fractions of the entry price: 0.02 is 2 %."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="exit_templates")
    symbol = models.CharField(max_length=32, blank=True, help_text="Empty: for every other symbol.")
    stop_loss = money(default=Decimal("0.02"))
    profit_target = money(default=Decimal("0.08"))
    trail_percent = money(null=True, blank=True, help_text="A trailing stop at this distance in percent instead of a fixed one.")
    time_stop_seconds = models.PositiveIntegerField(null=True, blank=True)
    oca_type = models.PositiveSmallIntegerField(default=1)
    time_in_force = models.CharField(max_length=8, default="GTC")
    seq = models.BigIntegerField(default=0, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "symbol"], name="exit_template_once_per_symbol"),
            models.CheckConstraint(name="exit_template_oca_type_is_1_2_or_3", condition=Q(oca_type__in=[1, 2, 3])),
        ]
