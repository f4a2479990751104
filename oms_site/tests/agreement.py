"""Whether the book agrees with the exchange: orders, executions and positions by its own record, and what it heard by its ledger.

The rule it keeps: neither side's word about the other is taken. The exchange is asked on its control port, its ledger is read from disk,
and the book is read as rows.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from oms_site.tests.desk import wait_until
from orders.models import BrokerCommand, Execution, OrderRecord, Position
from orders.rules.terms import CommandKind, CommandState

STATUSES = {
    "Filled": {"FILLED"},
    "Cancelled": {"CANCELLED"},
    "Submitted": {"WORKING"},
    "PreSubmitted": {"HELD"},
    "PendingCancel": {"WORKING", "HELD"},
    "Inactive": {"HELD", "REJECTED", "CANCELLED"},
}


def disagreements(control: Callable[[str], str], ledger: Iterable[dict[str, Any]]) -> list[str]:
    """What differs, in words; empty where the book says what the exchange does. The book must be the one that `inside` opened."""
    return [*_orders(control), *_executions(control), *_positions(control), *_placed(list(ledger))]


def agree(control: Callable[[str], str], ledger: Callable[[], Iterable[dict[str, Any]]]) -> None:
    """Waits until nothing differs; AssertionError with what does, where it stays so."""
    found: list[str] = []

    def same() -> bool:
        found[:] = disagreements(control, ledger())
        return not found

    try:
        wait_until(same, "the book agrees with the exchange")
    except AssertionError:
        raise AssertionError("\n".join(found)) from None


def _asked(control: Callable[[str], str], what: str) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = json.loads(control(what).removeprefix("ok "))
    return answer


def _orders(control: Callable[[str], str]) -> list[str]:
    there = {}
    for one in _asked(control, "orders"):
        there[one["request"]["order_ref"] or f"ext-{one['perm_id']}"] = one
    here = {order.client_order_id: order for order in OrderRecord.objects.exclude(status_basis="local")}
    found = [f"{name} is {there[name]['status']} at the exchange and not in the book" for name in there.keys() - here.keys()]
    lacking = [here[name] for name in here.keys() - there.keys() if here[name].status != "REJECTED"]  # the gateway may have refused it
    found += [f"{order.client_order_id} is {order.status} in the book and not at the exchange" for order in lacking]
    for name in there.keys() & here.keys():
        told, order = there[name], here[name]
        request = told["request"]
        facts = {
            "status": (order.status in STATUSES[told["status"]], told["status"], order.status),
            "filled": (order.filled_quantity == Decimal(told["filled"]), told["filled"], order.filled_quantity),
            "quantity": (order.quantity == Decimal(request["quantity"]), request["quantity"], order.quantity),
            "account": (order.account.code == request["account"], request["account"], order.account.code),
            "side": (order.side == request["action"], request["action"], order.side),
        }
        found += [f"{name}, {fact}: {theirs} there, {ours} here" for fact, (same, theirs, ours) in facts.items() if not same]
    return found


def _executions(control: Callable[[str], str]) -> list[str]:
    there = {
        one["exec_id"]: (one["account"], one["con_id"], one["side"], Decimal(one["shares"]), Decimal(one["price"]))
        for one in _asked(control, "executions")
    }
    rows = Execution.objects.filter(counts=True).select_related("account", "contract")
    here = {
        row.exec_id: (row.account.code, row.contract.con_id, {"BUY": "BOT", "SELL": "SLD"}[row.side], row.quantity, row.price)
        for row in rows
    }
    return [
        f"execution {name}: {there.get(name)} there, {here.get(name)} here" for name in there | here if there.get(name) != here.get(name)
    ]


def _positions(control: Callable[[str], str]) -> list[str]:
    there = {(one["account"], one["con_id"]): Decimal(one["quantity"]) for one in _asked(control, "positions") if Decimal(one["quantity"])}
    rows = Position.objects.exclude(quantity=0).select_related("account", "contract")
    here = {(row.account.code, row.contract.con_id): row.quantity for row in rows}
    return [
        f"position {name}: {there.get(name)} there, {here.get(name)} here" for name in there | here if there.get(name) != here.get(name)
    ]


def _placed(ledger: list[dict[str, Any]]) -> list[str]:
    """Each orderRef was placed under one order id of one client, and placeOrder came again only for the changes that were sent."""
    names = set(OrderRecord.objects.values_list("client_order_id", flat=True))
    placed: dict[str, list[tuple[int, str]]] = defaultdict(list)
    found = []
    for line in ledger:
        if line["kind"] == "in" and line["message"] == "placeOrder":
            name = next((one for one in line["fields"] if one in names), None)
            if name is not None:
                placed[name].append((line["client"], line["fields"][1]))
            elif any(str(one).startswith("DB") for one in line["fields"]):
                found.append(f"placed, and not in the book: {line['fields']}")
    never_sent = (CommandState.PENDING, CommandState.WITHDRAWN)
    for name, ids in placed.items():
        changes = BrokerCommand.objects.filter(order__client_order_id=name, kind=CommandKind.MODIFY).exclude(state__in=never_sent).count()
        if len(set(ids)) != 1 or not 1 <= len(ids) <= 1 + changes:
            found.append(f"{name} was placed as {ids} with {changes} changes")
    return found
