"""People at a desk with something on it, for tests of queries and pages: a trader, a viewer, a stranger, and orders in any state.

Times are the real ones, because the pages look at the clock themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from orders.book import book
from orders.models import Account, BrokerCommand, Contract, Execution, OcaGroup, OrderRecord
from orders.models.book import Source
from orders.rules.lifecycle import TERMINAL, OrderStatus
from orders.rules.terms import AccessLevel, CommandKind, CommandState, Role
from orders.tests import factories

_numbers = count(1)


@dataclass
class Seats:
    """One account with its people. `now` is when the test began."""

    now: datetime
    account: Account
    contract: Contract
    trader: User
    viewer: User
    stranger: User

    def order(self, side: str = "BUY", order_type: str = "LMT", quantity: str = "100", **fields: Any) -> OrderRecord:
        """An order, PENDING unless `status` says otherwise, with its event."""
        status = OrderStatus(fields.pop("status", OrderStatus.WORKING))
        values: dict[str, Any] = {
            "client_order_id": f"DBTEST-{next(_numbers):08d}",
            "account": self.account,
            "contract": self.contract,
            "side": side,
            "order_type": order_type,
            "quantity": Decimal(quantity),
            "limit_price": Decimal("99.50") if order_type == "LMT" else None,
            "time_in_force": "DAY",
            "unit_id": f"unit{next(_numbers)}",
            "status": status.value,
            "status_basis": "broker" if status in TERMINAL else "",
            "created_by": self.trader,
            "created_at": self.now,
            "sent_at": None if status is OrderStatus.PENDING else self.now,
        }
        order = OrderRecord(**{**values, **fields})
        with book(at=self.now) as b, b.event("order.placed", source=Source.USER, actor=self.trader, order=order) as fact:
            return fact.add(order)

    def bracket(self, filled: str = "0") -> tuple[OrderRecord, OrderRecord, OrderRecord]:
        """Entry, take profit and stop loss of a long position; `filled` of the entry."""
        done = Decimal(filled) >= 100
        status = OrderStatus.FILLED if done else OrderStatus.WORKING
        entry = self.order(role=Role.ENTRY.value, filled_quantity=Decimal(filled), status=status)
        live = OrderStatus.WORKING if done else OrderStatus.HELD
        exits = {"parent": entry, "time_in_force": "GTC"}
        target = self.order("SELL", role=Role.TAKE_PROFIT.value, limit_price=Decimal("108"), status=live, **exits)
        stop = self.order("SELL", "STP", role=Role.STOP_LOSS.value, stop_price=Decimal("98"), status=OrderStatus.HELD, **exits)
        return entry, target, stop

    def oca_pair(self, quantity: str = "100") -> tuple[OrderRecord, OrderRecord]:
        """Stop and target of a position, in one OCA group."""
        group = OcaGroup.objects.create(name=f"oca{next(_numbers)}", oca_type=1)
        stop = self.order(
            "SELL", "STP", quantity, role=Role.STOP_LOSS.value, stop_price=Decimal("98"), oca_group=group, status=OrderStatus.HELD
        )
        target = self.order("SELL", quantity=quantity, role=Role.TAKE_PROFIT.value, limit_price=Decimal("108"), oca_group=group)
        return stop, target

    def command(self, order: OrderRecord, kind: CommandKind, state: CommandState = CommandState.SENT, **fields: Any) -> BrokerCommand:
        return BrokerCommand.objects.create(
            order=order, kind=kind.value, state=state.value, unit_id="unit", actor=self.trader, created_at=self.now, **fields
        )

    def execution(self, order: OrderRecord, quantity: str = "40", price: str = "99.50", **fields: Any) -> Execution:
        number = next(_numbers)
        values = {"exec_id": f"exec{number}.01", "root": f"exec{number}", "executed_at": self.now, "received_at": self.now}
        with book(at=self.now) as b, b.event("execution.reported", source=Source.BROKER, order=order) as fact:
            return fact.add(
                Execution(
                    order=order,
                    account=order.account,
                    contract=order.contract,
                    side=order.side,
                    quantity=Decimal(quantity),
                    price=Decimal(price),
                    **{**values, **fields},
                )
            )

    def position(self, quantity: str = "100", average_cost: str = "100", account: Account | None = None) -> Any:
        return factories.make_position(account or self.account, self.contract, quantity, average_cost, at=self.now)


def take_seats() -> Seats:
    """A simulated book whose gateway is READY, one account, one contract with a fresh quote of 99.99 / 100.01."""
    now = timezone.now()
    factories.make_book(at=now)
    account = factories.make_account("DU1000417", at=now)
    contract = factories.make_contract("AAPL")
    factories.make_quote(contract, at=now)
    viewer = factories.make_user("viewer")
    factories.grant(viewer, account, AccessLevel.VIEW, at=now)
    trader = factories.make_trader(account, "trader")
    return Seats(now, account, contract, trader, viewer, factories.make_user("stranger"))


def signed_in(user: User) -> Client:
    """A browser in which `user` is signed in."""
    client = Client()
    client.force_login(user)
    return client


def fresh(now: datetime | None = None, **fields: Any) -> dict[str, Any]:
    """The fields of a form that was rendered just now, or `seconds_ago` of it."""
    ago = fields.pop("seconds_ago", 0)
    rendered = (now or timezone.now()) - timedelta(seconds=ago)
    return {"key": factories.a_key(), "rendered_at": rendered.isoformat(), **fields}


def looked_at(client: Client, fields: dict[str, Any], **headers: str) -> Any:
    """The preview of a ticket: the answer to its form."""
    return client.post(reverse("ticket_preview"), fields, **headers)


def sealed(preview: Any) -> dict[str, Any]:
    """What a browser sends of a preview's form, as it stands."""
    context = preview.context
    stamp = context["stamp"]
    return {**dict(context["posted"]), "key": stamp.key, "rendered_at": stamp.rendered_at, "seal": context["preview"].seal}


def send_ticket(client: Client, fields: dict[str, Any], **headers: str) -> Any:
    """Previews a ticket and sends it as it was shown; gives the preview where that cannot be sent."""
    preview = looked_at(client, fields, **headers)
    if "preview" not in preview.context or not preview.context["preview"].may_send:
        return preview
    sure = {name: fields[name] for name in ("confirm_duplicate",) if name in fields}
    return client.post(reverse("ticket"), {**sealed(preview), **sure}, **headers)
