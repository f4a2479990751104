"""Control commands that change what is true of orders and executions: corrections, late fills, other hands, second lives.

All go through the recorded turns, so that lists, positions, cash, ledger and a restart agree. An ORDER is `last`, a permanent id,
CLIENT:ORDERID or a reference; an EXECUTION is `last` or its id, with its revision or without.
"""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import TYPE_CHECKING

from broker.simulator.control.registry import (
    CommandProblem,
    Words,
    account_of,
    command,
    con_id_of,
    decimal_of,
    flag_of,
    named_of,
    order_of,
    texts_of,
)
from broker.simulator.elsewhere import BY_HAND, MOBILE, PLACED_BY, execution_of, next_hand_id, root_of
from broker.simulator.model import CommissionCharged, Fill, OrderRequest
from broker.simulator.orderbook import BookedOrder
from broker.simulator.recorded import order_to_json
from broker.simulator.validation import refusal

if TYPE_CHECKING:
    from broker.simulator.server import SimulatedGateway

ELSEWHERE_CLIENT_IDS = range(1, 1_000_000)
TYPE_BY_PRICES = {(): "MKT", ("limit",): "LMT", ("stop",): "STP", ("limit", "stop"): "STP LMT"}
PLACE_FIELDS = (
    *("trailingPercent", "trailStopPrice", "lmtPriceOffset", "goodAfterTime", "goodTillDate", "allOrNone", "displaySize", "hidden"),
    *("triggerMethod",),
)


# --- executions -------------------------------------------------------------------------------------------------------------------


@command("correct EXECUTION [qty=N] [price=P] [reinstate]", injects=True)
def _correct(server: SimulatedGateway, words: Words) -> str:
    """Another quantity or price for an execution: a new revision of it. `reinstate`: an order that it leaves unfilled works again."""
    reinstate, named = flag_of(words, "reinstate"), named_of(words, "qty", "price")
    fill, _ = _execution(server, words[0])
    if not named:
        raise CommandProblem("a correction has another qty or another price")
    return _corrected(server, fill, named.get("qty", fill.shares), named.get("price", fill.price), reinstate=reinstate)


@command("bust EXECUTION [reinstate]", injects=True)
def _bust(server: SimulatedGateway, words: Words) -> str:
    """Takes an execution back: a revision with quantity 0."""
    reinstate = flag_of(words, "reinstate")
    fill, _ = _execution(server, words[0])
    return _corrected(server, fill, Decimal(0), fill.price, reinstate=reinstate)


def _corrected(server: SimulatedGateway, fill: Fill, shares: Decimal, price: Decimal, *, reinstate: bool) -> str:
    if shares < 0:
        raise CommandProblem(f"not a quantity: {shares}")
    _change(server, "correct", execution=fill.exec_id, shares=str(shares), price=str(price), reinstate=reinstate)
    return execution_of(server.exchange, root_of(fill.exec_id))[0].exec_id


@command("commission EXECUTION AMOUNT", injects=True)
def _commission(server: SimulatedGateway, words: Words) -> str:
    """A revised commission (a rebate is negative). A late one, or none: `delay`, `hold` or `mute commissionReport`."""
    fill, _ = _execution(server, words[0])
    _change(server, "revise_commission", execution=fill.exec_id, commission=str(decimal_of(words[1])))
    return fill.exec_id


@command("fill ORDER [SHARES [PRICE]]", injects=True)
def _fill(server: SimulatedGateway, words: Words) -> str:
    """An execution of an order whatever its state: late where it had been cancelled, too many where it is filled. Default: what is left."""
    order = order_of(server, words[0])
    shares = decimal_of(words[1]) if words[1:] else max(order.remaining, Decimal(0))
    price = decimal_of(words[2]) if words[2:] else None
    if shares <= 0:
        raise CommandProblem(f"nothing is left of order {order.perm_id}; say how many shares")
    _change(server, "fill", perm_id=order.perm_id, shares=str(shares), price=None if price is None else str(price), together=False)
    return server.exchange.executions[-1][0].exec_id


@command("fill-group ORDER", injects=True)
def _fill_group(server: SimulatedGateway, words: Words) -> str:
    """Every working order of this one's group fills completely in the same moment: both legs of a pair."""
    order = order_of(server, words[0])
    before = len(server.exchange.executions)
    _change(server, "fill", perm_id=order.perm_id, shares="0", price=None, together=True)
    return str(len(server.exchange.executions) - before)


# --- orders of other hands --------------------------------------------------------------------------------------------------------


@command("place tws|mobile|CLIENT ACCOUNT SYMBOL BUY|SELL QTY [limit=P] [stop=P] [type=T] [tif=T] [FIELD=TEXT] [REF]", injects=True)
def _place(server: SimulatedGateway, words: Words) -> str:
    """An order of other hands: entered in TWS, on a telephone, or by another API client. Without a type one that its prices make it,
    without a price a market order; the other fields have IB's names (trailingPercent=2, goodAfterTime=20261125-18:30:00)."""
    texts = texts_of(words, "type", "tif", *PLACE_FIELDS)
    named = named_of(words, "limit", "stop")
    who, account, con_id, action, quantity = words[0], account_of(server, words[1]), con_id_of(server, words[2]), words[3], words[4]
    by_hand = who in ("tws", MOBILE)
    client_id = BY_HAND if by_hand else int(who)
    if not by_hand and client_id not in ELSEWHERE_CLIENT_IDS:
        raise CommandProblem("CLIENT is a number from 1 on; orders of client 0 are those of tws")
    floor = server.exchange.next_order_id_floor(client_id)
    request = OrderRequest(
        client_id=client_id,
        order_id=next_hand_id(server.exchange) if by_hand else floor,
        con_id=con_id,
        account=account,
        action=action,
        quantity=decimal_of(quantity),
        order_type=texts.pop("type", "") or TYPE_BY_PRICES[tuple(sorted(named))],
        limit_price=named.get("limit"),
        aux_price=named.get("stop"),
        tif=texts.pop("tif", "DAY"),
        order_ref=words[5] if words[5:] else "",
        wire={**texts, PLACED_BY: who} if by_hand else texts,
    )
    problem = refusal(request, server.exchange.instruments[con_id], server.exchange.accounts, server.core.now())
    if problem:
        raise CommandProblem(f"{problem[1]} ({problem[0]})")
    expected = server.exchange.next_perm_id
    _change(server, "place_by_hand" if by_hand else "submit", request=order_to_json(request))
    return str(expected)


@command("change ORDER [qty=N] [limit=P] [stop=P]", injects=True)
def _change_terms(server: SimulatedGateway, words: Words) -> str:
    """Other terms for a working order, entered by other hands than its client's."""
    named = named_of(words, "qty", "limit", "stop")
    order = _working(server, words[0])
    terms = {"quantity": named.get("qty"), "limit_price": named.get("limit"), "aux_price": named.get("stop")}
    wanted = dataclasses.replace(order.request, **{name: value for name, value in terms.items() if value is not None})
    refused = server.exchange._modify_refusal(order, wanted, server.core.now())
    if refused:
        raise CommandProblem(f"{refused.text} ({refused.code})")
    texts = {name: None if value is None else str(value) for name, value in terms.items()}
    _change(server, "change_by_hand", perm_id=order.perm_id, **texts)
    return str(order.perm_id)


@command("cancel ORDER", injects=True)
def _cancel(server: SimulatedGateway, words: Words) -> str:
    """A working order is cancelled by other hands than its client's."""
    order = _working(server, words[0])
    _change(server, "cancel_by_hand", perm_id=order.perm_id)
    return str(order.perm_id)


@command("reject ORDER CODE [TEXT]", injects=True)
def _reject(server: SimulatedGateway, words: Words) -> str:
    """The exchange throws a working order out: the error, then Inactive; its children are cancelled."""
    order, code = _working(server, words[0]), int(words[1])
    _change(server, "reject", perm_id=order.perm_id, code=code, text=" ".join(words[2:]) or "Order rejected - reason:rehearsed")
    return str(order.perm_id)


@command("second-life ORDER", injects=True)
def _second_life(server: SimulatedGateway, words: Words) -> str:
    """A working order gets a double under the same ids and reference, with a permanent id of its own; both may fill."""
    order = _working(server, words[0])
    expected = server.exchange.next_perm_id
    _change(server, "second_life", perm_id=order.perm_id)
    return str(expected)


def _working(server: SimulatedGateway, word: str) -> BookedOrder:
    order = order_of(server, word)
    if not order.is_open:
        raise CommandProblem(f"order {order.perm_id} has ended: {order.status}")
    return order


def _execution(server: SimulatedGateway, word: str) -> tuple[Fill, CommissionCharged]:
    try:
        return execution_of(server.exchange, word)
    except KeyError as missing:
        raise CommandProblem(str(missing.args[0])) from missing


def _change(server: SimulatedGateway, verb: str, **values: object) -> None:
    with server.core.turn():
        server.core.change(verb, **values)
