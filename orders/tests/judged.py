"""A healthy day at a desk whose broker the test plays, with the ledger that a gateway would have kept of it: what sabotage starts from."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal as D
from typing import Any

from orders import intake
from orders.book import book
from orders.invariants import check
from orders.invariants.wire import order_fields
from orders.models import BrokerId, Execution, OrderRecord
from orders.models.book import Source
from orders.rules.commands import CancelOrder, PlaceOrder, Unit
from orders.rules.reports import GatewayChanged, Meaning, OpenOrderReported, OrderKey, OrderMessage, PositionReported
from orders.rules.terms import GatewayState, plain
from orders.tests.desk_of_one import CLIENT, Wire
from orders.tests.factories import a_key

VERSION = 178
Line = dict[str, Any]
_WORDS = {"WORKING": "Submitted", "HELD": "PreSubmitted", "FILLED": "Filled", "CANCELLED": "Cancelled", "REJECTED": "Inactive"}


@dataclass
class Day:
    """The desk after the day. `lines` is the ledger, which a test may spoil before it asks `broken`."""

    wire: Wire
    orders: dict[str, OrderRecord] = field(default_factory=dict)
    units: list[Unit] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    def __getitem__(self, name: str) -> OrderRecord:
        return OrderRecord.objects.select_related("account", "contract").get(pk=self.orders[name].pk)

    def send(self) -> None:
        self.units += self.wire.send()

    def broken(self, later: float = 0, ledger: bool = True) -> dict[str, list[str]]:
        """The invariants that do not hold, with what is said of each."""
        found = check(self.lines if ledger else None, self.wire.now + timedelta(seconds=later))
        return {one.code: one.violations for one in found if one.is_broken}

    def frames(self, name: str) -> list[Line]:
        """The placeOrder lines of an order."""
        reference = self.orders[name].client_order_id
        return [line for line in self.lines if line.get("message") == "placeOrder" and reference in line["fields"]]

    def states(self, name: str) -> list[Line]:
        reference = self.orders[name].client_order_id
        return [line for line in self.lines if line["kind"] == "order" and line["order_ref"] == reference]


def a_day() -> Day:
    """Filled, a bracket whose target filled, changed and working, cancelled, refused, withdrawn, refused by us, placed elsewhere."""
    day = Day(Wire())
    wire = day.wire
    intake.gateway(GatewayChanged(GatewayState.READY, server_version=VERSION), wire.now, "127.0.0.1:4002", CLIENT)
    with book(at=wire.now) as b, b.event("positions.known", source=Source.RECONCILE, account=wire.account) as fact:
        fact.set(wire.account, positions_known_at=wire.now)
    day.orders["filled"] = filled = wire.buy("100", "99.50")
    day.orders["entry"], day.orders["target"], day.orders["stop"] = wire.bracket("100")
    day.orders["changed"] = changed = wire.buy("10", "98")
    day.orders["cancelled"] = cancelled = wire.buy("20", "97")
    day.send()
    wire.acknowledge(filled, day["entry"], changed, cancelled)
    wire.acknowledge(day["target"], day["stop"], word="PreSubmitted")
    wire.fill(filled, "60")
    wire.fill(filled, "40")
    wire.fill(day["entry"], "100")
    wire.acknowledge(day["target"])
    wire.fill(day["target"], "100", "107")
    wire.gone(day["stop"])
    wire.hear(PositionReported(wire.account.code, wire.facts(), D(100), D(100)))
    wire.manager.modify_order(day["changed"], key=a_key(), limit_price=D("98.50"))
    wire.manager.cancel_order(cancelled, key=a_key())
    day.send()
    wire.acknowledge(changed, terms=day.units[-1].frames[0].terms)  # type: ignore[union-attr]
    wire.gone(cancelled)
    day.orders["refused"] = refused = wire.buy("5", "96")
    day.send()
    wire.hear(OrderMessage(wire.key_of(refused), 201, "Order rejected", Meaning.REJECTED))
    day.orders["withdrawn"] = withdrawn = wire.buy("5", "95")
    wire.manager.cancel_order(withdrawn, key=a_key())
    elsewhere = OpenOrderReported(OrderKey(3, 0, 888, ""), wire.account.code, wire.facts(), day["changed"].terms, "Submitted")
    wire.hear(elsewhere)
    day.lines = _ledger(day)
    return day


# --- the ledger of the day ----------------------------------------------------------------------------------------------------------------


def _ledger(day: Day) -> list[Line]:
    time = day.wire.now.isoformat()
    asked = ("reqAllOpenOrders", "reqCompletedOrders", "reqExecutions", "reqPositions")
    lines: list[Line] = [{"kind": "started", "next_order_id": 1}, {"kind": "client", "client": CLIENT, "event": "connected"}]
    lines += [{"kind": "in", "client": CLIENT, "message": one, "fields": []} for one in asked]
    lines += [_heard(frame) for unit in day.units for frame in unit.frames]
    for order in OrderRecord.objects.select_related("account", "contract").order_by("pk"):
        if (name := BrokerId.objects.filter(order=order, perm_id__isnull=False).first()) is not None:
            lines.append({"kind": "order", **_identity(order, name), **_state(order)})
    for execution in Execution.objects.select_related("order__account", "order__contract").order_by("pk"):
        trade = {"exec_id": execution.exec_id, "side": "BOT" if execution.side == "BUY" else "SLD", "price": plain(execution.price)}
        name = BrokerId.objects.filter(order=execution.order).get()
        lines.append({"kind": "execution", **_identity(execution.order, name), **trade, "shares": plain(execution.quantity)})
    foreign = place_fields(day.units[0].frames[0])  # type: ignore[arg-type]
    foreign[1], foreign[26] = "5", ""
    lines += [
        {"kind": "client", "client": 3, "event": "connected"},
        {"kind": "in", "client": 3, "message": "placeOrder", "fields": foreign},  # asks nothing before, and is none of the desk's
        {"kind": "in", "client": 3, "message": "placeOrder", "fields": ["3", "6"]},
        {"kind": "something new"},
    ]
    return [{"time": time, **line} for line in lines]


def _heard(frame: Any) -> Line:
    """A frame as the gateway takes it down."""
    if isinstance(frame, CancelOrder):
        return {"kind": "in", "client": CLIENT, "message": "cancelOrder", "fields": ["4", "1", str(frame.ib_order_id), ""]}
    return {"kind": "in", "client": CLIENT, "message": "placeOrder", "fields": place_fields(frame)}


def place_fields(frame: PlaceOrder) -> list[str]:
    fields = [""] * order_fields(VERSION)
    terms = frame.terms
    told = {
        0: "3",
        1: str(frame.ib_order_id),
        2: str(frame.contract.con_id),
        16: terms.side.value,
        17: plain(terms.quantity),
        18: terms.order_type.value,
        19: "" if terms.limit_price is None else plain(terms.limit_price),
        20: "" if terms.stop_price is None else plain(terms.stop_price),
        21: terms.time_in_force.value,
        23: frame.account,
        26: frame.client_order_id,
    }
    for position, text in told.items():
        fields[position] = text
    return fields


def _identity(order: OrderRecord, name: BrokerId) -> Line:
    reference = "" if order.is_external else order.client_order_id
    where = {"account": order.account.code, "con_id": order.contract.con_id}
    return {
        "perm_id": name.perm_id,
        "client": 3 if order.is_external else CLIENT,
        "order_id": name.ib_order_id or 0,
        "order_ref": reference,
        **where,
    }


def _state(order: OrderRecord) -> Line:
    filled, quantity = plain(order.filled_quantity), plain(order.quantity)
    return {"action": order.side, "quantity": quantity, "type": order.order_type, "status": _WORDS[order.status], "filled": filled}
