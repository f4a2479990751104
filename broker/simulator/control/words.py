"""Control commands that only tell clients something: the exchange knows nothing of it, and what is on record stays true."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from broker.simulator.answering.market import ticks
from broker.simulator.answering.orders import order_status
from broker.simulator.control.registry import CommandProblem, Words, command, con_id_of, decimal_of, order_of, owner_of, session_of
from broker.simulator.messages import answers as say
from broker.simulator.model import Fill
from broker.simulator.scenarios_words import QUOTE_KINDS, BadQuotes

if TYPE_CHECKING:
    from broker.simulator.server import SimulatedGateway

STRANGE_PERM_ID = 4_711
MOST_TIMES = 1_000


@command("error CLIENT REQID CODE TEXT", injects=True)
def _error(server: SimulatedGateway, words: Words) -> str:
    session, req_id, code, text = session_of(server, words[0]), int(words[1]), int(words[2]), " ".join(words[3:])
    with server.core.turn():
        session.say(say.ErrorMessage(req_id, code, text, server.core.now()))
    return f"{session.client_id} {req_id} {code}"


@command("order-error ORDER CODE [TEXT]", injects=True)
def _order_error(server: SimulatedGateway, words: Words) -> str:
    """An error that names an order goes to its client; the order stays as it is."""
    order, code = order_of(server, words[0]), int(words[1])
    session, text = owner_of(server, order), " ".join(words[2:]) or "something about it"
    with server.core.turn():
        session.say(say.OrderError(order.request.order_id, code, text, server.core.now(), order_ref=order.request.order_ref))
    return f"{session.client_id} {order.request.order_id} {code}"


@command("status ORDER WORD [FILLED [REMAINING]] [times=N]", injects=True)
def _status(server: SimulatedGateway, words: Words) -> str:
    """An orderStatus with any word and any numbers, however the order is: a late Submitted, a Filled without executions, repeats."""
    times = next((int(word.removeprefix("times=")) for word in words if word.startswith("times=")), 1)
    order_word, word, *numbers = [one for one in words if not one.startswith("times=")]
    if not 1 <= times <= MOST_TIMES:
        raise CommandProblem(f"times is from 1 to {MOST_TIMES}")
    order = order_of(server, order_word)
    state = order.state()
    filled = decimal_of(numbers[0]) if numbers else state.filled
    remaining = decimal_of(numbers[1]) if numbers[1:] else max(state.request.quantity - filled, Decimal(0))
    told = order_status(state, live=True)
    told = say.OrderStatus(**{**vars(told), "status": word, "filled": filled, "remaining": remaining})
    session = owner_of(server, order)
    with server.core.turn():
        session.say(*[told] * times)
    return f"{session.client_id} {order.request.order_id} {word}"


@command("stranger CLIENT ACCOUNT SYMBOL BOT|SLD SHARES PRICE [REF]", injects=True)
def _stranger(server: SimulatedGateway, words: Words) -> str:
    """An execution for any account, also one that this login has not; of no order that anybody has placed."""
    session, account, con_id = session_of(server, words[0]), words[1], con_id_of(server, words[2])
    side, shares, price = words[3], decimal_of(words[4]), decimal_of(words[5])
    if side not in ("BOT", "SLD"):
        raise CommandProblem("usage: stranger CLIENT ACCOUNT SYMBOL BOT|SLD SHARES PRICE [REF]")
    instrument, now = server.exchange.instruments[con_id], server.core.now()
    fill = Fill(
        exec_id=f"0000e0d5.{int(now.timestamp() * 1000):x}.01.01",
        time=now,
        client_id=0,
        order_id=0,
        perm_id=STRANGE_PERM_ID,
        con_id=con_id,
        account=account,
        exchange=instrument.primary_exchange,
        side=side,
        shares=shares,
        price=price,
        cum_quantity=shares,
        average_price=price,
        order_ref=words[6] if words[6:] else "",
        liquidity=1,
    )
    with server.core.turn():
        session.say(say.ExecutionDetails(-1, fill, instrument, ""))
    return fill.exec_id


@command(f"quotes good|{'|'.join(QUOTE_KINDS)} [SYMBOL]", injects=True)
def _quotes(server: SimulatedGateway, words: Words) -> str:
    """From here on quotes, of one contract or of all, are no quotes; who has subscribed hears it at once."""
    kind, con_id = words[0], con_id_of(server, words[1]) if words[1:] else None
    if kind not in ("good", *QUOTE_KINDS):
        raise CommandProblem(f"unknown kind {kind}; known: good {' '.join(QUOTE_KINDS)}")
    scenarios = server.core.scenarios
    scenarios.active = [one for one in scenarios.active if not (isinstance(one, BadQuotes) and con_id in (None, one.con_id))]
    if kind != "good":
        scenarios.active.append(BadQuotes(kind, con_id))
    with server.core.turn():
        for session in server.core.ready_sessions():
            for req_id, line in session.subscriptions.market.items():
                if con_id in (None, line.con_id):
                    line.sent.clear()
                    session.say(*ticks(server.exchange, req_id, line, server.exchange.quote(line.con_id)))
    return kind
