"""The book itself: its one row that is the lock, the events that are the record, the feed that moves the screens, and who may trade.

Events are append-only: triggers in the database refuse UPDATE and DELETE, and each row's hash covers the one before.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models

from orders.models.fields import word
from orders.rules.terms import BookKind, GatewayState


class Book(models.Model):
    """One row. Locking it is the first act of every write; it hands out `seq` without gaps, in commit order."""

    install = models.CharField(max_length=8, help_text="Part of every client_order_id of this book.")
    seq = models.BigIntegerField(default=0, help_text="The last sequence number handed out.")
    head_hash = models.CharField(max_length=64, blank=True, default="")
    kind = word(BookKind, blank=True, default="", help_text="Bound at the first connect; another kind of gateway is refused.")
    bound_accounts = models.JSONField(default=list, blank=True)
    order_id_mark = models.BigIntegerField(default=0, help_text="The highest IB order id ever used or seen; the next is above it.")
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = "book"
        constraints = [models.CheckConstraint(name="book_has_one_row", condition=models.Q(pk=1))]


class Source(models.TextChoices):
    USER = "user"  # a person, through a page, the command line or the admin
    BROKER = "broker"  # a message of the broker
    RECONCILE = "reconcile"  # the same kind of fact, found by a snapshot
    SYSTEM = "system"  # the worker's own act


class Event(models.Model):
    """One fact, written in the transaction that made it true. `data["rows"]` holds every field it set, so that folding gives the rows."""

    seq = models.BigIntegerField(primary_key=True)
    prev_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64)
    kind = models.CharField(max_length=40, db_index=True)
    source = models.CharField(max_length=10, choices=Source.choices)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    account = models.ForeignKey("orders.Account", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    order = models.ForeignKey("orders.OrderRecord", null=True, blank=True, on_delete=models.PROTECT, related_name="events")
    status_before = models.CharField(max_length=12, blank=True)
    status_after = models.CharField(max_length=12, blank=True)
    text = models.TextField(blank=True, help_text="One sentence for a person.")
    data = models.JSONField(default=dict)
    broker_time = models.DateTimeField(null=True, blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["seq"]
        indexes = [models.Index(fields=["order", "seq"], name="event_by_order")]


class Feed(models.Model):
    """What changed on the screens: a topic and a row of it. Read by the hubs beyond their last seq; old rows are pruned."""

    seq = models.BigIntegerField(db_index=True)
    topic = models.CharField(max_length=20)
    row_id = models.BigIntegerField()
    account = models.ForeignKey("orders.Account", null=True, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["seq", "topic", "row_id"], name="feed_tells_once")]


class Submission(models.Model):
    """A user's request by its key: the same key and payload gets the stored answer, so a thousand clicks are one order."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    key = models.CharField(max_length=64)
    verb = models.CharField(max_length=40)
    payload_hash = models.CharField(max_length=64)
    result = models.JSONField()
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="submission_once_per_key")]


class Lease(models.Model):
    """Who may trade: one holder at a time. The fencing number rises with every change of hands and goes with every unit sent."""

    name = models.CharField(max_length=20, primary_key=True)
    holder = models.CharField(max_length=120, blank=True)
    fence = models.BigIntegerField(default=0)
    renewed_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)


class Gateway(models.Model):
    """The gateway as the worker last saw it, for the screens. `heard_at` grows stale when the worker is gone."""

    state = word(GatewayState, default=GatewayState.DOWN.value)
    reason = models.CharField(max_length=300, blank=True)
    since = models.DateTimeField()
    heard_at = models.DateTimeField(null=True)
    address = models.CharField(max_length=120, blank=True)
    client_id = models.IntegerField(null=True)
    server_version = models.IntegerField(null=True)
    latency_ms = models.IntegerField(null=True)
    seq = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(name="gateway_has_one_row", condition=models.Q(pk=1))]


class Certificate(models.Model):
    """What one reconciliation found, kept for good: what was in doubt, what became of it, and what still differs."""

    began_at = models.DateTimeField(help_text="When the comparing began.")
    ended_at = models.DateTimeField()
    reason = models.CharField(max_length=300, help_text="Why it was made: the start, a new connection, 1101, 1102, a doubtful order ...")
    fence = models.BigIntegerField()
    is_complete = models.BooleanField(help_text="Every list of the broker was told to its end.")
    in_flight = models.IntegerField(default=0, help_text="Orders and changes that may or may not have arrived when it began.")
    matched = models.IntegerField(default=0, help_text="Those that the broker's lists settled.")
    unknown = models.IntegerField(default=0, help_text="Orders of which nobody knows what became, at its end.")
    resent = models.IntegerField(
        default=0, help_text="Orders that the desk sent a second time by itself: counted from the outbox, always 0."
    )
    fills_recovered = models.IntegerField(default=0, help_text="Executions that were learnt from the lists, not as they happened.")
    external_seen = models.IntegerField(default=0, help_text="Orders placed elsewhere, seen for the first time.")
    breaks_open = models.IntegerField(default=0, help_text="Differences between book and broker that nobody has closed, at its end.")
    data = models.JSONField(default=dict, help_text="The orders by name, and what became of each.")
    seq = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.ended_at:%Y-%m-%d %H:%M:%S} {self.reason}"
