"""Contracts, their price rules, the newest quotes, and questions to the broker. Values here carry no event: the newest wins."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from orders.models.fields import money
from orders.rules.terms import plain


class Contract(models.Model):
    """A contract, qualified once and stored by IB's conId."""

    con_id = models.BigIntegerField(unique=True)
    symbol = models.CharField(max_length=32, db_index=True)
    sec_type = models.CharField(max_length=8)
    exchange = models.CharField(max_length=24, help_text="Where orders are routed, e.g. SMART.")
    primary_exchange = models.CharField(max_length=24, blank=True)
    currency = models.CharField(max_length=8)
    local_symbol = models.CharField(max_length=64, blank=True)
    trading_class = models.CharField(max_length=32, blank=True)
    multiplier = money(default=1)
    expiry = models.CharField(max_length=16, blank=True)
    strike = money(default=0)
    right = models.CharField(max_length=1, blank=True)
    long_name = models.CharField(max_length=200, blank=True)
    min_tick = money(null=True, blank=True)
    order_types = models.JSONField(default=list, blank=True)
    valid_exchanges = models.JSONField(default=list, blank=True)
    market_rule_ids = models.JSONField(default=list, blank=True, help_text="Parallel to the valid exchanges.")
    min_size = money(default=1)
    size_increment = money(default=1)
    time_zone = models.CharField(max_length=64, blank=True)
    trading_hours = models.TextField(blank=True)
    liquid_hours = models.TextField(blank=True)
    stock_type = models.CharField(max_length=32, blank=True)
    detailed_at = models.DateTimeField(null=True, blank=True, help_text="When the details were last given; empty: only named so far.")

    class Meta:
        ordering = ["symbol", "sec_type", "expiry", "strike", "right"]

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """What a trader calls it: "AAPL", "ESZ6", "EUR.USD", "AAPL 20261218 240 C"."""
        if self.sec_type in ("STK", "IND"):
            return self.symbol
        if self.sec_type == "OPT" and self.expiry and self.strike and self.right:
            # IB's own name has the strike in thousandths among zeros: nobody reads a strike from "AAPL  261218C00240000".
            return f"{self.symbol} {self.expiry} {plain(self.strike)} {self.right[:1]}"
        return " ".join((self.local_symbol or self.symbol).split())


class MarketRule(models.Model):
    """Price ticks by price band: ascending [low edge, tick] pairs, decimals as text."""

    rule_id = models.IntegerField(unique=True)
    increments = models.JSONField()


class Quote(models.Model):
    """The newest quote of a contract, upserted at most once a second. `at` is when it was heard."""

    contract = models.OneToOneField(Contract, on_delete=models.CASCADE, related_name="quote")
    bid = money(null=True)
    ask = money(null=True)
    last = money(null=True)
    close = money(null=True)
    bid_size = money(null=True)
    ask_size = money(null=True)
    last_size = money(null=True)
    volume = money(null=True)
    delayed = models.BooleanField(default=False)
    at = models.DateTimeField(db_index=True)


class Watch(models.Model):
    """Somebody wants quotes of a contract: for good (a watchlist) or until a time (an open ticket)."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="watches")
    contract = models.ForeignKey(Contract, on_delete=models.CASCADE, related_name="watches")
    until = models.DateTimeField(null=True, blank=True, help_text="Empty: on the user's watchlist.")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "contract"], condition=Q(until=None), name="watchlist_has_it_once"),
            models.UniqueConstraint(fields=["user", "contract"], condition=Q(until__isnull=False), name="ticket_watch_once"),
        ]


class Inquiry(models.Model):
    """A question for the broker, asked by a page or command and answered by the engine. May be lost; it expires."""

    class State(models.TextChoices):
        ASKED = "asked"
        ASKING = "asking"
        ANSWERED = "answered"
        FAILED = "failed"

    class Kind(models.TextChoices):
        SEARCH = "search"  # {"pattern"} -> [{con_id, symbol, sec_type, primary_exchange, currency, description}]
        # {"con_id"}, or {"symbol", "sec_type"} and what is known of exchange, primary_exchange, currency, local_symbol, trading_class,
        # multiplier, expiry, strike, right -> [{"con_id"}] of all that fit; the contracts are stored
        CONTRACT = "contract"
        CHAIN = "chain"  # {"con_id"} of an underlying -> [{"exchange", "trading_class", "multiplier", "expirations", "strikes"}]
        WHAT_IF = "what-if"  # {"con_id", "account", "terms": as terms_to_json writes them} -> margins
        BARS = "bars"  # {"con_id", "bar", "duration"} -> [[time, open, high, low, close, volume]]

    kind = models.CharField(max_length=10, choices=Kind.choices)
    arguments = models.JSONField(default=dict)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    state = models.CharField(max_length=10, choices=State.choices, default=State.ASKED)
    answer = models.JSONField(null=True)
    error = models.CharField(max_length=300, blank=True)
    asked_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "inquiries"
        indexes = [models.Index(fields=["asked_at"], condition=Q(state="asked"), name="inquiry_waiting")]
