"""The record, to read: orders with their story, executions, events, incidents, positions.

The rule it keeps: read only. An incident can be explained and closed; it stays in the list.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME, ActionForm
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from orders.admin.common import RecordAdmin, RecordInline
from orders.errors import Refused
from orders.manager import OrderManager
from orders.models import BrokerCommand, BrokerId, Certificate, CommissionReport, Event, Execution, Incident, OrderRecord, Position, Sweep
from orders.queries.blotter import orders_csv
from orders.rules.terms import plain

BY_ACCOUNT = ("account", admin.RelatedOnlyFieldListFilter)
"""Offers the accounts of the rows that the user may see, not the numbers of all accounts."""


class EventInline(RecordInline):
    model = Event
    fields = ("seq", "at", "kind", "source", "actor", "status_before", "status_after", "text")
    ordering = ("seq",)


class ExecutionInline(RecordInline):
    model = Execution
    fields = ("executed_at", "exec_id", "side", "quantity", "price", "exchange", "counts")
    ordering = ("executed_at", "id")


class CommandInline(RecordInline):
    model = BrokerCommand
    fields = ("created_at", "kind", "state", "actor", "terms", "tries", "sent_at", "settled_at", "code", "text")
    show_change_link = False


class BrokerIdInline(RecordInline):
    model = BrokerId
    fields = ("client_id", "ib_order_id", "perm_id", "word")
    show_change_link = False


class IncidentInline(RecordInline):
    model = Incident
    fields = ("opened_at", "kind", "text", "closed_at", "closed_by")


@admin.register(OrderRecord)
class OrderAdmin(RecordAdmin):
    """The order history. The export writes the ticked orders, or, with none ticked, everything that the filters leave."""

    list_display = (
        "created_at", "client_order_id", "account", "contract", "side", "amount", "order_type", "status", "filled", "average_price",
        "created_by", "needs_attention",
    )  # fmt: skip
    list_display_links = ("client_order_id",)
    list_select_related = ("account", "contract", "created_by")
    list_filter = (
        BY_ACCOUNT,
        "status",
        "side",
        "created_at",
        ("created_by", admin.RelatedOnlyFieldListFilter),
        "needs_attention",
        "is_external",
        ("contract__symbol", admin.AllValuesFieldListFilter),
    )
    date_hierarchy = "created_at"
    search_fields = ("client_order_id", "broker_ids__perm_id__exact", "contract__symbol", "contract__local_symbol")
    search_help_text = "Client order id, perm id or symbol."
    inlines = (EventInline, ExecutionInline, CommandInline, BrokerIdInline, IncidentInline)
    actions = ("export_csv",)

    @admin.display(description="quantity", ordering="quantity")
    def amount(self, order: OrderRecord) -> str:
        return plain(order.quantity)

    @admin.display(ordering="filled_quantity")
    def filled(self, order: OrderRecord) -> str:
        return plain(order.filled_quantity)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Django wants rows ticked for any action; for the export none ticked means all that the filters leave."""
        if request.method == "POST" and request.POST.get("action") == "export_csv" and not request.POST.getlist(ACTION_CHECKBOX_NAME):
            asked = request.POST.copy()
            asked.setlist(ACTION_CHECKBOX_NAME, ["0"])
            asked["select_across"] = "1"
            request.POST = asked  # type: ignore[assignment]
        return super().changelist_view(request, extra_context)

    @admin.action(description="Export as CSV (nothing ticked: everything filtered)", permissions=["view"])
    def export_csv(self, request: HttpRequest, queryset: QuerySet[OrderRecord]) -> StreamingHttpResponse:
        ids = OrderRecord.objects.filter(pk__in=queryset.order_by().values("pk"))  # a search joins, and may name an order twice
        name = f"orders-{timezone.localdate():%Y-%m-%d}.csv"
        return StreamingHttpResponse(
            _csv(orders_csv(ids)),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )


class _Echo:
    """What csv writes to: it hands the line back."""

    def write(self, line: str) -> str:
        return line


def _csv(rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    for row in rows:
        yield writer.writerow(row)


@admin.register(Execution)
class ExecutionAdmin(RecordAdmin):
    list_display = (
        "executed_at", "exec_id", "account", "contract", "side", "amount", "price", "exchange", "counts", "commission", "currency", "order",
    )  # fmt: skip
    list_display_links = ("exec_id",)
    list_select_related = ("account", "contract", "order__contract")
    list_filter = (BY_ACCOUNT, "side", "executed_at", "counts", ("contract__symbol", admin.AllValuesFieldListFilter))
    date_hierarchy = "executed_at"
    search_fields = ("exec_id", "perm_id__exact", "client_order_id", "order__client_order_id", "contract__symbol")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Execution]:
        reports = CommissionReport.objects.filter(exec_id=OuterRef("exec_id"))
        return (
            super()
            .get_queryset(request)
            .annotate(
                commission_amount=Subquery(reports.values("amount")[:1]), commission_currency=Subquery(reports.values("currency")[:1])
            )
        )

    @admin.display(description="quantity", ordering="quantity")
    def amount(self, execution: Execution) -> str:
        return plain(execution.quantity)

    @admin.display(empty_value="pending")
    def commission(self, execution: Any) -> str | None:
        return None if execution.commission_amount is None else plain(execution.commission_amount)

    @admin.display
    def currency(self, execution: Any) -> str | None:
        return execution.commission_currency


@admin.register(Event)
class EventAdmin(RecordAdmin):
    list_display = ("seq", "at", "kind", "source", "actor", "account", "order", "status_before", "status_after", "text")
    list_select_related = ("actor", "account", "order__contract")
    list_filter = ("source", BY_ACCOUNT, "at", "kind")
    date_hierarchy = "at"
    search_fields = ("order__client_order_id", "kind", "text", "seq__exact")


class Explanation(ActionForm):
    """What stands beside the choice of an action: what explains the incidents that are closed."""

    explanation = forms.CharField(max_length=500, required=False)


@admin.register(Incident)
class IncidentAdmin(RecordAdmin):
    list_display = ("opened_at", "kind", "account", "order", "text", "owner", "closed_at", "closed_by", "explanation")
    list_display_links = ("kind",)
    list_select_related = ("account", "order__contract", "owner", "closed_by")
    action_form = Explanation
    list_filter = (("closed_at", admin.EmptyFieldListFilter), BY_ACCOUNT, "kind", "opened_at")
    search_fields = ("text", "order__client_order_id")
    actions = ("close",)

    @admin.action(description="Explain and close", permissions=["view"])
    def close(self, request: HttpRequest, queryset: QuerySet[Incident]) -> None:
        """Through the same door as the pages: what still differs is refused, each in its own words."""
        manager, closed = OrderManager(request.user), 0
        for row in queryset.filter(closed_at=None).select_related("account", "order__account"):
            try:
                manager.close_incident(row, request.POST.get("explanation", ""), key=uuid4().hex)
                closed += 1
            except Refused as refused:
                self.message_user(request, f"{row.kind}: {refused.message}", messages.ERROR)
        if closed:
            self.message_user(request, f"{closed} closed.", messages.SUCCESS)


@admin.register(Sweep)
class SweepAdmin(RecordAdmin):
    """Kill switches and flattenings: who, why, what was cancelled, placed and left alone. Those of a user or the desk reach over accounts,
    so they are for those who may see all of them."""

    list_display = (
        "at", "kind", "scope", "account", "user", "actor", "reason", "flattens", "share", "cancelled", "placed", "left_alone",
        "released_at", "released_by", "release_reason",
    )  # fmt: skip
    list_display_links = ("at", "kind")
    list_select_related = ("account", "user", "actor", "released_by")
    list_filter = ("kind", "scope", BY_ACCOUNT, "at", ("released_at", admin.EmptyFieldListFilter))
    date_hierarchy = "at"
    search_fields = ("reason", "release_reason", "actor__username", "account__code")

    @admin.display(description="percent", ordering="percent")
    def share(self, sweep: Sweep) -> str:
        return plain(sweep.percent)

    @admin.display
    def cancelled(self, sweep: Sweep) -> int:
        return len(sweep.data.get("cancelled", ()))

    @admin.display
    def placed(self, sweep: Sweep) -> int:
        return len(sweep.data.get("placed", ()))

    @admin.display
    def left_alone(self, sweep: Sweep) -> int:
        return len(sweep.data.get("left", ()))


@admin.register(Certificate)
class CertificateAdmin(RecordAdmin):
    """What each reconciliation came to. It counts over all accounts, so it is for those who may see all of them."""

    account_path = ""
    list_display = (
        "ended_at", "reason", "is_complete", "in_flight", "matched", "unknown", "resent", "fills_recovered", "external_seen", "breaks_open",
    )  # fmt: skip
    list_display_links = ("reason",)
    list_filter = ("ended_at", "is_complete")
    date_hierarchy = "ended_at"


@admin.register(Position)
class PositionAdmin(RecordAdmin):
    list_display = ("account", "contract", "amount", "average_cost", "opening", "differs_since", "reported_at")
    list_select_related = ("account", "contract")
    list_filter = (BY_ACCOUNT, ("contract__symbol", admin.AllValuesFieldListFilter))
    search_fields = ("contract__symbol", "account__code")

    @admin.display(description="quantity", ordering="quantity")
    def amount(self, position: Position) -> str:
        return plain(position.quantity)
