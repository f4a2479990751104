"""Whose order is it: the names that came with a message, and the names an order is known by at the broker.

The rule it keeps: first our client_order_id (orderRef), then the perm_id, then (client_id, ib_order_id), and never an order id alone:
order ids are reissued after a gateway restart, and every client counts its own.
"""

from __future__ import annotations

from dataclasses import replace

from orders.intake.status import ENDED_WORDS, LIVE_WORDS
from orders.intake.work import Change, Work
from orders.models import Account, BrokerId, Contract, OrderRecord
from orders.models.reading import the_one
from orders.rules.lifecycle import TERMINAL, OrderStatus
from orders.rules.limits import REDUCE_ONLY
from orders.rules.reports import ContractFacts, OrderKey, Question
from orders.rules.terms import Side

_ORDERS = OrderRecord.objects.select_related("account", "contract")


def own_key(work: Work, key: OrderKey) -> OrderKey:
    """The key with the client filled in: an error message names only an order id, of the client that it was sent to."""
    return replace(key, client_id=work.client_id) if key.client_id is None and key.ib_order_id else key


def find(work: Work, key: OrderKey) -> OrderRecord | None:
    """The order that the message is about, or None where the book knows none."""
    key = own_key(work, key)
    if key.client_order_id:
        order = the_one(_ORDERS.filter(client_order_id=key.client_order_id, is_external=False))
        if order is not None:
            return order
    if key.perm_id:
        order = the_one(_ORDERS.filter(broker_ids__perm_id=key.perm_id))
        if order is not None:
            return order
    if key.ib_order_id and not key.client_order_id:
        # With an orderRef that is not ours it is another order under a reissued id.
        return the_one(_ORDERS.filter(broker_ids__client_id=key.client_id, broker_ids__ib_order_id=key.ib_order_id))
    return None


def contradiction(order: OrderRecord, account: str, contract: ContractFacts, side: Side | None) -> str:
    """Why a message that carries the order's name cannot be about it, or "": account, contract and side never change (IB 105, 422).

    TWS copies the order reference when somebody duplicates or reverses an order there.
    """
    if account and order.account.code != account:
        return f"account {account}"
    if contract.con_id and order.contract.con_id != contract.con_id:
        return f"contract {contract.symbol} ({contract.con_id})"
    if side is not None and order.side != side:
        return f"side {side}"
    return ""


def contract_row(facts: ContractFacts) -> Contract:
    """The contract's row, made from what the message says where it is new. Its route is not the venue that a message names."""
    row = the_one(Contract.objects.filter(con_id=facts.con_id))
    if row is not None:
        return row
    return Contract.objects.create(
        con_id=facts.con_id,
        symbol=facts.symbol[:32],
        sec_type=facts.sec_type[:8],
        exchange=_route(facts)[:24],
        primary_exchange=facts.primary_exchange[:24],
        currency=facts.currency[:8],
        local_symbol=facts.local_symbol[:64],
        trading_class=facts.trading_class[:32],
        multiplier=facts.multiplier,
        expiry=facts.expiry[:16],
        strike=facts.strike,
        right=facts.right[:1],
    )


def _route(facts: ContractFacts) -> str:
    """Where orders of the contract go until its details are asked for: an execution names the venue it happened at."""
    if facts.sec_type in ("STK", "OPT", "WAR"):
        return "SMART"
    if facts.sec_type == "CASH":
        return "IDEALPRO"
    return facts.exchange or facts.primary_exchange


def record(change: Change, key: OrderKey) -> BrokerId | None:
    """Keeps the names that a message gave the order, and gives back the row of its perm_id, or None where it named none.

    One order can own several perm_ids: a change during a lost connection makes a second live order.
    """
    key = own_key(change.work, key)
    if key.ib_order_id and key.client_id == change.work.client_id:
        _record_order_id(change, key)
    return _record_perm_id(change, key.perm_id, surely=key.client_order_id == change.order.client_order_id)


def live_elsewhere(change: Change, row: BrokerId | None) -> list[BrokerId]:
    """The other perm_ids of the order that the broker last called live."""
    if row is None:
        return []
    return [other for other in change.names if other is not row and other.perm_id and other.word in LIVE_WORDS]


def outlived(change: Change, row: BrokerId | None) -> bool:
    """Whether the order ended under another perm id, and this one was never said to have ended."""
    if row is None or row.word in ENDED_WORDS or change.status not in (OrderStatus.CANCELLED, OrderStatus.REJECTED):
        return False
    return any(other.word in ENDED_WORDS for other in change.names if other is not row)


def keep_word(change: Change, row: BrokerId, word: str) -> None:
    """Keeps the broker's last word of a perm_id. Two working at once is an incident: both could fill, so the account only reduces."""
    _set(change, row, word=word[:24])
    others = live_elsewhere(change, row)
    if others and word in LIVE_WORDS:
        perm_ids = sorted(other.perm_id for other in [row, *others] if other.perm_id)
        text = f"Two orders work at the broker under one name: perm ids {perm_ids}."
        change.incident("two_working", text, restricts=REDUCE_ONLY, perm_ids=perm_ids)


def _record_order_id(change: Change, key: OrderKey) -> None:
    if any(row.client_id == key.client_id and row.ib_order_id == key.ib_order_id for row in change.names):
        return
    other = the_one(BrokerId.objects.filter(client_id=key.client_id, ib_order_id=key.ib_order_id).select_related("order"))
    if other is not None:
        whose = other.order.client_order_id
        change.incident("order_id_reused", f"The broker uses order id {key.ib_order_id} for this order; it belongs to {whose}.")
        return
    unnamed = next((row for row in change.names if row.ib_order_id is None and row.perm_id == key.perm_id), None)
    if unnamed is not None:
        _set(change, unnamed, client_id=key.client_id, ib_order_id=key.ib_order_id)
    else:
        _add(change, BrokerId(order=change.order, client_id=key.client_id, ib_order_id=key.ib_order_id))


def _record_perm_id(change: Change, perm_id: int, *, surely: bool) -> BrokerId | None:
    """`surely`: the message carries our own name for the order, which outweighs what was concluded from an order id alone."""
    if not perm_id:
        return None
    row = next((row for row in change.names if row.perm_id == perm_id), None)
    if row is not None:
        return row
    other = the_one(BrokerId.objects.filter(perm_id=perm_id).select_related("order"))
    if other is not None:
        whose = other.order.client_order_id
        change.incident("perm_id_taken", f"The broker gives perm id {perm_id} to this order; it belongs to {whose}.")
        if not surely or other.order.state in TERMINAL:
            return None
        _set(change, other, perm_id=None, word="")
    row = next((row for row in change.names if row.perm_id is None), None)
    if row is not None:
        _set(change, row, perm_id=perm_id)
        return row
    if change.names:  # a second life under the same name: look at both
        change.work.ask.add(Question.OPEN_ORDERS)
    return _add(change, BrokerId(order=change.order, perm_id=perm_id))


def _add(change: Change, row: BrokerId) -> BrokerId:
    change.added.append(row)
    change.names.append(row)
    return row


def _set(change: Change, row: BrokerId, **values: object) -> None:
    """A row that is to be added takes the values at once; one that is there takes them with the event."""
    if row.pk is None:
        for name, value in values.items():
            setattr(row, name, value)
        return
    change.sets.append((row, dict(values)))


def unknown_reference(work: Work, client_order_id: str, account: str) -> None:
    """An orderRef that this book must have given out, and does not know: a book restored from an old copy, or an order lost here."""
    text = f"The broker has an order {client_order_id} in account {account} that carries this book's prefix, and the book does not know it."
    work.incident("unknown_own_order", text, account=the_one(Account.objects.filter(code=account)))
