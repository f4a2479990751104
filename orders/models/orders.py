"""Orders, their names at the broker, executions, and the commands that wait to be sent.

An `OrderRecord` holds acknowledged terms (the submitted ones while PENDING); what a change asks for lives only in its open MODIFY.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from orders.models.fields import money, word
from orders.rules.lifecycle import OPEN, TERMINAL, WORKING, Evidence, OrderStatus
from orders.rules.terms import (
    OPEN_COMMANDS,
    TERM_NAMES,
    AdaptivePriority,
    CommandKind,
    CommandState,
    OrderTerms,
    OrderType,
    Role,
    Side,
    TimeInForce,
    TriggerMethod,
)


class OcaGroup(models.Model):
    """Orders of which the first fill cancels or reduces the others, at the broker. Names are never used twice (IB refuses them)."""

    name = models.CharField(max_length=64, unique=True)
    oca_type = models.PositiveSmallIntegerField()
    seq = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(name="oca_type_is_1_2_or_3", condition=Q(oca_type__in=[1, 2, 3]))]


class OrderRecord(models.Model):
    client_order_id = models.CharField(max_length=40, unique=True, help_text="Our permanent name; IB carries it as orderRef.")
    account = models.ForeignKey("orders.Account", on_delete=models.PROTECT, related_name="orders")
    contract = models.ForeignKey("orders.Contract", on_delete=models.PROTECT, related_name="orders")
    side = word(Side)
    order_type = models.CharField(max_length=12, help_text="IB's word; of orders placed elsewhere any of IB's types.")
    quantity = money()
    limit_price = money(null=True, blank=True)
    stop_price = money(null=True, blank=True)
    time_in_force = models.CharField(max_length=8)
    outside_rth = models.BooleanField(default=False)
    trail_amount = money(null=True, blank=True, help_text="Distance of a trailing stop from the market, as a price.")
    trail_percent = money(null=True, blank=True, help_text="The same in percent.")
    limit_offset = money(null=True, blank=True, help_text="Distance of a TRAIL LIMIT's limit from its stop.")
    good_till = models.DateTimeField(null=True, blank=True, help_text="When a GTD order ends.")
    good_after = models.DateTimeField(null=True, blank=True, help_text="When it goes live.")
    all_or_none = models.BooleanField(default=False)
    hidden = models.BooleanField(default=False)
    display_size = money(null=True, blank=True, help_text="Iceberg: how much of it the market sees.")
    trigger_method = models.PositiveSmallIntegerField(default=0, help_text="Which prices elect a stop (IB triggerMethod).")
    adaptive = models.CharField(max_length=8, blank=True, help_text="Priority of IB's Adaptive algo; empty: no algo.")
    role = word(Role, default=Role.SINGLE.value)
    unit_id = models.CharField(max_length=40, db_index=True, help_text="Orders of one unit are sent whole or not at all.")
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="children")
    oca_group = models.ForeignKey(OcaGroup, null=True, blank=True, on_delete=models.PROTECT, related_name="orders")
    resend_of = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="resends",
        help_text="The lost order a person sent again by this.",
    )
    note = models.CharField(max_length=80, blank=True)
    status = word(OrderStatus, default=OrderStatus.PENDING.value)
    status_basis = models.CharField(max_length=12, blank=True, help_text="What a terminal status rests on.")
    status_code = models.CharField(max_length=40, blank=True, help_text="IB's code or our coded reason.")
    status_text = models.CharField(max_length=500, blank=True)
    broker_status = models.CharField(max_length=24, blank=True, help_text="IB's own word, for people, never for decisions.")
    why_held = models.CharField(max_length=40, blank=True)
    filled_quantity = money(default=0)
    average_price = money(null=True, blank=True)
    needs_attention = models.BooleanField(default=False)
    attention_text = models.CharField(max_length=300, blank=True)
    is_external = models.BooleanField(default=False, help_text="Placed elsewhere: TWS, the phone, another client.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="orders")
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    heard_at = models.DateTimeField(null=True, blank=True, help_text="The last evidence of it from the broker.")
    closed_at = models.DateTimeField(null=True, blank=True)
    absent_since = models.DateTimeField(null=True, blank=True, help_text="The first complete snapshot in a row that lacked it.")
    seq = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = "order"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["account", "contract"], condition=Q(status__in=sorted(s.value for s in OPEN)), name="order_open"),
            # Before every order the open ones of its account, its user and its contract are read, and never the whole past.
            models.Index(fields=["id"], condition=Q(status__in=sorted(s.value for s in OPEN)), name="order_open_by_age"),
        ]
        constraints = [
            models.CheckConstraint(name="order_side_is_a_word", condition=Q(side__in=[s.value for s in Side])),
            models.CheckConstraint(name="order_status_is_a_word", condition=Q(status__in=[s.value for s in OrderStatus])),
            models.CheckConstraint(name="order_quantity_above_zero", condition=Q(quantity__gt=0) | Q(is_external=True)),
            models.CheckConstraint(name="order_filled_not_negative", condition=Q(filled_quantity__gte=0)),
            models.CheckConstraint(
                name="order_terminal_has_basis",
                condition=~Q(status__in=sorted(s.value for s in TERMINAL)) | ~Q(status_basis=""),
            ),
            models.CheckConstraint(
                name="order_filled_means_filled",
                condition=~Q(status=OrderStatus.FILLED.value) | Q(filled_quantity__gte=F("quantity")) | Q(is_external=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity.normalize():f} {self.contract.label} {self.order_type} {self.client_order_id}"

    @property
    def state(self) -> OrderStatus:
        return OrderStatus(self.status)

    @property
    def basis(self) -> Evidence | None:
        return Evidence(self.status_basis) if self.status_basis else None

    @property
    def remaining_quantity(self) -> Decimal:
        return max(self.quantity - self.filled_quantity, Decimal(0))

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def is_working(self) -> bool:
        return self.state in WORKING

    @property
    def is_partially_filled(self) -> bool:
        return 0 < self.filled_quantity < self.quantity

    @property
    def present_stop(self) -> Decimal | None:
        """Where its stop is now: of a trailing order where the broker last said it stands, of any other where it was asked for."""
        trailing: TrailingStop | None = getattr(self, "trailing", None)
        return self.stop_price if trailing is None else trailing.price

    def from_where_it_stands(self, terms: OrderTerms) -> OrderTerms:
        """Terms asked of it, with a trailing stop where that stands now: where it began says nothing any more. One that they put elsewhere
        is left there."""
        if not terms.order_type.trails or terms.stop_price != self.stop_price:
            return terms
        return replace(terms, stop_price=self.present_stop)

    @property
    def terms(self) -> OrderTerms:
        """The acknowledged terms. Raises ValueError for an order placed elsewhere with a type or time in force that we do not offer."""
        values = {name: getattr(self, name) for name in TERM_NAMES}
        words = {
            "side": Side(self.side),
            "order_type": OrderType(self.order_type),
            "time_in_force": TimeInForce(self.time_in_force),
            "trigger_method": TriggerMethod(self.trigger_method),
            "adaptive": AdaptivePriority(self.adaptive),
        }
        return OrderTerms(**{**values, **words})


class TrailingStop(models.Model):
    """Where the stop of a trailing order stands now, as the broker says; newest wins, no event: what was asked for is in the order."""

    order = models.OneToOneField(OrderRecord, on_delete=models.CASCADE, related_name="trailing")
    price = money()
    at = models.DateTimeField(db_index=True)


class BrokerId(models.Model):
    """A name of an order at the broker. One row for (client_id, ib_order_id) with the first perm_id; a further perm_id is a further row."""

    order = models.ForeignKey(OrderRecord, on_delete=models.PROTECT, related_name="broker_ids")
    client_id = models.IntegerField(null=True, blank=True)
    ib_order_id = models.BigIntegerField(null=True, blank=True)
    perm_id = models.BigIntegerField(null=True, blank=True)
    word = models.CharField(max_length=24, blank=True, help_text="IB's last status word for the perm_id.")

    class Meta:
        constraints = [
            # One id of one client names one order for ever: ids come from the book's own mark and are never used again.
            models.UniqueConstraint(fields=["client_id", "ib_order_id"], name="broker_order_id_once"),
            models.UniqueConstraint(fields=["perm_id"], name="broker_perm_id_once"),
        ]


class Execution(models.Model):
    """One execution as reported. Of those with one `root` the highest revision counts; it may belong to no order of ours."""

    exec_id = models.CharField(max_length=64, unique=True)
    root = models.CharField(max_length=64, db_index=True)
    revision = models.IntegerField(default=1)
    counts = models.BooleanField(default=True, help_text="False once a correction has replaced it.")
    order = models.ForeignKey(OrderRecord, null=True, blank=True, on_delete=models.PROTECT, related_name="executions")
    account = models.ForeignKey("orders.Account", on_delete=models.PROTECT, related_name="executions")
    contract = models.ForeignKey("orders.Contract", on_delete=models.PROTECT, related_name="executions")
    side = word(Side)
    quantity = money()
    price = money()
    exchange = models.CharField(max_length=24, blank=True)
    liquidity = models.PositiveSmallIntegerField(default=0)
    perm_id = models.BigIntegerField(null=True, blank=True)
    client_order_id = models.CharField(max_length=40, blank=True, help_text="The orderRef that came with it.")
    executed_at = models.DateTimeField(db_index=True)
    received_at = models.DateTimeField()
    seq = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["-executed_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["root"], condition=Q(counts=True), name="execution_counts_once_per_root")]


class CommissionReport(models.Model):
    """Joined to its execution by exec_id, because it may come first."""

    exec_id = models.CharField(max_length=64, unique=True)
    amount = money()
    currency = models.CharField(max_length=8)
    realized_pnl = money(null=True, blank=True)
    received_at = models.DateTimeField()
    seq = models.BigIntegerField(default=0)


class BrokerCommand(models.Model):
    """The outbox: what is to be sent, is being sent, or was sent and is not settled."""

    class QuantityRule(models.TextChoices):
        FIXED = "fixed"
        POSITION = "position"  # at the claim: the position minus what already works to close it
        AT_MOST = "at most"  # the same, and no more than was asked
        REVERSE = "reverse"  # at the claim: the position twice, so that the opposite one stands afterwards

    order = models.ForeignKey(OrderRecord, on_delete=models.PROTECT, related_name="commands")
    kind = word(CommandKind)
    state = word(CommandState, default=CommandState.PENDING.value)
    unit_id = models.CharField(max_length=40, db_index=True)
    terms = models.JSONField(null=True, blank=True, help_text="Requested terms of a MODIFY.")
    after = models.JSONField(default=list, blank=True, help_text="client_order_ids that must be terminal first.")
    quantity_rule = models.CharField(max_length=8, choices=QuantityRule.choices, default=QuantityRule.FIXED)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    schema_version = models.PositiveSmallIntegerField(default=1, help_text="A worker refuses what it does not know.")
    fence = models.BigIntegerField(null=True, blank=True)
    tries = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()
    claimable_at = models.DateTimeField(null=True, blank=True, help_text="Its age runs from here; empty while it waits for others.")
    claimed_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    code = models.CharField(max_length=40, blank=True)
    text = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["kind", "id"], condition=Q(state=CommandState.PENDING.value), name="command_pending"),
            models.Index(fields=["created_at"], name="command_by_time"),  # how many a minute, how many today
        ]
        constraints = [
            # At most one open command of a kind per order: a second cancel or change waits for the first to be settled.
            models.UniqueConstraint(
                fields=["order", "kind"],
                condition=Q(state__in=sorted(s.value for s in OPEN_COMMANDS)),
                name="command_open_once_per_kind",
            ),
        ]

    @property
    def is_open(self) -> bool:
        return CommandState(self.state) in OPEN_COMMANDS


class Incident(models.Model):
    """What a person must hear of: an anomaly, late evidence, a break between book and broker. Somebody owns, explains and closes it."""

    kind = models.CharField(max_length=40)
    order = models.ForeignKey(OrderRecord, null=True, blank=True, on_delete=models.PROTECT, related_name="incidents")
    account = models.ForeignKey("orders.Account", null=True, blank=True, on_delete=models.PROTECT, related_name="incidents")
    contract = models.ForeignKey("orders.Contract", null=True, blank=True, on_delete=models.PROTECT, related_name="incidents")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    explanation = models.CharField(max_length=500, blank=True)
    text = models.CharField(max_length=500)
    data = models.JSONField(default=dict, blank=True)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    seq = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["-id"]
